/* block_test.c: clients that wait for keys, over whole workers in virtual time: order, timeouts, keys in
 * several shards, clients that go. https://redis.io/docs/latest/commands/blpop/ */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "box_rig.h"
#include "job.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};

/* %1$s and %2$s are keys of the first shard, %3$s and %4$s of the second (or of the only one). */
static const char *fill(const char *format)
{
    static char text[4][600];
    static unsigned turn;
    char *t = text[turn++ % 4];
    bool alone = rig.box.workers == 1;
    snprintf(t, sizeof text[0], format, rig_key(&rig, 0, 0), rig_key(&rig, 0, 1), rig_key(&rig, 1, alone ? 2 : 0),
             rig_key(&rig, 1, alone ? 3 : 1));
    return t;
}

static bool says(struct rig_client *c, const char *format, const char *expected)
{
    return rig_says(&rig, c, fill(format), fill(expected));
}

/* Sends a request that is to block. */
static bool blocks(struct rig_client *c, const char *format)
{
    const char *request = fill(format);
    c->got_len = 0;
    rig_exchange(&rig, c, request, strlen(request), 0);
    rig_run(&rig, 3000);
    return c->got_len == 0;
}

static bool got(struct rig_client *c, const char *format)
{
    const char *expected = fill(format);
    rig_run(&rig, 3000);
    bool same = c->got_len == strlen(expected) && memcmp(c->got, expected, c->got_len) == 0;
    if (!same)
        printf("# expected: %s\n# got: %.*s\n", expected, (int)c->got_len, (char *)c->got);
    c->got_len = 0;
    return same;
}

static uint64_t blocked(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        n += rig.box.worker[i]->blocking.clients;
    return n;
}

static uint64_t nodes(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        n += rig.box.worker[i]->waits->nodes + rig.box.worker[i]->waits->keys;
    return n;
}

static bool nobody(void)
{
    rig_run(&rig, 5000);
    return blocked() == 0 && nodes() == 0;
}

static struct rig_client *client[8];

static void start(const char *const *pairs)
{
    rig_start(&rig, pairs, NULL);
    for (unsigned i = 0; i < 8; i++)
        client[i] = rig_connect(&rig, i);
}

static void first_come(const char *const *pairs)
{
    start(pairs);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_TRUE(blocks(client[i], i & 1 ? "BRPOP %3$s 0\r\n" : "BLPOP %3$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "RPUSH %3$s a b c\r\n", ":3\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%3$s\r\n$1\r\na\r\n"));
    CU_ASSERT_TRUE(got(client[1], "*2\r\n$2\r\n%3$s\r\n$1\r\nc\r\n"));
    CU_ASSERT_TRUE(got(client[2], "*2\r\n$2\r\n%3$s\r\n$1\r\nb\r\n"));
    CU_ASSERT_EQUAL(client[3]->got_len, 0);
    CU_ASSERT_TRUE(says(client[5], "LPUSH %3$s d e\r\n", ":2\r\n"));
    CU_ASSERT_TRUE(got(client[3], "*2\r\n$2\r\n%3$s\r\n$1\r\nd\r\n"));
    CU_ASSERT_TRUE(says(client[5], "BLPOP %3$s 0\r\n", "*2\r\n$2\r\n%3$s\r\n$1\r\ne\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_who_came_first_is_served_first_after_the_whole_push(void)
{
    first_come(one);
    first_come(two);
}

static void several_keys(const char *const *pairs)
{
    start(pairs);
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %1$s %3$s %1$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "BLPOP %3$s %1$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[2], "BLMPOP 0 2 %4$s %1$s RIGHT COUNT 2\r\n"));
    CU_ASSERT_EQUAL(blocked(), 3);
    CU_ASSERT_TRUE(
        says(client[4], "RPUSH %1$s x\r\nRPUSH %3$s y z\r\nRPUSH %1$s 1 2 3\r\n", ":1\r\n:2\r\n:3\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%1$s\r\n$1\r\nx\r\n"));
    CU_ASSERT_TRUE(got(client[1], "*2\r\n$2\r\n%3$s\r\n$1\r\ny\r\n"));
    CU_ASSERT_TRUE(got(client[2], "*2\r\n$2\r\n%1$s\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n"));
    CU_ASSERT_TRUE(says(client[5], "LLEN %1$s\r\nLLEN %3$s\r\n", ":1\r\n:1\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_the_first_key_that_is_ready_serves_and_none_twice(void)
{
    several_keys(one);
    several_keys(two);
}

static void moves(const char *const *pairs)
{
    start(pairs);
    CU_ASSERT_TRUE(blocks(client[0], "BLMOVE %1$s %3$s LEFT RIGHT 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "BRPOPLPUSH %3$s %2$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[2], "BLPOP %2$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[3], "BLPOP %1$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "RPUSH %1$s a b\r\n", ":2\r\n"));
    CU_ASSERT_TRUE(got(client[0], "$1\r\na\r\n"));
    CU_ASSERT_TRUE(got(client[1], "$1\r\na\r\n"));
    CU_ASSERT_TRUE(got(client[2], "*2\r\n$2\r\n%2$s\r\n$1\r\na\r\n"));
    CU_ASSERT_TRUE(got(client[3], "*2\r\n$2\r\n%1$s\r\n$1\r\nb\r\n"));
    /* A destination of the wrong type: its client learns it, the element serves the next one. */
    CU_ASSERT_TRUE(blocks(client[0], "BLMOVE %1$s %3$s LEFT RIGHT 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "BLMOVE %1$s %1$s LEFT RIGHT 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "SET %3$s x\r\nRPUSH %1$s 1 2\r\n", "+OK\r\n:2\r\n"));
    CU_ASSERT_TRUE(got(client[0], "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"));
    CU_ASSERT_TRUE(got(client[1], "$1\r\n1\r\n"));
    CU_ASSERT_TRUE(says(client[4], "LRANGE %1$s 0 -1\r\n", "*2\r\n$1\r\n2\r\n$1\r\n1\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_what_a_move_makes_ready_is_served_too(void)
{
    moves(one);
    moves(two);
}

static void made_ready(const char *const *pairs)
{
    start(pairs);
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %1$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "BZPOPMIN %1$s %4$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "SET %1$s x\r\nDEL %1$s\r\nZADD %1$s 2 m\r\n", "+OK\r\n:1\r\n:1\r\n"));
    CU_ASSERT_TRUE(got(client[1], "*3\r\n$2\r\n%1$s\r\n$1\r\nm\r\n$1\r\n2\r\n"));
    CU_ASSERT_TRUE(says(client[4], "RPUSH %3$s a\r\nRENAME %3$s %1$s\r\n", ":1\r\n+OK\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%1$s\r\n$1\r\na\r\n"));
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %2$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "RPUSH %3$s b\r\nCOPY %3$s %2$s\r\n", ":1\r\n:1\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%2$s\r\n$1\r\nb\r\n"));
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %1$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "SELECT 1\r\nRPUSH %1$s c\r\nSWAPDB 0 1\r\n", "+OK\r\n:1\r\n+OK\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%1$s\r\n$1\r\nc\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_rename_copy_and_swapdb_make_keys_ready(void)
{
    made_ready(one);
    made_ready(two);
}

/* Virtual microseconds until the client has its reply. */
static uint64_t waited(struct rig_client *c)
{
    uint64_t begin = rig.now_us;
    while (!c->got_len && rig.now_us - begin < 2000000)
        rig_run(&rig, 100);
    return rig.now_us - begin;
}

static void timeouts(const char *const *pairs)
{
    static const char *const requests[] = {"BLPOP %1$s 0.1\r\n", "BZMPOP 0.1 2 %1$s %3$s MIN\r\n",
                                           "BLMOVE %3$s %1$s LEFT LEFT 0.1\r\n", "BRPOP %3$s 0.1\r\n"};
    start(pairs);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_TRUE(blocks(client[i], requests[i]));
        uint64_t us = waited(client[i]) + 3000;
        CU_ASSERT_TRUE(us >= 99000 && us < 104000);
        CU_ASSERT_TRUE(got(client[i], "*-1\r\n"));
    }
    rig_exchange(&rig, client[0], "HELLO 3\r\n", 9, 1);
    CU_ASSERT_TRUE(says(client[0], "BLPOP %1$s %3$s 0.01\r\n", "_\r\n"));
    CU_ASSERT_TRUE(says(client[1], "BLPOP %1$s -1\r\n", "-ERR timeout is negative\r\n"));
    CU_ASSERT_TRUE(says(client[1], "BLPOP %1$s x\r\n", "-ERR timeout is not a float or out of range\r\n"));
    CU_ASSERT_TRUE(says(client[1], "BLPOP %1$s 1e300\r\n", "-ERR timeout is out of range\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_timeouts_are_exact_and_give_null(void)
{
    timeouts(one);
    timeouts(two);
}

static bool lists(struct rig_client *c, const char *request, const char *part)
{
    c->got_len = 0;
    rig_exchange(&rig, c, request, strlen(request), 1);
    rig_run(&rig, 5000);
    c->got[c->got_len] = 0;
    return strstr((char *)c->got, part) != NULL;
}

static bool unblocks(struct rig_client *c, struct rig_client *whom, const char *how, const char *expected)
{
    char request[64];
    whom->got_len = 0;
    CU_ASSERT_TRUE(lists(c, "CLIENT LIST\r\n", "flags=b"));
    c->got[c->got_len] = 0;
    char *line = strstr((char *)c->got, "flags=b");
    while (line > (char *)c->got && memcmp(line, "id=", 3) != 0)
        line--;
    sprintf(request, "CLIENT UNBLOCK %d%s\r\n", atoi(line + 3), how);
    return rig_says(&rig, c, request, ":1\r\n") && got(whom, expected) &&
           rig_says(&rig, c, request, ":0\r\n");
}

static void unblock(const char *const *pairs)
{
    start(pairs);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const requests[] = {"BLPOP %1$s 0\r\n", "BLPOP %3$s 9\r\n",
                                               "BLPOP %1$s %3$s 0\r\n"};
        CU_ASSERT_TRUE(blocks(client[1], requests[i]));
        CU_ASSERT_TRUE(lists(client[0], "INFO clients\r\n", "blocked_clients:1\r\n"));
        CU_ASSERT_TRUE(unblocks(client[0], client[1], "", "*-1\r\n"));
        CU_ASSERT_TRUE(blocks(client[1], requests[i]));
        CU_ASSERT_TRUE(
            unblocks(client[2], client[1], " ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"));
        CU_ASSERT_TRUE(lists(client[0], "INFO clients\r\n", "blocked_clients:0\r\n"));
    }
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_client_unblock(void)
{
    unblock(one);
    unblock(two);
}

static void gone(const char *const *pairs)
{
    static const char *const requests[] = {"BLPOP %1$s 0\r\n", "BLPOP %3$s 9\r\n", "BLPOP %1$s %3$s 0\r\n",
                                           "BLMOVE %1$s %3$s LEFT LEFT 7\r\n"};
    start(pairs);
    for (unsigned i = 0; i < 8; i++) {
        struct rig_client *c = client[i % 2 + 2];
        CU_ASSERT_TRUE(blocks(c, requests[i / 2]));
        CU_ASSERT_EQUAL(blocked(), 1);
        if (i & 1)
            tcp_abort(c->conn, rig.now_us);
        else
            tcp_close(c->conn, rig.now_us);
        c->conn = NULL;
        CU_ASSERT_TRUE(nobody());
        CU_ASSERT_TRUE(says(client[0], "RPUSH %1$s a\r\nRPUSH %3$s a\r\nLPOP %1$s\r\nLPOP %3$s\r\n",
                            ":1\r\n:1\r\n$1\r\na\r\n$1\r\na\r\n"));
        client[i % 2 + 2] = rig_connect(&rig, i % 2 + 2);
    }
    CU_ASSERT_TRUE(blocks(client[5], "BLPOP %1$s %3$s 0\r\n"));
    CU_ASSERT_TRUE(says(client[4], "CLIENT KILL TYPE normal\r\n", ":7\r\n"));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_TRUE(client[5]->peer_closed);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_nothing_goes_to_clients_that_are_gone(void)
{
    gone(one);
    gone(two);
}

static void waits_behind(const char *const *pairs)
{
    start(pairs);
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %1$s 0\r\nPING\r\nBLPOP %3$s 0\r\nPING\r\n"));
    CU_ASSERT_TRUE(says(client[1], "RPUSH %1$s a\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%1$s\r\n$1\r\na\r\n+PONG\r\n"));
    CU_ASSERT_TRUE(says(client[1], "RPUSH %3$s b\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(got(client[0], "*2\r\n$2\r\n%3$s\r\n$1\r\nb\r\n+PONG\r\n"));
    CU_ASSERT_TRUE(blocks(client[0], "CLIENT REPLY SKIP\r\nBLPOP %1$s 0\r\nPING\r\n"));
    CU_ASSERT_TRUE(blocks(client[2], "CLIENT REPLY SKIP\r\nBLPOP %3$s 0.05\r\nPING\r\n"));
    CU_ASSERT_TRUE(says(client[1], "RPUSH %1$s a\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(got(client[0], "+PONG\r\n"));
    waited(client[2]);
    CU_ASSERT_TRUE(got(client[2], "+PONG\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_pipelined_requests_wait(void)
{
    waits_behind(one);
    waits_behind(two);
}

static void test_the_timeout_directive_spares_the_blocked(void)
{
    static const char *const pairs[] = {"workers", "2", "timeout", "1", NULL};
    start(pairs);
    CU_ASSERT_TRUE(blocks(client[0], "BLPOP %1$s 0\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "BLPOP %1$s %3$s 0\r\n"));
    for (unsigned i = 0; i < rig.box.workers; i++)
        for (struct session *s = rig.box.worker[i]->live_sessions; s; s = s->live_next)
            s->client.last_ms -= 2000;
    rig_run(&rig, 300000);
    CU_ASSERT_FALSE(client[0]->peer_closed || client[1]->peer_closed);
    CU_ASSERT_TRUE(client[2]->peer_closed);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_more_than_the_memory_for_waiting_is_refused(void)
{
    static const char refused[] = "-ERR out of memory for another blocked client\r\n";
    start(two);
    for (unsigned i = 0; i < 2; i++)
        rig.box.worker[i]->blocking.bytes_max = 100;
    CU_ASSERT_TRUE(says(client[0], "BLPOP %1$s 0\r\nPING\r\n",
                        "-ERR out of memory for another blocked client\r\n+PONG\r\n"));
    CU_ASSERT_TRUE(says(client[0], "BLPOP %3$s 0\r\n", refused));
    CU_ASSERT_TRUE(says(client[0], "BLPOP %1$s %3$s 0\r\n", refused));
    CU_ASSERT_TRUE(nobody());
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_blocked_clients_refused] +
                        rig.second_counters.v[COUNTER_blocked_clients_refused],
                    3);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void streams(const char *const *pairs)
{
    start(pairs);
    CU_ASSERT_TRUE(
        says(client[4], "XADD %1$s 1-1 a b\r\nXGROUP CREATE %3$s g $ MKSTREAM\r\n", "$3\r\n1-1\r\n+OK\r\n"));
    CU_ASSERT_TRUE(blocks(client[0], "XREAD BLOCK 0 STREAMS %1$s %3$s $ $\r\n"));
    CU_ASSERT_TRUE(blocks(client[1], "XREADGROUP GROUP g me BLOCK 0 STREAMS %3$s >\r\n"));
    CU_ASSERT_TRUE(blocks(client[2], "XREADGROUP GROUP g you BLOCK 0 STREAMS %3$s >\r\n"));
    CU_ASSERT_TRUE(blocks(client[3], "XREAD BLOCK 20 STREAMS %3$s 5\r\n"));
    rig_run(&rig, 30000);
    CU_ASSERT_TRUE(got(client[3], "*-1\r\n"));
    CU_ASSERT_TRUE(says(client[4], "XADD %3$s 2-1 c d\r\n", "$3\r\n2-1\r\n"));
    const char *entry = "*1\r\n*2\r\n$2\r\n%3$s\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nc\r\n$1\r\nd\r\n";
    CU_ASSERT_TRUE(got(client[0], entry));
    CU_ASSERT_TRUE(got(client[1], entry));
    CU_ASSERT_EQUAL(client[2]->got_len, 0);
    /* Who reads for a group learns that it has gone, or its stream. */
    CU_ASSERT_TRUE(blocks(client[1], "XREAD BLOCK 0 STREAMS %3$s $\r\n"));
    CU_ASSERT_TRUE(says(client[4], "XGROUP DESTROY %3$s g\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(got(
        client[2], "-NOGROUP No such key '%3$s' or consumer group 'g' in XREADGROUP with GROUP option\r\n"));
    CU_ASSERT_TRUE(says(client[4], "XGROUP CREATE %1$s g $\r\n", "+OK\r\n"));
    CU_ASSERT_TRUE(blocks(client[2], "XREADGROUP GROUP g you BLOCK 0 STREAMS %1$s >\r\n"));
    CU_ASSERT_TRUE(says(client[4], "DEL %1$s\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(got(
        client[2], "-NOGROUP No such key '%1$s' or consumer group 'g' in XREADGROUP with GROUP option\r\n"));
    CU_ASSERT_EQUAL(client[1]->got_len, 0);
    CU_ASSERT_EQUAL(blocked(), 1);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_readers_of_streams(void)
{
    streams(one);
    streams(two);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_who_came_first_is_served_first_after_the_whole_push),
        UNIT(test_the_first_key_that_is_ready_serves_and_none_twice),
        UNIT(test_what_a_move_makes_ready_is_served_too),
        UNIT(test_rename_copy_and_swapdb_make_keys_ready),
        UNIT(test_timeouts_are_exact_and_give_null),
        UNIT(test_client_unblock),
        UNIT(test_nothing_goes_to_clients_that_are_gone),
        UNIT(test_pipelined_requests_wait),
        UNIT(test_the_timeout_directive_spares_the_blocked),
        UNIT(test_more_than_the_memory_for_waiting_is_refused),
        UNIT(test_readers_of_streams),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/block", tests);
}
