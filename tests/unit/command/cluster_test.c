/* cluster_test.c: the cluster view from worker 0 of a box; tests/conformance/cluster.py holds the texts against Redis. */
#include "command/cluster.h"
#include "engine.h"
#include "unit.h"

#include <stdio.h>

/* Slots: b 3300 (worker 0 of 2 and 4), foo 12182, a 15495. */
#define VIEW "cluster-view workers\ncluster-view-port 7000\nlink-address 127.0.77.2/24\n"

static void test_keys_of_other_workers_are_moved(void)
{
    struct engine *e = engine_new("workers 4\n" VIEW);
    if (!e)
        return;
    EXPECT(e, "SET b 1", "+OK\r\n");
    EXPECT(e, "GET b", "$1\r\n1\r\n");
    EXPECT(e, "GET foo", "-MOVED 12182 127.0.77.2:7002\r\n");
    EXPECT(e, "GET a", "-MOVED 15495 127.0.77.2:7003\r\n");
    EXPECT(e, "MGET a b", "-" CLUSTER_CROSSSLOT "\r\n");
    EXPECT(e, "MGET b {b}c", "*2\r\n$1\r\n1\r\n$-1\r\n");
    EXPECT(e, "SPUBLISH foo x", "-MOVED 12182 127.0.77.2:7002\r\n");
    EXPECT(e, "SSUBSCRIBE b foo", "-" CLUSTER_CROSSSLOT "\r\n");
    engine_free(e);
}

static void test_every_slot_has_one_owner(void)
{
    static const unsigned workers[] = {1, 2, 3, 5, 7, 16, 64};
    for (unsigned i = 0; i < sizeof workers / sizeof *workers; i++) {
        struct keyspace ks = {.shards = workers[i]};
        CU_ASSERT_EQUAL(keyspace_first_slot(&ks, 0), 0);
        CU_ASSERT_EQUAL(keyspace_first_slot(&ks, ks.shards), SLOTS);
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            unsigned owner = keyspace_owner(&ks, slot);
            CU_ASSERT(slot >= keyspace_first_slot(&ks, owner) && slot < keyspace_first_slot(&ks, owner + 1));
        }
    }
}

/* As the nodes of a Redis Cluster get them that nobody has dealt with by hand. */
static void test_slots_are_dealt_out_as_redis_cli_does(void)
{
    for (unsigned n = 1; n <= 64; n++) {
        const struct keyspace ks = {.shards = n};
        const double each = (double)SLOTS / n;
        for (unsigned i = 0; i < n; i++)
            CU_ASSERT_EQUAL(keyspace_first_slot(&ks, i), (unsigned)(i * each + 0.5));
    }
    const struct keyspace three = {.shards = 3};
    CU_ASSERT_EQUAL(keyspace_first_slot(&three, 1), 5461);
    CU_ASSERT_EQUAL(keyspace_first_slot(&three, 2), 10923);
    CU_ASSERT(keyspace_owner(&three, 5460) == 0 && keyspace_owner(&three, 5461) == 1);
}

static void test_endpoints_are_named_as_asked(void)
{
    struct engine *e = engine_new("workers 2\n" VIEW "cluster-announce-ip 192.0.2.1\n");
    if (e)
        EXPECT(e, "GET a", "-MOVED 15495 192.0.2.1:7001\r\n");
    engine_free(e);
    e = engine_new("workers 2\n" VIEW "cluster-preferred-endpoint-type hostname\n");
    if (e)
        EXPECT(e, "GET a", "-MOVED 15495 ?:7001\r\n");
    engine_free(e);
    e = engine_new("workers 2\n" VIEW
                   "cluster-preferred-endpoint-type hostname\ncluster-announce-hostname box.example\n");
    if (e) {
        EXPECT(e, "GET a", "-MOVED 15495 box.example:7001\r\n");
        EXPECT_STARTS(e, "CLUSTER SLOTS", "*2\r\n*3\r\n:0\r\n:8191\r\n*4\r\n$11\r\nbox.example\r\n:7000\r\n");
    }
    engine_free(e);
    e = engine_new("workers 2\n" VIEW "cluster-preferred-endpoint-type unknown-endpoint\n");
    if (e) {
        EXPECT(e, "GET a", "-MOVED 15495 :7001\r\n");
        EXPECT_STARTS(e, "CLUSTER SLOTS", "*2\r\n*3\r\n:0\r\n:8191\r\n*4\r\n$-1\r\n:7000\r\n");
    }
    engine_free(e);
}

static void test_nodes_keep_their_ids(void)
{
    char before[CLUSTER_NODE_ID + 1], id[CLUSTER_NODE_ID + 1];
    for (unsigned run = 0; run < 2; run++) {
        struct engine *e = engine_new("workers 2\n" VIEW);
        if (!e)
            return;
        cluster_node_id(e->conf, 0, id);
        CU_ASSERT_EQUAL(strlen(id), CLUSTER_NODE_ID);
        if (run)
            CU_ASSERT_STRING_EQUAL(id, before);
        cluster_node_id(e->conf, 0, before);
        cluster_node_id(e->conf, 1, id);
        CU_ASSERT_STRING_NOT_EQUAL(id, before);
        engine_free(e);
    }
}

/* What other workers have is not seen; the engine's client of the other worker is worker 0's with another self. */
static void test_a_node_has_its_own_keys_alone(void)
{
    struct engine *e = engine_new("workers 2\n" VIEW);
    if (!e)
        return;
    EXPECT(e, "MSET b 1 {b}c 2", "+OK\r\n");
    e->env.self = 1;
    EXPECT(e, "SET a 1", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":1\r\n");
    EXPECT(e, "KEYS *", "*1\r\n$1\r\na\r\n");
    EXPECT(e, "RANDOMKEY", "$1\r\na\r\n");
    EXPECT(e, "SCAN 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
    EXPECT(e, "CLUSTER COUNTKEYSINSLOT 15495", ":1\r\n");
    EXPECT(e, "CLUSTER COUNTKEYSINSLOT 3300", ":0\r\n");
    EXPECT(e, "FLUSHALL", "+OK\r\n");
    e->env.self = 0;
    EXPECT(e, "DBSIZE", ":2\r\n");
    EXPECT(e, "CLUSTER COUNTKEYSINSLOT 3300", ":2\r\n");
    EXPECT(e, "CLUSTER GETKEYSINSLOT 3300 0", "*0\r\n");
    e->client->flags &= ~(uint32_t)CLIENT_CLUSTER; /* the box' own port shows all */
    EXPECT(e, "DBSIZE", ":2\r\n");
    EXPECT(e, "SET a 1", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":3\r\n");
    EXPECT(e, "CLUSTER INFO", "-" CLUSTER_DISABLED "\r\n");
    engine_free(e);
}

static void test_a_transaction_has_one_slot(void)
{
    struct engine *e = engine_new("workers 2\n" VIEW);
    if (!e)
        return;
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "SET b 1", "+QUEUED\r\n");
    EXPECT(e, "SET {c}d 1", "+QUEUED\r\n");
    EXPECT(e, "EXEC", "-" CLUSTER_CROSSSLOT "\r\n");
    EXPECT(e, "EXEC", "-ERR EXEC without MULTI\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "GET a", "-MOVED 15495 127.0.77.2:7001\r\n");
    EXPECT(e, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    EXPECT(e, "EXISTS b", ":0\r\n");
    engine_free(e);
}

/* More keys than are looked at at once. */
static void test_many_keys_of_one_slot(void)
{
    char line[4096];
    size_t at = 0;
    struct engine *e = engine_new("workers 2\n" VIEW);
    if (!e)
        return;
    at = (size_t)sprintf(line, "DEL");
    for (int i = 0; i < 200; i++)
        at += (size_t)sprintf(line + at, " {b}%d", i);
    EXPECT(e, line, ":0\r\n");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_SHARD);
    sprintf(line + at, " c");
    EXPECT(e, line, "-" CLUSTER_CROSSSLOT "\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_keys_of_other_workers_are_moved),
                                             UNIT(test_every_slot_has_one_owner),
                                             UNIT(test_slots_are_dealt_out_as_redis_cli_does),
                                             UNIT(test_endpoints_are_named_as_asked),
                                             UNIT(test_nodes_keep_their_ids),
                                             UNIT(test_a_node_has_its_own_keys_alone),
                                             UNIT(test_a_transaction_has_one_slot),
                                             UNIT(test_many_keys_of_one_slot),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/cluster", tests);
}
