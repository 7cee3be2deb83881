/* rdb.h: a value in the form that RDB files and DUMP payloads give it, version 10 as redis-server 7.0 writes
 * it (hashes with fields that expire: 12, as Redis 7.4); read up to version 12.
 * https://rdb.fnordig.de/file_format.html, Redis' rdb.h.
 *
 * A value is its type's number (one byte, enum rdb_type) and a body of lengths, strings and numbers. The body
 * of each type is written and read by a function in the tables of rdb_value.c; the pieces are here. */
#pragma once
#include "store/store.h"

enum { RDB_VERSION = 10, RDB_NEWEST = 12 };

enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3, /* scores as text */
    RDB_HASH = 4,
    RDB_ZSET_2 = 5, /* scores as 8 bytes, little endian */
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14,
    RDB_STREAM_LISTPACKS = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18,
    RDB_STREAM_LISTPACKS_2 = 19,
    RDB_SET_LISTPACK = 20,       /* 7.2 */
    RDB_STREAM_LISTPACKS_3 = 21, /* 7.2 */
    RDB_HASH_VALKEY = 22,        /* Valkey 9: fields with times to expire */
    RDB_HASH_METADATA = 24,      /* 7.4: fields with times to expire */
    RDB_HASH_LISTPACK_EX = 25,   /* 7.4 */
    RDB_TYPES
};

/* -- writing
 * -------------------------------------------------------------------------------------------------- */

/* Bytes written so far, in memory of malloc that rdb_writer_free() gives back. After a failed allocation
 * nothing more is written and `failed` is set: look at it once, at the end. */
struct rdb_writer {
    struct turn *turn; /* taken with each piece that is put; NULL: none */
    uint8_t *p;
    size_t len, cap;
    bool compress; /* LZF for strings longer than 20 bytes (rdbcompression) */
    bool failed;
    const struct slice *key; /* put behind the value's type, as in a file; NULL: none, as in DUMP */
    uint8_t newest; /* the version that has the newest form written, if it is above RDB_VERSION */
    /* Takes away what is there, RDB_DRAIN bytes or more (len becomes 0), before it would grow. NULL: all of it stays. */
    void (*drain)(struct rdb_writer *w);
};
enum { RDB_DRAIN = 64 * 1024 };

void rdb_writer_free(struct rdb_writer *w);
void rdb_put(struct rdb_writer *w, const void *bytes, size_t n);
void rdb_put_byte(struct rdb_writer *w, uint8_t byte);
/* A value's type, and its key if it has one. */
void rdb_put_type(struct rdb_writer *w, enum rdb_type type);
void rdb_put_len(struct rdb_writer *w, uint64_t len);
/* Inserts a length before what was written from `at` on; not with `drain`. */
void rdb_put_len_at(struct rdb_writer *w, size_t at, uint64_t len);
/* As Redis does it: an integer of up to 32 bits in binary, otherwise LZF where it saves four bytes, otherwise
 * as it is. */
void rdb_put_string(struct rdb_writer *w, struct slice s);
void rdb_put_double(struct rdb_writer *w, double v); /* 8 bytes, little endian */

/* -- reading
 * -------------------------------------------------------------------------------------------------- */

/* What is left to be read. A read beyond the end, or of what makes no sense, gives zeros and sets `bad` for
 * good: look at it before what was read is used for more than reading on. */
struct rdb_reader {
    const uint8_t *p;
    size_t left;
    bool bad;
    bool no_memory;    /* `bad` because memory was short */
    struct turn *turn; /* taken for each element; NULL: none */
};

const uint8_t *rdb_take(struct rdb_reader *r, uint64_t n); /* NULL: there are not n bytes */
uint8_t rdb_take_byte(struct rdb_reader *r);
uint64_t rdb_take_len(struct rdb_reader *r);
uint64_t rdb_take_u64(struct rdb_reader *r); /* 8 bytes, little endian */
double rdb_take_double(struct rdb_reader *r);

/* A string that was read: bytes of the reader's input if it lies there as it is, otherwise memory of its own
 * or the digits of a number. Valid while both the input and this struct are. */
struct rdb_text {
    struct slice s;
    uint8_t *own;
    char digits[24];
};
bool rdb_take_string(struct rdb_reader *r, struct rdb_text *text);
void rdb_text_free(struct rdb_text *text);

/* -- values
 * --------------------------------------------------------------------------------------------------- */

/* Appends type and body, in the forms of version 10. long: as long as the value. */
void rdb_put_value(struct rdb_writer *w, const struct shard *s, const struct entry *e);

/* Where a value is to be made of what is read. */
struct rdb_target {
    struct shard *shard;
    unsigned db;
    const struct key *key; /* NULL: the value is only checked */
    uint64_t expire_at;    /* absolute ms, 0 = none */
};
enum rdb_result { RDB_OK, RDB_BAD, RDB_OOM };

/* Reads type and body and stores the value, replacing what was there. Otherwise than RDB_OK nothing has
 * changed. Everything is checked, as Redis does with sanitize-dump-payload yes, and more: what the store
 * takes for granted, such as the order of a stream's entries. Bytes behind the value are left. long: as long
 * as the value. */
enum rdb_result rdb_take_value(struct rdb_reader *r, const struct rdb_target *to);

/* -- DUMP payloads: value, version (2 bytes, little endian), CRC-64 of all before it
 * ----------------------------------------------------------------------------------- */

void rdb_put_footer(struct rdb_writer *w);
/* False: too short, too new, or damaged. *body: the value. */
bool rdb_check_payload(struct slice payload, struct slice *body, struct turn *turn);
