/* test_remote_log.c: lines as syslog has them, and their way to other hosts over datagrams, TCP and TLS,
 * hosts that are not there, that go away, that are not who they say. */
#include "control/certificate.h"
#include "control/remote_line.h"
#include "control/remote_log.h"
#include "control/audit.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct event_base *base;
static struct settings *settings;
static char got[1 << 21];
static size_t got_bytes;

/* -- lines and targets -------------------------------------------------------------------------------- */

static void test_a_line_is_of_rfc_5424(void)
{
    struct text t = {0};
    struct remote_line l = {16,   LOG_LEVEL_NOTICE, 1700000000123, "box 1", "sluice-control", 42,
                            NULL, "it's up"};
    remote_line_add(&t, &l, REMOTE_LINE_MAX);
    CU_ASSERT_STRING_EQUAL(t.p, "<133>1 2023-11-14T22:13:20.123Z box?1 sluice-control 42 - - it's up");
    t.len = 0;
    l = (struct remote_line){13, LOG_LEVEL_WARNING, 0, "", "n", 0, "audit", "{}"};
    remote_line_add(&t, &l, REMOTE_LINE_MAX);
    CU_ASSERT_STRING_EQUAL(t.p, "<108>1 1970-01-01T00:00:00.000Z - n - audit - {}");
    text_free(&t);
}

static void test_a_line_that_is_too_long_ends_between_characters(void)
{
    struct remote_line l = {1, LOG_LEVEL_DEBUG, 0, "h", "n", 1, NULL, "\xc3\xa4\xc3\xa4\xc3\xa4"};
    struct text whole = {0};
    remote_line_add(&whole, &l, REMOTE_LINE_MAX);
    for (size_t most = whole.len - 6; most <= whole.len; most++) {
        struct text t = {0};
        text_add(&t, "7 ");
        remote_line_add(&t, &l, most);
        CU_ASSERT_EQUAL(t.len, 2 + whole.len - 6 + (most - (whole.len - 6)) / 2 * 2);
        CU_ASSERT_EQUAL(strlen(t.p), t.len);
        text_free(&t);
    }
    text_free(&whole);
}

static void test_targets(void)
{
    static const struct {
        const char *word, *host, *port;
    } good[] = {{"udp://10.0.0.1", "10.0.0.1", "514"},
                {"tcp://log.example:1514", "log.example", "1514"},
                {"tls://[2001:db8::1]", "2001:db8::1", "6514"},
                {"tls://[::1]:99", "::1", "99"}};
    static const char *const bad[] = {
        "",           "udp://",     "tcp://:5",      "http://a",     "udp://a:0", "udp://a:65536",
        "udp://a:1x", "tls://[::1", "tls://[::1]9",  "tls://[host]", "udp://a b", "udp://a:",
        "udp://a/b",  "udp://::1",  "udp://a:000001"};
    struct remote_target t;
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_FATAL(remote_target_read(good[i].word, &t));
        CU_ASSERT_STRING_EQUAL(t.host, good[i].host);
        CU_ASSERT_STRING_EQUAL(t.port, good[i].port);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(remote_target_read(bad[i], &t));
    char *lengthy = must_print("udp://%0300d", 1);
    CU_ASSERT_FALSE(remote_target_read(lengthy, &t));
    free(lengthy);
}

/* -- over sockets ------------------------------------------------------------------------------------- */

/* The port of a new socket of this machine, which nobody can connect to before it listens. */
static unsigned server(int type, int *fd)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof here;
    *fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(*fd, (struct sockaddr *)&here, len), 0);
    getsockname(*fd, (struct sockaddr *)&here, &len);
    return ntohs(here.sin_port);
}

static struct remote_log *begin(struct audit *audit)
{
    base = event_base_new();
    settings = settings_defaults();
    got_bytes = 0;
    return remote_log_new(base, audit);
}

static void end(struct remote_log *r)
{
    remote_log_free(r);
    event_base_free(base);
    settings_free(settings);
}

static void tell(struct remote_log *r, const char *name, const char *format, ...)
{
    struct words w = {0};
    struct text t = {0};
    char error[128];
    va_list args;
    va_start(args, format);
    text_vprintf(&t, format, args);
    va_end(args);
    words_add(&w, t.p);
    CU_ASSERT(settings_add(settings, directive_find(name), &w, error, sizeof error));
    words_free(&w);
    remote_log_settings(r, settings);
}

/* Turns the loop until fn says so; at most a minute. */
static bool turns(bool (*fn)(void *arg), void *arg)
{
    for (unsigned i = 0; i < 6000; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (fn(arg))
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

struct hears {
    int fd;
    const char *what;
};

/* Whatever has come; whether `what` is among it. */
static bool hears(void *arg)
{
    const struct hears *h = arg;
    ssize_t n;
    while (got_bytes < sizeof got - 1 &&
           (n = recv(h->fd, got + got_bytes, sizeof got - 1 - got_bytes, MSG_DONTWAIT)) > 0)
        got_bytes += (size_t)n;
    got[got_bytes] = 0;
    return strstr(got, h->what) != NULL;
}

static bool accepts(void *arg)
{
    struct hears *h = arg;
    int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    h->fd = fd;
    return true;
}

static void refusal(void *ctx, const char *subject, const char *line)
{
    (void)subject;
    text_add(ctx, line);
}

/* It has tried to connect, and will try again. */
static bool is_refused(void *arg)
{
    struct text t = {0};
    remote_log_alarms(arg, 0, refusal, &t);
    bool refused = strstr(text_str(&t), "refused") != NULL;
    text_free(&t);
    return refused;
}

static void test_datagrams(void)
{
    int fd;
    struct remote_log *r = begin(NULL);
    tell(r, "log-remote", "udp://127.0.0.1:%u", server(SOCK_DGRAM, &fd));
    log_line(LOG_LEVEL_WARNING, "smoke on port %d", 7);
    CU_ASSERT(turns(hears, &(struct hears){fd, "sluice-control"}));
    CU_ASSERT(strncmp(got, "<132>1 ", 7) == 0 && strstr(got, " - - smoke on port 7"));
    close(fd);
    end(r);
}

/* What came is whole lines, each with its length before it: how many. */
static unsigned counted(void)
{
    unsigned n = 0;
    for (char *p = got; *p; n++) {
        char *text;
        size_t len = strtoul(p, &text, 10);
        if (text == p || *text != ' ' || len > strlen(text + 1) || text[1] != '<')
            return 0;
        p = text + 1 + len;
    }
    return n;
}

static void test_lines_wait_for_a_host_and_what_found_no_room_is_told(void)
{
    int fd;
    struct remote_log *r = begin(NULL);
    unsigned port = server(SOCK_STREAM, &fd);
    tell(r, "log-remote", "tcp://127.0.0.1:%u", port);
    log_set_rate(0);
    log_set_file("/dev/null");
    for (unsigned i = 0; i < 3000; i++)
        log_line(LOG_LEVEL_NOTICE, "line %u %0500d.", i, 0);
    struct text metrics = {0};
    CU_ASSERT(turns(is_refused, r)); /* nobody listens */
    CU_ASSERT_EQUAL_FATAL(listen(fd, 5), 0);
    struct hears h = {fd, "lines were lost on their way here"};
    CU_ASSERT(turns(accepts, &h));
    CU_ASSERT(turns(hears, &h));
    CU_ASSERT(strstr(got, "line 0 ") && !strstr(got, "line 2999 "));
    const char *number = strstr(got, h.what) - 1;
    while (number[-1] != ' ')
        number--;
    unsigned lost = (unsigned)strtoul(number, NULL, 10);
    CU_ASSERT_EQUAL(counted(), 3000 - lost + 1);
    remote_log_metrics(&metrics, r);
    CU_ASSERT(strstr(metrics.p, "sluice_log_remote_up{target=\"tcp://127.0.0.1:") != NULL);
    text_free(&metrics);
    close(h.fd); /* it goes away and comes again */
    CU_ASSERT(turns(accepts, &(struct hears){fd, ""}));
    close(fd);
    log_set_file("");
    end(r);
}

/* -- TLS ---------------------------------------------------------------------------------------------- */

struct tls_server {
    int fd;
    struct certificate *certificate;
    char heard[4096];
    bool shaken, done;
};

/* One client: its handshake, and what it says. */
static void *serve(void *arg)
{
    struct tls_server *s = arg;
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(x, s->certificate->leaf);
    SSL_CTX_use_PrivateKey(x, s->certificate->key);
    struct pollfd waits = {.fd = s->fd, .events = POLLIN};
    int fd = poll(&waits, 1, 60000) == 1 ? accept4(s->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
    SSL *ssl = SSL_new(x);
    const struct timeval longer_than_turns = {.tv_sec = 70};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longer_than_turns, sizeof longer_than_turns);
    SSL_set_fd(ssl, fd);
    s->shaken = SSL_accept(ssl) == 1;
    size_t n = 0, more;
    while (s->shaken && !strstr(s->heard, "over TLS") &&
           SSL_read_ex(ssl, s->heard + n, sizeof s->heard - 1 - n, &more) == 1)
        n += more;
    SSL_free(ssl);
    SSL_CTX_free(x);
    close(fd);
    __atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool is_done(void *arg)
{
    return __atomic_load_n(&((struct tls_server *)arg)->done, __ATOMIC_ACQUIRE);
}

/* A line over TLS to a server whose certificate is for `name`. */
static void one_server(struct tls_server *s, const char *name)
{
    char file[] = "/tmp/control-remote-XXXXXX", *names[] = {(char *)(uintptr_t)name}, error[256] = "";
    const struct words san = {names, 1};
    s->certificate = certificate_self_signed(&(struct certificate_wish){"p256", "logs", &san, 2}, time(NULL),
                                             error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->certificate);
    char *pem = certificate_pem(s->certificate, true);
    int ca = mkstemp(file);
    CU_ASSERT_EQUAL(write(ca, pem, strlen(pem)), (ssize_t)strlen(pem));
    close(ca);
    struct remote_log *r = begin(NULL);
    unsigned port = server(SOCK_STREAM, &s->fd);
    CU_ASSERT_EQUAL_FATAL(listen(s->fd, 5), 0);
    tell(r, "log-remote-ca-cert-file", "%s", file);
    tell(r, "log-remote", "tls://127.0.0.1:%u", port);
    log_line(LOG_LEVEL_NOTICE, "said over TLS");
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, serve, s), 0);
    CU_ASSERT(turns(is_done, s));
    pthread_join(thread, NULL);
    end(r);
    close(s->fd);
    unlink(file);
    free(pem);
    certificate_free(s->certificate);
}

static void test_over_tls(void)
{
    struct tls_server s = {0};
    one_server(&s, "127.0.0.1");
    CU_ASSERT(s.shaken && strstr(s.heard, "- - said over TLS"));
}

static void test_a_certificate_of_another_host_gets_nothing(void)
{
    struct tls_server s = {0};
    one_server(&s, "127.0.0.9");
    CU_ASSERT_STRING_EQUAL(s.heard, "");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_line_is_of_rfc_5424),
                                             UNIT(test_a_line_that_is_too_long_ends_between_characters),
                                             UNIT(test_targets),
                                             UNIT(test_datagrams),
                                             UNIT(test_lines_wait_for_a_host_and_what_found_no_room_is_told),
                                             UNIT(test_over_tls),
                                             UNIT(test_a_certificate_of_another_host_gets_nothing),
                                             {NULL, NULL}};
    signal(SIGPIPE, SIG_IGN);
    return unit_main(argc, argv, "control/remote_log", tests);
}
