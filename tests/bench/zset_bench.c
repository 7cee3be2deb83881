/* zset_bench.c: a large sorted set in the store alone: nanoseconds an operation and bytes an element.
 *
 *     zset_bench [ELEMENTS [OPERATIONS]]     members of 16 bytes, scores drawn uniformly
 *
 * Instructions an operation: valgrind --tool=callgrind --toggle-collect=rank zset_bench 100000 2000 (add_new,
 * update, increment, score, rank, by_score, range_of_ten).
 */
#include "measure.h"
#include "store/shard.h"
#include "store/zset.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 1;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct bench {
    struct keyspace *ks;
    struct shard *s;
    struct key key;
    uint64_t elements;
    uint64_t sum; /* so that nothing is left out */
};

static struct value_at value(const struct bench *b)
{
    return (struct value_at){b->s, 0, &b->key, store_find(b->s, 0, &b->key, LOOK_WRITE)};
}

static struct slice member(char text[24], uint64_t id)
{
    int n = snprintf(text, 24, "member%010llu", (unsigned long long)id);
    return (struct slice){(const uint8_t *)text, (size_t)n};
}

static void add(struct bench *b, uint64_t id, unsigned flags, double score)
{
    char text[24];
    struct value_at v = value(b);
    if (zset_add(&v, member(text, id), &score, flags) == ZSET_OOM)
        abort();
}

static void add_new(struct bench *b, uint64_t i)
{
    add(b, i, 0, (double)(next_random() % 1000000000));
    if (i % 16 == 0)
        shard_upkeep(b->s, 64);
}

static void update(struct bench *b, uint64_t i)
{
    (void)i;
    add(b, next_random() % b->elements, 0, (double)(next_random() % 1000000000));
}

static void increment(struct bench *b, uint64_t i)
{
    (void)i;
    add(b, next_random() % b->elements, ZSET_INCR, 1);
}

static void open_set(const struct bench *b, struct zset *z)
{
    zset_open(z, b->s, value(b).e);
}

static void rank(struct bench *b, uint64_t i)
{
    char text[24];
    struct zset z;
    uint64_t before = 0;
    double score;
    (void)i;
    open_set(b, &z);
    zset_rank(&z, member(text, next_random() % b->elements), &before, &score);
    b->sum += before;
}

static void score(struct bench *b, uint64_t i)
{
    char text[24];
    struct zset z;
    double found;
    (void)i;
    open_set(b, &z);
    b->sum += zset_score(&z, member(text, next_random() % b->elements), &found);
}

static void range_of_ten(struct bench *b, uint64_t i)
{
    struct zset z;
    struct zset_walk w;
    struct zset_element e;
    (void)i;
    open_set(b, &z);
    zset_walk(&w, &z, next_random() % b->elements, false);
    for (unsigned n = 0; n < 10 && zset_next(&w, &e); n++)
        b->sum += e.member.len;
}

static void by_score(struct bench *b, uint64_t i)
{
    struct zset z;
    (void)i;
    open_set(b, &z);
    b->sum += zset_rank_of_score(&z, (double)(next_random() % 1000000000), false);
}

static void measure(struct bench *b, const char *name, uint64_t count,
                    void (*run)(struct bench *b, uint64_t i))
{
    double begin = now_ns();
    for (uint64_t i = 0; i < count; i++)
        run(b, i);
    printf("%-24s %7.1f ns\n", name, (now_ns() - begin) / (double)count);
}

int main(int argc, char **argv)
{
    struct bench b = {.elements = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000};
    uint64_t operations = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    struct counters counters = {0}, *list[1] = {&counters};
    struct config conf = {.databases = 1,
                          .workers = 1,
                          .arena_size = (64ull << 20) + b.elements * 160,
                          .maxmemory_samples = 5,
                          .limits = {.zset_entries = 128, .zset_value = 64}};
    char error[256];
    b.ks = keyspace_new(&conf, NULL, 1, list, error, sizeof error);
    if (!b.ks || b.elements == 0) {
        fprintf(stderr, "zset_bench: %s\n", b.ks ? "no elements" : error);
        return 1;
    }
    b.s = b.ks->shard[0];
    shard_set_time(b.s, 1700000000000);
    b.key = keyspace_key(b.ks, slice_str("z"));
    measure(&b, "ZADD, new", b.elements, add_new);
    struct store_account a;
    shard_account(b.s, &a);
    printf("%-24s %7.1f\n", "bytes an element", (double)a.used / (double)b.elements);
    measure(&b, "ZADD, another score", operations, update);
    measure(&b, "ZINCRBY 1", operations, increment);
    measure(&b, "ZSCORE", operations, score);
    measure(&b, "ZRANK", operations, rank);
    measure(&b, "ZCOUNT, one end", operations, by_score);
    measure(&b, "ZRANGE of ten", operations, range_of_ten);
    printf("# %llu\n", (unsigned long long)b.sum);
    keyspace_free(b.ks);
    return 0;
}
