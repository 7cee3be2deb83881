/* monitor_test.c: MONITOR over whole workers in virtual time: what is shown, in which order, and what is not.
 * https://redis.io/docs/latest/commands/monitor/ */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>

static struct box_rig rig;

static void nothing_left(void)
{
    rig_run(&rig, 200000);
    for (unsigned i = 0; i < rig.box.workers; i++) {
        const struct monitor *m = rig.box.worker[i]->env.monitor;
        CU_ASSERT_EQUAL(atomic_load(&m->clients), 0);
        CU_ASSERT_EQUAL(m->on_the_way, 0);
        CU_ASSERT_EQUAL(rig.box.worker[i]->env.observers, 0);
    }
}

static void each_number_of_workers(void (*test)(void))
{
    CU_ASSERT_TRUE(rig_each_number_of_workers(&rig, test, nothing_left));
}

static bool says(struct rig_client *c, const char *request, const char *expected)
{
    return rig_says(&rig, c, request, expected);
}

/* The lines that a monitor has got, without times and ports: "[0 10.0.0.1:50000]" becomes "[0]". */
static bool saw(struct rig_client *c, const char *expected)
{
    static char text[1 << 20];
    size_t n = 0;
    rig_run(&rig, 10000);
    for (size_t i = 0; i < c->got_len && n + 1 < sizeof text; i++) {
        if (c->got[i] == '+' && (i == 0 || c->got[i - 1] == '\n')) {
            while (i < c->got_len && c->got[i] != '[')
                i++;
        } else if (c->got[i] == ' ' && c->got[i + 1] == '1' && c->got[i + 2] == '0' && c->got[i + 3] == '.') {
            while (i < c->got_len && c->got[i] != ']')
                i++;
        }
        text[n++] = (char)c->got[i];
    }
    text[n] = 0;
    c->got_len = 0;
    if (strcmp(text, expected) != 0)
        printf("# expected: %s\n# got:      %s\n", expected, text);
    return strcmp(text, expected) == 0;
}

static void lines(void)
{
    struct rig_client *m[2] = {rig_connect(&rig, 0), rig_connect(&rig, 1)}, *c = rig_connect(&rig, 2);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT(says(m[i], "MONITOR\r\n", "+OK\r\n"));
    m[0]->got_len = m[1]->got_len = 0;
    CU_ASSERT(says(
        c,
        "*3\r\n$3\r\nSeT\r\n$1\r\na\r\n$8\r\n\x01\xff\"\\\n\t\a~\r\nGET b\r\nNOSUCH\r\nGET\r\nSELECT "
        "2\r\nCONFIG GET port\r\n",
        "+OK\r\n$-1\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n"
        "-ERR wrong number of arguments for 'get' command\r\n+OK\r\n*2\r\n$4\r\nport\r\n$4\r\n6379\r\n"));
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT(saw(m[i], "[0] \"SeT\" \"a\" \"\\x01\\xff\\\"\\\\\\n\\t\\a~\"\r\n[0] \"GET\" \"b\"\r\n[2] "
                            "\"SELECT\" \"2\"\r\n"));
    CU_ASSERT(says(c, "MULTI\r\nSET a 1\r\nSET b 2\r\nEXEC\r\n",
                   "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n"));
    CU_ASSERT(
        saw(m[0], "[2] \"MULTI\"\r\n[2] \"SET\" \"a\" \"1\"\r\n[2] \"SET\" \"b\" \"2\"\r\n[2] \"EXEC\"\r\n"));
    m[1]->got_len = 0;
    CU_ASSERT(says(c, "EVAL return(redis.call([[set]],KEYS[1],[[x]])) 1 a\r\n", "+OK\r\n"));
    CU_ASSERT(says(
        c, "AUTH secret\r\n",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?\r\n"));
    CU_ASSERT(saw(m[0], "[2] \"EVAL\" \"return(redis.call([[set]],KEYS[1],[[x]]))\" \"1\" \"a\"\r\n[2 lua] "
                        "\"set\" \"a\" \"x\"\r\n"
                        "[2] \"AUTH\" \"(redacted)\"\r\n"));
    m[1]->got_len = 0;
    CU_ASSERT(says(m[1], "RESET\r\n", "+RESET\r\n"));
    rig_run(&rig, 10000);
    m[0]->got_len = m[1]->got_len = 0;
    CU_ASSERT(says(c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT(saw(m[0], "[2] \"PING\"\r\n"));
    CU_ASSERT(saw(m[1], ""));
}

static void test_lines(void)
{
    each_number_of_workers(lines);
}

/* A value larger than the room is not shown, counted, and stored all the same. */
static void room(void)
{
    enum { LARGE = 3 << 20 };
    static char text[LARGE + 100];
    struct rig_client *m = rig_connect(&rig, 0), *c = rig_connect(&rig, 1);
    CU_ASSERT(says(m, "MONITOR\r\n", "+OK\r\n"));
    m->got_len = 0;
    size_t n = (size_t)sprintf(text, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", LARGE);
    memset(text + n, 1, LARGE);
    memcpy(text + n + LARGE, "\r\n", 2);
    rig_exchange(&rig, c, text, n + LARGE + 2, 5);
    CU_ASSERT(says(c, "STRLEN k\r\n", ":3145728\r\n"));
    CU_ASSERT(saw(m, "[0] \"STRLEN\" \"k\"\r\n"));
    uint64_t dropped = 0;
    for (unsigned i = 0; i < rig.box.workers; i++)
        dropped += rig.box.worker[i]->counters->v[COUNTER_monitor_drop_full];
    CU_ASSERT_EQUAL(dropped, 1);
}

static void test_what_finds_no_room(void)
{
    each_number_of_workers(room);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_lines), UNIT(test_what_finds_no_room), {NULL, NULL}};
    return unit_main(argc, argv, "worker/monitor", tests);
}
