/* lcs.c: LCS, the longest common subsequence of two strings. https://redis.io/docs/latest/commands/lcs/
 *
 * The classic dynamic program, with Redis' order of choice so that ranges come out the same. Lengths need
 * only two rows; the way back needs one bit a cell ("did the upper neighbour win?"), not the whole table of
 * lengths. */
#include "command/string_commands.h"
#include <stdlib.h>

struct lcs {
    struct slice a, b;
    uint32_t *row;     /* lengths for one prefix of a and every prefix of b: b.len + 1 */
    uint64_t *upper;   /* one bit a cell (i, j): length(i-1, j) > length(i, j-1) */
    uint32_t length;   /* the answer */
    int64_t min_match; /* shorter ranges are not reported */
    bool show_len;     /* WITHMATCHLEN */
};

struct range {
    size_t a_start, a_end, b_start, b_end; /* inclusive */
};

static size_t cell(const struct lcs *l, size_t i, size_t j)
{
    return (i - 1) * l->b.len + (j - 1);
}

/* Fills row (and upper, unless NULL) and the length. */
static void lcs_compute(struct lcs *l)
{
    for (size_t i = 1; i <= l->a.len; i++) {
        uint32_t diagonal = 0; /* row[j - 1] of the row above */
        for (size_t j = 1; j <= l->b.len; j++) {
            uint32_t above = l->row[j], left = l->row[j - 1];
            if (l->a.p[i - 1] == l->b.p[j - 1]) {
                l->row[j] = diagonal + 1;
            } else {
                l->row[j] = above > left ? above : left;
                if (l->upper && above > left)
                    l->upper[cell(l, i, j) / 64] |= UINT64_C(1) << cell(l, i, j) % 64;
            }
            diagonal = above;
        }
    }
    l->length = l->row[l->b.len];
}

static bool upper_won(const struct lcs *l, size_t i, size_t j)
{
    return l->upper[cell(l, i, j) / 64] >> cell(l, i, j) % 64 & 1;
}

/* Walks back from the end: the next matching pair (i, j) in *i, *j (1-based), or false. */
static bool next_match(const struct lcs *l, size_t *i, size_t *j)
{
    while (*i && *j) {
        if (l->a.p[*i - 1] == l->b.p[*j - 1])
            return true;
        if (upper_won(l, *i, *j))
            --*i;
        else
            --*j;
    }
    return false;
}

/* The next run of consecutive matches towards the start, or false. */
static bool next_range(const struct lcs *l, size_t *i, size_t *j, struct range *r)
{
    if (!next_match(l, i, j))
        return false;
    *r = (struct range){.a_end = *i - 1, .b_end = *j - 1};
    do {
        --*i;
        --*j;
    } while (*i && *j && l->a.p[*i - 1] == l->b.p[*j - 1]);
    r->a_start = *i;
    r->b_start = *j;
    return true;
}

static bool long_enough(const struct lcs *l, const struct range *r)
{
    return (uint64_t)(r->a_end - r->a_start + 1) >= (uint64_t)l->min_match;
}

static void reply_pair(struct resp_writer *out, size_t first, size_t last)
{
    reply_array(out, 2);
    reply_int(out, (int64_t)first);
    reply_int(out, (int64_t)last);
}

static void reply_matches(struct resp_writer *out, const struct lcs *l)
{
    struct range r;
    size_t i = l->a.len, j = l->b.len, count = 0;
    while (next_range(l, &i, &j, &r))
        count += long_enough(l, &r);
    reply_map(out, 2);
    reply_bulk_str(out, "matches");
    reply_array(out, count);
    i = l->a.len;
    j = l->b.len;
    while (next_range(l, &i, &j, &r)) {
        if (!long_enough(l, &r))
            continue;
        reply_array(out, l->show_len ? 3 : 2);
        reply_pair(out, r.a_start, r.a_end);
        reply_pair(out, r.b_start, r.b_end);
        if (l->show_len)
            reply_int(out, (int64_t)(r.a_end - r.a_start + 1));
    }
    reply_bulk_str(out, "len");
    reply_int(out, l->length);
}

static void reply_sequence(struct resp_writer *out, const struct lcs *l)
{
    uint8_t *text = malloc(l->length + 1);
    if (!text) {
        reply_error(out, "ERR Insufficient memory, failed allocating transient memory for LCS");
        return;
    }
    size_t at = l->length;
    for (size_t i = l->a.len, j = l->b.len; next_match(l, &i, &j); i--, j--)
        text[--at] = l->a.p[i - 1];
    reply_bulk(out, (struct slice){text, l->length});
    free(text);
}

/* Memory for the tables, or an error reply. Redis' limit on its table is kept: it bounds the time as well. */
static bool lcs_alloc(struct request *rq, struct lcs *l, bool way_back)
{
    uint64_t cells;
    if (l->a.len >= UINT32_MAX - 1 || l->b.len >= UINT32_MAX - 1) {
        reply_error(rq->out, "ERR String too long for LCS");
        return false;
    }
    if (__builtin_mul_overflow((uint64_t)l->a.len + 1, (uint64_t)l->b.len + 1, &cells) ||
        cells > rq->env->conf->proto_max_bulk_len / sizeof(uint32_t)) {
        reply_error(rq->out, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return false;
    }
    l->row = calloc(l->b.len + 1, sizeof *l->row);
    if (way_back)
        l->upper = calloc(cells / 64 + 1, sizeof *l->upper);
    if (l->row && (l->upper || !way_back))
        return true;
    reply_error(rq->out, "ERR Insufficient memory, failed allocating transient memory for LCS");
    return false;
}

struct lcs_options {
    bool len, idx;
};

static bool lcs_parse(struct request *rq, struct lcs *l, struct lcs_options *o)
{
    for (int i = 3; i < rq->argc; i++) {
        struct slice word = rq->argv[i];
        if (slice_is(word, "IDX")) {
            o->idx = true;
        } else if (slice_is(word, "LEN")) {
            o->len = true;
        } else if (slice_is(word, "WITHMATCHLEN")) {
            l->show_len = true;
        } else if (slice_is(word, "MINMATCHLEN") && i + 1 < rq->argc) {
            if (!request_int(rq, ++i, &l->min_match, NULL))
                return false;
            if (l->min_match < 0)
                l->min_match = 0;
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    if (o->idx && o->len) {
        reply_error(rq->out, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

/* The string of argument i, empty when absent; false when it is no string. */
static bool lcs_operand(struct request *rq, int i, unsigned how, char *scratch, struct slice *s)
{
    struct key k = request_key(rq, i);
    struct entry *e = request_find(rq, &k, how);
    *s = (struct slice){NULL, 0};
    if (e && entry_type(e) != TYPE_STRING)
        return false;
    if (e)
        *s = entry_string(e, scratch);
    return true;
}

enum command_result lcs_command(struct request *rq)
{
    char scratch[2][24];
    struct lcs l = {0};
    struct lcs_options o = {false, false};
    bool a_ok = lcs_operand(rq, 1, LOOK_READ, scratch[0], &l.a);
    bool b_ok = lcs_operand(rq, 2, LOOK_READ, scratch[1], &l.b);
    if (!a_ok || !b_ok) {
        reply_error(rq->out, "ERR The specified keys must contain string values");
        return CMD_DONE;
    }
    /* The second look-up may have removed an expired entry and so moved the first one. */
    lcs_operand(rq, 1, LOOK_NOTOUCH | LOOK_NOSTAT, scratch[0], &l.a);
    if (!lcs_parse(rq, &l, &o))
        return CMD_DONE;
    if (lcs_alloc(rq, &l, !o.len)) {
        lcs_compute(&l);
        if (o.idx)
            reply_matches(rq->out, &l);
        else if (o.len)
            reply_int(rq->out, l.length);
        else
            reply_sequence(rq->out, &l);
    }
    free(l.row);
    free(l.upper);
    return CMD_DONE;
}
