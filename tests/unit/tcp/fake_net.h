/* fake_net.h: a stand-in for dataplane/net at segment level, so that a test sees every segment the stack
 * sends and forges every one it gets. One stack, one peer address, virtual time. */
#pragma once
#include "eal.h"
#include "net/filter.h"
#include "tcp/conn.h"

enum { SENT_MAX = 512 };

struct sent_segment {
    uint64_t at_us;
    struct tcp_segment seg;
    uint8_t payload[64]; /* its first bytes */
};

struct bench {
    struct tcp_stack *stack;
    struct rte_mempool *pool;
    struct counters counters;
    uint64_t now_us;
    struct ip_addr local, remote;
    uint16_t mtu, path_mtu; /* of the interface; as a router has said, until */
    uint64_t path_mtu_until;
    unsigned confirmed; /* times TCP has said that its segments arrive */
    bool hold_frames;   /* keep the frames that were sent, as a transmit ring does, until bench_release */
    bool no_path;
    unsigned room; /* frames until the port is full, 0 = it never is: set by the test, before tcp_go_on() */
    enum filter_action filter; /* of every packet without a connection */
    bool manual;               /* the test ends the rounds */
    unsigned paths;            /* references handed out */
    struct rte_mbuf *held[SENT_MAX];
    unsigned nheld;
    struct sent_segment sent[SENT_MAX];
    unsigned head, tail; /* ring of what was sent and not looked at yet */
};

void bench_start(struct bench *b, const struct tcp_config *conf, struct rte_mempool *pool, bool v6);
/* Frees the stack; true if no frame and no path has leaked. */
bool bench_stop(struct bench *b);
void bench_release(struct bench *b);

/* A frame as net_input would hand it over: l2 + l3 bytes of something, the header, len bytes of payload (byte
 * i has the value seq + i). corrupt: flip a checksum bit. segments: spread over that many mbufs. */
struct rte_mbuf *bench_frame(struct bench *b, const uint8_t *header, unsigned header_len, uint32_t seq,
                             unsigned len, bool corrupt, unsigned segments, struct net_packet *p);
/* Hands seg to the stack (header and options from seg), as one round of its own unless told otherwise. */
void bench_input(struct bench *b, const struct tcp_segment *seg, unsigned len);
/* The next segment sent and not looked at, NULL if none. */
const struct sent_segment *bench_sent(struct bench *b);
/* Timers up to then. Stops early when something was sent. */
void bench_run(struct bench *b, uint64_t until_us, bool stop_when_sent);
