/* block_jobs_test.c: jobs that wait for keys, without connections: very many, and when memory is short. */
#include "box_rig.h"
#include "job.h"
#include "nomem.h"
#include "unit.h"

#include <stdio.h>

static struct box_rig rig;

static bool empty(const struct worker *w)
{
    return w->blocking.clients + w->waits->nodes + w->waits->keys == 0;
}

enum { VERY_MANY = 10000 };

static struct job *wait_in(struct worker *w, const struct client *c, const char *timeout)
{
    const struct slice argv[] = {SLICE_LIT("BLPOP"), SLICE_LIT("queue"), slice_str(timeout)};
    struct job *j = job_new(JOB_HOP, 0, c, 3, argv);
    job_prepare(j, &w->env);
    return job_run(j, &w->env) == CMD_BLOCK && block_begin(&w->blocking, j) ? j : NULL;
}

static void test_ten_thousand_wait_at_one_key(void)
{
    struct client c;
    unsigned waiting = 0, in_order = 0, late = 0, slices;
    rig_start(&rig, NULL, NULL);
    struct worker *w = rig.box.worker[0];
    client_init(&c, 1, 0);
    c.flags |= CLIENT_AUTHENTICATED;
    for (unsigned i = 0; i < VERY_MANY; i++)
        waiting += wait_in(w, &c, i & 1 ? "0.001" : "100") != NULL;
    CU_ASSERT_EQUAL(waiting, VERY_MANY);
    CU_ASSERT_TRUE(w->blocking.bytes < VERY_MANY * 1500);
    w->env.now_us += 2000; /* half of them give up */
    for (unsigned before = late + 1; late != before;) { /* some at a time */
        before = late;
        block_timers(&w->blocking);
        for (struct job *j; (j = block_done(&w->blocking)); late++) {
            CU_ASSERT_TRUE(block_leave(&w->blocking, j));
            job_free(j);
        }
    }
    CU_ASSERT_EQUAL(late, VERY_MANY / 2);
    CU_ASSERT_EQUAL(w->blocking.clients, VERY_MANY / 2);
    static struct slice push[VERY_MANY / 2 + 2];
    static char text[VERY_MANY / 2][8];
    push[0] = SLICE_LIT("RPUSH");
    push[1] = SLICE_LIT("queue");
    for (unsigned i = 0; i < VERY_MANY / 2; i++) {
        sprintf(text[i], "%05u", i);
        push[i + 2] = slice_str(text[i]);
    }
    struct job *pusher = job_new(JOB_HOP, 0, &c, VERY_MANY / 2 + 2, push);
    job_prepare(pusher, &w->env);
    w->env.turns = false;
    job_run(pusher, &w->env);
    job_free(pusher);
    block_serve(&w->blocking, false);
    for (slices = 0; block_rows(w->waits); slices++) {
        CU_ASSERT_EQUAL(shard_pins(rig.box.ks->shard[0])->writing, 1);
        block_go_on(&w->blocking);
    }
    CU_ASSERT_TRUE(slices > 1);
    CU_ASSERT_EQUAL(shard_pins(rig.box.ks->shard[0])->pins, 0);
    for (struct job *j; (j = block_done(&w->blocking));) {
        struct slice reply = job_reply(j);
        in_order += reply.len > 7 && memcmp(reply.p + reply.len - 7, text[in_order], 5) == 0;
        CU_ASSERT_TRUE(block_leave(&w->blocking, j));
        job_free(j);
    }
    CU_ASSERT_EQUAL(in_order, VERY_MANY / 2);
    CU_ASSERT_EQUAL(w->blocking.bytes + w->blocking.clients + w->blocking.timers, 0);
    CU_ASSERT_TRUE(empty(w));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_without_memory_nothing_is_left_in_the_tables(void)
{
    rig_start(&rig, NULL, NULL);
    struct worker *w = rig.box.worker[0];
    struct client c;
    unsigned refused = 0;
    bool done = false;
    client_init(&c, 1, 0);
    c.flags |= CLIENT_AUTHENTICATED;
    for (unsigned n = 0; !done; n++) {
        const struct slice argv[] = {SLICE_LIT("BLPOP"), SLICE_LIT("a"), SLICE_LIT("b"), SLICE_LIT("9")};
        fail_at = -1;
        struct job *j = job_new(JOB_HOP, 0, &c, 4, argv);
        job_prepare(j, &w->env);
        CU_ASSERT_EQUAL(job_run(j, &w->env), CMD_BLOCK);
        fail_at = n;
        bool waits = block_begin(&w->blocking, j);
        done = fail_at >= 0;
        fail_at = -1;
        refused += !waits;
        CU_ASSERT_TRUE(waits == done);
        CU_ASSERT_EQUAL(w->blocking.clients, waits);
        if (waits)
            CU_ASSERT_TRUE(block_end(&w->blocking, j, false) && block_done(&w->blocking) == j);
        CU_ASSERT_TRUE(block_leave(&w->blocking, j));
        job_free(j);
        CU_ASSERT_EQUAL(w->blocking.bytes + w->blocking.timers, 0);
        CU_ASSERT_TRUE(empty(w));
    }
    CU_ASSERT_TRUE(refused >= 4);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_ten_thousand_wait_at_one_key),
        UNIT(test_without_memory_nothing_is_left_in_the_tables),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/block_jobs", tests);
}
