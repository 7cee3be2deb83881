/* worker_upkeep.c: what a worker does beside its requests: clocks, configuration, timers, sessions that are to end,
 * slices of what its shard has to tidy, and rest. */
#include "worker.h"

#include "command/acl.h"
#include "script/script.h"

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include <time.h>

enum {
    PENDING_LEAST = 64 << 20,
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

void worker_read_clocks(struct worker *w, uint64_t cycles)
{
    w->env.now_us = (uint64_t)((double)(cycles - w->epoch_cycles) * w->us_per_cycle);
    if (w->env.now_us - w->wall_us < WALL_EVERY_US && w->env.now_ms)
        return;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    w->wall_us = w->env.now_us;
    w->env.now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    worker_begin(w);
    shard_set_time(w->env.ks->shard[w->id], w->env.now_ms);
    worker_rest(w);
}

/* What all clients of a worker may hold: its part of a quarter of the memory for data. */
static uint64_t pending_max(const struct worker *w)
{
    uint64_t data = w->conf->maxmemory ? w->conf->maxmemory : keyspace_arena_size(w->env.ks);
    uint64_t part = data / 4 / w->box->workers;
    return part > PENDING_LEAST ? part : PENDING_LEAST;
}

void worker_take_config(struct worker *w, struct config *conf)
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

enum tcp_cc_kind worker_congestion_control(const struct config *conf)
{
    return conf->tcp_congestion_control == CONGESTION_CUBIC ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
}

/* A new generation of configuration, if main has published one. */
void worker_follow_config(struct worker *w)
{
    struct config *conf = atomic_load_explicit(&w->box->conf, memory_order_acquire);
    if (conf != w->conf || conf->generation != w->generation) {
        worker_follow_listeners(w, conf);
        worker_begin(w);
        worker_take_config(w, conf);
        worker_rest(w);
        tcp_set_keepalive(w->tcp, conf->tcp_keepalive_s * 1000000ull);
        tcp_set_user_timeout(w->tcp, conf->tcp_user_timeout_ms * 1000ull);
        tcp_set_syn_cookies(w->tcp, conf->tcp_syn_cookies);
        tcp_set_congestion_control(w->tcp, worker_congestion_control(conf));
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

void worker_upkeep(struct worker *w)
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
    if (block_rows(w->waits)) {
        worker_begin(w);
        worker_rows(w);
        worker_rest(w);
    }
    if (now >= w->next_upkeep_us) {
        worker_begin(w);
        bool more = tend_shard(w);
        uint64_t log = w->log.active ? worker_log_tend(w) : UINT64_MAX;
        if (w->env.observers & OBSERVE_TRACKING)
            worker_tend_tracking(w);
        if (w->env.observers & OBSERVE_MONITOR)
            worker_tend_monitor(w);
        w->next_upkeep_us = now + (more ? 20 : UPKEEP_EVERY_US);
        follow_snapshots(w);
        if (w->snapshot.active && now >= w->snapshot.next_us)
            worker_snapshot(w);
        if (w->snapshot.active && w->snapshot.next_us < w->next_upkeep_us)
            w->next_upkeep_us = w->snapshot.next_us;
        if (log == 0)
            w->next_upkeep_us = now;
        if (block_ready(w->waits)) /* keys have expired */
            worker_serve(w);
        worker_rest(w);
    }
    worker_served(w);
    if (unlikely(w->peers.n))
        peers_round(&w->peers, now);
    sweep(w);
}

void worker_go_on(struct worker *w)
{
    enum { SLICES = 8, TURNS = 64 };
    for (unsigned i = 0; i < SLICES && *w->port_full && port_tx_retry(w->queue); i++) {
        tcp_go_on(w->tcp, TURNS, w->env.now_us);
        net_flush(w->nif);
    }
    tcp_no_room(w->tcp, w->env.now_us);
}

/* Each sleep is twice as long as the one before: who has just been busy is waiting for an answer, and a whole
 * millisecond more would double the round trip of a near client. */
static unsigned idle_sleep(const struct worker *w)
{
    uint64_t slept = w->idle_rounds - IDLE_ROUNDS_BUSY;
    unsigned us = slept < 5 ? IDLE_SLEEP_SHARED_US << slept : IDLE_SLEEP_US;
    return w->box->workers > 1 ? IDLE_SLEEP_SHARED_US : us;
}

void worker_idle(struct worker *w)
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
