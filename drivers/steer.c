/* steer.c: software receive-side scaling with the symmetric key of Woo and Park (2012), 0x6d5a repeated.
 * Because the key repeats every 16 bits, the Toeplitz hash of a tuple is the hash of the XOR of its 16-bit
 * words: two table look-ups instead of 288 steps, with the result that a NIC would have. */
#include "drivers/steer.h"

#include <stdlib.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_thash.h>

#define KEY_8 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a
const uint8_t steer_key[40] = {KEY_8, KEY_8, KEY_8, KEY_8, KEY_8};

enum { RING_FLOWS = 1024, RING_COPIES = 64, BURST = 64, WORKERS = 64 };

struct steer {
    unsigned workers;
    bool hashed, ruled;
    unsigned view_port, views; /* own local ports: of worker 0, and how many */
    uint32_t low[256], high[256]; /* hash of one byte in the low and high half of a 16-bit word */
    struct rte_ring *ring[];      /* from * workers + to */
};

static uint32_t hash_word(uint16_t word)
{
    uint32_t tuple = (uint32_t)word << 16;
    return rte_softrss(&tuple, 1, steer_key);
}

static struct rte_ring *ring_new(unsigned size)
{
    ssize_t bytes = rte_ring_get_memsize(size);
    struct rte_ring *r = bytes < 0 ? NULL : aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN((size_t)bytes, 64));
    if (r && rte_ring_init(r, "steer", size, RING_F_SP_ENQ | RING_F_SC_DEQ)) {
        free(r);
        r = NULL;
    }
    return r;
}

struct steer *steer_new(unsigned workers, bool hashed, uint16_t view_port, bool ruled)
{
    bool placed = hashed && (ruled || !view_port);
    struct steer *s = calloc(1, sizeof *s + (size_t)workers * workers * sizeof s->ring[0]);
    if (!s)
        return NULL;
    s->workers = workers;
    s->hashed = hashed;
    s->ruled = ruled;
    s->view_port = view_port;
    s->views = view_port ? workers : 0;
    for (unsigned i = 0; i < 256; i++) {
        s->low[i] = hash_word((uint16_t)i);
        s->high[i] = hash_word((uint16_t)(i << 8));
    }
    for (unsigned i = 0; i < workers * workers; i++) {
        if (i / workers == i % workers)
            continue;
        s->ring[i] = ring_new(placed ? RING_COPIES : RING_FLOWS);
        if (!s->ring[i]) {
            steer_free(s);
            return NULL;
        }
    }
    return s;
}

void steer_free(struct steer *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->workers * s->workers; i++) {
        void *m;
        while (s->ring[i] && rte_ring_sc_dequeue(s->ring[i], &m) == 0)
            rte_pktmbuf_free(m);
        free(s->ring[i]);
    }
    free(s);
}

static uint16_t xor_words(const uint8_t *p, unsigned bytes)
{
    uint64_t x = 0;
    for (unsigned i = 0; i < bytes; i += 4) {
        uint32_t w;
        memcpy(&w, p + i, 4);
        x ^= w;
    }
    return (uint16_t)(x ^ x >> 16);
}

unsigned steer_worker(const struct steer *s, uint32_t hash)
{
    return (hash & 0xffff) * s->workers >> 16;
}

/* addresses: both, one behind the other; ports likewise. */
static uint32_t hash_of(const struct steer *s, const uint8_t *addresses, unsigned bytes, const uint8_t *ports)
{
    uint16_t word = rte_be_to_cpu_16(xor_words(addresses, bytes) ^ xor_words(ports, 4));
    return s->low[word & 0xff] ^ s->high[word >> 8];
}

static unsigned owner(const struct steer *s, const uint8_t *addresses, unsigned bytes, const uint8_t *ports)
{
    return steer_worker(s, hash_of(s, addresses, bytes, ports));
}

uint32_t steer_hash(const struct steer *s, const struct endpoint *a, const struct endpoint *b)
{
    const struct ip_addr addresses[2] = {a->ip, b->ip}; /* what marks them as IPv4 cancels out */
    const uint8_t ports[4] = {(uint8_t)(a->port >> 8), (uint8_t)a->port, (uint8_t)(b->port >> 8),
                              (uint8_t)b->port};
    return hash_of(s, addresses[0].b, sizeof addresses, ports);
}

int steer_port_owner(const struct steer *s, uint16_t port)
{
    unsigned worker = port - s->view_port;
    return worker < s->views ? (int)worker : -1;
}

/* A TCP flow: its addresses and ports, one of which is ours. */
static struct steer_target flow_target(const struct steer *s, const uint8_t *addresses, unsigned bytes,
                                       const uint8_t *ports, const uint8_t *local)
{
    int view = steer_port_owner(s, (uint16_t)(local[0] << 8 | local[1]));
    if (view >= 0)
        return (struct steer_target){.worker = (unsigned)view, .flow = s->ruled};
    return (struct steer_target){.worker = owner(s, addresses, bytes, ports), .flow = true};
}

/* The same, told by an ICMP error, which is nothing that a port places. */
static struct steer_target quoted_target(const struct steer *s, const uint8_t *addresses, unsigned bytes,
                                         const uint8_t *ports)
{
    return (struct steer_target){.worker = flow_target(s, addresses, bytes, ports, ports).worker};
}

static struct steer_target arp_target(const uint8_t *p, unsigned len)
{
    static const uint8_t nobody[4];
    if (len < sizeof(struct rte_arp_hdr))
        return (struct steer_target){0};
    bool reply = p[7] == RTE_ARP_OP_REPLY, gratuitous = memcmp(p + 14, p + 24, 4) == 0;
    bool probe = memcmp(p + 14, nobody, 4) == 0;
    return (struct steer_target){.all = reply || gratuitous || probe};
}

enum { HEADER_4 = 20, HEADER_6 = 40, ICMP_HEADER = 8, PORTS = 4, FRAGMENT_HEADER = 8 };

/* The owner of the segment that an ICMP error quotes; worker 0 if it is no segment. */
static struct steer_target quoted4_target(const struct steer *s, const uint8_t *icmp, unsigned len)
{
    enum { UNREACHABLE = 3, TIME_EXCEEDED = 11, PARAMETER = 12 };
    const uint8_t *q = icmp + ICMP_HEADER;
    bool error = len >= ICMP_HEADER + HEADER_4 &&
                 (icmp[0] == UNREACHABLE || icmp[0] == TIME_EXCEEDED || icmp[0] == PARAMETER);
    unsigned header = error ? (q[0] & 0xfu) * 4 : 0;
    if (header < HEADER_4 || len < ICMP_HEADER + header + PORTS || q[9] != IPPROTO_TCP)
        return (struct steer_target){0};
    return quoted_target(s, q + 12, 8, q + header);
}

static struct steer_target ipv4_target(const struct steer *s, const uint8_t *p, unsigned len)
{
    enum { FRAGMENT_BITS = 0x3fff };
    unsigned header = len ? (p[0] & 0xfu) * 4 : 0;
    if (header < HEADER_4 || len < header + PORTS)
        return (struct steer_target){0};
    if ((p[6] << 8 | p[7]) & FRAGMENT_BITS) {
        const uint8_t id[PORTS] = {p[4], p[5]};
        return (struct steer_target){.worker = owner(s, p + 12, 8, id)};
    }
    if (p[9] == IPPROTO_ICMP)
        return quoted4_target(s, p + header, len - header);
    if (p[9] != IPPROTO_TCP)
        return (struct steer_target){0};
    return flow_target(s, p + 12, 8, p + header, p + header + 2);
}

static struct steer_target icmp6_target(const struct steer *s, const uint8_t *p, unsigned len)
{
    enum { LAST_ERROR = 4, SOLICITATION = 135, ADVERTISEMENT = 136 };
    static const uint8_t nobody[16];
    const uint8_t *icmp = p + HEADER_6, *q = icmp + ICMP_HEADER;
    bool duplicate_check = icmp[0] == SOLICITATION && memcmp(p + 8, nobody, sizeof nobody) == 0;
    if (icmp[0] == ADVERTISEMENT || duplicate_check)
        return (struct steer_target){.all = true};
    if (icmp[0] == 0 || icmp[0] > LAST_ERROR || len < HEADER_6 + ICMP_HEADER + HEADER_6 + PORTS ||
        q[6] != IPPROTO_TCP)
        return (struct steer_target){0};
    return quoted_target(s, q + 8, 32, q + HEADER_6);
}

static struct steer_target ipv6_target(const struct steer *s, const uint8_t *p, unsigned len)
{
    enum { FRAGMENT = 44 };
    if (len < HEADER_6 + PORTS)
        return (struct steer_target){0};
    if (p[6] == IPPROTO_TCP)
        return flow_target(s, p + 8, 32, p + HEADER_6, p + HEADER_6 + 2);
    if (p[6] == FRAGMENT && len >= HEADER_6 + FRAGMENT_HEADER)
        return (struct steer_target){.worker = owner(s, p + 8, 32, p + HEADER_6 + 4)};
    return p[6] == IPPROTO_ICMPV6 ? icmp6_target(s, p, len) : (struct steer_target){0};
}

struct steer_target steer_target(const struct steer *s, const struct rte_mbuf *m)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    unsigned len = m->data_len, l3 = RTE_ETHER_HDR_LEN;
    if (len < l3 + RTE_VLAN_HLEN)
        return (struct steer_target){0};
    if (p[12] == 0x81 && p[13] == 0)
        l3 += RTE_VLAN_HLEN;
    unsigned type = (unsigned)(p[l3 - 2] << 8 | p[l3 - 1]);
    if (type == RTE_ETHER_TYPE_IPV4)
        return ipv4_target(s, p + l3, len - l3);
    if (type == RTE_ETHER_TYPE_IPV6)
        return ipv6_target(s, p + l3, len - l3);
    return type == RTE_ETHER_TYPE_ARP ? arp_target(p + l3, len - l3) : (struct steer_target){0};
}

static void hand(struct steer *s, unsigned from, unsigned to, struct rte_mbuf *m, struct counters *counters)
{
    if (rte_ring_sp_enqueue(s->ring[from * s->workers + to], m) == 0) {
        count_one(counters, COUNTER_steered_packets);
        return;
    }
    count_one(counters, COUNTER_steer_drops);
    rte_pktmbuf_free(m);
}

static void copy_to_others(struct steer *s, unsigned self, struct rte_mempool *pool, const struct rte_mbuf *m,
                           struct counters *counters)
{
    for (unsigned to = 0; to < s->workers; to++) {
        struct rte_mbuf *copy = to == self ? NULL : rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
        if (copy)
            hand(s, self, to, copy, counters);
        else if (to != self)
            count_one(counters, COUNTER_steer_drops);
    }
}

unsigned steer_out(struct steer *s, unsigned self, struct rte_mempool *pool, struct rte_mbuf **frames,
                   unsigned n, struct counters *counters)
{
    unsigned own = 0;
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        struct steer_target t = steer_target(s, m);
        if (t.all)
            copy_to_others(s, self, pool, m, counters);
        /* A frame that all have got a copy of, or whose flow the port has placed, stays here. */
        if (t.worker == self || t.all || (t.flow && s->hashed))
            frames[own++] = m;
        else
            hand(s, self, t.worker, m, counters);
    }
    return own;
}

bool steer_pass(struct steer *s, unsigned self, struct rte_mbuf *m, struct counters *counters)
{
    unsigned to = steer_target(s, m).worker;
    if (to != self)
        hand(s, self, to, m, counters);
    return to != self;
}

unsigned steer_in(struct steer *s, unsigned self, struct rte_mbuf **frames, unsigned n)
{
    unsigned got = 0;
    for (unsigned from = 0; from < s->workers && got < n; from++)
        if (from != self)
            got += rte_ring_sc_dequeue_burst(s->ring[from * s->workers + self], (void **)(frames + got),
                                             n - got, NULL);
    return got;
}
