/* pipe.h: what stands behind a bar: `show log | match oom | last 5`. Lines go through the stages as they
 * come; on a terminal a page at a time. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { PIPE_STAGES = 8 };
enum pipe_kind {
    PIPE_MATCH,
    PIPE_EXCEPT,
    PIPE_COUNT,
    PIPE_FIRST,
    PIPE_LAST,
    PIPE_JSON,
    PIPE_NO_MORE,
    PIPE_COMPARE
};

struct pipe_word {                   /* a row of the table from which parsing, help and completion come */
    const char *word, *value, *help; /* value: NULL none, "[N]" may be left out */
    enum pipe_kind kind;
};
extern const struct pipe_word pipe_words[]; /* word NULL ends it */

struct pipe_stage {
    enum pipe_kind kind;
    const char *text; /* borrowed */
    unsigned long n, seen;
    char **kept; /* of `last`: a ring of n lines */
};

struct pipeline {
    struct pipe_stage stage[PIPE_STAGES];
    int n;
    bool json, no_more, paged;
    const char *compare; /* NULL: not asked for; "": with the running configuration */
    /* its end */
    char *line; /* so far */
    size_t len, room;
    unsigned row, rows, columns; /* of the page; rows 0: no pager */
    bool quit;
};

/* Takes "match TEXT", ... from words, which must stay. False and one line in error. */
bool pipe_parse(struct pipeline *p, char **words, int n, char *error, size_t size);
/* Puts `match TEXT` in front. */
void pipe_match(struct pipeline *p, const char *text);
/* What is written there comes out at stdout; fclose ends it. live: no pager. NULL: no memory. */
FILE *pipe_open(struct pipeline *p, bool live);
/* The i-th word that can follow words behind a bar; NULL at the end. */
const char *pipe_complete(const char *prefix, unsigned i);
void pipe_help(FILE *out, const char *prefix);
