/* test_arp.c: what arp.c answers, learns and drops. */
#include "case.h"

static void test_arp_request_is_answered_and_learned(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    uint8_t want[64];
    size_t n = make_arp(want, REPLY, rig_peer_mac, rig_mac, OWN, PEER);
    memcpy(want + 32, rig_peer_mac, 6);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), want, n), 0);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "stale");
    done();
}

static void test_arp_request_for_another_is_ignored(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, "10.0.0.3"), NULL);
    CU_ASSERT_EQUAL(rig.n, 0);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "none");
    CU_ASSERT_EQUAL(COUNT(arp_heard), 1);
    done();
}

static void test_arp_probe_is_answered_but_not_learned(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, "0.0.0.0", OWN), NULL);
    CU_ASSERT_EQUAL(rig.n, 1);
    CU_ASSERT_STRING_EQUAL(state_of("0.0.0.0", NULL), "none");
    done();
}

static void test_arp_reply_nobody_asked_for_makes_no_neighbour(void)
{
    rig_start(&rig, NULL);
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "none");
    done();
}

static void test_arp_gratuitous_changes_a_known_neighbour(void)
{
    static const uint8_t moved[6] = {2, 0, 0, 0, 0, 9};
    uint8_t mac[6];
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN), NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, moved, PEER, PEER), NULL);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, mac), "stale");
    CU_ASSERT_EQUAL(memcmp(mac, moved, 6), 0);
    done();
}

static void test_arp_claim_of_our_address_is_counted(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, OWN, OWN), NULL);
    CU_ASSERT_EQUAL(rig.n, 0);
    CU_ASSERT_EQUAL(COUNT(address_conflicts), 1);
    done();
}

static void test_arp_with_bad_fields_is_dropped(void)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } bad[] = {{15, 6}, {16, 9}, {18, 5}, {19, 16}, {21, 3}, {22, 0xff}, {28, 240}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(bad); i++) {
        size_t n = make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN);
        f[bad[i].at] = bad[i].value;
        rig_input(&rig, f, n, NULL);
        CU_ASSERT_EQUAL(COUNT(drop_arp), i + 1);
    }
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

static void test_start_is_announced_twice(void)
{
    struct net_config c = rig_config();
    c.quiet = false;
    rig_start(&rig, &c);
    uint64_t next = net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL_FATAL(rig.n, 3 + 1); /* IPv4, IPv6, IPv6 link-local; and a multicast report */
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), rig_all, 6), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 28, rig_sent(&rig, 0) + 38, 4), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 1)[54], 136);
    CU_ASSERT_TRUE(next <= rig.now + 2000000);
    net_tick(rig.nif, rig.now + 2000000);
    CU_ASSERT_EQUAL(net_tick(rig.nif, rig.now + 4000000), UINT64_MAX);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 6 + 2);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_arp_request_is_answered_and_learned),
                                             UNIT(test_arp_request_for_another_is_ignored),
                                             UNIT(test_arp_probe_is_answered_but_not_learned),
                                             UNIT(test_arp_reply_nobody_asked_for_makes_no_neighbour),
                                             UNIT(test_arp_gratuitous_changes_a_known_neighbour),
                                             UNIT(test_arp_claim_of_our_address_is_counted),
                                             UNIT(test_arp_with_bad_fields_is_dropped),
                                             UNIT(test_start_is_announced_twice),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/arp", tests);
}
