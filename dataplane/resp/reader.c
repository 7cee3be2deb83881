/* reader.c: resumable reader of RESP requests over borrowed bytes.
 * https://redis.io/docs/reference/protocol-spec/; limits, tolerance and error texts as in networking.c of
 * Redis 7.2 (the two bytes behind a number or a bulk are skipped, not compared).
 *
 * A request that lies complete in its window is read in one pass with nothing kept between its parts; only
 * when the window ends inside it is the place written down. */
#include "resp/reader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/number.h"

#define INLINE_ARGS (sizeof((struct resp_reader *)0)->inline_arg / sizeof(struct resp_arg))
enum {
    KEEP_ARGS = 64, /* a larger table is given back before the next request */
    SMALL = 999     /* the longest argument of a small request */
};

static inline void forget_begin(struct resp_reader *r)
{
    r->begin_mask = 1u << RESP_BEGIN;
    r->note = NULL;
}

void resp_reader_init(struct resp_reader *r)
{
    memset(r, 0, sizeof *r);
    r->arg = r->inline_arg;
    r->cap = INLINE_ARGS;
    forget_begin(r);
}

void resp_reader_reset(struct resp_reader *r)
{
    if (r->arg != r->inline_arg)
        free(r->arg);
    free(r->scratch);
    resp_reader_init(r);
}

struct resp_reader *resp_reader_move(struct resp_reader *r)
{
    struct resp_reader *own = malloc(sizeof *own);
    if (!own)
        return NULL;
    *own = *r;
    if (r->arg == r->inline_arg)
        own->arg = own->inline_arg;
    resp_reader_init(r);
    return own;
}

void resp_reader_free(struct resp_reader *r)
{
    if (!r)
        return;
    resp_reader_reset(r);
    free(r);
}

uint8_t *resp_reader_take_unquoted(struct resp_reader *r)
{
    if (!r->quoted)
        return NULL;
    uint8_t *bytes = r->scratch;
    r->scratch = NULL;
    r->scratch_cap = 0;
    return bytes;
}

static bool grow_args(struct resp_reader *r)
{
    size_t cap = (size_t)r->cap * 2;
    bool inside = r->arg == r->inline_arg;
    struct resp_arg *grown = realloc(inside ? NULL : r->arg, cap * sizeof *grown);
    if (!grown)
        return false;
    if (inside)
        memcpy(grown, r->inline_arg, sizeof r->inline_arg);
    r->arg = grown;
    r->cap = (uint32_t)cap;
    return true;
}

static inline bool add_arg(struct resp_reader *r, size_t off, size_t len)
{
    if (__builtin_expect(r->argc == r->cap, 0) && !grow_args(r))
        return false;
    r->arg[r->argc++] = (struct resp_arg){(uint32_t)off, (uint32_t)len};
    return true;
}

static inline void begin_request(struct resp_reader *r)
{
    r->argc = r->pos = r->scanned = 0;
    r->quoted = false;
    if (__builtin_expect(r->cap > KEEP_ARGS, 0)) {
        free(r->arg);
        r->arg = r->inline_arg;
        r->cap = INLINE_ARGS;
    }
}

static enum resp_result fail(struct resp_reader *r, const char *text)
{
    r->error = text;
    return RESP_ERROR;
}

static enum resp_result complete(struct resp_reader *r, size_t end, size_t *used)
{
    r->state = RESP_STATE_START;
    r->pos = r->scanned = 0;
    *used = end;
    return RESP_REQUEST;
}

/* -- inline commands -- */

static bool blank(uint8_t c)
{
    return isspace(c);
}

/* One argument of a line, quotes as in Redis' sdssplitargs, copied to out. Returns the place behind it, NULL
 * for unbalanced quotes. */
static const uint8_t *unquote_arg(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    uint8_t quote = 0, *to = *out;
    for (; p < end || quote; p++) {
        if (p >= end)
            return NULL;
        if (!quote && (*p == '"' || *p == '\'')) {
            quote = *p;
        } else if (!quote && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
            break;
        } else if (quote && *p == quote) {
            if (p + 1 < end && !blank(p[1]))
                return NULL;
            p++;
            break;
        } else if (quote == '"' && end - p >= 4 && p[0] == '\\' && p[1] == 'x' && isxdigit(p[2]) &&
                   isxdigit(p[3])) {
            char hex[3] = {(char)p[2], (char)p[3], 0};
            *to++ = (uint8_t)strtoul(hex, NULL, 16);
            p += 3;
        } else if (quote == '"' && *p == '\\' && end - p >= 2) {
            static const char letters[] = "nrtba", values[] = "\n\r\t\b\a";
            const char *known = memchr(letters, *++p, sizeof letters - 1);
            *to++ = known ? (uint8_t)values[known - letters] : *p;
        } else if (quote == '\'' && end - p >= 2 && p[0] == '\\' && p[1] == '\'') {
            *to++ = *++p;
        } else {
            *to++ = *p;
        }
    }
    *out = to;
    return p;
}

static enum resp_result split_quoted(struct resp_reader *r, const uint8_t *line, size_t len)
{
    if (len > r->scratch_cap) {
        uint8_t *bigger = realloc(r->scratch, len);
        if (!bigger)
            return RESP_NOMEM;
        r->scratch = bigger;
        r->scratch_cap = (uint32_t)len;
    }
    r->quoted = true;
    const uint8_t *p = line, *end = line + len;
    uint8_t *to = r->scratch;
    for (;;) {
        while (p < end && blank(*p))
            p++;
        if (p == end)
            return RESP_REQUEST;
        uint8_t *from = to;
        p = unquote_arg(p, end, &to);
        if (!p)
            return fail(r, "ERR Protocol error: unbalanced quotes in request");
        if (!add_arg(r, (size_t)(from - r->scratch), (size_t)(to - from)))
            return RESP_NOMEM;
    }
}

static enum resp_result split_plain(struct resp_reader *r, const uint8_t *line, size_t len)
{
    for (size_t at = 0;;) {
        while (at < len && blank(line[at]))
            at++;
        if (at == len)
            return RESP_REQUEST;
        size_t from = at;
        while (at < len && line[at] != ' ' && line[at] != '\t' && line[at] != '\r')
            at++;
        if (!add_arg(r, from, at - from))
            return RESP_NOMEM;
    }
}

static enum resp_result read_inline(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                                    size_t *used, size_t *need)
{
    if (w.len > 1 && w.p[0] == 0x16 && w.p[1] == 3) /* a line may not come for long */
        return fail(r, "ERR Protocol error: a TLS handshake on a port without TLS");
    const uint8_t *newline = memchr(w.p + r->scanned, '\n', w.len - r->scanned);
    size_t len = newline ? (size_t)(newline - w.p) : w.len;
    if (len > limits->max_inline)
        return fail(r, "ERR Protocol error: too big inline request");
    if (!newline) {
        r->scanned = (uint32_t)w.len;
        *need = 1;
        return RESP_MORE;
    }
    size_t end = len + 1;
    if (len && w.p[len - 1] == '\r')
        len--;
    const uint8_t *zero = memchr(w.p, 0, len);
    if (zero)
        len = (size_t)(zero - w.p);
    bool quotes = memchr(w.p, '"', len) || memchr(w.p, '\'', len);
    enum resp_result result = quotes ? split_quoted(r, w.p, len) : split_plain(r, w.p, len);
    return result == RESP_REQUEST ? complete(r, end, used) : result;
}

/* -- arrays of bulk strings -- */

enum line { LINE_NUMBER, LINE_MORE, LINE_MALFORMED, LINE_ENDLESS };

static enum line long_line(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                           size_t pos, int64_t *value, size_t *next)
{
    const uint8_t *p = w.p + pos;
    size_t left = w.len - pos;
    const uint8_t *cr = left > r->scanned ? memchr(p + r->scanned, '\r', left - r->scanned) : NULL;
    if (!cr || cr + 1 == w.p + w.len) {
        r->scanned = (uint32_t)(cr ? (size_t)(cr - p) : left);
        return !cr && left > limits->max_inline ? LINE_ENDLESS : LINE_MORE;
    }
    r->scanned = 0;
    *next = (size_t)(cr - w.p) + 2;
    return parse_i64((struct slice){p + 1, (size_t)(cr - p) - 1}, value) ? LINE_NUMBER : LINE_MALFORMED;
}

/* The number behind the type byte at pos; one or two digits, the usual case, without a search. */
static inline enum line read_line(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                                  size_t pos, int64_t *value, size_t *next)
{
    const uint8_t *p = w.p + pos;
    if (__builtin_expect(w.len - pos >= 5, 1)) {
        unsigned a = p[1] - '0', b = p[2] - '0';
        if (a <= 9 && p[2] == '\r') {
            *value = a;
            *next = pos + 4;
            r->scanned = 0;
            return LINE_NUMBER;
        }
        if (a - 1 <= 8 && b <= 9 && p[3] == '\r') {
            *value = a * 10 + b;
            *next = pos + 5;
            r->scanned = 0;
            return LINE_NUMBER;
        }
    }
    return long_line(r, limits, w, pos, value, next);
}

static enum resp_result read_count(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                                   size_t *used, size_t *need)
{
    int64_t count = 0;
    size_t next = 0;
    enum line line = read_line(r, limits, w, 0, &count, &next);
    if (__builtin_expect(line != LINE_NUMBER, 0)) {
        *need = 1;
        if (line == LINE_MORE)
            return RESP_MORE;
        return fail(r, line == LINE_ENDLESS ? "ERR Protocol error: too big mbulk count string"
                                            : "ERR Protocol error: invalid multibulk length");
    }
    if (__builtin_expect(count > limits->max_args, 0)) {
        bool early = limits->unauth_bulk && count <= INT32_MAX;
        return fail(r, early ? "ERR Protocol error: unauthenticated multibulk length"
                             : "ERR Protocol error: invalid multibulk length");
    }
    if (count <= 0)
        return complete(r, next, used);
    r->args_left = (uint32_t)count;
    r->pos = (uint32_t)next;
    r->state = RESP_STATE_ARGS;
    return RESP_MORE;
}

static enum resp_result bad_bulk_header(struct resp_reader *r, const struct resp_limits *limits,
                                        enum line line, uint8_t type, int64_t len)
{
    if (line == LINE_ENDLESS)
        return fail(r, "ERR Protocol error: too big bulk count string");
    if (type != '$') {
        snprintf(r->error_text, sizeof r->error_text, "ERR Protocol error: expected '$', got '%c'",
                 type == '\r' || type == '\n' ? ' ' : type);
        return fail(r, r->error_text);
    }
    bool early = line == LINE_NUMBER && len >= 0 && (uint64_t)len <= limits->max_bulk &&
                 limits->unauth_bulk && (uint64_t)len > limits->unauth_bulk;
    return fail(r, early ? "ERR Protocol error: unauthenticated bulk length"
                         : "ERR Protocol error: invalid bulk length");
}

static enum resp_result read_args(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                                  size_t *used, size_t *need)
{
    size_t pos = r->pos;
    uint32_t left = r->args_left;
    uint64_t max = limits->unauth_bulk && limits->unauth_bulk < limits->max_bulk ? limits->unauth_bulk
                                                                                 : limits->max_bulk;
    size_t bulk = r->bulk_len, next = 0;
    bool header_known = r->state == RESP_STATE_BULK;
    for (;; header_known = false) {
        if (!header_known) {
            int64_t len = 0;
            enum line line = read_line(r, limits, w, pos, &len, &next);
            if (line == LINE_MORE) {
                r->state = RESP_STATE_ARGS;
                *need = 1;
                break;
            }
            if (__builtin_expect(line != LINE_NUMBER || w.p[pos] != '$' || (uint64_t)len > max ||
                                     next + (uint64_t)len + 2 > UINT32_MAX,
                                 0))
                return bad_bulk_header(r, limits, line, w.p[pos], len);
            pos = next;
            bulk = (size_t)len;
        }
        if (w.len - pos < bulk + 2) {
            r->state = RESP_STATE_BULK;
            r->bulk_len = (uint32_t)bulk;
            *need = bulk + 2 - (w.len - pos);
            break;
        }
        if (!add_arg(r, pos, bulk))
            return RESP_NOMEM;
        pos += bulk + 2;
        if (--left == 0)
            return complete(r, pos, used);
    }
    r->pos = (uint32_t)pos;
    r->args_left = left;
    return RESP_MORE;
}

/* The header of a request of up to 99 arguments for which there is room: its length, and how many they are in
 * *count. 0 if it is anything else. */
static inline size_t small_header(const struct resp_reader *r, const struct resp_limits *limits,
                                  struct slice w, unsigned *count)
{
    if (w.len < 5 || w.p[0] != '*')
        return 0;
    unsigned n = w.p[1] - '0', second = w.p[2] - '0';
    size_t len = 4;
    if (n - 1 > 8)
        return 0;
    if (w.p[2] != '\r') {
        if (second > 9 || w.p[3] != '\r')
            return 0;
        n = n * 10 + second;
        len = 5;
    }
    *count = n;
    return n > r->cap || n > limits->max_args ? 0 : len;
}

/* Arguments *arg to end, with lengths below 1000, from p on. Returns where they end in the window, NULL if
 * one is anything else. */
static inline const uint8_t *small_args(struct slice w, const uint8_t *p, struct resp_arg *arg,
                                        struct resp_arg *end)
{
    for (size_t left = w.len - (size_t)(p - w.p); arg < end; arg++) {
        if (left < 6 || p[0] != '$')
            return NULL;
        size_t len, header = resp_small_length(p, &len), all = header + len + 2;
        if (header == 0 || left < all)
            return NULL;
        *arg = (struct resp_arg){(uint32_t)(p - w.p) + (uint32_t)header, (uint32_t)len};
        p += all;
        left -= all;
    }
    return p;
}

/* Remembers how a request of `count` arguments begins, if that is short. */
static inline void keep_begin(struct resp_reader *r, struct slice w, unsigned count)
{
    size_t len = r->arg[0].off + r->arg[0].len + 2;
    if (count > INLINE_ARGS || len > RESP_BEGIN || w.len < RESP_BEGIN)
        return;
    memcpy(r->begin, w.p, RESP_BEGIN);
    r->begin_len = (uint8_t)len;
    r->begin_mask = (1u << len) - 1;
    r->begin_argc = (uint8_t)count;
    r->begin_arg = r->arg[0];
}

/* A whole request of a few arguments with lengths below 1000, as nearly all are, straight through. False if
 * it is anything else: the general way then begins at the first byte. */
static inline bool read_small(struct resp_reader *r, const struct resp_limits *limits, struct slice w,
                              size_t *used)
{
    unsigned count;
    size_t begin = limits->max_bulk < SMALL ? 0 : small_header(r, limits, w, &count);
    const uint8_t *p = begin ? small_args(w, w.p + begin, r->arg, r->arg + count) : NULL;
    if (!p)
        return false;
    keep_begin(r, w, count);
    r->argc = count;
    *used = (size_t)(p - w.p);
    return true;
}

static __attribute__((noinline)) enum resp_result
read_any(struct resp_reader *r, const struct resp_limits *limits, struct slice w, size_t *used, size_t *need)
{
    if (w.len > UINT32_MAX)
        w.len = UINT32_MAX;
    if (r->state == RESP_STATE_START && r->scanned == 0) {
        begin_request(r);
        forget_begin(r);
        if (read_small(r, limits, w, used))
            return RESP_REQUEST;
        r->argc = 0;
    }
    if (r->state == RESP_STATE_START) {
        if (w.len == 0) {
            *need = 1;
            return RESP_MORE;
        }
        if (w.p[0] != '*')
            return read_inline(r, limits, w, used, need);
        enum resp_result result = read_count(r, limits, w, used, need);
        if (r->state == RESP_STATE_START)
            return result;
    }
    return read_args(r, limits, w, used, need);
}

enum resp_result resp_read(struct resp_reader *r, const struct resp_limits *limits, struct slice window,
                           size_t *used, size_t *need)
{
    /* One more that begins as the last one did: without a call. A beginning is remembered only from a small
     * request to the next: nothing is half read, and no argument is quoted. */
    if (resp_begins_alike(r, window) && limits->max_bulk >= SMALL) {
        const uint8_t *p = small_args(window, window.p + r->begin_len, r->arg + 1, r->arg + r->begin_argc);
        if (__builtin_expect(p != NULL, 1)) {
            r->arg[0] = r->begin_arg;
            r->argc = r->begin_argc;
            *used = (size_t)(p - window.p);
            return RESP_REQUEST;
        }
    }
    return read_any(r, limits, window, used, need);
}
