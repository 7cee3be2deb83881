/* order_test.c: the counted B+tree against a sorted array; its shape, its memory, and without memory. */
#include "fixture.h"
#include "store/order_node.h"

/* What words point to. Scores are few, so that hints are often equal. */
struct item {
    uint32_t score, id;
};

static int compare_items(const void *key, uint64_t word)
{
    const struct item *a = key, *b = (const struct item *)(uintptr_t)word;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static uint64_t hint_of(uint64_t word)
{
    return ((const struct item *)(uintptr_t)word)->score >> 2;
}

static const struct order_kind by_score = {compare_items, hint_of}, unhinted = {compare_items, NULL};

/* A bound: before all items of a score. */
static int compare_bound(const void *key, uint64_t word)
{
    const struct item *b = (const struct item *)(uintptr_t)word;
    return *(const uint32_t *)key <= b->score ? -1 : 1;
}

static const struct order_kind bound = {compare_bound, hint_of};

enum { ITEMS = 20000 };

/* The tree, and the array that it is to equal. */
struct model {
    struct fixture f;
    struct order o;
    const struct order_kind *kind;
    struct item *at[ITEMS + 1];
    unsigned count;
    uint64_t random;
};

static struct item pool[ITEMS];

static void model_open(struct model *m, const struct order_kind *kind)
{
    *m = (struct model){.kind = kind, .random = 42};
    fixture_open(&m->f, 64 << 20, 0, POLICY_NOEVICTION, 1);
}

static struct order_key key_for(const struct item *i)
{
    return (struct order_key){i, i->score >> 2};
}

static uint64_t word_of(const struct item *i)
{
    return (uint64_t)(uintptr_t)i;
}

static unsigned model_rank(const struct model *m, const struct item *key)
{
    unsigned low = 0, high = m->count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (compare_items(key, word_of(m->at[mid])) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool model_add(struct model *m, struct item *i)
{
    uint64_t rank;
    if (!order_insert(m->f.s, &m->o, m->kind, key_for(i), word_of(i), &rank))
        return false;
    unsigned at = model_rank(m, i);
    CU_ASSERT_EQUAL_FATAL(rank, at);
    memmove(&m->at[at + 1], &m->at[at], (m->count - at) * sizeof m->at[0]);
    m->at[at] = i;
    m->count++;
    return true;
}

static struct item *model_remove(struct model *m, unsigned at)
{
    struct item *i = m->at[at];
    CU_ASSERT_EQUAL_FATAL(order_remove_at(m->f.s, &m->o, m->kind, at), word_of(i));
    memmove(&m->at[at], &m->at[at + 1], (--m->count - at) * sizeof m->at[0]);
    return i;
}

/* What the tree claims about a node is true. Returns its words. */
static uint64_t check_node(const struct order_node *n, unsigned level, const struct order_kind *kind,
                           uint64_t *bytes)
{
    uint64_t words = 0;
    CU_ASSERT_TRUE_FATAL(n->level == level && n->count > 0 && n->count <= n->cap &&
                         n->cap <= node_most(level));
    *bytes += slab_size(sizeof *n + n->cap * node_width(level));
    if (level == 0)
        return n->count;
    for (unsigned i = 0; i < n->count; i++) {
        const struct branch *b = &node_branches(n)[i];
        CU_ASSERT_EQUAL_FATAL(check_node(b->child, level - 1, kind, bytes), b->count);
        uint64_t least = b->child->level ? node_branches(b->child)->least : node_words(b->child)[0];
        CU_ASSERT_EQUAL_FATAL(b->least, least);
        CU_ASSERT_EQUAL_FATAL(b->hint, kind->hint ? kind->hint(least) : 0);
        words += b->count;
    }
    return words;
}

static void check(struct model *m)
{
    uint64_t bytes = 0, word;
    struct order_cursor c;
    CU_ASSERT_EQUAL_FATAL(m->o.count, m->count);
    if (m->o.root) {
        CU_ASSERT_EQUAL_FATAL(check_node(m->o.root, m->o.root->level, m->kind, &bytes), m->count);
    }
    CU_ASSERT_EQUAL_FATAL(m->o.bytes, bytes);
    CU_ASSERT_EQUAL_FATAL(used(m->f.s), bytes);
    word = order_at(&m->o, 0, &c);
    for (unsigned i = 0; i < m->count; i++, word = order_next(&c))
        CU_ASSERT_EQUAL_FATAL(word, word_of(m->at[i]));
    CU_ASSERT_EQUAL_FATAL(word, 0);
    word = m->count ? order_at(&m->o, m->count - 1, &c) : 0;
    for (unsigned i = m->count; i-- > 0; word = order_prev(&c))
        CU_ASSERT_EQUAL_FATAL(word, word_of(m->at[i]));
    CU_ASSERT_EQUAL_FATAL(word, 0);
}

static void model_close(struct model *m)
{
    unsigned budget;
    do {
        budget = 100;
    } while (!order_drop(m->f.s, &m->o, &budget));
    CU_ASSERT_EQUAL(m->o.count, 0);
    CU_ASSERT_EQUAL(m->o.bytes, 0);
    CU_ASSERT_EQUAL(used(m->f.s), 0);
    fixture_close(&m->f);
}

static struct item *any_item(struct model *m, unsigned id)
{
    pool[id] = (struct item){(uint32_t)(next_random(&m->random) % 500), id};
    return &pool[id];
}

static struct model m;

static void test_random_words_come_and_go(void)
{
    const struct order_kind *kinds[] = {&by_score, &unhinted};
    for (unsigned k = 0; k < 2; k++) {
        model_open(&m, kinds[k]);
        unsigned fresh = 0;
        for (unsigned step = 0; step < 40000 && fresh < ITEMS; step++) {
            bool growing = step / 8000 % 2 == 0;
            if (m.count == 0 || next_random(&m.random) % 10 < (growing ? 8u : 2u)) {
                CU_ASSERT_TRUE_FATAL(model_add(&m, any_item(&m, fresh++)));
            } else {
                model_remove(&m, (unsigned)(next_random(&m.random) % m.count));
            }
            if (step % 1000 == 0)
                check(&m);
        }
        check(&m);
        while (m.count > 0)
            model_remove(&m, (unsigned)(next_random(&m.random) % m.count));
        check(&m);
        CU_ASSERT_EQUAL(used(m.f.s), 0);
        model_close(&m);
    }
}

static void test_ranks_and_bounds_are_found(void)
{
    model_open(&m, &by_score);
    for (unsigned i = 0; i < 5000; i++)
        CU_ASSERT_TRUE_FATAL(model_add(&m, any_item(&m, i)));
    for (unsigned i = 0; i < m.count; i++) {
        CU_ASSERT_EQUAL_FATAL(order_seek(&m.o, &by_score, key_for(m.at[i]), NULL, NULL), i);
        CU_ASSERT_EQUAL_FATAL(order_find(&m.o, &by_score, key_for(m.at[i]), word_of(m.at[i]), NULL), i);
        CU_ASSERT_EQUAL_FATAL(order_at(&m.o, i, NULL), word_of(m.at[i]));
    }
    CU_ASSERT_EQUAL(order_at(&m.o, m.count, NULL), 0);
    for (uint32_t score = 0; score < 510; score++) {
        struct item least = {score, 0};
        unsigned rank = model_rank(&m, &least);
        struct order_cursor c;
        uint64_t word;
        CU_ASSERT_EQUAL_FATAL(order_seek(&m.o, &bound, (struct order_key){&score, score >> 2}, &c, &word),
                              rank);
        CU_ASSERT_EQUAL_FATAL(word, rank < m.count ? word_of(m.at[rank]) : 0);
        if (rank > 0 && word) {
            CU_ASSERT_EQUAL_FATAL(order_prev(&c), word_of(m.at[rank - 1]));
        }
    }
    model_close(&m);
}

static void test_an_empty_tree_has_nothing(void)
{
    struct order_cursor c;
    struct item i = {1, 1};
    uint64_t word = 1;
    model_open(&m, &by_score);
    CU_ASSERT_EQUAL(order_seek(&m.o, &by_score, key_for(&i), &c, &word), 0);
    CU_ASSERT_EQUAL(word, 0);
    CU_ASSERT_EQUAL(order_at(&m.o, 0, &c), 0);
    CU_ASSERT_EQUAL(order_compact(m.f.s, &m.o, 0), 0);
    model_close(&m);
}

/* A word gets another key: inserted there, then removed from where it was, as order.h says. */
static void test_words_change_their_places(void)
{
    model_open(&m, &by_score);
    for (unsigned i = 0; i < 3000; i++)
        CU_ASSERT_TRUE_FATAL(model_add(&m, any_item(&m, i)));
    for (unsigned step = 0; step < 30000; step++) {
        unsigned old = (unsigned)(next_random(&m.random) % m.count);
        struct item *i = m.at[old];
        struct item key = {(uint32_t)(next_random(&m.random) % 500), i->id};
        uint64_t rank;
        if (key.score == i->score)
            continue;
        CU_ASSERT_TRUE_FATAL(order_insert(m.f.s, &m.o, &by_score, key_for(&key), word_of(i), &rank));
        i->score = key.score;
        CU_ASSERT_EQUAL_FATAL(order_remove_at(m.f.s, &m.o, &by_score, rank <= old ? old + 1u : old),
                              word_of(i));
        memmove(&m.at[old], &m.at[old + 1], (--m.count - old) * sizeof m.at[0]);
        unsigned to = model_rank(&m, &key);
        memmove(&m.at[to + 1], &m.at[to], (m.count++ - to) * sizeof m.at[0]);
        m.at[to] = i;
        if (step % 500 == 0)
            check(&m);
    }
    check(&m);
    model_close(&m);
}

static void test_a_word_is_replaced_in_its_place(void)
{
    static struct item moved[3000];
    model_open(&m, &by_score);
    for (unsigned i = 0; i < 3000; i++)
        CU_ASSERT_TRUE_FATAL(model_add(&m, any_item(&m, i)));
    for (unsigned i = 0; i < m.count; i++) {
        struct order_cursor c;
        uint64_t word;
        order_seek(&m.o, &by_score, key_for(m.at[i]), &c, &word);
        moved[i] = *m.at[i];
        order_replace(&c, &by_score, word_of(&moved[i]));
        *m.at[i] = (struct item){0, 0};
        m.at[i] = &moved[i];
    }
    check(&m);
    model_close(&m);
}

static void test_without_memory_nothing_changes(void)
{
    unsigned failures = 0;
    model_open(&m, &by_score);
    for (unsigned i = 0; i < 6000; i++) {
        struct item *item = any_item(&m, i);
        for (uint64_t nth = 1;; nth++) {
            m.f.s->heap.fail_in = nth;
            bool ok = model_add(&m, item);
            m.f.s->heap.fail_in = 0;
            if (ok)
                break;
            failures++;
            if (failures % 50 == 0 || i < 300)
                check(&m);
        }
    }
    CU_ASSERT_TRUE(failures > 500);
    for (unsigned i = 0; m.count > 0; i++) { /* removing goes on without */
        m.f.s->heap.fail_in = 1 + i % 3;
        model_remove(&m, (unsigned)(next_random(&m.random) % m.count));
        if (i % 300 == 0)
            check(&m);
    }
    m.f.s->heap.fail_in = 0;
    check(&m);
    model_close(&m);
}

static double bytes_a_word(void)
{
    return (double)m.o.bytes / m.count;
}

static void test_a_word_costs_nine_to_eleven_bytes(void)
{
    model_open(&m, &by_score);
    for (unsigned i = 0; i < ITEMS; i++) {
        pool[i] = (struct item){i, i};
        model_add(&m, &pool[i]);
    }
    double rising = bytes_a_word();
    CU_ASSERT_TRUE(rising < 9);
    for (unsigned i = 0; i < ITEMS * 9 / 10; i++)
        model_remove(&m, (unsigned)(next_random(&m.random) % m.count));
    double thinned = bytes_a_word();
    CU_ASSERT_TRUE(thinned < 11);
    check(&m);
    model_close(&m);
    model_open(&m, &by_score);
    for (unsigned i = ITEMS; i-- > 0;) {
        pool[i] = (struct item){i, i};
        model_add(&m, &pool[i]);
    }
    double falling = bytes_a_word();
    CU_ASSERT_TRUE(falling < 9);
    check(&m);
    model_close(&m);
    model_open(&m, &by_score);
    double random = 0;
    unsigned samples = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        model_add(&m, any_item(&m, i));
        if (i >= 4000 && i % 500 == 0) {
            random += bytes_a_word();
            samples++;
        }
    }
    random /= samples;
    CU_ASSERT_TRUE(random < 10);
    printf("# bytes a word: rising %.2f, falling %.2f, random %.2f, nine tenths removed %.2f\n", rising,
           falling, random, thinned);
    model_close(&m);
}

static void test_nodes_leave_sparse_slabs(void)
{
    model_open(&m, &by_score);
    for (unsigned i = 0; i < ITEMS; i++)
        model_add(&m, any_item(&m, i));
    for (unsigned i = 0; i < ITEMS * 9 / 10; i++)
        model_remove(&m, (unsigned)(next_random(&m.random) % m.count));
    uint64_t before = m.f.s->heap.reserved, rank = 0;
    do {
        rank = order_compact(m.f.s, &m.o, rank);
    } while (rank);
    slab_trim(&m.f.s->heap);
    CU_ASSERT_TRUE(m.f.s->heap.reserved <= before);
    check(&m);
    model_close(&m);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_random_words_come_and_go),
                                             UNIT(test_ranks_and_bounds_are_found),
                                             UNIT(test_an_empty_tree_has_nothing),
                                             UNIT(test_words_change_their_places),
                                             UNIT(test_a_word_is_replaced_in_its_place),
                                             UNIT(test_without_memory_nothing_changes),
                                             UNIT(test_a_word_costs_nine_to_eleven_bytes),
                                             UNIT(test_nodes_leave_sparse_slabs),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/order", tests);
}
