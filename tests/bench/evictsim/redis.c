/* redis.c: a redis-server as a party of the eviction simulation: pipelined RESP2 over loopback. */
#include "party.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct redis {
    int fd;
    char out[BATCH * 256];
    size_t out_len;
    char in[BATCH * 256];
    size_t in_at, in_len;
};

static bool flush_out(struct redis *r)
{
    for (size_t at = 0; at < r->out_len;) {
        ssize_t n = send(r->fd, r->out + at, r->out_len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    r->out_len = 0;
    return true;
}

static bool more_in(struct redis *r)
{
    if (r->in_at > 0) {
        memmove(r->in, r->in + r->in_at, r->in_len - r->in_at);
        r->in_len -= r->in_at;
        r->in_at = 0;
    }
    ssize_t n = recv(r->fd, r->in + r->in_len, sizeof r->in - r->in_len, 0);
    r->in_len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* A line without its CR LF, as a string that is good until the next read. */
static char *read_line(struct redis *r)
{
    for (;;) {
        char *start = r->in + r->in_at, *end = memchr(start, '\n', r->in_len - r->in_at);
        if (end && end > start) {
            end[-1] = 0;
            r->in_at = (size_t)(end + 1 - r->in);
            return start;
        }
        if (!more_in(r))
            return NULL;
    }
}

/* Skips `len` bytes and CR LF. */
static bool skip(struct redis *r, size_t len)
{
    for (len += 2; len > 0;) {
        size_t have = r->in_len - r->in_at, n = have < len ? have : len;
        r->in_at += n;
        len -= n;
        if (len > 0 && !more_in(r))
            return false;
    }
    return true;
}

static void add_key(struct redis *r, uint64_t key)
{
    r->out_len += (size_t)sprintf(r->out + r->out_len, "$%d\r\n", KEY_LEN);
    key_text(key, (uint8_t *)r->out + r->out_len);
    r->out_len += KEY_LEN;
    r->out_len += (size_t)sprintf(r->out + r->out_len, "\r\n");
}

static bool redis_get(void *self, const uint64_t *key, unsigned n, bool *hit)
{
    struct redis *r = self;
    for (unsigned i = 0; i < n; i++) {
        r->out_len += (size_t)sprintf(r->out + r->out_len, "*2\r\n$3\r\nGET\r\n");
        add_key(r, key[i]);
    }
    if (!flush_out(r))
        return false;
    for (unsigned i = 0; i < n; i++) {
        const char *line = read_line(r);
        if (!line || line[0] != '$')
            return false;
        hit[i] = line[1] != '-';
        if (hit[i] && !skip(r, strtoul(line + 1, NULL, 10)))
            return false;
    }
    return true;
}

static bool redis_set(void *self, const uint64_t *key, unsigned n, uint64_t ttl_ms)
{
    static const char value[VALUE_LEN + 1] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    struct redis *r = self;
    for (unsigned i = 0; i < n; i++) {
        char ttl[24];
        size_t len = (size_t)sprintf(ttl, "%llu", (unsigned long long)ttl_of(key[i], ttl_ms));
        r->out_len += (size_t)sprintf(r->out + r->out_len, "*%d\r\n$3\r\nSET\r\n", ttl_ms ? 5 : 3);
        add_key(r, key[i]);
        r->out_len += (size_t)sprintf(r->out + r->out_len, "$%d\r\n%s\r\n", VALUE_LEN, value);
        if (ttl_ms)
            r->out_len += (size_t)sprintf(r->out + r->out_len, "$2\r\nPX\r\n$%zu\r\n%s\r\n", len, ttl);
    }
    if (!flush_out(r))
        return false;
    for (unsigned i = 0; i < n; i++) {
        const char *line = read_line(r);
        if (!line || line[0] != '+')
            return false;
    }
    return true;
}

/* A number of INFO's text: fields come one a line. */
static bool redis_facts(void *self, uint64_t *keys, uint64_t *used, uint64_t *evicted)
{
    struct redis *r = self;
    *keys = *used = *evicted = 0;
    r->out_len = (size_t)sprintf(r->out, "INFO everything\r\n");
    const char *line = flush_out(r) ? read_line(r) : NULL;
    if (!line || line[0] != '$')
        return false;
    for (size_t left = strtoul(line + 1, NULL, 10) + 2; left > 0;) {
        line = read_line(r);
        if (!line || strlen(line) + 2 > left)
            return false;
        left -= strlen(line) + 2;
        if (strncmp(line, "used_memory:", 12) == 0)
            *used = strtoull(line + 12, NULL, 10);
        else if (strncmp(line, "evicted_keys:", 13) == 0)
            *evicted = strtoull(line + 13, NULL, 10);
        else if (strncmp(line, "db0:keys=", 9) == 0)
            *keys = strtoull(line + 9, NULL, 10);
    }
    return true;
}

static void redis_close(void *self)
{
    struct redis *r = self;
    close(r->fd);
    free(r);
}

bool party_redis(struct party *p, unsigned port)
{
    struct redis *r = calloc(1, sizeof *r);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!r)
        return false;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&to, sizeof to) < 0) {
        redis_close(r);
        return false;
    }
    *p = (struct party){r, redis_get, redis_set, redis_facts, redis_close};
    return true;
}
