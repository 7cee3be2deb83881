/* rig_test.c: histories of clients of several workers are linearizable, whatever is late in the fabric; and
 * each defect that is planted is found. COUNT (histories of a kind, 150), SEED, and as arguments what unit
 * tests take. With "threads" in LINEAR each worker has a thread of its own. */
#include "play.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 5000000 };

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static bool in_threads(void)
{
    return getenv("LINEAR") != NULL;
}

static struct play play_of(unsigned workers, uint64_t seed)
{
    return (struct play){.workers = workers,
                         .seed = seed,
                         .ops = 10 + (unsigned)(seed % 10),
                         .threads = in_threads(),
                         .whole = seed % 3 == 0,
                         .slow = seed % 5 == 0 && !in_threads(), /* each slice would be a stop of threads that share cores */
                         .hang_up = seed % 4 == 0};
}

static bool is_linear(struct play *p, struct linear_verdict *v)
{
    struct history h = {0};
    bool ended = play_history(p, &h);
    *v = linear_check(&h, STEPS);
    if (!ended || v->is == NOT_LINEAR)
        printf("# seed %llu, %u workers, %s: %s\n", (unsigned long long)p->seed, p->workers,
               linear_defect_name[p->defect], ended ? "not linearizable" : "did not end");
    if (!p->defect && (!ended || v->is == NOT_LINEAR)) {
        printf("# stuck at the operation called at %llu\n", (unsigned long long)h.op[v->stuck].call);
        history_print(&h);
    }
    CU_ASSERT_TRUE(ended);
    history_free(&h);
    return v->is != NOT_LINEAR;
}

static void histories(unsigned workers)
{
    unsigned count = from_environment("COUNT", 150), bad = 0, unknown = 0;
    uint64_t seed = from_environment("SEED", 1), steps = 0, most = 0;
    play_start(workers);
    for (unsigned i = 0; i < count && bad < 3; i++) {
        struct linear_verdict v;
        struct play p = play_of(workers, seed + i);
        bad += !is_linear(&p, &v);
        unknown += v.is == GAVE_UP;
        steps += v.steps;
        most = v.steps > most ? v.steps : most;
    }
    printf("# %u histories with %u workers, seed %llu: %u not linearizable, %u unknown; steps %llu, at most %llu\n", count,
           workers, (unsigned long long)seed, bad, unknown, (unsigned long long)steps, (unsigned long long)most);
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_TRUE(unknown <= 1 + count / (in_threads() ? 10 : 100)); /* the search has an end */
    CU_ASSERT_TRUE(play_stop());
}

static void test_one_worker(void)
{
    histories(1);
}

static void test_two_workers(void)
{
    histories(2);
}

static void test_three_workers(void)
{
    histories(3);
}

static void test_four_workers(void)
{
    histories(4);
}

static void test_planted_defects_are_found(void)
{
    uint64_t seed = from_environment("SEED", 1);
    play_start(4);
    for (enum linear_defect defect = TORN_MSET; defect < LINEAR_DEFECTS; defect++) {
        unsigned i = 0;
        for (bool linear = true; linear && i < 200; i++) {
            struct linear_verdict v;
            struct play p = play_of(4, seed + i);
            p.defect = defect;
            linear = is_linear(&p, &v);
        }
        printf("# %s: found in history %u\n", linear_defect_name[defect], i);
        CU_ASSERT_TRUE(i < 200);
    }
    CU_ASSERT_TRUE(play_stop());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_one_worker),   UNIT(test_two_workers),
        UNIT(test_three_workers), UNIT(test_four_workers),
        UNIT(test_planted_defects_are_found), {NULL, NULL},
    };
    return unit_main(argc, argv, in_threads() ? "linear/threads" : "linear/rig", tests);
}
