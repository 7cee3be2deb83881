/* overhead_test.c: memory beyond key and value bytes, per key of 16 + 64 B, in an arena 95 % full after
 * tenfold churn (TARGETS: G8). As a test: a small arena and the floor. `overhead_test measure [MB]` prints
 * the figures. */
#include "fixture.h"

struct figures {
    double used, reserved; /* bytes a key beyond its own */
    uint64_t keys;
};

static void put(struct fixture *f, uint64_t id, uint64_t ttl)
{
    char text[17];
    static const uint8_t value[64] = "v";
    snprintf(text, sizeof text, "key:%012llu", (unsigned long long)id);
    struct key k = key_of(f, text);
    if (store_set_string(f->s, 0, &k, (struct slice){value, 64}, ttl ? shard_time(f->s) + ttl : 0, 0) !=
        STORE_OK) {
        struct store_account a;
        shard_account(f->s, &a);
        fprintf(stderr, "full: %llu keys, used %llu, reserved %llu, limit %llu\n", (unsigned long long)a.keys,
                (unsigned long long)a.used, (unsigned long long)a.reserved, (unsigned long long)a.limit);
        abort();
    }
}

static bool drop(struct fixture *f, uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "key:%012llu", (unsigned long long)id);
    struct key k = key_of(f, text);
    return store_delete(f->s, 0, &k);
}

/* Fills to 95 %, then replaces random keys by new ones until every key has gone ten times on average. */
static struct figures churn(uint64_t arena, uint64_t ttl)
{
    struct fixture f;
    struct store_account a;
    uint64_t next = 0, random = 11;
    fixture_open(&f, arena, 0, POLICY_NOEVICTION, 1);
    do
        put(&f, next++, ttl);
    while (shard_account(f.s, &a), a.reserved < f.s->limit / 100 * 95);
    uint64_t keys = next, *id = malloc(keys * sizeof *id);
    for (uint64_t i = 0; i < keys; i++)
        id[i] = i;
    for (uint64_t i = 0; i < keys * 10; i++) {
        uint64_t at = next_random(&random) % keys;
        if (!drop(&f, id[at]))
            abort();
        put(&f, id[at] = next++, ttl);
        if (i % 64 == 0)
            shard_upkeep(f.s, 200);
    }
    shard_account(f.s, &a);
    struct figures figures = {(double)(a.used - a.keys * 80) / (double)a.keys,
                              (double)(a.reserved - a.keys * 80) / (double)a.keys, a.keys};
    free(id);
    fixture_close(&f);
    return figures;
}

static void test_overhead_after_churn_is_below_the_floor(void)
{
    struct figures plain = churn(24 << 20, 0);
    printf("# %.2f bytes a key used, %.2f reserved\n", plain.used, plain.reserved);
    CU_ASSERT_TRUE(plain.used < 20 && plain.reserved < 32);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_overhead_after_churn_is_below_the_floor),
                                             {NULL, NULL}};
    if (argc > 1 && strcmp(argv[1], "measure") == 0) {
        uint64_t arena = (argc > 2 ? strtoull(argv[2], NULL, 10) : 256) << 20;
        static const struct {
            const char *name;
            uint64_t ttl;
        } rows[] = {{"without TTL:", 0}, {"with TTL:", 3600000}, {"TTL of 60 s:", 60000}};
        for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct figures figures = churn(arena, rows[i].ttl);
            printf("%-12s %llu keys of 16 + 64 B after tenfold churn: %.2f B a key used, %.2f B reserved\n",
                   rows[i].name, (unsigned long long)figures.keys, figures.used, figures.reserved);
        }
        return 0;
    }
    return unit_main(argc, argv, "store/overhead", tests);
}
