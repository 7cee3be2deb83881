/* rdb_hash.c: hashes and sets in RDB's form. https://rdb.fnordig.de/file_format.html, Redis' rdb.c */
#include "store/hash.h"
#include "store/hash_forms.h"
#include "store/ints.h"
#include "store/rdb_value.h"
#include "store/set.h"

/* -- hashes -- */

void rdb_put_hash(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    if (!entry_is_body(e) && !hash_next_time(e)) { /* fields' times are not in the form yet */
        struct pack pk;
        uint64_t len;
        pk.p = entry_value_bytes(e, &len);
        pk.len = (uint32_t)len;
        rdb_put_byte(w, RDB_HASH_LISTPACK);
        rdb_put_pack(w, pk);
        return;
    }
    rdb_put_byte(w, RDB_HASH);
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
    bool added;
    elements_open(&els, r, source, 2);
    while (result == RDB_OK && elements_pair(&els, &field, &value)) /* long: */
        if (hash_set(v, field, value, &added) != STORE_OK)
            result = RDB_OOM;
        else if (!added)
            result = RDB_BAD;
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
    rdb_put_byte(w, RDB_SET_INTSET);
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
    rdb_put_byte(w, RDB_SET);
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
    while (result == RDB_OK && elements_next(&els, &member)) /* long: */
        if (set_add(v, member, &added) != STORE_OK)
            result = RDB_OOM;
        else if (!added)
            result = RDB_BAD;
    return elements_close(&els, result);
}
