/* library.h: the libraries of functions that FUNCTION LOAD has brought: texts and what they have registered.
 * https://redis.io/docs/latest/develop/interact/programmability/functions-intro/
 *
 * Changed only with all workers stopped, read by every worker; each compiles a library when it first needs
 * one of its functions (function_load.c). */
#pragma once
#include "script/script.h"

struct library;

struct function {
    struct program run;
    struct slice description; /* p NULL: none */
    struct library *library;
    struct function *next; /* of its library, as they were registered */
    struct function *same; /* in its bucket */
};

struct library {
    uint64_t id;             /* never used twice */
    struct slice name, code; /* code: with its first line, which says the name */
    struct function *first, *last;
    unsigned functions;
    uint64_t bytes;
    struct library *next;
};

/* What the first line of a library says. */
struct library_head {
    char name[256];
    struct slice body; /* behind the first line, in the same line numbers */
};

struct libraries *libraries_new(void); /* NULL if out of memory */
void libraries_free(struct libraries *all);
const struct library *libraries_first(const struct libraries *all);
const struct library *libraries_find(const struct libraries *all, struct slice name);
bool libraries_have(const struct libraries *all, uint64_t id);
/* Names of functions are case-blind here, within a library they are not. */
struct function *libraries_function(const struct libraries *all, struct slice name);
/* Takes the library over; there must be none of its name and nothing of its functions' names. */
void libraries_put(struct libraries *all, struct library *l);
/* Takes it out and frees it. */
void libraries_delete(struct libraries *all, const struct library *l);
/* All of `from`, which is empty then, replacing those of the same name. False, nothing changed, with an error
 * in text: a name is taken and not to be replaced. */
bool libraries_join(struct libraries *all, struct libraries *from, bool replace, char *error, size_t size);
void libraries_flush(struct libraries *all);
/* Counts flushes, and what else made libraries go: interpreters forget them then. */
uint64_t libraries_flushes(const struct libraries *all);
uint64_t libraries_deletions(const struct libraries *all);
void libraries_measure(const struct libraries *all, uint64_t *libraries, uint64_t *functions,
                       uint64_t *bytes);

#define LIBRARY_BAD_NAME                                                                                     \
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character " \
    "long"
/* A name's letters, digits and underscores, at least one. */
bool library_name_ok(struct slice name);
/* Reads the first line. False with an error in text. */
bool library_head(struct slice code, struct library_head *head, char *error, size_t size);
/* Both copy; NULL if out of memory. */
struct library *library_new(struct slice name, struct slice code);
struct function *library_add(struct library *l, struct slice name, struct slice description, unsigned flags);
struct function *library_function(const struct library *l, struct slice name);
void library_free(struct library *l);

/* -- the interpreter (function_load.c) */

/* Runs the text of a library that was read and has no functions yet: it registers them. False with an error
 * in text. */
bool library_load(struct script_host *h, struct library *l, struct slice body, char *error, size_t size);
