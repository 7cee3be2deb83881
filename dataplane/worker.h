/* worker.h: one core's share of the box: queue, stack, shard, sessions and the loop over them. A worker
 * touches nothing mutable of another but through the fabric. */
#pragma once
#include "block.h"
#include "channel/messages.h"
#include "command/command.h"
#include "command/debug.h"
#include "command/hotkeys.h"
#include "command/latency.h"
#include "command/monitor.h"
#include "command/rates.h"
#include "command/row.h"
#include "command/slowlog.h"
#include "command/tracking.h"
#include "drivers/port.h"
#include "fabric/fabric.h"
#include "job.h"
#include "notes.h"
#include "peer.h"
#include "secure.h"
#include "session.h"
#include "snapshot_pace.h"
#include "store/midway.h"
#include "tcp/tcp.h"
#include "turns.h"
#include "wiretime.h"

struct rte_rcu_qsbr;
struct tap;

enum { BATCH_REQUESTS = 32, BATCH_ARGS = 512, WORKER_ERRORS = 128, QUERY_CHUNK = 1024 };

struct batch { /* requests read together, executed together */
    unsigned n, args;
    unsigned at; /* the one that is executed */
    int until_sample; /* requests, to the next one that is counted (hotkeys.h) */
    uint32_t in_row; /* a bit for each that was read by row.h: of its request only cmd, argc and argv are there */
    uint32_t behind; /* a bit for each that can hop in one job with the one before it */
    unsigned hops_to; /* the last one that was read does, to this worker plus one; 0: it does not hop so */
    struct request rq[BATCH_REQUESTS];
    struct ahead_row ahead; /* of their first keys */
    struct session *session[BATCH_REQUESTS];
    struct wiretime_batch times;
    struct mark after[BATCH_REQUESTS]; /* reading position behind the request */
    bool marked; /* clients were paused when it was read: */
    struct mark before[BATCH_REQUESTS]; /* the reading position before the request */
    struct slice argv[BATCH_ARGS];
    struct slice *big; /* for one request with more arguments than that, alone in its batch */
    size_t big_cap;
    uint8_t *unquoted[BATCH_REQUESTS]; /* arguments that do not lie in what was received */
    unsigned unquoted_n;
};

struct error_count { /* errorstats: error replies by first word */
    char code[24];
    uint64_t n;
};

struct box { /* what the workers share; written by the main thread before they start, atomics after */
    unsigned workers;
    struct worker **worker;
    struct keyspace *ks;
    struct fabric *fabric;
    _Atomic(uint64_t) orphans; /* jobs whose session has gone */
    struct rte_rcu_qsbr *rcu; /* grace periods of configuration generations */
    _Atomic(struct config *) conf;
    _Atomic(struct tap *) tap; /* a running capture, or NULL */
    _Atomic(uint64_t) next_client_id;
    _Atomic(unsigned) clients;
    _Atomic(bool) stop;
    _Atomic(uint64_t) pause; /* CLIENT PAUSE: until when (wall clock, ms) << 2 | enum pause_mode; 0: none */
    _Atomic(bool) control_present;
    _Atomic(bool) refuses_writes;    /* stop-writes-on-bgsave-error, and the last snapshot failed */
    _Atomic(bool) snapshot_unwanted; /* nobody reads the bulk rings any more */
    _Atomic(bool) snapshot_hurries;  /* somebody waits for it */
    _Atomic(unsigned) snapshots;     /* workers whose shard's snapshot is under way */
    _Atomic(bool) log_failed;        /* control cannot write it */
    void *bulk;                      /* the bulk rings (channel/messages.h); NULL in tests */
    const char *(*fact)(const char *name);   /* main's table of control's facts */
    struct acl *acl;                         /* changed with all workers stopped */
    struct scripts *scripts;                 /* changed with all workers stopped */
    const struct kept *kept;                 /* where the texts of functions are kept for the next process; NULL: nowhere */
    _Atomic(bool) keeps_texts;               /* ... and are good: they follow each change */
    _Atomic(bool) lost_texts;                /* a change found no memory: they are not good again */
    struct slowlog *slowlog[CONFIG_WORKERS]; /* each worker's own; read with all workers stopped */
    struct latency *latency[CONFIG_WORKERS]; /* likewise */
    struct debug_switches debug;             /* changed with all workers stopped */
    struct pubsub *pubsub[CONFIG_WORKERS];   /* each worker's own */
    struct tracking_common tracking;         /* client-side caching */
    struct monitor_common monitor;
    struct rates rates;                      /* fed by worker 0 */
};

struct session_out { /* the one writer that is open at a time */
    struct resp_writer w;
    struct session *session;
    enum { OUT_NONE, OUT_TCP, OUT_CHUNK, OUT_SEALED } where;
};

#define SNAPSHOT_WORD "%SNAPSHOT" /* what control's EXEC of worker_snapshot.c begins with */
struct worker_snapshot { /* of this worker's shard */
    struct ring_end ring;
    bool active, walked; /* the cursor is at the end */
    bool holds;          /* writers wait */
    bool slicing;        /* a command in slices is to write a large value */
    uint64_t keys, ahead; /* written, as counted; of them before the cursor came by */
    uint64_t next_us;    /* something of it is to be done */
    struct snapshot_pace pace;
};

struct worker_log { /* the append-only log: this worker's records (worker_log.c) */
    struct ring_end ring;
    struct channel_log *shared;
    bool active, always;  /* there is a log; replies wait until it is on the disk */
    bool holds;           /* writers wait */
    uint64_t broken;      /* records are missing from this one on; 0: none */
    uint8_t *rest;        /* messages that the ring had no room for: u32 length and bytes */
    size_t rest_at, rest_len, rest_cap;
    struct session *held_first, *held_last;
};

struct worker {
    unsigned id;
    struct box *box;
    struct port_queue *queue;
    bool *port_full; /* tcp_port_full() */
    struct rte_mempool *pool;
    struct net_if *nif;
    struct wire wire;
    struct tcp_stack *tcp;
    struct counters *counters;
    struct command_env env;
    struct slowlog slowlog;
    struct latency latency;
    struct config *conf;    /* the generation this worker works with */
    struct client_measure measured; /* of the client that was measured last */
    struct tap *tap;        /* the capture of this round */
    uint64_t generation;    /* its number: a new one may stand where an old one stood */
    struct config_listener listener[CONFIG_LISTENERS]; /* those that this worker listens to */
    unsigned listeners;
    uint64_t filter_serial; /* of the packet filter */
    bool filter_walk;       /* connections are asked whether it permits them, from here on: */
    uint32_t filter_at;
    double cycles_per_us, us_per_cycle;
    uint64_t epoch_cycles; /* now_us counts from here */

    struct session_slab *session_slabs;
    struct session *free_sessions, *live_sessions;
    struct session *ready_first, *ready_last;
    unsigned sessions;
    struct batch batch;
    struct row_last row_last;
    struct wiretime times;
    struct resp_reader reader; /* of requests that arrive whole */
    struct session_out out;
    struct out_chunk *free_chunks;
    unsigned free_chunk_count;
    uint8_t *free_queries; /* of QUERY_CHUNK bytes, each with the next one's address */
    unsigned free_query_count;
    uint64_t chunk_bytes; /* in all sessions' overflow */
    uint64_t query_bytes; /* in all sessions' query buffers */
    uint64_t pending_max; /* of both together: see session_relieve */
    uint64_t next_evict_us;
    uint64_t query_caps;  /* memory of all sessions' query buffers */
    uint64_t queued_bytes; /* of all sessions */
    uint64_t clients_max; /* of all memory of sessions, by maxmemory-clients; UINT64_MAX = any */
    uint8_t *null_chunk;  /* replies nobody wants (CLIENT REPLY OFF) */

    struct job *barrier_first, *barrier_last; /* wait for their turn to stop all */
    bool barrier_waits;                       /* for keys of others: until these have given up more often than ... */
    uint64_t barrier_seen;                    /* ... so often, of all workers */
    struct job *outbox_first, *outbox_last;   /* the ring was full */
    struct job *spare_jobs;                   /* to be used again, ... */
    unsigned spares;                          /* ... so many */
    struct job *inspect_first, *inspect_last; /* visits under way here */
    struct blocking blocking;                 /* clients that wait for keys */
    struct waits *waits;                      /* the table of this worker's shard */
    struct turns turns;                       /* commands in slices, and those who wait for their keys */
    struct peers peers;                       /* connections to other servers */
    struct job *serve_job;                    /* JOB_SERVE, while it is not in the list of barriers */
    enum pause_mode paused;                   /* as far as this worker has seen */
    uint64_t waiting_sessions;                /* SESSION_PAUSED ... */
    struct job *paused_first, *paused_last;   /* ... and jobs that came while it was so */
    struct job *posts_first, *posts_last;     /* messages for subscribers here, in order */
    unsigned posts;
    bool due;                                 /* something is to be delivered to clients here, or sent on its way */
    struct watch *unwatched;                  /* to be passed on: there was no memory for a job */
    _Atomic(bool) kill_pending; /* some session here was marked CLIENT_KILLED by another worker */

    uint64_t next_timers_us, next_net_us, next_upkeep_us, next_sweep_us, next_pass_us, wall_us;
    struct session_walk *walk[SESSION_WALKS]; /* over all sessions, under way: `walks` of them */
    unsigned walks;
    uint32_t placed;          /* sessions put at the front of the live ones so far */
    struct session *sweep_at; /* where the pass over all sessions goes on; NULL = between two passes */
    unsigned doomed;          /* sessions that session_relieve has chosen and that are still open */
    unsigned sweep_hurry;     /* sessions to look at without waiting: one of them is to be closed */
    uint64_t idle_rounds;
    struct error_count errors[WORKER_ERRORS];
    struct secure_worker secure;
    struct hotkeys hot;
    struct worker_snapshot snapshot;
    struct worker_log log;
    uint64_t *midway; /* of this worker's shard (store/midway.h) */
    uint64_t next_gauge_us;
    struct notes notes, audits; /* for the log, and for the audit log */
    _Atomic uint64_t hottest, biggest; /* for gauges: accesses a second, bytes */
};

/* The clients that a start with this configuration makes room for: maxclients may double while it runs.
 * Memory of connections that never come is never touched. */
unsigned worker_clients_max(const struct config *conf);
/* Everything a worker needs but its session memory is made by main; this fills the rest. False and one line
 * in error. */
bool worker_init(struct worker *w, struct box *box, unsigned id, uint64_t seed, char *error, size_t size);
/* What is under way in slices ends, when no worker runs any more. Of all workers before the first is freed. */
void worker_end(struct worker *w);
void worker_free(struct worker *w);
/* What may change something in the arena, of whatever shard, stands between these, or a crash in the middle of it would not be
 * noticed. Commands in slices, and those who wait for them, hold the word until they have ended, and so do records of the log that
 * are in the memory of this process alone. */
static inline void worker_begin(struct worker *w)
{
    midway_begin(w->midway);
}

static inline void worker_rest(struct worker *w)
{
    midway_end(w->midway, w->turns.jobs | w->log.rest_len);
}

/* Must it run on another worker, or with all stopped? */
static inline bool worker_elsewhere(const struct worker *w, const struct request *rq)
{
    return (rq->route == ROUTE_SHARD && rq->shard != w->id) || (rq->route == ROUTE_ALL && w->box->workers > 1);
}

/* Prepares the i-th request of the batch, which was read for a row. */
struct request *batch_prepare(struct batch *b, unsigned i);
/* Is the i-th one that was read by row.h, and not prepared since? */
static inline bool batch_in_row(const struct batch *b, unsigned i)
{
    return b->in_row >> i % BATCH_REQUESTS & 1; /* else gcc with sanitizers takes 32 for a place that is looked at */
}
/* The i-th, prepared in any case. */
static inline struct request *batch_request(struct batch *b, unsigned i)
{
    return __builtin_expect(batch_in_row(b, i), 0) ? batch_prepare(b, i) : &b->rq[i];
}

/* The loop, until box->stop. The lcore's function: arg is the worker. */
int worker_main(void *arg);
/* One round at the time `cycles` of the TSC: the body of the loop, for tests in virtual time. */
void worker_round(struct worker *w, uint64_t cycles);

/* The worker's wire (struct wire's send, ctx = the worker): to the port, and to a capture. */
void worker_send(void *worker, struct rte_mbuf **frames, unsigned n);

/* -- for session.c and worker's own files
 * ------------------------------------------------------------------------- */

void worker_ready(struct worker *w, struct session *s);
static inline struct session *worker_session_of(struct client *c)
{
    return (struct session *)((char *)c - offsetof(struct session, client));
}
/* A request cannot run here and now: makes its job and stalls the session. False if out of memory (an error
 * was replied). */
bool worker_defer(struct worker *w, struct session *s, const struct request *rq);
/* The session's job for the request that is executed; the session stalls until it is done. NULL if out of
 * memory. */
struct job *worker_job(struct worker *w, enum job_kind kind, struct session *s, const struct request *rq);
/* The session waits for the job's reply. */
void worker_expects(struct worker *w, struct session *s, struct job *j);
/* worker_upkeep.c: now_us from the TSC, and the wall clock now and then. */
void worker_read_clocks(struct worker *w, uint64_t cycles);
/* A generation of configuration; a new one, if main has published it. */
void worker_take_config(struct worker *w, struct config *conf);
void worker_follow_config(struct worker *w);
enum tcp_cc_kind worker_congestion_control(const struct config *conf);
/* What is due by now: timers, slices of what the shard has to tidy, sessions to be closed. */
void worker_upkeep(struct worker *w);
/* The port's queue was full (*port_full): who waits for room in it goes on as far as there is some, a slice a round. */
void worker_go_on(struct worker *w);
/* A round had nothing to do: waits, or sleeps, as the idle policy says. */
void worker_idle(struct worker *w);
/* worker_hop.c: the batch's request at work is for another worker's shard: it goes there, together with those behind it
 * that can. As worker_defer(). */
bool worker_hop(struct worker *w, struct session *s, const struct request *rq);
/* Can it go together with others? */
bool worker_carries(const struct request *rq);
/* Runs a job of one request or several, as worker_run_job(). */
bool worker_run_row(struct worker *w, struct job *j);
/* The session steps over the requests that have been replied to. */
void worker_step(struct session *s, const struct job *j);
/* Keeps a job for the next request, or frees it. */
void worker_keep_job(struct worker *w, struct job *j);
/* Takes messages of other workers and main, runs barriers. True if there was anything. */
bool worker_messages(struct worker *w);
void worker_orphan(struct job *j);
/* The reply is there, and the worker is the job's home: the session goes on where it stalled. */
void worker_complete(struct worker *w, struct job *j);
/* A job without session leaves the tables it is in. */
void worker_retire(struct worker *w, struct job *j);
/* worker_stop.c: the job is to run with all other workers stopped. */
void worker_wait_for_stop(struct worker *w, struct job *j);
/* Stops them, if there is a reason for it, and runs what waits for that. True if there was one. */
bool worker_run_stops(struct worker *w);
/* Asks for a stop of all workers for block_serve(). */
void worker_want_stop(struct worker *w);
/* A finished job goes home. */
void worker_bring_home(struct worker *w, struct job *j);
/* A job goes where it must. */
void worker_send_job(struct worker *w, struct job *j);
/* Frees the jobs that wait here, when no worker runs any more. */
void worker_free_jobs(struct worker *w);
/* worker_block.c: a request of a session has returned CMD_BLOCK. */
void worker_block(struct worker *w, struct session *s, const struct request *rq);
/* Serves what a command has made ready, and the rows that are served in slices. */
void worker_serve(struct worker *w);
void worker_rows(struct worker *w);
/* Brings the replies of those who were served home, and messages to subscribers; not while a session's writer is open. */
void worker_served(struct worker *w);
/* worker_turns.c: a request of a session has returned CMD_LONG, or must wait because of turns_conflict(). */
void worker_long(struct worker *w, struct session *s, struct request *rq);
/* True if it must wait, or has been refused. */
bool worker_is_held(struct worker *w, struct session *s, struct request *rq);
/* Runs a job that has come to its shard. True if it is done; otherwise it has gone where it is to wait. */
bool worker_run_job(struct worker *w, struct job *j);
/* The same for one that has waited (turns_init()). */
enum command_result worker_run_waiting(void *worker, struct job *j);
/* A slice for a command in slices. True if there was anything. */
bool worker_turns(struct worker *w);
/* worker_sample.c: counts the sampled requests of the batch that is about to run (hotkeys.h). */
void worker_sample(struct worker *w);
/* Brings the figures of the hottest and the biggest key up to date, once a second. */
void worker_gauge_keys(struct worker *w);
/* worker_listen.c: at the start; false: there is no room for so many ports. And from generation to generation. */
bool worker_listens(struct worker *w);
bool worker_follow_listeners(struct worker *w, const struct config *conf);
/* worker_filter.c: filter and connection rates of a generation; a slice of the walk that ends connections
 * which a new filter denies. */
void worker_take_filter(struct worker *w, const struct config *conf);
void worker_filter_walk(struct worker *w);
/* worker_pause.c: box_ops.pause. */
void worker_pause(struct command_env *env, enum pause_mode mode, uint64_t until_ms);
/* Looks whether clients are paused, still, or no more. */
void worker_follow_pause(struct worker *w);
/* Request i of the batch must not run now: it stays where it was read. False if it may. */
bool worker_holds_request(struct worker *w, struct batch *b, unsigned i);
/* A job must not run now: it is kept. */
bool worker_holds_job(struct worker *w, struct job *j);
void worker_unpaused(struct worker *w, struct session *s);
/* A job that was kept goes on. */
void worker_resume_job(struct worker *w, struct job *j);
/* worker_transaction.c: a request of a session has changed what its transaction takes. */
void worker_recount(struct worker *w, struct session *s);
/* The session's transaction goes with a job that runs WATCH or EXEC, and comes back with its reply, or ends if
 * nobody is there any more. */
void worker_lend(struct session *s, struct job *j);
/* Does it need the client itself? Then its job has it, or runs where it is. */
bool worker_lends(const struct command *cmd);
void worker_take_back(struct worker *w, struct job *j);
/* turns.outside: on the session's client itself. */
void worker_run_outside(void *worker, struct job *j, struct request *next);
/* box_ops.unwatch; takes the watched keys out here and passes them on; tries again what found no memory. */
void worker_unwatch(struct command_env *env, struct watch *watch);
void worker_unwatch_more(struct worker *w);
void worker_unwatch_job(struct worker *w, struct job *j);
/* worker_pubsub.c: box_ops.publish. */
enum published worker_publish(struct request *rq, enum topic_kind kind, struct slice channel,
                              struct slice message, uint64_t *receivers);
/* box_ops.notify. */
void worker_notify(struct command_env *env, struct slice channel, struct slice message);
/* A message has come from another worker. */
void worker_post(struct worker *w, struct job *j);
/* A slice of the deliveries that are due (w->due); not while a session's writer is open that is to be gone on
 * with. all: not only what belongs to the command that is just over. */
void worker_deliver(struct worker *w, bool all);
/* What is pushed to a client beside its replies: NULL if it is to be closed anyway. */
struct resp_writer *worker_push_begin(struct session *s);
void worker_push_end(struct session *s);
/* worker_snapshot.c: is it control's word? Then the job is prepared to run with all workers stopped. */
bool worker_snapshot_asked(const struct worker *w, struct job *j);
/* Once, when there is a command table. */
void worker_snapshot_init(void);
/* A slice of the snapshot that is under way; w->snapshot says when the next one is due, or that it has ended. */
void worker_snapshot(struct worker *w);
/* worker_log.c: box_ops.log. */
void worker_log(struct command_env *env, const struct effects *record);
/* The log begins, with nobody at work: rings are emptied; each worker then joins. */
void worker_log_begin(struct box *box);
void worker_log_join(struct worker *w);
/* With all workers stopped: what follows belongs into that file; the log ends. */
void worker_log_mark(struct worker *w, uint64_t file);
void worker_log_end(struct worker *w);
/* A worker's log has broken, and that is still to be said: a mark would take it back. */
bool worker_log_tells_broken(const struct box *box);
/* What is to be done in each round while there is a log. When it is to be done again, in microseconds. */
uint64_t worker_log_tend(struct worker *w);
/* appendfsync may have changed, or the log has begun or ended. */
void worker_log_follow(struct worker *w);
/* From now on the session's output waits for the log; what is there already does not. Without memory for that it is closed. */
void worker_log_holds(struct session *s);
/* What has just been written for the session leaves when everything that was done by now is on the disk. */
void worker_log_hold(struct session *s);
void worker_log_forget(struct session *s);
/* The worker ends: what the ring had no room for is given to control, as far as it takes it within seconds. */
void worker_log_finish(struct worker *w);
void worker_log_free(struct worker *w);
/* worker_tracking.c: what clients of this worker are to forget; notes for others leave with `all`. */
void worker_invalidate(struct worker *w, bool all);
/* Notes have come from another worker. */
void worker_noted(struct worker *w, struct job *j);
/* What is to be done at leisure while clients track. */
void worker_tend_tracking(struct worker *w);
/* worker_monitor.c: lines of MONITOR go to who is to see them. */
void worker_show(struct worker *w);
/* Lines have come from another worker. */
void worker_lines(struct worker *w, struct job *j);
/* Shows what has come from several, in order; while somebody monitors. */
void worker_tend_monitor(struct worker *w);
/* box_ops.observe. */
void worker_observe(struct command_env *env, enum observer what);
/* box_ops.ask_control. */
bool worker_ask(struct command_env *env, struct client *c, int argc, const struct slice *argv);
extern const struct box_ops worker_box_ops;
