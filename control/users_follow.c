/* users_follow.c: ACL SETUSER and DELUSER of clients as changes of the configuration: the `user` directives of the running
 * one follow the users that the dataplane has, and a revision says who changed them. See users.h.
 *
 * Two questions to the dataplane: how the users of the configuration read in ACL LIST, and ACL LIST. Whoever reads the same
 * in both keeps the words of the configuration. */
#include "control/candidate.h"
#include "control/control.h"
#include "control/log.h"
#include "control/resp.h"
#include "control/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] = "user ";
enum { HEAD = sizeof head - 1 };

struct following {
    struct control *control;
    char *way, *who;
    struct words configured; /* what was asked about */
    struct words normal;     /* how these read in ACL LIST */
};

static void end(struct following *f)
{
    words_free(&f->configured);
    words_free(&f->normal);
    free(f->way);
    free(f->who);
    free(f);
}

static size_t name_length(const char *value)
{
    return strcspn(value, " ");
}

/* The line of that user, which stands at the beginning of `value`, among lines that begin with `skip` bytes; or NULL. */
static const char *find(const struct words *lines, size_t skip, const char *value)
{
    size_t n = name_length(value);
    for (unsigned i = 0; i < lines->n; i++)
        if (strlen(lines->p[i]) >= skip && name_length(lines->p[i] + skip) == n &&
            strncmp(lines->p[i] + skip, value, n) == 0)
            return lines->p[i] + skip;
    return NULL;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* As ACL LIST has it: words without quotes. */
static void add_listed(struct settings *s, int d, const char *value)
{
    char error[256] = "", *line = must_copy(value), *rest = line;
    struct words w = {0};
    for (char *word; (word = strsep(&rest, " "));)
        words_add(&w, must_copy(word));
    if (!settings_add(s, d, &w, error, sizeof error))
        log_line(LOG_LEVEL_WARNING, "A user cannot be kept in the configuration: %s", error);
    words_free(&w);
    free(line);
}

struct settings *users_settings(const struct settings *from, const struct words *listed)
{
    struct settings *s = settings_copy(from);
    int d = directive_find("user");
    settings_clear(s, d);
    for (unsigned i = 0; i < listed->n; i++)
        if (strncmp(listed->p[i], head, HEAD) == 0)
            add_listed(s, d, listed->p[i] + HEAD);
    return s;
}

/* Those that were there before keep their places, so that a comparison shows what has changed. */
static struct settings *with_users(const struct following *f, const struct words *listed)
{
    struct settings *s = settings_copy(commit_running(f->control->commit));
    int d = directive_find("user");
    settings_clear(s, d);
    for (unsigned i = 0; i < f->configured.n; i++) {
        const char *value = f->configured.p[i], *now = find(listed, HEAD, value);
        if (now && same(now, find(&f->normal, HEAD, value)))
            words_add(&s->value[d], must_copy(value));
        else if (now)
            add_listed(s, d, now);
    }
    for (unsigned i = 0; i < listed->n; i++) {
        const char *now = listed->p[i] + HEAD;
        if (strncmp(listed->p[i], head, HEAD) != 0 || find(&f->configured, 0, now))
            continue;
        if (!same(now, find(&f->normal, HEAD, now))) /* else it is the default user that nobody has touched */
            add_listed(s, d, now);
    }
    return s;
}

static void on_listed(void *ctx, const char *resp, size_t len, const char *error)
{
    struct following *f = ctx;
    struct words listed = {0};
    if (resp && resp_texts(resp, len, &listed)) {
        struct settings *s = with_users(f, &listed);
        if (commit_follow_users(f->control->commit, s))
            candidate_changed(f->control->candidate, f->way, f->who, NULL, commit_running(f->control->commit));
        settings_free(s);
    } else {
        log_line(LOG_LEVEL_WARNING, "The users cannot be had from the dataplane: %s", error ? error : "odd reply");
    }
    words_free(&listed);
    end(f);
}

/* What it cannot read, it says at its start; the users are then as ACL LIST has them. */
static void on_read(void *ctx, const char *resp, size_t len, const char *error)
{
    static const char *const list[] = {"ACL", "LIST"};
    struct following *f = ctx;
    (void)error;
    if (!resp || !resp_texts(resp, len, &f->normal))
        words_free(&f->normal);
    exec_run(f->control->execs, 2, list, on_listed, f);
}

static bool run(struct control *c, const char *what, const struct words *users, exec_done *done, void *ctx)
{
    const char **argv = must_alloc(users->n + 3, sizeof *argv);
    size_t bytes = 0;
    argv[0] = "ACL";
    argv[1] = "SETUSER";
    argv[2] = what;
    for (unsigned i = 0; i < users->n; i++) {
        argv[3 + i] = users->p[i];
        bytes += strlen(users->p[i]) + 8;
    }
    bool fits = bytes < CHANNEL_MESSAGE_MAX - 1024 && users->n < CHANNEL_ARGS_MAX - 3;
    if (fits)
        exec_run(c->execs, (int)users->n + 3, argv, done, ctx);
    free(argv);
    return fits;
}

void users_follow(struct control *c, const char *way, const char *who)
{
    const struct settings *s = commit_running(c->commit);
    const struct words *configured = &s->value[directive_find("user")];
    if (*settings_get(s, "aclfile") || !link_connected(c->link))
        return;
    struct following *f = must_alloc(1, sizeof *f);
    *f = (struct following){.control = c, .way = must_copy(way), .who = must_copy(who)};
    for (unsigned i = 0; i < configured->n; i++)
        words_add(&f->configured, must_copy(configured->p[i]));
    if (!run(c, "\nread", &f->configured, on_read, f))
        on_read(f, NULL, 0, NULL);
}

/* -- the other way -- */

struct using {
    struct control *control;
    commit_done *done;
    void *ctx;
};

static void on_used(void *ctx, const char *resp, size_t len, const char *error)
{
    struct using *u = ctx;
    struct control *c = u->control;
    const char *value;
    size_t n;
    enum resp_kind kind = resp ? resp_read(resp, len, &value, &n) : RESP_NONE;
    char *why = kind == RESP_STATUS  ? NULL
                : kind == RESP_ERROR ? must_copy_n(value, n)
                                     : must_print("ERR %s", error ? error : "odd reply");
    u->done(u->ctx, why);
    if (why && kind != RESP_ERROR) /* nobody knows which users there are now */
        users_follow(c, "ACL LIST", "the dataplane");
    free(why);
    free(u);
}

void users_use(void *ctx, const struct words *users, commit_done *done, void *done_ctx)
{
    struct using *u = must_alloc(1, sizeof *u);
    *u = (struct using){ctx, done, done_ctx};
    if (run(u->control, "\nuse", users, on_used, u))
        return;
    free(u);
    done(done_ctx, "ERR these users are too many to be changed while the box runs (60 KB); a restart of the dataplane "
                   "reads them");
}
