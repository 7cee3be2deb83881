/* test_ping.c: echo requests of our own and what counts as their reply (RFC 792; RFC 4443, 4.1, 4.2). */
#include "net/checksum.h"
#include "net/ping.h"
#include "rig.h"
#include "unit.h"

#define PEER  "10.0.0.1"
#define OWN   "10.0.0.2"
#define PEER6 "2001:db8::1"
#define OWN6  "2001:db8::2"

enum { SECOND = 1000000, L4 = 34, L4_6 = 54 };

static struct rig rig;
static uint8_t f[1700];

#define COUNT(name) rig.counters.v[COUNTER_net_##name]

static void done(void)
{
    rig_stop(&rig);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

static uint32_t start(const char *to, uint32_t count, uint16_t size)
{
    struct net_ping_conf conf = {.to = ip(to), .count = count, .interval_us = 100000, .size = size};
    const char *error = "";
    uint32_t id = net_ping_start(rig.nif, &conf, rig.now, &error);
    net_flush(rig.nif);
    return id;
}

static void start_known(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, 1, rig_all, rig_peer_mac, PEER, OWN), NULL);
    rig_clear(&rig);
}

static struct net_ping_status look(uint32_t id)
{
    struct net_ping_status s = {0};
    CU_ASSERT_TRUE(net_ping_look(rig.nif, id, rig.now, &s));
    return s;
}

static void tick(uint64_t us)
{
    rig.now += us;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
}

/* The reply to a request that was sent: its ICMP part with another type. */
static size_t reply_to(const uint8_t *request, size_t icmp_len)
{
    uint8_t icmp[1500];
    memcpy(icmp, request + L4, icmp_len);
    icmp[0] = 0;
    memset(icmp + 2, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, icmp, icmp_len));
    memcpy(icmp + 2, &sum, 2);
    return make_ipv4(f, PEER, OWN, 1, icmp, icmp_len);
}

static void test_request_and_reply(void)
{
    start_known();
    uint32_t id = start(PEER, 1, 56);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    const uint8_t *r = rig_sent(&rig, 0);
    CU_ASSERT_EQUAL(memcmp(r, rig_peer_mac, 6), 0);
    CU_ASSERT_EQUAL(r[L4], 8);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + L4, 64)), 0);
    CU_ASSERT_EQUAL(rig.sent[0]->pkt_len, 14 + 20 + 8 + 56);
    rig.now += 250;
    size_t n = reply_to(r, 64);
    rig_input(&rig, f, n, NULL);
    struct net_ping_status s = look(id);
    CU_ASSERT(s.done && s.received == 1 && s.min_us == 250 && s.max_us == 250 && s.sum_us == 250);
    struct net_ping_event e;
    CU_ASSERT_TRUE(net_ping_event(rig.nif, id, 0, &e));
    CU_ASSERT(e.answered && e.seq == 0 && e.rtt_us == 250 && e.bytes == 64 && e.ttl == 64);
    CU_ASSERT_FALSE(net_ping_event(rig.nif, id, 1, &e));
    net_ping_end(rig.nif, id);
    CU_ASSERT_FALSE(net_ping_look(rig.nif, id, rig.now, &s));
    done();
}

static void test_request_and_reply_of_ipv6(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_ns(f, PEER6, "ff02::1:ff00:2", OWN6, true), NULL);
    rig_clear(&rig);
    uint32_t id = start(PEER6, 1, 16);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    const uint8_t *r = rig_sent(&rig, 0);
    struct ip_addr own = ip(OWN6), peer = ip(PEER6);
    CU_ASSERT_EQUAL(r[L4_6], 128);
    uint64_t sum = checksum_u16(checksum_pseudo(&own, &peer, 58), 24);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + L4_6, 24)), 0);
    uint8_t icmp[24];
    memcpy(icmp, r + L4_6, sizeof icmp);
    icmp[0] = 129;
    rig.now += 40;
    rig_input(&rig, f, make_icmp6(f, PEER6, OWN6, 63, icmp, sizeof icmp), NULL);
    struct net_ping_event e;
    CU_ASSERT_TRUE(net_ping_event(rig.nif, id, 0, &e));
    CU_ASSERT(e.answered && e.rtt_us == 40 && e.ttl == 63);
    done();
}

static void test_only_the_right_reply_counts(void)
{
    start_known();
    uint32_t id = start(PEER, 2, 8);
    uint8_t request[64];
    memcpy(request, rig_sent(&rig, 0), L4 + 16);
    request[L4 + 4] ^= 1; /* identifier */
    rig_input(&rig, f, reply_to(request, 16), NULL);
    request[L4 + 4] ^= 1;
    request[L4 + 7] = 1; /* a sequence number that was not sent yet */
    rig_input(&rig, f, reply_to(request, 16), NULL);
    request[L4 + 7] = 0;
    size_t n = reply_to(request, 16);
    uint8_t icmp[16];
    memcpy(icmp, f + L4, 16);
    rig_input(&rig, f, make_ipv4(f, "10.0.0.3", OWN, 1, icmp, 16), NULL); /* another sender */
    CU_ASSERT_EQUAL(look(id).received, 0);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_echo_reply), 3);
    n = make_ipv4(f, PEER, OWN, 1, icmp, 16);
    rig_input(&rig, f, n, NULL);
    rig_input(&rig, f, n, NULL); /* twice */
    CU_ASSERT_EQUAL(look(id).received, 1);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_echo_reply), 4);
    for (size_t len = 0; len < 8; len++) /* no whole header */
        rig_input(&rig, f, make_ipv4(f, PEER, OWN, 1, icmp, len), NULL);
    CU_ASSERT_EQUAL(look(id).received, 1);
    done();
}

static void test_a_late_reply_is_a_loss(void)
{
    start_known();
    uint32_t id = start(PEER, 1, 8);
    uint8_t request[64];
    memcpy(request, rig_sent(&rig, 0), L4 + 16);
    tick(SECOND - 1);
    CU_ASSERT_FALSE(look(id).done);
    tick(1);
    CU_ASSERT_TRUE(look(id).done);
    rig_input(&rig, f, reply_to(request, 16), NULL);
    CU_ASSERT_EQUAL(look(id).received, 0);
    struct net_ping_event e;
    CU_ASSERT_TRUE(net_ping_event(rig.nif, id, 0, &e));
    CU_ASSERT(!e.answered && !e.unresolved);
    done();
}

static void test_requests_leave_at_their_interval(void)
{
    start_known();
    uint32_t id = start(PEER, 3, 0);
    CU_ASSERT_EQUAL(net_tick(rig.nif, rig.now), rig.now + 100000);
    tick(99999);
    CU_ASSERT_EQUAL(look(id).sent, 1);
    tick(1);
    CU_ASSERT_EQUAL(look(id).sent, 2);
    tick(500000); /* late: one, not five */
    CU_ASSERT_EQUAL(look(id).sent, 3);
    tick(100000);
    CU_ASSERT_EQUAL(look(id).sent, 3);
    done();
}

static void test_a_neighbor_that_is_silent(void)
{
    rig_start(&rig, NULL);
    uint32_t id = start("10.0.0.9", 1, 0);
    for (unsigned i = 0; i < 20; i++)
        tick(100000);
    struct net_ping_event e;
    CU_ASSERT_TRUE(net_ping_event(rig.nif, id, 0, &e));
    CU_ASSERT(!e.answered && e.unresolved);
    done();
}

static void test_old_outcomes_are_forgotten_not_overwritten_in_place(void)
{
    start_known();
    uint32_t id = start(PEER, 100, 0);
    struct net_ping_event e;
    for (unsigned i = 0; i < 120; i++) {
        tick(100000);
        look(id);
        rig_clear(&rig);
    }
    CU_ASSERT_TRUE(look(id).done);
    CU_ASSERT_EQUAL(look(id).events, 100);
    CU_ASSERT_FALSE(net_ping_event(rig.nif, id, 35, &e));
    CU_ASSERT_TRUE(net_ping_event(rig.nif, id, 36, &e));
    CU_ASSERT_EQUAL(e.seq, 36);
    done();
}

static void test_nobody_looks_and_it_ends(void)
{
    struct net_ping_status s;
    start_known();
    uint32_t id = start(PEER, 1000, 0);
    for (unsigned i = 0; i < 99; i++)
        tick(100000);
    CU_ASSERT_TRUE(net_ping_look(rig.nif, id, rig.now, &s));
    for (unsigned i = 0; i < 100; i++) {
        tick(100000);
        rig_clear(&rig);
    }
    CU_ASSERT_FALSE(net_ping_look(rig.nif, id, rig.now, &s));
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_request_and_reply),
                                             UNIT(test_request_and_reply_of_ipv6),
                                             UNIT(test_only_the_right_reply_counts),
                                             UNIT(test_a_late_reply_is_a_loss),
                                             UNIT(test_requests_leave_at_their_interval),
                                             UNIT(test_a_neighbor_that_is_silent),
                                             UNIT(test_old_outcomes_are_forgotten_not_overwritten_in_place),
                                             UNIT(test_nobody_looks_and_it_ends),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/ping", tests);
}
