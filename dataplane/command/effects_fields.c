/* effects_fields.c: what is logged of commands on the times of fields (hash_expire.c); times as points in time, for those on keys
 * (effects_rules.c) as well. What is over at once is logged as gone: a log is loaded with a time that stands still before it. */
#include "command/effects_forms.h"

#include "base/number.h"
#include "store/hash.h"

enum time_word effects_time_word(struct slice word)
{
    return slice_is(word, "EX")     ? TIME_EX
           : slice_is(word, "PX")   ? TIME_PX
           : slice_is(word, "EXAT") ? TIME_EXAT
           : slice_is(word, "PXAT") ? TIME_PXAT
                                    : TIME_NONE;
}

int64_t effects_point_in_time(const struct request *rq, enum time_word word, struct slice number)
{
    int64_t v = 0;
    parse_i64(number, &v);
    if (word == TIME_EX || word == TIME_EXAT)
        v *= 1000;
    return word == TIME_EX || word == TIME_PX ? v + (int64_t)rq->env->now_ms : v;
}

void effects_with_points(struct request *rq, struct effects *e, int from, int end, const char *reply_word)
{
    unsigned left_out = 0;
    for (int i = from; reply_word && i < end; i++)
        left_out += slice_is(rq->argv[i], reply_word);
    effects_open(e, rq->client->db, (unsigned)rq->argc - left_out);
    for (int i = 0; i < rq->argc; i++) {
        bool option = i >= from && i < end;
        enum time_word word = option && i + 1 < rq->argc ? effects_time_word(rq->argv[i]) : TIME_NONE;
        if (option && reply_word && slice_is(rq->argv[i], reply_word))
            continue;
        if (word == TIME_NONE) {
            effects_arg(e, rq->argv[i]);
            continue;
        }
        effects_word(e, "PXAT");
        effects_number(e, effects_point_in_time(rq, word, rq->argv[++i]));
    }
}

/* -- fields -- */

static bool has_field(const struct request *rq, const struct entry *e, int i)
{
    struct key k = request_key(rq, 1);
    struct slice value;
    char scratch[HASH_TEXT];
    return e && hash_get(request_shard(rq, &k), e, rq->argv[i], &value, scratch);
}

/* A time that was over at once: of the fields at `from`, from + step ... those are deleted that are not there (any more). */
static void fields_deleted(struct request *rq, struct effects *e, int from, int step)
{
    struct key k = request_key(rq, 1);
    const struct entry *there = store_find(request_shard(rq, &k), rq->client->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    unsigned n = 0;
    for (int i = from; i < rq->argc; i += step)
        n += !has_field(rq, there, i);
    if (!n)
        return;
    effects_open(e, rq->client->db, 2 + n);
    effects_word(e, "HDEL");
    effects_arg(e, rq->argv[1]);
    for (int i = from; i < rq->argc; i += step)
        if (!has_field(rq, there, i))
            effects_arg(e, rq->argv[i]);
}

static bool is_past(const struct request *rq, int64_t at)
{
    return at <= (int64_t)rq->env->now_ms;
}

/* HEXPIRE key seconds [NX ...] FIELDS n field ... */
static void fields_with(struct request *rq, struct effects *e, enum time_word word)
{
    int64_t at = effects_point_in_time(rq, word, rq->argv[2]);
    if (is_past(rq, at)) {
        fields_deleted(rq, e, slice_is(rq->argv[3], "FIELDS") ? 5 : 6, 1);
        return;
    }
    effects_open(e, rq->client->db, (unsigned)rq->argc);
    effects_word(e, "HPEXPIREAT");
    effects_arg(e, rq->argv[1]);
    effects_number(e, at);
    for (int i = 3; i < rq->argc; i++)
        effects_arg(e, rq->argv[i]);
}

void effects_of_hexpire(struct request *rq, struct effects *e)
{
    fields_with(rq, e, TIME_EX);
}

void effects_of_hpexpire(struct request *rq, struct effects *e)
{
    fields_with(rq, e, TIME_PX);
}

void effects_of_hexpireat(struct request *rq, struct effects *e)
{
    fields_with(rq, e, TIME_EXAT);
}

void effects_of_hpexpireat(struct request *rq, struct effects *e)
{
    fields_with(rq, e, TIME_PXAT);
}

/* HSETEX and HGETEX: options stand before FIELDS; `step` arguments a field. */
static void timed_fields(struct request *rq, struct effects *e, int step)
{
    int fields = 2;
    bool past = false;
    for (; fields < rq->argc && !slice_is(rq->argv[fields], "FIELDS"); fields++) {
        enum time_word word = fields + 1 < rq->argc ? effects_time_word(rq->argv[fields]) : TIME_NONE;
        if (word != TIME_NONE)
            past = is_past(rq, effects_point_in_time(rq, word, rq->argv[++fields]));
    }
    if (past)
        fields_deleted(rq, e, fields + 2, step);
    else
        effects_with_points(rq, e, 2, fields, NULL);
}

void effects_of_hgetex(struct request *rq, struct effects *e)
{
    timed_fields(rq, e, 1);
}

void effects_of_hsetex(struct request *rq, struct effects *e)
{
    timed_fields(rq, e, 2);
}
