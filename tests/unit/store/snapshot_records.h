/* snapshot_records.h: what a shard has and what its cursor has written, as records that can be compared. */
#pragma once
#include "fixture.h"
#include "store/rdb.h"
#include "store/snapshot.h"

enum { KEYS = 1500, DATABASES = 3 };

static uint64_t random_state; /* of below() */
static inline unsigned below(unsigned n)
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

static inline void add_record(struct records *r, uint32_t db, const uint8_t *p, size_t len)
{
    if (r->n == r->cap)
        r->at = realloc(r->at, (r->cap = r->cap ? 2 * r->cap : 64) * sizeof *r->at);
    r->at[r->n] = (struct record){db, len, malloc(len ? len : 1)};
    memcpy(r->at[r->n++].p, p, len);
}

static inline void free_records(struct records *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->at[i].p);
    free(r->at);
    *r = (struct records){0};
}

static inline int by_bytes(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static inline bool same_records(struct records *a, struct records *b)
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
static inline void copy_entry(struct entry *e, void *arg)
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

static inline void copy_shard(struct shard *s, struct records *to)
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

static struct fixture *reader; /* takes what is read, so that it is seen how long it is */

/* One whole piece, or several that belong together, cut into records. */
static inline void read_records(struct records *to, uint32_t db, const uint8_t *p, size_t len)
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
        if (!reader) {
            reader = malloc(sizeof *reader);
            fixture_open(reader, 64 << 20, 0, POLICY_NOEVICTION, 1);
        }
        struct rdb_target target = {.shard = reader->s};
        CU_ASSERT_EQUAL_FATAL(rdb_take_value(&v, &target), RDB_OK);
        size_t used_up = len - v.left;
        free(value);
        add_record(to, db, begin, used_up);
        p += used_up;
        len -= used_up;
    }
}

static inline void drain(struct snapshot *c, struct records *to)
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

/* Behind the last test. */
static inline int records_end(int status)
{
    if (reader)
        fixture_close(reader);
    free(reader);
    return status;
}
