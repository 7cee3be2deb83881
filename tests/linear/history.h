/* history.h: what concurrent clients asked and were told, with the order of beginnings and ends, and the
 * sequential server that must be able to explain it: a few keys with numbers, a few with lists of numbers. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINEAR_STRINGS = 4, /* keys 0..3 hold numbers, ... */
    LINEAR_KEYS = 8,    /* ... 4..7 lists */
    LINEAR_ARGS = 4,
    LINEAR_QUEUED = 4, /* commands of a MULTI */
    LINEAR_CLIENTS = 32,
    LINEAR_ELEMENTS = 60, /* of a list: more than a load ever gathers in one */
    LINEAR_REPLY = 4096
};

/* Key names: those of either kind lie in four different quarters of the slots. */
extern const char *const linear_key[LINEAR_KEYS];

struct linear_command {
    uint8_t verb; /* row of linear_verbs */
    uint8_t key[LINEAR_ARGS];
    int32_t value[LINEAR_ARGS];
};

struct linear_op {
    uint8_t client, commands;
    bool multi; /* MULTI, the commands, EXEC */
    struct linear_command command[LINEAR_QUEUED];
    uint8_t keys;        /* set of keys that it concerns, those that its client watches included */
    uint64_t call, end;  /* times of a common clock; end UINT64_MAX: nobody saw a reply */
    char *reply;         /* RESP2; malloc'd */
    size_t reply_len;
};

struct history {
    struct linear_op *op; /* of one client in the order in which it sent them */
    unsigned n, cap;
};

/* Copies *op, whose reply becomes the history's. False without memory: nothing changed. */
bool history_add(struct history *h, const struct linear_op *op);
/* Sorts by call, of equal ones by the order of adding. */
void history_sort(struct history *h);
void history_free(struct history *h);
/* A line an operation: times, client, what was asked, what was told. */
void history_print(const struct history *h);

/* -- the sequential server */

struct linear_value {
    uint32_t n; /* 0: no such key; of a string 1 */
    int32_t v[LINEAR_ELEMENTS];
};

struct linear_state { /* without padding: compared byte by byte */
    struct linear_value key[LINEAR_KEYS];
    uint8_t watched[LINEAR_CLIENTS]; /* sets of keys */
    uint64_t dirty;                  /* clients whose watched keys have changed */
};

struct linear_reply {
    const struct linear_op *op; /* whose: a client that has waited for several keys is told one that came together with others */
    size_t len;
    char text[LINEAR_REPLY];
};

enum { VERB_QUEUED = 1 /* may stand in a MULTI */, VERB_WHOLE = 2 /* concerns all keys */, VERB_WATCH = 4 };

struct linear_verb {
    const char *name;
    const char *const *words; /* what is sent: Kn a key, Vn a value, Tn a value in ms as seconds */
    void (*apply)(struct linear_state *s, const struct linear_command *c, struct linear_reply *out);
    uint8_t keys, values;
    bool lists;
    uint8_t flags, weight;
};

extern const struct linear_verb linear_verbs[];
extern const unsigned linear_verb_count;
/* Rows that loads look for by name. */
unsigned linear_verb(const char *name);

/* Does the operation as a whole; *out is what the client is told. */
void linear_apply(struct linear_state *s, const struct linear_op *op, struct linear_reply *out);
/* The set of keys that a command names. */
uint8_t linear_keys(const struct linear_command *c);
/* One command as RESP: bytes written. */
size_t linear_write(const struct linear_command *c, char *to, size_t size);
/* The size of the first reply in so many bytes; 0: it has not come whole. */
size_t linear_reply_size(const char *p, size_t len);
