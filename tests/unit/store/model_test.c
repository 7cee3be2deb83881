/* model_test.c: hundreds of thousands of random operations on the store and on a plain array beside it, which
 * must agree after each; counts, expiry, scan and accounts included. */
#include "fixture.h"

enum { DBS = 3, IDS = 6000, VALUE_MAX = 3000 };

struct cell {
    bool there;
    uint64_t expire_at;
    uint32_t len, seed;
    bool is_int;
};

struct model {
    struct fixture f;
    uint64_t random, now;
    struct cell cell[DBS][IDS];
    uint64_t keys[DBS];
    uint8_t seen[IDS], present[IDS];
};

static void name_of(unsigned id, char *text)
{
    int n = snprintf(text, 400, "key:%u", id);
    if (id % 50 == 0) /* some long keys, over the short length field */
        memset(text + n, 'k', 300), text[n + 300] = 0;
}

static void value_of_cell(const struct cell *c, uint8_t *bytes)
{
    for (uint32_t i = 0; i < c->len; i++)
        bytes[i] = (uint8_t)('a' + (c->seed + i * 7) % 26);
}

static uint64_t pick(struct model *m, uint64_t n)
{
    return next_random(&m->random) % n;
}

static void drop(struct model *m, unsigned db, unsigned id)
{
    struct cell *c = &m->cell[db][id];
    m->keys[db] -= c->there;
    c->there = false;
    c->expire_at = 0;
}

/* What the model holds now, with expiry seen to. */
static struct cell *at(struct model *m, unsigned db, unsigned id)
{
    struct cell *c = &m->cell[db][id];
    if (c->there && c->expire_at && c->expire_at <= m->now)
        drop(m, db, id);
    return c;
}

static void check(struct model *m, unsigned db, unsigned id)
{
    static uint8_t want[VALUE_MAX * 2];
    char text[400], scratch[24];
    name_of(id, text);
    struct cell *c = at(m, db, id);
    struct entry *e = get(&m->f, db, text);
    CU_ASSERT_EQUAL_FATAL(e != NULL, c->there);
    if (!e)
        return;
    struct slice s = entry_string(e, scratch);
    CU_ASSERT_EQUAL_FATAL(entry_expire_at(e), c->expire_at);
    CU_ASSERT_TRUE_FATAL(slice_eq(entry_key(e), slice_str(text)));
    if (c->is_int) {
        int64_t v = 0;
        CU_ASSERT_TRUE_FATAL(entry_int(e, &v) && v == (int64_t)c->seed);
        return;
    }
    CU_ASSERT_EQUAL_FATAL(s.len, c->len);
    value_of_cell(c, want);
    CU_ASSERT_TRUE_FATAL(memcmp(s.p, want, c->len) == 0);
}

static void op_set(struct model *m, unsigned db, unsigned id)
{
    static uint8_t bytes[VALUE_MAX * 2];
    char text[400];
    name_of(id, text);
    struct key k = key_of(&m->f, text);
    struct cell *c = at(m, db, id);
    unsigned flags = pick(m, 4) == 0 ? SET_KEEPTTL : 0;
    uint64_t expire = pick(m, 3) == 0 ? m->now + 1 + pick(m, 20000) : 0;
    uint64_t keep = c->there ? c->expire_at : 0;
    m->keys[db] += !c->there;
    *c = (struct cell){.there = true, .seed = (uint32_t)pick(m, 1000), .expire_at = flags ? keep : expire};
    c->is_int = pick(m, 5) == 0;
    c->len = (uint32_t)(pick(m, 10) == 0 ? pick(m, VALUE_MAX) : pick(m, 100));
    if (c->is_int) {
        int n = snprintf((char *)bytes, 32, "%u", c->seed);
        CU_ASSERT_EQUAL_FATAL(
            store_set_string(m->f.s, db, &k, (struct slice){bytes, (size_t)n}, expire, flags), STORE_OK);
        return;
    }
    value_of_cell(c, bytes);
    struct slice value = {bytes, c->len};
    CU_ASSERT_EQUAL_FATAL(store_set_string(m->f.s, db, &k, value, expire, flags), STORE_OK);
}

static void op_delete(struct model *m, unsigned db, unsigned id)
{
    char text[400];
    name_of(id, text);
    struct key k = key_of(&m->f, text);
    CU_ASSERT_EQUAL_FATAL(store_delete(m->f.s, db, &k), at(m, db, id)->there);
    drop(m, db, id);
}

static void op_expire(struct model *m, unsigned db, unsigned id)
{
    char text[400];
    name_of(id, text);
    struct key k = key_of(&m->f, text);
    struct cell *c = at(m, db, id);
    uint64_t expire = pick(m, 3) == 0 ? 0 : m->now + 1 + pick(m, 10) * pick(m, 10000);
    CU_ASSERT_EQUAL_FATAL(store_set_expire(m->f.s, db, &k, expire), STORE_OK);
    if (c->there)
        c->expire_at = expire;
}

static void op_move(struct model *m, unsigned db, unsigned id)
{
    char text[400], other[400];
    unsigned to = (unsigned)pick(m, DBS), id2 = (unsigned)pick(m, IDS);
    bool move = pick(m, 2);
    name_of(id, text);
    name_of(id2, other);
    struct key a = key_of(&m->f, text), b = key_of(&m->f, other);
    if (!at(m, db, id)->there)
        return;
    struct cell c = *at(m, db, id), *target = at(m, to, id2);
    CU_ASSERT_EQUAL_FATAL((move ? store_rename : store_copy)(m->f.s, db, &a, m->f.s, to, &b), STORE_OK);
    m->keys[to] += !target->there;
    *target = c;
    if (move && (db != to || id != id2))
        drop(m, db, id);
}

static void op_append(struct model *m, unsigned db, unsigned id)
{
    char text[400];
    name_of(id, text);
    struct key k = key_of(&m->f, text);
    struct cell *c = at(m, db, id);
    uint8_t *bytes;
    if (c->there && (c->is_int || c->len > VALUE_MAX))
        return;
    if (!c->there) {
        *c = (struct cell){.there = true, .seed = (uint32_t)pick(m, 1000)};
        m->keys[db]++;
    }
    uint32_t old = c->len;
    c->len += (uint32_t)pick(m, 40);
    CU_ASSERT_EQUAL_FATAL(store_string_grow(m->f.s, db, &k, c->len, &bytes), STORE_OK);
    for (uint32_t i = old; i < c->len; i++)
        CU_ASSERT_EQUAL_FATAL(bytes[i], 0);
    value_of_cell(c, bytes);
}

static void op_int(struct model *m, unsigned db, unsigned id)
{
    char text[400];
    name_of(id, text);
    struct key k = key_of(&m->f, text);
    struct cell *c = at(m, db, id);
    m->keys[db] += !c->there;
    *c = (struct cell){.there = true,
                       .is_int = true,
                       .seed = (uint32_t)pick(m, 100000),
                       .expire_at = c->there ? c->expire_at : 0};
    CU_ASSERT_EQUAL_FATAL(store_set_int(m->f.s, db, &k, c->seed), STORE_OK);
}

static void op_flush_or_swap(struct model *m, unsigned db)
{
    unsigned other = (unsigned)pick(m, DBS);
    if (pick(m, 4) == 0) {
        store_flush(m->f.s, db);
        memset(m->cell[db], 0, sizeof m->cell[db]);
        m->keys[db] = 0;
    } else if (other != db) {
        static struct cell tmp[IDS];
        uint64_t keys = m->keys[db];
        store_swap(m->f.s, db, other);
        memcpy(tmp, m->cell[db], sizeof tmp);
        memcpy(m->cell[db], m->cell[other], sizeof tmp);
        memcpy(m->cell[other], tmp, sizeof tmp);
        m->keys[db] = m->keys[other];
        m->keys[other] = keys;
    }
}

static unsigned id_from(const struct entry *e)
{
    struct slice key = entry_key(e);
    unsigned id = 0;
    for (size_t i = 4; i < key.len && key.p[i] >= '0' && key.p[i] <= '9'; i++)
        id = id * 10 + key.p[i] - '0';
    return id;
}

static void note_seen(struct entry *e, void *arg)
{
    struct model *m = arg;
    m->seen[id_from(e)] = 1;
}

static void sweep_expired(struct model *m)
{
    for (unsigned db = 0; db < DBS; db++)
        for (unsigned id = 0; id < IDS; id++)
            at(m, db, id);
}

/* A whole SCAN with changes between its steps: what was there throughout is seen. */
static void op_scan(struct model *m, unsigned db)
{
    uint64_t cursor = 0;
    sweep_expired(m);
    for (unsigned id = 0; id < IDS; id++) {
        m->present[id] = m->cell[db][id].there;
        m->seen[id] = 0;
    }
    do {
        cursor = store_scan(m->f.s, db, cursor, 10, note_seen, m);
        CU_ASSERT_TRUE_FATAL(cursor >> 48 == 0);
        unsigned id = (unsigned)pick(m, IDS);
        if (pick(m, 2) == 0)
            op_set(m, db, id);
        else
            op_delete(m, db, id);
        if (!at(m, db, id)->there)
            m->present[id] = 0;
    } while (cursor);
    for (unsigned id = 0; id < IDS; id++)
        CU_ASSERT_TRUE_FATAL(m->seen[id] || !m->present[id] || !at(m, db, id)->there);
}

static void check_all(struct model *m)
{
    upkeep_all(m->f.s);
    sweep_expired(m);
    for (unsigned db = 0; db < DBS; db++) {
        uint64_t ttl = 0;
        for (unsigned id = 0; id < IDS; id++) {
            ttl += m->cell[db][id].there && m->cell[db][id].expire_at;
            check(m, db, id);
        }
        uint64_t keys, expires, mean;
        shard_db_size(m->f.s, db, &keys, &expires, &mean);
        CU_ASSERT_EQUAL_FATAL(keys, m->keys[db]);
        CU_ASSERT_EQUAL_FATAL(expires, ttl);
    }
}

static void step(struct model *m)
{
    unsigned what = (unsigned)pick(m, 1000), db = (unsigned)pick(m, DBS), id = (unsigned)pick(m, IDS);
    if (what < 400)
        op_set(m, db, id);
    else if (what < 550)
        op_delete(m, db, id);
    else if (what < 650)
        op_expire(m, db, id);
    else if (what < 700)
        op_move(m, db, id);
    else if (what < 800)
        op_append(m, db, id);
    else if (what < 850)
        op_int(m, db, id);
    else if (what < 995)
        check(m, db, id);
    else if (what < 996)
        op_flush_or_swap(m, db);
    else if (what < 997 && m->f.files.small > 0)
        fixture_reopen(&m->f);
    m->now += pick(m, 8);
    shard_set_time(m->f.s, m->now);
    if (what % 16 == 0)
        shard_upkeep(m->f.s, 20);
}

static void agrees(bool reopened)
{
    struct model *m = calloc(1, sizeof *m);
    fixture_open(&m->f, 256 << 20, 0, POLICY_NOEVICTION, 1);
    if (reopened)
        fixture_keep(&m->f);
    m->random = 42;
    m->now = T0 * 1000ull;
    for (unsigned i = 0; i < 400000; i++) {
        step(m);
        if (i % 40000 == 39999) {
            op_scan(m, (unsigned)pick(m, DBS));
            check_all(m);
        }
    }
    /* Deleting everything brings the account back to nothing. */
    for (unsigned db = 0; db < DBS; db++)
        for (unsigned id = 0; id < IDS; id++)
            op_delete(m, db, id);
    upkeep_all(m->f.s);
    CU_ASSERT_EQUAL(used(m->f.s), 0);
    struct store_account a;
    shard_account(m->f.s, &a);
    CU_ASSERT_EQUAL(a.data, 0);
    CU_ASSERT_EQUAL(a.keys, 0);
    fixture_close(&m->f);
    free(m);
}

static void test_store_agrees_with_a_model(void)
{
    agrees(false);
}

static void test_so_does_one_that_is_taken_over_again_and_again(void)
{
    agrees(true);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_store_agrees_with_a_model),
                                             UNIT(test_so_does_one_that_is_taken_over_again_and_again), {NULL, NULL}};
    return unit_main(argc, argv, "store/model", tests);
}
