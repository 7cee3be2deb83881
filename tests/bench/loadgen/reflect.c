/* reflect.c: answers SYN, SET, GET and FIN from the segment alone. */
#include <sched.h>
#include <string.h>

#include <rte_cycles.h>

#include "checksum.h"
#include "reflect.h"

enum { TCP_AT = sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr), PAYLOAD_MAX = 1448, POLITE_ROUNDS = 16 };

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

/* Turns addresses, ports and timestamps round and fills in what depends on the size. */
static void send_back(struct link *l, struct rte_mbuf *out, const struct packet *in, unsigned tcp_size, unsigned size,
                      uint8_t flags, uint32_t ack)
{
    struct packet *p = rte_pktmbuf_mtod(out, struct packet *);
    unsigned l4 = tcp_size + size;
    p->eth.src_addr = l->mac;
    p->eth.dst_addr = in->eth.src_addr;
    p->ip.src_addr = in->ip.dst_addr;
    p->ip.dst_addr = in->ip.src_addr;
    p->ip.total_length = rte_cpu_to_be_16((uint16_t)(sizeof p->ip + l4));
    p->ip.hdr_checksum = 0;
    p->ip.hdr_checksum = (uint16_t)~sum_bytes((const uint8_t *)&p->ip, sizeof p->ip);
    p->tcp.src_port = in->tcp.dst_port;
    p->tcp.dst_port = in->tcp.src_port;
    p->tcp.sent_seq = in->tcp.recv_ack;
    p->tcp.recv_ack = rte_cpu_to_be_32(ack);
    p->tcp.tcp_flags = flags;
    p->tcp.cksum = 0;
    uint32_t pseudo = sum_bytes((const uint8_t *)&p->ip.src_addr, 8) + RTE_BE16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)l4);
    p->tcp.cksum = (uint16_t)~sum_fold(pseudo + sum_bytes((const uint8_t *)&p->tcp, l4));
    out->data_len = (uint16_t)(TCP_AT + l4);
    out->pkt_len = out->data_len;
    link_send(l, out);
}

static void reflect(struct link *l, const struct workload *w, const struct packet *in, unsigned frame_size)
{
    unsigned total = rte_be_to_cpu_16(in->ip.total_length), tcp_size = (in->tcp.data_off >> 4) * 4u;
    if (sizeof in->eth + total > frame_size || tcp_size < 20 || sizeof in->ip + tcp_size > total)
        return;
    unsigned size = total - (unsigned)sizeof in->ip - tcp_size;
    uint8_t flags = in->tcp.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG);
    if ((flags | size) == 0 || flags & RTE_TCP_RST_FLAG)
        return;
    struct rte_mbuf *out = link_frame(l);
    if (!out)
        return;
    struct packet *p = rte_pktmbuf_mtod(out, struct packet *);
    memcpy(p, in, TCP_AT + tcp_size);
    if (tcp_size >= 32) { /* our clock is always one; theirs comes back */
        memcpy(p->option + 8, in->option + 4, 4);
        memset(p->option + 4, 1, 4);
    }
    unsigned reply = answer(w, (const uint8_t *)in + TCP_AT + tcp_size, size, (uint8_t *)p + TCP_AT + tcp_size);
    uint32_t ack = rte_be_to_cpu_32(in->tcp.sent_seq) + size + (flags != 0);
    send_back(l, out, in, tcp_size, reply, flags | RTE_TCP_ACK_FLAG, ack);
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
        unsigned n = link_rx(l, frames);
        for (unsigned i = 0; i < n; i++)
            rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
        for (unsigned i = 0; i < n; i++) {
            const struct packet *in = rte_pktmbuf_mtod(frames[i], const struct packet *);
            unsigned size = rte_pktmbuf_data_len(frames[i]);
            if (in->eth.ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
                link_arp(l, frames[i]);
            else if (size >= TCP_AT + sizeof in->tcp && in->ip.next_proto_id == IPPROTO_TCP &&
                     !lost(&coin, o->drop_one_in) && !lost(&coin, o->drop_one_in))
                reflect(l, w, in, size);
        }
        rte_pktmbuf_free_bulk(frames, n);
        if (l->backlog)
            link_flush(l);
        if (n == 0 && o->polite && ++round % POLITE_ROUNDS == 0)
            sched_yield();
    }
}
