/* row.c: GETs in a row. https://redis.io/docs/latest/commands/get/ */
#include "command/row.h"

#include "command/acl.h"
#include "command/table.h"
#include "resp/bulk.h"

static bool is_usual(const struct command_env *env, const struct client *c)
{
    enum { UNUSUAL = CLIENT_UNUSUAL | CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_TOUCH | CLIENT_COUNTED | CLIENT_INTERNAL };
    return (c->flags & (CLIENT_AUTHENTICATED | UNUSUAL)) == CLIENT_AUTHENTICATED && !env->observers;
}

const struct command *row_follows(const struct command_env *env, const struct client *c, const void *note)
{
    const struct command_slot *slot = note;
    return slot && slot->in_rows && is_usual(env, c) ? slot->cmd : NULL;
}

unsigned row_read(const struct command_env *env, const struct client *c, const struct resp_reader *r,
                  struct slice window, struct ahead_row *ahead, struct slice *argv, uint32_t *end,
                  unsigned most)
{
    const struct keyspace *ks = env->ks;
    const struct shard *shard = ks->shard[env->self];
    unsigned n = 0;
    bool alone = ks->shards == 1;
    const uint8_t *p = window.p, *stop = window.p + window.len;
    for (struct slice key; n < most && resp_second_alike(r, (struct slice){p, (size_t)(stop - p)}, &key);
         n++) {
        if (!alone && keyspace_shard_of(ks, key) != env->self)
            break;
        argv[0] = (struct slice){p + r->begin_arg.off, r->begin_arg.len};
        argv[1] = key;
        argv += ROW_ARGS;
        p = key.p + key.len + 2;
        end[n] = (uint32_t)(p - window.p);
        store_ahead(shard, ahead, c->db, key_hash(key, ks->seed));
    }
    return n;
}

/* How many of n may run: up to the next one whose time is taken. */
static inline unsigned unmeasured(const struct command_env *env, const struct command_stats *stats,
                                  unsigned n)
{
    unsigned left = env->conf->times_all ? 0 : (unsigned)-stats->calls & (COMMAND_MEASURE_EACH - 1);
    return n < left ? n : left;
}

unsigned row_run(struct command_env *env, struct client *c, const struct command *cmd,
                 struct ahead_row *ahead, const struct slice *argv, unsigned first, unsigned n,
                 struct resp_writer *out)
{
    struct command_stats *stats = &env->stats[cmd->id];
    struct shard *s = env->ks->shard[env->self];
    struct slice text[AHEAD_ROW];
    uint8_t *cur = out->cur;
    unsigned i = 0, most = is_usual(env, c) ? unmeasured(env, stats, n) : 0;
    if (__builtin_expect(!(c->flags & CLIENT_UNLIMITED), 0))
        most = rights_in_row(&acl_user_of(env, c)->rights, cmd, argv + 1, ROW_ARGS, most);
    most = store_texts_ahead(s, c->db, ahead, first, most, argv + 1, ROW_ARGS, text);
    for (; i < most && bulk_is_short(out->end - cur, text[i].len); i++)
        cur = put_bulk(cur, text[i].p, text[i].len);
    store_count_hits(s, i);
    out->cur = cur;
    stats->calls += i;
    count_add(env->counters, COUNTER_commands_processed, i);
    c->commands += i;
    c->last_ms = env->now_ms;
    c->last_command = i ? cmd : c->last_command;
    return i;
}
