/* api.h: between the management API's socket (api.c) and its operations (show.c). */
#pragma once
#include "control/control.h"

#include <jansson.h>

enum {
    API_REQUEST_MAX = 1 << 20, /* bytes of one request */
    API_CLIENTS_MAX = 64,
    API_CALLS_MAX = 64,        /* requests of one client that wait for an answer */
    API_OUTPUT_MAX = 64 << 20, /* replies that one client has not read yet; more closes it */
};

struct call; /* one request that waits for its reply */
struct control *call_control(const struct call *call);
/* Who asks, as the kernel knows it: "uid 0 (root), pid 812". Lives as long as the call. */
const char *call_who(const struct call *call);
/* The audit log tells of this call, a text that lives for ever (NULL: it does not), of the "name" in its
 * request, and of how it ended. */
void call_audit(struct call *call, const char *what, const json_t *request);
/* Exactly one of these, once; then the call is gone. data is taken over. */
void call_reply(struct call *call, json_t *data);
void call_fail(struct call *call, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* capture.c: {"op":"capture"}. */
void capture_operation(struct call *call, const json_t *request);

/* load_api.c: {"op":"snapshot"}. */
void snapshot_list(struct call *call, const json_t *request);
void snapshot_import(struct call *call, const json_t *request);
void snapshot_abandon(struct call *call, const json_t *request);

/* show.c: runs the operation that the request names. */
void operation_run(struct call *call, json_t *request);

/* -- a reply in pieces -------------------------------------------------------------------------------- */

struct stream_ops {
    void (*gone)(void *ctx);    /* the client has gone: end the call, whatever the reply; nobody reads it */
    void (*stop)(void *ctx);    /* the client wants the orderly end of the stream */
    void (*written)(void *ctx); /* everything so far is in the socket */
};

/* From here on the client's end is told to ops. False: the client has a stream already. */
bool call_watch(struct call *call, const struct stream_ops *ops, void *ctx);
/* The first reply; pieces and then call_reply or call_fail follow. data is taken over. */
void call_stream(struct call *call, json_t *data);
void call_piece(struct call *call, const void *bytes, size_t len);
