/* users.c: see users.h. */
#include "control/users.h"
#include "control/audit.h"
#include "control/candidate.h"
#include "control/control.h"
#include "control/log.h"
#include "control/resp.h"
#include "control/rewrite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20 };

struct asked {
    struct control *control;
    uint64_t id;
    const char *what; /* for the audit log */
    char *who;
    void (*then)(struct asked *a, const struct words *users);
};

/* -- answers -- */

static void end(struct asked *a)
{
    free(a->who);
    free(a);
}

static void answer(struct asked *a, const char *error)
{
    struct text resp = {0};
    audit_note(a->control->audit, a->who, "data port", a->what, NULL, error ? error : "ok");
    if (error)
        resp_error(&resp, "%.2000s", error);
    else
        resp_ok(&resp);
    if (!link_answer(a->control->link, a->id, text_str(&resp), resp.len))
        log_line(LOG_LEVEL_VERBOSE, "The answer to a client's command could not be sent");
    text_free(&resp);
    end(a);
}

static struct asked *asked_new(struct control *c, uint64_t id, const char *what, const char *who,
                               void (*then)(struct asked *a, const struct words *users))
{
    struct asked *a = must_alloc(1, sizeof *a);
    *a = (struct asked){c, id, what, must_copy(who), then};
    return a;
}

/* -- the dataplane's users -- */

static void on_list(void *ctx, const char *resp, size_t len, const char *error)
{
    struct asked *a = ctx;
    struct words users = {0};
    if (resp && resp_texts(resp, len, &users))
        a->then(a, &users);
    else {
        log_line(LOG_LEVEL_WARNING, "The users cannot be had from the dataplane: %s",
                 error ? error : "odd reply");
        answer(a, "ERR There was an error trying to save the ACLs. Please check the server logs for more "
                  "information");
    }
    words_free(&users);
}

static void list_users(struct asked *a)
{
    static const char *const list[] = {"ACL", "LIST"};
    exec_run(a->control->execs, 2, list, on_list, a);
}

/* -- ACL SAVE -- */

static const char *acl_file(const struct control *c)
{
    return settings_get(commit_running(c->commit), "aclfile");
}

static void save(struct asked *a, const struct words *users)
{
    char error[512];
    struct text text = {0};
    for (unsigned i = 0; i < users->n; i++)
        text_printf(&text, "%s\n", users->p[i]);
    bool good = write_durably(acl_file(a->control), text_str(&text), error, sizeof error);
    text_free(&text);
    log_line(good ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
             good ? "ACL SAVE by %s: %s written" : "ACL SAVE by %s: %s", a->who,
             good ? acl_file(a->control) : error);
    answer(a, good ? NULL
                   : "ERR There was an error trying to save the ACLs. Please check the server logs for more "
                     "information");
}

void users_save(struct control *c, uint64_t id, const char *who)
{
    list_users(asked_new(c, id, "acl save", who, save));
}

/* -- CONFIG REWRITE -- */

/* Without an ACL file the users stand in the configuration file as ACL LIST has them, but for a default user that nobody
 * has touched. */
static void rewrite(struct asked *a, const struct words *users)
{
    const struct settings *running = commit_running(a->control->commit);
    char error[512], *line;
    bool untouched = users->n == 1 && !*settings_get(running, "requirepass") &&
                     strcmp(users->p[0], "user default on nopass sanitize-payload ~* &* +@all") == 0;
    struct words none = {0};
    struct settings *s = users_settings(running, untouched ? &none : users);
    if (!*acl_file(a->control))
        commit_follow_users(a->control->commit, s);
    settings_free(s);
    if (commit_rewrite(a->control->commit, a->who, error, sizeof error)) {
        candidate_rewritten(a->control->candidate, a->who, true);
        answer(a, NULL);
        return;
    }
    line = strncmp(error, "The server", 10) == 0 ? must_print("ERR %s", error)
                                                 : must_print("ERR Rewriting config file: %s", error);
    answer(a, line);
    free(line);
}

void users_rewrite(struct control *c, uint64_t id, const char *who)
{
    list_users(asked_new(c, id, "config rewrite", who, rewrite));
}

/* -- reading the file -- */

static char *read_users(const char *path, char *error, size_t size)
{
    struct text text = {0};
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    errno = f ? 0 : errno;
    while (f && text.len <= FILE_MAX && (n = fread(part, 1, sizeof part, f)) > 0)
        text_add_n(&text, part, n);
    if (!f || ferror(f) || text.len > FILE_MAX || memchr(text_str(&text), 0, text.len)) {
        snprintf(error, size, "Error loading ACLs, opening file '%s': %s", path,
                 errno ? strerror(errno) : "it is too large, or no text");
        text_free(&text);
    }
    if (f)
        fclose(f);
    return text.p ? text.p : *error ? NULL : must_copy("");
}

/* Cuts the text at its line ends. */
static void split(char *text, struct words *lines)
{
    for (char *line; (line = strsep(&text, "\n"));)
        words_add(lines, must_copy(line));
}

static void on_loaded(void *ctx, const char *resp, size_t len, const char *error)
{
    struct asked *a = ctx;
    const char *value;
    size_t n;
    if (resp && resp_read(resp, len, &value, &n) == RESP_STATUS) {
        log_line(LOG_LEVEL_NOTICE, "ACL LOAD by %s: %s read", a->who, acl_file(a->control));
        answer(a, NULL);
        return;
    }
    char *line = resp && resp_read(resp, len, &value, &n) == RESP_ERROR
                     ? must_copy_n(value, n)
                     : must_print("ERR %s", error ? error : "odd reply");
    log_line(LOG_LEVEL_WARNING, "ACL LOAD by %s: %s", a->who, line);
    answer(a, line);
    free(line);
}

void users_load(struct control *c, uint64_t id, const char *who)
{
    struct asked *a = asked_new(c, id, "acl load", who, NULL);
    char error[512] = "";
    char *text = read_users(acl_file(c), error, sizeof error);
    if (!text) {
        char *line = must_print("ERR %s", error);
        answer(a, line);
        free(line);
        return;
    }
    struct words w = {0}; /* a name that no user can have says what is meant */
    words_add(&w, must_copy("ACL"));
    words_add(&w, must_copy("SETUSER"));
    words_add(&w, must_copy("\n"));
    words_add(&w, must_copy(acl_file(c)));
    size_t bytes = strlen(text);
    split(text, &w);
    free(text);
    if (bytes + 8 * w.n > CHANNEL_MESSAGE_MAX - 1024 || w.n > CHANNEL_ARGS_MAX)
        answer(a, "ERR Error loading ACLs: the file is too large to be loaded while the box runs (60 KB, "
                  "4000 lines)");
    else
        exec_run(c->execs, (int)w.n, (const char *const *)w.p, on_loaded, a);
    words_free(&w);
}

bool users_of_file(const struct settings *s, struct words *users, char *error, size_t size)
{
    const char *path = settings_get(s, "aclfile");
    struct words lines = {0};
    error[0] = 0;
    if (!*path)
        return true;
    if (*settings_get(s, "user")) {
        snprintf(error, size,
                 "users in the configuration file and an aclfile at the same time: define either of them, "
                 "but not both");
        return false;
    }
    char *text = read_users(path, error, size);
    if (!text)
        return false;
    split(text, &lines);
    free(text);
    for (unsigned i = 0; i < lines.n && !*error; i++) {
        const char *line = lines.p[i] + strspn(lines.p[i], " \t\r");
        if (strncmp(line, "user ", 5) == 0)
            words_add(users, must_copy_n(line + 5, strcspn(line + 5, "\r")));
        else if (*line)
            snprintf(error, size, "%s:%u should start with user keyword followed by the username", path,
                     i + 1);
    }
    words_free(&lines);
    return !*error;
}
