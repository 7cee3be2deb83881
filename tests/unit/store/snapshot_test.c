/* snapshot_test.c: whatever happens between two steps of the cursor, what a snapshot has written is the shard as it
 * was at the instant, each key once: random commands against a copy of every record. */
#include "snapshot_records.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"

/* -- changes, as commands make them: the key is shown before -- */

static struct key any_key(struct fixture *f, char text[32])
{
    snprintf(text, 32, "key:%u", below(KEYS));
    return key_of(f, text);
}

static void change_collection(struct fixture *f, unsigned db, const struct key *k, unsigned how)
{
    char text[64];
    snprintf(text, sizeof text, "element %u", below(300));
    struct entry *e = store_find(f->s, db, k, LOOK_WRITE);
    enum value_type want = how == 0 ? TYPE_HASH : how == 1 ? TYPE_SET : TYPE_LIST;
    if (e && entry_type(e) != want)
        return;
    struct value_at v = {.s = f->s, .db = db, .key = k, .e = e};
    bool added;
    unsigned n = below(20) == 0 ? 200 : 3;
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, "element %u", below(1000));
        if (how == 0)
            (void)hash_set(&v, slice_str(text), slice_str("v"), &added);
        else if (how == 1)
            (void)set_add(&v, slice_str(text), &added);
        else
            (void)list_push(&v, LIST_TAIL, &(struct slice){(uint8_t *)text, strlen(text)}, 1);
    }
}

/* A SET as rows have it: the store itself shows the key. */
static void put_in_row(struct fixture *f, unsigned db, const struct key *k, struct slice value)
{
    struct ahead_row row;
    ahead_begin(&row);
    store_ahead(f->s, &row, db, k->hash);
    if (store_put_ahead(f->s, db, &row, 0, k->name, value, 0))
        return;
    snapshot_key(f->s, db, k);
    (void)store_set_string_ahead(f->s, db, k, value, 0, 0, &row.at[0]);
}

static void grow(struct fixture *f, unsigned db, const struct key *k)
{
    uint8_t *bytes;
    struct entry *e = store_find(f->s, db, k, LOOK_WRITE);
    if ((!e || entry_type(e) == TYPE_STRING) && store_string_grow(f->s, db, k, 1 + below(300), &bytes) == STORE_OK)
        bytes[0] = 'x';
}

static void change(struct fixture *f)
{
    char text[32], other[32], value[200];
    unsigned db = below(DATABASES), to_db = below(DATABASES), how = below(16);
    struct key k = any_key(f, text), to = any_key(f, other);
    memset(value, 'a' + (int)below(26), sizeof value);
    struct slice v = {(uint8_t *)value, below(sizeof value)};
    if (how > 0 && how < 12)
        snapshot_key(f->s, db, &k);
    switch (how) {
    case 0:
        put_in_row(f, db, &k, v);
        break;
    case 1:
    case 2:
        (void)store_set_string(f->s, db, &k, v, below(3) ? 0 : shard_time(f->s) + below(3000), 0);
        break;
    case 3:
        (void)store_delete(f->s, db, &k);
        break;
    case 4:
        if (store_find(f->s, db, &k, LOOK_WRITE))
            (void)store_set_expire(f->s, db, &k, below(2) ? 0 : shard_time(f->s) + below(2000));
        break;
    case 5:
    case 6:
    case 7:
        change_collection(f, db, &k, how - 5);
        break;
    case 8:
        if (store_find(f->s, db, &k, LOOK_WRITE))
            (void)store_rename(f->s, db, &k, f->s, db, &to);
        break;
    case 9: /* MOVE, COPY: the other database's key is nobody's to show */
        if (store_find(f->s, db, &k, LOOK_WRITE))
            (void)store_rename(f->s, db, &k, f->s, to_db, &k);
        break;
    case 10:
        if (store_find(f->s, db, &k, LOOK_WRITE))
            (void)store_copy(f->s, db, &k, f->s, to_db, &to);
        break;
    case 11:
        grow(f, db, &k);
        break;
    case 12:
        shard_set_time(f->s, shard_time(f->s) + below(200));
        (void)shard_upkeep(f->s, 50);
        break;
    case 13:
        (void)store_find(f->s, db, &k, LOOK_READ);
        break;
    case 14:
        if (below(40) == 0)
            store_swap(f->s, db, to_db);
        break;
    default:
        if (below(100) == 0)
            store_flush(f->s, db);
    }
}

static void snapshots(uint64_t arena, uint64_t maxmemory, enum maxmemory_policy policy, unsigned rounds, unsigned pace)
{
    struct fixture f;
    const struct snapshot_options o = {.most = 1ull << 30};
    fixture_open(&f, arena, maxmemory, policy, 1);
    fixture_keep(&f);
    for (unsigned round = 0; round < rounds; round++) {
        struct records was = {0}, is = {0};
        for (unsigned i = below(20000); i > 0; i--)
            change(&f);
        copy_shard(f.s, &was);
        if (below(2)) { /* a snapshot that was under way when its process ended leaves no marks */
            if (below(2) && snapshot_begin(f.s, &o))
                for (unsigned i = below(200); i > 0 && snapshot_step(shard_snapshot(f.s)); i--)
                    change(&f);
            free_records(&was);
            copy_shard(f.s, &was);
            fixture_reopen(&f);
        }
        CU_ASSERT_TRUE_FATAL(snapshot_begin(f.s, &o));
        CU_ASSERT_FALSE(snapshot_begin(f.s, &o));
        struct snapshot *c = shard_snapshot(f.s);
        while (snapshot_step(c)) {
            for (unsigned i = below(pace); i > 0; i--)
                change(&f);
            if (below(50) == 0)
                drain(c, &is);
        }
        CU_ASSERT_PTR_NULL(snapshot_failed(c));
        for (unsigned i = 0; i < 100; i++)
            change(&f);
        drain(c, &is);
        snapshot_end(f.s);
        CU_ASSERT_TRUE(same_records(&was, &is));
        free_records(&was);
        free_records(&is);
    }
    fixture_close(&f);
}

static void test_a_snapshot_is_the_instant_whatever_is_changed_meanwhile(void)
{
    random_state = 1;
    snapshots(64 << 20, 0, POLICY_NOEVICTION, 12, 4);
}

/* The index grows by many segments, or becomes empty, while the cursor stands in one. */
static void test_slow_snapshot(void)
{
    random_state = 2;
    snapshots(64 << 20, 0, POLICY_NOEVICTION, 6, 200);
}

static void test_snapshot_sees_keys_that_are_evicted(void)
{
    random_state = 3;
    snapshots(64 << 20, 900 << 10, POLICY_ALLKEYS_RANDOM, 8, 30);
}

static void test_emptied_and_filled_again(void)
{
    struct fixture f;
    const struct snapshot_options o = {.most = 1ull << 30};
    random_state = 4;
    for (unsigned at = 1; at < 40; at += 3) {
        struct records was = {0}, is = {0};
        fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
        char text[32];
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(text, sizeof text, "k%u", i);
            set(&f, 0, text, "old", 0);
        }
        copy_shard(f.s, &was);
        snapshot_begin(f.s, &o);
        struct snapshot *c = shard_snapshot(f.s);
        for (unsigned i = 0; i < at * 5; i++)
            snapshot_step(c);
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(text, sizeof text, "k%u", i);
            struct key k = key_of(&f, text);
            CU_ASSERT_TRUE(store_delete(f.s, 0, &k));
        }
        for (unsigned i = 0; i < at * 10; i++) {
            snprintf(text, sizeof text, "k%u", i);
            set(&f, 0, text, "new", 0);
        }
        while (snapshot_step(c))
            ;
        drain(c, &is);
        snapshot_end(f.s);
        CU_ASSERT_TRUE(same_records(&was, &is));
        free_records(&is);
        /* No mark is left: the next one has all. */
        free_records(&was);
        copy_shard(f.s, &was);
        snapshot_begin(f.s, &o);
        while (snapshot_step(shard_snapshot(f.s)))
            ;
        drain(shard_snapshot(f.s), &is);
        snapshot_end(f.s);
        CU_ASSERT_TRUE(same_records(&was, &is));
        free_records(&was);
        free_records(&is);
        fixture_close(&f);
    }
}

static void test_full_buffer_fails_the_snapshot_and_leaves_no_mark(void)
{
    struct fixture f;
    struct records was = {0}, is = {0};
    const struct snapshot_options small = {.most = 20000}, o = {.most = 1 << 30};
    char text[32];
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "k%u", i);
        set(&f, 0, text, "old", 0);
    }
    CU_ASSERT_TRUE(snapshot_begin(f.s, &small));
    struct snapshot *c = shard_snapshot(f.s);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "k%u", i);
        struct key k = key_of(&f, text);
        snapshot_key(f.s, 0, &k);
        set(&f, 0, text, "new", 0);
    }
    CU_ASSERT_PTR_NOT_NULL(snapshot_failed(c));
    CU_ASSERT_PTR_NULL(snapshot_first(c));
    while (snapshot_step(c))
        ;
    snapshot_end(f.s);
    copy_shard(f.s, &was);
    snapshot_begin(f.s, &o);
    while (snapshot_step(shard_snapshot(f.s)))
        ;
    drain(shard_snapshot(f.s), &is);
    CU_ASSERT_TRUE(is.n == 3000 && same_records(&was, &is));
    snapshot_end(f.s);
    free_records(&was);
    free_records(&is);
    fixture_close(&f);
}

/* Writers of these many databases by turns, before the cursor. */
static struct snapshot_figures write_ahead(struct fixture *f, unsigned databases, unsigned keys, uint64_t most, struct records *was)
{
    const struct snapshot_options o = {.most = most};
    struct snapshot_figures figures;
    char text[32];
    for (unsigned i = 0; i < keys; i++) {
        snprintf(text, sizeof text, "key %u", i);
        set(f, i % databases, text, "old", 0);
    }
    copy_shard(f->s, was);
    CU_ASSERT_TRUE_FATAL(snapshot_begin(f->s, &o));
    for (unsigned i = 0; i < keys; i++) {
        snprintf(text, sizeof text, "key %u", i);
        struct key k = key_of(f, text);
        snapshot_key(f->s, i % databases, &k);
        set(f, i % databases, text, "new", 0);
    }
    snapshot_figures(shard_snapshot(f->s), &figures);
    return figures;
}

enum { PIECE_BYTES = sizeof(struct snapshot_piece) + SNAPSHOT_PIECE };

/* The bound is of memory, and records of databases that come by turns do not take much more of it than they need. */
static void test_databases_by_turns_share_the_bound(void)
{
    struct fixture f;
    struct records was = {0}, is = {0};
    uint64_t pieces = 0;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct snapshot_figures figures = write_ahead(&f, 2, 6000, 8 * PIECE_BYTES, &was);
    struct snapshot *c = shard_snapshot(f.s);
    CU_ASSERT_PTR_NULL_FATAL(snapshot_failed(c));
    for (const struct snapshot_piece *p = snapshot_first(c); p; p = p->next)
        pieces++;
    CU_ASSERT_EQUAL(figures.kept, pieces * PIECE_BYTES);
    CU_ASSERT_EQUAL(figures.kept_most, figures.kept);
    CU_ASSERT_TRUE(figures.kept <= figures.waiting + 2 * PIECE_BYTES);
    while (snapshot_step(c))
        ;
    drain(c, &is);
    CU_ASSERT_TRUE(is.n == 6000 && same_records(&was, &is));
    snapshot_figures(c, &figures);
    CU_ASSERT_TRUE(figures.kept == 0 && figures.waiting == 0);
    snapshot_end(f.s);
    free_records(&was);
    fixture_close(&f);

    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1); /* of each of 16 a few bytes */
    figures = write_ahead(&f, 16, 64, 4 * PIECE_BYTES, &was);
    CU_ASSERT_PTR_NOT_NULL(snapshot_failed(shard_snapshot(f.s)));
    CU_ASSERT_EQUAL(figures.kept_most, 5 * PIECE_BYTES);
    CU_ASSERT_EQUAL(figures.kept, 0);
    while (snapshot_step(shard_snapshot(f.s)))
        ;
    snapshot_end(f.s);
    free_records(&was);
    free_records(&is);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_snapshot_is_the_instant_whatever_is_changed_meanwhile),
                                             UNIT(test_slow_snapshot),
                                             UNIT(test_snapshot_sees_keys_that_are_evicted),
                                             UNIT(test_emptied_and_filled_again),
                                             UNIT(test_full_buffer_fails_the_snapshot_and_leaves_no_mark),
                                             UNIT(test_databases_by_turns_share_the_bound),
                                             {NULL, NULL}};
    return records_end(unit_main(argc, argv, "store/snapshot", tests));
}
