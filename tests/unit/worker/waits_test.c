/* waits_test.c: what happens to requests that wait for others while the world goes on: users change (dataplane/README.md, Users), and
 * nobody is stopped for nothing (dataplane/worker_stop.c). Whole workers in virtual time, with commands in slices. */
#include "turns_rig.h"
#include "channel/messages.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { SOURCE = 1000 };

static char source[16], target[16];

static void says(unsigned i, const char *text, const char *expected)
{
    CU_ASSERT_TRUE(rig_says(&rig, client[i], text, expected));
}

/* `target` is a key of the second worker if there are two. */
static void keys_are_chosen(const char *const *pairs)
{
    begin(pairs);
    snprintf(source, sizeof source, "%s", rig_key(&rig, 1, 0));
    snprintf(target, sizeof target, "%s", rig_key(&rig, 1, 1));
    says(5, "ACL SETUSER u on nopass ~* &* +@all\r\n", "+OK\r\n");
    for (unsigned i = 0; i < 2; i++)
        says(2 * i, "AUTH u x\r\n", "+OK\r\n");
    add("SADD", source, SOURCE);
}

/* A command of client 1 has it, and is far from its end. */
static void target_is_taken_now(void)
{
    static char text[64];
    snprintf(text, sizeof text, "SUNIONSTORE %s %s\r\n", target, source);
    client[1]->got_len = 0;
    rig_exchange(&rig, client[1], text, strlen(text), 0);
    rig_run(&rig, 1000);
    CU_ASSERT_TRUE(pins() > 0 && client[1]->got_len == 0);
}

static void target_is_taken(const char *const *pairs)
{
    keys_are_chosen(pairs);
    target_is_taken_now();
}

/* It has ended, and what waited for it. */
static void target_is_free(void)
{
    CU_ASSERT_TRUE(completes(client[1], strlen(":1000\r\n")));
    rig_run(&rig, 5000);
}

static void sends_to_target(unsigned i, const char *format)
{
    static char text[CLIENTS][64];
    snprintf(text[i], sizeof text[i], format, target);
    sends(client[i], text[i]);
    CU_ASSERT_EQUAL(client[i]->got_len, 0);
}

static bool refused(unsigned i)
{
    static const char code[] = "-NOPERM ";
    return client[i]->got_len > sizeof code && memcmp(client[i]->got, code, sizeof code - 1) == 0;
}

/* What waits for a key may do what its user may when it runs. */
static void rights_are_those_of_the_moment(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        target_is_taken(workers == 1 ? one : two);
        sends_to_target(0, "SET %s v\r\n");
        sends_to_target(2, "SADD %s more\r\n");
        says(5, "ACL SETUSER u -set\r\n", "+OK\r\n");
        CU_ASSERT_EQUAL(client[1]->got_len, 0); /* still under way */
        target_is_free();
        CU_ASSERT_TRUE(refused(0));
        CU_ASSERT_TRUE(has(client[2], ":1\r\n"));
        CU_ASSERT_TRUE(end());
    }
}

/* Rights that came are there, too. */
static void rights_may_grow(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        target_is_taken(workers == 1 ? one : two);
        says(5, "ACL SETUSER u -set\r\n", "+OK\r\n");
        sends_to_target(2, "SADD %s more\r\n");
        says(5, "ACL SETUSER u +@all\r\n", "+OK\r\n");
        target_is_free();
        CU_ASSERT_TRUE(has(client[2], ":1\r\n"));
        CU_ASSERT_TRUE(end());
    }
}

/* Nothing is done in the name of a user that is no more, nor as the default user instead. */
static void a_user_that_has_gone_does_nothing(void)
{
    char text[64];
    for (unsigned workers = 1; workers <= 2; workers++) {
        target_is_taken(workers == 1 ? one : two);
        sends_to_target(0, "SET %s v\r\n");
        says(5, "ACL DELUSER u\r\n", ":1\r\n");
        CU_ASSERT_EQUAL(client[1]->got_len, 0);
        target_is_free();
        CU_ASSERT_TRUE(client[0]->peer_closed);
        snprintf(text, sizeof text, "SCARD %s\r\n", target);
        says(5, text, ":1000\r\n");
        CU_ASSERT_TRUE(end());
    }
}

static uint64_t stops(void)
{
    return rig.counters.v[COUNTER_barriers] + rig.second_counters.v[COUNTER_barriers];
}

/* FLUSHALL, and what control asks when a log ends, wait for who writes in slices: they look when that has ended, not each round. */
static void who_waits_for_a_stop_lets_others_run(void)
{
    static char flush[] = "FLUSHALL\r\n", size[] = "DBSIZE\r\n";
    for (unsigned home = 0; home < 2; home++) { /* of the waiting one: the other worker, and that of the keys */
        target_is_taken(two);
        uint64_t before = stops();
        sends(client[3 + !home], flush);
        CU_ASSERT_EQUAL(client[3 + !home]->got_len, 0);
        CU_ASSERT_TRUE(stops() > before);
        before = stops();
        rig_run(&rig, 5000);
        CU_ASSERT_EQUAL(stops(), before);
        CU_ASSERT_EQUAL(client[1]->got_len, 0); /* it went on all the time */
        target_is_free();
        CU_ASSERT_TRUE(has(client[3 + !home], "+OK\r\n"));
        says(5, size, ":0\r\n");
        CU_ASSERT_TRUE(end());
    }
}

/* The end of a log, which control asks for, waits as quietly. */
static void the_end_of_a_log_lets_others_run(void)
{
    static const struct client control = {.flags = CLIENT_AUTHENTICATED | CLIENT_INTERNAL};
    const struct slice argv[] = {SLICE_LIT(SNAPSHOT_WORD), SLICE_LIT("nolog")};
    target_is_taken(two);
    worker_snapshot_init();
    const unsigned self = fabric_main(rig.box.fabric);
    struct job *j = job_new(JOB_EXEC, self, &control, 2, argv);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_TRUE(fabric_send(rig.box.fabric, self, 0, j));
    rig_run(&rig, 2000);
    uint64_t before = stops();
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(stops(), before);
    CU_ASSERT_PTR_NULL(fabric_receive(rig.box.fabric, self));
    CU_ASSERT_EQUAL(client[1]->got_len, 0);
    target_is_free();
    CU_ASSERT_PTR_EQUAL(fabric_receive(rig.box.fabric, self), j);
    CU_ASSERT_TRUE(slice_eq(job_reply(j), SLICE_LIT("+OK\r\n")));
    job_free(j);
    CU_ASSERT_TRUE(end());
}

/* ... and one whose client goes gives up its place at once. */
static void who_goes_gives_up_the_place(void)
{
    static char flush[] = "FLUSHALL\r\n", size[] = "DBSIZE\r\n";
    target_is_taken(two);
    sends(client[4], flush);
    CU_ASSERT_EQUAL(client[4]->got_len, 0);
    tcp_abort(client[4]->conn, rig.now_us);
    client[4]->conn = NULL;
    rig_run(&rig, 2000);
    CU_ASSERT_EQUAL(client[1]->got_len, 0);
    CU_ASSERT_TRUE(rig.box.worker[0]->barrier_first == NULL);
    target_is_free();
    says(5, size, ":2\r\n");
    CU_ASSERT_TRUE(end());
}

/* A client is served with what one of another worker has in slices, where nothing else happens afterwards: he runs when that has ended. Another one
 * with keys that nobody has does not wait for that. */
static void who_is_served_over_shards_waits_for_keys(void)
{
    static char waits[2][64], pushes[2][64];
    keys_are_chosen(two);
    for (unsigned i = 0; i < 2; i++) {
        const char *list = rig_key(&rig, 0, 2 + i);
        snprintf(waits[i], sizeof waits[i], "BLMOVE %s %s LEFT LEFT 0\r\n", list, i ? rig_key(&rig, 1, 2) : target);
        snprintf(pushes[i], sizeof pushes[i], "RPUSH %s v\r\n", list);
        sends(client[2 + 2 * i], waits[i]);
    }
    target_is_taken_now();
    for (unsigned i = 0; i < 2; i++)
        says(0, pushes[i], ":1\r\n");
    CU_ASSERT_EQUAL(client[2]->got_len, 0);
    CU_ASSERT_TRUE(has(client[4], "$1\r\nv\r\n"));
    CU_ASSERT_EQUAL(client[1]->got_len, 0);
    target_is_free();
    CU_ASSERT_TRUE(has(client[2], "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"));
    CU_ASSERT_TRUE(end());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(rights_are_those_of_the_moment),
                                             UNIT(rights_may_grow),
                                             UNIT(a_user_that_has_gone_does_nothing),
                                             UNIT(who_waits_for_a_stop_lets_others_run),
                                             UNIT(the_end_of_a_log_lets_others_run),
                                             UNIT(who_goes_gives_up_the_place),
                                             UNIT(who_is_served_over_shards_waits_for_keys),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/waits", tests);
}
