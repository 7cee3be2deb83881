/* stream_test.c: streams and their groups against plain arrays (stream_model.h); without memory, copied, compacted, freed in
 * slices. */
#include "stream_model.h"

static void entries_follow_a_model(uint64_t bytes, uint64_t limit)
{
    open_with(bytes, limit);
    for (unsigned i = 0; i < 4000; i++) {
        unsigned what = any(40);
        if (what < 30 || count < 2) {
            CU_ASSERT_TRUE_FATAL(count == MOST || add());
        } else if (what < 38) {
            delete_some();
        } else {
            trim_some();
        }
        if (count > 0 && i % 16 == 0)
            check_some_range();
        if (i % 256 == 0)
            check_entries();
    }
    check_entries();
    store_delete(f.s, 0, &key);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), index_memory(&f.s->db[0].index));
    CU_ASSERT_EQUAL(f.s->db[0].data, 0);
    fixture_close(&f);
}

static void test_entries_as_in_an_array(void)
{
    entries_follow_a_model(4096, 100);
}

static void test_entries_in_small_nodes(void)
{
    entries_follow_a_model(200, 3);
}

static void test_entries_in_large_nodes(void)
{
    entries_follow_a_model(0, 0);
}

static void test_pending_as_in_an_array(void)
{
    open_with(4096, 100);
    fill(300, 0);
    make_groups();
    for (unsigned i = 0; i < 3000; i++) {
        unsigned g = any(GROUPS), what = any(10);
        struct stream_id id = model[any(count)].id;
        if (what < 5) {
            CU_ASSERT_TRUE_FATAL(deliver(g, (int)any(CONSUMERS), id));
        } else if (what < 8) {
            acknowledge(g, id);
        } else {
            reserve_and_settle(g, (int)any(CONSUMERS), id);
        }
        if (i % 128 == 0)
            check_groups();
    }
    check_groups();
    struct value_at v = value();
    stream_consumer_remove(&v, group(0), consumer(0, 1));
    unsigned kept = 0;
    for (unsigned i = 0; i < pendings[0]; i++)
        if (pending[0][i].consumer != 1)
            pending[0][kept++] = pending[0][i];
    pendings[0] = kept;
    check_list(&group(0)->pending, 0, -1);
    CU_ASSERT_PTR_NULL(consumer(0, 1));
    check_memory();
    fixture_close(&f);
}

static void test_large_group_goes_in_slices(void)
{
    open_with(4096, 100);
    fill(2000, 0);
    make_groups();
    for (unsigned i = 0; i < count; i++)
        CU_ASSERT_TRUE_FATAL(deliver(0, (int)any(CONSUMERS), model[i].id));
    struct value_at v = value();
    stream_group_remove(&v, group(0));
    CU_ASSERT_PTR_NULL(group(0));
    CU_ASSERT_PTR_NOT_NULL(f.s->bodies);
    CU_ASSERT_PTR_NOT_NULL(group(1));
    check_memory();
    CU_ASSERT_PTR_NULL(f.s->bodies);
    store_delete(f.s, 0, &key);
    CU_ASSERT_PTR_NULL(value().e);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), index_memory(&f.s->db[0].index));
    fixture_close(&f);
}

/* -- counters: as redis-server 7.0.15 tells them after the same commands */

static void add_at(uint64_t ms)
{
    struct value_at v = value();
    struct slice pair[2] = {SLICE_LIT("a"), SLICE_LIT("1")};
    CU_ASSERT_EQUAL_FATAL(stream_add(&v, (struct stream_id){ms, 0}, pair, 1), STORE_OK);
}

static int64_t lag_after(uint64_t ms, int64_t entries_read)
{
    struct stream_group g = {.last = {ms, 0}, .entries_read = entries_read};
    int64_t lag;
    return stream_group_lag(stream(), &g, &lag) ? lag : -1;
}

static void test_lag_of_groups(void)
{
    open_with(4096, 100);
    for (uint64_t ms = 1; ms <= 5; ms++)
        add_at(ms);
    CU_ASSERT_EQUAL(lag_after(0, 0), 5);
    CU_ASSERT_EQUAL(lag_after(0, ENTRIES_READ_UNKNOWN), 5);
    CU_ASSERT_EQUAL(lag_after(1, ENTRIES_READ_UNKNOWN), 4);
    CU_ASSERT_EQUAL(lag_after(3, ENTRIES_READ_UNKNOWN), -1);
    CU_ASSERT_EQUAL(lag_after(5, ENTRIES_READ_UNKNOWN), 0);
    CU_ASSERT_EQUAL(lag_after(3, 3), 2);
    struct value_at v = value();
    stream_delete(&v, (struct stream_id){4, 0});
    CU_ASSERT_EQUAL(lag_after(3, 3), -1);
    CU_ASSERT_EQUAL(lag_after(5, 5), 0);
    stream_trim(&v, &(struct stream_trim){.keep = 1});
    CU_ASSERT_EQUAL(lag_after(3, 3), 2); /* the gap is before the first entry */
    fixture_close(&f);
}

/* -- without memory */

static void test_nothing_changes_without_memory(void)
{
    open_with(256, 5);
    fill(3, 0);
    make_groups();
    for (unsigned i = 0; i < 400; i++) {
        bool done = false;
        unsigned what = any(3), g = any(GROUPS);
        int c = (int)any(CONSUMERS);
        struct stream_id id = model[any(count)].id;
        for (unsigned nth = 1; !done; nth++) {
            uint64_t before = used(f.s), random = seed;
            struct value_at v = value();
            char name[16];
            snprintf(name, sizeof name, "n%u", i);
            f.s->heap.fail_in = nth;
            if (what == 0)
                done = add();
            else if (what == 1)
                done = deliver(g, c, id);
            else
                done = stream_consumer_add(&v, group(g), slice_str(name));
            bool failed = f.s->heap.fail_in == 0;
            f.s->heap.fail_in = 0;
            CU_ASSERT_TRUE_FATAL(done || failed);
            if (!done) {
                CU_ASSERT_TRUE_FATAL(used(f.s) <= before + 512); /* a tree's node may have grown */
                seed = random;
                check_groups();
            }
        }
    }
    check_entries();
    check_groups();
    fixture_close(&f);
}

static void test_creating_without_memory(void)
{
    open_with(4096, 100);
    for (unsigned nth = 1; nth < 20; nth++) {
        uint64_t before = used(f.s), random = seed;
        f.s->heap.fail_in = nth;
        if (add())
            break;
        f.s->heap.fail_in = 0;
        seed = random;
        CU_ASSERT_PTR_NULL_FATAL(value().e);
        upkeep_all(f.s);
        CU_ASSERT_TRUE_FATAL(used(f.s) - before <= index_memory(&f.s->db[0].index));
    }
    f.s->heap.fail_in = 0;
    CU_ASSERT_EQUAL_FATAL(count, 1);
    check_entries();
    fixture_close(&f);
}

/* -- the store's operations */

static void test_copies_are_apart(void)
{
    open_with(512, 10);
    fill(400, 0);
    make_groups();
    fill(400, 300);
    struct key copy = key_of(&f, "copy");
    uint64_t before = used(f.s);
    for (unsigned nth = 1;; nth += 7) {
        f.s->heap.fail_in = nth;
        enum store_result result = store_copy(f.s, 0, &key, f.s, 0, &copy);
        f.s->heap.fail_in = 0;
        upkeep_all(f.s);
        if (result == STORE_OK)
            break;
        CU_ASSERT_PTR_NULL_FATAL(store_find(f.s, 0, &copy, LOOK_WRITE));
        CU_ASSERT_EQUAL_FATAL(used(f.s), before);
    }
    store_delete(f.s, 0, &key);
    CU_ASSERT_EQUAL_FATAL(store_rename(f.s, 0, &copy, f.s, 0, &key), STORE_OK);
    check_entries();
    check_groups();
    fixture_close(&f);
}

/* Deletes most entries and acknowledges most of what is pending, so that slabs are sparse. */
static void test_compacting_keeps_all(void)
{
    open_with(256, 1);
    fill(MOST, 0);
    make_groups();
    fill(MOST, 2000);
    while (count > MOST / 8)
        delete_some();
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned left = pendings[g]; left > 0; left--)
            if (any(8))
                acknowledge(g, pending[g][any(pendings[g])].id);
    uint64_t changes = f.s->changes;
    compact_begin(f.s);
    while (compact_run(f.s, 7))
        ;
    CU_ASSERT_TRUE(f.s->changes > changes);
    check_entries();
    check_groups();
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_entries_as_in_an_array),
                                             UNIT(test_entries_in_small_nodes),
                                             UNIT(test_entries_in_large_nodes),
                                             UNIT(test_pending_as_in_an_array),
                                             UNIT(test_large_group_goes_in_slices),
                                             UNIT(test_lag_of_groups),
                                             UNIT(test_nothing_changes_without_memory),
                                             UNIT(test_creating_without_memory),
                                             UNIT(test_copies_are_apart),
                                             UNIT(test_compacting_keeps_all),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/stream", tests);
}
