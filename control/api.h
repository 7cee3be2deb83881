/* api.h: between the management API's socket (api.c) and its operations (show.c). */
#pragma once
#include "control/control.h"

#include <jansson.h>

enum {
    API_REQUEST_MAX = 1 << 20, /* bytes of one request */
    API_CLIENTS_MAX = 64,
    API_CALLS_MAX = 64,          /* requests of one client that wait for an answer */
    API_OUTPUT_MAX = 64 << 20,   /* replies that one client has not read yet; more closes it */
};

struct call; /* one request that waits for its reply */
struct control *call_control(const struct call *call);
/* Exactly one of these, once; then the call is gone. data is taken over. */
void call_reply(struct call *call, json_t *data);
void call_fail(struct call *call, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* show.c: runs the operation that the request names. */
void operation_run(struct call *call, json_t *request);
