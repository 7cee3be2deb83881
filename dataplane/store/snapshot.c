/* snapshot.c: the cursor of a snapshot, and what comes before it (snapshot.h). */
#include "store/snapshot.h"
#include "store/rdb.h"
#include "store/shard.h"

#include <limits.h>
#include <stdlib.h>

enum { OPCODE_IDLE = 0xf8, OPCODE_FREQUENCY = 0xf9, OPCODE_EXPIRY_MS = 0xfc };
enum { BITS = DIRECTORY_BITS, NEW = UINT32_MAX, RECORD_KEPT = 256 * 1024 };
#define RANKS (1ULL << BITS)
#define TAGS  (1u << TAG_BITS)

/* A database as it was numbered at the instant. */
struct source {
    struct db *db; /* where it is now */
    bool flushed;  /* in the trash, for us */
};

struct snapshot {
    struct shard *s;
    struct snapshot_options options;
    struct snapshot_figures figures;
    const char *failed;
    uint64_t now_ms; /* the instant */
    struct source *source;
    uint32_t *number;   /* of the shard's databases at the instant; NEW: not there then */
    unsigned databases, flushed;
    /* The cursor: hashes before this were passed. */
    unsigned db;
    uint64_t rank;
    unsigned bits; /* of the hash, that are the same in the part of the index that it is in */
    uint32_t tag;
    struct rdb_writer w;
    struct snapshot_piece *first, *last;
};

struct snapshot *shard_snapshot(const struct shard *s)
{
    return s->snapshot;
}

/* -- what was written -- */

void snapshot_fail(struct snapshot *c, const char *why)
{
    if (!c->failed)
        c->failed = why;
    while (c->first)
        snapshot_drop_first(c);
    rdb_writer_free(&c->w);
}

const char *snapshot_failed(const struct snapshot *c)
{
    return c->failed;
}

const struct snapshot_piece *snapshot_first(const struct snapshot *c)
{
    return c->first;
}

void snapshot_drop_first(struct snapshot *c)
{
    struct snapshot_piece *p = c->first;
    c->first = p->next;
    if (!c->first)
        c->last = NULL;
    c->figures.waiting -= p->len;
    free(p);
}

void snapshot_figures(const struct snapshot *c, struct snapshot_figures *f)
{
    *f = c->figures;
}

static struct snapshot_piece *append_piece(struct snapshot *c, uint32_t db)
{
    struct snapshot_piece *p = malloc(sizeof *p + SNAPSHOT_PIECE);
    if (!p)
        return NULL;
    *p = (struct snapshot_piece){.db = db};
    if (c->last)
        c->last->next = p;
    else
        c->first = p;
    c->last = p;
    return p;
}

/* The record in the writer goes behind those that wait: into the last piece, or into as many as it needs. */
static void append_record(struct snapshot *c, uint32_t db)
{
    const uint8_t *from = c->w.p;
    size_t left = c->w.len;
    struct snapshot_piece *p = c->last;
    c->figures.waiting += left;
    if (c->figures.waiting > c->options.most) {
        c->figures.waiting -= left;
        snapshot_fail(c, "writers were faster than the disk: the room for old values is full");
        return;
    }
    if (p && (p->db != db || SNAPSHOT_PIECE - p->len < left))
        p = NULL;
    while (left) {
        if (!p && !(p = append_piece(c, db))) {
            c->figures.waiting -= left;
            snapshot_fail(c, "out of memory");
            return;
        }
        size_t room = SNAPSHOT_PIECE - p->len, n = left < room ? left : room;
        memcpy(p->bytes + p->len, from, n);
        p->len += (uint32_t)n;
        from += n;
        left -= n;
        p->more = left != 0;
        p = NULL;
    }
    if (c->figures.waiting > c->figures.waiting_most)
        c->figures.waiting_most = c->figures.waiting;
}

/* As Redis does it: what the policy knows of the key's use. */
static void put_use(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    if (access_is_lfu(s)) {
        rdb_put_byte(w, OPCODE_FREQUENCY);
        rdb_put_byte(w, (uint8_t)entry_frequency(s, e));
    } else if (s->policy == POLICY_ALLKEYS_LRU || s->policy == POLICY_VOLATILE_LRU) {
        rdb_put_byte(w, OPCODE_IDLE);
        rdb_put_len(w, entry_idle_seconds(s, e));
    }
}

/* By the time of the instant: what expired since was there then. */
static void write_entry(struct snapshot *c, uint32_t db, const struct entry *e)
{
    struct shard *s = c->s;
    struct rdb_writer *w = &c->w;
    struct slice name = entry_key(e);
    uint64_t now_ms = s->now_ms, expire_at = entry_expire_at(e);
    if (c->failed)
        return;
    s->now_ms = c->now_ms;
    if (!entry_is_over(s, e)) {
        w->len = 0;
        w->key = &name;
        if (expire_at) {
            rdb_put_byte(w, OPCODE_EXPIRY_MS);
            rdb_put(w, &expire_at, sizeof expire_at);
        }
        put_use(w, s, e);
        rdb_put_value(w, s, e);
        c->figures.keys++;
        c->figures.bytes += w->len;
        if (w->failed)
            snapshot_fail(c, "out of memory");
        else
            append_record(c, db);
        if (w->cap > RECORD_KEPT)
            rdb_writer_free(w);
        w->failed = false;
    }
    s->now_ms = now_ms;
}

/* -- begin and end -- */

bool snapshot_is_new(const struct shard *s)
{
    for (unsigned i = 0; i < s->databases; i++)
        if (s->db[i].timed)
            return true;
    return false;
}

static void free_snapshot(struct snapshot *c)
{
    while (c->first)
        snapshot_drop_first(c);
    rdb_writer_free(&c->w);
    free(c->source);
    free(c->number);
    free(c);
}

bool snapshot_begin(struct shard *s, const struct snapshot_options *o)
{
    struct snapshot *c = s->snapshot ? NULL : calloc(1, sizeof *c);
    if (!c)
        return false;
    c->source = calloc(s->databases, sizeof *c->source);
    c->number = calloc(s->databases, sizeof *c->number);
    if (!c->source || !c->number) {
        free_snapshot(c);
        return false;
    }
    c->s = s;
    c->options = *o;
    c->now_ms = s->now_ms;
    c->databases = s->databases;
    c->w.compress = o->compress;
    for (unsigned i = 0; i < s->databases; i++) {
        c->source[i].db = &s->db[i];
        c->number[i] = i;
        c->figures.keys_begun += s->db[i].index.keys;
    }
    s->snapshot = c;
    waits_want_snapshot(&s->waits, true);
    return true;
}

void snapshot_end(struct shard *s)
{
    struct snapshot *c = s->snapshot;
    if (!c)
        return;
    s->snapshot = NULL;
    s->snapshot_trash = 0;
    waits_want_snapshot(&s->waits, false);
    free_snapshot(c);
}

/* -- before the cursor -- */

static uint64_t rank_of(uint64_t hash)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < BITS; i++, hash >>= 1)
        r = r << 1 | (hash & 1);
    return r;
}

static bool is_passed(const struct snapshot *c, unsigned db, uint64_t hash)
{
    if (db != c->db)
        return db < c->db;
    uint64_t rank = rank_of(hash);
    return rank < c->rank || (rank < c->rank + (RANKS >> c->bits) && (uint32_t)(hash >> (64 - TAG_BITS)) < c->tag);
}

/* The place of a key of which the cursor is still to come by, and that has no mark. */
static struct entry *find_ahead(struct snapshot *c, unsigned db, const struct key *k, struct place *at)
{
    if (db >= c->databases || c->number[db] == NEW || is_passed(c, c->number[db], k->hash))
        return NULL;
    struct entry *e = index_find(c->s, &c->s->db[db].index, k, at);
    return e && !index_marked(at) ? e : NULL;
}

void snapshot_key(struct shard *s, unsigned db, const struct key *k)
{
    struct snapshot *c = s->snapshot;
    struct place at;
    struct entry *e = c ? find_ahead(c, db, k, &at) : NULL;
    if (!e)
        return;
    index_mark(&at);
    write_entry(c, c->number[db], e);
    c->figures.ahead++;
}

void snapshot_made(struct shard *s, unsigned db, const struct key *k)
{
    struct place at;
    if (s->snapshot && find_ahead(s->snapshot, db, k, &at))
        index_mark(&at);
}

static void follow(struct snapshot *c, unsigned db)
{
    if (c->number[db] != NEW)
        c->source[c->number[db]].db = &c->s->db[db];
}

void snapshot_swapped(struct shard *s, unsigned a, unsigned b)
{
    struct snapshot *c = s->snapshot;
    if (!c)
        return;
    uint32_t number = c->number[a];
    c->number[a] = c->number[b];
    c->number[b] = number;
    follow(c, a);
    follow(c, b);
}

bool snapshot_needs(const struct shard *s, unsigned db)
{
    const struct snapshot *c = s->snapshot;
    return c && db < c->databases && c->number[db] != NEW && c->number[db] >= c->db;
}

void snapshot_flushed(struct shard *s, unsigned db, struct trash *now)
{
    struct snapshot *c = s->snapshot;
    struct source *from = &c->source[c->number[db]];
    c->number[db] = NEW;
    if (now) {
        *from = (struct source){&now->db, true};
        s->snapshot_trash++;
    } else {
        *from = (struct source){0};
        snapshot_fail(c, "out of memory");
    }
}

/* -- the cursor -- */

static void visit(struct entry *e, bool marked, void *arg)
{
    struct snapshot *c = arg;
    if (!marked)
        write_entry(c, c->db, e);
}

static void next_database(struct snapshot *c)
{
    if (c->source[c->db].flushed)
        c->s->snapshot_trash--;
    c->db++;
    c->rank = c->tag = c->bits = 0;
}

bool snapshot_step(struct snapshot *c)
{
    while (c->db < c->databases &&
           (!c->source[c->db].db || c->source[c->db].db->index.segments == 0 || c->rank >= RANKS))
        next_database(c);
    if (c->db >= c->databases)
        return false;
    const struct index *ix = &c->source[c->db].db->index;
    uint32_t part = (uint32_t)rank_of(c->rank), number = index_segment_of(ix, part);
    if (c->tag == 0) { /* a part begins: as large as the segment is now */
        unsigned bits = index_segment_bits(ix, number), least = c->rank ? BITS - (unsigned)__builtin_ctzll(c->rank) : 0;
        c->bits = bits > least ? bits : least;
    }
    struct index_part of = {part, c->bits, c->tag, index_tags_end(ix, number, c->tag)};
    /* With the segments that were split off it since. Or, if the index was empty since and is smaller now, the one that
     * has more than this part. */
    for (uint64_t n = number; n < ix->segments; n += 1ULL << c->bits)
        index_unmark(c->s, ix, (uint32_t)n, &of, visit, c);
    c->tag = of.to;
    if (of.to >= TAGS) {
        c->tag = 0;
        c->rank += RANKS >> c->bits;
    }
    return true;
}
