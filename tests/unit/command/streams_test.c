/* streams_test.c: streams at the command layer: hits, times of consumers as in 7.2, what a lack of memory
 * does. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "store/shard.h"
#include "unit.h"

static struct engine *e;

static void fill(void)
{
    e = engine_new(NULL);
    for (unsigned i = 1; i <= 6; i++) {
        engine_cmd(e, "XADD s %u field value-%u", i, i);
        engine_cmd(e, "XADD t %u field value-%u", i, i);
    }
    engine_cmd(e, "XGROUP CREATE s g 0");
    engine_cmd(e, "XGROUP CREATE t g 0");
    engine_cmd(e, "XREADGROUP GROUP g old COUNT 3 STREAMS s t > >");
}

static void test_which_commands_count_hits(void)
{
    fill();
    EXPECT_HITS(e, "XLEN s", 1, 0);
    EXPECT_HITS(e, "XRANGE none - +", 0, 1);
    EXPECT_HITS(e, "XREAD STREAMS s none 0 0", 2, 2);
    EXPECT_HITS(e, "XREADGROUP GROUP g c STREAMS s >", 2, 0);
    EXPECT_HITS(e, "XPENDING s g", 1, 0);
    EXPECT_HITS(e, "XACK s g 1", 1, 0);
    EXPECT_HITS(e, "XCLAIM s g c 0 1", 1, 0);
    EXPECT_HITS(e, "XINFO STREAM s", 1, 0);
    EXPECT_HITS(e, "XADD s * a 1", 0, 0);
    EXPECT_HITS(e, "XDEL none 1", 0, 0);
    EXPECT_HITS(e, "XTRIM s MAXLEN 5", 0, 0);
    EXPECT_HITS(e, "XGROUP CREATE s h 0", 0, 0);
    engine_free(e);
}

#define CONSUMER(idle, inactive, pending)                                                                    \
    "*1\r\n*8\r\n$4\r\nname\r\n$1\r\nc\r\n$7\r\npending\r\n:" pending "\r\n$4\r\nidle\r\n:" idle             \
    "\r\n$8\r\ninactive\r\n:" inactive "\r\n"

/* https://redis.io/docs/latest/commands/xinfo-consumers/: idle since the last attempt, inactive since the
 * last success, -1 if there was none. */
static void test_idle_and_inactive(void)
{
    e = engine_new(NULL);
    engine_cmd(e, "XGROUP CREATE s g 0 MKSTREAM");
    EXPECT(e, "XREADGROUP GROUP g c STREAMS s >", "*-1\r\n"); /* makes the consumer all the same */
    engine_sleep(e, 50);
    EXPECT(e, "XINFO CONSUMERS s g", CONSUMER("50", "-1", "0"));
    engine_cmd(e, "XADD s 1 a 1");
    engine_cmd(e, "XREADGROUP GROUP g c STREAMS s >");
    engine_sleep(e, 30);
    EXPECT(e, "XREADGROUP GROUP g c STREAMS s >", "*-1\r\n");
    engine_sleep(e, 5);
    EXPECT(e, "XINFO CONSUMERS s g", CONSUMER("5", "35", "1"));
    EXPECT_STARTS(e, "XREADGROUP GROUP g c STREAMS s 0", "*1\r\n");
    EXPECT(e, "XINFO CONSUMERS s g", CONSUMER("0", "35", "1")); /* history is no news */
    EXPECT(e, "XCLAIM s g c 1000 1", "*0\r\n");
    EXPECT(e, "XINFO CONSUMERS s g", CONSUMER("0", "35", "1"));
    EXPECT(e, "XAUTOCLAIM s g c 0 0 JUSTID", "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-0\r\n*0\r\n");
    EXPECT(e, "XINFO CONSUMERS s g", CONSUMER("0", "0", "1"));
    engine_free(e);
}

static void test_entries_read_without_acknowledgement(void)
{
    fill();
    EXPECT_STARTS(e, "XREADGROUP GROUP g new NOACK STREAMS s >", "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n");
    EXPECT_STARTS(e, "XPENDING s g", "*4\r\n:3\r\n");
    engine_free(e);
}

/* The Nth allocation fails: an error and nothing has changed, or it was one that can be done without. */
static void each_allocation_fails(const char *command, const char *ok)
{
    char before[16384], after[16384];
    static const char look[] = "XINFO STREAM s FULL\r\nXINFO STREAM t FULL\r\nEXISTS u\r\n";
    bool done = false;
    for (unsigned n = 0; n < 80 && !done; n++) { /* 0: none fails */
        fill();
        snprintf(before, sizeof before, "%s", engine_feed(e, look, sizeof look - 1));
        e->env.ks->shard[0]->heap.fail_in = n;
        const char *reply = engine_cmd(e, "%s", command);
        done = n && e->env.ks->shard[0]->heap.fail_in != 0;
        e->env.ks->shard[0]->heap.fail_in = 0;
        bool failed = strncmp(reply, "-OOM", 4) == 0;
        CU_ASSERT(failed || engine_starts(reply, ok));
        if (n == 0)
            snprintf(after, sizeof after, "%s", engine_feed(e, look, sizeof look - 1));
        CU_ASSERT(engine_same(engine_feed(e, look, sizeof look - 1), failed ? before : after));
        engine_free(e);
    }
    CU_ASSERT_TRUE(done);
}

static void test_without_memory_nothing_changes(void)
{
    each_allocation_fails("XADD s 7 field a-value-that-needs-another-size-class", "$3\r\n7-0\r\n");
    each_allocation_fails("XADD u 7 field value", "$3\r\n7-0\r\n");
    each_allocation_fails("XGROUP CREATE u g 0 MKSTREAM", "+OK\r\n");
    each_allocation_fails("XGROUP CREATE s another 0", "+OK\r\n");
    each_allocation_fails("XGROUP CREATECONSUMER s g c", ":1\r\n");
    each_allocation_fails("XREADGROUP GROUP g new STREAMS s t > >", "*2\r\n");
    each_allocation_fails("XREADGROUP GROUP g new STREAMS s s 0 >", "*2\r\n");
    each_allocation_fails("XCLAIM s g new 0 1 3 5 6 FORCE", "*4\r\n");
    each_allocation_fails("XAUTOCLAIM s g new 0 0", "*3\r\n");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_which_commands_count_hits),
                                             UNIT(test_idle_and_inactive),
                                             UNIT(test_entries_read_without_acknowledgement),
                                             UNIT(test_without_memory_nothing_changes),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/streams", tests);
}
