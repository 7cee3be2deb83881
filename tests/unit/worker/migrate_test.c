/* migrate_test.c: MIGRATE and the connections it opens (dataplane/peer.c), against a target of our own that
 * says what the test wants, in virtual time. MIGRATE beside other commands: migrate_beside_test.c. */
#include "migrate_rig.h"

static void a_key_goes_when_the_target_has_it(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[0], MOVE("k"));
    struct rig_client *t = target(0);
    CU_ASSERT(hears(t, SELECT, "+OK\r\n"));
    /* version 10; the checksum is that of redis-server */
    static const char restore[] = "*4\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$1\r\n0\r\n$13\r\n\x00\xc0\x01";
    CU_ASSERT(memmem(t->got, t->got_len, restore, sizeof restore - 1) != NULL);
    CU_ASSERT(rig_says(&rig, client[1], "SET other 1\r\nGET other\r\n", "+OK\r\n$1\r\n1\r\n"));
    sends(client[2], "GET k\r\n"); /* it waits: nobody sees a key that may be gone */
    CU_ASSERT_EQUAL(client[0]->got_len + client[2]->got_len, 0);
    rig_send(t, "+OK\r\n");
    rig_run(&rig, WAIT_US);
    CU_ASSERT(has(client[0], "+OK\r\n") && has(client[2], "$-1\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "EXISTS k other\r\n", ":1\r\n"));
    CU_ASSERT(end());
}

static void a_connection_is_kept_for_ten_seconds(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "MSET a 1 b 2 c 3\r\n", "+OK\r\n"));
    sends(client[0], MOVE("a"));
    struct rig_client *t = target(0);
    CU_ASSERT(hears(t, SELECT, "+OK\r\n") && hears_restore(t, "a", "+OK\r\n"));
    CU_ASSERT(has(client[0], "+OK\r\n"));
    rig_run(&rig, 9000000);
    CU_ASSERT_FALSE(t->peer_closed);
    sends(client[0], MOVE("b")); /* the database is selected already */
    CU_ASSERT(memcmp(t->got, "*4\r\n$7\r\nRESTORE", 15) == 0);
    CU_ASSERT(hears_restore(t, "b", "+OK\r\n") && has(client[0], "+OK\r\n"));
    CU_ASSERT_EQUAL(rig.accepted, 1);
    CU_ASSERT_EQUAL(rig.worker->peers.n, 1);
    rig_run(&rig, 11000000);
    CU_ASSERT(t->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->peers.n, 0);
    sends(client[0], MOVE("c"));
    CU_ASSERT(hears(target(1), SELECT, "+OK\r\n") && hears_restore(target(1), "c", "+OK\r\n"));
    CU_ASSERT(has(client[0], "+OK\r\n"));
    CU_ASSERT(end());
}

/* As Redis does it: once more with a new one. */
static void a_connection_that_has_died_is_replaced(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "MSET a 1 b 2\r\n", "+OK\r\n"));
    sends(client[0], MOVE("a"));
    CU_ASSERT(hears(target(0), SELECT, "+OK\r\n") && hears_restore(target(0), "a", "+OK\r\n"));
    tcp_close(target(0)->conn, rig.now_us); /* while nobody uses it */
    target(0)->closed = true;
    rig_run(&rig, WAIT_US);
    CU_ASSERT_EQUAL(rig.worker->peers.n, 0);
    sends(client[0], MOVE("b"));
    CU_ASSERT(hears(target(1), SELECT, "+OK\r\n"));
    tcp_abort(target(1)->conn, rig.now_us); /* and this one with a key on its way */
    target(1)->closed = true;
    CU_ASSERT(hears(target(2), SELECT, "+OK\r\n") && hears_restore(target(2), "b", "+OK\r\n"));
    CU_ASSERT(has(client[0], "+OK\r\n"));
    CU_ASSERT(end());
}

static void options_and_what_is_left_of_time_are_sent(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k v EX 100\r\n", "+OK\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7000 k 9 500 COPY REPLACE AUTH2 me secret\r\n");
    struct rig_client *t = target(0);
    CU_ASSERT(hears(t, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n", "+OK\r\n") &&
              hears(t, SELECT, "+OK\r\n"));
    CU_ASSERT(memcmp(t->got, "*5\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$", 25) == 0);
    long ms = atol((char *)t->got + 28);
    CU_ASSERT(ms > 90000 && ms <= 100000);
    CU_ASSERT(memcmp(t->got + t->got_len - 13, "$7\r\nREPLACE\r\n", 13) == 0);
    CU_ASSERT(hears_restore(t, "k", "+OK\r\n") && has(client[0], "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\nv\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7000 k 9 500 AUTH wrong\r\n");
    CU_ASSERT(hears(t, "*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n", "-WRONGPASS no\r\n"));
    CU_ASSERT(has(client[0], "-ERR Target instance replied with error: WRONGPASS no\r\n"));
    CU_ASSERT_EQUAL(t->got_len, 0); /* no key is sent to where it does not belong */
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\nv\r\n"));
    CU_ASSERT(end());
}

static void what_is_refused_stays(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        char set[64], move[128], exists[64];
        start(workers == 1 ? one : two);
        const char *other = key_of(!keyspace_shard_of(rig.box.ks, slice_str("x")));
        sprintf(set, "MSET x 2 %s 3\r\n", other);
        sprintf(move, "MIGRATE 10.0.0.1 7000 \"\" 9 500 KEYS none x %s\r\n", other);
        sprintf(exists, "EXISTS x %s\r\n", other);
        CU_ASSERT(rig_says(&rig, client[1], set, "+OK\r\n"));
        sends(client[0], move);
        struct rig_client *t = target(0);
        CU_ASSERT(hears(t, SELECT, "+OK\r\n"));
        CU_ASSERT(hears_restore(t, "x", "-BUSYKEY Target\r\n"));
        CU_ASSERT(rig_says(&rig, client[2], "GET other\r\n", "$-1\r\n")); /* nobody else waits */
        rig_send(t, "+OK\r\n");
        rig_run(&rig, WAIT_US);
        CU_ASSERT(has(client[0], "-ERR Target instance replied with error: BUSYKEY Target\r\n"));
        CU_ASSERT(rig_says(&rig, client[1], exists, ":1\r\n"));
        CU_ASSERT(rig_says(&rig, client[1], "GET x\r\n", "$1\r\n2\r\n"));
        CU_ASSERT(end());
    }
}

/* Whoever has logged in leaves nobody else a connection. */
static void a_login_is_nobody_elses(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "MSET a 1 b 2 c 3\r\n", "+OK\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7000 a 9 500 AUTH p\r\n");
    CU_ASSERT(hears(target(0), "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n", "+OK\r\n"));
    CU_ASSERT(hears(target(0), SELECT, "+OK\r\n") && hears_restore(target(0), "a", "+OK\r\n"));
    sends(client[2], MOVE("b"));
    CU_ASSERT(hears(target(1), SELECT, "-NOAUTH log in\r\n"));
    CU_ASSERT(has(client[2], "-ERR Target instance replied with error: NOAUTH log in\r\n"));
    sends(client[2], "MIGRATE 10.0.0.1 7000 c 9 500 AUTH p\r\n");
    CU_ASSERT(hears(target(0), "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n", "+OK\r\n"));
    CU_ASSERT(hears_restore(target(0), "c", "+OK\r\n") && has(client[2], "+OK\r\n"));
    CU_ASSERT_EQUAL(rig.accepted, 2);
    CU_ASSERT(end());
}

/* The first key has arrived, the second has not, wholly. */
static void what_was_answered_before_a_reset_counts(void)
{
    enum { BYTES = 3000000 };
    static char text[BYTES + 100];
    start(plain);
    int n = sprintf(text, "*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$%d\r\n", BYTES);
    memset(text + n, 'x', BYTES);
    strcpy(text + n + BYTES, "\r\n");
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "SET a 1\r\n", "+OK\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7000 \"\" 9 500 KEYS a long\r\n");
    struct rig_client *t = target(0);
    rig_run(&rig, WAIT_US);
    t->paused = true; /* what follows finds no room */
    rig_send(t, "+OK\r\n");
    rig_run(&rig, 100000);
    rig_send(t, "+OK\r\n");
    rig_run(&rig, 100000);
    tcp_abort(t->conn, rig.now_us);
    t->closed = true;
    rig_run(&rig, WAIT_US);
    CU_ASSERT(has(client[0], WRITING));
    CU_ASSERT(rig_says(&rig, client[1], "EXISTS a\r\nSTRLEN long\r\n", ":0\r\n:3000000\r\n"));
    CU_ASSERT_EQUAL(rig.accepted, 1); /* it is not tried again */
    CU_ASSERT(end());
}

static void a_silent_target_is_given_up(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[0], MOVE("k"));
    CU_ASSERT(hears(target(0), SELECT, ""));
    rig_run(&rig, 450000);
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    rig_run(&rig, 100000);
    CU_ASSERT(has(client[0], READING));
    CU_ASSERT(target(0)->closed); /* what is on its way must not be done later */
    CU_ASSERT_EQUAL(rig.accepted, 1);
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(end());
}

/* The machine has stood still, not the target: it is given the time that was left. */
static void who_was_away_has_not_listened(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[0], MOVE("k"));
    CU_ASSERT(hears(target(0), SELECT, ""));
    rig_run(&rig, 200000);
    rig.now_us += 10000000;
    rig_run(&rig, 100000);
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    CU_ASSERT(hears(target(0), "", "+OK\r\n") && hears_restore(target(0), "k", ""));
    rig.now_us += 10000000;
    rig_run(&rig, 300000);
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    rig_run(&rig, 200000);
    CU_ASSERT(has(client[0], READING));
    CU_ASSERT(end());
}

static void nobody_there(void)
{
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7002 k 9 500\r\n"); /* nobody listens */
    rig_run(&rig, WAIT_US);
    CU_ASSERT(has(client[0], WRITING));
    sends(client[0], "MIGRATE 10.0.0.77 7000 k 9 500\r\n"); /* nobody has the address */
    rig_run(&rig, 400000);
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    rig_run(&rig, 200000);
    CU_ASSERT(has(client[0], CONNECTING));
    CU_ASSERT(rig_says(&rig, client[0], "MIGRATE 192.0.2.1 7000 k 9 500\r\n", CONNECTING)); /* no route */
    CU_ASSERT(rig_says(&rig, client[0], "MIGRATE 10.0.0.2 6379 k 9 500\r\n", CONNECTING));  /* ourselves */
    CU_ASSERT(rig_says(&rig, client[0], "MIGRATE fd00::1 7000 k 9 500\r\n", CONNECTING));   /* no IPv6 */
    CU_ASSERT(rig_says(&rig, client[0], "MIGRATE host 7000 k 9 500\r\n",
                       "-IOERR the target must be a numeric address and a port: names are not resolved\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\n1\r\n"));
    CU_ASSERT(end());
}

static void nonsense_is_no_success(void)
{
    static char endless[6000];
    static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n", ":1\r\n", "\r\n", endless};
    memset(endless, '+', sizeof endless - 1);
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "SET k 1\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        sends(client[0], MOVE("k"));
        CU_ASSERT(hears(target(i), SELECT, "+OK\r\n") && hears_restore(target(i), "k", answers[i]));
        CU_ASSERT(has(client[0], READING));
        CU_ASSERT(rig_says(&rig, client[1], "GET k\r\n", "$1\r\n1\r\n"));
    }
    CU_ASSERT(end());
}

static void replies_may_come_in_pieces(void)
{
    static const char *const pieces[] = {"+", "OK", "\r", "\n+OK\r\n-", "ERR", " full\r", "\n"};
    start(one);
    CU_ASSERT(rig_says(&rig, client[1], "MSET a 1 b 2\r\n", "+OK\r\n"));
    sends(client[0], "MIGRATE 10.0.0.1 7000 \"\" 9 500 KEYS a b\r\n");
    for (unsigned i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        CU_ASSERT_EQUAL(client[0]->got_len, 0);
        rig_send(target(0), pieces[i]);
        rig_run(&rig, 400000); /* the time limit begins anew with each */
    }
    CU_ASSERT(has(client[0], "-ERR Target instance replied with error: ERR full\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "EXISTS a\r\nEXISTS b\r\n", ":0\r\n:1\r\n"));
    CU_ASSERT(end());
}

/* What was read last fills the buffer to its end, which is that of no reply. */
static void a_full_buffer_may_end_within_a_reply(void)
{
    enum { KEYS = 900, FULL = 4096, REPLY = 5 };
    static char text[KEYS * 16], answers[KEYS * REPLY + 1], first[FULL + 1];
    start(one);
    set_many(text, KEYS);
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    move_many(text, "MIGRATE 10.0.0.1 7000 \"\" 9 1000 KEYS", KEYS);
    sends(client[0], text);
    struct rig_client *t = target(0);
    CU_ASSERT(hears(t, SELECT, "+OK\r\n"));
    for (unsigned i = 0; i < 1000 && !memmem(t->got, t->got_len, "\r\nk899\r\n", 8); i++)
        rig_run(&rig, 1000);
    for (unsigned i = 0; i < KEYS; i++)
        memcpy(answers + REPLY * i, "+OK\r\n", REPLY);
    memcpy(first, answers, FULL);
    rig_send(t, first);
    rig_run(&rig, WAIT_US);
    CU_ASSERT_EQUAL(client[0]->got_len, 0);
    rig_send(t, answers + FULL);
    rig_run(&rig, WAIT_US);
    CU_ASSERT(has(client[0], "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":0\r\n"));
    CU_ASSERT(end());
}

/* Over a wire that loses, doubles and reorders. */
static void losses_do_not_matter(void)
{
    enum { KEYS = 200 };
    static const struct memwire_fault fault = {
        .loss = 50000, .duplicate = 20000, .reorder = 50000, .delay_us = 200};
    static char text[KEYS * 16], answers[KEYS * 5 + 1];
    rig_start(&rig, one, &fault);
    rig_serve(&rig, PORT);
    for (unsigned i = 0; i < CLIENTS; i++)
        client[i] = rig_connect(&rig, i);
    set_many(text, KEYS);
    rig_exchange(&rig, client[1], text, strlen(text), 5);
    move_many(text, "MIGRATE 10.0.0.1 7000 \"\" 9 60000 KEYS", KEYS);
    rig_exchange(&rig, client[0], text, strlen(text), 0);
    for (unsigned i = 0; i < 1000 && !rig.accepted; i++)
        rig_run(&rig, 10000);
    rig_send(target(0), "+OK\r\n");
    for (unsigned i = 0; i < 1000 && !memmem(target(0)->got, target(0)->got_len, "\r\nk199\r\n", 8); i++)
        rig_run(&rig, 10000);
    for (unsigned i = 0; i < KEYS; i++)
        memcpy(answers + 5 * i, "+OK\r\n", 5);
    rig_send(target(0), answers);
    for (unsigned i = 0; i < 1000 && !client[0]->got_len; i++)
        rig_run(&rig, 10000);
    CU_ASSERT(has(client[0], "+OK\r\n"));
    client[1]->got_len = 0;
    rig_exchange(&rig, client[1], "DBSIZE\r\n", 8, 4);
    CU_ASSERT(has(client[1], ":0\r\n"));
    CU_ASSERT(end());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(a_key_goes_when_the_target_has_it),
                                             UNIT(a_connection_is_kept_for_ten_seconds),
                                             UNIT(a_connection_that_has_died_is_replaced),
                                             UNIT(options_and_what_is_left_of_time_are_sent),
                                             UNIT(what_is_refused_stays),
                                             UNIT(a_login_is_nobody_elses),
                                             UNIT(what_was_answered_before_a_reset_counts),
                                             UNIT(a_silent_target_is_given_up),
                                             UNIT(who_was_away_has_not_listened),
                                             UNIT(nobody_there),
                                             UNIT(nonsense_is_no_success),
                                             UNIT(replies_may_come_in_pieces),
                                             UNIT(a_full_buffer_may_end_within_a_reply),
                                             UNIT(losses_do_not_matter),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/migrate", tests);
}
