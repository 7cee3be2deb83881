/* hash_times_test.c: random operations on hashes whose fields expire, and on plain arrays beside them, which
 * must agree at every step of a virtual clock, with allocations that fail, in both forms, with and without
 * upkeep; what upkeep costs and what a time takes. */
#include "fixture.h"
#include "store/hash_forms.h"
#include "store/rdb_value.h"

enum { KEYS = 5, FIELDS = 150 };

struct field {
    bool there;
    uint32_t value;
    uint64_t expire_at;
};

struct model {
    struct fixture f;
    uint64_t random, now;
    bool active; /* upkeep runs */
    uint64_t key_expire[KEYS];
    struct field field[KEYS][FIELDS];
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

static struct slice field_number(unsigned i, char text[32])
{
    return (struct slice){(uint8_t *)text, (size_t)snprintf(text, 32, i % 3 ? "field:%u" : "%u", i)};
}

static struct slice value_number(uint32_t v, char text[80])
{
    size_t n = (size_t)snprintf(text, 80, "%llu", (unsigned long long)v << v % 40);
    if (v % 3 == 0) {
        n = v % 70;
        memset(text, 'a' + (int)(v % 26), n);
    }
    return (struct slice){(uint8_t *)text, n};
}

/* What has come to its time is no more: in the model at once. */
static void let_expire(struct model *m)
{
    for (unsigned k = 0; k < KEYS; k++) {
        bool key_over = m->key_expire[k] && m->key_expire[k] < m->now, left = false;
        for (unsigned i = 0; i < FIELDS; i++) {
            struct field *f = &m->field[k][i];
            if (key_over || (f->expire_at && f->expire_at < m->now))
                *f = (struct field){0};
            left |= f->there;
        }
        if (!left)
            m->key_expire[k] = 0;
    }
}

static unsigned count_of(const struct model *m, unsigned k)
{
    unsigned n = 0;
    for (unsigned i = 0; i < FIELDS; i++)
        n += m->field[k][i].there;
    return n;
}

static struct value_at open_key(struct model *m, const struct key *k)
{
    return (struct value_at){m->f.s, 0, k, store_find(m->f.s, 0, k, LOOK_WRITE), false};
}

struct seen {
    struct model *m;
    unsigned key, n;
    bool field[FIELDS];
};

static void see(const struct hash_pair *pair, void *arg)
{
    struct seen *seen = arg;
    char text[32] = "", want[80];
    const char *digits = memchr(pair->field.p, ':', pair->field.len);
    size_t skip = digits ? sizeof "field:" - 1 : 0;
    memcpy(text, pair->field.p + skip, pair->field.len - skip);
    unsigned i = (unsigned)atoi(text);
    const struct field *f = &seen->m->field[seen->key][i];
    CU_ASSERT_TRUE_FATAL(f->there && !seen->field[i]);
    CU_ASSERT_EQUAL_FATAL(pair->expire_at, f->expire_at);
    CU_ASSERT_TRUE_FATAL(slice_eq(pair->value, value_number(f->value, want)));
    seen->field[i] = true;
    seen->n++;
}

static void check_walks(struct model *m, unsigned number, const struct value_at *v, unsigned count)
{
    struct seen walked = {.m = m, .key = number}, scanned = walked, sampled = walked;
    struct hash_cursor cursor = {0};
    struct hash_pair pair;
    uint64_t want = pick(m, 2) ? FIELDS : 1 + pick(m, count), at = 0;
    while (hash_next(m->f.s, v->e, &cursor, &pair))
        see(&pair, &walked);
    CU_ASSERT_EQUAL_FATAL(walked.n, count);
    do
        at = hash_scan(m->f.s, v->e, at, 10, see, &scanned);
    while (at);
    CU_ASSERT_EQUAL_FATAL(scanned.n, count);
    CU_ASSERT_TRUE_FATAL(hash_sample(m->f.s, v->e, want, see, &sampled));
    CU_ASSERT_EQUAL_FATAL(sampled.n, want < count ? want : count);
    for (unsigned i = 0; i < 5; i++) {
        struct seen one = {.m = m, .key = number};
        hash_random(m->f.s, v->e, &pair);
        see(&pair, &one);
    }
}

static void check(struct model *m, unsigned number)
{
    char text[16], field[32], want[80], scratch[HASH_TEXT];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    unsigned count = count_of(m, number);
    CU_ASSERT_EQUAL_FATAL(v.e != NULL, count > 0);
    if (!v.e)
        return;
    CU_ASSERT_EQUAL_FATAL(hash_count(m->f.s, v.e), count);
    CU_ASSERT_EQUAL_FATAL(entry_expire_at(v.e), m->key_expire[number]);
    for (unsigned i = 0; i < FIELDS; i++) {
        const struct field *f = &m->field[number][i];
        struct slice got;
        uint64_t at;
        bool there = hash_get_until(m->f.s, v.e, field_number(i, field), &got, scratch, &at);
        CU_ASSERT_EQUAL_FATAL(there, f->there);
        CU_ASSERT_TRUE_FATAL(!there || (slice_eq(got, value_number(f->value, want)) && at == f->expire_at));
    }
    check_walks(m, number, &v, count);
}

static void fail_soon(struct model *m)
{
    m->f.s->heap.fail_in = pick(m, 3) ? 0 : 1 + pick(m, 4);
}

static void op_set(struct model *m, unsigned number)
{
    char text[16], field[32], value[80];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    unsigned i = (unsigned)pick(m, FIELDS);
    struct field *f = &m->field[number][i];
    uint32_t id = (uint32_t)pick(m, 100000);
    bool added, keep = pick(m, 2);
    fail_soon(m);
    enum store_result result =
        (keep ? hash_update : hash_set)(&v, field_number(i, field), value_number(id, value), &added);
    m->f.s->heap.fail_in = 0;
    if (result != STORE_OK)
        return;
    CU_ASSERT_EQUAL_FATAL(added, !f->there);
    *f = (struct field){true, id, keep ? f->expire_at : 0};
}

/* Times soon and late, earlier and later than the present one, and none. */
static void op_expire(struct model *m, unsigned number)
{
    static const uint64_t spans[] = {3, 100, 1000, 100000, 100000000};
    char text[16], field[32];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    unsigned i = (unsigned)pick(m, FIELDS);
    for (unsigned tries = 0; v.e && !m->field[number][i].there && tries < FIELDS; tries++)
        i = (i + 1) % FIELDS;
    struct field *f = &m->field[number][i];
    uint64_t at = pick(m, 6) ? m->now + 1 + pick(m, spans[pick(m, 5)]) : 0;
    if (pick(m, 200) == 0)
        at = HASH_LATEST;
    if (!v.e)
        return;
    fail_soon(m);
    enum store_result result = hash_expire(&v, field_number(i, field), at);
    m->f.s->heap.fail_in = 0;
    if (result == STORE_OK)
        f->expire_at = at;
}

static void op_delete(struct model *m, unsigned number)
{
    char text[16], field[32];
    struct key k = key_number(m, number, text);
    for (unsigned n = (unsigned)pick(m, 8) ? 2 : 60; n > 0; n--) {
        struct value_at v = open_key(m, &k);
        unsigned i = (unsigned)pick(m, FIELDS);
        CU_ASSERT_EQUAL_FATAL(hash_delete(&v, field_number(i, field)), m->field[number][i].there);
        m->field[number][i] = (struct field){0};
    }
    if (count_of(m, number) == 0)
        m->key_expire[number] = 0;
}

static void op_copy(struct model *m, unsigned number)
{
    char text[16], other[16];
    unsigned to = (unsigned)pick(m, KEYS);
    struct key a = key_number(m, number, text), b = key_number(m, to, other);
    bool move = pick(m, 2);
    if (to == number || count_of(m, number) == 0)
        return;
    m->f.s->heap.fail_in = pick(m, 2) ? 0 : 1 + pick(m, 30);
    enum store_result result = (move ? store_rename : store_copy)(m->f.s, 0, &a, m->f.s, 0, &b);
    m->f.s->heap.fail_in = 0;
    if (result != STORE_OK)
        return;
    memcpy(m->field[to], m->field[number], sizeof m->field[to]);
    m->key_expire[to] = m->key_expire[number];
    if (move) {
        memset(m->field[number], 0, sizeof m->field[number]);
        m->key_expire[number] = 0;
    }
}

/* Out in RDB's form and in again, over itself. */
static void op_rdb(struct model *m, unsigned number)
{
    char text[16];
    struct key k = key_number(m, number, text);
    struct value_at v = open_key(m, &k);
    struct rdb_writer w = {.compress = true};
    if (!v.e)
        return;
    rdb_put_value(&w, m->f.s, v.e);
    CU_ASSERT_FALSE_FATAL(w.failed);
    struct rdb_reader r = {.p = w.p, .left = w.len};
    struct rdb_target to = {m->f.s, 0, &k, m->key_expire[number]};
    m->f.s->heap.fail_in = pick(m, 2) ? 0 : 1 + pick(m, 100);
    enum rdb_result result = rdb_take_value(&r, &to);
    m->f.s->heap.fail_in = 0;
    CU_ASSERT_NOT_EQUAL_FATAL(result, RDB_BAD);
    CU_ASSERT_TRUE_FATAL(result == RDB_OOM || r.left == 0);
    rdb_writer_free(&w);
    check(m, number);
}

static void forget(struct model *m, unsigned number)
{
    memset(m->field[number], 0, sizeof m->field[number]);
    m->key_expire[number] = 0;
}

static void op_other(struct model *m, unsigned number)
{
    char text[16];
    struct key k = key_number(m, number, text);
    switch (pick(m, 5)) {
    case 4:
        op_rdb(m, number);
        break;
    case 0:
        store_delete(m->f.s, 0, &k);
        forget(m, number);
        break;
    case 1: { /* a string in its place, whichever form it had */
        CU_ASSERT_EQUAL_FATAL(store_set_string(m->f.s, 0, &k, slice_str("x"), 0, 0), STORE_OK);
        store_delete(m->f.s, 0, &k);
        forget(m, number);
        break;
    }
    case 2: {
        uint64_t at = pick(m, 2) ? m->now + 1 + pick(m, 2000) : 0;
        if (count_of(m, number) && store_set_expire(m->f.s, 0, &k, at) == STORE_OK)
            m->key_expire[number] = at;
        break;
    }
    default:
        compact_begin(m->f.s);
        while (compact_run(m->f.s, 1 + (unsigned)pick(m, 200)))
            ;
    }
}

static void pass_time(struct model *m)
{
    m->now += pick(m, 3) ? pick(m, 20) : pick(m, 3000);
    shard_set_time(m->f.s, m->now);
    let_expire(m);
    if (m->active)
        shard_upkeep(m->f.s, 1 + (unsigned)pick(m, 100));
}

static uint64_t timed_in_model(const struct model *m)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        bool timed = false;
        for (unsigned i = 0; i < FIELDS; i++)
            timed |= m->field[k][i].expire_at != 0;
        n += timed;
    }
    return n;
}

static void step(struct model *m, unsigned round)
{
    unsigned number = (unsigned)pick(m, KEYS), op = (unsigned)pick(m, 300);
    if (op < 110)
        op_set(m, number);
    else if (op < 220)
        op_expire(m, number);
    else if (op < 280)
        op_delete(m, number);
    else if (op < 286)
        op_copy(m, number);
    else if (op < 289)
        op_other(m, number);
    else
        pass_time(m);
    if (round % 32 == 0)
        check(m, number);
    if (round % 1000 == 0) {
        m->f.s->limits.hash_entries = round % 2000 ? 20 : pick(m, 300);
        m->f.s->limits.hash_value = pick(m, 100);
        m->active = pick(m, 3);
    }
}

static void test_hashes_agree_with_a_model(void)
{
    static struct model m;
    struct store_account a;
    memset(&m, 0, sizeof m);
    fixture_open(&m.f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    m.random = 11;
    m.now = T0 * 1000ull;
    for (unsigned round = 0; round < 120000; round++)
        step(&m, round);
    for (unsigned k = 0; k < KEYS; k++) /* look-ups take out what is over */
        check(&m, k);
    upkeep_all(m.f.s);
    CU_ASSERT_EQUAL(m.f.s->db[0].timed, timed_in_model(&m));
    m.now = HASH_LATEST + 100000; /* everything with a time goes by upkeep alone */
    shard_set_time(m.f.s, m.now);
    let_expire(&m);
    upkeep_all(m.f.s);
    CU_ASSERT_EQUAL(m.f.s->db[0].timed, 0);
    for (unsigned k = 0; k < KEYS; k++)
        check(&m, k);
    store_flush(m.f.s, 0);
    upkeep_all(m.f.s);
    shard_account(m.f.s, &a);
    CU_ASSERT_EQUAL(a.data, 0);
    CU_ASSERT_EQUAL(a.used, 0);
    fixture_close(&m.f);
}

/* -- upkeep -- */

static void fill(struct fixture *f, const struct key *k, unsigned n, uint64_t at, uint64_t step_ms)
{
    char field[32];
    struct value_at v = {f->s, 0, k, store_find(f->s, 0, k, LOOK_WRITE), false};
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(i, field), slice_str("value"), NULL), STORE_OK);
        CU_ASSERT_EQUAL_FATAL(hash_expire(&v, field_number(i, field), at + i * step_ms), STORE_OK);
    }
}

/* Half of the fields of a large hash go at one time: in slices, and nobody sees one of them meanwhile. */
static void test_upkeep_takes_fields_in_slices(void)
{
    enum { N = 20000 };
    struct fixture f;
    struct key k;
    uint64_t t = T0 * 1000ull;
    unsigned slices = 0;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    k = key_of(&f, "large");
    fill(&f, &k, N, t + 5000, 0);
    fill(&f, &k, N / 2, t + 900000, 0); /* these again, for later */
    shard_set_time(f.s, t + 5001);
    CU_ASSERT_EQUAL(hash_count(f.s, get(&f, 0, "large")), N / 2);
    shard_set_time(f.s, t + 6001);
    while (shard_upkeep(f.s, 500)) {
        CU_ASSERT_EQUAL(hash_count(f.s, get(&f, 0, "large")), N / 2);
        slices++;
    }
    CU_ASSERT_TRUE(slices >= N / 2 / 500);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_subkeys], N / 2);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 1);
    shard_set_time(f.s, t + 900064);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_subkeys], N);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_keys], 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Nothing but upkeep looks at these, and it takes each field when its time has come. */
static void test_upkeep_alone(void)
{
    struct fixture f;
    char name[16];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "k%u", i);
        struct key k = key_of(&f, name);
        fill(&f, &k, 10, t + 1000 + i * 7, 500);
    }
    for (unsigned ms = 0; ms < 7000; ms += 10) {
        shard_set_time(f.s, t + ms);
        upkeep_all(f.s);
        uint64_t gone = 0, soon = 0, expired = f.counters[0].v[COUNTER_expired_subkeys];
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t at = 1000 + i / 10 * 7 + i % 10 * 500;
            gone += at + 64 <= ms;
            soon += at < ms;
        }
        CU_ASSERT_TRUE_FATAL(expired >= gone && expired <= soon);
    }
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Compaction moves elements that lie in the order of times. */
static void test_compaction(void)
{
    enum { N = 20000 };
    struct fixture f;
    char field[32];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "large");
    fill(&f, &k, N, t + 100000, 3);
    struct value_at v = {f.s, 0, &k, get(&f, 0, "large"), false};
    for (unsigned i = 0; i < N; i++)
        if (i % 16)
            CU_ASSERT_TRUE(hash_delete(&v, field_number(i, field)));
    uint64_t changes = f.s->changes;
    compact_begin(f.s);
    while (compact_run(f.s, 1000))
        ;
    CU_ASSERT_TRUE(f.s->changes - changes > N / 32);
    v.e = get(&f, 0, "large");
    for (unsigned i = 0; i < N; i += 32)
        CU_ASSERT_EQUAL_FATAL(hash_expire(&v, field_number(i, field), t + 5000), STORE_OK);
    shard_set_time(f.s, t + 6000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(hash_fields(get(&f, 0, "large")), N / 32);
    for (unsigned i = 16; i < N; i += 32) {
        shard_set_time(f.s, t + 100000 + i * 3 + 1);
        struct entry *e = get(&f, 0, "large");
        CU_ASSERT_EQUAL_FATAL(e ? hash_count(f.s, e) : 0, N / 32 - 1 - i / 32);
    }
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Keys with field times are not keys with an expiry: a volatile policy leaves them alone, and the wheel does
 * not forget them meanwhile. */
static void test_volatile_eviction_passes_them_by(void)
{
    struct fixture f;
    char name[16];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_VOLATILE_TTL, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "k%u", i);
        struct key k = key_of(&f, name);
        fill(&f, &k, 3, t + 1000000, 1);
        snprintf(name, sizeof name, "s%u", i);
        set(&f, 0, name, "x", t + 2000000);
    }
    for (unsigned i = 0; i < 50; i++)
        CU_ASSERT_TRUE(evict_one(f.s, NULL));
    CU_ASSERT_FALSE(evict_one(f.s, NULL));
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 50);
    CU_ASSERT_EQUAL(f.s->db[0].timed, 50);
    shard_set_time(f.s, t + 1000200);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    fixture_close(&f);
}

/* -- between shards, and what it takes -- */

static void test_copy_to_another_shard(void)
{
    struct fixture f;
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    for (unsigned n = 5; n < 1000; n *= 10) {
        struct key a = key_of(&f, "a"), b = key_of(&f, "b");
        fill(&f, &a, n, t + 1000, 1000);
        CU_ASSERT_EQUAL_FATAL(store_copy(f.s, 0, &a, f.ks->shard[1], 3, &b), STORE_OK);
        shard_set_time(f.ks->shard[1], t + 2001);
        struct entry *e = store_find(f.ks->shard[1], 3, &b, LOOK_READ);
        CU_ASSERT_EQUAL(hash_count(f.ks->shard[1], e), n - 2);
        CU_ASSERT_EQUAL(f.ks->shard[1]->db[3].timed, 1);
        shard_set_time(f.ks->shard[1], t + 2000000);
        upkeep_all(f.ks->shard[1]);
        CU_ASSERT_EQUAL(keys_in(f.ks->shard[1], 3), 0);
        CU_ASSERT_EQUAL(used(f.ks->shard[1]), 0);
        shard_set_time(f.ks->shard[1], t);
        store_delete(f.s, 0, &a);
    }
    fixture_close(&f);
}

/* -- RDB's forms -- */

static enum rdb_result take(struct fixture *f, const uint8_t *p, size_t n)
{
    struct key k = key_of(f, "h");
    struct rdb_reader r = {.p = p, .left = n};
    struct rdb_target to = {f->s, 0, &k, 0};
    enum rdb_result result = rdb_take_value(&r, &to);
    return result == RDB_OK && r.left ? RDB_BAD : result;
}

/* Both forms of two fields with times and one without, or what `spoil` makes of them. */
static void write_form(struct rdb_writer *w, bool listpack, unsigned spoil)
{
    static const char *const names[] = {"one", "22", "none"};
    uint64_t t = T0 * 1000ull + 5000, at[] = {t, t + 77, 0};
    struct rdb_writer aside = {0};
    size_t begin = listpack_begin(&aside);
    at[1] = spoil == 1 ? HASH_LATEST + 1 : at[1];
    rdb_put_byte(w, listpack ? RDB_HASH_LISTPACK_EX : RDB_HASH_METADATA);
    rdb_put(w, &t, sizeof t);
    if (!listpack)
        rdb_put_len(w, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct item name = item_of(slice_str(names[spoil == 2 ? 0 : i])),
                    time = item_of_number((int64_t)at[i]), value = item_of(slice_str("value"));
        if (spoil == 3)
            time = value;
        listpack_put(&aside, &name);
        listpack_put(&aside, &value);
        if (spoil != 4 || i < 2)
            listpack_put(&aside, &time);
        if (!listpack) {
            rdb_put_len(w, at[i] ? at[i] - t + 1 : 0);
            rdb_put_string(w, slice_str(names[spoil == 2 ? 0 : i]));
            rdb_put_string(w, slice_str("value"));
        }
    }
    listpack_end(&aside, begin, spoil == 4 ? 8 : 9);
    if (listpack)
        rdb_put_aside(w, &aside);
    rdb_writer_free(&aside);
}

static void test_rdb_forms_are_read(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned listpack = 0; listpack < 2; listpack++) {
        struct rdb_writer w = {0};
        struct slice value;
        char scratch[HASH_TEXT];
        uint64_t at, t = T0 * 1000ull + 5000;
        write_form(&w, listpack, 0);
        for (size_t n = 0; n < w.len; n++) {
            CU_ASSERT_EQUAL(take(&f, w.p, n), RDB_BAD);
            CU_ASSERT_PTR_NULL(get(&f, 0, "h"));
        }
        CU_ASSERT_EQUAL(take(&f, w.p, w.len), RDB_OK);
        struct entry *e = get(&f, 0, "h");
        CU_ASSERT_STRING_EQUAL(entry_encoding(e), "listpackex");
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("one"), &value, scratch, &at) && at == t);
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("22"), &value, scratch, &at) && at == t + 77);
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("none"), &value, scratch, &at) && at == 0);
        CU_ASSERT_TRUE(slice_eq(value, slice_str("value")));
        shard_set_time(f.s, t + 77 + 128); /* the wheel knows of it */
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(hash_fields(get(&f, 0, "h")), 1);
        shard_set_time(f.s, T0 * 1000ull);
        store_flush(f.s, 0);
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(used(f.s), 0);
        rdb_writer_free(&w);
        for (unsigned spoil = 1; spoil <= (listpack ? 4 : 2); spoil++) {
            w = (struct rdb_writer){0};
            write_form(&w, listpack, spoil);
            CU_ASSERT_EQUAL(take(&f, w.p, w.len), RDB_BAD);
            CU_ASSERT_EQUAL(used(f.s), 0);
            rdb_writer_free(&w);
        }
    }
    fixture_close(&f);
}

/* MEMORY USAGE beside the same hash without times: at most 8 bytes a field and 8 in a pack (before the
 * rounding to a size class), 18 in a table. */
static void test_bytes_a_field(void)
{
    static const unsigned counts[] = {10, 100, 1000, 100000};
    for (unsigned i = 0; i < 4; i++) {
        struct fixture f;
        unsigned n = counts[i];
        char field[32];
        fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
        struct key a = key_of(&f, "a"), b = key_of(&f, "b");
        struct value_at v = {f.s, 0, &a, NULL, false};
        for (unsigned k = 0; k < n; k++)
            CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(k, field), slice_str("value"), NULL), STORE_OK);
        fill(&f, &b, n, T0 * 1000ull + 100000, 17);
        double with = (double)entry_memory(get(&f, 0, "b")), without = (double)entry_memory(get(&f, 0, "a"));
        CU_ASSERT_TRUE((with - without) / n <= (n > 128 ? 18 : 8 + without / n / 4));
        if (getenv("MEASURE"))
            printf("# %u fields: %.1f bytes a field, with times %.1f\n", n, without / n, with / n);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_hashes_agree_with_a_model),
                                             UNIT(test_upkeep_takes_fields_in_slices),
                                             UNIT(test_upkeep_alone),
                                             UNIT(test_volatile_eviction_passes_them_by),
                                             UNIT(test_compaction),
                                             UNIT(test_copy_to_another_shard),
                                             UNIT(test_rdb_forms_are_read),
                                             UNIT(test_bytes_a_field),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/hash_times", tests);
}
