/* snapshot_due.h: when a snapshot is due: by save points, and by snapshot-schedule. */
#pragma once
#include "control/snapshot_keep.h"

/* save: pairs of seconds and changes. */
bool save_point_reached(const char *save, uint64_t changes, uint64_t seconds);
/* Seconds of the longest; 0: there is none. */
uint64_t save_point_longest(const char *save);

/* What is done of a schedule. All zero: nothing is known yet. */
struct due {
    bool known;
    int64_t slot;
    char text[64]; /* the schedule that slot is of */
};
/* Is one due now? The first time, if the last dated one in dir is older than the moment that has passed; not if there is none. */
bool due_now(struct due *d, const char *text, const char *dir, const char *usual, time_t now);
/* What was due has been begun. */
void due_done(struct due *d, time_t now);
/* Has it been due for long? */
bool due_long(const struct due *d, time_t now);
