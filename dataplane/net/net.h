/* net.h: Ethernet, VLAN, ARP, IPv4, IPv6, neighbour discovery and ICMP of one interface on one worker. RFC
 * 826, 791, 792, 8200, 4443, 4861, 1122. Everything that is not for a transport is answered or dropped (and
 * counted) in here; a TCP segment is handed back to the caller. No clock, no thread, no port: now is an
 * argument and frames leave through struct wire. */
#pragma once
#include "base/counters.h"
#include "base/endpoint.h"

struct rte_mbuf;
struct rte_mempool;

/* Where frames leave. send takes ownership of all n frames, whatever becomes of them. */
struct wire {
    void (*send)(void *ctx, struct rte_mbuf **frames, unsigned n);
    void *ctx;
};

enum net_offload { /* what the port does for us; without a bit it is done in software */
                   NET_TX_IP_CSUM = 1,
                   NET_TX_TCP_CSUM = 2,
                   NET_TX_TSO = 4
};

enum { NET_ADDRESSES = 8 };

struct net_config {
    uint8_t mac[6];
    uint16_t mtu;  /* IP packet size, 576..9000 */
    uint16_t vlan; /* 0 = untagged */
    uint32_t offload;
    uint16_t chain_frames; /* with NET_TX_TSO: parts that a frame may have */
    struct {
        struct ip_addr ip;
        uint8_t bits;
    } address[NET_ADDRESSES];
    unsigned addresses; /* the IPv6 link-local address is added by itself if there is any IPv6 address */
    struct ip_addr gateway4, gateway6; /* all zero = none */
    unsigned neighbours;               /* size of the neighbour table, 0 = 1024 */
    unsigned paths;                    /* peers that can have connections at once, 0 = 65536 */
    bool quiet;                        /* does not announce its addresses at start (workers but the first) */
    uint64_t seed;
};

struct net_if;

/* pool: for frames made here (ARP, ICMP). Owned by the caller, as is wire. NULL if out of memory. */
struct net_if *net_if_new(const struct net_config *conf, struct rte_mempool *pool, const struct wire *wire,
                          struct counters *counters);
void net_if_free(struct net_if *n);

enum net_verdict {
    NET_DONE, /* consumed: answered, learned or dropped and counted */
    NET_TCP   /* a TCP segment for one of our addresses; the caller owns the frame */
};

struct net_packet { /* what TCP needs to know of the packet it gets; the mbuf's data still starts at the
                       Ethernet header */
    struct ip_addr src, dst;
    uint16_t l4_off; /* from the start of the frame's data to the TCP header */
    uint16_t l4_len; /* TCP header and payload, without Ethernet padding */
    uint8_t ecn;     /* the two ECN bits */
    uint8_t ttl;
    bool checksum_ok; /* the port has verified the TCP checksum already */
};

/* Takes a frame (single segment or chained). Bad IP checksums, lengths, options and addresses end here. Of a
 * TCP segment that is handed back, the TCP header is contiguous unless it is truncated; its checksum is TCP's
 * to verify unless checksum_ok. Answers are queued: call net_flush. */
enum net_verdict net_input(struct net_if *n, struct rte_mbuf *m, struct net_packet *out, uint64_t now_us);

/* Upkeep: neighbour ages and retries, gratuitous ARP and neighbour advertisement after start. Call every ~10
 * ms or at the time it returns (µs). */
uint64_t net_tick(struct net_if *n, uint64_t now_us);

/* -- output
 * ----------------------------------------------------------------------------------------------------- */

/* A path is a cached header template (Ethernet, VLAN, IP) towards one peer; shared by the connections of that
 * peer and counted. It follows neighbour changes by itself. */
struct net_path;
struct net_path *net_path_get(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                              uint64_t now_us); /* NULL: no route or table full */
void net_path_put(struct net_if *n, struct net_path *p);
uint16_t net_path_mtu(const struct net_path *p); /* for the MSS */

/* Sends a TCP segment: m's data starts at the TCP header (checksum field anything), at least 64 bytes of
 * headroom in front. Prepends IP and Ethernet, fills or offloads checksums, and queues for the wire; a frame
 * for an unresolved neighbour waits in a small bounded queue. Takes ownership of one reference of m. tso_mss:
 * 0, or the segment size if m holds more than one segment and NET_TX_TSO is on. l4_header: length of the TCP
 * header. ecn: 0 or 2 (ECT(0)). */
void net_send_tcp(struct net_if *n, struct net_path *p, struct rte_mbuf *m, uint16_t l4_header,
                  uint16_t tso_mss, uint8_t ecn, uint64_t now_us);

/* Hands everything queued to the wire: once a round. */
void net_flush(struct net_if *n);

/* Of this frame nothing is ever changed but the 64 bytes of headroom and the TCP checksum. TCP may keep a
 * second reference and send the frame again once rte_mbuf_refcnt_read says that it is the only holder;
 * data_off, data_len and pkt_len are then TCP's to set back. */

const struct net_config *net_if_config(const struct net_if *n);

/* For `sluice show neighbors`: calls fn for every neighbour. */
void net_each_neighbour(struct net_if *n,
                        void (*fn)(const struct ip_addr *ip, const uint8_t mac[6], const char *state,
                                   void *arg),
                        void *arg);
