/* hash_times.c: the times at which fields of a hash expire: where they are kept, and taking out what is over
 * (hash_forms.h). https://redis.io/docs/latest/commands/hexpire/ */
#include "store/hash_forms.h"

#include <assert.h>

/* -- packs -- */

struct hash_pack hash_pack_of(const struct entry *e)
{
    uint64_t len;
    uint8_t *p = entry_value_bytes(e, &len);
    struct hash_pack h = {.pk = {p, (uint32_t)len}, .stride = 2};
    if (entry_is_compact(e, VALUE_TIMED)) {
        h.first = pack_next(h.pk, 0);
        h.stride = 3;
    }
    return h;
}

uint32_t hash_pack_find(const struct hash_pack *h, const struct item *field, uint32_t near)
{
    if (near <= h->first)
        return pack_find(h->pk, h->first, field, h->stride);
    uint32_t at = pack_find(h->pk, near, field, h->stride);
    return at == PACK_NOWHERE ? pack_find_before(h->pk, h->first, near, field, h->stride) : at;
}

static uint64_t time_at(struct pack pk, uint32_t at)
{
    struct item item;
    pack_get(pk, at, &item);
    return item.number ? (uint64_t)(item.number - HASH_EPOCH) : 0;
}

uint64_t hash_pack_time(const struct hash_pack *h, uint32_t at)
{
    return h->stride == 3 ? time_at(h->pk, pack_next(h->pk, pack_next(h->pk, at))) : 0;
}

struct item hash_time_item(uint64_t at)
{
    return item_of_number(at ? HASH_EPOCH + (int64_t)at : 0);
}

void hash_pack_settle(struct hash_pack *h)
{
    uint64_t next = 0;
    if (h->stride == 2)
        return;
    for (uint32_t at = h->first; at < pack_end(h->pk);) {
        uint32_t time = pack_next(h->pk, pack_next(h->pk, at));
        uint64_t t = time_at(h->pk, time);
        next = t && (!next || t < next) ? t : next;
        at = pack_next(h->pk, time);
    }
    struct item item = item_of_number(HASH_EPOCH + (int64_t)next); /* of one size also when there is none */
    pack_replace(&h->pk, 0, &item);
}

enum { TOLD_AT_ONCE = 32 };

static void tell_log(const struct value_at *v, const struct slice *field, unsigned n)
{
    const struct waits *w = &v->s->waits;
    if (n && waits_want_fields(w, v->db))
        w->log_fields(w->log_ctx, v->db, entry_key(v->e), field, n);
}

/* Tells the log of what is gone. */
static void tell_of_pack(const struct value_at *v, const struct hash_pack *h)
{
    struct slice field[TOLD_AT_ONCE];
    char scratch[TOLD_AT_ONCE][HASH_TEXT];
    unsigned n = 0;
    for (uint32_t at = h->first; at < pack_end(h->pk);) {
        uint32_t time = pack_next(h->pk, pack_next(h->pk, at));
        if (hash_time_over(v->s, time_at(h->pk, time))) {
            struct pack_run run = pack_run_from(h->pk, at);
            field[n] = pack_run_text(&run, scratch[n]);
            n++;
        }
        if (n == TOLD_AT_ONCE) {
            tell_log(v, field, n);
            n = 0;
        }
        at = pack_next(h->pk, time);
    }
    tell_log(v, field, n);
}

/* Deletes what is gone. */
static unsigned drop_gone(const struct value_at *v, struct hash_pack *h)
{
    const struct shard *s = v->s;
    unsigned n = 0;
    if (waits_want_fields(&s->waits, v->db))
        tell_of_pack(v, h);
    for (uint32_t at = h->first; at < pack_end(h->pk);) {
        uint32_t time = pack_next(h->pk, pack_next(h->pk, at));
        bool gone = hash_time_over(s, time_at(h->pk, time));
        if (gone)
            pack_delete(&h->pk, at, 3);
        else
            at = pack_next(h->pk, time);
        n += gone;
    }
    return n;
}

static bool pack_is_over(const struct shard *s, const struct hash_pack *h)
{
    if (h->stride == 2 || !hash_time_over(s, time_at(h->pk, 0)))
        return false;
    for (uint32_t at = h->first; at < pack_end(h->pk);) {
        uint32_t time = pack_next(h->pk, pack_next(h->pk, at));
        if (!hash_time_over(s, time_at(h->pk, time)))
            return false;
        at = pack_next(h->pk, time);
    }
    return true;
}

/* -- the order of a table's times -- */

struct when {
    uint64_t at;
    struct slice field;
};

static int compare_when(const void *key, uint64_t word)
{
    const struct when *w = key;
    const struct entry *e = ordered_element(word);
    uint64_t at = entry_expire_at(e);
    struct slice field = entry_key(e);
    if (w->at != at)
        return w->at < at ? -1 : 1;
    size_t n = w->field.len < field.len ? w->field.len : field.len;
    int order = n ? memcmp(w->field.p, field.p, n) : 0;
    return order ? order : (w->field.len > field.len) - (w->field.len < field.len);
}

static uint64_t hint_of_word(uint64_t word)
{
    return entry_expire_at(ordered_element(word));
}

static const struct order_kind by_time = {compare_when, hint_of_word};

static struct when when_of(const struct entry *e)
{
    return (struct when){entry_expire_at(e), entry_key(e)};
}

static struct order_key key_of(const struct when *w)
{
    return (struct order_key){w, w->at};
}

static uint64_t rank_of(const struct ordered *o, const struct entry *e, struct order_cursor *cursor)
{
    struct when w = when_of(e);
    uint64_t word;
    return order_seek(&o->order, &by_time, key_of(&w), cursor, &word);
}

static bool enter(struct shard *s, struct ordered *o, const struct entry *e)
{
    struct when w = when_of(e);
    return order_insert(s, &o->order, &by_time, key_of(&w), ordered_word(e), NULL);
}

static void leave(struct shard *s, struct ordered *o, const struct entry *e)
{
    struct order_cursor cursor;
    if (entry_has_ttl(e))
        order_remove_at(s, &o->order, &by_time, rank_of(o, e, &cursor));
}

uint64_t hash_table_gone(const struct shard *s, const struct ordered *o)
{
    struct when after = {.at = s->now_ms};
    struct order_cursor cursor;
    uint64_t word;
    return o->order.count ? order_seek(&o->order, &by_time, key_of(&after), &cursor, &word) : 0;
}

/* -- tables -- */

bool hash_table_add(struct shard *s, struct ordered *o, const struct hash_pair *pair)
{
    struct entry *e = table_add_until(s, &o->table, pair->field, pair->value, pair->expire_at);
    if (e && pair->expire_at && !enter(s, o, e)) {
        table_remove(s, &o->table, pair->field);
        e = NULL;
    }
    return e != NULL;
}

struct entry *hash_table_put(struct shard *s, struct ordered *o, struct entry *e, struct slice value)
{
    struct order_cursor cursor;
    bool timed = entry_has_ttl(e);
    if (timed)
        rank_of(o, e, &cursor);
    struct entry *put = table_put(s, &o->table, entry_key(e), value, NULL);
    if (put && put != e && timed)
        order_replace(&cursor, &by_time, ordered_word(put));
    return put;
}

/* The element stays where it is and changes its place in the order. */
static bool move_in_order(struct shard *s, struct ordered *o, struct entry *e, uint64_t at)
{
    struct order_cursor cursor;
    struct when to = {at, entry_key(e)};
    uint64_t old = rank_of(o, e, &cursor), rank;
    if (at == entry_expire_at(e))
        return true;
    if (!order_insert(s, &o->order, &by_time, key_of(&to), ordered_word(e), &rank))
        return false;
    entry_write_expiry(entry_parts(e).expiry, at);
    order_remove_at(s, &o->order, &by_time, rank <= old ? old + 1 : old);
    return true;
}

bool hash_table_set_time(struct shard *s, struct ordered *o, struct entry *e, const struct slice *value,
                         uint64_t at)
{
    char scratch[HASH_TEXT];
    if (!value && at && entry_has_ttl(e))
        return move_in_order(s, o, e, at);
    struct entry *made = table_make(s, entry_key(e), value ? *value : entry_string(e, scratch), at);
    if (made && at && !enter(s, o, made)) {
        shard_free(s, made);
        made = NULL;
    }
    if (!made)
        return false;
    leave(s, o, e);
    table_exchange(s, &o->table, e, made);
    return true;
}

void hash_table_remove(struct shard *s, struct ordered *o, struct entry *e)
{
    leave(s, o, e);
    table_remove(s, &o->table, entry_key(e));
}

struct body *hash_table_clone(struct shard *to, const struct body *body)
{
    const struct ordered *from = (const struct ordered *)(const void *)body;
    struct ordered *o = (struct ordered *)(void *)body_new(to, TYPE_HASH);
    struct table_cursor cursor = {0};
    const struct entry *e;
    while (o && (e = table_next(to, &from->table, &cursor))) {
        turn_take(to->turn);
        char scratch[HASH_TEXT];
        struct hash_pair pair = {
            .field = entry_key(e), .value = entry_string(e, scratch), .expire_at = entry_expire_at(e)};
        if (!hash_time_over(to, pair.expire_at) && !hash_table_add(to, o, &pair)) {
            body_release(to, &o->table.body);
            return NULL;
        }
    }
    return o ? &o->table.body : NULL;
}

static bool find_word(const struct ordered *o, const struct entry *e, struct order_cursor *cursor)
{
    if (entry_has_ttl(e))
        rank_of(o, e, cursor);
    return entry_has_ttl(e);
}

bool hash_table_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget)
{
    return ordered_compact(s, body, &by_time, find_word, cursor, budget);
}

/* -- what the store asks -- */

uint64_t hash_next_time(const struct entry *e)
{
    if (!entry_may_be_timed(e))
        return 0;
    if (!entry_is_body(e))
        return time_at(hash_pack_of(e).pk, 0);
    uint64_t word = order_at(&hash_table_of(e)->order, 0, NULL);
    return word ? entry_expire_at(ordered_element(word)) : 0;
}

bool hash_is_over(const struct shard *s, const struct entry *e)
{
    if (!entry_is_body(e)) {
        struct hash_pack h = hash_pack_of(e);
        return pack_is_over(s, &h);
    }
    const struct ordered *o = hash_table_of(e);
    if (o->order.count < table_count(&o->table))
        return false;
    uint64_t last = order_at(&o->order, o->order.count - 1, NULL);
    return last && hash_time_over(s, entry_expire_at(ordered_element(last)));
}

uint64_t hash_fields(const struct entry *e)
{
    if (entry_is_body(e))
        return table_count(&hash_table_of(e)->table);
    struct hash_pack h = hash_pack_of(e);
    return pack_count(h.pk) / h.stride; /* 3n + 1 with times */
}

/* The soonest ones. */
static void tell_of_table(const struct value_at *v, const struct ordered *o, unsigned n)
{
    struct slice field[TOLD_AT_ONCE];
    for (unsigned i = 0; i < n; i++)
        field[i] = entry_key(ordered_element(order_at(&o->order, i, NULL)));
    tell_log(v, field, n);
}

static unsigned collect_from_table(struct value_at *v, struct ordered *o, unsigned budget)
{
    struct shard *s = v->s;
    uint64_t gone = hash_table_gone(s, o);
    unsigned n = gone < budget ? (unsigned)gone : budget;
    bool logs = waits_want_fields(&s->waits, v->db);
    for (unsigned i = 0; i < n; i++) {
        if (logs && i % TOLD_AT_ONCE == 0)
            tell_of_table(v, o, n - i < TOLD_AT_ONCE ? n - i : TOLD_AT_ONCE);
        uint64_t word = order_at(&o->order, 0, NULL);
        order_remove_at(s, &o->order, &by_time, 0);
        table_remove(s, &o->table, entry_key(ordered_element(word)));
    }
    return n;
}

/* So many have been taken out: no command has done it. */
static void note_gone(struct value_at *v, uint64_t before, uint64_t dirty, unsigned n)
{
    struct waits *w = &v->s->waits;
    count_add(v->s->counters, COUNTER_expired_subkeys, n);
    db_note_timed(&v->s->db[v->db], before, hash_next_time(v->e));
    w->went += w->nodes & WAITS_LOG ? v->s->dirty - dirty : 0;
    if (n && __builtin_expect(w->nodes != 0, 0))
        waits_tell(w, EVENT_FIELDS_EXPIRED, v->db, entry_key(v->e));
}

void hash_collect(struct value_at *v, unsigned *budget)
{
    uint64_t before = hash_next_time(v->e), dirty = v->s->dirty;
    unsigned n;
    if (!hash_time_over(v->s, before))
        return;
    snapshot_key(v->s, v->db, v->key);
    if (entry_is_body(v->e)) {
        struct ordered *o = hash_table_of(v->e);
        uint64_t data = o->table.body.data;
        n = collect_from_table(v, o, *budget);
        value_body_changed(v, data);
    } else {
        struct hash_pack h = hash_pack_of(v->e);
        n = drop_gone(v, &h);
        hash_pack_settle(&h);
        value_resize(v, TYPE_HASH, VALUE_TIMED, h.pk.len);
    }
    *budget -= n < *budget ? n : *budget;
    note_gone(v, before, dirty, n);
    if (hash_fields(v->e) == 0) {
        if (__builtin_expect(v->s->waits.nodes != 0, 0))
            waits_tell(&v->s->waits, EVENT_EMPTIED, v->db, entry_key(v->e));
        value_remove(v);
    }
}

/* Those that are named: a table may have too many that are gone for one go. */
static void drop_named(struct value_at *v, const struct slice *field, unsigned n)
{
    struct ordered *o = hash_table_of(v->e);
    uint64_t before = hash_next_time(v->e), dirty = v->s->dirty, data = o->table.body.data;
    unsigned dropped = 0;
    for (unsigned i = 0; i < n; i++) {
        struct entry *e = table_find(v->s, &o->table, field[i]);
        if (!e || !hash_time_over(v->s, entry_expire_at(e)))
            continue;
        if (!dropped++)
            snapshot_key(v->s, v->db, v->key);
        tell_log(v, &field[i], 1);
        hash_table_remove(v->s, o, e);
    }
    if (!dropped)
        return;
    value_body_changed(v, data);
    note_gone(v, before, dirty, dropped);
}

/* NULL if none of its fields is over. */
static struct entry *find_gone(struct shard *s, unsigned db, const struct key *k)
{
    if (!s->db[db].timed)
        return NULL;
    struct entry *e = store_find(s, db, k, LOOK_NOTOUCH | LOOK_NOSTAT | LOOK_QUIET);
    return e && entry_type(e) == TYPE_HASH && hash_time_over(s, hash_next_time(e)) ? e : NULL;
}

uint64_t hash_gone(struct shard *s, unsigned db, const struct key *k)
{
    const struct entry *e = find_gone(s, db, k);
    if (!e)
        return 0;
    return entry_is_body(e) ? hash_table_gone(s, hash_table_of(e)) : hash_fields(e);
}

/* A command that is in the middle of the elements would find them moved. */
static inline bool is_read(const struct shard *s, const struct key *k)
{
    const struct pin_key *p = pinned(&s->pins, k->hash) ? pins_find(&s->pins, k->hash) : NULL;
    return p && p->readers;
}

bool hash_drop_gone(struct shard *s, unsigned db, const struct key *k, const struct slice *field, unsigned n)
{
    unsigned budget = HASH_DROP_AT_ONCE;
    struct value_at v = {.s = s, .db = db, .key = k, .e = find_gone(s, db, k)};
    if (!v.e)
        return false;
    assert(!is_read(s, k));
    if (entry_is_body(v.e) && n)
        drop_named(&v, field, n);
    else
        hash_collect(&v, &budget);
    return v.e && hash_time_over(s, hash_next_time(v.e));
}
