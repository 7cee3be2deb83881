/* snapshot_due.c: see snapshot_due.h. */
#include "control/snapshot_due.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERDUE_SECONDS = 300 };

static const char *next_point(const char *p, uint64_t *seconds, uint64_t *changes)
{
    char *rest;
    *seconds = strtoull(p, &rest, 10);
    if (rest == p)
        return NULL;
    p = rest;
    *changes = strtoull(p, &rest, 10);
    return rest == p ? NULL : rest;
}

bool save_point_reached(const char *save, uint64_t changes, uint64_t seconds)
{
    uint64_t after, least;
    for (const char *p = save; (p = next_point(p, &after, &least)) != NULL;)
        if (changes >= least && seconds > after)
            return true;
    return false;
}

uint64_t save_point_longest(const char *save)
{
    uint64_t after, least, longest = 0;
    for (const char *p = save; (p = next_point(p, &after, &least)) != NULL;)
        longest = after > longest ? after : longest;
    return longest;
}

bool due_now(struct due *d, const char *text, const char *dir, const char *usual, time_t now)
{
    struct schedule schedule;
    time_t newest = 0;
    if (!schedule_read(text, &schedule) || !schedule.period) {
        *d = (struct due){0};
        return false;
    }
    if (!d->known || strcmp(d->text, text) != 0) {
        if (!d->known)
            kept_trim(dir, usual, 0, &newest);
        d->slot = schedule_slot(&schedule, newest ? newest : now);
        d->known = true;
        snprintf(d->text, sizeof d->text, "%s", text);
    }
    return schedule_slot(&schedule, now) > d->slot;
}

void due_done(struct due *d, time_t now)
{
    struct schedule schedule;
    if (d->known && schedule_read(d->text, &schedule))
        d->slot = schedule_slot(&schedule, now);
}

bool due_long(const struct due *d, time_t now)
{
    struct schedule schedule;
    return d->known && schedule_read(d->text, &schedule) && schedule_slot(&schedule, now - OVERDUE_SECONDS) > d->slot;
}
