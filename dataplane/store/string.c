/* string.c: strings: choice of encoding, SET, INCR, and growth in place (APPEND, SETRANGE, SETBIT). */
#include "base/number.h"
#include "store/hash_forms.h"

enum { EMBSTR_LONGEST = 44, GROWTH_FAST = 8 << 20 };

/* A string to be stored: text, then zero bytes up to len. */
struct value {
    unsigned encoding;
    int64_t number; /* STRING_INT */
    struct slice text;
    size_t len, cap; /* STRING_APART: bytes wanted */
};

/* Written where it stays: a copy of it would wait for what was just stored. */
static inline __attribute__((always_inline)) void value_of(struct value *v, struct slice text, unsigned flags)
{
    v->number = 0;
    v->text = text;
    v->len = v->cap = text.len;
    if (text.len > ENTRY_INLINE)
        v->encoding = STRING_APART;
    else if (flags & SET_RAW || (text.len > EMBSTR_LONGEST))
        v->encoding = STRING_RAW;
    else
        v->encoding = parse_i64(text, &v->number) ? STRING_INT : STRING_EMBSTR;
}

static uint32_t inline_len(const struct value *v)
{
    return v->encoding == STRING_INT     ? sizeof v->number
           : v->encoding == STRING_APART ? sizeof(struct apart)
                                         : (uint32_t)v->len;
}

static void write_text(uint8_t *to, const struct value *v)
{
    bytes_move(to, v->text.p, v->text.len);
    if (v->len > v->text.len)
        memset(to + v->text.len, 0, v->len - v->text.len);
}

/* The same with turns, if it is not there already. */
static __attribute__((noinline)) void write_apart(struct turn *turn, uint8_t *to, const struct value *v)
{
    if (to != v->text.p)
        turn_copy(turn, to, v->text.p, v->text.len);
    turn_zero(turn, to + v->text.len, v->len - v->text.len);
}

static inline void write_value(uint8_t *to, const struct value *v, struct apart root)
{
    if (v->encoding == STRING_INT) {
        memcpy(to, &v->number, sizeof v->number);
    } else if (v->encoding == STRING_APART) {
        memcpy(to, &root, sizeof root);
    } else {
        write_text(to, v);
    }
}

static bool in_memory_of(const struct entry *e, const void *p)
{
    return (uintptr_t)p - (uintptr_t)e < entry_size(e);
}

/* Can the entry be written over where it lies? Not if what is written comes from there. */
static bool fits_in_place(const struct entry *e, const struct entry_plan *plan, const struct value *v)
{
    return e && slab_size(entry_size(e)) == slab_size(entry_plan_size(plan)) &&
           !in_memory_of(e, plan->key.p) && !in_memory_of(e, v->text.p);
}

/* What a put takes before it changes anything. */
struct taken {
    struct entry *e; /* NULL: the old entry is written over */
    struct apart root;
    bool root_is_old;
};

static bool take_root(struct shard *s, struct db *db, const struct key *k, const struct entry *e, const struct value *v,
                      struct taken *t)
{
    if (v->encoding != STRING_APART)
        return true;
    if (e && entry_is_apart(e)) {
        t->root = entry_apart(e);
        t->root_is_old = slab_size(v->cap) == t->root.cap;
    }
    if (!t->root_is_old) {
        t->root.cap = slab_size(v->cap);
        t->root.p = t->root.cap < v->cap ? NULL : shard_alloc(s, v->cap, SLAB_OTHER);
    }
    t->root.len = v->len;
    uint64_t before = e && entry_type_of(e) == TYPE_STRING ? entry_user_bytes(e) : 0;
    big_grew(s, (unsigned)(db - s->db), k, TYPE_STRING, before, k->name.len + v->len);
    if (t->root.p && !t->root_is_old)
        write_apart(s->turn, t->root.p, v);
    return t->root.p != NULL;
}

static void give_back(struct shard *s, struct taken *t)
{
    if (t->root.p && !t->root_is_old)
        shard_free(s, t->root.p);
    if (t->e)
        shard_free(s, t->e);
}

/* Everything that may fail. What may take turns comes first; of the rest the wheel: an item too many does no
 * harm. */
static bool take(struct shard *s, struct db *db, const struct key *k, const struct entry *e,
                 const struct entry_plan *plan, const struct value *v, struct taken *t)
{
    if (!take_root(s, db, k, e, v, t) || !expiry_add(s, db, k->hash, e ? entry_expire_at(e) : 0, plan->expire_at))
        return false;
    if (!fits_in_place(e, plan, v)) {
        t->e = shard_alloc(s, entry_plan_size(plan), SLAB_ENTRY);
        if (!t->e)
            return false;
    }
    return e || shard_reserve(s, &db->index, k->hash);
}

/* Writes the value into e (the old entry itself or new memory) and makes the index point there. */
static struct entry *put_taken(struct shard *s, struct db *db, const struct key *k, struct entry *old,
                               struct place *at, const struct entry_plan *plan, const struct value *v,
                               const struct taken *t)
{
    struct apart old_root = old && entry_is_apart(old) ? entry_apart(old) : (struct apart){0};
    struct body *old_body = old && entry_is_body(old) ? entry_body(old) : NULL;
    struct entry *e = t->e ? t->e : old;
    enum value_type was = old ? entry_type_of(old) : TYPE_STRING;
    db->data -= old ? entry_user_bytes(old) : 0;
    if (was != TYPE_STRING)
        db_note_timed(db, hash_next_time(old), 0);
    db_note_expiry(db, old ? entry_expire_at(old) : 0, plan->expire_at);
    write_value(entry_write(e, plan), v, t->root);
    if (old && e != old) {
        memcpy(e->clock, old->clock, sizeof e->clock);
        index_replace(s, at, e);
        shard_free(s, old);
        shard_entry_freed(s);
    } else if (!old) {
        entry_new_clock(s, e);
        index_insert(s, &db->index, k->hash, e);
    }
    if (__builtin_expect(s->waits.nodes != 0, 0) && (!old || was != TYPE_STRING)) {
        unsigned number = (unsigned)(db - s->db);
        if (old)
            waits_note(&s->waits, number, k->name, k->hash, KEY_GONE, was);
        else
            snapshot_made(s, number, k);
        waits_note(&s->waits, number, k->name, k->hash, KEY_MADE, TYPE_STRING);
    }
    if (old_root.p && !t->root_is_old)
        shard_free(s, old_root.p);
    if (old_body)
        body_release(s, old_body);
    db->data += entry_user_bytes(e);
    if (old)
        entry_touch(s, e);
    return e;
}

static __attribute__((noinline)) bool file_sooner(struct shard *s, struct db *db, const struct key *k,
                                                  const struct entry *e, const struct value *v, uint64_t expire_at)
{
    shard_guard(s, e);
    shard_guard(s, k->name.p);
    shard_guard(s, v->text.p);
    bool ok = expiry_add(s, db, k->hash, entry_expire_at(e), expire_at);
    shard_unguard(s);
    return ok;
}

/* A string of the same form and length as the one that is there, as most are that are set again: nothing moves. False, and nothing done, if it is not such a one. */
static bool write_over(struct shard *s, struct db *db, const struct key *k, struct entry *e, const struct value *v,
                       uint64_t expire_at)
{
    enum { FORM = ENTRY_TYPE | 7 << 3 | ENTRY_TTL };
    unsigned form = TYPE_STRING | v->encoding << 3 | (expire_at ? ENTRY_TTL : 0);
    if ((e->head & FORM) != form || v->encoding == STRING_APART || e->value_len == ENTRY_LONG ||
        e->value_len != inline_len(v))
        return false;
    struct parts parts = entry_parts(e);
    if (expire_at) {
        uint64_t before = entry_expire_at(e), at = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at;
        if (before > at && !file_sooner(s, db, k, e, v, at))
            return false;
        entry_write_expiry(parts.expiry, at);
        db_note_expiry(db, before, at);
    }
    if (v->encoding == STRING_INT)
        memcpy(parts.value, &v->number, sizeof v->number);
    else
        bytes_move(parts.value, v->text.p, v->len);
    entry_touch(s, e);
    return true;
}

/* Stores a value under a key whose present entry is old (NULL = none). Returns the entry, NULL without
 * memory. */
static struct entry *put(struct shard *s, struct db *db, const struct key *k, struct entry *old,
                         struct place *at, const struct value *v, uint64_t expire_at)
{
    struct entry_plan plan = {.key = k->name,
                              .type = TYPE_STRING,
                              .encoding = v->encoding,
                              .expire_at = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at,
                              .value_len = inline_len(v)};
    struct taken t = {0};
    uint64_t changes = s->changes;
    shard_guard(s, k->name.p);
    shard_guard(s, v->text.p);
    if (old)
        shard_guard(s, old);
    bool ok = take(s, db, k, old, &plan, v, &t);
    shard_unguard(s);
    if (!ok) {
        give_back(s, &t);
        return NULL;
    }
    if (__builtin_expect(t.root_is_old, 0))
        write_apart(s->turn, t.root.p, v);
    if (old && (s->turn || s->changes != changes)) /* something was evicted, and slots moved */
        index_find_entry(s, &db->index, k->hash, old, at);
    return put_taken(s, db, k, old, at, &plan, v, &t);
}

/* An entry whose value lies in it, with a clock that begins. */
static inline void write_new(const struct shard *s, struct entry *e, const struct entry_plan *plan, const struct value *v)
{
    if (__builtin_expect(plan->key.len < ENTRY_LONG && plan->value_len < ENTRY_LONG, 1)) {
        write_value(entry_write_short(e, plan, access_new_stamp(s)), v, (struct apart){0});
        return;
    }
    write_value(entry_write(e, plan), v, (struct apart){0});
    entry_new_clock(s, e);
}

/* Where memory is full, that of a key of the same size which goes; NULL: there is another way to some, or none. */
static inline struct entry *take_alike(struct shard *s, const struct entry_plan *plan, const struct value *v)
{
    const uint64_t bytes = slab_size(entry_plan_size(plan));
    if (s->limit - s->heap.used >= bytes || s->trash || s->bodies || s->heap.fail_in || arena_holds(s->heap.arena, plan->key.p) ||
        arena_holds(s->heap.arena, v->text.p))
        return NULL;
    return evict_alike(s, bytes);
}

/* Its memory, and what else may fail. */
static __attribute__((noinline)) struct entry *alloc_new(struct shard *s, struct db *db, const struct key *k, const struct entry_plan *plan,
                                                         const struct value *v)
{
    struct entry *e = NULL;
    shard_guard(s, k->name.p);
    shard_guard(s, v->text.p);
    if (expiry_is_far(db, plan->expire_at) || expiry_add(s, db, k->hash, 0, plan->expire_at))
        e = shard_alloc(s, entry_plan_size(plan), SLAB_ENTRY);
    shard_unguard(s);
    return e;
}

/* Stores a key that is not there, with a value that lies in its entry; STORE_OOM leaves no trace but an item of the wheel. */
static __attribute__((noinline)) bool put_new(struct shard *s, struct db *db, const struct key *k, const struct value *v,
                                              uint64_t expire_at)
{
    const struct entry_plan plan = {.key = k->name,
                                    .type = TYPE_STRING,
                                    .encoding = v->encoding,
                                    .expire_at = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at,
                                    .value_len = inline_len(v)};
    struct entry *e = expiry_is_far(db, plan.expire_at) ? take_alike(s, &plan, v) : NULL;
    if (__builtin_expect(!e, 0) && !(e = alloc_new(s, db, k, &plan, v)))
        return false;
    write_new(s, e, &plan, v);
    if (__builtin_expect(!index_insert_easily(s, &db->index, k->hash, e), 0)) {
        if (!shard_reserve(s, &db->index, k->hash)) {
            shard_free(s, e);
            return false;
        }
        index_insert(s, &db->index, k->hash, e);
    }
    db->expires += plan.expire_at != 0;
    db->expire_total += plan.expire_at;
    db->data += plan.key.len + plan.value_len;
    return true;
}

/* Does nobody wait for a key, and is all of the value in its entry? */
static inline bool is_plain(const struct shard *s, const struct value *v, unsigned flags)
{
    return !s->waits.nodes && !(flags & SET_KEEPTTL) && v->encoding != STRING_APART;
}

static __attribute__((noinline)) bool find_and_put(struct shard *s, struct db *db, const struct key *k,
                                                   const struct value *v, uint64_t expire_at, unsigned flags)
{
    struct place at;
    struct entry *old = db_find(s, db, k, &at);
    if (!old && is_plain(s, v, flags))
        return put_new(s, db, k, v, expire_at);
    if (flags & SET_KEEPTTL)
        expire_at = old ? entry_expire_at(old) : 0;
    return (old && write_over(s, db, k, old, v, expire_at)) || put(s, db, k, old, &at, v, expire_at);
}

/* Does the hint know that there is no such key? */
static inline bool is_new(const struct shard *s, unsigned db, const struct key *k, const struct value *v, unsigned flags,
                          const struct ahead *a)
{
    return a && is_plain(s, v, flags) && ahead_missed(s, db, k->hash, a);
}

static inline __attribute__((always_inline)) bool set_string(struct shard *s, unsigned number, const struct key *k, struct slice value,
                                                             uint64_t expire_at, unsigned flags, const struct ahead *a)
{
    struct db *db = &s->db[number];
    struct value v;
    value_of(&v, value, flags);
    struct entry *old = flags & SET_KEEPTTL ? NULL : ahead_hit(s, number, k, a);
    if (!(old && write_over(s, db, k, old, &v, expire_at)) &&
        (ahead_refused(a) || !(is_new(s, number, k, &v, flags, a) ? put_new(s, db, k, &v, expire_at)
                                                                  : find_and_put(s, db, k, &v, expire_at, flags))))
        return false;
    shard_changed(s, number, k);
    return true;
}

enum store_result store_set_string_ahead(struct shard *s, unsigned number, const struct key *k, struct slice value,
                                         uint64_t expire_at, unsigned flags, const struct ahead *a)
{
    return set_string(s, number, k, value, expire_at, flags, a) ? STORE_OK : STORE_OOM;
}

enum store_result store_set_string(struct shard *s, unsigned db, const struct key *k, struct slice value,
                                   uint64_t expire_at, unsigned flags)
{
    return store_set_string_ahead(s, db, k, value, expire_at, flags, NULL);
}

/* Is nobody to be told of what happens to keys but a snapshot? Then it has been. */
static __attribute__((noinline)) bool only_snapshot(struct shard *s, unsigned db, struct ahead_row *r, unsigned i,
                                                    const struct key *k)
{
    if (s->waits.nodes != WAITS_SNAPSHOT)
        return false;
    store_look_ahead(s, r, i);
    snapshot_key(s, db, k);
    return true;
}

bool store_put_ahead(struct shard *s, unsigned db, struct ahead_row *r, unsigned i, struct slice name,
                     struct slice value, uint64_t expire_at)
{
    struct ahead *a = &r->at[i];
    const struct key k = {name, a->hash};
    if ((__builtin_expect(s->waits.nodes != 0, 0) && !only_snapshot(s, db, r, i, &k)) || s->heap.used > s->limit ||
        ahead_refused(a))
        return false;
    if (r->entries < r->n || r->spilled >> i) { /* else it was done with the row's first */
        store_look_all_ahead(s, r, i);
        r->spilled = 0;
    }
    if (set_string(s, db, &k, value, expire_at, 0, a))
        return true;
    a->changes = AHEAD_REFUSED;
    if (r->values <= i)
        r->values = i + 1; /* a step that is still to come would take the mark away */
    return false;
}

enum store_result store_set_int(struct shard *s, unsigned number, const struct key *k, int64_t value)
{
    struct db *db = &s->db[number];
    struct place at;
    struct entry *old = db_find(s, db, k, &at);
    if (old && entry_type_of(old) == TYPE_STRING && entry_encoding_of(old) == STRING_INT) {
        memcpy(entry_parts(old).value, &value, sizeof value);
        entry_touch(s, old);
        shard_changed(s, number, k);
        return STORE_OK;
    }
    struct value v = {.encoding = STRING_INT, .number = value};
    if (!put(s, db, k, old, &at, &v, old ? entry_expire_at(old) : 0))
        return STORE_OOM;
    shard_changed(s, number, k);
    return STORE_OK;
}

/* Room that is there already: spare capacity, or the rest of the entry's size class. False if there is none.
 */
static bool grow_in_place(struct shard *s, struct db *db, const struct key *k, struct entry *e, size_t len)
{
    struct parts parts = entry_parts(e);
    uint64_t old_len;
    if (entry_is_apart(e)) {
        struct apart root = entry_apart(e);
        if (root.cap < len)
            return false;
        old_len = root.len;
        root.len = len;
        turn_zero(s->turn, root.p + old_len, len - old_len);
        memcpy(parts.value, &root, sizeof root);
        big_grew(s, (unsigned)(db - s->db), k, TYPE_STRING, k->name.len + old_len, k->name.len + len);
    } else {
        bool stays_short = len < ENTRY_LONG, was_short = parts.value_len < ENTRY_LONG;
        old_len = parts.value_len;
        if (entry_encoding_of(e) == STRING_INT || len > ENTRY_INLINE || stays_short != was_short ||
            slab_size(entry_size(e)) != slab_size(entry_size(e) + len - old_len))
            return false;
        uint32_t long_len = (uint32_t)len;
        memset(parts.value + old_len, 0, len - old_len);
        if (stays_short)
            e->value_len = (uint8_t)len;
        else
            memcpy(entry_bytes(e) + (e->key_len == ENTRY_LONG ? 4 : 0), &long_len, sizeof long_len);
        e->head = (uint8_t)((e->head & ~(7u << 3)) | STRING_RAW << 3);
    }
    db->data += len - old_len;
    return true;
}

static uint8_t *string_bytes(struct entry *e)
{
    return entry_is_apart(e) ? entry_apart(e).p : entry_parts(e).value;
}

uint64_t store_string_growth(const struct entry *e, size_t len)
{
    if (!e || entry_type(e) != TYPE_STRING || !entry_is_apart(e) || entry_apart(e).cap < len)
        return len;
    return len > entry_apart(e).len ? len - entry_apart(e).len : 0;
}

enum store_result store_string_grow(struct shard *s, unsigned number, const struct key *k, size_t len,
                                    uint8_t **bytes)
{
    struct db *db = &s->db[number];
    struct place at;
    char scratch[24];
    struct entry *e = db_find(s, db, k, &at);
    struct slice text = e ? entry_string(e, scratch) : (struct slice){0};
    if (len < text.len)
        len = text.len;
    if (e && grow_in_place(s, db, k, e, len)) {
        entry_touch(s, e);
        *bytes = string_bytes(e);
        return STORE_OK;
    }
    struct value v = {.encoding = len > ENTRY_INLINE ? STRING_APART : STRING_RAW, .text = text, .len = len};
    uint64_t expire_at = e ? entry_expire_at(e) : 0;
    /* Some room for more, if this is not the first time and there is memory. */
    v.cap = e ? len + (len < GROWTH_FAST ? len / 2 : len / 8) : len;
    struct entry *grown = put(s, db, k, e, &at, &v, expire_at);
    if (!grown && v.cap > len) {
        v.cap = len;
        e = db_find(s, db, k, &at); /* the first try may have moved slots */
        grown = put(s, db, k, e, &at, &v, expire_at);
    }
    if (!grown)
        return STORE_OOM;
    *bytes = string_bytes(grown);
    return STORE_OK;
}
