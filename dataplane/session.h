/* session.h: one client connection on its worker: TCP in and out, the request reader, and the client the
 * command layer sees. */
#pragma once
#include "command/client.h"
#include "resp/reader.h"
#include "resp/writer.h"

struct worker;
struct tcp_conn;
struct job;
struct batch;
struct secure;

struct out_chunk { /* replies that TCP had no room for */
    struct out_chunk *next;
    uint32_t len, off, cap;
    uint8_t data[];
};
/* The first chunk of a session is small: when packet buffers run out, a hundred thousand subscribers may have a message
 * waiting each. */
enum { OUT_CHUNK_FIRST = 1024, OUT_CHUNK_BYTES = 16384 };

enum session_flag {
    SESSION_OPEN = 1,
    SESSION_READY = 2,   /* in the worker's list of sessions with something to read */
    SESSION_STALLED = 8, /* waits for a job: nothing further is executed */
    SESSION_PEER_CLOSED = 16,
    SESSION_BROKEN =
        32, /* to be closed without delay: limits, protocol errors after their reply, CLIENT KILL */
    SESSION_ENDING = 64,  /* to be closed when everything written has left */
    SESSION_DOOMED = 128, /* broken, and counted in the worker's `doomed` */
    SESSION_PAUSED = 512, /* stalled by CLIENT PAUSE */
    SESSION_HOPS = 1024,  /* what was read last goes to another worker: nothing is read behind it before that */
    SESSION_TLS = 2048,   /* s->secure: all that is read and written goes through there */
    SESSION_SHAKES = 4096, /* ... and its handshake is not done */
    SESSION_HOLDS = 256   /* has held bytes: it stands at the front of the live ones */
};

enum { INDIRECT_CHUNKS = 1, INDIRECT_TLS = 2, INDIRECT_HELD = 4 /* worker_log.c */ };

/* With appendfsync always: of the bytes in chunks the first ones may leave; those behind them when record `until` of the log is
 * on the disk (0: the session is in no list of these); the rest, which came later, with `rest_until`. */
struct held {
    uint64_t free_bytes, bytes, until, rest_until;
    struct session *prev, *next;
};

struct session {
    /* What every request touches: these 64 bytes and the first 64 of the client, two cache lines or three. */
    _Alignas(32) struct worker *worker;
    struct tcp_conn *conn;
    uint32_t flags;
    uint32_t since;             /* when what is to be read began to come (wiretime.h); 0: nothing is */
    struct session *ready_next; /* list of readable sessions, or free list */
    /* In: requests are parsed where they lie in received frames; one that spans frames is gathered in
     * `query`. */
    struct resp_reader *reader; /* of a half-read request; NULL: the worker's reads */
    uint32_t rx_off;            /* bytes of the receive queue already parsed in this batch */
    uint32_t query_len, query_off, query_cap; /* session_query_room() sees to it that they are enough */
    uint8_t indirect; /* INDIRECT_...: why replies are not written straight into frames */
    uint8_t due;      /* a bit for each walk that it was put in front of before its turn */
    uint32_t placed; /* when it was put in front of the list of all sessions: that is in descending order, but for wraps */

    struct client client;
    uint8_t *query;
    struct session *live_prev, *live_next; /* list of all sessions of the worker */

    /* Out: what did not fit into TCP's queue. */
    struct out_chunk *chunk_first, *chunk_last;
    uint64_t chunk_bytes;
    uint32_t soft_since_s; /* when output passed the soft limit, 0 = below */
    uint64_t queued_bytes;  /* what client.transaction takes, as counted in the worker's query_bytes */
    struct held *held; /* INDIRECT_HELD */

    struct job *job; /* what it waits for */
    struct secure *secure;
};
static_assert(offsetof(struct session, client) == 64, "what every request touches lies together");
static_assert(sizeof(struct session) <= 352, "an idle session stays small");

/* -- life
 * ------------------------------------------------------------------------------------------------------- */

/* A connection was accepted: gives it a session, or refuses it with Redis' text (maxclients, protected mode)
 * and closes it. */
struct session *session_open(struct worker *w, struct tcp_conn *c);
/* The client can be talked to: is it told that it is not welcome (protected mode)? */
void session_welcome(struct session *s);
/* Ends it: orderly if conn is alive, silently if the connection is gone already (conn_gone). Jobs are
 * orphaned. */
void session_close(struct session *s, bool conn_gone);
/* Gives the memory of all sessions back, when none is open any more. */
void session_free_slabs(struct worker *w);
/* Closes the session if what has happened to it says so. True if it is gone. */
bool session_settle_now(struct session *s);
static inline bool session_settle(struct session *s)
{
    enum { ASKED = CLIENT_KILLED | CLIENT_CLOSE_AFTER_REPLY, ENDS = SESSION_BROKEN | SESSION_ENDING | SESSION_PEER_CLOSED };
    return __builtin_expect((s->flags & ENDS) || (s->client.flags & ASKED), 0) && session_settle_now(s);
}
/* A walk over the sessions of a worker that others may run in between: once over all that were there when it
 * began and still are. The worker is this one, or all others are stopped. */
enum { SESSION_WALKS = 8 };
struct session_walk {
    struct worker *worker;
    struct session *at;
    uint32_t begun, last;
    unsigned slot;
    bool front; /* it has been through, and looks for those that were put in front: they are few, and nobody
                   may run in between */
};
/* False if too many are under way: this one may not be interrupted. */
bool session_walk_begin(struct session_walk *walk, struct worker *w);
struct session *session_walk_next(struct session_walk *walk);
void session_walk_end(struct session_walk *walk);
/* Bytes for CLIENT LIST. */
void session_measure(struct session *s);

/* -- in
 * ---------------------------------------------------------------------------------------------------------
 */

enum parse_result {
    PARSE_DONE, /* nothing complete is left to read */
    PARSE_FULL, /* the batch is full, or must run before this session can go on */
};
/* Empties a batch that has run. */
void batch_begin(struct batch *b);
/* Reads requests into the batch. */
enum parse_result session_parse(struct session *s, struct batch *b);
/* Begins the look-ups of what session_parse() is to read next (row_peek()). */
void session_peek(const struct session *s);
/* Has it received anything that was not read yet? */
bool session_has_input(const struct session *s);
/* The batch has run: forgets what was executed. */
void session_consumed(struct session *s);
/* May so many bytes more be held for its requests (client-query-buffer-limit)? If not, it is broken. */
bool session_may_hold(struct session *s, size_t more);
/* Forgets what was read of a request that is not whole; frees the query buffer. */
void session_forget_request(struct session *s);
void session_query_free(struct session *s);
/* Room for so many bytes behind query_len; what was executed is dropped. False without memory. */
bool session_query_room(struct session *s, size_t more);
/* Those that are kept, when the worker ends. */
void session_free_queries(struct worker *w);
/* Puts the reading position back to a request that has not been executed. */
struct mark {
    uint32_t rx_off, query_off;
};
static inline struct mark session_mark(const struct session *s)
{
    return (struct mark){s->rx_off, s->query_off};
}
void session_rewind(struct session *s, struct mark m);
/* Gives the memory away in which a request lies that came in many frames, up to mark `after`: what was read
 * behind it is copied, and the mark is right again. NULL without memory. */
uint8_t *session_give_query(struct session *s, struct mark *after);

/* -- out
 * -------------------------------------------------------------------------------------------------------- */

/* Opens w->out's writer on this session, and closes it: bytes written in between go to TCP, or to chunks when
 * TCP is full. */
struct resp_writer *session_write_begin(struct session *s);
void session_write_end(struct session *s);
/* Appends encoded bytes. */
void session_write(struct session *s, struct slice bytes);
/* Appends chunks of so many bytes that have been written elsewhere; they are the session's now. */
void session_attach(struct session *s, struct out_chunk *first, struct out_chunk *last, uint64_t bytes);
/* Marks the session broken if its output has passed a limit (Redis calls it at once and from its cron). */
bool session_over_limit(struct session *s);
/* Is there a first chunk of which something may leave, or which is empty, and how much? */
bool session_may_leave(const struct session *s, size_t *n);
/* The first n bytes of the first chunk have left. */
void session_chunk_left(struct session *s, size_t n);
/* Forgets the output that TCP has not taken: of sessions that are to be closed. */
void session_drop_output(struct session *s);
/* Whatever the session holds: itself, its requests, its replies, its transaction and subscriptions. */
uint64_t session_memory(const struct session *s);
/* While the worker's clients together hold more than w->pending_max of untaken replies and unfinished
 * requests: gives up the one that holds most. While they take more than w->clients_max: gives up the one that takes
 * most, unless it is CLIENT NO-EVICT. */
void session_relieve(struct worker *w);
/* Before a session holds bytes: puts it where those are looked for. */
void session_holds(struct session *s);
/* Puts it before all others of its worker. */
void session_first(struct session *s);
/* TCP has room again. */
void session_drain(struct session *s);
