/* streams.c: IDs and entries in requests and replies (streams.h). */
#include "command/streams.h"
#include "base/number.h"
#include "command/effects.h"
#include <errno.h>
#include <stdlib.h>

enum { ID_LONGEST = 127 };

/* -- IDs
 * ------------------------------------------------------------------------------------------------------- */

/* Redis' string2ull: what is no canonical number is left to strtoull, which takes "+1", " 1" and "01". */
static bool parse_u64(const char *text, uint64_t *out)
{
    int64_t value;
    char *end = NULL;
    if (parse_i64(slice_str(text), &value)) {
        *out = (uint64_t)value;
        return value >= 0;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text && !*end;
}

bool parse_stream_id(struct slice text, struct stream_id *id, uint64_t missing, bool strict, bool *seq_given)
{
    char word[ID_LONGEST + 1];
    if (text.len > ID_LONGEST)
        return false;
    if (text.len)
        memcpy(word, text.p, text.len);
    word[text.len] = 0;
    bool least = strcmp(word, "-") == 0, greatest = strcmp(word, "+") == 0;
    if (least || greatest) {
        *id = least ? STREAM_ID_MIN : STREAM_ID_MAX;
        return !strict;
    }
    char *seq = strchr(word, '-');
    if (seq)
        *seq++ = 0;
    id->seq = missing;
    if (!parse_u64(word, &id->ms))
        return false;
    if (seq_given)
        *seq_given = !seq || strcmp(seq, "*") != 0;
    if (seq_given && !*seq_given)
        id->seq = 0;
    else if (seq)
        return parse_u64(seq, &id->seq);
    return true;
}

static void reply_bad_id(struct resp_writer *out)
{
    reply_error(out, "ERR Invalid stream ID specified as stream command argument");
}

bool request_stream_id(struct request *rq, int i, struct stream_id *id)
{
    if (parse_stream_id(rq->argv[i], id, 0, true, NULL))
        return true;
    reply_bad_id(rq->out);
    return false;
}

static bool interval(struct request *rq, int i, struct stream_id *id, uint64_t missing, bool *open)
{
    struct slice text = rq->argv[i];
    *open = text.len > 1 && text.p[0] == '(';
    if (*open)
        text = (struct slice){text.p + 1, text.len - 1};
    if (parse_stream_id(text, id, missing, *open, NULL))
        return true;
    reply_bad_id(rq->out);
    return false;
}

bool request_stream_start(struct request *rq, int i, struct stream_id *id)
{
    bool open;
    if (!interval(rq, i, id, 0, &open))
        return false;
    if (!open || stream_id_next(id))
        return true;
    reply_error(rq->out, "ERR invalid start ID for the interval");
    return false;
}

bool request_stream_end(struct request *rq, int i, struct stream_id *id)
{
    bool open;
    if (!interval(rq, i, id, UINT64_MAX, &open))
        return false;
    if (!open || stream_id_prev(id))
        return true;
    reply_error(rq->out, "ERR invalid end ID for the interval");
    return false;
}

size_t format_stream_id(char text[STREAM_ID_TEXT], struct stream_id id)
{
    size_t len = format_u64(text, id.ms);
    text[len++] = '-';
    return len + format_u64(text + len, id.seq);
}

/* -- replies
 * --------------------------------------------------------------------------------------------------- */

void reply_stream_id(struct resp_writer *out, struct stream_id id)
{
    char text[STREAM_ID_TEXT];
    reply_bulk(out, (struct slice){(const uint8_t *)text, format_stream_id(text, id)});
}

void reply_stream_entry(struct resp_writer *out, struct stream_walk *w)
{
    struct slice field, value;
    struct stream_text text;
    reply_array(out, 2);
    reply_stream_id(out, w->id);
    reply_array(out, w->fields * 2ULL);
    while (stream_walk_field(w, &text, &field, &value)) {
        reply_bulk(out, field);
        reply_bulk(out, value);
    }
}

void reply_stream_entry_of(struct resp_writer *out, const struct stream *st, struct stream_id id)
{
    struct stream_walk w;
    stream_walk(&w, st, id, id, false);
    if (stream_walk_next(&w))
        reply_stream_entry(out, &w);
}

void reply_stream_range(struct request *rq, const struct stream *st, struct stream_id from,
                        struct stream_id to, uint64_t most, bool reverse)
{
    struct stream_walk w;
    uint64_t count = stream_count(st, from, to, most, rq->turn);
    reply_array(rq->out, count);
    stream_walk(&w, st, from, to, reverse);
    for (; count > 0 && turn_goes_on(rq->turn) && stream_walk_next(&w); count--)
        reply_stream_entry(rq->out, &w);
}

/* -- groups
 * ---------------------------------------------------------------------------------------------------- */

bool request_stream_group(struct request *rq, struct value_at *v, struct stream_group **g)
{
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_STREAM, v))
        return false;
    *g = v->e ? stream_group_find(stream_of(v), rq->argv[2]) : NULL;
    if (!*g)
        reply_errorf(rq->out, "NOGROUP No such key '%.*s' or consumer group '%.*s'", STREAM_WORD(rq->argv[1]),
                     STREAM_WORD(rq->argv[2]));
    return *g;
}

struct stream_consumer *request_stream_consumer(struct request *rq, struct value_at *v,
                                                struct stream_group *g, struct slice name, bool *made)
{
    struct stream_consumer *c = stream_consumer_find(g, name);
    *made = !c;
    if (!c)
        c = stream_consumer_add(v, g, name);
    if (!c)
        reply_oom(rq->out);
    else if (*made)
        request_event(rq, v->key);
    if (c && *made && effects_of(rq))
        effects_consumer(rq, v->key->name, g, name);
    return c;
}
