/* call.c: one request of the management API on its way through its operation, whatever carried it here. */
#include "control/api.h"
#include "control/audit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct call {
    struct carrier *from;
    json_t *id;
    const struct stream_ops *stream; /* NULL: one reply and no more */
    void *stream_ctx;
    bool streaming;      /* pieces have begun */
    call_file_came *came; /* waits for a descriptor */
    void *came_ctx;
    const char *audited; /* what the audit log calls it; NULL: it does not tell of it */
    json_t *named;       /* what it is about: the words of the request that tell, never secrets */
};

struct control *call_control(const struct call *call)
{
    return call->from->control;
}

const char *call_who(const struct call *call)
{
    return call->from->who;
}

enum role call_role(const struct call *call)
{
    return call->from->role;
}

uint64_t call_session(const struct call *call)
{
    return call->from->session;
}

void call_audit(struct call *call, const char *what, const json_t *request)
{
    static const char *const telling[] = {"name", "id", "role", "file", "mode", "filter", NULL};
    call->audited = what;
    for (const char *const *key = telling; what && *key; key++) {
        json_t *v = json_object_get(request, *key);
        if (!json_is_string(v))
            continue;
        call->named = call->named ? call->named : json_object();
        json_object_set(call->named, *key, v);
    }
}

void call_begin(struct carrier *from, json_t *request)
{
    struct call *call = must_alloc(1, sizeof *call);
    call->from = from;
    call->id = json_incref(json_object_get(request, "id"));
    from->calls++;
    if (from->until && time(NULL) >= from->until)
        from->role = ROLE_NONE;
    operation_run(call, request);
}

/* -- streams ------------------------------------------------------------------------------------------ */

bool call_watch(struct call *call, const struct stream_ops *ops, void *ctx)
{
    if (call->from->streamed)
        return false;
    call->from->streamed = call;
    call->stream = ops;
    call->stream_ctx = ctx;
    return true;
}

void call_stream(struct call *call, json_t *data)
{
    json_t *reply = json_pack("{s:b,s:o}", "ok", 1, "data", data);
    if (call->id)
        json_object_set(reply, "id", call->id);
    call->streaming = true;
    call->from->ops->json(call->from, reply);
}

void call_piece(struct call *call, const void *bytes, size_t len)
{
    if (len)
        call->from->ops->piece(call->from, bytes, len);
}

bool call_wants_file(struct call *call, call_file_came *came, void *ctx)
{
    const struct carrier_ops *ops = call->from->ops;
    if (!ops->file || !ops->file(call->from, call))
        return false;
    call->came = came;
    call->came_ctx = ctx;
    call_stream(call, json_object());
    return true;
}

void call_file(struct call *call, int fd)
{
    call->came(call, call->came_ctx, fd);
}

bool carrier_gone(struct carrier *c)
{
    struct call *call = c->streamed;
    c->streamed = NULL;
    if (call)
        call->stream->gone(call->stream_ctx);
    return call != NULL;
}

void carrier_stop(struct carrier *c)
{
    if (c->streamed)
        c->streamed->stream->stop(c->streamed->stream_ctx);
}

void carrier_written(struct carrier *c)
{
    if (c->streamed)
        c->streamed->stream->written(c->streamed->stream_ctx);
}

/* -- replies ------------------------------------------------------------------------------------------ */

json_t *error_json(const char *code, const char *message)
{
    return json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code", code, "message", message);
}

static void call_end(struct call *call, json_t *reply)
{
    struct carrier *from = call->from;
    bool good = json_is_true(json_object_get(reply, "ok"));
    if (call->streaming)
        from->ops->piece(from, NULL, 0);
    if (from->streamed == call)
        from->streamed = NULL;
    if (call->id)
        json_object_set(reply, "id", call->id);
    if (call->audited) {
        const char *error = json_string_value(json_object_get(json_object_get(reply, "error"), "message"));
        audit_note(from->control->audit, from->who, from->from, call->audited,
                   json_incref(call->named), error ? error : "ok");
    }
    json_decref(call->id);
    json_decref(call->named);
    free(call);
    from->ops->json(from, reply);
    from->calls--;
    from->ops->ended(from, good);
}

void call_reply(struct call *call, json_t *data)
{
    call_end(call, json_pack("{s:b,s:o}", "ok", 1, "data", data ? data : json_null()));
}

void call_fail(struct call *call, const char *code, const char *format, ...)
{
    struct text t = {0};
    va_list args;
    va_start(args, format);
    text_vprintf(&t, format, args);
    va_end(args);
    /* What came from outside may not be UTF-8, which JSON needs. */
    json_t *reply = error_json(code, text_str(&t));
    call_end(call, reply ? reply : error_json(code, "(the message is not UTF-8)"));
    text_free(&t);
}

void call_forbid(struct call *call, const char *what)
{
    const enum role r = call->from->role;
    char *result = must_print("refused: role %s", role_name(r));
    call->audited = NULL; /* told here */
    audit_refusal(call->from->control->audit, call->from->who, call->from->from, what, result);
    free(result);
    if (r == ROLE_NONE)
        call_fail(call, "forbidden", "%.100s: you have no role on this box; an admin can give you one (management-role)",
                  what);
    else
        call_fail(call, "forbidden", "%.100s: role %s may not", what, role_name(r));
}
