/* queue.c: one worker's receive and transmit: bursts, steering, the backlog, and sleep. No lock, no call that
 * blocks but port_idle. */
#include "drivers/internal.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

/* Headers with TCP's options reach into the second line, where a request begins; one that stores a short value with a time ends in
 * the fourth. The CPU itself notices who reads on behind that. */
enum { HEADER_LINES = 2, REQUEST_LINES = 4 };

/* Counts a burst, and asks for its frames long before anybody reads them: the headers of all first. */
static void arrived(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    enum { LINE = RTE_CACHE_LINE_SIZE };
    uint64_t bytes = 0;
    bool longer = false;
    for (unsigned i = 0; i < n; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
        rte_prefetch0(rte_pktmbuf_mtod_offset(frames[i], void *, LINE));
        bytes += frames[i]->pkt_len;
        longer |= frames[i]->pkt_len > HEADER_LINES * LINE;
    }
    for (unsigned i = 0; longer && i < n; i++)
        for (unsigned at = HEADER_LINES * LINE; at < REQUEST_LINES * LINE && at < rte_pktmbuf_data_len(frames[i]); at += LINE)
            rte_prefetch0(rte_pktmbuf_mtod_offset(frames[i], void *, at));
    count_one(q->counters, COUNTER_rx_bursts);
    count_add(q->counters, COUNTER_rx_packets, n);
    count_add(q->counters, COUNTER_rx_bytes, bytes);
}

unsigned port_rx(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    unsigned got = rte_eth_rx_burst(q->port_id, q->index, frames, (uint16_t)n);
    if (got)
        arrived(q, frames, got);
    if (!q->steer)
        return got;
    got = steer_out(q->steer, q->index, q->pool, frames, got, q->counters);
    unsigned handed = steer_in(q->steer, q->index, frames + got, n - got);
    for (unsigned i = got; i < got + handed; i++)
        rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
    return got + handed;
}

bool port_pass(struct port_queue *q, struct rte_mbuf *m)
{
    return q->steer && steer_pass(q->steer, q->index, m, q->counters);
}

bool port_owns(const void *queue, const struct endpoint *local, const struct endpoint *remote)
{
    const struct port_queue *q = queue;
    if (!q->steer)
        return true;
    const struct port *p = q->port;
    int view = steer_port_owner(q->steer, local->port);
    if (view >= 0)
        return view == q->index;
    uint32_t hash = steer_hash(q->steer, local, remote);
    if (!p->rss)
        return steer_worker(q->steer, hash) == q->index;
    return (p->reta_size ? p->reta[hash % p->reta_size] : hash % p->workers) == q->index;
}

/* Frames the device has taken of n. */
static unsigned transmit(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    unsigned sent = rte_eth_tx_burst(q->port_id, q->index, frames, (uint16_t)n);
    if (sent)
        count_add(q->counters, COUNTER_tx_packets, sent);
    return sent;
}

static void drop(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += frames[i]->pkt_len;
    count_add(q->counters, COUNTER_tx_bytes, -bytes); /* net counted them when it sent them */
    count_add(q->counters, COUNTER_tx_full_drops, n);
    rte_pktmbuf_free_bulk(frames, n);
}

static void keep(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    unsigned room = BACKLOG - q->backlog_n, kept = RTE_MIN(room, n);
    for (unsigned i = 0; i < kept; i++)
        q->backlog[(q->backlog_head + q->backlog_n++) % BACKLOG] = frames[i];
    if (kept < n)
        drop(q, frames + kept, n - kept);
    *q->full = true;
}

/* What a driver wants to see in the headers of a frame that it has to cut up. Takes out what it refuses. */
static unsigned prepare(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    unsigned good = 0;
    for (unsigned i = 0; i < n; i++) {
        bool large = frames[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
        if (large && rte_eth_tx_prepare(q->port_id, q->index, &frames[i], 1) != 1)
            drop(q, &frames[i], 1);
        else
            frames[good++] = frames[i];
    }
    return good;
}

void port_tx(void *queue, struct rte_mbuf **frames, unsigned n)
{
    struct port_queue *q = queue;
    if (q->prepare)
        n = prepare(q, frames, n);
    if (q->backlog_n)
        port_tx_retry(q);
    unsigned sent = q->backlog_n ? 0 : transmit(q, frames, n);
    if (sent < n)
        keep(q, frames + sent, n - sent);
}

static void step(struct port_queue *q)
{
    q->backlog_head = (q->backlog_head + 1) % BACKLOG;
    q->backlog_n--;
}

/* The device has taken nothing for a while. If it takes the frames behind the one at the head again and again, but never that one, it
 * is that which it refuses (too long for it): away with it. Else it is the device that rests, or that has no peer: all wait. One that
 * waits alone goes in the end, since nobody can tell. */
static void give_up(struct port_queue *q)
{
    uint64_t now = rte_rdtsc(), patience = rte_get_tsc_hz() / (q->backlog_n > 1 ? TX_STUCK_PER_SECOND : TX_ALONE_PER_SECOND);
    if (!q->stuck_since)
        q->stuck_since = now;
    if (now - q->stuck_since < patience)
        return;
    struct rte_mbuf **head = &q->backlog[q->backlog_head], **second = &q->backlog[(q->backlog_head + 1) % BACKLOG];
    bool doubted = true;
    q->stuck_since = now;
    if (q->backlog_n > 1) {
        if (!transmit(q, second, 1))
            return;
        *second = *head; /* that one has left: the head takes its place */
        head = second;
        step(q);
        doubted = ++q->doubts == TX_DOUBTS;
    }
    bool left = transmit(q, head, 1); /* it had only just woken up, or had one place */
    if (!left && !doubted)
        return;
    if (!left)
        drop(q, head, 1);
    q->doubts = 0;
    step(q);
}

bool port_tx_retry(struct port_queue *q)
{
    while (q->backlog_n) {
        unsigned straight = RTE_MIN(q->backlog_n, BACKLOG - q->backlog_head);
        unsigned sent = transmit(q, q->backlog + q->backlog_head, straight);
        q->backlog_head = (q->backlog_head + sent) % BACKLOG;
        q->backlog_n -= sent;
        if (sent)
            q->stuck_since = q->doubts = 0;
        if (sent < straight) {
            give_up(q);
            return q->backlog_n == 0;
        }
    }
    return true;
}

void port_watch(struct port_queue *q, bool *full)
{
    q->full = full;
}

void port_idle(struct port_queue *q, unsigned usec)
{
    const struct timespec t = {usec / 1000000, (long)(usec % 1000000) * 1000};
    if (q->wake_fd < 0) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
        return;
    }
    struct pollfd p = {.fd = q->wake_fd, .events = POLLIN};
    rte_eth_dev_rx_intr_enable(q->port_id, q->index);
    int ready = ppoll(&p, 1, &t, NULL);
    rte_eth_dev_rx_intr_disable(q->port_id, q->index);
    uint64_t ticks;
    if (ready > 0 && q->wake_event && read(q->wake_fd, &ticks, sizeof ticks) < 0)
        return;
}
