/* stats.c: the HTTP endpoint: /metrics, /stats.json, /healthz. Everything comes from shared memory and
 * control's own state. */
#include "control/alarms.h"
#include "control/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 250, BODY_MAX = 4096, HEADERS_MAX = 16384, IDLE_SECONDS = 30 };

struct stats {
    struct control *control;
    struct evhttp *http;
    struct event *look;
};

static void send_body(struct evhttp_request *rq, int code, const char *reason, const char *type,
                      const char *body)
{
    struct evbuffer *out = evhttp_request_get_output_buffer(rq);
    evhttp_add_header(evhttp_request_get_output_headers(rq), "Content-Type", type);
    evhttp_add_header(evhttp_request_get_output_headers(rq), "Cache-Control", "no-store");
    evbuffer_add(out, body, strlen(body));
    evhttp_send_reply(rq, code, reason, NULL);
}

static void metrics(struct evhttp_request *rq, void *arg)
{
    struct control *c = ((struct stats *)arg)->control;
    struct text out = {0};
    struct block b;
    bool have = block_read(c->link, &b);
    metrics_text(&out, c, have ? &b : NULL, &c->heartbeat, monotonic_ms());
    send_body(rq, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", text_str(&out));
    text_free(&out);
}

static void stats_json(struct evhttp_request *rq, void *arg)
{
    struct control *c = ((struct stats *)arg)->control;
    struct block b;
    json_t *j = metrics_json(c, block_read(c->link, &b) ? &b : NULL);
    char *body = json_dumps(j, JSON_COMPACT);
    send_body(rq, 200, "OK", "application/json", body ? body : "{}");
    free(body);
    json_decref(j);
}

static void healthz(struct evhttp_request *rq, void *arg)
{
    struct control *c = ((struct stats *)arg)->control;
    struct words reasons = {0};
    struct text out = {0};
    bool good = alarms_health(c->alarms, &reasons);
    if (good)
        text_add(&out, "ok\n");
    alarms_warnings(c->alarms, &reasons);
    for (unsigned i = 0; i < reasons.n; i++)
        text_printf(&out, "%s\n", reasons.p[i]);
    send_body(rq, good ? 200 : 503, good ? "OK" : "Service Unavailable", "text/plain; charset=utf-8",
              text_str(&out));
    text_free(&out);
    words_free(&reasons);
}

static void other(struct evhttp_request *rq, void *arg)
{
    (void)arg;
    send_body(rq, 404, "Not Found", "text/plain; charset=utf-8", "try /metrics, /stats.json or /healthz\n");
}

static void look(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = ((struct stats *)arg)->control;
    struct block b;
    (void)fd, (void)what;
    heartbeat_look(&c->heartbeat, block_read(c->link, &b) ? &b : NULL, monotonic_ms());
}

/* A numeric address needs no resolver: getaddrinfo would not take 127.0.0.1 on a host that has nothing but
 * IPv6 (AI_ADDRCONFIG, RFC 3493 section 6.1). Anything else is a name. */
static bool listen_at(struct stats *s, const char *address, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const struct sockaddr *at = (const struct sockaddr *)&v4;
    int len = sizeof v4;
    if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
        at = (const struct sockaddr *)&v6;
        len = sizeof v6;
    } else if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
        return evhttp_bind_socket(s->http, address, (uint16_t)port) == 0;
    }
    struct evconnlistener *l = evconnlistener_new_bind(
        s->control->base, NULL, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, -1,
        at, len);
    if (l && !evhttp_bind_listener(s->http, l)) {
        evconnlistener_free(l);
        l = NULL;
    }
    return l != NULL;
}

struct stats *stats_open(struct control *c, const char *address, unsigned port, char *error, size_t size)
{
    struct stats *s = must_alloc(1, sizeof *s);
    struct timeval every = {.tv_usec = LOOK_MS * 1000};
    s->control = c;
    s->look = event_new(c->base, -1, EV_PERSIST, look, s);
    event_add(s->look, &every);
    if (port == 0) /* no endpoint wanted; heartbeats still serve `show status` */
        return s;
    s->http = evhttp_new(c->base);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_body_size(s->http, BODY_MAX);
    evhttp_set_max_headers_size(s->http, HEADERS_MAX);
    evhttp_set_timeout(s->http, IDLE_SECONDS);
    evhttp_set_cb(s->http, "/metrics", metrics, s);
    evhttp_set_cb(s->http, "/stats.json", stats_json, s);
    evhttp_set_cb(s->http, "/healthz", healthz, s);
    evhttp_set_gencb(s->http, other, s);
    if (listen_at(s, address, port))
        return s;
    snprintf(error, size, "stats endpoint %s port %u: %s; correct stats-address or stats-port (0 = off)",
             address, port, strerror(errno));
    stats_close(s);
    return NULL;
}

void stats_close(struct stats *s)
{
    if (!s)
        return;
    if (s->http)
        evhttp_free(s->http);
    event_free(s->look);
    free(s);
}
