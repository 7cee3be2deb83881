/* script_test.c: hostile scripts, what bounds them, and every allocation that may fail.
 * https://redis.io/docs/latest/develop/interact/programmability/eval-intro/ */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "nomem.h"
#include "script/script.h"
#include "store/shard.h"
#include "unit.h"

static struct engine *e;

static const char *eval(const char *text)
{
    struct slice argv[] = {slice_str("EVAL"), slice_str(text), slice_str("0")};
    return engine_argv(e, 3, argv);
}

static bool holds(const char *part)
{
    bool found = strstr(e->reply, part) != NULL;
    if (!found)
        printf("# got: %.200s\n# not in it: %s\n", e->reply, part);
    return found;
}

/* -- time -- */

static void test_endless_scripts_end(void)
{
    static const char *const scripts[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end return f()",
        "while true do pcall(string.rep,'x',1e9) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "redis.call('set','k','v') while true do redis.pcall('get','k') end",
        "local t=setmetatable({},{__index=function(t,k) return t[k+1] end}) while true do pcall(function() "
        "return t[1] end) end",
        "repeat until xpcall(function() while true do end end, function() while true do end end) == 5",
    };
    e = engine_new("busy-reply-threshold 50\n");
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        eval(scripts[i]);
        CU_ASSERT(holds("took longer than busy-reply-threshold"));
        CU_ASSERT_EQUAL(e->reply[0], '-');
        eval("return 'well'");
        CU_ASSERT(engine_same(e->reply, "$4\r\nwell\r\n"));
    }
    engine_free(e);
}

/* -- memory -- */

static void test_memory_is_bounded(void)
{
    static const char *const scripts[] = {
        "return string.rep('x',1e9)",
        "local s='x' while true do s=s..s end",
        "local t={} for i=1,1e9 do t[i]={i} end",
        "local t={} for i=1,1e9 do t[i]=coroutine.create(function() end) end",
        "local s=string.rep('x',1e6) local t={} for i=1,1000 do t[i]=s end return table.concat(t)",
        "local s=string.rep('x',1e6) local t={} for i=1,1000 do t[i]=s end return cjson.encode(t)",
        "local s=string.rep('x',1e6) local t={} for i=1,1000 do t[i]=s end return cmsgpack.pack(t)",
        "redis.call('set','k',string.rep('x',2e6)) local t={} for i=1,1000 do t[i]=redis.call('get','k')..i "
        "end",
        "local s=string.rep('a',1e6) return (s:gsub('a',string.rep('b',1000)))",
    };
    e = engine_new("script-memory-limit 32mb\nbusy-reply-threshold 30000\n"); /* a busy machine may take its time */
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        eval(scripts[i]);
        CU_ASSERT(holds("not enough memory"));
        CU_ASSERT(script_host_bytes(e->env.script_host) < 16 << 20);
        eval("return 'well'");
        CU_ASSERT(engine_same(e->reply, "$4\r\nwell\r\n"));
    }
    engine_free(e);
}

/* After SCRIPT FLUSH an interpreter is as small as the first one, and stays so (unit/scripting, "EVAL does not leak in the
 * Lua stack"), whatever ran before it. */
static void test_a_flushed_interpreter_is_small(void)
{
    enum { RUNS = 10000, MOST = 100 * 1024 };
    uint64_t most = 0;
    e = engine_new(NULL);
    eval("redis.call('set','k',string.rep('x',40000)) local t={} for i=1,20000 do t[i]={i} end return #redis.call('get','k')");
    CU_ASSERT(engine_same(e->reply, ":40000\r\n"));
    CU_ASSERT(script_host_bytes(e->env.script_host) > MOST);
    engine_cmd(e, "SCRIPT FLUSH");
    for (unsigned i = 0; i < RUNS; i++) {
        struct slice argv[] = {slice_str("EVAL"), slice_str("return redis.call('incr',KEYS[1])"), slice_str("1"), slice_str("x")};
        engine_argv(e, 4, argv);
        uint64_t bytes = script_host_bytes(e->env.script_host);
        most = bytes > most ? bytes : most;
    }
    CU_ASSERT(engine_same(e->reply, ":10000\r\n"));
    CU_ASSERT(most < MOST);
    if (most >= MOST)
        printf("# %llu bytes\n", (unsigned long long)most);
    engine_free(e);
}

/* The first long reply of a worker's first script: the buffer grows while it is written. */
static void test_long_replies_arrive_whole(void)
{
    for (unsigned width = 0; width <= 300; width = width ? width * 17 : 1) {
        char text[512];
        e = engine_new(NULL);
        snprintf(text, sizeof text,
                 "for i=1,3000 do redis.call('rpush','l',i..string.rep('x',%u)) end "
                 "local t=redis.call('lrange','l',0,-1) "
                 "for i=1,3000 do if t[i]~=i..string.rep('x',%u) then return i end end return #t",
                 width, width);
        eval(text);
        CU_ASSERT(engine_same(e->reply, ":3000\r\n"));
        engine_free(e);
    }
}

/* A list that is huge may be returned; one that holds itself ends where the stack does. */
static void test_deep_values(void)
{
    e = engine_new(NULL);
    eval("local t={} t[1]=t return t");
    CU_ASSERT(holds("reached lua stack limit"));
    eval("local t={} t.map=t return t");
    eval("local t={} for i=1,150 do t={t} end return t");
    CU_ASSERT(engine_starts(e->reply, "*1\r\n*1\r\n"));
    eval("local t={} t[1]=t return cjson.encode(t)");
    CU_ASSERT(holds("excessive nesting"));
    eval("return cjson.decode(string.rep('[',1e6))");
    CU_ASSERT(holds("too many nested"));
    eval("return cmsgpack.unpack(string.rep('\\145',1e6))");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("return loadstring(string.rep('(',1e5))");
    eval("return loadstring('return '..string.rep('{',1e5))");
    eval("local s='return 1' for i=1,300 do s='return '..string.format('%q',s) end return #s");
    eval("return string.format(string.rep('%s',300),1)");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("return {unpack({},1,1e8)}");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("return string.match(string.rep('a',1e6),string.rep('a?',1e6))");
    CU_ASSERT(holds("pattern too complex"));
    eval("return #string.match(string.rep('a',9e3),string.rep('a?',9e3))");
    CU_ASSERT(engine_same(e->reply, ":9000\r\n"));
    eval("return redis.call(unpack({},1,7000))");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("return 'well'");
    CU_ASSERT(engine_same(e->reply, "$4\r\nwell\r\n"));
    engine_free(e);
}

/* -- nothing is left behind -- */

static void test_nothing_stays(void)
{
    static const char *const scripts[] = {
        "x=1",
        "_G.x=1",
        "rawset(_G,'x',1)",
        "rawset(redis,'x',1)",
        "redis.x=1",
        "string.x=1",
        "string.len=nil",
        "getmetatable('').__index=nil",
        "getmetatable('').__add=1",
        "setmetatable(string,{})",
        "getmetatable('').__index.len=1",
        "table.insert(redis,1)",
        "table.insert(_G,1)",
        "getmetatable(_G).x=1",
        "loadstring('x=1')()",
        "for k,v in pairs({_G,redis,math,table,coroutine,bit,struct,cjson,cmsgpack}) do v.x=1 end",
        "return load(function() return '\\27Lua' end)()",
        "return loadstring('\\27LuaQ')()",
        "collectgarbage('stop')",
    };
    e = engine_new(NULL);
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        eval(scripts[i]);
        eval("return {rawget(_G,'x') or 0,rawget(redis,'x') or 0,#redis,('abc'):len(),rawget(string,'x') or "
             "0,#_G}");
        CU_ASSERT(engine_same(e->reply, "*6\r\n:0\r\n:0\r\n:0\r\n:3\r\n:0\r\n:0\r\n"));
    }
    engine_free(e);
}

static void test_error_objects(void)
{
    e = engine_new(NULL);
    eval("error({})");
    CU_ASSERT(engine_starts(e->reply, "-ERR unknown error script: "));
    eval("error(redis)");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("error(_G)");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("error({err={}})");
    CU_ASSERT(engine_starts(e->reply, "-ERR unknown error"));
    eval("error(setmetatable({},{__newindex=error,__index=error,__tostring=error}))");
    CU_ASSERT_EQUAL(e->reply[0], '-');
    eval("error({err='A\\r\\n+B'})");
    CU_ASSERT(engine_starts(e->reply, "-A  +B script"));
    eval("return {ok='A\\r\\n+B'}");
    CU_ASSERT(engine_same(e->reply, "+A  +B\r\n"));
    eval("return setmetatable({},{__index=error})");
    CU_ASSERT(engine_same(e->reply, "*0\r\n"));
    engine_free(e);
}

/* -- the cache -- */

static void test_the_cache_is_bounded(void)
{
    uint64_t count, bytes;
    char text[64];
    e = engine_new(NULL);
    engine_cmd(e, "SCRIPT LOAD \"return 'kept'\"");
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "return %d", i);
        e->env.now_ms++;
        eval(text);
    }
    scripts_measure(e->env.scripts, &count, &bytes);
    CU_ASSERT_EQUAL(count, SCRIPT_EVALS + 1);
    EXPECT(e, "SCRIPT EXISTS 7f923f79fe76194c868d7e1d0820de36700eb649", "*1\r\n:0\r\n"); /* return 2 */
    struct slice argv[] = {slice_str("SCRIPT"), slice_str("LOAD"), {NULL, 0}};
    size_t most = SCRIPT_TEXTS_BYTES / 4;
    char *large = malloc(most);
    memset(large, ' ', most);
    argv[2] = (struct slice){(const uint8_t *)large, most};
    for (int i = 0; i < 6; i++) {
        large[0] = (char)('\n' - (i & 1));
        large[i] = '\t';
        engine_argv(e, 3, argv);
    }
    CU_ASSERT(engine_starts(e->reply, "-ERR out of memory for another script"));
    free(large);
    EXPECT(e, "SCRIPT FLUSH", "+OK\r\n");
    scripts_measure(e->env.scripts, &count, &bytes);
    CU_ASSERT_EQUAL(count + bytes, 0);
    engine_free(e);
}

/* -- every allocation -- */

static bool run_failing(const char *text, long n)
{
    struct slice argv[] = {slice_str("EVAL"), slice_str(text), slice_str("1"), slice_str("key"),
                           slice_str("arg")};
    e->chunk = 8192;
    fail_at = n;
    engine_argv(e, 5, argv);
    bool reached = fail_at < 0;
    fail_at = -1;
    return reached;
}

static void test_without_memory(void)
{
    static const char *const scripts[] = {
        "redis.call('set',KEYS[1],ARGV[1]) return {redis.call('get',KEYS[1]),{1,'two'},{ok='x'}}",
        "return cjson.encode(cjson.decode('{\"a\":[1,2,\"three\"]}'))",
        "return cmsgpack.pack(cmsgpack.unpack(cmsgpack.pack({1,2,{3,'x'}})))",
        "return redis.error_reply('MY fault')",
        "error('x')",
        "return redis.call('nope')",
    };
    e = engine_new(NULL);
    engine_cmd(e, "PING");
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        long n = 0, step = 1;
        bool whole = false;
        for (; !whole && n < 20000; n += step) {
            script_host_free(e->env.script_host);
            e->env.script_host = NULL;
            scripts_flush(e->env.scripts);
            whole = !run_failing(scripts[i], n);
            eval("return 'well'");
            CU_ASSERT(engine_same(e->reply, "$4\r\nwell\r\n"));
            step = n < 100 || n > 600 ? 1 : 7; /* the libraries are alike */
        }
        CU_ASSERT(whole && n > 100);
    }
    engine_free(e);
}

/* -- random input for the decoders -- */

static void test_decoders_take_anything(void)
{
    static const char *const texts[] = {
        "return {pcall(cjson.decode,ARGV[1])}",          "return {pcall(cmsgpack.unpack,ARGV[1])}",
        "return {pcall(struct.unpack,ARGV[1],ARGV[2])}", "return {pcall(struct.pack,ARGV[1],ARGV[2],1,2,3)}",
        "return {pcall(struct.size,ARGV[1])}",           "return {pcall(cmsgpack.unpack_limit,ARGV[1],2,1)}"};
    static const char json[] = "{}[]\",:0123456789.-+eEtruefalsnl\\u \t\n",
                      formats[] = "bBhHlLTiIfdxsc0123456789!<> ";
    uint64_t state = 7;
    e = engine_new(NULL);
    for (int round = 0; round < 3000; round++) {
        char random[3][24];
        size_t len = (state = state * 6364136223846793005 + 1442695040888963407) >> 60;
        for (size_t i = 0; i < len; i++) {
            state = state * 6364136223846793005 + 1442695040888963407;
            random[0][i] = json[(state >> 33) % (sizeof json - 1)];
            random[1][i] = formats[(state >> 40) % (sizeof formats - 1)];
            random[2][i] = (char)(state >> 50);
        }
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            const char *first = k == 0 ? random[0] : k == 1 || k == 5 ? random[2] : random[1];
            struct slice argv[] = {slice_str("EVAL"),
                                   slice_str(texts[k]),
                                   slice_str("0"),
                                   {(const uint8_t *)first, len},
                                   {(const uint8_t *)random[2], len}};
            engine_argv(e, 5, argv);
            CU_ASSERT_EQUAL(e->reply[0], '*');
        }
    }
    engine_free(e);
}

/* As redis-server counts: an error is seen once, by whoever has replied or refused, and EVAL failed if its reply is one. */
static void test_errors_are_counted_once(void)
{
    static const struct {
        const char *text;
        unsigned failed, errors; /* of EVAL; of all */
    } cases[] = {
        {"return redis.call('lpush','s','x')", 1, 1},
        {"return redis.pcall('lpush','s','x')", 1, 1},
        {"redis.pcall('lpush','s','x') return 1", 0, 1},
        {"return redis.call('nosuch')", 1, 1},
        {"redis.pcall('nosuch') return 1", 0, 1},
        {"return redis.call('get','s','a')", 1, 1},
        {"return redis.call()", 1, 1},
        {"redis.pcall() return 1", 0, 0},
        {"return {err='A b'}", 1, 1},
        {"redis.pcall('lpush','s','x') error({err='FOO x'})", 1, 2},
    };
    char line[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        e = engine_new(NULL);
        engine_cmd(e, "SET s 1");
        eval(cases[i].text);
        engine_cmd(e, "INFO commandstats");
        const char *at = strstr(e->reply, "cmdstat_eval:calls=1,");
        snprintf(line, sizeof line, "rejected_calls=0,failed_calls=%u\r\n", cases[i].failed);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        const char *end = strstr(at, "rejected");
        CU_ASSERT(end && strncmp(end, line, strlen(line)) == 0);
        engine_cmd(e, "INFO stats");
        snprintf(line, sizeof line, "total_error_replies:%u\r\n", cases[i].errors);
        CU_ASSERT(holds(line));
        engine_free(e);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_endless_scripts_end),
        UNIT(test_memory_is_bounded),
        UNIT(test_a_flushed_interpreter_is_small),
        UNIT(test_long_replies_arrive_whole),
        UNIT(test_deep_values),
        UNIT(test_nothing_stays),
        UNIT(test_error_objects),
        UNIT(test_the_cache_is_bounded),
        UNIT(test_without_memory),
        UNIT(test_decoders_take_anything),
        UNIT(test_errors_are_counted_once),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "command/script", tests);
}
