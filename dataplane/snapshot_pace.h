/* snapshot_pace.h: how much of a busy worker a snapshot takes. What it costs in all, nanoseconds a key, hardly depends on how long it
 * lasts; so what it takes from requests meanwhile falls with its length. The cursor and what writers write before it comes by
 * together have a share of the worker's time; what writers take the cursor leaves, down to a floor: so it always ends. Time in which
 * the worker has nothing to do costs nobody anything, and is not counted. Nor is a value that is written in slices (SNAPSHOT_LARGE):
 * those have their own part of each round, as any long command (turns.h), however old the snapshot is.
 *
 *     age of the snapshot    share    floor    a million keys of 55 ns, the worker busy all the time: at the share, at the floor
 *     up to a minute          2 %      1 %      2.8 s, 5.5 s
 *     then                   10 %      5 %      0.6 s, 1.1 s
 *
 * No clock in here: times are the caller's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_SHARE = 20, /* in a thousand */
    PACE_FLOOR = 10,
    PACE_YOUNG_US = 60 * 1000000,
    PACE_OLD_SHARE = 100,
    PACE_OLD_FLOOR = 50,
    PACE_KEY_NS = 100, /* what a key costs, until the cursor has shown it ... */
    PACE_KEYS = 1000   /* ... with so many */
};

struct snapshot_pace {
    uint64_t begun_us, counted_us;
    int64_t left_ns;      /* of the share; below zero: more was taken than it is */
    uint64_t cursor_ns, cursor_keys;
    uint64_t next_us;     /* the cursor's next slice, as long as the worker is busy */
};

void pace_begin(struct snapshot_pace *p, uint64_t now_us);
/* May the cursor have a slice of a busy worker now? */
static inline bool pace_due(const struct snapshot_pace *p, uint64_t now_us)
{
    return now_us >= p->next_us;
}
/* Writers have written so many keys before it. */
void pace_ahead(struct snapshot_pace *p, uint64_t keys);
/* The cursor has just had a slice, over so many keys. busy: others had to wait so long. */
void pace_took(struct snapshot_pace *p, uint64_t now_us, uint64_t ns, uint64_t keys, bool busy);
