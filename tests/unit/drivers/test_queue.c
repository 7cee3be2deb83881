/* test_queue.c: a worker's transmit queue over a device with few places (drivers/queue.c): what it keeps back, what it says of
 * that, and what it drops. The device's burst function is the test's own; time is the TSC's, as in the box. */
#include "drivers/internal.h"
#include "rig.h"
#include "unit.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

enum { PORT = 3, BURST = 64, MOST = 700, NUMBER = 60 /* byte of a frame in which it has its number */ };

static struct device {
    unsigned room;    /* frames that it takes */
    unsigned asleep;  /* calls that it does not answer yet */
    int bad;          /* but not the one with this number, nor what is behind it in a burst; -1: takes all */
    unsigned sent[MOST], n;
} device;

static struct counters counters;
static struct port_queue queue;
static bool full;

static unsigned number_of(const struct rte_mbuf *m)
{
    uint16_t n;
    memcpy(&n, rte_pktmbuf_mtod_offset(m, const uint8_t *, NUMBER), sizeof n);
    return n;
}

static uint16_t burst(void *unused, struct rte_mbuf **frames, uint16_t n)
{
    uint16_t i = 0;
    (void)unused;
    if (device.asleep) {
        device.asleep--;
        return 0;
    }
    for (; i < n && device.room && (int)number_of(frames[i]) != device.bad; i++, device.room--) {
        device.sent[device.n++] = number_of(frames[i]);
        rte_pktmbuf_free(frames[i]);
    }
    return i;
}

static void start(unsigned room)
{
    static void *data[1], *callbacks[1];
    rig_pool();
    memset(&counters, 0, sizeof counters);
    device = (struct device){.room = room, .bad = -1};
    rte_eth_fp_ops[PORT].tx_pkt_burst = burst;
    rte_eth_fp_ops[PORT].txq.data = data;
    rte_eth_fp_ops[PORT].txq.clbk = callbacks;
    full = false;
    queue = (struct port_queue){.port_id = PORT, .counters = &counters, .full = &queue.unwatched};
    port_watch(&queue, &full);
}

static void done(void)
{
    device.room = MOST;
    device.bad = -1;
    CU_ASSERT_TRUE(port_tx_retry(&queue));
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

/* Frames with the numbers from `first` on. */
static void sends(unsigned first, unsigned n)
{
    static uint8_t bytes[NUMBER + 2];
    struct rte_mbuf *frames[BURST];
    for (unsigned i = 0; i < n; i++) {
        uint16_t number = (uint16_t)(first + i);
        memcpy(bytes + NUMBER, &number, sizeof number);
        frames[i] = rig_frame(bytes, sizeof bytes);
    }
    port_tx(&queue, frames, n);
}

static bool in_order(unsigned n)
{
    bool same = device.n == n;
    for (unsigned i = 0; same && i < n; i++)
        same = device.sent[i] == i;
    return same;
}

/* Who stops when told so loses nothing, in whatever bursts the device takes it. */
static void who_waits_when_it_is_full_loses_nothing(void)
{
    for (unsigned places = 1; places <= BURST; places += 7) {
        unsigned next = 0, rounds = 0;
        start(places);
        for (; next < MOST - BURST && rounds < 2 * MOST; rounds++) {
            device.room = places;
            if (full && port_tx_retry(&queue))
                full = false;
            for (; !full && next < MOST - BURST; next += BURST)
                sends(next, BURST);
            CU_ASSERT_TRUE(queue.backlog_n <= BURST);
        }
        while (!port_tx_retry(&queue) && rounds++ < 4 * MOST)
            device.room = places;
        CU_ASSERT_TRUE(in_order(next));
        CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 0);
        CU_ASSERT_EQUAL(counters.v[COUNTER_tx_packets], next);
        done();
    }
}

/* Behind what was on its way there is room for what cannot wait; beyond that it is dropped, and counted. */
static void there_is_room_for_what_cannot_wait(void)
{
    start(0);
    sends(0, BURST);
    CU_ASSERT_TRUE(full);
    for (unsigned n = BURST; n < BACKLOG; n++)
        sends(n, 1);
    CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 0);
    sends(BACKLOG, 2);
    CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 2);
    device.room = MOST;
    CU_ASSERT_TRUE(port_tx_retry(&queue));
    CU_ASSERT_TRUE(in_order(BACKLOG));
    done();
}

/* More than the time after which a frame at the head is doubted. */
static void try_for_long(void)
{
    uint64_t end = rte_rdtsc() + 5 * rte_get_tsc_hz() / TX_STUCK_PER_SECOND;
    while (rte_rdtsc() < end)
        port_tx_retry(&queue);
}

/* A device that rests, or whose peer has no core just now, costs no frame. */
static void a_device_that_rests_loses_nothing(void)
{
    start(0);
    sends(0, BURST);
    try_for_long();
    CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 0);
    device.room = MOST;
    CU_ASSERT_TRUE(port_tx_retry(&queue));
    CU_ASSERT_TRUE(in_order(BURST));
    done();
}

/* Nor does one that wakes up between two questions, be it for a single frame. */
static void a_device_that_wakes_loses_nothing(void)
{
    for (unsigned room = 1; room <= MOST; room += MOST - 1) {
        start(0);
        sends(0, BURST);
        port_tx_retry(&queue); /* from now on it is stuck */
        for (uint64_t end = rte_rdtsc() + 2 * rte_get_tsc_hz() / TX_STUCK_PER_SECOND; rte_rdtsc() < end;)
            ;
        device.room = room;
        device.asleep = 1;
        port_tx_retry(&queue);
        CU_ASSERT_EQUAL(device.sent[0], 1); /* it was the second that found it awake */
        device.room = MOST;
        CU_ASSERT_TRUE(port_tx_retry(&queue));
        CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 0);
        CU_ASSERT_EQUAL(device.n, BURST);
        done();
    }
}

/* A frame that the device refuses for good goes, and it alone. */
static void a_bad_frame_goes(void)
{
    for (int bad = 0; bad < 4; bad += 3) {
        start(MOST);
        device.bad = bad;
        sends(0, 4);
        CU_ASSERT_TRUE(full);
        for (unsigned i = 0; i < 100 && queue.backlog_n; i++)
            try_for_long();
        CU_ASSERT_EQUAL(counters.v[COUNTER_tx_full_drops], 1);
        CU_ASSERT_EQUAL(queue.backlog_n, 0);
        CU_ASSERT_EQUAL(device.n, 3);
        for (unsigned i = 0; i < device.n; i++)
            CU_ASSERT_EQUAL(device.sent[i], i + (bad == 0));
        done();
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(who_waits_when_it_is_full_loses_nothing),
                                             UNIT(there_is_room_for_what_cannot_wait),
                                             UNIT(a_device_that_rests_loses_nothing),
                                             UNIT(a_device_that_wakes_loses_nothing),
                                             UNIT(a_bad_frame_goes),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "drivers/queue", tests);
}
