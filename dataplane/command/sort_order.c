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

/* A number's digits lie in scratch, which goes. */
static struct item without_scratch(struct slice text)
{
    struct item item = item_of(text);
    if (item.is_number)
        item.text = (struct slice){0};
    return item;
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
    *value = without_scratch(text);
    *from = e;
    return true;
}

/* -- loading */

static bool reserve(struct sort *o, int64_t n)
{
    o->member = n > 0 ? calloc((size_t)n, sizeof *o->member) : NULL;
    return n <= 0 || o->member;
}

/* In its own order a part of the list is enough. */
static bool load_list(struct sort *o, struct entry *e)
{
    struct list_cursor c;
    int64_t len = (int64_t)list_len(e), n = o->unsorted ? o->end - o->start + 1 : len;
    int64_t from = o->unsorted ? o->start : 0;
    if (!reserve(o, n))
        return false;
    if (n > 0)
        list_seek(e, o->unsorted && o->desc ? len - from : from, &c);
    for (; o->members < n; o->members++) /* long: */
        (o->unsorted && o->desc ? list_prev : list_next)(&c, &o->member[o->members].element);
    if (o->unsorted) {
        o->end -= o->start;
        o->start = 0;
    }
    return true;
}

/* How the elements of a type are loaded, and how many there are. */
static const struct source {
    uint64_t (*count)(const struct entry *e);
    bool (*load)(struct sort *o, struct entry *e);
} sources[TYPE_STREAM + 1] = {
    [TYPE_LIST] = {list_len, load_list},
};

bool sort_is_source(const struct entry *e)
{
    return sources[entry_type(e)].load != NULL;
}

static int64_t at_least(int64_t v, int64_t least)
{
    return v < least ? least : v;
}

/* start and end from LIMIT, as Redis computes them: an empty range has its end before its start. */
static void find_range(struct sort *o, int64_t len)
{
    int64_t count = at_least(o->limit_count, -1);
    o->start = at_least(o->limit_start, 0);
    o->start = o->start > len ? len : o->start;
    count = count > len ? len : count;
    o->end = count < 0 ? len - 1 : o->start + count - 1;
    if (o->start >= len) {
        o->start = len - 1;
        o->end = len - 2;
    }
    if (o->end >= len)
        o->end = len - 1;
}

bool sort_load(struct sort *o, struct entry *e)
{
    const struct source *source = e ? &sources[entry_type(e)] : NULL;
    find_range(o, source ? (int64_t)source->count(e) : 0);
    return !source || source->load(o, e);
}

void sort_free(struct sort *o)
{
    free(o->member);
    free(o->key);
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
    const struct sort_member *a = left, *b = right;
    int order;
    if (o->alpha)
        order = o->by ? compare_weights(&a->weight, &b->weight, !o->store)
                      : compare_items(&a->element, &b->element, !o->store);
    else if (a->score != b->score)
        order = a->score > b->score ? 1 : -1;
    else
        order = compare_items(&a->element, &b->element, false);
    return o->desc ? -order : order;
}

void sort_order(struct sort *o)
{
    if (o->unsorted)
        return;
    for (int64_t i = 0; i < o->members && !o->no_memory; i++) /* long: */
        weigh(o, &o->member[i]);
    if (o->members > 1 && !o->not_a_number) /* long: */
        qsort_r(o->member, (size_t)o->members, sizeof *o->member, compare, o);
}
