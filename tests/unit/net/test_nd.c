/* test_nd.c: neighbour discovery for IPv6. */
#include "case.h"

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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_ns_to_the_group_is_answered),
                                             UNIT(test_ns_of_address_detection_is_answered_to_all),
                                             UNIT(test_nd_faults_are_dropped),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/nd", tests);
}
