/* replay_in.c: the stream of items of a log (channel/messages.h), stored and run. See replay.h. Nothing expires meanwhile: the log says when
 * something did. */
#include "replay.h"

#include "channel/messages.h"
#include "command/table.h"
#include "load.h"
#include "store/rdb.h"

#include <stdlib.h>

enum { BATCH = 128 * 1024, UPKEEP = 4096, TELL_EACH = 64 };

static bool fails(struct replay *r, const char *why)
{
    if (!*r->why)
        snprintf(r->why, sizeof r->why, "%s", why);
    return false;
}

bool replay_command(struct replay *r, int argc, const struct slice *argv, char *error, size_t size)
{
    struct request rq;
    struct resp_writer nowhere;
    command_prepare(&rq, &r->env, &r->client, argc, argv);
    resp_writer_discard(&nowhere, 2);
    command_nested(&rq, &nowhere);
    if (nowhere.errors)
        snprintf(error, size, "%s", nowhere.last_error);
    return !nowhere.errors;
}

/* -- records -- */

static bool store_key(struct replay *r)
{
    struct message_reader in = {.p = r->body, .left = r->len};
    const struct keyspace *ks = r->env.ks;
    uint64_t at = get_u64(&in);
    uint32_t db = get_u32(&in);
    uint64_t expire_ms = get_u64(&in);
    get_u8(&in);
    get_u64(&in); /* how long it has been idle counts for eviction alone */
    uint64_t name = get_u64(&in);
    if (in.failed || name >= in.left)
        return fails(r, "what has been read is no stream of records");
    r->at = at;
    if (db >= ks->databases) {
        snprintf(r->why, sizeof r->why, "database %u, at byte %llu: that is more than there can be", db, (unsigned long long)at);
        return false;
    }
    struct key k = keyspace_key(ks, (struct slice){in.p, name});
    struct rdb_target to = {.shard = ks->shard[0], .db = db, .key = &k, .expire_at = expire_ms};
    struct rdb_reader value = {.p = in.p + name, .left = in.left - name};
    enum rdb_result result = rdb_take_value(&value, &to);
    if (result == RDB_OK && !value.left)
        return true;
    snprintf(r->why, sizeof r->why, "in the key that begins at byte %llu: %s", (unsigned long long)at,
             result == RDB_OOM  ? "there is no memory for it on this machine"
             : result == RDB_OK ? "bytes follow its value"
                                : "its value is damaged");
    return false;
}

static bool load_library(struct replay *r)
{
    struct message_reader in = {.p = r->body, .left = r->len};
    char error[64];
    r->at = get_u64(&in);
    const struct slice argv[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), SLICE_LIT("REPLACE"), {in.p, in.left}};
    if (!in.failed && replay_command(r, 4, argv, error, sizeof error))
        return true;
    snprintf(r->why, sizeof r->why, "a library of functions, at byte %llu, cannot be loaded", (unsigned long long)r->at);
    return false;
}

static bool add(struct replay *r, const uint8_t *p, size_t n)
{
    if (r->room - r->len < n) {
        size_t room = r->len + n + r->len / 2;
        uint8_t *more = realloc(r->body, room);
        if (!more)
            return fails(r, "there is no memory for a value of the log on this machine");
        r->body = more;
        r->room = room;
    }
    memcpy(r->body + r->len, p, n);
    r->len += n;
    return true;
}

static bool end_record(struct replay *r)
{
    bool good = r->kind == LOAD_KEY ? store_key(r) : load_library(r);
    r->kind = 0;
    return good;
}

static bool begin_record(struct replay *r, int kind, bool whole, const uint8_t *p, size_t n)
{
    r->len = 0;
    r->kind = kind;
    return add(r, p, n) && (!whole || end_record(r));
}

/* -- commands -- */

static bool run_log(struct replay *r)
{
    struct load_batch *b = r->log;
    if (!b || !b->len)
        return true;
    b->at = r->at;
    load_run_log(&r->env, b);
    r->refused += b->failed;
    b->failed = 0;
    b->len = 0;
    if (*b->why)
        fails(r, strstr(b->why, "no memory") ? "there is no memory on this machine for what the log says" : b->why);
    shard_upkeep(r->env.ks->shard[0], UPKEEP);
    return !*r->why;
}

/* whole: the last command ends with these bytes. */
static bool add_commands(struct replay *r, struct message_reader *in, bool whole)
{
    struct load_batch *b = r->log;
    uint64_t at = get_u64(in);
    if (in->failed)
        return fails(r, "what has been read is no stream of records");
    if (at < r->at)
        r->before += r->at; /* the next file */
    r->at = at;
    if (!b || b->room - b->len < in->left) {
        size_t room = (b ? b->len + b->len / 2 : 0) + in->left + BATCH;
        struct load_batch *more = realloc(b, sizeof *b + room);
        if (!more)
            return fails(r, "there is no memory on this machine for a command of the log");
        if (!b)
            *more = (struct load_batch){.order = LOAD_RUN_LOG, .logs = true};
        more->room = room;
        r->log = b = more;
    }
    memcpy(b->bytes + b->len, in->p, in->left);
    b->len += in->left;
    return !whole || b->len < BATCH || run_log(r);
}

/* -- items -- */

static bool on_item(struct replay *r, int kind, uint8_t *p, size_t n)
{
    struct message_reader in = {.p = p, .left = n};
    bool part = kind == LOAD_BYTES || kind == LOAD_LAST, commands = kind == LOAD_COMMANDS || kind == LOAD_BREAK;
    if (part != (r->kind != 0) && kind != LOAD_FAILED)
        return fails(r, "what has been read is no stream of records");
    if (!commands && !part && kind != LOAD_FAILED && !run_log(r)) /* a base behind commands would be out of place, but not lost */
        return false;
    switch (kind) {
    case LOAD_COMMANDS:
    case LOAD_BREAK:
        return add_commands(r, &in, kind == LOAD_BREAK);
    case LOAD_KEY:
    case LOAD_WHOLE:
        return begin_record(r, LOAD_KEY, kind == LOAD_WHOLE, p, n);
    case LOAD_FUNCTION:
        return begin_record(r, LOAD_FUNCTION, false, p, n);
    case LOAD_BYTES:
    case LOAD_LAST:
        return add(r, p, n) && (kind == LOAD_BYTES || end_record(r));
    case LOAD_END:
        r->ended = true;
        return true;
    case LOAD_FAILED:
        snprintf(r->why, sizeof r->why, "%.*s", (int)n, (const char *)p);
        return false;
    default:
        return fails(r, "what has been read is no stream of records");
    }
}

bool replay_read(struct replay *r, FILE *from)
{
    uint8_t head[LOAD_ITEM_HEADER], *item = malloc(LOAD_ITEM_MAX);
    uint32_t n;
    bool good = item || fails(r, "there is no memory");
    for (unsigned i = 0; good && !r->ended; i++) {
        good = fread(head, sizeof head, 1, from) == 1;
        memcpy(&n, head + 1, sizeof n);
        good = good && n <= LOAD_ITEM_MAX && (!n || fread(item, n, 1, from) == 1);
        good = good ? on_item(r, head[0], item, n) : fails(r, "the process that reads the log has ended too soon");
        if (i % TELL_EACH == 0)
            replay_tell(r, false);
    }
    good = good && run_log(r);
    free(item);
    free(r->log);
    free(r->body);
    r->log = NULL;
    r->body = NULL;
    return good;
}
