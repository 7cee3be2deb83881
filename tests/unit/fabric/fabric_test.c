/* fabric_test.c: rings keep order and bound; a stop of all workers excludes everything else. */
#include "fabric/fabric.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static void test_ring_keeps_order_and_refuses_when_full(void)
{
    struct ring *r = ring_new(4);
    int item[5];
    for (int i = 0; i < 4; i++)
        CU_ASSERT_TRUE(ring_push(r, &item[i]));
    CU_ASSERT_FALSE(ring_push(r, &item[4]));
    CU_ASSERT_PTR_EQUAL(ring_pull(r), &item[0]);
    CU_ASSERT_TRUE(ring_push(r, &item[4]));
    for (int i = 1; i < 5; i++)
        CU_ASSERT_PTR_EQUAL(ring_pull(r), &item[i]);
    CU_ASSERT_PTR_NULL(ring_pull(r));
    free(r);
}

static void test_ring_indices_wrap(void)
{
    struct ring *r = ring_new(2);
    int item;
    atomic_store(&r->head, UINT32_MAX - 1);
    atomic_store(&r->tail, UINT32_MAX - 1);
    r->tail_seen = r->head_seen = UINT32_MAX - 1;
    for (int i = 0; i < 8; i++) {
        CU_ASSERT_TRUE(ring_push(r, &item));
        CU_ASSERT_PTR_EQUAL(ring_pull(r), &item);
    }
    free(r);
}

static void test_every_sender_is_heard(void)
{
    struct fabric *f = fabric_new(3, 8);
    int from[3];
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(fabric_send(f, i, fabric_main(f), &from[i]));
    unsigned heard = 0;
    for (int *m; (m = fabric_receive(f, fabric_main(f)));)
        heard |= 1u << (m - from);
    CU_ASSERT_EQUAL(heard, 7);
    fabric_free(f);
}

static void test_all_that_has_come_is_taken_in_order_and_in_turn(void)
{
    enum { SENDERS = 3, EACH = 5, ROOM = 4, ALL = SENDERS * EACH };
    struct fabric *f = fabric_new(SENDERS - 1, 8); /* and the main thread */
    uintptr_t next[SENDERS] = {0}, taken = 0;
    unsigned first = 0;
    void *message[ROOM];
    CU_ASSERT_EQUAL(fabric_receive_all(f, 0, message, ROOM), 0);
    for (unsigned from = 0; from < SENDERS; from++)
        for (uintptr_t i = 0; i < EACH; i++)
            CU_ASSERT_TRUE(fabric_send(f, from, 0, (void *)(from * EACH + i + 1)));
    for (unsigned n; (n = fabric_receive_all(f, 0, message, ROOM)); taken += n) {
        CU_ASSERT_TRUE(n == ROOM || n == ALL - taken);
        first |= 1u << ((uintptr_t)message[0] - 1) / EACH;
        for (unsigned i = 0; i < n; i++) {
            uintptr_t m = (uintptr_t)message[i] - 1;
            CU_ASSERT_EQUAL(m % EACH, next[m / EACH]);
            next[m / EACH]++;
        }
    }
    CU_ASSERT_EQUAL(taken, ALL);
    CU_ASSERT_EQUAL(first, 7); /* each was the first one to be heard at some time */
    fabric_free(f);
}

/* -- threads
 * ---------------------------------------------------------------------------------------------------- */

enum { WORKERS = 3, STOPS = 300, MESSAGES = 20000 };

struct shared {
    struct fabric *f;
    long plain[2]; /* written only under a stop, read by everybody outside: torn pairs would show */
    _Atomic(unsigned) stops, torn, running;
};

struct seat_arg {
    struct shared *s;
    unsigned id;
};

static void *stopping_worker(void *p)
{
    struct seat_arg *a = p;
    struct shared *s = a->s;
    unsigned mine = 0;
    atomic_fetch_add(&s->running, 1);
    while (atomic_load(&s->stops) < WORKERS * STOPS) {
        fabric_park(s->f, a->id);
        if (s->plain[0] != s->plain[1])
            atomic_fetch_add(&s->torn, 1);
        if (mine < STOPS && fabric_stop_all(s->f, a->id)) {
            s->plain[0]++;
            sched_yield();
            s->plain[1]++;
            mine++;
            atomic_fetch_add(&s->stops, 1);
            fabric_resume(s->f, a->id);
        }
        fabric_sleep(s->f, a->id);
        sched_yield();
        fabric_wake(s->f, a->id);
    }
    fabric_close(s->f);
    return NULL;
}

static void test_a_stop_excludes_all_others(void)
{
    struct shared s = {.f = fabric_new(WORKERS, 8)};
    struct seat_arg arg[WORKERS];
    pthread_t thread[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        arg[i] = (struct seat_arg){&s, i};
        pthread_create(&thread[i], NULL, stopping_worker, &arg[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&s.torn), 0);
    CU_ASSERT_EQUAL(s.plain[0], WORKERS * STOPS);
    CU_ASSERT_EQUAL(s.plain[1], WORKERS * STOPS);
    fabric_free(s.f);
}

static void *sender(void *p)
{
    struct shared *s = p;
    for (uintptr_t i = 1; i <= MESSAGES;)
        if (fabric_send(s->f, 0, 1, (void *)i))
            i++;
        else
            sched_yield();
    return NULL;
}

static void test_messages_between_threads_arrive_in_order(void)
{
    struct shared s = {.f = fabric_new(2, 16)};
    pthread_t thread;
    pthread_create(&thread, NULL, sender, &s);
    uintptr_t expected = 1;
    while (expected <= MESSAGES) {
        void *message[8];
        unsigned n = expected % 3 ? fabric_receive_all(s.f, 1, message, 8) : (message[0] = fabric_receive(s.f, 1)) != NULL;
        if (!n)
            sched_yield();
        for (unsigned i = 0; i < n; i++) {
            CU_ASSERT_EQUAL((uintptr_t)message[i], expected);
            expected++;
        }
    }
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(expected, MESSAGES + 1);
    fabric_free(s.f);
}

static void test_a_closed_fabric_stops_nobody(void)
{
    struct fabric *f = fabric_new(2, 8);
    fabric_close(f);
    CU_ASSERT_FALSE(fabric_stop_all(f, 0));
    fabric_park(f, 1);
    fabric_free(f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_ring_keeps_order_and_refuses_when_full),
        UNIT(test_ring_indices_wrap),
        UNIT(test_every_sender_is_heard),
        UNIT(test_all_that_has_come_is_taken_in_order_and_in_turn),
        UNIT(test_a_stop_excludes_all_others),
        UNIT(test_messages_between_threads_arrive_in_order),
        UNIT(test_a_closed_fabric_stops_nobody),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "fabric", tests);
}
