/* row_pipeline.h: requests as clients of a pipeline send them, and an engine that is fed with rows of them: what the tests of rows share. */
#pragma once
#include "engine.h"
#include "command/row.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 1 << 17 };

struct pipeline {
    char text[TEXT];
    size_t len;
};

/* A request as an array of bulks from words split at blanks. */
static inline void add(struct pipeline *p, const char *line)
{
    unsigned words = 1;
    for (const char *at = line; *at; at++)
        words += *at == ' ';
    p->len += (size_t)snprintf(p->text + p->len, TEXT - p->len, "*%u\r\n", words);
    for (const char *at = line; words--; at++) {
        size_t n = strcspn(at, " ");
        p->len += (size_t)snprintf(p->text + p->len, TEXT - p->len, "$%zu\r\n%.*s\r\n", n, (int)n, at);
        at += n;
    }
}

/* Feeds all of it with rows; the replies in *got, which is the caller's. */
static inline void feed_rows(struct engine *e, const struct pipeline *p, char **got)
{
    size_t len = 0, room = 1;
    *got = calloc(1, 1);
    e->peeks = true;
    row_forget_peeked(&e->row_last);
    for (size_t at = 0; at < p->len;) {
        struct slice window = {(const uint8_t *)p->text + at, p->len - at};
        size_t used = engine_row(e, window);
        if (!used) { /* one request: up to the next header */
            const char *next = memmem(window.p + 1, window.len - 1, "\r\n*", 3);
            used = next ? (size_t)(next + 2 - (const char *)window.p) : window.len;
            engine_feed(e, window.p, used);
        }
        room += e->reply_len;
        *got = realloc(*got, room);
        memcpy(*got + len, e->reply, e->reply_len + 1);
        len += e->reply_len;
        at += used;
    }
}
