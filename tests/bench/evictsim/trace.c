/* trace.c: the request streams of trace.h. */
#include "trace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLD = 1u << 30, SCAN_EVERY = 20000, SCAN_LENGTH = 8000, SHIFTS = 10 };

struct trace_kind {
    const char *name;
    double skew;
    uint64_t (*key)(struct trace *t, const struct trace_kind *kind);
    double warm; /* share of the requests */
};

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t skewed(struct trace *t)
{
    double want = (double)(next_random(&t->random) >> 11) * 0x1p-53;
    uint32_t low = 0, high = t->keys - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->cdf[middle] < want)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t key_zipf(struct trace *t, const struct trace_kind *kind)
{
    (void)kind;
    return skewed(t);
}

/* Every so often somebody reads a stretch of cold keys in order (a backup, a crawler); the cold keys are four
 * times as many as the others, so that a scan never meets what one before it has left. */
static uint64_t key_scan(struct trace *t, const struct trace_kind *kind)
{
    (void)kind;
    uint64_t round = t->at / SCAN_EVERY, in = t->at % SCAN_EVERY;
    if (in % 2 == 0 || in / 2 >= SCAN_LENGTH) /* the scan has every other request while it lasts */
        return skewed(t);
    return COLD + (round * SCAN_LENGTH + in / 2) % (4ull * t->keys);
}

/* The ranks move on to other keys, half of the hot ones at a time. */
static uint64_t key_shifting(struct trace *t, const struct trace_kind *kind)
{
    (void)kind;
    uint64_t shift = t->at * SHIFTS / t->requests;
    return (skewed(t) + shift * (t->keys / 50)) % t->keys;
}

/* For the first third a few keys are asked for all the time, and then never again. */
static uint64_t key_old_hot(struct trace *t, const struct trace_kind *kind)
{
    (void)kind;
    if (t->at < t->requests / 3 && next_random(&t->random) % 10 > 0)
        return COLD + next_random(&t->random) % (t->keys / 20);
    return skewed(t);
}

static const struct trace_kind kinds[] = {
    {"zipf0.7", 0.7, key_zipf, 0.4},     {"zipf0.9", 0.9, key_zipf, 0.4},
    {"zipf0.99", 0.99, key_zipf, 0.4},   {"zipf1.1", 1.1, key_zipf, 0.4},
    {"scan", 0.99, key_scan, 0.4},       {"shifting", 0.99, key_shifting, 0.2},
    {"oldhot", 0.99, key_old_hot, 0.34},
};

const char *const trace_names[] = {"zipf0.7", "zipf0.9",  "zipf0.99", "zipf1.1",
                                   "scan",    "shifting", "oldhot",   NULL};

bool trace_open(struct trace *t, const char *name, uint32_t keys, uint64_t requests)
{
    *t = (struct trace){.random = 42, .requests = requests, .keys = keys};
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            t->kind = &kinds[i];
    t->cdf = t->kind ? malloc(keys * sizeof *t->cdf) : NULL;
    if (!t->cdf)
        return false;
    double sum = 0;
    for (uint32_t i = 0; i < keys; i++)
        t->cdf[i] = sum += 1 / pow(i + 1.0, t->kind->skew);
    for (uint32_t i = 0; i < keys; i++)
        t->cdf[i] /= sum;
    return true;
}

void trace_close(struct trace *t)
{
    free(t->cdf);
}

bool trace_next(struct trace *t, uint64_t *key)
{
    if (t->at == t->requests)
        return false;
    *key = t->kind->key(t, t->kind);
    t->at++;
    return true;
}

uint64_t trace_warm_up(const struct trace *t)
{
    return (uint64_t)(t->kind->warm * (double)t->requests);
}

void key_text(uint64_t key, uint8_t text[KEY_LEN])
{
    memcpy(text, "key:", 4);
    for (unsigned i = KEY_LEN - 1; i >= 4; i--, key /= 10)
        text[i] = (uint8_t)('0' + key % 10);
}
