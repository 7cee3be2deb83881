/* rdb_zset.c: sorted sets in RDB's form. Redis' rdb.c; numbers as redis-server 7.0 prints them. */
#include "base/number.h"
#include "store/rdb_value.h"
#include "store/zset_body.h"

#include <math.h>
#include <stdio.h>

/* -- writing -- */

/* As Redis' double2ll: whole and not too large. */
static bool is_whole(double v)
{
    const double most = 4611686018427387904.0; /* 2^62 */
    return v >= -most && v <= most && (double)(int64_t)v == v;
}

static void put_score(struct rdb_writer *w, double score)
{
    char text[DOUBLE_TEXT];
    if (is_whole(score)) {
        listpack_put_number(w, (int64_t)score);
        return;
    }
    int len = snprintf(text, sizeof text, "%.17g", score);
    listpack_put_text(w, (struct slice){(const uint8_t *)text, (size_t)len});
}

static void put_compact(struct rdb_writer *w, const struct zset *z)
{
    struct rdb_writer aside = {0};
    struct zset_walk walk;
    struct zset_element el;
    size_t begin = listpack_begin(&aside);
    for (zset_walk(&walk, z, 0, false); zset_next(&walk, &el);) { /* long: */
        listpack_put_text(&aside, el.member);
        put_score(&aside, el.score);
    }
    listpack_end(&aside, begin, zset_count(z) * 2);
    rdb_put_type(w, RDB_ZSET_LISTPACK);
    rdb_put_aside(w, &aside);
}

/* Redis begins with the greatest, so that each one it reads goes to the front. */
void rdb_put_zset(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    struct zset z;
    struct zset_walk walk;
    struct zset_element el;
    zset_open(&z, s, e);
    if (!entry_is_body(e)) {
        put_compact(w, &z);
        return;
    }
    rdb_put_type(w, RDB_ZSET_2);
    rdb_put_len(w, zset_count(&z));
    for (zset_walk(&walk, &z, zset_count(&z) - 1, true); zset_next(&walk, &el);) { /* long: */
        rdb_put_string(w, el.member);
        rdb_put_double(w, el.score);
    }
}

/* -- reading -- */

static enum rdb_result add(struct value_at *v, struct slice member, double score)
{
    if (isnan(score))
        return RDB_BAD;
    enum zset_outcome outcome = zset_add(v, member, &score, ZSET_ANY_LENGTH);
    return outcome == ZSET_ADDED ? RDB_OK : outcome == ZSET_OOM ? RDB_OOM : RDB_BAD;
}

/* A score as text with its length before it, or one of those that have none. */
static double take_old_score(struct rdb_reader *r)
{
    enum { MINUS_INF = 255, PLUS_INF = 254 };
    double score = NAN;
    uint8_t len = rdb_take_byte(r);
    if (len >= PLUS_INF)
        return len == MINUS_INF ? -INFINITY : INFINITY;
    const uint8_t *p = rdb_take(r, len);
    if (p && !parse_double((struct slice){p, len}, &score))
        score = NAN;
    return score;
}

/* Adds elements to a body, for a -0 stays what it is there. */
static enum rdb_result take_elements(struct elements *els, struct shard *s, struct zset_body *b,
                                     double (*take_score)(struct rdb_reader *r), size_t *longest)
{
    struct zset_element el;
    while (elements_next(els, &el.member)) {
        el.score = take_score(els->r);
        if (els->r->bad || isnan(el.score) || table_find(s, &b->table, el.member))
            return RDB_BAD;
        if (!zset_body_add(s, b, &el))
            return RDB_OOM;
        *longest = el.member.len > *longest ? el.member.len : *longest;
    }
    return RDB_OK;
}

static enum rdb_result take_members(struct rdb_reader *r, struct value_at *v,
                                    double (*take_score)(struct rdb_reader *r))
{
    struct zset_body *b = (struct zset_body *)(void *)body_new(v->s, TYPE_ZSET);
    struct elements els;
    size_t longest = 0;
    if (!b)
        return RDB_OOM;
    elements_open(&els, r, SOURCE_STRINGS, 1);
    enum rdb_result result = elements_close(&els, take_elements(&els, v->s, b, take_score, &longest));
    if (result == RDB_OK && b->order.count == 0)
        result = RDB_BAD;
    if (result == RDB_OK && zset_adopt_body(v, b, longest) != STORE_OK)
        result = RDB_OOM;
    if (result != RDB_OK)
        body_release(v->s, &b->table.body);
    return result;
}

static enum rdb_result take_packed(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice member, text;
    enum rdb_result result = RDB_OK;
    double score;
    elements_open(&els, r, source, 2);
    while (result == RDB_OK && elements_pair(&els, &member, &text))
        result = parse_double(text, &score) ? add(v, member, score) : RDB_BAD;
    return elements_close(&els, result);
}

enum rdb_result rdb_take_zset(struct rdb_reader *r, enum source source, struct value_at *v)
{
    return source == SOURCE_STRINGS ? take_members(r, v, take_old_score) : take_packed(r, source, v);
}

enum rdb_result rdb_take_zset_2(struct rdb_reader *r, enum source source, struct value_at *v)
{
    (void)source;
    return take_members(r, v, rdb_take_double);
}
