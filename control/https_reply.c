/* https_reply.c: replies of operations as HTTP: one JSON body, or a stream in chunks (RFC 9112 section 7.1). A stream
 * that fails ends without its last chunk, which every client takes for the failure it is. */
#include "control/https_connection.h"
#include "control/log.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void https_send_head(struct https_connection *k, int status, const char *type, int64_t length, const char *more)
{
    struct evbuffer *out = bufferevent_get_output(k->stream);
    evbuffer_add_printf(out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\nConnection: %s\r\n%s",
                        status, http_reason(status), type, k->keep ? "keep-alive" : "close", more);
    if (length < 0)
        evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        evbuffer_add_printf(out, "Content-Length: %lld\r\n\r\n", (long long)length);
}

void https_send(struct https_connection *k, int status, json_t *owned)
{
    char *body = json_dumps(owned, JSON_COMPACT);
    size_t len = body ? strlen(body) : 0;
    json_decref(owned);
    if (k->stream) {
        https_send_head(k, status, "application/json", (int64_t)len,
                        status == 401   ? "WWW-Authenticate: Bearer realm=\"sluice\"\r\n"
                        : status == 429 ? "Retry-After: 1\r\n"
                                        : "");
        evbuffer_add(bufferevent_get_output(k->stream), body ? body : "", len);
    }
    free(body);
}

void https_refuse(struct https_connection *k, int status, const char *code, const char *message)
{
    k->keep = false;
    https_send(k, status, error_json(code, message));
    https_replied(k);
}

/* -- what a call says --------------------------------------------------------------------------------- */

static void send_json(struct carrier *to, json_t *owned)
{
    struct https_connection *k = (struct https_connection *)to;
    const json_t *error = json_object_get(owned, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    if (!k->stream || k->streaming) {
        json_decref(owned); /* nobody is there, or the end of a stream: call_ended says how it was */
    } else if (to->streamed && !error) {
        json_decref(owned);
        k->streaming = true;
        https_send_head(k, 200, "application/octet-stream", -1, "");
    } else {
        https_send(k, code ? http_status_of(code) : 200, owned);
    }
}

static void send_piece(struct carrier *to, const void *bytes, size_t len)
{
    struct https_connection *k = (struct https_connection *)to;
    struct evbuffer *out = k->stream ? bufferevent_get_output(k->stream) : NULL;
    if (!out || !len)
        return;
    evbuffer_add_printf(out, "%zx\r\n", len);
    evbuffer_add(out, bytes, len);
    evbuffer_add(out, "\r\n", 2);
}

static void call_ended(struct carrier *to, bool good)
{
    struct https_connection *k = (struct https_connection *)to;
    https_file_end(k);
    if (k->stream && k->streaming && good)
        evbuffer_add(bufferevent_get_output(k->stream), "0\r\n\r\n", 5);
    else if (k->streaming)
        k->keep = false;
    k->streaming = false;
    if (k->stream)
        https_replied(k);
    else if (to->calls == 0)
        https_hang_up(k);
}

const struct carrier_ops https_carrier = {send_json, send_piece, call_ended};
