/* rate.h: how fast one source prefix may open connections: a bounded table of token buckets, each kept as the
 * moment when it will be full again (the generic cell rate algorithm, ITU-T I.371). One table a worker. */
#pragma once
#include "tcp/secret.h"

enum { TCP_RATE_SETS = 1024, TCP_RATE_WAYS = 4 };

struct tcp_rate_bucket {
    struct ip_addr prefix;
    uint64_t full_at; /* ns; in the past: full, which is as good as unknown */
};

struct tcp_rate {
    struct tcp_secret secret;
    uint64_t step, depth; /* ns a connection; ns the moment may lie ahead. step 0: no limit */
    uint8_t bits4, bits6;
    struct tcp_rate_bucket *bucket; /* [TCP_RATE_SETS][TCP_RATE_WAYS] */
};

/* Without a limit. False: no memory. */
bool tcp_rate_new(struct tcp_rate *r, struct tcp_secret secret);
/* per_second 0: no limit. burst: connections at once, at least 1. Other bits forget every bucket. */
void tcp_rate_set(struct tcp_rate *r, unsigned per_second, unsigned burst, unsigned bits4, unsigned bits6);
void tcp_rate_free(struct tcp_rate *r);
/* Takes a token for one more connection of this source; false if there is none. */
bool tcp_rate_take(struct tcp_rate *r, const struct ip_addr *source, uint64_t now_us);
