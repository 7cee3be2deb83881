/* memwire.c: the in-memory wire of memwire.h. Frames in flight stand in a heap ordered by arrival; equal
 * times keep the order of sending. Every frame is copied when it is sent, as a NIC reads it: the sender may
 * keep and change its own. */
#include "drivers/memwire.h"
#include "drivers/memwire_port.h"

#include <stdlib.h>

#include <rte_mbuf.h>

enum {
    IN_FLIGHT_MAX = 1 << 16,
    DEFAULT_QUEUE = 1000,
    REORDER_HOLD_US = 1000,
    MILLION = 1000000,
    CUT_MAX = 128
};

struct flight {
    uint64_t arrival, seq;
    struct rte_mbuf *m;
};

struct heap {
    struct flight *f;
    unsigned n, room;
};

struct direction { /* frames towards one end */
    struct memwire *wire;
    unsigned from;
    struct heap heap;
    uint64_t line_free;    /* when the rate-limited line has sent all it was given */
    uint64_t last_arrival; /* jitter alone never lets a frame overtake another */
    uint64_t *leaves;      /* ring of the times at which queued frames leave the queue */
    unsigned leaves_room, leaves_head, leaves_n;
    struct wire send;
};

struct memwire {
    struct rte_mempool *pool;
    struct memwire_fault fault;
    struct memwire_port port;
    uint64_t random, now, seq;
    struct direction dir[2]; /* dir[e]: sent by end e */
};

static uint64_t next_random(struct memwire *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Draws even when the probability is zero, so that a changed fault does not shift all later decisions. */
static bool happens(struct memwire *w, uint32_t per_million)
{
    return next_random(w) % MILLION < per_million;
}

static bool earlier(const struct flight *a, const struct flight *b)
{
    return a->arrival != b->arrival ? a->arrival < b->arrival : a->seq < b->seq;
}

static bool heap_push(struct heap *h, struct flight x)
{
    if (h->n == h->room) {
        unsigned room = h->room ? h->room * 2 : 64;
        struct flight *f = room > IN_FLIGHT_MAX ? NULL : realloc(h->f, room * sizeof *f);
        if (!f)
            return false;
        h->f = f;
        h->room = room;
    }
    unsigned i = h->n++;
    for (; i && earlier(&x, &h->f[(i - 1) / 2]); i = (i - 1) / 2)
        h->f[i] = h->f[(i - 1) / 2];
    h->f[i] = x;
    return true;
}

static struct rte_mbuf *heap_pop(struct heap *h)
{
    struct rte_mbuf *m = h->f[0].m;
    struct flight x = h->f[--h->n];
    unsigned i = 0;
    for (unsigned child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && earlier(&h->f[child + 1], &h->f[child]))
            child++;
        if (!earlier(&h->f[child], &x))
            break;
        h->f[i] = h->f[child];
    }
    if (h->n)
        h->f[i] = x;
    return m;
}

/* When the last bit of a frame of len bytes is on the line; false if the queue in front of it is full. */
static bool line_leave(struct direction *d, uint32_t len, uint64_t *leave)
{
    struct memwire *w = d->wire;
    *leave = w->now;
    if (!w->fault.rate_bps)
        return true;
    for (; d->leaves_n && d->leaves[d->leaves_head] <= w->now; d->leaves_n--)
        d->leaves_head = (d->leaves_head + 1) % d->leaves_room;
    if (d->leaves_n >= d->leaves_room)
        return false;
    uint64_t start = d->line_free > w->now ? d->line_free : w->now;
    d->line_free = start + (uint64_t)len * 8 * MILLION / w->fault.rate_bps;
    d->leaves[(d->leaves_head + d->leaves_n++) % d->leaves_room] = d->line_free;
    *leave = d->line_free;
    return true;
}

static uint64_t arrival_time(struct direction *d, uint64_t leave, bool reordered)
{
    struct memwire *w = d->wire;
    uint64_t jitter = next_random(w) % (w->fault.jitter_us + 1);
    uint64_t hold = 1 + next_random(w) % (w->fault.delay_us + w->fault.jitter_us + REORDER_HOLD_US);
    uint64_t arrival = leave + w->fault.delay_us + jitter;
    if (reordered)
        return arrival + (w->fault.hold_us ? w->fault.hold_us : hold);
    if (arrival < d->last_arrival)
        arrival = d->last_arrival;
    d->last_arrival = arrival;
    return arrival;
}

/* Flips one bit anywhere in the frame. */
static void corrupt(struct memwire *w, struct rte_mbuf *m)
{
    uint64_t bit = next_random(w) % ((uint64_t)m->pkt_len * 8);
    uint32_t at = (uint32_t)(bit / 8);
    while (at >= m->data_len) {
        at -= m->data_len;
        m = m->next;
    }
    *rte_pktmbuf_mtod_offset(m, uint8_t *, at) ^= (uint8_t)(1u << bit % 8);
}

static void deliver(struct direction *d, const struct rte_mbuf *m, uint64_t leave, bool reordered,
                    bool corrupted)
{
    struct memwire *w = d->wire;
    uint64_t arrival = arrival_time(d, leave, reordered);
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);
    if (!copy)
        return;
    copy->ol_flags = 0;
    if (corrupted && copy->pkt_len)
        corrupt(w, copy);
    if (!heap_push(&d->heap, (struct flight){arrival, w->seq++, copy}))
        rte_pktmbuf_free(copy);
}

/* One frame as it is on the wire. */
static void send_plain(struct direction *d, struct rte_mbuf *m)
{
    struct memwire *w = d->wire;
    bool lost = happens(w, w->fault.loss), twice = happens(w, w->fault.duplicate);
    bool corrupted = happens(w, w->fault.corrupt), reordered = happens(w, w->fault.reorder);
    uint64_t leave;
    if (line_leave(d, m->pkt_len, &leave) && !lost) {
        deliver(d, m, leave, reordered, corrupted);
        if (twice)
            deliver(d, m, leave, false, false);
    }
    rte_pktmbuf_free(m);
}

static void send_one(struct direction *d, struct rte_mbuf *m)
{
    struct rte_mbuf *piece[CUT_MAX];
    if (!(m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM))) {
        send_plain(d, m);
        return;
    }
    unsigned n = memwire_cut(d->wire->pool, m, piece, CUT_MAX);
    for (unsigned i = 0; i < n; i++)
        send_plain(d, piece[i]);
    rte_pktmbuf_free(m);
}

static void wire_send(void *ctx, struct rte_mbuf **frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        send_one(ctx, frames[i]);
}

struct memwire *memwire_new(struct rte_mempool *pool, uint64_t seed, const struct memwire_fault *fault)
{
    struct memwire *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->pool = pool;
    w->random = seed;
    for (unsigned e = 0; e < 2; e++) {
        struct direction *d = &w->dir[e];
        d->wire = w;
        d->from = e;
        d->send = (struct wire){wire_send, d};
    }
    if (!memwire_set_fault(w, fault)) {
        memwire_free(w);
        return NULL;
    }
    return w;
}

void memwire_free(struct memwire *w)
{
    if (!w)
        return;
    for (unsigned e = 0; e < 2; e++) {
        struct heap *h = &w->dir[e].heap;
        for (unsigned i = 0; i < h->n; i++)
            rte_pktmbuf_free(h->f[i].m);
        free(h->f);
        free(w->dir[e].leaves);
    }
    free(w);
}

bool memwire_set_fault(struct memwire *w, const struct memwire_fault *fault)
{
    static const struct memwire_fault none;
    struct memwire_fault f = fault ? *fault : none;
    unsigned room = f.queue_frames ? f.queue_frames : DEFAULT_QUEUE;
    for (unsigned e = 0; e < 2; e++) {
        struct direction *d = &w->dir[e];
        if (room == d->leaves_room)
            continue;
        uint64_t *leaves = calloc(room, sizeof *leaves);
        if (!leaves)
            return false;
        free(d->leaves);
        d->leaves = leaves;
        d->leaves_room = room;
        d->leaves_head = d->leaves_n = 0;
    }
    w->fault = f;
    return true;
}

const struct wire *memwire_end(struct memwire *w, unsigned end)
{
    return &w->dir[end].send;
}

void memwire_set_time(struct memwire *w, uint64_t now_us)
{
    w->now = now_us;
}

unsigned memwire_receive(struct memwire *w, unsigned end, struct rte_mbuf **frames, unsigned n)
{
    struct heap *h = &w->dir[!end].heap;
    unsigned got = 0;
    while (got < n && h->n && h->f[0].arrival <= w->now) {
        struct rte_mbuf *m = heap_pop(h);
        if (w->port.verify)
            memwire_verify(m);
        if (w->port.gather && got && memwire_gather(frames[got - 1], m))
            continue;
        if (w->port.piece && m->pkt_len > w->port.piece && !w->port.gather)
            m = memwire_spread(w->pool, m, w->port.piece);
        if (m)
            frames[got++] = m;
    }
    return got;
}

void memwire_set_port(struct memwire *w, const struct memwire_port *port)
{
    w->port = *port;
}

uint64_t memwire_next(const struct memwire *w)
{
    uint64_t next = UINT64_MAX;
    for (unsigned e = 0; e < 2; e++) {
        const struct heap *h = &w->dir[e].heap;
        if (h->n && h->f[0].arrival < next)
            next = h->f[0].arrival;
    }
    return next;
}
