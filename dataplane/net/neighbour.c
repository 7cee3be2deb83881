/* neighbour.c: one table of neighbours for ARP and ND, with the states and times of RFC 4861 (7.3, 10) for
 * both.
 *
 *     failed -> incomplete -> reachable -> stale -> delay -> probe -> reachable
 *        ^          |                                          |
 *        +----------+------------------ no answer -------------+
 *
 * Any state goes to stale when a neighbour tells its address unasked, and to reachable when it answers. */
#include "net/internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    REACHABLE_TIME = 30 * SECOND,
    RETRANS_TIMER = SECOND,
    DELAY_TIME = 5 * SECOND,
    TRIES = 3,
    WALK_INTERVAL = SECOND / 10,
    EVICT_LOOK = 64,
    DEFAULT_ROOM = 1024
};

#define BIT(s) (1u << (s))
static const uint8_t legal[NB_STATES] __rte_unused = {
    /* in release builds nobody asks */
    [NB_FAILED] = BIT(NB_INCOMPLETE) | BIT(NB_STALE) | BIT(NB_REACHABLE),
    [NB_INCOMPLETE] = BIT(NB_FAILED) | BIT(NB_STALE) | BIT(NB_REACHABLE),
    [NB_REACHABLE] = BIT(NB_STALE) | BIT(NB_REACHABLE),
    [NB_STALE] = BIT(NB_STALE) | BIT(NB_DELAY) | BIT(NB_REACHABLE),
    [NB_DELAY] = BIT(NB_STALE) | BIT(NB_PROBE) | BIT(NB_REACHABLE),
    [NB_PROBE] = BIT(NB_STALE) | BIT(NB_FAILED) | BIT(NB_REACHABLE),
};

static const char *const state_name[NB_STATES] = {"failed", "incomplete", "reachable",
                                                  "stale",  "delay",      "probe"};

bool neighbours_init(struct net_if *n)
{
    struct neighbours *t = &n->neighbours;
    t->room = n->conf.neighbours ? n->conf.neighbours : DEFAULT_ROOM;
    t->mask = rte_align32pow2(t->room) - 1;
    t->entry = calloc(t->room, sizeof *t->entry);
    t->bucket = calloc(t->mask + 1, sizeof *t->bucket);
    t->walk_at = UINT64_MAX;
    return t->entry && t->bucket;
}

static void drop_waiting(struct net_if *n, struct neighbour *nb)
{
    for (unsigned i = 0; i < nb->waiting_n; i++)
        net_drop(n, nb->waiting[i], COUNTER_net_drop_unresolved);
    n->neighbours.waiting -= nb->waiting_n;
    nb->waiting_n = 0;
}

void neighbours_free(struct net_if *n)
{
    struct neighbours *t = &n->neighbours;
    for (unsigned i = 0; i < t->used; i++)
        drop_waiting(n, &t->entry[i]);
    free(t->entry);
    free(t->bucket);
}

static uint32_t *bucket_of(struct net_if *n, const struct ip_addr *ip)
{
    static const struct ip_addr zero;
    return &n->neighbours.bucket[net_hash(n, ip, &zero) & n->neighbours.mask];
}

struct neighbour *neighbour_find(struct net_if *n, const struct ip_addr *ip)
{
    struct neighbours *t = &n->neighbours;
    for (uint32_t i = *bucket_of(n, ip); i; i = t->entry[i - 1].next)
        if (ip_equal(&t->entry[i - 1].ip, ip))
            return &t->entry[i - 1];
    return NULL;
}

static void unlink_entry(struct net_if *n, struct neighbour *nb)
{
    struct neighbours *t = &n->neighbours;
    uint32_t self = (uint32_t)(nb - t->entry) + 1;
    for (uint32_t *at = bucket_of(n, &nb->ip); *at; at = &t->entry[*at - 1].next)
        if (*at == self) {
            *at = nb->next;
            return;
        }
}

/* A free entry, or one that nobody needs: a bounded look from where the last look ended. */
static struct neighbour *entry_alloc(struct net_if *n)
{
    struct neighbours *t = &n->neighbours;
    if (t->used < t->room)
        return &t->entry[t->used++];
    for (unsigned i = 0; i < RTE_MIN(t->room, (unsigned)EVICT_LOOK); i++) {
        struct neighbour *nb = &t->entry[t->hand++ % t->room];
        if (nb->refs || nb->waiting_n)
            continue;
        unlink_entry(n, nb);
        return nb;
    }
    count_one(n->counters, COUNTER_net_neighbours_full);
    return NULL;
}

static struct neighbour *insert(struct net_if *n, const struct ip_addr *ip)
{
    struct neighbour *nb = entry_alloc(n);
    if (!nb)
        return NULL;
    uint32_t *bucket = bucket_of(n, ip);
    *nb = (struct neighbour){.ip = *ip, .state = NB_FAILED, .due = UINT64_MAX, .next = *bucket};
    *bucket = (uint32_t)(nb - n->neighbours.entry) + 1;
    return nb;
}

struct neighbour *neighbour_get(struct net_if *n, const struct ip_addr *ip)
{
    struct neighbour *nb = neighbour_find(n, ip);
    if (!nb)
        nb = insert(n, ip);
    if (nb)
        nb->refs++;
    return nb;
}

void neighbour_put(struct neighbour *nb)
{
    nb->refs--;
}

/* Asks for the neighbour: unicast if we have an address to try, everybody otherwise. */
static void solicit(struct net_if *n, struct neighbour *nb)
{
    const struct local_address *own = net_on_link(n, &nb->ip);
    bool v6 = !ip_is_v4(&nb->ip);
    nb->tries++;
    if (own && own->state != ADDRESS_PREFERRED)
        own = NULL;
    for (unsigned i = 0; !own && i < n->addresses; i++)
        if (n->address[i].v6 == v6 && n->address[i].state == ADDRESS_PREFERRED)
            own = &n->address[i];
    if (!own)
        return; /* nobody may answer us yet */
    (v6 ? nd_solicit : arp_solicit)(n, &own->ip, &nb->ip, nb->state == NB_PROBE ? nb->mac : NULL);
}

static uint64_t state_time(struct net_if *n, enum neighbour_state state)
{
    switch (state) {
    case NB_REACHABLE: /* spread over 0.5 to 1.5 times the base (RFC 4861, 6.3.2) */
        return REACHABLE_TIME / 2 + net_random(n) % REACHABLE_TIME;
    case NB_DELAY:
        return DELAY_TIME;
    case NB_INCOMPLETE:
    case NB_PROBE:
        return RETRANS_TIMER;
    default:
        return 0;
    }
}

static void set_due(struct net_if *n, struct neighbour *nb, uint64_t now)
{
    uint64_t time = state_time(n, nb->state);
    nb->due = time ? now + time : UINT64_MAX;
    n->neighbours.walk_at = RTE_MIN(n->neighbours.walk_at, nb->due);
}

static void enter(struct net_if *n, struct neighbour *nb, enum neighbour_state state, uint64_t now)
{
    assert(legal[nb->state] & BIT(state));
    nb->state = (uint8_t)state;
    nb->tries = 0;
    nb->since = now;
    set_due(n, nb, now);
    if (state == NB_INCOMPLETE || state == NB_PROBE)
        solicit(n, nb);
}

static void set_mac(struct net_if *n, struct neighbour *nb, const uint8_t mac[6])
{
    memcpy(nb->mac, mac, 6);
    for (unsigned i = 0; i < nb->waiting_n; i++) {
        memcpy(rte_pktmbuf_mtod(nb->waiting[i], uint8_t *), mac, 6);
        net_transmit(n, nb->waiting[i]);
    }
    n->neighbours.waiting -= nb->waiting_n;
    nb->waiting_n = 0;
}

void neighbour_confirm(struct net_if *n, struct neighbour *nb, const uint8_t mac[6], uint64_t now)
{
    enter(n, nb, NB_REACHABLE, now);
    set_mac(n, nb, mac);
}

void neighbour_learn(struct net_if *n, const struct ip_addr *ip, const uint8_t mac[6], bool create,
                     uint64_t now)
{
    struct neighbour *nb = neighbour_find(n, ip);
    if (!nb && create)
        nb = insert(n, ip);
    if (!nb)
        return;
    bool known = nb->state != NB_FAILED && nb->state != NB_INCOMPLETE;
    if (known && memcmp(nb->mac, mac, 6) == 0)
        return; /* nothing new, and no proof that it hears us */
    /* Somebody waits for it: ask for proof soon, as if it had been used. */
    bool wanted = nb->waiting_n != 0;
    enter(n, nb, NB_STALE, now);
    set_mac(n, nb, mac);
    if (wanted)
        enter(n, nb, NB_DELAY, now);
}

void neighbour_alive(struct net_if *n, struct neighbour *nb, uint64_t now)
{
    if (nb->state != NB_FAILED && nb->state != NB_INCOMPLETE)
        enter(n, nb, NB_REACHABLE, now);
}

void neighbour_doubt(struct net_if *n, struct neighbour *nb, uint64_t now)
{
    if (nb->state == NB_REACHABLE)
        enter(n, nb, NB_STALE, now);
}

/* The newest frames wait, the oldest goes (RFC 4861, 7.2.2). */
static void wait_for(struct net_if *n, struct neighbour *nb, struct rte_mbuf *m)
{
    struct neighbours *t = &n->neighbours;
    for (unsigned i = 0; i < nb->waiting_n; i++)
        if (nb->waiting[i] == m) { /* sent again by TCP before it left: it waits once */
            rte_pktmbuf_free(m);
            return;
        }
    if (nb->waiting_n == WAITING_FRAMES) {
        net_drop(n, nb->waiting[0], COUNTER_net_drop_waiting_full);
        memmove(nb->waiting, nb->waiting + 1, (WAITING_FRAMES - 1) * sizeof nb->waiting[0]);
        nb->waiting_n--;
        t->waiting--;
    }
    if (t->waiting == WAITING_TOTAL) {
        net_drop(n, m, COUNTER_net_drop_waiting_full);
        return;
    }
    nb->waiting[nb->waiting_n++] = m;
    t->waiting++;
}

void neighbour_send(struct net_if *n, struct neighbour *nb, struct rte_mbuf *m, uint64_t now)
{
    if (nb->state == NB_FAILED)
        enter(n, nb, NB_INCOMPLETE, now);
    if (nb->state == NB_INCOMPLETE) {
        wait_for(n, nb, m);
        return;
    }
    if (nb->state == NB_STALE)
        enter(n, nb, NB_DELAY, now);
    memcpy(rte_pktmbuf_mtod(m, uint8_t *), nb->mac, 6);
    net_transmit(n, m);
}

static void timer(struct net_if *n, struct neighbour *nb, uint64_t now)
{
    switch ((enum neighbour_state)nb->state) {
    case NB_REACHABLE:
        enter(n, nb, NB_STALE, now);
        break;
    case NB_DELAY:
        enter(n, nb, NB_PROBE, now);
        break;
    case NB_INCOMPLETE:
    case NB_PROBE:
        if (nb->tries < TRIES) {
            solicit(n, nb);
            set_due(n, nb, now);
            break;
        }
        count_one(n->counters, COUNTER_net_neighbour_failures);
        enter(n, nb, NB_FAILED, now);
        drop_waiting(n, nb);
        break;
    default:
        nb->due = UINT64_MAX;
    }
}

uint64_t neighbours_tick(struct net_if *n, uint64_t now)
{
    struct neighbours *t = &n->neighbours;
    if (now < t->walk_at)
        return t->walk_at;
    t->walk_at = UINT64_MAX;
    for (unsigned i = 0; i < t->used; i++) {
        struct neighbour *nb = &t->entry[i];
        if (nb->due <= now)
            timer(n, nb, now);
        t->walk_at = RTE_MIN(t->walk_at, nb->due);
    }
    if (t->walk_at < now + WALK_INTERVAL)
        t->walk_at = now + WALK_INTERVAL;
    return t->walk_at;
}

void net_each_neighbour(struct net_if *n,
                        void (*fn)(const struct ip_addr *ip, const uint8_t mac[6], const char *state,
                                   void *arg),
                        void *arg)
{
    for (unsigned i = 0; i < n->neighbours.used; i++) {
        const struct neighbour *nb = &n->neighbours.entry[i];
        fn(&nb->ip, nb->mac, state_name[nb->state], arg);
    }
}

uint64_t net_neighbour_age(struct net_if *n, const struct ip_addr *ip, uint64_t now_us)
{
    const struct neighbour *nb = neighbour_find(n, ip);
    return nb && now_us > nb->since ? now_us - nb->since : 0;
}
