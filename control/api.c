/* api.c: the management API's socket: a Unix stream socket, each message a 4-byte big-endian length and that
 * many bytes of JSON.
 *
 *     {"id":1,"op":"show","what":"status"}  ->  {"id":1,"ok":true,"data":{...}}
 *                                           or  {"id":1,"ok":false,"error":{"code":"...","message":"..."}}
 *
 * A streamed reply (capture): {"id":1,"ok":true,"data":{...}}, then pieces of bytes, each behind its 4-byte
 * length, an empty piece, and a last {"id":1,"ok":...} as above. A client that shuts its side down asks for
 * the end. */
#include "control/api.h"
#include "control/audit.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct api_client {
    struct api *api;
    char who[96];
    struct bufferevent *stream; /* NULL once the client has gone; calls that wait keep the struct */
    unsigned calls;
    struct call *streamed; /* the call that a stream_ops watches over */
    bool ended;            /* has shut its side down: close when the stream is over */
    bool closing;          /* after a malformed request: close when the error is written */
    struct api_client *next;
};

struct api {
    struct control *control;
    char *path;
    struct evconnlistener *listener;
    struct api_client *first;
    unsigned clients;
};

struct call {
    struct api_client *client;
    json_t *id;
    const struct stream_ops *stream; /* NULL: one reply and no more */
    void *stream_ctx;
    bool streaming;      /* pieces have begun */
    const char *audited; /* what the audit log calls it; NULL: it does not tell of it */
    json_t *named;       /* what it is about, or NULL */
};

/* -- clients ------------------------------------------------------------------------------------------ */

static void unlink_client(struct api_client *client)
{
    for (struct api_client **at = &client->api->first; *at; at = &(*at)->next)
        if (*at == client) {
            *at = client->next;
            break;
        }
}

static void hang_up(struct api_client *client)
{
    if (client->stream) {
        bufferevent_free(client->stream);
        client->stream = NULL;
        client->api->clients--;
        struct call *streamed = client->streamed;
        client->streamed = NULL;
        if (streamed) { /* it ends its call, now or later */
            streamed->stream->gone(streamed->stream_ctx);
            return;
        }
    }
    if (client->calls == 0) {
        unlink_client(client);
        free(client);
    }
}

static void send_json(struct api_client *client, json_t *owned)
{
    char *text = json_dumps(owned, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    struct evbuffer *out = client->stream ? bufferevent_get_output(client->stream) : NULL;
    uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    if (out && text && evbuffer_get_length(out) + len <= API_OUTPUT_MAX) {
        evbuffer_add(out, head, sizeof head);
        evbuffer_add(out, text, len);
    } else if (out) {
        log_line(LOG_LEVEL_WARNING, "A management client does not read its replies: closed");
        client->closing = true;
    }
    free(text);
    json_decref(owned);
}

static json_t *error_json(const char *code, const char *message)
{
    return json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code", code, "message", message);
}

/* -- calls -------------------------------------------------------------------------------------------- */

struct control *call_control(const struct call *call)
{
    return call->client->api->control;
}

const char *call_who(const struct call *call)
{
    return call->client->who;
}

void call_audit(struct call *call, const char *what, const json_t *request)
{
    call->audited = what;
    call->named = what ? json_incref(json_object_get(request, "name")) : NULL;
}

static void send_piece(struct api_client *client, const void *bytes, size_t len)
{
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    if (!client->stream)
        return;
    evbuffer_add(bufferevent_get_output(client->stream), head, sizeof head);
    evbuffer_add(bufferevent_get_output(client->stream), bytes, len);
}

bool call_watch(struct call *call, const struct stream_ops *ops, void *ctx)
{
    if (call->client->streamed)
        return false;
    call->client->streamed = call;
    call->stream = ops;
    call->stream_ctx = ctx;
    return true;
}

void call_stream(struct call *call, json_t *data)
{
    json_t *reply = json_pack("{s:b,s:o}", "ok", 1, "data", data);
    if (call->id)
        json_object_set(reply, "id", call->id);
    send_json(call->client, reply);
    call->streaming = true;
}

void call_piece(struct call *call, const void *bytes, size_t len)
{
    if (len)
        send_piece(call->client, bytes, len);
}

static void call_end(struct call *call, json_t *reply)
{
    struct api_client *client = call->client;
    if (call->streaming)
        send_piece(client, NULL, 0);
    if (client->streamed == call)
        client->streamed = NULL;
    if (call->id)
        json_object_set(reply, "id", call->id);
    if (call->audited) {
        const char *error = json_string_value(json_object_get(json_object_get(reply, "error"), "message"));
        audit_note(client->api->control->audit, client->who, "management socket", call->audited,
                   call->named ? json_pack("{s:O}", "name", call->named) : NULL, error ? error : "ok");
    }
    json_decref(call->id);
    json_decref(call->named);
    free(call);
    client->closing = client->closing || client->ended;
    send_json(client, reply);
    client->calls--;
    if (!client->stream && client->calls == 0)
        hang_up(client);
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

static void refuse(struct api_client *client, const char *message)
{
    send_json(client, error_json("bad-request", message));
    client->closing = true;
}

static void handle(struct api_client *client, const char *text, size_t len)
{
    json_error_t error;
    json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(request)) {
        char message[256];
        snprintf(message, sizeof message, "the request is not a JSON object%s%.150s", request ? "" : ": ",
                 request ? "" : error.text);
        send_json(client, error_json("bad-request", message));
    } else if (client->calls >= API_CALLS_MAX) {
        send_json(client, error_json("busy", "too many requests wait for an answer on this connection"));
    } else {
        struct call *call = must_alloc(1, sizeof *call);
        call->client = client;
        call->id = json_incref(json_object_get(request, "id"));
        client->calls++;
        operation_run(call, request);
    }
    json_decref(request);
}

/* -- the stream --------------------------------------------------------------------------------------- */

static void on_read(struct bufferevent *stream, void *arg)
{
    struct api_client *client = arg;
    struct evbuffer *in = bufferevent_get_input(stream);
    uint8_t head[4];
    client->calls++; /* holds the struct while requests are handled */
    while (client->stream && !client->closing &&
           evbuffer_copyout(in, head, sizeof head) == (ssize_t)sizeof head) {
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (len == 0 || len > API_REQUEST_MAX) {
            refuse(client, "the length of a request must be 1 to 1048576 bytes");
            break;
        }
        if (evbuffer_get_length(in) < sizeof head + len)
            break;
        evbuffer_drain(in, sizeof head);
        char *text = must_alloc(len + 1, 1);
        evbuffer_remove(in, text, len);
        handle(client, text, len);
        secret_free(text); /* it may have brought a private key */
    }
    client->calls--;
    if (client->closing && client->stream) {
        bufferevent_disable(client->stream, EV_READ);
        if (evbuffer_get_length(bufferevent_get_output(client->stream)) == 0)
            hang_up(client);
    } else if (!client->stream) {
        hang_up(client);
    }
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct api_client *client = arg;
    (void)stream;
    if (client->closing)
        hang_up(client);
    else if (client->streamed)
        client->streamed->stream->written(client->streamed->stream_ctx);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct api_client *client = arg;
    if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING) && client->streamed) {
        bufferevent_disable(stream, EV_READ);
        client->ended = true;
        client->streamed->stream->stop(client->streamed->stream_ctx);
    } else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) {
        hang_up(client);
    }
}

static void name_peer(struct api_client *client, int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        snprintf(client->who, sizeof client->who, "unknown");
        return;
    }
    const struct passwd *user = getpwuid(peer.uid);
    snprintf(client->who, sizeof client->who, "uid %u (%.40s), pid %d", peer.uid,
             user ? user->pw_name : "no name", (int)peer.pid);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *arg)
{
    struct api *a = arg;
    (void)listener, (void)from, (void)len;
    struct bufferevent *stream = a->clients < API_CLIENTS_MAX
                                     ? bufferevent_socket_new(a->control->base, fd, BEV_OPT_CLOSE_ON_FREE)
                                     : NULL;
    if (!stream) {
        close(fd);
        return;
    }
    struct api_client *client = must_alloc(1, sizeof *client);
    *client = (struct api_client){.api = a, .stream = stream, .next = a->first};
    name_peer(client, fd);
    a->first = client;
    a->clients++;
    bufferevent_setcb(stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(stream, EV_READ, 0, API_REQUEST_MAX + 4);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

struct api *api_open(struct control *c, const char *path, char *error, size_t size)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where.sun_path) {
        snprintf(error, size, "management-socket %s: at most %zu bytes are possible", path,
                 sizeof where.sun_path - 1);
        return NULL;
    }
    memcpy(where.sun_path, path, strlen(path) + 1);
    struct api *a = must_alloc(1, sizeof *a);
    a->control = c;
    unlink(path); /* ours alone: the lock in state-dir was taken before */
    mode_t mask = umask(0117);
    a->listener =
        evconnlistener_new_bind(c->base, on_accept, a, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
                                (struct sockaddr *)&where, sizeof where);
    int why = errno;
    umask(mask);
    if (!a->listener) {
        snprintf(error, size, "management-socket %s: %s; correct the directive or make its folder", path,
                 strerror(why));
        free(a);
        return NULL;
    }
    a->path = must_copy(path);
    return a;
}

void api_close(struct api *a)
{
    if (!a)
        return;
    evconnlistener_free(a->listener);
    for (struct api_client *client = a->first, *next; client; client = next) {
        next = client->next;
        if (client->stream) { /* a last reply ("stop") goes out if the socket takes it at once */
            struct evbuffer *out = bufferevent_get_output(client->stream);
            evbuffer_unfreeze(out, 1); /* a bufferevent keeps its output to itself */
            evbuffer_write(out, bufferevent_getfd(client->stream));
            bufferevent_free(client->stream);
        }
        free(client);
    }
    unlink(a->path);
    free(a->path);
    free(a);
}
