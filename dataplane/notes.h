/* notes.h: lines for the log from a worker, which writes no log itself: a small ring that the main thread empties now
 * and then. What finds no room is counted, and said as "suppressed n". */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { NOTES = 16 /* a power of two */, NOTE_BYTES = 1024 };

struct notes {
    _Atomic unsigned written, taken;
    _Atomic uint64_t suppressed;
    char line[NOTES][NOTE_BYTES];
};

/* The worker's end. */
void notes_add(struct notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The main thread's: the next line, or false. After the last one perhaps a line about those that are missing. */
bool notes_take(struct notes *n, char line[NOTE_BYTES]);
