/* conffile.h: configuration files in redis.conf's grammar (words and quotes as Redis' sdssplitargs takes
 * them), with `include`, and the same directives as command-line options. */
#pragma once
#include "control/settings.h"

struct report { /* everything that is wrong, one line each: FILE:LINE: WORD: what; remedy */
    struct text lines;
    unsigned errors, warnings;
};
void report_free(struct report *r);

struct conf_line { /* of the main file, kept for CONFIG REWRITE */
    char *raw;     /* without the line end */
    int directive; /* -1: blank, comment or include */
    char *comment; /* a comment after the value, or NULL */
};
struct conf_lines {
    struct conf_line *line;
    unsigned n;
};
void conf_lines_free(struct conf_lines *l);

/* Splits a line into words. A word that starts with '#' at position `comment_from` or later begins a comment:
 * the rest of the line goes to *comment (heap, or NULL). False: unbalanced quotes, or a zero byte. */
bool line_split(const char *line, struct words *out, unsigned comment_from, char **comment);

/* Versions may go back as well as forward (`upgrade rollback`). What control writes says by whom ("# sluice-version 0.1.0", within the first
 * three lines); of a file that a newer version wrote, what this one does not know or take is left out, with a warning, except values of what
 * may be said repeatedly (filters, users, listeners). CONFIG REWRITE keeps its lines and its mark. Files without a mark are read as ever. */
void conf_add_version(struct text *out);
bool conf_is_version(const char *line);
bool conf_is_of_newer(const char *line);

/* Reads a file into settings. Goes on after an error, so that all of them are reported. lines may be NULL.
 * False if there was an error; settings are then not to be used. */
bool conf_load(const char *path, struct settings *into, struct conf_lines *lines, struct report *r);
/* The same from a text that claims to be `path`. */
bool conf_parse(const char *path, const char *text, size_t len, struct settings *into,
                struct conf_lines *lines, struct report *r);
/* The same of a text that somebody sent: `include` is an error. */
bool conf_parse_alone(const char *path, const char *text, size_t len, struct settings *into, struct report *r);
/* --maxmemory 1gb --save 900 1 ... as redis-server takes them; wins over the file. */
bool conf_overrides(int argc, char *const *argv, struct settings *into, struct report *r);
