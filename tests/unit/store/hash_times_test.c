/* hash_times_test.c: random operations on hashes whose fields expire, and on plain arrays beside them, which
 * must agree at every step of a virtual clock, with allocations that fail, in both forms, with and without
 * upkeep. What else concerns times of fields: hash_upkeep_test.c. */
#include "hash_fields.h"
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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_hashes_agree_with_a_model), {NULL, NULL}};
    return unit_main(argc, argv, "store/hash_times", tests);
}
