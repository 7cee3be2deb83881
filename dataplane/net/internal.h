/* internal.h: what the files of net/ share; nobody else includes it. The way of a frame: ethernet.c
 * (net_input) -> arp.c | ipv4.c | ipv6.c -> icmp.c | nd.c, or back to the caller as a TCP segment; out:
 * path.c (net_send_tcp) -> neighbour.c -> netif.c (net_transmit, net_flush). Functions that take a frame
 * consume it. */
#pragma once
#include "net/net.h"
#include "net/checksum.h"

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

enum {
    TX_BURST = 64,
    LEARNED_MTUS = 256,
    WAITING_FRAMES = 8,  /* of one neighbour */
    WAITING_TOTAL = 256, /* of all neighbours: the pool must not drain into the queues of a dead subnet */
    HEADERS_MAX =
        256, /* bytes at the start of a frame that are made contiguous: all headers up to TCP's end */
    EXTENSIONS_MAX = 128, /* bytes of IPv6 extension headers accepted */
    HOP_LIMIT = 64,
    ND_HOP_LIMIT = 255,
    SECOND = 1000000 /* µs */
};

enum neighbour_state { NB_FAILED, NB_INCOMPLETE, NB_REACHABLE, NB_STALE, NB_DELAY, NB_PROBE, NB_STATES };

struct neighbour {
    uint8_t mac[6];
    uint8_t state, tries;
    uint32_t refs;  /* paths that lead here */
    uint32_t next;  /* in the hash chain: index + 1, 0 = end */
    uint64_t due;   /* when the state must change, UINT64_MAX = never by itself */
    uint64_t since; /* when it entered its state */
    struct ip_addr ip;
    unsigned waiting_n;
    struct rte_mbuf
        *waiting[WAITING_FRAMES]; /* whole frames, only the destination MAC is missing; oldest first */
};

struct neighbours {
    struct neighbour *entry;
    uint32_t *bucket; /* index + 1 of the first entry */
    unsigned room, used, mask, hand;
    unsigned waiting; /* frames, over all entries */
    uint64_t walk_at; /* when the due times are looked at next */
};

struct net_path {
    /* Ethernet, VLAN and IP header; the last byte of the IP header is the last byte of the array. */
    _Alignas(64) uint8_t header[64];
    struct neighbour *via;
    uint64_t ip_sum;     /* of the IPv4 header with length and ECN bits 0, folded to 16 bits */
    uint64_t pseudo_sum; /* of the TCP pseudo-header without length, likewise */
    struct ip_addr src, dst;
    uint32_t refs, next; /* next: as in struct neighbour */
    uint64_t mtu_until;  /* a router has told the MTU; 0 = it is the interface's */
    uint16_t mtu;
    uint8_t header_len, l2_len;
    bool v6;
};

struct paths {
    struct net_path *entry;
    uint32_t *bucket;
    unsigned room, used, mask;
    uint32_t free;                  /* index + 1 */
    uint32_t learned[LEARNED_MTUS]; /* paths kept for their MTU, index + 1; 0 = free place */
    unsigned learned_n, learned_hand;
};

enum { ROUTES = NET_ADDRESSES + 1 + NET_ROUTES + 2 };

struct route {
    struct ip_addr prefix, gateway;
    uint8_t bits, kind; /* enum net_route_kind */
};

struct rte_rib;
struct rte_rib6;

struct routes {
    struct route entry[ROUTES];
    unsigned n;
    struct rte_rib *v4; /* prefix to index in entry */
    struct rte_rib6 *v6;
};

enum address_state { ADDRESS_PREFERRED, ADDRESS_TENTATIVE, ADDRESS_DUPLICATE };

struct local_address {
    struct ip_addr ip;
    uint8_t bits;
    bool v6;
    uint8_t state;     /* enum address_state */
    uint8_t sent;      /* probes, then announcements */
    uint64_t due;      /* when the next of them or the verdict is due */
    uint64_t defended; /* when we last told somebody that it is ours, 0 = never */
};

struct mld {
    unsigned joined;             /* reports sent at start */
    uint64_t join_at, answer_at; /* UINT64_MAX: nothing to say */
    uint64_t v1_until;           /* a querier of version 1 is about */
};

struct fragments;

/* What nearly every frame has in common, in the order in which it stands there (plain.h). */
struct plain {
    uint64_t mac;        /* ours, in the low 48 bits as it is read */
    uint32_t address;    /* ours, IPv4, in network order */
    bool possible;       /* there is one, and no VLAN */
    uint8_t index;       /* which address it is */
    uint8_t sources;
    uint32_t source[2 * NET_ADDRESSES]; /* that are to be looked at: our addresses, directed broadcasts */
};

struct net_if {
    struct net_config conf;
    struct local_address address[NET_ADDRESSES + 1]; /* with the IPv6 link-local address */
    unsigned addresses;
    struct plain plain;
    struct rte_mempool *pool;
    struct wire wire;
    struct counters *counters;
    struct rte_mbuf *tx[TX_BURST];
    unsigned tx_n;
    struct pings *pings;   /* NULL until the first ping */
    struct filter *filter; /* borrowed from the generation of configuration; NULL = none */
    unsigned worker;       /* whose counters in it */
    struct neighbours neighbours;
    struct paths paths;
    struct routes routes;
    struct net_error error;
    uint64_t random;
    uint64_t echoes_at, errors_at; /* see icmp_allowed */
    struct mld mld;
    struct fragments *fragments;
    struct rte_mbuf *whole; /* for net_take_whole */
};

struct frame { /* a received frame on its way up */
    struct rte_mbuf *m;
    uint8_t *p;        /* its first byte */
    uint32_t len;      /* contiguous bytes at p */
    uint16_t l3, l4;   /* offsets of the IP header (ARP packet) and of what follows it */
    uint16_t l4_len;   /* bytes from l4 on, by the IP header */
    uint8_t hop_limit; /* IPv6 */
    bool unicast;      /* sent to our MAC */
    bool router_alert; /* IPv6 */
    uint64_t now;
    struct ip_addr src, dst;
};

/* -- ping.c -- */
/* An echo reply with a right checksum and a whole ICMP header. */
enum net_verdict ping_reply(struct net_if *n, struct frame *f);
uint64_t pings_tick(struct net_if *n, uint64_t now);
void pings_free(struct net_if *n); /* before paths */

/* -- netif.c -- */
/* Frees and counts; always NET_DONE, so that a check reads `return net_drop(...)`. */
enum net_verdict net_drop(struct net_if *n, struct rte_mbuf *m, enum counter why);
uint64_t net_random(struct net_if *n);
uint64_t net_hash(const struct net_if *n, const struct ip_addr *a, const struct ip_addr *b);

/* Flags that say what the port has to do; those that say whose memory a frame is in stay. */
static inline void net_set_flags(struct rte_mbuf *m, uint64_t flags)
{
    m->ol_flags = (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) | flags;
}

static inline void net_transmit(struct net_if *n, struct rte_mbuf *m)
{
    count_add(n->counters, COUNTER_tx_bytes, m->pkt_len); /* here, where the frame has just been written */
    n->tx[n->tx_n++] = m;
    if (n->tx_n == TX_BURST)
        net_flush(n);
}

/* "::" and "0.0.0.0": no address. */
static inline bool ip_is_zero(const struct ip_addr *a)
{
    static const struct ip_addr none, none4 = {{[10] = 0xff, [11] = 0xff}};
    return ip_equal(a, &none) || ip_equal(a, &none4);
}

/* IPv6 multicast, IPv4 multicast, limited broadcast or class E. */
static inline bool ip_is_multicast(const struct ip_addr *a)
{
    return ip_is_v4(a) ? a->b[12] >= 224 : a->b[0] == 0xff;
}

static inline struct ip_addr ip_v4(const void *four_bytes)
{
    struct ip_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    memcpy(a.b + 12, four_bytes, 4);
    return a;
}

bool net_is_local(const struct net_if *n, const struct ip_addr *ip);
/* Our address whose prefix covers ip, NULL if none does. */
const struct local_address *net_on_link(const struct net_if *n, const struct ip_addr *ip);
/* The directed broadcast address of one of our IPv4 prefixes? */
bool net_is_broadcast(const struct net_if *n, const struct ip_addr *ip);
/* Can a packet come from this address (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2, 2.7)? */
bool net_source_ok(const struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst);

/* -- ethernet.c -- */
/* A new frame with Ethernet header (and VLAN tag) and body_len zeroed bytes behind it, at *body. NULL when
 * the pool is empty (counted). */
struct rte_mbuf *ethernet_frame(struct net_if *n, const uint8_t dst[6], uint16_t type, uint16_t body_len,
                                uint8_t **body);
/* Writes Ethernet header and VLAN tag at p; returns their length. dst NULL: left zero. */
uint8_t ethernet_header(const struct net_if *n, uint8_t *p, const uint8_t *dst, uint16_t type);
uint8_t ethernet_header_len(const struct net_if *n);
/* Sends a received frame back where it came from. */
void ethernet_turn(struct net_if *n, struct frame *f);

/* -- arp.c, nd.c: parsing and making of the two solicitation protocols -- */
enum net_verdict arp_input(struct net_if *n, struct frame *f);
/* mac NULL: to everybody. */
void arp_solicit(struct net_if *n, const struct ip_addr *src, const struct ip_addr *target,
                 const uint8_t *mac);
void arp_announce(struct net_if *n, const struct ip_addr *own);
void arp_probe(struct net_if *n, const struct ip_addr *own);
enum net_verdict nd_solicitation(struct net_if *n, struct frame *f);
enum net_verdict nd_advertisement(struct net_if *n, struct frame *f);
void nd_solicit(struct net_if *n, const struct ip_addr *src, const struct ip_addr *target,
                const uint8_t *mac);
void nd_announce(struct net_if *n, const struct ip_addr *own);
void nd_probe(struct net_if *n, const struct ip_addr *own);

/* -- dad.c -- */
void address_start(struct net_if *n, struct local_address *a);
uint64_t addresses_tick(struct net_if *n, uint64_t now);
/* Our address in any state, NULL if it is none of ours. net_is_local asks for those in use. */
struct local_address *address_find(struct net_if *n, const struct ip_addr *ip);
/* Somebody at mac uses our address, or wants to while we do not use it yet. */
void address_conflict(struct net_if *n, struct local_address *a, const uint8_t mac[6], uint64_t now);

/* -- mld.c -- */
void mld_start(struct net_if *n);
uint64_t mld_tick(struct net_if *n, uint64_t now);
enum net_verdict mld_query(struct net_if *n, struct frame *f);

/* -- fragment.c -- */
bool fragments_init(struct net_if *n);
void fragments_free(struct net_if *n);
uint64_t fragments_tick(struct net_if *n, uint64_t now);
/* f->l4 and f->l4_len are those of the fragment's payload. */
enum net_verdict fragment4_input(struct net_if *n, struct frame *f, const struct rte_ipv4_hdr *ip);
/* f->l4 is at the fragment header, which follows the IPv6 header, and l4_len counts it. */
enum net_verdict fragment6_input(struct net_if *n, struct frame *f);

/* -- icmp_in.c, icmp_out.c -- */
bool icmp4_is_error(uint8_t type);
enum net_verdict icmp_error_input(struct net_if *n, struct frame *f);

enum icmp_fault { /* what is wrong with a packet that was sent to us */
                  FAULT_PORT,
                  FAULT_PROTOCOL, /* IPv6: pointer to the next header field */
                  FAULT_REASSEMBLY,
                  FAULT_HEADER,    /* pointer to the wrong field */
                  FAULT_OPTION,    /* IPv6, likewise */
                  FAULT_PROHIBITED /* the packet filter rejects it */
};

/* The start of a packet, kept to be quoted in an error: more than RFC 1122 asks for (header and 8 bytes). */
struct icmp_quote {
    uint16_t len;
    bool v6;
    uint8_t mac[6];      /* where it came from */
    uint8_t packet[128]; /* from its IP header */
};

void icmp_quote(const struct frame *f, struct icmp_quote *q);
/* Tells the sender, unless there is a reason not to. */
void icmp_error(struct net_if *n, const struct icmp_quote *q, enum icmp_fault fault, uint32_t pointer,
                uint64_t now);
/* The same for the frame at hand, which is dropped. */
enum net_verdict icmp_refuse(struct net_if *n, struct frame *f, enum icmp_fault fault, uint32_t pointer,
                             enum counter why);
bool icmp_allowed(uint64_t *bucket, unsigned rate, unsigned burst, uint64_t now);

/* -- ipv4.c, ipv6.c, icmp.c -- */
/* Without options; not to be fragmented on its way unless ipv4_fragment says so. */
void ipv4_header(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, uint16_t payload_len,
                 uint8_t protocol);
/* Makes it the header of one fragment, at a multiple of 8 bytes. */
void ipv4_fragment(uint8_t *p, uint16_t id, uint32_t off, bool more);
enum net_verdict ipv4_input(struct net_if *n, struct frame *f, struct net_packet *out);
enum net_verdict ipv6_input(struct net_if *n, struct frame *f, struct net_packet *out);
enum net_verdict icmp4_input(struct net_if *n, struct frame *f);
enum net_verdict icmp6_input(struct net_if *n, struct frame *f);
void ipv6_header(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, uint16_t payload_len,
                 uint8_t next, uint8_t hop_limit);

/* -- neighbour.c -- */
bool neighbours_init(struct net_if *n);
void neighbours_free(struct net_if *n);
/* Found or made, with one more reference; NULL if the table is full of neighbours in use. */
struct neighbour *neighbour_get(struct net_if *n, const struct ip_addr *ip);
void neighbour_put(struct neighbour *nb);
struct neighbour *neighbour_find(struct net_if *n, const struct ip_addr *ip);
/* News that was not asked for: changes a known neighbour; makes a new one if `create` (RFC 826; RFC
 * 4861, 7.2.3). */
void neighbour_learn(struct net_if *n, const struct ip_addr *ip, const uint8_t mac[6], bool create,
                     uint64_t now);
/* The answer to our question. */
void neighbour_confirm(struct net_if *n, struct neighbour *nb, const uint8_t mac[6], uint64_t now);
/* A transport has proof that frames reach it. */
void neighbour_alive(struct net_if *n, struct neighbour *nb, uint64_t now);
/* Somebody else claims its address without the right to override: not to be trusted until it answers again.
 */
void neighbour_doubt(struct net_if *n, struct neighbour *nb, uint64_t now);
/* Sends a frame to a neighbour in any state. The frame's first bytes are its destination MAC. */
void neighbour_send(struct net_if *n, struct neighbour *nb, struct rte_mbuf *m, uint64_t now);
uint64_t neighbours_tick(struct net_if *n, uint64_t now);

/* -- route.c -- */
bool routes_init(struct net_if *n);
void routes_free(struct net_if *n);
/* The neighbour through which a packet for dst leaves; false if nowhere. */
bool route_find(const struct net_if *n, const struct ip_addr *dst, struct ip_addr *hop);

/* -- path.c -- */
bool paths_init(struct net_if *n);
uint64_t paths_tick(struct net_if *n, uint64_t now);
void paths_free(struct net_if *n);
