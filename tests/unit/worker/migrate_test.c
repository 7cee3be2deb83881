/* migrate_test.c: MIGRATE and the connections it opens (dataplane/peer.c), against a target of our own that
 * says what the test wants, in virtual time. */
#include "nomem.h"
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the target listens: the fake port gives worker 0 the flows to an even port that begin at an odd one.
 */
enum { PORT = 7000, WAIT_US = 3000 };

static void start(const char *const *pairs)
{
    begin(pairs);
    for (unsigned i = 0; i < rig.box.workers; i++)
        rig.box.worker[i]->turns.each = 0;
    rig_serve(&rig, PORT);
}

static struct rig_client *target(unsigned i)
{
    for (unsigned n = 0; n < 100 && rig.accepted <= i; n++)
        rig_run(&rig, 1000);
    CU_ASSERT_FATAL(rig.accepted > i);
    return &rig.served[i];
}

/* The target gets exactly this, and answers. */
static bool hears(struct rig_client *t, const char *request, const char *answer)
{
    for (unsigned n = 0; n < 100 && t->got_len < strlen(request); n++)
        rig_run(&rig, 1000);
    bool same = has(t, request);
    t->got_len = 0;
    rig_send(t, answer);
    rig_run(&rig, WAIT_US);
    return same;
}

/* Some RESTORE of this key. */
static bool hears_restore(struct rig_client *t, const char *key, const char *answer)
{
    char begin[64];
    int n = sprintf(begin, "\r\nRESTORE\r\n$%zu\r\n%s\r\n", strlen(key), key);
    for (unsigned i = 0; i < 100 && !memmem(t->got, t->got_len, begin, (size_t)n); i++)
        rig_run(&rig, 1000);
    bool found = memmem(t->got, t->got_len, begin, (size_t)n) != NULL;
    t->got_len = 0;
    rig_send(t, answer);
    rig_run(&rig, WAIT_US);
    return found;
}

#define SELECT     "*2\r\n$6\r\nSELECT\r\n$1\r\n9\r\n"
#define MOVE(key)  "MIGRATE 10.0.0.1 7000 " key " 9 500\r\n"
#define READING    "-IOERR error or timeout reading to target instance\r\n"
#define WRITING    "-IOERR error or timeout writing to target instance\r\n"
#define CONNECTING "-IOERR error or timeout connecting to the client\r\n"

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
    int n = sprintf(text, "MSET");
    for (unsigned i = 0; i < KEYS; i++)
        n += sprintf(text + n, " k%u %u", i, i);
    sprintf(text + n, "\r\n");
    rig_exchange(&rig, client[1], text, strlen(text), 5);
    n = sprintf(text, "MIGRATE 10.0.0.1 7000 \"\" 9 60000 KEYS");
    for (unsigned i = 0; i < KEYS; i++)
        n += sprintf(text + n, " k%u", i);
    sprintf(text + n, "\r\n");
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
    start(one);
    int n = sprintf(text, "*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$%d\r\n", BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        text[n++] = (char)('a' + (i * i) % 23);
    sprintf(text + n, "\r\n");
    sends(client[0], "CONFIG SET rdbcompression no\r\n");
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    n = sprintf(text, "MSET");
    for (unsigned i = 0; i < KEYS; i++)
        n += sprintf(text + n, " k%u %u", i, i);
    sprintf(text + n, "\r\n");
    CU_ASSERT(rig_says(&rig, client[1], text, "+OK\r\n"));
    n = sprintf(text, "MIGRATE 10.0.0.1 7000 \"\" 9 1000 KEYS long");
    for (unsigned i = 0; i < KEYS; i++)
        n += sprintf(text + n, " k%u", i);
    sprintf(text + n, "\r\n");
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
    static const struct unit_test tests[] = {UNIT(a_key_goes_when_the_target_has_it),
                                             UNIT(a_connection_is_kept_for_ten_seconds),
                                             UNIT(a_connection_that_has_died_is_replaced),
                                             UNIT(options_and_what_is_left_of_time_are_sent),
                                             UNIT(what_is_refused_stays),
                                             UNIT(a_silent_target_is_given_up),
                                             UNIT(nobody_there),
                                             UNIT(nonsense_is_no_success),
                                             UNIT(a_key_goes_although_the_client_has_gone),
                                             UNIT(replies_may_come_in_pieces),
                                             UNIT(losses_do_not_matter),
                                             UNIT(a_flush_waits),
                                             UNIT(four_at_a_time),
                                             UNIT(long_values_and_many_keys),
                                             UNIT(not_within_a_transaction),
                                             UNIT(notifications_and_watch_tell_of_it),
                                             UNIT(the_box_ends_meanwhile),
                                             UNIT(any_allocation_may_fail),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/migrate", tests);
}
