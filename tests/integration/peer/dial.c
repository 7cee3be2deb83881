/* dial.c: see peer.h. */
#include "peer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PART = 65536 };

double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool because(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("# %s\n", line);
    return false;
}

static bool bind_port(int fd, const struct target *t, uint16_t port)
{
    struct sockaddr_storage local = {.ss_family = t->addr.ss_family};
    if (t->addr.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&local)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&local)->sin_port = htons(port);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&local, t->len) == 0;
}

int dial(const struct target *t, const struct manner *m)
{
    static const struct manner usual = {0};
    const struct timeval limit = {20, 0};
    int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    m = m ? m : &usual;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (m->rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &m->rcvbuf, sizeof m->rcvbuf);
    if (m->maxseg)
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &m->maxseg, sizeof m->maxseg);
    if ((!m->port || bind_port(fd, t, m->port)) &&
        connect(fd, (const struct sockaddr *)&t->addr, t->len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

bool send_all(int fd, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return because("send: %s", strerror(errno));
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool receive_all(int fd, void *p, size_t n)
{
    uint8_t *at = p;
    while (n) {
        ssize_t got = recv(fd, at, n, 0);
        if (got <= 0)
            return because("recv: %s, %zu bytes missing", got ? strerror(errno) : "closed", n);
        at += got;
        n -= (size_t)got;
    }
    return true;
}

bool says(int fd, const char *request, const char *reply)
{
    char got[256] = "";
    size_t want = strlen(reply);
    if (!send_all(fd, request, strlen(request)) || !receive_all(fd, got, want))
        return false;
    return memcmp(got, reply, want) == 0 || because("wanted %s, got %s", reply, got);
}

bool at_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || because("wanted the end, got %s", n > 0 ? "a byte" : strerror(errno));
}

void close_reset(int fd)
{
    const struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static long connected(int fd)
{
    char reply[8192];
    if (!send_all(fd, "INFO clients\r\n", 14))
        return -1;
    ssize_t n = recv(fd, reply, sizeof reply - 1, 0);
    reply[n > 0 ? n : 0] = 0;
    const char *at = strstr(reply, "connected_clients:");
    return at ? atol(at + 18) : -1;
}

bool settled(const struct target *t)
{
    const struct timespec pause = {0, 20000000};
    int fd = dial(t, NULL);
    if (fd < 0)
        return because("no connection afterwards: %s", strerror(errno));
    long n = 0;
    for (double end = seconds() + 20; (n = connected(fd)) > 1 && seconds() < end;)
        nanosleep(&pause, NULL);
    close(fd);
    return n == 1 || because("%ld clients are still there", n);
}

/* -- values
 * ------------------------------------------------------------------------------------------------------ */

static uint64_t word(uint64_t seed, uint64_t i) /* splitmix64 (Steele et al. 2014) */
{
    uint64_t z = seed * 0x9e3779b97f4a7c15ull + i + 0x632be59bd9b4e019ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void pattern(uint8_t *p, size_t n, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < n;) {
        uint64_t w = word(seed, (at + i) / 8), shift = (at + i) % 8;
        if (shift == 0 && n - i >= 8) {
            memcpy(p + i, &w, 8);
            i += 8;
        } else {
            p[i++] = (uint8_t)(w >> 8 * shift);
        }
    }
}

bool pattern_is(const uint8_t *p, size_t n, uint64_t seed, uint64_t at)
{
    uint8_t want[PART];
    for (size_t i = 0, part; i < n; i += part) {
        part = n - i < sizeof want ? n - i : sizeof want;
        pattern(want, part, seed, at + i);
        if (memcmp(want, p + i, part) != 0)
            return because("wrong bytes in value %lu near %lu", (unsigned long)seed, (unsigned long)(at + i));
    }
    return true;
}

bool set_pattern(int fd, const char *key, uint64_t seed, size_t size)
{
    uint8_t part[PART];
    char head[128];
    int n = snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, size);
    if (!send_all(fd, head, (size_t)n))
        return false;
    for (size_t at = 0, len; at < size; at += len) {
        len = size - at < sizeof part ? size - at : sizeof part;
        pattern(part, len, seed, at);
        if (!send_all(fd, part, len))
            return false;
    }
    return says(fd, "\r\n", "+OK\r\n");
}

bool receive_pattern(int fd, uint64_t seed, size_t size)
{
    uint8_t part[PART];
    char head[32], got[32] = "";
    size_t n = (size_t)snprintf(head, sizeof head, "$%zu\r\n", size);
    if (!receive_all(fd, got, n))
        return false;
    if (memcmp(head, got, n) != 0)
        return because("wanted %s, got %s", head, got);
    for (size_t at = 0, len; at < size; at += len) {
        len = size - at < sizeof part ? size - at : sizeof part;
        if (!receive_all(fd, part, len) || !pattern_is(part, len, seed, at))
            return false;
    }
    return receive_all(fd, got, 2) && (memcmp(got, "\r\n", 2) == 0 || because("no line end behind a value"));
}

bool get_pattern(int fd, const char *key, uint64_t seed, size_t size)
{
    char request[128];
    int n = snprintf(request, sizeof request, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
    return send_all(fd, request, (size_t)n) && receive_pattern(fd, seed, size);
}
