/* transaction_queue.c: what MULTI queues, as it came, and what is noted of it beforehand: where EXEC must run, and how. */
#include "command/transaction_private.h"

#include "command/client.h"
#include "command/cluster.h"
#include "command/connection.h"
#include "command/transaction_commands.h"

#include <stdlib.h>

/* One command in the queue: its arguments, then their bytes. While the queue may still move, arg[].p counts
 * from its beginning. */
struct queued {
    size_t size; /* of all of it, a multiple of 8 */
    int argc;
    struct slice arg[];
};

enum { QUEUE_LEAST = 256 };

static bool queue_room(struct transaction *t, size_t more)
{
    size_t cap = t->cap ? t->cap : QUEUE_LEAST;
    while (cap - t->len < more)
        cap *= 2;
    if (cap == t->cap)
        return true;
    uint8_t *p = realloc(t->queue, cap);
    if (!p)
        return false;
    t->queue = p;
    t->cap = cap;
    return true;
}

static bool queue(struct transaction *t, const struct request *rq)
{
    size_t head = sizeof(struct queued) + (size_t)rq->argc * sizeof(struct slice), bytes = 0;
    for (int i = 0; i < rq->argc; i++)
        bytes += rq->argv[i].len;
    size_t size = (head + bytes + 7) & ~(size_t)7;
    if (!queue_room(t, size))
        return false;
    struct queued *q = (struct queued *)(void *)(t->queue + t->len);
    size_t at = t->len + head;
    *q = (struct queued){.size = size, .argc = rq->argc};
    for (int i = 0; i < rq->argc; i++) {
        q->arg[i] = (struct slice){(const uint8_t *)(uintptr_t)at, rq->argv[i].len};
        if (rq->argv[i].len)
            memcpy(t->queue + at, rq->argv[i].p, rq->argv[i].len);
        at += rq->argv[i].len;
    }
    t->len += size;
    t->arguments += bytes;
    t->count++;
    return true;
}

void queue_settle(struct transaction *t, struct turn *turn)
{
    bool settled = t->settled;
    t->settled = true;
    for (size_t at = 0; at < t->len && !settled; turn_take(turn)) {
        struct queued *q = (struct queued *)(void *)(t->queue + at);
        at += q->size;
        for (int i = 0; i < q->argc; i++)
            q->arg[i].p = t->queue + (uintptr_t)q->arg[i].p;
    }
}

bool queue_next(const struct request *rq, const struct transaction *t, size_t *at, struct request *next)
{
    if (*at == t->len)
        return false;
    const struct queued *q = (const struct queued *)(const void *)(t->queue + *at);
    *at += q->size;
    command_prepare(next, rq->env, rq->client, q->argc, q->arg);
    return true;
}

uint32_t queue_flags(const struct request *rq)
{
    bool reads = rq->cmd->reads && rq->cmd->reads(rq);
    return reads ? rq->cmd->flags & ~(uint32_t)(CMD_WRITE | CMD_MAY_REPLICATE) : rq->cmd->flags;
}

bool queue_steps_outside(const struct command *cmd)
{
    bool noted = cmd->run == readonly_run || cmd->run == readwrite_run;
    bool blocks = cmd->flags & CMD_BLOCKING; /* which it does not, here */
    return noted || (cmd->flags & CMD_NOSCRIPT && !blocks && !command_runs_script(cmd));
}

/* What others do between the slices would be pushed to its client before the reply that says so, in which it is told that it has
 * subscribed or tracks, or that it has another protocol; or the rest of EXEC has, or has not, a reply. */
static bool goes_in_one_go(const struct command *cmd)
{
    bool listens = cmd->flags & CMD_PUBSUB && cmd->flags & CMD_NOSCRIPT;
    bool tracks = cmd->run == client_tracking_run || cmd->run == client_caching_run;
    return listens || tracks || cmd->run == hello_run || cmd->run == client_reply_run;
}

/* Where EXEC must run and what it does, with what is queued last. */
static void note_place(struct transaction *t, const struct request *rq)
{
    t->flags |= queue_flags(rq);
    t->writes |= rq->cmd->flags & CMD_WRITE;
    if (rq->route == ROUTE_SHARD && t->shard < 0)
        t->shard = (int)rq->shard;
    t->spread |= rq->route == ROUTE_ALL || rq->cmd->acl & ACL_SCRIPTING ||
                 (rq->route == ROUTE_SHARD && t->shard != (int)rq->shard);
    /* How many have received a message is known only with all workers stopped. */
    t->spread |= rq->env->workers > 1 && rq->cmd->flags & CMD_PUBSUB && rq->cmd->flags & CMD_MAY_REPLICATE;
    bool echoes = rq->cmd->run == ping_run || rq->cmd->run == echo_run;
    t->personal |= rq->route == ROUTE_HERE && !echoes;
    t->keyless |= (rq->cmd->key_kind == COMMAND_NO_KEY && !echoes) || rq->cmd->flags & CMD_WHOLE;
    t->scripts |= command_runs_script(rq->cmd);
    t->outside |= queue_steps_outside(rq->cmd);
    t->one_go |= goes_in_one_go(rq->cmd);
    t->slow |= !(rq->cmd->flags & CMD_FAST);
}

/* In the cluster view all keys of a transaction are of one slot. Each command's own are: it would not be queued. */
static void note_slot(struct transaction *t, const struct request *rq)
{
    int slot = cluster_slot(rq);
    if (slot != CLUSTER_NO_SLOT)
        t->slot = t->slot == CLUSTER_NO_SLOT || t->slot == slot ? slot : CLUSTER_SLOTS;
}

static void refuse(struct request *rq, const char *text)
{
    rq->env->stats[rq->cmd->id].rejected++;
    reply_error(rq->out, text);
}

bool transaction_takes(struct request *rq, bool refused)
{
    struct transaction *t = rq->client->transaction;
    const struct keyspace *ks = rq->env->ks;
    bool ends = !refused && rq->cmd->flags & CMD_NOT_QUEUED;
    if (ends && rq->cmd->run != multi_run && rq->cmd->run != watch_run)
        return false;
    if (!refused && rq->cmd->flags & CMD_NO_MULTI)
        refuse(rq, "ERR Command not allowed inside a transaction");
    else if (!refused && shard_make_room(ks->shard[rq->env->self], 0) != STORE_OK)
        refuse(rq, RESP_OOM);
    else if (ends)
        return false;
    else if (!refused && (t->failed || queue(t, rq))) {
        note_place(t, rq);
        if (in_cluster(rq))
            note_slot(t, rq);
        reply_simple(rq->out, "QUEUED");
        return true;
    } else if (!refused)
        refuse(rq, "ERR out of memory for this transaction");
    t->failed = true;
    return true;
}
