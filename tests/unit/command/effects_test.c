/* effects_test.c: what is logged of commands that fail or find keys gone: never what loading the log could not do again.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
#include <stdlib.h>

#include "command/effects.h"
#include "command/tracking.h"
#include "engine.h"
#include "unit.h"

static struct engine *e;
static struct box_ops ops;
static char logged[1 << 16]; /* records, each in []; in them commands, as RESP without counts */
static char raw[1 << 16];    /* the same as it is in the log */
static size_t raw_len;

static void add(const char *p, size_t n)
{
    size_t len = strlen(logged);
    if (n < sizeof logged - len)
        memcpy(logged + len, p, n), logged[len + n] = 0;
}

static void take(struct command_env *env, const struct effects *record)
{
    struct effect item;
    (void)env;
    CU_ASSERT_FALSE(record->failed);
    add("[", 1);
    for (size_t at = 0; at < record->len; at += item.len) {
        memcpy(&item, record->p + at, sizeof item);
        at += sizeof item;
        if (raw_len + item.len <= sizeof raw)
            memcpy(raw + raw_len, record->p + at, item.len), raw_len += item.len;
        for (const char *p = (const char *)record->p + at, *end = p + item.len; p < end;) {
            const char *line = memchr(p, '\n', (size_t)(end - p));
            if (*p != '*' && *p != '$') {
                add(p, (size_t)(line - p) - 1);
                add(" ", 1);
            }
            p = line + 1;
        }
    }
    add("]", 1);
}

static void begin(const char *directives)
{
    e = engine_new(directives);
    ops = *e->env.box;
    ops.log = take;
    e->env.box = &ops;
    *logged = 0;
    raw_len = 0;
    e->env.observers |= OBSERVE_LOG;
    for (unsigned i = 0; i < e->env.ks->shards; i++)
        waits_want_log(shard_waits(e->env.ks->shard[i]), e->env.ks->databases, effects_by_itself, effects_fields_gone, &e->env);
}

static unsigned count(const char *word)
{
    unsigned n = 0;
    for (const char *p = logged; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

/* Keys that went to make room are logged; what found none in spite of that is not. */
static void test_no_memory(void)
{
    static char text[5 << 20];
    struct slice argv[] = {SLICE_LIT("SET"), SLICE_LIT("fixed"), {(const uint8_t *)text, sizeof text}};
    begin("maxmemory 8mb\nmaxmemory-policy volatile-lru\n");
    memset(text, 'x', sizeof text);
    CU_ASSERT(engine_same(engine_argv(e, 3, argv), "+OK\r\n"));
    for (int i = 0; i < 100; i++)
        engine_cmd(e, "SET volatile%d x PX 100000", i);
    *logged = 0;
    argv[1] = slice_str("big");
    CU_ASSERT(engine_starts(engine_argv(e, 3, argv), "-OOM"));
    CU_ASSERT(count("[DEL volatile") > 0);
    CU_ASSERT_EQUAL(count("SET big"), 0);
    engine_free(e);
}

/* GETEX of another type fails while its neighbour expires: no PERSIST of what it has not touched. */
static void test_expired_is_no_change(void)
{
    begin(NULL);
    EXPECT(e, "SET a 1 PX 10", "+OK\r\n");
    EXPECT(e, "RPUSH list x", ":1\r\n");
    *logged = 0;
    engine_sleep(e, 20);
    EXPECT_STARTS(e, "EVAL \"redis.call('GET', 'a') return redis.pcall('GETEX', 'list', 'PX', 5)\" 2 a list", "-WRONGTYPE");
    CU_ASSERT(engine_same(logged, "[DEL a ]"));
    *logged = 0;
    EXPECT(e, "SET a 1 PX 10", "+OK\r\n");
    engine_sleep(e, 20);
    *logged = 0;
    EXPECT(e, "MSETNX a 2 list 3", ":0\r\n"); /* `a` goes, and nothing comes */
    CU_ASSERT(engine_same(logged, "[DEL a ]"));
    engine_free(e);
}

static void test_restore_of_the_past(void)
{
    begin(NULL);
    EXPECT(e, "SET a 1", "+OK\r\n");
    char dump[64];
    const char *reply = engine_cmd(e, "DUMP a");
    size_t len = (size_t)atoi(reply + 1);
    memcpy(dump, strchr(reply, '\n') + 1, len);
    *logged = 0;
    const struct slice argv[] = {SLICE_LIT("RESTORE"), SLICE_LIT("a"),       SLICE_LIT("1000"), {(const uint8_t *)dump, len},
                                 SLICE_LIT("REPLACE"), SLICE_LIT("ABSTTL")};
    CU_ASSERT(engine_same(engine_argv(e, 6, argv), "+OK\r\n"));
    CU_ASSERT(engine_same(logged, "[DEL a ]"));
    engine_free(e);
}

/* Who has stopped all others evicts in their shards: into the record of its own transaction. */
static void test_of_the_runner(void)
{
    struct tracking_common common = {.workers = 1};
    struct command_env other;
    struct tracking tracking = {.common = &common, .env = &other};
    struct effects record;
    uint8_t room[64];
    begin(NULL);
    other = e->env;
    effects_begin(&record, room, sizeof room);
    other.effects = &record;
    common.runner = &tracking;
    e->env.tracking = &tracking;
    effects_by_itself(&e->env, EVENT_EVICTED, 0, slice_str("key"));
    CU_ASSERT_EQUAL(record.n, 1);
    CU_ASSERT(engine_same(logged, ""));
    effects_end(&other, &record);
    CU_ASSERT(engine_same(logged, "[DEL key ]"));
    e->env.tracking = NULL;
    engine_free(e);
}

static void set_time(struct engine *to, uint64_t ms)
{
    to->env.now_ms = ms;
    for (unsigned i = 0; i < to->env.ks->shards; i++)
        shard_set_time(to->env.ks->shard[i], ms);
}

/* As load_log.c does it: the time stands still a year ago, and goes on when the log has been read. */
static void expect_same_after_load(void)
{
    static char want[256];
    snprintf(want, sizeof want, "%s", engine_cmd(e, "DEBUG DIGEST"));
    struct engine *other = engine_new("enable-debug-command yes\n");
    CU_ASSERT_NOT_EQUAL(*want, '-');
    set_time(other, e->env.now_ms - 365ull * 24 * 3600 * 1000);
    engine_feed(other, raw, raw_len);
    set_time(other, e->env.now_ms);
    CU_ASSERT(engine_same(engine_cmd(other, "DEBUG DIGEST"), want));
    engine_free(other);
}

/* A hash in each form, whose fields a, b and n (a number) expire. */
static void begin_fields(const char *form)
{
    begin("enable-debug-command yes\n");
    if (strcmp(form, "table") == 0)
        engine_cmd(e, "CONFIG SET hash-max-listpack-entries 1");
    engine_cmd(e, "HSET h a 1 b 2 n 5 stays x");
    engine_cmd(e, "HPEXPIRE h 10 FIELDS 3 a b n");
    engine_sleep(e, 20);
    *logged = 0;
}

/* Whatever depends on a field that is over finds it there when the log is loaded, unless the log says that it has gone. */
static void test_fields_over(void)
{
    static const char *const forms[] = {"pack", "table"}, *const commands[] = {
        "HSETNX h a new", "HINCRBY h n 1", "HINCRBYFLOAT h n 0.5", "HSETEX h FNX KEEPTTL FIELDS 1 b new",
        "HSETEX h KEEPTTL FIELDS 1 b new", "HPEXPIRE h 5000 NX FIELDS 2 a stays", "HDEL h stays", "HGETDEL h FIELDS 1 stays",
        "COPY h copy", "RENAME h other", "EVAL \"return redis.call('HSETNX', 'h', 'a', 'script')\" 1 h"};
    for (unsigned f = 0; f < 2; f++)
        for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
            begin_fields(forms[f]);
            engine_cmd(e, "%s", commands[i]);
            engine_cmd(e, "HSETNX copy a new");
            engine_cmd(e, "HSETNX other a new");
            engine_cmd(e, "SET h 1 NX");
            CU_ASSERT(count("HDEL h") > 0);
            expect_same_after_load();
            engine_free(e);
        }
}

/* More than go at once. */
static void test_many_fields_over(void)
{
    static const char *const commands[] = {"COPY h copy", "RENAME h other", "MOVE h 1"};
    enum { MANY = 300 };
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
        begin("enable-debug-command yes\n");
        for (unsigned n = 0; n < MANY; n++) {
            engine_cmd(e, "HSET h f%u v", n);
            engine_cmd(e, "HPEXPIRE h 10 FIELDS 1 f%u", n);
        }
        engine_cmd(e, "HSET h stays x");
        engine_sleep(e, 20);
        *logged = 0;
        engine_cmd(e, "%s", commands[i]);
        engine_cmd(e, "SET h 1 NX");
        CU_ASSERT(count("HDEL h") >= MANY / 32);
        expect_same_after_load();
        engine_free(e);
    }
}

/* What upkeep takes out, with nobody's command. */
static void test_fields_collected(void)
{
    static const char *const forms[] = {"pack", "table"};
    for (unsigned f = 0; f < 2; f++) {
        begin_fields(forms[f]);
        for (unsigned i = 0; i < 100 && count("HDEL h") == 0; i++) {
            engine_sleep(e, 20);
            shard_upkeep(e->env.ks->shard[0], 1000);
        }
        CU_ASSERT(engine_same(logged, "[HDEL h a b n ]"));
        *logged = 0;
        EXPECT(e, "HSETNX h a new", ":1\r\n");
        CU_ASSERT(engine_same(logged, "[HSETNX h a new ]"));
        expect_same_after_load();
        engine_free(e);
    }
}

/* Times that are over at once: deleted, whatever the condition was. */
static void test_fields_of_the_past(void)
{
    static const char *const commands[] = {
        "HPEXPIREAT h 5 FIELDS 2 a none", "HPEXPIREAT h 5 NX FIELDS 2 a t", "HPEXPIREAT h 5 LT FIELDS 2 a t",
        "HSETEX h FXX PXAT 5 FIELDS 1 a 3", "HSETEX h PXAT 5 FIELDS 2 a 3 none 4", "HGETEX h PXAT 5 FIELDS 1 a"};
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
        begin("enable-debug-command yes\n");
        engine_cmd(e, "HSET h a 1 b 2 t 5");
        engine_cmd(e, "HPEXPIRE h 100000 FIELDS 1 t");
        *logged = 0;
        engine_cmd(e, "%s", commands[i]);
        CU_ASSERT(count("HDEL h a") == 1 && count("PXAT") == 0 && count("HPEXPIREAT") == 0);
        EXPECT(e, "HSETNX h a new", ":1\r\n");
        engine_cmd(e, "HSETNX h t new");
        expect_same_after_load();
        engine_free(e);
    }
}

/* SORT looks into fields that it does not name. */
static void test_sort_into_fields(void)
{
    begin_fields("pack");
    EXPECT(e, "RPUSH l h", ":1\r\n");
    *logged = 0;
    EXPECT(e, "SORT l BY nosort GET *->a GET *->stays STORE to", ":2\r\n");
    CU_ASSERT(engine_same(logged, "[DEL to RPUSH to  x ]"));
    EXPECT(e, "SORT l ALPHA STORE to", ":1\r\n");
    CU_ASSERT_EQUAL(count("[SORT l ALPHA STORE to ]"), 1);
    expect_same_after_load();
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_no_memory), UNIT(test_expired_is_no_change),
                                             UNIT(test_restore_of_the_past), UNIT(test_of_the_runner),
                                             UNIT(test_fields_over), UNIT(test_many_fields_over), UNIT(test_fields_collected),
                                             UNIT(test_fields_of_the_past), UNIT(test_sort_into_fields), {NULL, NULL}};
    return unit_main(argc, argv, "command/effects", tests);
}
