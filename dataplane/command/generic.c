/* generic.c: DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, COPY, MOVE, OBJECT.
 * https://redis.io/docs/latest/commands/?group=generic */
#include "command/cluster.h"
#include "command/generic.h"
#include "command/server.h"
#include <limits.h>

const char *value_type_name(enum value_type type)
{
    static const char *const names[] = {
        [TYPE_STRING] = "string", [TYPE_LIST] = "list", [TYPE_SET] = "set",
        [TYPE_ZSET] = "zset",     [TYPE_HASH] = "hash", [TYPE_STREAM] = "stream"};
    return names[type];
}

/* Memory comes back in shard_upkeep either way, so UNLINK is DEL. */
enum command_result del_command(struct request *rq)
{
    int64_t removed = 0;
    struct key_walk walk;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    key_walk_begin(&walk, 1, 1);
    for (const struct key *k; (k = key_walk_next(rq, &walk)); turn_take(rq->turn))
        removed += store_delete(request_shard(rq, k), rq->client->db, k);
    reply_int(rq->out, removed);
    return CMD_DONE;
}

enum command_result unlink_command(struct request *rq)
{
    return del_command(rq);
}

enum command_result exists_command(struct request *rq)
{
    int64_t found = 0;
    struct key_walk walk;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    turn_counts(rq);
    key_walk_begin(&walk, 1, 1);
    for (const struct key *k; (k = key_walk_next(rq, &walk)); turn_take(rq->turn))
        found += request_find_ahead(rq, k, LOOK_READ | LOOK_NOTOUCH, key_walk_ahead(&walk)) != NULL;
    reply_int(rq->out, found);
    return CMD_DONE;
}

/* Not request_find: to touch is what was asked for. */
enum command_result touch_command(struct request *rq)
{
    int64_t found = 0;
    struct key_walk walk;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    key_walk_begin(&walk, 1, 1);
    for (const struct key *k; (k = key_walk_next(rq, &walk)); turn_take(rq->turn))
        found += store_find(request_shard(rq, k), rq->client->db, k, LOOK_READ) != NULL;
    reply_int(rq->out, found);
    return CMD_DONE;
}

enum command_result type_command(struct request *rq)
{
    struct entry *e = request_find(rq, &rq->key, LOOK_READ | LOOK_NOTOUCH);
    reply_simple(rq->out, e ? value_type_name(entry_type(e)) : "none");
    return CMD_DONE;
}

static enum command_result rename_key(struct request *rq, bool only_if_new)
{
    struct key from = request_key(rq, 1), to = request_key(rq, 2);
    unsigned db = rq->client->db;
    if (!request_find(rq, &from, LOOK_WRITE)) {
        reply_error(rq->out, "ERR no such key");
        return CMD_DONE;
    }
    bool same = slice_eq(from.name, to.name);
    if (only_if_new && (same || request_find(rq, &to, LOOK_WRITE))) {
        reply_int(rq->out, 0);
        return CMD_DONE;
    }
    if (!same &&
        store_rename(request_shard(rq, &from), db, &from, request_shard(rq, &to), db, &to) != STORE_OK)
        reply_oom(rq->out);
    else if (only_if_new)
        reply_int(rq->out, 1);
    else
        reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result rename_command(struct request *rq)
{
    return rename_key(rq, false);
}

enum command_result renamenx_command(struct request *rq)
{
    return rename_key(rq, true);
}

/* A database number. False after replying the error. */
static bool request_db(struct request *rq, int i, unsigned *db)
{
    int64_t n;
    if (!request_int(rq, i, &n, NULL))
        return false;
    if (n >= 0 && n <= INT_MAX && (unsigned)n < rq->env->ks->databases) {
        *db = (unsigned)n;
        return true;
    }
    reply_error(rq->out, n < INT_MIN || n > INT_MAX
                             ? "ERR value is out of range, value must between -2147483648 and 2147483647"
                             : "ERR DB index is out of range");
    return false;
}

static bool parse_copy(struct request *rq, unsigned *db, bool *replace)
{
    for (int i = 3; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "REPLACE")) {
            *replace = true;
        } else if (slice_is(rq->argv[i], "DB") && i + 1 < rq->argc) {
            if (!request_db(rq, ++i, db))
                return false;
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

/* An element for each 16 bytes; a text is copied much faster. */
static uint64_t clone_work(const struct entry *e)
{
    return entry_type(e) == TYPE_STRING ? turn_bytes(entry_user_bytes(e)) : entry_user_bytes(e) / 16;
}

enum command_result copy_command(struct request *rq)
{
    unsigned db = rq->client->db, to_db = db;
    bool replace = false;
    struct key from = request_key(rq, 1), to = request_key(rq, 2);
    if (!parse_copy(rq, &to_db, &replace))
        return CMD_DONE;
    if (to_db != 0 && cluster_refuses(rq, "ERR Copying to another database is not allowed in cluster mode"))
        return CMD_DONE;
    if (db == to_db && slice_eq(from.name, to.name)) {
        reply_error(rq->out, "ERR source and destination objects are the same");
        return CMD_DONE;
    }
    struct shard *from_shard = request_shard(rq, &from), *to_shard = request_shard(rq, &to);
    const struct entry *e = request_find(rq, &from, LOOK_READ);
    if (!e || (!replace && store_find(to_shard, to_db, &to, LOOK_WRITE)))
        reply_int(rq->out, 0);
    else if (turn_wanted(rq, clone_work(e)))
        return CMD_LONG;
    else if (store_copy(from_shard, db, &from, to_shard, to_db, &to) == STORE_OK)
        reply_int(rq->out, 1);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

enum command_result move_command(struct request *rq)
{
    unsigned db = rq->client->db, to_db = db;
    struct shard *s = request_shard(rq, &rq->key);
    if (cluster_refuses(rq, "ERR MOVE is not allowed in cluster mode") || !request_db(rq, 2, &to_db))
        return CMD_DONE;
    if (db == to_db)
        reply_error(rq->out, "ERR source and destination objects are the same");
    else if (!request_find(rq, &rq->key, LOOK_WRITE) || store_find(s, to_db, &rq->key, LOOK_WRITE))
        reply_int(rq->out, 0);
    else if (store_rename(s, db, &rq->key, s, to_db, &rq->key) == STORE_OK)
        reply_int(rq->out, 1);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

/* The entry that OBJECT asks about, or NULL after replying null. Asking does not touch it. */
static struct entry *object_find(struct request *rq, struct key *k)
{
    *k = request_key(rq, 2);
    struct entry *e = request_find(rq, k, LOOK_READ | LOOK_NOTOUCH | LOOK_QUIET);
    if (!e)
        reply_null(rq->out);
    return e;
}

enum command_result object_encoding_command(struct request *rq)
{
    struct key k;
    struct entry *e = object_find(rq, &k);
    if (e)
        reply_bulk_str(rq->out, entry_encoding(e));
    return CMD_DONE;
}

/* Values are never shared between keys. */
enum command_result object_refcount_command(struct request *rq)
{
    struct key k;
    if (object_find(rq, &k))
        reply_int(rq->out, 1);
    return CMD_DONE;
}

static bool policy_is_lfu(const struct config *conf)
{
    return conf->maxmemory_policy == POLICY_ALLKEYS_LFU || conf->maxmemory_policy == POLICY_VOLATILE_LFU;
}

enum command_result object_idletime_command(struct request *rq)
{
    struct key k;
    struct entry *e = object_find(rq, &k);
    if (!e)
        return CMD_DONE;
    if (policy_is_lfu(rq->env->conf))
        reply_error(rq->out,
                    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that "
                    "when switching between policies at runtime LRU and LFU data will take some time "
                    "to adjust.");
    else
        reply_int(rq->out, (int64_t)entry_idle_seconds(request_shard(rq, &k), e));
    return CMD_DONE;
}

enum command_result object_freq_command(struct request *rq)
{
    struct key k;
    struct entry *e = object_find(rq, &k);
    if (!e)
        return CMD_DONE;
    if (!policy_is_lfu(rq->env->conf))
        reply_error(rq->out,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please "
                    "note that when switching between policies at runtime LRU and LFU data will take "
                    "some time to adjust.");
    else
        reply_int(rq->out, entry_frequency(request_shard(rq, &k), e));
    return CMD_DONE;
}

enum command_result object_help_command(struct request *rq)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL};
    return server_help(rq, lines);
}
