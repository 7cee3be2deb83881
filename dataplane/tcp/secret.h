/* secret.h: keyed hashes: SipHash-2-4 (Aumasson and Bernstein 2012) where a peer must not be able to predict
 * the value (initial sequence numbers, timestamp offsets), and a cheaper keyed fold for the flow table. */
#pragma once
#include "base/endpoint.h"

struct tcp_tuple { /* one side of the conversation as we see it; no padding, compared as bytes */
    struct ip_addr local, remote;
    uint16_t local_port, remote_port;
};

static inline bool tcp_tuple_equal(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
    uint64_t x[4], y[4];
    uint32_t p, q;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    memcpy(&p, &a->local_port, sizeof p);
    memcpy(&q, &b->local_port, sizeof q);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (p ^ q)) == 0;
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
static inline uint32_t tcp_flow_hash(const struct tcp_secret *k, const struct tcp_tuple *t)
{
    uint64_t w[4];
    uint32_t ports;
    memcpy(w, t, sizeof w);
    memcpy(&ports, &t->local_port, sizeof ports);
    uint64_t h = tcp_fold(w[0] ^ k->k0, w[1] ^ k->k1) ^ tcp_fold(w[2] ^ k->k1, w[3] ^ ~k->k0 ^ ports);
    return (uint32_t)(tcp_fold(h ^ k->k0, ports ^ 0x9e3779b97f4a7c15ull ^ k->k1) >> 16);
}
