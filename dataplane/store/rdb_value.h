/* rdb_value.h: what the files that read and write values in RDB's form share, a file a type (rdb_hash.c ...).
 *
 * Writers append the type's number and the body. Readers add to a value that is made aside (draft.h):
 * whatever they have added when they find damage is thrown away. */
#pragma once
#include "store/draft.h"
#include "store/rdb_packed.h"
#include "store/shard.h"

/* -- writing -- */

void rdb_put_hash(struct rdb_writer *w, const struct shard *s, const struct entry *e);
void rdb_put_set(struct rdb_writer *w, const struct shard *s, const struct entry *e);
void rdb_put_list(struct rdb_writer *w, const struct shard *s, const struct entry *e);
void rdb_put_zset(struct rdb_writer *w, const struct shard *s, const struct entry *e);
void rdb_put_stream(struct rdb_writer *w, const struct shard *s, const struct entry *e);

/* Puts what was written aside as one string, and frees it. */
void rdb_put_aside(struct rdb_writer *w, struct rdb_writer *aside);
/* The elements of a pack as a listpack in a string. */
void rdb_put_pack(struct rdb_writer *w, struct pack pk);

/* -- reading -- */

/* A string that is to be an element: rdb_take_string() up to what all forms can hold. */
bool rdb_take_element(struct rdb_reader *r, struct rdb_text *text);

/* Where elements come from: strings one after the other, with their number before them, or one string that
 * has them all (enum packing). */
enum source {
    SOURCE_STRINGS = -1,
    SOURCE_LISTPACK = PACKED_LISTPACK,
    SOURCE_ZIPLIST = PACKED_ZIPLIST,
    SOURCE_ZIPMAP = PACKED_ZIPMAP,
    SOURCE_INTSET = PACKED_INTSET
};

struct elements {
    struct rdb_reader *r;
    enum source source;
    uint64_t left; /* strings to come */
    struct packed packed;
    struct rdb_text whole;   /* the one string, or ... */
    struct rdb_text text[3]; /* ... the last strings */
    char digits[3][PACK_TEXT];
};

/* each: strings that one of the elements consists of, if they are strings. */
void elements_open(struct elements *els, struct rdb_reader *r, enum source source, unsigned each);
/* The next one, valid until the next one but one. False at the end, and if the input is bad. */
bool elements_next(struct elements *els, struct slice *out);
/* The next two. An odd one at the end is bad. */
bool elements_pair(struct elements *els, struct slice *first, struct slice *second);
/* The one that must come behind a pair, which stays valid. */
bool elements_third(struct elements *els, struct slice *third);
/* Frees what was read. The verdict: `result` if it is not RDB_OK, else whether the input was sound. */
enum rdb_result elements_close(struct elements *els, enum rdb_result result);

static inline enum rdb_result rdb_verdict(const struct rdb_reader *r)
{
    return !r->bad ? RDB_OK : r->no_memory ? RDB_OOM : RDB_BAD;
}

enum rdb_result rdb_take_hash(struct rdb_reader *r, enum source source, struct value_at *v);
/* With times to expire: Redis 7.4. */
enum rdb_result rdb_take_hash_metadata(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_hash_listpack_ex(struct rdb_reader *r, enum source source, struct value_at *v);
/* The same of Valkey 9. */
enum rdb_result rdb_take_hash_valkey(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_set(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_list(struct rdb_reader *r, enum source source, struct value_at *v);
/* Quicklists: nodes that are ziplists, or listpacks and large elements by themselves. */
enum rdb_result rdb_take_quicklist(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_zset(struct rdb_reader *r, enum source source, struct value_at *v);
/* Scores of 8 bytes beside the members. */
enum rdb_result rdb_take_zset_2(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_stream_1(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_stream_2(struct rdb_reader *r, enum source source, struct value_at *v);
enum rdb_result rdb_take_stream_3(struct rdb_reader *r, enum source source, struct value_at *v);
