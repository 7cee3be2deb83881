/* test_icmp.c: echo, errors sent and errors heard. */
#include "case.h"
#include "net/filter.h"

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

/* -- errors that we hear -- */

/* An ICMP error from ROUTER about a segment of ours, port 6379 to 12345, sequence number 0x01020304. */
static size_t make_error(bool v6, uint8_t type, uint8_t code, uint32_t mtu, size_t quote)
{
    uint8_t icmp[600] = {type, code}, inner[200];
    const uint8_t tcp[20] = {0x18, 0xeb, 0x30, 0x39, 1, 2, 3, 4};
    size_t n = v6 ? make_ipv6(inner, OWN6, PEER6, 6, 64, tcp, 20) : make_ipv4(inner, OWN, PEER, 6, tcp, 20);
    for (unsigned i = 0; i < 4; i++)
        icmp[4 + i] = (uint8_t)(mtu >> (24 - 8 * i));
    if (!v6)
        inner[16] = 5; /* total length 0x5dc: 1500 bytes when it left */
    if (!v6)
        inner[17] = 0xdc;
    memcpy(icmp + 8, inner + 14, n - 14);
    if (v6)
        return make_icmp6(f, "2001:db8::99", OWN6, 64, icmp, 8 + quote);
    uint16_t sum = checksum_finish(checksum_add(0, icmp, 8 + quote));
    memcpy(icmp + 2, &sum, 2);
    return make_ipv4(f, "10.0.0.99", OWN, 1, icmp, 8 + quote);
}

static void test_errors_are_handed_up_with_what_they_quote(void)
{
    static const struct {
        bool v6;
        uint8_t type, code, kind;
        uint32_t said, mtu;
    } cases[] = {{false, 3, 4, NET_ERROR_TOO_BIG, 1400, 1400}, {false, 3, 4, NET_ERROR_TOO_BIG, 0, 1492},
                 {false, 3, 3, NET_ERROR_HARD, 0, 0},          {false, 3, 1, NET_ERROR_SOFT, 0, 0},
                 {false, 11, 0, NET_ERROR_SOFT, 0, 0},         {false, 12, 0, NET_ERROR_SOFT, 0, 0},
                 {true, 2, 0, NET_ERROR_TOO_BIG, 1300, 1300},  {true, 1, 4, NET_ERROR_HARD, 0, 0},
                 {true, 1, 0, NET_ERROR_SOFT, 0, 0},           {true, 3, 0, NET_ERROR_SOFT, 0, 0}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        size_t n =
            make_error(cases[i].v6, cases[i].type, cases[i].code, cases[i].said, cases[i].v6 ? 48 : 28);
        CU_ASSERT_EQUAL_FATAL(rig_input(&rig, f, n, NULL), NET_TCP_ERROR);
        const struct net_error *e = net_error(rig.nif);
        struct ip_addr own = ip(cases[i].v6 ? OWN6 : OWN), peer = ip(cases[i].v6 ? PEER6 : PEER);
        CU_ASSERT_TRUE(ip_equal(&e->local.ip, &own) && ip_equal(&e->remote.ip, &peer));
        CU_ASSERT_TRUE(e->local.port == 6379 && e->remote.port == 12345 && e->seq == 0x01020304);
        CU_ASSERT_TRUE(e->kind == cases[i].kind && e->mtu == cases[i].mtu);
    }
    CU_ASSERT_EQUAL(COUNT(icmp_errors_in), RTE_DIM(cases));
    done();
}

static void test_errors_not_to_be_believed_are_dropped(void)
{
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_error(false, 3, 4, 67, 28), NULL);   /* below RFC 791's least */
    rig_input(&rig, f, make_error(true, 2, 0, 1279, 48), NULL);  /* RFC 8201, 4 */
    rig_input(&rig, f, make_error(false, 3, 4, 1400, 27), NULL); /* the sequence number is cut off */
    rig_input(&rig, f, make_error(true, 2, 0, 1400, 47), NULL);
    size_t n = make_error(false, 3, 4, 1400, 28);
    f[14 + 20 + 8 + 15] = 9; /* quotes a packet that we have not sent */
    f[36] = f[37] = 0;
    uint16_t sum = checksum_finish(checksum_add(0, f + 34, n - 34));
    memcpy(f + 36, &sum, 2);
    rig_input(&rig, f, n, NULL);
    CU_ASSERT_EQUAL(COUNT(drop_icmp_quote), 5);
    rig_input(&rig, f, make_error(false, 4, 0, 0, 28), NULL); /* source quench: RFC 6633 */
    CU_ASSERT_EQUAL(COUNT(drop_icmp_type), 1);
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

/* -- errors that we send -- */

static void test_unwanted_transports_are_refused(void)
{
    static const uint8_t udp[16] = {1, 2, 3, 4, 0, 16};
    rig_start(&rig, NULL);
    rig_input(&rig, f, make_ipv4(f, PEER, OWN, 17, udp, sizeof udp), NULL);
    rig_input(&rig, f, make_ipv4(f, PEER, OWN, 132, udp, sizeof udp), NULL);
    rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 17, 64, udp, sizeof udp), NULL);
    rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 132, 64, udp, sizeof udp), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 4);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 34, "\3\3", 2), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 1) + 34, "\3\2", 2), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 2) + 54, "\1\4", 2), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 3) + 54, "\4\1", 2), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 3)[61], 6); /* points at the next header field */
    const uint8_t *r = rig_sent(&rig, 0);
    CU_ASSERT_EQUAL(memcmp(r, rig_peer_mac, 6), 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 34, 8 + 36)), 0);
    CU_ASSERT_EQUAL(memcmp(r + 42 + 12, ip(PEER).b + 12, 4), 0);
    done();
}

static struct filter *filter_of(const char *text)
{
    struct filter_rule rule;
    char error[128];
    CU_ASSERT_TRUE_FATAL(filter_rule_parse(text, &rule));
    return filter_new(&rule, 1, FILTER_PERMIT, 1, error, sizeof error);
}

/* Errors and echo requests alike. */
static void test_what_the_filter_keeps_out_learns_nothing(void)
{
    static const uint8_t udp[16] = {1, 2, 3, 4, 0, 16}, echo[8] = {128};
    struct filter *deny = filter_of("deny"), *reject = filter_of("reject any"), *tcp = filter_of("deny tcp");
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < 3; i++) {
        net_set_filter(rig.nif, i == 0 ? deny : i == 1 ? reject : tcp, 0);
        rig_input(&rig, f, make_ipv4(f, PEER, OWN, 17, udp, sizeof udp), NULL);
        rig_input(&rig, f, make_echo4(f, PEER, OWN, 8), NULL);
        rig_input(&rig, f, make_ipv6(f, PEER6, OWN6, 132, 64, udp, sizeof udp), NULL);
        rig_input(&rig, f, make_icmp6(f, PEER6, OWN6, 64, echo, sizeof echo), NULL);
    }
    CU_ASSERT_EQUAL_FATAL(rig.n, 8);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, i) + (i < 2 ? 34 : 54), i < 2 ? "\3\15" : "\1\1", 2), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 4) + 34, "\3\3", 2), 0); /* a rule for tcp says nothing of UDP */
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_filter_denied], 4);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_filter_rejected], 4);
    done();
    filter_unref(deny);
    filter_unref(reject);
    filter_unref(tcp);
}

static void test_nobody_is_told_about_groups_and_broadcasts(void)
{
    static const uint8_t udp[16] = {1, 2, 3, 4, 0, 16};
    rig_start(&rig, NULL);
    size_t n = make_ipv4(f, PEER, OWN, 17, udp, sizeof udp);
    memset(f, 0xff, 6);
    rig_input(&rig, f, n, NULL);
    rig_input(&rig, f, make_ipv6(f, PEER6, "ff02::1", 17, 64, udp, sizeof udp), NULL);
    rig_input(&rig, f, make_ipv4(f, "10.0.0.255", OWN, 17, udp, sizeof udp), NULL);
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

static void test_errors_are_rate_limited(void)
{
    static const uint8_t udp[16] = {1, 2, 3, 4, 0, 16};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < 400; i++)
        rig_input(&rig, f, make_ipv4(f, PEER, OWN, 17, udp, sizeof udp), NULL);
    CU_ASSERT_EQUAL(rig.n, 50);
    CU_ASSERT_EQUAL(COUNT(icmp_errors_limited), 350);
    done();
}

/* -- echo in pieces -- */

static void test_echo_larger_than_the_mtu_comes_back_in_pieces(void)
{
    static uint8_t icmp[3008] = {8, 0, 0, 0, 0x12, 0x34, 0, 1}, back[3008];
    struct net_packet p;
    for (unsigned i = 8; i < sizeof icmp; i++)
        icmp[i] = (uint8_t)(i * 7);
    uint16_t sum = checksum_finish(checksum_add(0, icmp, sizeof icmp));
    memcpy(icmp + 2, &sum, 2);
    rig_start(&rig, NULL);
    for (unsigned off = 0; off < sizeof icmp; off += 1480) {
        size_t len = sizeof icmp - off < 1480 ? sizeof icmp - off : 1480;
        size_t n = make_ipv4(f, PEER, OWN, 1, icmp + off, len);
        f[20] = (uint8_t)(off / 8 >> 8 | (off + len < sizeof icmp ? 0x20 : 0));
        f[21] = (uint8_t)(off / 8);
        fix_ipv4(f);
        enum net_verdict v = net_input(rig.nif, rig_frame(f, n), &p, rig.now);
        CU_ASSERT_EQUAL_FATAL(v, off + len == sizeof icmp ? NET_WHOLE : NET_DONE);
    }
    CU_ASSERT_EQUAL(net_input(rig.nif, net_take_whole(rig.nif), &p, rig.now), NET_DONE);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL_FATAL(rig.n, 3);
    for (unsigned i = 0; i < rig.n; i++) {
        const uint8_t *r = rig_sent(&rig, i);
        unsigned off = ((unsigned)(r[20] & 0x1f) << 8 | r[21]) * 8, len = (unsigned)(r[16] << 8 | r[17]) - 20;
        CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
        CU_ASSERT_TRUE_FATAL(off + len <= sizeof back);
        memcpy(back + off, r + 34, len);
    }
    CU_ASSERT_EQUAL(back[0], 0);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, back, sizeof back)), 0);
    CU_ASSERT_EQUAL(memcmp(back + 8, icmp + 8, sizeof back - 8), 0);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_echo4_is_answered),
                                             UNIT(test_echo4_of_zeros_has_a_checksum_that_verifies),
                                             UNIT(test_echo4_with_bad_checksum_is_dropped),
                                             UNIT(test_echo_is_rate_limited),
                                             UNIT(test_echo6_is_answered),
                                             UNIT(test_errors_are_handed_up_with_what_they_quote),
                                             UNIT(test_errors_not_to_be_believed_are_dropped),
                                             UNIT(test_unwanted_transports_are_refused),
                                             UNIT(test_what_the_filter_keeps_out_learns_nothing),
                                             UNIT(test_nobody_is_told_about_groups_and_broadcasts),
                                             UNIT(test_errors_are_rate_limited),
                                             UNIT(test_echo_larger_than_the_mtu_comes_back_in_pieces),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/icmp", tests);
}
