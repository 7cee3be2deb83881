/* rdb_hash.c: hashes and sets in RDB's form. https://rdb.fnordig.de/file_format.html, Redis' rdb.c */
#include "base/number.h"
#include "store/hash_forms.h"
#include "store/ints.h"
#include "store/rdb_value.h"
#include "store/set.h"

/* -- hashes -- */

/* The soonest time of the fields that are there; 0: none has one. */
static uint64_t soonest(const struct shard *s, const struct entry *e)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    uint64_t next = 0;
    while (hash_next_time(e) && hash_next(s, e, &at, &pair)) /* long: */
        if (pair.expire_at && (!next || pair.expire_at < next))
            next = pair.expire_at;
    return next;
}

/* Redis 7.4 knows another form for small ones, but reads this for them as well. */
static void put_timed(struct rdb_writer *w, const struct shard *s, const struct entry *e, uint64_t next)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    w->newest = RDB_NEWEST;
    rdb_put_type(w, RDB_HASH_METADATA);
    rdb_put(w, &next, sizeof next);
    rdb_put_len(w, hash_count(s, e));
    while (hash_next(s, e, &at, &pair)) { /* long: */
        rdb_put_len(w, pair.expire_at ? pair.expire_at - next + 1 : 0);
        rdb_put_string(w, pair.field);
        rdb_put_string(w, pair.value);
    }
}

void rdb_put_hash(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    uint64_t next = soonest(s, e);
    if (next) {
        put_timed(w, s, e, next);
        return;
    }
    if (entry_is_compact(e, VALUE_PACK)) {
        struct pack pk;
        uint64_t len;
        pk.p = entry_value_bytes(e, &len);
        pk.len = (uint32_t)len;
        rdb_put_type(w, RDB_HASH_LISTPACK);
        rdb_put_pack(w, pk);
        return;
    }
    rdb_put_type(w, RDB_HASH);
    rdb_put_len(w, hash_count(s, e));
    while (hash_next(s, e, &at, &pair)) { /* long: */
        rdb_put_string(w, pair.field);
        rdb_put_string(w, pair.value);
    }
}

enum rdb_result rdb_take_hash(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice field, value;
    enum rdb_result result = RDB_OK;
    bool added, pack = source == SOURCE_LISTPACK || source == SOURCE_ZIPLIST;
    elements_open(&els, r, source, 2);
    while (result == RDB_OK && elements_pair(&els, &field, &value))
        if ((pack ? hash_load : hash_set)(v, field, value, &added) != STORE_OK)
            result = RDB_OOM;
        else if (!added)
            result = RDB_BAD;
    return elements_close(&els, result);
}

static enum rdb_result set_timed(struct value_at *v, struct slice field, struct slice value,
                                 uint64_t expire_at)
{
    bool added;
    if (expire_at > HASH_LATEST)
        return RDB_BAD;
    if (hash_set(v, field, value, &added) != STORE_OK)
        return RDB_OOM;
    if (!added)
        return RDB_BAD;
    return !expire_at || hash_expire(v, field, expire_at) == STORE_OK ? RDB_OK : RDB_OOM;
}

/* The soonest time; then for each field its time, 0 = none, otherwise the distance from the soonest plus one.
 */
enum rdb_result rdb_take_hash_metadata(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice field, value;
    enum rdb_result result = RDB_OK;
    uint64_t next = rdb_take_u64(r);
    elements_open(&els, r, source, 2);
    while (result == RDB_OK && els.left > 0) {
        uint64_t after = rdb_take_len(r);
        if (!elements_pair(&els, &field, &value))
            break;
        result = after > HASH_LATEST || next > HASH_LATEST
                     ? RDB_BAD
                     : set_timed(v, field, value, after ? next + after - 1 : 0);
    }
    return elements_close(&els, result);
}

/* Field, value, time in 8 bytes, -1 = none, ... */
enum rdb_result rdb_take_hash_valkey(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice field, value;
    enum rdb_result result = RDB_OK;
    elements_open(&els, r, source, 2);
    while (result == RDB_OK && elements_pair(&els, &field, &value)) {
        uint64_t expire_at = rdb_take_u64(r);
        result = r->bad ? RDB_BAD : set_timed(v, field, value, expire_at == UINT64_MAX ? 0 : expire_at);
    }
    return elements_close(&els, result);
}

/* The soonest time, which is not looked at; field, value, time, 0 = none, ... */
enum rdb_result rdb_take_hash_listpack_ex(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice field, value, time;
    enum rdb_result result = RDB_OK;
    int64_t expire_at;
    rdb_take_u64(r);
    elements_open(&els, r, source, 3);
    while (result == RDB_OK && elements_pair(&els, &field, &value)) {
        if (!elements_third(&els, &time))
            break;
        result = parse_i64(time, &expire_at) ? set_timed(v, field, value, (uint64_t)expire_at) : RDB_BAD;
    }
    return elements_close(&els, result);
}

/* -- sets -- */

/* As wide as it has to be, but two bytes at least. */
static void put_intset(struct rdb_writer *w, const struct entry *e)
{
    struct rdb_writer aside = {0};
    struct ints set;
    set.p = entry_value_bytes(e, &set.len);
    uint64_t n = ints_count(set);
    uint32_t header[2] = {set.p[0] < 2 ? 2 : set.p[0], (uint32_t)n};
    rdb_put(&aside, header, sizeof header);
    for (uint64_t i = 0; i < n; i++) { /* long: */
        int64_t v = ints_at(set, i);
        rdb_put(&aside, &v, header[0]);
    }
    rdb_put_type(w, RDB_SET_INTSET);
    rdb_put_aside(w, &aside);
}

/* Redis 7.0 knows no set of texts in a listpack. */
void rdb_put_set(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    struct set_cursor at = {0};
    struct set_member member;
    if (entry_is_compact(e, VALUE_INTS)) {
        put_intset(w, e);
        return;
    }
    rdb_put_type(w, RDB_SET);
    rdb_put_len(w, set_count(e));
    while (set_next(s, e, &at, &member)) /* long: */
        rdb_put_string(w, member.text);
}

enum rdb_result rdb_take_set(struct rdb_reader *r, enum source source, struct value_at *v)
{
    struct elements els;
    struct slice member;
    enum rdb_result result = RDB_OK;
    bool added;
    elements_open(&els, r, source, 1);
    while (result == RDB_OK && elements_next(&els, &member))
        if (set_add(v, member, &added) != STORE_OK)
            result = RDB_OOM;
        else if (!added)
            result = RDB_BAD;
    return elements_close(&els, result);
}
