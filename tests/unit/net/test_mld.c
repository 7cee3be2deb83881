/* test_mld.c: multicast listener discovery, RFC 3810 and RFC 2710. */
#include "case.h"

#define ROUTER "fe80::1"

static void start(void)
{
    struct net_config c = rig_config();
    c.quiet = false;
    c.mac[5] = 9; /* or the link-local address would share the other's group */
    rig_start(&rig, &c);
}

static void pass(uint64_t us)
{
    for (uint64_t until = rig.now + us; rig.now < until; rig.now += 10000)
        net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
}

/* Reports of this type among what was sent; *last: the newest. */
static unsigned reports(uint8_t type, const uint8_t **last)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rig.n; i++) {
        const uint8_t *r = rig_sent(&rig, i);
        if (r[12] == 0x86 && r[20] == 0 && r[62] == type) {
            n++;
            *last = r;
        }
    }
    return n;
}

static size_t query(const char *group, size_t len, uint8_t hops, bool alert)
{
    uint8_t body[8 + 28] = {58, 0,  alert ? 5 : 1, alert ? 2 : 4, 0, 0, alert ? 1 : 0, 0, 130, 0, 0, 0,
                            0,  100};
    struct ip_addr src = ip(ROUTER), dst = ip("ff02::1");
    memcpy(body + 16, ip(group).b, 16);
    uint64_t sum = checksum_u16(checksum_pseudo(&src, &dst, 58), (uint16_t)len);
    uint16_t field = checksum_finish(checksum_add(sum, body + 8, len));
    memcpy(body + 10, &field, 2);
    return make_ipv6(f, ROUTER, "ff02::1", 0, hops, body, 8 + len);
}

static void test_groups_are_joined_twice_at_start(void)
{
    const uint8_t *r = NULL;
    start();
    pass(3000000);
    CU_ASSERT_EQUAL_FATAL(reports(143, &r), 2);
    CU_ASSERT_EQUAL(memcmp(r, "\x33\x33\0\0\0\x16", 6), 0);
    CU_ASSERT_EQUAL(r[21], 1);                                   /* hop limit */
    CU_ASSERT_EQUAL(memcmp(r + 54, "\x3a\0\5\2\0\0\1\0", 8), 0); /* router alert */
    CU_ASSERT_EQUAL(r[69], 2);                                   /* two groups: ...:2 and the link-local's */
    CU_ASSERT_EQUAL(r[70], 4);                                   /* change to exclude mode */
    CU_ASSERT_EQUAL(memcmp(r + 74, ip(GROUP).b, 16), 0);
    struct ip_addr src, dst = ip("ff02::16");
    memcpy(src.b, r + 22, 16);
    CU_ASSERT_EQUAL(src.b[0], 0xfe);
    uint64_t sum = checksum_u16(checksum_pseudo(&src, &dst, 58), 48);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 62, 48)), 0);
    done();
}

static void test_query_is_answered_within_its_time(void)
{
    const uint8_t *r = NULL;
    start();
    pass(3000000);
    rig_clear(&rig);
    rig_input(&rig, f, query("::", 28, 1, true), NULL);
    pass(150000);
    CU_ASSERT_EQUAL_FATAL(reports(143, &r), 1);
    CU_ASSERT_EQUAL(r[70], 2); /* is in exclude mode */
    rig_clear(&rig);
    rig_input(&rig, f, query(GROUP, 28, 1, true), NULL);
    rig_input(&rig, f, query("ff02::1:ff00:99", 28, 1, true), NULL);
    pass(150000);
    CU_ASSERT_EQUAL(reports(143, &r), 1);
    CU_ASSERT_EQUAL(COUNT(drop_mld), 1);
    done();
}

static void test_querier_of_version_1_hears_version_1(void)
{
    const uint8_t *r = NULL;
    start();
    pass(3000000);
    rig_clear(&rig);
    rig_input(&rig, f, query("::", 24, 1, true), NULL);
    pass(150000);
    CU_ASSERT_EQUAL(reports(143, &r), 0);
    CU_ASSERT_EQUAL(reports(131, &r), 2);
    rig_clear(&rig);
    pass(261000000);
    rig_input(&rig, f, query("::", 28, 1, true), NULL);
    pass(150000);
    CU_ASSERT_EQUAL(reports(143, &r), 1);
    done();
}

static void test_malformed_queries_are_ignored(void)
{
    start();
    pass(3000000);
    rig_clear(&rig);
    rig_input(&rig, f, query("::", 28, 64, true), NULL);
    rig_input(&rig, f, query("::", 28, 1, false), NULL);
    rig_input(&rig, f, query("::", 26, 1, true), NULL);
    CU_ASSERT_EQUAL(COUNT(drop_mld), 3);
    pass(150000);
    CU_ASSERT_EQUAL(rig.n, 0);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_groups_are_joined_twice_at_start),
                                             UNIT(test_query_is_answered_within_its_time),
                                             UNIT(test_querier_of_version_1_hears_version_1),
                                             UNIT(test_malformed_queries_are_ignored),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/mld", tests);
}
