/* test_header.c: the header and option codec, cut at every byte and read back. */
#include <stdlib.h>

#include "tcp/header.h"
#include "tcp/seq.h"
#include "unit.h"

static const struct tcp_segment full = {
    .src_port = 1, .dst_port = 2, .seq = 3, .ack = 4, .window = 5, .flags = TCP_SYN | TCP_ACK,
    .options = TCP_OPT_MSS | TCP_OPT_SACK_OK | TCP_OPT_TS | TCP_OPT_WSCALE,
    .mss = 1460, .wscale = 7, .ts_val = 0x01020304, .ts_ecr = 0x05060708};

/* A parse from memory of exactly that size, so that the sanitizer sees every byte too far. */
static enum tcp_parse parse_exact(const uint8_t *bytes, unsigned len, struct tcp_segment *out)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    enum tcp_parse result = tcp_header_parse(copy, len, out);
    free(copy);
    return result;
}

static void test_what_is_written_is_read_back(void)
{
    uint8_t h[TCP_HEADER_MAX];
    struct tcp_segment in;
    unsigned len = tcp_header_write(h, &full);
    CU_ASSERT_EQUAL(len, 20 + 4 + 4 + 12 + 4);
    CU_ASSERT_EQUAL(parse_exact(h, len, &in), TCP_PARSED);
    CU_ASSERT(in.src_port == 1 && in.dst_port == 2 && in.seq == 3 && in.ack == 4 && in.window == 5);
    CU_ASSERT(in.flags == full.flags && in.options == full.options && in.mss == 1460 && in.wscale == 7);
    CU_ASSERT(in.ts_val == full.ts_val && in.ts_ecr == full.ts_ecr);
}

static void test_sack_blocks_fill_what_is_left(void)
{
    for (unsigned ts = 0; ts < 2; ts++)
        for (uint8_t n = 1; n <= TCP_SACK_BLOCKS; n++) {
            struct tcp_segment out = {.options = TCP_OPT_SACK | (ts ? TCP_OPT_TS : 0), .sacks = n}, in;
            uint8_t h[TCP_HEADER_MAX];
            for (uint32_t i = 0; i < n; i++)
                out.sack[i] = (struct tcp_range){i * 10, i * 10 + 5};
            unsigned fit = ts && n > 3 ? 3 : n;
            CU_ASSERT_EQUAL(parse_exact(h, tcp_header_write(h, &out), &in), TCP_PARSED);
            CU_ASSERT_EQUAL(in.sacks, fit);
            CU_ASSERT_EQUAL(memcmp(in.sack, out.sack, fit * sizeof *in.sack), 0);
        }
}

static void test_every_truncation_is_an_error(void)
{
    uint8_t h[TCP_HEADER_MAX];
    struct tcp_segment in;
    unsigned len = tcp_header_write(h, &full);
    for (unsigned n = 0; n < len; n++)
        CU_ASSERT_EQUAL(parse_exact(h, n, &in), TCP_TRUNCATED);
}

/* The option area ends after each byte of the options, with the data offset saying so. */
static void test_options_cut_at_every_word(void)
{
    uint8_t h[TCP_HEADER_MAX];
    struct tcp_segment in;
    unsigned len = tcp_header_write(h, &full);
    for (unsigned cut = 20; cut < len; cut += 4) {
        h[12] = (uint8_t)(cut / 4 << 4);
        enum tcp_parse result = parse_exact(h, cut, &in);
        bool between = cut == 20 || cut == 24 || cut == 28 || cut == 40;
        CU_ASSERT_EQUAL(result, between ? TCP_PARSED : TCP_BAD_OPTIONS);
    }
}

/* Every kind with every length in the last 1 to 8 bytes of the header: no read beyond, no loop without end. */
static void test_every_kind_and_length_at_the_end(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        for (unsigned length = 0; length < 256; length++)
            for (unsigned room = 1; room <= 8; room++) {
                uint8_t h[28] = {[12] = 7 << 4};
                struct tcp_segment in;
                memset(h + 20, 1, 8);
                h[28 - room] = (uint8_t)kind;
                if (room > 1)
                    h[29 - room] = (uint8_t)length;
                enum tcp_parse result = parse_exact(h, 28, &in);
                bool bad = kind > 1 && (room == 1 || length < 2 || length > room);
                if (kind != 1 && (result == TCP_BAD_OPTIONS) != bad)
                    CU_FAIL("verdict");
            }
}

static void test_data_offset_below_five_is_truncated(void)
{
    for (unsigned words = 0; words < 5; words++) {
        uint8_t h[20] = {[12] = (uint8_t)(words << 4)};
        struct tcp_segment in;
        CU_ASSERT_EQUAL(parse_exact(h, 20, &in), TCP_TRUNCATED);
    }
}

static void test_random_bytes(void)
{
    uint32_t x = 1;
    struct tcp_segment in;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t h[60];
        for (unsigned i = 0; i < sizeof h; i++)
            h[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        unsigned len = 20 + (x >> 8) % 41;
        if (tcp_header_parse(h, len, &in) == TCP_PARSED)
            CU_ASSERT(in.header <= len && in.sacks <= TCP_SACK_BLOCKS);
    }
}

static void test_sequence_numbers_wrap(void)
{
    CU_ASSERT(seq_before(0xfffffff0, 5) && seq_after(5, 0xfffffff0));
    CU_ASSERT(seq_upto(7, 7) && seq_from(7, 7) && !seq_before(7, 7) && !seq_after(7, 7));
    CU_ASSERT_EQUAL(seq_max(0xfffffff0, 5), 5);
    CU_ASSERT_EQUAL(seq_min(0xfffffff0, 5), 0xfffffff0);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_what_is_written_is_read_back),
                                             UNIT(test_sack_blocks_fill_what_is_left),
                                             UNIT(test_every_truncation_is_an_error),
                                             UNIT(test_options_cut_at_every_word),
                                             UNIT(test_every_kind_and_length_at_the_end),
                                             UNIT(test_data_offset_below_five_is_truncated),
                                             UNIT(test_random_bytes),
                                             UNIT(test_sequence_numbers_wrap),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "tcp/header", tests);
}
