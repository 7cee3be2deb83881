/* conn.h: what the files of the TCP stack share: the connection, the stack, the frames of the send queue.
 * Private to dataplane/tcp. */
#pragma once
#include <assert.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "tcp/header.h"
#include "tcp/rate.h"
#include "tcp/secret.h"
#include "tcp/seq.h"
#include "tcp/tcp.h"
#include "tcp/wheel.h"

/* RFC 9293 section 3.3.2; LISTEN lives in struct tcp_listener. */
enum tcp_state {
    TCP_STATE_CLOSED,
    TCP_STATE_SYN_SENT,
    TCP_STATE_SYN_RECEIVED,
    TCP_STATE_ESTABLISHED,
    TCP_STATE_FIN_WAIT_1,
    TCP_STATE_FIN_WAIT_2,
    TCP_STATE_CLOSE_WAIT,
    TCP_STATE_CLOSING,
    TCP_STATE_LAST_ACK,
    TCP_STATE_TIME_WAIT,
    TCP_STATES
};

/* Every limit and time of the stack. Times in microseconds. */
enum {
    TCP_INITIAL_WINDOW = 10,    /* segments (RFC 6928) */
    TCP_MSS_MIN = 88,           /* a peer that asks for less gets this: tiny segments are an attack */
    TCP_MSS_DEFAULT4 = 536,     /* RFC 9293 MUST-15 */
    TCP_MSS_DEFAULT6 = 1220,    /* RFC 9293 MUST-15 */
    TCP_RTO_FIRST = 1000000,    /* RFC 6298 (2.1) */
    TCP_RTO_SYN_LOST = 3000000, /* RFC 6298 (5.7): when the handshake was sent again and told no round trip */
    TCP_RTO_MIN = 200000,       /* below RFC 6298 (2.4), as everyone does */
    TCP_RTO_MAX = 60000000,     /* RFC 6298 (2.5) */
    TCP_SYN_RETRIES = 6,     /* RFC 9293 MUST-23: R2 for SYN of at least 3 minutes is for a host, not a box */
    TCP_SYN_ACK_RETRIES = 5, /* a half-open connection lives 63 s at most */
    TCP_DATA_RETRIES = 10,   /* RFC 9293 3.8.3: R2 of at least 100 s */
    TCP_DELAYED_ACK = 40000, /* RFC 1122 4.2.3.2 allows 500 ms; at most two segments wait */
    TCP_TIME_WAIT_DEFAULT = 1000000,
    TCP_FIN_WAIT_2_LIFE = 20000000, /* a peer that never closes its side */
    TCP_ORPHAN_LIFE = 60000000,     /* a closed connection that still has bytes to deliver */
    TCP_KEEPALIVE_PROBES = 3,       /* as Redis: three probes, a third of the idle time apart */
    TCP_CHALLENGE_GAP_MS = 500,     /* RFC 5961 section 7, a connection at a time: no shared side channel */
    TCP_RST_BURST = 100,            /* resets to closed ports: burst, and refill a second */
    TCP_RST_RATE = 1000,
    TCP_STARVED_RETRY = 1000, /* when the packet pool was empty */
    TCP_ROOM_RETRY = 10000,   /* timers of a connection that waits for the port look no oftener */
    TCP_OUT_OF_ORDER = 64,    /* frames a connection may hold beyond a hole, by default */
    TCP_PACK_FRAMES = 8,      /* unread frames from which on small segments are copied together */
    TCP_LISTENERS = 64,
    TCP_LOCALS = 8,           /* addresses of a listener */
    TCP_TIME_WAITS_DEFAULT = 32768, /* records of 64 bytes: 32 000 connections closed a second */
    TCP_RESERVE_SHIFT = 4, /* the last sixteenth of the pool is for peers that have proved their address */
    TCP_AHEAD = 4,         /* prefetches between a connection and its frame, a power of two */
    TCP_SPARES = 64,       /* frames that are used again within a round */
    TCP_DUPACKS = 3,       /* RFC 5681 section 3.2 */
    TCP_TAIL_SLACK = 4000, /* added to a tail probe's two round trips: timer ticks and a busy peer */
    TCP_TAIL_ACK_DELAY = 100000, /* TLP.max_ack_delay: a single segment may wait that long for its ACK */
    TCP_REORDER_PERSIST = 16,   /* RACK.reo_wnd_persist: recoveries without D-SACK until the window shrinks */
    TCP_SCOREBOARD_STEPS = 1024 /* frames looked at in one walk for one ACK, at most */
};

enum tcp_conn_flag {
    CONN_TS = 1 << 0,        /* timestamps agreed */
    CONN_SACK = 1 << 1,      /* SACK agreed */
    CONN_WSCALE = 1 << 2,    /* window scaling agreed */
    CONN_ACTIVE = 1 << 3,    /* we opened it */
    CONN_ANNOUNCED = 1 << 4, /* TCP_OPENED was handed out: the user knows the pointer */
    CONN_ORPHAN = 1 << 5,    /* the user is detached */
    CONN_DEAD = 1 << 6,      /* to be freed when the last list has let go of it */
    CONN_IN_READY = 1 << 7,
    CONN_IN_ROUND = 1 << 8,
    CONN_IN_STARVED = 1 << 9,
    CONN_ACK_NOW = 1 << 10,      /* acknowledge at the end of the round, do not delay */
    CONN_DELACK = 1 << 11,       /* delack_at is set */
    CONN_WANT_WRITE = 1 << 12,   /* TCP_WRITABLE is owed */
    CONN_CWND_LIMITED = 1 << 13, /* the congestion window held something back: it may grow */
    CONN_FIN_WANTED = 1 << 14,   /* tcp_close found no frame for the FIN: try again */
    CONN_RX_FIN = 1 << 15,       /* the peer's FIN was received in order */
    /* Any of these keeps a segment off the fast path. */
    CONN_HOLES = 1 << 16,        /* frames wait beyond a hole */
    CONN_RECOVERY = 1 << 17,     /* fast recovery (RFC 6582) */
    CONN_LOSS = 1 << 18,         /* after a retransmission timeout, until `recover` is acknowledged */
    CONN_PERSIST = 1 << 19,      /* the window is closed: rexmit_at is the persist timer */
    CONN_DUPACKED = 1 << 20,     /* duplicate ACKs were counted, or the peer holds something beyond a hole */
    CONN_TAIL_PROBE = 1 << 21,   /* a tail loss probe is out; `recover` is TLP.end_seq */
    CONN_PROBE_RESENT = 1 << 22, /* it repeats old data (TLP.is_retrans); does not slow by itself */
    CONN_REORDERED = 1 << 23,    /* RACK.reordering_seen; likewise */
    /* Explicit congestion notification (ecn.c). */
    CONN_ECN = 1 << 24,       /* agreed (before the SYN-ACK of an active open: asked for) */
    CONN_ECN_ECHO = 1 << 25,  /* a mark has come: ECE until the peer's CWR */
    CONN_ECN_CWR = 1 << 26,   /* the window fell: the next new data say so */
    CONN_COOKIE = 1 << 27,    /* came by a SYN cookie: leaves a guard when it ends (time_wait.c) */
    CONN_AGED = 1 << 28,      /* stands in the list of half-open or orphaned connections (shed.c) */
    CONN_PMTU = 1 << 29,      /* mss is below what was agreed, until pmtu_ms (pmtu.c) */
    CONN_BACKED_OFF = 1 << 30 /* backoff holds until a round trip is measured (Karn) */
};
#define CONN_SLOW                                                                                            \
    (CONN_HOLES | CONN_RECOVERY | CONN_LOSS | CONN_PERSIST | CONN_DUPACKED | CONN_ORPHAN | CONN_TAIL_PROBE)

/* A frame of the send queue: kept in the first bytes of the mbuf's buffer, where the headers prepended to the
 * payload never reach. (mbuf->next cannot link the queue: a driver that frees the frame follows it.) */
struct tcp_frame {
    struct rte_mbuf *next;
    uint64_t sent_us;
    uint32_t seq;
    uint16_t off, len; /* payload: data_off of its first byte, bytes */
    uint8_t flags;     /* enum tcp_frame_flag */
};

enum tcp_frame_flag {
    FRAME_FIN = 1,
    FRAME_RESENT = 2,
    FRAME_SACKED = 4,
    FRAME_LOST = 8,
    FRAME_REPAIRED = 16
};
/* RESENT: sent more than once in its life (Karn). LOST: deemed lost. REPAIRED: resent since then. */

static_assert(sizeof(struct tcp_frame) + 18 + 40 + TCP_HEADER + TCP_TS_SPACE <= RTE_PKTMBUF_HEADROOM,
              "Ethernet with VLAN, IPv6 and TCP fit between a frame's note and its payload");

/* Where payload begins in a frame of the send queue: Ethernet, IPv4 and TCP with timestamps in front of it (66 bytes) begin a cache line. So
 * the line of the frame's note stays this core's own, and whoever takes the frame off the link reads one line less. */
enum { TCP_FRAME_START = RTE_PKTMBUF_HEADROOM + 2 };

#define NO_CONN UINT32_MAX
#define NO_RTT  UINT64_MAX

/* In congestion avoidance (cubic.c). */
struct tcp_cubic {
    int16_t from_plateau_ms; /* t - K */
    uint16_t last_ms;        /* when t last moved */
    uint32_t w_max, w_est, prior_w_max;
};

/* In the first slow start (RFC 9406). */
struct tcp_hystart {
    uint32_t round_end, last_min_us, min_us, baseline_us;
};

struct tcp_cong {
    uint8_t algorithm, mode; /* enum tcp_cc_kind; the row's own */
    uint8_t samples, rounds; /* HyStart++: of round-trip times; of conservative slow start */
    uint32_t ecn_recover;    /* snd_nxt at the last reduction: marks of data before it count no more */
    uint32_t sent_ms;        /* when a window that has grown was last in use */
    union {
        struct tcp_cubic cubic;
        struct tcp_hystart hystart;
    };
};

/* Six or seven cache lines. In-order data with its reply touches the first three. */
struct tcp_conn {
    /* Line 0, hot: identity and header prediction. */
    struct tcp_tuple tuple; /* 36 bytes */
    uint8_t state, events, snd_wscale, rcv_wscale;
    uint32_t flags;
    uint32_t rcv_nxt, snd_una, snd_nxt, snd_wnd; /* snd_nxt: first number never sent */
    uint32_t ts_recent;

    /* Line 1, hot: receive queue, owners, lists. */
    struct rte_mbuf *rx_head, *rx_tail; /* in order, linked by mbuf->next, one segment each */
    struct tcp_stack *stack;
    struct net_path *path;
    union {
        void *user;
        struct { /* with CONN_AGED, that is while it has no user: half-open, or an orphan */
            uint32_t older, newer;
        };
    };
    uint32_t next_ready, next_round; /* index in the pool, NO_CONN at the end */
    uint32_t rx_unread, rcv_adv;     /* rcv_adv: right edge of the window we have announced */
    uint32_t snd_wl1;                /* SND.WL2 is not kept: it never exceeds snd_una */
    uint32_t last_rx_ms;

    /* Line 2, hot: send queue, retransmission, round-trip time. */
    struct rte_mbuf *tx_head, *tx_tail, *tx_send; /* tx_send: first frame never sent */
    uint64_t rexmit_at;                           /* us, 0 = off: RTO, or persist with CONN_PERSIST */
    uint64_t armed_at;                            /* when the wheel will call, UINT64_MAX = never */
    uint32_t cwnd, srtt_us, rttvar_us;
    uint32_t last_ack_sent;
    uint16_t tx_frames, rx_frames;
    uint16_t mss;        /* payload of a full segment, options taken off */
    uint16_t unacked_in; /* segments received since our last ACK */

    /* Lines 3 to 6, cold: slow path. */
    struct wheel_node timer;
    uint64_t delack_at, state_at; /* state_at: TIME_WAIT, FIN_WAIT_2, orphan; 0 = none */
    union {
        uint64_t syn_us; /* handshake: when our SYN left (round-trip time, user timeout) */
        struct {         /* fast recovery: bytes delivered and sent since it began (RFC 6937) */
            uint32_t prr_delivered, prr_out;
        };
    };
    uint32_t ssthresh, recover, snd_wnd_max;
    uint16_t dupacks, undo_resent; /* undo_resent: repairs that no D-SACK has called needless yet */
    uint16_t sacked, lost;         /* frames marked FRAME_SACKED; frames lost and not resent since */
    uint32_t irs, iss;
    uint32_t ts_offset;
    uint32_t challenge_ms, oow_ms;
    uint32_t cwnd_credit; /* bytes acknowledged towards the next increase in congestion avoidance */
    uint32_t next_starved, next_in_row;
    uint8_t backoff, retries, probes;
    uint16_t listener; /* index, while SYN_RECEIVED */
    uint16_t peer_mss, ooo_frames;
    struct rte_mbuf *ooo; /* beyond a hole, ascending, numbers in hash.usr */
    uint32_t rx_wraps, tx_wraps;
    uint32_t retransmits;
    uint32_t ooo_last; /* where the last out-of-order segment began: its SACK block goes first */

    /* listen: user timeout (timers.c). Since when the peer has taken nothing, 0 = unknown, and where it
     * stood. */
    uint32_t stuck_ms, stuck_una;
    /* end of listen */
    /* loss: rack.c, recovery.c, spurious.c. Times are the low 32 bits of microseconds. */
    uint32_t gone;                /* bytes sent that are not on their way: sacked, or lost and not resent */
    uint32_t rack_xmit, rack_end; /* RACK.segment: the delivered one that was sent last */
    uint32_t rack_rtt, min_rtt;   /* 0: none yet */
    uint32_t fack;                /* RACK.fack: the highest number delivered */
    uint32_t reorder_at;          /* reordering timer, 0 = off */
    uint32_t dsack_round;         /* one D-SACK a round trip widens the window (with reo_mult > 1) */
    uint32_t recover_fs;          /* RecoverFS */
    uint32_t prior_cwnd, prior_ssthresh;     /* before the repair began; prior_cwnd 0: nothing to undo */
    uint32_t undo_from;                      /* where it began */
    uint8_t reo_mult, reo_persist;           /* RACK.reo_wnd_mult - 1, RACK.reo_wnd_persist */
    uint8_t frto;                            /* enum frto_step */
    uint8_t dsack_open : 1, rack_resent : 1; /* dsack_round is set; RACK.segment was a repair */
    uint8_t undo_timeout : 1;                /* the repair began with a timeout */
    /* room.c: in the row of those who wait for the port; what is to be done first when the turn has come */
    uint8_t in_row : 1, late_timer : 1, late_head : 1;
    uint32_t late_ms;    /* with late_timer: since when */
    uint32_t put_off_at; /* where snd_una stood when a late timeout was put off: once is enough */
    /* end of loss */
    /* congestion.c, cubic.c, ecn.c */
    struct tcp_cong cong;
    /* pmtu.c */
    uint32_t pmtu_ms;             /* with CONN_PMTU: when the old size is tried again */
    uint32_t pmtu_trial_end;      /* where the trial ends that was sent last */
    uint16_t pmtu_trial;          /* its size, 0 = none */
    uint8_t icmp_type, icmp_code; /* the last ICMP error that was noted, 0 = none */
} __rte_cache_aligned;

static_assert(offsetof(struct tcp_conn, rx_head) == 64 && offsetof(struct tcp_conn, tx_head) == 128 &&
                  offsetof(struct tcp_conn, timer) == 192,
              "the hot part of a connection is exactly three cache lines");
static_assert(sizeof(struct tcp_conn) <= 448, "an idle connection stays small");

struct tcp_listener {
    uint16_t port; /* 0: it has ended; its place is taken again when nothing is half-open any more */
    unsigned half_open;
    unsigned locals; /* 0: any address of ours */
    struct ip_addr local[TCP_LOCALS];
};

struct tcp_ages { /* connections by age, linked by older and newer */
    uint32_t oldest, newest;
    unsigned n;
};

struct tcp_flow_slot { /* conn + 1; 0: free */
    uint32_t hash, conn;
};

struct tcp_time_waits;

struct tcp_stack {
    struct tcp_config conf;
    struct net_if *nif;
    struct rte_mempool *pool;
    struct counters *counters;
    bool port_full; /* tcp_port_full() */
    uint64_t full_since_us; /* tcp_no_room(), kept while somebody stands in the row; 0: not said */
    uint32_t row_first, row_last;
    struct tcp_conn *conns;
    void *conns_memory;
    struct tcp_flow_slot *flows;
    uint32_t flow_mask;
    uint32_t fresh; /* connections never used yet start here */
    uint32_t free_list, ready_head, ready_tail, round_list, starved_list, starved_last;
    uint32_t reap; /* handed out with TCP_CLOSED, freed at the next tcp_next_event */
    unsigned used, listeners;
    struct tcp_listener listener[TCP_LISTENERS];
    struct tcp_secret secret;
    struct wheel wheel;
    struct tcp_conn *ahead[TCP_AHEAD]; /* connections whose lines tcp_prefetch has asked for, a ring */
    unsigned ahead_at;
    uint16_t buffer_gap; /* from an mbuf to its buffer */
    uint16_t spares;
    struct rte_mbuf *spare[TCP_SPARES]; /* frames that nobody needs any more, for those that this round still wants */
    struct { /* where the last tcp_rx_peek ended, so that peeking on does not walk the queue each time */
        const struct tcp_conn *conn;
        const struct rte_mbuf *frame;
        size_t start; /* offset of the frame's first byte */
    } peeked;
    struct { /* a duplicate that the ACK about to be sent reports (RFC 2883) */
        const struct tcp_conn *conn;
        struct tcp_range range;
    } dsack;
    uint64_t timers_next, starved_at;
    uint64_t rst_refill_us;
    uint32_t rst_tokens;
    uint32_t held, held_max;     /* received frames held for users, over all connections */
    uint32_t queued, queued_max; /* frames in send queues, likewise */
    uint16_t frame_room;         /* payload that fits into a fresh frame */
    uint16_t frames_max;         /* frames a connection may queue for sending */
    uint16_t next_port;
    uint8_t rcv_wscale;
    struct tcp_time_waits *time_waits;
    struct tcp_ages half_open, orphans;
    struct tcp_secret cookie_secret;
    uint64_t cookies_until_us; /* no cookie is good after that */
    struct tcp_rate rate;
};

static inline struct tcp_frame *frame_of(const struct rte_mbuf *m)
{
    return m->buf_addr;
}

/* A frame of one buffer is no longer needed. Its next user is likely to come in the same round; what is left then goes
 * back to the pool at its end. */
static inline void tcp_frame_free(struct tcp_stack *s, struct rte_mbuf *m)
{
    if (likely(s->spares < TCP_SPARES && m->pool == s->pool && rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) &&
               !m->next && m->nb_segs == 1))
        s->spare[s->spares++] = m;
    else
        rte_pktmbuf_free_seg(m);
}

/* A fresh one; NULL if the pool is empty. */
static inline struct rte_mbuf *tcp_frame_alloc(struct tcp_stack *s)
{
    if (unlikely(!s->spares))
        return rte_pktmbuf_alloc(s->pool);
    struct rte_mbuf *m = s->spare[--s->spares];
    rte_pktmbuf_reset(m);
    return m;
}

/* The same, of which nothing is set but where its memory is: for the send queue, which sets the rest when the frame leaves. */
static inline struct rte_mbuf *tcp_frame_raw(struct tcp_stack *s)
{
    return likely(s->spares) ? s->spare[--s->spares] : rte_mbuf_raw_alloc(s->pool);
}

/* Sequence numbers a queued frame takes. */
static inline uint32_t frame_span(const struct tcp_frame *f)
{
    return f->len + (f->flags & FRAME_FIN ? 1u : 0u);
}

/* Room in the peer's window it needs: a FIN behind data may stand outside (it is sent again if it was cut
 * off).
 */
static inline uint32_t frame_window(const struct tcp_frame *f)
{
    return f->len ? f->len : frame_span(f);
}

/* A list stands in the way of its place in the pool, until it comes to it. */
static inline bool conn_listed(const struct tcp_conn *c)
{
    return (c->flags & (CONN_IN_READY | CONN_IN_ROUND | CONN_IN_STARVED)) || c->in_row;
}

static inline uint32_t conn_index(const struct tcp_conn *c)
{
    return (uint32_t)(c - c->stack->conns);
}

/* At the round's end it is looked whether it has something to acknowledge. */
static inline void tcp_round_add(struct tcp_conn *c)
{
    if (c->flags & CONN_IN_ROUND)
        return;
    c->flags |= CONN_IN_ROUND;
    c->next_round = c->stack->round_list;
    c->stack->round_list = conn_index(c);
}

static inline bool conn_synchronized(const struct tcp_conn *c)
{
    return c->state >= TCP_STATE_ESTABLISHED;
}

static inline void conn_count(struct tcp_conn *c, enum counter which)
{
    count_one(c->stack->counters, which);
}

/* -- state.c: the only place that changes a state */
void tcp_set_state(struct tcp_conn *c, enum tcp_state to); /* asserts the table of legal edges */
bool tcp_state_edge(enum tcp_state from, enum tcp_state to);
const char *tcp_state_name(enum tcp_state s);

/* -- flow.c: the flow table: open addressing, eight slots a cache line */
bool tcp_flow_new(struct tcp_stack *s);
struct tcp_conn *tcp_flow_find(struct tcp_stack *s, const struct tcp_tuple *t, uint32_t hash);
void tcp_flow_add(struct tcp_conn *c);
void tcp_flow_remove(struct tcp_conn *c);

/* -- pool.c: life of a connection, the ready list, the round list */
struct tcp_conn *tcp_conn_new(struct tcp_stack *s, const struct tcp_tuple *t,
                              uint64_t now_us); /* NULL: pool empty */
/* Ends a connection without a segment: leaves the tables; the user hears TCP_CLOSED if there is one. */
void tcp_conn_end(struct tcp_conn *c);
void tcp_conn_release(struct tcp_conn *c); /* back to the pool as soon as no list holds it */
void tcp_raise(struct tcp_conn *c, unsigned events);
void tcp_starve(struct tcp_conn *c);    /* no frame to be had: try again soon */
void tcp_take_turn(struct tcp_conn *c); /* it has no frame and may have none yet: likewise */
void tcp_starved_retry(struct tcp_stack *s, uint64_t now_us);

/* -- room.c: waiting for room in the port's queue */
/* Nothing of it could be sent: for want of room, if the port is full, else of a frame. */
void tcp_unsent(struct tcp_conn *c);
/* To the end of the row; no effect if it stands in it. */
void tcp_wait_for_room(struct tcp_conn *c);
/* A timer has fired that must wait likewise. */
void tcp_timer_waits(struct tcp_conn *c, uint64_t now_us);

/* timers.c: a timeout fell due while the port was full, since full_us: if what it asks about may have left only now, it is due in a
 * whole RTO, or when the user's patience ends; once for as long as nothing is acknowledged. */
void tcp_put_off(struct tcp_conn *c, uint64_t full_us, uint64_t now_us);

/* -- listen.c: a segment without a connection. Returns the half-open connection that it may complete (the ACK
 * of a SYN cookie), to be given to it as if it had stood there; else NULL, and the segment is dealt with. */
struct tcp_conn *tcp_listen_input(struct tcp_stack *s, const struct tcp_tuple *t,
                                  const struct tcp_segment *seg, uint64_t now_us);
bool tcp_listening(const struct tcp_stack *s, uint16_t port);
void tcp_listen_left(struct tcp_conn *c); /* no longer half-open */
/* What a SYN or SYN-ACK of the peer agrees to. */
void tcp_learn_options(struct tcp_conn *c, const struct tcp_segment *syn, uint64_t now_us);
/* Payload of a full segment: what the peer takes (its MSS option, 0 = none) and the path carries. */
uint16_t tcp_segment_size(const struct tcp_conn *c, uint16_t offered);

/* -- shed.c: what is given up when something runs short */
void tcp_age_add(struct tcp_conn *c, struct tcp_ages *list);
void tcp_age_remove(struct tcp_conn *c, struct tcp_ages *list); /* no effect if it stands in none */
/* c has lost its user: the oldest orphan beyond the bound is reset. */
void tcp_orphan(struct tcp_conn *c, uint64_t now_us);
/* Makes room in the pool for a peer that has proved its address: false if everything is in use. */
bool tcp_shed(struct tcp_stack *s, uint64_t now_us);
bool tcp_pool_low(const struct tcp_stack *s);
/* The retransmission timer of an orphan has fired: it is the first to go. */
void tcp_orphan_timeout(struct tcp_conn *c);
/* A user has had to wait for frames: orphans that get nothing delivered give up theirs, at the next retry. */
void tcp_shed_soon(struct tcp_stack *s);
void tcp_shed_frames(struct tcp_stack *s, uint64_t now_us);

/* -- ack.c: the ACK field; false if the segment must not be processed further (c may be gone) */
bool tcp_ack_input(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us);
void tcp_ack_advance(struct tcp_conn *c, uint32_t ack, uint64_t now_us);
void tcp_challenge_ack(struct tcp_conn *c, uint64_t now_us);
void tcp_take_timestamp(struct tcp_conn *c, const struct tcp_segment *seg); /* TS.Recent */
/* How long ago the segment left that the echo names (RFC 7323 section 4.1); UINT32_MAX without timestamps. */
uint32_t tcp_echo_age_ms(const struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us);

/* -- receive.c: segment text and reassembly; consumes m, whose payload starts `skip` bytes into its data */
void tcp_receive(struct tcp_conn *c, struct rte_mbuf *m, uint32_t skip, uint32_t seq, uint32_t len);
void tcp_receive_drop(struct tcp_conn *c); /* frees everything received */
unsigned tcp_receive_ranges(const struct tcp_conn *c, struct tcp_range *out, unsigned n);
bool tcp_receive_append(struct tcp_conn *c, struct rte_mbuf *m); /* in order, trimmed; false: no memory */
/* Bytes free. */
static inline uint32_t tcp_receive_window(const struct tcp_conn *c)
{
    uint32_t most = (uint32_t)UINT16_MAX << c->rcv_wscale;
    uint32_t size = c->stack->conf.rx_window < most ? c->stack->conf.rx_window : most;
    return c->rx_unread < size ? size - c->rx_unread : 0;
}

/* -- queue.c: the send queue */
void tcp_queue_fin(struct tcp_conn *c);
bool tcp_queue_split(struct tcp_conn *c, uint16_t len); /* cuts tx_send in two */
/* Frees what ack covers. Round-trip time of the newest frame that was sent once, NO_RTT if there is none. */
uint64_t tcp_queue_acked(struct tcp_conn *c, uint32_t ack, uint64_t now_us);
void tcp_queue_drop(struct tcp_conn *c);
uint32_t tcp_queue_end(const struct tcp_conn *c);
bool tcp_queue_share(const struct tcp_conn *c); /* may it hold one more of the shared frames? */
void tcp_queue_room(struct tcp_conn *c);        /* raises TCP_WRITABLE if it is owed and there is room */

/* -- output.c */
void tcp_output(struct tcp_conn *c, uint64_t now_us);
/* Sends (again) a frame of the queue; the queue keeps it. False if the packet pool is empty. */
bool tcp_send_frame(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us);
void tcp_send_ack(struct tcp_conn *c, uint64_t now_us);
void tcp_send_probe(struct tcp_conn *c, uint64_t now_us);
void tcp_send_syn(struct tcp_conn *c, uint64_t now_us); /* or SYN-ACK, by state */
void tcp_send_rst(struct tcp_conn *c, uint64_t now_us);
/* A segment of no connection; fills in the ports. */
void tcp_send_bare(struct tcp_stack *s, struct net_path *path, const struct tcp_tuple *t,
                   struct tcp_segment *seg, uint64_t now_us);
void tcp_answer_rst(struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *seg,
                    uint64_t now_us);

/* -- chain.c: several frames as one, for a port that cuts them up again */
/* The last frame of the chain that starts with tx_send and carries at most room bytes (tx_send fits). */
struct rte_mbuf *tcp_chain_end(const struct tcp_conn *c, uint32_t room);
/* Hangs the frames up to last, of which it takes references, on head, which is bare. */
void tcp_chain(struct rte_mbuf *head, const struct rte_mbuf *last, uint64_t now_us);

/* -- scoreboard.c: what an ACK tells of the frames in flight */
struct tcp_news {
    uint32_t acked;     /* bytes by which SND.UNA moves */
    uint32_t delivered; /* bytes that are newly known to have arrived, selectively or not */
    uint32_t flight;    /* FlightSize before it */
    bool sacked;        /* a block told something new */
    bool original;      /* a frame that was sent once, and not after `recover`, has arrived */
    bool duplicate;     /* RFC 5681 section 2 */
    bool dsack;         /* it reports this duplicate (RFC 2883) */
    struct tcp_range dup;
};
/* To be called before what seg acknowledges is freed. seg->ack lies between snd_una and snd_nxt. */
void tcp_scoreboard_read(struct tcp_conn *c, const struct tcp_segment *seg, struct tcp_news *news,
                         uint64_t now_us);
/* Changes FRAME_SACKED, LOST, REPAIRED of a frame, and the counts of the connection with them. */
void tcp_frame_mark(struct tcp_conn *c, struct tcp_frame *f, unsigned set, unsigned clear);
/* A segment we hold already came again: the next ACK says so. */
void tcp_report_duplicate(struct tcp_conn *c, uint32_t from, uint32_t to);

static inline bool frame_gone(const struct tcp_frame *f)
{
    return (f->flags & FRAME_SACKED) || (f->flags & (FRAME_LOST | FRAME_REPAIRED)) == FRAME_LOST;
}

/* The frames from tx_head up to the first one never sent. */
static inline bool frame_in_flight(const struct tcp_conn *c, const struct rte_mbuf *m)
{
    return m && m != c->tx_send;
}

static inline bool conn_in_repair(const struct tcp_conn *c)
{
    return c->flags & (CONN_RECOVERY | CONN_LOSS);
}

/* -- rack.c: RACK and tail loss probes */
void tcp_rack_begin(struct tcp_conn *c); /* the first sign of disorder after a quiet time */
void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_frame *f, const struct tcp_segment *seg,
                        uint64_t now_us);
void tcp_rack_dsack(struct tcp_conn *c, bool seen);
void tcp_rack_repaired(struct tcp_conn *c);                /* a recovery has ended */
bool tcp_rack_detect(struct tcp_conn *c, uint64_t now_us); /* true: frames were marked as lost */
void tcp_rack_timeout(struct tcp_conn *c, uint64_t now_us);
uint64_t tcp_reorder_due(const struct tcp_conn *c, uint64_t now_us); /* UINT64_MAX: the timer is off */
uint64_t tcp_tail_due(const struct tcp_conn *c);                     /* UINT64_MAX: no probe is due */
void tcp_tail_probe(struct tcp_conn *c, uint64_t now_us);
void tcp_tail_ack(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_news *news);

/* The probe timeout of several segments in flight. */
static inline uint64_t tcp_tail_timeout(const struct tcp_conn *c)
{
    return 2ull * c->srtt_us + TCP_TAIL_SLACK;
}

/* -- recovery.c: repair */
void tcp_recovery_ack(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_news *news,
                      uint64_t now_us);
void tcp_recovery_lost(struct tcp_conn *c, uint32_t held, uint32_t delivered, uint64_t now_us);
void tcp_recovery_timeout(struct tcp_conn *c, uint64_t now_us);
void tcp_recovery_output(struct tcp_conn *c, uint64_t now_us);
bool tcp_resend(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us); /* false: no room, or no frame to be had */
void tcp_repair_end(struct tcp_conn *c);
uint32_t tcp_limited_transmit(const struct tcp_conn *c); /* bytes above cwnd after duplicate ACKs */

/* -- spurious.c: repairs that were not needed */
enum frto_step { FRTO_OFF, FRTO_FIRST_ACK, FRTO_SECOND_ACK }; /* waiting for which */
void tcp_spurious_save(struct tcp_conn *c, bool timeout);     /* a repair begins, after a timeout or not */
void tcp_spurious_dsack(struct tcp_conn *c, const struct tcp_news *news);
void tcp_frto_ack(struct tcp_conn *c, const struct tcp_news *news);

/* -- pmtu.c: path MTU and ICMP errors */
void tcp_pmtu_timeout(struct tcp_conn *c, uint64_t now_us); /* the head of the queue has timed out again */
void tcp_pmtu_expire(struct tcp_conn *c, uint64_t now_us);  /* with CONN_PMTU, any time */
uint64_t tcp_pmtu_due(const struct tcp_conn *c, uint64_t now_us);

/* -- timers.c: calls say what happened */
uint64_t tcp_rto_otherwise(const struct tcp_conn *c);
/* With back-off. Near peers' is the least there is. */
static inline uint64_t tcp_rto(const struct tcp_conn *c)
{
    enum { NEAR = TCP_RTO_MIN / 2, BACKS_OFF = CONN_LOSS | CONN_PERSIST | CONN_BACKED_OFF };
    bool near = c->srtt_us && c->srtt_us < NEAR && c->rttvar_us < NEAR / 4 && conn_synchronized(c) && !(c->flags & BACKS_OFF);
    return likely(near) ? TCP_RTO_MIN : tcp_rto_otherwise(c);
}
void tcp_rtt_sample_first(struct tcp_conn *c, uint32_t rtt_us);
/* RFC 6298 (2.2) and (2.3). */
static inline void tcp_rtt_sample(struct tcp_conn *c, uint64_t rtt_us)
{
    uint32_t r = rtt_us > TCP_RTO_MAX ? TCP_RTO_MAX : (uint32_t)rtt_us;
    if (unlikely(r == 0))
        r = 1;
    if (unlikely(c->srtt_us == 0 || c->flags & CONN_BACKED_OFF)) {
        tcp_rtt_sample_first(c, r);
        return;
    }
    int32_t off = (int32_t)(r - c->srtt_us); /* all of them are at most a minute */
    c->rttvar_us += (uint32_t)(((off < 0 ? -off : off) - (int32_t)c->rttvar_us) / 4);
    uint32_t srtt = c->srtt_us + (uint32_t)(off / 8);
    c->srtt_us = likely(srtt) ? srtt : 1;
}
void tcp_arm_slow(struct tcp_conn *c, uint64_t at_us);
void tcp_timer_conn(struct tcp_conn *c, uint64_t now_us);

/* The wheel's node is armed at or before every deadline; it looks again when it fires. */
static inline void tcp_arm(struct tcp_conn *c, uint64_t at_us)
{
    if (unlikely(at_us < c->armed_at))
        tcp_arm_slow(c, at_us);
}
