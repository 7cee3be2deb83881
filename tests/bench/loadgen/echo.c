/* echo.c: the rate at which frames come back. */
#include <sched.h>

#include <rte_cycles.h>

#include "conn.h"
#include "echo.h"

enum { ECHO_BURST = 32, LOST_AFTER_MS = 2, HEADERS = 54, POLITE_ROUNDS = 16 };

/* IPv4 and TCP, so that 5tswap has five things to swap; from ever different ports as from many connections. */
static void write_frame(struct link *l, struct rte_mbuf *m, unsigned size, uint64_t n)
{
    struct {
        struct rte_ether_hdr eth;
        struct rte_ipv4_hdr ip;
        struct rte_tcp_hdr tcp;
    } *p = (void *)rte_pktmbuf_append(m, (uint16_t)size);
    static const struct rte_ether_addr box = {{2, 0, 0, 0, 0, 2}};
    memset(p, 0, sizeof *p);
    p->eth.src_addr = l->mac;
    p->eth.dst_addr = box;
    p->eth.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
    p->ip.version_ihl = RTE_IPV4_VHL_DEF;
    p->ip.total_length = rte_cpu_to_be_16((uint16_t)(size - sizeof p->eth));
    p->ip.time_to_live = 64;
    p->ip.next_proto_id = IPPROTO_TCP;
    p->ip.src_addr = rte_cpu_to_be_32(l->local_ip);
    p->ip.dst_addr = rte_cpu_to_be_32(l->peer_ip);
    p->ip.hdr_checksum = rte_ipv4_cksum(&p->ip);
    p->tcp.src_port = rte_cpu_to_be_16((uint16_t)(LOADGEN_PORT_BASE + n % 1000));
    p->tcp.dst_port = RTE_BE16(6379);
    p->tcp.data_off = 5 << 4;
    p->tcp.tcp_flags = RTE_TCP_ACK_FLAG;
}

static unsigned count_returned(struct link *l, unsigned size, struct echo_result *r)
{
    struct rte_mbuf *frames[LINK_BURST];
    unsigned n = link_rx(l, frames), ours = 0;
    for (unsigned i = 0; i < n; i++)
        ours += rte_pktmbuf_pkt_len(frames[i]) == size;
    rte_pktmbuf_free_bulk(frames, n);
    r->foreign += n - ours;
    r->bursts_in += ours > 0;
    return ours;
}

static void echo_for(struct link *l, const struct options *o, double seconds, struct echo_result *r)
{
    uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), end = start + (uint64_t)(seconds * (double)hz), now;
    uint64_t heard = start, round = 0;
    unsigned on_the_way = 0;
    *r = (struct echo_result){0};
    while ((now = rte_rdtsc()) < end) {
        unsigned n = count_returned(l, o->frame_size, r);
        r->received += n;
        on_the_way -= RTE_MIN(n, on_the_way);
        if (n) {
            heard = now;
        } else if (now - heard > hz / 1000 * LOST_AFTER_MS) {
            /* The echo drops what its own ring cannot take. */
            r->lost += on_the_way - l->backlog;
            on_the_way = l->backlog;
            heard = now;
        }
        for (unsigned i = 0; i < ECHO_BURST && on_the_way < o->in_flight; i++) {
            struct rte_mbuf *m = link_frame(l);
            if (!m)
                break;
            write_frame(l, m, o->frame_size, r->sent++);
            link_send(l, m);
            on_the_way++;
        }
        link_flush(l);
        if (n == 0 && o->polite && ++round % POLITE_ROUNDS == 0)
            sched_yield();
    }
    r->seconds = (double)(now - start) / (double)hz;
}

void echo_run(struct link *l, const struct options *o, struct echo_result *out)
{
    echo_for(l, o, o->warmup_s, out);
    echo_for(l, o, o->seconds, out);
}
