/* worker_box.c: what commands may ask of the box (struct box_ops), answered over all workers. Functions that
 * look at other workers' sessions run only while those are stopped; sums of counters may be a moment old. */
#include "worker.h"

#include "job.h"
#include "kept.h"

#include <stdio.h>
#include <unistd.h>

/* Who was killed is gone for everybody, though its session ends only in its worker's next round. */
static void visit_client(struct session *s, void (*fn)(struct client *c, void *arg), void *arg)
{
    if (s->client.flags & CLIENT_KILLED)
        return;
    session_measure(s);
    fn(&s->client, arg);
    if (s->client.flags & CLIENT_KILLED) {
        if (s->job)
            atomic_store_explicit(&s->job->wait.killed, true, memory_order_relaxed);
        atomic_store_explicit(&s->worker->kill_pending, true, memory_order_relaxed);
    }
}

static void box_each_client(struct command_env *env, struct turn *turn,
                            void (*fn)(struct client *c, void *arg), void *arg)
{
    struct worker *self = env->worker;
    struct box *box = self->box;
    for (unsigned i = 0; i < box->workers; i++) {
        struct session_walk walk;
        bool may_turn = session_walk_begin(&walk, box->worker[i]);
        for (struct session *s; (s = session_walk_next(&walk));) {
            visit_client(s, fn, arg);
            turn_take(may_turn && !walk.front ? turn : NULL);
        }
        session_walk_end(&walk);
    }
}

static uint64_t box_counter_sum(struct command_env *env, enum counter which)
{
    struct box *box = ((struct worker *)env->worker)->box;
    uint64_t sum = 0;
    for (unsigned i = 0; i < box->workers; i++)
        sum += count_read(box->worker[i]->counters, which);
    return sum;
}

static void box_stats_sum(struct command_env *env, unsigned id, struct command_stats *out)
{
    struct box *box = ((struct worker *)env->worker)->box;
    *out = (struct command_stats){0};
    for (unsigned i = 0; i < box->workers; i++) {
        const struct command_stats *s = &box->worker[i]->env.stats[id];
        if (!(s->calls | s->rejected | s->failed))
            continue;
        out->calls += s->calls;
        out->usec += s->usec;
        out->rejected += s->rejected;
        out->failed += s->failed;
        for (unsigned k = 0; k < TIME_BUCKETS; k++)
            out->took[k] += s->took[k];
    }
}

/* CONFIG RESETSTAT, with all workers stopped: what Redis resets, no more (traffic counters of drivers and TCP
 * stay). */
static void box_reset_stats(struct command_env *env)
{
    static const enum counter reset[] = {
        COUNTER_commands_processed,
        COUNTER_command_errors,
        COUNTER_connections_received,
        COUNTER_connections_rejected,
        COUNTER_auth_failures,
        COUNTER_net_input_bytes,
        COUNTER_net_output_bytes,
        COUNTER_client_reads,
        COUNTER_client_writes,
        COUNTER_keyspace_hits,
        COUNTER_keyspace_misses,
        COUNTER_expired_keys,
        COUNTER_expired_subkeys,
        COUNTER_evicted_keys,
        COUNTER_lazyfreed_objects,
        COUNTER_resp_protocol_errors,
        COUNTER_client_query_limit_closes,
        COUNTER_client_output_limit_closes,
        COUNTER_client_evictions,
    };
    struct box *box = ((struct worker *)env->worker)->box;
    for (unsigned i = 0; i < box->workers; i++) {
        struct worker *w = box->worker[i];
        for (unsigned k = 0; k < sizeof reset / sizeof *reset; k++)
            w->counters->v[reset[k]] = 0;
        memset(w->env.stats, 0, command_ids() * sizeof *w->env.stats);
        memset(w->errors, 0, sizeof w->errors);
        memset(w->times.family, 0, TIME_FAMILIES * sizeof *w->times.family);
    }
}

static const char *box_fact(struct command_env *env, const char *name)
{
    return ((struct worker *)env->worker)->box->fact(name);
}

static void box_error_seen(struct command_env *env, const char *code)
{
    struct worker *w = env->worker;
    for (unsigned i = 0; i < WORKER_ERRORS; i++) {
        struct error_count *e = &w->errors[i];
        if (!e->n)
            snprintf(e->code, sizeof e->code, "%s", code);
        else if (strncmp(e->code, code, sizeof e->code - 1) != 0)
            continue;
        e->n++;
        return;
    }
}

static void box_each_error(struct command_env *env, void (*fn)(const char *code, uint64_t count, void *arg),
                           void *arg)
{
    struct box *box = ((struct worker *)env->worker)->box;
    struct error_count sum[WORKER_ERRORS];
    unsigned n = 0;
    for (unsigned i = 0; i < box->workers; i++)
        for (unsigned k = 0; k < WORKER_ERRORS && box->worker[i]->errors[k].n; k++) {
            const struct error_count *e = &box->worker[i]->errors[k];
            unsigned at = 0;
            while (at < n && strcmp(sum[at].code, e->code) != 0)
                at++;
            if (at == WORKER_ERRORS)
                continue;
            if (at == n)
                sum[n++] = (struct error_count){0};
            memcpy(sum[at].code, e->code, sizeof e->code);
            sum[at].n += e->n;
        }
    for (unsigned i = 0; i < n; i++)
        fn(sum[i].code, sum[i].n, arg);
}

static uint64_t box_clients_now(struct command_env *env)
{
    return atomic_load_explicit(&((struct worker *)env->worker)->box->clients, memory_order_relaxed);
}

static void box_blocked_now(struct command_env *env, uint64_t *clients, uint64_t *keys, uint64_t *timeouts)
{
    struct box *box = ((struct worker *)env->worker)->box;
    for (unsigned i = 0; i < box->workers; i++) {
        *clients += box->worker[i]->blocking.clients + box->worker[i]->waiting_sessions;
        *timeouts += box->worker[i]->blocking.timers;
        *keys += box->worker[i]->waits->keys;
    }
}

/* The reply leaves when this worker's commands have run. */
static bool box_unblock(struct command_env *env, uint64_t id, bool error)
{
    struct worker *self = env->worker;
    struct box *box = self->box;
    for (unsigned i = 0; i < box->workers; i++)
        for (struct session *s = box->worker[i]->live_sessions; s; s = s->live_next)
            if (s->client.id == id)
                return s->job && block_end(&self->blocking, s->job, error);
    return false;
}

static void box_stall(struct command_env *env, uint64_t usec)
{
    (void)env;
    usleep((useconds_t)usec);
}

static void box_audit(struct command_env *env, const char *line)
{
    notes_add(&((struct worker *)env->worker)->audits, "%s", line);
}

/* A copy of some bytes in memory. Where that fails a crash leaves nothing. */
static void box_functions_changed(struct command_env *env)
{
    struct worker *w = env->worker;
    struct box *box = w->box;
    if (!atomic_load(&box->keeps_texts) || kept_write(box->kept, box->scripts))
        return;
    atomic_store(&box->lost_texts, true); /* for good: the main thread must not walk libraries beside workers */
    atomic_store(&box->keeps_texts, false);
    keyspace_serves(box->ks, false);
    notes_add(&w->notes, "No memory to keep the texts of functions in: the keys would not outlive a crash");
}

const struct box_ops worker_box_ops = {
    .audit = box_audit,
    .functions_changed = box_functions_changed,
    .each_client = box_each_client,
    .counter_sum = box_counter_sum,
    .stats_sum = box_stats_sum,
    .reset_stats = box_reset_stats,
    .ask_control = worker_ask,
    .fact = box_fact,
    .error_seen = box_error_seen,
    .each_error = box_each_error,
    .clients_now = box_clients_now,
    .blocked_now = box_blocked_now,
    .unblock = box_unblock,
    .pause = worker_pause,
    .unwatch = worker_unwatch,
    .publish = worker_publish,
    .notify = worker_notify,
    .observe = worker_observe,
    .log = worker_log,
    .remote = &worker_remote_ops,
    .stall = box_stall,
};
