/* sort.c: SORT and SORT_RO: options, and what becomes of the sorted elements.
 * https://redis.io/docs/latest/commands/sort/, sort_ro/ */
#include "command/cluster.h"
#include "command/sort.h"

#include "command/acl.h"

/* -- options */

enum option {
    OPTION_NONE,
    OPTION_ASC,
    OPTION_DESC,
    OPTION_ALPHA,
    OPTION_LIMIT,
    OPTION_BY,
    OPTION_GET,
    OPTION_STORE
};

/* The option at argument i, if what it needs follows, and the number of words it takes. */
static enum option option_at(int argc, const struct slice *argv, int i, int *words)
{
    static const struct {
        const char *name;
        int words;
    } options[] = {[OPTION_ASC] = {"asc", 1},     [OPTION_DESC] = {"desc", 1}, [OPTION_ALPHA] = {"alpha", 1},
                   [OPTION_LIMIT] = {"limit", 3}, [OPTION_BY] = {"by", 2},     [OPTION_GET] = {"get", 2},
                   [OPTION_STORE] = {"store", 2}};
    *words = 1;
    for (unsigned o = OPTION_ASC; o <= OPTION_STORE; o++)
        if (slice_is(argv[i], options[o].name) && argc - i >= options[o].words) {
            *words = options[o].words;
            return (enum option)o;
        }
    return OPTION_NONE;
}

/* It leads to keys that the arguments do not name: those of a user who may read every key. */
static bool may_reach(const struct request *rq, const char *option)
{
    if (acl_reads_all(rq))
        return true;
    reply_errorf(rq->out, "ERR %s option of SORT denied due to insufficient ACL permissions.", option);
    return false;
}

static bool parse_option(struct sort *o, enum option option, int i)
{
    struct request *rq = o->rq;
    switch (option) {
    case OPTION_ASC:
    case OPTION_DESC:
        o->desc = option == OPTION_DESC;
        return true;
    case OPTION_ALPHA:
        o->alpha = true;
        return true;
    case OPTION_LIMIT:
        return request_int(rq, i + 1, &o->limit_start, NULL) && request_int(rq, i + 2, &o->limit_count, NULL);
    case OPTION_BY:
        if (sort_star(rq->argv[i + 1]) && cluster_refuses(rq, "ERR BY option of SORT denied in Cluster mode."))
            return false;
        o->by = i + 1;
        o->unsorted |= !sort_star(rq->argv[i + 1]);
        return !sort_star(rq->argv[i + 1]) || may_reach(rq, "BY");
    case OPTION_GET:
        if (cluster_refuses(rq, "ERR GET option of SORT denied in Cluster mode."))
            return false;
        o->gets++;
        return may_reach(rq, "GET");
    case OPTION_STORE:
        o->store = i + 1;
        return true;
    default:
        reply_syntax_error(rq->out);
        return false;
    }
}

static bool parse(struct sort *o, bool read_only)
{
    for (int i = 2, words; i < o->rq->argc; i += words) {
        enum option option = option_at(o->rq->argc, o->rq->argv, i, &words);
        if (!parse_option(o, read_only && option == OPTION_STORE ? OPTION_NONE : option, i))
            return false;
    }
    return true;
}

/* Redis looks for STORE wherever a word may be an option, right or not, and takes the last one. */
int sort_getkeys(int argc, const struct slice *argv, int *position, int room)
{
    int store = 0;
    for (int i = 2; i < argc; i++) {
        if (slice_is(argv[i], "limit"))
            i += 2;
        else if (slice_is(argv[i], "get") || slice_is(argv[i], "by"))
            i++;
        else if (slice_is(argv[i], "store") && i + 1 < argc)
            store = i + 1;
    }
    if (room > 0)
        position[0] = 1;
    if (room > 1 && store)
        position[1] = store;
    return store ? 2 : 1;
}

int sort_ro_getkeys(int argc, const struct slice *argv, int *position, int room)
{
    (void)argc, (void)argv;
    if (room > 0)
        position[0] = 1;
    return 1;
}

bool sort_reaches(int argc, const struct slice *argv)
{
    for (int i = 2; i + 1 < argc; i++)
        if ((slice_is(argv[i], "by") || slice_is(argv[i], "get")) && sort_star(argv[i + 1]))
            return true;
    return false;
}

/* -- output */

/* Takes a thing to put out: NULL for what GET did not find. from: the entry it lies in, if not the sorted
 * one. */
typedef bool put_output(struct sort *o, const struct item *item, struct entry *from, void *arg);

static bool each_output(struct sort *o, const struct sort_member *m, put_output *put, void *arg)
{
    if (!o->gets)
        return put(o, &m->element, NULL, arg);
    const struct request *rq = o->rq;
    for (int i = 2, words; i < rq->argc; i += words) {
        struct item value;
        struct entry *from;
        if (option_at(rq->argc, rq->argv, i, &words) != OPTION_GET)
            continue;
        bool found = sort_pattern_value(o, rq->argv[i + 1], &m->element, &value, &from);
        if (!put(o, found ? &value : NULL, from, arg))
            return false;
    }
    return true;
}

static bool put_reply(struct sort *o, const struct item *item, struct entry *from, void *arg)
{
    (void)from, (void)arg;
    if (!item)
        reply_null(o->rq->out);
    else if (item->is_number)
        reply_bulk_int(o->rq->out, item->number);
    else
        reply_bulk(o->rq->out, item->text);
    return true;
}

static void reply_sorted(struct sort *o, int64_t outputs)
{
    reply_array(o->rq->out, (size_t)outputs);
    for (int64_t i = o->start; i <= o->end; i++, turn_take(o->rq->turn))
        each_output(o, sort_nth(o, i), put_reply, NULL);
}

struct draft {
    struct shard *s;
    struct list *list;
};

/* Adding may evict: what the item lies in must stay. */
static bool put_stored(struct sort *o, const struct item *item, struct entry *from, void *arg)
{
    const struct item empty = item_of(SLICE_LIT(""));
    struct draft *d = arg;
    if (o->no_memory)
        return false;
    if (from)
        store_hold(from);
    bool ok = list_draft_add(d->s, d->list, item ? item : &empty);
    if (from)
        store_release(from);
    return ok;
}

static bool fill(struct sort *o, struct draft *d)
{
    if (!d->list)
        return false;
    for (int64_t i = o->start; i <= o->end; i++, turn_take(o->rq->turn))
        if (!each_output(o, sort_nth(o, i), put_stored, d))
            return false;
    return true;
}

static void store_sorted(struct sort *o, struct entry *e, int64_t outputs)
{
    struct request *rq = o->rq;
    struct key k = request_key(rq, o->store);
    struct shard *s = request_shard(rq, &k);
    if (outputs == 0) {
        store_delete(s, rq->client->db, &k);
        reply_int(rq->out, 0);
        return;
    }
    struct draft draft = {s, list_draft(s)};
    store_hold(e);
    bool ok = fill(o, &draft);
    store_release(e);
    struct value_at v = {s, rq->client->db, &k, store_find(s, rq->client->db, &k, LOOK_WRITE)};
    if (ok && list_draft_store(&v, draft.list) == STORE_OK) {
        reply_int(rq->out, outputs);
        return;
    }
    if (draft.list)
        list_draft_drop(s, draft.list);
    reply_oom(rq->out);
}

static void finish(struct sort *o, struct entry *e)
{
    if (o->no_memory) {
        reply_oom(o->rq->out);
        return;
    }
    if (o->not_a_number) {
        reply_error(o->rq->out, "ERR One or more scores can't be converted into double");
        return;
    }
    int64_t outputs = (o->end - o->start + 1) * (o->gets ? o->gets : 1);
    if (o->store)
        store_sorted(o, e, outputs);
    else
        reply_sorted(o, outputs);
}

static enum command_result sort_key(struct request *rq, bool read_only)
{
    struct sort o = {.rq = rq, .limit_count = -1};
    if (!parse(&o, read_only))
        return CMD_DONE;
    struct entry *e = request_find(rq, &rq->key, LOOK_READ);
    if (e && !sort_is_source(e)) {
        reply_wrong_type(rq->out);
        return CMD_DONE;
    }
    if (e && turn_wanted(rq, sort_work(e)))
        return CMD_LONG;
    turn_counts(rq);
    /* A set has no order of its own that would be worth storing, or that a script could rely on. */
    if (o.unsorted && (o.store || rq->client->flags & CLIENT_SCRIPT) && e && entry_type(e) == TYPE_SET) {
        o.unsorted = false;
        o.alpha = true;
        o.by = 0;
    }
    if (!sort_load(&o, e))
        o.no_memory = true;
    else
        sort_order(&o);
    finish(&o, e);
    sort_free(&o);
    return CMD_DONE;
}

enum command_result sort_command(struct request *rq)
{
    return sort_key(rq, false);
}

enum command_result sort_ro_command(struct request *rq)
{
    return sort_key(rq, true);
}
