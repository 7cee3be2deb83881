/* writer.c: replies in RESP2 and RESP3. https://redis.io/docs/reference/protocol-spec/
 *
 * A reply's header is written with one check for room and never lies across two chunks; bulk data is split
 * wherever a chunk ends. After a failure cur == end, so the quick paths need no check of their own. */
#include "resp/writer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"
#include "resp/bulk.h"

/* Type byte, 20 digits, CR LF: the largest header. Below RESP_CHUNK_MIN. */
enum { HEADER_MAX = 24 };

void resp_writer_init(struct resp_writer *w, const struct resp_sink *sink, uint8_t proto)
{
    *w = (struct resp_writer){.proto = proto, .sink = sink};
}

static bool discard_grow(struct resp_writer *w)
{
    static _Thread_local uint8_t nowhere[4096]; /* written, never read */
    w->start = w->cur = nowhere;
    w->end = nowhere + sizeof nowhere;
    return true;
}

void resp_writer_discard(struct resp_writer *w, uint8_t proto)
{
    static const struct resp_sink sink = {discard_grow};
    resp_writer_init(w, &sink, proto);
}

static bool next_chunk(struct resp_writer *w)
{
    if (w->failed)
        return false;
    w->bytes += (uint64_t)(w->cur - w->start);
    if (w->sink->grow(w))
        return true;
    w->failed = true;
    w->start = w->cur = w->end = NULL;
    return false;
}

/* Room for n <= RESP_CHUNK_MIN bytes in one piece. */
static inline bool have_room(struct resp_writer *w, size_t n)
{
    return __builtin_expect((size_t)(w->end - w->cur) >= n, 1) || next_chunk(w);
}

void reply_raw(struct resp_writer *w, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n) {
        size_t room = (size_t)(w->end - w->cur);
        if (room == 0) {
            if (!next_chunk(w))
                return;
            continue;
        }
        size_t part = n < room ? n : room;
        memcpy(w->cur, from, part);
        w->cur += part;
        from += part;
        n -= part;
    }
}

#define ONE(v) ((uint64_t)('0' + (v)) << 8 | (uint64_t)0x0a0d << 16 | (uint64_t)4 << 56)
#define TWO(v)                                                                                               \
    ((uint64_t)('0' + (v) / 10) << 8 | (uint64_t)('0' + (v) % 10) << 16 | (uint64_t)0x0a0d << 24 |           \
     (uint64_t)5 << 56)
#define TEN(v)                                                                                               \
    TWO(v), TWO(v + 1), TWO(v + 2), TWO(v + 3), TWO(v + 4), TWO(v + 5), TWO(v + 6), TWO(v + 7), TWO(v + 8),  \
        TWO(v + 9)
const uint64_t bulk_header[100] = {ONE(0),  ONE(1),  ONE(2),  ONE(3),  ONE(4),  ONE(5),  ONE(6),
                                   ONE(7),  ONE(8),  ONE(9),  TEN(10), TEN(20), TEN(30), TEN(40),
                                   TEN(50), TEN(60), TEN(70), TEN(80), TEN(90)};

/* Type byte, decimal number, CR LF at p; returns the end. */
static inline uint8_t *put_header(uint8_t *p, char type, int64_t v)
{
    if ((uint64_t)v < 100)
        return put_count(p, type, (unsigned)v);
    *p++ = (uint8_t)type;
    p += format_i64((char *)p, v);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static inline void header(struct resp_writer *w, char type, int64_t v)
{
    if (have_room(w, HEADER_MAX))
        w->cur = put_header(w->cur, type, v);
}

/* A whole short reply, already encoded. */
static inline void fixed(struct resp_writer *w, const char *text, size_t n)
{
    if (!have_room(w, n))
        return;
    memcpy(w->cur, text, n);
    w->cur += n;
}
#define FIXED(w, text) fixed(w, text, sizeof(text) - 1)

void reply_simple(struct resp_writer *w, const char *text)
{
    FIXED(w, "+");
    reply_raw(w, text, strlen(text));
    FIXED(w, "\r\n");
}

void reply_ok(struct resp_writer *w)
{
    FIXED(w, "+OK\r\n");
}

static void remember_error(struct resp_writer *w, const char *text)
{
    size_t n = strcspn(text, " \r\n");
    if (n >= sizeof w->last_error)
        n = sizeof w->last_error - 1;
    memcpy(w->last_error, text, n);
    w->last_error[n] = 0;
    w->errors++;
}

void reply_error(struct resp_writer *w, const char *text)
{
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\r' || text[n - 1] == '\n'))
        n--;
    remember_error(w, text);
    FIXED(w, "-");
    while (n) {
        size_t clean = strcspn(text, "\r\n");
        if (clean > n)
            clean = n;
        reply_raw(w, text, clean);
        text += clean;
        n -= clean;
        if (n) {
            FIXED(w, " ");
            text++;
            n--;
        }
    }
    FIXED(w, "\r\n");
}

void reply_errorf(struct resp_writer *w, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reply_error(w, text);
}

void reply_int(struct resp_writer *w, int64_t v)
{
    header(w, ':', v);
}

/* What is too long for bulk.h, or comes near the end of a chunk. */
static __attribute__((noinline)) void any_bulk(struct resp_writer *w, struct slice s)
{
    if ((size_t)(w->end - w->cur) >= s.len + HEADER_MAX + 2) {
        uint8_t *p = put_header(w->cur, '$', (int64_t)s.len);
        if (s.len)
            memcpy(p, s.p, s.len);
        p += s.len;
        p[0] = '\r';
        p[1] = '\n';
        w->cur = p + 2;
        return;
    }
    header(w, '$', (int64_t)s.len);
    reply_raw(w, s.p, s.len);
    FIXED(w, "\r\n");
}

void reply_bulk(struct resp_writer *w, struct slice s)
{
    if (__builtin_expect(bulk_is_short(w->end - w->cur, s.len), 1))
        w->cur = put_bulk(w->cur, s.p, s.len);
    else
        any_bulk(w, s);
}

void reply_bulk_str(struct resp_writer *w, const char *s)
{
    reply_bulk(w, slice_str(s));
}

void reply_bulk_int(struct resp_writer *w, int64_t v)
{
    char text[24];
    if (__builtin_expect(w->end - w->cur >= BULK_NUMBER, 1))
        w->cur = put_bulk_number(w->cur, v);
    else
        reply_bulk(w, (struct slice){(const uint8_t *)text, format_i64(text, v)});
}

void reply_null(struct resp_writer *w)
{
    if (w->proto > 2)
        FIXED(w, "_\r\n");
    else
        FIXED(w, "$-1\r\n");
}

void reply_null_array(struct resp_writer *w)
{
    if (w->proto > 2)
        FIXED(w, "_\r\n");
    else
        FIXED(w, "*-1\r\n");
}

void reply_array(struct resp_writer *w, size_t n)
{
    header(w, '*', (int64_t)n);
}

void reply_map(struct resp_writer *w, size_t pairs)
{
    if (w->proto > 2)
        header(w, '%', (int64_t)pairs);
    else
        header(w, '*', (int64_t)pairs * 2);
}

void reply_set(struct resp_writer *w, size_t n)
{
    header(w, w->proto > 2 ? '~' : '*', (int64_t)n);
}

void reply_push(struct resp_writer *w, size_t n)
{
    header(w, w->proto > 2 ? '>' : '*', (int64_t)n);
}

void reply_double(struct resp_writer *w, double v)
{
    char text[DOUBLE_TEXT];
    size_t n = format_double(text, v);
    if (w->proto == 2) {
        reply_bulk(w, (struct slice){(const uint8_t *)text, n});
        return;
    }
    FIXED(w, ",");
    reply_raw(w, text, n);
    FIXED(w, "\r\n");
}

void reply_bool(struct resp_writer *w, bool v)
{
    if (w->proto > 2)
        fixed(w, v ? "#t\r\n" : "#f\r\n", 4);
    else
        fixed(w, v ? ":1\r\n" : ":0\r\n", 4);
}

void reply_verbatim(struct resp_writer *w, const char ext[3], struct slice s)
{
    if (w->proto == 2) {
        reply_bulk(w, s);
        return;
    }
    header(w, '=', (int64_t)s.len + 4);
    reply_raw(w, ext, 3);
    FIXED(w, ":");
    reply_raw(w, s.p, s.len);
    FIXED(w, "\r\n");
}

void reply_wrong_type(struct resp_writer *w)
{
    reply_error(w, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void reply_syntax_error(struct resp_writer *w)
{
    reply_error(w, "ERR syntax error");
}

void reply_not_integer(struct resp_writer *w)
{
    reply_error(w, "ERR value is not an integer or out of range");
}

void reply_not_float(struct resp_writer *w)
{
    reply_error(w, "ERR value is not a valid float");
}

void reply_oom(struct resp_writer *w)
{
    reply_error(w, RESP_OOM);
}
