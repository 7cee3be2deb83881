/* test_frame.c: frames as lines, whole and cut at every byte. */
#include "mgmt/frame.h"
#include "unit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t syn[54] = {2,    0,    0,    0, 0,  2, 2, 0, 0,  0, 0,    1, 8,  0, 0x45, 0, 0,    40,
                                0,    0,    0x40, 0, 64, 6, 0, 0, 10, 0, 0,    1, 10, 0, 0,    2, 0x30, 0x39,
                                0x18, 0xeb, 0,    0, 0,  1, 0, 0, 0,  0, 0x50, 2, 1,  0, 0,    0, 0,    0};

static bool line_is(const uint8_t *p, size_t len, const char *expected)
{
    char line[FRAME_LINE];
    frame_line(line, p, len, len);
    if (strcmp(line, expected) != 0)
        printf("# %s\n", line);
    return strcmp(line, expected) == 0;
}

static void test_a_tcp_segment(void)
{
    CU_ASSERT_TRUE(line_is(syn, sizeof syn,
                           "10.0.0.1.12345 > 10.0.0.2.6379: tcp [S] seq 1 ack 0 win 256 len 0 (54 bytes)"));
}

static void test_a_vlan_tag_comes_first(void)
{
    uint8_t tagged[sizeof syn + 4];
    memcpy(tagged, syn, 12);
    memcpy(tagged + 12, (const uint8_t[]){0x81, 0, 0x20, 7}, 4);
    memcpy(tagged + 16, syn + 12, sizeof syn - 12);
    CU_ASSERT_TRUE(
        line_is(tagged, sizeof tagged,
                "vlan 7 10.0.0.1.12345 > 10.0.0.2.6379: tcp [S] seq 1 ack 0 win 256 len 0 (58 bytes)"));
}

static void test_arp_and_the_rest(void)
{
    static const uint8_t arp[42] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0,  1, 8, 6,
                                    0,   1,   8,   0,   6,   4,   0, 1, 2, 0, 0,  0, 0, 1,
                                    10,  0,   0,   1,   0,   0,   0, 0, 0, 0, 10, 0, 0, 2};
    static const uint8_t other[14] = {[12] = 0x88, [13] = 0xcc};
    CU_ASSERT_TRUE(line_is(arp, sizeof arp, "arp who-has 10.0.0.2 tell 10.0.0.1 (42 bytes)"));
    CU_ASSERT_TRUE(line_is(other, sizeof other, "ethertype 0x88cc (14 bytes)"));
}

/* What is read beyond the end is the sanitizer's to find. */
static void test_cut_and_broken_frames(void)
{
    char line[FRAME_LINE];
    uint32_t seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = round < sizeof syn ? round : (seed >> 8) % 100;
        uint8_t *p = malloc(len + !len);
        memcpy(p, syn, len < sizeof syn ? len : sizeof syn);
        for (size_t i = sizeof syn; i < len; i++)
            p[i] = (uint8_t)i;
        for (unsigned n = 0; round >= sizeof syn && n < 3 && len; n++) {
            seed = seed * 1664525 + 1013904223;
            p[(seed >> 8) % len] = (uint8_t)(seed >> 24);
        }
        if (round % 3 == 0 && len > 14)
            memcpy(p + 12, (const uint8_t[]){0x86, 0xdd}, 2);
        seed = seed * 1664525 + 1013904223;
        frame_line(line, p, len, len + 5);
        CU_ASSERT_TRUE(memchr(line, 0, sizeof line) != NULL && strstr(line, " bytes)") != NULL);
        free(p);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_tcp_segment),
        UNIT(test_a_vlan_tag_comes_first),
        UNIT(test_arp_and_the_rest),
        UNIT(test_cut_and_broken_frames),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "mgmt/frame", tests);
}
