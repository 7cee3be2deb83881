/* trace.h: the request streams of the eviction simulation: the same numbers on every machine for the same
 * name, size and length. A key is a number; text is made of it by key_text(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { KEY_LEN = 16, VALUE_LEN = 64 };

struct trace {
    const struct trace_kind *kind;
    uint64_t random, at, requests; /* at: requests that were handed out */
    uint32_t keys;                 /* of the skewed part */
    double *cdf;                   /* of the ranks */
};

/* Names of all kinds, NULL at the end. */
extern const char *const trace_names[];

/* keys: how many the skewed part draws from. False if there is no such kind or no memory. */
bool trace_open(struct trace *t, const char *name, uint32_t keys, uint64_t requests);
void trace_close(struct trace *t);

/* The next key. False at the end. */
bool trace_next(struct trace *t, uint64_t *key);
/* The part of a trace's beginning that only warms the cache up. */
uint64_t trace_warm_up(const struct trace *t);

/* 16 bytes, no NUL. */
void key_text(uint64_t key, uint8_t text[KEY_LEN]);
