/* transaction_test.c: MULTI, EXEC, WATCH and CLIENT PAUSE over whole workers in virtual time: keys of this
 * worker, of another one and of both, what comes back with the client, connections that end, memory.
 * https://redis.io/docs/latest/develop/interact/transactions/ */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "box_rig.h"
#include "command/transaction.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};

/* A key of each shard (of one worker's alone: two keys). Client 0 is at home in the first. */
static const char *here, *there;

static void start(const char *const *pairs)
{
    rig_start(&rig, pairs, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
}

/* %1$s is `here`, %2$s `there`. */
static const char *fill(const char *format)
{
    static char text[4][800];
    static unsigned turn;
    char *t = text[turn++ % 4];
    snprintf(t, sizeof text[0], format, here, there);
    return t;
}

static bool says(struct rig_client *c, const char *format, const char *expected)
{
    return rig_says(&rig, c, fill(format), fill(expected));
}

static uint64_t watched(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        n += rig.box.worker[i]->waits->nodes + rig.box.worker[i]->waits->keys;
    return n;
}

static uint64_t held_bytes(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        n += rig.box.worker[i]->query_bytes;
    return n;
}

static bool sent_to(struct rig_client *c, const char *format)
{
    const char *request = fill(format);
    c->got_len = 0;
    rig_exchange(&rig, c, request, strlen(request), 0);
    return true;
}

static void each_number_of_workers(void (*test)(void))
{
    start(one);
    test();
    CU_ASSERT_EQUAL(watched() + held_bytes(), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
    start(two);
    test();
    CU_ASSERT_EQUAL(watched() + held_bytes(), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void run_everywhere(void)
{
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    for (unsigned i = 0; i < 2; i++, c = d) {
        CU_ASSERT(says(c, "MULTI\r\nSET %1$s 1\r\nINCR %1$s\r\nEXEC\r\n",
                       "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n"));
        CU_ASSERT(says(c, "MULTI\r\nSET %2$s 5\r\nGET %2$s\r\nPING\r\nEXEC\r\n",
                       "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n$1\r\n5\r\n+PONG\r\n"));
        CU_ASSERT(says(c, "MULTI\r\nINCR %1$s\r\nINCR %2$s\r\nMGET %1$s %2$s\r\nDBSIZE\r\nEXEC\r\n",
                       "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:3\r\n:6\r\n*2\r\n$"
                       "1\r\n3\r\n$1\r\n6\r\n:2\r\n"));
        CU_ASSERT(says(c, "MULTI\r\nEXEC\r\nMULTI\r\nDISCARD\r\nEXEC\r\n",
                       "+OK\r\n*0\r\n+OK\r\n+OK\r\n-ERR EXEC without MULTI\r\n"));
    }
}

static void test_where_the_keys_are(void)
{
    each_number_of_workers(run_everywhere);
}

/* What a transaction changes of its client holds after it, wherever it ran. */
static void client_changes(void)
{
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(says(c, "MULTI\r\nSELECT 3\r\nSET %2$s x\r\nEXEC\r\nGET %2$s\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n$1\r\nx\r\n"));
    CU_ASSERT(says(
        c, "MULTI\r\nCLIENT SETNAME joe\r\nGET %2$s\r\nSELECT 0\r\nEXEC\r\nCLIENT GETNAME\r\nGET %2$s\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n$1\r\nx\r\n+OK\r\n$3\r\njoe\r\n$-1\r\n"));
    CU_ASSERT(says(c, "MULTI\r\nHELLO 3 SETNAME jim\r\nGET %1$s\r\nGET %2$s\r\nRESET\r\nCLIENT GETNAME\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+RESET\r\n$-1\r\n"));
    CU_ASSERT(says(c,
                   "CLIENT REPLY SKIP\r\nMULTI\r\nGET %2$s\r\nCLIENT REPLY SKIP\r\nEXEC\r\nPING\r\nPING\r\n",
                   "+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n+PONG\r\n"));
    CU_ASSERT(says(c, "MULTI\r\nGET %2$s\r\nQUIT\r\n", "+OK\r\n+QUEUED\r\n+OK\r\n"));
}

static void test_what_comes_back_with_the_client(void)
{
    each_number_of_workers(client_changes);
}

/* Client `a` watches, b writes, a's EXEC does nothing. */
static void watch_is_seen(const char *watch, const char *write)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT(says(a, watch, "+OK\r\n"));
    CU_ASSERT_TRUE(watched() > 0);
    sent_to(b, write);
    rig_run(&rig, 3000);
    CU_ASSERT(says(a, "MULTI\r\nSET %1$s mine\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n"));
    CU_ASSERT(
        says(a, "MULTI\r\nDEL %1$s %2$s\r\nEXEC\r\nFLUSHALL\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+OK\r\n"));
}

static void watches(void)
{
    watch_is_seen("WATCH %1$s\r\n", "SET %1$s x\r\n");
    watch_is_seen("WATCH %2$s\r\n", "SET %2$s x\r\n");
    watch_is_seen("WATCH %1$s %2$s nowhere\r\n", "SET %2$s x\r\n");
    watch_is_seen("WATCH %1$s %2$s %1$s\r\n", "SET %1$s x\r\n");
    watch_is_seen("WATCH %1$s\r\n", "MULTI\r\nSET %1$s x\r\nGET %2$s\r\nEXEC\r\n");
    struct rig_client *a = rig_connect(&rig, 0);
    CU_ASSERT(says(a, "WATCH %2$s\r\nWATCH %1$s\r\nMULTI\r\nSET %2$s 1\r\nEXEC\r\n",
                   "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"));
    rig_run(&rig, 3000);
    CU_ASSERT_EQUAL(watched(), 0);
}

static void test_a_watched_key_of_any_shard(void)
{
    each_number_of_workers(watches);
}

/* UNWATCH, DISCARD, RESET and the end of a connection leave nothing in any table. */
static void watches_end(void)
{
    static const char *const ways[] = {"UNWATCH\r\n", "MULTI\r\nDISCARD\r\n", "RESET\r\n", "QUIT\r\n",
                                       "EXEC x\r\n"};
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct rig_client *c = rig_connect(&rig, i);
        CU_ASSERT(says(c, "WATCH %1$s %2$s other\r\n", "+OK\r\n"));
        CU_ASSERT_TRUE(watched() >= 6 && held_bytes() > 0);
        sent_to(c, ways[i]);
        rig_run(&rig, 5000);
        CU_ASSERT_EQUAL(watched() + held_bytes(), 0);
    }
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(says(c, "WATCH %1$s %2$s\r\nMULTI\r\nSET %2$s 1\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n"));
    CU_ASSERT_TRUE(held_bytes() > 0);
    tcp_abort(c->conn, rig.now_us);
    rig_run(&rig, 5000);
}

static void test_nothing_is_left_of_a_watch(void)
{
    each_number_of_workers(watches_end);
}

/* An EXEC that is on its way when its connection ends runs, and nothing is left of it. */
static void connection_ends(void)
{
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    static const char *const keys[] = {"%2$s", "%1$s %2$s"};
    for (unsigned i = 0; i < 2; i++) {
        char text[100];
        snprintf(text, sizeof text, "WATCH %%1$s %%2$s\r\nMULTI\r\nDEL %s\r\nEXEC\r\nQUIT\r\n", keys[i]);
        sent_to(c, text);
        tcp_abort(c->conn, rig.now_us);
        rig_run(&rig, 5000);
        CU_ASSERT_EQUAL(watched() + held_bytes(), 0);
        c = rig_connect(&rig, 2);
    }
    CU_ASSERT(says(d, "PING\r\n", "+PONG\r\n"));
}

static void test_a_connection_that_ends_meanwhile(void)
{
    each_number_of_workers(connection_ends);
}

/* Who waits for a key is served when all of the transaction has run, and its own blocking command does not
 * wait. */
static void waiter_is_served(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    sent_to(b, "BLPOP %2$s 0\r\n");
    rig_run(&rig, 3000);
    CU_ASSERT(
        says(a, "MULTI\r\nRPUSH %2$s 1 2\r\nLPOP %2$s\r\nSET %1$s x\r\nBLPOP none 0\r\nEXEC\r\n",
             "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:2\r\n$1\r\n1\r\n+OK\r\n*-1\r\n"));
    rig_run(&rig, 3000);
    const char *expected = fill("*2\r\n$2\r\n%2$s\r\n$1\r\n2\r\n");
    CU_ASSERT_EQUAL(b->got_len, strlen(expected));
    CU_ASSERT(b->got_len == strlen(expected) && memcmp(b->got, expected, b->got_len) == 0);
}

static void test_waiters_are_served_after_it(void)
{
    each_number_of_workers(waiter_is_served);
}

/* The queue counts with what a client has sent: beyond the limit the client goes. */
static void test_a_queue_is_bounded(void)
{
    static const char *const small[] = {"client-query-buffer-limit", "1mb", NULL};
    static char text[65536];
    memset(text, 'x', sizeof text);
    start(small);
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    CU_ASSERT(says(c, "MULTI\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < 20 && !c->closed && !c->peer_closed; i++) {
        char head[64];
        int n = snprintf(head, sizeof head, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", sizeof text);
        rig_exchange(&rig, c, head, (size_t)n, 0);
        rig_exchange(&rig, c, text, sizeof text, 0);
        rig_exchange(&rig, c, "\r\n", 2, 0);
        rig_run(&rig, 2000);
    }
    CU_ASSERT_TRUE(c->closed || c->peer_closed);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_query_limit_closes], 1);
    CU_ASSERT(says(d, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_EQUAL(held_bytes(), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* CLIENT PAUSE: what writes waits unread, in its order; what reads goes on; an error is told at once. */
static void pauses(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT(says(b, "MULTI\r\nSET %2$s 1\r\n", "+OK\r\n+QUEUED\r\n"));
    CU_ASSERT(says(a, "CLIENT PAUSE 100000 WRITE\r\n", "+OK\r\n"));
    rig_run(&rig, 2000);
    sent_to(b, "EXEC\r\nGET %2$s\r\n");
    CU_ASSERT(
        says(a, "GET %2$s\r\nSET x\r\nMULTI\r\nGET %1$s\r\nEXEC\r\n",
             "$-1\r\n-ERR wrong number of arguments for 'set' command\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n"));
    CU_ASSERT_EQUAL(b->got_len, 0);
    CU_ASSERT_TRUE(says(a, "CLIENT UNPAUSE\r\n", "+OK\r\n"));
    rig_run(&rig, 5000);
    static const char both[] = "*1\r\n+OK\r\n$1\r\n1\r\n";
    CU_ASSERT(b->got_len == sizeof both - 1 && memcmp(b->got, both, b->got_len) == 0);
    CU_ASSERT(says(a, "CLIENT PAUSE 100000\r\n", "+OK\r\n"));
    rig_run(&rig, 2000);
    sent_to(b, "GET %1$s\r\n");
    rig_run(&rig, 2000);
    CU_ASSERT_EQUAL(b->got_len, 0);
    tcp_abort(b->conn, rig.now_us); /* gone, and counted no more */
    rig_run(&rig, 5000);
    for (unsigned i = 0; i < rig.box.workers; i++)
        CU_ASSERT_EQUAL(rig.box.worker[i]->waiting_sessions, 0);
}

static void test_paused_clients_wait(void)
{
    each_number_of_workers(pauses);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_where_the_keys_are),
        UNIT(test_what_comes_back_with_the_client),
        UNIT(test_a_watched_key_of_any_shard),
        UNIT(test_nothing_is_left_of_a_watch),
        UNIT(test_a_connection_that_ends_meanwhile),
        UNIT(test_waiters_are_served_after_it),
        UNIT(test_a_queue_is_bounded),
        UNIT(test_paused_clients_wait),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/transaction", tests);
}
