/* test_stop.c: a stop of a box with save points while a script that has not written takes long: the script is ended. And the end of control
 * alone meanwhile. */
#include "box_of_control.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static bool until_begins(int count)
{
    for (double end = now() + 60; now() < end; poll(NULL, 0, 5))
        if (order("begins") && atoi(output) >= count)
            return true;
    return false;
}

/* And what is in the log then is in output. */
static void stop_ends_the_script(void)
{
    int status = 1;
    CU_ASSERT_EQUAL(sh("%s stop 2>&1", cli), 0);
    waitpid(control, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(sh("cat %s/log", folder), 0);
    CU_ASSERT(says("the fake script was ended"));
    CU_ASSERT_PTR_NULL(strstr(output, "it does not get on"));
    CU_ASSERT_PTR_NULL(strstr(output, "the dataplane did not answer in time"));
    CU_ASSERT_PTR_NULL(strstr(output, "the dataplane does not answer"));
    sh("rm -rf %s/state %s/log", folder, folder);
}

static void test_a_stop_ends_the_script_that_a_snapshot_waits_for(void)
{
    start_box();
    CU_ASSERT(order("script busy"));
    double began = now();
    CU_ASSERT(last_order("ask bgsave"));
    CU_ASSERT(until_begins(13));
    CU_ASSERT(now() - began > 1.4); /* 10 times soon, then every half second */
    stop_ends_the_script();
}

static void test_a_stop_ends_a_script_that_began_after_writes_were_made_to_wait(void)
{
    start_box();
    CU_ASSERT(order("script begun"));
    stop_ends_the_script();
}

/* busy-reply-threshold 0, or a high one. */
static void test_a_stop_ends_a_script_of_which_nobody_is_told(void)
{
    start_box();
    CU_ASSERT(order("script silent"));
    stop_ends_the_script(); /* it has asked writes to wait */
    start_box();
    CU_ASSERT(order("script silent"));
    CU_ASSERT(last_order("ask bgsave"));
    CU_ASSERT(until_begins(1));
    stop_ends_the_script();
}

static void test_control_ends_while_a_snapshot_waits_for_its_beginning(void)
{
    start_box();
    CU_ASSERT(order("script silent"));
    CU_ASSERT(last_order("ask bgsave"));
    CU_ASSERT(until_begins(1));
    CU_ASSERT_EQUAL(end_control(SIGTERM), 0);
    CU_ASSERT_EQUAL(sh("cat %s/log", folder), 0);
    CU_ASSERT(says("sluice-control ends"));
    CU_ASSERT_PTR_NULL(strstr(output, "Snapshot failed"));
    start_control(); /* the dataplane and its script are there */
    stop_ends_the_script();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_stop_ends_the_script_that_a_snapshot_waits_for),
                                             UNIT(test_a_stop_ends_a_script_that_began_after_writes_were_made_to_wait),
                                             UNIT(test_a_stop_ends_a_script_of_which_nobody_is_told),
                                             UNIT(test_control_ends_while_a_snapshot_waits_for_its_beginning),
                                             {NULL, NULL}};
    return box_main(argc, argv, "control/stop", tests);
}
