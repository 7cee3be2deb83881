/* writer.h: replies in RESP2 or RESP3, written straight to where they leave from. The writer fills a chunk of
 * memory and asks its sink for the next one when that is full; it knows nothing of packets. */
#pragma once
#include "base/slice.h"

struct resp_writer;

/* Where bytes go. `grow` is told that the bytes from w->start to w->cur are final (the writer has added them
 * to w->bytes) and must provide a new chunk, of a byte or more, in w->start = w->cur and w->end.
 * It returns false when there is no room and will be none (limit or memory): the writer then drops everything
 * else and sets w->failed. */
struct resp_sink {
    bool (*grow)(struct resp_writer *w);
};

struct resp_writer {
    uint8_t *cur, *end, *start;
    uint8_t proto;       /* 2 or 3 */
    bool failed;         /* bytes were dropped: the connection must be closed */
    uint32_t errors;     /* error replies written, counted by the dispatcher */
    char last_error[32]; /* first word of the last error ("ERR", "WRONGTYPE"), for errorstats */
    uint64_t bytes;      /* bytes in chunks already given up (total = bytes + cur - start) */
    const struct resp_sink *sink;
};

void resp_writer_init(struct resp_writer *w, const struct resp_sink *sink, uint8_t proto);

static inline uint64_t resp_written(const struct resp_writer *w)
{
    return w->bytes + (uint64_t)(w->cur - w->start);
}

/* Raw bytes, already encoded. */
void reply_raw(struct resp_writer *w, const void *p, size_t n);

/* A writer whose bytes go nowhere (CLIENT REPLY OFF); errors are still counted. */
void resp_writer_discard(struct resp_writer *w, uint8_t proto);

void reply_simple(struct resp_writer *w, const char *text); /* +text */
void reply_ok(struct resp_writer *w);                       /* +OK */
/* -text. text starts with the code word ("ERR ...", "WRONGTYPE ..."); CR and LF inside become spaces. */
void reply_error(struct resp_writer *w, const char *text);
void reply_errorf(struct resp_writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_int(struct resp_writer *w, int64_t v);       /* :v */
void reply_bulk(struct resp_writer *w, struct slice s); /* $len */
void reply_bulk_str(struct resp_writer *w, const char *s);
void reply_bulk_int(struct resp_writer *w, int64_t v); /* the decimal text of v as a bulk string */
void reply_null(struct resp_writer *w);                /* $-1 or _ */
void reply_null_array(struct resp_writer *w);          /* *-1 or _ */
void reply_array(struct resp_writer *w, size_t n);     /* *n, then n replies */
void reply_map(struct resp_writer *w, size_t pairs);   /* %n, or *2n */
void reply_set(struct resp_writer *w, size_t n);       /* ~n, or *n */
void reply_push(struct resp_writer *w, size_t n);      /* >n, or *n */
void reply_double(struct resp_writer *w, double v);    /* ,v or a bulk string */
void reply_bool(struct resp_writer *w, bool v);        /* #t or :1 */
void reply_verbatim(struct resp_writer *w, const char ext[3],
                    struct slice s); /* =len ext:... or a bulk string */

/* Texts that many commands share. */
void reply_wrong_type(
    struct resp_writer *w); /* WRONGTYPE Operation against a key holding the wrong kind of value */
void reply_syntax_error(struct resp_writer *w); /* ERR syntax error */
void reply_not_integer(struct resp_writer *w);  /* ERR value is not an integer or out of range */
void reply_not_float(struct resp_writer *w);    /* ERR value is not a valid float */
#define RESP_OOM "OOM command not allowed when used memory > 'maxmemory'."
void reply_oom(struct resp_writer *w);
