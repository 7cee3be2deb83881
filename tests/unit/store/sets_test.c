/* sets_test.c: sorted integers against a plain array; random operations on sets and a model beside them,
 * through all three forms, with allocations that fail. */
#include "fixture.h"
#include "store/ints.h"
#include "store/set.h"
#include "store/value.h"

/* -- sorted integers -- */

/* Numbers of every width. */
static int64_t number_of(uint64_t random)
{
    int64_t v = (int64_t)(random >> (random >> 8) % 64);
    return random & 1 ? v : -v;
}

static void test_integers_stay_sorted(void)
{
    enum { MOST = 300 };
    static uint8_t bytes[1 + 8 * (MOST + 1)];
    int64_t kept[MOST];
    unsigned n = 0;
    uint64_t random = 3;
    struct ints set = {NULL, 0};
    for (unsigned round = 0; round < 50000; round++) {
        uint64_t r = next_random(&random), index;
        bool add = n < MOST && (n == 0 || r >> 32 & 1);
        int64_t v = add ? number_of(next_random(&random)) : kept[(r >> 33) % n];
        bool there = false;
        for (unsigned i = 0; i < n; i++)
            there |= kept[i] == v;
        CU_ASSERT_EQUAL_FATAL(ints_find(set, v, &index), there);
        if (add && !there) {
            uint64_t len = ints_len_with(set, v);
            set.p = bytes;
            if (set.len == 0)
                bytes[0] = 1;
            ints_insert(set, v, index);
            set.len = len;
            kept[n++] = v;
        } else if (!add) {
            set.len = ints_delete(set, index);
            for (unsigned i = 0; i < n; i++)
                if (kept[i] == v)
                    kept[i] = kept[--n];
            if (n == 0)
                set = (struct ints){NULL, 0};
        }
        CU_ASSERT_EQUAL_FATAL(ints_count(set), n);
        for (unsigned i = 1; i < n; i++)
            CU_ASSERT_TRUE_FATAL(ints_at(set, i - 1) < ints_at(set, i));
    }
}

/* -- sets -- */

enum { KEYS = 5, MEMBERS = 300 };

struct model {
    struct fixture f;
    uint64_t random;
    bool there[KEYS][MEMBERS];
    unsigned count[KEYS];
};

static uint64_t pick(struct model *m, uint64_t n)
{
    return next_random(&m->random) % n;
}

/* The first half are numbers: a set of those alone is an array. */
static struct slice member_number(unsigned i, char text[100])
{
    size_t n = (size_t)snprintf(text, 100, i < MEMBERS / 2 ? "%ld" : "member:%ld",
                                (long)i + ((long)(i % 4) << 14 * (i % 4)));
    if (i > MEMBERS - 5)
        memset(text, 'a' + (int)(i % 26), n = 90);
    return (struct slice){(uint8_t *)text, n};
}

static void count_member(const struct set_member *member, void *arg)
{
    (void)member;
    ++*(unsigned *)arg;
}

static void check(struct model *m, const struct entry *e, unsigned number)
{
    char text[100];
    struct set_cursor cursor = {0};
    struct set_member member;
    unsigned found = 0, scanned = 0, sampled = 0;
    CU_ASSERT_EQUAL_FATAL(e != NULL, m->count[number] > 0);
    if (!e)
        return;
    CU_ASSERT_EQUAL_FATAL(set_count(e), m->count[number]);
    for (unsigned i = 0; i < MEMBERS; i++)
        CU_ASSERT_EQUAL_FATAL(set_has(m->f.s, e, member_number(i, text)), m->there[number][i]);
    for (; set_next(m->f.s, e, &cursor, &member); found++)
        CU_ASSERT_TRUE_FATAL(set_has(m->f.s, e, member.text));
    CU_ASSERT_EQUAL_FATAL(set_scan(m->f.s, e, 0, UINT64_MAX, count_member, &scanned), 0);
    CU_ASSERT_TRUE_FATAL(set_sample(m->f.s, e, pick(m, MEMBERS), count_member, &sampled));
    CU_ASSERT_TRUE_FATAL(found == m->count[number] && scanned == found && sampled <= found);
    set_random(m->f.s, e, &member);
    CU_ASSERT_TRUE_FATAL(set_has(m->f.s, e, member.text));
}

static void one_round(struct model *m, unsigned round)
{
    char name[16], text[100];
    unsigned number = (unsigned)pick(m, KEYS), from = (unsigned)pick(m, 3);
    snprintf(name, sizeof name, "key:%u", number);
    struct key k = key_of(&m->f, name);
    struct value_at v = {m->f.s, 0, &k, store_find(m->f.s, 0, &k, LOOK_WRITE)};
    unsigned i = (unsigned)pick(m, from ? MEMBERS / 2 : MEMBERS);
    bool add = pick(m, 100) < 60, added = false;
    if (add) {
        m->f.s->heap.fail_in = pick(m, 4) ? 0 : 1 + pick(m, 4);
        enum store_result result = set_add(&v, member_number(i, text), &added);
        m->f.s->heap.fail_in = 0;
        if (result == STORE_OK) {
            CU_ASSERT_EQUAL_FATAL(added, !m->there[number][i]);
            m->count[number] += added;
            m->there[number][i] = true;
        }
    } else {
        CU_ASSERT_EQUAL_FATAL(set_remove(&v, member_number(i, text)), m->there[number][i]);
        m->count[number] -= m->there[number][i];
        m->there[number][i] = false;
    }
    if (pick(m, 600) == 0) {
        store_delete(m->f.s, 0, &k);
        memset(m->there[number], 0, sizeof m->there[number]);
        m->count[number] = 0;
    }
    if (round % 32 == 0)
        check(m, store_find(m->f.s, 0, &k, LOOK_READ), number);
}

static void test_sets_agree_with_a_model(void)
{
    static struct model m;
    struct store_account a;
    memset(&m, 0, sizeof m);
    fixture_open(&m.f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    m.random = 11;
    for (unsigned round = 0; round < 40000; round++) {
        one_round(&m, round);
        if (round % 1000 == 0) {
            m.f.s->limits.set_ints = pick(&m, 150);
            m.f.s->limits.set_entries = pick(&m, 200);
            m.f.s->limits.set_value = pick(&m, 100);
        }
    }
    store_flush(m.f.s, 0);
    upkeep_all(m.f.s);
    shard_account(m.f.s, &a);
    CU_ASSERT_EQUAL(a.data, 0);
    CU_ASSERT_EQUAL(a.used, 0);
    fixture_close(&m.f);
}

/* Redis 7.2: integers until one is too many, then a table; a text makes a pack of few. */
static void test_encodings_are_redis(void)
{
    struct fixture f;
    char text[32];
    bool added;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "s");
    struct value_at v = {f.s, 0, &k, NULL};
    for (unsigned i = 0; i < 513; i++) {
        set_add(&v, (struct slice){(uint8_t *)text, (size_t)snprintf(text, sizeof text, "%u", i)}, &added);
        CU_ASSERT_STRING_EQUAL(entry_encoding(v.e), i < 512 ? "intset" : "hashtable");
    }
    store_delete(f.s, 0, &k);
    v.e = NULL;
    set_add(&v, slice_str("1"), &added);
    for (unsigned i = 1; i < 129; i++) {
        set_add(&v, (struct slice){(uint8_t *)text, (size_t)snprintf(text, sizeof text, "m%u", i)}, &added);
        CU_ASSERT_STRING_EQUAL(entry_encoding(v.e), i < 128 ? "listpack" : "hashtable");
    }
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_integers_stay_sorted),
                                             UNIT(test_sets_agree_with_a_model),
                                             UNIT(test_encodings_are_redis),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/sets", tests);
}
