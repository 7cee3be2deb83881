/* candidate.c: the one configuration that is edited, its commit, and the confirmation of it. */
#include "control/candidate_parts.h"
#include "control/audit.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/restart.h"
#include "control/rewrite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RETRY_SECONDS = 5 };
static const char no_text[] = "";

/* -- changes ------------------------------------------------------------------------------------------ */

struct change_list candidate_changes(const struct settings *from, const struct settings *to, const bool *only)
{
    struct change_list l = {0};
    for (unsigned i = 0; i < directive_count(); i++) {
        const struct words *w = &to->value[i];
        if (settings_same(from, to, (int)i) || (only && !only[i]))
            continue;
        l.change = must_grow(l.change, l.n + w->n + 1, sizeof *l.change);
        if (w->n == 0)
            l.change[l.n++] = (struct change){directives[i].name, no_text};
        for (unsigned j = 0; j < w->n; j++)
            l.change[l.n++] = (struct change){directives[i].name, w->p[j]};
    }
    return l;
}

struct settings *candidate_merged(const struct candidate *k)
{
    struct settings *s = settings_copy(commit_running(k->control->commit));
    for (unsigned i = 0; i < directive_count(); i++)
        if (!settings_same(k->base, k->edited, (int)i))
            settings_copy_one(s, k->edited, (int)i);
    return s;
}

/* -- the lock ----------------------------------------------------------------------------------------- */

void candidate_end(struct candidate *k)
{
    settings_free(k->base);
    settings_free(k->edited);
    free(k->who);
    k->base = k->edited = NULL;
    k->who = NULL;
    k->session = 0;
}

void candidate_begin(struct candidate *k, uint64_t session, const char *who)
{
    char *copy = must_copy(who);
    candidate_end(k);
    k->base = settings_copy(commit_running(k->control->commit));
    k->edited = settings_copy(k->base);
    k->session = session;
    k->who = copy;
    k->since_ms = wall_clock_ms();
}

void candidate_gone(struct candidate *k, uint64_t session)
{
    if (k && k->session == session)
        candidate_end(k);
}

/* -- confirmation ------------------------------------------------------------------------------------- */

/* Without a state folder a control that ends forgets that it should start the dataplane again. */
static void write_marker(const struct candidate *k)
{
    char error[512];
    json_t *names = json_array();
    for (unsigned i = 0; i < directive_count(); i++)
        if (k->touched[i] && directives[i].apply == APPLY_DATAPLANE)
            json_array_append_new(names, json_string(directives[i].name));
    json_t *j = json_pack("{s:I,s:o}", "deadline_ms", (json_int_t)k->deadline_ms, "restart", names);
    char *text = json_dumps(j, JSON_COMPACT);
    if (k->marker && !write_durably(k->marker, text, error, sizeof error))
        log_line(LOG_LEVEL_WARNING, "%s", error);
    free(text);
    json_decref(j);
}

static void confirmation_over(struct candidate *k)
{
    settings_free(k->fallback);
    free(k->touched);
    free(k->confirm_who);
    k->fallback = NULL;
    k->touched = NULL;
    k->confirm_who = NULL;
    k->deadline_ms = 0;
    evtimer_del(k->timer);
    commit_hold_file(k->control->commit, false);
    if (k->marker)
        unlink(k->marker);
}

static void wait_for_confirmation(struct candidate *k, const struct settings *before,
                                  const struct settings *now)
{
    struct timeval after = {.tv_sec = (time_t)k->minutes * 60};
    if (!k->fallback) { /* a second one goes back to what was before the first, too */
        k->fallback = settings_copy(before);
        k->touched = must_alloc(directive_count(), sizeof *k->touched);
    }
    for (unsigned i = 0; i < directive_count(); i++)
        k->touched[i] = k->touched[i] || !settings_same(before, now, (int)i);
    free(k->confirm_who);
    k->confirm_who = must_copy(k->who ? k->who : "somebody who has left");
    k->deadline_ms = wall_clock_ms() + (uint64_t)k->minutes * 60000;
    commit_hold_file(k->control->commit, true);
    write_marker(k);
    evtimer_add(k->timer, &after);
}

uint64_t candidate_deadline(const struct candidate *k, const char **who)
{
    *who = k->confirm_who ? k->confirm_who : "";
    return k->deadline_ms;
}

static void went_back(void *ctx, const char *error)
{
    struct candidate *k = ctx;
    struct timeval again = {.tv_sec = RETRY_SECONDS};
    bool restart = false;
    k->going_back = false;
    if (!k->fallback)
        return;
    if (error) {
        log_line(LOG_LEVEL_WARNING, "The unconfirmed configuration cannot be taken back yet: %s", error);
        evtimer_add(k->timer, &again);
        return;
    }
    for (unsigned i = 0; i < directive_count(); i++)
        restart = restart || (k->touched[i] && commit_waits(k->control->commit, (int)i));
    log_line(LOG_LEVEL_WARNING,
             "The commit of %s was not confirmed in time: the configuration before it runs again",
             k->confirm_who);
    confirmation_over(k);
    if (restart) /* the dataplane was started with it in between; one that is restarted now anyway starts without it */
        restart_dataplane(k->control, "a commit that was not confirmed");
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct candidate *k = arg;
    const struct timeval again = {.tv_sec = 1};
    (void)fd, (void)what;
    if (k->committing) { /* it may confirm: what it is answered must hold */
        evtimer_add(k->timer, &again);
        return;
    }
    struct change_list l = candidate_changes(commit_running(k->control->commit), k->fallback, k->touched);
    k->going_back = true;
    if (l.n)
        commit_set_as(k->control->commit, l.change, l.n, "not confirmed", "sluice-control", went_back, k);
    else
        went_back(k, NULL);
    free(l.change);
}

/* -- commit ------------------------------------------------------------------------------------------- */

static json_t *waiting(const struct commit *commit)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < directive_count(); i++)
        if (commit_waits(commit, (int)i))
            json_array_append_new(list, json_string(directives[i].name));
    return list;
}

/* Redis' words are for Redis clients. */
static char *plain(const char *error)
{
    static const char head[] = "ERR CONFIG SET failed (possibly related to argument '", middle[] = "') - ";
    const char *name = strncmp(error, head, sizeof head - 1) == 0 ? error + sizeof head - 1 : NULL;
    const char *why = name ? strstr(name, middle) : NULL;
    if (why)
        return must_print("%.*s: %s", (int)(why - name), name, why + sizeof middle - 1);
    return must_copy(strncmp(error, "ERR ", 4) == 0 ? error + 4 : error);
}

static void answer_commit(struct candidate *k, struct call *call, bool confirmed)
{
    struct control *c = k->control;
    char error[512] = "";
    bool save = !k->fallback && *c->config_path;
    bool saved = save && commit_rewrite(c->commit, call_who(call), error, sizeof error);
    json_t *data = json_pack("{s:I,s:o,s:b,s:b}", "generation", (json_int_t)commit_generation(c->commit),
                             "waits_for_restart", waiting(c->commit), "confirmed", confirmed, "saved", saved);
    if (k->fallback)
        json_object_set_new(data, "goes_back_ms", json_integer((json_int_t)k->deadline_ms));
    else if (!saved)
        json_object_set_new(data, "not_saved", safe_string(save ? error : "there is no configuration file"));
    else
        json_object_set_new(data, "file", safe_string(c->config_path));
    call_reply(call, data);
}

static void committed(void *ctx, const char *error)
{
    struct candidate *k = ctx;
    struct call *call = k->committing;
    k->committing = NULL;
    if (error) {
        char *why = plain(error);
        call_fail(call, "refused", "%s", why);
        free(why);
        return;
    }
    bool confirms = k->fallback && !k->minutes;
    if (confirms)
        confirmation_over(k);
    answer_commit(k, call, confirms);
    if (k->base && k->session == k->committing_session) { /* it may have gone */
        char *who = must_copy(k->who);
        candidate_begin(k, k->session, who);
        free(who);
    }
}

void candidate_commit(struct candidate *k, struct call *call, const char *comment, unsigned minutes)
{
    struct settings *merged = candidate_merged(k);
    struct change_list l = candidate_changes(commit_running(k->control->commit), merged, NULL);
    free(k->comment);
    k->comment = must_copy(comment);
    k->minutes = minutes;
    if (l.n) {
        k->committing = call;
        k->committing_session = k->session;
        commit_set_as(k->control->commit, l.change, l.n, "commit", call_who(call), committed, k);
    } else if (k->fallback && !minutes) {
        audit_note(k->control->audit, call_who(call), "management socket", "configuration confirmed", NULL,
                   "ok");
        confirmation_over(k);
        answer_commit(k, call, true);
    } else {
        call_fail(call, "unchanged", "nothing has been changed");
    }
    free(l.change);
    settings_free(merged);
}

/* -- what is told ------------------------------------------------------------------------------------- */

static bool of_wire(const char *way)
{
    return strcmp(way, "CONFIG SET") == 0 || strncmp(way, "ACL ", 4) == 0;
}

void candidate_changed(struct candidate *k, const char *way, const char *who, const struct settings *before,
                       const struct settings *now)
{
    bool commit = strcmp(way, "commit") == 0 && k->committing;
    revisions_add(k->revisions, now, way, who, commit ? k->comment : "", of_wire(way), false);
    if (commit && k->minutes)
        wait_for_confirmation(k, before, now);
}

void candidate_rewritten(struct candidate *k, const char *who, bool wire)
{
    if (k)
        revisions_add(k->revisions, commit_running(k->control->commit),
                      wire ? "CONFIG REWRITE" : "config rewrite", who, "", wire, true);
}

/* -- start -------------------------------------------------------------------------------------------- */

static void read_marker(struct candidate *k)
{
    json_t *j = k->marker ? json_load_file(k->marker, 0, NULL) : NULL, *name;
    size_t i;
    if (!k->marker || access(k->marker, F_OK) < 0)
        return;
    json_array_foreach(json_object_get(j, "restart"), i, name) if (json_is_string(name))
        words_add(&k->restart, must_copy(json_string_value(name)));
    json_decref(j);
    unlink(k->marker);
    log_line(LOG_LEVEL_WARNING,
             "Control ended while a commit waited for its confirmation: the configuration before it "
             "runs again");
    audit_note(k->control->audit, "sluice-control", "itself", "configuration", NULL,
               "commit not confirmed: taken back");
}

void candidate_state(struct candidate *k, const char *state)
{
    bool restart = false;
    if (k->restart.n == 0 || !*state || strcmp(state, "loading") == 0)
        return;
    for (unsigned i = 0; i < k->restart.n; i++) {
        int d = directive_find(k->restart.p[i]);
        restart = restart || (d >= 0 && commit_waits(k->control->commit, d));
    }
    words_free(&k->restart);
    if (restart)
        restart_dataplane(k->control, "a commit that was not confirmed");
}

struct candidate *candidate_new(struct control *c, const char *state_dir)
{
    struct candidate *k = must_alloc(1, sizeof *k);
    k->control = c;
    k->revisions = revisions_open(state_dir);
    k->marker = *state_dir ? must_print("%s/unconfirmed", state_dir) : NULL;
    k->timer = evtimer_new(c->base, on_deadline, k);
    k->comment = must_copy("");
    read_marker(k);
    revisions_add(k->revisions, commit_running(c->commit), "start", "sluice-control", "", false, false);
    return k;
}

void candidate_free(struct candidate *k)
{
    if (!k)
        return;
    candidate_end(k);
    settings_free(k->fallback); /* the marker stays: the next control tells of it */
    free(k->touched);
    free(k->confirm_who);
    free(k->comment);
    free(k->marker);
    words_free(&k->restart);
    event_free(k->timer);
    revisions_free(k->revisions);
    free(k);
}
