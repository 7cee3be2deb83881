/* checksum.h: the Internet checksum, RFC 1071. Sums are kept in network order and unfolded, so that parts can
 * be computed ahead (a path's pseudo-header) and added. */
#pragma once
#include "base/endpoint.h"

#include <immintrin.h>

struct rte_mbuf;

/* Adds len bytes to sum. A part of odd length may only be the last. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

/* The sum of 20 bytes: of an IPv4 header without options. */
static inline uint64_t checksum_ipv4_header(const void *header)
{
    uint64_t a, b;
    uint32_t c;
    memcpy(&a, header, 8);
    memcpy(&b, (const uint8_t *)header + 8, 8);
    memcpy(&c, (const uint8_t *)header + 16, 4);
    return (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32) + c;
}

/* The sum of 32 bytes: two addresses that lie side by side. */
static inline uint64_t checksum_addresses(const struct ip_addr *two)
{
    unsigned long long w[4], sum;
    memcpy(w, two, sizeof w);
    unsigned char carry = _addcarry_u64(0, w[0], w[1], &sum);
    carry = _addcarry_u64(carry, sum, w[2], &sum);
    carry = _addcarry_u64(carry, sum, w[3], &sum);
    return (sum & 0xffffffff) + (sum >> 32) + carry;
}

/* Adds len bytes from offset off of a frame, single segment or chained. The frame must hold them. */
uint64_t checksum_add_frame(uint64_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len);

/* The pseudo-header of TCP and ICMPv6 without its length (RFC 9293, 3.1; RFC 8200, 8.1): addresses and
 * protocol. Only the last four bytes of an IPv4 address count. Add the length with checksum_u16. */
uint64_t checksum_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol);

static inline uint64_t checksum_u16(uint64_t sum, uint16_t host_order)
{
    return sum + __builtin_bswap16(host_order);
}

/* 16 bits, not complemented. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The same of a sum below 2^17 + 2^16, as that of a folded one and two or three 16-bit words is. */
static inline uint16_t checksum_fold_small(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum + (sum >> 16));
}

/* The value for the checksum field; 0 when the summed bytes included a right one. */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}
