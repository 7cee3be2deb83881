/* remote.c: see remote.h. The session begins with an upgrade of HTTP (RFC 9110 section 7.8) to the protocol of the
 * management socket; files go as plain requests. */
#include "mgmt/remote.h"
#include "mgmt/operations.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT_DEFAULT = 9443, WAIT_SECONDS = 45, HEAD_MAX = 16384, BODY_MAX = 16 << 20, PIECE = 64 << 10 };

static struct remote remote;

void remote_use(const struct remote *r)
{
    remote = *r;
}

bool remote_is_used(void)
{
    return remote.host != NULL;
}

struct session {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static void close_session(struct session *s)
{
    if (s->ssl)
        SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    if (s->fd >= 0)
        close(s->fd);
}

static int fail(const char *what, const char *remedy)
{
    fprintf(stderr, "sluice: %s: %s; %s\n", remote.host, what, remedy);
    return EXIT_UNREACHABLE;
}

static const char *tls_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return text ? text : errno ? strerror(errno) : "the connection was closed";
}

/* -- connecting --------------------------------------------------------------------------------------- */

/* Without brackets and port. */
static bool split_host(char *name, size_t size, char port[8])
{
    const char *h = remote.host, *end = h + strlen(h), *colon;
    snprintf(port, 8, "%d", PORT_DEFAULT);
    if (*h == '[') {
        end = strchr(++h, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        colon = end[1] ? end + 1 : NULL;
    } else {
        colon = strchr(h, ':');
        if (colon && strchr(colon + 1, ':'))
            colon = NULL; /* an IPv6 address alone */
        end = colon ? colon : end;
    }
    if (colon && (strlen(colon + 1) > 5 || !isdigit((unsigned char)colon[1])))
        return false;
    if (colon)
        snprintf(port, 8, "%s", colon + 1);
    if (end == h || (size_t)(end - h) >= size)
        return false;
    memcpy(name, h, (size_t)(end - h));
    name[end - h] = 0;
    return true;
}

static int dial(const char *name, const char *port)
{
    const struct timeval wait = {.tv_sec = WAIT_SECONDS};
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    int fd = -1, why = getaddrinfo(name, port, &hints, &all);
    if (why) {
        fail(gai_strerror(why), "correct --host");
        return -1;
    }
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        }
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            int kept = errno;
            close(fd);
            errno = kept;
            fd = -1;
        }
    }
    freeaddrinfo(all);
    if (fd < 0)
        fail(strerror(errno), "is its management-port set, and reachable from here?");
    return fd;
}

static bool make_context(struct session *s)
{
    SSL_CTX *x = s->context = SSL_CTX_new(TLS_client_method());
    if (!x || SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION) != 1) {
        fail(tls_reason(), "TLS cannot begin");
    } else if (remote.ca ? SSL_CTX_load_verify_file(x, remote.ca) != 1 : SSL_CTX_set_default_verify_paths(x) != 1) {
        fail(tls_reason(), "--host-ca is a PEM file of certificates");
    } else if (remote.certificate && (SSL_CTX_use_certificate_chain_file(x, remote.certificate) != 1 ||
                                      SSL_CTX_use_PrivateKey_file(x, remote.certificate, SSL_FILETYPE_PEM) != 1)) {
        fail(tls_reason(), "--certificate is a PEM file with a certificate and its key");
    } else {
        SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
        return true;
    }
    return false;
}

static bool handshake(struct session *s, const char *name)
{
    s->ssl = SSL_new(s->context);
    X509_VERIFY_PARAM *p = s->ssl ? SSL_get0_param(s->ssl) : NULL;
    bool named = p && (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1 ||
                       (X509_VERIFY_PARAM_set1_host(p, name, 0) == 1 && SSL_set_tlsext_host_name(s->ssl, name) == 1));
    ERR_clear_error();
    errno = 0;
    if (named && SSL_set_fd(s->ssl, s->fd) == 1 && SSL_connect(s->ssl) == 1)
        return true;
    const long verdict = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    if (verdict != X509_V_OK)
        fail(X509_verify_cert_error_string(verdict),
             "give the box's certificate with --host-ca (sluice certificate export management --authority)");
    else
        fail(tls_reason(), "is this a box's management-port?");
    return false;
}

static bool open_session(struct session *s)
{
    char name[256], port[8];
    *s = (struct session){.fd = -1};
    if (!split_host(name, sizeof name, port)) {
        fail("no such host", "write HOST, HOST:PORT or [ADDRESS]:PORT");
        return false;
    }
    if (make_context(s) && (s->fd = dial(name, port)) >= 0 && handshake(s, name))
        return true;
    close_session(s);
    return false;
}

/* -- HTTP --------------------------------------------------------------------------------------------- */

static bool send_all(SSL *ssl, const char *bytes, size_t len)
{
    size_t n;
    for (; len; bytes += n, len -= n)
        if (SSL_write_ex(ssl, bytes, len, &n) != 1)
            return false;
    return true;
}

/* "Authorization: Bearer ..." or "". False and a line. */
static bool read_token(char *out, size_t size)
{
    char token[256] = "";
    *out = 0;
    if (!remote.token_file)
        return true;
    FILE *f = fopen(remote.token_file, "re");
    bool good = f && fgets(token, sizeof token, f) && token[strcspn(token, "\r\n")] == '\n';
    good = good || (f && *token);
    token[strcspn(token, " \t\r\n")] = 0;
    if (!good || !*token)
        fprintf(stderr, "sluice: --token-file %s: %s\n", remote.token_file, f ? "there is no token in it" : strerror(errno));
    else
        snprintf(out, size, "Authorization: Bearer %s\r\n", token);
    if (f)
        fclose(f);
    OPENSSL_cleanse(token, sizeof token);
    return good && *out;
}

static bool send_head(struct session *s, const char *first, const char *more)
{
    char head[1024], authorization[320];
    if (!read_token(authorization, sizeof authorization))
        return false;
    int n = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: %.255s\r\n%s%s\r\n", first, remote.host, authorization, more);
    bool good = n > 0 && n < (int)sizeof head && send_all(s->ssl, head, (size_t)n);
    OPENSSL_cleanse(head, sizeof head);
    OPENSSL_cleanse(authorization, sizeof authorization);
    if (!good)
        fail(tls_reason(), "the request cannot be sent");
    return good;
}

struct answer {
    int status;
    long long length; /* -1: not told */
};

/* A head, byte by byte: nothing of what follows is taken. */
static bool read_head(struct session *s, struct answer *a)
{
    static char head[HEAD_MAX + 1];
    size_t len = 0, one;
    for (;;) {
        len = 0;
        while (len < HEAD_MAX && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)) {
            if (SSL_read_ex(s->ssl, head + len, 1, &one) != 1) {
                fail(tls_reason(), "the box does not answer");
                return false;
            }
            len += one;
        }
        head[len] = 0;
        if (len == HEAD_MAX || sscanf(head, "HTTP/1.1 %3d ", &a->status) != 1) {
            fail("the answer cannot be read", "is this a box's management-port?");
            return false;
        }
        if (a->status != 100)
            break;
    }
    const char *length = strcasestr(head, "\r\nContent-Length:");
    a->length = length ? strtoll(length + 17, NULL, 10) : -1;
    return true;
}

/* The JSON behind a head: prints what was refused. */
static int read_json(struct session *s, const struct answer *a, json_t **data)
{
    char *text = a->length >= 0 && a->length <= BODY_MAX ? malloc((size_t)a->length + 1) : NULL;
    size_t done = 0, n = 0;
    while (text && done < (size_t)a->length && SSL_read_ex(s->ssl, text + done, (size_t)a->length - done, &n) == 1)
        done += n;
    json_t *j = text ? json_loadb(text, done, 0, NULL) : NULL;
    free(text);
    bool good = json_is_true(json_object_get(j, "ok"));
    const char *message = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    if (good)
        *data = json_incref(json_object_get(j, "data"));
    else
        fprintf(stderr, "sluice: %s: %s\n", remote.host, message ? message : "the answer cannot be read");
    json_decref(j);
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* -- a session ---------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return false;
        p += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Until one of both ends has gone. Our side shut alone is told to the box as the end of what we send. */
static void carry(struct session *s, int local)
{
    static char bytes[PIECE];
    bool ended = false;
    size_t n;
    for (;;) {
        struct pollfd p[2] = {{s->fd, POLLIN, 0}, {ended ? -1 : local, POLLIN, 0}};
        if (!SSL_pending(s->ssl) && poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents) {
            ssize_t got = read(local, bytes, sizeof bytes);
            ended = got <= 0;
            if (ended ? SSL_shutdown(s->ssl) < 0 : !send_all(s->ssl, bytes, (size_t)got))
                return;
        }
        if (SSL_pending(s->ssl) || p[0].revents) {
            if (SSL_read_ex(s->ssl, bytes, sizeof bytes, &n) != 1 || !write_all(local, bytes, n))
                return;
        }
    }
}

/* The carrier is nobody's child to be waited for, and holds none of our descriptors. */
static void carry_apart(struct session *s, int local)
{
    const struct timeval for_ever = {0};
    if (fork() > 0)
        _exit(0);
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && nothing >= 0; fd++)
        dup2(nothing, fd);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever);
    carry(s, local);
    _exit(0);
}

int remote_connect(int *code)
{
    struct session s;
    struct answer a;
    int pair[2];
    json_t *data;
    *code = EXIT_UNREACHABLE;
    if (!open_session(&s))
        return -1;
    bool good = send_head(&s, "GET /v1/session", "Connection: Upgrade\r\nUpgrade: sluice\r\n") && read_head(&s, &a);
    if (good && a.status != 101) {
        *code = read_json(&s, &a, &data);
        good = false;
    }
    if (!good || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        close_session(&s);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        carry_apart(&s, pair[1]);
    }
    close(pair[1]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    SSL_set_quiet_shutdown(s.ssl, 1); /* the session is the carrier's */
    close_session(&s);
    if (pid > 0)
        return pair[0];
    close(pair[0]);
    fail(strerror(errno), "no process can be made");
    return -1;
}

/* -- files -------------------------------------------------------------------------------------------- */

int remote_upload(int from, long long size, const char *mode, json_t **data)
{
    static char bytes[PIECE];
    struct session s;
    struct answer a;
    char first[128], more[128];
    int code = EXIT_UNREACHABLE;
    snprintf(first, sizeof first, "PUT /v1/snapshot/upload%s%.20s", *mode ? "?mode=" : "", mode);
    snprintf(more, sizeof more, "Content-Type: application/octet-stream\r\nContent-Length: %lld\r\n", size);
    if (!open_session(&s))
        return code;
    bool sent = send_head(&s, first, more);
    for (ssize_t n; sent && (n = read(from, bytes, sizeof bytes)) > 0;)
        if (!send_all(s.ssl, bytes, (size_t)n))
            break; /* the answer says why */
    const struct timeval for_ever = {0};
    setsockopt(s.fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever); /* loading takes its time */
    if (sent && read_head(&s, &a))
        code = read_json(&s, &a, data);
    close_session(&s);
    return code;
}

int remote_export(int to)
{
    static char bytes[PIECE];
    struct session s;
    struct answer a;
    int code = EXIT_UNREACHABLE;
    size_t n;
    json_t *data = NULL;
    if (!open_session(&s))
        return code;
    if (send_head(&s, "GET /v1/snapshot/export", "") && read_head(&s, &a)) {
        long long left = a.length;
        if (a.status != 200) {
            code = read_json(&s, &a, &data);
            json_decref(data);
        } else {
            bool good = true;
            while (left > 0 && SSL_read_ex(s.ssl, bytes, left < PIECE ? (size_t)left : PIECE, &n) == 1 &&
                   (good = write_all(to, bytes, n)))
                left -= (long long)n;
            if (left != 0)
                fail(good ? "the snapshot is cut short" : strerror(errno), "try again");
            code = left == 0 ? EXIT_DONE : EXIT_FAILED;
        }
    }
    close_session(&s);
    return code;
}
