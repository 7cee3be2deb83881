/* dump.c: DUMP, RESTORE and RESTORE-ASKING: a value as RDB has it, with version and checksum (store/rdb.h).
 * https://redis.io/docs/latest/commands/dump/, restore/ */
#include "command/generic.h"
#include "store/rdb.h"

#include <strings.h>

bool dump_compresses(const struct config *conf)
{
    const char *compression = config_text(conf, "rdbcompression");
    return !compression || strcasecmp(compression, "no") != 0;
}

void dump_value(struct rdb_writer *w, const struct request *rq, const struct shard *s, const struct entry *e)
{
    *w = (struct rdb_writer){.compress = dump_compresses(rq->env->conf), .turn = rq->turn};
    rdb_put_value(w, s, e);
    rdb_put_footer(w);
}

enum command_result reply_payload(struct request *rq, struct rdb_writer *w)
{
    if (w->failed)
        reply_oom(rq->out);
    else
        reply_bulk(rq->out, (struct slice){w->p, w->len});
    rdb_writer_free(w);
    return CMD_DONE;
}

enum command_result dump_command(struct request *rq)
{
    struct rdb_writer w;
    const struct entry *e = request_find(rq, &rq->key, LOOK_READ);
    if (!e) {
        reply_null(rq->out);
        return CMD_DONE;
    }
    if (turn_wanted(rq, entry_user_bytes(e) / 16))
        return CMD_LONG;
    dump_value(&w, rq, request_shard(rq, &rq->key), e);
    return reply_payload(rq, &w);
}

struct restore {
    bool replace, absolute, dead;
    int64_t ttl, idle, frequency; /* idle, frequency: -1 = not given */
};

/* One of IDLETIME and FREQ at most, as Redis reads them. */
static bool parse_restore(struct request *rq, struct restore *o)
{
    *o = (struct restore){.idle = -1, .frequency = -1};
    for (int i = 4; i < rq->argc; i++) {
        bool more = i + 1 < rq->argc;
        if (slice_is(rq->argv[i], "replace")) {
            o->replace = true;
        } else if (slice_is(rq->argv[i], "absttl")) {
            o->absolute = true;
        } else if (slice_is(rq->argv[i], "idletime") && more && o->frequency == -1) {
            if (!request_int(rq, ++i, &o->idle, NULL))
                return false;
            if (o->idle < 0) {
                reply_error(rq->out, "ERR Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (slice_is(rq->argv[i], "freq") && more && o->idle == -1) {
            if (!request_int(rq, ++i, &o->frequency, NULL))
                return false;
            if (o->frequency < 0 || o->frequency > 255) {
                reply_error(rq->out, "ERR Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

static bool parse_ttl(struct request *rq, struct restore *o)
{
    if (!request_int(rq, 2, &o->ttl, NULL))
        return false;
    if (o->ttl < 0) {
        reply_error(rq->out, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    /* Too far away wraps round, and so lies in the past: as in Redis. */
    if (o->ttl && !o->absolute && __builtin_add_overflow(o->ttl, (int64_t)rq->env->now_ms, &o->ttl))
        o->dead = true;
    o->dead |= o->ttl && o->ttl <= (int64_t)rq->env->now_ms;
    return true;
}

/* What would be dead on arrival is read as well, so that damage shows; with REPLACE the old value goes. */
static void restore(struct request *rq, const struct restore *o, struct slice body)
{
    struct shard *s = request_shard(rq, &rq->key);
    struct rdb_reader r = {.p = body.p, .left = body.len, .turn = rq->turn};
    struct rdb_target to = {
        .shard = s, .db = rq->client->db, .key = o->dead ? NULL : &rq->key, .expire_at = (uint64_t)o->ttl};
    enum rdb_result result = rdb_take_value(&r, &to);
    if (result == RDB_BAD) {
        reply_error(rq->out, "ERR Bad data format");
    } else if (result == RDB_OOM) {
        reply_oom(rq->out);
    } else {
        if (o->dead)
            store_delete(s, rq->client->db, &rq->key);
        else
            entry_set_access(s, store_find(s, rq->client->db, &rq->key, LOOK_NOTOUCH | LOOK_NOSTAT), o->idle,
                             o->frequency);
        reply_ok(rq->out);
    }
}

enum command_result restore_command(struct request *rq)
{
    struct restore o;
    struct slice body;
    if (!parse_restore(rq, &o))
        return CMD_DONE;
    if (!o.replace && request_find(rq, &rq->key, LOOK_WRITE)) {
        reply_error(rq->out, "BUSYKEY Target key name already exists.");
        return CMD_DONE;
    }
    if (!parse_ttl(rq, &o))
        return CMD_DONE;
    if (turn_wanted(rq, rq->argv[3].len / 16))
        return CMD_LONG;
    if (rdb_check_payload(rq->argv[3], &body, rq->turn))
        restore(rq, &o, body);
    else
        reply_error(rq->out, "ERR DUMP payload version or checksum are wrong");
    return CMD_DONE;
}
