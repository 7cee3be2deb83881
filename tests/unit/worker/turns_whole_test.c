/* turns_whole_test.c: commands in slices, and what concerns the whole keyspace or several shards meanwhile:
 * FLUSHALL, KEYS, EXEC, stops; a client that goes; memory that runs out (dataplane/turns.h). */
#include "store/shard.h"
#include "nomem.h"
#include "turns_rig.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static uint64_t lazy(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++) {
        struct store_account a;
        shard_upkeep(rig.box.ks->shard[i], UINT_MAX);
        shard_account(rig.box.ks->shard[i], &a);
        n += a.lazy;
    }
    return n;
}

/* Does a reply have all the elements 0 ... MEMBERS - 1, as texts of a line each? */
static bool has_all(const struct rig_client *c)
{
    char line[16];
    unsigned found = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        int len = sprintf(line, "\r\n%u\r\n", i);
        found += memmem(c->got, c->got_len, line, (size_t)len) != NULL;
    }
    return found == MEMBERS;
}

static void a_flush_leaves_what_is_read(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        add("SADD", "set", MEMBERS);
        sends(client[0], "SMEMBERS set\r\n");
        CU_ASSERT(rig_says(&rig, client[1], "FLUSHALL\r\n", "+OK\r\n"));
        CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":0\r\n"));
        CU_ASSERT(rig_says(&rig, client[2], "SCARD set\r\n", ":0\r\n"));
        CU_ASSERT(lazy() > 0);
        sends(client[2], "SADD set x\r\n"); /* its name is still taken */
        CU_ASSERT(rig_says(&rig, client[1], "SET other 1\r\nFLUSHDB\r\n", "+OK\r\n+OK\r\n"));
        CU_ASSERT_EQUAL(client[0]->got_len, 0);
        CU_ASSERT(completes(client[0], members_size(MEMBERS)) && has_all(client[0]));
        CU_ASSERT(has(client[2], ":1\r\n"));
        CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":1\r\n"));
        CU_ASSERT_EQUAL(lazy(), 0);
        CU_ASSERT(end());
    }
}

/* What began before a flush is not held up by what begins behind it. */
static void what_was_flushed_goes_when_its_readers_have_ended(void)
{
    begin(one);
    struct pins *p = shard_pins(rig.box.ks->shard[0]);
    add("SADD", "a", MEMBERS);
    sends(client[0], "SMEMBERS a\r\n");
    CU_ASSERT(rig_says(&rig, client[1], "FLUSHALL\r\n", "+OK\r\n"));
    add("SADD", "b", MEMBERS);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    add("SADD", "a", MEMBERS);
    sends(client[0], "SMEMBERS a\r\n");
    CU_ASSERT(rig_says(&rig, client[1], "FLUSHALL\r\n", "+OK\r\n"));
    CU_ASSERT_EQUAL(p->elder, 1);
    CU_ASSERT(
        rig_says(&rig, client[1], "MSET b 1 c 2\r\nSETRANGE text 1000000 x\r\n", "+OK\r\n:1000001\r\n"));
    sends(client[2], "GET text\r\n");
    CU_ASSERT_EQUAL(p->elder, 1);
    CU_ASSERT_EQUAL(p->held, 2);
    CU_ASSERT(rig_says(&rig, client[1], "FLUSHALL\r\n", "+OK\r\n"));
    CU_ASSERT_EQUAL(p->elder, 2);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)) && has_all(client[0]));
    CU_ASSERT(completes(client[2], 10 + 1000001 + 2));
    CU_ASSERT_EQUAL(lazy(), 0);
    CU_ASSERT(end());
}

static void a_flush_waits_for_who_changes_something(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        add("SADD", "{s}set", MEMBERS);
        sends(client[0], "SUNIONSTORE {s}to {s}set\r\n");
        sends(client[2], "FLUSHALL\r\n");
        CU_ASSERT(rig_says(&rig, client[4], "SCARD {s}set\r\n", ":300\r\n"));
        CU_ASSERT_EQUAL(client[0]->got_len + client[2]->got_len, 0);
        CU_ASSERT(completes(client[0], 6) && has(client[0], ":300\r\n"));
        CU_ASSERT(has(client[2], "+OK\r\n"));
        CU_ASSERT(rig_says(&rig, client[4], "DBSIZE\r\n", ":0\r\n"));
        CU_ASSERT_EQUAL(lazy(), 0);
        CU_ASSERT(end());
    }
}

static void without_memory_a_flush_waits(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    CU_ASSERT(rig_says(&rig, client[1], "PING\r\n", "+PONG\r\n"));
    sends(client[0], "SMEMBERS set\r\n");
    while (rig.box.ks->shard[0]->spare) /* the notes that lie in the arena are all in use */
        (void)trash_new(rig.box.ks->shard[0]);
    fail_at = 0;
    bool may = store_may_flush(rig.box.ks->shard[0]);
    fail_at = -1;
    CU_ASSERT_FALSE(may);
    CU_ASSERT_TRUE(store_may_flush(rig.box.ks->shard[0]));
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(end());
}

static void keys_sees_all_of_one_moment(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        char text[32];
        for (unsigned i = 0; i < MEMBERS; i++) {
            sprintf(text, "SET %u %u\r\n", i, i);
            CU_ASSERT(rig_says(&rig, client[5], text, "+OK\r\n"));
        }
        sends(client[0], "KEYS *\r\n");
        sends(client[2], "SET new 1\r\n");
        sends(client[3], "DEL 0 1 2\r\n");
        sends(client[4], "FLUSHALL\r\n");
        CU_ASSERT(rig_says(&rig, client[1], "GET 299\r\n", "$3\r\n299\r\n"));
        CU_ASSERT(rig_says(&rig, client[1], "DBSIZE\r\n", ":300\r\n"));
        CU_ASSERT_EQUAL(client[0]->got_len + client[2]->got_len + client[3]->got_len + client[4]->got_len, 0);
        CU_ASSERT(completes(client[0], members_size(MEMBERS)) && has_all(client[0]));
        CU_ASSERT(has(client[2], "+OK\r\n") && has(client[4], "+OK\r\n"));
        CU_ASSERT(client[3]->got_len == 4 && client[3]->got[0] == ':'); /* before or after */
        CU_ASSERT(end());
    }
}

static void exec_waits_and_nobody_sees_half_of_it(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        begin(workers == 1 ? one : two);
        add("SADD", "set", MEMBERS);
        CU_ASSERT(rig_says(&rig, client[1], "MULTI\r\nSADD set x\r\nSCARD set\r\nSET a 1\r\n",
                           "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"));
        sends(client[0], "SMEMBERS set\r\n");
        sends(client[1], "EXEC\r\n");
        CU_ASSERT(rig_says(&rig, client[2], "EXISTS a\r\n", ":0\r\n"));
        CU_ASSERT_EQUAL(client[0]->got_len + client[1]->got_len, 0);
        CU_ASSERT(completes(client[0], members_size(MEMBERS)) && has_all(client[0]));
        CU_ASSERT(has(client[1], "*3\r\n:1\r\n:301\r\n+OK\r\n"));
        CU_ASSERT(end());
    }
}

/* A slice under a stop follows the other with less virtual time between them. */
static void sends_at_once(struct rig_client *c, const char *request)
{
    c->got_len = 0;
    rig_exchange(&rig, c, request, strlen(request), 0);
    rig_run(&rig, 100);
}

/* Of two shards: its slices are given with the other worker stopped. */
static void slices_under_stops(void)
{
    char text[64];
    begin(two);
    add("SADD", key_of(0), MEMBERS);
    add("SADD", key_of(1), MEMBERS);
    CU_ASSERT(rig_says(&rig, client[4], "SADD other 1\r\n", ":1\r\n"));
    sprintf(text, "SUNION %s %s\r\n", key_of(0), key_of(1));
    sends_at_once(client[0], text);
    sprintf(text, "SADD %s x\r\n", key_of(1));
    sends_at_once(client[1], text);
    sprintf(text, "SDIFFSTORE %s %s other\r\n", key_of(1), key_of(0));
    sends_at_once(client[2], text);
    CU_ASSERT(rig_says(&rig, client[4], "SET free 1\r\n", "+OK\r\n")); /* others go on */
    CU_ASSERT_EQUAL(client[0]->got_len + client[1]->got_len + client[2]->got_len, 0);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)) && has_all(client[0]));
    CU_ASSERT(completes(client[2], 6) && has(client[2], ":299\r\n"));
    CU_ASSERT(has(client[1], ":1\r\n"));
    CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] > MEMBERS);
    sprintf(text, "SUNION %s %s\r\n", key_of(0), key_of(1));
    sends_at_once(client[0], text);
    CU_ASSERT(rig_stop(&rig)); /* in the middle of one */
}

static void a_read_ends_when_its_client_has_gone(void)
{
    begin(one);
    add("SADD", "set", MEMBERS);
    add("RPUSH", "list", MEMBERS);
    uint64_t before = rig.counters.v[COUNTER_long_command_slices];
    sends(client[0], "SMEMBERS set\r\n");
    sends(client[1], "LRANGE list 0 -1\r\n");
    sends(client[2], "SUNIONSTORE to set\r\n");
    tcp_abort(client[0]->conn, rig.now_us);
    tcp_abort(client[1]->conn, rig.now_us);
    tcp_abort(client[2]->conn, rig.now_us);
    rig_run(&rig, 100000);
    CU_ASSERT_EQUAL(pins(), 0);
    CU_ASSERT(rig_says(&rig, client[3], "SCARD to\r\n", ":300\r\n")); /* what changes something does not */
    CU_ASSERT(rig.counters.v[COUNTER_long_command_slices] - before < 3 * MEMBERS);
    CU_ASSERT(end());
}

/* Each reply is the right one or an error, nothing stays pinned, and all go on. */
static void any_allocation_may_fail(void)
{
    bool done = false;
    unsigned refused = 0;
    for (long n = 0; !done; n++) {
        begin(one);
        add("SADD", "set", MEMBERS);
        CU_ASSERT(rig_says(&rig, client[4], "SADD set 0\r\n", ":0\r\n"));
        fail_at = n;
        sends(client[0], "SMEMBERS set\r\n");
        sends(client[1], "SADD set x\r\n");
        sends(client[2], "FLUSHALL\r\n");
        sends(client[3], "SCARD set\r\n");
        rig_run(&rig, 100000);
        done = fail_at >= 0;
        fail_at = -1;
        refused += client[0]->got_len != members_size(MEMBERS) || client[1]->got[0] == '-';
        CU_ASSERT(client[0]->got_len == members_size(MEMBERS) || client[0]->peer_closed ||
                  client[0]->got[0] == '-');
        CU_ASSERT(client[1]->got_len == 4 || client[1]->got[0] == '-' || client[1]->peer_closed);
        CU_ASSERT(has(client[2], "+OK\r\n") || client[2]->got[0] == '-' || client[2]->peer_closed);
        CU_ASSERT(rig_says(&rig, client[4], "PING\r\n", "+PONG\r\n"));
        CU_ASSERT(end());
    }
    CU_ASSERT(refused > 3);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(a_flush_leaves_what_is_read),
                                             UNIT(what_was_flushed_goes_when_its_readers_have_ended),
                                             UNIT(a_flush_waits_for_who_changes_something),
                                             UNIT(without_memory_a_flush_waits),
                                             UNIT(keys_sees_all_of_one_moment),
                                             UNIT(exec_waits_and_nobody_sees_half_of_it),
                                             UNIT(slices_under_stops),
                                             UNIT(a_read_ends_when_its_client_has_gone),
                                             UNIT(any_allocation_may_fail),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/turns_whole", tests);
}
