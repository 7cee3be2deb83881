/* worker_start.c: a worker begins, and ends. */
#include "worker.h"

#include "command/acl.h"
#include "command/notify.h"
#include "script/script.h"

#include <rte_cycles.h>

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS_MOST = 1 << 24 };

unsigned worker_clients_max(const struct config *conf)
{
    return conf->maxclients < CLIENTS_MOST / 2 ? 2 * conf->maxclients : CLIENTS_MOST;
}

/* What commands find of their box, but for its users. */
static void begin_env(struct worker *w, uint64_t seed)
{
    struct box *box = w->box;
    w->env.ks = box->ks;
    w->env.self = w->id;
    w->env.workers = box->workers;
    w->env.conf = w->conf;
    w->env.counters = w->counters;
    w->env.random = seed | 1;
    w->env.box = &worker_box_ops;
    w->env.worker = w;
    w->env.row_last = &w->row_last;
    w->env.rates = &box->rates;
    w->env.pubsub = box->pubsub;
    w->env.slowlog = box->slowlog;
    box->slowlog[w->id] = &w->slowlog;
    w->env.latency = box->latency;
    box->latency[w->id] = &w->latency;
    w->env.debug = &box->debug;
    if (!box->scripts)
        box->scripts = scripts_new();
    w->env.scripts = box->scripts;
    w->env.tsc_per_us = rte_get_tsc_hz() / 1000000;
}

static struct tcp_config stack_config(const struct worker *w, uint64_t seed)
{
    return (struct tcp_config){
        .max_conns = worker_clients_max(w->conf) + 1024,            /* half-open ones and orphans */
        .backlog = w->conf->tcp_backlog ? w->conf->tcp_backlog : 1, /* listen(2) makes room for one, too */
        .syn_cookies = w->conf->tcp_syn_cookies,
        .user_timeout_us = w->conf->tcp_user_timeout_ms * 1000ull,
        .rx_window = w->conf->tcp_receive_buffer,
        .tx_limit = 256 * 1024,
        .tx_limit_max = w->conf->tcp_send_buffer,
        .congestion_control = worker_congestion_control(w->conf),
        .ecn = w->conf->tcp_ecn,
        .keepalive_us = w->conf->tcp_keepalive_s * 1000000ull,
        .chain_frames = net_if_config(w->nif)->chain_frames,
        .seed = seed,
        .owns = port_owns,
        .owns_ctx = w->queue,
    };
}

bool worker_init(struct worker *w, struct box *box, unsigned id, uint64_t seed, char *error, size_t size)
{
    w->id = id;
    w->box = box;
    w->conf = atomic_load(&box->conf);
    w->us_per_cycle = 1e6 / (double)rte_get_tsc_hz();
    w->cycles_per_us = (double)rte_get_tsc_hz() / 1e6;
    w->epoch_cycles = rte_rdtsc();
    begin_env(w, seed);
    if (!box->acl && !(box->acl = acl_new(w->conf, error, size)))
        return false;
    w->env.acl = box->acl;
    struct tcp_config tcp = stack_config(w, seed);
    resp_reader_init(&w->reader);
    blocking_init(&w->blocking, &w->env, box->workers == 1, 0);
    w->waits = shard_waits(box->ks->shard[id]);
    w->midway = shard_midway(box->ks->shard[id]);
    w->tcp = tcp_stack_new(&tcp, w->nif, w->pool, w->counters);
    w->serve_job = calloc(1, sizeof *w->serve_job);
    w->peers = (struct peers){.tcp = w->tcp, .nif = w->nif, .counters = w->counters};
    box->pubsub[id] = pubsub_new(id ? box->pubsub[0]->seed : seed);
    w->env.monitor = monitor_new(&box->monitor, &w->env, &w->due);
    w->env.tracking = tracking_new(&box->tracking, &w->env, &w->due);
    bool events = waits_events(w->waits, box->ks->databases, notify_by_itself, &w->env);
    bool turns = turns_init(&w->turns, &w->env, &w->blocking, worker_run_waiting, w);
    w->turns.outside = worker_run_outside;
    w->env.steps_outside = true;
    if (w->tcp) {
        w->port_full = tcp_port_full(w->tcp);
        port_watch(w->queue, w->port_full);
    }
    if (!w->tcp || !w->serve_job || !turns || !events || !box->pubsub[id] || !w->env.tracking || !w->env.monitor ||
        !worker_listens(w)) {
        snprintf(error, size, "worker %u: no memory for %u connections", id, tcp.max_conns);
        return false;
    }
    w->serve_job->kind = JOB_SERVE;
    w->blocking.slice = w->turns.slice;
    worker_take_config(w, w->conf);
    worker_read_clocks(w, w->epoch_cycles);
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
    w->env.stopped = true; /* no worker runs any more */
    w->box->tracking.runner = w->env.tracking;
    script_end_all(&w->env);
    turns_end(&w->turns);
    w->box->tracking.runner = NULL;
    w->env.stopped = false;
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
        monitor_free(w->env.monitor);
        pubsub_free(w->box->pubsub[w->id]);
        w->box->pubsub[w->id] = NULL;
    }
    script_end_all(&w->env);
    if (w->turns.run)
        turns_end(&w->turns);
    if (w->box)
        tracking_free(w->env.tracking); /* commands in slices have ended that were some client's */
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
    session_free_queries(w);
    worker_log_free(w);
    batch_begin(&w->batch);
    free(w->batch.big);
    resp_reader_reset(&w->reader);
    for (struct out_chunk *c = w->free_chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
}
