/* conversation.h: two whole ends (net and tcp) over an in-memory wire with faults, in virtual time. Each end
 * writes and reads at random, checks every byte, and closes; the run ends when nothing is left of any
 * connection. */
#pragma once
#include <rte_mempool.h>

#include "drivers/memwire.h"
#include "tcp/tcp.h"

struct conversation {
    uint64_t seed;
    unsigned connections;
    uint32_t bytes; /* each way, a connection */
    uint32_t write_max, read_max;
    bool lazy_reader; /* pauses of some ms between reads */
    bool one_way;     /* only the server sends */
    bool both_close;  /* each end closes as soon as it is done, not the server after the client */
    struct memwire_fault fault;
    uint64_t blackout_at_us, blackout_us; /* nothing arrives from then on for that long; 0 = never */
    struct tcp_config tcp;
    unsigned hog; /* frames of each end's pool taken away for the first virtual second */
    uint64_t limit_us;
    struct rte_mempool *pool[3]; /* end 0, end 1, wire */
    bool trace;
    bool offload; /* both ports have TSO, checksums and LRO; with an odd seed small receive buffers instead */
};

struct conversation_result {
    bool finished;    /* nothing is left */
    bool bytes_right; /* every byte once and in order */
    bool no_leak;
    unsigned lost_connections;      /* ended by timeout or reset */
    uint64_t took_us, delivered_us; /* until nothing was left; until the last byte was read */
    struct counters counters[2];
};

void conversation_run(const struct conversation *c, struct conversation_result *out);
