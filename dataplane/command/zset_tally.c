/* zset_tally.c: lists of elements on the heap, for results that outlast what they were read from. */
#include "base/hash.h"
#include "command/zset.h"
#include <stdlib.h>

enum { FIRST_CAP = 64, TEXT_BLOCK = 16 << 10 };

struct tally_text {
    struct tally_text *next;
    size_t used, cap;
    uint8_t bytes[];
};

void tally_free(struct tally *t)
{
    while (t->text) {
        struct tally_text *next = t->text->next;
        free(t->text);
        t->text = next;
    }
    free(t->element);
    free(t->slot);
    *t = (struct tally){0};
}

static const uint8_t *keep_text(struct tally *t, struct slice s)
{
    struct tally_text *text = t->text;
    if (!text || text->cap - text->used < s.len) {
        size_t cap = s.len > TEXT_BLOCK ? s.len : TEXT_BLOCK;
        text = malloc(sizeof *text + cap);
        if (!text)
            return NULL;
        *text = (struct tally_text){t->text, 0, cap};
        t->text = text;
    }
    uint8_t *p = text->bytes + text->used;
    if (s.len)
        memcpy(p, s.p, s.len);
    text->used += s.len;
    return p;
}

static bool make_room(struct tally *t)
{
    if (t->count < t->cap)
        return true;
    uint64_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
    struct zset_element *element = realloc(t->element, cap * sizeof *element);
    if (!element)
        return false;
    t->element = element;
    t->cap = cap;
    return true;
}

static uint64_t first_slot(const struct tally *t, struct slice member)
{
    return key_hash(member, 0) & (t->slots - 1);
}

static void fill_slot(struct tally *t, uint64_t i)
{
    uint64_t slot = first_slot(t, t->element[i].member);
    while (t->slot[slot])
        slot = (slot + 1) & (t->slots - 1);
    t->slot[slot] = (uint32_t)i + 1;
}

/* The table is at most half full. */
static bool make_slots(struct tally *t)
{
    if (t->slots > t->count * 2)
        return true;
    uint64_t slots = t->slots ? t->slots * 4 : FIRST_CAP * 2;
    while (slots <= t->count * 2)
        slots *= 2;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return false;
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    for (uint64_t i = 0; i < t->count; i++) {
        turn_take(t->turn);
        fill_slot(t, i);
    }
    return true;
}

void tally_add(struct tally *t, struct slice member, double score)
{
    const uint8_t *p = t->failed || t->count == UINT32_MAX || !make_room(t) ? NULL : keep_text(t, member);
    if (!p) {
        t->failed = true;
        return;
    }
    t->element[t->count] = (struct zset_element){{p, member.len}, score};
    if (t->slot)
        fill_slot(t, t->count);
    t->count++;
}

double *tally_find(struct tally *t, struct slice member)
{
    if (t->failed || !make_slots(t)) {
        t->failed = true;
        return NULL;
    }
    for (uint64_t slot = first_slot(t, member); t->slot[slot]; slot = (slot + 1) & (t->slots - 1)) {
        struct zset_element *e = &t->element[t->slot[slot] - 1];
        if (slice_eq(e->member, member))
            return &e->score;
    }
    return NULL;
}

static int compare(const void *a, const void *b, void *turn)
{
    turn_take(turn);
    return zset_compare(a, b);
}

void tally_sort(struct tally *t)
{
    if (t->count > 1)
        qsort_r(t->element, t->count, sizeof t->element[0], compare, t->turn);
    free(t->slot);
    t->slot = NULL;
    t->slots = 0;
}

void tally_store(struct request *rq, const struct tally *t, const struct key *to)
{
    struct value_at v = {request_shard(rq, to), rq->client->db, to, request_find(rq, to, LOOK_WRITE)};
    if (t->failed || (t->count > 0 && zset_replace(&v, t->element, t->count) != STORE_OK)) {
        reply_oom(rq->out);
        return;
    }
    if (t->count == 0)
        store_delete(v.s, v.db, to);
    reply_int(rq->out, (int64_t)t->count);
}
