/* inspect_test.c: what control asks of the workers, on its way over one and two workers in virtual time. */
#include "box_rig.h"
#include "job.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};
static char answer[1 << 20];
static unsigned long answer_rounds; /* rounds of worker 0 until the answer came */

/* The words of `question` are the arguments; the whole RESP reply in answer. */
static bool ask(const char *question)
{
    struct fabric *f = rig.box.fabric;
    struct slice argv[8];
    const char *error = "";
    char words[256], *state;
    int argc = 0;
    snprintf(words, sizeof words, "%s", question);
    for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state))
        argv[argc++] = slice_str(w);
    struct job *j = inspect_job(fabric_main(f), argc, argv, &error), *back = NULL;
    if (!j) {
        snprintf(answer, sizeof answer, "-%s\r\n", error);
        return false;
    }
    uint64_t before = count_read(rig.worker->counters, COUNTER_loop_rounds);
    if (!fabric_send(f, fabric_main(f), 0, j))
        abort();
    for (int i = 0; i < 100000 && !back; i++) {
        rig_run(&rig, 100);
        back = fabric_receive(f, fabric_main(f));
    }
    answer_rounds = count_read(rig.worker->counters, COUNTER_loop_rounds) - before;
    if (!back)
        return false;
    inspect_finish(back);
    struct slice reply = job_reply(back);
    snprintf(answer, sizeof answer, "%.*s", (int)reply.len, (const char *)reply.p);
    job_free(back);
    return *answer == '$';
}

static bool says(const char *text)
{
    if (strstr(answer, text))
        return true;
    printf("# no %s in: %.600s\n", text, answer);
    return false;
}

static void test_every_worker_is_visited_in_order(void)
{
    rig_start(&rig, two, NULL);
    rig_connect(&rig, 1);
    CU_ASSERT_TRUE(ask("workers"));
    CU_ASSERT_STRING_EQUAL(answer, "$84\r\n{\"worker\":0,\"connections\":0,\"sessions\":0}\n"
                                   "{\"worker\":1,\"connections\":1,\"sessions\":1}\n\r\n");
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_one_worker_is_first_and_last(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_TRUE(ask("workers"));
    CU_ASSERT_TRUE(says("{\"worker\":0,"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_an_unknown_question_is_refused(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_FALSE(ask("nonsense"));
    CU_ASSERT_TRUE(says("-ERR unknown inspection"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_no_client_can_ask(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "%INSPECT workers\r\n",
                            "-ERR unknown command '%INSPECT', with args beginning with: 'workers' \r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_every_worker_is_visited_in_order),
        UNIT(test_one_worker_is_first_and_last),
        UNIT(test_an_unknown_question_is_refused),
        UNIT(test_no_client_can_ask),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/inspect", tests);
}
