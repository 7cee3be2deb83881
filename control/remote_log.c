/* remote_log.c: see remote_log.h. A destination is looked up, connected to, written to; when that ends, again
 * after a while that doubles up to BACKOFF_MAX_MS. */
#include "control/remote_log.h"
#include "control/audit.h"
#include "control/metrics.h"
#include "control/remote_line.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKOFF_MS = 500, BACKOFF_MAX_MS = 60000, CONNECT_MS = 10000, OUTPUT_MAX = 64 << 10 };

struct queued {
    struct queued *next;
    size_t len;
    char text[];
};

struct lookup;

struct destination {
    struct destination *next;
    struct remote_log *owner;
    char *word;
    struct remote_target target;
    struct queued *first, **last;
    size_t bytes; /* in the queue */
    uint64_t sent, lost, told;
    int fd; /* of datagrams; -1: none */
    struct bufferevent *stream;
    struct lookup *lookup; /* under way */
    struct event *timer;   /* the next attempt, or the end of this one's patience */
    bool up, stays;
    unsigned backoff_ms, failures; /* attempts since it was up: each takes the next of its addresses */
    uint64_t down_ms;              /* monotonic: since when */
    char why[160];
};

/* An answer may come when nobody wants it any more. */
struct lookup {
    struct destination *of;
    struct evdns_getaddrinfo_request *request;
};

struct remote_log {
    struct event_base *base;
    struct evdns_base *dns;
    struct audit *audit;
    struct log_watch watch;
    struct destination *all;
    SSL_CTX *tls;
    char *authorities;
    char host[256];
    int facility;
};

static void attempt(evutil_socket_t fd, short what, void *arg);

/* -- the queue ---------------------------------------------------------------------------------------- */

static void put(struct destination *d, const struct remote_line *l)
{
    struct text line = {0};
    const bool datagram = d->target.way == REMOTE_UDP;
    remote_line_add(&line, l, datagram ? REMOTE_DATAGRAM_MAX : REMOTE_LINE_MAX);
    char count[24] = "";
    if (!datagram)
        snprintf(count, sizeof count, "%zu ", line.len);
    const size_t head = strlen(count), len = head + line.len;
    if (d->bytes + len > REMOTE_QUEUE) {
        d->lost++;
    } else {
        struct queued *q = must_alloc(1, sizeof *q + len);
        q->len = len;
        memcpy(q->text, count, head);
        memcpy(q->text + head, line.p, line.len);
        *d->last = q;
        d->last = &q->next;
        d->bytes += len;
    }
    text_free(&line);
}

static void drop_first(struct destination *d)
{
    struct queued *q = d->first;
    d->first = q->next;
    if (!d->first)
        d->last = &d->first;
    d->bytes -= q->len;
    free(q);
}

static void tell_lost(struct destination *d)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRIu64 " lines were lost on their way here", d->lost - d->told);
    d->told = d->lost;
    put(d, &(struct remote_line){d->owner->facility, LOG_LEVEL_WARNING, wall_clock_ms(), d->owner->host,
                                 "sluice-control", getpid(), NULL, text});
}

/* What the connection takes now. A datagram that cannot be sent is lost, as it may be anywhere on its way. */
static void push(struct destination *d)
{
    while (d->up && d->first) {
        struct queued *q = d->first;
        if (d->stream && evbuffer_get_length(bufferevent_get_output(d->stream)) >= OUTPUT_MAX)
            return;
        if (d->stream ? bufferevent_write(d->stream, q->text, q->len) == 0
                      : send(d->fd, q->text, q->len, MSG_NOSIGNAL) == (ssize_t)q->len)
            d->sent++;
        else
            d->lost++;
        drop_first(d);
        if (!d->first && d->lost > d->told && d->stream)
            tell_lost(d);
    }
}

/* -- connections -------------------------------------------------------------------------------------- */

static void wait_ms(struct destination *d, unsigned ms)
{
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(d->timer, &wait);
}

static void leave(struct destination *d)
{
    if (d->lookup) {
        struct lookup *l = d->lookup;
        d->lookup = NULL;
        l->of = NULL;
        evdns_getaddrinfo_cancel(l->request);
    }
    if (d->stream)
        bufferevent_free(d->stream);
    d->stream = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

__attribute__((format(printf, 2, 3))) static void fail(struct destination *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(d->why, sizeof d->why, format, args);
    va_end(args);
    leave(d);
    if (d->up) {
        d->down_ms = monotonic_ms();
        d->up = false;
        log_line(LOG_LEVEL_WARNING, "log-remote %s: %s; lines wait", d->word, d->why);
    }
    d->failures++;
    wait_ms(d, d->backoff_ms);
    d->backoff_ms = d->backoff_ms * 2 < BACKOFF_MAX_MS ? d->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void begin(struct destination *d)
{
    evtimer_del(d->timer);
    d->up = true;
    d->backoff_ms = BACKOFF_MS;
    d->failures = 0;
    *d->why = 0;
    push(d);
}

static void on_written(struct bufferevent *stream, void *arg)
{
    (void)stream;
    push(arg);
}

static void on_read(struct bufferevent *stream, void *arg) /* nobody should talk back */
{
    struct evbuffer *in = bufferevent_get_input(stream);
    (void)arg;
    evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct destination *d = arg;
    if (what & BEV_EVENT_CONNECTED) {
        begin(d);
        return;
    }
    SSL *ssl = bufferevent_openssl_get_ssl(stream);
    long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long error = bufferevent_get_openssl_error(stream);
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    int number = EVUTIL_SOCKET_ERROR();
    if (verdict != X509_V_OK)
        fail(d, "certificate: %s", X509_verify_cert_error_string(verdict));
    else if (reason)
        fail(d, "TLS: %s", reason);
    else
        fail(d, "%s", what & BEV_EVENT_EOF || !number ? "the connection was closed" : strerror(number));
}

/* A client's session that accepts only the host it means. NULL: out of memory, or no TLS at all. */
static SSL *session_of(struct destination *d)
{
    SSL *ssl = d->owner->tls ? SSL_new(d->owner->tls) : NULL;
    if (!ssl)
        return NULL;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), d->target.host) == 1)
        return ssl;
    if (SSL_set1_host(ssl, d->target.host) == 1 && SSL_set_tlsext_host_name(ssl, d->target.host) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

static void connect_stream(struct destination *d, const struct evutil_addrinfo *to)
{
    const int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    if (d->target.way == REMOTE_TLS) {
        SSL *ssl = session_of(d);
        if (ssl)
            d->stream =
                bufferevent_openssl_socket_new(d->owner->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, options);
    } else {
        d->stream = bufferevent_socket_new(d->owner->base, -1, options);
    }
    if (!d->stream) {
        fail(d, "TLS cannot begin; look at log-remote-ca-cert-file");
        return;
    }
    bufferevent_setcb(d->stream, on_read, on_written, on_event, d);
    bufferevent_enable(d->stream, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(d->stream, to->ai_addr, (int)to->ai_addrlen) < 0)
        fail(d, "%s", strerror(errno));
}

static void connect_datagrams(struct destination *d, const struct evutil_addrinfo *to)
{
    d->fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0 || connect(d->fd, to->ai_addr, to->ai_addrlen) < 0)
        fail(d, "%s", strerror(errno));
    else
        begin(d);
}

/* The first one, or after failures another. */
static const struct evutil_addrinfo *choose(const struct destination *d, const struct evutil_addrinfo *found)
{
    unsigned n = 0;
    for (const struct evutil_addrinfo *at = found; at; at = at->ai_next)
        n++;
    for (unsigned i = d->failures % n; i; i--)
        found = found->ai_next;
    return found;
}

static void on_address(int error, struct evutil_addrinfo *found, void *arg)
{
    struct lookup *l = arg;
    struct destination *d = l->of;
    if (d) {
        d->lookup = NULL;
        if (error)
            fail(d, "%s", evutil_gai_strerror(error));
        else
            (d->target.way == REMOTE_UDP ? connect_datagrams : connect_stream)(d, choose(d, found));
    }
    if (found)
        evutil_freeaddrinfo(found);
    free(l);
}

/* Anew if nobody looks anything up at the moment: DHCP may have come meanwhile. Without the file, addresses
 * still are good. */
static void read_name_servers(struct remote_log *r)
{
    for (const struct destination *d = r->all; d; d = d->next)
        if (d->lookup)
            return;
    if (!r->dns)
        return;
    evdns_base_clear_nameservers_and_suspend(r->dns);
    evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE, "/etc/resolv.conf");
    evdns_base_resume(r->dns);
}

/* The next attempt; or the one under way has taken too long. */
static void attempt(evutil_socket_t fd, short what, void *arg)
{
    struct destination *d = arg;
    const bool waits = d->lookup || d->stream;
    (void)fd, (void)what;
    if (waits) {
        fail(d, "no answer within %d s", CONNECT_MS / 1000);
        return;
    }
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = d->target.way == REMOTE_UDP ? SOCK_DGRAM : SOCK_STREAM};
    wait_ms(d, CONNECT_MS);
    read_name_servers(d->owner);
    struct lookup *l = must_alloc(1, sizeof *l);
    l->of = d;
    d->lookup = l;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(d->owner->dns, d->target.host, d->target.port, &hints, on_address, l);
    if (request) /* else it has been answered, and l is gone */
        l->request = request;
}

/* -- lines -------------------------------------------------------------------------------------------- */

static void to_all(struct remote_log *r, const struct remote_line *l)
{
    for (struct destination *d = r->all; d; d = d->next) {
        put(d, l);
        push(d);
    }
}

static void on_line(const struct log_entry *e, void *arg)
{
    struct remote_log *r = arg;
    to_all(r, &(struct remote_line){r->facility, e->level, e->ms, r->host,
                                    e->role == 'D' ? "sluice-dataplane" : "sluice-control", e->pid, NULL,
                                    e->line});
}

static void on_audit(void *arg, const char *line)
{
    struct remote_log *r = arg;
    to_all(r, &(struct remote_line){remote_facility("audit"), LOG_LEVEL_NOTICE, wall_clock_ms(), r->host,
                                    "sluice-control", getpid(), "audit", line});
}

/* -- life --------------------------------------------------------------------------------------------- */

static struct destination *add(struct remote_log *r, const char *word, const struct remote_target *t)
{
    struct destination *d = must_alloc(1, sizeof *d);
    *d = (struct destination){.owner = r,
                              .word = must_copy(word),
                              .target = *t,
                              .fd = -1,
                              .backoff_ms = BACKOFF_MS,
                              .down_ms = monotonic_ms(),
                              .next = r->all};
    d->last = &d->first;
    d->timer = evtimer_new(r->base, attempt, d);
    r->all = d;
    wait_ms(d, 0);
    return d;
}

static void take_out(struct remote_log *r, struct destination **at)
{
    struct destination *d = *at;
    (void)r;
    *at = d->next;
    leave(d);
    while (d->first)
        drop_first(d);
    event_free(d->timer);
    free(d->word);
    free(d);
}

/* Those of the system if none are named. */
static void read_authorities(struct remote_log *r, const char *file)
{
    if (r->tls && strcmp(file, r->authorities) == 0)
        return;
    free(r->authorities);
    r->authorities = must_copy(file);
    SSL_CTX_free(r->tls);
    r->tls = SSL_CTX_new(TLS_client_method());
    if (r->tls && SSL_CTX_set_min_proto_version(r->tls, TLS1_2_VERSION) == 1 &&
        (*file ? SSL_CTX_load_verify_file(r->tls, file) : SSL_CTX_set_default_verify_paths(r->tls)) == 1) {
        SSL_CTX_set_verify(r->tls, SSL_VERIFY_PEER, NULL);
        return;
    }
    SSL_CTX_free(r->tls);
    r->tls = NULL;
    log_line(LOG_LEVEL_WARNING, "log-remote-ca-cert-file %s: cannot be used; correct the directive", file);
    ERR_clear_error();
}

void remote_log_settings(struct remote_log *r, const struct settings *s)
{
    const struct words *words = &s->value[directive_find("log-remote")];
    r->facility = remote_facility(settings_get(s, "syslog-facility"));
    for (struct destination *d = r->all; d; d = d->next)
        d->stays = false;
    if (words->n)
        read_authorities(r, settings_get(s, "log-remote-ca-cert-file"));
    for (unsigned i = 0; i < words->n; i++) {
        struct remote_target t;
        struct destination *d = r->all;
        while (d && strcmp(d->word, words->p[i]) != 0)
            d = d->next;
        if (!d && remote_target_read(words->p[i], &t))
            d = add(r, words->p[i], &t);
        if (d)
            d->stays = true;
    }
    for (struct destination **at = &r->all; *at;)
        if ((*at)->stays)
            at = &(*at)->next;
        else
            take_out(r, at);
}

struct remote_log *remote_log_new(struct event_base *base, struct audit *audit)
{
    struct remote_log *r = must_alloc(1, sizeof *r);
    r->base = base;
    r->audit = audit;
    r->authorities = must_copy("");
    r->facility = remote_facility("local0");
    r->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (r->dns)
        evdns_base_load_hosts(r->dns, "/etc/hosts");
    if (gethostname(r->host, sizeof r->host - 1) < 0)
        *r->host = 0;
    log_watch(&r->watch, on_line, r);
    audit_watch(audit, on_audit, r);
    return r;
}

void remote_log_free(struct remote_log *r)
{
    if (!r)
        return;
    log_unwatch(&r->watch);
    audit_watch(r->audit, NULL, NULL);
    while (r->all)
        take_out(r, &r->all);
    if (r->dns)
        evdns_base_free(r->dns, 1);
    SSL_CTX_free(r->tls);
    free(r->authorities);
    free(r);
}

/* -- what is known of it ------------------------------------------------------------------------------ */

static void value(struct text *out, const struct remote_log *r, const char *name, const char *type,
                  const char *help, uint64_t (*of)(const struct destination *d))
{
    if (r->all)
        metrics_head(out, name, type, help);
    for (const struct destination *d = r->all; d; d = d->next) {
        text_printf(out, "%s{target=\"", name);
        metrics_label(out, d->word);
        text_printf(out, "\"} %" PRIu64 "\n", of(d));
    }
}

static uint64_t is_up(const struct destination *d)
{
    return d->up;
}
static uint64_t sent(const struct destination *d)
{
    return d->sent;
}
static uint64_t lost(const struct destination *d)
{
    return d->lost;
}

void remote_log_metrics(struct text *out, const struct remote_log *r)
{
    value(out, r, "sluice_log_remote_up", "gauge", "Whether lines can be sent to this host", is_up);
    value(out, r, "sluice_log_remote_lines_total", "counter", "Lines sent to this host", sent);
    value(out, r, "sluice_log_remote_lost_total", "counter",
          "Lines that found no room in its queue, or could not be sent", lost);
}

void remote_log_alarms(const struct remote_log *r, uint64_t ms,
                       void (*fn)(void *ctx, const char *subject, const char *line), void *ctx)
{
    for (const struct destination *d = r->all; d; d = d->next) {
        if (d->up || monotonic_ms() - d->down_ms < ms)
            continue;
        char *line = must_print("log-remote %s takes no lines: %s", d->word, *d->why ? d->why : "no answer");
        fn(ctx, d->word, line);
        free(line);
    }
}
