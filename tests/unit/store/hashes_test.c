/* hashes_test.c: random operations on hashes and on plain arrays beside them, which must agree after each,
 * with allocations that fail, in both forms; scans, samples, copies, slices of freeing, and compaction. */
#include "hash_fields.h"
#include "store/hash.h"
#include "store/table.h"
#include "store/value.h"

enum { KEYS = 6, FIELDS = 400 };

struct model {
    struct fixture f;
    uint64_t random;
    bool there[KEYS][FIELDS];
    uint32_t value[KEYS][FIELDS];
    unsigned count[KEYS];
};

static uint64_t pick(struct model *m, uint64_t n)
{
    return next_random(&m->random) % n;
}

static struct key key_number(struct model *m, unsigned k, char text[16])
{
    snprintf(text, 16, "key:%u", k);
    return key_of(&m->f, text);
}

/* Texts of all lengths and integers of all sizes. */
static struct slice value_number(uint32_t v, char text[300])
{
    size_t n = (size_t)snprintf(text, 300, "%llu", (unsigned long long)v << v % 40);
    if (v % 4 == 0) {
        n = v % 16 ? v % 64 : v % 290;
        memset(text, 'a' + (int)(v % 26), n);
    }
    return (struct slice){(uint8_t *)text, n};
}

static struct value_at open_key(struct model *m, const struct key *k)
{
    return (struct value_at){m->f.s, 0, k, store_find(m->f.s, 0, k, LOOK_WRITE)};
}

static void check(struct model *m, unsigned number)
{
    char text[16], field[32], want[300], scratch[HASH_TEXT];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    unsigned found = 0;
    CU_ASSERT_EQUAL_FATAL(v.e != NULL, m->count[number] > 0);
    if (!v.e)
        return;
    CU_ASSERT_EQUAL_FATAL(hash_count(v.s, v.e), m->count[number]);
    for (unsigned i = 0; i < FIELDS; i++) {
        struct slice got;
        bool there = hash_get(m->f.s, v.e, field_number(i, field), &got, scratch);
        CU_ASSERT_EQUAL_FATAL(there, m->there[number][i]);
        CU_ASSERT_TRUE_FATAL(!there || slice_eq(got, value_number(m->value[number][i], want)));
    }
    struct hash_cursor cursor = {0};
    struct hash_pair pair;
    while (hash_next(m->f.s, v.e, &cursor, &pair))
        found++;
    CU_ASSERT_EQUAL_FATAL(found, m->count[number]);
}

static void op_set(struct model *m, unsigned number)
{
    char text[16], field[32], value[300];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    unsigned i = (unsigned)pick(m, FIELDS);
    uint32_t id = (uint32_t)pick(m, 100000);
    bool added;
    m->f.s->heap.fail_in = pick(m, 4) ? 0 : 1 + pick(m, 4);
    enum store_result result = hash_set(&v, field_number(i, field), value_number(id, value), &added);
    m->f.s->heap.fail_in = 0;
    if (result != STORE_OK)
        return;
    CU_ASSERT_EQUAL_FATAL(added, !m->there[number][i]);
    m->count[number] += added;
    m->there[number][i] = true;
    m->value[number][i] = id;
}

static void op_delete(struct model *m, unsigned number)
{
    char text[16], field[32];
    struct key k = key_number(m, number, text);
    for (unsigned n = (unsigned)pick(m, 8) ? 2 : 200; n > 0; n--) {
        struct value_at v = open_key(m, &k);
        unsigned i = (unsigned)pick(m, FIELDS);
        CU_ASSERT_EQUAL_FATAL(hash_delete(&v, field_number(i, field)), m->there[number][i]);
        m->count[number] -= m->there[number][i];
        m->there[number][i] = false;
    }
}

static void op_copy(struct model *m, unsigned number)
{
    char text[16], other[16];
    unsigned to = (unsigned)pick(m, KEYS);
    struct key a = key_number(m, number, text), b = key_number(m, to, other);
    bool move = pick(m, 2);
    if (to == number)
        return;
    m->f.s->heap.fail_in = pick(m, 2) ? 0 : 1 + pick(m, 30);
    enum store_result result = (move ? store_rename : store_copy)(m->f.s, 0, &a, m->f.s, 0, &b);
    m->f.s->heap.fail_in = 0;
    if (result != STORE_OK || m->count[number] == 0)
        return;
    memcpy(m->there[to], m->there[number], sizeof m->there[to]);
    memcpy(m->value[to], m->value[number], sizeof m->value[to]);
    m->count[to] = m->count[number];
    if (move) {
        memset(m->there[number], 0, sizeof m->there[number]);
        m->count[number] = 0;
    }
}

static void op_other(struct model *m, unsigned number)
{
    char text[16];
    struct key k = key_number(m, number, text);
    switch (pick(m, 3)) {
    case 0:
        store_delete(m->f.s, 0, &k);
        memset(m->there[number], 0, sizeof m->there[number]);
        m->count[number] = 0;
        break;
    case 1:
        CU_ASSERT_EQUAL_FATAL(store_set_expire(m->f.s, 0, &k, pick(m, 2) ? 0 : T0 * 2000ull), STORE_OK);
        break;
    default:
        compact_begin(m->f.s);
        while (compact_run(m->f.s, 1 + (unsigned)pick(m, 200)))
            ;
    }
}

static void test_hashes_agree_with_a_model(void)
{
    static struct model m;
    struct store_account a;
    memset(&m, 0, sizeof m);
    fixture_open(&m.f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    m.random = 7;
    for (unsigned round = 0; round < 60000; round++) {
        unsigned number = (unsigned)pick(&m, KEYS), op = (unsigned)pick(&m, 300);
        if (op < 200)
            op_set(&m, number);
        else if (op < 294)
            op_delete(&m, number);
        else if (op < 298)
            op_copy(&m, number);
        else
            op_other(&m, number);
        if (round % 64 == 0)
            check(&m, number);
        if (round % 3000 == 0) {
            m.f.s->limits.hash_entries = round % 2 ? 20 : pick(&m, 300);
            m.f.s->limits.hash_value = pick(&m, 300);
        }
    }
    store_flush(m.f.s, 0);
    upkeep_all(m.f.s);
    shard_account(m.f.s, &a);
    CU_ASSERT_EQUAL(a.data, 0);
    CU_ASSERT_EQUAL(a.used, 0);
    fixture_close(&m.f);
}

/* -- a large one -- */

enum { LARGE = 20000 };

static void make_large(struct fixture *f, const struct key *k, unsigned from, unsigned to)
{
    char field[32], value[300];
    struct value_at v = {f->s, 0, k, store_find(f->s, 0, k, LOOK_WRITE)};
    for (unsigned i = from; i < to; i++)
        CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(i, field), value_number(i, value), NULL), STORE_OK);
}

static uint8_t seen[2 * LARGE];

static void see(const struct hash_pair *pair, void *arg)
{
    char text[32] = "";
    const char *digits = memchr(pair->field.p, ':', pair->field.len);
    (void)arg;
    memcpy(text, digits ? digits + 1 : (const char *)pair->field.p,
           pair->field.len - (digits ? sizeof "field:" - 1 : 0));
    unsigned i = (unsigned)atoi(text);
    seen[i] = (uint8_t)(seen[i] + (seen[i] < 255));
}

static void test_a_scan_sees_all_that_stays(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "large");
    make_large(&f, &k, 0, LARGE / 4);
    memset(seen, 0, sizeof seen);
    uint64_t cursor = 0;
    unsigned next = LARGE / 4;
    do {
        cursor = hash_scan(f.s, get(&f, 0, "large"), cursor, 10, see, NULL);
        make_large(&f, &k, next, next + 3);
        next += 3;
    } while (cursor && next < 2 * LARGE - 3);
    CU_ASSERT_EQUAL(cursor, 0);
    unsigned missed = 0;
    for (unsigned i = 0; i < LARGE / 4; i++)
        missed += !seen[i];
    CU_ASSERT_EQUAL(missed, 0);
    fixture_close(&f);
}

/* Every field comes about as often as any other, drawn one by one or as a set. */
static void test_chance_is_fair(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "h");
    enum { N = 1000, EACH = 100 };
    for (unsigned small = 0; small < 2; small++) {
        unsigned n = small ? 100 : N;
        f.s->limits.hash_value = 300;
        store_delete(f.s, 0, &k);
        make_large(&f, &k, 0, n);
        struct entry *e = get(&f, 0, "h");
        for (unsigned how = 0; how < 3; how++) {
            uint64_t chosen = 0;
            double chi = 0;
            unsigned each = how == 0 ? 1 : how == 1 ? n / 10 : n / 2;
            memset(seen, 0, sizeof seen);
            for (; chosen < (uint64_t)n * EACH; chosen += each) {
                struct hash_pair pair;
                if (how == 0) {
                    hash_random(f.s, e, &pair);
                    see(&pair, NULL);
                } else {
                    CU_ASSERT_TRUE_FATAL(hash_sample(f.s, e, each, see, NULL));
                }
            }
            for (unsigned i = 0; i < n; i++)
                chi += (seen[i] - (double)EACH) * (seen[i] - (double)EACH) / EACH;
            CU_ASSERT_TRUE(chi < n * 1.5); /* mean n, deviation sqrt(2n) */
        }
    }
    fixture_close(&f);
}

static void test_a_large_hash_is_freed_in_slices(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    struct key k = key_of(&f, "large"), other = key_of(&f, "other");
    make_large(&f, &k, 0, LARGE);
    struct entry *e = get(&f, 0, "large");
    uint64_t before = used(f.s);
    CU_ASSERT_TRUE(before - entry_memory(e) < 2048);
    CU_ASSERT_STRING_EQUAL(entry_encoding(e), "hashtable");
    CU_ASSERT_EQUAL(store_rename(f.s, 0, &k, f.ks->shard[1], 3, &other), STORE_OK);
    CU_ASSERT_TRUE(used(f.s) > before / 2);
    unsigned slices = 0;
    while (shard_upkeep(f.s, 500))
        slices++;
    CU_ASSERT_TRUE(slices > LARGE / 500 / 2);
    CU_ASSERT_EQUAL(used(f.s), 0);
    e = store_find(f.ks->shard[1], 3, &other, LOOK_READ);
    CU_ASSERT_EQUAL_FATAL(hash_count(f.s, e), LARGE);
    store_flush(f.ks->shard[1], UINT_MAX);
    upkeep_all(f.ks->shard[1]);
    CU_ASSERT_EQUAL(used(f.ks->shard[1]), 0);
    fixture_close(&f);
}

/* Elements of a hash that has shrunk come together, and its memory comes back. */
static void test_compaction_reaches_elements(void)
{
    enum { MANY = 200000 }; /* so that what the slabs of other sizes keep does not count */
    struct fixture f;
    char field[32], scratch[HASH_TEXT];
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "large");
    struct value_at v = {f.s, 0, &k, NULL};
    for (unsigned i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(i, field), slice_str("value"), NULL), STORE_OK);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 8)
            hash_delete(&v, field_number(i, field));
    struct store_account a;
    shard_account(f.s, &a);
    uint64_t before = a.reserved;
    upkeep_all(f.s);
    shard_account(f.s, &a);
    CU_ASSERT_TRUE(a.reserved < before / 3 * 2);
    v.e = get(&f, 0, "large");
    for (unsigned i = 0; i < MANY; i += 8) {
        struct slice got;
        CU_ASSERT_TRUE_FATAL(hash_get(f.s, v.e, field_number(i, field), &got, scratch) &&
                             slice_eq(got, slice_str("value")));
    }
    fixture_close(&f);
}

/* Memory is short: other keys go, never the hash that grows nor its elements. */
static void test_growth_evicts_others(void)
{
    struct fixture f;
    char name[32], scratch[HASH_TEXT], field[32], value[300];
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_ALLKEYS_RANDOM, 1);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "filler:%u", i);
        set(&f, 0, name, "some text that is long enough to matter", 0);
    }
    struct key k = key_of(&f, "large");
    enum { SOME = 4000 };
    make_large(&f, &k, 0, SOME);
    struct entry *e = get(&f, 0, "large");
    for (unsigned i = 0; i < SOME && e; i++) {
        struct slice got;
        CU_ASSERT_TRUE_FATAL(hash_get(f.s, e, field_number(i, field), &got, scratch) &&
                             slice_eq(got, value_number(i, value)));
    }
    CU_ASSERT_TRUE(e != NULL && used(f.s) <= 1 << 20);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_hashes_agree_with_a_model),
                                             UNIT(test_a_scan_sees_all_that_stays),
                                             UNIT(test_chance_is_fair),
                                             UNIT(test_a_large_hash_is_freed_in_slices),
                                             UNIT(test_compaction_reaches_elements),
                                             UNIT(test_growth_evicts_others),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/hashes", tests);
}
