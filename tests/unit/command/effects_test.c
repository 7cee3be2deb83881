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
    e->env.observers |= OBSERVE_LOG;
    for (unsigned i = 0; i < e->env.ks->shards; i++)
        waits_want_log(shard_waits(e->env.ks->shard[i]), e->env.ks->databases, effects_by_itself, &e->env);
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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_no_memory), UNIT(test_expired_is_no_change),
                                             UNIT(test_restore_of_the_past), UNIT(test_of_the_runner), {NULL, NULL}};
    return unit_main(argc, argv, "command/effects", tests);
}
