/* reflect.c: answers SYN, SET, GET and FIN from the segment alone, in the frame it came in. */
#include <sched.h>
#include <string.h>

#include <rte_cycles.h>

#include "checksum.h"
#include "reflect.h"

enum {
    TCP_AT = sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr),
    PAYLOAD_MAX = 1448,
    POLITE_ROUNDS = 16
};

struct packet {
    struct rte_ether_hdr eth;
    struct rte_ipv4_hdr ip;
    struct rte_tcp_hdr tcp;
    uint8_t option[40];
};

/* Writes the replies to the whole requests of a segment; returns their size. */
static unsigned answer(const struct workload *w, const uint8_t *p, unsigned n, uint8_t *to)
{
    unsigned size = 0;
    while (n >= w->request_size[0]) {
        bool set = memcmp(p, w->head[1].byte, w->head[1].size) == 0;
        unsigned request = w->request_size[set], reply = w->reply_size[set];
        if (n < request || size + reply > PAYLOAD_MAX)
            break;
        if (set) {
            memcpy(to + size, "+OK\r\n", 5);
        } else {
            memcpy(to + size, w->reply_head.byte, w->reply_head.size);
            uint8_t *value = to + size + w->reply_head.size;
            value_write(value_seed(p + w->head[0].size), value, w->value_size);
            memcpy(value + w->value_size, "\r\n", 2);
        }
        size += reply;
        p += request;
        n -= request;
    }
    return size;
}

/* Turns addresses, ports and timestamps round, where they stand, and fills in what depends on the size. */
static void turn(struct link *l, struct packet *p, unsigned tcp_size, unsigned size, uint8_t flags, uint32_t ack)
{
    unsigned l4 = tcp_size + size;
    uint32_t address = p->ip.src_addr, seq = p->tcp.recv_ack;
    uint16_t port = p->tcp.src_port;
    p->eth.dst_addr = p->eth.src_addr;
    p->eth.src_addr = l->mac;
    p->ip.src_addr = p->ip.dst_addr;
    p->ip.dst_addr = address;
    p->ip.total_length = rte_cpu_to_be_16((uint16_t)(sizeof p->ip + l4));
    p->ip.hdr_checksum = 0;
    p->ip.hdr_checksum = (uint16_t)~sum_bytes((const uint8_t *)&p->ip, sizeof p->ip);
    p->tcp.src_port = p->tcp.dst_port;
    p->tcp.dst_port = port;
    p->tcp.sent_seq = seq;
    p->tcp.recv_ack = rte_cpu_to_be_32(ack);
    p->tcp.tcp_flags = flags;
    p->tcp.cksum = 0;
    if (tcp_size >= 32) { /* our clock is always one; theirs comes back */
        memcpy(p->option + 8, p->option + 4, 4);
        memset(p->option + 4, 1, 4);
    }
    uint32_t pseudo = sum_bytes((const uint8_t *)&p->ip.src_addr, 8) + RTE_BE16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)l4);
    p->tcp.cksum = (uint16_t)~sum_fold(pseudo + sum_bytes((const uint8_t *)&p->tcp, l4));
}

/* Makes the answer of the frame itself, as an echo does: its lines are here already, and no other frame's have to come. False: there
 * is nothing to say. */
static bool reflect(struct link *l, const struct workload *w, struct rte_mbuf *m)
{
    struct packet *p = rte_pktmbuf_mtod(m, struct packet *);
    unsigned total = rte_be_to_cpu_16(p->ip.total_length), tcp_size = (p->tcp.data_off >> 4) * 4u;
    if (sizeof p->eth + total > rte_pktmbuf_data_len(m) || tcp_size < 20 || sizeof p->ip + tcp_size > total)
        return false;
    unsigned size = total - (unsigned)sizeof p->ip - tcp_size;
    uint8_t flags = p->tcp.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG);
    uint8_t request[PAYLOAD_MAX], *text = (uint8_t *)p + TCP_AT + tcp_size;
    if ((flags | size) == 0 || flags & RTE_TCP_RST_FLAG || size > sizeof request)
        return false;
    if (rte_pktmbuf_data_len(m) + rte_pktmbuf_tailroom(m) < TCP_AT + tcp_size + PAYLOAD_MAX)
        return false;
    memcpy(request, text, size); /* the reply comes to stand there */
    unsigned reply = answer(w, request, size, text);
    uint32_t ack = rte_be_to_cpu_32(p->tcp.sent_seq) + size + (flags != 0);
    turn(l, p, tcp_size, reply, flags | RTE_TCP_ACK_FLAG, ack);
    m->data_len = (uint16_t)(TCP_AT + tcp_size + reply);
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    link_send(l, m);
    return true;
}

/* Headers with timestamps reach into the second line, where a request begins. */
static void ask_for(struct rte_mbuf **frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
        rte_prefetch0(rte_pktmbuf_mtod_offset(frames[i], void *, RTE_CACHE_LINE_SIZE));
    }
}

/* A cheap coin for losses. */
static bool lost(uint64_t *state, unsigned one_in)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return one_in && (*state >> 33) % one_in == 0;
}

void reflect_run(struct link *l, const struct workload *w, const struct options *o)
{
    uint64_t end = rte_rdtsc() + (uint64_t)(o->seconds * (double)rte_get_tsc_hz()), coin = o->seed, round = 0;
    struct rte_mbuf *frames[LINK_BURST];
    while (rte_rdtsc() < end) {
        unsigned n = link_rx(l, frames), left = 0;
        ask_for(frames, n);
        for (unsigned i = 0; i < n; i++) {
            const struct packet *in = rte_pktmbuf_mtod(frames[i], const struct packet *);
            unsigned size = rte_pktmbuf_data_len(frames[i]);
            bool answered = false;
            if (in->eth.ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
                link_arp(l, frames[i]);
            else if (frames[i]->nb_segs == 1 && size >= TCP_AT + sizeof in->tcp && in->ip.next_proto_id == IPPROTO_TCP &&
                     !lost(&coin, o->drop_one_in) && !lost(&coin, o->drop_one_in))
                answered = reflect(l, w, frames[i]);
            if (!answered)
                frames[left++] = frames[i];
        }
        rte_pktmbuf_free_bulk(frames, left);
        if (l->backlog)
            link_flush(l);
        if (n == 0 && o->polite && ++round % POLITE_ROUNDS == 0)
            sched_yield();
    }
}
