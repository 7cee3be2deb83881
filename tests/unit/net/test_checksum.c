/* test_checksum.c: sums of every length and alignment are those of the definition (RFC 1071). */
#include "net/checksum.h"
#include "rig.h"
#include "unit.h"

#include <stdlib.h>

enum { MOST = 700 };

/* Word by word, as the RFC says it. */
static uint16_t by_definition(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)p[i] << (i & 1 ? 8 : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* In a block of its own, so that the sanitizer sees a byte too far. */
static bool right(const uint8_t *bytes, size_t len)
{
    uint8_t *block = malloc(len ? len : 1);
    memcpy(block, bytes, len);
    uint16_t sum = checksum_finish(checksum_add(0, block, len));
    free(block);
    return sum == by_definition(bytes, len);
}

static void test_sums_of_every_length_and_alignment(void)
{
    uint8_t bytes[MOST + 8];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(state >> 24);
    }
    for (size_t len = 1; len <= MOST; len++)
        for (size_t at = 0; at < 8; at++)
            CU_ASSERT_TRUE_FATAL(checksum_finish(checksum_add(0, bytes + at, len)) == by_definition(bytes + at, len));
    for (size_t len = 0; len <= MOST; len++)
        CU_ASSERT_TRUE_FATAL(len == 0 || right(bytes, len));
    CU_ASSERT_EQUAL(checksum_add(7, bytes, 0), 7);
}

/* Where every addition carries. */
static void test_ones(void)
{
    uint8_t ones[MOST];
    memset(ones, 0xff, sizeof ones);
    for (size_t len = 1; len <= MOST; len++)
        CU_ASSERT_TRUE_FATAL(right(ones, len));
    /* Sums may be added to large sums. */
    uint64_t sum = 0;
    for (unsigned i = 0; i < 1000; i++)
        sum = checksum_add(sum, ones, sizeof ones);
    CU_ASSERT_EQUAL(checksum_fold(sum), 0xffff);
}

static void test_headers_and_addresses(void)
{
    uint8_t frame[1600];
    make_tcp(frame, "10.200.3.4", "10.0.0.2");
    CU_ASSERT_EQUAL(checksum_finish(checksum_ipv4_header(frame + 14)), 0);
    frame[14 + 8]--;
    CU_ASSERT_EQUAL(checksum_finish(checksum_ipv4_header(frame + 14)), by_definition(frame + 14, 20));
    struct ip_addr two[2] = {ip("2001:db8::ffff:1"), ip("10.255.255.254")};
    CU_ASSERT_EQUAL(checksum_finish(checksum_addresses(two)), by_definition(two[0].b, sizeof two));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_sums_of_every_length_and_alignment), UNIT(test_ones), UNIT(test_headers_and_addresses), {NULL, NULL}};
    return unit_main(argc, argv, "net/checksum", tests);
}
