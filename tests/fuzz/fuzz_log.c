/* fuzz_log.c: commands of an append-only log that is loaded (dataplane/load_log.c).
 *
 * First byte even: the rest is the log, of any bytes. What cannot be read is refused with a line that says why.
 * Odd: a program of commands and of time that passes, run by a store that logs what they do (command/effects.h); the log, loaded by
 * another store, makes the same keys and values of it. */
#include "command/effects.h"
#include "command/table.h"
#include "engine.h"
#include "fuzz.h"
#include "load.h"

enum { LOG_MOST = 4 << 20, ARGUMENTS = 12, COMMANDS_MOST = 600, OP_TIME = 224, OP_LINE = 160 };

static struct engine *lived, *loaded;
static struct box_ops ops;
static struct load_batch *batch;
static const struct command *row[COMMANDS_MOST];
static unsigned rows;

static const char *const words[] = {
    "k", "l", "h", "t", "z", "x", "g", "a", "b", "n", "0", "1", "2", "5", "-1", "100", "1.5", "*", "$", "-", "+", "(1", "[a", "EX", "PX", "PXAT", "EXAT",
    "NX", "XX", "GT", "LT", "GET", "KEEPTTL", "PERSIST", "FIELDS", "FNX", "FXX", "COUNT", "LIMIT", "STORE", "BY", "WITHSCORES", "LEFT", "RIGHT",
    "BEFORE", "MAXLEN", "MINID", "~", "=", "MKSTREAM", "NOACK", "STREAMS", ">", "GROUP", "REPLACE", "ABSTTL", "DB", "AND", "OR", "SET", "INCRBY", "u8",
    "WEIGHTS", "AGGREGATE", "MAX", "1000000", "longer than what a compact form of a value may hold, as that is a limit of bytes, too", ""};

/* What a program of single bytes would hardly find. */
static const char *const lines[] = {
    "HSET h a 1 b 2 n 5", "HPEXPIRE h 10 FIELDS 2 a b", "HPEXPIRE h 30 NX FIELDS 2 a n", "HPEXPIREAT h 5 LT FIELDS 2 a b", "HSETNX h a new",
    "HINCRBY h n 1", "HSETEX h FNX PX 20 FIELDS 2 a 1 b 2", "HSETEX h KEEPTTL FIELDS 1 a 3", "HGETEX h PX 15 FIELDS 2 a n", "HGETEX h PERSIST FIELDS 1 a",
    "HGETDEL h FIELDS 2 a b", "HPERSIST h FIELDS 2 a b", "HDEL h n", "COPY h h2", "RENAME h2 h3", "MOVE h 1", "SELECT 1", "SELECT 0",
    "SORT t BY nosort GET h->a GET *->b STORE l", "SET k 1 PX 10", "SET k 1 NX PX 20 GET", "GETEX k PX 5", "GETEX k PERSIST", "PEXPIRE k 10 GT",
    "SETRANGE k 20 a", "RPUSH l a b c d e", "LMOVE l l LEFT RIGHT", "LMPOP 2 l k LEFT COUNT 2", "SADD t h h2 a 1 2", "SPOP t 2", "SINTERSTORE t2 t t",
    "ZADD z 1 a 2 b 3 c", "ZPOPMIN z 2", "ZRANGESTORE z2 z 0 1", "ZUNIONSTORE z3 2 z t", "XADD x * a 1", "XADD x MAXLEN ~ 3 * a 1",
    "XGROUP CREATE x g 0 MKSTREAM", "XREADGROUP GROUP g a COUNT 2 STREAMS x >", "XREADGROUP GROUP g b NOACK STREAMS x >", "XAUTOCLAIM x g b 0 0 COUNT 1",
    "XCLAIM x g a 0 1-1", "XTRIM x MAXLEN 1", "XACK x g 1-1", "SWAPDB 0 1", "FLUSHDB", "MULTI", "EXEC", "DISCARD", "SETBIT k 100 1",
    "BITFIELD k INCRBY u8 0 200", "PFADD p a b c", "PFMERGE p p", "GEOADD z 1 2 a", "BLPOP l 0", "BLMOVE l l2 LEFT LEFT 0", "UNLINK h", "PEXPIREAT h 5"};

static void take_record(struct command_env *env, const struct effects *record)
{
    struct effect item;
    (void)env;
    MUST(!record->failed, "no memory for a record");
    for (size_t at = 0; at < record->len; at += item.len) {
        memcpy(&item, record->p + at, sizeof item);
        at += sizeof item;
        char select[64];
        int n = snprintf(select, sizeof select, "*2\r\n$6\r\nSELECT\r\n$%u\r\n%u\r\n", item.db > 9 ? 2u : 1u, item.db);
        if (batch->len + (size_t)n + item.len > LOG_MOST)
            continue;
        memcpy(batch->bytes + batch->len, select, (size_t)n);
        memcpy(batch->bytes + batch->len + n, record->p + at, item.len);
        batch->len += (size_t)n + item.len;
    }
}

/* Those on keys, which end by themselves. */
static bool is_wanted(const struct command *c)
{
    static const char *const others[] = {"migrate", "restore", "restore-asking", "randomkey", "wait", "waitaof"};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(c->full_name, others[i]) == 0)
            return false;
    return c->flags & CMD_WRITE && c->acl & (ACL_KEYSPACE | ACL_STRING | ACL_LIST | ACL_SET | ACL_SORTEDSET | ACL_HASH | ACL_STREAM | ACL_BITMAP | ACL_HYPERLOGLOG | ACL_GEO);
}

static struct engine *open_engine(void)
{
    struct engine *e = engine_new("enable-debug-command yes\nmaxmemory 32mb\nhash-max-listpack-entries 4\nlist-max-listpack-size 4\n");
    MUST(e, "no engine");
    return e;
}

static void start(void)
{
    lived = open_engine();
    loaded = open_engine();
    ops = *lived->env.box;
    ops.log = take_record;
    lived->env.box = &ops;
    lived->env.observers |= OBSERVE_LOG;
    waits_want_log(shard_waits(lived->env.ks->shard[0]), lived->env.ks->databases, effects_by_itself, effects_fields_gone, &lived->env);
    batch = calloc(1, sizeof *batch + LOG_MOST);
    MUST(batch, "no memory");
    for (unsigned i = 0; i < command_ids() && rows < COMMANDS_MOST; i++)
        if (command_by_id(i) && is_wanted(command_by_id(i)))
            row[rows++] = command_by_id(i);
    MUST(rows > 50, "no commands");
}

static void clear(struct engine *e)
{
    engine_cmd(e, "DISCARD");
    engine_cmd(e, "SELECT 0");
    engine_cmd(e, "FLUSHALL SYNC");
    for (unsigned i = 0; i < 100 && shard_upkeep(e->env.ks->shard[0], 10000); i++)
        ;
}

static void load(void)
{
    uint64_t env_ms = loaded->env.now_ms, shard_ms = shard_time(loaded->env.ks->shard[0]);
    batch->order = LOAD_RUN_LOG;
    batch->db = 0;
    batch->failed = 0;
    *batch->why = 0;
    load_run_log(&loaded->env, batch);
    MUST(loaded->env.now_ms == env_ms && shard_time(loaded->env.ks->shard[0]) == shard_ms, "the time is another one");
    MUST(strlen(batch->why) < sizeof batch->why, "why has no end");
}

/* Scripts may run for ever, and the connection's own commands are not what a log has. */
static bool is_left_out(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"eval", "fcall", "function", "script", "debug", "shutdown", "config", "acl", "migrate"};
    for (size_t at = 0; at < size; at++)
        for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
            if (size - at >= strlen(texts[i]) && strncasecmp((const char *)data + at, texts[i], strlen(texts[i])) == 0)
                return true;
    return false;
}

static void run_command(struct input *in)
{
    struct slice argv[ARGUMENTS + 2];
    const struct command *c = row[take8(in) % rows];
    char name[64];
    int argc = 0, least = c->arity < 0 ? -c->arity : c->arity;
    snprintf(name, sizeof name, "%s", c->full_name);
    for (char *at = name, *word; (word = strsep(&at, "|"));)
        argv[argc++] = slice_str(word);
    for (int n = least + (c->arity < 0 ? take8(in) % 6 : 0); argc < n && argc < ARGUMENTS;)
        argv[argc++] = slice_str(words[take8(in) % (sizeof words / sizeof *words)]);
    engine_argv(lived, argc, argv);
}

static void run_program(struct input *in)
{
    while (in->left) {
        uint8_t op = take8(in);
        if (op >= OP_TIME)
            engine_sleep(lived, (uint64_t)(op - OP_TIME) * 3 + 1);
        else if (op >= OP_LINE)
            engine_cmd(lived, "%s", lines[(op - OP_LINE) % (sizeof lines / sizeof *lines)]);
        else
            run_command(in);
        if (op % 16 == 15)
            shard_upkeep(lived->env.ks->shard[0], op);
    }
    engine_cmd(lived, "DISCARD");
}

static void same_after_load(void)
{
    static char digest[128];
    while (loaded->env.now_ms < lived->env.now_ms)
        engine_sleep(loaded, lived->env.now_ms - loaded->env.now_ms);
    load();
    MUST(!*batch->why, batch->why);
    snprintf(digest, sizeof digest, "%s", engine_cmd(lived, "DEBUG DIGEST"));
    if (strcmp(digest, engine_cmd(loaded, "DEBUG DIGEST")) != 0) {
        fwrite(batch->bytes, 1, batch->len, stderr);
        fprintf(stderr, "\n%s%s", digest, loaded->reply);
        MUST(false, "the log makes other data");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!batch)
        start();
    if (!size)
        return 0;
    clear(lived);
    clear(loaded);
    batch->len = 0;
    if (data[0] % 2) {
        struct input in = {data + 1, size - 1};
        run_program(&in);
        same_after_load();
    } else if (!is_left_out(data + 1, size - 1) && size <= LOG_MOST) {
        memcpy(batch->bytes, data + 1, size - 1);
        batch->len = size - 1;
        load();
    }
    return 0;
}
