/* wiretime.c: wire-to-wire times of requests. */
#include "wiretime.h"

#include <string.h>

enum { FRACTION_BITS = 20 };

void wiretime_init(struct wiretime *t, struct family_times *family, double tsc_hz)
{
    double ns = 1e9 / tsc_hz;
    *t = (struct wiretime){.family = family,
                           .ns_per_cycle = (uint64_t)(ns * (1 << FRACTION_BITS)),
                           .most = (uint64_t)((double)TIME_MOST_NS / ns)};
}

/* A clock that ran backwards (another core's) makes the most there is: that it happened is to be seen. */
static inline void enter(const struct wiretime *t, struct histogram *h, uint64_t cycles, uint64_t n)
{
    cycles = cycles < t->most ? cycles : t->most;
    histogram_add(h, cycles * t->ns_per_cycle >> FRACTION_BITS, n);
}

static uint64_t since_cycles(const struct wiretime *t, uint32_t since)
{
    return t->start - ((uint64_t)(t->now - since) << WIRETIME_UNIT_BITS);
}

static void enter_group(const struct wiretime *t, const struct wiretime_group *g, uint64_t now)
{
    struct histogram *h = t->family[g->family].stage;
    uint64_t n = g->n, delivered = g->late ? g->since : t->delivered;
    enter(t, &h[TIME_TOTAL], now - g->since, n);
    enter(t, &h[TIME_SEND], now - g->end, n);
    if (g->elsewhere) {
        enter(t, &h[TIME_ELSEWHERE], g->end - g->since, n);
        return;
    }
    enter(t, &h[TIME_EXECUTE], g->end - g->begin, n);
    if (g->begin == delivered) /* of the round's first batch */
        h[TIME_QUEUE].bucket[0] += n;
    else
        enter(t, &h[TIME_QUEUE], g->begin - delivered, n);
    if (!g->late)
        enter(t, &h[TIME_STACK], delivered - g->since, n);
}

/* What is not closed yet belongs to the batch that runs. */
static void close_groups(struct wiretime *t, uint64_t begin, uint64_t end)
{
    for (; t->closed < t->groups; t->closed++) {
        struct wiretime_group *g = &t->group[t->closed];
        if (g->elsewhere)
            continue;
        g->begin = begin;
        g->end = end;
    }
}

/* With more groups than there is room for, the first ones count as if their frames left now. */
static struct wiretime_group *group_new(struct wiretime *t, uint64_t now)
{
    if (t->groups == WIRETIME_GROUPS) {
        close_groups(t, now, now);
        wiretime_sent(t, now);
    }
    return &t->group[t->groups++];
}

void wiretime_late(struct wiretime_batch *b, unsigned from, unsigned to, uint32_t since)
{
    for (unsigned i = from; i < to; i++) {
        b->late |= UINT32_C(1) << i;
        b->since[i] = since;
    }
}

static void add_late(struct wiretime *t, uint32_t since, unsigned family, uint64_t now)
{
    uint64_t cycles = since ? since_cycles(t, since) : t->start;
    struct wiretime_group *last = t->groups > t->closed ? &t->group[t->groups - 1] : NULL;
    if (last && last->late && last->family == family && last->since == cycles)
        last->n++;
    else
        *group_new(t, now) =
            (struct wiretime_group){.since = cycles, .n = 1, .family = (uint8_t)family, .late = true};
}

static void add_group(struct wiretime *t, unsigned family, unsigned n, uint64_t now)
{
    *group_new(t, now) = (struct wiretime_group){.since = t->start, .n = n, .family = (uint8_t)family};
}

/* Are the first n all of one family? */
static inline bool is_uniform(const struct wiretime_batch *b, unsigned n)
{
    uint64_t first = b->family[0] * UINT64_C(0x0101010101010101), word, other = 0;
    unsigned i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, b->family + i, 8);
        other |= word ^ first;
    }
    for (; i < n; i++)
        other |= b->family[i] ^ b->family[0];
    return other == 0;
}

static void add_mixed(struct wiretime *t, const struct wiretime_batch *b, unsigned n, uint64_t now)
{
    uint8_t count[TIME_FAMILIES] = {0};
    for (unsigned i = 0; i < n; i++) {
        if (b->undone >> i & 1)
            continue;
        if (b->late >> i & 1)
            add_late(t, b->since[i], b->family[i], now);
        else
            count[b->family[i]]++;
    }
    for (unsigned family = 0; family < TIME_FAMILIES; family++)
        if (count[family])
            add_group(t, family, count[family], now);
}

void wiretime_batch(struct wiretime *t, const struct wiretime_batch *b, unsigned n, uint64_t begin,
                    uint64_t end)
{
    if (n == 0)
        return;
    if (b->undone == UINT32_MAX >> (32 - n)) /* all have gone elsewhere */
        ;
    else if (!(b->late | b->undone) && is_uniform(b, n))
        add_group(t, b->family[0], n, end);
    else
        add_mixed(t, b, n, end);
    close_groups(t, begin, end);
}

void wiretime_elsewhere(struct wiretime *t, uint32_t since, unsigned family, uint64_t now)
{
    uint64_t cycles = since_cycles(t, since);
    struct wiretime_group *last = t->groups > t->closed ? &t->group[t->groups - 1] : NULL;
    if (last && last->elsewhere && last->family == family && last->since == cycles && last->end == now) {
        last->n++; /* of one row */
        return;
    }
    *group_new(t, now) = (struct wiretime_group){
        .since = cycles, .end = now, .n = 1, .family = (uint8_t)family, .elsewhere = true};
}

void wiretime_loop(struct wiretime *t, uint64_t now)
{
    enter(t, &t->family[TIME_LOOP].stage[TIME_TOTAL], now - t->start, 1);
}

void wiretime_sent(struct wiretime *t, uint64_t now)
{
    for (unsigned i = 0; i < t->groups; i++)
        enter_group(t, &t->group[i], now);
    t->groups = t->closed = 0;
}
