/* transaction.c: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 * https://redis.io/docs/latest/develop/interact/transactions/
 *
 * Queued commands are kept as they came and prepared anew when they run. They run one after the other where
 * EXEC runs: on the worker of the only shard that keys and watched keys have, or with all workers stopped. */
#include "command/transaction.h"

#include "command/acl.h"
#include "command/cluster.h"
#include "command/connection.h"
#include "command/effects.h"
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

static struct transaction *transaction_of(struct client *c)
{
    if (!c->transaction) {
        c->transaction = calloc(1, sizeof *c->transaction);
        if (c->transaction) {
            c->transaction->shard = -1;
            c->transaction->slot = CLUSTER_NO_SLOT;
        }
    }
    return c->transaction;
}

/* -- what is watched -- */

static void free_node(struct watch *w, struct watch_node *n)
{
    w->keys--;
    free(n);
}

bool watch_leave(struct watch *w, const struct keyspace *ks, int shard)
{
    for (struct watch_node **at = &w->first, *n; (n = *at);) {
        if (shard != EVERY_SHARD && n->shard != (unsigned)shard) {
            at = &n->others;
            continue;
        }
        waits_unwatch(shard_waits(ks->shard[n->shard]), n);
        *at = n->others;
        free_node(w, n);
    }
    if (w->first)
        return false;
    free(w);
    return true;
}

void watch_drop(struct watch *w)
{
    for (struct watch_node *n = w ? w->first : NULL, *next; n; n = next) {
        next = n->others;
        free(n);
    }
    free(w);
}

static void unwatch(struct command_env *env, struct transaction *t)
{
    struct watch *w = t->watch;
    t->watch = NULL;
    if (!w)
        return;
    if (env->box && env->box->unwatch)
        env->box->unwatch(env, w);
    else
        watch_leave(w, env->ks, EVERY_SHARD);
}

/* One more key; nothing is done if the client watches it already. */
static bool watch_key(const struct request *rq, struct watch *w, const struct key *k)
{
    unsigned shard = keyspace_shard_of(rq->env->ks, k->name), db = rq->client->db;
    struct shard *s = rq->env->ks->shard[shard];
    struct watch_node *n = calloc(1, sizeof *n);
    if (!n)
        return false;
    n->changed = &w->changed;
    n->shard = shard;
    store_find(s, db, k, LOOK_NOTOUCH | LOOK_NOSTAT); /* what has expired is gone before, not meanwhile */
    bool ok = waits_watch(shard_waits(s), db, k, n);
    if (!n->key) {
        free(n);
        return ok;
    }
    n->others = w->first;
    w->first = n;
    w->keys++;
    w->bytes += sizeof *n + wait_key_size(k->name.len);
    return true;
}

/* Takes back what was watched behind `until`. */
static void watch_back(const struct request *rq, struct watch *w, const struct watch_node *until)
{
    for (struct watch_node *n; (n = w->first) != until;) {
        w->first = n->others;
        w->bytes -= sizeof *n + wait_key_size(n->key->len);
        waits_unwatch(shard_waits(rq->env->ks->shard[n->shard]), n);
        free_node(w, n);
    }
}

static bool watch_keys(const struct request *rq)
{
    struct transaction *t = transaction_of(rq->client);
    if (t && !t->watch)
        t->watch = calloc(1, sizeof *t->watch);
    if (!t || !t->watch)
        return false;
    const struct watch_node *before = t->watch->first;
    for (int i = 1; i < rq->argc; i++) {
        struct key k = request_key(rq, i);
        if (!watch_key(rq, t->watch, &k)) {
            watch_back(rq, t->watch, before);
            return false;
        }
    }
    return true;
}

/* A key that is watched has changed, or its time has come. */
static bool watched_changed(const struct request *rq, const struct transaction *t)
{
    const struct watch *w = t->watch;
    for (const struct watch_node *n = w ? w->first : NULL; n && !w->changed; n = n->others) {
        const struct key k = {{n->key->name, n->key->len}, n->key->hash};
        store_find(rq->env->ks->shard[n->shard], n->key->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    }
    return w && w->changed;
}

/* -- its life -- */

/* Back to no transaction, no watched key. */
static void discard(struct command_env *env, struct client *c)
{
    c->flags &= ~(uint32_t)CLIENT_MULTI;
    if (!c->transaction)
        return;
    unwatch(env, c->transaction);
    transaction_drop(c);
}

void transaction_end(struct command_env *env, struct client *c)
{
    discard(env, c);
}

void transaction_drop(struct client *c)
{
    if (!c->transaction)
        return;
    watch_drop(c->transaction->watch);
    free(c->transaction->queue);
    free(c->transaction);
    c->transaction = NULL;
}

uint64_t transaction_bytes(const struct client *c)
{
    const struct transaction *t = c->transaction;
    return t ? sizeof *t + t->cap + (t->watch ? sizeof *t->watch + t->watch->bytes : 0) : 0;
}

int transaction_count(const struct client *c)
{
    if (!(c->flags & CLIENT_MULTI))
        return -1;
    return c->transaction ? c->transaction->count : 0;
}

unsigned transaction_watched(const struct client *c)
{
    return c->transaction && c->transaction->watch ? c->transaction->watch->keys : 0;
}

bool transaction_is_doomed(const struct client *c)
{
    return c->transaction && c->transaction->watch && c->transaction->watch->changed;
}

/* Replies to a command that has changed what the client holds. */
static enum command_result ok(struct request *rq)
{
    reply_ok(rq->out);
    return CMD_COUNTED;
}

static enum command_result error(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return CMD_DONE;
}

static enum command_result out_of_memory(struct request *rq)
{
    reply_error(rq->out, "ERR out of memory for this transaction");
    return CMD_COUNTED;
}

enum command_result multi_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->flags & CLIENT_MULTI)
        return error(rq, "ERR MULTI calls can not be nested");
    if (c->flags & CLIENT_INTERNAL) /* each of its commands is a client of its own */
        return error(rq, "ERR MULTI needs a connection");
    if (!transaction_of(c))
        return out_of_memory(rq);
    c->flags |= CLIENT_MULTI;
    return ok(rq);
}

enum command_result discard_run(struct request *rq)
{
    if (!(rq->client->flags & CLIENT_MULTI))
        return error(rq, "ERR DISCARD without MULTI");
    discard(rq->env, rq->client);
    return ok(rq);
}

enum command_result watch_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->flags & CLIENT_MULTI)
        return error(rq, "ERR WATCH inside MULTI is not allowed");
    if (c->flags & CLIENT_INTERNAL)
        return error(rq, "ERR WATCH needs a connection");
    bool useless = c->transaction && c->transaction->watch && c->transaction->watch->changed;
    if (!useless && !watch_keys(rq))
        return out_of_memory(rq);
    return ok(rq);
}

enum command_result unwatch_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->transaction)
        unwatch(rq->env, c->transaction);
    if (!(c->flags & CLIENT_MULTI))
        transaction_drop(c);
    return ok(rq);
}

/* -- queueing -- */

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

/* The queue stays where it is from now on. */
static void settle(struct transaction *t, struct turn *turn)
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

/* The next command of a queue that is settled, prepared; *at from 0 on. False at the end. */
static bool next_queued(const struct request *rq, const struct transaction *t, size_t *at,
                        struct request *next)
{
    if (*at == t->len)
        return false;
    const struct queued *q = (const struct queued *)(const void *)(t->queue + *at);
    *at += q->size;
    command_prepare(next, rq->env, rq->client, q->argc, q->arg);
    return true;
}

/* Flags of a command, as far as it changes something. */
static uint32_t flags_of(const struct request *rq)
{
    bool reads = rq->cmd->reads && rq->cmd->reads(rq);
    return reads ? rq->cmd->flags & ~(uint32_t)(CMD_WRITE | CMD_MAY_REPLICATE) : rq->cmd->flags;
}

/* Where EXEC must run and what it does, with what is queued last. */
static void note_place(struct transaction *t, const struct request *rq)
{
    t->flags |= flags_of(rq);
    if (rq->route == ROUTE_SHARD && t->shard < 0)
        t->shard = (int)rq->shard;
    t->spread |= rq->route == ROUTE_ALL || rq->cmd->acl & ACL_SCRIPTING ||
                 (rq->route == ROUTE_SHARD && t->shard != (int)rq->shard);
    /* How many have received a message is known only with all workers stopped. */
    t->spread |= rq->env->workers > 1 && rq->cmd->flags & CMD_PUBSUB && rq->cmd->flags & CMD_MAY_REPLICATE;
    bool echoes = rq->cmd->run == ping_run || rq->cmd->run == echo_run;
    t->personal |= rq->route == ROUTE_HERE && !echoes;
    t->keyless |= (rq->cmd->key_kind == COMMAND_NO_KEY && !echoes) || rq->cmd->flags & CMD_WHOLE;
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

bool command_pauses(const struct request *rq, enum pause_mode mode)
{
    const struct client *c = rq->client;
    if (mode == PAUSE_OFF || !rq->cmd || rq->bad_arity || !(c->flags & CLIENT_AUTHENTICATED))
        return false;
    if (mode == PAUSE_ALL)
        return true;
    uint32_t flags = flags_of(rq);
    if (rq->cmd->run == exec_run && c->transaction)
        flags |= c->transaction->flags;
    return flags & (CMD_WRITE | CMD_MAY_REPLICATE);
}

/* -- running -- */

void transaction_abort(struct request *rq, const char *reason)
{
    discard(rq->env, rq->client);
    reply_errorf(rq->out, "EXECABORT Transaction discarded because of: %s", reason);
}

/* True if EXEC may run here and now; otherwise rq->route says where. */
static bool has_arrived(struct request *rq, const struct transaction *t)
{
    bool spread = t->spread;
    int shard = t->shard;
    if (rq->env->workers == 1 || rq->route != ROUTE_HERE)
        return true;
    for (const struct watch_node *n = t->watch ? t->watch->first : NULL; n; n = n->others) {
        spread |= shard >= 0 && shard != (int)n->shard;
        shard = (int)n->shard;
    }
    bool mine = shard < 0 || shard == (int)rq->env->self;
    if (!spread && mine)
        return true;
    rq->route = spread || t->personal ? ROUTE_ALL : ROUTE_SHARD;
    rq->shard = (unsigned)shard;
    return false;
}

/* Those commands that may need memory would be refused now if they came alone. */
static bool lacks_room(const struct request *rq, const struct transaction *t)
{
    struct request next;
    for (size_t at = 0; next_queued(rq, t, &at, &next); turn_take(rq->turn))
        if (next.cmd->flags & CMD_DENYOOM && command_make_room(&next) != STORE_OK)
            return true;
    return false;
}

/* The user has changed since it was queued. */
static bool is_denied(struct request *rq, struct request *next)
{
    static const char *const why[] = {
        [VERDICT_COMMAND] = "no permission to execute the command or subcommand",
        [VERDICT_KEY] = "no permission to touch the specified keys",
        [VERDICT_CHANNEL] = "no permission to access one of the channels used as arguments to the command"};
    char text[ACL_WHY];
    if (rq->client->flags & (CLIENT_UNLIMITED | CLIENT_INTERNAL))
        return false;
    enum judgement verdict = acl_judge(next, ACL_IN_MULTI, text);
    if (verdict == VERDICT_MAY)
        return false;
    reply_errorf(rq->out,
                 "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                 "This command is no longer allowed for the following reason: %s",
                 why[verdict]);
    return true;
}

static void run_next(struct request *rq, struct request *next, bool everywhere)
{
    next->turn = next->cmd->flags & CMD_REMOTE ? NULL : rq->turn;
    if (is_denied(rq, next))
        return;
    if (command_nested(next, rq->wire) == CMD_LONG)
        command_nested_long(next, rq->wire, everywhere);
}

static void run_queued(struct request *rq, struct transaction *t)
{
    struct resp_writer *out = rq->out;
    struct request next;
    uint32_t errors = out->errors;
    bool everywhere = rq->route == ROUTE_ALL;
    struct effects record;
    uint8_t room[512];
    effects_begin(&record, room, sizeof room);
    rq->client->effects = rq->env->observers & OBSERVE_LOG ? &record : NULL;
    unwatch(rq->env, t); /* nobody need tell us what we change ourselves */
    rq->client->flags = (rq->client->flags & ~(uint32_t)CLIENT_COUNTED) | CLIENT_DENY_BLOCKING;
    if (rq->turn)
        command_turns_of_store(rq->env, NULL, everywhere);
    reply_array(out, (size_t)t->count);
    for (size_t at = 0; next_queued(rq, t, &at, &next); turn_take(rq->turn))
        run_next(rq, &next, everywhere);
    if (rq->turn)
        command_turns_of_store(rq->env, rq->turn, everywhere);
    rq->client->flags &= ~(uint32_t)CLIENT_DENY_BLOCKING;
    rq->client->effects = NULL;
    effects_end(rq->env, &record);
    out->errors = errors; /* they count as those of the commands that made them */
    discard(rq->env, rq->client);
}

/* Does a command that may take long meet a large value? */
static bool has_large(const struct request *rq, const struct transaction *t)
{
    enum { KEYS = 8, LARGE = 65536 };
    struct request next;
    for (size_t at = 0; next_queued(rq, t, &at, &next);) {
        int position[KEYS];
        int n = next.cmd->flags & CMD_FAST ? 0 : command_keys(next.cmd, next.argc, next.argv, position, KEYS);
        for (int i = 0; i < n && i < KEYS; i++) {
            struct key k = request_key(&next, position[i]);
            const struct entry *e = request_find(&next, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
            if (e && entry_user_bytes(e) > LARGE)
                return true;
        }
    }
    return false;
}

/* Many commands, or long ones. Nobody else sees a key before it has ended (CMD_WHOLE). */
static bool is_long(const struct request *rq, struct transaction *t)
{
    enum { WORK_EACH = 8 };
    if (t->failed || t->keyless || t->personal || !request_may_turn(rq))
        return false;
    if (turn_wanted(rq, WORK_EACH * (uint64_t)t->count + turn_bytes(t->arguments)))
        return true;
    settle(t, NULL);
    return t->slow && has_large(rq, t);
}

enum command_result exec_run(struct request *rq)
{
    struct client *c = rq->client;
    struct transaction *t = c->transaction;
    if (!(c->flags & CLIENT_MULTI))
        return error(rq, "ERR EXEC without MULTI");
    if (t->slot == CLUSTER_SLOTS) {
        discard(rq->env, c);
        reply_error(rq->out, CLUSTER_CROSSSLOT);
        return CMD_COUNTED;
    }
    if (!t->failed && !has_arrived(rq, t))
        return request_elsewhere(rq);
    if (is_long(rq, t))
        return CMD_LONG;
    settle(t, rq->turn);
    bool may_look = !t->failed || rq->env->workers == 1;
    if (may_look && lacks_room(rq, t)) {
        transaction_abort(rq, RESP_OOM);
    } else if (t->failed) {
        discard(rq->env, c);
        reply_error(rq->out, "EXECABORT Transaction discarded because of previous errors.");
    } else if (watched_changed(rq, t)) {
        discard(rq->env, c);
        reply_null_array(rq->out);
    } else {
        run_queued(rq, t);
    }
    return CMD_COUNTED;
}
