/* crc64_test.c: CRC-64/Jones of any length at any address, whole and in pieces, is what its definition says, a bit a step. */
#include "base/crc64.h"
#include "unit.h"

enum { BYTES = 1200, OFFSETS = 17 };
#define POLYNOMIAL 0x95ac9329ac4bc9b5ull /* reflected */

static uint8_t bytes[BYTES + OFFSETS];

static void fill(void)
{
    uint64_t state = 1;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = (uint8_t)(state >> 56);
    }
}

static uint64_t by_bits(uint64_t crc, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
    }
    return crc;
}

static void test_a_sum_is_redis(void)
{
    CU_ASSERT_EQUAL(crc64(0, "123456789", 9), 0xe9c6d914c4b8d9caull);
    CU_ASSERT_EQUAL(crc64(1, "", 0), 1);
}

static void test_every_length_at_every_address(void)
{
    fill();
    for (unsigned at = 0; at < OFFSETS; at++) {
        uint64_t sum = 0x0123456789abcdefull;
        for (size_t n = 0; n < BYTES; n++) {
            CU_ASSERT_EQUAL_FATAL(crc64(0x0123456789abcdefull, bytes + at, n), sum);
            sum = by_bits(sum, bytes + at + n, 1);
        }
    }
}

static void test_pieces_sum_to_the_whole(void)
{
    fill();
    uint64_t whole = by_bits(0, bytes, BYTES);
    for (size_t first = 0; first <= BYTES; first++)
        CU_ASSERT_EQUAL_FATAL(crc64(crc64(0, bytes, first), bytes + first, BYTES - first), whole);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_sum_is_redis),
                                             UNIT(test_every_length_at_every_address),
                                             UNIT(test_pieces_sum_to_the_whole),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/crc64", tests);
}
