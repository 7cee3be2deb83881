/* entry.h: what an entry looks like in memory. Private to the store.
 *
 *   ┌──────────────────────────┬───────┬─────────┬───────────┬ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ─ ┬────────┬─────┬───────┐
 *   │ type:3 enc.:3 ttl:1 h.:1 │ clock │ key_len │ value_len │ key_len │ value_len │ expiry │ key │ value │
 *   │ 1 byte                   │ 3     │ 1       │ 1         │ 4       │ 4         │ 6      │     │       │
 *   └──────────────────────────┴───────┴─────────┴───────────┴ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ─ ┴────────┴─────┴───────┘
 *                                                  255 in the short field: the long one is there
 *
 * clock: LRU seconds modulo 2^24, or LFU minutes modulo 2^16 and a logarithmic counter, as in Redis. expiry:
 * absolute milliseconds, there only if ttl is set. value: the string itself, 8 bytes of integer, or a value
 * root that points to memory of its own; for collections see value.h. The allocation is slab_size() of the
 * sum; nothing is padded. */
#pragma once
#include "base/bytes.h"
#include "store/slab.h"
#include "store/store.h"
#include "store/value.h"

enum {
    ENTRY_HEADER = 6,
    ENTRY_LONG = 255,
    ENTRY_EXPIRY = 6,
    ENTRY_INLINE = 1024, /* the longest string that lies in the entry */
    ENTRY_TYPE = 0x07,
    ENTRY_RICH = 0x20, /* bodies and timed packs: no string is */
    ENTRY_TTL = 0x40,
    ENTRY_HELD = 0x80 /* a running operation reads it: neither evicted nor moved */
};
#define EXPIRY_LATEST ((1ULL << 48) - 1) /* the year 10889: later is as good as this */

struct entry {
    uint8_t head;
    uint8_t clock[3];
    uint8_t key_len, value_len;
    uint8_t more[];
};

enum string_encoding {
    STRING_INT,    /* 8 bytes, canonical text of a 64-bit integer */
    STRING_EMBSTR, /* in the entry, up to 44 bytes */
    STRING_RAW,    /* in the entry */
    STRING_APART   /* struct apart: memory of its own */
};

/* Value root of a long string, or of a compact collection too long for its entry. The pointer is absolute: an
 * arena is taken over at the same address or not at all. */
struct apart {
    uint8_t *p;
    uint64_t len, cap;
};

/* Where the parts of an entry are. */
struct parts {
    uint8_t *expiry; /* valid if ttl */
    uint8_t *key, *value;
    uint32_t key_len, value_len;
};

/* What an entry is to be made of. */
struct entry_plan {
    struct slice key;
    unsigned type, encoding;
    uint64_t expire_at;
    uint32_t value_len;
};

static inline uint8_t *entry_bytes(const struct entry *e)
{
    return (uint8_t *)(uintptr_t)e->more;
}

static inline unsigned entry_type_of(const struct entry *e)
{
    return e->head & 7;
}

static inline unsigned entry_encoding_of(const struct entry *e)
{
    return e->head >> 3 & 7;
}

/* The access clock (access.h). Read and written as one word with the head, as three bytes are slow to put together. */
static inline uint32_t stamp_read(const struct entry *e)
{
    uint32_t word;
    memcpy(&word, e, sizeof word);
    return word >> 8;
}

static inline void stamp_write(struct entry *e, uint32_t stamp)
{
    uint32_t before, word;
    memcpy(&before, e, sizeof before);
    word = (before & 0xff) | stamp << 8;
    if (before != word) /* a read should not make the line dirty */
        memcpy(e, &word, sizeof word);
}

static inline bool entry_has_ttl(const struct entry *e)
{
    return e->head & ENTRY_TTL;
}

/* Milliseconds, where an entry that has a ttl has them: never at the beginning of its memory. */
static inline uint64_t entry_expiry(const uint8_t *at)
{
    return bytes_load8(at - 2) >> 16;
}

static inline struct parts entry_parts(const struct entry *e)
{
    struct parts parts = {.key_len = e->key_len, .value_len = e->value_len};
    uint8_t *p = entry_bytes(e);
    if (parts.key_len == ENTRY_LONG) {
        memcpy(&parts.key_len, p, 4);
        p += 4;
    }
    if (parts.value_len == ENTRY_LONG) {
        memcpy(&parts.value_len, p, 4);
        p += 4;
    }
    parts.expiry = p;
    parts.key = p + (entry_has_ttl(e) ? ENTRY_EXPIRY : 0);
    parts.value = parts.key + parts.key_len;
    return parts;
}

/* Bytes an entry by this plan takes, before rounding. */
static inline uint64_t entry_plan_size(const struct entry_plan *plan)
{
    return ENTRY_HEADER + (plan->key.len >= ENTRY_LONG ? 4 : 0) + (plan->value_len >= ENTRY_LONG ? 4 : 0) +
           (plan->expire_at ? ENTRY_EXPIRY : 0) + plan->key.len + plan->value_len;
}

static inline uint64_t entry_size(const struct entry *e)
{
    struct parts parts = entry_parts(e);
    return (uint64_t)(parts.value - (const uint8_t *)e) + parts.value_len;
}

static inline bool entry_key_is(const struct entry *e, struct slice key)
{
    if (e->key_len != ENTRY_LONG) {
        if (e->key_len != key.len)
            return false;
        const uint8_t *p = e->more;
        if (__builtin_expect(e->value_len == ENTRY_LONG, 0))
            p += 4;
        return bytes_same(entry_has_ttl(e) ? p + ENTRY_EXPIRY : p, key.p, key.len);
    }
    struct parts parts = entry_parts(e);
    return parts.key_len == key.len && memcmp(parts.key, key.p, key.len) == 0;
}

/* Writes header, expiry and key (moved if it overlaps) and returns where the value_len bytes of the value go.
 * The clock is left as it is. */
uint8_t *entry_write(struct entry *e, const struct entry_plan *plan);
void entry_write_expiry(uint8_t *at, uint64_t expire_at);

/* The same with its clock, for a key and a value of less than ENTRY_LONG bytes, of which none lies where the entry is. expire_at is
 * EXPIRY_LATEST at most. */
static inline uint8_t *entry_write_short(struct entry *e, const struct entry_plan *plan, uint32_t stamp)
{
    const uint64_t at = plan->expire_at;
    const uint64_t head = plan->type | plan->encoding << 3 | (at ? ENTRY_TTL : 0);
    const uint64_t word = head | (uint64_t)stamp << 8 | plan->key.len << 32 | (uint64_t)plan->value_len << 40 | at << 48;
    uint8_t *key = entry_bytes(e);
    memcpy(e, &word, ENTRY_HEADER);
    if (at) {
        const uint32_t rest = (uint32_t)(at >> 16);
        memcpy(e, &word, sizeof word);
        memcpy((uint8_t *)e + sizeof word, &rest, sizeof rest);
        key += ENTRY_EXPIRY;
    }
    bytes_move(key, plan->key.p, plan->key.len);
    return key + plan->key.len;
}

struct apart entry_apart(const struct entry *e);
/* True if the value is a struct apart. */
static inline bool entry_is_apart(const struct entry *e)
{
    unsigned encoding = entry_encoding_of(e);
    return (encoding & 1) && (encoding != STRING_EMBSTR || entry_type_of(e) != TYPE_STRING);
}

/* True if the value is the address of a struct body (value.h). */
static inline bool entry_is_body(const struct entry *e)
{
    return entry_encoding_of(e) == VALUE_BODY;
}

/* True for a hash that may have fields that expire: a timed pack, or a body (value.h). */
static inline bool entry_may_be_timed(const struct entry *e)
{
    return (e->head & (ENTRY_TYPE | ENTRY_RICH)) == (TYPE_HASH | ENTRY_RICH);
}

static inline struct body *entry_body(const struct entry *e)
{
    struct body *b;
    memcpy(&b, entry_parts(e).value, sizeof b);
    return b;
}

/* When upkeep has to look at the entry: the sooner of its expiry and that of a hash's next field; 0 = never. */
uint64_t entry_due(const struct entry *e);

/* True if p lies in memory that goes when the entry is freed. */
bool entry_covers(const struct entry *e, const void *p);
