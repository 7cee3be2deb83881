/* candidate_api.c: what `configure`, `show configuration` and `show history` ask of control. */
#include "control/candidate_parts.h"
#include "control/import.h"
#include "control/metrics.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MINUTES_MAX = 24 * 60, COMMENT_MAX = 500 };

static struct candidate *candidate_of(const struct call *call)
{
    return call_control(call)->candidate;
}

/* The edits of this call's session; NULL: the call has failed. */
static struct candidate *edits(struct call *call)
{
    struct candidate *k = candidate_of(call);
    if (!k->base || k->session != call_session(call))
        call_fail(call, "not-editing",
                  "this session does not edit the configuration; enter `configure` first");
    else if (k->committing || k->going_back)
        call_fail(call, "busy", "a commit is under way%s", k->going_back ? ", back from one that was not confirmed" : "");
    else
        return k;
    return NULL;
}

static json_t *state_json(const struct candidate *k)
{
    const char *who;
    uint64_t deadline = candidate_deadline(k, &who);
    json_t *j = json_pack("{s:s,s:I}", "file", k->control->config_path, "generation",
                          (json_int_t)commit_generation(k->control->commit));
    if (deadline) {
        json_object_set_new(j, "goes_back_ms", json_integer((json_int_t)deadline));
        json_object_set_new(j, "goes_back_who", safe_string(who));
    }
    return j;
}

void configure_enter(struct call *call, const json_t *request)
{
    struct candidate *k = candidate_of(call);
    (void)request;
    if (!call_session(call)) {
        call_fail(call, "bad-request",
                  "edits need a connection that lasts: the socket, or the CLI over HTTPS; `config set` "
                  "changes at once");
        return;
    }
    if (k->base && k->session != call_session(call)) {
        call_fail(call, "locked", "%s edits the configuration, for %" PRIu64 " s now", k->who,
                  (wall_clock_ms() - k->since_ms) / 1000);
        return;
    }
    candidate_begin(k, call_session(call), call_who(call));
    call_reply(call, state_json(k));
}

void configure_leave(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    (void)request;
    if (k) {
        candidate_end(k);
        call_reply(call, NULL);
    }
}

void configure_discard(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    (void)request;
    if (k) {
        candidate_begin(k, call_session(call), call_who(call));
        call_reply(call, state_json(k));
    }
}

/* -- single directives -------------------------------------------------------------------------------- */

/* The words behind the name; false: the call has failed. */
static bool words_of(struct call *call, const json_t *request, struct words *w)
{
    const json_t *list = json_object_get(request, "words"), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v)) {
            call_fail(call, "bad-request", "words: an array of strings is needed");
            words_free(w);
            return false;
        }
        words_add(w, must_copy(json_string_value(v)));
    }
    return true;
}

/* -1: the call has failed. */
static int directive_of(struct call *call, const json_t *request)
{
    const char *name = request_word(request, "name"), *near;
    int d = directive_find(name);
    if (d >= 0 && role_may_set(call_role(call), d))
        return d;
    if (d >= 0) {
        call_forbid(call, directives[d].name);
        return -1;
    }
    near = directive_nearest(name);
    call_fail(call, "unknown-name", "%.100s: unknown directive%s%s", name, near ? "; did you mean " : "",
              near ? near : "");
    return -1;
}

static void fail_value(struct call *call, int d, const char *error)
{
    char remedy[256];
    directive_remedy(&directives[d], remedy, sizeof remedy);
    call_fail(call, "bad-value", "%s: %s; %s", directives[d].name, error, remedy);
}

static int find_value(const struct words *list, const char *value)
{
    for (unsigned i = 0; i < list->n; i++)
        if (strcmp(list->p[i], value) == 0)
            return (int)i;
    return -1;
}

/* Adds one value to the list of a repeated directive, if it is not there, at position `at` (from 0; beyond
 * the end: behind the last). */
static bool add_value(struct settings *s, int d, const struct words *w, unsigned at, char *error, size_t size)
{
    struct words *list = &s->value[d];
    if (!settings_add(s, d, w, error, size))
        return false;
    char *value = list->p[list->n - 1];
    int same = find_value(list, value);
    if (same >= 0 && (unsigned)same < list->n - 1) { /* it moves */
        free(list->p[same]);
        memmove(&list->p[same], &list->p[same + 1], (list->n - 1 - (unsigned)same) * sizeof *list->p);
        list->n--;
    }
    at = at < list->n ? at : list->n - 1;
    memmove(&list->p[at + 1], &list->p[at], (list->n - 1 - at) * sizeof *list->p);
    list->p[at] = value;
    return true;
}

static void set_at(struct call *call, const json_t *request, unsigned at)
{
    struct candidate *k = edits(call);
    struct words w = {0};
    char error[512];
    int d = k ? directive_of(call, request) : -1;
    if (d < 0 || !words_of(call, request, &w))
        return;
    bool repeated = directives[d].flags & DIRECTIVE_REPEATED, good;
    if (w.n == 0) {
        fail_value(call, d, "a value is missing");
        return;
    }
    if (repeated) {
        good = add_value(k->edited, d, &w, at, error, sizeof error);
    } else {
        bool was = k->edited->set[d];
        k->edited->set[d] = false; /* what is gathered begins anew */
        good = settings_add(k->edited, d, &w, error, sizeof error);
        if (!good)
            k->edited->set[d] = was;
    }
    words_free(&w);
    if (!good)
        fail_value(call, d, error);
    else
        call_reply(call, json_pack("{s:s,s:b}", "directive", directives[d].name, "changed",
                                   !settings_same(k->base, k->edited, d)));
}

void configure_set(struct call *call, const json_t *request)
{
    set_at(call, request, UINT_MAX);
}

void configure_insert(struct call *call, const json_t *request)
{
    json_int_t at = request_number(request, "position", 0);
    int d = directive_find(request_word(request, "name"));
    if (at < 1 || at > 100000)
        call_fail(call, "bad-value", "position: a number from 1");
    else if (d >= 0 && !(directives[d].flags & DIRECTIVE_REPEATED))
        call_fail(call, "bad-value", "%s: has one value, not a list; use set", directives[d].name);
    else
        set_at(call, request, (unsigned)at - 1);
}

/* One value of a list, as it is written in the file. */
static bool delete_value(struct settings *s, int d, const struct words *w, char *error, size_t size)
{
    struct words none = {0}, *list = &s->value[d], kept = *list;
    *list = none; /* how the value reads when it stands in the list */
    bool good = settings_add(s, d, w, error, size);
    char *value = good ? must_copy(list->p[0]) : NULL;
    words_free(list);
    *list = kept;
    int at = good ? find_value(list, value) : -1;
    free(value);
    if (good && at < 0)
        snprintf(error, size, "has no such value");
    if (at < 0)
        return false;
    free(list->p[at]);
    memmove(&list->p[at], &list->p[at + 1], (list->n - 1 - (unsigned)at) * sizeof *list->p);
    list->n--;
    return true;
}

void configure_delete(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    struct words w = {0};
    char error[512] = "";
    bool good = true;
    int d = k ? directive_of(call, request) : -1;
    if (d < 0 || !words_of(call, request, &w))
        return;
    if (w.n && directives[d].flags & DIRECTIVE_REPEATED) {
        good = delete_value(k->edited, d, &w, error, sizeof error);
    } else if (w.n) {
        good = false;
        snprintf(error, sizeof error, "has one value; `delete %s` takes it back to its default",
                 directives[d].name);
    } else {
        words_free(&k->edited->value[d]);
        if (directives[d].fallback)
            words_add(&k->edited->value[d], must_copy(directives[d].fallback));
        k->edited->set[d] = false;
        settings_place(k->edited);
    }
    words_free(&w);
    if (good)
        call_reply(call, json_pack("{s:s}", "directive", directives[d].name));
    else
        call_fail(call, "bad-value", "%s: %s", directives[d].name, error);
}

/* -- whole configurations ----------------------------------------------------------------------------- */

static json_t *lines_json(const struct settings *s, const char *pattern)
{
    struct text t = {0};
    json_t *list = json_array();
    size_t len = strlen(pattern);
    settings_text(&t, s, false);
    for (const char *l = text_str(&t), *end; *l; l = end + 1) {
        end = l + strcspn(l, "\n");
        const char *name = l + (strncmp(l, "# ", 2) == 0 ? 2 : 0); /* of what is secret, in a comment */
        if (strncasecmp(name, pattern, len) == 0) {
            char *line = must_copy_n(l, (size_t)(end - l));
            json_array_append_new(list, safe_string(line));
            free(line);
        }
    }
    text_free(&t);
    return list;
}

/* {"lines":[...]} or {"changes":[...]}. "compare": number of a revision, or true for the running
 * configuration. */
static void reply_settings(struct call *call, const json_t *request, const struct settings *s, json_t *about)
{
    const json_t *compare = json_object_get(request, "compare");
    const struct candidate *k = candidate_of(call);
    char error[512];
    json_t *data = about ? about : json_object();
    if (json_is_integer(compare) && json_integer_value(compare) >= 0 &&
        json_integer_value(compare) < UINT_MAX) {
        struct settings *other =
            revisions_read(k->revisions, (unsigned)json_integer_value(compare), NULL, error, sizeof error);
        if (!other) {
            call_fail(call, "unknown-revision", "%s", error);
            json_decref(data);
            return;
        }
        json_object_set_new(data, "changes", settings_diff(other, s));
        settings_free(other);
    } else if (compare) {
        json_object_set_new(data, "changes", settings_diff(commit_running(k->control->commit), s));
    } else {
        json_object_set_new(data, "lines", lines_json(s, request_word(request, "name")));
    }
    call_reply(call, data);
}

void configure_show(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    if (!k)
        return;
    struct settings *merged = candidate_merged(k);
    reply_settings(call, request, merged, NULL);
    settings_free(merged);
}

void show_configuration(struct call *call, const json_t *request)
{
    const struct candidate *k = candidate_of(call);
    const json_t *back = json_object_get(request, "revision");
    char error[512];
    json_t *about = NULL;
    if (!json_is_integer(back)) {
        reply_settings(call, request, commit_running(k->control->commit), NULL);
        return;
    }
    json_int_t n = json_integer_value(back);
    struct settings *s = revisions_read(k->revisions, n < 0 || n > UINT_MAX ? UINT_MAX : (unsigned)n, &about,
                                        error, sizeof error);
    if (s)
        reply_settings(call, request, s, about);
    else
        call_fail(call, "unknown-revision", "%s", error);
    settings_free(s);
}

void show_history(struct call *call, const json_t *request)
{
    (void)request;
    call_reply(call, revisions_list(candidate_of(call)->revisions));
}

/* What can be said before the dataplane is asked. */
static json_t *findings(const struct candidate *k, const struct settings *merged)
{
    json_t *list = json_array();
    char error[512];
    json_t *plan = board_json(merged, k->control->inventory, true, true, error, sizeof error);
    if (!plan)
        json_array_append_new(list, safe_string(error));
    json_decref(plan);
    if (strcmp(settings_get(merged, "protected-mode"), "yes") == 0 && !*settings_get(merged, "requirepass") &&
        !*settings_get(merged, "aclfile") && merged->value[directive_find("user")].n == 0)
        json_array_append_new(
            list, json_string("protected-mode yes and no password: every client is refused (DENIED)"));
    return list;
}

void configure_check(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    (void)request;
    if (!k)
        return;
    struct settings *merged = candidate_merged(k);
    call_reply(call, json_pack("{s:o,s:o}", "warnings", findings(k, merged), "changes",
                               settings_diff(commit_running(k->control->commit), merged)));
    settings_free(merged);
}

/* What was loaded may hold anything: a directive that has been edited and is not this role's; NULL. */
static const char *forbidden_change(const struct candidate *k, enum role role)
{
    for (unsigned i = 0; i < directive_count(); i++)
        if (!settings_same(k->base, k->edited, (int)i) && !role_may_set(role, (int)i))
            return directives[i].name;
    return NULL;
}

void configure_commit(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    const char *comment = request_word(request, "comment");
    json_int_t minutes = request_number(request, "confirmed", 0);
    const char *forbidden;
    if (!k)
        return;
    if (minutes < 0 || minutes > MINUTES_MAX)
        call_fail(call, "bad-value", "confirmed: 1 to %d minutes", MINUTES_MAX);
    else if (strlen(comment) > COMMENT_MAX)
        call_fail(call, "bad-value", "comment: at most %d bytes", COMMENT_MAX);
    else if ((forbidden = forbidden_change(k, call_role(call))))
        call_forbid(call, forbidden);
    else
        candidate_commit(k, call, comment, (unsigned)minutes);
}

void configure_rollback(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    json_int_t back = request_number(request, "revision", -1);
    char error[512];
    json_t *about = NULL;
    if (!k)
        return;
    struct settings *s = revisions_read(k->revisions, back < 0 || back > UINT_MAX ? UINT_MAX : (unsigned)back,
                                        &about, error, sizeof error);
    if (!s) {
        call_fail(call, "unknown-revision", "%s", error);
        return;
    }
    settings_free(k->edited);
    k->edited = s;
    call_reply(call, about);
}

/* -- files -------------------------------------------------------------------------------------------- */

void configure_load(struct call *call, const json_t *request)
{
    struct candidate *k = edits(call);
    const char *text = request_word(request, "text"), *path = request_word(request, "name");
    if (!k)
        return;
    struct settings *s =
        json_is_true(json_object_get(request, "merge")) ? settings_copy(k->edited) : settings_defaults();
    struct report r = {0};
    bool merge = json_is_true(json_object_get(request, "merge"));
    for (unsigned i = 0; merge && i < directive_count(); i++)
        s->set[i] = false; /* what is gathered begins anew */
    bool good = conf_parse_alone(*path ? path : "terminal", text, strlen(text), s, &r);
    good = good && (merge || commit_overrides(k->control->commit, s, &r));
    settings_place(s);
    if (good) {
        json_t *data =
            json_pack("{s:o,s:i}", "report", safe_string(text_str(&r.lines)), "warnings", (int)r.warnings);
        settings_free(k->edited);
        k->edited = s;
        call_reply(call, data);
    } else {
        call_fail(call, "bad-value", "%u error%s; nothing is loaded\n%s", r.errors, r.errors == 1 ? "" : "s",
                  text_str(&r.lines));
        settings_free(s);
    }
    report_free(&r);
}

/* {"text":...} or {"arguments":[...]}: an existing redis.conf. Into the edits if this session has any and
 * asks for it, else only the report. */
void configure_import(struct call *call, const json_t *request)
{
    bool apply = json_is_true(json_object_get(request, "apply"));
    struct candidate *k = apply ? edits(call) : candidate_of(call);
    if (!k)
        return;
    struct settings *s = apply ? settings_copy(k->edited) : settings_copy(commit_running(k->control->commit));
    struct words arguments = {0};
    json_t *report = NULL;
    if (json_object_get(request, "words") && !words_of(call, request, &arguments)) {
        settings_free(s);
        return;
    }
    report = arguments.n ? import_arguments(&arguments, s) : import_text(request_word(request, "text"), s);
    words_free(&arguments);
    json_object_set_new(report, "changes", settings_diff(commit_running(k->control->commit), s));
    if (apply && json_integer_value(json_object_get(report, "errors")) == 0) {
        settings_free(k->edited);
        k->edited = s;
        s = NULL;
        json_object_set_new(report, "applied", json_true());
    }
    settings_free(s);
    call_reply(call, report);
}
