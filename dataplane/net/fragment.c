/* fragment.c: reassembly of IPv4 (RFC 791, 3.2; RFC 815) and IPv6 (RFC 8200, 4.5) fragments.
 *
 * DPDK's table (rte_ip_frag) holds the frames and joins them; a ledger beside it keeps the byte ranges, which
 * DPDK does not look at, and refuses what attacks are made of:
 * - overlaps: the whole packet is given up, its later fragments too (RFC 5722, 3; RFC 8200, 4.5). The same
 *   fragment once more is only dropped.
 * - a first fragment without the transport header, or an IPv4 fragment at offset 8 of a TCP segment (RFC
 * 1858, RFC 3128; for IPv6 RFC 7112)
 * - pieces that end beyond 65535 bytes, or beyond the last one, or that are empty or no multiple of 8
 * - congestion marks that contradict each other (RFC 3168, 5.3)
 *
 * Bounds: FRAGMENTS pieces a packet (DPDK's limit), DATAGRAMS packets and an eighth of the pool at a time;
 * what is beyond is dropped, the older ones stay: so a flood costs one look at eight ledger entries a
 * fragment, and nothing is sent or allocated for it. Skipped: the RFCs' 60 s of patience (in a data centre
 * the pieces of a packet follow each other, and RFC 4963 shows what long times do at speed); IPv6 extension
 * headers in front of the fragment header, which nobody sends. */
#include "net/internal.h"

#include <rte_ip_frag.h>

#include <stdlib.h>

enum {
    FRAGMENTS = RTE_LIBRTE_IP_FRAG_MAX_FRAG,
    SETS = 32,
    WAYS = 8,
    DATAGRAMS = SETS * WAYS,
    LIFE = 5 * SECOND,
    HELD_MAX = 1024,
    FRAGMENT_HEADER = 8,
    V6_HEADERS = sizeof(struct rte_ipv6_hdr) + FRAGMENT_HEADER
};

struct datagram {
    bool used, refused, marked, unmarkable; /* CE seen; not-ECT seen */
    uint8_t protocol, n;
    uint16_t got, end; /* bytes so far; bytes in all, 0 = not known yet */
    uint32_t id;
    uint64_t started;
    struct ip_addr src, dst;
    struct {
        uint32_t from, to;
    } range[FRAGMENTS];
    struct icmp_quote head; /* of the first fragment, for the error at the end of its life */
};

struct fragments {
    struct datagram entry[DATAGRAMS];
    unsigned used, held, held_max;
    uint64_t due; /* when the ledger is looked through next */
    struct rte_ip_frag_tbl *table;
    struct rte_ip_frag_death_row freed;
};

struct piece {
    uint32_t id, from, len;
    uint16_t header; /* IP header and what does not belong to the payload */
    uint8_t protocol, ecn;
    bool more;
};

bool fragments_init(struct net_if *n)
{
    struct fragments *t = calloc(1, sizeof *t);
    n->fragments = t;
    if (!t)
        return false;
    t->held_max = RTE_MIN(n->pool->size / 8, (unsigned)HELD_MAX);
    t->due = UINT64_MAX;
    t->table = rte_ip_frag_table_create(SETS * 2, WAYS, DATAGRAMS * 2, LIFE, SOCKET_ID_ANY);
    return t->table != NULL;
}

void fragments_free(struct net_if *n)
{
    if (n->fragments && n->fragments->table)
        rte_ip_frag_table_destroy(n->fragments->table);
    free(n->fragments);
}

static void release(struct fragments *t, struct datagram *d)
{
    t->held -= d->n;
    t->used--;
    d->used = false;
}

/* The entry of this packet, a fresh one if there is none, NULL if its set is full. */
static struct datagram *find(struct net_if *n, const struct frame *f, const struct piece *p)
{
    struct fragments *t = n->fragments;
    uint64_t hash = net_hash(n, &f->src, &f->dst) ^ p->id;
    hash = (hash ^ n->conf.seed) * 0x9e3779b97f4a7c15;
    struct datagram *set = &t->entry[(hash >> 32) % SETS * WAYS], *fresh = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct datagram *d = &set[i];
        if (!d->used)
            fresh = d;
        else if (d->id == p->id && ip_equal(&d->src, &f->src) && ip_equal(&d->dst, &f->dst))
            return d;
    }
    if (!fresh || t->held >= t->held_max)
        return NULL;
    *fresh = (struct datagram){
        .used = true, .protocol = p->protocol, .id = p->id, .started = f->now, .src = f->src, .dst = f->dst};
    t->used++;
    t->due = RTE_MIN(t->due, f->now + LIFE + 1);
    return fresh;
}

/* Can a fragment of this size at this place come from an honest sender? */
static bool size_ok(const struct frame *f, const struct piece *p)
{
    bool v6 = !ip_is_v4(&f->src);
    uint32_t most = UINT16_MAX - (v6 ? 0 : p->header);
    if (p->len == 0 || (p->more && p->len % 8) || p->from + p->len > most)
        return false;
    if (p->protocol == IPPROTO_TCP && p->from == 8)
        return false;
    uint32_t least = p->protocol == IPPROTO_TCP ? 20 : 8;
    return p->from || p->len >= least;
}

enum fit { FITS, REPEATED, CONFLICTS };

static enum fit fit(const struct datagram *d, const struct piece *p)
{
    uint32_t to = p->from + p->len;
    for (unsigned i = 0; i < d->n; i++) {
        if (d->range[i].from == p->from && d->range[i].to == to)
            return REPEATED;
        if (p->from < d->range[i].to && d->range[i].from < to)
            return CONFLICTS;
        if (!p->more && d->range[i].to > to)
            return CONFLICTS;
    }
    bool beyond = d->end && (p->more ? to >= d->end : to != d->end);
    return beyond || d->protocol != p->protocol ? CONFLICTS : FITS;
}

static void note(struct datagram *d, const struct frame *f, const struct piece *p)
{
    d->range[d->n].from = p->from;
    d->range[d->n++].to = p->from + p->len;
    d->got = (uint16_t)(d->got + p->len);
    if (!p->more)
        d->end = (uint16_t)(p->from + p->len);
    d->marked |= p->ecn == 3;
    d->unmarkable |= p->ecn == 0;
    if (p->from == 0)
        icmp_quote(f, &d->head);
}

static struct rte_mbuf *join(struct net_if *n, struct frame *f, const struct piece *p)
{
    struct fragments *t = n->fragments;
    struct rte_mbuf *m = f->m;
    void *ip = f->p + f->l3;
    net_set_flags(m, 0); /* what the port knows of checksums it knows of this piece only */
    m->l2_len = f->l3;
    m->l3_len = p->header;
    m = ip_is_v4(&f->src)
            ? rte_ipv4_frag_reassemble_packet(t->table, &t->freed, m, f->now, ip)
            : rte_ipv6_frag_reassemble_packet(t->table, &t->freed, m, f->now, ip,
                                              (void *)(f->p + f->l3 + sizeof(struct rte_ipv6_hdr)));
    rte_ip_frag_free_death_row(&t->freed, 0);
    return m;
}

/* The header of the joined packet: DPDK has set its length, cleared its fragment fields and left the rest. */
static void finish_header(struct rte_mbuf *m, unsigned l3, bool v6, bool marked)
{
    uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, l3);
    if (marked)
        ip[1] |= v6 ? 0x30 : 3;
    if (v6)
        return;
    memset(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, (ip[0] & 0xfu) * 4));
    memcpy(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, 2);
}

static enum net_verdict input(struct net_if *n, struct frame *f, const struct piece *p)
{
    count_one(n->counters, COUNTER_net_fragments);
    if (!size_ok(f, p))
        return net_drop(n, f->m, COUNTER_net_drop_fragment_size);
    struct datagram *d = find(n, f, p);
    if (!d)
        return net_drop(n, f->m, COUNTER_net_drop_fragment_full);
    enum fit how = d->refused ? REPEATED : fit(d, p);
    if (how == REPEATED)
        return net_drop(n, f->m, COUNTER_net_drop_fragment);
    d->refused = how == CONFLICTS || d->n == FRAGMENTS;
    if (d->refused)
        return net_drop(
            n, f->m, how == CONFLICTS ? COUNTER_net_drop_fragment_overlap : COUNTER_net_drop_fragment_many);
    if (n->fragments->held >= n->fragments->held_max)
        return net_drop(n, f->m, COUNTER_net_drop_fragment_full);
    note(d, f, p);
    n->fragments->held++;
    unsigned l3 = f->l3;
    bool v6 = !ip_is_v4(&f->src), done = d->end && d->got == d->end;
    bool marked = d->marked, contradicts = marked && d->unmarkable;
    struct rte_mbuf *m = join(n, f, p);
    if (m || done)
        release(n->fragments, d);
    if (!m)
        return NET_DONE;
    if (contradicts)
        return net_drop(n, m, COUNTER_net_drop_fragment_overlap);
    count_one(n->counters, COUNTER_net_reassembled);
    finish_header(m, l3, v6, marked);
    rte_pktmbuf_free(n->whole); /* nobody has taken the last one */
    n->whole = m;
    return NET_WHOLE;
}

/* Ethernet's padding is no part of a fragment. */
static bool trim(struct frame *f)
{
    uint32_t extra = f->m->pkt_len - f->l4 - f->l4_len;
    return extra == 0 ||
           (extra <= rte_pktmbuf_lastseg(f->m)->data_len && rte_pktmbuf_trim(f->m, (uint16_t)extra) == 0);
}

enum net_verdict fragment4_input(struct net_if *n, struct frame *f, const struct rte_ipv4_hdr *ip)
{
    uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);
    struct piece p = {.id = ip->packet_id,
                      .from = (field & RTE_IPV4_HDR_OFFSET_MASK) * 8u,
                      .len = f->l4_len,
                      .header = (uint16_t)(f->l4 - f->l3),
                      .protocol = ip->next_proto_id,
                      .ecn = ip->type_of_service & 3,
                      .more = field & RTE_IPV4_HDR_MF_FLAG};
    if (!trim(f))
        return net_drop(n, f->m, COUNTER_net_drop_fragment_size);
    return input(n, f, &p);
}

enum net_verdict fragment6_input(struct net_if *n, struct frame *f)
{
    const uint8_t *h = f->p + f->l4;
    uint16_t field = (uint16_t)(h[2] << 8 | h[3]);
    struct piece p = {.from = field & 0xfff8u,
                      .len = f->l4_len - (uint32_t)FRAGMENT_HEADER,
                      .header = V6_HEADERS,
                      .protocol = h[0],
                      .ecn = f->p[f->l3 + 1] >> 4 & 3,
                      .more = field & 1};
    memcpy(&p.id, h + 4, 4);
    if (!f->unicast || ip_is_zero(&f->src) || !trim(f))
        return net_drop(n, f->m, COUNTER_net_drop_fragment_size);
    if (p.more && p.len % 8) /* RFC 8200, 4.5 */
        return icmp_refuse(n, f, FAULT_HEADER, offsetof(struct rte_ipv6_hdr, payload_len),
                           COUNTER_net_drop_fragment_size);
    if (p.from + p.len > UINT16_MAX)
        return icmp_refuse(n, f, FAULT_HEADER, sizeof(struct rte_ipv6_hdr) + 2,
                           COUNTER_net_drop_fragment_size);
    return input(n, f, &p);
}

struct rte_mbuf *net_take_whole(struct net_if *n)
{
    struct rte_mbuf *m = n->whole;
    n->whole = NULL;
    return m;
}

uint64_t fragments_tick(struct net_if *n, uint64_t now)
{
    struct fragments *t = n->fragments;
    if (now < t->due)
        return t->due;
    t->due = UINT64_MAX;
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        struct datagram *d = &t->entry[i];
        if (!d->used)
            continue;
        if (now <= d->started + LIFE) {
            t->due = RTE_MIN(t->due, d->started + LIFE + 1);
            continue;
        }
        if (!d->refused) {
            count_one(n->counters, COUNTER_net_fragment_timeouts);
            if (d->head.len)
                icmp_error(n, &d->head, FAULT_REASSEMBLY, 0, now);
        }
        release(t, d);
    }
    do {
        rte_ip_frag_free_death_row(&t->freed, 0);
        rte_ip_frag_table_del_expired_entries(t->table, &t->freed, now);
    } while (t->freed.cnt);
    return t->due;
}
