/* wheel.h: a hierarchical timer wheel (Varghese and Lauck 1987, scheme 7): four wheels of 64 slots, ticks of
 * 256 us, 71 minutes of range. Adding, removing and expiring cost O(1); a node moves down at most three times.
 *
 *     level 0  [.|.|n|.| ... ]  one tick a slot        <- the only level that expires
 *     level 1  [.|n|.|.| ... ]  64 ticks a slot        cascades into level 0 when its time comes
 *     level 2, level 3          4096 and 262144 ticks a slot
 *
 * A timer never fires early by more than its own clamp: times beyond the range are cut to it, and the owner,
 * who checks its deadline anyway, arms it again. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEEL_LEVELS = 4, WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_TICK_SHIFT = 8 };

struct wheel_node {
    struct wheel_node *next, *prev; /* both NULL: not armed */
    uint32_t tick;                  /* low bits of the tick it expires at */
    uint8_t level, slot;
};

struct wheel {
    uint64_t now; /* ticks; everything before has been expired */
    uint64_t used[WHEEL_LEVELS];
    struct wheel_node slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_us);
/* Arms an idle node, or moves an armed one, to fire at the first tick not before at_us. */
void wheel_add(struct wheel *w, struct wheel_node *n, uint64_t at_us);
/* No effect on an idle node. */
void wheel_remove(struct wheel *w, struct wheel_node *n);
/* Takes one node that is due out of the wheel, NULL when there is none. Call until NULL. */
struct wheel_node *wheel_expire(struct wheel *w, uint64_t now_us);
/* A time (us) before which nothing is due: exact for the next 64 ticks, else the next cascade. UINT64_MAX if
 * empty. */
uint64_t wheel_next(const struct wheel *w);
