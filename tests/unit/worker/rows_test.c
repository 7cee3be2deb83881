/* rows_test.c: GETs and SETs that a worker runs in rows (command/row.h): cut at every byte, from many clients at once,
 * with keys of two workers and other commands in between, each reply is in its place. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;

#define SET(k, v)       "*3\r\n$3\r\nSET\r\n$1\r\n" k "\r\n$1\r\n" v "\r\n"
#define SET_EX(k, v, t) "*5\r\n$3\r\nset\r\n$1\r\n" k "\r\n$1\r\n" v "\r\n$2\r\nEX\r\n$2\r\n" t "\r\n"
#define GET(k)          "*2\r\n$3\r\nGET\r\n$1\r\n" k "\r\n"

static void test_cut_at_every_byte(void)
{
    static const char request[] =
        GET("a") SET("a", "1") GET("a") SET_EX("b", "2", "50") GET("b") SET("a", "3") "PING\r\n" GET("a")
            GET("b") "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n" GET("a") SET_EX("a", "4", "60") "*2\r\n$3\r\nTTL\r\n$1\r\na\r\n" GET("a")
            "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n" "*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n";
    static const char reply[] = "$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+OK\r\n+PONG\r\n$1\r\n3\r\n$1\r\n2\r\n:1\r\n$-1\r\n"
                                "+OK\r\n:60\r\n$1\r\n4\r\n:1\r\n:1\r\n";
    const size_t len = sizeof request - 1;
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    for (size_t at = 0; at <= len; at++) {
        rig_exchange(&rig, c, request, at, 0);
        rig_run(&rig, 300);
        rig_exchange(&rig, c, request + at, len - at, sizeof reply - 1);
        CU_ASSERT_TRUE(rig_heard(&rig, c, reply));
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

enum { ROUNDS = 50, EACH = 40, TEXT = 8192 };

/* Requests of client i to keys of its own, of both shards by turns, and what they are replied to. */
static void make(unsigned i, unsigned round, char *request, char *reply)
{
    size_t len = 0, want = 0;
    for (unsigned n = 0; n < EACH; n++) {
        unsigned number = 1000 + round * EACH + n, key = (i + n) % 3;
        const char *name = rig_key(&rig, n & 1, 10 * i + key);
        len += (size_t)sprintf(request + len, n % 5 ? "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$4\r\n%u\r\n"
                                                    : "*5\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$4\r\n%u\r\n$2\r\nPX\r\n$6\r\n999999\r\n",
                               strlen(name), name, number);
        len += (size_t)sprintf(request + len, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(name), name);
        want += (size_t)sprintf(reply + want, "+OK\r\n$4\r\n%u\r\n", number);
        if (n % 7 == 0) {
            len += (size_t)sprintf(request + len, "APPEND %s x\r\n", name);
            want += (size_t)sprintf(reply + want, ":5\r\n");
        }
    }
}

static void many_at_once(void)
{
    static char request[RIG_CLIENTS][TEXT], reply[RIG_CLIENTS][TEXT];
    struct rig_client *c[RIG_CLIENTS];
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        c[i] = rig_connect(&rig, i);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < RIG_CLIENTS; i++) {
            make(i, round, request[i], reply[i]);
            rig_send(c[i], request[i]);
        }
        for (unsigned i = 0; i < RIG_CLIENTS; i++) {
            for (unsigned step = 0; step < 2000 && c[i]->got_len < strlen(reply[i]); step++)
                rig_run(&rig, 1000);
            CU_ASSERT_TRUE(rig_heard(&rig, c[i], reply[i]));
        }
    }
}

static void nothing(void)
{
}

static void test_many_at_once(void)
{
    CU_ASSERT_TRUE(rig_each_number_of_workers(&rig, many_at_once, nothing));
}

/* What lies ahead in the batch is read before SELECT, MULTI and CLIENT REPLY have run. */
static void test_the_client_changes_on_the_way(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, SET("a", "0") "SELECT 1\r\n" GET("a") SET("a", "1") GET("a") "SELECT 0\r\n" GET("a"),
                            "+OK\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n0\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "MULTI\r\n" SET("a", "2") GET("a") "EXEC\r\n" GET("a"),
                            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n2\r\n$1\r\n2\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT REPLY SKIP\r\n" SET("a", "3") GET("a") "CLIENT REPLY OFF\r\n" SET("a", "4")
                                         GET("a") "CLIENT REPLY ON\r\n" GET("a"),
                            "$1\r\n3\r\n+OK\r\n$1\r\n4\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "CONFIG GET notify-keyspace-events\r\n" GET("x") "HELLO 9\r\n" GET("y"),
                            "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n$-1\r\n-NOPROTO unsupported protocol "
                            "version\r\n$-1\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* A SET that would go in a row tells whoever watches its key. */
static void test_who_watches_is_told(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *writer = rig_connect(&rig, 0), *watcher = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, watcher, GET("a") "WATCH a\r\nMULTI\r\n" GET("a"), "$-1\r\n+OK\r\n+OK\r\n+QUEUED\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, writer, GET("b") SET("b", "1") SET("a", "1") GET("a"), "$-1\r\n+OK\r\n+OK\r\n$1\r\n1\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, watcher, "EXEC\r\n", "*-1\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, watcher, "WATCH a\r\nMULTI\r\n" GET("a") "EXEC\r\n",
                            "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_cut_at_every_byte), UNIT(test_many_at_once),
                                             UNIT(test_the_client_changes_on_the_way), UNIT(test_who_watches_is_told),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/rows", tests);
}
