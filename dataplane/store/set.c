/* set.c: sets as sorted integers, as packs and as tables (set.h). */
#include "store/set.h"
#include "base/number.h"
#include "store/ints.h"
#include "store/shard.h"
#include "store/table.h"

#define PACK_LONGEST (1u << 30) /* a longer pack becomes a table, whatever the limits say */
enum { INTS_MOST = 1 << 30 };

static struct table *table_in(const struct entry *e)
{
    return (struct table *)(void *)entry_body(e);
}

static struct pack pack_in(const struct entry *e)
{
    uint64_t len;
    uint8_t *p = entry_value_bytes(e, &len);
    return (struct pack){p, (uint32_t)len};
}

static struct ints ints_in(const struct entry *e)
{
    struct ints set;
    set.p = entry_value_bytes(e, &set.len);
    return set;
}

static bool is_ints(const struct entry *e)
{
    return entry_is_compact(e, VALUE_INTS);
}

/* -- reading -- */

uint64_t set_count(const struct entry *e)
{
    if (entry_is_body(e))
        return table_count(table_in(e));
    return is_ints(e) ? ints_count(ints_in(e)) : pack_count(pack_in(e));
}

bool set_has(const struct shard *s, const struct entry *e, struct slice member)
{
    if (entry_is_body(e))
        return table_find(s, table_in(e), member) != NULL;
    if (is_ints(e)) {
        int64_t v;
        uint64_t index;
        return parse_i64(member, &v) && ints_find(ints_in(e), v, &index);
    }
    struct item item = item_of(member);
    return pack_find(pack_in(e), 0, &item, 1) != PACK_NOWHERE;
}

static void member_of_number(int64_t v, struct set_member *member)
{
    member->text = (struct slice){(const uint8_t *)member->digits, format_i64(member->digits, v)};
}

/* Returns the place of the next one. */
static uint32_t member_of_pack(struct pack pk, uint32_t at, struct set_member *member)
{
    struct item item;
    pack_get(pk, at, &item);
    member->text = item_text(&item, member->digits);
    return at + item.size;
}

static bool next_in_table(const struct shard *s, const struct entry *e, struct set_cursor *cursor,
                          struct set_member *member)
{
    struct table_cursor at = {(uint32_t)(cursor->at >> 32), (uint32_t)cursor->at};
    const struct entry *element = table_next(s, table_in(e), &at);
    cursor->at = (uint64_t)at.segment << 32 | at.slot;
    if (element)
        member->text = entry_key(element);
    return element != NULL;
}

bool set_next(const struct shard *s, const struct entry *e, struct set_cursor *cursor,
              struct set_member *member)
{
    if (entry_is_body(e))
        return next_in_table(s, e, cursor, member);
    if (is_ints(e)) {
        if (cursor->at >= ints_count(ints_in(e)))
            return false;
        member_of_number(ints_at(ints_in(e), cursor->at++), member);
        return true;
    }
    struct pack pk = pack_in(e);
    if (cursor->at >= pack_end(pk))
        return false;
    cursor->at = member_of_pack(pk, (uint32_t)cursor->at, member);
    return true;
}

bool set_run(const struct entry *e, struct pack_run *run)
{
    if (!entry_is_compact(e, VALUE_PACK))
        return false;
    *run = pack_run_from(pack_in(e), 0);
    return true;
}

/* -- scanning and sampling -- */

struct visitor {
    set_visit *visit;
    void *arg;
};

static void visit_element(struct entry *element, void *arg)
{
    const struct visitor *v = arg;
    struct set_member member;
    member.text = entry_key(element);
    v->visit(&member, v->arg);
}

uint64_t set_scan(const struct shard *s, const struct entry *e, uint64_t cursor, uint64_t want,
                  set_visit *visit, void *arg)
{
    if (entry_is_body(e)) {
        struct visitor v = {visit, arg};
        return table_scan(s, table_in(e), cursor, want, visit_element, &v);
    }
    struct set_cursor at = {0};
    struct set_member member;
    while (set_next(s, e, &at, &member))
        visit(&member, arg);
    return 0;
}

void set_random(struct shard *s, const struct entry *e, struct set_member *member)
{
    if (entry_is_body(e)) {
        member->text = entry_key(table_random(s, table_in(e)));
        return;
    }
    uint64_t chosen = (shard_random(s) >> 32) * set_count(e) >> 32;
    if (is_ints(e))
        member_of_number(ints_at(ints_in(e), chosen), member);
    else
        member_of_pack(pack_in(e), pack_seek(pack_in(e), (int64_t)chosen), member);
}

bool set_sample(struct shard *s, const struct entry *e, uint64_t n, set_visit *visit, void *arg)
{
    if (entry_is_body(e)) {
        struct visitor v = {visit, arg};
        return table_sample(s, table_in(e), n, visit_element, &v);
    }
    struct set_cursor at = {0};
    struct set_member member;
    for (uint64_t left = set_count(e); n > 0 && set_next(s, e, &at, &member); left--)
        if ((shard_random(s) >> 32) * left >> 32 < n) {
            visit(&member, arg);
            n--;
        }
    return true;
}

/* -- adding -- */

static enum store_result become_table(struct value_at *v)
{
    struct set_cursor at = {0};
    struct set_member member;
    if (v->e)
        entry_hold(v->e);
    struct table *t = table_new(v->s, TYPE_SET);
    bool ok = t != NULL;
    while (ok && v->e && set_next(v->s, v->e, &at, &member))
        ok = table_add(v->s, t, member.text, (struct slice){0}) != NULL;
    if (v->e)
        entry_release(v->e);
    if (ok && value_set_body(v, &t->body) == STORE_OK)
        return STORE_OK;
    if (t)
        body_release(v->s, &t->body);
    return STORE_OOM;
}

static enum store_result add_to_table(struct value_at *v, struct slice member, bool *added)
{
    struct table *t = table_in(v->e);
    *added = !table_find(v->s, t, member);
    if (!*added)
        return STORE_OK;
    uint64_t before = t->body.data;
    entry_hold(v->e);
    struct entry *element = table_add(v->s, t, member, (struct slice){0});
    entry_release(v->e);
    value_body_changed(v, before);
    return element ? STORE_OK : STORE_OOM;
}

/* A first member in a table leaves no key behind if it fails. */
static enum store_result add_to_new_table(struct value_at *v, struct slice member, bool *added)
{
    bool created = !v->e;
    if (become_table(v) != STORE_OK)
        return STORE_OOM;
    if (add_to_table(v, member, added) == STORE_OK)
        return STORE_OK;
    if (created)
        value_remove(v);
    return STORE_OOM;
}

/* The pack's limits with one member more. */
static bool fits_pack(const struct value_at *v, uint64_t count, size_t longest)
{
    return count < v->s->limits.set_entries && longest <= v->s->limits.set_value;
}

static enum store_result add_to_pack(struct value_at *v, struct slice member, bool *added)
{
    struct pack pk = v->e ? pack_in(v->e) : (struct pack){NULL, PACK_EMPTY};
    struct item item = item_of(member);
    *added = !v->e || pack_find(pk, 0, &item, 1) == PACK_NOWHERE;
    if (!*added)
        return STORE_OK;
    uint64_t len = v->e ? pack_len_after(pk, item.size, 0, 1) : PACK_EMPTY + (uint64_t)item.size;
    if (!fits_pack(v, v->e ? pack_count(pk) : 0, member.len) || len > PACK_LONGEST)
        return add_to_new_table(v, member, added);
    uint8_t *p = value_resize(v, TYPE_SET, VALUE_PACK, len);
    if (!p)
        return STORE_OOM;
    if (pk.p)
        pk.p = p;
    else
        pk = pack_init(p);
    pack_insert(&pk, pack_end(pk), &item);
    return STORE_OK;
}

/* Integers and one text become a pack. */
static enum store_result ints_to_pack(struct value_at *v, struct slice member)
{
    struct item item = item_of(member);
    uint64_t n = ints_count(ints_in(v->e)), bytes = item.size;
    for (uint64_t i = 0; i < n; i++)
        bytes += item_of_number(ints_at(ints_in(v->e), i)).size;
    entry_hold(v->e);
    uint8_t *p = shard_alloc(v->s, bytes + PACK_EMPTY + PACK_OVERHEAD, SLAB_OTHER);
    entry_release(v->e);
    if (!p)
        return STORE_OOM;
    struct pack pk = pack_init(p);
    for (uint64_t i = 0; i < n; i++) {
        struct item number = item_of_number(ints_at(ints_in(v->e), i));
        pack_insert(&pk, pack_end(pk), &number);
    }
    pack_insert(&pk, pack_end(pk), &item);
    if (value_adopt(v, TYPE_SET, VALUE_PACK, p, pk.len) == STORE_OK)
        return STORE_OK;
    shard_free(v->s, p);
    return STORE_OOM;
}

static enum store_result add_number(struct value_at *v, struct slice member, int64_t number, bool *added)
{
    struct ints set = v->e ? ints_in(v->e) : (struct ints){NULL, 0};
    uint64_t index, most = v->s->limits.set_ints < INTS_MOST ? v->s->limits.set_ints : INTS_MOST;
    *added = !ints_find(set, number, &index);
    if (!*added)
        return STORE_OK;
    if (ints_count(set) >= most)
        return add_to_new_table(v, member, added);
    set.p = value_resize(v, TYPE_SET, VALUE_INTS, ints_len_with(set, number));
    if (!set.p)
        return STORE_OOM;
    if (set.len == 0)
        set.p[0] = 1;
    ints_insert(set, number, index);
    return STORE_OK;
}

static size_t longest_number(struct ints set)
{
    char digits[24];
    uint64_t n = ints_count(set);
    size_t first = format_i64(digits, ints_at(set, 0)), last = format_i64(digits, ints_at(set, n - 1));
    return first > last ? first : last;
}

static enum store_result add_text_to_ints(struct value_at *v, struct slice member, bool *added)
{
    struct ints set = ints_in(v->e);
    size_t longest = longest_number(set);
    if (!fits_pack(v, ints_count(set), longest > member.len ? longest : member.len))
        return add_to_new_table(v, member, added);
    *added = true;
    return ints_to_pack(v, member);
}

enum store_result set_add(struct value_at *v, struct slice member, bool *added)
{
    int64_t number;
    if (v->e && entry_is_body(v->e))
        return add_to_table(v, member, added);
    if (v->e && !is_ints(v->e))
        return add_to_pack(v, member, added);
    if (parse_i64(member, &number) && (v->e || v->s->limits.set_ints > 0))
        return add_number(v, member, number, added);
    return v->e ? add_text_to_ints(v, member, added) : add_to_pack(v, member, added);
}

/* -- removing -- */

static bool remove_number(struct value_at *v, struct slice member)
{
    struct ints set = ints_in(v->e);
    int64_t number;
    uint64_t index;
    if (!parse_i64(member, &number) || !ints_find(set, number, &index))
        return false;
    if (ints_count(set) == 1)
        value_remove(v);
    else
        value_resize(v, TYPE_SET, VALUE_INTS, ints_delete(set, index));
    return true;
}

static bool remove_from_pack(struct value_at *v, struct slice member)
{
    struct pack pk = pack_in(v->e);
    struct item item = item_of(member);
    uint32_t at = pack_find(pk, 0, &item, 1);
    if (at == PACK_NOWHERE)
        return false;
    if (pack_count(pk) == 1) {
        value_remove(v);
        return true;
    }
    pack_delete(&pk, at, 1);
    value_resize(v, TYPE_SET, VALUE_PACK, pk.len);
    return true;
}

bool set_remove(struct value_at *v, struct slice member)
{
    if (!v->e)
        return false;
    if (!entry_is_body(v->e))
        return is_ints(v->e) ? remove_number(v, member) : remove_from_pack(v, member);
    struct table *t = table_in(v->e);
    uint64_t before = t->body.data;
    if (!table_remove(v->s, t, member))
        return false;
    value_body_changed(v, before);
    if (table_count(t) == 0)
        value_remove(v);
    return true;
}
