/* hotkeys.h: which keys are asked for most, from samples. A worker looks at about one request of 128, and at
 * more of them when there are few. A bounded table of counters keeps the frequent ones: a key that has none
 * takes the place of the smallest of its row with a probability of 1 in what that one counts (Ben Basat,
 * Chen, Einziger, Friedman, "Randomized admission policy for efficient top-k and frequency estimation",
 * 2017), so what is rare seldom writes. Counts halve every HOT_HALF_LIFE_MS: what was hot fades away.
 *
 *   row: │ hash × 8 │ reads × 8, writes × 8 │   two cache lines; the names stand apart */
#pragma once
#include "base/slice.h"

struct request;

enum {
    HOT_ROWS = 128, /* a power of two */
    HOT_WAYS = 8,
    HOT_NAME = 96, /* bytes of a longer name are not kept */
    HOT_GAP = 128, /* requests a sample at most */
    HOT_HALF_LIFE_MS = 15000
};

struct hot_row {
    uint64_t hash[HOT_WAYS];
    uint32_t reads[HOT_WAYS], writes[HOT_WAYS]; /* accesses: a sample counts for all that it stands for */
} __attribute__((aligned(64)));

struct hot_name {
    uint32_t db;
    uint32_t len; /* of the whole name */
    uint8_t text[HOT_NAME];
};

struct hotkeys {
    struct hot_row row[HOT_ROWS];
    struct hot_name name[HOT_ROWS][HOT_WAYS];
    uint64_t random;             /* not 0 */
    uint64_t reads, writes;      /* all of them, halved likewise */
    uint64_t sampled_us;         /* the last sample */
    uint64_t halved_ms, span_ms; /* the last halving; the time that counts then stood for */
    unsigned gap;                /* requests a sample, at present */
};

void hotkeys_init(struct hotkeys *h, uint64_t seed, uint64_t now_us);
/* Until when the next sample is to be taken: so many requests. */
unsigned hotkeys_next(struct hotkeys *h, uint64_t now_us);
/* A request that was prepared stands for h->gap of them: counts its keys. Call hotkeys_next() after it. */
void hotkeys_sample(struct hotkeys *h, const struct request *rq);
/* n accesses to a key whose hash is known. */
void hotkeys_count(struct hotkeys *h, unsigned db, struct slice name, uint64_t hash, bool write, uint32_t n);

/* A key as it is shown. The figures are accesses a second. */
struct hot_key {
    const struct hot_name *name;
    double reads, writes;
};
/* The keys with most accesses, at most n of them, in falling order; says how many. total: of all keys. */
unsigned hotkeys_top(struct hotkeys *h, uint64_t now_us, struct hot_key *top, unsigned n,
                     struct hot_key *total);
