/* fake_net.c: a stand-in for dataplane/net at segment level. */
#include "fake_net.h"

#include <rte_ip.h>
#include <rte_mempool.h>

enum { L2 = 14 };

/* -- what the stack sees of net */

struct net_path *net_path_get(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                              uint64_t now_us)
{
    struct bench *b = (struct bench *)n;
    (void)src;
    (void)dst;
    (void)now_us;
    if (b->no_path)
        return NULL;
    b->paths++;
    return (struct net_path *)b;
}

void net_path_put(struct net_if *n, struct net_path *p)
{
    (void)p;
    ((struct bench *)n)->paths--;
}

uint16_t net_path_mtu(const struct net_path *p)
{
    const struct bench *b = (const struct bench *)p;
    return b->path_mtu && b->now_us < b->path_mtu_until ? b->path_mtu : b->mtu;
}

bool net_path_learn_mtu(struct net_if *n, struct net_path *p, uint32_t mtu, uint64_t now_us)
{
    struct bench *b = (struct bench *)p;
    uint32_t least = ip_is_v4(&b->remote) ? 552 : 1280;
    (void)n;
    mtu = mtu < least ? least : mtu;
    if (mtu >= net_path_mtu(p))
        return false;
    b->path_mtu = (uint16_t)mtu;
    b->path_mtu_until = now_us + NET_MTU_LIFE;
    return true;
}

void net_path_confirm(struct net_if *n, struct net_path *p, uint64_t now_us)
{
    (void)n;
    (void)now_us;
    ((struct bench *)p)->confirmed++;
}

/* One segment of m as it would be on the wire: with an offset of `at` into the payload. */
static struct tcp_segment *note_segment(struct bench *b, const struct rte_mbuf *m, uint16_t l4_header,
                                        uint32_t at, uint32_t len, uint64_t now_us)
{
    struct sent_segment *s = &b->sent[b->tail++ % SENT_MAX];
    uint8_t copy[TCP_HEADER_MAX];
    assert(b->tail - b->head <= SENT_MAX);
    memset(s, 0, sizeof *s);
    s->at_us = now_us;
    if (tcp_header_parse(rte_pktmbuf_read(m, 0, l4_header, copy), l4_header, &s->seg) != TCP_PARSED ||
        s->seg.header != l4_header)
        abort();
    s->seg.seq += at;
    s->seg.payload = len;
    if (l4_header + at + len < m->pkt_len) /* as a port that cuts it up: only the last one has these */
        s->seg.flags &= (uint8_t) ~(TCP_PSH | TCP_FIN);
    uint32_t shown = len < sizeof s->payload ? len : (uint32_t)sizeof s->payload;
    const void *from = rte_pktmbuf_read(m, l4_header + at, shown, s->payload);
    if (shown && from != s->payload)
        memcpy(s->payload, from, shown);
    return &s->seg;
}

void net_send_tcp(struct net_if *n, struct net_path *p, struct rte_mbuf *m, uint16_t l4_header,
                  uint16_t tso_mss, uint8_t ecn, uint64_t now_us)
{
    struct bench *b = (struct bench *)n;
    uint32_t total = m->pkt_len - l4_header, step = tso_mss ? tso_mss : total, at = 0;
    (void)p;
    assert(rte_pktmbuf_headroom(m) >= 64 && (m->nb_segs > 1) == (tso_mss != 0) && m->pkt_len <= UINT16_MAX);
    assert(tso_mss == 0 || total > tso_mss);
    do {
        note_segment(b, m, l4_header, at, total - at < step ? total - at : step, now_us)->ecn = ecn;
        at += step;
    } while (at < total);
    if (b->room && --b->room == 0)
        *tcp_port_full(b->stack) = true;
    memset(rte_pktmbuf_prepend(m, 40 + L2 + 4), 0xee, 40 + L2 + 4); /* the worst case of headers */
    if (b->hold_frames && b->nheld < SENT_MAX)
        b->held[b->nheld++] = m;
    else
        rte_pktmbuf_free(m);
}

/* One verdict for all. */
enum filter_action net_filter(struct net_if *n, const struct filter_packet *p)
{
    (void)p;
    return ((struct bench *)n)->filter;
}

bool net_filter_permits(const struct net_if *n, const struct filter_packet *p)
{
    (void)p;
    return ((const struct bench *)n)->filter == FILTER_PERMIT;
}

/* -- the bench */

void bench_start(struct bench *b, const struct tcp_config *conf, struct rte_mempool *pool, bool v6)
{
    memset(b, 0, sizeof *b);
    b->pool = pool;
    b->mtu = 1500;
    b->now_us = 5000000;
    ip_parse(v6 ? "fd00::1" : "10.0.0.1", &b->local);
    ip_parse(v6 ? "fd00::2" : "10.0.0.2", &b->remote);
    b->stack = tcp_stack_new(conf, (struct net_if *)b, pool, &b->counters);
}

void bench_release(struct bench *b)
{
    for (unsigned i = 0; i < b->nheld; i++)
        rte_pktmbuf_free(b->held[i]);
    b->nheld = 0;
}

bool bench_stop(struct bench *b)
{
    tcp_stack_free(b->stack);
    bench_release(b);
    return b->paths == 0 && rte_mempool_in_use_count(b->pool) == 0;
}

static uint16_t checksum(const struct bench *b, const uint8_t *segment, unsigned len)
{
    uint32_t sum = rte_raw_cksum(segment, len) + rte_raw_cksum(&b->local, sizeof b->local) +
                   rte_raw_cksum(&b->remote, sizeof b->remote);
    sum += __builtin_bswap16(6) + __builtin_bswap16((uint16_t)len);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

struct rte_mbuf *bench_frame(struct bench *b, const uint8_t *header, unsigned header_len, uint32_t seq,
                             unsigned len, bool corrupt, unsigned segments, struct net_packet *p)
{
    static uint8_t wire[L2 + 20 + 60 + 65536];
    unsigned total = L2 + 20 + header_len + len, at = 0;
    uint8_t *h = wire + L2 + 20;
    memset(wire, 0xaa, L2 + 20);
    memcpy(h, header, header_len);
    for (unsigned i = 0; i < len; i++)
        h[header_len + i] = (uint8_t)(seq + i);
    if (header_len >= TCP_HEADER) {
        memset(h + 16, 0, 2);
        uint16_t sum = checksum(b, h, header_len + len) ^ (corrupt ? 1 : 0);
        memcpy(h + 16, &sum, 2);
    }
    struct rte_mbuf *first = NULL;
    for (unsigned i = 0; i < segments; i++) {
        unsigned n = i + 1 < segments ? total / segments : total - at;
        struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);
        if (!m) {
            rte_pktmbuf_free(first);
            return NULL;
        }
        memcpy(rte_pktmbuf_append(m, (uint16_t)n), wire + at, n);
        at += n;
        if (!first)
            first = m;
        else
            rte_pktmbuf_chain(first, m);
    }
    *p = (struct net_packet){.src = b->remote,
                             .dst = b->local,
                             .l4_off = L2 + 20,
                             .l4_len = (uint16_t)(header_len + len),
                             .ttl = 64};
    return first;
}

void bench_input(struct bench *b, const struct tcp_segment *seg, unsigned len)
{
    uint8_t h[TCP_HEADER_MAX];
    struct net_packet p;
    unsigned header = tcp_header_write(h, seg);
    struct rte_mbuf *m = bench_frame(b, h, header, seg->seq, len, false, 1, &p);
    assert(m);
    tcp_prefetch(b->stack, m, &p);
    tcp_prefetch_conn(b->stack, m);
    tcp_input(b->stack, m, &p, b->now_us);
}

const struct sent_segment *bench_sent(struct bench *b)
{
    return b->head == b->tail ? NULL : &b->sent[b->head++ % SENT_MAX];
}

void bench_run(struct bench *b, uint64_t until_us, bool stop_when_sent)
{
    for (;;) {
        uint64_t next = tcp_timers(b->stack, b->now_us);
        if (!b->manual)
            tcp_round_end(b->stack, b->now_us);
        if ((stop_when_sent && b->head != b->tail) || b->now_us >= until_us)
            return;
        b->now_us = next <= b->now_us ? b->now_us + 1 : next < until_us ? next : until_us;
    }
}
