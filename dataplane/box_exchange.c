/* box_exchange.c: the main thread between workers and control: questions, answers, control's own commands,
 * generations of configuration and gauges. */
#include "box.h"

#include "generation.h"
#include "job.h"

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>

#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

enum { GAUGES_EVERY_MS = 500, GRACE_MS = 250, INSPECTIONS = 16 };

static struct job *asked;    /* questions that control has not answered yet */
static unsigned inspections; /* under way: each may hold a large reply */

/* Main has little to send, and workers read their rings every round: a full one is waited for. */
void plane_give(struct plane *p, unsigned worker, struct job *j)
{
    struct timespec pause = {0, 100000};
    while (!fabric_send(p->box.fabric, fabric_main(p->box.fabric), worker, j))
        nanosleep(&pause, NULL);
}

static void answer(struct plane *p, struct job *j, struct slice resp)
{
    job_set_reply(j, resp);
    plane_give(p, j->home, j);
}

void plane_answer(struct plane *p, uint64_t id, struct slice resp, bool all)
{
    for (struct job **at = &asked; *at;) {
        struct job *j = *at;
        if (!all && j->id != id) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        answer(p, j, resp);
        if (!all)
            return;
    }
}

void plane_forget(struct plane *p)
{
    struct fabric *f = p->box.fabric;
    for (struct job *next; asked; asked = next) {
        next = asked->next;
        job_free(asked);
    }
    for (struct job *j; f && (j = fabric_receive(f, fabric_main(f)));)
        job_free(j);
}

static void ask(struct plane *p, struct job *j)
{
    if (!channel_ask(p->channel, j->id, &j->client, j->rq.argc, j->argv)) {
        answer(p, j, SLICE_LIT("-ERR control plane is not reachable, configuration not changed\r\n"));
        return;
    }
    j->next = asked;
    asked = j;
}

static void inspect(struct plane *p, uint64_t id, int argc, const struct slice *argv)
{
    const char *error = "ERR too many inspections at once, try again";
    char line[80];
    struct job *j =
        inspections < INSPECTIONS ? inspect_job(fabric_main(p->box.fabric), argc, argv, &error) : NULL;
    if (!j) {
        int n = snprintf(line, sizeof line, "-%s\r\n", error);
        channel_exec_reply(p->channel, id, (struct slice){(const uint8_t *)line, (size_t)n});
        return;
    }
    j->id = id;
    inspections++;
    plane_give(p, 0, j);
}

void plane_exec(struct plane *p, uint64_t id, int argc, const struct slice *argv)
{
    if (argc > 1 && slice_eq(argv[0], SLICE_LIT(INSPECT_WORD))) {
        inspect(p, id, argc - 1, argv + 1);
        return;
    }
    struct client control;
    client_init(&control, 0, 0);
    control.flags |= CLIENT_AUTHENTICATED | CLIENT_INTERNAL;
    struct job *j = job_new(JOB_EXEC, fabric_main(p->box.fabric), &control, argc, argv);
    if (!j) {
        channel_exec_reply(p->channel, id, SLICE_LIT("-ERR out of memory\r\n"));
        return;
    }
    j->id = id;
    plane_give(p, 0, j);
}

const char *plane_reconfigure(struct plane *p, struct config *conf)
{
    struct config *old = atomic_load(&p->box.conf);
    if (conf->maxclients > p->clients_max && conf->maxclients > old->maxclients) {
        static char why[128];
        snprintf(why, sizeof why,
                 "maxclients %u: this start made room for %u, restart the dataplane for more",
                 conf->maxclients, p->clients_max);
        return why;
    }
    if (conf->workers != old->workers)
        conf->workers = old->workers; /* fixed at start: control says "needs restart" */
    static char error[256];
    if (!generation_compile(conf, old, error, sizeof error))
        return error;
    if (p->retired) { /* nobody can hold it any more, or the last grace period ran out of time */
        rte_rcu_qsbr_synchronize(p->box.rcu, RTE_QSBR_THRID_INVALID);
        generation_free(p->retired);
    }
    atomic_store_explicit(&p->box.conf, conf, memory_order_release);
    p->retired = old;

    /* Accepted means in force: wait a moment until every worker has seen it. One that hangs does not stop the
     * others. */
    uint64_t token = rte_rcu_qsbr_start(p->box.rcu);
    struct timespec pause = {0, 200000};
    for (int i = 0; i < GRACE_MS * 5 && !rte_rcu_qsbr_check(p->box.rcu, token, false); i++)
        nanosleep(&pause, NULL);
    return NULL;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Figures of stores, read beside their owners: each is one aligned word, perhaps a moment old. */
static void gauges(struct plane *p)
{
    struct box *box = &p->box;
    const struct config *conf = atomic_load(&box->conf);
    uint64_t used = 0, reserved = 0, limit = 0, changes = 0, frames = 0, hottest = 0, biggest = 0;
    for (unsigned i = 0; i < box->workers; i++) {
        struct store_account a;
        shard_account(box->ks->shard[i], &a);
        used += a.used;
        reserved += a.reserved;
        limit += a.limit;
        changes += a.changes;
        frames += rte_mempool_in_use_count(box->worker[i]->pool);
        hottest = larger(hottest, atomic_load_explicit(&box->worker[i]->hottest, memory_order_relaxed));
        biggest = larger(biggest, atomic_load_explicit(&box->worker[i]->biggest, memory_order_relaxed));
    }
    channel_gauge(p->channel, "hottest_key_accesses_per_second", (double)hottest); /* of one worker's clients */
    channel_gauge(p->channel, "biggest_key_bytes", (double)biggest);
    channel_gauge(p->channel, "packet_buffers_in_use", (double)frames);
    channel_gauge(p->channel, "memory_used_bytes", (double)used);
    channel_gauge(p->channel, "memory_reserved_bytes", (double)reserved);
    channel_gauge(p->channel, "memory_max_bytes", (double)limit);
    channel_gauge(p->channel, "key_changes", (double)changes);
    channel_gauge(p->channel, "arena_bytes", (double)keyspace_arena_size(box->ks));
    channel_gauge(p->channel, "arena_kept", keyspace_outlives(box->ks));
    channel_gauge(p->channel, "arena_layout", (double)(keyspace_layout() & ((UINT64_C(1) << 48) - 1)));
    channel_gauge(p->channel, "arena_generation", (double)keyspace_generation(box->ks));
    channel_gauge(p->channel, "arena_hugepages", keyspace_hugepages(box->ks));
    channel_gauge(p->channel, "connected_clients", atomic_load(&box->clients));
    channel_gauge(p->channel, "maxclients", conf->maxclients);
    for (unsigned db = 0; db < conf->databases; db++) {
        uint64_t expires, keys = keyspace_db_size(box->ks, db, &expires);
        char name[32];
        snprintf(name, sizeof name, "db%u_keys", db);
        channel_gauge(p->channel, name, (double)keys);
        snprintf(name, sizeof name, "db%u_expires", db);
        channel_gauge(p->channel, name, (double)expires);
    }
    struct port_status s;
    port_status(p->port, &s);
    channel_gauge(p->channel, "link_up", s.up);
    channel_gauge(p->channel, "link_speed_mbps", s.speed_mbps);
    channel_gauge(p->channel, "link_mtu", s.mtu);
    channel_gauge(p->channel, "link_queues", s.queues);
    channel_gauge(p->channel, "link_rss", s.rss);
    channel_gauge(p->channel, "link_rx_missed", (double)s.rx_missed);
    channel_gauge(p->channel, "link_rx_errors", (double)s.rx_errors);
    channel_gauge(p->channel, "link_tx_errors", (double)s.tx_errors);
    channel_gauge(p->channel, "link_rx_nombuf", (double)s.rx_nombuf);
}

/* What workers had to say, at most a ring of each at a time. */
static void forward_notes(struct plane *p)
{
    char line[NOTE_BYTES];
    for (unsigned i = 0; i < p->box.workers; i++)
        for (unsigned n = 0; n <= NOTES && notes_take(&p->box.worker[i]->notes, line); n++)
            channel_log(p->channel, LOG_NOTICE, line);
}

/* What the audit log is to tell of. While control is away or behind, the rings keep it; what finds no room there is
 * counted. */
static void forward_audits(struct plane *p)
{
    for (unsigned i = 0; i < p->box.workers; i++)
        for (unsigned n = 0; n <= NOTES; n++) {
            if (!*p->audit && !notes_take(&p->box.worker[i]->audits, p->audit))
                break;
            if (!channel_log(p->channel, CHANNEL_AUDIT, p->audit))
                return;
            *p->audit = 0;
        }
}

static struct capture_place place(struct plane *p)
{
    return (struct capture_place){&p->box.tap, p->box.rcu, p->box.workers, p->channel};
}

void plane_capture_start(struct plane *p, const struct channel_capture *request)
{
    struct capture_place at = place(p);
    capture_start(&p->capture, &at, request, p->serving);
}

void plane_capture_stop(struct plane *p, uint64_t id, bool rest)
{
    struct capture_place at = place(p);
    capture_stop(&p->capture, &at, id, rest);
}

void plane_capture_forget(struct plane *p)
{
    struct capture_place at = place(p);
    capture_forget(&p->capture, &at);
}

void plane_exchange(struct plane *p, uint64_t now_ms)
{
    struct job *j;
    struct capture_place at = place(p);
    capture_turn(&p->capture, &at);
    while ((j = fabric_receive(p->box.fabric, fabric_main(p->box.fabric)))) {
        if (j->kind == JOB_ASK) {
            ask(p, j);
            continue;
        }
        if (load_takes(p, j))
            continue;
        if (j->kind == JOB_INSPECT) {
            inspect_finish(j);
            inspections--;
        }
        channel_exec_reply(p->channel, j->id,
                           j->out.failed ? SLICE_LIT("-ERR out of memory for the reply\r\n") : job_reply(j));
        job_free(j);
    }
    p->wall_s = (uint64_t)time(NULL);
    load_turn(p, now_ms);
    forward_audits(p);
    if (now_ms >= p->next_gauges_ms) {
        if (atomic_load(&p->box.keeps_texts) && net_is_preferred(p->box.worker[0]->nif))
            kept_link(&p->kept, p->link);
        gauges(p);
        forward_notes(p);
        p->next_gauges_ms = now_ms + GAUGES_EVERY_MS;
    }
}
