/* test_address.c: duplicate address detection and defence (RFC 5227, RFC 4862). */
#include "case.h"

static void start(bool quiet)
{
    struct net_config c = rig_config();
    c.dad = true;
    c.quiet = quiet;
    rig_start(&rig, &c);
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
}

static void pass(uint64_t us)
{
    for (uint64_t until = rig.now + us; rig.now < until; rig.now += 10000)
        net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
}

struct asked {
    struct ip_addr ip;
    const char *state;
};

static void look_at(const struct ip_addr *addr, unsigned bits, const char *state, void *arg)
{
    struct asked *a = arg;
    (void)bits;
    if (ip_equal(addr, &a->ip))
        a->state = state;
}

static const char *address(const char *text)
{
    struct asked a = {ip(text), "none"};
    net_each_address(rig.nif, look_at, &a);
    return a.state;
}

static size_t ask_for_ours(void)
{
    return make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN);
}

static void test_tentative_address_answers_nobody(void)
{
    start(false);
    rig_clear(&rig);
    rig_input(&rig, f, ask_for_ours(), NULL);
    rig_input(&rig, f, make_ns(f, PEER6, GROUP, OWN6, true), NULL);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_tcp(f, PEER, OWN), NULL), NET_DONE);
    CU_ASSERT_EQUAL(rig.n, 0);
    CU_ASSERT_STRING_EQUAL(address(OWN), "tentative");
    pass(700000);
    CU_ASSERT_STRING_EQUAL(address(OWN), "preferred");
    rig_clear(&rig);
    rig_input(&rig, f, ask_for_ours(), NULL);
    CU_ASSERT_EQUAL(rig.n, 1);
    done();
}

static void test_probes_carry_no_sender(void)
{
    start(false);
    unsigned arp = 0, ns = 0;
    pass(500000);
    for (unsigned i = 0; i < rig.n; i++) {
        const uint8_t *r = rig_sent(&rig, i);
        if (r[12] == 8 && r[13] == 6) { /* RFC 5227, 2.1.1 */
            arp++;
            CU_ASSERT_EQUAL(memcmp(r + 28, "\0\0\0\0", 4), 0);
            CU_ASSERT_EQUAL(memcmp(r + 38, ip(OWN).b + 12, 4), 0);
        } else if (r[20] == 58 && r[54] == 135) { /* RFC 4862, 5.4.2: from ::, without an option */
            static const uint8_t none[16];
            ns++;
            CU_ASSERT_EQUAL(memcmp(r + 22, none, 16), 0);
            CU_ASSERT_EQUAL(r[19], 24);
        }
    }
    CU_ASSERT_EQUAL(arp, 3);
    CU_ASSERT_EQUAL(ns, 2 * 3); /* the configured address and the link-local one */
    done();
}

static void test_address_of_another_station_is_not_used_until_it_leaves(void)
{
    start(false);
    rig_input(&rig, f, make_arp(f, REPLY, rig_mac, rig_peer_mac, OWN, OWN), NULL);
    rig_input(&rig, f, make_na(f, OWN6, "ff02::1", OWN6, OVERRIDE, rig_peer_mac), NULL);
    pass(1000000);
    CU_ASSERT_EQUAL(COUNT(duplicate_addresses), 2);
    CU_ASSERT_STRING_EQUAL(address(OWN), "duplicate");
    CU_ASSERT_STRING_EQUAL(address(OWN6), "duplicate");
    rig_clear(&rig);
    rig_input(&rig, f, ask_for_ours(), NULL);
    CU_ASSERT_EQUAL(rig.n, 0);
    pass(31000000);
    CU_ASSERT_STRING_EQUAL(address(OWN), "preferred");
    done();
}

static void test_two_that_ask_at_once_both_stay_away(void)
{
    start(false);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, "0.0.0.0", OWN), NULL);
    rig_input(&rig, f, make_ns(f, "::", GROUP, OWN6, false), NULL);
    CU_ASSERT_STRING_EQUAL(address(OWN), "duplicate");
    CU_ASSERT_STRING_EQUAL(address(OWN6), "duplicate");
    done();
}

static void test_our_own_probe_that_comes_back_is_no_conflict(void)
{
    start(false);
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_mac, "0.0.0.0", OWN), NULL);
    CU_ASSERT_STRING_EQUAL(address(OWN), "tentative");
    done();
}

static void test_address_in_use_is_defended_once_in_ten_seconds(void)
{
    start(false);
    pass(5000000);
    rig_clear(&rig);
    for (unsigned i = 0; i < 5; i++)
        rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, OWN, OWN), NULL);
    CU_ASSERT_EQUAL(COUNT(address_conflicts), 5);
    CU_ASSERT_EQUAL(rig.n, 1);
    CU_ASSERT_STRING_EQUAL(address(OWN), "preferred");
    done();
}

static void test_quiet_worker_keeps_the_schedule_without_a_word(void)
{
    start(true);
    CU_ASSERT_STRING_EQUAL(address(OWN), "tentative");
    pass(700000);
    CU_ASSERT_STRING_EQUAL(address(OWN), "preferred");
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

static void test_loopback_address_is_used_at_once(void)
{
    struct net_config c = rig_config();
    c.dad = true;
    c.address[0].ip = ip("127.0.77.2");
    rig_start(&rig, &c);
    CU_ASSERT_STRING_EQUAL(address("127.0.77.2"), "preferred");
    done();
}

static void test_addresses_are_ours_when_all_of_them_are(void)
{
    start(false);
    CU_ASSERT_FALSE(net_is_preferred(rig.nif));
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, OWN, OWN), NULL);
    pass(700000);
    CU_ASSERT_STRING_EQUAL(address(OWN6), "preferred");
    CU_ASSERT_FALSE(net_is_preferred(rig.nif));
    done();
    start(false);
    pass(700000);
    CU_ASSERT_TRUE(net_is_preferred(rig.nif));
    done();
}

static void test_identity_is_mac_vlan_and_addresses(void)
{
    struct net_config c = rig_config(), other = c;
    other.mtu = 900;
    other.seed++;
    other.dad = !other.dad;
    CU_ASSERT_EQUAL(net_identity(&c), net_identity(&other));
    other.mac[5] ^= 1;
    CU_ASSERT_NOT_EQUAL(net_identity(&c), net_identity(&other));
    other = c;
    other.vlan ^= 1;
    CU_ASSERT_NOT_EQUAL(net_identity(&c), net_identity(&other));
    other = c;
    other.address[0].ip.b[15] ^= 1;
    CU_ASSERT_NOT_EQUAL(net_identity(&c), net_identity(&other));
    other = c;
    other.addresses--;
    CU_ASSERT_NOT_EQUAL(net_identity(&c), net_identity(&other));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_tentative_address_answers_nobody),
        UNIT(test_probes_carry_no_sender),
        UNIT(test_address_of_another_station_is_not_used_until_it_leaves),
        UNIT(test_two_that_ask_at_once_both_stay_away),
        UNIT(test_our_own_probe_that_comes_back_is_no_conflict),
        UNIT(test_address_in_use_is_defended_once_in_ten_seconds),
        UNIT(test_quiet_worker_keeps_the_schedule_without_a_word),
        UNIT(test_loopback_address_is_used_at_once),
        UNIT(test_addresses_are_ours_when_all_of_them_are),
        UNIT(test_identity_is_mac_vlan_and_addresses),
        {NULL, NULL}};
    return unit_main(argc, argv, "net/address", tests);
}
