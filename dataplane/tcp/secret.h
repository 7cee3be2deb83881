/* secret.h: keyed hashes: SipHash-2-4 (Aumasson and Bernstein 2012) where a peer must not be able to predict
 * the value (initial sequence numbers, timestamp offsets), and a cheaper keyed fold for the flow table. */
#pragma once
#include "base/endpoint.h"

struct tcp_tuple { /* one side of the conversation as we see it; no padding, compared as bytes */
    struct ip_addr local, remote;
    uint16_t local_port, remote_port;
};

/* Both ports as they lie in a tuple, and as they are read from a received header in one piece. */
static inline uint32_t tcp_ports(uint16_t local, uint16_t remote)
{
    return (uint32_t)remote << 16 | local;
}

static inline bool tcp_tuple_is(const struct tcp_tuple *t, const struct ip_addr *local, const struct ip_addr *remote,
                                uint32_t ports)
{
    uint64_t x[2], y[2], v[2], w[2];
    uint32_t p;
    memcpy(x, &t->local, sizeof x);
    memcpy(y, local, sizeof y);
    memcpy(v, &t->remote, sizeof v);
    memcpy(w, remote, sizeof w);
    memcpy(&p, &t->local_port, sizeof p);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (v[0] ^ w[0]) | (v[1] ^ w[1]) | (p ^ ports)) == 0;
}

struct tcp_secret {
    uint64_t k0, k1;
};

struct tcp_secret tcp_secret_from(uint64_t seed);
uint64_t tcp_siphash(const struct tcp_secret *k, const void *data, unsigned len);

/* Initial sequence number (RFC 6528): a clock of 4 us a step plus a keyed hash of the tuple. */
uint32_t tcp_initial_sequence(const struct tcp_secret *k, const struct tcp_tuple *t, uint64_t now_us);
/* Start of the timestamp clock of a tuple (RFC 7323 section 7.1): constant for the tuple, so timestamps keep
 * growing from one connection to the next. */
uint32_t tcp_timestamp_offset(const struct tcp_secret *k, const struct tcp_tuple *t);

static inline uint64_t tcp_fold(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Hash of a tuple for the flow table: three multiplications, keyed so that a peer cannot aim at a bucket. */
static inline uint32_t tcp_flow_hash_of(const struct tcp_secret *k, const struct ip_addr *local,
                                        const struct ip_addr *remote, uint32_t ports)
{
    uint64_t v[2], w[2];
    memcpy(v, local, sizeof v);
    memcpy(w, remote, sizeof w);
    uint64_t h = tcp_fold(v[0] ^ k->k0, v[1] ^ k->k1) ^ tcp_fold(w[0] ^ k->k1, w[1] ^ ~k->k0 ^ ports);
    return (uint32_t)(tcp_fold(h ^ k->k0, ports ^ 0x9e3779b97f4a7c15ull ^ k->k1) >> 16);
}

static inline uint32_t tcp_flow_hash(const struct tcp_secret *k, const struct tcp_tuple *t)
{
    return tcp_flow_hash_of(k, &t->local, &t->remote, tcp_ports(t->local_port, t->remote_port));
}
