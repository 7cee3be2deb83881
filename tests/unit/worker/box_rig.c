/* box_rig.c: see box_rig.h. The functions of drivers/port.h that the worker calls are here, over the
 * in-memory wire. */
#include "box_rig.h"

#include "drivers/pool.h"
#include "generation.h"
#include "job.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <stdio.h>
#include <stdlib.h>

enum { RIG_FRAMES = 8191, LANE_FRAMES = 2047, INBOX = 4096 };
bool rig_ipv6;

/* -- the port
 * --------------------------------------------------------------------------------------------------- */

static struct port_queue {
    struct memwire *wire;
    struct rte_mempool *pool; /* NULL: frames stay in the wire's pool */
    struct port_queue *other; /* NULL: there is one worker */
    struct rte_mbuf *inbox[INBOX];
    unsigned n;
    bool *full; /* port_watch() */
    struct rte_mbuf *backlog[RIG_BACKLOG]; /* with rig_port.slots */
    unsigned kept, room;
} queues[RIG_WORKERS];

struct rig_port rig_port;

/* As RSS would: the ports decide, and so a client's, what is not TCP goes to both. */
static void steer(struct rte_mbuf *m)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    bool tcp = m->data_len > 36 && p[12] == 8 && p[13] == 0 && p[23] == 6;
    struct port_queue *q = &queues[tcp && (p[35] ^ p[37] ^ 1) & 1];
    struct rte_mbuf *copy = tcp ? NULL : rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
    if (copy)
        q->other->inbox[q->other->n++] = copy;
    q->inbox[q->n++] = m;
}

/* As a NIC with an empty receive ring does: a frame without a buffer of the box is lost. */
static unsigned into_pool(struct rte_mempool *pool, struct rte_mbuf **frames, unsigned n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(frames[i], pool, 0, UINT32_MAX);
        rte_pktmbuf_free(frames[i]);
        if (copy)
            frames[kept++] = copy;
    }
    return kept;
}

/* -- time, if somebody asks */

static uint64_t begin_time(void)
{
    return rig_port.round_cycles ? rte_rdtsc() : 0;
}

static void end_time(uint64_t *spent, uint64_t begin)
{
    if (rig_port.round_cycles)
        *spent += rte_rdtsc() - begin;
}

static unsigned arrives(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    if (!q->other) {
        n = memwire_receive(q->wire, 0, frames, n);
        if (rig_port.arrived)
            rig_port.arrived(frames, &n);
        return q->pool ? into_pool(q->pool, frames, n) : n;
    }
    struct rte_mbuf *m;
    while (q->n + 2 < INBOX && q->other->n + 2 < INBOX && memwire_receive(q->wire, 0, &m, 1))
        steer(m);
    if (n > q->n)
        n = q->n;
    memcpy(frames, q->inbox, n * sizeof *frames);
    memmove(q->inbox, q->inbox + n, (q->n - n) * sizeof *frames);
    q->n -= n;
    return n;
}

unsigned port_rx(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    uint64_t begin = begin_time();
    q->room = rig_port.rests ? 0 : rig_port.slots;
    n = arrives(q, frames, n);
    end_time(rig_port.port_cycles, begin);
    return n;
}

static void leaves(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    const struct wire *wire = memwire_end(q->wire, 0);
    uint64_t begin = begin_time();
    wire->send(wire->ctx, frames, n);
    end_time(rig_port.port_cycles, begin);
}

/* Of n frames as many as there is room for; the rest is kept, or dropped. */
static void leaves_in_part(struct port_queue *q, struct rte_mbuf **frames, unsigned n)
{
    port_tx_retry(q);
    unsigned sent = q->kept ? 0 : RTE_MIN(n, q->room);
    if (sent)
        leaves(q, frames, sent);
    q->room -= sent;
    for (unsigned i = sent; i < n; i++) {
        *q->full = true;
        if (q->kept < RIG_BACKLOG) {
            q->backlog[q->kept++] = frames[i];
        } else {
            rte_pktmbuf_free(frames[i]);
            rig_port.dropped++;
        }
    }
}

void port_tx(void *queue, struct rte_mbuf **frames, unsigned n)
{
    if (rig_port.slots)
        leaves_in_part(queue, frames, n);
    else
        leaves(queue, frames, n);
}

bool port_tx_retry(struct port_queue *q)
{
    unsigned sent = RTE_MIN(q->kept, q->room);
    if (sent)
        leaves(q, q->backlog, sent);
    q->room -= sent;
    q->kept -= sent;
    memmove(q->backlog, q->backlog + sent, q->kept * sizeof q->backlog[0]);
    return q->kept == 0;
}

void port_watch(struct port_queue *q, bool *full)
{
    q->full = full;
}

bool port_owns(const void *queue, const struct endpoint *local, const struct endpoint *remote)
{
    const struct port_queue *q = queue;
    return !q->other || q == &queues[(local->port ^ remote->port ^ 1) & 1];
}

bool port_pass(struct port_queue *q, struct rte_mbuf *m)
{
    (void)q;
    (void)m;
    return false;
}

_Thread_local unsigned rig_slept_us;

void port_idle(struct port_queue *q, unsigned usec)
{
    (void)q;
    rig_slept_us = usec;
    if (rig_port.idle)
        rig_port.idle(usec);
}

/* -- set-up
 * ----------------------------------------------------------------------------------------------------- */

static void start_eal(void)
{
    static bool up;
    if (up)
        return;
    char *argv[] = {(char *)(uintptr_t) "box_test",
                    (char *)(uintptr_t) "--no-huge",
                    (char *)(uintptr_t) "--no-pci",
                    (char *)(uintptr_t) "--no-telemetry",
                    (char *)(uintptr_t) "--no-shconf",
                    (char *)(uintptr_t) "-m",
                    (char *)(uintptr_t) "128",
                    (char *)(uintptr_t) "--lcores=0",
                    (char *)(uintptr_t) "--log-level=*:error"};
    if (rte_eal_init(sizeof argv / sizeof *argv, argv) < 0)
        abort();
    up = true;
}

/* Number 0 is that of a box with one wire, the others are those of lanes. */
static struct rte_mempool *packet_pool(unsigned number)
{
    static struct rte_mempool *pools[1 + RIG_WORKERS];
    struct rte_mempool **pool = &pools[number];
    char name[16];
    if (*pool)
        return *pool;
    start_eal();
    sprintf(name, "box_rig%u", number);
    *pool = pool_new(name, number ? LANE_FRAMES : RIG_FRAMES, 64, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!*pool)
        abort();
    return *pool;
}

static struct config *make_config(uint64_t generation, const char *const *extra, const struct config *before)
{
    struct config_pair pair[64] = {
        {"protected-mode", "no"}, {"arena-size", "64mb"}, {"hugepages", "no"},
        {"idle-policy", "busy"},  {"maxclients", "100"},  {"link-address", "10.0.0.2/24"},
    };
    unsigned n = 6;
    char error[256];
    for (; extra && extra[0] && n < 64; extra += 2)
        pair[n++] = (struct config_pair){extra[0], extra[1]};
    struct config *conf = config_build(generation, pair, n, error, sizeof error);
    if (!conf) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    if (!generation_compile(conf, before, error, sizeof error))
        abort();
    return conf;
}

static struct net_if *make_nif(unsigned end, struct rte_mempool *pool, const struct wire *wire,
                               struct counters *counters)
{
    struct net_config conf = {
        .mac = {2, 0, 0, 0, 0, (uint8_t)(2 + end)}, .mtu = 1500, .addresses = 1, .seed = 7 + end};
    if (rig_port.cut && !end) {
        conf.offload = NET_TX_IP_CSUM | NET_TX_TCP_CSUM | NET_TX_TSO;
        conf.chain_frames = 44;
    }
    ip_parse(end ? "10.0.0.1" : "10.0.0.2", &conf.address[0].ip);
    conf.address[0].bits = 24;
    if (rig_ipv6) {
        ip_parse(end ? "fd00::1" : "fd00::2", &conf.address[1].ip);
        conf.address[1].bits = 64;
        conf.addresses = 2;
    }
    return net_if_new(&conf, pool, wire, counters);
}

static const char *no_fact(const char *name)
{
    (void)name;
    return NULL;
}

static void make_worker(struct box_rig *r, unsigned i, struct rte_mempool *pool, struct counters *counters)
{
    char error[256];
    struct worker *w = aligned_alloc(64, RTE_ALIGN(sizeof *w, 64));
    memset(w, 0, sizeof *w);
    r->box.worker[i] = w;
    w->pool = pool;
    w->counters = counters;
    w->env.stats = r->stats + i * command_ids();
    wiretime_init(&w->times, &r->times[i * TIME_FAMILIES], (double)rte_get_tsc_hz());
    w->queue = &queues[i];
    w->wire = (struct wire){worker_send, w};
    w->nif = make_nif(0, pool, &w->wire, w->counters);
    if (!worker_init(w, &r->box, i, 5 + i, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    fabric_sleep(r->box.fabric, i);
}

/* All that the workers share. */
static void make_box(struct box_rig *r, struct config *conf, struct counters *const *counters)
{
    static const int node[RIG_WORKERS] = {-1, -1, -1, -1};
    unsigned n = conf->workers;
    char error[256];
    command_table_init(NULL, error, sizeof error);
    r->box = (struct box){.workers = n, .fact = no_fact};
    atomic_store(&r->box.conf, conf);
    r->box.ks = keyspace_new(conf, node, 99, counters, error, sizeof error);
    r->box.fabric = fabric_new(n, 2);
    r->box.rcu = aligned_alloc(64, RTE_ALIGN(rte_rcu_qsbr_get_memsize(n), 64));
    rte_rcu_qsbr_init(r->box.rcu, n);
    r->box.worker = calloc(n, sizeof(struct worker *));
    r->stats = calloc((size_t)n * command_ids(), sizeof *r->stats);
    r->times = calloc((size_t)n * TIME_FAMILIES, sizeof *r->times);
    for (unsigned i = 0; i < n; i++) {
        rte_rcu_qsbr_thread_register(r->box.rcu, i);
        rte_rcu_qsbr_thread_online(r->box.rcu, i);
    }
}

static void make_wire(struct box_rig *r, const struct memwire_fault *fault)
{
    r->wire = memwire_new(r->pool, 42, fault);
    memwire_set_port(r->wire, &(struct memwire_port){.verify = rig_port.verified, .gather = rig_port.gather});
    r->client_nif = make_nif(1, r->pool, memwire_end(r->wire, 1), &r->client_counters);
    struct tcp_config tcp = {
        .max_conns = 2048, .backlog = 16, .rx_window = 65536, .tx_limit = 65536, .seed = 3};
    r->client_tcp = tcp_stack_new(&tcp, r->client_nif, r->pool, &r->client_counters);
}

void rig_start_as(struct box_rig *r, const char *const *pairs, const struct memwire_fault *fault,
                  struct rte_mempool *pool)
{
    struct counters *counters[RIG_WORKERS] = {&r->counters, &r->second_counters};
    *r = (struct box_rig){.pool = packet_pool(0)};
    if (getenv("TCP_OFFLOAD"))
        rig_port = (struct rig_port){.cut = true, .verified = true, .gather = true};
    make_wire(r, fault);
    struct config *conf = make_config(1, pairs, NULL);
    unsigned n = conf->workers;
    for (unsigned i = 0; i < n; i++)
        queues[i] = (struct port_queue){.wire = r->wire, .pool = pool, .other = n > 1 ? &queues[!i] : NULL};
    make_box(r, conf, counters);
    for (unsigned i = 0; i < n; i++)
        make_worker(r, i, pool ? pool : r->pool, counters[i]);
    r->worker = r->box.worker[0];
}

void rig_start(struct box_rig *r, const char *const *pairs, const struct memwire_fault *fault)
{
    rig_start_as(r, pairs, fault, NULL);
}

void rig_start_lanes(struct box_rig *lanes, unsigned n, const char *const *pairs)
{
    struct counters *counters[RIG_WORKERS];
    struct config *conf = make_config(1, pairs, NULL);
    for (unsigned i = 0; i < n; i++) {
        lanes[i] = (struct box_rig){.pool = packet_pool(1 + i), .lane = true};
        counters[i] = &lanes[i].counters;
        make_wire(&lanes[i], NULL);
        queues[i] = (struct port_queue){.wire = lanes[i].wire};
    }
    make_box(&lanes[0], conf, counters);
    for (unsigned i = 0; i < n; i++) {
        make_worker(&lanes[0], i, lanes[i].pool, counters[i]);
        lanes[i].worker = lanes[0].box.worker[i];
    }
}

void rig_reconfigure(struct box_rig *r, const char *const *pairs)
{
    struct config *old = atomic_load(&r->box.conf);
    atomic_store(&r->box.conf, make_config(old->generation + 1, pairs, old));
    rig_run(r, RIG_STEP_US);
    generation_free(old);
}

static void stop_box(struct box_rig *r)
{
    struct fabric *f = r->box.fabric;
    unsigned n = r->box.workers;
    for (unsigned i = 0; i < n; i++)
        while (r->box.worker[i]->live_sessions)
            session_close(r->box.worker[i]->live_sessions, false);
    for (struct job *j; (j = fabric_receive(f, fabric_main(f)));)
        job_free(j);
    for (unsigned i = 0; i < n; i++)
        worker_end(r->box.worker[i]);
    for (unsigned i = 0; i < n; i++) {
        worker_free(r->box.worker[i]);
        net_if_free(r->box.worker[i]->nif);
        free(r->box.worker[i]);
        while (queues[i].n)
            rte_pktmbuf_free(queues[i].inbox[--queues[i].n]);
    }
    keyspace_free(r->box.ks);
    fabric_free(f);
    generation_free(atomic_load(&r->box.conf));
    free(r->box.rcu);
    free(r->box.worker);
    free(r->stats);
    free(r->times);
}

static bool stop_end(struct box_rig *r)
{
    tcp_stack_free(r->client_tcp);
    net_if_free(r->client_nif);
    memwire_free(r->wire);
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        free(r->client[i].got);
    for (unsigned i = 0; i < RIG_SERVED; i++)
        free(r->served[i].got);
    return rte_mempool_avail_count(r->pool) == (r->lane ? LANE_FRAMES : RIG_FRAMES);
}

bool rig_stop(struct box_rig *r)
{
    stop_box(r);
    return stop_end(r);
}

bool rig_stop_lanes(struct box_rig *lanes, unsigned n)
{
    bool whole = true;
    stop_box(&lanes[0]);
    for (unsigned i = 0; i < n; i++)
        whole &= stop_end(&lanes[i]);
    return whole;
}

void rig_round(struct box_rig *r)
{
    memwire_set_time(r->wire, r->now_us);
    double cycles = (double)(r->now_us + 1) / r->worker->us_per_cycle;
    struct worker *const *worker = r->lane ? &r->worker : r->box.worker;
    /* A worker that does not run is one that sleeps: others may stop it. */
    for (unsigned i = 0; i < (r->lane ? 1 : r->box.workers); i++) {
        struct worker *w = worker[i];
        if (!r->thread)
            fabric_wake(w->box->fabric, w->id);
        uint64_t begin = begin_time();
        worker_round(w, w->epoch_cycles + (uint64_t)cycles);
        end_time(rig_port.round_cycles, begin);
        if (!r->thread)
            fabric_sleep(w->box->fabric, w->id);
    }
    rig_client_step(r);
}

void rig_run(struct box_rig *r, uint64_t us)
{
    for (uint64_t end = r->now_us + us; r->now_us < end; r->now_us += RIG_STEP_US)
        rig_round(r);
}

const char *rig_key(const struct box_rig *r, unsigned shard, unsigned n)
{
    static char text[8][8];
    static unsigned turn;
    char *key = text[turn++ % 8];
    for (unsigned i = 0;; i++) {
        sprintf(key, "k%u", i);
        if (keyspace_shard_of(r->box.ks, slice_str(key)) == shard % r->box.workers && n-- == 0)
            return key;
    }
}

bool rig_each_number_of_workers(struct box_rig *r, void (*test)(void), void (*after)(void))
{
    static const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};
    bool good = true;
    for (unsigned i = 0; i < 2; i++) {
        rig_start(r, i ? two : one, NULL);
        test();
        rig_hang_up(r);
        after();
        good &= rig_stop(r);
    }
    return good;
}
