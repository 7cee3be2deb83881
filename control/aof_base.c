/* aof_base.c: see aof_base.h. A value goes through in pieces, and its length, which stands before it, is known behind it. So the file is
 * walked twice: the first walk notes the lengths of large values. A small one is in the buffer when it ends, and its length is put in
 * front of it there. (Digits that were kept free would be zeros, which redis-server takes from a file and not from a client.) */
#include "control/aof_base.h"
#include "base/crc64.h"
#include "control/rdb_walk.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, SMALL = BUFFER / 2, DIGITS = 6 /* of a small length */, ADDED = 11 /* a type, a version and a sum */ };

struct large {
    uint64_t key, len; /* which one of the file; its value as RESTORE takes it */
};

struct base {
    struct rdb_walk walk;
    int to, error; /* errno of the first failure */
    uint64_t db, keys; /* before this one */
    uint64_t value_len, sum; /* of the value that is under way */
    struct large *large; /* in the order of the file */
    size_t larges, next, room;
    size_t digits_at; /* in the buffer; 0: its length has been written */
    size_t len;
    uint8_t buffer[BUFFER];
};

static void flush(struct base *b)
{
    for (size_t at = 0; at < b->len && !b->error;) {
        ssize_t n = write(b->to, b->buffer + at, b->len - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            b->error = n ? errno : ENOSPC;
    }
    b->len = 0;
}

static void put(struct base *b, const void *bytes, size_t n)
{
    for (const uint8_t *p = bytes; n;) {
        size_t room = BUFFER - b->len, piece = n < room ? n : room;
        memcpy(b->buffer + b->len, p, piece);
        b->len += piece;
        p += piece;
        n -= piece;
        if (b->len == BUFFER)
            flush(b);
    }
}

static void put_text(struct base *b, const char *text)
{
    put(b, text, strlen(text));
}

static void put_count(struct base *b, char kind, uint64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%c%llu\r\n", kind, (unsigned long long)n);
    put_text(b, text);
}

static void put_arg(struct base *b, const void *p, size_t n)
{
    put_count(b, '$', n);
    put(b, p, n);
    put_text(b, "\r\n");
}

static void put_word(struct base *b, const char *word)
{
    put_arg(b, word, strlen(word));
}

static void put_number(struct base *b, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put_word(b, text);
}

static void put_value(struct base *b, const void *p, size_t n)
{
    b->sum = crc64(b->sum, p, n);
    b->value_len += n;
    put(b, p, n);
}

/* In front of a value that is still in the buffer. */
static void put_length(struct base *b)
{
    char text[DIGITS + 1];
    uint8_t *at = b->buffer + b->digits_at;
    size_t n = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)b->value_len);
    memmove(at + n, at + DIGITS, b->len - b->digits_at - DIGITS);
    memcpy(at, text, n);
    b->len -= DIGITS - n;
}

/* -- the first walk */

static void measure_key(void *ctx, const struct rdb_key *key)
{
    (void)key;
    ((struct base *)ctx)->value_len = ADDED;
}

static void measure(void *ctx, const uint8_t *p, size_t n)
{
    (void)p;
    ((struct base *)ctx)->value_len += n;
}

static void measure_end(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes)
{
    struct base *b = ctx;
    (void)key, (void)elements, (void)bytes;
    if (b->value_len > SMALL) {
        if (b->larges == b->room)
            b->large = must_grow(b->large, b->room = b->room ? b->room * 2 : 64, sizeof *b->large);
        b->large[b->larges++] = (struct large){b->keys, b->value_len};
    }
    b->keys++;
}

/* -- the second one */

/* The length of the value, or room for it. */
static void begin_value(struct base *b)
{
    b->sum = b->value_len = b->digits_at = 0;
    if (b->next < b->larges && b->large[b->next].key == b->keys) {
        put_count(b, '$', b->large[b->next++].len);
        return;
    }
    if (BUFFER - b->len < SMALL + 64)
        flush(b);
    put_text(b, "$");
    b->digits_at = b->len;
    put_text(b, "000000\r\n");
}

static void on_function(void *ctx, uint64_t at, const struct rdb_bytes *text)
{
    struct base *b = ctx;
    (void)at;
    put_count(b, '*', 3);
    put_word(b, "FUNCTION");
    put_word(b, "LOAD");
    put_arg(b, text->p, text->len);
}

static void on_key(void *ctx, const struct rdb_key *key)
{
    struct base *b = ctx;
    const uint8_t type = (uint8_t)key->type;
    if (key->db != b->db) {
        put_count(b, '*', 2);
        put_word(b, "SELECT");
        put_number(b, key->db);
        b->db = key->db;
    }
    put_count(b, '*', 5 + (key->idle >= 0 || key->frequency >= 0 ? 2 : 0));
    put_word(b, "RESTORE");
    put_arg(b, key->name.p, key->name.len);
    put_number(b, key->expire_ms);
    begin_value(b);
    put_value(b, &type, 1);
}

static void on_value(void *ctx, const uint8_t *p, size_t n)
{
    put_value(ctx, p, n);
}

/* Behind a value come the version of its form and the sum of all. */
static void on_key_end(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes)
{
    struct base *b = ctx;
    const uint8_t version[2] = {(uint8_t)b->walk.version, (uint8_t)(b->walk.version >> 8)};
    (void)elements, (void)bytes;
    put_value(b, version, sizeof version);
    const uint64_t sum = b->sum;
    put_value(b, &sum, sizeof sum);
    if (b->digits_at)
        put_length(b);
    b->keys++;
    put_text(b, "\r\n");
    put_word(b, "ABSTTL");
    if (key->idle >= 0) {
        put_word(b, "IDLETIME");
        put_number(b, (uint64_t)key->idle);
    } else if (key->frequency >= 0) {
        put_word(b, "FREQ");
        put_number(b, (uint64_t)key->frequency);
    }
}

bool aof_base_write(int rdb, int to, char *error, size_t size)
{
    static const struct rdb_events first = {.key = measure_key, .value = measure, .key_end = measure_end},
                                   events = {.function = on_function, .key = on_key, .value = on_value, .key_end = on_key_end};
    struct base *b = must_alloc(1, sizeof *b);
    b->to = to;
    bool good = rdb_walk(&b->walk, rdb, &first, b);
    b->keys = 0;
    good = good && rdb_walk(&b->walk, rdb, &events, b);
    flush(b);
    if (!b->error && fsync(to) < 0 && errno != EINVAL) /* a pipe has no disk */
        b->error = errno;
    if (!good)
        snprintf(error, size, "%.200s", b->walk.why);
    else if (b->error)
        snprintf(error, size, "the base of the log cannot be written as commands: %s", strerror(b->error));
    good = good && !b->error;
    free(b->large);
    free(b);
    return good;
}

int aof_base_print(const char *file)
{
    char error[512] = "";
    int from = open(file, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        snprintf(error, sizeof error, "%.200s: %s", file, strerror(errno));
    bool good = from >= 0 && aof_base_write(from, STDOUT_FILENO, error, sizeof error);
    if (from >= 0)
        close(from);
    if (!good)
        fprintf(stderr, "sluice-control: %s\n", error);
    return good ? 0 : 1;
}
