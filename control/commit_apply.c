/* commit_apply.c: what a change makes of the running configuration: CONFIG SET, or the file. See commit_private.h. */
#include "control/commit_private.h"
#include "control/conffile.h"
#include "control/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *commit_failed(const char *name, const char *why)
{
    return must_print("ERR CONFIG SET failed (possibly related to argument '%s') - %s", name, why);
}

char *commit_tls_failed(const struct pending *p)
{
    for (unsigned i = 0; i < p->names.n; i++)
        if (strncasecmp(p->names.p[i], "tls-", 4) == 0)
            return commit_failed(p->names.p[i], "Unable to update TLS configuration. Check server logs.");
    return must_print("ERR Unable to update TLS configuration. Check server logs.");
}

/* -- CONFIG SET --------------------------------------------------------------------------------------- */

/* Why this directive cannot be set now; NULL if it can. */
static const char *forbidden(const struct commit *c, const struct directive *d, bool wire)
{
    if (d->apply == APPLY_CONTROL && wire)
        return "can't set immutable config";
    if (!wire)
        return NULL;
    if (d->flags & DIRECTIVE_IMMUTABLE || d->apply != APPLY_LIVE)
        return "can't set immutable config";
    if (d->flags & DIRECTIVE_PROTECTED &&
        strcmp(settings_get(c->running, "enable-protected-configs"), "yes") != 0)
        return "can't set protected config";
    return NULL;
}

/* Value i of a repeated directive. All that a change names together replace the list; an empty one adds
 * nothing. */
static bool set_repeated(struct settings *s, int d, const struct pending *p, unsigned i, char *error,
                         size_t size)
{
    struct words w = {0};
    char *comment = NULL;
    bool first = true;
    for (unsigned j = 0; j < i; j++)
        first = first && directive_find(p->names.p[j]) != d;
    if (first)
        settings_clear(s, d);
    s->set[d] = true;
    bool good = line_split(p->values.p[i], &w, UINT_MAX, &comment);
    if (!good)
        snprintf(error, size, "unbalanced quotes");
    else if (w.n)
        good = settings_add(s, d, &w, error, size);
    words_free(&w);
    return good;
}

char *commit_apply_set(const struct commit *c, const struct pending *p, struct settings *s)
{
    const char *why;
    char error[512];
    for (unsigned i = 0; i < p->names.n; i++) {
        int d = directive_find(p->names.p[i]);
        if (d < 0 ||
            (p->wire && directives[d].flags & DIRECTIVE_REPEATED && !(directives[d].flags & DIRECTIVE_OURS)))
            return must_print("ERR Unknown option or number of arguments for CONFIG SET - '%s'",
                              p->names.p[i]);
        if ((why = forbidden(c, &directives[d], p->wire)))
            return commit_failed(p->names.p[i], why);
        for (unsigned j = 0; j < i && !(directives[d].flags & DIRECTIVE_REPEATED); j++)
            if (strcasecmp(p->names.p[i], p->names.p[j]) == 0)
                return commit_failed(p->names.p[i], "duplicate parameter");
    }
    for (unsigned i = 0; i < p->names.n; i++) {
        int d = directive_find(p->names.p[i]);
        bool good = directives[d].flags & DIRECTIVE_REPEATED
                        ? set_repeated(s, d, p, i, error, sizeof error)
                        : settings_replace(s, d, p->values.p[i], error, sizeof error);
        if (!good)
            return commit_failed(p->names.p[i], error);
    }
    return NULL;
}

char *commit_apply_file(const struct commit *c, struct settings *s)
{
    struct report r = {0};
    char *error = NULL;
    bool good = (!*c->options.path || conf_load(c->options.path, s, NULL, &r)) &&
                conf_overrides(c->options.argc, c->options.argv, s, &r);
    settings_place(s);
    const char *line = text_str(&r.lines);
    for (const char *l = line, *end; (end = strchr(l, '\n')); l = end + 1)
        log_line(LOG_LEVEL_WARNING, "%.*s", (int)(end - l), l);
    if (!good)
        error = must_print("ERR %u error%s; the configuration of generation %" PRIu64 " stays. %s", r.errors,
                           r.errors == 1 ? "" : "s", c->generation, line);
    report_free(&r);
    return error;
}

/* -- users -- */

static bool has_users(const struct settings *s)
{
    return s->value[directive_find("user")].n;
}

char *commit_check_users(const struct commit *c, const struct settings *s)
{
    bool as_they_run = settings_same(c->running, s, directive_find("user")) && settings_same(c->running, s, directive_find("aclfile"));
    if (!*settings_get(s, "aclfile") || !has_users(s) || as_they_run)
        return NULL;
    return commit_failed("user", "the aclfile has the users: change it and ACL LOAD, or delete aclfile");
}

/* -- listeners ---------------------------------------------------------------------------------------- */

static bool is_port_of_box(const struct settings *s, long port)
{
    long first = settings_number(s, "cluster-view-port");
    bool view = strcmp(settings_get(s, "cluster-view"), "none") != 0;
    return port == settings_number(s, "port") || port == settings_number(s, "tls-port") ||
           (view && port >= first && port < first + settings_number(s, "workers"));
}

/* text: as check_listener() leaves it, in the one form that there is of it. */
static bool is_address_of_box(const struct settings *s, const char *text)
{
    const struct words *own = &s->value[directive_find("link-address")];
    char form[INET6_ADDRSTRLEN];
    bool known = false;
    for (unsigned i = 0; i < own->n && !known; i++) {
        char *ip = must_copy_n(own->p[i], strcspn(own->p[i], "/"));
        known = address_canonical(ip, form) && strcmp(text, form) == 0;
        free(ip);
    }
    return known;
}

/* Of the words of one: NAME, then pairs. What is wrong, on the heap, or NULL. */
static char *wrong_listener(const struct settings *s, const struct words *w)
{
    static const char later[] = "now or after the restart that is due";
    for (unsigned i = 1; i + 1 < w->n; i += 2) {
        if (strcasecmp(w->p[i], "port") == 0 && is_port_of_box(s, strtol(w->p[i + 1], NULL, 10)))
            return must_print("listener %s: port %s is taken, %s", w->p[0], w->p[i + 1], later);
        if (strcasecmp(w->p[i], "bind") == 0 && !is_address_of_box(s, w->p[i + 1]))
            return must_print("listener %s: %s is none of link-address, %s", w->p[0], w->p[i + 1], later);
    }
    return NULL;
}

char *commit_check_listeners(const struct settings *s)
{
    const struct words *all = &s->value[directive_find("listener")];
    char *error = NULL;
    for (unsigned i = 0; i < all->n && !error; i++) {
        struct words w = {0};
        char *comment = NULL, *why = line_split(all->p[i], &w, UINT_MAX, &comment) ? wrong_listener(s, &w) : NULL;
        if (why)
            error = commit_failed("listener", why);
        free(why);
        words_free(&w);
    }
    return error;
}
