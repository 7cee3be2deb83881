/* generic_test.c: commands on keys of any type: time, several shards, SCAN's promise. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "unit.h"

static struct engine *e;

static void test_expire_and_ttl_in_time(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v", "+OK\r\n");
    EXPECT(e, "EXPIRE k 10", ":1\r\n");
    engine_sleep(e, 4499);
    EXPECT(e, "TTL k", ":6\r\n");
    engine_sleep(e, 2);
    EXPECT(e, "TTL k", ":5\r\n");
    EXPECT(e, "PTTL k", ":5499\r\n");
    EXPECT(e, "PEXPIRETIME k", ":1700000010000\r\n");
    EXPECT(e, "EXPIRE k 5 GT", ":0\r\n");
    EXPECT(e, "EXPIRE k 5 LT", ":1\r\n");
    engine_sleep(e, 5001);
    EXPECT(e, "TTL k", ":-2\r\n");
    EXPECT(e, "PERSIST k", ":0\r\n");
    EXPECT(e, "DEL k", ":0\r\n");
    engine_free(e);
}

static void test_expired_keys_are_invisible(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v PX 10", "+OK\r\n");
    EXPECT(e, "SET other v", "+OK\r\n");
    engine_sleep(e, 11);
    EXPECT(e, "KEYS *", "*1\r\n$5\r\nother\r\n");
    EXPECT(e, "SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\nother\r\n");
    EXPECT(e, "RANDOMKEY", "$5\r\nother\r\n");
    EXPECT(e, "COPY k x", ":0\r\n");
    EXPECT(e, "RENAMENX other k", ":1\r\n");
    EXPECT(e, "TTL k", ":-1\r\n");
    engine_free(e);
}

static void test_which_commands_count_hits(void)
{
    e = engine_new(NULL);
    engine_cmd(e, "MSET a 1 b 2");
    EXPECT_HITS(e, "EXISTS a a none", 2, 1);
    EXPECT_HITS(e, "TOUCH a none", 1, 1);
    EXPECT_HITS(e, "TYPE a", 1, 0);
    EXPECT_HITS(e, "TTL none", 0, 1);
    EXPECT_HITS(e, "OBJECT ENCODING a", 1, 0);
    EXPECT_HITS(e, "COPY a c", 1, 0);
    EXPECT_HITS(e, "KEYS *", 0, 0);
    EXPECT_HITS(e, "EXPIRE a 100", 0, 0);
    EXPECT_HITS(e, "PERSIST a", 0, 0);
    EXPECT_HITS(e, "RENAME a d", 0, 0);
    EXPECT_HITS(e, "MOVE d 1", 0, 0);
    EXPECT_HITS(e, "DEL none b", 0, 0);
    engine_free(e);
}

static void test_looking_without_touching(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v", "+OK\r\n");
    engine_sleep(e, 60000);
    EXPECT(e, "EXISTS k", ":1\r\n");
    EXPECT(e, "TYPE k", "+string\r\n");
    EXPECT(e, "TTL k", ":-1\r\n");
    EXPECT(e, "OBJECT ENCODING k", "$6\r\nembstr\r\n");
    EXPECT(e, "OBJECT IDLETIME k", ":60\r\n");
    e->client->flags |= CLIENT_NO_TOUCH;
    EXPECT(e, "TOUCH k", ":1\r\n");
    EXPECT(e, "OBJECT IDLETIME k", ":0\r\n");
    engine_free(e);
}

static void test_object_freq_under_an_lfu_policy(void)
{
    e = engine_new("maxmemory-policy allkeys-lfu\n");
    EXPECT(e, "SET k v", "+OK\r\n");
    EXPECT_STARTS(e, "OBJECT FREQ k", ":");
    EXPECT_STARTS(e, "OBJECT IDLETIME k", "-ERR An LFU maxmemory policy is selected, idle time not tracked.");
    engine_free(e);
}

static void test_rename_and_copy_between_shards(void)
{
    e = engine_new("workers 4\n");
    for (int i = 0; i < 50; i++) {
        engine_cmd(e, "SET k%d v%d PX 5000", i, i);
        CU_ASSERT(engine_same(engine_cmd(e, "RENAME k%d r%d", i, i * 7), "+OK\r\n"));
        CU_ASSERT(engine_same(engine_cmd(e, "COPY r%d c%d DB 3", i * 7, i), ":1\r\n"));
        CU_ASSERT(engine_same(engine_cmd(e, "PTTL r%d", i * 7), ":5000\r\n"));
        CU_ASSERT(engine_same(engine_cmd(e, "EXISTS k%d", i), ":0\r\n"));
    }
    e->client->db = 3;
    EXPECT(e, "PTTL c49", ":5000\r\n");
    EXPECT(e, "GET c49", "$3\r\nv49\r\n");
    engine_free(e);
}

/* Iterates SCAN to the end; marks key:<n> in seen. Returns the number of pages. */
static int scan_all(const char *options, uint8_t *seen, int keys)
{
    unsigned long long cursor = 0;
    int pages = 0;
    do {
        const char *p = engine_cmd(e, "SCAN %llu %s", cursor, options);
        if (sscanf(p, "*2\r\n$%*d\r\n%llu", &cursor) != 1)
            return -1;
        while ((p = strstr(p, "key:"))) {
            int n = atoi(p + 4);
            if (n < keys)
                seen[n]++;
            p += 4;
        }
    } while (cursor && ++pages < 100000);
    return pages;
}

static void test_scan_sees_every_key_on_every_shard(void)
{
    enum { KEYS = 3000 };
    static uint8_t seen[KEYS];
    memset(seen, 0, sizeof seen);
    e = engine_new("workers 4\n");
    for (int i = 0; i < KEYS; i++)
        engine_cmd(e, "SET key:%d v", i);
    CU_ASSERT(scan_all("COUNT 10", seen, KEYS) > 100);
    int missed = 0, twice = 0;
    for (int i = 0; i < KEYS; i++) {
        missed += seen[i] == 0;
        twice += seen[i] > 1;
    }
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(twice, 0); /* nothing changed meanwhile */
    memset(seen, 0, sizeof seen);
    CU_ASSERT_EQUAL(scan_all("COUNT 1000000", seen, KEYS), 0); /* one page holds all shards */
    memset(seen, 0, sizeof seen);
    CU_ASSERT(scan_all("MATCH key:29?? COUNT 100", seen, KEYS) > 0);
    CU_ASSERT(seen[2900] == 1 && seen[2999] == 1 && seen[290] == 0);
    engine_free(e);
}

static void test_scan_takes_any_64_bit_cursor(void)
{
    e = engine_new("workers 4\n");
    EXPECT(e, "SET k v", "+OK\r\n");
    EXPECT(e, "SCAN 18446744073709551615", "*2\r\n$1\r\n0\r\n*0\r\n");
    EXPECT(e, "SCAN -1", "*2\r\n$1\r\n0\r\n*0\r\n");
    EXPECT_STARTS(e, "SCAN 281474976710655", "*2\r\n");
    EXPECT_STARTS(e, "SCAN 12345678901234", "*2\r\n");
    EXPECT(e, "SCAN 18446744073709551616", "-ERR invalid cursor\r\n");
    engine_free(e);
}

static void test_randomkey_reaches_every_shard(void)
{
    uint8_t seen[64] = {0};
    e = engine_new("workers 4\n");
    EXPECT(e, "RANDOMKEY", "$-1\r\n");
    for (int i = 0; i < 64; i++)
        engine_cmd(e, "SET %d v", i);
    for (int i = 0; i < 5000; i++) {
        const char *p = strstr(engine_cmd(e, "RANDOMKEY"), "\r\n");
        int n = p ? atoi(p + 2) : 0;
        seen[n & 63] = 1;
    }
    int missed = 0;
    for (int i = 0; i < 64; i++)
        missed += !seen[i];
    CU_ASSERT_EQUAL(missed, 0);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_expire_and_ttl_in_time),
                                             UNIT(test_expired_keys_are_invisible),
                                             UNIT(test_which_commands_count_hits),
                                             UNIT(test_looking_without_touching),
                                             UNIT(test_object_freq_under_an_lfu_policy),
                                             UNIT(test_rename_and_copy_between_shards),
                                             UNIT(test_scan_sees_every_key_on_every_shard),
                                             UNIT(test_scan_takes_any_64_bit_cursor),
                                             UNIT(test_randomkey_reaches_every_shard),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/generic", tests);
}
