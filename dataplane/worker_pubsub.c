/* worker_pubsub.c: messages on their way to subscribers (command/pubsub.h).
 *
 * A message is a job. The worker of the channel's slot has it first, then, as long as one that is still to
 * come might have receivers, the one after it, and so on round: so all messages of a channel take the same
 * way in the same order, and every subscriber sees that order. Each worker keeps what has come in a queue and
 * delivers it in slices. Back home the publisher gets the number of receivers. What cannot wait (EXEC, a
 * script, control) is told the number beforehand. The text is copied once, into the job. */
#include "worker.h"

#include "command/tracking.h"
#include "job.h"

enum {
    AT_ONCE = 256, /* deliveries that a publisher's reply does not wait for */
    SLICE = 256,   /* steps of a slice: deliveries, patterns looked at, KiB */
    POSTS_FEW = 64 /* each so many messages that wait make slices longer by one */
};

static struct pubsub *tables(struct worker *w)
{
    return w->box->pubsub[w->id];
}

static bool interested(const struct worker *w, unsigned worker, enum topic_kind kind, struct slice channel)
{
    return pubsub_interested(w->box->pubsub[worker], kind, channel);
}

/* -- on its way -- */

void worker_post(struct worker *w, struct job *j)
{
    j->publication.until = tables(w)->made;
    j->publication.begun = false;
    j->next = NULL;
    if (w->posts_last)
        w->posts_last->next = j;
    else
        w->posts_first = j;
    w->posts_last = j;
    w->posts++;
    w->due = true;
}

static void arrived(struct worker *w, struct job *j)
{
    if (!j->publication.awaited) {
        job_free(j);
        return;
    }
    if (!j->silent) {
        reply_int(job_write_begin(j), (int64_t)j->publication.receivers);
        job_write_end(j);
    }
    j->done = true;
    worker_bring_home(w, j);
}

/* Messages must not overtake each other: where one stops, all do that have the same way to go. */
static void pass_on(struct worker *w, struct job *j)
{
    struct publication *b = &j->publication;
    unsigned n = w->box->workers;
    b->next = (w->id + 1) % n;
    for (unsigned i = b->next; i != b->first; i = (i + 1) % n)
        if (interested(w, i, b->kind, j->argv[0])) {
            worker_send_job(w, j);
            return;
        }
    arrived(w, j);
}

/* -- to a client -- */

/* Its output has passed a limit. Requests of this round may still be borrowed from it: the sweep closes it.
 */
static void give_up(struct session *s)
{
    s->flags |= SESSION_DOOMED;
    s->worker->doomed++;
    session_first(s);
    session_drop_output(s);
}

struct resp_writer *worker_push_begin(struct session *s)
{
    if (s->flags & (SESSION_BROKEN | SESSION_ENDING) ||
        s->client.flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED))
        return NULL;
    struct resp_writer *out = session_write_begin(s);
    out->proto = s->client.proto;
    return out;
}

void worker_push_end(struct session *s)
{
    session_write_end(s);
    tcp_push(s->conn, s->worker->env.now_us);
    if (s->flags & SESSION_BROKEN && !(s->flags & SESSION_DOOMED))
        give_up(s);
}

/* False if it goes to one that is about to be closed: no receiver any more. */
static bool push(struct session *s, const struct topic *t, const struct job *j)
{
    static const char *const word[TOPIC_KINDS] = {"message", "pmessage", "smessage"};
    struct resp_writer *out = worker_push_begin(s);
    if (!out)
        return false;
    reply_push(out, t->kind == TOPIC_PATTERN ? 4 : 3);
    reply_bulk_str(out, word[t->kind]);
    if (t->kind == TOPIC_PATTERN)
        reply_bulk(out, topic_name(t));
    reply_bulk(out, j->argv[0]);
    reply_bulk(out, j->argv[1]);
    worker_push_end(s);
    return true;
}

static void charge(unsigned *budget, uint64_t steps)
{
    *budget -= steps < *budget ? (unsigned)steps : *budget;
}

/* True when all receivers here have it. */
static bool deliver(struct worker *w, struct job *j, unsigned *budget)
{
    struct publication *b = &j->publication;
    struct pubsub *p = tables(w);
    struct topic *t;
    if (!b->begun)
        pubsub_walk_begin(p, b->kind, j->argv[0], b->until);
    b->begun = true;
    for (struct client *c; (c = pubsub_walk_next(p, &t, budget));) {
        b->receivers += push(worker_session_of(c), t, j);
        charge(budget, j->argv[1].len / 1024);
    }
    return pubsub_walk_ended(p);
}

static void posts(struct worker *w)
{
    unsigned budget = SLICE * (1 + w->posts / POSTS_FEW);
    while (w->posts_first && budget) {
        struct job *j = w->posts_first;
        charge(&budget, 1);
        if (!deliver(w, j, &budget))
            return;
        w->posts_first = j->next;
        if (!w->posts_first)
            w->posts_last = NULL;
        w->posts--;
        pass_on(w, j);
    }
}

void worker_deliver(struct worker *w, bool all)
{
    struct tracking *t = w->env.tracking;
    posts(w);
    worker_invalidate(w, all);
    if (all)
        worker_show(w);
    w->due = w->posts_first || tracking_due(t) || w->env.monitor->seen.len;
}

/* -- from a publisher -- */

static void send(struct worker *w, struct job *j, enum topic_kind kind, unsigned first)
{
    j->publication.kind = kind;
    j->publication.first = j->publication.next = first;
    if (first == w->id)
        worker_post(w, j);
    else
        worker_send_job(w, j);
}

static bool interested_elsewhere(const struct worker *w, enum topic_kind kind, struct slice channel)
{
    for (unsigned i = 0; i < w->box->workers; i++)
        if (i != w->id && interested(w, i, kind, channel))
            return true;
    return false;
}

/* Can it be delivered as soon as the command is over? */
static bool small(struct worker *w, enum topic_kind kind, struct slice channel)
{
    const struct pubsub *p = tables(w);
    const struct topic *t = pubsub_topic(p, kind, channel);
    uint64_t patterns = kind == TOPIC_CHANNEL ? p->n[TOPIC_PATTERN] : 0;
    return !w->posts_first && (t ? t->subscribers : 0) + patterns <= AT_ONCE &&
           pubsub_receivers(p, kind, channel) <= AT_ONCE;
}

/* Receivers as far as can be known: all if all workers are stopped, those of this worker otherwise. */
static uint64_t receivers_now(const struct worker *w, enum topic_kind kind, struct slice channel)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < w->box->workers; i++)
        if (i == w->id || w->env.stopped)
            n += pubsub_receivers(w->box->pubsub[i], kind, channel);
    return n;
}

static void await(struct job *j, struct request *rq)
{
    struct client *c = rq->client;
    struct session *s = worker_session_of(c);
    j->publication.awaited = true;
    j->session = s;
    j->silent = rq->out != rq->wire;
    j->rq.client = c; /* it is as it is to be: next_reply_mode() has been */
    s->job = j;
    c->flags |= CLIENT_WAITING;
}

void worker_notify(struct command_env *env, struct slice channel, struct slice message)
{
    static const struct client nobody;
    struct worker *w = env->worker;
    const struct slice args[] = {channel, message};
    if (!interested(w, w->id, TOPIC_CHANNEL, channel) && !interested_elsewhere(w, TOPIC_CHANNEL, channel))
        return;
    struct job *j = job_new(JOB_PUBLISH, w->id, &nobody, 2, args);
    if (j)
        send(w, j, TOPIC_CHANNEL, w->id);
    else
        count_one(w->counters, COUNTER_notify_drop_memory);
}

enum published worker_publish(struct request *rq, enum topic_kind kind, struct slice channel,
                              struct slice message, uint64_t *receivers)
{
    static const struct client nobody;
    struct worker *w = rq->env->worker;
    const struct slice args[] = {channel, message};
    unsigned first = keyspace_shard_of(w->env.ks, channel);
    bool elsewhere = interested_elsewhere(w, kind, channel);
    if (!elsewhere && !interested(w, w->id, kind, channel))
        return PUBLISHED;
    bool waits = !(rq->client->flags & (CLIENT_INTERNAL | CLIENT_PROXY | CLIENT_DENY_BLOCKING)) &&
                 (elsewhere || first != w->id || !small(w, kind, channel));
    struct job *j = job_new(JOB_PUBLISH, w->id, waits ? rq->client : &nobody, 2, args);
    if (!j)
        return PUBLISH_NO_MEMORY;
    if (waits)
        await(j, rq);
    else
        *receivers = receivers_now(w, kind, channel);
    send(w, j, kind, first);
    return waits ? PUBLISH_WAITS : PUBLISHED;
}
