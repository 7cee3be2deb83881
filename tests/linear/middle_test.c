/* middle_test.c: a script that is in the middle, on the worker of its only shard, when another worker finds out that its text
 * needs more than a shard: it goes on where it is, with what it has read, and nobody comes between. The slices of the
 * first worker are held back until the other one has found out (FABRIC_SLICE of fabric/delay.h), so that the order is
 * certain. And an EXEC that is in the middle of its script, with both shards. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments end a program with it */
#include "box_rig.h"
#include "fabric/delay.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMES = 5, ROUNDS = 200, ROUND_US = 20, BUDGET = 20000 };

static const char *const two[] = {"workers", "2", "busy-reply-threshold", "0", NULL};
static struct box_rig lanes[2];
static const char *here, *there; /* a key of each shard */
static bool held_back;           /* no slices for worker 0 */

bool fabric_delay(enum fabric_point at, unsigned self)
{
    return at == FABRIC_SLICE && self == 0 && held_back;
}

static void lane_round(unsigned n)
{
    lanes[n].now_us += ROUND_US;
    rig_round(&lanes[n]);
}

static void run_lanes(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        lane_round(0);
        lane_round(1);
    }
}

/* %1$s is `here`, %2$s `there`. Sent, and run for a while. */
static void asks(struct rig_client *c, const char *format)
{
    static char text[2 * RIG_CLIENTS][400];
    static unsigned next;
    char *request = text[next++ % (2 * RIG_CLIENTS)];
    snprintf(request, sizeof text[0], format, here, there);
    c->got_len = 0;
    rig_send(c, request);
    run_lanes();
}

/* Whole rounds by turns until all have been told something. */
static bool all_told(struct rig_client **c, unsigned n)
{
    for (unsigned i = 0; i < BUDGET; i++) {
        unsigned told = 0;
        lane_round(0);
        lane_round(1);
        for (unsigned k = 0; k < n; k++)
            told += c[k]->got_len > 0;
        if (told == n)
            return true;
    }
    return false;
}

static bool is_told(const struct rig_client *c, const char *reply)
{
    bool same = c->got_len == strlen(reply) && memcmp(c->got, reply, c->got_len) == 0;
    if (!same)
        printf("# expected: %s# got: %.*s\n", reply, (int)c->got_len, (char *)c->got);
    return same;
}

static void start(void)
{
    rig_start_lanes(lanes, 2, two);
    here = rig_key(&lanes[0], 0, 0);
    there = rig_key(&lanes[0], 1, 0);
}

#define LOOP "local x=0 for i=1,50000 do x=x+i end "
#define SLOW_INCR "local v=redis.call('get',KEYS[1]) " LOOP "redis.call('set',KEYS[1],v+1) return v+1"

/* Worker 1 has found out: its request waits for a stop of all. */
static bool finds_out(void)
{
    unsigned i = 0;
    for (; i < BUDGET && !lanes[1].worker->barrier_first; i++)
        lane_round(1);
    return i < BUDGET;
}

/* `call` is a slow increment of the key behind it. The first one is in the middle, the second one finds out, and who sets
 * both keys waits. Whatever the order: the first one's result is overwritten if it came before, and counts from what was
 * set if it came after. */
static void nobody_comes_between(struct rig_client **c, const char *call)
{
    char request[400];
    asks(c[0], "MSET %1$s 10 %2$s 20\r\n");
    CU_ASSERT(is_told(c[0], "+OK\r\n"));
    snprintf(request, sizeof request, "MULTI\r\n%s 1 %%1$s\r\nEXEC\r\n", call); /* compiled there, and nothing found out */
    asks(c[0], request);
    CU_ASSERT(is_told(c[0], "+OK\r\n+QUEUED\r\n*1\r\n:11\r\n"));
    held_back = true;
    snprintf(request, sizeof request, "%s 1 %%1$s\r\n", call);
    asks(c[0], request);
    snprintf(request, sizeof request, "%s 1 %%2$s\r\n", call);
    asks(c[1], request);
    CU_ASSERT(finds_out());
    asks(c[2], "MSET %1$s 100 %2$s 200\r\n");
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(c[i]->got_len, 0);
    held_back = false;
    CU_ASSERT(all_told(c, 3));
    CU_ASSERT(is_told(c[2], "+OK\r\n"));
    bool before = c[0]->got_len == 5 && memcmp(c[0]->got, ":12\r\n", 5) == 0;
    if (!before)
        CU_ASSERT(is_told(c[0], ":101\r\n"));
    asks(c[0], "GET %1$s\r\n");
    CU_ASSERT(is_told(c[0], before ? "$3\r\n100\r\n" : "$3\r\n101\r\n"));
}

/* `forget` makes the text unknown, `load` brings it anew: of a new one nobody has found out anything. */
static void several_times(const char *forget, const char *load, const char *call)
{
    start();
    struct rig_client *c[3] = {rig_connect(&lanes[0], 0), rig_connect(&lanes[1], 0), rig_connect(&lanes[1], 1)};
    for (unsigned i = 0; i < TIMES; i++) {
        asks(c[0], forget);
        CU_ASSERT(is_told(c[0], "+OK\r\n"));
        asks(c[0], load);
        CU_ASSERT(c[0]->got_len > 0 && c[0]->got[0] == '$');
        nobody_comes_between(c, call);
    }
    CU_ASSERT_TRUE(rig_stop_lanes(lanes, 2));
}

static void test_a_script_in_the_middle_stays(void)
{
    several_times("SCRIPT FLUSH\r\n", "SCRIPT LOAD \"" SLOW_INCR "\"\r\n", "EVAL \"" SLOW_INCR "\"");
}

static void test_a_function_in_the_middle_stays(void)
{
    several_times("FUNCTION FLUSH\r\n",
                  "FUNCTION LOAD \"#!lua name=l\\nredis.register_function{function_name='f',flags={'allow-cross-slot-keys'},"
                  "callback=function(KEYS) " SLOW_INCR " end}\"\r\n",
                  "FCALL f");
}

#define LONG_INCR "local x=0 for i=1,1000000 do x=x+i end return redis.call('incr',KEYS[1])"

/* Nothing of it is seen before its end, in the shard that it has written to and in the other one. */
static void test_an_exec_in_the_middle_stays(void)
{
    start();
    struct rig_client *c[3] = {rig_connect(&lanes[0], 0), rig_connect(&lanes[1], 0), rig_connect(&lanes[1], 1)};
    for (unsigned i = 0; i < TIMES; i++) {
        asks(c[0], "MSET %1$s 10 %2$s 20\r\n");
        CU_ASSERT(is_told(c[0], "+OK\r\n"));
        asks(c[0], "MULTI\r\nINCR %1$s\r\nEVAL \"" LONG_INCR "\" 1 %2$s\r\nINCR %2$s\r\n");
        CU_ASSERT(is_told(c[0], "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"));
        held_back = true; /* but for its first slice, in which it has written, and not ended */
        asks(c[0], "EXEC\r\n");
        CU_ASSERT(shard_pins(lanes[0].box.ks->shard[0])->alone && shard_pins(lanes[0].box.ks->shard[1])->alone);
        asks(c[1], "MSET %1$s 100 %2$s 200\r\n");
        asks(c[2], i % 2 ? "GET %1$s\r\n" : "GET %2$s\r\n");
        for (unsigned k = 0; k < 3; k++)
            CU_ASSERT_EQUAL(c[k]->got_len, 0);
        held_back = false;
        CU_ASSERT(all_told(c, 3));
        CU_ASSERT(is_told(c[0], "*3\r\n:11\r\n:21\r\n:22\r\n"));
        CU_ASSERT(is_told(c[1], "+OK\r\n"));
        bool before = c[2]->got_len == 8 && memcmp(c[2]->got, i % 2 ? "$2\r\n11\r\n" : "$2\r\n22\r\n", 8) == 0;
        if (!before)
            CU_ASSERT(is_told(c[2], i % 2 ? "$3\r\n100\r\n" : "$3\r\n200\r\n"));
        asks(c[0], "MGET %1$s %2$s\r\n");
        CU_ASSERT(is_told(c[0], "*2\r\n$3\r\n100\r\n$3\r\n200\r\n"));
    }
    CU_ASSERT_TRUE(rig_stop_lanes(lanes, 2));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_script_in_the_middle_stays),
        UNIT(test_a_function_in_the_middle_stays),
        UNIT(test_an_exec_in_the_middle_stays),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "linear/middle", tests);
}
