/* nomem_test.c: what the reader, the table and the connection commands do when the Nth allocation fails: they
 * say so, keep their state and leak nothing (ASan). */
#include "engine.h"
#include "resp/reader.h"
#include "nomem.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static const struct resp_limits limits = {
    .max_bulk = 512 << 20, .max_args = 1024 * 1024, .max_inline = 65536};

static void test_reader(void)
{
    static const char *const requests[] = {
        "a b c d e f g h i j k l m n o p q r s\r\n", "set k \"a b\"\r\n",
        "*9\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n"
        "$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        for (long n = 0; n < 4; n++) {
            struct resp_reader r;
            size_t used = 0, need = 0;
            resp_reader_init(&r);
            fail_at = n;
            enum resp_result result = resp_read(&r, &limits, slice_str(requests[i]), &used, &need);
            CU_ASSERT_EQUAL(result, fail_at < 0 ? RESP_NOMEM : RESP_REQUEST);
            fail_at = -1;
            resp_reader_reset(&r);
            CU_ASSERT_EQUAL(resp_read(&r, &limits, slice_str(requests[i]), &used, &need), RESP_REQUEST);
            resp_reader_reset(&r);
        }
}

static void test_table(void)
{
    bool good = false;
    for (long n = 0; !good && n < 2000; n++) {
        char error[128] = "";
        fail_at = n;
        good = command_table_init(NULL, error, sizeof error);
        fail_at = -1;
        CU_ASSERT(good || strcmp(error, "no memory for the command table") == 0);
    }
    CU_ASSERT(good);
    command_table_free();
}

/* Runs one command with its Nth allocation failing; the reader's and the harness' own come before or after.
 */
static const char *run_failing(struct engine *e, int argc, const struct slice *argv, long n)
{
    static const char *reply;
    e->chunk = 8192;
    engine_argv(e, argc, argv);
    fail_at = n;
    reply = engine_argv(e, argc, argv);
    fail_at = -1;
    return reply;
}

static void test_commands(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    static const struct slice setname[] = {{(const uint8_t *)"CLIENT", sizeof "CLIENT" - 1},
                                           {(const uint8_t *)"SETNAME", sizeof "SETNAME" - 1},
                                           {(const uint8_t *)"other", sizeof "other" - 1}};
    static const struct slice list[] = {{(const uint8_t *)"CLIENT", sizeof "CLIENT" - 1},
                                        {(const uint8_t *)"LIST", sizeof "LIST" - 1},
                                        {(const uint8_t *)"ID", sizeof "ID" - 1},
                                        {(const uint8_t *)"1", sizeof "1" - 1}};
    static const struct slice keys[] = {{(const uint8_t *)"COMMAND", sizeof "COMMAND" - 1},
                                        {(const uint8_t *)"GETKEYS", sizeof "GETKEYS" - 1},
                                        {(const uint8_t *)"GET", sizeof "GET" - 1},
                                        {(const uint8_t *)"k", sizeof "k" - 1}};
    CU_ASSERT_EQUAL(run_failing(e, 3, setname, 0)[0], '-');
    CU_ASSERT_STRING_EQUAL(e->client->name, "other"); /* still the one from before */
    for (long n = 0; n < 3; n++)
        CU_ASSERT_EQUAL(run_failing(e, 4, list, n)[0], '-');
    CU_ASSERT_EQUAL(run_failing(e, 4, keys, 0)[0], '-');
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_reader), UNIT(test_table), UNIT(test_commands), {NULL, NULL}};
    return unit_main(argc, argv, "command/nomem", tests);
}
