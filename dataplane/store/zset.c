/* zset.c: reading a sorted set, whatever its form (zset.h). */
#include "store/zset_body.h"

static struct pack pack_of(const struct zset *z)
{
    return (struct pack){(uint8_t *)(uintptr_t)z->pack, z->pack_len};
}

void zset_open(struct zset *z, const struct shard *s, const struct entry *e)
{
    *z = (struct zset){.s = s};
    if (e && entry_is_body(e)) {
        z->body = zset_body_of(e);
    } else if (e) {
        uint64_t len;
        z->pack = entry_value_bytes(e, &len);
        z->pack_len = (uint32_t)len;
    }
}

uint64_t zset_count(const struct zset *z)
{
    return z->body ? z->body->order.count : z->pack ? pack_count(pack_of(z)) / 2 : 0;
}

bool zset_score(const struct zset *z, struct slice member, double *score)
{
    struct zset_element e;
    char text[PACK_TEXT];
    if (z->body) {
        const struct entry *there = table_find(z->s, &z->body->table, member);
        if (there)
            *score = zset_element_of(there).score;
        return there;
    }
    uint32_t at = z->pack ? zset_packed_find(pack_of(z), member) : PACK_NOWHERE;
    if (at == PACK_NOWHERE)
        return false;
    zset_packed(pack_of(z), at, &e, text);
    *score = e.score;
    return true;
}

static uint64_t packed_rank(struct pack pk, uint32_t place)
{
    uint64_t rank = 0;
    for (uint32_t at = 0; at < place; rank++)
        at = pack_next(pk, pack_next(pk, at));
    return rank;
}

bool zset_rank(const struct zset *z, struct slice member, uint64_t *rank, double *score)
{
    struct zset_element e;
    char text[PACK_TEXT];
    if (z->body) {
        const struct entry *there = table_find(z->s, &z->body->table, member);
        if (!there)
            return false;
        e = zset_element_of(there);
        *rank = order_find(&z->body->order, &zset_order, zset_key(&e), ordered_word(there), NULL);
    } else {
        uint32_t at = z->pack ? zset_packed_find(pack_of(z), member) : PACK_NOWHERE;
        if (at == PACK_NOWHERE)
            return false;
        zset_packed(pack_of(z), at, &e, text);
        *rank = packed_rank(pack_of(z), at);
    }
    *score = e.score;
    return true;
}

/* -- ranges
 * ---------------------------------------------------------------------------------------------------- */

struct score_bound {
    double score;
    bool behind;
};

static bool is_before_bound(const struct score_bound *b, double score)
{
    return b->behind ? score <= b->score : score < b->score;
}

static int compare_score_bound(const void *key, uint64_t word)
{
    return is_before_bound(key, zset_element_of((const struct entry *)(uintptr_t)word).score) ? 1 : -1;
}

static uint64_t hint_of_word(uint64_t word)
{
    return zset_order.hint(word);
}

uint64_t zset_rank_of_score(const struct zset *z, double score, bool behind)
{
    static const struct order_kind kind = {compare_score_bound, hint_of_word};
    struct score_bound bound = {score, behind};
    if (z->body)
        return order_seek(&z->body->order, &kind, (struct order_key){&bound, zset_hint(score)}, NULL, NULL);
    struct pack pk = pack_of(z);
    struct zset_element e;
    char text[PACK_TEXT];
    uint64_t rank = 0;
    for (uint32_t at = 0, end = z->pack ? pack_end(pk) : 0; at < end; rank++) {
        at = zset_packed(pk, at, &e, text);
        if (!is_before_bound(&bound, e.score))
            break;
    }
    return rank;
}

/* Before an inclusive end, or behind an exclusive one, if it is the lower end of a range; the other way round
 * if it is the upper one. */
struct lex_bound {
    const struct zset_lex *end;
    bool upper;
};

static int compare_members(struct slice a, struct slice b)
{
    struct zset_element x = {a, 0}, y = {b, 0};
    return zset_compare(&x, &y);
}

/* True if the member lies below a lower end, or does not lie above an upper one. */
static bool is_before_lex(const struct lex_bound *b, struct slice member)
{
    if (b->end->kind != LEX_MEMBER)
        return b->end->kind == LEX_MOST;
    int order = compare_members(member, b->end->member);
    return order < 0 || (order == 0 && b->end->exclusive != b->upper);
}

static int compare_lex_bound(const void *key, uint64_t word)
{
    return is_before_lex(key, entry_key((const struct entry *)(uintptr_t)word)) ? 1 : -1;
}

/* From the end where the walk begins over what is outside, then over what is inside; nothing is in the range
 * if the first or the last element is on its wrong side. */
static void packed_lex_range(const struct zset *z, const struct lex_bound *low, const struct lex_bound *high,
                             bool reverse, uint64_t *first, uint64_t *end)
{
    uint64_t count = zset_count(z), skipped = 0, taken = 0;
    struct zset_walk w;
    struct zset_element e;
    bool inside = false;
    *first = *end = 0;
    zset_walk(&w, z, 0, false);
    if (!zset_next(&w, &e) || !is_before_lex(high, e.member))
        return;
    zset_walk(&w, z, count - 1, false);
    if (!zset_next(&w, &e) || is_before_lex(low, e.member))
        return;
    zset_walk(&w, z, reverse ? count - 1 : 0, reverse);
    while (zset_next(&w, &e)) {
        bool below = is_before_lex(low, e.member), above = !is_before_lex(high, e.member);
        if (!inside && (reverse ? above : below)) {
            skipped++;
            continue;
        }
        inside = true;
        if (reverse ? below : above)
            break;
        taken++;
    }
    *first = reverse ? count - skipped - taken : skipped;
    *end = *first + taken;
}

void zset_lex_range(const struct zset *z, const struct zset_lex *min, const struct zset_lex *max,
                    bool reverse, uint64_t *first, uint64_t *end)
{
    static const struct order_kind kind = {compare_lex_bound, NULL};
    struct lex_bound low = {min, false}, high = {max, true};
    if (!z->body) {
        packed_lex_range(z, &low, &high, reverse, first, end);
        return;
    }
    *first = order_seek(&z->body->order, &kind, (struct order_key){&low, 0}, NULL, NULL);
    *end = order_seek(&z->body->order, &kind, (struct order_key){&high, 0}, NULL, NULL);
    if (*end < *first)
        *end = *first;
}

/* -- walks
 * ---------------------------------------------------------------------------------------------------- */

void zset_walk(struct zset_walk *w, const struct zset *z, uint64_t rank, bool reverse)
{
    w->pack = z->pack;
    w->pack_len = z->pack_len;
    w->reverse = reverse;
    w->word = 0;
    w->at = PACK_NOWHERE;
    if (z->body)
        w->word = order_at(&z->body->order, rank, &w->cursor);
    else if (z->pack && rank < zset_count(z))
        w->at = zset_packed_at(pack_of(z), rank);
}

static bool packed_next(struct zset_walk *w, struct zset_element *out)
{
    struct pack pk = {(uint8_t *)(uintptr_t)w->pack, w->pack_len};
    if (w->at == PACK_NOWHERE || w->at >= pack_end(pk))
        return false;
    uint32_t next = zset_packed(pk, w->at, out, w->text);
    if (w->reverse)
        next = w->at ? pack_prev(pk, pack_prev(pk, w->at)) : PACK_NOWHERE;
    w->at = next;
    return true;
}

bool zset_next(struct zset_walk *w, struct zset_element *out)
{
    if (w->pack)
        return packed_next(w, out);
    if (!w->word)
        return false;
    *out = zset_element_of((const struct entry *)(uintptr_t)w->word);
    w->word = w->reverse ? order_prev(&w->cursor) : order_next(&w->cursor);
    if (w->word)
        __builtin_prefetch((const void *)(uintptr_t)w->word);
    return true;
}

bool zset_run(const struct zset_walk *w, struct pack_run *run)
{
    if (!w->pack || w->reverse || w->at == PACK_NOWHERE)
        return false;
    *run = pack_run_from((struct pack){(uint8_t *)(uintptr_t)w->pack, w->pack_len}, w->at);
    return true;
}

struct scanning {
    void (*visit)(const struct zset_element *e, void *arg);
    void *arg;
};

static void visit_entry(struct entry *e, void *arg)
{
    const struct scanning *scan = arg;
    struct zset_element out = zset_element_of(e);
    scan->visit(&out, scan->arg);
}

uint64_t zset_scan(const struct zset *z, uint64_t cursor, uint64_t want,
                   void (*visit)(const struct zset_element *e, void *arg), void *arg)
{
    struct scanning scan = {visit, arg};
    if (z->body)
        return table_scan(z->s, &z->body->table, cursor, want, visit_entry, &scan);
    struct zset_walk w;
    struct zset_element e;
    zset_walk(&w, z, 0, false);
    while (zset_next(&w, &e))
        visit(&e, arg);
    return 0;
}
