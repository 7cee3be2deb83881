/* slab_test.c: arena and slabs: sizes, alignment, reuse, exact accounts. */
#include "fixture.h"

static struct arena *arena_of(uint64_t size, unsigned shards, const int *node)
{
    char error[200] = "";
    struct arena *a = arena_new(size, 0, shards, node, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static void test_rounding_wastes_little(void)
{
    for (uint64_t n = 1; n <= SLAB_LARGEST; n += n < 5000 ? 1 : 97) {
        CU_ASSERT_TRUE(slab_size(n) >= n && slab_size(n) % 8 == 0);
        CU_ASSERT_TRUE(slab_size(n) - n <= (n <= 256 ? 7 : n / (n <= SLAB_FINE ? 16 : 8)));
        CU_ASSERT_EQUAL(slab_size(slab_size(n)), slab_size(n));
    }
    CU_ASSERT_EQUAL(slab_size(SLAB_LARGEST + 1), SLAB_LARGEST + EXTENT_SIZE);
}

static void test_every_class_is_a_fixed_point(void)
{
    struct arena *a = arena_of(16 << 20, 1, NULL);
    struct slab_heap heap;
    slab_init(&heap, a, 0);
    CU_ASSERT_EQUAL(heap.class_size[SLAB_CLASSES - 1], SLAB_LARGEST);
    for (unsigned c = 0; c < SLAB_CLASSES; c++) {
        uint8_t *p = slab_alloc(&heap, heap.class_size[c], SLAB_OTHER);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL(heap.used, heap.class_size[c]);
        memset(p, 0xaa, heap.class_size[c]);
        if (heap.class_size[c] % 64 == 0)
            CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
        slab_free(&heap, p);
        CU_ASSERT_EQUAL(heap.used, 0);
    }
    arena_free(a);
}

static void test_allocations_do_not_overlap(void)
{
    enum { N = 3000 };
    struct arena *a = arena_of(128 << 20, 1, NULL);
    struct slab_heap heap;
    static struct {
        uint8_t *p;
        size_t len;
    } block[N];
    uint64_t random = 5;
    memset(block, 0, sizeof block);
    slab_init(&heap, a, 0);
    for (unsigned i = 0; i < 60000; i++) {
        unsigned at = (unsigned)(next_random(&random) % N);
        if (block[at].p) {
            for (size_t j = 0; j < block[at].len; j += 1 + block[at].len / 16)
                CU_ASSERT_EQUAL_FATAL(block[at].p[j], (uint8_t)at);
            slab_free(&heap, block[at].p);
        }
        size_t top = next_random(&random) % 50 == 0 ? 400000 : next_random(&random) % 4 ? 300 : 9000;
        block[at].len = 1 + next_random(&random) % top;
        block[at].p = slab_alloc(&heap, block[at].len, next_random(&random) % 2 ? SLAB_ENTRY : SLAB_OTHER);
        CU_ASSERT_PTR_NOT_NULL_FATAL(block[at].p);
        memset(block[at].p, (int)(uint8_t)at, block[at].len);
    }
    for (unsigned at = 0; at < N; at++)
        if (block[at].p)
            slab_free(&heap, block[at].p);
    CU_ASSERT_EQUAL(heap.used, 0);
    slab_trim(&heap);
    CU_ASSERT_EQUAL(heap.reserved, 0);
    CU_ASSERT_EQUAL(a->zone[0].left, a->zone[0].end - a->zone[0].first);
    arena_free(a);
}

static void test_an_emptied_slab_serves_another_class(void)
{
    struct arena *a = arena_of(8 << 20, 1, NULL);
    struct slab_heap heap;
    slab_init(&heap, a, 0);
    for (unsigned round = 0; round < 6; round++) {
        size_t size = round % 2 ? 64 : 96;
        static uint8_t *p[200000];
        unsigned n = 0;
        while ((p[n] = slab_alloc(&heap, size, SLAB_ENTRY)))
            n++;
        CU_ASSERT_TRUE(n * size > (8u << 20) * 9 / 10);
        while (n > 0)
            slab_free(&heap, p[--n]);
        CU_ASSERT_EQUAL(heap.used, 0);
    }
    arena_free(a);
}

static void test_a_full_arena_says_so(void)
{
    struct arena *a = arena_of(8 << 20, 1, NULL);
    struct slab_heap heap;
    slab_init(&heap, a, 0);
    CU_ASSERT_PTR_NULL(slab_alloc(&heap, 9 << 20, SLAB_OTHER));
    CU_ASSERT_PTR_NULL(slab_alloc(&heap, SIZE_MAX, SLAB_OTHER));
    CU_ASSERT_PTR_NULL(slab_alloc(&heap, SIZE_MAX - 70000, SLAB_OTHER));
    uint8_t *p = slab_alloc(&heap, 7 << 20, SLAB_OTHER);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NULL(slab_alloc(&heap, 1 << 20, SLAB_OTHER));
    slab_free(&heap, p);
    CU_ASSERT_EQUAL(heap.used + heap.reserved, 0);
    arena_free(a);
}

static void test_zones_follow_nodes(void)
{
    static const int node[4] = {0, 0, -1, 0};
    struct arena *a = arena_of(32 << 20, 4, node);
    CU_ASSERT_EQUAL(a->zones, 2);
    CU_ASSERT_EQUAL(a->shard_zone[3], 0);
    CU_ASSERT_EQUAL(a->shard_zone[2], 1);
    CU_ASSERT_EQUAL(a->zone[0].end, a->zone[1].first);
    uint32_t taken = arena_take(a, 1, 5);
    CU_ASSERT_TRUE(taken >= a->zone[1].first && taken + 5 <= a->zone[1].end);
    arena_give(a, taken, 5);
    arena_free(a);
}

static void test_a_second_arena_goes_elsewhere(void)
{
    struct arena *a = arena_of(8 << 20, 1, NULL), *b = arena_of(8 << 20, 1, NULL);
    CU_ASSERT_EQUAL((uintptr_t)a->base, ARENA_ADDRESS);
    CU_ASSERT_PTR_NOT_EQUAL(a->base, b->base);
    CU_ASSERT_EQUAL(b->header->base, (uintptr_t)b->base);
    arena_free(a);
    arena_free(b);
}

static void test_hugepages_that_are_not_there(void)
{
    char error[300] = "";
    CU_ASSERT_PTR_NULL(arena_new(1ull << 41, 1, 1, NULL, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "vm.nr_hugepages"));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_rounding_wastes_little),
                                             UNIT(test_every_class_is_a_fixed_point),
                                             UNIT(test_allocations_do_not_overlap),
                                             UNIT(test_an_emptied_slab_serves_another_class),
                                             UNIT(test_a_full_arena_says_so),
                                             UNIT(test_zones_follow_nodes),
                                             UNIT(test_a_second_arena_goes_elsewhere),
                                             UNIT(test_hugepages_that_are_not_there),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/slab", tests);
}
