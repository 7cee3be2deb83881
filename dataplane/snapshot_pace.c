/* snapshot_pace.c: see snapshot_pace.h. */
#include "snapshot_pace.h"

enum { THOUSAND = 1000, MOST_LEFT_NS = 50 * 1000 /* of what was not used */ };

static bool is_old(const struct snapshot_pace *p, uint64_t now_us)
{
    return now_us - p->begun_us >= PACE_YOUNG_US;
}

static int64_t share_of(const struct snapshot_pace *p, uint64_t now_us)
{
    return is_old(p, now_us) ? PACE_OLD_SHARE : PACE_SHARE;
}

void pace_begin(struct snapshot_pace *p, uint64_t now_us)
{
    *p = (struct snapshot_pace){.begun_us = now_us, .counted_us = now_us, .next_us = now_us,
                                .cursor_ns = (uint64_t)PACE_KEY_NS * PACE_KEYS, .cursor_keys = PACE_KEYS};
}

void pace_ahead(struct snapshot_pace *p, uint64_t keys)
{
    p->left_ns -= (int64_t)(keys * p->cursor_ns / p->cursor_keys);
}

/* The share of the time since it was counted last: a microsecond is as many nanoseconds as the share has thousandths. */
static void count(struct snapshot_pace *p, uint64_t now_us)
{
    p->left_ns += (int64_t)(now_us - p->counted_us) * share_of(p, now_us);
    p->left_ns = p->left_ns < MOST_LEFT_NS ? p->left_ns : MOST_LEFT_NS;
    p->counted_us = now_us;
}

/* When the share has made up for what was taken, or the floor for this slice, whichever comes first. */
void pace_took(struct snapshot_pace *p, uint64_t now_us, uint64_t ns, uint64_t keys, bool busy)
{
    count(p, now_us);
    p->cursor_ns += keys ? ns : 0;
    p->cursor_keys += keys;
    if (!busy)
        return;
    p->left_ns -= (int64_t)ns;
    const uint64_t floor = is_old(p, now_us) ? PACE_OLD_FLOOR : PACE_FLOOR;
    const uint64_t by_floor = ns / floor, by_share = p->left_ns < 0 ? (uint64_t)(-p->left_ns / share_of(p, now_us)) : 0;
    p->next_us = now_us + (by_share < by_floor ? by_share : by_floor);
}
