/* notes.c: see notes.h. */
#include "notes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void notes_add(struct notes *n, const char *format, ...)
{
    unsigned at = atomic_load_explicit(&n->written, memory_order_relaxed);
    if (at - atomic_load_explicit(&n->taken, memory_order_acquire) == NOTES) {
        atomic_fetch_add_explicit(&n->suppressed, 1, memory_order_relaxed);
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(n->line[at % NOTES], NOTE_BYTES, format, args);
    va_end(args);
    atomic_store_explicit(&n->written, at + 1, memory_order_release);
}

bool notes_take(struct notes *n, char line[NOTE_BYTES])
{
    unsigned at = atomic_load_explicit(&n->taken, memory_order_relaxed);
    if (at != atomic_load_explicit(&n->written, memory_order_acquire)) {
        memcpy(line, n->line[at % NOTES], NOTE_BYTES);
        atomic_store_explicit(&n->taken, at + 1, memory_order_release);
        return true;
    }
    uint64_t lost = atomic_exchange_explicit(&n->suppressed, 0, memory_order_relaxed);
    if (lost)
        snprintf(line, NOTE_BYTES, "suppressed %" PRIu64 " more of these lines", lost);
    return lost != 0;
}
