/* snapshot_records.c: what a snapshot writes of an entry: the record of an RDB file.
 * https://rdb.fnordig.de/file_format.html, Redis' rdb.c. */
#include "base/bytes.h"
#include "store/snapshot_private.h"

enum { OPCODE_IDLE = 0xf8, OPCODE_FREQUENCY = 0xf9, OPCODE_EXPIRY_MS = 0xfc };
enum { RECORD_KEPT = 256 * 1024 }; /* of memory for the next record */

static inline void note_waiting(struct snapshot *c, size_t bytes)
{
    c->figures.waiting += bytes;
    c->figures.kept = pieces_memory(&c->out) + pieces_memory(&c->behind);
    if (c->figures.kept > c->figures.kept_most)
        c->figures.kept_most = c->figures.kept;
}

/* What is in the writer. */
void snapshot_append(struct snapshot *c, struct pieces *to, uint32_t db, const struct rdb_writer *w, bool more)
{
    if (pieces_add(to, db, (struct slice){w->p, w->len}, more))
        note_waiting(c, w->len);
    else
        snapshot_fail(c, "out of memory");
}

/* Where a record goes. NULL: there is no room for what waits, and it has failed. */
static inline struct pieces *pieces_for(struct snapshot *c)
{
    if (__builtin_expect(c->figures.kept > c->options.most, 0)) {
        snapshot_fail(c, "writers were faster than the disk: the room for old values is full");
        return NULL;
    }
    return c->writing ? &c->behind : &c->out;
}

/* -- short strings, as most are: written at once to where they wait -- */

enum { EXPIRY_MOST = 9, USE_MOST = 6, LENGTHS_MOST = 2 * 5, DIGITS_MOST = 11, COMPRESSED_FROM = 21 };

static inline uint8_t *put_length(uint8_t *p, uint32_t n)
{
    enum { SIX_BITS = 1 << 6, FOURTEEN_BITS = 1 << 14, NEXT_EIGHT = 0x40, NEXT_FOUR_BYTES = 0x80 };
    if (n < SIX_BITS) {
        *p++ = (uint8_t)n;
    } else if (n < FOURTEEN_BITS) {
        *p++ = (uint8_t)(NEXT_EIGHT | n >> 8);
        *p++ = (uint8_t)n;
    } else {
        const uint32_t big = __builtin_bswap32(n);
        *p++ = NEXT_FOUR_BYTES;
        memcpy(p, &big, sizeof big);
        p += sizeof big;
    }
    return p;
}

static inline uint8_t *put_bytes(uint8_t *to, const uint8_t *from, uint32_t n)
{
    bytes_move(to, from, n);
    return to + n;
}

/* As Redis does it: what the policy knows of the key's use, by the time of the instant; USE_MOST bytes. */
static inline uint8_t *put_use(uint8_t *p, const struct snapshot *c, const struct entry *e)
{
    struct shard *s = c->s;
    const uint64_t now_ms = s->now_ms;
    s->now_ms = c->now_ms;
    if (access_is_lfu(s)) {
        *p++ = OPCODE_FREQUENCY;
        *p++ = (uint8_t)entry_frequency(s, e);
    } else if (s->policy == POLICY_ALLKEYS_LRU || s->policy == POLICY_VOLATILE_LRU) {
        *p++ = OPCODE_IDLE;
        p = put_length(p, (uint32_t)entry_idle_seconds(s, e));
    }
    s->now_ms = now_ms;
    return p;
}

/* Is this text kept as it is? Not a short one that may be a number, nor a long one that may be compressed. */
static inline bool is_plain(const struct snapshot *c, const uint8_t *p, uint32_t n)
{
    if (n <= DIGITS_MOST)
        return n && *p > '9';
    return n < COMPRESSED_FROM || !c->options.compress;
}

/* A string in its entry, of the usual kind; false: the general way. */
static inline bool write_short(struct snapshot *c, uint32_t db, const struct entry *e)
{
    unsigned encoding = entry_encoding_of(e);
    if (entry_type_of(e) != TYPE_STRING || (encoding != STRING_EMBSTR && encoding != STRING_RAW) || e->key_len == ENTRY_LONG ||
        e->value_len == ENTRY_LONG)
        return false;
    const struct parts parts = entry_parts(e);
    const uint64_t expire_at = entry_has_ttl(e) ? entry_expiry(parts.expiry) : 0;
    if (!is_plain(c, parts.key, parts.key_len) || !is_plain(c, parts.value, parts.value_len) ||
        (expire_at && expire_at < c->now_ms))
        return false;
    struct pieces *to = pieces_for(c);
    const size_t most = EXPIRY_MOST + USE_MOST + 1 + LENGTHS_MOST + parts.key_len + parts.value_len;
    uint8_t *begin = to ? pieces_room(to, db, most) : NULL, *p = begin;
    if (!begin)
        return false;
    if (expire_at) {
        *p++ = OPCODE_EXPIRY_MS;
        memcpy(p, &expire_at, sizeof expire_at);
        p += sizeof expire_at;
    }
    p = put_use(p, c, e);
    *p++ = RDB_STRING;
    p = put_bytes(put_length(p, parts.key_len), parts.key, parts.key_len);
    p = put_bytes(put_length(p, parts.value_len), parts.value, parts.value_len);
    const size_t n = (size_t)(p - begin);
    pieces_written(to, db, n);
    note_waiting(c, n);
    c->figures.bytes += n;
    c->figures.keys++;
    return true;
}

/* -- any value -- */

/* By the time of the instant: what expired since was there then. */
bool snapshot_put_entry(struct snapshot *c, struct rdb_writer *w, const struct entry *e)
{
    struct shard *s = c->s;
    struct slice name = entry_key(e);
    uint64_t now_ms = s->now_ms, expire_at = entry_expire_at(e);
    uint8_t use[USE_MOST];
    s->now_ms = c->now_ms;
    bool there = !entry_is_over(s, e);
    if (there) {
        w->key = &name;
        if (expire_at) {
            rdb_put_byte(w, OPCODE_EXPIRY_MS);
            rdb_put(w, &expire_at, sizeof expire_at);
        }
        rdb_put(w, use, (size_t)(put_use(use, c, e) - use));
        rdb_put_value(w, s, e);
        w->key = NULL;
        c->figures.keys++;
    }
    s->now_ms = now_ms;
    return there;
}

static __attribute__((noinline)) void write_any(struct snapshot *c, uint32_t db, const struct entry *e)
{
    struct rdb_writer *w = &c->w;
    struct pieces *to;
    w->len = 0;
    if (!snapshot_put_entry(c, w, e))
        return;
    c->figures.bytes += w->len;
    if (w->failed)
        snapshot_fail(c, "out of memory");
    else if ((to = pieces_for(c)))
        snapshot_append(c, to, db, w, false);
    if (w->cap > RECORD_KEPT)
        rdb_writer_free(w);
    w->failed = false;
}

void snapshot_write_entry(struct snapshot *c, uint32_t db, const struct entry *e)
{
    if (!c->failed && !write_short(c, db, e) && !c->failed)
        write_any(c, db, e);
}
