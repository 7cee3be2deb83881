/* latency_test.c: the latency monitor (command/latency.c): what it keeps, and LATENCY LATEST, HISTORY, RESET,
 * GRAPH and DOCTOR. The graph is as redis-server 7.0.15 draws it. */
#include "command/latency.h"
#include "engine.h"
#include "unit.h"

static struct latency monitor[2], *monitors[] = {&monitor[0], &monitor[1]};

/* A box of two workers, at second 1000, that notes what takes 10 ms. */
static struct engine *box_new(void)
{
    struct engine *e = engine_new("workers 2\nlatency-monitor-threshold 10\n");
    memset(monitor, 0, sizeof monitor);
    e->env.latency = monitors;
    e->env.now_ms = 1000000;
    return e;
}

/* Something of a worker that has ended at a second and took so long. */
static void note(struct engine *e, unsigned worker, enum latency_event event, unsigned second, unsigned ms)
{
    uint64_t now = e->env.now_ms;
    e->env.self = worker;
    e->env.now_ms = second * 1000;
    latency_note(&e->env, event, ms * 1000);
    e->env.now_ms = now;
    e->env.self = 0;
}

static void test_nothing_was_seen(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "LATENCY LATEST", "*0\r\n");
    EXPECT(e, "LATENCY HISTORY command", "*0\r\n");
    EXPECT(e, "LATENCY RESET command fork", ":0\r\n");
    EXPECT(e, "LATENCY GRAPH foo", "-ERR No samples available for event 'foo'\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "LATENCY DOCTOR"), "monitoring is disabled"));
    engine_free(e);
    e = box_new();
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "LATENCY DOCTOR"), "No latency spike"));
    engine_free(e);
}

static void test_of_a_second_the_longest_is_kept(void)
{
    struct engine *e = box_new();
    note(e, 0, LATENCY_COMMAND, 990, 9);
    EXPECT(e, "LATENCY LATEST", "*0\r\n");
    note(e, 0, LATENCY_COMMAND, 990, 30);
    note(e, 0, LATENCY_COMMAND, 991, 12);
    note(e, 0, LATENCY_COMMAND, 991, 15);
    note(e, 0, LATENCY_COMMAND, 991, 11);
    EXPECT(e, "LATENCY HISTORY command", "*2\r\n*2\r\n:990\r\n:30\r\n*2\r\n:991\r\n:15\r\n");
    EXPECT(e, "LATENCY HISTORY COMMAND", "*0\r\n");
    EXPECT(e, "LATENCY LATEST", "*1\r\n*4\r\n$7\r\ncommand\r\n:991\r\n:15\r\n:30\r\n");
    engine_free(e);
}

static void test_the_workers_are_one_box(void)
{
    struct engine *e = box_new();
    note(e, 0, LATENCY_EXPIRE, 990, 10);
    note(e, 1, LATENCY_EXPIRE, 989, 20);
    note(e, 1, LATENCY_EXPIRE, 990, 40);
    note(e, 0, LATENCY_EXPIRE, 992, 30);
    note(e, 1, LATENCY_FAST_COMMAND, 991, 50);
    EXPECT(e, "LATENCY HISTORY expire-cycle",
           "*3\r\n*2\r\n:989\r\n:20\r\n*2\r\n:990\r\n:40\r\n*2\r\n:992\r\n:30\r\n");
    EXPECT(e, "LATENCY LATEST",
           "*2\r\n*4\r\n$12\r\nfast-command\r\n:991\r\n:50\r\n:50\r\n*4\r\n$12\r\nexpire-cycle\r\n:992\r\n:"
           "30\r\n:40\r\n");
    EXPECT(e, "LATENCY RESET Expire-Cycle expire-cycle command", ":1\r\n");
    EXPECT(e, "LATENCY HISTORY expire-cycle", "*0\r\n");
    EXPECT(e, "LATENCY RESET", ":1\r\n");
    EXPECT(e, "LATENCY RESET", ":0\r\n");
    engine_free(e);
}

static void test_the_oldest_of_160_is_forgotten_but_not_the_worst(void)
{
    struct engine *e = box_new();
    for (unsigned i = 0; i <= LATENCY_SAMPLES; i++)
        note(e, i % 2, LATENCY_COMMAND, 100 + i, i ? 20 : 99);
    for (unsigned i = 0; i <= LATENCY_SAMPLES; i++)
        note(e, 0, LATENCY_UNBLOCKING, 100 + i, i ? 20 : 99);
    EXPECT_STARTS(e, "LATENCY HISTORY command", "*160\r\n*2\r\n:101\r\n:20\r\n");
    EXPECT_STARTS(e, "LATENCY HISTORY command-unblocking", "*160\r\n*2\r\n:101\r\n:20\r\n");
    EXPECT_STARTS(e, "LATENCY LATEST", "*2\r\n*4\r\n$7\r\ncommand\r\n:260\r\n:20\r\n:99\r\n");
    engine_free(e);
}

static void test_the_graph_is_redis(void)
{
    struct engine *e = box_new();
    note(e, 0, LATENCY_EVICTION, 997, 10);
    note(e, 1, LATENCY_EVICTION, 998, 20);
    note(e, 0, LATENCY_EVICTION, 999, 15);
    EXPECT(e, "LATENCY GRAPH eviction-cycle",
           "$170\r\neviction-cycle - high 20 ms, low 10 ms (all time high 20 ms)\n"
           "--------------------------------------------------------------------------------\n"
           " # \n |_\n ||\n_||\n   \n321\nsss\n\r\n");
    for (unsigned i = 0; i < 100; i++)
        note(e, 0, LATENCY_COMMAND, 800 + i, 10);
    const char *graph = engine_cmd(e, "LATENCY GRAPH command");
    CU_ASSERT_PTR_NOT_NULL(strstr(graph,
                                  "\n\n                    \n                    \n                    \n"
                                  "____________________\n                    \n2111"));
    engine_free(e);
}

static void test_the_doctor_tells_each_event(void)
{
    struct engine *e = box_new();
    note(e, 0, LATENCY_COMMAND, 990, 10);
    note(e, 1, LATENCY_COMMAND, 995, 30);
    const char *report = engine_cmd(e, "LATENCY DOCTOR");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(report, "\n1. command: 2 latency spikes (average 20ms, mean deviation 10ms, period 5.00 sec). "
                       "Worst all time event 30ms.\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(report, "\n- command: SLOWLOG GET"));
    engine_free(e);
}

static void test_the_dispatcher_notes_fast_and_other_commands(void)
{
    struct engine *e = engine_new("latency-monitor-threshold 1\n");
    memset(monitor, 0, sizeof monitor);
    e->env.latency = monitors;
    e->env.tsc_per_us = 1; /* a clock so slow that a thousand cycles are a millisecond */
    engine_cmd(e, "MGET a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p "
                  "q r s t u v w");
    CU_ASSERT_EQUAL(monitor[0].series[LATENCY_FAST_COMMAND].samples, 1);
    engine_cmd(e, "COMMAND");
    CU_ASSERT_EQUAL(monitor[0].series[LATENCY_COMMAND].samples, 1);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_nothing_was_seen),
                                             UNIT(test_of_a_second_the_longest_is_kept),
                                             UNIT(test_the_workers_are_one_box),
                                             UNIT(test_the_oldest_of_160_is_forgotten_but_not_the_worst),
                                             UNIT(test_the_graph_is_redis),
                                             UNIT(test_the_doctor_tells_each_event),
                                             UNIT(test_the_dispatcher_notes_fast_and_other_commands),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/latency", tests);
}
