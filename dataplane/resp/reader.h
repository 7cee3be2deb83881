/* reader.h: resumable reader of RESP requests (RESP2/RESP3 arrays of bulk strings and inline commands) over
 * borrowed bytes. https://redis.io/docs/reference/protocol-spec/; limits and error texts are those of
 * Redis 7.2's networking.c.
 *
 * The caller shows the reader a contiguous window that starts at the first byte of a request. When the
 * request is not complete yet, the caller comes back with a longer window that starts with the same bytes
 * (perhaps at another address): the reader goes on where it stopped and never looks twice at a byte.
 * Arguments are offsets until the request is complete, then slices into that last window. */
#pragma once
#include "base/bytes.h"
#include "base/slice.h"

struct resp_limits {
    uint64_t max_bulk; /* proto-max-bulk-len */
    uint32_t max_args; /* 1024*1024 for an authenticated client, 10 before (Redis: unauthenticated limits); at least 8 */
    uint64_t max_inline;  /* 64 KiB */
    uint64_t unauth_bulk; /* bulk limit before authentication: 16384, 0 = no such limit */
};

enum { RESP_BEGIN = 16 };

enum resp_state { RESP_STATE_START, RESP_STATE_ARGS, RESP_STATE_BULK }; /* the reader's own */

struct resp_arg {
    uint32_t off, len; /* into the window; a request is shorter than 4 GiB by client-query-buffer-limit */
};

struct resp_reader {
    enum resp_state state;
    bool quoted;        /* the request's arguments lie in scratch */
    uint32_t pos;       /* bytes of the window already understood */
    uint32_t scanned;   /* bytes behind pos already searched for the end of the line */
    uint32_t args_left; /* bulks still to come */
    uint32_t bulk_len;  /* of the bulk being read */
    uint32_t argc, cap;
    struct resp_arg *arg; /* inline_arg or heap */
    struct resp_arg inline_arg[8];
    uint32_t scratch_cap;
    uint8_t *scratch;  /* inline arguments with their quotes resolved */
    /* How the last request, if it was a small one, began: requests of a kind do so alike. */
    uint8_t begin[RESP_BEGIN];
    uint8_t begin_len; /* header and first argument */
    uint8_t begin_argc;
    uint32_t begin_mask; /* a bit for each byte of it; a bit too many = none */
    struct resp_arg begin_arg;
    const void *note; /* the caller's, about a request's number of arguments and first argument: NULL again as soon as
                         another one has others */
    const char *error; /* static text after RESP_ERROR, without the leading '-' */
    char error_text[64];
};

enum resp_result {
    RESP_MORE, /* the window ends inside the request; *need says how many further bytes are wanted at least */
    RESP_REQUEST, /* complete: *used bytes of the window are this request (argc may be 0: an empty line or *0,
                     skip it) */
    RESP_ERROR,   /* protocol error: reply reader->error and close the connection */
    RESP_NOMEM    /* no memory for the argument table: close the connection */
};

void resp_reader_init(struct resp_reader *r);
/* Forgets a half-read request and frees what it held. The reader can be used again. */
void resp_reader_reset(struct resp_reader *r);

/* Moves a half-read request to a reader of its own, which is new memory (NULL: none to be had, nothing is
 * changed); r is as after resp_reader_init. To be freed with resp_reader_free. */
struct resp_reader *resp_reader_move(struct resp_reader *r);
void resp_reader_free(struct resp_reader *r);
/* Takes over the memory of a quoted request's arguments, which resp_arg() has shown: to be freed by the
 * caller when they are done with. NULL if the arguments lie in the window. */
uint8_t *resp_reader_take_unquoted(struct resp_reader *r);

/* Reads one request from window. On RESP_REQUEST the arguments are in r until the next call: resp_arg(). */
enum resp_result resp_read(struct resp_reader *r, const struct resp_limits *limits, struct slice window,
                           size_t *used, size_t *need);

/* Argument i (< r->argc) of the request just read as a slice into the window of that call (or, for a quoted
 * inline argument, into the reader's scratch). */
static inline struct slice resp_arg(const struct resp_reader *r, struct slice window, uint32_t i)
{
    const uint8_t *base = r->quoted ? r->scratch : window.p;
    return (struct slice){base + r->arg[i].off, r->arg[i].len};
}

/* -- short requests, inline -- */

/* The length behind a '$', of one to three digits, in *len; returns the bytes of its line, 0 if it is
 * another. Six bytes can be read. */
static inline size_t resp_small_length(const uint8_t *p, size_t *len)
{
    unsigned a = p[1] - '0', b = p[2] - '0', c = p[3] - '0';
    if (a > 9)
        return 0;
    *len = a;
    if (p[2] == '\r')
        return 4;
    if (b > 9 || a == 0)
        return 0;
    *len = a * 10 + b;
    if (p[3] == '\r')
        return 5;
    *len = *len * 10 + c;
    return c <= 9 && p[4] == '\r' ? 6 : 0;
}

/* Does the window begin as the last request did, if that was a small one? */
static inline bool resp_begins_alike(const struct resp_reader *r, struct slice w)
{
    if (w.len < RESP_BEGIN)
        return false;
    unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes_load16(w.p), bytes_load16(r->begin)));
    return (same & r->begin_mask) == r->begin_mask;
}
