/* attack.c: the table of attacks, the rate they are held to, and those that need no connection. */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_icmp.h>

#include "attack.h"
#include "checksum.h"

enum {
    BUDGET_MAX = 128,    /* packets that may leave in one turn */
    FRAGMENT_SIZE = 64,  /* bytes behind the IP header */
    PING_SIZE = 64,      /* bytes of an echo request, ICMP header included */
    ONE_NET = 0xc6336400 /* 198.51.100.0/24, documentation (RFC 5737) */
};

struct ip_frame {
    struct rte_ether_hdr eth;
    struct rte_ipv4_hdr ip;
    uint8_t payload[];
};

uint64_t attack_random(struct attack *a)
{
    /* xorshift128+: fast, and nobody's secret depends on it */
    uint64_t x = a->rng[0], y = a->rng[1];
    a->rng[0] = y;
    x ^= x << 23;
    a->rng[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
    return a->rng[1] + y;
}

/* 11.0.0.0 to 110.255.255.255: unicast, and nobody's who takes part. */
static uint32_t any_source(uint64_t random)
{
    return (11 + (uint32_t)(random >> 32) % 100) << 24 | (uint32_t)(random & 0xffffff);
}

/* An IP packet with size bytes of payload, which the caller writes before attack_ip_done. */
static struct ip_frame *ip_begin(struct attack *a, struct rte_mbuf **m, uint32_t source, uint8_t protocol)
{
    *m = link_frame(a->cl->link);
    if (!*m)
        return NULL;
    struct ip_frame *f = rte_pktmbuf_mtod(*m, struct ip_frame *);
    memcpy(f, a->cl->header, sizeof *f);
    f->ip.next_proto_id = protocol;
    f->ip.src_addr = rte_cpu_to_be_32(source);
    f->ip.packet_id = rte_cpu_to_be_16(a->cl->ip_id++);
    return f;
}

static bool ip_end(struct attack *a, struct rte_mbuf *m, unsigned size)
{
    struct ip_frame *f = rte_pktmbuf_mtod(m, struct ip_frame *);
    f->ip.total_length = rte_cpu_to_be_16((uint16_t)(sizeof f->ip + size));
    f->ip.hdr_checksum = 0;
    f->ip.hdr_checksum = (uint16_t)~sum_bytes((const uint8_t *)&f->ip, sizeof f->ip);
    m->data_len = (uint16_t)(sizeof *f + size);
    m->pkt_len = m->data_len;
    a->sent++;
    link_send(a->cl->link, m);
    return true;
}

bool attack_send_segment(struct attack *a, const struct attack_segment *s)
{
    static const uint8_t mss[4] = {2, 4, 1460 >> 8, 1460 & 255};
    unsigned header = sizeof(struct rte_tcp_hdr) + (s->flags & RTE_TCP_SYN_FLAG ? sizeof mss : 0);
    struct rte_mbuf *m;
    struct ip_frame *f = ip_begin(a, &m, s->source, IPPROTO_TCP);
    if (!f)
        return false;
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)f->payload;
    *tcp = (struct rte_tcp_hdr){.src_port = rte_cpu_to_be_16(s->port),
                                .dst_port = rte_cpu_to_be_16(s->to_port),
                                .sent_seq = rte_cpu_to_be_32(s->seq),
                                .recv_ack = rte_cpu_to_be_32(s->ack),
                                .data_off = (uint8_t)(header << 2),
                                .tcp_flags = s->flags,
                                .rx_win = rte_cpu_to_be_16(s->window)};
    memcpy(tcp + 1, mss, header - sizeof *tcp);
    if (s->size)
        memcpy(f->payload + header, s->data, s->size);
    unsigned size = header + s->size;
    uint32_t pseudo = sum_bytes((const uint8_t *)&f->ip.src_addr, 8) + RTE_BE16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)size);
    tcp->cksum = (uint16_t)~sum_fold(pseudo + sum_bytes(f->payload, size));
    return ip_end(a, m, size);
}

/* -- attacks of single packets */

static bool bare_segment(struct attack *a, uint32_t source, uint16_t to_port, uint8_t flags)
{
    uint64_t r = attack_random(a), n = attack_random(a);
    return attack_send_segment(a, &(struct attack_segment){.source = source,
                                                           .port = (uint16_t)(1024 + (r & 0x7fff)),
                                                           .to_port = to_port,
                                                           .seq = (uint32_t)n,
                                                           .ack = (uint32_t)(n >> 32),
                                                           .window = 65535,
                                                           .flags = flags});
}

static bool syn_any(struct attack *a)
{
    return bare_segment(a, any_source(attack_random(a)), a->cl->peer_port, RTE_TCP_SYN_FLAG);
}

static bool syn_one_net(struct attack *a)
{
    return bare_segment(a, ONE_NET | (attack_random(a) & 0xff), a->cl->peer_port, RTE_TCP_SYN_FLAG);
}

static bool ack_any(struct attack *a)
{
    return bare_segment(a, any_source(attack_random(a)), a->cl->peer_port, RTE_TCP_ACK_FLAG);
}

/* SYNs to ports in turn, from a handful of addresses. */
static bool port_scan(struct attack *a)
{
    a->next = a->next % 65535 + 1;
    return bare_segment(a, ONE_NET | (attack_random(a) & 7), (uint16_t)a->next, RTE_TCP_SYN_FLAG);
}

/* Resets for connections of the good clients, whose numbers the attacker has to guess. */
static bool reset_guess(struct attack *a)
{
    struct client *cl = a->cl;
    uint64_t r = attack_random(a);
    uint32_t i = (uint32_t)(r >> 32) % cl->count;
    return attack_send_segment(
        a, &(struct attack_segment){.source = cl->link->local_ip + i / LOADGEN_CONNS_PER_ADDRESS,
                                    .port = (uint16_t)(LOADGEN_PORT_BASE + i % LOADGEN_CONNS_PER_ADDRESS),
                                    .to_port = cl->peer_port,
                                    .seq = (uint32_t)r,
                                    .flags = RTE_TCP_RST_FLAG});
}

/* First fragments whose rest never comes. */
static bool fragment(struct attack *a)
{
    struct rte_mbuf *m;
    uint64_t r = attack_random(a);
    struct ip_frame *f = ip_begin(a, &m, any_source(r), IPPROTO_TCP);
    if (!f)
        return false;
    f->ip.packet_id = (uint16_t)r;
    f->ip.fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
    memset(f->payload, 0, FRAGMENT_SIZE);
    return ip_end(a, m, FRAGMENT_SIZE);
}

static bool ping(struct attack *a)
{
    struct rte_mbuf *m;
    struct ip_frame *f = ip_begin(a, &m, any_source(attack_random(a)), IPPROTO_ICMP);
    if (!f)
        return false;
    memset(f->payload, 0, PING_SIZE);
    struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)f->payload;
    icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
    icmp->icmp_seq_nb = (uint16_t)attack_random(a);
    icmp->icmp_cksum = (uint16_t)~sum_bytes(f->payload, PING_SIZE);
    return ip_end(a, m, PING_SIZE);
}

static const struct attack_kind kinds[] = {
    {"syn", "SYNs from random addresses", syn_any, 0},
    {"syn24", "SYNs from one /24", syn_one_net, 0},
    {"ack", "ACKs for no connection, from random addresses", ack_any, 0},
    {"rst", "resets with guessed numbers for the good clients' connections", reset_guess, 0},
    {"fragment", "first fragments whose rest never comes, from random addresses", fragment, 0},
    {"icmp", "echo requests from random addresses", ping, 0},
    {"scan", "SYNs to all ports in turn", port_scan, 0},
    {"small", "connections that send PING a byte a segment", attack_small, 65535},
    {"slowread", "connections that ask for 256 KB and read a byte at a time", attack_slow_reader, 1460},
    {"slowloris", "connections whose request of 100 MB comes byte by byte", attack_slow_request, 65535},
    {"churn", "connections that open, ask PING and close", attack_churn, 65535},
};

/* -- life and rate */

struct attack *attack_new(struct client *cl, const char *kind, uint32_t conns, char *error, size_t size)
{
    size_t i = 0;
    while (i < RTE_DIM(kinds) && strcmp(kinds[i].name, kind) != 0)
        i++;
    if (i == RTE_DIM(kinds)) {
        snprintf(error, size, "unknown attack '%s'", kind);
        return NULL;
    }
    struct attack *a = calloc(1, sizeof *a);
    struct attacker *attackers = calloc(conns, sizeof *attackers);
    if (!a || !attackers) {
        snprintf(error, size, "no memory for %u attackers", conns);
        free(a);
        free(attackers);
        return NULL;
    }
    *a = (struct attack){.cl = cl,
                         .kind = &kinds[i],
                         .rng = {rte_rdtsc() | 1, 0x9e3779b97f4a7c15ull},
                         .conns = attackers,
                         .count = conns};
    return a;
}

void attack_free(struct attack *a)
{
    if (!a)
        return;
    free(a->conns);
    free(a);
}

void attack_rate(struct attack *a, double rate)
{
    a->rate = rate;
    a->budget = 0;
    a->filled_at = a->cl->now;
    a->sent = a->skipped = a->turns = a->full_turns = 0;
    if (rate <= 0)
        attack_conns_reset(a);
}

void attack_turn(struct attack *a)
{
    if (a->rate <= 0)
        return;
    const struct link *l = a->cl->link;
    a->budget += (double)(a->cl->now - a->filled_at) * a->rate / (double)rte_get_tsc_hz();
    a->filled_at = a->cl->now;
    a->turns++;
    a->full_turns += l->backlog > 0;
    /* What finds the link full is lost: it must not queue up in front of the good clients' frames. */
    unsigned most = l->backlog ? LINK_BURST : BUDGET_MAX;
    while (a->budget >= 1 && l->backlog < most) {
        uint64_t sent = a->sent;
        if (!a->kind->send(a))
            break;
        a->budget -= (double)(a->sent - sent);
    }
    if (a->budget > BUDGET_MAX) {
        a->skipped += (uint64_t)(a->budget - BUDGET_MAX);
        a->budget = BUDGET_MAX;
    }
}

void attack_list(char *to, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < RTE_DIM(kinds) && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "    %-10s %s\n", kinds[i].name, kinds[i].what);
}
