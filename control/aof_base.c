/* aof_base.c: see aof_base.h. A value goes through in pieces, and its length is known behind it: digits are kept free before it. */
#include "control/aof_base.h"
#include "base/crc64.h"
#include "control/rdb_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, DIGITS = 10 };

struct base {
    struct rdb_walk walk;
    int to, error; /* errno of the first failure */
    uint64_t db, written;
    uint64_t digits_at, value_len, sum; /* of the value that is under way */
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
    b->written += b->len;
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

/* Into the digits that were kept free, be they in the file already or not. */
static void put_length(struct base *b)
{
    char text[DIGITS + 1];
    uint64_t len = b->value_len < UINT64_C(10000000000) ? b->value_len : 0;
    if (!len)
        b->error = b->error ? b->error : EFBIG;
    snprintf(text, sizeof text, "%010llu", (unsigned long long)len);
    for (unsigned i = 0; i < DIGITS && !b->error; i++) {
        uint64_t at = b->digits_at + i;
        if (at >= b->written)
            b->buffer[at - b->written] = (uint8_t)text[i];
        else if (pwrite(b->to, &text[i], 1, (off_t)at) != 1)
            b->error = errno;
    }
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
    put_text(b, "$");
    b->digits_at = b->written + b->len;
    b->sum = b->value_len = 0;
    put_text(b, "0000000000\r\n");
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
    put_text(b, "\r\n");
    put_length(b);
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
    static const struct rdb_events events = {.function = on_function, .key = on_key, .value = on_value, .key_end = on_key_end};
    struct base *b = malloc(sizeof *b);
    if (!b) {
        snprintf(error, size, "there is no memory to write the base of the log as commands");
        return false;
    }
    b->to = to;
    b->error = 0;
    b->db = b->written = b->len = 0;
    bool good = rdb_walk(&b->walk, rdb, &events, b);
    flush(b);
    if (!b->error && fsync(to) < 0)
        b->error = errno;
    if (!good)
        snprintf(error, size, "%.200s", b->walk.why);
    else if (b->error)
        snprintf(error, size, "the base of the log cannot be written as commands: %s", strerror(b->error));
    good = good && !b->error;
    free(b);
    return good;
}
