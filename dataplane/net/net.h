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

enum { NET_ADDRESSES = 8, NET_ROUTES = 64 };

struct net_route { /* packets for prefix/bits go to gateway, which is a neighbour */
    struct ip_addr prefix, gateway;
    uint8_t bits; /* in the prefix' own family */
};

struct net_config {
    uint8_t mac[6];
    uint16_t mtu;  /* IP packet size, 576..9600 */
    uint16_t vlan; /* 0 = untagged */
    uint32_t offload;
    uint16_t chain_frames; /* with NET_TX_TSO: parts that a frame may have */
    struct {
        struct ip_addr ip;
        uint8_t bits;
    } address[NET_ADDRESSES];
    unsigned addresses; /* the IPv6 link-local address is added by itself if there is any IPv6 address */
    struct ip_addr gateway4, gateway6; /* all zero = none */
    struct net_route route[NET_ROUTES];
    unsigned routes;
    unsigned neighbours; /* size of the neighbour table, 0 = 1024 */
    unsigned paths;      /* peers that can have connections at once, 0 = 65536 */
    bool quiet;          /* does not announce its addresses at start (workers but the first) */
    bool dad;            /* asks whether another station has our addresses before using them */
    uint64_t seed;
};

struct net_if;

/* pool: for frames made here (ARP, ICMP). Owned by the caller, as is wire. NULL if out of memory. */
struct net_if *net_if_new(const struct net_config *conf, struct rte_mempool *pool, const struct wire *wire,
                          struct counters *counters);
void net_if_free(struct net_if *n);

enum net_verdict {
    NET_DONE,      /* consumed: answered, learned or dropped and counted */
    NET_TCP,       /* a TCP segment for one of our addresses; the caller owns the frame */
    NET_TCP_ERROR, /* consumed; an ICMP error quotes a TCP segment of ours: see net_error */
    NET_WHOLE /* consumed; it has completed a packet, which net_take_whole hands over as if it had arrived in
                 one piece: to be given to net_input of the worker that owns its flow */
};

struct net_packet { /* what TCP needs to know of the packet it gets; the mbuf's data still starts at the
                       Ethernet header */
    struct ip_addr src, dst;
    uint16_t l4_off; /* from the start of the frame's data to the TCP header */
    uint16_t l4_len; /* TCP header and payload, without Ethernet padding */
    uint8_t ecn;     /* the two ECN bits */
    uint8_t ttl;
    bool checksum_ok; /* the port has verified the TCP checksum already */
    uint32_t flow;    /* TCP's own note (tcp_prefetch); 0: none */
};

/* Takes a frame (single segment or chained). Bad IP checksums, lengths, options and addresses end here. Of a
 * TCP segment that is handed back, the TCP header is contiguous unless it is truncated; its checksum is TCP's
 * to verify unless checksum_ok. Answers are queued: call net_flush. */
enum net_verdict net_input(struct net_if *n, struct rte_mbuf *m, struct net_packet *out, uint64_t now_us);

/* What routers and hosts say of segments that we have sent. */
enum net_error_kind {
    NET_ERROR_TOO_BIG, /* RFC 1191, RFC 8201 */
    NET_ERROR_HARD,    /* the peer does not take this protocol or port, or an administrator forbids it */
    NET_ERROR_SOFT     /* anything that may pass: network or host unreachable, time exceeded */
};

struct net_error {
    struct endpoint local, remote; /* of the quoted segment, which we sent */
    uint32_t seq;                  /* its sequence number */
    uint32_t mtu;                  /* TOO_BIG: of the next hop; an old router that says nothing: estimated */
    uint8_t kind;                  /* enum net_error_kind */
    uint8_t type, code;            /* of the ICMP message */
};

/* The error that the last net_input with NET_TCP_ERROR has read. Whoever sent it may have made it up: the
 * sequence number is TCP's to check (RFC 5927). */
const struct net_error *net_error(const struct net_if *n);

/* The frame of the last NET_WHOLE: the caller's from now on. */
struct rte_mbuf *net_take_whole(struct net_if *n);

/* Upkeep: neighbour ages and retries, gratuitous ARP and neighbour advertisement after start. Call every ~10
 * ms, or at the time it returns (µs), which a packet sent meanwhile may have moved (ask again). */
uint64_t net_tick(struct net_if *n, uint64_t now_us);

/* -- output
 * ----------------------------------------------------------------------------------------------------- */

/* A path is a cached header template (Ethernet, VLAN, IP) towards one peer; shared by the connections of that
 * peer and counted. It follows neighbour changes by itself. */
struct net_path;
struct net_path *net_path_get(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                              uint64_t now_us); /* NULL: no route or table full */
void net_path_put(struct net_if *n, struct net_path *p);
uint16_t net_path_mtu(const struct net_path *p); /* for the MSS of new connections */

/* A router towards this peer takes packets of at most mtu bytes (not below 552, IPv6 1280): remembered for
 * all connections to come, until now + NET_MTU_LIFE. False if that is no news. */
enum { NET_MTU_LIFE = 600 * 1000000 };
bool net_path_learn_mtu(struct net_if *n, struct net_path *p, uint32_t mtu, uint64_t now_us);

/* TCP has seen that its segments arrive: the next hop is reachable (RFC 4861, 7.3.1). Cheap, and worth a call
 * every few seconds at most. */
void net_path_confirm(struct net_if *n, struct net_path *p, uint64_t now_us);

/* Our address to talk to this one from: on the same prefix, else the first of the family. False: none is in
 * use. */
bool net_source_for(const struct net_if *n, const struct ip_addr *dst, struct ip_addr *src);

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
/* How long the neighbour has been in its state (µs); 0 if it is unknown. */
uint64_t net_neighbour_age(struct net_if *n, const struct ip_addr *ip, uint64_t now_us);

/* For `sluice show neighbors`: calls fn for every neighbour. */
void net_each_neighbour(struct net_if *n,
                        void (*fn)(const struct ip_addr *ip, const uint8_t mac[6], const char *state,
                                   void *arg),
                        void *arg);

/* For `sluice show routes`: calls fn for every route, the most specific first within a kind. gateway: NULL if
 * the prefix is on the link. bits count in the prefix' own family. */
enum net_route_kind { NET_ROUTE_CONNECTED, NET_ROUTE_STATIC, NET_ROUTE_DEFAULT };
void net_each_route(struct net_if *n,
                    void (*fn)(const struct ip_addr *prefix, unsigned bits, const struct ip_addr *gateway,
                               enum net_route_kind kind, void *arg),
                    void *arg);

/* Who this is on its link: MAC, VLAN and addresses as a number, never 0. */
uint64_t net_identity(const struct net_config *conf);
/* Are all addresses ours, none of them asked for or another station's? */
bool net_is_preferred(const struct net_if *n);

/* Likewise for our addresses; state: "tentative", "preferred" or "duplicate" (another station has it, so it
 * is not used). */
void net_each_address(struct net_if *n,
                      void (*fn)(const struct ip_addr *ip, unsigned bits, const char *state, void *arg),
                      void *arg);
