/* snapshot_large_test.c: large values, which the cursor writes in slices: others change the shard between them. */
#include "snapshot_records.h"
#include "base/turn.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"

enum { LARGE = 30, ELEMENTS = 6000 };

static struct sliced {
    struct turn turn; /* first */
    struct fixture *f;
    struct snapshot *c;
    struct records *to;
    uint64_t own; /* hash of the key that is being written */
    unsigned turns, until_fail;
} sliced;

static struct key large_key(struct fixture *f, char text[32], unsigned i)
{
    snprintf(text, 32, "large:%u", i);
    return key_of(f, text);
}

static void fill_large(struct fixture *f, unsigned i, const char *with)
{
    char text[32], element[96];
    struct key k = large_key(f, text, i);
    struct value_at v = {.s = f->s, .db = i % DATABASES, .key = &k};
    bool added;
    for (unsigned n = 0; n < ELEMENTS; n++) {
        snprintf(element, sizeof element, "%s %u", with, n * 7919 % ELEMENTS);
        struct slice e = slice_str(element);
        v.e = store_find(f->s, v.db, &k, LOOK_WRITE);
        if (i % 4 == 0)
            (void)hash_set(&v, e, e, &added);
        else if (i % 4 == 1)
            (void)set_add(&v, e, &added);
        else
            (void)list_push(&v, LIST_TAIL, &e, 1);
    }
    if (i % 4 == 3)
        (void)store_set_expire(f->s, v.db, &k, shard_time(f->s) + 100000 + i);
}

/* Between two turns of the writer others change what is not its key. */
static void change_others(struct turn *t)
{
    char text[32];
    t->left = 1 + below(400);
    if (sliced.turns++ == sliced.until_fail)
        snapshot_fail(sliced.c, "as the test wants it");
    for (unsigned n = below(3); n > 0; n--) {
        unsigned i = below(LARGE);
        struct key k = large_key(sliced.f, text, i);
        if (k.hash == sliced.own)
            continue;
        snapshot_key(sliced.f->s, i % DATABASES, &k);
        if (below(2))
            (void)store_delete(sliced.f->s, i % DATABASES, &k);
        else
            fill_large(sliced.f, i, "new");
    }
    for (unsigned n = below(20); n > 0; n--) {
        snprintf(text, sizeof text, "key:%u", below(KEYS));
        struct key k = key_of(sliced.f, text);
        snapshot_key(sliced.f->s, 0, &k);
        set(sliced.f, 0, text, "new", 0);
    }
}

static void large_snapshot(struct fixture *f, struct records *is, unsigned until_fail)
{
    const struct snapshot_options o = {.most = 1ull << 30, .slices = true};
    CU_ASSERT_TRUE_FATAL(snapshot_begin(f->s, &o));
    struct snapshot *c = shard_snapshot(f->s);
    sliced = (struct sliced){.turn = {.left = 1, .look = change_others}, .f = f, .c = c, .until_fail = until_fail};
    while (snapshot_step(c)) {
        unsigned db;
        struct slice key;
        if (!snapshot_large(c, &db, &key))
            continue;
        struct key k = keyspace_key(f->ks, key);
        sliced.own = k.hash;
        struct snapshot_figures before, after;
        snapshot_figures(c, &before);
        snapshot_write_large(c, below(4) ? &sliced.turn : NULL);
        snapshot_figures(c, &after);
        CU_ASSERT_TRUE(snapshot_failed(c) || after.keys > before.keys);
        sliced.own = 0;
        if (below(3) == 0)
            drain(c, is);
        if (below(5) == 0)
            store_swap(f->s, below(DATABASES), below(DATABASES));
        if (below(20) == 0)
            store_flush(f->s, below(DATABASES));
        change_others(&sliced.turn);
    }
    drain(c, is);
}

static void test_large_values_are_written_in_slices_while_others_change(void)
{
    random_state = 5;
    for (unsigned round = 0; round < 6; round++) {
        struct fixture f;
        struct records was = {0}, is = {0};
        char text[32];
        fixture_open(&f, 256 << 20, 0, POLICY_NOEVICTION, 1);
        for (unsigned i = 0; i < LARGE; i++)
            fill_large(&f, i, "old");
        for (unsigned i = 0; i < KEYS; i++) {
            snprintf(text, sizeof text, "key:%u", i);
            set(&f, i % DATABASES, text, "old", 0);
        }
        copy_shard(f.s, &was);
        large_snapshot(&f, &is, UINT_MAX);
        CU_ASSERT_PTR_NULL(snapshot_failed(shard_snapshot(f.s)));
        CU_ASSERT_TRUE(sliced.turns > 100);
        snapshot_end(f.s);
        CU_ASSERT_TRUE(same_records(&was, &is));
        free_records(&was);
        free_records(&is);
        fixture_close(&f);
    }
}

static void test_failure_in_the_middle_of_a_large_value(void)
{
    random_state = 6;
    for (unsigned fail = 0; fail < 60; fail += 7) {
        struct fixture f;
        struct records was = {0}, is = {0};
        fixture_open(&f, 256 << 20, 0, POLICY_NOEVICTION, 1);
        for (unsigned i = 0; i < LARGE / 3; i++)
            fill_large(&f, i, "old");
        large_snapshot(&f, &is, fail);
        CU_ASSERT_PTR_NOT_NULL(snapshot_failed(shard_snapshot(f.s)));
        CU_ASSERT_PTR_NULL(snapshot_first(shard_snapshot(f.s)));
        snapshot_end(f.s);
        free_records(&is);
        copy_shard(f.s, &was); /* no mark is left */
        large_snapshot(&f, &is, UINT_MAX);
        snapshot_end(f.s);
        CU_ASSERT_TRUE(same_records(&was, &is));
        free_records(&was);
        free_records(&is);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_large_values_are_written_in_slices_while_others_change),
                                             UNIT(test_failure_in_the_middle_of_a_large_value),
                                             {NULL, NULL}};
    return records_end(unit_main(argc, argv, "store/snapshot_large", tests));
}
