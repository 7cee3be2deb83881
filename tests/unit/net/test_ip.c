/* test_ip.c: Ethernet, VLAN tags and the IP headers: what is handed up and what ends in which counter. */
#include "case.h"

static void test_tcp_segment_is_handed_back(void)
{
    struct net_packet p;
    struct ip_addr peer = ip(PEER), own = ip(OWN);
    rig_start(&rig, NULL);
    size_t n = make_tcp(f, PEER, OWN);
    f[15] = 3;
    fix_ipv4(f);
    memset(f + n, 0xee, 6); /* Ethernet padding */
    CU_ASSERT_EQUAL(rig_input(&rig, f, n + 6, &p), NET_TCP);
    CU_ASSERT_TRUE(ip_equal(&p.src, &peer) && ip_equal(&p.dst, &own));
    CU_ASSERT_EQUAL(p.l4_off, 34);
    CU_ASSERT_EQUAL(p.l4_len, 20);
    CU_ASSERT_EQUAL(p.ecn, 3);
    CU_ASSERT_EQUAL(p.ttl, 64);
    CU_ASSERT_FALSE(p.checksum_ok);
    done();
}

static void test_checksum_flags_of_the_port(void)
{
    static const struct {
        uint64_t flags;
        bool ok;
    } cases[] = {{RTE_MBUF_F_RX_L4_CKSUM_GOOD, true},
                 {RTE_MBUF_F_RX_L4_CKSUM_NONE, true},
                 {RTE_MBUF_F_RX_L4_CKSUM_BAD, false},
                 {0, false}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        struct net_packet p;
        struct rte_mbuf *m = rig_frame(f, make_tcp(f, PEER, OWN));
        m->ol_flags = cases[i].flags;
        CU_ASSERT_EQUAL(net_input(rig.nif, m, &p, rig.now), NET_TCP);
        CU_ASSERT_EQUAL(p.checksum_ok, cases[i].ok);
        rte_pktmbuf_free(m);
    }
    done();
}

static void test_ipv4_options_are_skipped(void)
{
    static const uint8_t fine[8] = {1, 7, 6, 4, 0, 0, 0, 0}, zero[8] = {1, 7, 0}, one[8] = {7, 1},
                         beyond[8] = {7, 9}, last[8] = {1, 1, 1, 1, 1, 1, 1, 7},
                         source_route[8] = {131, 7, 4};
    const struct {
        const uint8_t *options;
        enum net_verdict verdict;
    } cases[] = {{fine, NET_TCP},    {zero, NET_DONE}, {one, NET_DONE},
                 {beyond, NET_DONE}, {last, NET_DONE}, {source_route, NET_DONE}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        struct net_packet p;
        size_t n = make_tcp(f, PEER, OWN);
        memmove(f + 42, f + 34, 20);
        memcpy(f + 34, cases[i].options, 8);
        f[14] = 0x47;
        f[17] = 48;
        fix_ipv4(f);
        CU_ASSERT_EQUAL(rig_input(&rig, f, n + 8, &p), cases[i].verdict);
        if (cases[i].verdict == NET_TCP)
            CU_ASSERT_TRUE(p.l4_off == 42 && p.l4_len == 20);
    }
    CU_ASSERT_EQUAL(COUNT(drop_ip_options), RTE_DIM(cases) - 1);
    done();
}

static void test_ipv4_faults_end_in_their_counters(void)
{
    static const struct {
        unsigned at;
        uint8_t value;
        bool fix;
        enum counter counter;
    } bad[] = {
        {14, 0x65, true, COUNTER_net_drop_ip_header},    {14, 0x44, true, COUNTER_net_drop_ip_header},
        {17, 19, true, COUNTER_net_drop_ip_header},      {16, 1, true, COUNTER_net_drop_truncated},
        {24, 0xab, false, COUNTER_net_drop_ip_checksum}, {20, 0x20, true, COUNTER_net_drop_fragment_size},
        {21, 1, true, COUNTER_net_drop_fragment_size},   {33, 3, true, COUNTER_net_drop_not_ours},
        {23, 17, true, COUNTER_net_drop_protocol},       {26, 224, true, COUNTER_net_drop_source},
        {26, 127, true, COUNTER_net_drop_source},        {26, 0, true, COUNTER_net_drop_source},
        {29, 2, true, COUNTER_net_drop_source},          {29, 255, true, COUNTER_net_drop_source},
        {5, 7, false, COUNTER_net_drop_not_ours},        {0, 3, false, COUNTER_net_drop_not_ours},
        {12, 9, false, COUNTER_net_drop_ethertype}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(bad); i++) {
        size_t n = make_tcp(f, PEER, OWN);
        f[bad[i].at] = bad[i].value;
        if (bad[i].fix)
            fix_ipv4(f);
        uint64_t before = rig.counters.v[bad[i].counter];
        CU_ASSERT_EQUAL(rig_input(&rig, f, n, NULL), NET_DONE);
        CU_ASSERT_EQUAL(rig.counters.v[bad[i].counter], before + 1);
    }
    done();
}

static void test_loopback_peer_reaches_a_loopback_address(void)
{
    struct net_config c = rig_config();
    c.address[0].ip = ip("127.0.77.2");
    c.address[0].bits = 8;
    rig_start(&rig, &c);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_tcp(f, "127.0.77.1", "127.0.77.2"), NULL), NET_TCP);
    struct ip_addr src = ip("127.0.77.2"), dst = ip("127.0.77.1");
    struct net_path *p = net_path_get(rig.nif, &src, &dst, rig.now);
    CU_ASSERT_PTR_NOT_NULL(p);
    net_path_put(rig.nif, p);
    done();
}

static void test_every_truncation_is_survived(void)
{
    rig_start(&rig, NULL);
    for (unsigned kind = 0; kind < 6; kind++) {
        size_t n = kind == 0   ? make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN)
                   : kind == 1 ? make_tcp(f, PEER, OWN)
                   : kind == 2 ? make_echo4(f, PEER, OWN, 56)
                   : kind == 3 ? make_tcp(f, PEER6, OWN6)
                   : kind == 4 ? make_ns(f, PEER6, GROUP, OWN6, true)
                               : make_na(f, PEER6, OWN6, PEER6, SOLICITED, rig_peer_mac);
        for (size_t len = 0; len < n; len++) {
            uint64_t before = COUNT(drop_truncated);
            CU_ASSERT_EQUAL(rig_input(&rig, f, len, NULL), NET_DONE);
            CU_ASSERT_EQUAL(COUNT(drop_truncated), before + 1);
        }
    }
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

static void test_chained_frame_is_made_readable(void)
{
    struct net_packet p;
    rig_start(&rig, NULL);
    size_t n = make_tcp(f, PEER, OWN);
    for (unsigned cut = 1; cut < n; cut++) {
        struct rte_mbuf *m = rig_frame(f, cut);
        CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, rig_frame(f + cut, n - cut)), 0);
        CU_ASSERT_EQUAL(net_input(rig.nif, m, &p, rig.now), NET_TCP);
        CU_ASSERT_TRUE(m->data_len >= p.l4_off + 20u);
        rte_pktmbuf_free(m);
    }
    done();
}

static void test_ipv6_extension_headers_are_walked(void)
{
    uint8_t body[8 + 8 + 8 + 20] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0};
    struct net_packet p;
    rig_start(&rig, NULL);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 0, 64, body, sizeof body), &p), NET_TCP);
    CU_ASSERT_EQUAL(p.l4_off, 14 + 40 + 24);
    CU_ASSERT_EQUAL(p.l4_len, 20);
    body[10] = 0x80; /* an unknown option that wants the packet discarded */
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 0, 64, body, sizeof body), &p), NET_DONE);
    body[10] = 1;
    body[19] = 1; /* more fragments */
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 0, 64, body, sizeof body), &p), NET_DONE);
    CU_ASSERT_EQUAL(COUNT(drop_ipv6_extension), 2); /* a fragment header behind others */
    for (unsigned i = 0; i < sizeof body; i += 8)
        memcpy(body + i, "\x3c\x00\x01\x04\x00\x00\x00\x00", 8 > sizeof body - i ? sizeof body - i : 8);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 60, 64, body, sizeof body), &p), NET_DONE);
    CU_ASSERT_EQUAL(COUNT(drop_ipv6_extension), 3);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1); /* RFC 8200, 4.2: parameter problem, code 2, at the option */
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 54, "\4\2", 2), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[61], 40 + 8 + 2);
    done();
}

static void test_vlan_ours_is_taken_others_not(void)
{
    struct net_config c = rig_config();
    struct net_packet p;
    c.vlan = 42;
    rig_start(&rig, &c);
    CU_ASSERT_EQUAL(rig_input(&rig, f, tag(f, make_tcp(f, PEER, OWN), 42 | 0xe000), &p), NET_TCP);
    CU_ASSERT_EQUAL(p.l4_off, 38);
    CU_ASSERT_EQUAL(rig_input(&rig, f, tag(f, make_tcp(f, PEER, OWN), 43), NULL), NET_DONE);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_tcp(f, PEER, OWN), NULL), NET_DONE);
    CU_ASSERT_EQUAL(COUNT(drop_vlan), 2);
    rig_input(&rig, f, tag(f, make_arp(f, REQUEST, rig_all, rig_peer_mac, PEER, OWN), 42), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 12, "\x81\x00\x00\x2a\x08\x06", 6), 0);
    done();
}

static void test_a_tag_inside_our_tag_is_refused(void)
{
    struct net_config c = rig_config();
    c.vlan = 42;
    rig_start(&rig, &c);
    size_t n = tag(f, make_tcp(f, PEER, OWN), 7);
    CU_ASSERT_EQUAL(rig_input(&rig, f, tag(f, n, 42), NULL), NET_DONE);
    CU_ASSERT_EQUAL(COUNT(drop_vlan), 1);
    done();
}

static void test_vlan_tag_taken_off_by_the_port(void)
{
    struct net_config c = rig_config();
    struct net_packet p;
    c.vlan = 42;
    rig_start(&rig, &c);
    struct rte_mbuf *m = rig_frame(f, make_tcp(f, PEER, OWN));
    m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    m->vlan_tci = 42;
    CU_ASSERT_EQUAL(net_input(rig.nif, m, &p, rig.now), NET_TCP);
    CU_ASSERT_EQUAL(p.l4_off, 38);
    rte_pktmbuf_free(m);
    done();
}

static void test_priority_tag_belongs_to_no_vlan(void)
{
    rig_start(&rig, NULL);
    CU_ASSERT_EQUAL(rig_input(&rig, f, tag(f, make_tcp(f, PEER, OWN), 0xe000), NULL), NET_TCP);
    CU_ASSERT_EQUAL(rig_input(&rig, f, tag(f, make_tcp(f, PEER, OWN), 1), NULL), NET_DONE);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_tcp_segment_is_handed_back),
                                             UNIT(test_checksum_flags_of_the_port),
                                             UNIT(test_ipv4_options_are_skipped),
                                             UNIT(test_ipv4_faults_end_in_their_counters),
                                             UNIT(test_loopback_peer_reaches_a_loopback_address),
                                             UNIT(test_every_truncation_is_survived),
                                             UNIT(test_chained_frame_is_made_readable),
                                             UNIT(test_ipv6_extension_headers_are_walked),
                                             UNIT(test_vlan_ours_is_taken_others_not),
                                             UNIT(test_a_tag_inside_our_tag_is_refused),
                                             UNIT(test_vlan_tag_taken_off_by_the_port),
                                             UNIT(test_priority_tag_belongs_to_no_vlan),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/ip", tests);
}
