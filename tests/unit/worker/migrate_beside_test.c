/* migrate_beside_test.c: MIGRATE beside what else the box does: FLUSHALL, transactions, scripts, other MIGRATEs, several workers,
 * its end; and without memory. What the two servers say to each other: migrate_test.c. */
#include "migrate_rig.h"

/* What concerns all keys waits for it. */
static void a_flush_waits(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        start(workers == 1 ? one : two);
        CU_ASSERT(rig_says(&rig, client[1], "SET x 1\r\n", "+OK\r\n"));
        sends(client[0], MOVE("x"));
        sends(client[1], "FLUSHALL\r\n");
        rig_run(&rig, WAIT_US);
        CU_ASSERT_EQUAL(client[1]->got_len, 0);
        CU_ASSERT(rig_says(&rig, client[2], "PING\r\n", "+PONG\r\n"));
        CU_ASSERT(hears(target(0), SELECT, "+OK\r\n") && hears_restore(target(0), "x", "-ERR no\r\n"));
        rig_run(&rig, WAIT_US);
        CU_ASSERT(client[0]->got_len > 0 && has(client[1], "+OK\r\n"));
        CU_ASSERT(rig_says(&rig, client[2], "EXISTS x\r\n", ":0\r\n"));
        CU_ASSERT(end());
    }
}

static void a_key_goes_although_the_client_has_gone(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[0], MOVE("k"));
    CU_ASSERT(hears(target(0), SELECT, "+OK\r\n"));
    tcp_abort(client[0]->conn, rig.now_us);
    client[0]->closed = true;
    CU_ASSERT(hears_restore(target(0), "k", "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "EXISTS k\r\n", ":0\r\n"));
    CU_ASSERT(end());
}

/* Hanging targets leave coroutines to other long commands. */
static void four_at_a_time(void)
{
    start(one);
    add("SADD", "set", MEMBERS);
    CU_ASSERT(rig_says(&rig, client[5], "MSET a 1 b 2 c 3 d 4 e 5\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < 5; i++) {
        static const char *const move[] = {MOVE("a"), MOVE("b"), MOVE("c"), MOVE("d"), MOVE("e")};
        sends(client[i], move[i]);
    }
    CU_ASSERT(rig.accepted == 4 && rig.worker->turns.running == 4);
    client[5]->got_len = 0;
    sends(client[5], "SMEMBERS set\r\n");
    CU_ASSERT(completes(client[5], members_size(MEMBERS)));
    rig_run(&rig, 600000);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT(has(client[i], READING));
    CU_ASSERT(hears(target(4), SELECT, "+OK\r\n") && hears_restore(target(4), "e", "+OK\r\n"));
    CU_ASSERT(has(client[4], "+OK\r\n"));
    CU_ASSERT(end());
}

static void long_values_and_many_keys(void)
{
    enum { KEYS = 2000, BYTES = 3000000 };
    static char text[KEYS * 16 + BYTES + 100], answers[KEYS * 5 + 1];
    start(plain);
    int n = sprintf(text, "*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$%d\r\n", BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        text[n++] = (char)('a' + (i * i) % 23);
    sprintf(text + n, "\r\n");
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    set_many(text, KEYS);
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    move_many(text, "MIGRATE 10.0.0.1 7000 \"\" 9 1000 KEYS long", KEYS);
    sends(client[0], text);
    struct rig_client *t = target(0);
    CU_ASSERT(hears(t, SELECT, "+OK\r\n"));
    for (unsigned i = 0; i < 3000 && !memmem(t->got, t->got_len, "\r\nk1999\r\n", 9); i++)
        rig_run(&rig, 1000);
    rig_run(&rig, WAIT_US);
    const char *last = memmem(t->got, t->got_len, "\r\nk1999\r\n", 9);
    CU_ASSERT(last != NULL);
    for (unsigned i = 0; i <= KEYS; i++)
        strcat(answers + 5 * (i ? i - 1 : 0), i ? "+OK\r\n" : "");
    rig_send(t, answers);
    rig_run(&rig, 10000);
    CU_ASSERT_EQUAL(client[0]->got_len, 0); /* one is missing */
    rig_send(t, "+OK\r\n");
    rig_run(&rig, 10000);
    CU_ASSERT(has(client[0], "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":0\r\n"));
    CU_ASSERT(end());
}

/* It would hold up what must not be held up. */
static void not_within_a_transaction(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\nMULTI\r\nMIGRATE 10.0.0.1 7000 k 9 500\r\n",
                       "+OK\r\n+OK\r\n+QUEUED\r\n"));
    sends(client[1], "EXEC\r\n");
    CU_ASSERT(memcmp(client[1]->got, "*1\r\n-ERR MIGRATE waits for another server", 41) == 0);
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(end());
}

static void nor_within_a_script(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[1], "EVAL \"return redis.call('MIGRATE','10.0.0.1','7000',KEYS[1],'9','500')\" 1 k\r\n");
    CU_ASSERT(memcmp(client[1]->got, "-ERR MIGRATE waits for another server", 37) == 0);
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(end());
}

/* Keys of several workers have no queue to wait in; other stops of all workers go on meanwhile. */
static void a_fifth_over_several_workers_is_refused(void)
{
    enum { MOST = 5 };
    start(two);
    for (unsigned i = 0; i < MOST; i++) {
        struct rig_client *c = rig_connect(&rig, 6 + 2 * i); /* all of one worker */
        char text[128], a[16], b[16];
        sprintf(a, "{%s}%u", key_of(0), i);
        sprintf(b, "{%s}%u", key_of(1), i);
        sprintf(text, "MSET %s 1 %s 2\r\n", a, b);
        CU_ASSERT(rig_says(&rig, c, text, "+OK\r\n"));
        sprintf(text, "MIGRATE 10.0.0.1 7000 \"\" 9 500 KEYS %s %s\r\n", a, b);
        sends(c, text);
    }
    CU_ASSERT(has(&rig.client[14], "-ERR too many commands wait for other servers, try again\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":10\r\n"));
    rig_run(&rig, 600000);
    for (unsigned i = 0; i + 1 < MOST; i++)
        CU_ASSERT(has(&rig.client[6 + 2 * i], READING));
    CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":10\r\n"));
    CU_ASSERT(end());
}

static void notifications_and_watch_tell_of_it(void)
{
    static const char *const events[] = {"workers", "1", "notify-keyspace-events", "KEA", NULL};
    start(events);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\nWATCH k\r\n", "+OK\r\n+OK\r\n"));
    sends(client[2], "PSUBSCRIBE __keyevent*\r\n");
    client[2]->got_len = 0;
    sends(client[0], MOVE("k"));
    CU_ASSERT(hears(target(0), SELECT, "+OK\r\n") && hears_restore(target(0), "k", "+OK\r\n"));
    CU_ASSERT(has(client[2],
                  "*4\r\n$8\r\npmessage\r\n$11\r\n__keyevent*\r\n$18\r\n__keyevent@0__:del\r\n$1\r\nk\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "MULTI\r\nPING\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n"));
    CU_ASSERT(end());
}

/* Whoever waits is let go, and nothing leaks. */
static void the_box_ends_meanwhile(void)
{
    for (unsigned stage = 0; stage < 3; stage++) {
        start(one);
        CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
        sends(client[0], stage == 2 ? "MIGRATE 10.0.0.77 7000 k 9 5000\r\n" : MOVE("k"));
        if (stage == 1)
            CU_ASSERT(hears(target(0), SELECT, "+OK\r\n"));
        CU_ASSERT(rig_stop(&rig));
    }
}

static void any_allocation_may_fail(void)
{
    bool done = false;
    unsigned refused = 0;
    for (long n = 0; !done; n++) {
        start(one);
        CU_ASSERT(rig_says(&rig, client[4], "SET k 1\r\n", "+OK\r\n"));
        fail_at = n;
        sends(client[0], MOVE("k"));
        rig_run(&rig, WAIT_US);
        if (rig.accepted && target(0)->got_len)
            rig_send(target(0), "+OK\r\n");
        rig_run(&rig, WAIT_US);
        if (rig.accepted)
            rig_send(target(0), "+OK\r\n");
        rig_run(&rig, 600000);
        done = fail_at >= 0;
        fail_at = -1;
        bool moved = client[0]->got_len && client[0]->got[0] == '+';
        refused += !moved;
        CU_ASSERT(moved || client[0]->peer_closed || client[0]->got[0] == '-');
        if (client[0]->got_len) /* without memory for the reply nobody is told what became of the key */
            CU_ASSERT(rig_says(&rig, client[4], "EXISTS k\r\n", moved ? ":0\r\n" : ":1\r\n"));
        CU_ASSERT(end());
    }
    CU_ASSERT(refused > 3);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(a_key_goes_although_the_client_has_gone),
                                             UNIT(a_flush_waits),
                                             UNIT(four_at_a_time),
                                             UNIT(long_values_and_many_keys),
                                             UNIT(not_within_a_transaction),
                                             UNIT(nor_within_a_script),
                                             UNIT(a_fifth_over_several_workers_is_refused),
                                             UNIT(notifications_and_watch_tell_of_it),
                                             UNIT(the_box_ends_meanwhile),
                                             UNIT(any_allocation_may_fail),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/migrate_beside", tests);
}
