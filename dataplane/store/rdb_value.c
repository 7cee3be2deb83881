/* rdb_value.c: which function writes and reads the body of which type of value; strings. */
#include "store/entry.h"
#include "store/rdb.h"

static void put_text(struct rdb_writer *w, const struct entry *e)
{
    char scratch[24];
    rdb_put_string(w, entry_string(e, scratch));
}

static enum rdb_result take_text(struct rdb_reader *r, const struct rdb_target *to)
{
    struct rdb_text text;
    if (!rdb_take_string(r, &text))
        return r->no_memory ? RDB_OOM : RDB_BAD;
    enum store_result stored = store_set_string(to->shard, to->db, to->key, text.s, to->expire_at, 0);
    rdb_text_free(&text);
    return stored == STORE_OK ? RDB_OK : RDB_OOM;
}

static uint8_t string_type(const struct entry *e)
{
    (void)e;
    return RDB_STRING;
}

/* A type of value: the RDB type of this value (by its encoding), and its body behind that byte. */
static const struct {
    uint8_t (*type)(const struct entry *e);
    void (*put)(struct rdb_writer *w, const struct entry *e);
} forms[8] = {
    [TYPE_STRING] = {string_type, put_text},
};

/* By RDB type: the body behind the byte. Keeps the promise of rdb_take_value(): all or nothing. */
static enum rdb_result (*const readers[RDB_TYPES])(struct rdb_reader *r, const struct rdb_target *to) = {
    [RDB_STRING] = take_text,
};

bool rdb_put_value(struct rdb_writer *w, const struct entry *e)
{
    unsigned type = entry_type_of(e);
    if (!forms[type].put)
        return false;
    rdb_put_byte(w, forms[type].type(e));
    forms[type].put(w, e);
    return true;
}

enum rdb_result rdb_take_value(struct rdb_reader *r, const struct rdb_target *to)
{
    uint8_t type = rdb_take_byte(r);
    if (r->bad || type >= RDB_TYPES || !readers[type])
        return RDB_BAD;
    return readers[type](r, to);
}
