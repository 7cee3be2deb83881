/* tracking_cmd.c: CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO.
 * https://redis.io/docs/latest/commands/client-tracking/ */
#include "command/tracking.h"

#include "base/number.h"
#include "command/command.h"
#include "command/connection.h"
#include "command/info.h"

#include <limits.h>
#include <stdlib.h>

struct options {
    unsigned how;
    uint64_t redirect;
    struct client *target;
    struct slice *prefix; /* of malloc() */
    int prefixes;
};

static bool refuse(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return false;
}

/* -- reading the options -- */

struct search {
    uint64_t id;
    struct client *found;
};

static void is_it(struct client *c, void *arg)
{
    struct search *s = arg;
    if (c->id == s->id && !(c->flags & CLIENT_INTERNAL))
        s->found = c;
}

static bool redirect(struct request *rq, struct options *o, int at)
{
    int64_t id;
    if (o->redirect)
        return refuse(rq, "ERR A client can only redirect to a single other client");
    if (!request_int(rq, at, &id, NULL))
        return false;
    struct search s = {.id = (uint64_t)id};
    rq->env->box->each_client(rq->env, NULL, is_it, &s);
    if (!s.found)
        return refuse(rq, "ERR The client ID you want redirect to does not exist");
    o->redirect = (uint64_t)id;
    o->target = s.found;
    return true;
}

static bool read_options(struct request *rq, struct options *o)
{
    static const struct {
        const char *word;
        unsigned how;
    } words[] = {
        {"bcast", TRACK_BCAST}, {"optin", TRACK_OPTIN}, {"optout", TRACK_OPTOUT}, {"noloop", TRACK_NOLOOP}};
    for (int i = 3; i < rq->argc; i++) {
        unsigned w = 0;
        while (w < 4 && !slice_is(rq->argv[i], words[w].word))
            w++;
        if (w < 4) {
            o->how |= words[w].how;
        } else if (slice_is(rq->argv[i], "redirect") && i + 1 < rq->argc) {
            if (!redirect(rq, o, ++i))
                return false;
        } else if (slice_is(rq->argv[i], "prefix") && i + 1 < rq->argc) {
            o->prefix[o->prefixes++] = rq->argv[++i];
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

/* -- prefixes of one client must not overlap: it would be told twice -- */

static bool overlap(struct slice a, struct slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    return least == 0 || memcmp(a.p, b.p, least) == 0;
}

/* As far as a text goes. */
static int shown(struct slice s)
{
    return (int)strnlen((const char *)s.p, s.len < 300 ? s.len : 300);
}

static bool refuse_overlap(struct request *rq, struct slice given, const char *what, struct slice other)
{
    reply_errorf(rq->out,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client must not "
                 "overlap.",
                 shown(given), (const char *)given.p, what, shown(other), (const char *)other.p);
    return false;
}

static struct slice prefix_name(const struct member *m)
{
    return (struct slice){m->prefix->name, m->prefix->len};
}

/* The first by name of those that it has already. */
static const struct member *overlapping(const struct client *c, struct slice name)
{
    const struct member *found = NULL;
    for (const struct member *m = c->tracker ? c->tracker->prefixes : NULL; m; m = m->mine)
        if (overlap(prefix_name(m), name) && (!found || name_order(prefix_name(m), prefix_name(found)) < 0))
            found = m;
    return found;
}

static bool prefixes_fit(struct request *rq, const struct options *o)
{
    for (int i = 0; i < o->prefixes; i++) {
        const struct member *m = overlapping(rq->client, o->prefix[i]);
        if (m)
            return refuse_overlap(rq, o->prefix[i], "an existing", prefix_name(m));
        for (int j = i + 1; j < o->prefixes; j++)
            if (overlap(o->prefix[i], o->prefix[j]))
                return refuse_overlap(rq, o->prefix[i], "another provided", o->prefix[j]);
    }
    return true;
}

/* -- on and off -- */

static bool fits(struct request *rq, const struct options *o)
{
    unsigned had = tracking_how(rq->client);
    if (!(o->how & TRACK_BCAST) && o->prefixes)
        return refuse(rq, "ERR PREFIX option requires BCAST mode to be enabled");
    if (had & TRACK_ON && (had ^ o->how) & TRACK_BCAST)
        return refuse(rq, "ERR You can't switch BCAST mode on/off before disabling tracking for this client, "
                          "and then re-enabling it with a different mode.");
    if (o->how & TRACK_BCAST && o->how & (TRACK_OPTIN | TRACK_OPTOUT))
        return refuse(rq, "ERR OPTIN and OPTOUT are not compatible with BCAST");
    if (o->how & TRACK_OPTIN && o->how & TRACK_OPTOUT)
        return refuse(rq, "ERR You can't specify both OPTIN mode and OPTOUT mode");
    if ((o->how & TRACK_OPTIN && had & TRACK_OPTOUT) || (o->how & TRACK_OPTOUT && had & TRACK_OPTIN))
        return refuse(rq, "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, "
                          "and then re-enabling it with a different mode.");
    return prefixes_fit(rq, o);
}

/* Are its reads to be remembered from now on? */
static void note_reads(struct client *c)
{
    unsigned how = tracking_how(c);
    bool said = c->flags & CLIENT_CACHING;
    bool reads = how & TRACK_ON && !(how & TRACK_BCAST) && !(how & TRACK_OPTIN && !said) &&
                 !(how & TRACK_OPTOUT && said);
    c->flags = (c->flags & ~(uint32_t)CLIENT_TRACKS) | (reads ? CLIENT_TRACKS : 0);
}

void tracking_off(struct tracking *t, struct client *c)
{
    struct tracker *tr = c->tracker;
    if (!tr || !(tr->how & TRACK_ON))
        return;
    prefix_leave(t, tr);
    tr->how = 0;
    tr->redirect = 0;
    atomic_fetch_sub(&t->common->clients, 1);
    c->flags &= ~(uint32_t)(CLIENT_TRACKS | CLIENT_CACHING);
}

static bool join_prefixes(struct tracking *t, struct tracker *tr, const struct options *o)
{
    bool joined = o->prefixes || prefix_join(t, tr, (struct slice){0});
    for (int i = 0; joined && i < o->prefixes; i++)
        joined = prefix_join(t, tr, o->prefix[i]);
    return joined;
}

static bool switch_on(struct request *rq, const struct options *o)
{
    struct tracking *t = rq->env->tracking;
    struct tracker *tr = tracker_of(t, rq->client);
    if (!tr || (o->target && !tracker_of(t->common->of[o->target->worker], o->target)))
        return false;
    if (!(tr->how & TRACK_ON))
        atomic_fetch_add(&t->common->clients, 1);
    tr->how = TRACK_ON | o->how;
    tr->redirect = o->redirect;
    tr->redirect_worker = o->target ? o->target->worker : 0;
    if (o->how & TRACK_BCAST && !join_prefixes(t, tr, o)) {
        tracking_off(t, rq->client);
        return false;
    }
    note_reads(rq->client);
    rq->env->box->observe(rq->env, OBSERVE_TRACKING);
    return true;
}

/* False after an error. */
static bool switch_tracking(struct request *rq, struct options *o)
{
    if (!read_options(rq, o))
        return false;
    if (slice_is(rq->argv[2], "off")) {
        tracking_off(rq->env->tracking, rq->client);
        return true;
    }
    if (!slice_is(rq->argv[2], "on")) {
        reply_syntax_error(rq->out);
        return false;
    }
    if (!fits(rq, o))
        return false;
    return switch_on(rq, o) || refuse(rq, "ERR out of memory for client side caching");
}

/* Runs with all workers stopped, where the client is. */
enum command_result client_tracking_run(struct request *rq)
{
    struct options o = {0};
    if (!rq->env->tracking || rq->client->flags & (CLIENT_INTERNAL | CLIENT_PROXY)) {
        refuse(rq, "ERR client side caching needs a connection");
        return CMD_DONE;
    }
    struct tracking_common *common = rq->env->tracking->common;
    for (unsigned i = 0; i < common->workers; i++)
        prefix_tidy(common->of[i]);
    o.prefix = malloc((size_t)rq->argc * sizeof *o.prefix);
    if (!o.prefix)
        reply_oom(rq->out);
    else if (switch_tracking(rq, &o))
        reply_ok(rq->out);
    free(o.prefix);
    return CMD_COUNTED;
}

enum command_result client_caching_run(struct request *rq)
{
    unsigned how = tracking_how(rq->client);
    bool yes = slice_is(rq->argv[2], "yes"), no = slice_is(rq->argv[2], "no");
    if (!(how & TRACK_ON))
        refuse(rq, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                   "OPTOUT mode enabled");
    else if (!yes && !no)
        reply_syntax_error(rq->out);
    else if (yes && !(how & TRACK_OPTIN))
        refuse(rq, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    else if (no && !(how & TRACK_OPTOUT))
        refuse(rq, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    else {
        rq->client->flags |= CLIENT_CACHING;
        note_reads(rq->client);
        reply_ok(rq->out);
    }
    return CMD_DONE;
}

/* -- what there is -- */

int64_t tracking_redirect(const struct client *c)
{
    return tracking_how(c) & TRACK_ON ? (int64_t)c->tracker->redirect : -1;
}

enum command_result client_getredir_run(struct request *rq)
{
    reply_int(rq->out, tracking_redirect(rq->client));
    return CMD_DONE;
}

static void reply_how(struct request *rq)
{
    unsigned how = tracking_how(rq->client);
    bool said = rq->client->flags & CLIENT_CACHING;
    const struct {
        bool is;
        const char *name;
    } flags[] = {
        {!(how & TRACK_ON), "off"},
        {how & TRACK_ON, "on"},
        {how & TRACK_BCAST, "bcast"},
        {how & TRACK_OPTIN, "optin"},
        {how & TRACK_OPTIN && said, "caching-yes"},
        {how & TRACK_OPTOUT, "optout"},
        {how & TRACK_OPTOUT && said, "caching-no"},
        {how & TRACK_NOLOOP, "noloop"},
        {how & TRACK_BROKEN, "broken_redirect"},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        n += flags[i].is;
    reply_set(rq->out, n);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].is)
            reply_bulk_str(rq->out, flags[i].name);
}

static int by_name(const void *left, const void *right)
{
    const struct member *const *a = left, *const *b = right;
    return name_order(prefix_name(*a), prefix_name(*b));
}

static void reply_prefixes(struct request *rq)
{
    const struct member *first = rq->client->tracker ? rq->client->tracker->prefixes : NULL, **list;
    size_t n = 0;
    for (const struct member *m = first; m; m = m->mine)
        n++;
    reply_array(rq->out, n);
    list = n ? malloc(n * sizeof *list) : NULL;
    n = 0;
    for (const struct member *m = first; m; m = m->mine)
        if (list)
            list[n++] = m;
        else
            reply_bulk(rq->out, prefix_name(m));
    if (list)
        qsort(list, n, sizeof *list, by_name);
    for (size_t i = 0; list && i < n; i++)
        reply_bulk(rq->out, prefix_name(list[i]));
    free(list);
}

enum command_result client_trackinginfo_run(struct request *rq)
{
    reply_map(rq->out, 3);
    reply_bulk_str(rq->out, "flags");
    reply_how(rq);
    reply_bulk_str(rq->out, "redirect");
    reply_int(rq->out, tracking_redirect(rq->client));
    reply_bulk_str(rq->out, "prefixes");
    reply_prefixes(rq);
    return CMD_DONE;
}

/* -- INFO, with all workers stopped -- */

void info_tracking_clients(struct info *i, const char *name)
{
    info_u64(i, name, i->env->tracking ? atomic_load(&i->env->tracking->common->clients) : 0);
}

void info_tracking(struct info *i, const char *name)
{
    uint64_t keys = 0, items = 0, prefixes = 0;
    if (i->env->tracking)
        tracking_totals(i->env, &keys, &items, &prefixes);
    info_u64(i, name, keys);
    info_u64(i, "tracking_total_items", items);
    info_u64(i, "tracking_total_prefixes", prefixes);
}
