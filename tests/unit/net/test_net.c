/* test_net.c: what net/ answers, learns, drops and sends, frame by frame. */
#include "net/checksum.h"
#include "rig.h"
#include "unit.h"

#include <rte_ip.h>

#define PEER  "10.0.0.1"
#define OWN   "10.0.0.2"
#define PEER6 "2001:db8::1"
#define OWN6  "2001:db8::2"
#define GROUP "ff02::1:ff00:2"

enum { REQUEST = 1, REPLY = 2, SOLICITED = 0x40, OVERRIDE = 0x20 };

static struct rig rig;
static uint8_t f[1700];

#define COUNT(name) rig.counters.v[COUNTER_net_##name]

static void done(void)
{
    rig_stop(&rig);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

struct seen {
    const char *state;
    uint8_t mac[6];
    struct ip_addr want;
};

static void look(const struct ip_addr *addr, const uint8_t mac[6], const char *state, void *arg)
{
    struct seen *s = arg;
    if (!ip_equal(addr, &s->want))
        return;
    s->state = state;
    memcpy(s->mac, mac, 6);
}

static const char *state_of(const char *addr, uint8_t mac[6])
{
    struct seen s = {.state = "none", .want = ip(addr)};
    net_each_neighbour(rig.nif, look, &s);
    if (mac)
        memcpy(mac, s.mac, 6);
    return s.state;
}

static struct rte_mbuf *segment(size_t payload)
{
    uint8_t tcp[1500] = {0x18, 0xeb, 0x30, 0x39, [12] = 0x50, [13] = 0x10};
    memset(tcp + 20, 'x', payload);
    return rig_frame(tcp, 20 + payload);
}

static void hear_peer(void)
{
    rig_input(&rig, f, make_arp(f, REPLY, rig_mac, rig_peer_mac, PEER, OWN), NULL);
}

/* -- ARP -- */

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
    CU_ASSERT_EQUAL_FATAL(rig.n, 3); /* IPv4, IPv6, IPv6 link-local */
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), rig_all, 6), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 28, rig_sent(&rig, 0) + 38, 4), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 1)[54], 136);
    CU_ASSERT_EQUAL(next, rig.now + 2000000);
    net_tick(rig.nif, next);
    CU_ASSERT_EQUAL(net_tick(rig.nif, next * 2), UINT64_MAX);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 6);
    done();
}

/* -- IPv4 -- */

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
    } bad[] = {{14, 0x65, true, COUNTER_net_drop_ip_header},    {14, 0x44, true, COUNTER_net_drop_ip_header},
               {17, 19, true, COUNTER_net_drop_ip_header},      {16, 1, true, COUNTER_net_drop_truncated},
               {24, 0xab, false, COUNTER_net_drop_ip_checksum}, {20, 0x20, true, COUNTER_net_drop_fragment},
               {21, 1, true, COUNTER_net_drop_fragment},        {33, 3, true, COUNTER_net_drop_not_ours},
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

/* -- echo -- */

static void test_echo4_is_answered(void)
{
    rig_start(&rig, NULL);
    size_t n = make_echo4(f, PEER, OWN, 57);
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    const uint8_t *r = rig_sent(&rig, 0);
    CU_ASSERT_EQUAL(r[34], 0);
    CU_ASSERT_EQUAL(memcmp(r, rig_peer_mac, 6), 0);
    CU_ASSERT_EQUAL(memcmp(r + 26, f + 30, 4), 0);
    CU_ASSERT_EQUAL(memcmp(r + 38, f + 38, n - 38), 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 34, n - 34)), 0);
    done();
}

/* Found by fuzz_box: only 0xffff verifies over zeros. */
static void test_echo4_of_zeros_has_a_checksum_that_verifies(void)
{
    const uint8_t zeros[12] = {8, 0, 0xf7, 0xff};
    rig_start(&rig, NULL);
    size_t n = make_ipv4(f, PEER, OWN, 1, zeros, sizeof zeros);
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, rig_sent(&rig, 0) + 34, sizeof zeros)), 0);
    done();
}

static void test_echo4_with_bad_checksum_is_dropped(void)
{
    rig_start(&rig, NULL);
    size_t n = make_echo4(f, PEER, OWN, 56);
    f[50] ^= 1;
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL(rig.n, 0);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_checksum), 1);
    done();
}

static void test_echo_is_rate_limited(void)
{
    rig_start(&rig, NULL);
    size_t n = make_echo4(f, PEER, OWN, 0);
    for (unsigned i = 0; i < 300; i++)
        rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL(rig.n, 250);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_rate), 50);
    rig.now += 10000;
    for (unsigned i = 0; i < 70; i++)
        rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL(rig.n, 300);
    done();
}

static void test_echo6_is_answered(void)
{
    static const uint8_t request[64] = {128, 0, 0, 0, 1, 2, 3, 4, 'a', 'b'};
    rig_start(&rig, NULL);
    size_t n = make_icmp6(f, PEER6, OWN6, 64, request, sizeof request);
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    const uint8_t *r = rig_sent(&rig, 0);
    CU_ASSERT_EQUAL(r[54], 129);
    struct ip_addr src, dst, own = ip(OWN6);
    memcpy(src.b, r + 22, 16);
    memcpy(dst.b, r + 38, 16);
    CU_ASSERT_TRUE(ip_equal(&src, &own));
    uint64_t sum = checksum_u16(checksum_pseudo(&src, &dst, 58), sizeof request);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 54, sizeof request)), 0);
    done();
}

/* -- IPv6 -- */

static void test_ns_to_the_group_is_answered(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_ns(f, PEER6, GROUP, OWN6, true), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    const uint8_t *r = rig_sent(&rig, 0);
    struct ip_addr src, dst, own = ip(OWN6), peer = ip(PEER6);
    memcpy(src.b, r + 22, 16);
    memcpy(dst.b, r + 38, 16);
    CU_ASSERT_TRUE(ip_equal(&src, &own) && ip_equal(&dst, &peer));
    CU_ASSERT_EQUAL(r[21], 255);
    CU_ASSERT_EQUAL(r[54], 136);
    CU_ASSERT_EQUAL(r[58], SOLICITED | OVERRIDE);
    CU_ASSERT_EQUAL(memcmp(r + 62, own.b, 16), 0);
    CU_ASSERT_EQUAL(memcmp(r + 80, rig_mac, 6), 0);
    uint64_t sum = checksum_u16(checksum_pseudo(&src, &dst, 58), 32);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 54, 32)), 0);
    CU_ASSERT_STRING_EQUAL(state_of(PEER6, NULL), "stale");
    done();
}

static void test_ns_of_address_detection_is_answered_to_all(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_ns(f, "::", GROUP, OWN6, false), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[0], 0x33);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[58], OVERRIDE);
    rig_input(&rig, f, make_ns(f, "::", GROUP, OWN6, true), NULL);
    rig_input(&rig, f, make_ns(f, "::", OWN6, OWN6, false), NULL);
    CU_ASSERT_EQUAL(COUNT(drop_nd), 2);
    done();
}

static void test_nd_faults_are_dropped(void)
{
    rig_start(&rig, NULL);
    size_t n = make_ns(f, PEER6, GROUP, OWN6, true);
    f[21] = 254; /* came over a router */
    rig_input(&rig, f, n, NULL);
    uint8_t body[32] = {135};
    memcpy(body + 8, ip(OWN6).b, 16);
    body[24] = 1; /* an option of length zero */
    rig_input(&rig, f, make_icmp6(f, PEER6, GROUP, 255, body, 32), NULL);
    body[25] = 2; /* an option beyond the end */
    rig_input(&rig, f, make_icmp6(f, PEER6, GROUP, 255, body, 32), NULL);
    memcpy(body + 8, ip("ff02::1").b, 16);
    rig_input(&rig, f, make_icmp6(f, PEER6, GROUP, 255, body, 24), NULL);
    CU_ASSERT_EQUAL(COUNT(drop_nd), 4);
    n = make_ns(f, PEER6, GROUP, OWN6, true);
    f[56] ^= 1;
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_checksum), 1);
    CU_ASSERT_EQUAL(rig.n, 0);
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
    CU_ASSERT_EQUAL(COUNT(drop_fragment), 1);
    for (unsigned i = 0; i < sizeof body; i += 8)
        memcpy(body + i, "\x3c\x00\x01\x04\x00\x00\x00\x00", 8 > sizeof body - i ? sizeof body - i : 8);
    CU_ASSERT_EQUAL(rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 60, 64, body, sizeof body), &p), NET_DONE);
    CU_ASSERT_EQUAL(COUNT(drop_ipv6_extension), 2);
    done();
}

/* -- VLAN -- */

static size_t tag(uint8_t *frame, size_t n, uint16_t vid)
{
    const uint8_t t[4] = {0x81, 0, (uint8_t)(vid >> 8), (uint8_t)vid};
    memmove(frame + 16, frame + 12, n - 12);
    memcpy(frame + 12, t, 4);
    return n + 4;
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

/* -- the way out -- */

static struct net_path *path_to(const char *src, const char *dst)
{
    struct ip_addr s = ip(src), d = ip(dst);
    return net_path_get(rig.nif, &s, &d, rig.now);
}

static void send_to(struct net_path *p, size_t payload)
{
    net_send_tcp(rig.nif, p, segment(payload), 20, 0, 0, rig.now);
    net_flush(rig.nif);
}

static void test_segment_waits_for_its_neighbour(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 5);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[13], 6);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "incomplete");
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 1), rig_peer_mac, 6), 0);
    net_path_put(rig.nif, p);
    done();
}

static void check_segment(const uint8_t *r, size_t payload)
{
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
    CU_ASSERT_EQUAL((r[16] << 8 | r[17]), (int)(40 + payload));
    struct ip_addr s = ip(OWN), d = ip(PEER);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 6), (uint16_t)(20 + payload));
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 34, 20 + payload)), 0);
}

static void test_segments_of_every_length_are_right(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    CU_ASSERT_EQUAL(net_path_mtu(p), 1500);
    send_to(p, 0);
    hear_peer();
    rig_clear(&rig);
    for (size_t payload = 0; payload <= 1460; payload += payload < 70 ? 1 : 111) {
        net_send_tcp(rig.nif, p, segment(payload), 20, 0, 2, rig.now);
        net_flush(rig.nif);
        CU_ASSERT_EQUAL_FATAL(rig.n, 1);
        CU_ASSERT_EQUAL(rig.sent[0]->pkt_len, 54 + payload);
        CU_ASSERT_EQUAL(rig_sent(&rig, 0)[15], 2);
        check_segment(rig_sent(&rig, 0), payload);
        rig_clear(&rig);
    }
    send_to(p, 1461);
    CU_ASSERT_EQUAL(COUNT(drop_unsendable), 1);
    net_path_put(rig.nif, p);
    done();
}

static void test_chained_segment_has_the_right_checksum(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    for (size_t cut = 1; cut < 40; cut++) {
        rig_clear(&rig);
        struct rte_mbuf *m = segment(3);
        uint8_t rest[64];
        memset(rest, (int)cut, sizeof rest);
        CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, rig_frame(rest, cut)), 0);
        CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, rig_frame(rest, 7)), 0);
        net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
        net_flush(rig.nif);
        uint8_t flat[200];
        const uint8_t *r = rte_pktmbuf_read(rig.sent[0], 0, rig.sent[0]->pkt_len, flat);
        check_segment(r, 3 + cut + 7);
    }
    net_path_put(rig.nif, p);
    done();
}

static void test_offload_leaves_the_pseudo_sum(void)
{
    struct net_config c = rig_config();
    c.offload = NET_TX_TCP_CSUM | NET_TX_TSO;
    rig_start(&rig, &c);
    struct net_path *p = path_to(OWN, PEER);
    struct ip_addr s = ip(OWN), d = ip(PEER);
    send_to(p, 0);
    hear_peer();
    rig_clear(&rig);
    send_to(p, 100);
    net_send_tcp(rig.nif, p, segment(1400), 20, 536, 0, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    uint16_t sum;
    memcpy(&sum, rig_sent(&rig, 0) + 50, 2);
    CU_ASSERT_EQUAL(sum, checksum_fold(checksum_u16(checksum_pseudo(&s, &d, 6), 120)));
    CU_ASSERT_EQUAL(rig.sent[0]->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
    CU_ASSERT_TRUE(rig.sent[0]->l2_len == 14 && rig.sent[0]->l3_len == 20 && rig.sent[0]->l4_len == 20);
    memcpy(&sum, rig_sent(&rig, 1) + 50, 2);
    CU_ASSERT_EQUAL(sum, checksum_fold(checksum_pseudo(&s, &d, 6)));
    CU_ASSERT_TRUE(rig.sent[1]->ol_flags & RTE_MBUF_F_TX_TCP_SEG && rig.sent[1]->tso_segsz == 536);
    net_path_put(rig.nif, p);
    done();
}

static void test_ipv6_segment_is_right(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN6, PEER6);
    send_to(p, 11);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), "\x33\x33\xff\x00\x00\x01", 6), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[54], 135);
    rig_input(&rig, f, make_na(f, PEER6, OWN6, PEER6, SOLICITED | OVERRIDE, rig_peer_mac), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    const uint8_t *r = rig_sent(&rig, 1);
    CU_ASSERT_EQUAL(r[19], 31);
    struct ip_addr s = ip(OWN6), d = ip(PEER6);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 6), 31);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 54, 31)), 0);
    net_path_put(rig.nif, p);
    done();
}

static void test_waiting_queue_keeps_the_newest(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    for (unsigned i = 0; i < 12; i++)
        send_to(p, i);
    CU_ASSERT_EQUAL(rig.n, 1); /* one question, whatever waits */
    CU_ASSERT_EQUAL(COUNT(drop_waiting_full), 4);
    hear_peer();
    CU_ASSERT_EQUAL_FATAL(rig.n, 9);
    CU_ASSERT_EQUAL(rig.sent[1]->pkt_len, 54 + 4);
    net_path_put(rig.nif, p);
    done();
}

static void test_frames_waiting_for_all_neighbours_are_bounded(void)
{
    rig_start(&rig, NULL);
    for (unsigned host = 10; host < 60; host++) {
        char to[16];
        snprintf(to, sizeof to, "10.0.0.%u", host);
        struct net_path *p = path_to(OWN, to);
        for (unsigned i = 0; i < 8; i++)
            send_to(p, 0);
        net_path_put(rig.nif, p);
    }
    CU_ASSERT_EQUAL(COUNT(drop_waiting_full), 50 * 8 - 256);
    done();
}

static void test_silent_neighbour_fails_after_three_questions(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    for (unsigned i = 0; i < 40; i++) {
        rig.now += 100000;
        net_tick(rig.nif, rig.now);
    }
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 3);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "failed");
    CU_ASSERT_EQUAL(COUNT(drop_unresolved), 1);
    send_to(p, 0);
    CU_ASSERT_EQUAL(rig.n, 4);
    net_path_put(rig.nif, p);
    done();
}

static void test_neighbour_ages_and_is_probed_when_used(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    rig.now += 46000000;
    net_tick(rig.nif, rig.now);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "stale");
    rig_clear(&rig);
    send_to(p, 0);
    CU_ASSERT_EQUAL(rig.n, 1);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "delay");
    rig.now += 5100000;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "probe");
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 1), rig_peer_mac, 6), 0); /* asked in person */
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    net_path_put(rig.nif, p);
    done();
}

static void test_path_follows_a_changed_mac(void)
{
    static const uint8_t moved[6] = {2, 0, 0, 0, 0, 9};
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, moved, PEER, PEER), NULL);
    rig_clear(&rig);
    send_to(p, 0);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), moved, 6), 0);
    net_path_put(rig.nif, p);
    done();
}

static void test_routes(void)
{
    struct net_config c = rig_config();
    c.gateway4 = ip("10.0.0.254");
    rig_start(&rig, &c);
    static const char *const nowhere[] = {"10.0.0.255", "224.0.0.1", "255.255.255.255",
                                          "0.0.0.0",    OWN,         PEER6};
    for (unsigned i = 0; i < RTE_DIM(nowhere); i++)
        CU_ASSERT_PTR_NULL(path_to(OWN, nowhere[i]));
    CU_ASSERT_PTR_NULL(path_to(OWN6, "2001:db8:1::1")); /* no gateway */
    CU_ASSERT_EQUAL(COUNT(no_route), RTE_DIM(nowhere) + 1);
    struct net_path *far = path_to(OWN, "192.0.2.1"), *again = path_to(OWN, "192.0.2.1");
    CU_ASSERT_PTR_EQUAL(far, again);
    send_to(far, 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 38, ip("10.0.0.254").b + 12, 4), 0);
    net_path_put(rig.nif, far);
    net_path_put(rig.nif, again);
    struct net_path *near = path_to(OWN6, "fe80::1");
    CU_ASSERT_PTR_NOT_NULL(near);
    net_path_put(rig.nif, near);
    done();
}

static void test_tables_are_bounded(void)
{
    struct net_config c = rig_config();
    c.neighbours = 4;
    c.paths = 6;
    c.gateway4 = ip("10.0.0.254");
    rig_start(&rig, &c);
    struct net_path *p[8];
    char to[16];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(to, sizeof to, "10.0.0.%u", 10 + i);
        p[i] = path_to(OWN, to);
        CU_ASSERT_EQUAL(p[i] == NULL, i == 4);
    }
    CU_ASSERT_EQUAL(COUNT(neighbours_full), 1);
    net_path_put(rig.nif, p[3]);
    for (unsigned i = 3; i < 8; i++) {
        snprintf(to, sizeof to, "192.0.2.%u", i);
        p[i] = path_to(OWN, to);
        CU_ASSERT_EQUAL(p[i] == NULL, i >= 6);
    }
    CU_ASSERT_EQUAL(COUNT(paths_full), 2);
    for (unsigned i = 0; i < 8; i++)
        net_path_put(rig.nif, p[i]);
    /* A stream of strangers replaces neighbours that nobody needs. */
    for (unsigned i = 1; i < 100; i++) {
        snprintf(to, sizeof to, "10.0.0.%u", 100 + i);
        rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, to, OWN), NULL);
    }
    CU_ASSERT_STRING_EQUAL(state_of("10.0.0.199", NULL), "stale");
    done();
}

static void test_segment_sent_again_waits_once(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    struct rte_mbuf *m = segment(4);
    rte_mbuf_refcnt_update(m, 2);
    uint16_t off = m->data_off;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    m->data_off = off;
    m->data_len = 24;
    m->pkt_len = 24;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    hear_peer();
    CU_ASSERT_EQUAL(rig.n, 2); /* the question and one segment */
    rte_pktmbuf_free(m);
    net_path_put(rig.nif, p);
    done();
}

static void test_empty_pool_is_a_counter(void)
{
    static struct rte_mbuf *all[5000];
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    struct rte_mbuf *m = segment(0);
    unsigned n = 0;
    while (n < RTE_DIM(all) && (all[n] = rte_pktmbuf_alloc(rig_pool())))
        n++;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    CU_ASSERT_EQUAL(COUNT(no_memory), 1);
    rte_pktmbuf_free_bulk(all, n);
    net_path_put(rig.nif, p);
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
                                             UNIT(test_tcp_segment_is_handed_back),
                                             UNIT(test_checksum_flags_of_the_port),
                                             UNIT(test_ipv4_options_are_skipped),
                                             UNIT(test_ipv4_faults_end_in_their_counters),
                                             UNIT(test_loopback_peer_reaches_a_loopback_address),
                                             UNIT(test_every_truncation_is_survived),
                                             UNIT(test_chained_frame_is_made_readable),
                                             UNIT(test_echo4_is_answered),
                                             UNIT(test_echo4_of_zeros_has_a_checksum_that_verifies),
                                             UNIT(test_echo4_with_bad_checksum_is_dropped),
                                             UNIT(test_echo_is_rate_limited),
                                             UNIT(test_echo6_is_answered),
                                             UNIT(test_ns_to_the_group_is_answered),
                                             UNIT(test_ns_of_address_detection_is_answered_to_all),
                                             UNIT(test_nd_faults_are_dropped),
                                             UNIT(test_ipv6_extension_headers_are_walked),
                                             UNIT(test_vlan_ours_is_taken_others_not),
                                             UNIT(test_vlan_tag_taken_off_by_the_port),
                                             UNIT(test_priority_tag_belongs_to_no_vlan),
                                             UNIT(test_segment_waits_for_its_neighbour),
                                             UNIT(test_segments_of_every_length_are_right),
                                             UNIT(test_chained_segment_has_the_right_checksum),
                                             UNIT(test_offload_leaves_the_pseudo_sum),
                                             UNIT(test_ipv6_segment_is_right),
                                             UNIT(test_waiting_queue_keeps_the_newest),
                                             UNIT(test_frames_waiting_for_all_neighbours_are_bounded),
                                             UNIT(test_silent_neighbour_fails_after_three_questions),
                                             UNIT(test_neighbour_ages_and_is_probed_when_used),
                                             UNIT(test_path_follows_a_changed_mac),
                                             UNIT(test_routes),
                                             UNIT(test_tables_are_bounded),
                                             UNIT(test_segment_sent_again_waits_once),
                                             UNIT(test_empty_pool_is_a_counter),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net", tests);
}
