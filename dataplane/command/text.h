/* text.h: text that grows, for replies that are put together before their length is known (INFO, reports). */
#pragma once
#include "resp/writer.h"

struct text {
    char *p; /* heap, not zero-terminated */
    size_t len, cap;
    bool failed; /* memory ran out: the text is not complete */
};

/* Appends; a failed text stays as it is. */
void text_add(struct text *t, struct slice s);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a byte as redis-cli and MONITOR quote it and returns how many (at most TEXT_QUOTED): what a terminal
 * would not show as it is becomes an escape. */
enum { TEXT_QUOTED = 4 };
size_t text_quote(char *to, uint8_t c);

/* Replies the text as a verbatim string of type txt (a bulk string in RESP2), or an error if memory had run
 * out, and frees it. */
void text_reply(struct text *t, struct resp_writer *w);
