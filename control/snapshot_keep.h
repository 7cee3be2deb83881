/* snapshot_keep.h: snapshots that stay: a dated name beside dbfilename, which is the same file until the next snapshot takes
 * its place (a hard link, so that it costs nothing). When they are made, and how many stay. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* `snapshot-schedule`: "off" | "every N m|h|d" (N s as well, from a minute on) | "daily HH:MM", by the box's clock and zone. */
struct schedule {
    uint64_t period; /* seconds; 0: off */
    uint64_t offset; /* of a day's beginning, local time; of "daily" alone */
    bool daily;
};
bool schedule_read(const char *text, struct schedule *s);
/* The moments of a schedule are numbered: that of `t`, or before it. */
int64_t schedule_slot(const struct schedule *s, time_t t);
/* The next one after t. 0: never. (An hour off on the day that the clocks change.) */
time_t schedule_next(const struct schedule *s, time_t t);

enum { KEPT_NAME = 512 };
/* Is it a name that is given here? *at: the time in it. */
bool kept_is(const char *name, const char *usual, time_t *at);
/* Gives dir/usual a dated name, in `name` (KEPT_NAME), durably. False and a line in error. */
bool kept_make(const char *dir, const char *usual, time_t at, char *name, char *error, size_t size);
/* Deletes the oldest ones but `most`; 0: none. How many there are then; *newest (may be NULL): time of the last, 0: there is
 * none. */
unsigned kept_trim(const char *dir, const char *usual, unsigned most, time_t *newest);
/* Deletes one, and no other file. False and a line in error. */
bool kept_delete(const char *dir, const char *usual, const char *name, char *error, size_t size);
/* Opens a snapshot in dir, "" = `usual`, to be read as it is now, whatever takes its place meanwhile: for whoever streams it.
 * -1 and a line in error: there is none of this name, or the file begins otherwise than a snapshot. */
int kept_open(const char *dir, const char *usual, const char *name, uint64_t *bytes, char *error, size_t size);
/* Is it a snapshot's name: `usual`, or one that ends in .rdb and is not being written? */
bool kept_is_snapshot(const char *name, const char *usual);
