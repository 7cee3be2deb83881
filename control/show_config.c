/* show_config.c: the running configuration: shown, changed, loaded and written. */
#include "control/candidate.h"
#include "control/control.h"
#include "control/show.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* -- show config, config get -- */

struct collect {
    const char *pattern;
    bool secrets;
    json_t *into;
};

static void collect_pair(const char *name, const char *value, void *arg)
{
    struct collect *k = arg;
    int i = directive_find(name);
    if (fnmatch(k->pattern, name, FNM_CASEFOLD) != 0)
        return;
    json_t *v = directives[i].flags & DIRECTIVE_SECRET && !k->secrets && *value ? json_string("(hidden)")
                                                                                : safe_string(value);
    if (!(directives[i].flags & DIRECTIVE_REPEATED)) {
        json_object_set_new(k->into, name, v);
        return;
    }
    json_t *list = json_object_get(k->into, name);
    if (!list) {
        json_object_set_new(k->into, name, json_array());
        list = json_object_get(k->into, name);
    }
    json_array_append_new(list, v);
}

static void get_config(struct call *call, const char *pattern, bool secrets)
{
    struct control *c = call_control(call);
    struct collect k = {*pattern ? pattern : "*", secrets, json_object()};
    settings_each(commit_running(c->commit), collect_pair, &k);
    if (json_object_size(k.into) == 0 && directive_find(k.pattern) < 0 && !strpbrk(k.pattern, "*?[")) {
        const char *near = directive_nearest(k.pattern);
        json_decref(k.into);
        call_fail(call, "unknown-name", "%.100s: unknown directive%s%s", k.pattern,
                  near ? "; did you mean " : "", near ? near : "");
        return;
    }
    call_reply(call, k.into);
}

void show_config(struct call *call, const json_t *request)
{
    get_config(call, request_word(request, "name"), false);
}

void config_get(struct call *call, const json_t *request)
{
    get_config(call, request_word(request, "name"), role_sees_secrets(call_role(call)));
}

/* -- config set, load, rewrite -- */

static void change_done(void *ctx, const char *error)
{
    struct call *call = ctx;
    if (error) {
        call_fail(call, "refused", "%s", strncmp(error, "ERR ", 4) == 0 ? error + 4 : error);
        return;
    }
    struct control *c = call_control(call);
    json_t *data = json_object();
    json_object_set_new(data, "generation", json_integer((json_int_t)commit_generation(c->commit)));
    json_object_set_new(data, "waits_for_restart", waiting_json(c));
    call_reply(call, data);
}

void config_set(struct call *call, const json_t *request)
{
    json_t *pairs = json_object_get(request, "set");
    const char *name;
    json_t *value;
    unsigned n = 0;
    struct change *change = NULL;
    json_object_foreach(pairs, name, value)
    {
        int d = directive_find(name);
        if (d >= 0 && !role_may_set(call_role(call), d)) { /* an unknown name is commit_set's to refuse */
            free(change);
            call_forbid(call, directives[d].name);
            return;
        }
        size_t values = json_is_array(value) ? json_array_size(value) : 1;
        change = must_grow(change, n + values + 1, sizeof *change);
        if (values == 0) /* clears the list */
            change[n++] = (struct change){name, ""};
        for (size_t i = 0; i < values; i++) {
            const json_t *v = json_is_array(value) ? json_array_get(value, i) : value;
            if (!json_is_string(v)) {
                free(change);
                call_fail(call, "bad-request", "set: a value must be a string, or an array of strings");
                return;
            }
            change[n++] = (struct change){name, json_string_value(v)};
        }
    }
    if (n)
        commit_set(call_control(call)->commit, change, n, false, call_who(call), change_done, call);
    else
        call_fail(call, "bad-request", "set: an object with names and values is needed");
    free(change);
}

void config_load(struct call *call, const json_t *request)
{
    (void)request;
    commit_load(call_control(call)->commit, call_who(call), change_done, call);
}

void config_rewrite(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    char error[512];
    (void)request;
    if (commit_rewrite(c->commit, call_who(call), error, sizeof error)) {
        candidate_rewritten(c->candidate, call_who(call), false);
        call_reply(call, json_pack("{s:s}", "file", c->config_path));
    } else
        call_fail(call, "failed", "%s", error);
}
