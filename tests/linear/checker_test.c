/* checker_test.c: what the checker must say of histories that are small enough to be judged by eye; and of
 * random ones that a sequential server has made, before and after one reply is changed. */
#include "checker.h"
#include "load.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static struct history h;

static struct linear_op op_of(unsigned client, uint64_t call, uint64_t end, const char *reply)
{
    struct linear_op op = {.client = (uint8_t)client, .call = call, .end = end ? end : UINT64_MAX};
    if (reply) {
        op.reply = strdup(reply);
        op.reply_len = strlen(reply);
    }
    return op;
}

static void add_command(struct linear_op *op, const char *verb, unsigned a, unsigned b, int x, int y)
{
    struct linear_command *c = &op->command[op->commands++];
    *c = (struct linear_command){.verb = (uint8_t)linear_verb(verb), .key = {(uint8_t)a, (uint8_t)b}, .value = {x, y}};
    op->keys |= linear_keys(c);
}

/* A command on key 0, or on keys 0 and 1, with values x and y. end 0: it has none. */
static void op(unsigned client, uint64_t call, uint64_t end, const char *verb, int x, int y, const char *reply)
{
    struct linear_op one = op_of(client, call, end, reply);
    add_command(&one, verb, 0, 1, x, y);
    CU_ASSERT_TRUE(history_add(&h, &one));
}

static bool linear(void)
{
    struct linear_verdict v = linear_check(&h, 1000000);
    history_free(&h);
    CU_ASSERT_NOT_EQUAL(v.is, GAVE_UP);
    return v.is == LINEAR;
}

static void test_one_after_the_other(void)
{
    op(0, 1, 2, "SET", 7, 0, "+OK\r\n");
    op(1, 3, 4, "GET", 0, 0, "$1\r\n7\r\n");
    CU_ASSERT_TRUE(linear());
    op(0, 1, 2, "SET", 7, 0, "+OK\r\n");
    op(1, 3, 4, "GET", 0, 0, "$-1\r\n");
    CU_ASSERT_FALSE(linear());
}

static void test_at_the_same_time_either_order_will_do(void)
{
    for (int seen = 0; seen < 2; seen++) {
        op(0, 1, 4, "SET", 7, 0, "+OK\r\n");
        op(1, 2, 3, "GET", 0, 0, seen ? "$1\r\n7\r\n" : "$-1\r\n");
        CU_ASSERT_TRUE(linear());
    }
}

static void test_what_was_seen_once_cannot_be_unseen(void)
{
    op(0, 1, 10, "SET", 7, 0, "+OK\r\n");
    op(1, 2, 3, "GET", 0, 0, "$1\r\n7\r\n");
    op(2, 4, 5, "GET", 0, 0, "$-1\r\n");
    CU_ASSERT_FALSE(linear());
}

static void test_a_pipeline_keeps_its_order(void)
{
    op(0, 1, 4, "SET", 7, 0, "+OK\r\n");
    op(0, 2, 5, "GET", 0, 0, "$-1\r\n");
    CU_ASSERT_FALSE(linear());
}

static void test_what_has_no_end_may_have_happened_or_not(void)
{
    op(0, 1, 0, "SET", 7, 0, NULL);
    op(1, 2, 3, "GET", 0, 0, "$-1\r\n");
    op(1, 4, 5, "GET", 0, 0, "$1\r\n7\r\n");
    CU_ASSERT_TRUE(linear());
    op(0, 1, 0, "SET", 7, 0, NULL);
    op(1, 2, 3, "GET", 0, 0, "$-1\r\n");
    CU_ASSERT_TRUE(linear());
    op(0, 4, 0, "SET", 7, 0, NULL);
    op(1, 2, 3, "GET", 0, 0, "$1\r\n7\r\n");
    CU_ASSERT_FALSE(linear());
}

static void test_a_torn_MSET(void)
{
    for (int torn = 0; torn < 2; torn++) {
        op(0, 1, 10, "MSET2", 7, 8, "+OK\r\n");
        op(1, 2, 3, "MGET2", 0, 0, torn ? "*2\r\n$1\r\n7\r\n$-1\r\n" : "*2\r\n$1\r\n7\r\n$1\r\n8\r\n");
        CU_ASSERT_EQUAL(linear(), !torn);
    }
}

/* Each key by itself is linearizable: two writers, whom two readers see in different orders. */
static void test_orders_of_two_keys_must_agree(void)
{
    op(0, 1, 20, "MSET2", 7, 7, "+OK\r\n");
    op(1, 2, 21, "MSET2", 8, 8, "+OK\r\n");
    op(2, 3, 22, "MGET2", 0, 0, "*2\r\n$1\r\n7\r\n$1\r\n8\r\n");
    CU_ASSERT_FALSE(linear());
}

static void test_a_lost_update(void)
{
    op(0, 1, 4, "INCR", 0, 0, ":1\r\n");
    op(1, 2, 5, "INCR", 0, 0, ":1\r\n");
    CU_ASSERT_FALSE(linear());
    op(0, 1, 4, "INCR", 0, 0, ":2\r\n");
    op(1, 2, 5, "INCR", 0, 0, ":1\r\n");
    CU_ASSERT_TRUE(linear());
}

static void exec(unsigned client, uint64_t call, uint64_t end, const char *reply)
{
    struct linear_op one = op_of(client, call, end, reply);
    one.multi = true;
    add_command(&one, "SET", 0, 0, 9, 0);
    CU_ASSERT_TRUE(history_add(&h, &one));
}

static void test_EXEC_knows_what_was_changed_behind_WATCH(void)
{
    static const char *const reply[] = {"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n"};
    for (int changed = 0; changed < 2; changed++)
        for (int nothing = 0; nothing < 2; nothing++) {
            op(0, 1, 2, "WATCH", 0, 0, "+OK\r\n");
            if (changed)
                op(1, 3, 4, "INCR", 0, 0, ":1\r\n");
            exec(0, 5, 6, reply[nothing]);
            CU_ASSERT_EQUAL(linear(), changed == nothing);
        }
}

static void list_op(unsigned client, uint64_t call, uint64_t end, const char *verb, int x, const char *reply)
{
    struct linear_op one = op_of(client, call, end, reply);
    add_command(&one, verb, 4, 5, x, 0);
    CU_ASSERT_TRUE(history_add(&h, &one));
}

static void test_an_element_is_popped_once(void)
{
    for (int twice = 0; twice < 2; twice++) {
        list_op(0, 1, 9, "BLPOP", 5, "*2\r\n$2\r\nl3\r\n$1\r\n7\r\n");
        list_op(1, 2, 10, "BLPOP", 5, twice ? "*2\r\n$2\r\nl3\r\n$1\r\n7\r\n" : "*-1\r\n");
        list_op(2, 3, 4, "RPUSH", 7, ":1\r\n");
        CU_ASSERT_EQUAL(linear(), !twice);
    }
}

static void test_who_waits_in_vain_has_seen_nothing(void)
{
    list_op(0, 1, 2, "RPUSH", 7, ":1\r\n");
    list_op(1, 3, 8, "BLPOP", 5, "*-1\r\n");
    CU_ASSERT_FALSE(linear());
}

/* -- random histories of a sequential server */

static void run_random(uint64_t seed)
{
    static struct linear_state state;
    static struct linear_reply reply;
    static struct linear_client client[4];
    static _Atomic(uint64_t) ticks;
    struct linear_load load = {.seed = seed, .ops = 15, .whole = seed % 2, .block_ms = 4, .clock = &ticks};
    uint64_t random = seed;
    memset(&state, 0, sizeof state);
    for (unsigned i = 0; i < 4; i++)
        linear_client_init(&client[i], &load, i);
    for (unsigned open = 0xf; open;) {
        unsigned i = (unsigned)(linear_random(&random) % 4);
        struct linear_client *c = &client[i];
        if (!c->waiting && !linear_client_ask(c)) {
            open &= ~(1u << i);
            continue;
        }
        linear_apply(&state, &c->sent[0].op, &reply);
        CU_ASSERT_EQUAL(linear_client_told(c, reply.text, reply.len), reply.len);
    }
    for (unsigned i = 0; i < 4; i++) {
        linear_client_gather(&client[i], &h);
        linear_client_free(&client[i]);
    }
}

static void test_random_histories(void)
{
    unsigned found = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        run_random(seed);
        CU_ASSERT_TRUE(linear());
        run_random(seed);
        for (unsigned i = h.n / 2; i < h.n; i++) /* a number that nobody has written */
            if (h.op[i].reply[0] == '$' && h.op[i].reply[1] != '-') {
                h.op[i].reply[h.op[i].reply_len - 3] ^= 1;
                break;
            }
        found += !linear();
    }
    CU_ASSERT_TRUE(found > 150);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_one_after_the_other),
        UNIT(test_at_the_same_time_either_order_will_do),
        UNIT(test_what_was_seen_once_cannot_be_unseen),
        UNIT(test_a_pipeline_keeps_its_order),
        UNIT(test_what_has_no_end_may_have_happened_or_not),
        UNIT(test_a_torn_MSET),
        UNIT(test_orders_of_two_keys_must_agree),
        UNIT(test_a_lost_update),
        UNIT(test_EXEC_knows_what_was_changed_behind_WATCH),
        UNIT(test_an_element_is_popped_once),
        UNIT(test_who_waits_in_vain_has_seen_nothing),
        UNIT(test_random_histories),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "linear/checker", tests);
}
