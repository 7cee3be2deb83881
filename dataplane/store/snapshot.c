/* snapshot.c: the cursor of a snapshot, and what comes before it (snapshot.h). */
#include "store/snapshot_private.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

enum { BITS = DIRECTORY_BITS, NEW = UINT32_MAX };
#define RANKS (1ULL << BITS)
#define TAGS  (1u << TAG_BITS)

struct snapshot *shard_snapshot(const struct shard *s)
{
    return s->snapshot;
}

/* -- what was written -- */

static void drop_large(struct snapshot *c)
{
    struct large *l = c->large;
    c->large = l->next;
    free(l);
}

/* The one that is being written ends by itself. */
void snapshot_fail(struct snapshot *c, const char *why)
{
    if (!c->failed)
        c->failed = why;
    pieces_drop(&c->out);
    pieces_drop(&c->behind);
    c->figures.waiting = c->figures.kept = 0;
    while (c->large && !c->writing)
        drop_large(c);
    rdb_writer_free(&c->w);
}

void snapshot_flush_all(struct shard *s)
{
    if (s->snapshot && !s->snapshot->options.stays)
        snapshot_fail(s->snapshot, SNAPSHOT_FLUSHED);
}

const char *snapshot_failed(const struct snapshot *c)
{
    return c->failed;
}

struct snapshot_piece *snapshot_first(const struct snapshot *c)
{
    return c->out.first;
}

void snapshot_drop_first(struct snapshot *c)
{
    c->figures.waiting -= c->out.first->len;
    c->figures.kept -= PIECE_MEMORY;
    pieces_drop_first(&c->out);
}

void snapshot_figures(const struct snapshot *c, struct snapshot_figures *f)
{
    *f = c->figures;
}

/* -- large values -- */

/* Remembers it. False: it is to be written here and now. */
static bool leave_large(struct snapshot *c, const struct entry *e)
{
    if (!c->options.slices || c->failed || entry_user_bytes(e) < SNAPSHOT_LARGE)
        return false;
    struct slice name = entry_key(e);
    struct large *l = malloc(sizeof *l + name.len);
    if (!l)
        return false;
    *l = (struct large){.next = c->large, .number = c->db, .hash = key_hash(name, c->s->seed), .len = name.len};
    memcpy(l->name, name.p, name.len);
    c->large = l;
    return true;
}

static struct key key_of_large(const struct large *l)
{
    return (struct key){.name = {l->name, l->len}, .hash = l->hash};
}

static struct entry *find_large(struct snapshot *c, const struct large *l)
{
    struct place at;
    const struct key k = key_of_large(l);
    const struct db *db = c->source[l->number].db;
    return db ? index_find(c->s, &db->index, &k, &at) : NULL;
}

/* Where this database of the instant is now; false: it was flushed. */
static bool database_now(const struct snapshot *c, uint32_t number, unsigned *db)
{
    for (*db = 0; *db < c->databases; ++*db)
        if (c->number[*db] == number)
            return true;
    return false;
}

static void write_first_large(struct snapshot *c)
{
    struct entry *e = find_large(c, c->large);
    if (e)
        snapshot_write_entry(c, c->large->number, e);
    if (c->large) /* it did not fail */
        drop_large(c);
}

bool snapshot_large(struct snapshot *c, unsigned *db, struct slice *key)
{
    while (c->large && !c->writing && !database_now(c, c->large->number, db))
        write_first_large(c);
    if (!c->large || c->writing)
        return false;
    *key = (struct slice){c->large->name, c->large->len};
    return true;
}

struct large_writer {
    struct rdb_writer w; /* first */
    struct snapshot *c;
    uint32_t db;
};

static void drain_large(struct rdb_writer *w)
{
    struct large_writer *of = (struct large_writer *)w;
    struct snapshot *c = of->c;
    c->figures.bytes += w->len;
    if (!c->failed)
        snapshot_append(c, &c->out, of->db, w, true);
    w->failed |= c->failed != NULL;
    w->len = 0;
}

static void end_large(struct snapshot *c)
{
    c->writing = false;
    drop_large(c);
    pieces_join(&c->out, &c->behind);
}

void snapshot_write_large(struct snapshot *c, struct turn *turn)
{
    if (!c->large || c->writing)
        return;
    struct entry *e = find_large(c, c->large);
    struct large_writer of = {.w = {.turn = turn, .compress = c->options.compress, .drain = drain_large},
                              .c = c,
                              .db = c->large->number};
    c->writing = true;
    if (e && snapshot_put_entry(c, &of.w, e) && !c->failed) {
        c->figures.bytes += of.w.len;
        if (of.w.failed)
            snapshot_fail(c, "out of memory");
        else
            snapshot_append(c, &c->out, of.db, &of.w, false);
    }
    rdb_writer_free(&of.w);
    end_large(c);
    if (c->failed)
        snapshot_fail(c, c->failed);
}

/* A key that the cursor has passed is about to change. */
static void look_behind(struct snapshot *c, uint32_t number, const struct key *k)
{
    for (struct large **at = &c->large, *l; (l = *at); at = &l->next) {
        if (l->number != number || l->hash != k->hash || !slice_eq(k->name, key_of_large(l).name))
            continue;
        if (l == c->large && c->writing) {
            snapshot_fail(c, "a value was changed while it was written");
            return;
        }
        *at = l->next;
        struct entry *e = find_large(c, l);
        if (e)
            snapshot_write_entry(c, number, e);
        c->figures.ahead++;
        free(l);
        return;
    }
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
    c->writing = false;
    snapshot_fail(c, "it has ended");
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
    s->marked = true;
    waits_want_snapshot(&s->waits, true);
    return true;
}

void snapshot_end(struct shard *s)
{
    struct snapshot *c = s->snapshot;
    if (!c)
        return;
    s->snapshot = NULL;
    s->marked = c->db < c->databases;
    s->snapshot_trash = 0;
    waits_want_snapshot(&s->waits, false);
    free_snapshot(c);
}

/* -- before the cursor -- */

/* The lowest bits, in reverse: bytes by bswap, then what is in each. */
static uint64_t rank_of(uint64_t hash)
{
    static_assert(BITS == 24, "three bytes of a word");
    uint32_t r = __builtin_bswap32((uint32_t)hash << 8);
    r = (r >> 4 & 0x0f0f0f) | (r & 0x0f0f0f) << 4;
    r = (r >> 2 & 0x333333) | (r & 0x333333) << 2;
    return (r >> 1 & 0x555555) | (r & 0x555555) << 1;
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
    if (!e && c && c->large && db < c->databases && c->number[db] != NEW)
        look_behind(c, c->number[db], k);
    if (!e)
        return;
    index_mark(&at);
    snapshot_write_entry(c, c->number[db], e);
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
    if (!marked && !leave_large(c, e))
        snapshot_write_entry(c, c->db, e);
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
    if (c->large)
        return true;
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
