/* ping.h: echo requests of our own (`sluice ping`), sent by the worker that gets the replies: the first. */
#pragma once
#include "net/net.h"

enum {
    NET_PINGS = 4,        /* at once */
    NET_PING_EVENTS = 64, /* outcomes that are kept for the asker */
    NET_PING_COUNT_MAX = 65535,
    NET_PING_INTERVAL_MIN = 20000, /* µs */
    NET_PING_INTERVAL_MAX = 5000000
};

struct net_ping_conf {
    struct ip_addr to;
    uint32_t count, interval_us;
    uint16_t size; /* payload bytes */
};

struct net_ping_event {
    uint32_t seq, rtt_us;
    uint16_t bytes; /* of the reply, ICMP header included */
    uint8_t ttl;
    bool answered;
    bool unresolved; /* not answered, and the next hop has no known hardware address */
};

struct net_ping_status {
    struct ip_addr from;
    uint32_t sent, received, events;
    uint32_t min_us, max_us; /* of replies; min_us is UINT32_MAX without any */
    uint64_t sum_us;
    bool done; /* every request has its outcome */
};

/* Sends the first request. Returns a handle, or 0 and a static line in *error. */
uint32_t net_ping_start(struct net_if *n, const struct net_ping_conf *conf, uint64_t now_us,
                        const char **error);
/* False if it is unknown: nobody has looked for ten seconds, or net_ping_end. */
bool net_ping_look(struct net_if *n, uint32_t id, uint64_t now_us, struct net_ping_status *out);
/* The k-th outcome since the start; false if it has not come yet or is no longer kept. */
bool net_ping_event(struct net_if *n, uint32_t id, uint32_t k, struct net_ping_event *out);
void net_ping_end(struct net_if *n, uint32_t id);
