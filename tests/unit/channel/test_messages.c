/* test_messages.c: fields, rings and the counter block's check. */
#include "channel/messages.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static uint8_t buffer[CHANNEL_MESSAGE_MAX];

static size_t sample(uint8_t *out)
{
    struct message_writer w;
    message_begin(&w, out, MSG_ASK);
    put_u64(&w, 0x1122334455667788);
    put_text(&w, "id=1 addr=10.0.0.1:5");
    put_u32(&w, 2);
    put_bytes(&w, "CONFIG\0", 7);
    put_bytes(&w, "", 0);
    CU_ASSERT_FALSE(w.failed);
    return w.len;
}

static bool parse_sample(const uint8_t *p, size_t len)
{
    struct message_reader r;
    char text[64];
    size_t n;
    if (message_open(&r, p, len) != MSG_ASK)
        return false;
    uint64_t id = get_u64(&r);
    get_text(&r, text, sizeof text);
    uint32_t argc = get_u32(&r);
    for (uint32_t i = 0; i < argc && !r.failed; i++)
        get_bytes(&r, &n);
    return message_done(&r) && id && *text;
}

static void test_fields_round_trip(void)
{
    struct message_reader r;
    char text[64];
    size_t n;
    CU_ASSERT_EQUAL(message_open(&r, buffer, sample(buffer)), MSG_ASK);
    CU_ASSERT_EQUAL(get_u64(&r), 0x1122334455667788);
    get_text(&r, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "id=1 addr=10.0.0.1:5");
    CU_ASSERT_EQUAL(get_u32(&r), 2);
    const uint8_t *p = get_bytes(&r, &n);
    CU_ASSERT(n == 7 && memcmp(p, "CONFIG\0", 7) == 0);
    get_bytes(&r, &n);
    CU_ASSERT(n == 0 && message_done(&r));
}

static void test_a_message_cut_at_any_byte_is_refused(void)
{
    size_t len = sample(buffer);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1); /* so that ASan sees a read beyond the cut */
        memcpy(exact, buffer, cut);
        CU_ASSERT_FALSE(parse_sample(exact, cut));
        free(exact);
    }
    CU_ASSERT(parse_sample(buffer, len));
}

static void test_trailing_bytes_are_refused(void)
{
    size_t len = sample(buffer);
    buffer[len] = 0;
    CU_ASSERT_FALSE(parse_sample(buffer, len + 1));
}

static void test_mutated_messages_stay_inside(void)
{
    size_t len = sample(buffer);
    uint8_t *copy = malloc(len);
    unsigned random = 12345;
    for (unsigned i = 0; i < 20000; i++) {
        memcpy(copy, buffer, len);
        for (unsigned k = 0; k <= i % 3; k++) {
            random = random * 1103515245 + 12345;
            copy[(random >> 8) % len] = (uint8_t)(random >> 20);
        }
        (void)parse_sample(copy, len);
    }
    free(copy);
}

static void test_a_text_with_a_zero_byte_or_too_long_is_refused(void)
{
    struct message_writer w;
    struct message_reader r;
    char text[4];
    message_begin(&w, buffer, MSG_FACT);
    put_bytes(&w, "a\0b", 3);
    message_open(&r, buffer, w.len);
    CU_ASSERT_PTR_NULL(get_text_alloc(&r));
    CU_ASSERT(r.failed);
    message_begin(&w, buffer, MSG_FACT);
    put_text(&w, "abcd");
    message_open(&r, buffer, w.len);
    get_text(&r, text, sizeof text);
    CU_ASSERT(r.failed && *text == 0);
}

static void test_a_writer_that_overflows_fails_and_stays_inside(void)
{
    struct message_writer w;
    uint8_t *exact = malloc(CHANNEL_MESSAGE_MAX);
    char *big = calloc(1, CHANNEL_MESSAGE_MAX);
    message_begin(&w, exact, MSG_ANSWER);
    put_bytes(&w, big, CHANNEL_MESSAGE_MAX - 5);
    CU_ASSERT(!w.failed && w.len == CHANNEL_MESSAGE_MAX);
    put_u8(&w, 1);
    CU_ASSERT(w.failed);
    free(big);
    free(exact);
}

/* -- rings -------------------------------------------------------------------------------------------- */

static struct channel_ring *ring;
static uint8_t *data;
static struct ring_end in, out;

static void open_ring(void)
{
    ring = aligned_alloc(64, sizeof *ring);
    memset(ring, 0, sizeof *ring);
    data = malloc(CHANNEL_RING_BYTES);
    in = out = (struct ring_end){ring, data, 0};
}

static void close_ring(void)
{
    free(ring);
    free(data);
}

static void test_a_ring_carries_messages_of_all_sizes_around_its_end(void)
{
    static uint8_t message[CHANNEL_MESSAGE_MAX], back[CHANNEL_MESSAGE_MAX];
    size_t len;
    bool wake = false;
    open_ring();
    for (unsigned i = 1; i < 500; i++) {
        size_t n = i * 7919u % CHANNEL_MESSAGE_MAX + 1;
        memset(message, (int)i, n);
        CU_ASSERT_EQUAL(ring_put(&out, message, n), RING_OK);
        CU_ASSERT_EQUAL(ring_get(&in, back, &len, &wake), RING_OK);
        CU_ASSERT(len == n && memcmp(message, back, n) == 0);
    }
    CU_ASSERT_EQUAL(ring_get(&in, back, &len, &wake), RING_EMPTY);
    CU_ASSERT_FALSE(wake);
    close_ring();
}

static void test_a_full_ring_says_so_and_the_consumer_is_told(void)
{
    static uint8_t message[CHANNEL_MESSAGE_MAX];
    size_t len;
    bool wake = false;
    unsigned n = 0;
    open_ring();
    while (ring_put(&out, message, 1000) == RING_OK)
        n++;
    CU_ASSERT_EQUAL(n, CHANNEL_RING_BYTES / 1004);
    CU_ASSERT_EQUAL(ring_put(&out, message, 1000), RING_FULL);
    CU_ASSERT_EQUAL(ring_get(&in, message, &len, &wake), RING_OK);
    CU_ASSERT(wake && len == 1000);
    CU_ASSERT_EQUAL(ring_put(&out, message, 1000), RING_OK);
    close_ring();
}

static void test_a_damaged_ring_is_refused(void)
{
    static uint8_t message[CHANNEL_MESSAGE_MAX];
    size_t len;
    bool wake;
    open_ring();
    ring->head = CHANNEL_RING_BYTES + 1;
    CU_ASSERT_EQUAL(ring_get(&in, message, &len, &wake), RING_BROKEN);
    ring->head = 3;
    CU_ASSERT_EQUAL(ring_get(&in, message, &len, &wake), RING_BROKEN);
    ring->head = 8;
    for (uint32_t bad = 0, i = 0; i < 4; i++) {
        static const uint32_t lengths[] = {0, 5, CHANNEL_MESSAGE_MAX + 1, UINT32_MAX};
        bad = lengths[i];
        memcpy(data, &bad, sizeof bad);
        CU_ASSERT_EQUAL(ring_get(&in, message, &len, &wake), RING_BROKEN);
    }
    ring->tail = 5; /* beyond what was written */
    out.at = 0;
    CU_ASSERT_EQUAL(ring_put(&out, message, 1), RING_BROKEN);
    close_ring();
}

static void test_a_counter_block_with_a_table_outside_is_refused(void)
{
    struct channel_block good = {.magic = CHANNEL_MAGIC,
                                 .version = CHANNEL_VERSION,
                                 .size = 1 << 20,
                                 .workers = 2,
                                 .counters = 10,
                                 .commands = 5,
                                 .gauges_offset = 4096,
                                 .counter_names = 65536,
                                 .command_names = 70000,
                                 .workers_offset = 131072,
                                 .worker_stride = 24576,
                                 .commands_in_worker = 1024,
                                 .families = 3,
                                 .stages = 2,
                                 .family_names = 80000,
                                 .stage_names = 81000,
                                 .bucket_ends = 82000,
                                 .times_in_worker = 8192};
    CU_ASSERT(block_check(&good, 1 << 20));
    CU_ASSERT_FALSE(block_check(&good, (1 << 20) - 1));
    struct channel_block bad[] = {good, good, good, good, good, good, good, good, good, good, good, good};
    bad[0].workers_offset = (1 << 20) - 16384;
    bad[1].counters = UINT32_MAX;
    bad[2].commands_in_worker = 16;
    bad[3].worker_stride = UINT64_MAX - 7;
    bad[4].version++;
    bad[5].workers = CHANNEL_WORKERS + 1;
    bad[6].gauges_offset = UINT64_MAX - 7;
    bad[7].families = bad[7].stages = UINT32_MAX;
    bad[8].families = 4;
    bad[9].times_in_worker = 1024;
    bad[10].bucket_ends = (1 << 20) - 8;
    bad[11].stage_names = UINT64_MAX - 7;
    for (unsigned i = 0; i < 12; i++)
        CU_ASSERT_FALSE(block_check(&bad[i], 1 << 20));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_fields_round_trip),
                                             UNIT(test_a_message_cut_at_any_byte_is_refused),
                                             UNIT(test_trailing_bytes_are_refused),
                                             UNIT(test_mutated_messages_stay_inside),
                                             UNIT(test_a_text_with_a_zero_byte_or_too_long_is_refused),
                                             UNIT(test_a_writer_that_overflows_fails_and_stays_inside),
                                             UNIT(test_a_ring_carries_messages_of_all_sizes_around_its_end),
                                             UNIT(test_a_full_ring_says_so_and_the_consumer_is_told),
                                             UNIT(test_a_damaged_ring_is_refused),
                                             UNIT(test_a_counter_block_with_a_table_outside_is_refused),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "channel/messages", tests);
}
