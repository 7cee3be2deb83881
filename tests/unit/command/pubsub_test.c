/* pubsub_test.c: subscriptions against a model that is a bit a client and topic: random changes with memory
 * that runs out, clients that go with many subscriptions, and messages on their way while all that happens.
 */
#include "command/pubsub.h"

#include "base/glob.h"
#include "nomem.h"
#include "unit.h"

#include <stdio.h>

enum { CLIENTS = 6, NAMES = 40 };

static struct client client[CLIENTS];
static bool has[CLIENTS][TOPIC_KINDS][NAMES];
static char name[TOPIC_KINDS][NAMES][8];
static struct pubsub *p;
static uint32_t state;

static unsigned choose(unsigned n)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % n;
}

static struct slice name_of(int kind, unsigned i)
{
    return slice_str(name[kind][i]);
}

static void start(void)
{
    memset(has, 0, sizeof has);
    p = pubsub_new(77);
    state = 1;
    for (unsigned i = 0; i < CLIENTS; i++)
        client_init(&client[i], i + 1, 0);
    for (unsigned i = 0; i < NAMES; i++) {
        sprintf(name[TOPIC_CHANNEL][i], "c%u", i);
        sprintf(name[TOPIC_SHARD][i], "c%u", i);
        sprintf(name[TOPIC_PATTERN][i], "c%u*", i);
    }
}

static uint64_t expected(int kind, unsigned i)
{
    uint64_t n = 0;
    for (unsigned c = 0; c < CLIENTS; c++) {
        n += has[c][kind][i];
        for (unsigned k = 0; kind == TOPIC_CHANNEL && k < NAMES; k++)
            n += has[c][TOPIC_PATTERN][k] && glob_match(name_of(TOPIC_PATTERN, k), name_of(kind, i), false);
    }
    return n;
}

static bool equals_model(void)
{
    bool good = true;
    for (unsigned i = 0; i < NAMES; i++) {
        good &= pubsub_receivers(p, TOPIC_CHANNEL, name_of(TOPIC_CHANNEL, i)) == expected(TOPIC_CHANNEL, i);
        good &= pubsub_receivers(p, TOPIC_SHARD, name_of(TOPIC_SHARD, i)) == expected(TOPIC_SHARD, i);
        good &= !expected(TOPIC_SHARD, i) || pubsub_interested(p, TOPIC_SHARD, name_of(TOPIC_SHARD, i));
        good &= !expected(TOPIC_CHANNEL, i) || pubsub_interested(p, TOPIC_CHANNEL, name_of(TOPIC_CHANNEL, i));
    }
    for (unsigned c = 0; c < CLIENTS; c++)
        for (int kind = 0; kind < TOPIC_KINDS; kind++) {
            uint64_t n = 0;
            for (unsigned i = 0; i < NAMES; i++)
                n += has[c][kind][i];
            good &= n == pubsub_count(&client[c], kind);
        }
    return good;
}

static void change(void)
{
    unsigned c = choose(CLIENTS), i = choose(NAMES);
    int kind = (int)choose(TOPIC_KINDS);
    bool *mine = &has[c][kind][i];
    if (choose(60) == 0) {
        pubsub_leave(p, &client[c]);
        memset(has[c], 0, sizeof has[c]);
    } else if (choose(5) < 3) {
        fail_at = choose(4) ? -1 : (long)choose(4);
        enum subscribed result = pubsub_subscribe(p, &client[c], kind, name_of(kind, i));
        fail_at = -1;
        CU_ASSERT_EQUAL(result == SUBSCRIBED_ALREADY, *mine);
        *mine |= result == SUBSCRIBED;
    } else {
        CU_ASSERT_EQUAL(pubsub_unsubscribe(p, &client[c], kind, name_of(kind, i)), *mine);
        *mine = false;
    }
}

static void finish(void)
{
    for (unsigned c = 0; c < CLIENTS; c++)
        pubsub_leave(p, &client[c]);
    while (pubsub_tidy(p))
        ;
    CU_ASSERT_EQUAL(p->topics.n + p->subscriptions.n, 0);
    for (unsigned i = 0; i < PUBSUB_INTEREST; i++)
        CU_ASSERT_EQUAL(p->interest[i], 0);
    pubsub_free(p);
}

static void test_random_changes(void)
{
    start();
    for (unsigned n = 0; n < 20000; n++) {
        change();
        if (n % 50 == 0)
            CU_ASSERT_TRUE_FATAL(equals_model());
    }
    finish();
}

/* Who subscribed before the message and stays gets it once a topic; who came later does not. */
static void test_a_message_among_changes(void)
{
    start();
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned n = 0; n < 30; n++)
            change();
        unsigned i = choose(NAMES), got[CLIENTS] = {0}, most[CLIENTS];
        bool before[CLIENTS][TOPIC_KINDS][NAMES];
        memcpy(before, has, sizeof has);
        struct slice channel = name_of(TOPIC_CHANNEL, i);
        uint64_t deliveries = pubsub_receivers(p, TOPIC_CHANNEL, channel), n = 0;
        bool still = round % 2;
        pubsub_walk_begin(p, TOPIC_CHANNEL, channel, p->made);
        while (!pubsub_walk_ended(p)) {
            unsigned budget = 1 + choose(3);
            struct topic *t;
            for (struct client *c; (c = pubsub_walk_next(p, &t, &budget)); n++)
                got[c - client]++;
            if (!still)
                change();
        }
        if (still)
            CU_ASSERT_EQUAL(n, deliveries);
        for (unsigned c = 0; c < CLIENTS; c++) {
            most[c] = 0;
            for (int kind = TOPIC_CHANNEL; kind <= TOPIC_PATTERN; kind++)
                for (unsigned k = 0; k < NAMES; k++)
                    if (before[c][kind][k] && glob_match(name_of(kind, k), channel, false))
                        most[c]++;
            CU_ASSERT_TRUE(got[c] <= most[c]);
            if (still)
                CU_ASSERT_EQUAL(got[c], most[c]);
        }
    }
    finish();
}

/* A client with very many ends in slices; what is left is freed with the tables. */
static void test_many_end_in_slices(void)
{
    char text[16];
    start();
    for (unsigned i = 0; i < 5000; i++) {
        sprintf(text, "m%u", i);
        CU_ASSERT_EQUAL(pubsub_subscribe(p, &client[0], TOPIC_CHANNEL, slice_str(text)), SUBSCRIBED);
    }
    CU_ASSERT_EQUAL(pubsub_count(&client[0], TOPIC_CHANNEL), 5000);
    CU_ASSERT_TRUE(pubsub_bytes(&client[0]) > 5000 * sizeof(struct subscription));
    pubsub_leave(p, &client[0]);
    CU_ASSERT_PTR_NULL(client[0].subscriber);
    CU_ASSERT_TRUE(p->subscriptions.n > 4000);
    unsigned budget = 100;
    struct topic *t;
    pubsub_walk_begin(p, TOPIC_CHANNEL, slice_str("m4000"), p->made);
    CU_ASSERT_PTR_NULL(pubsub_walk_next(p, &t, &budget)); /* it is gone */
    unsigned slices = 1;
    while (pubsub_tidy(p))
        slices++;
    CU_ASSERT_TRUE(slices > 10);
    CU_ASSERT_EQUAL(p->subscriptions.n, 0);
    CU_ASSERT_EQUAL(pubsub_subscribe(p, &client[1], TOPIC_PATTERN, slice_str("*")), SUBSCRIBED);
    pubsub_free(p);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_random_changes),
        UNIT(test_a_message_among_changes),
        UNIT(test_many_end_in_slices),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "command/pubsub", tests);
}
