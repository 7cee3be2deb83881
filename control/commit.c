/* commit.c: generations of configuration. */
#include "control/commit_private.h"
#include "control/log.h"
#include "control/tls_files.h"
#include "control/users.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RESULT_SECONDS = 10, START_SECONDS = 120, QUEUE_MAX = 256 };

/* -- sending ------------------------------------------------------------------------------------------ */

struct pair_list {
    struct link_pair *pair;
    unsigned n;
};

static void add_pair(const char *name, const char *value, void *arg)
{
    struct pair_list *list = arg;
    if (list->n % 64 == 0)
        list->pair = must_grow(list->pair, list->n + 64, sizeof *list->pair);
    list->pair[list->n++] = (struct link_pair){name, value};
}

/* What the dataplane may see of `s`: directives fixed at its start as they were then. */
static struct settings *effective(const struct commit *c, const struct settings *s)
{
    struct settings *e = settings_copy(s);
    for (unsigned i = 0; c->started && i < directive_count(); i++)
        if (directives[i].apply == APPLY_DATAPLANE) {
            words_free(&e->value[i]);
            for (unsigned j = 0; j < c->started->value[i].n; j++)
                words_add(&e->value[i], must_copy(c->started->value[i].p[j]));
        }
    return e;
}

/* With the users of the ACL file: what a dataplane starts with. */
static bool send_generation(struct commit *c, const struct settings *s, const struct words *users,
                            long seconds)
{
    struct pair_list list = {0};
    struct settings *e = effective(c, s);
    struct timeval wait = {.tv_sec = seconds};
    settings_each(e, add_pair, &list);
    for (unsigned i = 0; users && i < users->n; i++)
        add_pair("user", users->p[i], &list);
    const struct tls_files *tls = c->candidate_tls ? c->candidate_tls : c->tls;
    if (tls)
        tls_files_each(tls, add_pair, &list);
    c->sent = commit_next_generation(c);
    bool good = link_config(c->link, c->sent, list.pair, list.n);
    free(list.pair);
    settings_free(e);
    if (good)
        evtimer_add(c->timer, &wait);
    else
        c->sent = 0;
    return good;
}

/* -- the queue ---------------------------------------------------------------------------------------- */

static void finish(struct commit *c, const char *error)
{
    struct pending *p = c->head;
    c->head = p->next;
    if (!c->head)
        c->tail = &c->head;
    if (error && c->told)
        c->told(c->told_ctx, p->who, p->way, c->running, NULL, error);
    p->done(p->ctx, error);
    words_free(&p->names);
    words_free(&p->values);
    free(p->who);
    free(p);
}

/* -- certificates and keys ---------------------------------------------------------------------------- */

/* Does this change read the files anew? One that does not name a directive of theirs keeps what was read: a file
 * that is just being written is then nobody's accident. */
static bool names_tls(const struct pending *p)
{
    for (unsigned i = 0; i < p->names.n; i++)
        if (strncasecmp(p->names.p[i], "tls-", 4) == 0 || strcasecmp(p->names.p[i], "listener") == 0)
            return true;
    return p->names.n == 0; /* the whole file is loaded */
}

static void drop_tls(struct tls_files **f)
{
    tls_files_free(*f);
    *f = NULL;
}

/* What the log says is for the operator alone; a client hears Redis' words. NULL or an error on the heap. */
static char *read_tls(struct commit *c, const struct pending *p, const struct settings *s)
{
    char why[512];
    if (!names_tls(p) || !tls_wanted(s))
        return NULL;
    if ((c->candidate_tls = tls_files_read(s, why, sizeof why)))
        return NULL;
    log_line(LOG_LEVEL_WARNING, "%s", why);
    return commit_tls_failed(p);
}

static void run(struct commit *c, struct settings *owned, uint64_t generation)
{
    if (c->told)
        c->told(c->told_ctx, c->head->who, c->head->way, c->running, owned, NULL);
    if (c->candidate_tls) {
        drop_tls(&c->tls);
        c->tls = c->candidate_tls;
        c->candidate_tls = NULL;
    }
    settings_free(c->running);
    c->running = owned;
    c->generation = generation;
    c->changed(c->ctx, c->running);
}

/* Takes the first change in the queue as far as it goes. */
static void next_change(struct commit *c)
{
    while (c->head && !c->sent) {
        struct pending *p = c->head;
        struct settings *s = p->names.n ? settings_copy(c->running) : settings_defaults();
        char *error = p->names.n ? commit_apply_set(c, p, s) : commit_apply_file(c, s);
        if (!error)
            error = commit_check_users(c, s);
        if (!error)
            error = commit_check_listeners(s);
        if (!error)
            error = read_tls(c, p, s);
        if (error) {
            settings_free(s);
            finish(c, error);
            free(error);
        } else if (!link_connected(c->link)) {
            run(c, s, commit_next_generation(c));
            finish(c, NULL);
        } else if (send_generation(c, s, NULL, RESULT_SECONDS)) {
            c->candidate = s;
        } else {
            settings_free(s);
            drop_tls(&c->candidate_tls);
            finish(c, "ERR the dataplane does not take a new configuration");
        }
    }
}

static void give_up(struct commit *c, const char *why);

static void enqueue(struct commit *c, struct pending *p)
{
    unsigned n = 0;
    for (const struct pending *q = c->head; q; q = q->next)
        n++;
    *c->tail = p;
    c->tail = &p->next;
    if (n >= QUEUE_MAX) /* only a flood of CONFIG SET comes here: the oldest makes room */
        give_up(c, "ERR too many configuration changes wait");
    next_change(c);
}

static void ask_for(struct commit *c, const struct change *change, unsigned n, bool wire, const char *way,
                    const char *who, commit_done *done, void *ctx)
{
    struct pending *p = must_alloc(1, sizeof *p);
    for (unsigned i = 0; i < n; i++) {
        words_add(&p->names, must_copy(change[i].name));
        words_add(&p->values, must_copy(change[i].value));
    }
    p->wire = wire;
    p->way = way;
    p->who = must_copy(who);
    p->done = done;
    p->ctx = ctx;
    enqueue(c, p);
}

void commit_set(struct commit *c, const struct change *change, unsigned n, bool wire, const char *who,
                commit_done *done, void *ctx)
{
    ask_for(c, change, n, wire, wire ? "CONFIG SET" : "config set", who, done, ctx);
}

void commit_set_as(struct commit *c, const struct change *change, unsigned n, const char *way, const char *who,
                   commit_done *done, void *ctx)
{
    ask_for(c, change, n, false, way, who, done, ctx);
}

void commit_load(struct commit *c, const char *who, commit_done *done, void *ctx)
{
    ask_for(c, NULL, 0, false, "load", who, done, ctx);
}

static void log_changes(const struct commit *c, const struct pending *p)
{
    struct text t = {0};
    for (unsigned i = 0; i < directive_count(); i++)
        if (!settings_same(c->running, c->candidate, (int)i)) {
            const struct words *w = &c->candidate->value[i];
            text_printf(&t, w->n > 1 ? " %s=%s (the last of %u)" : " %s=%s", directives[i].name,
                        directives[i].flags & DIRECTIVE_SECRET ? "(hidden)"
                        : w->n                                 ? w->p[w->n - 1]
                                                               : "",
                        w->n);
        }
    log_line(LOG_LEVEL_NOTICE, "Configuration generation %" PRIu64 " by %s:%s", c->sent, p->who,
             t.len ? text_str(&t) : " no change");
    text_free(&t);
}

static void set_refusal(struct commit *c, const char *why)
{
    free(c->refusal);
    c->refusal = must_copy(why);
}

/* -- users -------------------------------------------------------------------------------------------- */

struct using {
    struct commit *commit;
    uint64_t generation;
};

static void next_change(struct commit *c);

/* The dataplane has everything else of the candidate already: what runs is sent again. */
static void take_back(struct commit *c, const char *error)
{
    log_line(LOG_LEVEL_WARNING, "The dataplane refuses the users of generation %" PRIu64 ": %s", c->sent, error);
    settings_free(c->candidate);
    drop_tls(&c->candidate_tls);
    c->candidate = NULL;
    c->sent = 0;
    if (!send_generation(c, c->running, NULL, RESULT_SECONDS))
        log_line(LOG_LEVEL_WARNING, "The configuration could not be sent to the dataplane again");
    finish(c, error);
}

static void accepted(struct commit *c)
{
    struct settings *candidate = c->candidate;
    uint64_t generation = c->sent;
    log_changes(c, c->head);
    c->candidate = NULL;
    c->sent = 0;
    set_refusal(c, "");
    run(c, candidate, generation);
    finish(c, NULL);
}

static void users_used(void *ctx, const char *error)
{
    struct using *u = ctx;
    struct commit *c = u->commit;
    bool waits = c->candidate && c->sent == u->generation; /* it has not been given up */
    free(u);
    if (!waits)
        return;
    if (error)
        take_back(c, error);
    else
        accepted(c);
    next_change(c);
}

static bool wants_users(const struct commit *c)
{
    return c->use && !*settings_get(c->candidate, "aclfile") &&
           !settings_same(c->running, c->candidate, directive_find("user"));
}

static void use_users(struct commit *c)
{
    struct using *u = must_alloc(1, sizeof *u);
    *u = (struct using){c, c->sent};
    c->use(c->use_ctx, &c->candidate->value[directive_find("user")], users_used, u);
}

/* -- the dataplane's word ----------------------------------------------------------------------------- */

void commit_result(struct commit *c, uint64_t generation, bool good, const char *why)
{
    if (!c->sent || generation != c->sent)
        return; /* of a change that was given up */
    evtimer_del(c->timer);
    struct settings *candidate = c->candidate;
    if (candidate && good && wants_users(c)) {
        use_users(c);
        return;
    }
    if (candidate && good) {
        accepted(c);
    } else if (candidate) {
        char *error = strncmp(why, "TLS: ", 5) == 0 ? commit_tls_failed(c->head)
                      : c->head->names.n ? commit_failed(c->head->names.p[0], why)
                                       : must_print("ERR refused by the dataplane: %s", why);
        log_line(LOG_LEVEL_WARNING, "The dataplane refuses generation %" PRIu64 ": %s", generation, why);
        settings_free(candidate);
        drop_tls(&c->candidate_tls);
        c->candidate = NULL;
        c->sent = 0;
        finish(c, error);
        free(error);
    } else {
        c->sent = 0;
        c->generation = generation;
        set_refusal(c, good ? "" : why);
        log_line(good ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
                 "The dataplane %s configuration generation %" PRIu64 "%s%s", good ? "runs" : "refuses",
                 generation, good ? "" : ": ", good ? "" : why);
    }
    next_change(c);
}

/* The dataplane did not answer in time, or is gone. */
static void give_up(struct commit *c, const char *why)
{
    evtimer_del(c->timer);
    c->sent = 0;
    drop_tls(&c->candidate_tls);
    if (c->candidate) {
        settings_free(c->candidate);
        c->candidate = NULL;
        finish(c, why);
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct commit *c = arg;
    (void)fd, (void)what;
    log_line(LOG_LEVEL_WARNING, "The dataplane did not answer to configuration generation %" PRIu64, c->sent);
    give_up(c, "ERR the dataplane did not answer in time; the old configuration stays");
    next_change(c);
}

/* Control has just started: what was read before it did is not known any more. */
static bool first_tls(struct commit *c, char *error, size_t size)
{
    if (!c->tls && tls_wanted(c->running))
        c->tls = tls_files_read(c->running, error, size);
    return c->tls || !tls_wanted(c->running);
}

void commit_attached(struct commit *c, bool fresh)
{
    settings_free(c->started);
    c->started = fresh ? settings_copy(c->running) : commit_load_started(c);
    if (fresh)
        commit_save_started(c);
    struct words users = {0};
    char error[512] = "";
    if (fresh && !users_of_file(c->running, &users, error, sizeof error)) {
        set_refusal(c, error); /* to serve without the users that were to be would let everybody in */
        log_line(LOG_LEVEL_WARNING, "The dataplane is not started: %s", error);
    } else if (!first_tls(c, error, sizeof error)) {
        set_refusal(c, error);
        log_line(LOG_LEVEL_WARNING, "The dataplane gets no configuration, as TLS cannot be set up: %s", error);
    } else if (!send_generation(c, c->running, &users, START_SECONDS)) {
        log_line(LOG_LEVEL_WARNING, "The configuration could not be sent to the dataplane");
    }
    words_free(&users);
}

void commit_detached(struct commit *c)
{
    settings_free(c->started);
    c->started = NULL;
    give_up(c, "ERR the dataplane went away before it took the change; the old configuration stays");
    next_change(c);
}

bool commit_waits(const struct commit *c, int directive)
{
    return c->started && directives[directive].apply == APPLY_DATAPLANE &&
           !settings_same(c->started, c->running, directive);
}

/* -- the rest ----------------------------------------------------------------------------------------- */

struct commit *commit_new(struct event_base *base, struct link *link, const struct commit_options *o,
                          struct settings *owned, void (*changed)(void *ctx, const struct settings *now),
                          void *ctx)
{
    struct commit *c = must_alloc(1, sizeof *c);
    c->base = base;
    c->link = link;
    c->options = *o;
    c->running = owned;
    c->changed = changed;
    c->ctx = ctx;
    c->tail = &c->head;
    c->refusal = must_copy("");
    c->timer = evtimer_new(base, on_timeout, c);
    commit_load_generation(c);
    c->generation = commit_next_generation(c);
    return c;
}

void commit_free(struct commit *c)
{
    if (!c)
        return;
    settings_free(c->candidate);
    c->candidate = NULL;
    while (c->head)
        finish(c, "ERR control is stopping");
    drop_tls(&c->tls);
    drop_tls(&c->candidate_tls);
    settings_free(c->running);
    settings_free(c->started);
    free(c->refusal);
    event_free(c->timer);
    free(c);
}

void commit_tell(struct commit *c, commit_told *told, void *ctx)
{
    c->told = told;
    c->told_ctx = ctx;
}

const struct settings *commit_running(const struct commit *c)
{
    return c->running;
}

struct settings *commit_effective(const struct commit *c)
{
    return effective(c, c->running);
}

uint64_t commit_generation(const struct commit *c)
{
    return c->generation;
}

const char *commit_refusal(const struct commit *c)
{
    return c->refusal;
}

bool commit_follow_users(struct commit *c, const struct settings *from)
{
    int d = directive_find("user");
    if (settings_same(c->running, from, d))
        return false;
    if (c->candidate && settings_same(c->running, c->candidate, d)) /* it was made before */
        settings_copy_one(c->candidate, from, d);
    settings_copy_one(c->running, from, d);
    return true;
}

void commit_use_users(struct commit *c, commit_use *use, void *ctx)
{
    c->use = use;
    c->use_ctx = ctx;
}

void commit_hold_file(struct commit *c, bool hold)
{
    c->hold_file = hold;
}
