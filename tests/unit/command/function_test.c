/* function_test.c: libraries of functions: what outlives what, what bounds a load, every allocation that may
 * fail. https://redis.io/docs/latest/develop/interact/programmability/functions-intro/ */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "nomem.h"
#include "script/library.h"
#include "unit.h"

#define COUNTER "local n = 0 redis.register_function('count', function() n = n + 1 return n end)"

static struct engine *e;

static const char *load(const char *name, const char *text)
{
    char code[1000];
    snprintf(code, sizeof code, "#!lua name=%s\n%s", name, text);
    struct slice argv[] = {slice_str("FUNCTION"), slice_str("LOAD"), slice_str("REPLACE"), slice_str(code)};
    return engine_argv(e, 4, argv);
}

static bool is_error(const char *reply, const char *part)
{
    bool is = reply[0] == '-' && strstr(reply, part);
    if (!is)
        printf("# got: %.200s\n# not in it: %s\n", reply, part);
    return is;
}

/* What a library keeps from call to call stays until it goes itself. */
static void test_libraries_live_by_themselves(void)
{
    e = engine_new(NULL);
    load("a", COUNTER);
    load("b", "redis.register_function('other', function() return 'b' end)");
    EXPECT(e, "FCALL count 0", ":1\r\n");
    EXPECT(e, "FCALL other 0", "$1\r\nb\r\n");
    EXPECT(e, "FUNCTION DELETE b", "+OK\r\n");
    EXPECT(e, "FCALL count 0", ":2\r\n");
    EXPECT(e, "SCRIPT FLUSH", "+OK\r\n");
    EXPECT(e, "FLUSHALL", "+OK\r\n");
    EXPECT(e, "FCALL count 0", ":3\r\n");
    CU_ASSERT(is_error(load("b", COUNTER), "Function count already exists"));
    CU_ASSERT(is_error(load("a", "redis.register_function('count', 1)"), "must be a function"));
    EXPECT(e, "FCALL count 0", ":4\r\n");
    load("a", COUNTER);
    EXPECT(e, "FCALL count 0", ":1\r\n");
    EXPECT(e, "FUNCTION FLUSH", "+OK\r\n");
    EXPECT(e, "FCALL count 0", "-ERR Function not found\r\n");
    engine_free(e);
}

/* The payload of FUNCTION DUMP, to be freed. */
static struct slice dump(void)
{
    engine_cmd(e, "FUNCTION DUMP");
    const char *body = strstr(e->reply, "\r\n") + 2;
    size_t len = e->reply_len - (size_t)(body - e->reply) - 2;
    return (struct slice){memcpy(malloc(len), body, len), len};
}

static const char *restore(struct slice payload, const char *policy)
{
    struct slice argv[] = {slice_str("FUNCTION"), slice_str("RESTORE"), payload, slice_str(policy)};
    return engine_argv(e, 4, argv);
}

static void test_restore_is_all_or_nothing(void)
{
    e = engine_new(NULL);
    load("a", "redis.register_function('f1', function() return 1 end)");
    load("b", "redis.register_function('f2', function() return 2 end)");
    struct slice payload = dump();
    CU_ASSERT(is_error(restore(payload, "APPEND"), "Library a already exists"));
    EXPECT(e, "FUNCTION DELETE a", "+OK\r\n");
    load("c", "redis.register_function('F1', function() return 3 end)");
    CU_ASSERT(is_error(restore(payload, "REPLACE"), "Function f1 already exists"));
    EXPECT(e, "FCALL f1 0", ":3\r\n");
    EXPECT(e, "FCALL f2 0", ":2\r\n");
    CU_ASSERT(engine_same(restore(payload, "FLUSH"), "+OK\r\n"));
    EXPECT(e, "FCALL f1 0", ":1\r\n");
    EXPECT(e, "FUNCTION STATS",
           "*4\r\n$14\r\nrunning_script\r\n$-1\r\n$7\r\nengines\r\n*2\r\n$3\r\nLUA\r\n*4\r\n$15\r\n"
           "libraries_count\r\n:2\r\n$15\r\nfunctions_count\r\n:2\r\n");
    for (size_t cut = 0; cut < payload.len; cut++) {
        restore((struct slice){payload.p, cut}, "FLUSH");
        CU_ASSERT(is_error(e->reply, "DUMP payload version or checksum are wrong"));
    }
    EXPECT(e, "FCALL f2 0", ":2\r\n");
    free((void *)(uintptr_t)payload.p);
    engine_free(e);
}

static void test_loading_is_bounded(void)
{
    e = engine_new(NULL);
    CU_ASSERT(is_error(load("a", "while true do end"), "FUNCTION LOAD timeout"));
    CU_ASSERT(is_error(load("a", "local s = 'x' while true do s = s .. s end"), "not enough memory"));
    load("a", COUNTER);
    EXPECT(e, "FCALL count 0", ":1\r\n");
    engine_free(e);
}

/* With the n-th allocation failing: an error and nothing changed, or done. */
static bool fails_well(int argc, const struct slice *argv, long n)
{
    e->chunk = 8192;
    fail_at = n;
    engine_argv(e, argc, argv);
    bool reached = fail_at < 0;
    fail_at = -1;
    return reached;
}

static void test_without_memory(void)
{
    static const char code[] =
        "#!lua name=a\nredis.register_function{function_name='count', description='it counts', "
        "callback=function(k, a) return {k, a} end, flags={'no-writes'}}";
    struct slice loads[] = {slice_str("FUNCTION"), slice_str("LOAD"), slice_str(code)};
    struct slice calls[] = {slice_str("FCALL"), slice_str("count"), slice_str("1"), slice_str("k"),
                            slice_str("a")};
    e = engine_new(NULL);
    CU_ASSERT(engine_same(engine_argv(e, 3, loads), "$1\r\na\r\n"));
    struct slice payload = dump();
    struct slice restores[] = {slice_str("FUNCTION"), slice_str("RESTORE"), payload};
    for (unsigned kind = 0; kind < 3; kind++) {
        bool reached = true;
        for (long n = 1; reached && n < 3000; n++) {
            if (kind < 2)
                EXPECT(e, "FUNCTION FLUSH", "+OK\r\n");
            reached = kind == 0   ? fails_well(3, loads, n)
                      : kind == 1 ? fails_well(3, restores, n)
                                  : fails_well(5, calls, n);
            if (kind < 2 && e->reply[0] == '-')
                EXPECT(e, "FUNCTION LIST", "*0\r\n");
        }
        CU_ASSERT(!reached);
        CU_ASSERT(e->reply[0] != '-');
    }
    free((void *)(uintptr_t)payload.p);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_libraries_live_by_themselves),
        UNIT(test_restore_is_all_or_nothing),
        UNIT(test_loading_is_bounded),
        UNIT(test_without_memory),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "command/function", tests);
}
