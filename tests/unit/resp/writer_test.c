/* writer_test.c: replies in both protocols, whatever the size of the chunks they are written to. */
#include "resp/writer.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct sink {
    struct resp_writer w;
    uint8_t *chunk;
    size_t size;
    unsigned left; /* chunks that will still be given */
    char text[1 << 14];
    size_t len;
};

static void collect(struct sink *s)
{
    size_t n = (size_t)(s->w.cur - s->w.start);
    if (n)
        memcpy(s->text + s->len, s->w.start, n);
    s->len += n;
    s->text[s->len] = 0;
}

static bool grow(struct resp_writer *w)
{
    struct sink *s = (struct sink *)w;
    collect(s);
    if (s->left-- == 0)
        return false;
    free(s->chunk);
    s->chunk = malloc(s->size);
    w->start = w->cur = s->chunk;
    w->end = s->chunk + s->size;
    return true;
}

static const struct resp_sink sink_ops = {grow};

static void begin(struct sink *s, uint8_t proto, size_t size)
{
    memset(s, 0, sizeof *s);
    s->size = size;
    s->left = 10000;
    resp_writer_init(&s->w, &sink_ops, proto);
}

static const char *finish(struct sink *s)
{
    collect(s);
    free(s->chunk);
    return s->text;
}

static void one_of_each(struct resp_writer *w)
{
    reply_ok(w);
    reply_simple(w, "PONG");
    reply_error(w, "ERR a\r\nb\r\n");
    reply_int(w, -9223372036854775807 - 1);
    reply_int(w, 0);
    reply_bulk(w, (struct slice){NULL, 0});
    reply_bulk_str(
        w, "a text that is longer than the chunk of sixty-four bytes, so that it lies in two or three of "
           "them, whatever stands before it in the first one");
    reply_bulk_int(w, -12);
    reply_null(w);
    reply_null_array(w);
    reply_array(w, 0);
    reply_map(w, 2);
    reply_set(w, 12);
    reply_push(w, 3);
    reply_double(w, 1.5);
    reply_double(w, INFINITY);
    reply_bool(w, true);
    reply_bool(w, false);
    reply_verbatim(w, "txt", slice_str("hello"));
}

#define COMMON                                                                                               \
    "+OK\r\n+PONG\r\n-ERR a  b\r\n:-9223372036854775808\r\n:0\r\n$0\r\n\r\n$141\r\na text that is longer "   \
    "than the chunk of sixty-four bytes, so that it lies in two or three of them, whatever stands before "   \
    "it "                                                                                                    \
    "in the first one\r\n$3\r\n-12\r\n"

static void test_both_protocols_in_any_chunk(void)
{
    static const char *const want[] = {
        COMMON "$-1\r\n*-1\r\n*0\r\n*4\r\n*12\r\n*3\r\n$3\r\n1.5\r\n$3\r\ninf\r\n:1\r\n:0\r\n$5\r\nhello\r\n",
        COMMON "_\r\n_\r\n*0\r\n%2\r\n~12\r\n>3\r\n,1.5\r\n,inf\r\n#t\r\n#f\r\n=9\r\ntxt:hello\r\n"};
    for (uint8_t proto = 2; proto <= 3; proto++)
        for (size_t size = RESP_CHUNK_MIN; size < 600; size++) {
            struct sink s;
            begin(&s, proto, size);
            one_of_each(&s.w);
            uint64_t written = resp_written(&s.w);
            CU_ASSERT_STRING_EQUAL(finish(&s), want[proto - 2]);
            CU_ASSERT_EQUAL(written, strlen(want[proto - 2]));
        }
}

static void test_bulk_strings_of_every_length_in_any_room(void)
{
    static char text[300], want[400];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t len = 0; len < sizeof text; len += len < 140 ? 1 : 13)
        for (size_t size = RESP_CHUNK_MIN; size < 320; size += len % 3 + 1) {
            struct sink s;
            char *exact = malloc(len + 1); /* what is read beside it is seen */
            memcpy(exact + 1, text, len);
            begin(&s, 2, size);
            reply_array(&s.w, 1);
            reply_bulk(&s.w, (struct slice){(const uint8_t *)exact + 1, len});
            snprintf(want, sizeof want, "*1\r\n$%zu\r\n%.*s\r\n", len, (int)len, text);
            CU_ASSERT_STRING_EQUAL(finish(&s), want);
            free(exact);
        }
}

static void test_numbers_as_bulk_strings_in_any_room(void)
{
    for (uint64_t power = 1; power < INT64_MAX / 10; power *= 10)
        for (int64_t v = (int64_t)power - 1; v <= (int64_t)power + 1; v++)
            for (size_t fill = 0; fill < 64; fill++)
                for (int sign = -1; sign <= 1; sign += 2) {
                    struct sink s;
                    char text[32], want[64];
                    begin(&s, 2, 64);
                    for (size_t i = 0; i < fill; i++)
                        reply_raw(&s.w, "x", 1);
                    reply_bulk_int(&s.w, sign * v);
                    int len = snprintf(text, sizeof text, "%lld", (long long)(sign * v));
                    snprintf(want, sizeof want, "$%d\r\n%s\r\n", len, text);
                    CU_ASSERT_STRING_EQUAL(finish(&s) + fill, want);
                }
}

static void test_no_header_is_split(void)
{
    for (size_t fill = 0; fill < 64; fill++) {
        struct sink s;
        begin(&s, 2, 64);
        for (size_t i = 0; i < fill; i++)
            reply_raw(&s.w, "x", 1);
        uint8_t *before = s.w.cur;
        size_t room = (size_t)(s.w.end - s.w.cur);
        reply_array(&s.w, 1234567890123);
        CU_ASSERT((size_t)(s.w.cur - before) == 16 || s.w.cur - s.w.start == 16 || room < 24);
        CU_ASSERT_EQUAL(strcmp(finish(&s) + fill, "*1234567890123\r\n"), 0);
    }
}

static void test_a_full_sink_fails_once_and_for_all(void)
{
    for (unsigned chunks = 0; chunks < 6; chunks++) {
        struct sink s;
        begin(&s, 2, 64);
        s.left = chunks;
        for (int i = 0; i < 100; i++)
            one_of_each(&s.w);
        CU_ASSERT(s.w.failed);
        CU_ASSERT_EQUAL(s.w.errors, 100);
        CU_ASSERT(s.len <= chunks * 64);
        free(s.chunk);
    }
}

static void test_errors_are_counted_by_first_word(void)
{
    struct sink s;
    begin(&s, 3, 64);
    reply_wrong_type(&s.w);
    CU_ASSERT_STRING_EQUAL(s.w.last_error, "WRONGTYPE");
    reply_errorf(&s.w, "ERR unknown '%s'", "x");
    CU_ASSERT_STRING_EQUAL(s.w.last_error, "ERR");
    CU_ASSERT_EQUAL(s.w.errors, 2);
    CU_ASSERT_STRING_EQUAL(finish(&s),
                           "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
                           "-ERR unknown 'x'\r\n");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_both_protocols_in_any_chunk),
                                             UNIT(test_bulk_strings_of_every_length_in_any_room),
                                             UNIT(test_numbers_as_bulk_strings_in_any_room),
                                             UNIT(test_no_header_is_split),
                                             UNIT(test_a_full_sink_fails_once_and_for_all),
                                             UNIT(test_errors_are_counted_by_first_word),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "resp/writer", tests);
}
