/* flow.c: the flow table of a worker: tuple to connection. Open addressing with linear probing over slots of
 * eight bytes (full hash, index), at most half full, backward-shift deletion (Knuth 6.4, algorithm R).
 *
 * The hash is our own keyed one and not the NIC's, though the NIC's is free. Ours takes 3.3 ns, three
 * multiplications, of a request's several hundred: there is nothing to win. And Toeplitz is linear: whoever
 * knows two tuples that collide knows the difference that makes any two collide, whatever the key; the
 * symmetric key repeats 16 bits, so that it would hide 16 bits at best, and it must be the one that software
 * steering uses. Besides, a reassembled datagram carries the hash of its addresses alone (or none), an active
 * open has no packet to take it from, and no software link hashes. */
#include <stdlib.h>

#include "tcp/conn.h"

bool tcp_flow_new(struct tcp_stack *s)
{
    uint32_t slots = 64;
    while (slots < 2 * (uint64_t)s->conf.max_conns)
        slots *= 2;
    s->flows = calloc(slots, sizeof *s->flows);
    s->flow_mask = slots - 1;
    return s->flows != NULL;
}

struct tcp_conn *tcp_flow_find(struct tcp_stack *s, const struct tcp_tuple *t, uint32_t hash)
{
    for (uint32_t i = hash & s->flow_mask; s->flows[i].conn; i = (i + 1) & s->flow_mask) {
        if (s->flows[i].hash != hash)
            continue;
        struct tcp_conn *c = &s->conns[s->flows[i].conn - 1];
        if (likely(tcp_tuple_is(&c->tuple, &t->local, &t->remote, tcp_ports(t->local_port, t->remote_port))))
            return c;
    }
    return NULL;
}

void tcp_flow_add(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    uint32_t hash = tcp_flow_hash(&s->secret, &c->tuple);
    uint32_t i = hash & s->flow_mask;
    while (s->flows[i].conn)
        i = (i + 1) & s->flow_mask;
    s->flows[i] = (struct tcp_flow_slot){hash, conn_index(c) + 1};
}

void tcp_flow_remove(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    uint32_t mask = s->flow_mask, mine = conn_index(c) + 1;
    uint32_t i = tcp_flow_hash(&s->secret, &c->tuple) & mask;
    while (s->flows[i].conn != mine) {
        if (!s->flows[i].conn)
            return;
        i = (i + 1) & mask;
    }
    /* Close the gap: a later slot moves here if its home lies at or before the gap. */
    for (uint32_t j = (i + 1) & mask; s->flows[j].conn; j = (j + 1) & mask) {
        uint32_t home = s->flows[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            s->flows[i] = s->flows[j];
            i = j;
        }
    }
    s->flows[i] = (struct tcp_flow_slot){0, 0};
}

/* The frame that this segment probably acknowledges: by now the connection asked for some calls ago is here.
 */
static void prefetch_frame(struct tcp_stack *s, struct tcp_conn *next)
{
    struct tcp_conn **at = &s->ahead[s->ahead_at++ % TCP_AHEAD];
    if (*at && (*at)->tx_head) {
        __builtin_prefetch((*at)->tx_head, 1);
        __builtin_prefetch((const char *)(*at)->tx_head + s->buffer_gap, 1);
    }
    *at = next;
}

void tcp_prefetch(struct tcp_stack *s, struct rte_mbuf *m, struct net_packet *p)
{
    m->hash.usr = 0;
    if (unlikely(rte_pktmbuf_data_len(m) < p->l4_off + 4u))
        return;
    const uint8_t *h = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
    m->hash.usr = p->flow = tcp_flow_hash_of(&s->secret, &p->dst, &p->src, get32(h));
    __builtin_prefetch(&s->flows[m->hash.usr & s->flow_mask]);
}

void tcp_prefetch_conn(struct tcp_stack *s, const struct rte_mbuf *m)
{
    uint32_t hash = m->hash.usr;
    const struct tcp_flow_slot *slot = &s->flows[hash & s->flow_mask];
    if (slot->hash != hash || !slot->conn) { /* displaced or unknown: at least the slots come in */
        __builtin_prefetch(slot + 1);
        return;
    }
    struct tcp_conn *c = &s->conns[slot->conn - 1];
    __builtin_prefetch(c, 1);
    __builtin_prefetch(&c->rx_head, 1);
    __builtin_prefetch(&c->tx_head, 1);
    prefetch_frame(s, c);
}
