/* acl_log.c: ACL LOG and what feeds it. Like events of a minute are one entry.
 * https://redis.io/docs/latest/commands/acl-log/ */
#include "command/acl.h"
#include "command/connection.h"
#include "command/introspect.h"
#include "command/server.h"

#include <stdlib.h>

enum { LIKE_MS = 60000, LOOK_BACK = 10, TEXT_KEPT = 1024, DEFAULT_COUNT = 10 };

struct acl_entry {
    struct acl_entry *newer, *older;
    uint64_t id, count, created_ms, last_ms;
    enum denied reason;
    enum acl_context context;
    struct slice object, user; /* in the entry's memory */
    struct text client;
};

/* -- noting -- */

static bool alike(const struct acl_entry *a, const struct acl_entry *b)
{
    uint64_t apart = a->last_ms > b->last_ms ? a->last_ms - b->last_ms : b->last_ms - a->last_ms;
    return a->reason == b->reason && a->context == b->context && apart <= LIKE_MS &&
           slice_eq(a->object, b->object) && slice_eq(a->user, b->user);
}

static void entry_free(struct acl_entry *e)
{
    free(e->client.p);
    free(e);
}

static void take_out(struct acl_log *log, struct acl_entry *e)
{
    *(e->newer ? &e->newer->older : &log->newest) = e->older;
    *(e->older ? &e->older->newer : &log->oldest) = e->newer;
    log->entries--;
}

static void put_first(struct acl_log *log, struct acl_entry *e)
{
    e->newer = NULL;
    e->older = log->newest;
    *(log->newest ? &log->newest->newer : &log->oldest) = e;
    log->newest = e;
    log->entries++;
}

static void drop_oldest(struct acl_log *log)
{
    struct acl_entry *e = log->oldest;
    take_out(log, e);
    entry_free(e);
}

void acl_log_clear(struct acl_log *log)
{
    while (log->oldest)
        drop_oldest(log);
}

static struct slice kept(struct slice text)
{
    return (struct slice){text.p, text.len < TEXT_KEPT ? text.len : TEXT_KEPT};
}

static struct acl_entry *entry_new(const struct request *rq, struct slice object, struct slice user)
{
    struct acl_entry *e = malloc(sizeof *e + object.len + user.len);
    struct text client = {0};
    client_describe(&client, rq, rq->client);
    if (!e || client.failed) {
        free(e);
        free(client.p);
        return NULL;
    }
    client.len--; /* the line's end */
    *e = (struct acl_entry){
        .count = 1, .created_ms = rq->env->now_ms, .last_ms = rq->env->now_ms, .client = client};
    uint8_t *p = (uint8_t *)(e + 1);
    if (object.len)
        memcpy(p, object.p, object.len);
    if (user.len)
        memcpy(p + object.len, user.p, user.len);
    e->object = (struct slice){p, object.len};
    e->user = (struct slice){p + object.len, user.len};
    return e;
}

static struct acl_entry *find_alike(const struct acl_log *log, const struct acl_entry *e)
{
    struct acl_entry *known = log->newest;
    for (unsigned i = 0; known && i < LOOK_BACK; i++, known = known->older)
        if (alike(known, e))
            return known;
    return NULL;
}

static void count_denied(const struct request *rq, enum denied reason)
{
    static const enum counter counter[] = {[DENIED_COMMAND] = COUNTER_acl_denied_commands,
                                           [DENIED_KEY] = COUNTER_acl_denied_keys,
                                           [DENIED_CHANNEL] = COUNTER_acl_denied_channels,
                                           [DENIED_LOGIN] = COUNTER_auth_failures};
    count_one(rq->env->counters, counter[reason]);
}

/* Without memory nothing is noted. */
void acl_note(const struct request *rq, enum denied reason, enum acl_context context, struct slice object,
              struct slice user)
{
    struct acl_log *log = acl_log_of(rq->env->acl, rq->env->self);
    count_denied(rq, reason);
    struct acl_entry *e = entry_new(rq, kept(object), kept(user));
    if (!e)
        return;
    e->reason = reason;
    e->context = context;
    struct acl_entry *known = find_alike(log, e);
    if (known) {
        take_out(log, known);
        put_first(log, known);
        struct text before = known->client;
        known->client = e->client;
        e->client = before;
        known->last_ms = e->last_ms;
        known->count++;
        entry_free(e);
        return;
    }
    e->id = acl_next_entry(rq->env->acl);
    put_first(log, e);
    while (log->entries > rq->env->conf->acllog_max_len)
        drop_oldest(log);
}

/* -- ACL LOG -- */

/* The logs of all workers are one: the newest first, those that are alike together. */
static int newest_first(const void *a, const void *b)
{
    const struct acl_entry *x = *(struct acl_entry *const *)a, *y = *(struct acl_entry *const *)b;
    if (x->last_ms != y->last_ms)
        return x->last_ms < y->last_ms ? 1 : -1;
    return (x->id < y->id) - (x->id > y->id);
}

static void join(struct acl_log *log, struct acl_entry *e, struct acl_entry *older)
{
    e->count += older->count;
    e->created_ms = older->created_ms < e->created_ms ? older->created_ms : e->created_ms;
    e->id = older->id < e->id ? older->id : e->id;
    take_out(log, older);
    entry_free(older);
}

static void join_alike(struct acl_log *log)
{
    for (struct acl_entry *e = log->newest; e; e = e->older) {
        struct acl_entry *older = e->older, *next;
        for (unsigned i = 0; older && i < LOOK_BACK; i++, older = next) {
            next = older->older;
            if (alike(e, older))
                join(log, e, older);
        }
    }
}

/* Moves all entries to the asking worker's log. False without memory: they stay where they are. */
static bool gather(const struct request *rq)
{
    struct command_env *env = rq->env;
    struct acl_log *mine = acl_log_of(env->acl, env->self);
    uint64_t n = 0, at = 0;
    for (unsigned i = 0; i < env->workers; i++)
        n += acl_log_of(env->acl, i)->entries;
    if (n == mine->entries)
        return true;
    struct acl_entry **all = malloc(n * sizeof *all);
    if (!all)
        return false;
    for (unsigned i = 0; i < env->workers; i++) {
        struct acl_log *log = acl_log_of(env->acl, i);
        for (struct acl_entry *e = log->newest; e; e = e->older)
            all[at++] = e;
        *log = (struct acl_log){0};
    }
    qsort(all, n, sizeof *all, newest_first);
    for (at = n; at > 0; at--)
        put_first(mine, all[at - 1]);
    free(all);
    join_alike(mine);
    return true;
}

static void reply_entry(struct resp_writer *w, const struct acl_entry *e, uint64_t now_ms)
{
    static const char *const reasons[] = {"command", "key", "channel", "auth"};
    static const char *const contexts[] = {"toplevel", "multi", "lua"};
    reply_map(w, 10);
    reply_bulk_str(w, "count");
    reply_int(w, (int64_t)e->count);
    reply_bulk_str(w, "reason");
    reply_bulk_str(w, reasons[e->reason]);
    reply_bulk_str(w, "context");
    reply_bulk_str(w, contexts[e->context]);
    reply_bulk_str(w, "object");
    reply_bulk(w, e->object);
    reply_bulk_str(w, "username");
    reply_bulk(w, e->user);
    reply_bulk_str(w, "age-seconds");
    reply_double(w, now_ms > e->last_ms ? (double)(now_ms - e->last_ms) / 1000 : 0);
    reply_bulk_str(w, "client-info");
    reply_bulk(w, (struct slice){(const uint8_t *)e->client.p, e->client.len});
    reply_bulk_str(w, "entry-id");
    reply_int(w, (int64_t)e->id);
    reply_bulk_str(w, "timestamp-created");
    reply_int(w, (int64_t)e->created_ms);
    reply_bulk_str(w, "timestamp-last-updated");
    reply_int(w, (int64_t)e->last_ms);
}

enum command_result acl_log_run(struct request *rq)
{
    int64_t count = DEFAULT_COUNT;
    struct command_env *env = rq->env;
    if (rq->argc > 3) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 3 && slice_is(rq->argv[2], "reset")) {
        for (unsigned i = 0; i < env->workers; i++)
            acl_log_clear(acl_log_of(env->acl, i));
        reply_ok(rq->out);
        return CMD_DONE;
    }
    if (rq->argc == 3 && !request_int(rq, 2, &count, NULL))
        return CMD_DONE;
    if (!gather(rq)) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    struct acl_log *log = acl_log_of(env->acl, env->self);
    while (log->entries > env->conf->acllog_max_len)
        drop_oldest(log);
    uint64_t n = count < 0 ? 0 : (uint64_t)count < log->entries ? (uint64_t)count : log->entries;
    reply_array(rq->out, n);
    for (const struct acl_entry *e = log->newest; n > 0; n--, e = e->older)
        reply_entry(rq->out, e, env->now_ms);
    return CMD_DONE;
}
