/* far_end.h: the other end of the box's wire for the fuzzer: a few half-hearted TCP peers that know just
 * enough (the sequence numbers) to get into a connection, and do there what the fuzzer's bytes say. */
#pragma once
#include "frame.h"
#include "box_rig.h"

enum { PEERS = 4 };

struct far_end {
    bool v6, auto_ack;
    uint8_t host;
    uint16_t port, window;
    uint32_t next;  /* our next sequence number */
    uint32_t acked; /* what we have acknowledged: follows the box if auto_ack */
    uint32_t seen;  /* the box's next sequence number, in order */
    bool synced;    /* a SYN-ACK has come */
    bool ts;        /* timestamps agreed */
    uint32_t ts_val, ts_ecr;
    uint8_t got[64]; /* the last reply's first bytes */
    size_t got_len;
};

struct far_ends {
    struct box_rig rig;
    struct far_end peer[PEERS];
    uint16_t ports; /* used so far */
};

void far_ends_start(struct far_ends *ps);
bool far_ends_stop(struct far_ends *ps);
/* Lets virtual time pass in at most `rounds` rounds of the worker and takes what it sends. */
void far_ends_run(struct far_ends *ps, uint64_t us, unsigned rounds);
void far_ends_send(struct far_ends *ps, const struct frame *f);
/* A segment of the peer at seq and ack, with its timestamp if agreed (and no other options are given). */
void far_end_send(struct far_ends *ps, struct far_end *p, uint8_t flags, uint32_t seq, uint32_t ack,
                  const uint8_t *data, size_t len);
/* Begins a connection: SYN with these options and, if the box agrees, the handshake's ACK. */
void far_end_open(struct far_ends *ps, struct far_end *p, uint32_t isn, const uint8_t *option,
                  size_t options);
