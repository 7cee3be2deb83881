/* turns_many_test.c: what names very many topics or keys, and what is long inside a script
 * (dataplane/turns.h). */
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { TOPICS = 400 };

static char request[1 << 16];

/* A command with the arguments 0 ... n - 1. */
static size_t many(const char *command, unsigned n)
{
    size_t len = (size_t)sprintf(request, "%s", command);
    for (unsigned i = 0; i < n; i++)
        len += (size_t)sprintf(request + len, " %u", i);
    return len + (size_t)sprintf(request + len, "\r\n");
}

static void begins(struct rig_client *c, size_t len)
{
    c->got_len = 0;
    rig_exchange(&rig, c, request, len, 0);
}

/* Bytes of the confirmations of 0 ... n - 1, of which the numbers rise, or fall, to 0. */
static size_t confirmations(const char *what, unsigned n, bool rise)
{
    size_t size = 0;
    for (unsigned i = 0; i < n; i++)
        size += (size_t)snprintf(NULL, 0, "*3\r\n$%zu\r\n%s\r\n$%d\r\n%u\r\n:%u\r\n", strlen(what), what,
                                 snprintf(NULL, 0, "%u", i), i, rise ? i + 1 : i);
    return size;
}

static const char *find(struct rig_client *c, const char *text)
{
    return memmem(c->got, c->got_len, text, strlen(text));
}

static uint64_t subscriptions(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        n += rig.box.pubsub[i]->subscriptions.n;
    return n;
}

/* Others have the worker in between; no message comes before the confirmation of its topic. */
static void subscribes_in_parts(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        begins(client[0], many("SUBSCRIBE", TOPICS));
        for (unsigned i = 0; i < 100 && subscriptions() == 0; i++)
            rig_run(&rig, 1);
        CU_ASSERT(subscriptions() < TOPICS);
        sends(client[1], "PUBLISH 0 early\r\nPUBLISH 399 late\r\nPUBLISH 400 never\r\n");
        rig_run(&rig, 20000);
        sends(client[2], "PUBSUB NUMSUB 0 399 400\r\n");
        CU_ASSERT(has(client[2], "*6\r\n$1\r\n0\r\n:1\r\n$3\r\n399\r\n:1\r\n$3\r\n400\r\n:0\r\n"));
        const char *first = find(client[0], "$1\r\n0\r\n:1\r\n"), *message = find(client[0], "early");
        CU_ASSERT(first && message && first < message);
        size_t size = confirmations("subscribe", TOPICS, true);
        size += strlen("*3\r\n$7\r\nmessage\r\n$1\r\n0\r\n$5\r\nearly\r\n");
        if (find(client[0], "late"))
            size += strlen("*3\r\n$7\r\nmessage\r\n$3\r\n399\r\n$4\r\nlate\r\n");
        CU_ASSERT_EQUAL(client[0]->got_len, size);
        begins(client[0], many("UNSUBSCRIBE", 0));
        CU_ASSERT(completes(client[0], confirmations("unsubscribe", TOPICS, false)));
        CU_ASSERT_EQUAL(subscriptions(), 0);
        CU_ASSERT(rig_says(&rig, client[0], "ECHO x\r\n", "$1\r\nx\r\n"));
        CU_ASSERT(end());
    }
}

static void a_subscriber_may_go_in_the_middle(void)
{
    begin(one);
    begins(client[0], many("SUBSCRIBE", TOPICS));
    for (unsigned i = 0; i < 100 && subscriptions() == 0; i++)
        rig_run(&rig, 1);
    CU_ASSERT(subscriptions() > 0 && rig.worker->turns.jobs == 1);
    tcp_abort(client[0]->conn, rig.now_us);
    rig_run(&rig, 20000);
    CU_ASSERT_EQUAL(subscriptions(), 0);
    CU_ASSERT_EQUAL(rig.worker->turns.jobs, 0);
    CU_ASSERT(rig_says(&rig, client[1], "PUBSUB CHANNELS\r\n", "*0\r\n"));
    CU_ASSERT(end());
}

/* Those that were there from the beginning to the end are told once; later ones are not. */
static void channels_are_listed_in_slices(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        for (unsigned i = 0; i < 2; i++) {
            begins(client[i], many("SUBSCRIBE", TOPICS));
            CU_ASSERT(completes(client[i], confirmations("subscribe", TOPICS, true)));
        }
        client[2]->got_len = 0;
        rig_exchange(&rig, client[2], "PUBSUB CHANNELS\r\n", 17, 0);
        for (unsigned i = 0; i < 200 && !rig.box.pubsub[0]->walks; i++)
            rig_run(&rig, 1);
        CU_ASSERT_PTR_NOT_NULL(rig.box.pubsub[0]->walks);
        rig_exchange(&rig, client[3], "SUBSCRIBE new newer\r\n", 21, 0);
        rig_run(&rig, 100000);
        CU_ASSERT(find(client[2], "*400\r\n") == (char *)client[2]->got);
        CU_ASSERT_PTR_NOT_NULL(find(client[2], "$3\r\n399\r\n"));
        CU_ASSERT(!find(client[2], "new") && !rig.box.pubsub[0]->walks);
        CU_ASSERT(end());
    }
}

static void a_channel_may_go_while_it_is_next(void)
{
    struct pubsub *p = pubsub_new(1);
    struct client c;
    struct topic_walk walk, other;
    client_init(&c, 1, 0);
    for (const char *name = "abcd"; *name; name++)
        CU_ASSERT_EQUAL(pubsub_subscribe(p, &c, TOPIC_CHANNEL, (struct slice){(const uint8_t *)name, 1}),
                        SUBSCRIBED);
    topic_walk_begin(&walk, p, TOPIC_CHANNEL);
    topic_walk_begin(&other, p, TOPIC_CHANNEL);
    CU_ASSERT_EQUAL(topic_walk_next(&walk)->name[0], 'a');
    pubsub_unsubscribe(p, &c, TOPIC_CHANNEL, SLICE_LIT("b"));
    pubsub_unsubscribe(p, &c, TOPIC_CHANNEL, SLICE_LIT("c"));
    pubsub_subscribe(p, &c, TOPIC_CHANNEL, SLICE_LIT("b"));
    CU_ASSERT_EQUAL(topic_walk_next(&walk)->name[0], 'd');
    CU_ASSERT_PTR_NULL(topic_walk_next(&walk));
    topic_walk_end(&walk, p);
    CU_ASSERT_EQUAL(topic_walk_next(&other)->name[0], 'a');
    topic_walk_end(&other, p);
    CU_ASSERT_PTR_NULL(p->walks);
    pubsub_free(p);
}

/* Nobody sees what the script has begun; who needs nothing of it does not wait. */
static void a_script_is_long_by_one_command(void)
{
    static const char script[] = "EVAL \"return redis.call('smembers', KEYS[1])\" 1 set\r\n";
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        add("SADD", "set", MEMBERS);
        uint64_t before = rig.counters.v[COUNTER_long_command_slices];
        client[0]->got_len = client[1]->got_len = 0;
        rig_exchange(&rig, client[0], script, sizeof script - 1, 0);
        rig_run(&rig, 100);
        rig_exchange(&rig, client[1], "SADD set x\r\n", 12, 0);
        CU_ASSERT(rig_says(&rig, client[2], "PING\r\n", "+PONG\r\n"));
        CU_ASSERT(completes(client[0], members_size(MEMBERS)));
        CU_ASSERT(completes(client[1], 4));
        CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] - before > MEMBERS);
        sends(client[0], "EVAL \"redis.call('sunionstore', KEYS[2], KEYS[1]) "
                         "return redis.call('scard', KEYS[2])\" 2 set {set}to\r\n");
        CU_ASSERT(completes(client[0], 6) && has(client[0], ":301\r\n"));
        sends(client[0], "EVAL \"return #redis.call('keys', '*')\" 0\r\n");
        CU_ASSERT(completes(client[0], 4) && has(client[0], ":2\r\n"));
        sends(client[0], "EVAL \"return redis.pcall('migrate', '127.0.0.1', 1, 'set', 0, 100)\" 1 set\r\n");
        CU_ASSERT_PTR_NOT_NULL(find(client[0], "not in a transaction or a script"));
        CU_ASSERT(end());
    }
}

/* Between the slices of a script's read others' requests are where its own was when it began; what it has read is its
 * own client's all the same. */
static void what_a_script_has_read_is_tracked_as_its_own_clients(void)
{
    static const char script[] = "EVAL_RO \"return #redis.call('lrange', KEYS[1], 0, -1)\" 1 list\r\n";
    static const char gone[] = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nlist\r\n";
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        add("RPUSH", "list", MEMBERS);
        sends(client[0], "HELLO 3\r\n");
        CU_ASSERT(rig_says(&rig, client[0], "CLIENT TRACKING ON\r\n", "+OK\r\n"));
        client[0]->got_len = client[2]->got_len = 0;
        rig_exchange(&rig, client[0], script, sizeof script - 1, 0);
        unsigned between = 0;
        for (unsigned i = 0; i < 10000 && client[0]->got_len == 0; i++) {
            rig_exchange(&rig, client[2], "NOSUCH\r\n", 8, 0);
            rig_run(&rig, 100);
            between += client[0]->got_len == 0 && client[2]->got_len > 0;
            client[2]->got_len = 0;
        }
        CU_ASSERT(between > 0);
        CU_ASSERT(has(client[0], ":300\r\n"));
        client[0]->got_len = 0;
        CU_ASSERT(rig_says(&rig, client[1], "DEL list\r\n", ":1\r\n"));
        CU_ASSERT(completes(client[0], sizeof gone - 1) && has(client[0], gone));
        CU_ASSERT(end());
    }
}

static void many_keys(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        CU_ASSERT(rig_says(&rig, client[1], "MSET 0 x 399 y\r\nSADD 7 m\r\n", "+OK\r\n:1\r\n"));
        begins(client[0], many("MGET", TOPICS));
        CU_ASSERT(completes(client[0], 6 + 2 * 7 + (TOPICS - 2) * 5));
        begins(client[0], many("SINTER", TOPICS));
        CU_ASSERT(completes(client[0], 68) && find(client[0], "-WRONGTYPE"));
        CU_ASSERT(rig_says(&rig, client[1], "DEL 0 399\r\n", ":2\r\n"));
        begins(client[0], many("SINTER", TOPICS));
        CU_ASSERT(completes(client[0], 4) && has(client[0], "*0\r\n"));
        begins(client[0], many("SUNION", TOPICS));
        CU_ASSERT(completes(client[0], 11) && has(client[0], "*1\r\n$1\r\nm\r\n"));
        begins(client[0], many("PFADD h", TOPICS));
        CU_ASSERT(completes(client[0], 4) && has(client[0], ":1\r\n"));
        CU_ASSERT(end());
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(subscribes_in_parts),
                                             UNIT(a_subscriber_may_go_in_the_middle),
                                             UNIT(channels_are_listed_in_slices),
                                             UNIT(a_channel_may_go_while_it_is_next),
                                             UNIT(a_script_is_long_by_one_command),
                                             UNIT(what_a_script_has_read_is_tracked_as_its_own_clients),
                                             UNIT(many_keys),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/turns_many", tests);
}
