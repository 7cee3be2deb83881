/* config_test.c: a generation of configuration from name/value pairs (base/config.h). */
#include "base/config.h"
#include "unit.h"

#include <stdio.h>

static char error[256];

static struct config *build(const struct config_pair *pairs)
{
    unsigned n = 0;
    while (pairs[n].name)
        n++;
    *error = 0;
    return config_build(7, pairs, n, error, sizeof error);
}

#define BUILD(...) build((const struct config_pair[]){__VA_ARGS__, {NULL, NULL}})

static void test_absent_directives_have_redis_defaults(void)
{
    struct config *c = build((const struct config_pair[]){{NULL, NULL}});
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->generation, 7);
    CU_ASSERT_EQUAL(c->maxmemory, 0);
    CU_ASSERT_EQUAL(c->maxmemory_policy, POLICY_NOEVICTION);
    CU_ASSERT_EQUAL(c->maxmemory_samples, 5);
    CU_ASSERT_EQUAL(c->lfu_log_factor, 10);
    CU_ASSERT_EQUAL(c->lfu_decay_time, 1);
    CU_ASSERT_STRING_EQUAL(c->requirepass, "");
    CU_ASSERT_TRUE(c->protected_mode);
    CU_ASSERT_EQUAL(c->tcp_keepalive_s, 300);
    CU_ASSERT_EQUAL(c->maxclients, 10000);
    CU_ASSERT_EQUAL(c->proto_max_bulk_len, 512u << 20);
    CU_ASSERT_EQUAL(c->client_query_buffer_limit, 1u << 30);
    CU_ASSERT_EQUAL(c->limit_normal.hard, 0);
    CU_ASSERT_EQUAL(c->limit_replica.hard, 256u << 20);
    CU_ASSERT_EQUAL(c->limit_pubsub.soft, 8u << 20);
    CU_ASSERT_EQUAL(c->limit_pubsub.soft_seconds, 60);
    CU_ASSERT_EQUAL(c->slowlog_log_slower_than_us, 10000);
    CU_ASSERT_EQUAL(c->slowlog_max_len, 128);
    CU_ASSERT_EQUAL(c->databases, 16);
    CU_ASSERT_EQUAL(c->workers, 1);
    CU_ASSERT_EQUAL(c->worker_core[0], -1);
    CU_ASSERT_EQUAL(c->port, 6379);
    CU_ASSERT_EQUAL(c->arena_size, 256u << 20);
    CU_ASSERT_EQUAL(c->hugepages, -1);
    CU_ASSERT_EQUAL(c->link_type, LINK_TAP);
    CU_ASSERT_STRING_EQUAL(c->link_name, "slu0");
    CU_ASSERT_EQUAL(c->addresses, 0);
    config_free(c);
}

static void test_pairs_become_fields(void)
{
    struct config *c =
        BUILD({"maxmemory", "100mb"}, {"maxmemory-policy", "AllKeys-LRU"}, {"requirepass", "s e"},
              {"protected-mode", "no"}, {"slowlog-log-slower-than", "-1"}, {"workers", "3"},
              {"worker-cores", "0 5 2"}, {"hugepages", "no"}, {"link-type", "memif"},
              {"client-output-buffer-limit", "pubsub 1kb 1k 3"}, {"link-address", "127.0.77.2/24"},
              {"link-address", "fd00::2/64"}, {"link-gateway", "127.0.77.1"}, {"link-gateway", "fd00::1"},
              {"port", "0"});
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->maxmemory, 100u << 20);
    CU_ASSERT_EQUAL(c->maxmemory_policy, POLICY_ALLKEYS_LRU);
    CU_ASSERT_STRING_EQUAL(c->requirepass, "s e");
    CU_ASSERT_FALSE(c->protected_mode);
    CU_ASSERT_EQUAL(c->slowlog_log_slower_than_us, -1);
    CU_ASSERT_EQUAL(c->workers, 3);
    CU_ASSERT_EQUAL(c->worker_core[1], 5);
    CU_ASSERT_EQUAL(c->worker_core[3], -1);
    CU_ASSERT_EQUAL(c->hugepages, 0);
    CU_ASSERT_EQUAL(c->link_type, LINK_MEMIF);
    CU_ASSERT_EQUAL(c->limit_pubsub.hard, 1024);
    CU_ASSERT_EQUAL(c->limit_pubsub.soft, 1000);
    CU_ASSERT_EQUAL(c->limit_replica.soft_seconds, 60);
    CU_ASSERT_EQUAL(c->addresses, 2);
    CU_ASSERT_EQUAL(c->address[0].bits, 24);
    CU_ASSERT_TRUE(ip_is_v4(&c->address[0].ip));
    CU_ASSERT_EQUAL(c->address[1].bits, 64);
    CU_ASSERT_TRUE(ip_is_v4(&c->gateway4));
    CU_ASSERT_EQUAL(c->gateway6.b[0], 0xfd);
    CU_ASSERT_EQUAL(c->port, 0);
    config_free(c);
}

static void test_texts_are_copied_and_unknown_names_kept(void)
{
    char name[] = "save", value[] = "3600 1";
    struct config *c = BUILD({name, value}, {"save", "300 100"}, {"link-name", "x0"});
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    memset(name, 'x', 4);
    memset(value, 'x', 4);
    CU_ASSERT_EQUAL(c->pairs, 3);
    CU_ASSERT_STRING_EQUAL(config_text(c, "save"), "3600 1");
    CU_ASSERT_STRING_EQUAL(c->pair[1].value, "300 100");
    CU_ASSERT_PTR_NULL(config_text(c, "appendonly"));
    CU_ASSERT_STRING_EQUAL(c->link_name, "x0");
    config_free(c);
}

static void test_unusable_values_name_directive_value_and_remedy(void)
{
    static const struct config_pair bad[] = {
        {"maxmemory", "12x"},
        {"maxmemory", "-1"},
        {"maxmemory-policy", "lru"},
        {"protected-mode", "maybe"},
        {"maxclients", "0"},
        {"port", "65536"},
        {"port", ""},
        {"timeout", "1s"},
        {"slowlog-log-slower-than", "-2"},
        {"workers", "65"},
        {"worker-cores", "0 a"},
        {"worker-cores", ""},
        {"arena-size", "1"},
        {"hugepages", "often"},
        {"link-type", "wire"},
        {"link-mtu", "1"},
        {"link-address", "127.0.0/8"},
        {"link-address", "1.2.3.4/33"},
        {"link-gateway", "router"},
        {"databases", "0"},
        {"client-output-buffer-limit", "normal 0 0"},
        {"lfu-log-factor", "1e3"},
        {"proto-max-bulk-len", "1kb"},
        {"client-output-buffer-limit", "other 0 0 0"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct config_pair pairs[] = {bad[i], {NULL, NULL}};
        CU_ASSERT_PTR_NULL(build(pairs));
        CU_ASSERT_EQUAL(strncmp(error, bad[i].name, strlen(bad[i].name)), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, " is not "));
        CU_ASSERT_PTR_NULL(strchr(error, '\n'));
    }
}

static void test_too_many_addresses_are_refused(void)
{
    struct config_pair pairs[CONFIG_ADDRESSES + 2] = {0};
    for (unsigned i = 0; i <= CONFIG_ADDRESSES; i++)
        pairs[i] = (struct config_pair){"link-address", "10.0.0.1/8"};
    CU_ASSERT_PTR_NULL(build(pairs));
    pairs[CONFIG_ADDRESSES] = (struct config_pair){NULL, NULL};
    struct config *c = build(pairs);
    CU_ASSERT_PTR_NOT_NULL(c);
    config_free(c);
}

static void test_long_error_is_cut_to_the_buffer(void)
{
    char small[16];
    const struct config_pair pair = {"maxmemory-policy", "a word that is much longer than the buffer"};
    CU_ASSERT_PTR_NULL(config_build(1, &pair, 1, small, sizeof small));
    CU_ASSERT_EQUAL(strlen(small), sizeof small - 1);
}

static void expect_print(const struct config *c, const char *name, const char *wanted)
{
    char line[256];
    CU_ASSERT_TRUE(config_print(c, name, line, sizeof line));
    CU_ASSERT_STRING_EQUAL(line, wanted);
}

static void test_values_print_as_redis_prints_them(void)
{
    struct config *c = BUILD({"maxmemory", "1kb"}, {"maxmemory-policy", "VOLATILE-TTL"},
                             {"worker-cores", "1 2"}, {"link-address", "10.0.0.1/8"},
                             {"link-address", "10.0.0.2/8"}, {"slowlog-log-slower-than", "-1"});
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    expect_print(c, "maxmemory", "1024");
    expect_print(c, "maxmemory-policy", "volatile-ttl");
    expect_print(c, "client-output-buffer-limit",
                 "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    expect_print(c, "hugepages", "auto");
    expect_print(c, "protected-mode", "yes");
    expect_print(c, "worker-cores", "1 2");
    expect_print(c, "link-address", "10.0.0.1/8 10.0.0.2/8");
    expect_print(c, "slowlog-log-slower-than", "-1");
    expect_print(c, "maxclients", "10000");
    char line[8];
    CU_ASSERT_FALSE(config_print(c, "save", line, sizeof line));
    config_free(c);
}

static void test_every_directive_prints_and_reads_back(void)
{
    struct config *c = build((const struct config_pair[]){{NULL, NULL}});
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    for (unsigned i = 0; config_directive(i); i++) {
        char line[256];
        CU_ASSERT_TRUE(config_print(c, config_directive(i), line, sizeof line));
        struct config *again = BUILD({config_directive(i), line});
        CU_ASSERT_PTR_NOT_NULL(again);
        config_free(again);
    }
    config_free(c);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_absent_directives_have_redis_defaults),
                                             UNIT(test_pairs_become_fields),
                                             UNIT(test_texts_are_copied_and_unknown_names_kept),
                                             UNIT(test_unusable_values_name_directive_value_and_remedy),
                                             UNIT(test_too_many_addresses_are_refused),
                                             UNIT(test_long_error_is_cut_to_the_buffer),
                                             UNIT(test_values_print_as_redis_prints_them),
                                             UNIT(test_every_directive_prints_and_reads_back),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/config", tests);
}
