/* rdb_value.c: which function writes and reads which type of value in RDB's form; strings. */
#include "store/rdb_value.h"

static void put_text(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    char scratch[24];
    (void)s;
    rdb_put_type(w, RDB_STRING);
    rdb_put_string(w, entry_string(e, scratch));
}

static enum rdb_result take_text(struct rdb_reader *r, const struct rdb_target *to)
{
    struct rdb_text text;
    if (!rdb_take_string(r, &text))
        return rdb_verdict(r);
    enum store_result stored =
        to->key ? store_set_string(to->shard, to->db, to->key, text.s, to->expire_at, 0) : STORE_OK;
    rdb_text_free(&text);
    return stored == STORE_OK ? RDB_OK : RDB_OOM;
}

void rdb_put_value(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    static void (*const put[])(struct rdb_writer * w, const struct shard *s, const struct entry *e) = {
        [TYPE_STRING] = put_text,   [TYPE_LIST] = rdb_put_list, [TYPE_SET] = rdb_put_set,
        [TYPE_ZSET] = rdb_put_zset, [TYPE_HASH] = rdb_put_hash, [TYPE_STREAM] = rdb_put_stream,
    };
    put[entry_type_of(e)](w, s, e);
}

/* By RDB type: the body behind the byte, and how its elements come. */
static const struct {
    enum rdb_result (*take)(struct rdb_reader *r, enum source source, struct value_at *v);
    enum source source;
} readers[RDB_TYPES] = {
    [RDB_LIST] = {rdb_take_list, SOURCE_STRINGS},
    [RDB_SET] = {rdb_take_set, SOURCE_STRINGS},
    [RDB_ZSET] = {rdb_take_zset, SOURCE_STRINGS},
    [RDB_HASH] = {rdb_take_hash, SOURCE_STRINGS},
    [RDB_ZSET_2] = {rdb_take_zset_2, SOURCE_STRINGS},
    [RDB_HASH_ZIPMAP] = {rdb_take_hash, SOURCE_ZIPMAP},
    [RDB_LIST_ZIPLIST] = {rdb_take_list, SOURCE_ZIPLIST},
    [RDB_SET_INTSET] = {rdb_take_set, SOURCE_INTSET},
    [RDB_ZSET_ZIPLIST] = {rdb_take_zset, SOURCE_ZIPLIST},
    [RDB_HASH_ZIPLIST] = {rdb_take_hash, SOURCE_ZIPLIST},
    [RDB_LIST_QUICKLIST] = {rdb_take_quicklist, SOURCE_ZIPLIST},
    [RDB_STREAM_LISTPACKS] = {rdb_take_stream_1, SOURCE_LISTPACK},
    [RDB_HASH_LISTPACK] = {rdb_take_hash, SOURCE_LISTPACK},
    [RDB_ZSET_LISTPACK] = {rdb_take_zset, SOURCE_LISTPACK},
    [RDB_LIST_QUICKLIST_2] = {rdb_take_quicklist, SOURCE_LISTPACK},
    [RDB_STREAM_LISTPACKS_2] = {rdb_take_stream_2, SOURCE_LISTPACK},
    [RDB_SET_LISTPACK] = {rdb_take_set, SOURCE_LISTPACK},
    [RDB_STREAM_LISTPACKS_3] = {rdb_take_stream_3, SOURCE_LISTPACK},
    [RDB_HASH_VALKEY] = {rdb_take_hash_valkey, SOURCE_STRINGS},
    [RDB_HASH_METADATA] = {rdb_take_hash_metadata, SOURCE_STRINGS},
    [RDB_HASH_LISTPACK_EX] = {rdb_take_hash_listpack_ex, SOURCE_LISTPACK},
};

enum rdb_result rdb_take_value(struct rdb_reader *r, const struct rdb_target *to)
{
    uint8_t type = rdb_take_byte(r);
    if (r->bad || type >= RDB_TYPES || (type != RDB_STRING && !readers[type].take))
        return RDB_BAD;
    if (type == RDB_STRING)
        return take_text(r, to);
    struct draft d;
    draft_begin(&d, to->shard);
    enum rdb_result result = readers[type].take(r, readers[type].source, &d.v);
    if (result == RDB_OK && !d.v.e) /* a collection without elements is none */
        result = RDB_BAD;
    if (result == RDB_OK && to->key)
        return draft_place(&d, to->db, to->key, to->expire_at) == STORE_OK ? RDB_OK : RDB_OOM;
    draft_drop(&d);
    return result;
}
