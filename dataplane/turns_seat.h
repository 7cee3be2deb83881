/* turns_seat.h: for turns.c: what a job has pinned, or waits to pin (struct seat of job.h). */
#pragma once
#include "turns.h"

/* Pins the job's keys as one that waits. False without memory, with nothing pinned. */
bool seat_take(struct turns *t, struct job *j);
/* May it have its keys? Those of who runs, and of who came earlier and waits, are not to be had. */
bool seat_may_go(const struct turns *t, const struct job *j);
/* In this walk over those who wait it has not gone: who comes behind it keeps away from its keys. */
void seat_waits(const struct turns *t, struct job *j);
/* What has expired of its keys goes, before they are pinned: after that nothing of them does. */
void seat_collect_expired(struct turns *t, struct job *j);
/* It has its keys from now on, and gives them back. */
void seat_hold(struct turns *t, struct job *j);
void seat_give_back(struct turns *t, struct job *j);
/* Calls fn for the shards that it has to itself, if it has any. */
void seat_each_own(const struct turns *t, const struct job *j, void (*fn)(struct pins *p));
