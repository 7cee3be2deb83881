/* prepare.c: which command it is, and whose: from the arguments of a request to its command, key, shard and route. */
#include "command/cluster.h"
#include "command/table.h"

static void route_one_key(struct request *rq, unsigned position)
{
    const struct keyspace *ks = rq->env->ks;
    rq->key = keyspace_key(ks, rq->argv[position]);
    rq->shard = keyspace_shard_of(ks, rq->key.name);
    rq->route = ROUTE_SHARD;
}

static __attribute__((noinline)) void route_keys(struct request *rq)
{
    int position[MANY_KEYS];
    bool alone = rq->env->ks->shards == 1 || in_cluster(rq); /* which are all of one slot, or it is refused */
    int n = command_keys(rq->cmd, rq->argc, rq->argv, position, alone ? 1 : MANY_KEYS);
    if (n <= 0)
        return;
    route_one_key(rq, (unsigned)position[0]);
    if (alone)
        return;
    if (n > MANY_KEYS || (rq->cmd->reaches && rq->cmd->reaches(rq->argc, rq->argv)))
        rq->route = ROUTE_ALL;
    for (int i = 1; i < n && rq->route == ROUTE_SHARD; i++)
        if (keyspace_shard_of(rq->env->ks, rq->argv[position[i]]) != rq->shard)
            rq->route = ROUTE_ALL;
}

/* Field by field: as one value it would be put together elsewhere and copied. */
static inline void begin_request(struct request *rq, struct command_env *env, struct client *client, int argc,
                                 const struct slice *argv)
{
    memset(rq, 0, sizeof *rq);
    rq->env = env;
    rq->client = client;
    rq->argc = argc;
    rq->argv = argv;
    rq->route = ROUTE_HERE;
    rq->shard = env->self;
}

static __attribute__((noinline)) uint8_t prepare_any(struct request *rq, struct command_env *env,
                                                     struct client *client, int argc,
                                                     const struct slice *argv, const void **note)
{
    begin_request(rq, env, client, argc, argv);
    const struct command_slot *slot = command_slot_find(argv[0]);
    *note = slot;
    if (!slot)
        return TIME_OTHER;
    unsigned key_kind = slot->key_kind;
    rq->cmd = slot->cmd;
    int arity = slot->arity;
    if (slot->container && argc > 1) {
        rq->cmd = command_sub_find(slot->cmd, argv[1]);
        if (!rq->cmd)
            return slot->family;
        arity = rq->cmd->arity;
        key_kind = rq->cmd->key_kind;
    }
    if (!command_arity_ok(arity, argc)) {
        rq->bad_arity = true;
        return slot->family;
    }
    if (key_kind == COMMAND_ONE_KEY || (key_kind == COMMAND_KEY_FIRST && env->ks->shards == 1))
        route_one_key(rq, rq->cmd == slot->cmd ? slot->key_first : rq->cmd->key_first);
    else if (key_kind != COMMAND_NO_KEY)
        route_keys(rq);
    if (env->workers > 1 && rq->cmd->flags & CMD_ROUTE_ALL &&
        !(rq->cmd->flags & CMD_OF_NODE && in_cluster(rq)))
        rq->route = ROUTE_ALL;
    return slot->family;
}

uint8_t command_prepare(struct request *rq, struct command_env *env, struct client *client, int argc,
                        const struct slice *argv)
{
    const void *note = NULL;
    return prepare_any(rq, env, client, argc, argv, &note);
}

/* One more of the same, with a key, where there are several shards. */
static __attribute__((noinline)) uint8_t prepare_noted_of_several(struct request *rq, struct command_env *env, struct client *client,
                                                                  int argc, const struct slice *argv, const void **note)
{
    const struct command_slot *slot = *note;
    const struct keyspace *ks = env->ks;
    if (!slot || slot->container || slot->key_kind != COMMAND_ONE_KEY || !command_arity_ok(slot->arity, argc) ||
        argv[slot->key_first].len > KEY_HASH_SHORT || slot->cmd->flags & CMD_ROUTE_ALL)
        return prepare_any(rq, env, client, argc, argv, note);
    const struct slice name = argv[slot->key_first];
    begin_request(rq, env, client, argc, argv);
    rq->cmd = slot->cmd;
    rq->key = (struct key){name, key_hash_short(name, ks->seed)};
    rq->route = ROUTE_SHARD;
    rq->shard = keyspace_shard_of(ks, name);
    return slot->family;
}

/* One more of the same, with a key, where there is one shard: without a call. */
uint8_t command_prepare_noted(struct request *rq, struct command_env *env, struct client *client, int argc,
                              const struct slice *argv, const void **note)
{
    const struct command_slot *slot = *note;
    const struct keyspace *ks = env->ks;
    if (!slot || slot->container || slot->key_kind > COMMAND_KEY_FIRST || ks->shards > 1 ||
        argv[slot->key_first].len > KEY_HASH_SHORT || !command_arity_ok(slot->arity, argc))
        return ks->shards > 1 ? prepare_noted_of_several(rq, env, client, argc, argv, note)
                              : prepare_any(rq, env, client, argc, argv, note);
    begin_request(rq, env, client, argc, argv);
    rq->cmd = slot->cmd;
    const struct slice *name = &argv[slot->key_first]; /* just written, in two words: so it is read */
    rq->key.name.p = name->p;
    rq->key.name.len = name->len;
    rq->key.hash = key_hash_short(*name, ks->seed);
    rq->route = ROUTE_SHARD;
    rq->shard = 0;
    return slot->family;
}
