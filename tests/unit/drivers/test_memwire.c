/* test_memwire.c: the in-memory wire: each fault by itself, and that a run repeats. */
#include "drivers/memwire.h"
#include "rig.h"
#include "unit.h"

enum { FRAMES = 1000, LEN = 100 };

static struct memwire *wire;

static void start(uint64_t seed, struct memwire_fault fault)
{
    wire = memwire_new(rig_pool(), seed, &fault);
    CU_ASSERT_PTR_NOT_NULL_FATAL(wire);
}

static void done(void)
{
    memwire_free(wire);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

/* Each frame carries its number. */
static void send(unsigned end, unsigned number)
{
    uint32_t body[LEN / 4] = {number};
    struct rte_mbuf *m = rig_frame(body, LEN);
    memwire_end(wire, end)->send(memwire_end(wire, end)->ctx, &m, 1);
}

static void send_all(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        memwire_set_time(wire, i * 10);
        send(0, i);
    }
}

struct arrivals {
    unsigned n, out_of_order, corrupted;
    uint64_t digest, last_at;
};

/* Follows the wire's own clock until it is empty. */
static struct arrivals receive_all(unsigned end)
{
    static const uint8_t zero[LEN];
    struct arrivals a = {0};
    uint32_t highest = 0;
    for (uint64_t t; (t = memwire_next(wire)) != UINT64_MAX;) {
        struct rte_mbuf *m[8];
        memwire_set_time(wire, t);
        unsigned n = memwire_receive(wire, end, m, 8);
        CU_ASSERT_TRUE_FATAL(n > 0);
        for (unsigned i = 0; i < n; i++) {
            uint32_t number;
            memcpy(&number, rte_pktmbuf_mtod(m[i], uint8_t *), 4);
            a.out_of_order += number < highest;
            highest = number > highest ? number : highest;
            a.corrupted += memcmp(rte_pktmbuf_mtod_offset(m[i], uint8_t *, 4), zero, LEN - 4) != 0;
            a.digest = (a.digest ^ number ^ t) * 0x100000001b3;
            rte_pktmbuf_free(m[i]);
            a.n++;
        }
        a.last_at = t;
    }
    return a;
}

static void test_perfect_wire_keeps_all_in_order(void)
{
    start(1, (struct memwire_fault){0});
    send_all();
    struct arrivals a = receive_all(1);
    CU_ASSERT_TRUE(a.n == FRAMES && a.out_of_order == 0 && a.corrupted == 0);
    done();
}

static void test_ends_do_not_hear_themselves(void)
{
    struct rte_mbuf *m;
    start(1, (struct memwire_fault){0});
    send(0, 1);
    CU_ASSERT_EQUAL(memwire_receive(wire, 0, &m, 1), 0);
    CU_ASSERT_EQUAL(memwire_receive(wire, 1, &m, 1), 1);
    rte_pktmbuf_free(m);
    send(1, 1); /* left on the wire: freed with it */
    done();
}

static void test_delay_is_kept(void)
{
    struct rte_mbuf *m;
    start(1, (struct memwire_fault){.delay_us = 500});
    memwire_set_time(wire, 1000);
    send(0, 1);
    CU_ASSERT_EQUAL(memwire_next(wire), 1500);
    memwire_set_time(wire, 1499);
    CU_ASSERT_EQUAL(memwire_receive(wire, 1, &m, 1), 0);
    memwire_set_time(wire, 1500);
    CU_ASSERT_EQUAL(memwire_receive(wire, 1, &m, 1), 1);
    rte_pktmbuf_free(m);
    done();
}

static void test_jitter_alone_does_not_reorder(void)
{
    start(1, (struct memwire_fault){.delay_us = 10, .jitter_us = 5000});
    send_all();
    CU_ASSERT_EQUAL(receive_all(1).out_of_order, 0);
    done();
}

static void test_loss_is_near_its_probability(void)
{
    start(1, (struct memwire_fault){.loss = 100000});
    send_all();
    unsigned n = receive_all(1).n;
    CU_ASSERT_TRUE(n > 850 && n < 950);
    done();
}

static void test_duplicates_corruption_and_reordering(void)
{
    start(1, (struct memwire_fault){.duplicate = 100000});
    send_all();
    unsigned n = receive_all(1).n;
    CU_ASSERT_TRUE(n > 1050 && n < 1150);
    memwire_set_fault(wire, &(struct memwire_fault){.corrupt = 500000});
    send_all();
    n = receive_all(1).corrupted;
    CU_ASSERT_TRUE(n > 400 && n < 550);
    memwire_set_fault(wire, &(struct memwire_fault){.reorder = 100000, .delay_us = 100});
    send_all();
    struct arrivals a = receive_all(1);
    CU_ASSERT_EQUAL(a.n, FRAMES);
    CU_ASSERT_TRUE(a.out_of_order > 50);
    done();
}

static void test_corruption_leaves_the_senders_frame_alone(void)
{
    uint8_t body[LEN] = {0};
    start(1, (struct memwire_fault){.corrupt = 1000000});
    struct rte_mbuf *m = rig_frame(body, LEN);
    rte_mbuf_refcnt_update(m, 1);
    struct rte_mbuf *sent = m;
    memwire_end(wire, 0)->send(memwire_end(wire, 0)->ctx, &sent, 1);
    CU_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod(m, uint8_t *), body, LEN), 0);
    rte_pktmbuf_free(m);
    done();
}

static void test_rate_and_queue(void)
{
    /* 100 bytes at 8 Mbit/s take 100 µs; ten wait, the rest is dropped. */
    start(1, (struct memwire_fault){.rate_bps = 8000000, .queue_frames = 10});
    memwire_set_time(wire, 0);
    for (unsigned i = 0; i < 25; i++)
        send(0, i);
    struct arrivals a = receive_all(1);
    CU_ASSERT_EQUAL(a.n, 10);
    CU_ASSERT_EQUAL(a.last_at, 1000);
    done();
}

static void test_same_seed_same_run(void)
{
    const struct memwire_fault all = {.loss = 50000,
                                      .duplicate = 50000,
                                      .corrupt = 50000,
                                      .reorder = 50000,
                                      .delay_us = 100,
                                      .jitter_us = 50};
    uint64_t digest[3];
    for (unsigned i = 0; i < 3; i++) {
        start(i == 2 ? 8 : 7, all);
        send_all();
        digest[i] = receive_all(1).digest;
        done();
    }
    CU_ASSERT_EQUAL(digest[0], digest[1]);
    CU_ASSERT_NOT_EQUAL(digest[0], digest[2]);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_perfect_wire_keeps_all_in_order),
                                             UNIT(test_ends_do_not_hear_themselves),
                                             UNIT(test_delay_is_kept),
                                             UNIT(test_jitter_alone_does_not_reorder),
                                             UNIT(test_loss_is_near_its_probability),
                                             UNIT(test_duplicates_corruption_and_reordering),
                                             UNIT(test_corruption_leaves_the_senders_frame_alone),
                                             UNIT(test_rate_and_queue),
                                             UNIT(test_same_seed_same_run),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "drivers/memwire", tests);
}
