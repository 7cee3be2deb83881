/* turns_more_test.c: what takes long by other things than one large collection: rows of waiters, EXEC, many arguments,
 * large texts, other keys, clients (dataplane/turns.h). */
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char request[1 << 21];

/* A command with the arguments 0 ... n - 1 behind those given; `with` is put between them. */
static size_t many(const char *first, const char *second, unsigned n, const char *with)
{
    size_t len = (size_t)sprintf(request, "*%u\r\n$%zu\r\n%s\r\n", (second ? 2 : 1) + n * (with ? 2 : 1),
                                 strlen(first), first);
    if (second)
        len += (size_t)sprintf(request + len, "$%zu\r\n%s\r\n", strlen(second), second);
    for (unsigned i = 0; i < n; i++) {
        if (with)
            len += (size_t)sprintf(request + len, "$%zu\r\n%s\r\n", strlen(with), with);
        len += (size_t)sprintf(request + len, "$%d\r\n%u\r\n", i < 10 ? 1 : i < 100 ? 2 : i < 1000 ? 3 : i < 10000 ? 4 : 5, i);
    }
    return len;
}

static void sends_bytes(struct rig_client *c, size_t len)
{
    c->got_len = 0;
    rig_exchange(&rig, c, request, len, 0);
    rig_run(&rig, 2000);
}

static void waiters_are_served_in_slices(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        for (unsigned i = 0; i < workers; i++)
            rig.box.worker[i]->blocking.each = 1;
        for (unsigned i = 1; i <= 3; i++)
            sends(client[i], i == 2 ? "BLPOP q other 0\r\nECHO 2\r\n" : "BLPOP q 0\r\n");
        client[0]->got_len = client[4]->got_len = 0;
        sends(client[0], "RPUSH q a b c d e\r\nLPOP q\r\nLLEN q\r\n");
        rig_run(&rig, 10000);
        CU_ASSERT(has(client[1], "*2\r\n$1\r\nq\r\n$1\r\na\r\n"));
        CU_ASSERT(has(client[2], "*2\r\n$1\r\nq\r\n$1\r\nb\r\n$1\r\n2\r\n"));
        CU_ASSERT(has(client[3], "*2\r\n$1\r\nq\r\n$1\r\nc\r\n"));
        CU_ASSERT(has(client[0], ":5\r\n$1\r\nd\r\n:1\r\n")); /* nobody comes between the push and those who wait */
        CU_ASSERT(end());
    }
}

/* The last one is served with a move that makes the same key ready once more. */
static void a_row_may_grow_again(void)
{
    begin(one);
    rig.worker->blocking.each = 1;
    sends(client[1], "BLMOVE q q LEFT RIGHT 0\r\n");
    sends(client[2], "BLMOVE q p LEFT RIGHT 0\r\n");
    sends(client[3], "BLPOP p 0\r\n");
    sends(client[4], "XREAD BLOCK 0 STREAMS s $\r\n");
    sends(client[5], "XREAD BLOCK 0 STREAMS s $\r\n");
    sends(client[0], "RPUSH q a b\r\nXADD s 1-1 f v\r\nLRANGE q 0 -1\r\nEXISTS p\r\n");
    rig_run(&rig, 10000);
    CU_ASSERT(has(client[1], "$1\r\na\r\n"));
    CU_ASSERT(has(client[2], "$1\r\nb\r\n"));
    CU_ASSERT(has(client[3], "*2\r\n$1\r\np\r\n$1\r\nb\r\n"));
    CU_ASSERT(client[4]->got_len > 10 && client[4]->got_len == client[5]->got_len);
    CU_ASSERT(has(client[0], ":2\r\n$3\r\n1-1\r\n*1\r\n$1\r\na\r\n:0\r\n"));
    CU_ASSERT(end());
}

/* Who waits in a row may go, be unblocked, and the box may end. */
static void a_row_may_shrink(void)
{
    begin(one);
    rig.worker->blocking.each = 1;
    for (unsigned i = 1; i <= 4; i++)
        sends(client[i], "BLPOP q 0\r\n");
    tcp_abort(client[2]->conn, rig.now_us);
    sends(client[0], "RPUSH q a b\r\n");
    rig_run(&rig, 10000);
    CU_ASSERT(has(client[1], "*2\r\n$1\r\nq\r\n$1\r\na\r\n") && has(client[3], "*2\r\n$1\r\nq\r\n$1\r\nb\r\n"));
    CU_ASSERT_EQUAL(client[4]->got_len, 0);
    CU_ASSERT(end());
}

static void queue_sets(struct rig_client *c, unsigned n)
{
    char text[64];
    CU_ASSERT(rig_says(&rig, c, "MULTI\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < n; i++) {
        sprintf(text, "SET key%u %u\r\n", i, i);
        CU_ASSERT(rig_says(&rig, c, text, "+QUEUED\r\n"));
    }
}

static void exec_of_many_is_one(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        CU_ASSERT(rig_says(&rig, client[2], "SET key0 before\r\n", "+OK\r\n"));
        queue_sets(client[0], 50);
        sends(client[1], "BLPOP row 0\r\n");
        CU_ASSERT(rig_says(&rig, client[0], "RPUSH row x y\r\nLLEN row\r\n", "+QUEUED\r\n+QUEUED\r\n"));
        uint64_t before = rig.counters.v[COUNTER_long_command_slices];
        client[3]->got_len = client[4]->got_len = 0;
        client[0]->got_len = 0;
        rig_exchange(&rig, client[0], "EXEC\r\nPING\r\n", 12, 0);
        rig_run(&rig, 60);
        sends(client[3], "DBSIZE\r\n");
        sends(client[4], "GET key49\r\n");
        sends(client[2], "PING\r\n");
        CU_ASSERT(completes(client[0], 5 + 50 * 5 + 4 + 4 + 7));
        CU_ASSERT(memcmp(client[0]->got + client[0]->got_len - 15, ":2\r\n:2\r\n+PONG\r\n", 15) == 0);
        CU_ASSERT(has(client[3], ":51\r\n"));
        CU_ASSERT(has(client[4], "$2\r\n49\r\n"));
        CU_ASSERT(has(client[1], "*2\r\n$3\r\nrow\r\n$1\r\nx\r\n"));
        CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] - before > 50);
        CU_ASSERT(end());
    }
}

static void exec_has_long_ones_in_it(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    CU_ASSERT(rig_says(&rig, client[0], "WATCH set\r\nMULTI\r\nSMEMBERS set\r\nSADD set x\r\nSUNIONSTORE to set\r\n",
                       "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"));
    sends(client[0], "EXEC\r\n");
    sends(client[1], "SREM set x\r\n");
    sends(client[2], "SCARD to\r\n");
    CU_ASSERT(completes(client[0], 4 + members_size(MEMBERS) + 4 + 6));
    CU_ASSERT(has(client[1], ":1\r\n") && has(client[2], ":301\r\n"));
    CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] > 2 * MEMBERS);
    CU_ASSERT(end());
}

static void exec_goes_on_without_its_client(void)
{
    begin(one);
    queue_sets(client[0], 50);
    rig_exchange(&rig, client[0], "EXEC\r\n", 6, 0);
    rig_run(&rig, 30);
    tcp_abort(client[0]->conn, rig.now_us);
    rig_run(&rig, 100000);
    CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":50\r\n"));
    CU_ASSERT(end());
}

/* Watched keys, errors and what concerns the client are as in one go. */
static void exec_of_other_kinds(void)
{
    begin(one);
    queue_sets(client[0], 20);
    CU_ASSERT(rig_says(&rig, client[0], "SELECT 1\r\n", "+QUEUED\r\n"));
    sends(client[0], "EXEC\r\nDBSIZE\r\n");
    CU_ASSERT(completes(client[0], 5 + 21 * 5 + 4) && client[0]->got[client[0]->got_len - 3] == '0');
    CU_ASSERT(rig_says(&rig, client[0], "SELECT 0\r\nWATCH key0\r\n", "+OK\r\n+OK\r\n"));
    CU_ASSERT(rig_says(&rig, client[1], "SET key0 x\r\n", "+OK\r\n"));
    queue_sets(client[0], 20);
    CU_ASSERT(rig_says(&rig, client[0], "EXEC\r\nGET key0\r\n", "*-1\r\n$1\r\nx\r\n"));
    queue_sets(client[0], 20);
    CU_ASSERT(rig_says(&rig, client[0], "INCR key1 2\r\nEXEC\r\nGET key0\r\n",
                       "-ERR wrong number of arguments for 'incr' command\r\n"
                       "-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\nx\r\n"));
    CU_ASSERT(end());
}

static void many_arguments(void)
{
    enum { N = 5000 };
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        for (unsigned i = 0; i < 2; i++) { /* from both workers; what comes behind it in the same frames is not lost */
            size_t len = many("SADD", "set", N, NULL);
            len += (size_t)sprintf(request + len, "SCARD set\r\nPING\r\n");
            sends_bytes(client[i], len);
            CU_ASSERT(completes(client[i], i ? 4 + 7 + 7 : 7 + 7 + 7));
            CU_ASSERT(memcmp(client[i]->got + client[i]->got_len - 14, ":5000\r\n+PONG\r\n", 14) == 0);
        }
        sends_bytes(client[0], many("MSET", NULL, N / 10, "x"));
        CU_ASSERT(completes(client[0], 5));
        sends_bytes(client[0], many("RPUSH", "list", N, NULL));
        CU_ASSERT(completes(client[0], 7));
        sends_bytes(client[0], many("HSET", "hash", N, "f"));
        CU_ASSERT(completes(client[0], 4));
        sends_bytes(client[0], many("SREM", "set", N - 1, NULL));
        CU_ASSERT(completes(client[0], 7));
        CU_ASSERT(rig_says(&rig, client[3], "SMEMBERS set\r\nLINDEX list -1\r\nHGET hash f\r\n",
                           "*1\r\n$4\r\n4999\r\n$4\r\n4999\r\n$4\r\n4999\r\n"));
        CU_ASSERT(end());
    }
}

static void a_command_may_name_very_many_keys(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        char text[32];
        for (unsigned i = 0; i < 10; i++) {
            sprintf(text, "SET %u x\r\n", i);
            CU_ASSERT(rig_says(&rig, client[5], text, "+OK\r\n"));
        }
        add("SADD", "set", MEMBERS);
        sends(client[1], "SUNIONSTORE {set}to set\r\n");
        client[0]->got_len = 0;
        rig_exchange(&rig, client[0], request, many("EXISTS", NULL, 400, NULL), 0);
        sends_bytes(client[2], many("DEL", NULL, 400, NULL));
        sends(client[3], "GET 399\r\n");
        CU_ASSERT(completes(client[2], 5) && has(client[2], ":10\r\n"));
        CU_ASSERT(completes(client[0], 5) && has(client[0], ":10\r\n"));
        CU_ASSERT(has(client[3], "$-1\r\n"));
        CU_ASSERT(rig_says(&rig, client[4], "DBSIZE\r\n", ":2\r\n"));
        CU_ASSERT(end());
    }
}

static void a_large_text(void)
{
    enum { N = 1000000 };
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        for (unsigned i = 0; i < 4; i++) { /* new, over an old one of the same size, with its old value as the reply, more */
            static const char *const word[] = {"*3\r\n$3\r\nSET", "*3\r\n$3\r\nSET", "*3\r\n$6\r\nGETSET", "*3\r\n$6\r\nAPPEND"};
            size_t len = (size_t)sprintf(request, "%s\r\n$4\r\ntext\r\n$%d\r\n", word[i], N);
            memset(request + len, 'a' + (int)i, N);
            memcpy(request + len + N, "\r\nPING\r\n", 8);
            sends_bytes(client[0], len + N + 8);
            CU_ASSERT(completes(client[0], i == 2 ? 10 + N + 2 + 7 : i == 3 ? 10 + 7 : 5 + 7));
        }
        CU_ASSERT(rig_says(&rig, client[1], "STRLEN text\r\nGETRANGE text 999998 1000001\r\n", ":2000000\r\n$4\r\nccdd\r\n"));
        CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] > 4);
        CU_ASSERT(end());
    }
}

static void other_keys_are_read_in_slices(void)
{
    static const char sort[] = "SORT list BY w* GET v* LIMIT 0 3 STORE to\r\n";
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        char text[64];
        add("RPUSH", "list", 100);
        for (unsigned i = 0; i < 100; i++) {
            sprintf(text, "MSET w%u %u v%u x\r\n", i, 100 - i, i);
            CU_ASSERT(rig_says(&rig, client[5], text, "+OK\r\n"));
        }
        client[0]->got_len = client[1]->got_len = 0;
        rig_exchange(&rig, client[0], sort, sizeof sort - 1, 0);
        rig_run(&rig, 100);
        rig_exchange(&rig, client[1], "SET v99 y\r\n", 11, 0);
        CU_ASSERT(rig_says(&rig, client[2], "GET v99\r\n", "$1\r\nx\r\n"));
        CU_ASSERT_EQUAL(client[0]->got_len + client[1]->got_len, 0);
        CU_ASSERT(completes(client[0], 4) && has(client[0], ":3\r\n"));
        CU_ASSERT(has(client[1], "+OK\r\n"));
        CU_ASSERT(rig_says(&rig, client[2], "LRANGE to 0 -1\r\n", "*3\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n"));
        sends(client[0], "SCAN 0 COUNT 100000\r\n");
        sends(client[1], "SET new 1\r\n");
        CU_ASSERT(rig_says(&rig, client[2], "DBSIZE\r\n", ":202\r\n"));
        rig_run(&rig, 200000);
        CU_ASSERT(memcmp(client[0]->got, "*2\r\n$1\r\n0\r\n*202\r\n", 17) == 0);
        CU_ASSERT(has(client[1], "+OK\r\n"));
        CU_ASSERT(end());
    }
}

/* What a long command writes to has expired, and nobody has noticed. */
static void an_expired_key_is_not_there_twice(void)
{
    begin(one);
    struct shard *s = rig.box.ks->shard[0];
    add("SADD", "set", MEMBERS);
    shard_set_active_expiry(s, false);
    CU_ASSERT(rig_says(&rig, client[0], "SET to x PX 1\r\n", "+OK\r\n"));
    for (uint64_t until = shard_time(s) + 2; shard_time(s) < until;)
        rig_run(&rig, 100);
    sends(client[0], "SUNIONSTORE to set\r\n");
    rig_run(&rig, 100000);
    CU_ASSERT(has(client[0], ":300\r\n"));
    CU_ASSERT(rig_says(&rig, client[0], "DBSIZE\r\nDEL to\r\nDBSIZE\r\nEXISTS to\r\n", ":2\r\n:1\r\n:1\r\n:0\r\n"));
    CU_ASSERT(end());
}

/* Each once, although some are put in front of the others meanwhile. */
static void all_clients_are_listed_once(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        sends(client[0], "CLIENT LIST\r\n");
        struct session *last = rig.worker->live_sessions;
        while (last->live_next)
            last = last->live_next;
        session_first(last);
        session_first(rig.worker->live_sessions->live_next);
        rig_run(&rig, 100000);
        unsigned lines = 0, ids = 0;
        for (size_t i = 0; i < client[0]->got_len; i++)
            lines += client[0]->got[i] == '\n';
        for (unsigned id = 1; id <= CLIENTS; id++) {
            char text[16];
            int len = sprintf(text, "id=%u ", id);
            ids += memmem(client[0]->got, client[0]->got_len, text, (size_t)len) != NULL;
        }
        CU_ASSERT_EQUAL(ids, CLIENTS);
        CU_ASSERT_EQUAL(lines, CLIENTS + 2);
        CU_ASSERT_EQUAL(rig.worker->walks, 0);
        CU_ASSERT(end());
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(waiters_are_served_in_slices),
                                             UNIT(a_row_may_grow_again),
                                             UNIT(a_row_may_shrink),
                                             UNIT(exec_of_many_is_one),
                                             UNIT(exec_has_long_ones_in_it),
                                             UNIT(exec_goes_on_without_its_client),
                                             UNIT(exec_of_other_kinds),
                                             UNIT(many_arguments),
                                             UNIT(a_command_may_name_very_many_keys),
                                             UNIT(a_large_text),
                                             UNIT(other_keys_are_read_in_slices),
                                             UNIT(an_expired_key_is_not_there_twice),
                                             UNIT(all_clients_are_listed_once),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/turns_more", tests);
}
