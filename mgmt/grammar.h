/* grammar.h: what can be typed, as const tables from which parsing, help and completion come. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct invocation;
typedef int handler(struct invocation *in); /* exit code */

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

enum parameter_kind {
    PARAMETER_NONE,
    PARAMETER_DIRECTIVE,
    PARAMETER_VALUE,
    PARAMETER_FILE,
    PARAMETER_CERTIFICATE,
    PARAMETER_SETTING, /* a value of the directive that is the first parameter */
    PARAMETER_REVISION,
    PARAMETER_COMMIT /* words of `commit` */
};

struct parameter {
    const char *name;
    enum parameter_kind kind; /* PARAMETER_NONE ends a list */
    bool optional;
};

enum { PARAMETERS = 3 };

struct node {
    const char *word; /* NULL ends a table */
    const char *help;
    const struct node *next; /* for an inner node */
    handler *run;            /* for a leaf */
    const char *op, *what;   /* of the management API */
    struct parameter parameter[PARAMETERS];
    bool repeated; /* the parameters may come again (config set a 1 b 2) */
    bool rest;     /* the last parameter may come again */
    bool compares; /* knows | compare */
    bool leave;    /* root's helper does it only with control's leave (system.c) */
    const char *asks; /* at the prompt, before it is done: what it means, and a question; or NULL */
    bool live;     /* prints as things happen: --match does not filter it */
};

extern const struct node grammar[], grammar_configure[]; /* operational and configuration mode */

struct shell;

struct invocation {
    const struct node *leaf;
    const char *socket;
    bool json;
    const char *match, *level, *lines;
    const char *limit, *detail, *count, *size, *interval;
    const char *filter, *snaplen, *duration, *direction, *write;   /* capture */
    const char *san, *days, *subject, *key_type, *ca, *passphrase; /* certificate */
    bool authority, wait;
    const char *since, *until, *confirm;
    bool follow;
    const char *compare;  /* | compare; NULL: not asked for */
    struct shell *shell;  /* what the command line is part of */
    const char *host, *token_file, *host_certificate, *host_ca; /* the box that is meant (remote.h) */
    const char *role, *expires;                                 /* token create */
    char **argv; /* the parameters */
    int argc;
    FILE *out; /* what the operation prints: the beginning of a pipeline */
};

struct option {
    const char *name, *value, *help; /* value NULL: a flag */
    size_t at;                       /* where struct invocation keeps the value */
    const char *of;                  /* the commands that know it, with commas between; NULL: all */
};
extern const struct option options[];

/* Finds the leaf for words (an unambiguous beginning of a word is enough); *used says how many were taken.
 * NULL and one line in error. */
const struct node *grammar_find(const struct node *table, char **words, int n, int *used, char *error, size_t size);
/* Reads a whole command line (options anywhere) into in. False and one line in error. words must stay valid.
 */
bool grammar_parse(const struct node *table, struct invocation *in, char **words, int n, char *error, size_t size);
struct known_names { /* NULL-terminated lists, or NULL */
    char *const *directives, *const *certificates;
    /* The values that a directive may have, if they can be told; may be NULL. */
    char *const *(*values)(const char *directive);
};
/* The node that a word names: exactly, or as the only one that begins so; how many begin so. */
const struct node *grammar_match(const struct node *table, const char *word, unsigned *candidates);
enum { GRAMMAR_PATH = 64 };
/* The node up to which the words go, with its whole name ("show log"); NULL and "" if there is none. */
const struct node *grammar_path(const struct node *table, char **words, int n, char path[GRAMMAR_PATH]);
/* A command of that name knows the option. */
bool grammar_takes(const char *path, const struct option *o);

/* grammar_help.c: prints what can follow the words and begins with prefix: of a command its parameters and options. */
void grammar_help(FILE *out, const struct node *table, char **words, int n, const char *prefix);
/* All commands, with all options. */
void grammar_help_all(FILE *out);
/* A line of help: `left`, and what it means, wrapped to the terminal; left is padded to `width` columns. */
void grammar_row(FILE *out, const char *left, int width, const char *help);
/* The i-th word that can follow `words` and begins with `prefix`; NULL at the end. */
const char *grammar_complete(const struct node *table, char **words, int n, const char *prefix, unsigned i,
                             const struct known_names *known);
