/* list_test.c: lists against an array: random changes with every limit of chunks, each with an allocation
 * that fails now and then; the chain's shape and accounts; encodings where Redis 7.2 has them. */
#include "fixture.h"
#include "store/chunk.h"

enum { MOST = 3000, TEXT = 9000 };

/* The model: element i is `len` times the letter `letter`, or a number. */
struct element {
    uint32_t len;
    char letter; /* 0: the number len */
};
static struct element model[MOST + 64];
static unsigned count;

static struct slice text_of(struct element x, char *text)
{
    if (!x.letter)
        return (struct slice){(uint8_t *)text, (size_t)sprintf(text, "%d", (int)x.len - 20)};
    memset(text, x.letter, x.len);
    return (struct slice){(uint8_t *)text, x.len};
}

static struct element random_element(uint64_t *seed)
{
    uint64_t r = next_random(seed);
    switch (r % 16) {
    case 0:
        return (struct element){(uint32_t)(r >> 8) % (r >> 40 & 15 ? 600 : TEXT),
                                (char)('a' + (r >> 32) % 3)};
    case 1:
    case 2:
    case 3:
        return (struct element){(uint32_t)(r >> 8) % 200, 0};
    default:
        return (struct element){(uint32_t)(r >> 8) % 40, (char)('a' + (r >> 32) % 3)};
    }
}

static void open_at(unsigned i, unsigned n)
{
    memmove(model + i + n, model + i, (count - i) * sizeof *model);
    count += n;
}

static void close_at(unsigned i, unsigned n)
{
    memmove(model + i, model + i + n, (count - i - n) * sizeof *model);
    count -= n;
}

static struct value_at find(struct fixture *f, const struct key *k)
{
    return (struct value_at){f->s, 0, k, store_find(f->s, 0, k, LOOK_WRITE)};
}

static uint64_t data_of(const struct fixture *f)
{
    struct store_account a;
    shard_account(f->s, &a);
    return a.data;
}

/* The chain is well-formed, within its limits, and the accounts are right. */
static void check_chain(const struct entry *e, struct chunk_limit limit)
{
    const struct list *l = entry_list(e);
    const struct chunk *prev = NULL;
    uint64_t n = 0, data = 0, memory = 0;
    for (const struct chunk *c = l->head; c; prev = c, c = c->next) {
        uint32_t here = pack_count(chunk_pack(c));
        CU_ASSERT_FATAL(c->prev == prev && here > 0);
        CU_ASSERT_FATAL((uint64_t)c->start + c->len <= c->cap);
        CU_ASSERT_FATAL(here == 1 || (c->len <= limit.bytes && here <= limit.count));
        CU_ASSERT_FATAL(pack_check(chunk_pack(c).p, c->len));
        n += here;
        data += c->len;
        memory += slab_size(offsetof(struct chunk, bytes) + (uint64_t)c->cap);
    }
    CU_ASSERT_FATAL(l->tail == prev && l->count == n);
    CU_ASSERT_FATAL(l->body.data == data && l->body.memory == memory);
}

static void compare(struct fixture *f, const struct key *k)
{
    struct value_at v = find(f, k);
    char text[TEXT], scratch[PACK_TEXT];
    struct list_cursor c;
    struct item item;
    CU_ASSERT_FATAL((v.e != NULL) == (count > 0));
    if (!v.e)
        return;
    CU_ASSERT_EQUAL_FATAL(list_len(v.e), count);
    if (entry_is_body(v.e))
        check_chain(v.e, (struct chunk_limit){65536, UINT32_MAX});
    CU_ASSERT_FATAL(list_seek(v.e, 0, &c, NULL));
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT_FATAL(list_next(&c, &item));
        CU_ASSERT_FATAL(slice_eq(item_text(&item, scratch), text_of(model[i], text)));
    }
    CU_ASSERT_FATAL(!list_next(&c, &item));
    for (unsigned i = count; i-- > 0;) {
        CU_ASSERT_FATAL(list_prev(&c, &item));
        CU_ASSERT_FATAL(slice_eq(item_text(&item, scratch), text_of(model[i], text)));
    }
    CU_ASSERT_FATAL(!list_prev(&c, &item));
    CU_ASSERT_FATAL(!list_seek(v.e, (int64_t)count + 1, &c, NULL) &&
                    !list_seek(v.e, -(int64_t)count - 1, &c, NULL));
}

static void step_push(struct value_at *v, uint64_t *seed, uint64_t r)
{
    static char text[64][TEXT];
    struct slice values[64];
    struct element x[64];
    unsigned n = r & 7 ? 1 : (unsigned)(r >> 8) % 63 + 1;
    if (count + n > MOST)
        return;
    for (unsigned i = 0; i < n; i++)
        values[i] = text_of(x[i] = random_element(seed), text[i]);
    enum list_end end = r >> 16 & 1 ? LIST_HEAD : LIST_TAIL;
    if (list_push(v, end, values, n) != STORE_OK)
        return;
    unsigned at = end == LIST_HEAD ? 0 : count;
    open_at(at, n);
    for (unsigned i = 0; i < n; i++)
        model[end == LIST_HEAD ? n - 1 - i : at + i] = x[i];
}

static void step_middle(struct value_at *v, uint64_t *seed, uint64_t r)
{
    char text[TEXT];
    struct element x = random_element(seed);
    unsigned at = (unsigned)(r >> 8) % count;
    if (r & 1) {
        if (list_set(v, at, text_of(x, text)) == STORE_OK)
            model[at] = x;
    } else if (count < MOST && list_insert(v, at + (r >> 1 & 1), text_of(x, text)) == STORE_OK) {
        open_at(at + (r >> 1 & 1), 1);
        model[at + (r >> 1 & 1)] = x;
    }
}

static void step_remove(struct value_at *v, uint64_t r)
{
    char text[TEXT];
    struct element x = model[(r >> 8) % count];
    int64_t want = (int64_t)(r % 9) - 4, gone = 0;
    uint64_t got = list_remove(v, want, text_of(x, text));
    for (unsigned i = 0; i < count && want >= 0 && (want == 0 || gone < want);) {
        bool same = model[i].len == x.len && (model[i].letter == x.letter || x.len == 0);
        if (same && !model[i].letter == !x.letter) {
            close_at(i, 1);
            gone++;
        } else {
            i++;
        }
    }
    for (unsigned i = count; i-- > 0 && want < 0 && gone < -want;) {
        bool same = model[i].len == x.len && (model[i].letter == x.letter || x.len == 0);
        if (same && !model[i].letter == !x.letter) {
            close_at(i, 1);
            gone++;
        }
    }
    CU_ASSERT_EQUAL_FATAL(got, (uint64_t)gone);
}

static void step_ends(struct value_at *v, uint64_t r)
{
    enum list_end end = r & 1 ? LIST_HEAD : LIST_TAIL;
    if (r & 6) {
        unsigned n = r & 8 ? 1 : (unsigned)((r >> 8) % (count + 2)) / (r & 48 ? 16 : 1);
        list_drop(v, end, n);
        n = n < count ? n : count;
        close_at(end == LIST_HEAD ? 0 : count - n, n);
    } else if (list_rotate(v, end) == STORE_OK) {
        struct element x = model[end == LIST_HEAD ? 0 : count - 1];
        close_at(end == LIST_HEAD ? 0 : count - 1, 1);
        open_at(end == LIST_HEAD ? count : 0, 1);
        model[end == LIST_HEAD ? count - 1 : 0] = x;
    }
}

static void run(int list_size, uint32_t chunk, uint64_t seed, unsigned steps, bool failing)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    f.s->limits.list_size = list_size;
    shard_set_list_chunk(f.s, chunk);
    struct chunk_limit limit = chunk_limit_in(f.s);
    if (limit.bytes < ENTRY_INLINE) /* what lay in the entry becomes a chunk as it is */
        limit.bytes = ENTRY_INLINE;
    struct key k = key_of(&f, "list");
    count = 0;
    for (unsigned i = 0; i < steps; i++) {
        uint64_t r = next_random(&seed);
        struct value_at v = find(&f, &k);
        f.s->heap.fail_in = failing ? (r >> 56) % 6 : 0;
        if (!v.e || r % 16 < 8)
            step_push(&v, &seed, r >> 8);
        else if (r % 16 < 12)
            step_middle(&v, &seed, r >> 8);
        else if (r % 16 < 13)
            step_remove(&v, r >> 8);
        else
            step_ends(&v, r >> 8);
        f.s->heap.fail_in = 0;
        if (i % 8 == 0 || count < 20)
            compare(&f, &k);
        if (v.e && entry_is_body(v.e))
            check_chain(v.e, limit);
        if (i % 500 == 499) {
            struct key other = key_of(&f, "other list");
            CU_ASSERT_EQUAL(v.e ? store_copy(f.s, 0, &k, f.s, 0, &other) : STORE_OK, STORE_OK);
            compare(&f, v.e ? &other : &k);
            store_delete(f.s, 0, &other);
            upkeep_all(f.s);
            compare(&f, &k);
        }
    }
    store_delete(f.s, 0, &k);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    CU_ASSERT_EQUAL(data_of(&f), 0);
    fixture_close(&f);
}

static void test_random_changes_match_an_array(void)
{
    static const int sizes[] = {-2, -1, -5, 0, 3, 50};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run(sizes[i], 0, i + 1, 2500, false);
}

static void test_without_memory_nothing_changes(void)
{
    static const int sizes[] = {-1, 3};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run(sizes[i], 0, i + 11, 4000, true);
}

/* DEBUG QUICKLIST-PACKED-THRESHOLD: an element a chunk, and few of them. */
static void test_small_chunks_match_an_array(void)
{
    run(-2, 1, 21, 2500, false);
    run(3, 40, 22, 2500, false);
    run(-2, 40, 23, 4000, true);
}

/* Strings push everything else out: a list goes as a whole, and never while it is being changed. */
static void test_eviction_spares_the_list_at_work(void)
{
    struct fixture f;
    uint64_t seed = 77, gone = 0, changed = 0;
    char name[24], text[1500];
    memset(text, 'v', sizeof text - 1);
    text[sizeof text - 1] = 0;
    fixture_open(&f, 64 << 20, 2 << 20, POLICY_ALLKEYS_RANDOM, 1);
    f.s->limits.list_size = -1;
    struct key k = key_of(&f, "list");
    count = 0;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t r = next_random(&seed);
        snprintf(name, sizeof name, "%u", i);
        CU_ASSERT_EQUAL(set(&f, 0, name, text, 0), STORE_OK);
        struct value_at v = find(&f, &k);
        gone += !v.e && count;
        count = v.e ? count : 0;
        if (!v.e || r % 16 < 10)
            step_push(&v, &seed, r >> 8);
        else if (r % 16 < 14)
            step_middle(&v, &seed, r >> 8);
        else
            step_ends(&v, (r >> 8) & ~(uint64_t)32);
        changed += v.e != NULL;
        if (i % 16 == 0)
            compare(&f, &k);
        shard_upkeep(f.s, 10);
    }
    CU_ASSERT_TRUE(gone > 2 && changed > 15000);
    fixture_close(&f);
}

/* -- encodings */

static const char *encoding(struct fixture *f, const struct key *k)
{
    return entry_encoding(find(f, k).e);
}

static void push_one(struct fixture *f, const struct key *k, const char *text)
{
    struct value_at v = find(f, k);
    struct slice value = slice_str(text);
    CU_ASSERT_EQUAL(list_push(&v, LIST_TAIL, &value, 1), STORE_OK);
}

/* A listpack of n elements of `size` bytes has 7 + n * size; a push that may bring more text than the limit
 * leaves makes a quicklist, and only half of the limit makes a listpack again. */
static void edge(const char *text, unsigned text_len, unsigned size, unsigned limit)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    f.s->limits.list_size = limit == 4096 ? -1 : -2;
    struct key k = key_of(&f, "list");
    unsigned n = 0;
    for (bool fits = true; fits; n++) {
        fits = 7 + n * size + text_len <= limit;
        push_one(&f, &k, text);
        CU_ASSERT_STRING_EQUAL_FATAL(encoding(&f, &k), fits ? "listpack" : "quicklist");
    }
    /* Redis has a second node then, which goes first. */
    for (struct value_at v = find(&f, &k); --n > 1; v = find(&f, &k)) {
        list_drop(&v, LIST_TAIL, 1);
        CU_ASSERT_STRING_EQUAL_FATAL(encoding(&f, &k), 7 + n * size <= limit / 2 ? "listpack" : "quicklist");
    }
    fixture_close(&f);
}

static void test_encoding_changes_where_redis_changes_it(void)
{
    char text[301] = "";
    edge("7", 1, 2, 8192);
    edge("7", 1, 2, 4096);
    edge("1000", 4, 3, 8192);
    edge("abc", 3, 5, 8192);
    memset(text, 'x', 62);
    edge(text, 62, 64, 8192);
    memset(text, 'x', 125);
    edge(text, 125, 128, 4096);
    memset(text, 'x', 300);
    edge(text, 300, 304, 4096);
}

static void test_counted_limit(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    f.s->limits.list_size = 4;
    struct key k = key_of(&f, "list");
    for (unsigned i = 0; i < 9; i++) {
        push_one(&f, &k, "x");
        CU_ASSERT_STRING_EQUAL(encoding(&f, &k), i < 4 ? "listpack" : "quicklist");
    }
    for (unsigned left = 8; left > 0; left--) {
        struct value_at v = find(&f, &k);
        list_drop(&v, LIST_TAIL, 1);
        CU_ASSERT_STRING_EQUAL(encoding(&f, &k), left <= 2 ? "listpack" : "quicklist");
    }
    fixture_close(&f);
}

/* -- between lists */

static void test_move_between_lists(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    struct key a = key_of(&f, "a"), b = key_of(&f, "b");
    for (unsigned i = 0; i < 500; i++)
        push_one(&f, &a, i % 3 ? "some text that is not so short" : "12");
    for (unsigned i = 0; i < 500; i++) {
        struct value_at from = find(&f, &a);
        struct value_at to = {f.ks->shard[1], 0, &b, store_find(f.ks->shard[1], 0, &b, LOOK_WRITE)};
        CU_ASSERT_EQUAL(list_move(&from, LIST_HEAD, &to, LIST_HEAD), STORE_OK);
        CU_ASSERT_EQUAL(list_len(to.e), i + 1);
    }
    CU_ASSERT_PTR_NULL(find(&f, &a).e);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Deleting a list of a million elements leaves its chunks to upkeep. */
static void test_large_list_is_freed_in_slices(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "list");
    struct slice values[100];
    for (unsigned i = 0; i < 100; i++)
        values[i] = SLICE_LIT("an element of some length");
    for (unsigned i = 0; i < 10000; i++) {
        struct value_at v = find(&f, &k);
        CU_ASSERT_EQUAL_FATAL(list_push(&v, LIST_HEAD, values, 100), STORE_OK);
    }
    CU_ASSERT_TRUE(entry_memory(find(&f, &k).e) < 1000000ull * 28);
    store_delete(f.s, 0, &k);
    CU_ASSERT_TRUE(used(f.s) > 20000000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Chunks move out of sparse slabs, and nothing else changes. */
static void test_compaction_moves_chunks(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    enum { LISTS = 800 };
    char name[20];
    for (unsigned i = 0; i < 300 * LISTS; i++) {
        snprintf(name, sizeof name, "%u", i % LISTS);
        struct key k = key_of(&f, name);
        push_one(&f, &k, "an element of some length, and a little more of it");
    }
    struct store_account before, after;
    shard_account(f.s, &before);
    for (unsigned i = 0; i < LISTS; i++) {
        snprintf(name, sizeof name, "%u", i);
        struct key k = key_of(&f, name);
        if (i % 8)
            store_delete(f.s, 0, &k);
    }
    compact_begin(f.s);
    while (compact_run(f.s, 10))
        ;
    upkeep_all(f.s);
    shard_account(f.s, &after);
    CU_ASSERT_TRUE(after.reserved < before.reserved / 3);
    for (unsigned i = 0; i < LISTS; i += 8) {
        snprintf(name, sizeof name, "%u", i);
        struct key k = key_of(&f, name);
        CU_ASSERT_EQUAL(list_len(find(&f, &k).e), 300);
        check_chain(find(&f, &k).e, chunk_limit_of(-2));
    }
    fixture_close(&f);
}

/* Bytes an element, key, entry and index included. */
static double cost(unsigned lists, unsigned elements, const char *format)
{
    struct fixture f;
    fixture_open(&f, 256 << 20, 0, POLICY_NOEVICTION, 1);
    char name[24], text[128];
    for (unsigned i = 0; i < lists * elements; i++) {
        snprintf(name, sizeof name, "list:%06u", i / elements);
        snprintf(text, sizeof text, format, i % 100000);
        struct key k = key_of(&f, name);
        push_one(&f, &k, text);
    }
    double each = (double)used(f.s) / lists / elements;
    fixture_close(&f);
    return each;
}

static void test_memory_of_an_element(void)
{
    double many = cost(5000, 10, "e%07u"), some = cost(500, 100, "element-of-text-%04u"),
           ints = cost(500, 100, "%.2u"), one = cost(1, 100000, "e%07u"), large = cost(1, 20000, "%0100u");
    printf(
        "# bytes an element: 10 of 8 bytes %.1f, 100 of 20 bytes %.1f, 100 integers %.1f, 100000 of 8 bytes "
        "%.2f, 20000 of 100 bytes %.2f\n",
        many, some, ints, one, large);
    CU_ASSERT_TRUE(many < 14 && some < 29 && ints < 6 && one < 10.3 && large < 105);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_random_changes_match_an_array),
                                             UNIT(test_without_memory_nothing_changes),
                                             UNIT(test_small_chunks_match_an_array),
                                             UNIT(test_eviction_spares_the_list_at_work),
                                             UNIT(test_encoding_changes_where_redis_changes_it),
                                             UNIT(test_counted_limit),
                                             UNIT(test_move_between_lists),
                                             UNIT(test_large_list_is_freed_in_slices),
                                             UNIT(test_compaction_moves_chunks),
                                             UNIT(test_memory_of_an_element),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/list", tests);
}
