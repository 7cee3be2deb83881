/* debug_data.c: DEBUG DIGEST, DIGEST-VALUE, RELOAD and LOADAOF. Reloading goes through the RDB form of each
 * value as redis-server goes through a file, but in memory: the box keeps no file of its own. */
#include "base/bytes.h"
#include "command/debug.h"
#include "command/digest.h"
#include "command/tracking.h"
#include "store/rdb.h"

#include <inttypes.h>
#include <limits.h>

/* -- digests -- */

void debug_digest(struct request *rq)
{
    char text[2 * SHA1_BYTES + 1];
    struct digest d = digest_keyspace(rq->env->ks); /* long: */
    bytes_hex(d.b, SHA1_BYTES, text);
    reply_simple(rq->out, text);
}

void debug_digest_value(struct request *rq)
{
    char text[2 * SHA1_BYTES + 1];
    reply_array(rq->out, rq->argc - 2);
    for (int i = 2; i < rq->argc; i++) {
        struct key k = request_key(rq, i);
        const struct entry *e = request_find(rq, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
        struct digest d = {{0}};
        if (e)
            d = digest_value(request_shard(rq, &k), e);
        bytes_hex(d.b, SHA1_BYTES, text);
        reply_simple(rq->out, text);
    }
}

/* -- reloading -- */

/* What is written before each key's name and value. */
struct saved {
    uint64_t expire_at;
    int64_t idle, frequency; /* -1: the policy has no use for it, and a file of Redis would not have it */
    uint32_t db;
};

struct saving {
    struct rdb_writer w;
    const struct shard *s;
    enum maxmemory_policy policy;
    uint32_t db;
    uint64_t keys;
};

static void save_key(struct entry *e, void *arg)
{
    struct saving *saving = arg;
    bool lru = saving->policy == POLICY_ALLKEYS_LRU || saving->policy == POLICY_VOLATILE_LRU;
    bool lfu = saving->policy == POLICY_ALLKEYS_LFU || saving->policy == POLICY_VOLATILE_LFU;
    struct saved saved = {.expire_at = entry_expire_at(e),
                          .idle = lru ? (int64_t)entry_idle_seconds(saving->s, e) : -1,
                          .frequency = lfu ? (int64_t)entry_frequency(saving->s, e) : -1,
                          .db = saving->db};
    rdb_put(&saving->w, &saved, sizeof saved);
    rdb_put_string(&saving->w, entry_key(e));
    rdb_put_value(&saving->w, saving->s, e);
    saving->keys++;
}

static bool save_all(struct saving *saving, const struct keyspace *ks)
{
    enum { STEP = 1000 };
    for (unsigned i = 0; i < ks->shards; i++) /* long: */
        for (saving->db = 0; saving->db < ks->databases; saving->db++) {
            uint64_t cursor = 0;
            saving->s = ks->shard[i];
            do
                cursor = store_scan(ks->shard[i], saving->db, cursor, STEP, save_key, saving);
            while (cursor);
        }
    return !saving->w.failed;
}

static enum rdb_result load_key(struct rdb_reader *r, struct keyspace *ks)
{
    struct saved saved;
    struct rdb_text name;
    const uint8_t *p = rdb_take(r, sizeof saved);
    if (!p || !rdb_take_string(r, &name))
        return r->no_memory ? RDB_OOM : RDB_BAD;
    memcpy(&saved, p, sizeof saved);
    struct key k = keyspace_key(ks, name.s);
    struct shard *s = ks->shard[keyspace_shard_of(ks, name.s)];
    struct rdb_target to = {.shard = s, .db = saved.db, .key = &k, .expire_at = saved.expire_at};
    enum rdb_result result = rdb_take_value(r, &to);
    if (result == RDB_OK)
        entry_set_access(s, store_find(s, saved.db, &k, LOOK_NOTOUCH | LOOK_NOSTAT), saved.idle,
                         saved.frequency);
    rdb_text_free(&name);
    return result;
}

static void empty_all(struct keyspace *ks)
{
    for (unsigned i = 0; i < ks->shards; i++) {
        store_flush(ks->shard[i], UINT_MAX);
        while (shard_upkeep(ks->shard[i], UINT_MAX)) /* long: the memory is needed again at once */
            ;
    }
}

/* The first failure ends it: what cannot be read would not tell where the next key begins. */
static void reload(struct request *rq, bool flush)
{
    struct keyspace *ks = rq->env->ks;
    struct saving saving = {.policy = rq->env->conf->maxmemory_policy};
    if (!save_all(&saving, ks)) {
        rdb_writer_free(&saving.w);
        reply_oom(rq->out);
        return;
    }
    if (flush) {
        empty_all(ks);
        tracking_flushed(rq->env);
    }
    struct rdb_reader r = {.p = saving.w.p, .left = saving.w.len};
    enum rdb_result result = RDB_OK;
    uint64_t loaded = 0;
    for (; r.left && result == RDB_OK; loaded += result == RDB_OK) /* long: */
        result = load_key(&r, ks);
    if (result == RDB_OK)
        reply_ok(rq->out);
    else
        reply_errorf(rq->out, "ERR Error trying to load the dump: %s, %" PRIu64 " of %" PRIu64 " keys loaded",
                     result == RDB_OOM ? "no memory" : "bad data", loaded, saving.keys);
    rdb_writer_free(&saving.w);
}

void debug_reload(struct request *rq)
{
    bool save = true, flush = true, merge = false;
    for (int i = 2; i < rq->argc; i++) {
        save = save && !slice_is(rq->argv[i], "nosave");
        flush = flush && !slice_is(rq->argv[i], "noflush");
        merge = merge || slice_is(rq->argv[i], "merge");
        if (!slice_is(rq->argv[i], "nosave") && !slice_is(rq->argv[i], "noflush") &&
            !slice_is(rq->argv[i], "merge")) {
            reply_error(rq->out, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    if (!save)
        reply_error(rq->out,
                    "ERR Error trying to load the RDB dump: the box keeps none, reload without NOSAVE");
    else if (!flush && !merge)
        reply_error(rq->out, "ERR Error trying to load the RDB dump: NOFLUSH needs MERGE, each key would be there already");
    else
        reload(rq, flush);
}

/* There is no log either: the data goes the same way. */
void debug_loadaof(struct request *rq)
{
    reload(rq, true);
}
