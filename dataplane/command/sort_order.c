/* sort_order.c: SORT's elements, the weights that BY finds for them, and their order.
 * https://redis.io/docs/latest/commands/sort/ Collation is that of the C locale. */
#include "base/number.h"
#include "command/sort.h"
#include "store/hash.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* -- patterns */

const uint8_t *sort_star(struct slice pattern)
{
    return memchr(pattern.p, '*', strnlen((const char *)pattern.p, pattern.len));
}

/* Where the field of a "->field" behind a star begins; the end of the pattern if there is none. */
static size_t arrow_of(struct slice pattern, size_t star)
{
    size_t visible = strnlen((const char *)pattern.p, pattern.len);
    for (size_t i = star + 1; i + 2 < visible; i++)
        if (pattern.p[i] == '-' && pattern.p[i + 1] == '>')
            return i;
    return pattern.len;
}

/* The pattern up to `end` with the element in place of the star. False without memory. */
static bool make_key(struct sort *o, struct slice pattern, size_t star, size_t end, struct slice element,
                     struct slice *name)
{
    size_t len = end - 1 + element.len;
    if (len > o->key_room || !o->key) {
        char *room = realloc(o->key, len + 64);
        if (!room) {
            o->no_memory = true;
            return false;
        }
        o->key = room;
        o->key_room = len + 64;
    }
    memcpy(o->key, pattern.p, star);
    if (element.len)
        memcpy(o->key + star, element.p, element.len);
    memcpy(o->key + star + element.len, pattern.p + star + 1, end - star - 1);
    *name = (struct slice){(const uint8_t *)o->key, len};
    return true;
}

bool sort_pattern_value(struct sort *o, struct slice pattern, const struct item *element, struct item *value,
                        struct entry **from)
{
    char scratch[PACK_TEXT];
    struct slice name, text;
    *from = NULL;
    if (pattern.len && pattern.p[0] == '#' && (pattern.len == 1 || pattern.p[1] == 0)) {
        *value = *element;
        return true;
    }
    const uint8_t *p = sort_star(pattern);
    if (!p)
        return false;
    size_t star = (size_t)(p - pattern.p), arrow = arrow_of(pattern, star);
    if (!make_key(o, pattern, star, arrow, item_text(element, scratch), &name))
        return false;
    struct key k = keyspace_key(o->rq->env->ks, name);
    struct entry *e = request_find(o->rq, &k, LOOK_READ);
    if (!e)
        return false;
    if (arrow == pattern.len) {
        if (entry_type(e) != TYPE_STRING)
            return false;
        text = entry_string(e, scratch);
    } else {
        struct slice field = {pattern.p + arrow + 2, pattern.len - arrow - 2};
        if (entry_type(e) != TYPE_HASH || !hash_get(request_shard(o->rq, &k), e, field, &text, scratch))
            return false;
    }
    *value = sort_item(text);
    *from = e;
    return true;
}

/* -- weights */

/* A double as strtod reads the text up to its first zero byte. */
static bool read_score(const struct item *item, double *score)
{
    char text[NUMBER_TEXT], *end;
    if (item->is_number) {
        *score = (double)item->number;
        return true;
    }
    if (item->text.len >= sizeof text)
        return false;
    if (item->text.len)
        memcpy(text, item->text.p, item->text.len);
    text[item->text.len] = 0;
    errno = 0;
    *score = strtod(text, &end);
    return *end == 0 && errno != ERANGE && !isnan(*score);
}

/* A key that is not there weighs nothing. */
static void weigh(struct sort *o, struct sort_member *m)
{
    struct entry *from;
    struct item item = m->element;
    if (o->by && !sort_pattern_value(o, o->rq->argv[o->by], &m->element, &item, &from))
        return;
    if (o->alpha && o->by)
        m->weight = item;
    else if (!o->alpha && !read_score(&item, &m->score))
        o->not_a_number = true;
}

/* -- order */

/* As bytes, and a prefix before what is longer. */
static int compare_bytes(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.p, b.p, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* strcoll() in the C locale sees no more than what is before a zero byte. */
static struct slice visible(struct slice s)
{
    return s.len ? (struct slice){s.p, strnlen((const char *)s.p, s.len)} : s;
}

static int compare_items(const struct item *a, const struct item *b, bool collate)
{
    char scratch[2][PACK_TEXT];
    struct slice x = item_text(a, scratch[0]), y = item_text(b, scratch[1]);
    return collate ? compare_bytes(visible(x), visible(y)) : compare_bytes(x, y);
}

static int compare_weights(const struct item *a, const struct item *b, bool collate)
{
    if (a->size && b->size)
        return compare_items(a, b, collate);
    return (a->size != 0) - (b->size != 0);
}

static int compare(const void *left, const void *right, void *arg)
{
    const struct sort *o = arg;
    const struct sort_member *a = *(const struct sort_member *const *)left;
    const struct sort_member *b = *(const struct sort_member *const *)right;
    int order;
    turn_take(o->rq->turn);
    if (o->alpha)
        order = o->by ? compare_weights(&a->weight, &b->weight, !o->store)
                      : compare_items(&a->element, &b->element, !o->store);
    else if (a->score != b->score)
        order = a->score > b->score ? 1 : -1;
    else
        order = compare_items(&a->element, &b->element, false);
    return o->desc ? -order : order;
}

/* Pointers: the members themselves would be put in place in one go, without turns. */
static void order_members(struct sort *o)
{
    o->order = malloc((size_t)o->members * sizeof *o->order);
    o->no_memory = !o->order;
    for (int64_t i = 0; o->order && i < o->members; i++, turn_take(o->rq->turn))
        o->order[i] = &o->member[i];
    if (o->order)
        qsort_r(o->order, (size_t)o->members, sizeof *o->order, compare, o);
}

void sort_order(struct sort *o)
{
    if (o->unsorted)
        return;
    for (int64_t i = 0; i < o->members && !o->no_memory; i++, turn_take(o->rq->turn))
        weigh(o, &o->member[i]);
    if (o->members > 1 && !o->not_a_number && !o->no_memory)
        order_members(o);
}
