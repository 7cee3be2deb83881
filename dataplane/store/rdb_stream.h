/* rdb_stream.h: what the writer and the reader of streams in RDB's form share.
 *
 * A node's listpack: live entries, deleted ones, n, field*n, 0, and then entries:
 *
 *   flags ms seq value*n                 3 + n        an entry with the node's fields
 *   flags ms seq m (field value)*m       4 + 2 * m    one with fields of its own
 *
 * ms and seq are differences to the node's first ID, which is its key. What ends an entry is the number of
 * its elements before. */
#pragma once
#include "store/rdb_value.h"
#include "store/stream_body.h"

enum { STREAM_DELETED = 1, STREAM_SAME_FIELDS = 2 }; /* flags */
enum { STREAM_KEY = 16 };                            /* bytes of an ID as a key: big endian */

static inline void stream_key(struct stream_id id, uint8_t key[STREAM_KEY])
{
    uint64_t words[2] = {__builtin_bswap64(id.ms), __builtin_bswap64(id.seq)};
    memcpy(key, words, sizeof words);
}

static inline struct stream_id stream_key_id(const uint8_t key[STREAM_KEY])
{
    uint64_t words[2];
    memcpy(words, key, sizeof words);
    return (struct stream_id){__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}
