/* hash_test.c: slots against the Redis Cluster specification, and key_hash's spread and keying. */
#include "base/hash.h"
#include "unit.h"

static void test_slots_are_those_of_the_specification(void)
{
    CU_ASSERT_EQUAL(key_slot(slice_str("123456789")), 0x31c3 % SLOTS);
    CU_ASSERT_EQUAL(key_slot(slice_str("foo")), 12182);
    CU_ASSERT_EQUAL(key_slot(slice_str("")), 0);
}

static void test_hash_tags(void)
{
    CU_ASSERT_EQUAL(key_slot(slice_str("{user1000}.following")), key_slot(slice_str("user1000")));
    CU_ASSERT_EQUAL(key_slot(slice_str("foo{bar}{zap}")), key_slot(slice_str("bar")));
    CU_ASSERT_EQUAL(key_slot(slice_str("foo{{bar}}zap")), key_slot(slice_str("{bar")));
    /* An empty tag, or one that is not closed, is none. */
    CU_ASSERT_NOT_EQUAL(key_slot(slice_str("foo{}{bar}")), key_slot(slice_str("bar")));
    CU_ASSERT_NOT_EQUAL(key_slot(slice_str("foo{bar")), key_slot(slice_str("bar")));
}

static void test_every_length_and_every_byte_counts(void)
{
    uint8_t bytes[70] = {0};
    for (size_t len = 0; len < sizeof bytes; len++) {
        uint64_t h = key_hash((struct slice){bytes, len}, 7);
        CU_ASSERT_NOT_EQUAL(h, key_hash((struct slice){bytes, len + (len < 69 ? 1 : -1)}, 7));
        CU_ASSERT_NOT_EQUAL(h, key_hash((struct slice){bytes, len}, 8));
        for (size_t i = 0; i < len; i++) {
            bytes[i] ^= 1;
            CU_ASSERT_NOT_EQUAL(h, key_hash((struct slice){bytes, len}, 7));
            bytes[i] ^= 1;
        }
    }
}

/* Each bit of the hash flips for about half of all one-bit changes of a 16-byte key. */
static void test_bits_are_even(void)
{
    unsigned flips[64] = {0}, changes = 0;
    uint8_t key[16];
    for (unsigned n = 0; n < 200; n++)
        for (unsigned bit = 0; bit < 128; bit++, changes++) {
            for (unsigned i = 0; i < 16; i++)
                key[i] = (uint8_t)(n * 31 + i * 7);
            uint64_t h = key_hash((struct slice){key, 16}, 99);
            key[bit / 8] ^= (uint8_t)(1 << bit % 8);
            h ^= key_hash((struct slice){key, 16}, 99);
            for (unsigned i = 0; i < 64; i++)
                flips[i] += h >> i & 1;
        }
    for (unsigned i = 0; i < 64; i++)
        CU_ASSERT_TRUE(flips[i] > changes * 47 / 100 && flips[i] < changes * 53 / 100);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_slots_are_those_of_the_specification), UNIT(test_hash_tags),
                                             UNIT(test_every_length_and_every_byte_counts),
                                             UNIT(test_bits_are_even), {NULL, NULL}};
    return unit_main(argc, argv, "store/hash", tests);
}
