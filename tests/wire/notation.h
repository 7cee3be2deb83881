/* notation.h: a segment as text (README.md). */
#pragma once
#include "tcp/header.h"

struct complaint { /* the first one counts */
    bool failed;
    char why[256];
};

__attribute__((format(printf, 2, 3))) void complain(struct complaint *c, const char *format, ...);

/* The next word of *text, cut out of it; empty at the end. */
char *word(char **text);

struct wanted { /* a segment as written, and which parts were written */
    struct tcp_segment seg;
    bool win, options, badsum, ecr_last;
    bool ecr_relative; /* written with a plus: counted from the timestamp of our SYN */
    unsigned chain;
    uint8_t raw[40];
    unsigned raw_len;
};

/* FLAGS seq:end(len) [ack N] [win N] [ect0|ect1|ce] [<options>] [badsum] [chain N] [raw HEX]. Numbers are relative to the
 * bases, SACK blocks to ack_base. text is cut up. */
void parse_segment(struct complaint *c, char *text, uint32_t seq_base, uint32_t ack_base, struct wanted *w);

/* The same, for a message. */
void describe(const struct tcp_segment *g, uint32_t seq_base, uint32_t ack_base, char *text, size_t size);

/* True if got carries exactly the options of want; timestamps are compared by their echo. */
bool options_match(const struct tcp_segment *want, const struct tcp_segment *got);
