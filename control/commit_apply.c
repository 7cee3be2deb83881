/* commit_apply.c: what a change makes of the running configuration: CONFIG SET, or the file. See commit_private.h. */
#include "control/commit_private.h"
#include "control/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
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
    if (!*settings_get(s, "aclfile") || !has_users(s) || settings_same(c->running, s, directive_find("user")))
        return NULL;
    return commit_failed("user", "the aclfile has the users: change it and ACL LOAD, or delete aclfile");
}
