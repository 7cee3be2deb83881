/* effects.c: records of what commands have done (effects.h). */
#include "command/effects.h"

#include "command/tracking.h"
#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>

/* -- a record -- */

void effects_begin(struct effects *e, void *room, size_t size)
{
    *e = (struct effects){.p = room, .cap = size};
}

void effects_end(struct command_env *env, struct effects *e)
{
    if ((e->n || e->failed) && env->box && env->box->log)
        env->box->log(env, e);
    if (e->heap)
        free(e->p);
    *e = (struct effects){0};
}

static bool grow(struct effects *e, size_t n)
{
    size_t cap = e->cap * 2 > e->len + n ? e->cap * 2 : e->len + n;
    uint8_t *p = e->failed ? NULL : realloc(e->heap ? e->p : NULL, cap);
    if (!p) {
        e->failed = true;
        return false;
    }
    if (!e->heap && e->len)
        memcpy(p, e->p, e->len);
    e->p = p;
    e->cap = cap;
    e->heap = true;
    return true;
}

static void put(struct effects *e, const void *bytes, size_t n)
{
    if (n > e->cap - e->len && !grow(e, n))
        return;
    memcpy(e->p + e->len, bytes, n);
    e->len += n;
}

/* "*3\r\n", "$5\r\n" */
static void put_count(struct effects *e, char kind, uint64_t n)
{
    char text[24], *p = text + sizeof text;
    *--p = '\n';
    *--p = '\r';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    *--p = kind;
    put(e, p, (size_t)(text + sizeof text - p));
}

static void set_length(struct effects *e)
{
    struct effect head;
    if (e->failed)
        return;
    memcpy(&head, e->p + e->item, sizeof head);
    head.len = (uint32_t)(e->len - e->item - sizeof head);
    memcpy(e->p + e->item, &head, sizeof head);
}

void effects_open(struct effects *e, unsigned db, unsigned argc)
{
    struct effect head = {.db = db};
    e->item = e->len;
    e->n++;
    put(e, &head, sizeof head);
    put_count(e, '*', argc);
}

/* The length of the item is kept right as it grows. */
void effects_arg(struct effects *e, struct slice arg)
{
    put_count(e, '$', arg.len);
    put(e, arg.p, arg.len);
    put(e, "\r\n", 2);
    set_length(e);
}

void effects_word(struct effects *e, const char *word)
{
    effects_arg(e, slice_str(word));
}

void effects_number(struct effects *e, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)v);
    effects_arg(e, (struct slice){(const uint8_t *)text, (size_t)n});
}

void effects_add(struct effects *e, unsigned db, unsigned argc, const struct slice *argv)
{
    effects_open(e, db, argc);
    for (unsigned i = 0; i < argc; i++)
        effects_arg(e, argv[i]);
}

/* -- commands -- */

/* But for what has gone by itself, which has records of its own. */
static uint64_t changes_of(struct shard *s)
{
    return shard_changes(s) - shard_waits(s)->went;
}

/* Of the shards that it may have changed. */
static uint64_t changes(const struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    uint64_t n = 0;
    if (rq->route != ROUTE_ALL)
        return changes_of(ks->shard[rq->shard]);
    for (unsigned i = 0; i < ks->shards; i++)
        if (request_touches(rq, i))
            n += changes_of(ks->shard[i]);
    return n;
}

static bool is_logged(const struct command *cmd)
{
    return cmd->flags & CMD_WRITE || (cmd->flags & CMD_MAY_REPLICATE && cmd->acl & ACL_HYPERLOGLOG);
}

/* Of a command in slices `changed` may be what others did meanwhile; what finds no memory changes nothing, and might find
 * none when the log is loaded. */
static bool had_no_memory(const struct request *rq)
{
    return rq->turn && strncmp(rq->out->last_error, "OOM", 3) == 0;
}

static void note(struct request *rq, bool changed, bool failed)
{
    const struct effect_rule *rule = effect_rule_of(rq);
    struct effects *e = rq->client->effects;
    if (!changed && (failed || !rule || !(rule->how & EFFECT_ALWAYS)))
        return;
    if (failed && had_no_memory(rq))
        return;
    if (rule && rule->how & EFFECT_TOLD)
        return;
    if (rule && rule->write)
        rule->write(rq, e);
    else
        effects_add(e, rq->client->db, (unsigned)rq->argc, rq->argv);
}

/* -- fields whose time is over
 *
 * They are absent to every command and still lie there, until upkeep comes by; and a log is loaded with a time that stands still
 * before all of them. So those on which the outcome may depend go before the command, and the log says so. */

bool effects_take_fields(const struct request *rq)
{
    const struct effect_rule *rule;
    return rq->cmd->flags & CMD_WRITE && rq->cmd->acl & ACL_KEYSPACE && (rule = effect_rule_of(rq)) && rule->how & EFFECT_WHOLE;
}

/* Too many of a table for one go? */
static bool has_many_gone(const struct request *rq)
{
    struct key k = request_key(rq, 1);
    return turn_wanted(rq, hash_gone(request_shard(rq, &k), rq->client->db, &k));
}

/* True if gone ones are left, behind which the key must go if it does. */
static bool drop_gone_fields(const struct request *rq, bool takes)
{
    bool of_hash = rq->cmd->acl & ACL_HASH;
    if (rq->argc < 2 || (!of_hash && !takes))
        return false;
    struct key k = request_key(rq, 1);
    struct shard *s = request_shard(rq, &k);
    if (of_hash)
        return hash_drop_gone(s, rq->client->db, &k, rq->argv + 2, (unsigned)rq->argc - 2);
    while (hash_drop_gone(s, rq->client->db, &k, NULL, 0))
        turn_passed(rq->turn, HASH_DROP_AT_ONCE);
    return false;
}

/* When the log is loaded the fields that were left keep the key, as nothing is over then. */
static void note_key_gone(struct request *rq)
{
    struct key k = request_key(rq, 1);
    if (!store_find(request_shard(rq, &k), rq->client->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT | LOOK_QUIET))
        effects_deleted(rq, k.name);
}

enum command_result effects_run(struct request *rq)
{
    struct command_env *env = rq->env;
    struct client *c = rq->client;
    struct effects own, *outer = c->effects, *around = env->effects;
    uint8_t room[512];
    if (!is_logged(rq->cmd))
        return rq->cmd->run(rq);
    bool takes = effects_take_fields(rq);
    if (takes && has_many_gone(rq))
        return CMD_LONG;
    bool left = drop_gone_fields(rq, takes);
    uint64_t before = changes(rq);
    uint32_t errors = rq->out->errors;
    if (!outer) {
        effects_begin(&own, room, sizeof room);
        c->effects = &own;
    }
    env->effects = outer;
    enum command_result result = rq->cmd->run(rq);
    env->effects = around;
    if (result == CMD_DONE || result == CMD_COUNTED || result == CMD_WAIT)
        note(rq, changes(rq) != before, rq->out->errors != errors);
    if (left && result == CMD_DONE)
        note_key_gone(rq);
    if (!outer) {
        c->effects = NULL;
        effects_end(env, &own);
    }
    return result;
}

/* What goes by itself while EXEC or a script runs belongs into its record; else it comes before what the command does. */
static void gone_by_itself(struct command_env *env, unsigned db, const char *word, struct slice name,
                           const struct slice *field, unsigned n)
{
    if (env->tracking && env->tracking->common->runner) /* the shard's owner is stopped */
        env = env->tracking->common->runner->env;
    struct effects own, *e = env->effects;
    uint8_t room[256];
    if (!e) {
        effects_begin(&own, room, sizeof room);
        e = &own;
    }
    effects_open(e, db, 2 + n);
    effects_word(e, word);
    effects_arg(e, name);
    for (unsigned i = 0; i < n; i++)
        effects_arg(e, field[i]);
    if (e == &own)
        effects_end(env, &own);
}

void effects_by_itself(void *ctx, enum key_event event, unsigned db, struct slice name)
{
    if (event == EVENT_EXPIRED || event == EVENT_EVICTED || event == EVENT_EMPTIED)
        gone_by_itself(ctx, db, "DEL", name, NULL, 0);
}

void effects_fields_gone(void *ctx, unsigned db, struct slice name, const struct slice *field, unsigned n)
{
    gone_by_itself(ctx, db, "HDEL", name, field, n);
}

/* -- what handlers tell -- */

void effects_popped(struct request *rq, struct slice member)
{
    struct effects *e = effects_of(rq);
    effects_open(e, rq->client->db, 3);
    effects_word(e, "SREM");
    effects_arg(e, rq->argv[1]);
    effects_arg(e, member);
}

void effects_deleted(struct request *rq, struct slice key)
{
    struct effects *e = effects_of(rq);
    effects_open(e, rq->client->db, 2);
    effects_word(e, "DEL");
    effects_arg(e, key);
}

static void put_id(struct effects *e, struct stream_id id)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%llu-%llu", (unsigned long long)id.ms, (unsigned long long)id.seq);
    effects_arg(e, (struct slice){(const uint8_t *)text, (size_t)n});
}

void effects_claimed(struct request *rq, struct slice key, const struct stream_group *g, const struct stream_consumer *c,
                     const struct stream_pending *p)
{
    struct effects *e = effects_of(rq);
    effects_open(e, rq->client->db, 14);
    effects_word(e, "XCLAIM");
    effects_arg(e, key);
    effects_arg(e, stream_group_name(g));
    effects_arg(e, stream_consumer_name(c));
    effects_word(e, "0");
    put_id(e, p->id);
    effects_word(e, "TIME");
    effects_number(e, p->delivered);
    effects_word(e, "RETRYCOUNT");
    effects_number(e, (int64_t)p->deliveries);
    effects_word(e, "FORCE");
    effects_word(e, "JUSTID");
    effects_word(e, "LASTID");
    put_id(e, g->last);
}

void effects_dropped(struct request *rq, struct slice key, const struct stream_group *g, struct stream_id id)
{
    struct effects *e = effects_of(rq);
    effects_open(e, rq->client->db, 4);
    effects_word(e, "XACK");
    effects_arg(e, key);
    effects_arg(e, stream_group_name(g));
    put_id(e, id);
}

/* Of `n` words in all. */
static struct effects *open_xgroup(struct request *rq, unsigned n, const char *what, struct slice key, const struct stream_group *g)
{
    struct effects *e = effects_of(rq);
    effects_open(e, rq->client->db, n);
    effects_word(e, "XGROUP");
    effects_word(e, what);
    effects_arg(e, key);
    effects_arg(e, stream_group_name(g));
    return e;
}

void effects_read(struct request *rq, struct slice key, const struct stream_group *g)
{
    struct effects *e = open_xgroup(rq, 7, "SETID", key, g);
    put_id(e, g->last);
    effects_word(e, "ENTRIESREAD");
    effects_number(e, g->entries_read);
}

void effects_consumer(struct request *rq, struct slice key, const struct stream_group *g, struct slice consumer)
{
    effects_arg(open_xgroup(rq, 5, "CREATECONSUMER", key, g), consumer);
}
