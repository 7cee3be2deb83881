/* rdb_elements.c: the elements of a collection on their way in, however RDB has them (rdb_value.h), and packs
 * on their way out. */
#include "store/rdb_value.h"

void elements_open(struct elements *els, struct rdb_reader *r, enum source source, unsigned each)
{
    *els = (struct elements){.r = r, .source = source};
    if (source == SOURCE_STRINGS) {
        uint64_t n = rdb_take_len(r);
        if (n > r->left) /* each takes a byte at least */
            r->bad = true;
        els->left = r->bad ? 0 : n * each;
    } else if (rdb_take_string(r, &els->whole)) {
        r->bad = !packed_open(&els->packed, (enum packing)source, els->whole.s);
    }
}

bool rdb_take_element(struct rdb_reader *r, struct rdb_text *text)
{
    enum { LONGEST = 1 << 30 };
    if (!rdb_take_string(r, text))
        return false;
    if (text->s.len > LONGEST) {
        rdb_text_free(text);
        r->bad = true;
    }
    return !r->bad;
}

/* slot: where what it needs may lie. */
static bool next_into(struct elements *els, unsigned slot, struct slice *out)
{
    struct item item;
    turn_take(els->r->turn);
    if (els->r->bad)
        return false;
    if (els->source == SOURCE_STRINGS) {
        rdb_text_free(&els->text[slot]);
        if (els->left == 0 || !rdb_take_element(els->r, &els->text[slot]))
            return false;
        els->left--;
        *out = els->text[slot].s;
        return true;
    }
    if (packed_next(&els->packed, &item)) {
        *out = item_text(&item, els->digits[slot]);
        return true;
    }
    els->r->bad = els->packed.bad;
    return false;
}

bool elements_next(struct elements *els, struct slice *out)
{
    return next_into(els, 0, out);
}

bool elements_pair(struct elements *els, struct slice *first, struct slice *second)
{
    if (!next_into(els, 0, first))
        return false;
    if (!next_into(els, 1, second))
        els->r->bad = true;
    return !els->r->bad;
}

bool elements_third(struct elements *els, struct slice *third)
{
    if (!next_into(els, 2, third))
        els->r->bad = true;
    return !els->r->bad;
}

enum rdb_result elements_close(struct elements *els, enum rdb_result result)
{
    rdb_text_free(&els->whole);
    rdb_text_free(&els->text[0]);
    rdb_text_free(&els->text[1]);
    rdb_text_free(&els->text[2]);
    return result == RDB_OK ? rdb_verdict(els->r) : result;
}

void rdb_put_aside(struct rdb_writer *w, struct rdb_writer *aside)
{
    w->failed |= aside->failed;
    if (!w->failed)
        rdb_put_string(w, (struct slice){aside->p, aside->len});
    rdb_writer_free(aside);
}

void rdb_put_pack(struct rdb_writer *w, struct pack pk)
{
    struct rdb_writer aside = {0};
    struct item item;
    size_t begin = listpack_begin(&aside);
    for (uint32_t at = 0; pack_get(pk, at, &item); at += item.size) /* long: */
        listpack_put(&aside, &item);
    listpack_end(&aside, begin, pack_count(pk));
    rdb_put_aside(w, &aside);
}
