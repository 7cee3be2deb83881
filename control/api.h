/* api.h: between the ways into the management API (api.c: the Unix socket; https.c) and its operations (show.c's
 * table). */
#pragma once
#include "control/control.h"
#include "control/role.h"

#include <jansson.h>

enum {
    API_REQUEST_MAX = 1 << 20, /* bytes of one request */
    API_CLIENTS_MAX = 64,
    API_CLIENTS_LOCAL = 16,    /* of these, for the socket alone: nobody from afar locks the local CLI out */
    API_CALLS_MAX = 64,        /* requests of one client that wait for an answer */
    API_OUTPUT_MAX = 64 << 20, /* replies that one client has not read yet; more closes it */
};

struct bufferevent;
struct call; /* one request that waits for its reply */
struct control *call_control(const struct call *call);
/* Who asks: "uid 0 (root), pid 812" as the kernel knows it, or "token 3f... (backup) at 10.0.0.9". Lives as long as
 * the call. */
const char *call_who(const struct call *call);
/* The connection that it came on: a number that no other has, before or after; 0: none that lasts. */
uint64_t call_session(const struct call *call);
enum role call_role(const struct call *call);
/* The audit log tells of this call, a text that lives for ever (NULL: it does not), of the "name" in its
 * request, and of how it ended. */
void call_audit(struct call *call, const char *what, const json_t *request);
/* Exactly one of these, once; then the call is gone. data is taken over. */
void call_reply(struct call *call, json_t *data);
void call_fail(struct call *call, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Asks the client for a file that it has opened: a descriptor, which comes behind a streamed reply of no data. `came` is called once, with it (its
 * own to close) or with -1. False: what carries the call cannot carry descriptors; nothing has been asked, and ctx is the caller's still. */
typedef void call_file_came(struct call *call, void *ctx, int fd);
bool call_wants_file(struct call *call, call_file_came *came, void *ctx);

/* As call_fail: the caller's role may not do `what`; the audit log tells of it. */
void call_forbid(struct call *call, const char *what);

/* capture.c: {"op":"capture"}. */
void capture_operation(struct call *call, const json_t *request);

/* snapshot_api.c, load_api.c: {"op":"snapshot"}. */
void snapshot_list(struct call *call, const json_t *request);
void snapshot_create(struct call *call, const json_t *request);
void snapshot_progress(struct call *call, const json_t *request);
void snapshot_delete(struct call *call, const json_t *request);
void snapshot_import(struct call *call, const json_t *request);
void snapshot_abandon(struct call *call, const json_t *request);

/* show.c: runs the operation that the request names, if the caller's role may. */
void operation_run(struct call *call, json_t *request);

/* A row of the operations, for what is made from them. */
struct operation_row {
    const char *op, *what;
    void (*run)(struct call *call, const json_t *request);
    const char *audited; /* its name in the audit log; what changes the configuration tells of itself (commit_tell) */
    unsigned roles;      /* a set (role.h); 0: admin alone */
    bool reads;          /* changes nothing: HTTP's GET may ask for it */
    const char *takes;   /* what it reads of the request: "name", "#limit" an integer, "?authority" a boolean,
                            "{set" an object, "[san" an array */
};
unsigned operation_count(void);
const struct operation_row *operation_at(unsigned i);
/* NULL: there is none. */
const struct operation_row *operation_find(const char *op, const char *what);

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

/* -- what carries calls (call.c) ---------------------------------------------------------------------- */

struct carrier;
struct carrier_ops {
    void (*json)(struct carrier *to, json_t *owned);                       /* a whole message */
    void (*piece)(struct carrier *to, const void *bytes, size_t len);      /* 0 bytes: there are no more */
    void (*ended)(struct carrier *to, bool good);                          /* a call is over, after its last message */
    bool (*file)(struct carrier *to, struct call *call);                   /* the next byte has a descriptor (call_file); NULL or false: cannot be */
};
/* A connection, the first member of what a way in keeps of it. It lives until calls is 0. */
struct carrier {
    const struct carrier_ops *ops;
    struct control *control;
    enum role role;
    const char *from; /* the way in, for the audit log: lives for ever */
    char who[192], token[9]; /* token: its ID, or "" */
    json_int_t until;        /* Unix time when its rights end; 0: never */
    uint64_t session;        /* 0: what comes on it stands each for itself */
    unsigned calls;
    struct call *streamed; /* the call that a stream_ops watches over */
};
/* A request comes; json_decref(request) is the caller's. */
void call_begin(struct carrier *from, json_t *request);
/* To the call that streams, if there is one: its client has gone (true: there was one), has shut its side, has read
 * everything. */
bool carrier_gone(struct carrier *c);
void carrier_stop(struct carrier *c);
void carrier_written(struct carrier *c);
/* What the client has handed over for call_wants_file(), or -1. */
void call_file(struct call *call, int fd);
/* {"ok":false,"error":...} */
json_t *error_json(const char *code, const char *message);

/* -- api.c -------------------------------------------------------------------------------------------- */

struct api_peer {
    enum role role;
    const char *who, *from, *token; /* token: the ID of what it has shown, or "" */
    json_int_t until;               /* Unix time when that ends; 0: never */
};
/* There may be one more client on another way than the socket. */
bool api_has_room(const struct api *a);
/* A connection on another way, whose peer is known already, speaks as the socket's clients do; the stream is taken
 * over. */
void api_adopt(struct api *a, struct bufferevent *stream, const struct api_peer *peer);
/* The token is no longer valid: who came with it is cut off. */
void api_revoke(struct api *a, const char *id);
