/* test_capture.c: a filter's compilation in its child, and what the dataplane may send of a capture, mutated.
 */
#include "control/capture.h"
#include "control/filter.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    unsigned calls;
    size_t len;
    char error[256];
} result;

static void on_done(void *ctx, const uint8_t *program, size_t len, const char *error)
{
    event_base_loopbreak(ctx);
    result.calls++;
    result.len = len;
    snprintf(result.error, sizeof result.error, "%s", error ? error : "");
    CU_ASSERT_TRUE((program != NULL) == (error == NULL));
}

static void compile(struct event_base *base, const char *expression)
{
    memset(&result, 0, sizeof result);
    CU_ASSERT_PTR_NOT_NULL(filter_compile(base, expression, 65280, on_done, base));
    event_base_dispatch(base);
    CU_ASSERT_EQUAL(result.calls, 1);
}

static void test_a_filter_becomes_a_program_or_a_line(void)
{
    struct event_base *base = event_base_new();
    compile(base, "tcp port 6379");
    CU_ASSERT_TRUE(result.len > 8 && result.len % FILTER_INSTRUCTION_BYTES == 0);
    compile(base, "tcp prot 6379");
    CU_ASSERT_TRUE(result.len == 0 && strstr(result.error, "syntax error") != NULL);
    compile(base, "tcp or or");
    CU_ASSERT_TRUE(strstr(result.error, "syntax error") != NULL);
    event_base_free(base);
}

static void test_a_filter_that_is_too_long_is_refused(void)
{
    struct event_base *base = event_base_new();
    char expression[FILTER_EXPRESSION_MAX + 64] = "tcp[0] = 1";
    for (unsigned i = 1; strlen(expression) < FILTER_EXPRESSION_MAX; i++)
        snprintf(expression + strlen(expression), 64, " and ip[%u] * %u > tcp[%u]", i % 50, i + 2, i % 40);
    compile(base, expression);
    CU_ASSERT_TRUE(result.len == 0 && strstr(result.error, "instructions") != NULL);
    event_base_free(base);
}

static void test_a_cancelled_filter_says_nothing(void)
{
    struct event_base *base = event_base_new();
    memset(&result, 0, sizeof result);
    filter_cancel(filter_compile(base, "tcp", 65280, on_done, base));
    event_base_loop(base, EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(result.calls, 0);
    event_base_free(base);
}

static size_t put_packets(uint8_t *buffer)
{
    struct message_writer w;
    message_begin(&w, buffer, MSG_CAPTURE_PACKETS);
    put_u64(&w, 1);
    for (unsigned i = 0; i < 3; i++) {
        put_u64(&w, 1000 + i);
        put_u32(&w, 0);
        put_u8(&w, 1);
        put_u32(&w, 60);
        put_bytes(&w, "some bytes of a frame", 21);
    }
    return w.len;
}

static void test_mutated_messages_are_read_or_refused(void)
{
    static uint8_t message[CHANNEL_MESSAGE_MAX];
    static const enum message_type types[] = {MSG_CAPTURE_STARTED, MSG_CAPTURE_PACKETS, MSG_CAPTURE_ENDED};
    struct event_base *base = event_base_new();
    struct capture *k = capture_new(base, NULL);
    unsigned random = 7, good = 0, bad = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct message_reader r;
        size_t len = put_packets(message);
        for (unsigned n = i % 4; n; n--) {
            random = random * 1103515245 + 12345;
            message[1 + (random >> 8) % (len - 1)] = (uint8_t)(random >> 20);
        }
        len -= i % 5 == 0 ? (random >> 8) % len : 0;
        uint8_t *exact = malloc(len); /* so that the sanitizer sees its end */
        memcpy(exact, message, len);
        message_open(&r, exact, len);
        bool read = capture_message(k, types[i % 3], &r);
        good += read;
        bad += !read;
        free(exact);
    }
    CU_ASSERT_TRUE(good > 100 && bad > 100);
    capture_free(k);
    event_base_free(base);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_filter_becomes_a_program_or_a_line),
        UNIT(test_a_filter_that_is_too_long_is_refused),
        UNIT(test_a_cancelled_filter_says_nothing),
        UNIT(test_mutated_messages_are_read_or_refused),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "control/capture", tests);
}
