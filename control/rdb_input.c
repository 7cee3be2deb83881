/* rdb_input.c: the pieces of an RDB file (rdb_input.h). */
#include "control/rdb_input.h"

#include "base/crc64.h"

#include <errno.h>
#include <lzf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The two top bits of a length's first byte; what follows a string's SPECIAL is how it is kept. */
enum { LEN_6, LEN_14, LEN_32_OR_64, LEN_SPECIAL };
enum { BYTE_LEN_32 = 0x80, BYTE_LEN_64 = 0x81 };
enum { KEPT_INT8, KEPT_INT16, KEPT_INT32, KEPT_LZF };
enum { LZF_RATIO = 264 }; /* a back reference of 3 bytes makes at most 264 */

void rdb_input_open(struct rdb_input *in, int fd, uint64_t size)
{
    memset(in, 0, offsetof(struct rdb_input, window));
    in->fd = fd;
    in->size = size;
}

uint64_t rdb_input_at(const struct rdb_input *in)
{
    return in->base + in->at;
}

static uint64_t left(const struct rdb_input *in)
{
    return in->size - rdb_input_at(in);
}

void rdb_input_fail(struct rdb_input *in, const char *format, ...)
{
    va_list args;
    if (in->bad)
        return;
    va_start(args, format);
    vsnprintf(in->why, sizeof in->why, format, args);
    va_end(args);
    in->bad = true;
    in->bad_at = rdb_input_at(in);
}

uint64_t rdb_input_sum(struct rdb_input *in)
{
    in->crc = crc64(in->crc, in->window + in->summed, in->at - in->summed);
    in->summed = in->at;
    return in->crc;
}

void rdb_input_mark(struct rdb_input *in)
{
    in->marked = true;
    in->mark = in->at;
}

static void give(struct rdb_input *in)
{
    if (in->marked && in->at > in->mark)
        in->give(in->ctx, in->window + in->mark, in->at - in->mark);
    in->mark = in->at;
}

void rdb_input_give(struct rdb_input *in)
{
    give(in);
    in->marked = false;
}

/* Makes room and reads on. False at the end of the file, or if it cannot be read. */
static bool fill(struct rdb_input *in)
{
    rdb_input_sum(in);
    if (in->at - (in->marked ? in->mark : in->at) > RDB_WINDOW / 4)
        give(in);
    size_t keep = in->marked ? in->mark : in->at;
    memmove(in->window, in->window + keep, in->len - keep);
    in->base += keep;
    in->at -= keep;
    in->len -= keep;
    in->summed -= keep;
    in->mark -= in->marked ? keep : in->mark;
    for (;;) {
        ssize_t n = pread(in->fd, in->window + in->len, RDB_WINDOW - in->len, (off_t)(in->base + in->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rdb_input_fail(in, "it cannot be read: %s", strerror(errno));
        else if (n == 0)
            rdb_input_fail(in, "the file ends here, in the middle");
        in->len += n > 0 ? (size_t)n : 0;
        return n > 0;
    }
}

/* n bytes in a row at in->at. */
static bool ready(struct rdb_input *in, size_t n)
{
    if (!in->bad && n > left(in))
        rdb_input_fail(in, "the file ends in the middle: %zu bytes more should come, there are %llu", n,
                       (unsigned long long)left(in));
    while (!in->bad && in->len - in->at < n)
        fill(in);
    return !in->bad;
}

bool rdb_input_take(struct rdb_input *in, void *to, size_t n)
{
    if (!ready(in, n)) {
        memset(to, 0, n);
        return false;
    }
    memcpy(to, in->window + in->at, n);
    in->at += n;
    return true;
}

uint8_t rdb_input_byte(struct rdb_input *in)
{
    return ready(in, 1) ? in->window[in->at++] : 0;
}

uint64_t rdb_input_number(struct rdb_input *in, unsigned bytes)
{
    uint64_t v = 0;
    rdb_input_take(in, &v, bytes);
    return v;
}

static uint64_t big_endian(struct rdb_input *in, unsigned bytes)
{
    uint8_t p[8] = {0};
    uint64_t v = 0;
    rdb_input_take(in, p, bytes);
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

void rdb_input_skip(struct rdb_input *in, uint64_t n)
{
    if (!in->bad && n > left(in))
        rdb_input_fail(in, "%llu bytes should follow, but the file has only %llu more", (unsigned long long)n,
                       (unsigned long long)left(in));
    while (n && !in->bad) {
        size_t have = in->len - in->at, step = n < have ? (size_t)n : have;
        in->at += step;
        n -= step;
        if (n)
            fill(in);
    }
}

/* A length, or with *special how a string is kept. */
static uint64_t take_len(struct rdb_input *in, bool *special)
{
    uint8_t first = rdb_input_byte(in);
    *special = first >> 6 == LEN_SPECIAL;
    switch (first >> 6) {
    case LEN_14:
        return (uint64_t)(first & 63) << 8 | rdb_input_byte(in);
    case LEN_32_OR_64:
        if (first != BYTE_LEN_32 && first != BYTE_LEN_64)
            rdb_input_fail(in, "0x%02x begins no length", first);
        return big_endian(in, first == BYTE_LEN_64 ? 8 : 4);
    default:
        return first & 63;
    }
}

uint64_t rdb_input_len(struct rdb_input *in)
{
    bool special;
    uint64_t len = take_len(in, &special);
    if (special)
        rdb_input_fail(in, "a packed string stands where a length should");
    return in->bad ? 0 : len;
}

uint64_t rdb_input_count(struct rdb_input *in)
{
    uint64_t n = rdb_input_len(in);
    if (!in->bad && n > left(in))
        rdb_input_fail(in, "%llu elements should follow, but the file has only %llu bytes more",
                       (unsigned long long)n, (unsigned long long)left(in));
    return in->bad ? 0 : n;
}

/* Lengths of a string that LZF has packed: as much as that many bytes can make. */
static bool take_lzf(struct rdb_input *in, uint64_t *packed, uint64_t *len)
{
    *packed = rdb_input_len(in);
    *len = rdb_input_len(in);
    if (!in->bad && (*len > UINT32_MAX || *packed > UINT32_MAX || *len / LZF_RATIO > *packed))
        rdb_input_fail(in, "%llu packed bytes cannot become %llu", (unsigned long long)*packed,
                       (unsigned long long)*len);
    return !in->bad;
}

void rdb_input_skip_string(struct rdb_input *in)
{
    bool special;
    uint64_t packed, len = take_len(in, &special);
    if (!special)
        rdb_input_skip(in, len);
    else if (len <= KEPT_INT32)
        rdb_input_skip(in, 1u << len);
    else if (len != KEPT_LZF)
        rdb_input_fail(in, "a string is packed in a way that nobody knows");
    else if (take_lzf(in, &packed, &len))
        rdb_input_skip(in, packed);
}

/* n bytes of the file into memory. */
static uint8_t *read_bytes(struct rdb_input *in, uint64_t n)
{
    if (!in->bad && (n > left(in) || n > RDB_STRING_MAX))
        rdb_input_fail(in, "a string of %llu bytes %s", (unsigned long long)n,
                       n > left(in) ? "reaches beyond the end of the file" : "is too long for a name");
    uint8_t *p = in->bad ? NULL : malloc(n + 1);
    if (!p) {
        rdb_input_fail(in, "no memory for a string of %llu bytes", (unsigned long long)n);
        return NULL;
    }
    for (uint64_t done = 0; done < n && !in->bad;) {
        uint64_t step = n - done < RDB_WINDOW / 2 ? n - done : RDB_WINDOW / 2;
        rdb_input_take(in, p + done, step);
        done += step;
    }
    p[n] = 0;
    return p;
}

static void read_lzf(struct rdb_input *in, struct rdb_bytes *bytes)
{
    uint64_t packed, len;
    if (!take_lzf(in, &packed, &len))
        return;
    uint8_t *from = read_bytes(in, packed);
    bytes->p = in->bad || len > RDB_STRING_MAX ? NULL : malloc(len + 1);
    bytes->len = len;
    if (!bytes->p)
        rdb_input_fail(in, "no memory for a string of %llu bytes", (unsigned long long)len);
    else if (len && lzf_decompress(from, (unsigned)packed, bytes->p, (unsigned)len) != len)
        rdb_input_fail(in, "a string cannot be unpacked");
    if (bytes->p)
        bytes->p[len] = 0;
    free(from);
}

static void read_integer(struct rdb_input *in, struct rdb_bytes *bytes, unsigned kept)
{
    uint32_t raw = (uint32_t)rdb_input_number(in, 1u << kept);
    int v = kept == KEPT_INT8 ? (int8_t)raw : kept == KEPT_INT16 ? (int16_t)raw : (int32_t)raw;
    bytes->p = malloc(16);
    if (bytes->p)
        bytes->len = (size_t)snprintf((char *)bytes->p, 16, "%d", v);
    else
        rdb_input_fail(in, "no memory for a name");
}

bool rdb_input_string(struct rdb_input *in, struct rdb_bytes *bytes)
{
    bool special;
    uint64_t len = take_len(in, &special);
    *bytes = (struct rdb_bytes){0};
    if (!special) {
        bytes->p = read_bytes(in, len);
        bytes->len = len;
    } else if (len == KEPT_LZF) {
        read_lzf(in, bytes);
    } else if (len <= KEPT_INT32) {
        read_integer(in, bytes, (unsigned)len);
    } else {
        rdb_input_fail(in, "a string is packed in a way that nobody knows");
    }
    if (in->bad) {
        free(bytes->p);
        *bytes = (struct rdb_bytes){0};
    }
    return !in->bad;
}
