/* wheel.c: hierarchical timer wheel (Varghese and Lauck 1987, scheme 7), see wheel.h for the picture. */
#include "tcp/wheel.h"

static const uint64_t range = 1ull << (WHEEL_BITS * WHEEL_LEVELS);

void wheel_init(struct wheel *w, uint64_t now_us)
{
    w->now = now_us >> WHEEL_TICK_SHIFT;
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        w->used[l] = 0;
        for (unsigned s = 0; s < WHEEL_SLOTS; s++)
            w->slot[l][s].next = w->slot[l][s].prev = &w->slot[l][s];
    }
}

static void place(struct wheel *w, struct wheel_node *n, uint64_t tick)
{
    if (tick < w->now)
        tick = w->now;
    if (tick - w->now >= range)
        tick = w->now + range - 1;
    uint64_t delta = tick - w->now;
    unsigned level = delta < WHEEL_SLOTS ? 0 : (63u - (unsigned)__builtin_clzll(delta)) / WHEEL_BITS;
    unsigned slot = (tick >> (level * WHEEL_BITS)) % WHEEL_SLOTS;
    struct wheel_node *head = &w->slot[level][slot];
    n->tick = (uint32_t)tick;
    n->level = (uint8_t)level;
    n->slot = (uint8_t)slot;
    n->next = head;
    n->prev = head->prev;
    head->prev->next = n;
    head->prev = n;
    w->used[level] |= 1ull << slot;
}

void wheel_add(struct wheel *w, struct wheel_node *n, uint64_t at_us)
{
    wheel_remove(w, n);
    place(w, n, (at_us >> WHEEL_TICK_SHIFT) + ((at_us & ((1u << WHEEL_TICK_SHIFT) - 1)) != 0));
}

void wheel_remove(struct wheel *w, struct wheel_node *n)
{
    if (!n->next)
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
    struct wheel_node *head = &w->slot[n->level][n->slot];
    if (head->next == head)
        w->used[n->level] &= ~(1ull << n->slot);
}

/* The start of the earliest slot in use, in ticks; which one it is in *level. UINT64_MAX if none. */
static uint64_t earliest(const struct wheel *w, unsigned *level)
{
    uint64_t best = UINT64_MAX;
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        if (!w->used[l])
            continue;
        /* Level 0 may hold what is due at this very tick. Above it, the slot of the current time has been
         * cascaded when its time came, so what it holds lies one full turn ahead. */
        uint64_t here = w->now >> (l * WHEEL_BITS);
        uint64_t first = l ? here + 1 : here;
        unsigned r = first % WHEEL_SLOTS;
        uint64_t turned = r ? w->used[l] >> r | w->used[l] << (WHEEL_SLOTS - r) : w->used[l];
        uint64_t start = (first + (unsigned)__builtin_ctzll(turned)) << (l * WHEEL_BITS);
        if (start <= best) { /* cascade before expiring the same tick */
            best = start;
            *level = l;
        }
    }
    return best;
}

static void cascade(struct wheel *w, unsigned level)
{
    struct wheel_node *head = &w->slot[level][(w->now >> (level * WHEEL_BITS)) % WHEEL_SLOTS];
    while (head->next != head) {
        struct wheel_node *n = head->next;
        uint32_t ahead = n->tick - (uint32_t)w->now;
        wheel_remove(w, n);
        place(w, n, w->now + ahead);
    }
}

struct wheel_node *wheel_expire(struct wheel *w, uint64_t now_us)
{
    uint64_t now = now_us >> WHEEL_TICK_SHIFT;
    for (;;) {
        unsigned level = 0;
        uint64_t start = earliest(w, &level);
        if (start > now) {
            if (now > w->now)
                w->now = now;
            return NULL;
        }
        w->now = start;
        if (level == 0) {
            struct wheel_node *n = w->slot[0][start % WHEEL_SLOTS].next;
            wheel_remove(w, n);
            return n;
        }
        /* Every wheel that turns at this tick, the slowest first: once the time stands on a slot, what that
         * slot holds would count as a turn ahead. */
        for (unsigned l = WHEEL_LEVELS - 1; l > 0; l--)
            if (start % (1ull << (l * WHEEL_BITS)) == 0)
                cascade(w, l);
    }
}

uint64_t wheel_next(const struct wheel *w)
{
    unsigned level;
    uint64_t start = earliest(w, &level);
    return start == UINT64_MAX ? start : start << WHEEL_TICK_SHIFT;
}
