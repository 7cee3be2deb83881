/* rdb.c: the pieces of RDB's format: lengths, strings, numbers, and the footer of a DUMP payload (rdb.h). */
#include "base/turn.h"
#include "store/rdb.h"
#include "base/crc64.h"
#include "base/number.h"
#include "store/lzf_turns.h"

#include <stdlib.h>

/* The two top bits of a length's first byte; what follows a string's SPECIAL is how it is kept. */
enum { LEN_6, LEN_14, LEN_32_OR_64, LEN_SPECIAL };
enum { BYTE_LEN_32 = 0x80, BYTE_LEN_64 = 0x81, BYTE_SPECIAL = LEN_SPECIAL << 6 };
enum { KEPT_INT8, KEPT_INT16, KEPT_INT32, KEPT_LZF };
enum {
    INTEGER_LONGEST = 11, /* digits of a 32-bit integer */
    LZF_SHORTEST = 20,    /* not worth while up to here ... */
    LZF_SAVES = 4,        /* ... nor for less than this */
    LZF_RATIO = 264,      /* a back reference of 3 bytes makes at most 264 */
    FOOTER = 10
};

/* -- writing
 * -------------------------------------------------------------------------------------------------- */

void rdb_writer_free(struct rdb_writer *w)
{
    free(w->p);
    w->p = NULL;
    w->len = w->cap = 0;
}

/* Room for n bytes more at w->p + w->len. */
static bool make_room(struct rdb_writer *w, size_t n)
{
    if (w->failed || w->cap - w->len >= n)
        return !w->failed;
    if (w->drain && w->len >= RDB_DRAIN)
        w->drain(w);
    if (w->failed || w->cap - w->len >= n)
        return !w->failed;
    size_t cap = w->len + n + w->cap / 2;
    uint8_t *p = cap > w->len ? realloc(w->p, cap) : NULL;
    w->failed = !p;
    if (p) {
        w->p = p;
        w->cap = cap;
    }
    return p != NULL;
}

void rdb_put(struct rdb_writer *w, const void *bytes, size_t n)
{
    if (!n || !make_room(w, n))
        return;
    turn_copy(w->turn, w->p + w->len, bytes, n);
    w->len += n;
    turn_take(w->turn);
}

void rdb_put_byte(struct rdb_writer *w, uint8_t byte)
{
    rdb_put(w, &byte, 1);
}

static void put_big_endian(struct rdb_writer *w, uint64_t v, unsigned bytes)
{
    while (bytes--)
        rdb_put_byte(w, (uint8_t)(v >> 8 * bytes));
}

void rdb_put_len(struct rdb_writer *w, uint64_t len)
{
    if (len < 1 << 6) {
        rdb_put_byte(w, (uint8_t)len);
    } else if (len < 1 << 14) {
        put_big_endian(w, LEN_14 << 14 | len, 2);
    } else if (len <= UINT32_MAX) {
        rdb_put_byte(w, BYTE_LEN_32);
        put_big_endian(w, len, 4);
    } else {
        rdb_put_byte(w, BYTE_LEN_64);
        put_big_endian(w, len, 8);
    }
}

void rdb_put_len_at(struct rdb_writer *w, size_t at, uint64_t len)
{
    size_t before = w->len;
    rdb_put_len(w, len);
    if (w->failed)
        return;
    uint8_t bytes[9];
    size_t n = w->len - before;
    memcpy(bytes, w->p + before, n);
    memmove(w->p + at + n, w->p + at, before - at);
    memcpy(w->p + at, bytes, n);
}

static bool put_integer(struct rdb_writer *w, struct slice s)
{
    int64_t v;
    if (s.len > INTEGER_LONGEST || !parse_i64(s, &v) || v < INT32_MIN || v > INT32_MAX)
        return false;
    unsigned kept = v == (int8_t)v ? KEPT_INT8 : v == (int16_t)v ? KEPT_INT16 : KEPT_INT32;
    rdb_put_byte(w, (uint8_t)(BYTE_SPECIAL | kept));
    rdb_put(w, &v, (size_t)1 << kept);
    return true;
}

/* Compressed behind where its lengths end at most, then moved to where they do end. */
static bool put_lzf(struct rdb_writer *w, struct slice s)
{
    enum { LENGTHS = 1 + 9 + 9 };
    if (s.len <= LZF_SHORTEST || s.len > UINT32_MAX || !make_room(w, LENGTHS + s.len))
        return false;
    size_t at = w->len;
    size_t n = lzf_pack(s, w->p + at + LENGTHS, s.len - LZF_SAVES, w->turn);
    if (n == 0)
        return false;
    rdb_put_byte(w, BYTE_SPECIAL | KEPT_LZF);
    rdb_put_len(w, n);
    rdb_put_len(w, s.len);
    for (size_t from = at + LENGTHS, piece; n; n -= piece, from += piece, turn_take(w->turn)) {
        piece = n < TURN_PIECE ? n : TURN_PIECE;
        memmove(w->p + w->len, w->p + from, piece);
        w->len += piece;
    }
    return true;
}

void rdb_put_string(struct rdb_writer *w, struct slice s)
{
    if (put_integer(w, s) || (w->compress && put_lzf(w, s)))
        return;
    rdb_put_len(w, s.len);
    rdb_put(w, s.p, s.len);
}

void rdb_put_double(struct rdb_writer *w, double v)
{
    rdb_put(w, &v, sizeof v);
}

static uint64_t sum_of(const uint8_t *p, size_t n, struct turn *turn)
{
    enum { PIECE = 4096 };
    uint64_t crc = 0;
    for (; n > PIECE; n -= PIECE, p += PIECE, turn_take(turn))
        crc = crc64(crc, p, PIECE);
    return crc64(crc, p, n);
}

void rdb_put_footer(struct rdb_writer *w)
{
    uint16_t version = w->newest > RDB_VERSION ? w->newest : RDB_VERSION;
    rdb_put(w, &version, sizeof version);
    uint64_t crc = sum_of(w->p, w->len, w->turn);
    rdb_put(w, &crc, sizeof crc);
}

void rdb_put_type(struct rdb_writer *w, enum rdb_type type)
{
    rdb_put_byte(w, (uint8_t)type);
    if (w->key)
        rdb_put_string(w, *w->key);
}

/* -- reading
 * -------------------------------------------------------------------------------------------------- */

const uint8_t *rdb_take(struct rdb_reader *r, uint64_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    r->left -= n;
    return p;
}

uint8_t rdb_take_byte(struct rdb_reader *r)
{
    const uint8_t *p = rdb_take(r, 1);
    return p ? *p : 0;
}

static uint64_t take_big_endian(struct rdb_reader *r, unsigned bytes)
{
    uint64_t v = 0;
    const uint8_t *p = rdb_take(r, bytes);
    for (unsigned i = 0; p && i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* A length, or with *special how the string is kept. */
static uint64_t take_len(struct rdb_reader *r, bool *special)
{
    uint8_t first = rdb_take_byte(r);
    *special = first >> 6 == LEN_SPECIAL;
    switch (first >> 6) {
    case LEN_14:
        return (uint64_t)(first & 63) << 8 | rdb_take_byte(r);
    case LEN_32_OR_64:
        if (first != BYTE_LEN_32 && first != BYTE_LEN_64)
            r->bad = true;
        return take_big_endian(r, first == BYTE_LEN_64 ? 8 : 4);
    default:
        return first & 63;
    }
}

uint64_t rdb_take_len(struct rdb_reader *r)
{
    bool special;
    uint64_t len = take_len(r, &special);
    if (special)
        r->bad = true;
    return r->bad ? 0 : len;
}

uint64_t rdb_take_u64(struct rdb_reader *r)
{
    uint64_t v = 0;
    const uint8_t *p = rdb_take(r, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return v;
}

double rdb_take_double(struct rdb_reader *r)
{
    double v = 0;
    const uint8_t *p = rdb_take(r, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return v;
}

static void take_integer(struct rdb_reader *r, struct rdb_text *text, unsigned kept)
{
    uint32_t raw = 0;
    unsigned bytes = 1u << kept;
    const uint8_t *p = rdb_take(r, bytes);
    if (!p)
        return;
    memcpy(&raw, p, bytes);
    int64_t v = kept == KEPT_INT8 ? (int8_t)raw : kept == KEPT_INT16 ? (int16_t)raw : (int32_t)raw;
    text->s = (struct slice){(const uint8_t *)text->digits, format_i64(text->digits, v)};
}

/* The length that is claimed is believed only as far as that many compressed bytes can reach. */
static void take_lzf(struct rdb_reader *r, struct rdb_text *text)
{
    uint64_t packed = rdb_take_len(r), len = rdb_take_len(r);
    const uint8_t *p = rdb_take(r, packed);
    if (p && len == 0) { /* nothing is unpacked, whatever the bytes: as in Redis */
        text->s = (struct slice){p, 0};
        return;
    }
    if (!p || len > UINT32_MAX || packed > UINT32_MAX || len / LZF_RATIO > packed) {
        r->bad = true;
        return;
    }
    text->own = malloc(len);
    if (!text->own) {
        r->bad = r->no_memory = true;
        return;
    }
    if (!lzf_unpack((struct slice){p, packed}, text->own, len, r->turn))
        r->bad = true;
    text->s = (struct slice){text->own, len};
}

bool rdb_take_string(struct rdb_reader *r, struct rdb_text *text)
{
    bool special;
    uint64_t len = take_len(r, &special);
    text->s = (struct slice){0};
    text->own = NULL;
    if (!special)
        text->s = (struct slice){rdb_take(r, len), len};
    else if (len == KEPT_LZF)
        take_lzf(r, text);
    else if (len <= KEPT_INT32)
        take_integer(r, text, (unsigned)len);
    else
        r->bad = true;
    if (r->bad)
        rdb_text_free(text);
    return !r->bad;
}

void rdb_text_free(struct rdb_text *text)
{
    free(text->own);
    text->own = NULL;
    text->s = (struct slice){0};
}

bool rdb_check_payload(struct slice payload, struct slice *body, struct turn *turn)
{
    uint16_t version;
    uint64_t crc;
    if (payload.len < FOOTER)
        return false;
    *body = (struct slice){payload.p, payload.len - FOOTER};
    memcpy(&version, payload.p + body->len, sizeof version);
    memcpy(&crc, payload.p + body->len + sizeof version, sizeof crc);
    return version <= RDB_NEWEST && crc == sum_of(payload.p, payload.len - sizeof crc, turn);
}
