/* zset_pack.c: the compact form of a sorted set (zset_body.h). */
#include "store/pack_run.h"
#include "store/zset_body.h"

/* -0 counts: it becomes 0 here, as in Redis. */
static bool is_whole(double score)
{
    return score >= -9007199254740992.0 && score <= 9007199254740992.0 && score == (double)(int64_t)score;
}

struct item zset_score_item(double score, struct score_text *text)
{
    if (is_whole(score))
        return item_of_number((int64_t)score);
    float less = (float)score;
    bool is_float = (double)less == score;
    size_t len = is_float ? sizeof less : sizeof score;
    memcpy(text->bytes, is_float ? (const void *)&less : &score, len);
    text->bytes[len] = 0xff; /* no digit */
    struct item item = item_of((struct slice){text->bytes, len});
    return item.is_number ? item_of((struct slice){text->bytes, len + 1}) : item;
}

static double score_of(const struct item *item)
{
    float less;
    double score;
    if (item->is_number)
        return (double)item->number;
    if (item->text.len >= sizeof score) {
        memcpy(&score, item->text.p, sizeof score);
        return score;
    }
    memcpy(&less, item->text.p, sizeof less);
    return less;
}

uint32_t zset_packed(struct pack pk, uint32_t at, struct zset_element *out, char text[PACK_TEXT])
{
    struct item score;
    struct pack_run run = pack_run_from(pk, at);
    out->member = pack_run_text(&run, text);
    at = (uint32_t)(run.p - pk.p);
    pack_get(pk, at, &score);
    out->score = score_of(&score);
    return at + score.size;
}

uint32_t zset_packed_find(struct pack pk, struct slice member)
{
    struct item item = item_of(member);
    return pack_find(pk, 0, &item, 2);
}

/* Members are looked at only among equal scores. */
uint32_t zset_packed_place(struct pack pk, const struct zset_element *e)
{
    char text[PACK_TEXT];
    struct zset_element there;
    struct item score;
    uint32_t end = pack_end(pk), next;
    for (uint32_t at = 0; at < end; at = next + score.size) {
        next = pack_next(pk, at);
        pack_get(pk, next, &score);
        if (score_of(&score) < e->score)
            continue;
        zset_packed(pk, at, &there, text);
        if (zset_compare(&there, e) >= 0)
            return at;
    }
    return end;
}

uint32_t zset_packed_at(struct pack pk, uint64_t rank)
{
    uint32_t at = pack_seek(pk, (int64_t)rank * 2);
    return at == PACK_NOWHERE ? pack_end(pk) : at;
}
