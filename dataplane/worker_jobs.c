/* worker_jobs.c: requests that cannot finish here and now: hops to other shards, questions to control; and
 * control's inspections on their way from worker to worker. What needs a stop of all workers: worker_stop.c. */
#include "worker.h"

#include "command/acl.h"
#include "command/transaction.h"
#include "job.h"
#include "load.h"

#include <rte_cycles.h>
#include <stdlib.h>

/* A full ring makes the job wait in the outbox: back-pressure, never a loss. */
static void send_to(struct worker *w, unsigned to, struct job *j)
{
    j->rq.out = NULL;
    if (w->outbox_first || !fabric_send(w->box->fabric, w->id, to, j))
        job_append(&w->outbox_first, &w->outbox_last, j);
    else
        count_one(w->counters, COUNTER_hops_sent);
}

static unsigned destination(const struct worker *w, const struct job *j)
{
    if (j->kind == JOB_FORGET)
        return block_next(j);
    if (j->kind == JOB_UNWATCH)
        return j->watch->first->shard;
    if (j->kind == JOB_PUBLISH)
        return j->done ? j->home : j->publication.next;
    if (j->kind == JOB_NOTES || j->kind == JOB_LINES)
        return j->rq.shard;
    if (j->kind == JOB_ASK)
        return fabric_main(w->box->fabric);
    if (j->kind == JOB_INSPECT)
        return j->done ? j->home : w->id + 1;
    return j->done ? j->home : j->rq.shard;
}

static void flush_outbox(struct worker *w)
{
    while (w->outbox_first) {
        struct job *j = w->outbox_first, *next = j->next; /* once sent it belongs to the other side */
        if (!fabric_send(w->box->fabric, w->id, destination(w, j), j))
            return;
        count_one(w->counters, COUNTER_hops_sent);
        w->outbox_first = next;
        if (!next)
            w->outbox_last = NULL;
    }
}

static void dispatch(struct worker *w, struct job *j)
{
    if (j->kind == JOB_BARRIER || (j->kind == JOB_EXEC && !j->done && j->rq.route == ROUTE_ALL))
        worker_wait_for_stop(w, j);
    else
        send_to(w, destination(w, j), j);
}

/* A request so large that it is not copied: the job takes over the memory that it lies in. NULL if it does
 * not lie in one piece of its own, or without memory. */
static struct job *job_taking(struct worker *w, enum job_kind kind, struct session *s,
                              const struct request *rq)
{
    enum { LARGE = 16384 };
    struct batch *b = &w->batch;
    bool own_table = rq->argv == b->big;
    size_t table = (size_t)rq->argc * sizeof(struct slice);
    bool inside = s->query && (uintptr_t)rq->argv[0].p - (uintptr_t)s->query < s->query_len;
    if (!inside || (size_t)(rq->argv[rq->argc - 1].p - rq->argv[0].p) + rq->argv[rq->argc - 1].len < LARGE)
        return NULL;
    struct slice *argv = own_table ? b->big : malloc(table);
    if (argv && !own_table)
        memcpy(argv, rq->argv, table);
    struct job *j = argv ? job_new_with(kind, w->id, &s->client, rq->argc, argv, NULL) : NULL;
    if (j)
        j->query = session_give_query(s, &b->after[b->at]);
    if (j && j->query) {
        b->big = own_table ? NULL : b->big;
        b->big_cap = own_table ? 0 : b->big_cap;
        return j;
    }
    if (j && own_table)
        j->argv = NULL;
    else if (!j && !own_table)
        free(argv);
    job_free(j);
    return NULL;
}

struct job *worker_job(struct worker *w, enum job_kind kind, struct session *s, const struct request *rq)
{
    struct job *j = job_taking(w, kind, s, rq);
    if (!j)
        j = job_new(kind, w->id, &s->client, rq->argc, rq->argv);
    if (!j)
        return NULL;
    job_prepare(j, &w->env);
    worker_expects(w, s, j);
    return j;
}

void worker_expects(struct worker *w, struct session *s, struct job *j)
{
    j->session = s;
    j->users_seen = acl_changes(w->env.acl);
    j->reply_max = w->pending_max;
    s->job = j;
    s->client.last_command = j->rq.cmd; /* what CLIENT LIST shows of its own client */
    s->flags |= SESSION_STALLED;
}

bool worker_defer(struct worker *w, struct session *s, const struct request *rq)
{
    struct job *j = worker_job(w, rq->route == ROUTE_ALL ? JOB_BARRIER : JOB_HOP, s, rq);
    if (!j) {
        reply_error(session_write_begin(s), "ERR out of memory for a request to another worker");
        return false;
    }
    j->rq.route = rq->route;
    j->rq.shard = rq->shard;
    j->rq.shown = rq->shown;
    if (worker_lends(j->rq.cmd))
        worker_lend(s, j);
    dispatch(w, j);
    return true;
}

void worker_send_job(struct worker *w, struct job *j)
{
    dispatch(w, j);
}

/* The session is gone: whoever holds the job finds nobody to answer. */
void worker_orphan(struct job *j)
{
    struct worker *w = j->session->worker;
    j->session = NULL;
    if (block_abandon(j))
        worker_retire(w, j);
    else /* if it waits for a stop, wherever: its place is free */
        atomic_fetch_add_explicit(&w->box->orphans, 1, memory_order_relaxed);
}

void worker_retire(struct worker *w, struct job *j)
{
    if (block_leave(&w->blocking, j)) {
        worker_keep_job(w, j);
        return;
    }
    j->kind = JOB_FORGET;
    send_to(w, destination(w, j), j);
}

static void attach(struct session *s, struct job *j)
{
    session_attach(s, j->chunk_first, j->chunk_last, j->chunk_bytes);
    j->chunk_first = j->chunk_last = NULL;
}

/* Waiting for keys is what its client wanted: that is no latency. */
static void note_time(struct worker *w, struct session *s, const struct job *j)
{
    const struct command *cmd = s->client.last_command;
    uint64_t now = rte_rdtsc();
    for (unsigned i = 0; i + 1 < j->begun; i++) /* before the last one of a row */
        wiretime_elsewhere(&w->times, s->since, j->carried[i].cmd->family, now);
    if (atomic_load_explicit(&j->wait.state, memory_order_relaxed) == BLOCK_RUNNING)
        wiretime_elsewhere(&w->times, s->since, cmd ? cmd->family : TIME_OTHER, now);
    if (!session_has_input(s))
        s->since = 0;
}

/* What its client has changed itself is told in the same frame as the reply: it must not read its own cache in
 * between. */
static void tell_behind(struct worker *w, struct job *j)
{
    if (!j->behind)
        return;
    tracking_give(w->env.tracking, j->behind, j->behind_len);
    free(j->behind);
    j->behind = NULL;
    worker_deliver(w, true);
}

/* Is there more to do for it than to read on? */
static bool may_end(const struct session *s)
{
    enum { FLAGS = SESSION_BROKEN | SESSION_ENDING | SESSION_PEER_CLOSED };
    return s->flags & FLAGS || s->client.flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED);
}

void worker_complete(struct worker *w, struct job *j)
{
    struct session *s = j->session;
    if (j->lent)
        worker_take_back(w, j);
    else if (s && j->rq.client == &s->client)
        worker_recount(w, s);
    if (s) {
        s->job = NULL;
        s->client.last_ms = w->env.now_ms;
        s->flags &= ~(uint32_t)SESSION_STALLED;
        s->client.flags &= ~(uint32_t)CLIENT_WAITING;
        if (j->requests > 1)
            worker_step(s, j);
        note_time(w, s, j);
        if (j->out.failed) {
            count_one(w->counters, COUNTER_client_output_limit_closes);
            notes_add(&w->notes, "Client id=%llu closed: a reply from another worker was too large or found no memory",
                      (unsigned long long)s->client.id);
            s->flags |= SESSION_BROKEN;
        } else if (!j->silent && !(s->flags & SESSION_BROKEN)) {
            session_write(s, job_reply(j));
            if (j->chunk_first)
                attach(s, j);
        }
        if (j->rq.client != &s->client) { /* it was this reply that was skipped */
            s->client.flags &= ~(uint32_t)CLIENT_REPLY_SKIP;
            tracking_after(&s->client, j->rq.cmd);
        }
        tell_behind(w, j);
        if (session_has_input(s) || may_end(s))
            worker_ready(w, s); /* the reply leaves with those of what is read now */
        else
            tcp_push(s->conn, w->env.now_us);
    }
    tell_behind(w, j);
    j->session = NULL;
    worker_retire(w, j);
}

/* What is to be told behind the reply comes along, unless replies of others are to come first. */
static void send_home(struct worker *w, struct job *j)
{
    if (w->due && !w->env.tracking->held && j->home < w->box->workers && !j->behind)
        j->behind = tracking_take(w->env.tracking, j->home, &j->behind_len);
    send_to(w, j->home, j);
}

void worker_bring_home(struct worker *w, struct job *j)
{
    if (j->home == w->id)
        worker_complete(w, j);
    else
        send_home(w, j);
}

/* A command of control: runs here, or goes on to where it must. */
static void start_exec(struct worker *w, struct job *j)
{
    job_prepare(j, &w->env);
    worker_snapshot_asked(w, j);
    if (j->rq.route == ROUTE_ALL && w->box->workers > 1) {
        worker_wait_for_stop(w, j);
        return;
    }
    bool here = j->rq.route != ROUTE_SHARD || j->rq.shard == w->id;
    if (!here || worker_run_job(w, j))
        send_to(w, destination(w, j), j);
}

static void received(struct worker *w, struct job *j)
{
    if (j->kind == JOB_INSPECT) {
        job_append(&w->inspect_first, &w->inspect_last, j);
        return;
    }
    if (j->kind == JOB_ASK || (j->done && j->home == w->id)) {
        worker_complete(w, j);
        return;
    }
    if (j->kind == JOB_FORGET) {
        worker_retire(w, j);
        return;
    }
    if (j->kind == JOB_UNWATCH) {
        worker_unwatch_job(w, j);
        return;
    }
    if (j->kind == JOB_PUBLISH) {
        worker_post(w, j);
        return;
    }
    if (j->kind == JOB_NOTES) {
        worker_noted(w, j);
        return;
    }
    if (j->kind == JOB_LINES) {
        worker_lines(w, j);
        return;
    }
    if (j->kind == JOB_EXEC && !j->rq.env) {
        start_exec(w, j);
        return;
    }
    if (j->kind == JOB_LOAD && !j->rq.env) {
        load_prepare(j, &w->env);
        if (j->rq.route == ROUTE_ALL) {
            worker_wait_for_stop(w, j);
            return;
        }
    }
    if (w->paused && worker_holds_job(w, j))
        return;
    /* It has hopped here: our shard. */
    if (worker_run_row(w, j))
        send_home(w, j);
}

void worker_resume_job(struct worker *w, struct job *j)
{
    if (j->kind == JOB_BARRIER)
        worker_wait_for_stop(w, j);
    else
        received(w, j);
}

/* One visit a round, of the jobs in turn: clients do not wait longer than for one slice. False if there is
 * nothing to do before something happens. */
static bool run_inspections(struct worker *w)
{
    struct job *j = w->inspect_first;
    if (!j)
        return false;
    w->inspect_first = j->next;
    if (!j->next)
        w->inspect_last = NULL;
    worker_begin(w); /* what has expired may go, what is no big key any more is forgotten */
    enum verdict verdict = inspect_visit(j, w, w->box->workers);
    worker_rest(w);
    if (verdict == VISIT_AGAIN || verdict == VISIT_WAIT) {
        job_append(&w->inspect_first, &w->inspect_last, j);
        return verdict == VISIT_AGAIN;
    }
    j->done = verdict == VISIT_ENOUGH || w->id + 1 == w->box->workers;
    send_to(w, destination(w, j), j);
    return true;
}

bool worker_messages(struct worker *w)
{
    enum { MESSAGES = 64 };
    void *message[MESSAGES];
    flush_outbox(w);
    if (w->unwatched)
        worker_unwatch_more(w);
    unsigned n = fabric_receive_all(w->box->fabric, w->id, message, MESSAGES);
    bool any = n > 0;
    if (any)
        worker_begin(w);
    for (unsigned i = 0; i < n; i++) {
        received(w, message[i]);
        if (w->due) /* behind the reply and those of who was served, and before the next one */
            worker_served(w);
    }
    if (any)
        worker_rest(w);
    worker_served(w);
    if (w->barrier_first || turns_wants_stop(&w->turns))
        any |= worker_run_stops(w);
    worker_served(w);
    any |= run_inspections(w);
    return any || w->due || w->blocking.done_first || block_rows(w->waits);
}

static void free_list(struct job *j)
{
    for (struct job *next; j; j = next) {
        next = j->next;
        job_free(j);
    }
}

void worker_free_jobs(struct worker *w)
{
    free(w->serve_job);
    w->serve_job = NULL;
    free_list(w->barrier_first);
    free_list(w->outbox_first);
    free_list(w->spare_jobs);
    w->spare_jobs = NULL;
    w->spares = 0;
    free_list(w->paused_first);
    free_list(w->posts_first);
    w->posts_first = w->posts_last = NULL;
    w->paused_first = w->paused_last = NULL;
    for (struct watch *next; w->unwatched; w->unwatched = next) {
        next = w->unwatched->next;
        watch_drop(w->unwatched);
    }
    free_list(w->inspect_first);
    w->inspect_first = w->inspect_last = NULL;
    w->barrier_first = w->barrier_last = w->outbox_first = w->outbox_last = NULL;
    for (struct job *j; (j = fabric_receive(w->box->fabric, w->id));)
        job_free(j);
}

/* box_ops.ask_control: the session waits until main brings the answer. */
bool worker_ask(struct command_env *env, struct client *c, int argc, const struct slice *argv)
{
    struct worker *w = env->worker;
    if ((c->flags & (CLIENT_INTERNAL | CLIENT_PROXY)) ||
        !atomic_load_explicit(&w->box->control_present, memory_order_relaxed))
        return false;
    struct job *j = job_new(JOB_ASK, w->id, c, argc, argv);
    if (!j)
        return false;
    struct session *s = worker_session_of(c);
    j->session = s;
    j->silent = c->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
    j->id = c->id;
    s->job = j;
    c->flags |= CLIENT_WAITING;
    send_to(w, fabric_main(w->box->fabric), j);
    return true;
}
