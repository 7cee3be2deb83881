/* box.c: composition: every part is brought up in order and torn down in reverse. */
#include "box.h"

#include "facts.h"
#include "generation.h"

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>

#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { FABRIC_RING = 1024, RENAMES = 256 };

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        seed = (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15ull ^ (uint64_t)t.tv_sec;
    }
    return seed;
}

static void make_run_id(char id[41])
{
    for (int i = 0; i < 40; i += 8)
        snprintf(id + i, 9, "%08x", (unsigned)random_seed());
}

/* Tables that outlive generations are sized by the first one. */
static bool make_tables(struct plane *p, const struct config *conf, char *error, size_t size)
{
    const char *rename[2 * RENAMES + 1] = {NULL};
    char word[RENAMES][2][64];
    unsigned n = 0;
    for (unsigned i = 0; i < conf->pairs; i++) {
        if (strcmp(conf->pair[i].name, "rename-command") != 0)
            continue;
        if (n == RENAMES) { /* a command that was to be taken away must not stay because of a bound */
            snprintf(error, size, "more than %d rename-command directives", RENAMES);
            return false;
        }
        word[n][1][0] = 0;
        if (sscanf(conf->pair[i].value, "%63s %63s", word[n][0], word[n][1]) < 1)
            continue;
        if (strcmp(word[n][1], "\"\"") == 0)
            word[n][1][0] = 0;
        rename[2 * n] = word[n][0];
        rename[2 * n + 1] = word[n][1];
        n++;
    }
    if (!command_table_init(n ? rename : NULL, error, size))
        return false;
    load_init();
    worker_snapshot_init();
    if (!channel_share_counters(p->channel, conf->workers, command_ids())) {
        snprintf(error, size, "no shared memory for the counters");
        return false;
    }
    return true;
}

static bool make_rcu(struct box *box, char *error, size_t size)
{
    size_t bytes = rte_rcu_qsbr_get_memsize(box->workers);
    box->rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(bytes, RTE_CACHE_LINE_SIZE));
    if (box->rcu && rte_rcu_qsbr_init(box->rcu, box->workers) == 0)
        return true;
    snprintf(error, size, "no memory for grace periods");
    return false;
}

/* Over what the dataplane before this one has left in memory, if that is all there. */
static struct keyspace *open_keyspace(struct plane *p, const struct config *conf, const int *node, uint64_t seed,
                                      struct counters *const *counters, char *error, size_t size)
{
    struct keyspace_past past;
    struct kept_texts texts;
    char line[256];
    bool keeps = conf->warm_restart && p->kept.handed[0] > 0, whole = keeps && kept_read(&p->kept, &texts);
    /* With an append-only log the keys come from there, unless control knows that memory has all of it. */
    bool logs = p->load.phase != LOAD_IDLE && p->load.logs && !p->load.memory;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    struct keyspace *ks =
        keyspace_open(conf, node, seed, counters, keeps ? &p->kept.arena : NULL, whole && !logs, &past, error, size);
    *line = 0;
    p->past_link = whole ? texts.link : 0;
    if (ks && past.taken) {
        uint64_t keys = 0;
        for (unsigned db = 0; db < ks->databases; db++)
            keys += keyspace_db_size(ks, db, NULL);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double ms = (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
        snprintf(line, sizeof line, "Took over %llu keys that the dataplane before this one has left in memory%s, in %.1f ms",
                 (unsigned long long)keys, past.crashed ? " when it crashed" : "", ms);
        load_warm(p, &texts);
        p->taken = true;
        keyspace_serves(ks, true); /* nothing changes before workers run */
    } else if (*past.why) {
        snprintf(line, sizeof line, "What the dataplane before this one has left in memory is not used: %s",
                 logs ? "the append-only log is read" : past.why);
    }
    if (*line)
        channel_log(p->channel, LOG_NOTICE, line);
    if (whole)
        kept_texts_free(&texts);
    return ks;
}

static bool make_shared(struct plane *p, struct config *conf, uint64_t seed, char *error, size_t size)
{
    struct box *box = &p->box;
    struct counters *counters[CONFIG_WORKERS];
    int node[CONFIG_WORKERS];
    box->workers = conf->workers;
    if (!generation_compile(conf, NULL, error, size))
        return false;
    atomic_store(&box->conf, conf);
    box->fact = fact_get;
    box->bulk = channel_bulk(p->channel);
    for (unsigned i = 0; i < conf->workers; i++) {
        counters[i] = channel_counters(p->channel, i);
        node[i] = p->plan.worker[i].memory;
    }
    struct config first = *conf;
    /* What is there on hugepages is taken as it lies, even if frames find no more of them. */
    first.hugepages = p->plan.huge || kept_hugepages(&p->kept) ? conf->hugepages : 0;
    box->ks = open_keyspace(p, &first, node, seed, counters, error, size);
    box->fabric = fabric_new(conf->workers, FABRIC_RING);
    box->worker = calloc(conf->workers, sizeof *box->worker);
    if (!box->ks)
        return false;
    if (!box->fabric || !box->worker) {
        snprintf(error, size, "no memory for %u workers", conf->workers);
        return false;
    }
    return make_rcu(box, error, size);
}

static bool make_worker(struct plane *p, unsigned id, struct rte_mempool *pool, uint64_t seed, char *error,
                        size_t size)
{
    struct box *box = &p->box;
    struct config *conf = atomic_load(&box->conf);
    struct worker *w = aligned_alloc(64, RTE_ALIGN(sizeof *w, 64));
    if (!w) {
        snprintf(error, size, "no memory for worker %u", id);
        return false;
    }
    memset(w, 0, sizeof *w);
    box->worker[id] = w;
    w->pool = pool;
    w->counters = channel_counters(p->channel, id);
    w->env.stats = channel_command_stats(p->channel, id);
    wiretime_init(&w->times, channel_times(p->channel, id), (double)rte_get_tsc_hz());
    w->queue = port_queue(p->port, id, w->counters);
    w->wire = (struct wire){worker_send, w};
    struct net_config net = {.seed = seed};
    port_net_config(p->port, conf, &net);
    net.quiet = id != 0; /* one worker announces the addresses of all */
    p->link = net_identity(&net);
    net.dad = net.dad && p->link != p->past_link; /* what was ours a moment ago is ours: clients wait */
    w->nif = w->queue ? net_if_new(&net, pool, &w->wire, w->counters) : NULL;
    if (!w->nif) {
        snprintf(error, size, "no memory for the network of worker %u", id);
        return false;
    }
    if (!worker_init(w, box, id, seed, error, size))
        return false;
    if (load_keeps_closed(p))
        w->env.observers |= OBSERVE_LOADING;
    return true;
}

/* What the operator should know of the plan, once. */
static void tell_plan(struct plane *p)
{
    char line[256], cpus[128];
    snprintf(line, sizeof line, "Workers on CPUs %s, near node %d; the system on CPUs %s",
             cpus_print(&p->plan.cpus, cpus, sizeof cpus), p->plan.home,
             cpus_print(&p->plan.housekeeping, (char[128]){0}, 128));
    channel_log(p->channel, LOG_NOTICE, line);
    for (unsigned i = 0; i < p->plan.remarks; i++)
        channel_log(p->channel, LOG_NOTICE, p->plan.remark[i]);
}

/* Memory that this thread touches first comes from that node, if it has any left (-1: wherever we run). */
static void prefer_node(int node)
{
    if (numa_available() < 0)
        return;
    if (node >= 0)
        numa_set_preferred(node);
    else
        numa_set_localalloc();
}

/* Worker threads are made while we prefer a node, and would go on preferring it. */
static int run_worker(void *worker)
{
    prefer_node(-1);
    return worker_main(worker);
}

static bool give_up_rights(struct plane *p, char *error, size_t size)
{
    char line[256];
    if (!rights_drop(&p->rights, p->first->link_type, line, sizeof line)) {
        snprintf(error, size, "%s", line);
        return false;
    }
    channel_log(p->channel, p->rights.leave_root || geteuid() ? LOG_NOTICE : LOG_WARNING, line);
    return true;
}

/* Memory was taken over: every change from now on is one that the log must have. */
static void log_from_here(struct box *box)
{
    worker_log_begin(box);
    for (unsigned i = 0; i < box->workers; i++)
        worker_log_join(box->worker[i]);
}

void plane_outlives(struct plane *p, bool whole)
{
    struct box *box = &p->box;
    if (!keyspace_outlives(box->ks))
        return;
    if (whole && !atomic_load(&box->keeps_texts) && !atomic_load(&box->lost_texts)) {
        box->kept = &p->kept;
        atomic_store(&box->keeps_texts, p->taken || kept_write(&p->kept, box->scripts));
        atomic_store(&box->lost_texts, !atomic_load(&box->keeps_texts));
    }
    keyspace_serves(box->ks, whole && atomic_load(&box->keeps_texts));
}

bool plane_start(struct plane *p, char *error, size_t size)
{
    struct config *conf = p->first;
    unsigned lcore[CONFIG_WORKERS];
    struct rte_mempool *pool[CONFIG_WORKERS];
    uint64_t seed = random_seed();
    char run_id[41];
    struct timespec now;

    if (!make_tables(p, conf, error, size) || !port_plan(conf, kept_hugepages(&p->kept), &p->plan, error, size))
        return false;
    tell_plan(p);
    prefer_node(p->plan.worker[0].memory);
    if (!eal_start(conf, &p->plan, p->instance, lcore, error, size))
        return false;
    if (!make_shared(p, conf, seed, error, size))
        return false;
    for (unsigned i = 0; i < conf->workers; i++)
        if (!(pool[i] = port_pool(conf, &p->plan, i, error, size)))
            return false;
    p->port = port_open(conf, &p->plan, pool, error, size);
    if (!p->port)
        return false;
    make_run_id(run_id);
    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned i = 0; i < conf->workers; i++) {
        prefer_node(p->plan.worker[i].memory);
        if (!make_worker(p, i, pool[i], seed + i * 0x9e3779b97f4a7c15ull, error, size))
            return false;
        struct command_env *env = &p->box.worker[i]->env;
        memcpy(env->run_id, run_id, sizeof env->run_id);
        env->start_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    }
    prefer_node(-1);
    p->clients_max = worker_clients_max(conf);
    if (!give_up_rights(p, error, size))
        return false;
    if (!p->taken)
        kept_forget(&p->kept);
    if (p->load.goes_on)
        log_from_here(&p->box);
    if (!load_keeps_closed(p))
        plane_outlives(p, true);
    p->launched = true;
    for (unsigned i = 0; i < conf->workers; i++)
        if (rte_eal_remote_launch(run_worker, p->box.worker[i], lcore[i]) != 0) {
            snprintf(error, size, "worker %u does not start on its core", i);
            return false;
        }
    p->serving = true;
    return true;
}

void plane_stop(struct plane *p)
{
    struct box *box = &p->box;
    bool untouched = p->taken && !p->launched; /* a start that failed has changed nothing */
    if (box->ks)
        plane_outlives(p, false); /* until all is in order */
    atomic_store(&box->stop, true);
    if (box->fabric)
        fabric_close(box->fabric);
    if (p->launched)
        rte_eal_mp_wait_lcore();
    plane_forget(p);
    capture_free(&p->capture);
    uint64_t link = p->serving && net_is_preferred(box->worker[0]->nif) ? p->link : 0;
    bool whole = p->serving && !load_keeps_closed(p) && p->kept.handed[0] > 0 && keyspace_outlives(box->ks) &&
                 kept_write(&p->kept, box->scripts);
    if (whole)
        kept_link(&p->kept, link);
    whole |= untouched;
    load_free(p);
    for (unsigned i = 0; box->worker && i < box->workers; i++)
        if (box->worker[i])
            worker_end(box->worker[i]);
    for (unsigned i = 0; box->worker && i < box->workers; i++) {
        struct worker *w = box->worker[i];
        if (!w)
            continue;
        worker_free(w);
        if (w->nif)
            net_if_free(w->nif);
        free(w);
    }
    free(box->worker);
    /* First of all: no frame points to what keys lie in, and a driver that dies or hangs at its end takes none along. */
    if (box->ks && whole)
        keyspace_leave(box->ks);
    else if (box->ks)
        keyspace_free(box->ks);
    if (p->port)
        port_close(p->port);
    fabric_free(box->fabric);
    free(box->rcu);
    generation_free(p->retired);
    generation_free(atomic_load(&box->conf) ? atomic_load(&box->conf) : p->first);
    eal_stop();
}
