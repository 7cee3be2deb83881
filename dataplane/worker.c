/* worker.c: the loop of one core. A round is a pipeline over a burst, so that the memory each stage needs has
 * been asked for one stage earlier: frames, connections, requests and index buckets, entries, replies. */
#include "worker.h"

#include "command/acl.h"
#include "command/notify.h"
#include "command/row.h"
#include "job.h"
#include "script/script.h"
#include "tap.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    PENDING_LEAST = 64 << 20,
    CLIENTS_MOST = 1 << 24,
    RX_BURST = 32,
    BATCHES_A_ROUND = 16, /* then receive again, so that nobody waits for a long pipeline */
    TIMERS_EVERY_US = 500,
    UPKEEP_EVERY_US = 1000,
    SWEEP_EVERY_US = 100000,
    SWEEP_SLICE_US = 1000,
    SWEEP_SLICE = 128,
    SWEEP_HURRY = 2048,
    WALL_EVERY_US = 200,
    IDLE_ROUNDS_BUSY = 4000, /* adaptive policy: empty rounds before the first sleep */
    IDLE_SLEEP_US = 1000,
    IDLE_SLEEP_SHARED_US = 50 /* the first one, and all with several workers: a hop may be waiting */
};

/* -- frames
 * ----------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void capture(struct worker *w, enum tap_direction direction,
                                              struct rte_mbuf **frames, unsigned n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    tap_frames(w->tap, w->id, direction, frames, n, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

void worker_send(void *worker, struct rte_mbuf **frames, unsigned n)
{
    struct worker *w = worker;
    if (unlikely(w->tap != NULL))
        capture(w, TAP_OUT, frames, n);
    port_tx(w->queue, frames, n);
}

/* An ICMP error about a segment, or a packet that its last fragment has completed: the flow's owner gets
 * that.
 */
static enum net_verdict unusual(struct worker *w, enum net_verdict v, struct rte_mbuf **frame,
                                struct net_packet *packet)
{
    if (v == NET_WHOLE) {
        *frame = net_take_whole(w->nif);
        if (port_pass(w->queue, *frame))
            return NET_DONE;
        v = net_input(w->nif, *frame, packet, w->env.now_us);
    }
    if (v == NET_TCP_ERROR)
        tcp_icmp_error(w->tcp, net_error(w->nif), w->env.now_us);
    return v;
}

static bool receive(struct worker *w, struct rte_mbuf **frame, unsigned n)
{
    struct rte_mbuf *segment[RX_BURST];
    struct net_packet packet[RX_BURST];
    unsigned segments = 0;
    if (n == 0)
        return false;
    if (unlikely(w->tap != NULL))
        capture(w, TAP_IN, frame, n);
    for (unsigned i = 0; i < n; i++) {
        enum net_verdict v = net_input(w->nif, frame[i], &packet[segments], w->env.now_us);
        if (unlikely(v >= NET_TCP_ERROR))
            v = unusual(w, v, &frame[i], &packet[segments]);
        if (v != NET_TCP)
            continue;
        tcp_prefetch(w->tcp, frame[i], &packet[segments]);
        segment[segments++] = frame[i];
    }
    for (unsigned i = 0; i < segments; i++)
        tcp_prefetch_conn(w->tcp, segment[i]);
    for (unsigned i = 0; i < segments; i++)
        tcp_input(w->tcp, segment[i], &packet[i], w->env.now_us);
    return true;
}

void worker_ready(struct worker *w, struct session *s)
{
    if (s->flags & (SESSION_READY | SESSION_STALLED))
        return;
    s->flags |= SESSION_READY;
    s->ready_next = NULL;
    if (w->ready_last)
        w->ready_last->ready_next = s;
    else
        w->ready_first = s;
    w->ready_last = s;
}

static bool events(struct worker *w)
{
    struct tcp_conn *c;
    unsigned ev;
    bool any = false;
    while ((c = tcp_next_event(w->tcp, &ev))) {
        any = true;
        if (unlikely(w->peers.n) && tcp_is_active(c)) {
            peers_event(&w->peers, c, ev, w->env.now_us);
            continue;
        }
        struct session *s = tcp_user(c);
        if ((ev & TCP_OPENED) && !(ev & TCP_CLOSED))
            s = session_open(w, c);
        if (!s)
            continue;
        if (ev & TCP_CLOSED) {
            session_close(s, true);
            continue;
        }
        if (ev & TCP_WRITABLE)
            session_drain(s);
        if (ev & TCP_PEER_CLOSED)
            s->flags |= SESSION_PEER_CLOSED;
        if (ev & (TCP_READABLE | TCP_OPENED)) {
            if (!(s->flags & (SESSION_READY | SESSION_STALLED)) || !s->since)
                s->since = w->times.now;
            worker_ready(w, s);
        }
        session_settle(s);
    }
    return any;
}

/* -- requests
 * --------------------------------------------------------------------------------------------------- */

/* Everything a session has in this batch is done: what it wrote leaves, what it read is given back. */
static void finish(struct worker *w, struct session *s)
{
    session_write_end(s);
    s->client.last_ms = w->env.now_ms;
    session_consumed(s);
    tcp_push(s->conn, w->env.now_us);
    session_settle(s);
}

static void gather(struct worker *w, struct batch *b)
{
    batch_begin(b);
    b->marked = w->paused != PAUSE_OFF;
    while (w->ready_first) {
        struct session *s = w->ready_first;
        unsigned first = b->n;
        b->hops_to = 0;
        enum parse_result r = session_parse(s, b);
        if (unlikely(s->since != w->times.now))
            wiretime_late(&b->times, first, b->n, s->since);
        w->ready_first = s->ready_next;
        if (!w->ready_first)
            w->ready_last = NULL;
        s->flags &= ~(uint32_t)SESSION_READY;
        if (r == PARSE_FULL) { /* to the end of the line: others come first */
            worker_ready(w, s);
            return;
        }
        if (!b->n || b->session[b->n - 1] != s)
            finish(w, s); /* it has no request in the batch */
    }
}

static void unfinished(struct worker *w, struct session *s, struct request *rq, enum command_result result)
{
    if (result == CMD_WAIT)
        s->flags |= SESSION_STALLED;
    else if (result == CMD_BLOCK)
        worker_block(w, s, rq);
    else if (result == CMD_LONG)
        worker_long(w, s, rq);
    else if (result == CMD_ELSEWHERE)
        worker_defer(w, s, rq);
    else
        worker_recount(w, s);
    if (w->due)
        worker_deliver(w, false);
}

/* Sends a request to where it must run, unless MULTI queues it here or the cluster view answers with where it
 * belongs. Its session was read no further; if it does not wait now, it is read on. */
static bool goes_elsewhere(struct worker *w, struct session *s, struct request *rq)
{
    bool told = s->client.flags & CLIENT_CLUSTER && rq->route == ROUTE_SHARD;
    bool goes = !(s->client.flags & CLIENT_MULTI) && !told;
    s->flags &= ~(uint32_t)SESSION_HOPS;
    if (!goes || !(rq->route == ROUTE_SHARD ? worker_hop(w, s, rq) : worker_defer(w, s, rq)))
        worker_ready(w, s);
    return goes;
}

static void execute(struct worker *w, struct session *s, struct request *rq, const struct ahead *ahead)
{
    if (worker_elsewhere(w, rq) && goes_elsewhere(w, s, rq))
        return;
    if (turns_any(&w->turns) && worker_is_held(w, s, rq))
        return;
    struct resp_writer *out = session_write_begin(s);
    w->env.ahead = ahead;
    enum command_result result = command_execute(rq, out);
    w->env.ahead = NULL;
    if (unlikely(result != CMD_DONE))
        unfinished(w, s, rq, result);
    out->proto = s->client.proto; /* HELLO and RESET change it */
    if (block_ready(w->waits))
        worker_serve(w);
}

/* Requests that must not run any more: a stalled session's wait, an ended one's are dropped. */
static bool runnable(const struct session *s)
{
    return !(s->flags & (SESSION_STALLED | SESSION_BROKEN)) &&
           !(s->client.flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED));
}

/* Those of the i-th request's session from there on that go in rows: returns how many are done. */
static inline unsigned run_row(struct worker *w, struct batch *b, unsigned i)
{
    struct session *s = b->session[i];
    unsigned n = 1;
    if (turns_any(&w->turns) || w->paused || !runnable(s))
        return 0;
    while (i + n < b->n && b->session[i + n] == s && b->in_row >> (i + n) & 1)
        n++;
    return row_run(&w->env, &s->client, &b->ahead, i, &b->rq[i], n, session_write_begin(s));
}

static void run(struct worker *w, struct batch *b)
{
    b->until_sample -= (int)b->n;
    if (unlikely(b->until_sample <= 0))
        worker_sample(w);
    for (unsigned i = 0; i < b->n; i++) {
        struct session *s = b->session[i];
        unsigned done = b->in_row >> i & 1 ? run_row(w, b, i) : 0;
        if (done) {
            i += done - 1;
            if (i + 1 == b->n || b->session[i + 1] != s)
                finish(w, s);
            continue;
        }
        b->at = i;
        if (b->n > 1) /* one alone waits for its memory anyway */
            store_look_ahead(w->env.ks->shard[w->id], &b->ahead, i);
        if (runnable(s) && !(unlikely(w->paused) && worker_holds_request(w, b, i))) {
            execute(w, s, batch_request(b, i), b->n > 1 ? &b->ahead.at[i] : NULL);
            if (s->flags & SESSION_STALLED) {
                session_rewind(s, b->after[i]);
                b->times.undone |= 1u << i;
            }
        } else {
            b->times.undone |= 1u << i;
        }
        if (i + 1 == b->n || b->session[i + 1] != s)
            finish(w, s);
    }
    worker_served(w);
}

static bool requests(struct worker *w)
{
    if (!w->ready_first)
        return false;
    uint64_t begin = w->times.delivered = rte_rdtsc();
    for (unsigned i = 0; i < BATCHES_A_ROUND && w->ready_first; i++) {
        gather(w, &w->batch);
        run(w, &w->batch);
        uint64_t end = rte_rdtsc();
        wiretime_batch(&w->times, &w->batch.times, w->batch.n, begin, end);
        begin = end;
    }
    return true;
}

/* -- time and upkeep
 * -------------------------------------------------------------------------------------------- */

static void read_clocks(struct worker *w, uint64_t cycles)
{
    w->env.now_us = (uint64_t)((double)(cycles - w->epoch_cycles) * w->us_per_cycle);
    if (w->env.now_us - w->wall_us < WALL_EVERY_US && w->env.now_ms)
        return;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    w->wall_us = w->env.now_us;
    w->env.now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    shard_set_time(w->env.ks->shard[w->id], w->env.now_ms);
}

/* What all clients of a worker may hold: its part of a quarter of the memory for data. */
static uint64_t pending_max(const struct worker *w)
{
    uint64_t data = w->conf->maxmemory ? w->conf->maxmemory : keyspace_arena_size(w->env.ks);
    uint64_t part = data / 4 / w->box->workers;
    return part > PENDING_LEAST ? part : PENDING_LEAST;
}

static void take_config(struct worker *w, struct config *conf)
{
    w->conf = conf;
    w->generation = conf->generation;
    w->env.conf = conf;
    w->env.observers = (w->env.observers & ~(unsigned)OBSERVE_EVENTS) | (conf->notify ? OBSERVE_EVENTS : 0);
    w->pending_max = w->blocking.bytes_max = pending_max(w);
    uint64_t clients = config_clients_bytes(conf);
    w->clients_max = clients ? clients / w->box->workers : UINT64_MAX;
    session_relieve(w);
    shard_configure(w->env.ks->shard[w->id], conf);
    waits_want_events(w->waits, conf->notify != 0);
    worker_take_filter(w, conf);
}

static enum tcp_cc_kind congestion_control(const struct config *conf)
{
    return conf->tcp_congestion_control == CONGESTION_CUBIC ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
}

/* A new generation of configuration, if main has published one. */
static void follow_config(struct worker *w)
{
    struct config *conf = atomic_load_explicit(&w->box->conf, memory_order_acquire);
    if (conf != w->conf || conf->generation != w->generation) {
        worker_follow_listeners(w, w->conf, conf);
        take_config(w, conf);
        tcp_set_keepalive(w->tcp, conf->tcp_keepalive_s * 1000000ull);
        tcp_set_user_timeout(w->tcp, conf->tcp_user_timeout_ms * 1000ull);
        tcp_set_syn_cookies(w->tcp, conf->tcp_syn_cookies);
        tcp_set_congestion_control(w->tcp, congestion_control(conf));
        tcp_set_ecn(w->tcp, conf->tcp_ecn);
        tcp_set_send_buffer(w->tcp, conf->tcp_send_buffer);
    }
    rte_rcu_qsbr_quiescent(w->box->rcu, w->id);
    /* Behind the report: the tap of the last round is let go by then, and one that was taken away before the
     * grace period began cannot be found any more. */
    w->tap = atomic_load_explicit(&w->box->tap, memory_order_acquire);
}

/* Closes a session that another worker killed, that was idle too long, or whose soft limit has passed. */
static void sweep_one(struct worker *w, struct session *s)
{
    uint64_t idle_ms = w->conf->timeout_s * 1000ull;
    session_over_limit(s);
    /* The wall clock may have been set back since. */
    if (idle_ms && !(s->flags & SESSION_STALLED) && !(s->client.flags & (CLIENT_PUBSUB | CLIENT_MONITOR)) &&
        w->env.now_ms > s->client.last_ms &&
        w->env.now_ms - s->client.last_ms > idle_ms) {
        count_one(w->counters, COUNTER_client_idle_closes);
        s->flags |= SESSION_BROKEN;
    }
    session_settle(s);
}

/* Closes those that session_relieve has chosen: they stand at the front. */
static void close_doomed(struct worker *w)
{
    for (struct session *s = w->live_sessions, *next; s && w->doomed; s = next) {
        next = s->live_next;
        if (s->flags & SESSION_DOOMED)
            session_settle(s);
    }
}

/* A slice of the pass over all sessions: a pass takes a tenth of a second, or a millisecond for every
 * SWEEP_SLICE sessions, so that a million idle ones (seconds a pass) cost the others nothing. A kill, which
 * does not say whom, makes a whole pass of larger slices due at once. */
static void sweep(struct worker *w)
{
    uint64_t now = w->env.now_us;
    if (atomic_exchange_explicit(&w->kill_pending, false, memory_order_relaxed))
        w->sweep_hurry = w->sessions;
    if (w->doomed)
        close_doomed(w);
    if (!w->sweep_hurry && now < w->next_sweep_us)
        return;
    if (w->id == 0)
        rates_sample(&w->box->rates, &w->env);
    if (!w->sweep_at) {
        w->sweep_at = w->live_sessions;
        w->next_pass_us = now + SWEEP_EVERY_US;
        session_relieve(w); /* of those who came, or may be evicted again */
        worker_gauge_keys(w);
    }
    unsigned n = w->sweep_hurry ? SWEEP_HURRY : SWEEP_SLICE;
    w->sweep_hurry -= n < w->sweep_hurry ? n : w->sweep_hurry;
    while (w->sweep_at && n--) {
        struct session *s = w->sweep_at;
        w->sweep_at = s->live_next;
        sweep_one(w, s);
    }
    w->next_sweep_us = w->sweep_at ? now + SWEEP_SLICE_US : w->next_pass_us;
}

/* What expires and what is freed in slices. */
static bool tend_shard(struct worker *w)
{
    uint64_t begin = rte_rdtsc();
    bool more = shard_upkeep(w->env.ks->shard[w->id], 64);
    latency_note(&w->env, LATENCY_EXPIRE, (uint64_t)((double)(rte_rdtsc() - begin) * w->us_per_cycle));
    return more;
}

/* What commands of this worker may do to any shard is shown to snapshots until the last one has ended. */
static void follow_snapshots(struct worker *w)
{
    unsigned observers = w->env.observers & ~(unsigned)OBSERVE_REFUSAL;
    if (atomic_load_explicit(&w->box->refuses_writes, memory_order_relaxed) ||
        atomic_load_explicit(&w->box->log_failed, memory_order_relaxed))
        observers |= OBSERVE_REFUSAL;
    if (atomic_load_explicit(&w->box->snapshots, memory_order_acquire) == 0)
        observers &= ~(unsigned)OBSERVE_SNAPSHOT;
    w->env.observers = observers;
}

static void upkeep(struct worker *w)
{
    uint64_t now = w->env.now_us;
    if (w->filter_walk)
        worker_filter_walk(w);
    if (now >= w->next_timers_us) {
        tcp_timers(w->tcp, now);
        w->next_timers_us = now + TIMERS_EVERY_US;
        if (w->secure.silent.oldest || w->secure.shaking.oldest)
            secure_tend(w);
    }
    if (now >= w->next_net_us) {
        uint64_t next = net_tick(w->nif, now);
        w->next_net_us = next < now + 10000 ? next : now + 10000;
    }
    if (unlikely(w->box->pubsub[w->id]->gone))
        pubsub_tidy(w->box->pubsub[w->id]);
    block_timers(&w->blocking);
    if (block_rows(w->waits))
        worker_rows(w);
    if (now >= w->next_upkeep_us) {
        bool more = tend_shard(w);
        uint64_t log = w->log.active ? worker_log_tend(w) : UINT64_MAX;
        if (w->env.observers & OBSERVE_TRACKING)
            worker_tend_tracking(w);
        if (w->env.observers & OBSERVE_MONITOR)
            worker_tend_monitor(w);
        w->next_upkeep_us = now + (more ? 20 : UPKEEP_EVERY_US);
        follow_snapshots(w);
        if (w->snapshot.active) {
            uint64_t next = worker_snapshot(w);
            w->next_upkeep_us = next < UPKEEP_EVERY_US ? now + next : w->next_upkeep_us;
        }
        if (log == 0)
            w->next_upkeep_us = now;
        if (block_ready(w->waits)) /* keys have expired */
            worker_serve(w);
    }
    worker_served(w);
    if (unlikely(w->peers.n))
        peers_round(&w->peers, now);
    sweep(w);
}

/* Each sleep is twice as long as the one before: who has just been busy is waiting for an answer, and a whole
 * millisecond more would double the round trip of a near client. */
static unsigned idle_sleep(const struct worker *w)
{
    uint64_t slept = w->idle_rounds - IDLE_ROUNDS_BUSY;
    unsigned us = slept < 5 ? IDLE_SLEEP_SHARED_US << slept : IDLE_SLEEP_US;
    return w->box->workers > 1 ? IDLE_SLEEP_SHARED_US : us;
}

static void idle(struct worker *w)
{
    if (w->conf->idle_policy == IDLE_BUSY) {
        rte_pause();
        return;
    }
    if (w->idle_rounds < IDLE_ROUNDS_BUSY)
        return;
    fabric_sleep(w->box->fabric, w->id);
    rte_rcu_qsbr_thread_offline(w->box->rcu, w->id);
    port_idle(w->queue, idle_sleep(w));
    rte_rcu_qsbr_thread_online(w->box->rcu, w->id);
    fabric_wake(w->box->fabric, w->id);
}

void worker_round(struct worker *w, uint64_t start)
{
    struct rte_mbuf *frame[RX_BURST];
    fabric_park(w->box->fabric, w->id);
    /* First of all, so that the frames' headers come in while clocks and configuration are read. */
    unsigned n = port_rx(w->queue, frame, RX_BURST);
    wiretime_round(&w->times, start);
    follow_config(w);
    read_clocks(w, start);
    if (unlikely(atomic_load_explicit(&w->box->pause, memory_order_relaxed) != 0 || w->paused))
        worker_follow_pause(w);
    bool busy = receive(w, frame, n);
    busy |= events(w);
    busy |= requests(w);
    busy |= worker_messages(w);
    if (unlikely(w->turns.jobs))
        busy |= worker_turns(w);
    upkeep(w);
    tcp_round_end(w->tcp, w->env.now_us);
    net_flush(w->nif);
    port_tx_retry(w->queue);
    count_one(w->counters, COUNTER_loop_rounds);
    if (busy || w->times.groups) {
        w->idle_rounds = 0;
        count_one(w->counters, COUNTER_loop_busy_rounds);
        uint64_t end = rte_rdtsc();
        wiretime_sent(&w->times, end);
        wiretime_loop(&w->times, end);
        count_add(w->counters, COUNTER_busy_cycles, end - start);
    } else {
        w->idle_rounds++;
        idle(w);
        count_add(w->counters, COUNTER_idle_cycles, rte_rdtsc() - start);
    }
}

int worker_main(void *arg)
{
    struct worker *w = arg;
    rte_rcu_qsbr_thread_register(w->box->rcu, w->id);
    rte_rcu_qsbr_thread_online(w->box->rcu, w->id);
    while (!atomic_load_explicit(&w->box->stop, memory_order_relaxed))
        worker_round(w, rte_rdtsc());
    while (w->live_sessions) /* clients see an orderly end */
        session_close(w->live_sessions, false);
    peers_end(&w->peers, w->env.now_us);
    tcp_round_end(w->tcp, w->env.now_us);
    net_flush(w->nif);
    port_tx_retry(w->queue);
    worker_log_finish(w);
    tls_memory_trim();
    rte_rcu_qsbr_thread_offline(w->box->rcu, w->id);
    rte_rcu_qsbr_thread_unregister(w->box->rcu, w->id);
    return 0;
}

/* -- set-up
 * ----------------------------------------------------------------------------------------------------- */

unsigned worker_clients_max(const struct config *conf)
{
    return conf->maxclients < CLIENTS_MOST / 2 ? 2 * conf->maxclients : CLIENTS_MOST;
}

bool worker_init(struct worker *w, struct box *box, unsigned id, uint64_t seed, char *error, size_t size)
{
    w->id = id;
    w->box = box;
    w->conf = atomic_load(&box->conf);
    w->us_per_cycle = 1e6 / (double)rte_get_tsc_hz();
    w->epoch_cycles = rte_rdtsc();
    w->env.ks = box->ks;
    w->env.self = id;
    w->env.workers = box->workers;
    w->env.conf = w->conf;
    w->env.counters = w->counters;
    w->env.random = seed | 1;
    w->env.box = &worker_box_ops;
    w->env.worker = w;
    w->env.rates = &box->rates;
    w->env.pubsub = box->pubsub;
    w->env.slowlog = box->slowlog;
    box->slowlog[id] = &w->slowlog;
    w->env.latency = box->latency;
    box->latency[id] = &w->latency;
    w->env.debug = &box->debug;
    if (!box->scripts)
        box->scripts = scripts_new();
    w->env.scripts = box->scripts;
    if (!box->acl && !(box->acl = acl_new(w->conf, error, size)))
        return false;
    w->env.acl = box->acl;
    w->env.tsc_per_us = rte_get_tsc_hz() / 1000000;
    struct tcp_config tcp = {
        .max_conns = worker_clients_max(w->conf) + 1024,            /* half-open ones and orphans */
        .backlog = w->conf->tcp_backlog ? w->conf->tcp_backlog : 1, /* listen(2) makes room for one, too */
        .syn_cookies = w->conf->tcp_syn_cookies,
        .user_timeout_us = w->conf->tcp_user_timeout_ms * 1000ull,
        .rx_window = w->conf->tcp_receive_buffer,
        .tx_limit = 256 * 1024,
        .tx_limit_max = w->conf->tcp_send_buffer,
        .congestion_control = congestion_control(w->conf),
        .ecn = w->conf->tcp_ecn,
        .keepalive_us = w->conf->tcp_keepalive_s * 1000000ull,
        .chain_frames = net_if_config(w->nif)->chain_frames,
        .seed = seed,
        .owns = port_owns,
        .owns_ctx = w->queue,
    };
    resp_reader_init(&w->reader);
    blocking_init(&w->blocking, &w->env, box->workers == 1, 0);
    w->waits = shard_waits(box->ks->shard[id]);
    w->tcp = tcp_stack_new(&tcp, w->nif, w->pool, w->counters);
    w->serve_job = calloc(1, sizeof *w->serve_job);
    w->peers = (struct peers){.tcp = w->tcp, .nif = w->nif, .counters = w->counters};
    box->pubsub[id] = pubsub_new(id ? box->pubsub[0]->seed : seed);
    w->env.monitor = monitor_new(&box->monitor, &w->env, &w->due);
    w->env.tracking = tracking_new(&box->tracking, &w->env, &w->due);
    bool events = waits_events(w->waits, box->ks->databases, notify_by_itself, &w->env);
    bool turns = turns_init(&w->turns, &w->env, &w->blocking, worker_run_waiting, w);
    if (!w->tcp || !w->serve_job || !turns || !events || !box->pubsub[id] || !w->env.tracking || !w->env.monitor ||
        !worker_listens(w)) {
        snprintf(error, size, "worker %u: no memory for %u connections", id, tcp.max_conns);
        return false;
    }
    w->serve_job->kind = JOB_SERVE;
    w->blocking.slice = w->turns.slice;
    take_config(w, w->conf);
    read_clocks(w, w->epoch_cycles);
    hotkeys_init(&w->hot, seed, w->env.now_us);
    w->batch.until_sample = (int)hotkeys_next(&w->hot, w->env.now_us);
    return true;
}

/* What a slice does here may be in another worker's shard, and be logged by it. */
void worker_end(struct worker *w)
{
    if (!w->box || !w->turns.run)
        return;
    bool told = !w->log.rest_len;
    w->box->tracking.runner = w->env.tracking;
    script_end_all(&w->env);
    turns_end(&w->turns);
    w->box->tracking.runner = NULL;
    if (told)
        worker_log_finish(w);
}

void worker_free(struct worker *w)
{
    peers_end(&w->peers, w->env.now_us);
    if (w->tcp)
        tcp_stack_free(w->tcp);
    session_free_slabs(w);
    if (w->box) {
        worker_free_jobs(w);
        tracking_free(w->env.tracking);
        monitor_free(w->env.monitor);
        pubsub_free(w->box->pubsub[w->id]);
        w->box->pubsub[w->id] = NULL;
    }
    script_end_all(&w->env);
    if (w->turns.run)
        turns_end(&w->turns);
    peers_free(&w->peers);
    turns_free(&w->turns);
    blocking_free(&w->blocking);
    slowlog_clear(&w->slowlog);
    script_host_free(w->env.script_host);
    script_host_free(w->env.function_host);
    if (w->box && w->id == 0) {
        scripts_free(w->box->scripts);
        w->box->scripts = NULL;
        acl_free(w->box->acl);
        w->box->acl = NULL;
    }
    secure_free(w);
    worker_log_free(w);
    batch_begin(&w->batch);
    free(w->batch.big);
    resp_reader_reset(&w->reader);
    for (struct out_chunk *c = w->free_chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
}
