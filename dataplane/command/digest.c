/* digest.c: digests of values and of everything (digest.h). What has an order is mixed into the digest, what
 * has none is XORed. Redis' debug.c: xorObjectDigest, computeDatasetDigest;
 * times of fields as since 7.4 */
#include "command/digest.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/stream.h"
#include "store/zset.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

static struct slice text_of(const char *text, int len)
{
    return (struct slice){(const uint8_t *)text, (size_t)len};
}

static struct slice slice_of(const struct digest *d)
{
    return (struct slice){d->b, sizeof d->b};
}

static void join(struct digest *d, struct slice text)
{
    struct digest of;
    sha1(text, of.b);
    for (unsigned i = 0; i < sizeof d->b; i++)
        d->b[i] ^= of.b[i];
}

static void mix(struct digest *d, struct slice text)
{
    join(d, text);
    struct digest joined = *d;
    sha1(slice_of(&joined), d->b);
}

static void mix_number(struct digest *d, uint32_t number)
{
    uint32_t bytes = htonl(number);
    mix(d, (struct slice){(const uint8_t *)&bytes, sizeof bytes});
}

/* Two that belong together, in no order with other twos; and perhaps something that they have. */
static void join_pair(struct digest *d, struct slice a, struct slice b, struct slice mark)
{
    struct digest pair = {{0}};
    mix(&pair, a);
    mix(&pair, b);
    if (mark.len)
        join(&pair, mark);
    join(d, slice_of(&pair));
}

static void add_string(struct digest *d, const struct shard *s, const struct entry *e)
{
    char scratch[24];
    (void)s;
    mix(d, entry_string(e, scratch));
}

static void add_list(struct digest *d, const struct shard *s, const struct entry *e)
{
    struct list_cursor c;
    struct item item;
    char scratch[PACK_TEXT];
    (void)s;
    list_seek(e, 0, &c, NULL);
    while (list_next(&c, &item)) /* long: */
        mix(d, item_text(&item, scratch));
}

static void add_set(struct digest *d, const struct shard *s, const struct entry *e)
{
    struct set_cursor at = {0};
    struct set_member member;
    while (set_next(s, e, &at, &member)) /* long: */
        join(d, member.text);
}

static void add_zset(struct digest *d, const struct shard *s, const struct entry *e)
{
    struct zset z;
    struct zset_walk walk;
    struct zset_element el;
    char score[32];
    zset_open(&z, s, e);
    for (zset_walk(&walk, &z, 0, false); zset_next(&walk, &el);) /* long: */
        join_pair(d, el.member, text_of(score, snprintf(score, sizeof score, "%.17g", el.score)),
                  (struct slice){0});
}

static void add_hash(struct digest *d, const struct shard *s, const struct entry *e)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    while (hash_next(s, e, &at, &pair)) /* long: */
        join_pair(d, pair.field, pair.value, pair.expire_at ? SLICE_LIT("!!hexpire!!") : (struct slice){0});
}

/* Entries alone: as in Redis, groups make no difference. */
static void add_stream(struct digest *d, const struct shard *s, const struct entry *e)
{
    struct value_at v = {.s = (struct shard *)(uintptr_t)s, .e = (struct entry *)(uintptr_t)e};
    struct stream_walk walk;
    struct slice field, value;
    struct stream_text text;
    char id[48];
    stream_walk(&walk, stream_of(&v), STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_walk_next(&walk)) { /* long: */
        mix(d, text_of(id, snprintf(id, sizeof id, "%" PRIu64 ".%" PRIu64, walk.id.ms, walk.id.seq)));
        while (stream_walk_field(&walk, &text, &field, &value)) {
            mix(d, field);
            mix(d, value);
        }
    }
}

/* A type's number in Redis, and what its value adds. */
static const struct {
    uint32_t number;
    void (*add)(struct digest *d, const struct shard *s, const struct entry *e);
} types[] = {
    [TYPE_STRING] = {0, add_string}, [TYPE_LIST] = {1, add_list}, [TYPE_SET] = {2, add_set},
    [TYPE_ZSET] = {3, add_zset},     [TYPE_HASH] = {4, add_hash}, [TYPE_STREAM] = {6, add_stream},
};

static void add_value(struct digest *d, const struct shard *s, const struct entry *e)
{
    mix_number(d, types[entry_type(e)].number);
    types[entry_type(e)].add(d, s, e);
    if (entry_expire_at(e))
        join(d, SLICE_LIT("!!expire!!"));
}

struct digest digest_value(const struct shard *s, const struct entry *e)
{
    struct digest d = {{0}};
    add_value(&d, s, e);
    return d;
}

struct adding {
    const struct shard *s;
    struct digest all;
};

static void add_key(struct entry *e, void *arg)
{
    struct adding *adding = arg;
    struct digest d = {{0}};
    mix(&d, entry_key(e));
    add_value(&d, adding->s, e);
    join(&adding->all, slice_of(&d));
}

struct digest digest_keyspace(struct keyspace *ks)
{
    enum { STEP = 1000 };
    struct adding adding = {0};
    for (unsigned db = 0; db < ks->databases; db++) {
        if (keyspace_db_size(ks, db, NULL) == 0)
            continue;
        mix_number(&adding.all, db);
        for (unsigned i = 0; i < ks->shards; i++) { /* long: */
            uint64_t cursor = 0;
            adding.s = ks->shard[i];
            do
                cursor = store_scan(ks->shard[i], db, cursor, STEP, add_key, &adding);
            while (cursor);
        }
    }
    return adding.all;
}
