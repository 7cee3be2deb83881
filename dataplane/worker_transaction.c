/* worker_transaction.c: transactions of sessions: what they (and subscriptions) take, their way to other workers and back, and
 * watched keys that nobody needs any more (command/transaction.h). */
#include "worker.h"

#include "command/acl.h"
#include "command/connection.h"
#include "command/server.h"
#include "command/transaction.h"
#include "job.h"

#include <assert.h>

void worker_recount(struct worker *w, struct session *s)
{
    const struct transaction *t = s->client.transaction;
    uint64_t now = transaction_bytes(&s->client) + pubsub_bytes(&s->client) + tracking_bytes(&s->client);
    w->query_bytes += now - s->queued_bytes;
    w->queued_bytes += now - s->queued_bytes;
    s->queued_bytes = now;
    if (!now)
        return;
    session_holds(s);
    if (t && t->arguments + s->query_len - s->query_off > w->conf->client_query_buffer_limit) {
        count_one(w->counters, COUNTER_client_query_limit_closes);
        s->flags |= SESSION_BROKEN;
    }
    session_relieve(w);
}

bool worker_lends(const struct command *cmd)
{
    return cmd->acl & ACL_TRANSACTION || cmd->run == client_tracking_run || cmd->run == monitor_run;
}

/* Of a copy alone, whatever becomes of its client meanwhile. */
enum { OF_ITS_EXEC = CLIENT_DENY_BLOCKING | CLIENT_GOES_ON,
       OF_ITS_JOB = OF_ITS_EXEC | CLIENT_PROXY | CLIENT_COUNTED | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_MULTI };

/* A copy is told who its client is now, and what that one may do. */
static void refresh(struct client *copy, const struct client *c)
{
    acl_user_hold(c->user);
    acl_user_drop(copy->user);
    copy->user = c->user;
    copy->flags = (copy->flags & OF_ITS_JOB) | (c->flags & ~(uint32_t)OF_ITS_JOB);
}

void worker_lend(struct session *s, struct job *j)
{
    refresh(&j->client, &s->client); /* the job may have waited, and ACL SETUSER has come before it */
    j->client.transaction = s->client.transaction;
    s->client.transaction = NULL;
    j->lent = true;
}

/* SELECT is the one command by which a transaction changes a client that is elsewhere. */
void worker_take_back(struct worker *w, struct job *j)
{
    struct session *s = j->session;
    j->lent = false;
    if (!s) {
        transaction_end(&w->env, &j->client);
        return;
    }
    s->client.transaction = j->client.transaction;
    s->client.flags = (s->client.flags & ~(uint32_t)CLIENT_MULTI) | (j->client.flags & CLIENT_MULTI);
    s->client.db = j->client.db;
    j->client.transaction = NULL;
    worker_recount(w, s);
}

/* -- commands of an EXEC in slices that step out of it */

/* EXEC's database, record and transaction go to the client, and what the command has made of this one to the copy that the
 * rest of EXEC has. */
static void run_as(struct client *c, struct job *j, struct request *next)
{
    struct client *copy = &j->client;
    c->db = copy->db;
    c->effects = copy->effects;
    c->transaction = copy->transaction;
    c->flags |= copy->flags & OF_ITS_EXEC;
    next->client = c;
    command_nested(next, j->rq.wire);
    c->flags &= ~(uint32_t)OF_ITS_EXEC;
    c->transaction = NULL;
    c->effects = NULL;
    refresh(copy, c);
    copy->db = c->db;
    copy->proto = c->proto;
}

/* Nobody sees any more what a command makes of a client whose connection has gone. */
void worker_run_outside(void *worker, struct job *j, struct request *next)
{
    const struct worker *w = worker;
    assert(j->home == w->id);
    (void)w;
    if (j->session) {
        run_as(&j->session->client, j, next);
        return;
    }
    struct client gone;
    client_init(&gone, j->client.id, j->client.created_ms);
    gone.flags = j->client.flags;
    gone.proto = j->client.proto;
    gone.worker = j->client.worker;
    gone.peer = j->client.peer;
    gone.local = j->client.local;
    gone.user = acl_user_hold(j->client.user);
    run_as(&gone, j, next);
    client_release(&gone);
}

/* -- watched keys */

static void later(struct worker *w, struct watch *watch)
{
    watch->next = w->unwatched;
    w->unwatched = watch;
}

static void pass_on(struct worker *w, struct watch *watch)
{
    static const struct client nobody;
    struct job *j = job_new(JOB_UNWATCH, w->id, &nobody, 0, NULL);
    if (!j) {
        later(w, watch);
        return;
    }
    j->watch = watch;
    worker_send_job(w, j);
}

void worker_unwatch(struct command_env *env, struct watch *watch)
{
    struct worker *w = env->worker;
    if (!watch_leave(watch, env->ks, (int)w->id))
        pass_on(w, watch);
}

void worker_unwatch_more(struct worker *w)
{
    struct watch *list = w->unwatched;
    w->unwatched = NULL;
    for (struct watch *next; list; list = next) {
        next = list->next;
        pass_on(w, list);
    }
}

void worker_unwatch_job(struct worker *w, struct job *j)
{
    if (watch_leave(j->watch, w->env.ks, (int)w->id))
        j->watch = NULL;
    if (j->watch)
        worker_send_job(w, j);
    else
        job_free(j);
}
