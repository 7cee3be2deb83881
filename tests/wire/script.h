/* script.h: a script that runs: what runner.c and values.c share. */
#pragma once
#include "fake_net.h"
#include "notation.h"

enum { PEERS = 8 };

struct peer {
    uint32_t isn, base; /* absolute number of the peer's relative 0, and of ours */
    uint32_t stamp;     /* our last timestamp value */
    uint32_t ts_base;   /* timestamp of our SYN */
    struct tcp_conn *conn;
    unsigned events; /* seen, not asked for yet */
};

struct script {
    const char *file;
    unsigned line, current;
    uint16_t port; /* the peer's segments go there */
    bool started, v6;
    struct complaint complaint;
    struct tcp_config conf;
    struct bench bench;
    struct peer peer[PEERS];
    bool place_iss, place_stamp;
    uint32_t iss, stamp; /* our first number and timestamp, by the time at which the script begins */
    bool waits;          /* find_record: the current peer has a record */
    uint16_t mtu;
    uint64_t uptime_us; /* when it begins; 0: five seconds */
    uint64_t last_us;   /* the time of the previous line */
};

/* Which of the peers a connection is with. */
unsigned peer_of(const struct tcp_conn *c);
/* One round of a worker: events are noted for the script, then the round ends. */
void finish_round(struct script *s);

/* set NAME VALUE; = NAME VALUE : state of the connection, number of connections, a field of tcp_info, or a counter (values.c). */
void line_set(struct script *s, char *text);
void line_check(struct script *s, char *text);
