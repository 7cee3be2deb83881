/* rig.h: what the tests of net/ and drivers/ share: a packet pool without hugepages, an interface 10.0.0.2/24
 * and 2001:db8::2/64 with its wire caught in an array, and frames written by hand. */
#pragma once
#include "net/net.h"

#include <rte_mbuf.h>

enum { RIG_SENT = 512 };

struct rig {
    struct net_if *nif;
    struct counters counters;
    struct rte_mbuf *sent[RIG_SENT];
    unsigned n;
    uint64_t now;
};

extern const uint8_t rig_mac[6], rig_peer_mac[6], rig_all[6];

/* The pool of the whole program; started by the first call. */
struct rte_mempool *rig_pool(void);
/* All frames are back in the pool. */
bool rig_nothing_leaked(void);

/* conf NULL: the default interface, quiet. */
void rig_start(struct rig *r, const struct net_config *conf);
void rig_stop(struct rig *r);
struct net_config rig_config(void);
/* Frees what was sent and forgets it. */
void rig_clear(struct rig *r);

struct rte_mbuf *rig_frame(const void *bytes, size_t len);
/* The same in a heap block of just that size, so that the sanitizer sees a read or write beyond either end.
 */
struct rte_mbuf *rig_exact(const void *bytes, size_t len);
/* Gives a copy of the bytes to net_input and flushes. A TCP segment is freed. */
enum net_verdict rig_input(struct rig *r, const void *bytes, size_t len, struct net_packet *out);
const uint8_t *rig_sent(const struct rig *r, unsigned i);

/* Frames; each returns its length. At most 1600 bytes. */
size_t make_arp(uint8_t *p, uint16_t op, const uint8_t dst[6], const uint8_t sha[6], const char *sip,
                const char *tip);
size_t make_ipv4(uint8_t *p, const char *src, const char *dst, uint8_t protocol, const void *body,
                 size_t len);
size_t make_ipv6(uint8_t *p, const char *src, const char *dst, uint8_t next, uint8_t hops, const void *body,
                 size_t len);
size_t make_tcp(uint8_t *p, const char *src, const char *dst);
size_t make_echo4(uint8_t *p, const char *src, const char *dst, size_t payload);
/* ICMPv6 with a right checksum. */
size_t make_icmp6(uint8_t *p, const char *src, const char *dst, uint8_t hops, const void *body, size_t len);
size_t make_ns(uint8_t *p, const char *src, const char *dst, const char *target, bool with_option);
size_t make_na(uint8_t *p, const char *src, const char *dst, const char *target, uint8_t flags,
               const uint8_t mac[6]);
void fix_ipv4(uint8_t *frame); /* the header checksum after a change */
struct ip_addr ip(const char *text);
