/* geo_search.c: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family.
 * https://redis.io/docs/latest/commands/geosearch/ */
#include "command/geo.h"
#include "command/geo_commands.h"
#include <stdlib.h>

enum kind { SEARCH, SEARCH_STORE, RADIUS, RADIUS_RO, BY_MEMBER, BY_MEMBER_RO };
enum sort { UNSORTED, NEAREST_FIRST, FARTHEST_FIRST };

/* A search as its arguments say it. */
struct search {
    enum kind kind;
    struct value_at v;
    struct zset z;
    struct geo_shape shape;
    int store; /* argument of the key to store to, 0 = reply */
    bool store_distance;
    bool with_distance, with_hash, with_point;
    bool from_member, from_point, by_radius, by_box, any;
    enum sort sort;
    int64_t count; /* 0 = all */
};

/* -- arguments
 * ------------------------------------------------------------------------------------------------- */

static bool is_search(const struct search *s)
{
    return s->kind == SEARCH || s->kind == SEARCH_STORE;
}

static bool take_radius(struct request *rq, int i, struct search *s)
{
    if (!request_double(rq, i, &s->shape.radius, "ERR need numeric radius"))
        return false;
    if (s->shape.radius < 0) {
        reply_error(rq->out, "ERR radius cannot be negative");
        return false;
    }
    s->by_radius = true;
    return request_unit(rq, i + 1, &s->shape.unit);
}

static bool take_box(struct request *rq, int i, struct search *s)
{
    if (!request_double(rq, i, &s->shape.width, "ERR need numeric width") ||
        !request_double(rq, i + 1, &s->shape.height, "ERR need numeric height"))
        return false;
    if (s->shape.width < 0 || s->shape.height < 0) {
        reply_error(rq->out, "ERR height or width cannot be negative");
        return false;
    }
    s->by_box = s->shape.is_box = true;
    return request_unit(rq, i + 2, &s->shape.unit);
}

/* Without a key the member is not looked for: the rest of the arguments is still checked. */
static bool take_member(struct request *rq, int i, struct search *s)
{
    double score;
    s->from_member = true;
    if (!s->v.e)
        return true;
    if (!zset_score(&s->z, rq->argv[i], &score)) {
        reply_error(rq->out, "ERR could not decode requested zset member");
        return false;
    }
    s->shape.centre = geo_point_of(score);
    return true;
}

static bool take_point(struct request *rq, int i, struct search *s)
{
    s->from_point = true;
    return request_point(rq, i, &s->shape.centre);
}

static bool take_count(struct request *rq, int i, struct search *s)
{
    if (!request_int(rq, i, &s->count, NULL))
        return false;
    if (s->count > 0)
        return true;
    reply_error(rq->out, "ERR COUNT must be > 0");
    return false;
}

static bool take_store(struct request *rq, int i, struct search *s)
{
    s->store = i;
    s->store_distance = slice_is(rq->argv[i - 1], "STOREDIST");
    return true;
}

static bool take_store_distance(struct request *rq, int i, struct search *s)
{
    (void)rq, (void)i;
    s->store_distance = true;
    return true;
}

static bool take_flag(struct request *rq, int i, struct search *s)
{
    struct slice word = rq->argv[i - 1];
    s->with_distance |= slice_is(word, "WITHDIST");
    s->with_hash |= slice_is(word, "WITHHASH");
    s->with_point |= slice_is(word, "WITHCOORD");
    s->any |= slice_is(word, "ANY");
    if (slice_is(word, "ASC"))
        s->sort = NEAREST_FIRST;
    if (slice_is(word, "DESC"))
        s->sort = FARTHEST_FIRST;
    return true;
}

enum {
    IN_SEARCH = 1 << SEARCH | 1 << SEARCH_STORE,
    IN_STORING_RADIUS = 1 << RADIUS | 1 << BY_MEMBER,
    IN_ALL = IN_SEARCH | IN_STORING_RADIUS | 1 << RADIUS_RO | 1 << BY_MEMBER_RO
};

static const struct option {
    const char *name;
    unsigned kinds;                                            /* of commands that have it */
    int words;                                                 /* behind it */
    bool (*take)(struct request *rq, int i, struct search *s); /* i: the word after it */
} options[] = {
    {"WITHDIST", IN_ALL, 0, take_flag},
    {"WITHHASH", IN_ALL, 0, take_flag},
    {"WITHCOORD", IN_ALL, 0, take_flag},
    {"ANY", IN_ALL, 0, take_flag},
    {"ASC", IN_ALL, 0, take_flag},
    {"DESC", IN_ALL, 0, take_flag},
    {"COUNT", IN_ALL, 1, take_count},
    {"STORE", IN_STORING_RADIUS, 1, take_store},
    {"STOREDIST", IN_STORING_RADIUS, 1, take_store},
    {"STOREDIST", 1 << SEARCH_STORE, 0, take_store_distance},
    {"FROMMEMBER", IN_SEARCH, 1, take_member},
    {"FROMLONLAT", IN_SEARCH, 2, take_point},
    {"BYRADIUS", IN_SEARCH, 2, take_radius},
    {"BYBOX", IN_SEARCH, 3, take_box},
};

/* The option named by an argument, NULL if there is none or it contradicts an earlier one. */
static const struct option *find_option(const struct request *rq, int i, const struct search *s)
{
    for (unsigned o = 0; o < sizeof options / sizeof options[0]; o++) {
        const struct option *option = &options[o];
        if (!(option->kinds >> s->kind & 1) || !slice_is(rq->argv[i], option->name) ||
            rq->argc - i <= option->words)
            continue;
        bool contradicts = (option->take == take_member && s->from_point) ||
                           (option->take == take_point && s->from_member) ||
                           (option->take == take_radius && s->by_box) ||
                           (option->take == take_box && s->by_radius);
        return contradicts ? NULL : option;
    }
    return NULL;
}

static bool take_options(struct request *rq, int first, struct search *s)
{
    for (int i = first; i < rq->argc;) {
        const struct option *option = find_option(rq, i, s);
        if (!option) {
            reply_syntax_error(rq->out);
            return false;
        }
        if (!option->take(rq, i + 1, s))
            return false;
        i += 1 + option->words;
    }
    return true;
}

/* False after replying what is missing or does not go together. */
static bool is_complete(struct request *rq, const struct search *s)
{
    int len = (int)rq->argv[0].len;
    const char *name = (const char *)rq->argv[0].p;
    if (s->store && (s->with_distance || s->with_hash || s->with_point))
        reply_errorf(rq->out, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     s->kind == SEARCH_STORE ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    else if (is_search(s) && !s->from_member && !s->from_point)
        reply_errorf(rq->out, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s", len,
                     name);
    else if (is_search(s) && !s->by_radius && !s->by_box)
        reply_errorf(rq->out, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s", len, name);
    else if (s->any && !s->count)
        reply_error(rq->out, "ERR the ANY argument requires COUNT argument");
    else
        return true;
    return false;
}

static bool take_arguments(struct request *rq, struct search *s)
{
    switch (s->kind) {
    case SEARCH:
        return take_options(rq, 2, s);
    case SEARCH_STORE:
        s->store = 1;
        return take_options(rq, 3, s);
    case RADIUS:
    case RADIUS_RO:
        return take_point(rq, 2, s) && take_radius(rq, 4, s) && take_options(rq, 6, s);
    default:
        return (!s->v.e || (take_member(rq, 2, s) && take_radius(rq, 3, s))) && take_options(rq, 5, s);
    }
}

/* -- searching
 * ------------------------------------------------------------------------------------------------- */

enum { LOOKS_FROM = 200 }; /* elements; a search among fewer is never long */

struct hit {
    double distance;
    uint64_t number; /* in the tally, whose scores are those of the elements */
};

struct hits {
    struct tally t;
    struct hit *hit;
    uint64_t cap;
};

static void add_hit(struct hits *h, const struct zset_element *e, double distance)
{
    if (h->t.count == h->cap) {
        uint64_t cap = h->cap ? h->cap * 2 : 64;
        struct hit *hit = realloc(h->hit, cap * sizeof *hit);
        if (!hit) {
            h->t.failed = true;
            return;
        }
        h->hit = hit;
        h->cap = cap;
    }
    h->hit[h->t.count] = (struct hit){distance, h->t.count};
    tally_add(&h->t, e->member, e->score);
}

/* The elements that find_hits() looks at. */
static uint64_t in_boxes(const struct search *s)
{
    struct geo_range range[GEO_BOXES];
    uint64_t n = 0;
    unsigned ranges = geo_ranges(&s->shape, range);
    for (unsigned i = 0; i < ranges && zset_count(&s->z) > LOOKS_FROM; i++)
        n += zset_rank_of_score(&s->z, range[i].end, false) - zset_rank_of_score(&s->z, range[i].from, false);
    return 2 * n;
}

static void find_hits(const struct search *s, struct hits *h)
{
    struct geo_range range[GEO_BOXES];
    uint64_t most = s->any ? (uint64_t)s->count : UINT64_MAX;
    unsigned ranges = geo_ranges(&s->shape, range);
    for (unsigned i = 0; i < ranges; i++) {
        struct zset_walk w;
        struct zset_element e;
        zset_walk(&w, &s->z, zset_rank_of_score(&s->z, range[i].from, false), false);
        while (h->t.count < most && !h->t.failed && zset_next(&w, &e) && e.score < range[i].end) {
            double distance;
            turn_take(h->t.turn);
            if (geo_inside(&s->shape, geo_point_of(e.score), &distance))
                add_hit(h, &e, distance);
        }
    }
}

static int nearest_first(const void *a, const void *b, void *turn)
{
    turn_take(turn);
    const struct hit *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static int farthest_first(const void *a, const void *b, void *turn)
{
    turn_take(turn);
    const struct hit *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance > y->distance ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void reply_hits(struct request *rq, const struct search *s, const struct hits *h, uint64_t count)
{
    unsigned extras = s->with_distance + s->with_hash + s->with_point;
    reply_array(rq->out, count);
    for (uint64_t i = 0; i < count; i++) {
        const struct zset_element *e = &h->t.element[h->hit[i].number];
        if (extras)
            reply_array(rq->out, extras + 1);
        reply_bulk(rq->out, e->member);
        if (s->with_distance)
            reply_distance(rq->out, h->hit[i].distance / s->shape.unit);
        if (s->with_hash)
            reply_int(rq->out, (int64_t)e->score);
        if (s->with_point)
            reply_point(rq->out, geo_point_of(e->score));
    }
}

static void store_hits(struct request *rq, const struct search *s, const struct hits *h, uint64_t count)
{
    struct tally t = {.failed = h->t.failed, .turn = rq->turn};
    struct key to = request_key(rq, s->store);
    for (uint64_t i = 0; i < count; i++) {
        const struct zset_element *e = &h->t.element[h->hit[i].number];
        if (!tally_find(&t, e->member))
            tally_add(&t, e->member, s->store_distance ? h->hit[i].distance / s->shape.unit : e->score);
    }
    tally_sort(&t);
    tally_store(rq, &t, &to);
    tally_free(&t);
}

static void run_search(struct request *rq, struct search *s)
{
    struct hits h = {.t.turn = rq->turn};
    if (s->v.e)
        find_hits(s, &h);
    uint64_t count = h.t.count;
    if (s->count && !s->any && s->sort == UNSORTED)
        s->sort = NEAREST_FIRST;
    if (s->sort != UNSORTED && count > 1)
        qsort_r(h.hit, count, sizeof h.hit[0], s->sort == NEAREST_FIRST ? nearest_first : farthest_first,
                rq->turn);
    if (s->count && (uint64_t)s->count < count)
        count = (uint64_t)s->count;
    if (s->store)
        store_hits(rq, s, &h, count);
    else if (h.t.failed)
        reply_oom(rq->out);
    else
        reply_hits(rq, s, &h, count);
    free(h.hit);
    tally_free(&h.t);
}

static enum command_result search(struct request *rq, enum kind kind)
{
    struct search s = {.kind = kind, .shape.unit = 1};
    struct key k = request_key(rq, kind == SEARCH_STORE ? 2 : 1);
    if (!request_zset(rq, &k, LOOK_READ, &s.v, &s.z) || !take_arguments(rq, &s) || !is_complete(rq, &s))
        return CMD_DONE;
    if (s.v.e && turn_wanted(rq, in_boxes(&s)))
        return CMD_LONG;
    run_search(rq, &s);
    return CMD_DONE;
}

enum command_result geosearch_command(struct request *rq)
{
    return search(rq, SEARCH);
}

enum command_result geosearchstore_command(struct request *rq)
{
    return search(rq, SEARCH_STORE);
}

enum command_result georadius_command(struct request *rq)
{
    return search(rq, RADIUS);
}

enum command_result georadius_ro_command(struct request *rq)
{
    return search(rq, RADIUS_RO);
}

enum command_result georadiusbymember_command(struct request *rq)
{
    return search(rq, BY_MEMBER);
}

enum command_result georadiusbymember_ro_command(struct request *rq)
{
    return search(rq, BY_MEMBER_RO);
}
