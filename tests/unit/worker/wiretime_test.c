/* wiretime_test.c: what is entered of a request's way, and that every request is: also those that hop, wait
 * or come in pieces. The rig's time is virtual and the clock of batches is not, so durations are looked at
 * without it. */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};

static uint64_t counted(const struct histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < TIME_BUCKETS; i++)
        n += h->bucket[i];
    return n;
}

/* -- durations: a clock of one cycle a nanosecond */

static struct family_times family[TIME_FAMILIES];
static struct wiretime times;

static void begin(uint64_t start, uint64_t delivered)
{
    wiretime_round(&times, start);
    times.delivered = delivered;
}

/* A batch of n requests of a family behind those it has. */
static struct wiretime_batch batch;
static unsigned batched;

static void add(unsigned f, unsigned n)
{
    while (n--)
        batch.family[batched++] = (uint8_t)f;
}

static void end_batch(uint64_t from, uint64_t to)
{
    wiretime_batch(&times, &batch, batched, from, to);
    memset(&batch, 0, sizeof batch);
    batched = 0;
}

static const struct histogram *stage(unsigned f, enum time_stage s)
{
    return &family[f].stage[s];
}

static void clear(void)
{
    memset(family, 0, sizeof family);
    wiretime_init(&times, family, 1e9);
}

static void test_stages_add_up_to_the_total(void)
{
    clear();
    begin(1000000, 1000100);
    add(2, 3);
    add(19, 1);
    add(2, 2); /* one of them was not run, one goes on elsewhere */
    batch.undone = 3 << 4;
    end_batch(1000100, 1000400);
    add(2, 1);
    end_batch(1000400, 1001000);
    wiretime_sent(&times, 1002000);
    CU_ASSERT_EQUAL(stage(2, TIME_STACK)->sum, 4 * 100);
    CU_ASSERT_EQUAL(stage(2, TIME_QUEUE)->sum, 300);
    CU_ASSERT_EQUAL(stage(2, TIME_EXECUTE)->sum, 3 * 300 + 600);
    CU_ASSERT_EQUAL(stage(2, TIME_SEND)->sum, 3 * 1600 + 1000);
    CU_ASSERT_EQUAL(stage(2, TIME_TOTAL)->sum, 4 * 2000);
    CU_ASSERT_EQUAL(counted(stage(2, TIME_TOTAL)), 4);
    CU_ASSERT_EQUAL(counted(stage(19, TIME_TOTAL)), 1);
    CU_ASSERT_EQUAL(stage(19, TIME_TOTAL)->max, 2000);
    CU_ASSERT_EQUAL(counted(stage(2, TIME_ELSEWHERE)), 0);
}

static void test_what_came_in_an_earlier_round_counts_from_there(void)
{
    clear();
    begin(1 << 20, (1 << 20) + 50);
    uint32_t since = times.now;
    wiretime_sent(&times, (1 << 20) + 100);
    begin(3 << 20, (3 << 20) + 50);
    add(2, 3);
    wiretime_late(&batch, 0, 2, since);
    end_batch((3 << 20) + 50, (3 << 20) + 150);
    wiretime_elsewhere(&times, since, 3, (3 << 20) + 200);
    wiretime_sent(&times, (3 << 20) + 300);
    CU_ASSERT_EQUAL(counted(stage(2, TIME_STACK)), 1);
    CU_ASSERT_EQUAL(stage(2, TIME_QUEUE)->sum, 2 * ((2 << 20) + 50));
    CU_ASSERT_EQUAL(stage(2, TIME_EXECUTE)->sum, 3 * 100);
    CU_ASSERT_EQUAL(stage(2, TIME_TOTAL)->sum, 2 * ((2 << 20) + 300) + 300);
    CU_ASSERT_EQUAL(stage(3, TIME_ELSEWHERE)->sum, (2 << 20) + 200);
    CU_ASSERT_EQUAL(stage(3, TIME_SEND)->sum, 100);
    CU_ASSERT_EQUAL(counted(stage(3, TIME_EXECUTE)), 0);
}

static void test_more_groups_than_there_is_room_for(void)
{
    clear();
    begin(UINT64_C(1) << 30, UINT64_C(1) << 30);
    for (unsigned i = 1; i <= 1000; i++) {
        add(2, 1);
        wiretime_late(&batch, 0, 1, times.now - 2 * i);
        end_batch(UINT64_C(1) << 30, (UINT64_C(1) << 30) + 10);
    }
    wiretime_sent(&times, (UINT64_C(1) << 30) + 20);
    CU_ASSERT_EQUAL(counted(stage(2, TIME_TOTAL)), 1000);
    CU_ASSERT_EQUAL(stage(2, TIME_TOTAL)->max, 2000 * 128 + 20);
    CU_ASSERT_EQUAL(stage(2, TIME_SEND)->max, 10);
}

/* -- over a whole worker */

static uint64_t of_box(const char *group, enum time_stage s)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < rig.box.workers; w++)
        n += counted(&rig.times[w * TIME_FAMILIES + time_family_of(group)].stage[s]);
    return n;
}

static void test_every_request_is_counted_once(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(rig_says(&rig, c, "SET a 1\r\nGET a\r\nHSET h f v\r\nNOSUCH\r\nGET\r\nPING\r\n",
                       "+OK\r\n$1\r\n1\r\n:1\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n"
                       "-ERR wrong number of arguments for 'get' command\r\n+PONG\r\n"));
    CU_ASSERT(rig_says(&rig, c, "MULTI\r\nGET a\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n"));
    CU_ASSERT_EQUAL(of_box("string", TIME_TOTAL), 4);
    CU_ASSERT_EQUAL(of_box("string", TIME_EXECUTE), 4);
    CU_ASSERT_EQUAL(of_box("hash", TIME_TOTAL), 1);
    CU_ASSERT_EQUAL(of_box("no such", TIME_TOTAL), 1);
    CU_ASSERT_EQUAL(of_box("connection", TIME_TOTAL), 1);
    CU_ASSERT_EQUAL(of_box("transactions", TIME_TOTAL), 2);
    CU_ASSERT_EQUAL(of_box("string", TIME_ELSEWHERE), 0);
    CU_ASSERT(counted(&rig.times[TIME_LOOP].stage[TIME_TOTAL]) > 0);
    CU_ASSERT(rig_says(&rig, c, "CONFIG RESETSTAT\r\n", "+OK\r\n"));
    CU_ASSERT_EQUAL(of_box("string", TIME_TOTAL), 0);
    CU_ASSERT(rig_stop(&rig));
}

static void test_hops_are_elsewhere_and_what_is_behind_them_waits(void)
{
    char request[256];
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    snprintf(request, sizeof request, "SET %s a\r\nSET %s b\r\nPING\r\nMSET %s 1 %s 2\r\n",
             rig_key(&rig, 0, 0), rig_key(&rig, 1, 0), rig_key(&rig, 0, 1), rig_key(&rig, 1, 1));
    CU_ASSERT(rig_says(&rig, c, request, "+OK\r\n+OK\r\n+PONG\r\n+OK\r\n"));
    CU_ASSERT_EQUAL(of_box("string", TIME_TOTAL), 3);
    CU_ASSERT_EQUAL(of_box("string", TIME_ELSEWHERE), 2);
    CU_ASSERT_EQUAL(of_box("string", TIME_SEND), 3);
    CU_ASSERT_EQUAL(of_box("connection", TIME_TOTAL), 1);
    CU_ASSERT_EQUAL(of_box("connection", TIME_STACK), 0); /* it had come long before */
    rig_run(&rig, 1000);
    CU_ASSERT(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_EQUAL(of_box("connection", TIME_STACK), 1);
    CU_ASSERT(rig_stop(&rig));
}

static void test_waiting_for_a_key_is_no_latency(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    rig_send(c, "BLPOP l 0\r\n");
    rig_run(&rig, 5000);
    CU_ASSERT(rig_says(&rig, d, "RPUSH l x\r\n", ":1\r\n"));
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(of_box("list", TIME_TOTAL), 1);
    CU_ASSERT(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_EQUAL(of_box("connection", TIME_TOTAL), 1);
    CU_ASSERT(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_stages_add_up_to_the_total),
                                             UNIT(test_what_came_in_an_earlier_round_counts_from_there),
                                             UNIT(test_more_groups_than_there_is_room_for),
                                             UNIT(test_every_request_is_counted_once),
                                             UNIT(test_hops_are_elsewhere_and_what_is_behind_them_waits),
                                             UNIT(test_waiting_for_a_key_is_no_latency),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/wiretime", tests);
}
