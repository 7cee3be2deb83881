/* pubsub_test.c: Pub/Sub over whole workers in virtual time: who gets what, in which order, with which number
 * for the publisher; connections that end, clients that do not read. Expected replies as redis-server 7.0.15
 * gave them. https://redis.io/docs/latest/develop/interact/pubsub/ */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct box_rig rig;

static void nothing_left(void)
{
    rig_run(&rig, 200000);
    for (unsigned i = 0; i < rig.box.workers; i++) {
        const struct pubsub *p = rig.box.pubsub[i];
        CU_ASSERT_EQUAL(rig.box.worker[i]->posts, 0);
        CU_ASSERT_EQUAL(p->topics.n + p->subscriptions.n, 0);
        CU_ASSERT_EQUAL(atomic_load(&p->patterns), 0);
        CU_ASSERT_PTR_NULL(p->subscribers);
        CU_ASSERT_PTR_NULL(p->gone);
        CU_ASSERT_EQUAL(rig.box.worker[i]->query_bytes, 0);
    }
}

static void each_number_of_workers(void (*test)(void))
{
    CU_ASSERT_TRUE(rig_each_number_of_workers(&rig, test, nothing_left));
}

static bool says(struct rig_client *c, const char *request, const char *expected)
{
    return rig_says(&rig, c, request, expected);
}

static bool heard(struct rig_client *c, const char *expected)
{
    return rig_heard(&rig, c, expected);
}

#define MESSAGE(channel, text) "*3\r\n$7\r\nmessage\r\n" channel text

static void kinds(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *p = rig_connect(&rig, 2);
    CU_ASSERT(says(a, "SUBSCRIBE x y x\r\n",
                   "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n"
                   "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:2\r\n"));
    CU_ASSERT(
        says(b, "PSUBSCRIBE x* [xy]\r\nSSUBSCRIBE x\r\n",
             "*3\r\n$10\r\npsubscribe\r\n$2\r\nx*\r\n:1\r\n*3\r\n$10\r\npsubscribe\r\n$4\r\n[xy]\r\n:2\r\n"
             "*3\r\n$10\r\nssubscribe\r\n$1\r\nx\r\n:1\r\n"));
    a->got_len = b->got_len = 0;
    CU_ASSERT(says(p, "PUBLISH x hello\r\nPUBLISH z hello\r\nSPUBLISH x shard\r\nSPUBLISH y none\r\n",
                   ":3\r\n:0\r\n:1\r\n:0\r\n"));
    CU_ASSERT(heard(a, MESSAGE("$1\r\nx\r\n", "$5\r\nhello\r\n")));
    CU_ASSERT(heard(b, "*4\r\n$8\r\npmessage\r\n$2\r\nx*\r\n$1\r\nx\r\n$5\r\nhello\r\n"
                       "*4\r\n$8\r\npmessage\r\n$4\r\n[xy]\r\n$1\r\nx\r\n$5\r\nhello\r\n"
                       "*3\r\n$8\r\nsmessage\r\n$1\r\nx\r\n$5\r\nshard\r\n"));
    CU_ASSERT(says(p,
                   "PUBSUB NUMSUB x q\r\nPUBSUB NUMPAT\r\nPUBSUB SHARDCHANNELS\r\nPUBSUB CHANNELS [x]\r\n"
                   "PUBSUB SHARDNUMSUB x\r\n",
                   "*4\r\n$1\r\nx\r\n:1\r\n$1\r\nq\r\n:0\r\n:2\r\n*1\r\n$1\r\nx\r\n*1\r\n$1\r\nx\r\n"
                   "*2\r\n$1\r\nx\r\n:1\r\n"));
    CU_ASSERT(
        says(a, "UNSUBSCRIBE x\r\nUNSUBSCRIBE q\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\n",
             "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nq\r\n:1\r\n"
             "*3\r\n$11\r\nunsubscribe\r\n$1\r\ny\r\n:0\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"));
    CU_ASSERT(says(b, "PUNSUBSCRIBE\r\n",
                   "*3\r\n$12\r\npunsubscribe\r\n$4\r\n[xy]\r\n:1\r\n"
                   "*3\r\n$12\r\npunsubscribe\r\n$2\r\nx*\r\n:0\r\n"));
    CU_ASSERT(
        says(b, "SUNSUBSCRIBE x\r\nPING\r\n", "*3\r\n$12\r\nsunsubscribe\r\n$1\r\nx\r\n:0\r\n+PONG\r\n"));
    CU_ASSERT(says(p, "PUBLISH x hello\r\n", ":0\r\n"));
}

static void test_channels_patterns_and_shards(void)
{
    each_number_of_workers(kinds);
}

/* In RESP2 only what cannot be mixed up with messages may run. */
static void mode(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT(says(a, "SUBSCRIBE x\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"));
    CU_ASSERT(says(
        a, "GET k\r\nCLIENT ID\r\nPING\r\nPING hi\r\nNOSUCH\r\nPUBLISH x y\r\n",
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context\r\n"
        "-ERR Can't execute 'client|id': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context\r\n"
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$2\r\nhi\r\n"
        "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"
        "-ERR Can't execute 'publish': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context\r\n"));
    CU_ASSERT(says(a, "RESET\r\nPING\r\n", "+RESET\r\n+PONG\r\n"));
    CU_ASSERT(says(b, "PUBLISH x y\r\n", ":0\r\n"));
    CU_ASSERT(says(b, "CLIENT REPLY OFF\r\nSUBSCRIBE x\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"));
    CU_ASSERT(says(a, "PUBLISH x y\r\n", ":1\r\n"));
    b->got_len = 0;
    CU_ASSERT(says(a, "PUBLISH x z\r\n", ":1\r\n"));
    CU_ASSERT(heard(b, MESSAGE("$1\r\nx\r\n", "$1\r\nz\r\n")));
    CU_ASSERT(says(b, "QUIT\r\n", ""));
}

static void test_a_subscribed_client_may_do_little(void)
{
    each_number_of_workers(mode);
}

/* RESP3: messages are pushed between replies, and never into one. */
static void pushes(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    rig_exchange(&rig, a, "HELLO 3\r\n", 9, 1);
    rig_run(&rig, 3000);
    CU_ASSERT(says(a, "SUBSCRIBE foo\r\n", ">3\r\n$9\r\nsubscribe\r\n$3\r\nfoo\r\n:1\r\n"));
    CU_ASSERT(
        says(a, "MULTI\r\nPING abc\r\nPUBLISH foo bar\r\nPUBLISH foo vaz\r\nPING def\r\nEXEC\r\n",
             "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n$3\r\nabc\r\n:1\r\n:1\r\n$3\r\ndef\r\n"
             ">3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$3\r\nbar\r\n"
             ">3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$3\r\nvaz\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(b, "PUBLISH foo 1\r\nPUBLISH foo 2\r\n", ":1\r\n:1\r\n"));
    CU_ASSERT(heard(
        a, ">3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$1\r\n1\r\n>3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$1\r\n2\r\n"));
    CU_ASSERT(
        says(a, "SET k v\r\nUNSUBSCRIBE\r\n", "+OK\r\n>3\r\n$11\r\nunsubscribe\r\n$3\r\nfoo\r\n:0\r\n"));
    CU_ASSERT(says(a, "MULTI\r\nSUBSCRIBE q\r\nEXEC\r\n",
                   "+OK\r\n+QUEUED\r\n*1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nq\r\n:1\r\n"));
    CU_ASSERT(says(b, "PUBLISH q 1\r\n", ":1\r\n"));
}

static void test_pushes_and_transactions(void)
{
    each_number_of_workers(pushes);
}

static size_t put(char *text, size_t at, const char *format, unsigned i)
{
    return at + (size_t)sprintf(text + at, format, i);
}

/* Two publishers, subscribers on both workers: all see one order. */
static void order(void)
{
    enum { MESSAGES = 300 };
    static char text[2][MESSAGES * 40], reply[MESSAGES * 8];
    struct rig_client *p[2] = {rig_connect(&rig, 0), rig_connect(&rig, 1)};
    struct rig_client *s[3] = {rig_connect(&rig, 2), rig_connect(&rig, 3), rig_connect(&rig, 4)};
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT(says(s[i], "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
        s[i]->got_len = 0;
    }
    size_t n[2] = {0}, r = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        n[0] = put(text[0], n[0], "PUBLISH c a%u\r\n", i);
        n[1] = put(text[1], n[1], "PUBLISH c b%u\r\n", i);
        r = put(reply, r, ":%u\r\n", 3);
    }
    p[1]->to_send = (const uint8_t *)text[1];
    p[1]->to_send_len = n[1];
    p[1]->sent = 0;
    p[0]->got_len = p[1]->got_len = 0;
    rig_exchange(&rig, p[0], text[0], n[0], r);
    rig_run(&rig, 100000);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT(p[i]->got_len == r && memcmp(p[i]->got, reply, r) == 0);
    CU_ASSERT_TRUE(s[0]->got_len > 2 * MESSAGES * 30);
    for (unsigned i = 1; i < 3; i++)
        CU_ASSERT(s[i]->got_len == s[0]->got_len && memcmp(s[i]->got, s[0]->got, s[0]->got_len) == 0);
}

static void test_everybody_sees_one_order(void)
{
    each_number_of_workers(order);
}

/* More deliveries than a slice: one client with very many patterns. */
static void slices(void)
{
    enum { PATTERNS = 3000 };
    static char text[PATTERNS * 24];
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    size_t n = 0;
    for (unsigned i = 0; i < PATTERNS; i++)
        n = put(text, n, "PSUBSCRIBE c*%u*\r\n", i);
    rig_exchange(&rig, a, text, n, 100000);
    rig_run(&rig, 100000);
    CU_ASSERT(says(b, "PUBSUB NUMPAT\r\nPUBLISH c1234567 x\r\n", ":3000\r\n:20\r\n"));
    a->got_len = 0;
    CU_ASSERT(says(b, "PUBLISH c1234567 x\r\n", ":20\r\n"));
    rig_run(&rig, 5000);
    CU_ASSERT_TRUE(a->got_len > 20 * 40);
    CU_ASSERT_TRUE(rig.box.worker[0]->query_bytes > PATTERNS * sizeof(struct subscription));
    static const char list[] = "CLIENT LIST TYPE pubsub\r\n";
    b->got_len = 0;
    rig_exchange(&rig, b, list, sizeof list - 1, 300);
    b->got[b->got_len] = 0;
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)b->got, " flags=P db=0 sub=0 psub=3000 ssub=0 "));
    tcp_abort(a->conn, rig.now_us); /* all of them go, in slices */
    rig_run(&rig, 100000);
    CU_ASSERT(says(b, "PUBSUB NUMPAT\r\n", ":0\r\n"));
}

static void test_many_patterns_go_in_slices(void)
{
    each_number_of_workers(slices);
}

static void publisher_ends(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *p = rig_connect(&rig, 3);
    CU_ASSERT(says(a, "SUBSCRIBE c d\r\n",
                   "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n"));
    a->got_len = 0;
    static const char both[] = "PUBLISH c 1\r\nPUBLISH d 2\r\n";
    rig_exchange(&rig, p, both, sizeof both - 1, 0);
    tcp_abort(p->conn, rig.now_us);
    rig_run(&rig, 3000);
    CU_ASSERT(says(b, "CLIENT KILL TYPE pubsub\r\n", ":1\r\n"));
    rig_run(&rig, 300000);
    CU_ASSERT_TRUE(a->closed || a->peer_closed);
    CU_ASSERT(says(b, "PUBLISH c 1\r\n", ":0\r\n"));
}

static void test_connections_that_end(void)
{
    each_number_of_workers(publisher_ends);
}

/* client-output-buffer-limit pubsub: who does not read is closed, its publisher and the others go on. */
static void limits(void)
{
    enum { BYTES = 60000 };
    static char text[BYTES + 64];
    struct rig_client *slow = rig_connect(&rig, 0), *quick = rig_connect(&rig, 1), *p = rig_connect(&rig, 3);
    static const char *const pairs[] = {"client-output-buffer-limit",
                                        "normal 0 0 0 replica 0 0 0 pubsub 1mb 0 0", NULL};
    rig_reconfigure(&rig, pairs);
    CU_ASSERT(says(slow, "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
    CU_ASSERT(says(quick, "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
    slow->paused = true;
    size_t n = (size_t)sprintf(text, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%u\r\n", BYTES);
    memset(text + n, 'x', BYTES);
    n += BYTES + (size_t)sprintf(text + n + BYTES, "\r\n");
    unsigned sent = 0;
    for (; sent < 200 && rig.box.clients > 2; sent++) {
        quick->got_len = p->got_len = 0;
        rig_exchange(&rig, p, text, n, 4);
        rig_run(&rig, 20000);
        CU_ASSERT_TRUE(quick->got_len > BYTES);
    }
    CU_ASSERT_TRUE(sent > 1000000 / BYTES && sent < 100);
    CU_ASSERT(says(p, "PUBLISH c 1\r\n", ":1\r\n"));
    uint64_t closes = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        closes += count_read(rig.box.worker[i]->counters, COUNTER_client_output_limit_closes);
    CU_ASSERT_EQUAL(closes, 1);
    slow->paused = false;
    rig_run(&rig, 2000000);
}

static void test_who_does_not_read_is_closed(void)
{
    each_number_of_workers(limits);
}

/* Keyspace notifications: by commands, by EXEC, by several shards at once, by what expires. */
static void events(void)
{
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    static const char *const pairs[] = {"notify-keyspace-events", "Eg$lxn", NULL};
    rig_reconfigure(&rig, pairs);
    CU_ASSERT(says(a, "PSUBSCRIBE __key*\r\n", "*3\r\n$10\r\npsubscribe\r\n$6\r\n__key*\r\n:1\r\n"));
    a->got_len = 0;
#define EVENT(length, name, key)                                                                             \
    "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$" length "\r\n__keyevent@0__:" name "\r\n$1\r\n" key "\r\n"
    CU_ASSERT(says(b, "SET a 1 EX 100\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, EVENT("18", "new", "a") EVENT("18", "set", "a") EVENT("21", "expire", "a")));
    CU_ASSERT(says(b, "RENAME a b\r\nSADD s x\r\nGET nope\r\n", "+OK\r\n:1\r\n$-1\r\n"));
    CU_ASSERT(heard(a, EVENT("18", "new", "b") EVENT("26", "rename_from", "a") EVENT("24", "rename_to", "b")
                           EVENT("18", "new", "s")));
    CU_ASSERT(says(b, "MULTI\r\nRPUSH l 1\r\nLPOP l\r\nEXEC\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$1\r\n1\r\n"));
    CU_ASSERT(heard(a, EVENT("18", "new", "l") EVENT("20", "rpush", "l") EVENT("19", "lpop", "l")
                           EVENT("18", "del", "l")));
    CU_ASSERT(says(b, "PEXPIRE b 1\r\n", ":1\r\n"));
    struct timespec wait = {.tv_nsec = 5000000};
    nanosleep(&wait, NULL); /* the wall clock is the machine's */
    CU_ASSERT(says(b, "GET b\r\n", "$-1\r\n"));
    CU_ASSERT(heard(a, EVENT("21", "expire", "b") EVENT("22", "expired", "b")));
    CU_ASSERT(says(b, "DEL s\r\nDEL s\r\n", ":1\r\n:0\r\n"));
    CU_ASSERT(heard(a, EVENT("18", "del", "s")));
    static const char *const off[] = {"notify-keyspace-events", "", NULL};
    rig_reconfigure(&rig, off);
    CU_ASSERT(says(b, "SET a 1\r\n", "+OK\r\n"));
    CU_ASSERT(heard(a, ""));
    for (unsigned i = 0; i < rig.box.workers; i++)
        CU_ASSERT_EQUAL(rig.box.worker[i]->waits->nodes, 0);
}

static void test_keyspace_notifications(void)
{
    each_number_of_workers(events);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_channels_patterns_and_shards),
        UNIT(test_a_subscribed_client_may_do_little),
        UNIT(test_pushes_and_transactions),
        UNIT(test_everybody_sees_one_order),
        UNIT(test_many_patterns_go_in_slices),
        UNIT(test_connections_that_end),
        UNIT(test_who_does_not_read_is_closed),
        UNIT(test_keyspace_notifications),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/pubsub", tests);
}
