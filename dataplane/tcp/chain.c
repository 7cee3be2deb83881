/* chain.c: many queued segments leave as one frame when the port cuts it up again (TCP segmentation offload:
 * enum net_offload, NET_TX_TSO). The frames of the send queue are chained as they stand: the first carries
 * the headers, each of the others its payload alone, and nothing is copied or allocated.
 *
 *     tx_send ──► [headers|mss] ─next─► [mss] ─next─► [mss] ─next─► [rest]
 *
 * All but the last are full segments, so that the port cuts exactly where the queue does, and what is lost of
 * it is later sent again frame by frame. Only frames that have never been sent are chained: of them nobody
 * but the queue holds a reference, and no chain of before hangs on them. mbuf->next stays set after the port
 * has let go of a frame; whoever sends it again unlinks it (bare_frame in output.c). */
#include "tcp/conn.h"

enum { CHAIN_BYTES = UINT16_MAX - 40 - TCP_HEADER - TCP_TS_SPACE }; /* the length field of IP */

static bool joins(const struct rte_mbuf *m)
{
    const struct tcp_frame *f = frame_of(m);
    return f->len && !f->flags && rte_mbuf_refcnt_read(m) == 1;
}

struct rte_mbuf *tcp_chain_end(const struct tcp_conn *c, uint32_t room)
{
    struct rte_mbuf *last = c->tx_send;
    uint32_t bytes = frame_of(last)->len;
    if (!joins(last))
        return last;
    for (unsigned n = 1; n < c->stack->conf.chain_frames && frame_of(last)->len == c->mss; n++) {
        struct rte_mbuf *next = frame_of(last)->next;
        if (!next || !joins(next) || bytes + frame_of(next)->len > RTE_MIN(room, (uint32_t)CHAIN_BYTES))
            break;
        bytes += frame_of(next)->len;
        last = next;
    }
    return last;
}

void tcp_chain(struct rte_mbuf *head, const struct rte_mbuf *last, uint64_t now_us)
{
    for (struct rte_mbuf *tail = head; tail != last;) {
        struct rte_mbuf *m = frame_of(tail)->next;
        struct tcp_frame *f = frame_of(m);
        rte_mbuf_refcnt_update(m, 1);
        m->data_off = f->off;
        m->data_len = f->len;
        m->ol_flags = 0;
        f->sent_us = now_us;
        tail->next = m;
        head->nb_segs++;
        head->pkt_len += f->len;
        tail = m;
    }
}
