/* port_test.c: a port that takes fewer frames than the workers have to send: connections wait for room, nothing is dropped or sent
 * twice, and who asks for little is not behind those who ask for much (dataplane/tcp/room.c). Whole workers in virtual time. */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 200000, REPLY = SIZE + 11, PLACES = 8, READERS = RIG_CLIENTS - 2 };

static struct box_rig rig;

static uint64_t both(enum counter which)
{
    return rig.counters.v[which] + rig.second_counters.v[which];
}

/* Replies of READERS clients through a port of PLACES frames a round. */
static void many_read_much(const char *const *pairs)
{
    char set[64];
    rig_start(&rig, pairs, NULL);
    struct rig_client *small = rig_connect(&rig, RIG_CLIENTS - 2);
    sprintf(set, "SETRANGE big %d x\r\n", SIZE - 1);
    CU_ASSERT_TRUE(rig_says(&rig, small, set, ":200000\r\n"));
    struct rig_client *c[READERS];
    for (unsigned i = 0; i < READERS; i++)
        c[i] = rig_connect(&rig, i);
    rig_port.slots = PLACES;
    for (unsigned i = 0; i < READERS; i++) {
        c[i]->got_len = 0;
        c[i]->to_send = (const uint8_t *)"GET big\r\n";
        c[i]->to_send_len = 9;
        c[i]->sent = 0;
    }
    for (unsigned i = 0; i < 100 && !both(COUNTER_tx_full_waits); i++)
        rig_run(&rig, 100);
    CU_ASSERT_TRUE(rig_says(&rig, small, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(c[0]->got_len < REPLY); /* in between */
    unsigned whole = 0;
    for (unsigned ms = 0; ms < 20000 && whole < READERS; ms++) {
        rig_run(&rig, 1000);
        whole = 0;
        for (unsigned i = 0; i < READERS; i++)
            whole += c[i]->got_len >= REPLY;
    }
    for (unsigned i = 0; i < READERS; i++)
        CU_ASSERT_TRUE(c[i]->got_len == REPLY && memcmp(c[i]->got, "$200000\r\n", 9) == 0);
    CU_ASSERT_EQUAL(rig_port.dropped, 0);
    CU_ASSERT_EQUAL(both(COUNTER_tcp_retransmits) + both(COUNTER_tcp_rto), 0);
    CU_ASSERT_TRUE(both(COUNTER_tx_full_waits) > READERS);
    rig_port.slots = 0;
    CU_ASSERT_FALSE(*rig.worker->port_full);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void one_worker(void)
{
    many_read_much(NULL);
}

static void two_workers(void)
{
    static const char *const two[] = {"workers", "2", NULL};
    many_read_much(two);
}

/* The port rests for longer than a retransmission timeout: what it has kept meanwhile leaves once, and is waited for anew. */
static void a_rest_is_no_loss(void)
{
    enum { SMALL = 3000, REST_US = 500000 };
    char set[64];
    rig_start(&rig, NULL, NULL);
    struct rig_client *small = rig_connect(&rig, RIG_CLIENTS - 2), *c[READERS];
    sprintf(set, "SETRANGE some %d x\r\n", SMALL - 1);
    CU_ASSERT_TRUE(rig_says(&rig, small, set, ":3000\r\n"));
    for (unsigned i = 0; i < READERS; i++) {
        c[i] = rig_connect(&rig, i);
        CU_ASSERT_TRUE(rig_says(&rig, c[i], "PING\r\n", "+PONG\r\n"));
        c[i]->got_len = 0;
    }
    rig_port.slots = PLACES;
    rig_port.rests = true;
    for (unsigned i = 0; i < READERS; i++)
        rig_send(c[i], "GET some\r\n");
    rig_run(&rig, REST_US);
    CU_ASSERT_TRUE(*rig.worker->port_full && both(COUNTER_tx_full_waits) > 0 && c[0]->got_len == 0);
    rig_port.rests = false;
    rig_port.slots = RIG_BACKLOG; /* all at once: no acknowledgement can be between the last frame and the turns */
    rig_run(&rig, REST_US);
    for (unsigned i = 0; i < READERS; i++)
        CU_ASSERT_TRUE(c[i]->got_len == SMALL + sizeof "$3000\r\n\r\n" - 1);
    CU_ASSERT_EQUAL(rig_port.dropped, 0);
    CU_ASSERT_EQUAL(both(COUNTER_tcp_retransmits) + both(COUNTER_tcp_rto) + both(COUNTER_tcp_tail_probes), 0);
    CU_ASSERT_FALSE(*rig.worker->port_full);
    rig_port.slots = 0;
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Messages to all subscribers at once, more than the port takes in many rounds: each gets each, in order. */
static void many_hear_much(void)
{
    enum { MESSAGE = 16384, MESSAGES = 6 };
    static char request[MESSAGE + 64];
    rig_start(&rig, NULL, NULL);
    struct rig_client *c[READERS], *publisher = rig_connect(&rig, RIG_CLIENTS - 2);
    for (unsigned i = 0; i < READERS; i++) {
        c[i] = rig_connect(&rig, i);
        CU_ASSERT_TRUE(rig_says(&rig, c[i], "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
        c[i]->got_len = 0;
    }
    rig_port.slots = PLACES;
    size_t at = (size_t)sprintf(request, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%d\r\n", MESSAGE);
    for (unsigned n = 0; n < MESSAGES; n++) {
        memset(request + at, 'a' + (int)n, MESSAGE);
        memcpy(request + at + MESSAGE, "\r\n", 2);
        publisher->got_len = 0;
        rig_exchange(&rig, publisher, request, at + MESSAGE + 2, 5);
    }
    const size_t one = MESSAGE + 2 + sizeof "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$16384\r\n" - 1;
    for (unsigned ms = 0; ms < 20000 && c[READERS - 1]->got_len < MESSAGES * one; ms++)
        rig_run(&rig, 1000);
    rig_run(&rig, 50000);
    for (unsigned i = 0; i < READERS; i++) {
        CU_ASSERT_EQUAL(c[i]->got_len, MESSAGES * one);
        for (unsigned n = 0; n < MESSAGES; n++)
            CU_ASSERT_EQUAL(c[i]->got[(n + 1) * one - 3], 'a' + (int)n);
    }
    CU_ASSERT_EQUAL(rig_port.dropped, 0);
    CU_ASSERT_EQUAL(both(COUNTER_tcp_retransmits) + both(COUNTER_tcp_rto), 0);
    CU_ASSERT_TRUE(both(COUNTER_tx_full_waits) > 0);
    rig_port.slots = 0;
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(one_worker), UNIT(two_workers), UNIT(a_rest_is_no_loss), UNIT(many_hear_much), {NULL, NULL}};
    return unit_main(argc, argv, "worker/port", tests);
}
