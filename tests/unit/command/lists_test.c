/* lists_test.c: lists and SORT at the command layer: hits, what several shards and a lack of memory do. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "store/shard.h"
#include "unit.h"

static struct engine *e;

static void test_which_commands_count_hits(void)
{
    e = engine_new(NULL);
    engine_cmd(e, "RPUSH l 1 2 3");
    engine_cmd(e, "SET w_1 5");
    EXPECT_HITS(e, "LLEN l", 1, 0);
    EXPECT_HITS(e, "LRANGE none 0 -1", 0, 1);
    EXPECT_HITS(e, "LINDEX l 9", 1, 0);
    EXPECT_HITS(e, "LPOS none a", 0, 1);
    EXPECT_HITS(e, "LPUSH l 4", 0, 0);
    EXPECT_HITS(e, "LPOP none", 0, 0);
    EXPECT_HITS(e, "LMOVE l l LEFT RIGHT", 0, 0);
    EXPECT_HITS(e, "SORT l BY w_* GET # GET w_*", 3, 6);
    EXPECT_HITS(e, "SORT l BY nosort GET nostar", 1, 0);
    engine_free(e);
}

/* BY and GET lead to keys of any shard: all others are stopped; a SORT without them stays where its key is.
 */
static void test_sort_stops_other_workers_only_if_it_must(void)
{
    e = engine_new("workers 4\n");
    engine_cmd(e, "RPUSH {t}l 1 2");
    engine_cmd(e, "SORT {t}l DESC");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_SHARD);
    engine_cmd(e, "SORT {t}l BY nosort GET # STORE {t}d");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_SHARD);
    engine_cmd(e, "SORT {t}l BY w_*");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_ALL);
    engine_cmd(e, "SORT_RO {t}l GET w_*");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_ALL);
    engine_free(e);
}

/* The Nth allocation fails: an error and nothing has changed, or it was one that can be done without. */
static void each_allocation_fails(const char *command, const char *ok)
{
    char before[4096], after[4096];
    static const char look[] = "LRANGE d 0 -1\r\nLRANGE l 0 -1\r\nTTL d\r\n";
    bool done = false;
    for (unsigned n = 0; n < 50 && !done; n++) { /* 0: none fails */
        e = engine_new(NULL);
        engine_cmd(e, "RPUSH l 3 1 2 text-of-some-length 5");
        engine_cmd(e, "RPUSH d old");
        engine_cmd(e, "EXPIRE d 100");
        for (unsigned i = 0; i < 10; i++)
            engine_cmd(e, "SET w_%u %0100u", i, i);
        snprintf(before, sizeof before, "%s", engine_feed(e, look, sizeof look - 1));
        e->env.ks->shard[0]->heap.fail_in = n;
        const char *reply = engine_cmd(e, "%s", command);
        done = n && e->env.ks->shard[0]->heap.fail_in != 0;
        e->env.ks->shard[0]->heap.fail_in = 0;
        bool failed = strncmp(reply, "-OOM", 4) == 0;
        CU_ASSERT(failed || engine_same(reply, ok));
        if (n == 0)
            snprintf(after, sizeof after, "%s", engine_feed(e, look, sizeof look - 1));
        CU_ASSERT(engine_same(engine_feed(e, look, sizeof look - 1), failed ? before : after));
        engine_free(e);
    }
    CU_ASSERT_TRUE(done);
}

static void test_without_memory_nothing_changes(void)
{
    each_allocation_fails("SORT l ALPHA GET w_* GET # GET w_* STORE d", ":15\r\n");
    each_allocation_fails("LMOVE l d LEFT RIGHT", "$1\r\n3\r\n");
    each_allocation_fails("LINSERT l BEFORE 2 something", ":6\r\n");
    each_allocation_fails("RPUSH l a-text-that-needs-another-size-class and-more", ":7\r\n");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_which_commands_count_hits),
                                             UNIT(test_sort_stops_other_workers_only_if_it_must),
                                             UNIT(test_without_memory_nothing_changes),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/lists", tests);
}
