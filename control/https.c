/* https.c: see https.h. Limits: connections (in all and by source), requests a second by source, bytes of heads and
 * bodies, seconds for each phase. A refused login is answered late, the later the more of them came from there; who
 * shows a good token is not made to wait for others. */
#include "control/https.h"
#include "control/audit.h"
#include "control/metrics.h"
#include "control/https_connection.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void next_request(struct https_connection *k);

/* -- life of a connection ----------------------------------------------------------------------------- */

void https_phase(struct https_connection *k, enum https_phase phase, unsigned seconds)
{
    const struct timeval wait = {.tv_sec = seconds};
    k->phase = phase;
    evtimer_del(k->deadline);
    if (seconds)
        evtimer_add(k->deadline, &wait);
}

void https_forget(struct https_connection *k)
{
    secret_free(k->text); /* a token was in it */
    k->text = NULL;
    k->head = (struct http_head){0};
    k->row = NULL;
}

static void end_stream(struct https_connection *k)
{
    SSL *ssl = bufferevent_openssl_get_ssl(k->stream);
    if (SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    ERR_clear_error();
    bufferevent_free(k->stream);
    k->stream = NULL;
}

static void let_go(struct https_connection *k)
{
    struct https_connection **at = &k->https->first;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    k->https->connections--;
    k->source->connections--;
    https_file_end(k);
    https_forget(k);
    event_free(k->deadline);
    free(k);
}

void https_hang_up(struct https_connection *k)
{
    if (k->stream) {
        end_stream(k);
        evtimer_del(k->deadline);
        if (carrier_gone(&k->carrier)) /* it ends its call, now or later, and that this */
            return;
    }
    if (k->carrier.calls == 0)
        let_go(k);
}

void https_replied(struct https_connection *k)
{
    https_forget(k);
    https_phase(k, k->keep ? HTTPS_HEAD : HTTPS_ENDING, k->keep ? HTTPS_IDLE_SECONDS : HTTPS_STUCK_SECONDS);
    if (k->keep) /* what may have come behind it, not from within its own call */
        bufferevent_trigger(k->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
    else
        bufferevent_trigger(k->stream, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

/* -- requests ----------------------------------------------------------------------------------------- */

/* The socket's protocol from here on: the connection is another's. */
static void upgrade(struct https_connection *k)
{
    static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sluice\r\n\r\n";
    struct bufferevent *stream = k->stream;
    struct api *api = k->carrier.control->api;
    if (!k->head.upgrades) {
        https_refuse(k, 426, "bad-request", "a session begins with Connection: Upgrade and Upgrade: sluice");
        return;
    }
    if (!api_has_room(api)) {
        https_refuse(k, 503, "busy", "there are too many management clients");
        return;
    }
    k->stream = NULL;
    bufferevent_set_timeouts(stream, NULL, NULL);
    evbuffer_add(bufferevent_get_output(stream), yes, sizeof yes - 1);
    const struct carrier *c = &k->carrier;
    api_adopt(api, stream, &(struct api_peer){c->role, c->who, c->from, c->token, c->until});
    let_go(k);
}

static void run(struct https_connection *k, json_t *body)
{
    const char *why;
    json_t *request = http_request(&k->head, body, k->row->takes, &why);
    if (!request) {
        https_refuse(k, 400, "bad-request", why);
        return;
    }
    https_phase(k, HTTPS_CALL, 0);
    call_begin(&k->carrier, request);
    json_decref(request);
}

/* Requests that are no operations of the table. True: it was one. */
static bool serve_own(struct https_connection *k)
{
    static const struct {
        const char *op, *what;
        unsigned roles;
        void (*serve)(struct https_connection *k);
    } own[] = {{"session", "", MAY_LOOK, upgrade},
               {"snapshot", "export", MAY_OPERATE, https_export},
               {"snapshot", "upload", MAY_OPERATE, https_upload}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(own[i].op, k->head.op) != 0 || strcmp(own[i].what, k->head.what) != 0)
            continue;
        char *what = must_print("%s%s%s", own[i].op, *own[i].what ? " " : "", own[i].what);
        if (!(own[i].roles & ROLE_SET(k->carrier.role))) {
            char *result = must_print("refused: role %s", role_name(k->carrier.role));
            audit_refusal(k->carrier.control->audit, k->carrier.who, k->carrier.from, what, result);
            free(result);
            https_refuse(k, 403, "forbidden", "your role may not do this");
        } else {
            if (i)
                audit_note(k->carrier.control->audit, k->carrier.who, k->carrier.from, what, NULL, "begun");
            own[i].serve(k);
        }
        free(what);
        return true;
    }
    return false;
}

static void begin_request(struct https_connection *k)
{
    const struct http_head *h = &k->head;
    if (!https_identify(k))
        return;
    if (strcmp(h->op, "openapi.json") == 0) {
        https_send(k, 200, openapi_json());
        https_replied(k);
        return;
    }
    if (serve_own(k))
        return;
    k->row = operation_find(h->op, h->what);
    if (!k->row)
        https_refuse(k, 404, "unknown-operation", "there is no such operation; see /v1/openapi.json");
    else if (h->method == HTTP_GET && !k->row->reads)
        https_refuse(k, 405, "bad-request", "this operation changes something: POST it");
    else if (h->length > API_REQUEST_MAX)
        https_refuse(k, 413, "bad-request", "a request has at most 1048576 bytes");
    else if (h->length && !h->json) /* what a form of some page can send is no request */
        https_refuse(k, 415, "bad-request", "send Content-Type: application/json");
    else if (h->length == 0)
        run(k, NULL);
    else {
        if (h->expects)
            evbuffer_add_printf(bufferevent_get_output(k->stream), "HTTP/1.1 100 Continue\r\n\r\n");
        https_phase(k, HTTPS_BODY, HTTPS_BODY_SECONDS);
        next_request(k);
    }
}

static void read_head(struct https_connection *k)
{
    struct evbuffer *in = bufferevent_get_input(k->stream);
    size_t have = evbuffer_get_length(in), look = have < HTTP_HEAD_MAX ? have : HTTP_HEAD_MAX;
    const char *bytes = look ? (const char *)evbuffer_pullup(in, (ssize_t)look) : "", *why;
    size_t len = http_head_length(bytes, look);
    unsigned seconds;
    if (!len) {
        if (have >= HTTP_HEAD_MAX)
            https_refuse(k, 431, "bad-request", "a head has at most 16384 bytes");
        else if (have && k->requests && !k->begun) /* a request has begun: its own deadline */
            https_phase(k, HTTPS_HEAD, HTTPS_HEAD_SECONDS);
        k->begun = have > 0;
        return;
    }
    k->begun = false;
    k->text = must_alloc(len + 1, 1);
    evbuffer_remove(in, k->text, len);
    k->https->requests++;
    int status = http_read(k->text, len, &k->head, &why);
    k->keep = !status && k->head.keep && ++k->requests < HTTPS_REQUESTS_MAX;
    if (!source_may(k->source, monotonic_ms(), &seconds)) {
        k->https->limited++;
        https_refuse(k, 429, "busy", "too many requests from your address");
    } else if (status) {
        https_refuse(k, status, status == 404 ? "unknown-operation" : "bad-request", why);
    } else {
        begin_request(k);
    }
}

static void read_body(struct https_connection *k)
{
    struct evbuffer *in = bufferevent_get_input(k->stream);
    size_t len = (size_t)k->head.length;
    if (evbuffer_get_length(in) < len)
        return;
    char *text = must_alloc(len + 1, 1);
    json_error_t error;
    evbuffer_remove(in, text, len);
    json_t *body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    secret_free(text); /* it may have brought a private key */
    if (json_is_object(body))
        run(k, body);
    else
        https_refuse(k, 400, "bad-request", "the body is not a JSON object");
    json_decref(body);
}

static void next_request(struct https_connection *k)
{
    if (k->phase == HTTPS_HEAD)
        read_head(k);
    else if (k->phase == HTTPS_BODY)
        read_body(k);
    else if (k->phase == HTTPS_UPLOAD)
        https_upload_more(k);
}

/* -- events ------------------------------------------------------------------------------------------- */

static void on_read(struct bufferevent *stream, void *arg)
{
    (void)stream;
    next_request(arg);
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct https_connection *k = arg;
    if (evbuffer_get_length(bufferevent_get_output(stream)))
        return;
    if (k->phase == HTTPS_ENDING)
        https_hang_up(k);
    else if (k->phase == HTTPS_EXPORT)
        https_export_more(k);
    else
        carrier_written(&k->carrier);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct https_connection *k = arg;
    if (what & BEV_EVENT_CONNECTED) /* the handshake is over */
        return;
    const SSL *ssl = bufferevent_openssl_get_ssl(stream);
    const long verdict = SSL_get_verify_result(ssl);
    if ((what & BEV_EVENT_ERROR) && !SSL_is_init_finished(ssl) && verdict != X509_V_OK) {
        source_failed(k->source, monotonic_ms());
        k->https->refused_logins++;
        char *why = must_print("refused: client certificate: %s", X509_verify_cert_error_string(verdict));
        audit_refusal(k->carrier.control->audit, k->address, k->carrier.from, "login", why);
        free(why);
    }
    https_hang_up(k);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct https_connection *k = arg;
    (void)fd, (void)what;
    if (k->phase == HTTPS_HELD) {
        https_refuse(k, 401, "forbidden", "who are you? show a token (Authorization: Bearer) or a client certificate");
        return;
    }
    if (k->phase == HTTPS_UPLOAD && k->moved) { /* it does move */
        k->moved = 0;
        https_phase(k, HTTPS_UPLOAD, HTTPS_STUCK_SECONDS);
        return;
    }
    k->https->dropped++;
    https_hang_up(k);
}

/* The address for people and logs. */
static void print_address(const struct sockaddr *from, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (from->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, text, sizeof text);
    else if (from->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)from)->sin_addr, text, sizeof text);
    snprintf(out, size, "%s", text);
}

/* What the limits leave: the source, or NULL. */
static struct source *admit(struct https *h, const struct sockaddr *from)
{
    unsigned seconds;
    struct source *s =
        h->connections < HTTPS_CONNECTIONS_MAX ? source_of(&h->sources, from, monotonic_ms()) : NULL;
    if (s && s->connections < SOURCE_CONNECTIONS && source_may(s, monotonic_ms(), &seconds))
        return s;
    h->limited++;
    return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *arg)
{
    struct https *h = arg;
    const struct timeval stuck = {.tv_sec = HTTPS_STUCK_SECONDS};
    (void)listener, (void)len;
    struct source *source = admit(h, from);
    SSL *ssl = source ? https_tls_new(h->tls) : NULL;
    struct bufferevent *stream =
        ssl ? bufferevent_openssl_socket_new(h->control->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)
            : NULL;
    if (!stream) {
        SSL_free(ssl);
        close(fd);
        return;
    }
    struct https_connection *k = must_alloc(1, sizeof *k);
    *k = (struct https_connection){
        .carrier = {.ops = &https_carrier, .control = h->control, .from = "management API"},
        .https = h, .stream = stream, .source = source, .fd = -1, .next = h->first};
    h->first = k;
    h->connections++;
    source->connections++;
    print_address(from, k->address, sizeof k->address);
    k->deadline = evtimer_new(h->control->base, on_deadline, k);
    https_phase(k, HTTPS_HEAD, HTTPS_HEAD_SECONDS);
    bufferevent_openssl_set_allow_dirty_shutdown(stream, 1); /* lengths say what is whole */
    bufferevent_setcb(stream, on_read, on_written, on_event, k);
    bufferevent_setwatermark(stream, EV_READ, 0, API_REQUEST_MAX + HTTP_HEAD_MAX);
    bufferevent_set_timeouts(stream, NULL, &stuck);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

/* -- the whole ---------------------------------------------------------------------------------------- */

struct https *https_open(struct control *c, char *error, size_t size)
{
    const struct settings *s = commit_running(c->commit);
    const char *address = settings_get(s, "management-bind");
    struct https *h = must_alloc(1, sizeof *h);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)settings_number(s, "management-port"))};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6.sin6_port};
    h->control = c;
    if (v6.sin6_port == 0)
        return h;
    const bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    if (!is_v6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
        snprintf(error, size, "management-bind %.60s: an IPv4 or IPv6 address is needed; correct the directive", address);
        https_close(h);
        return NULL;
    }
    h->tls = https_tls_open(c, settings_get(s, "management-certificate"), settings_get(s, "management-ca-cert-file"),
                            address, error, size);
    if (h->tls)
        h->listener = evconnlistener_new_bind(
            c->base, on_accept, h, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 64,
            is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4, is_v6 ? sizeof v6 : sizeof v4);
    if (h->tls && !h->listener)
        snprintf(error, size, "management-bind %s port %s: %s; correct management-bind or management-port (0 = off)",
                 address, settings_get(s, "management-port"), strerror(errno));
    if (h->listener)
        return h;
    https_close(h);
    return NULL;
}

void https_close(struct https *h)
{
    if (!h)
        return;
    if (h->listener)
        evconnlistener_free(h->listener);
    for (struct https_connection *k = h->first, *next; k; k = next) {
        next = k->next;
        k->carrier.calls = 0; /* nobody will answer them any more */
        k->carrier.streamed = NULL;
        https_hang_up(k);
    }
    https_tls_close(h->tls);
    free(h);
}

void https_revoke(struct https *h, const char *id)
{
    for (struct https_connection *k = h ? h->first : NULL, *next; k; k = next) {
        next = k->next;
        if (strcmp(k->carrier.token, id) != 0)
            continue;
        k->keep = false;
        k->carrier.role = ROLE_NONE; /* what is still being sent is not done any more */
        if (k->carrier.streamed || k->phase == HTTPS_EXPORT)
            https_hang_up(k);
    }
}

void https_metrics(struct text *out, const struct https *h)
{
    if (!h)
        return;
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {{"requests", "Requests to the management API over HTTPS.", h->requests},
                    {"refused_logins", "Requests without a valid token or certificate.", h->refused_logins},
                    {"limited", "Connections and requests beyond the limits by source.", h->limited},
                    {"timeouts", "Connections closed because they were too slow.", h->dropped}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        text_printf(out,
                    "# HELP sluice_management_%s_total %s\n# TYPE sluice_management_%s_total counter\n"
                    "sluice_management_%s_total %llu\n",
                    counters[i].name, counters[i].help, counters[i].name, counters[i].name,
                    (unsigned long long)counters[i].value);
    text_printf(out,
                "# HELP sluice_management_connections Open connections to it.\n"
                "# TYPE sluice_management_connections gauge\nsluice_management_connections %u\n",
                h->connections);
}
