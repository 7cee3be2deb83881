/* snapshot_test.c: whatever happens between two steps of the cursor, what a snapshot has written is the shard as it
 * was at the instant, each key once: random commands against a copy of every record. */
#include "fixture.h"
#include "base/turn.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/rdb.h"
#include "store/set.h"
#include "store/snapshot.h"

enum { KEYS = 1500, DATABASES = 3 };

static uint64_t random_state;
static unsigned below(unsigned n)
{
    return (unsigned)(next_random(&random_state) >> 33) % n;
}

/* -- records -- */

struct record {
    uint32_t db;
    size_t len;
    uint8_t *p;
};

struct records {
    struct record *at;
    size_t n, cap;
};

static void add_record(struct records *r, uint32_t db, const uint8_t *p, size_t len)
{
    if (r->n == r->cap)
        r->at = realloc(r->at, (r->cap = r->cap ? 2 * r->cap : 64) * sizeof *r->at);
    r->at[r->n] = (struct record){db, len, malloc(len ? len : 1)};
    memcpy(r->at[r->n++].p, p, len);
}

static void free_records(struct records *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->at[i].p);
    free(r->at);
    *r = (struct records){0};
}

static int by_bytes(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static bool same_records(struct records *a, struct records *b)
{
    bool same = a->n == b->n;
    qsort(a->at, a->n, sizeof *a->at, by_bytes);
    qsort(b->at, b->n, sizeof *b->at, by_bytes);
    for (size_t i = 0; same && i < a->n; i++)
        same = by_bytes(&a->at[i], &b->at[i]) == 0;
    return same;
}

struct copying {
    struct shard *s;
    struct records *to;
    uint32_t db;
};

/* As the cursor is to write it: where no policy knows of its use. */
static void copy_entry(struct entry *e, void *arg)
{
    struct copying *c = arg;
    struct slice name = entry_key(e);
    struct rdb_writer w = {.key = &name};
    uint64_t at = entry_expire_at(e);
    if (entry_is_over(c->s, e))
        return;
    if (at) {
        rdb_put_byte(&w, 0xfc);
        rdb_put(&w, &at, sizeof at);
    }
    rdb_put_value(&w, c->s, e);
    add_record(c->to, c->db, w.p, w.len);
    rdb_writer_free(&w);
}

static void copy_shard(struct shard *s, struct records *to)
{
    for (unsigned db = 0; db < DATABASES; db++) {
        struct copying c = {s, to, db};
        struct index *ix = &s->db[db].index;
        for (uint32_t i = 0; i < ix->segments; i++) {
            uint32_t slot = 0;
            uint64_t size;
            struct entry *e;
            while (index_segment(s, ix, i, &size) && (e = index_next_in_segment(s, ix, i, &slot)))
                copy_entry(e, &c);
        }
    }
}

/* One whole piece, or several that belong together, cut into records. */
static struct fixture *scratch;

static void read_records(struct records *to, uint32_t db, const uint8_t *p, size_t len)
{
    while (len) {
        const uint8_t *begin = p;
        struct rdb_reader r = {.p = p, .left = len};
        struct rdb_text name;
        uint8_t *value;
        if (*p == 0xfc)
            (void)rdb_take(&r, 9);
        uint8_t type = rdb_take_byte(&r);
        CU_ASSERT_TRUE_FATAL(rdb_take_string(&r, &name));
        rdb_text_free(&name);
        value = malloc(r.left + 1);
        value[0] = type;
        memcpy(value + 1, r.p, r.left);
        struct rdb_reader v = {.p = value, .left = r.left + 1};
        if (!scratch) {
            scratch = malloc(sizeof *scratch);
            fixture_open(scratch, 64 << 20, 0, POLICY_NOEVICTION, 1);
        }
        struct rdb_target target = {.shard = scratch->s};
        CU_ASSERT_EQUAL_FATAL(rdb_take_value(&v, &target), RDB_OK);
        size_t used_up = len - v.left;
        free(value);
        add_record(to, db, begin, used_up);
        p += used_up;
        len -= used_up;
    }
}

static void drain(struct snapshot *c, struct records *to)
{
    uint8_t *whole = NULL;
    size_t len = 0;
    for (const struct snapshot_piece *p; (p = snapshot_first(c)); snapshot_drop_first(c)) {
        whole = realloc(whole, len + p->len + 1);
        memcpy(whole + len, p->bytes, p->len);
        len += p->len;
        if (p->more)
            continue;
        read_records(to, p->db, whole, len);
        len = 0;
    }
    CU_ASSERT_EQUAL(len, 0);
    free(whole);
}

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

static void change(struct fixture *f)
{
    char text[32], other[32], value[200];
    unsigned db = below(DATABASES), to_db = below(DATABASES), how = below(16);
    struct key k = any_key(f, text), to = any_key(f, other);
    memset(value, 'a' + (int)below(26), sizeof value);
    struct slice v = {(uint8_t *)value, below(sizeof value)};
    if (how < 12)
        snapshot_key(f->s, db, &k);
    switch (how) {
    case 0:
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
    case 11: {
        uint8_t *bytes;
        struct entry *e = store_find(f->s, db, &k, LOOK_WRITE);
        if ((!e || entry_type(e) == TYPE_STRING) && store_string_grow(f->s, db, &k, 1 + below(300), &bytes) == STORE_OK)
            bytes[0] = 'x';
        break;
    }
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

/* -- large values, in slices -- */

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
    static const struct unit_test tests[] = {UNIT(test_a_snapshot_is_the_instant_whatever_is_changed_meanwhile),
                                             UNIT(test_slow_snapshot),
                                             UNIT(test_snapshot_sees_keys_that_are_evicted),
                                             UNIT(test_emptied_and_filled_again),
                                             UNIT(test_full_buffer_fails_the_snapshot_and_leaves_no_mark),
                                             UNIT(test_large_values_are_written_in_slices_while_others_change),
                                             UNIT(test_failure_in_the_middle_of_a_large_value),
                                             {NULL, NULL}};
    int status = unit_main(argc, argv, "store/snapshot", tests);
    if (scratch)
        fixture_close(scratch);
    free(scratch);
    return status;
}
