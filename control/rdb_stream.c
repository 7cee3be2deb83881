/* rdb_stream.c: from file to items (rdb_stream.h). */
#include "control/rdb_stream.h"
#include "control/rdb_values.h"
#include "control/rdb_walk.h"

#include "channel/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    FILE *to;
    bool begun; /* a part of this record has been written */
    size_t len;
    uint8_t item[LOAD_ITEM_MAX];
};

static void put_item(struct stream *s, enum load_item kind, const void *bytes, size_t len)
{
    uint32_t n = (uint32_t)len;
    putc_unlocked((int)kind, s->to);
    fwrite_unlocked(&n, sizeof n, 1, s->to);
    if (n)
        fwrite_unlocked(bytes, n, 1, s->to);
}

static void begin(struct stream *s)
{
    s->begun = false;
    s->len = 0;
}

/* Bytes of the record, whose first item is of this kind. */
static void add(struct stream *s, enum load_item first, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n) {
        size_t room = sizeof s->item - s->len, step = n < room ? n : room;
        memcpy(s->item + s->len, p, step);
        s->len += step;
        p += step;
        n -= step;
        if (!n)
            break;
        put_item(s, s->begun ? LOAD_BYTES : first, s->item, s->len);
        s->begun = true;
        s->len = 0;
    }
}

static void add_number(struct stream *s, uint64_t v, unsigned bytes)
{
    add(s, LOAD_KEY, &v, bytes);
}

/* A record of a module's type is one that nobody here can read. */
static void on_key(void *ctx, const struct rdb_key *key)
{
    struct stream *s = ctx;
    enum load_access access = key->idle >= 0        ? LOAD_IDLE_SECONDS
                              : key->frequency >= 0 ? LOAD_FREQUENCY
                                                    : LOAD_NO_ACCESS;
    uint8_t type = (uint8_t)key->type;
    begin(s);
    add_number(s, key->at, 8);
    add_number(s, key->db < UINT32_MAX ? key->db : UINT32_MAX, 4);
    add_number(s, key->expire_ms, 8);
    add_number(s, access, 1);
    add_number(s,
               access == LOAD_IDLE_SECONDS ? (uint64_t)key->idle
               : access                    ? (uint64_t)key->frequency
                                           : 0,
               8);
    add_number(s, key->name.len, 8);
    add(s, LOAD_KEY, key->name.p, key->name.len);
    add(s, LOAD_KEY, &type, 1);
}

static void on_value(void *ctx, const uint8_t *p, size_t n)
{
    add(ctx, LOAD_KEY, p, n);
}

static void on_key_end(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes)
{
    struct stream *s = ctx;
    (void)key, (void)elements, (void)bytes;
    put_item(s, s->begun ? LOAD_LAST : LOAD_WHOLE, s->item, s->len);
}

static void on_function(void *ctx, uint64_t at, const struct rdb_bytes *text)
{
    struct stream *s = ctx;
    begin(s);
    add(s, LOAD_FUNCTION, &at, sizeof at);
    add(s, LOAD_FUNCTION, text->p, text->len);
    if (!s->begun)
        put_item(s, LOAD_FUNCTION, s->item, s->len);
    put_item(s, LOAD_LAST, s->item, s->begun ? s->len : 0);
}

bool rdb_stream(int file, int to)
{
    static const struct rdb_events events = {
        .function = on_function, .key = on_key, .value = on_value, .key_end = on_key_end};
    enum { BUFFER = 128 * 1024 };
    struct stream *s = malloc(sizeof *s);
    struct rdb_walk w;
    if (!s || !(s->to = fdopen(to, "w")))
        return false;
    setvbuf(s->to, NULL, _IOFBF, BUFFER);
    if (rdb_walk(&w, file, &events, s))
        put_item(s, LOAD_END, NULL, 0);
    else
        put_item(s, LOAD_FAILED, w.why, strlen(w.why));
    bool good = fclose(s->to) == 0;
    free(s);
    return good;
}
