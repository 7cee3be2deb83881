/* factory.c: see factory.h. */
#include "control/factory.h"
#include "control/conffile.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/rewrite.h"
#include "control/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8, SMALL = 1 << 20, SYNC_EVERY = 64 << 20, SIGN_SECONDS = 60 };

struct factory_reset {
    struct words files, folders; /* folders go with all that is in them, and stay empty */
    char *config, *text;         /* the file and what it will hold; config "": none */
    char *mark, *pending, *who;
    bool keep_network;
    unsigned left; /* files that could not be wiped */
};

/* -- wiping ------------------------------------------------------------------------------------------- */

static bool overwrite(int fd, off_t size)
{
    static const char zeros[65536];
    for (off_t at = 0; at < size;) {
        size_t n = size - at < (off_t)sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        ssize_t done = pwrite(fd, zeros, n, at);
        if (done <= 0)
            return false;
        if (at / SYNC_EVERY != (at + done) / SYNC_EVERY) {
            if (fdatasync(fd) < 0)
                return false;
            service_goes_on(SIGN_SECONDS);
        }
        at += done;
    }
    return fsync(fd) == 0;
}

/* No link is followed: what it leads to is not ours. */
static void wipe_file(struct factory_reset *r, int folder, const char *name, bool small)
{
    struct stat st;
    int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    bool plain = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    bool later = small && plain && st.st_size > SMALL;
    if (plain && !later && st.st_nlink == 1)
        overwrite(fd, st.st_size);
    if (fd >= 0)
        close(fd);
    if (later)
        return;
    if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
        r->left += !small; /* the second round comes by again */
    service_goes_on(SIGN_SECONDS);
}

/* Files that the reset itself wants until its end. */
static bool spared(const struct factory_reset *r, int folder, const char *name)
{
    const char *mine[] = {r->config, r->mark, r->pending};
    struct stat st, own;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    for (unsigned i = 0; i < sizeof mine / sizeof *mine; i++)
        if (*mine[i] && stat(mine[i], &own) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino)
            return true;
    return false;
}

/* small: only files of up to SMALL bytes. */
static void wipe_folder(struct factory_reset *r, int parent, const char *path, unsigned depth, bool small)
{
    int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (depth == 0 && strcmp(e->d_name, "control.lock") == 0) || /* we hold it still */
            spared(r, fd, e->d_name))
            continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
            depth < DEPTH_MAX) {
            wipe_folder(r, fd, e->d_name, depth + 1, small);
            if (unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0)
                r->left += !small;
        } else {
            wipe_file(r, fd, e->d_name, small);
        }
    }
    if (d) {
        fsync(fd);
        closedir(d);
    } else if (fd >= 0) {
        close(fd);
    }
}

static void write_or_say(const char *path, const char *text)
{
    char error[512];
    if (!write_durably(path, text, error, sizeof error))
        fprintf(stderr, "sluice-control: factory-reset: %s\n", error);
}

/* The new one is in its place before the old one is overwritten: a control that starts in between reads one
 * of them. */
static void replace_config(const struct factory_reset *r)
{
    struct stat st;
    if (!*r->config)
        return;
    int fd = open(r->config, O_WRONLY | O_CLOEXEC);
    write_or_say(r->config, r->text);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0)
        overwrite(fd, st.st_size);
    if (fd >= 0)
        close(fd);
}

static void wipe(struct factory_reset *r, bool small)
{
    for (unsigned i = 0; i < r->files.n; i++) {
        wipe_file(r, AT_FDCWD, r->files.p[i], small);
        sync_folder(r->files.p[i]);
    }
    for (unsigned i = 0; i < r->folders.n; i++)
        wipe_folder(r, AT_FDCWD, r->folders.p[i], 0, small);
}

static void release(struct factory_reset *r)
{
    words_free(&r->files);
    words_free(&r->folders);
    free(r->config);
    free(r->text);
    free(r->mark);
    free(r->pending);
    free(r->who);
    free(r);
}

static void carry_out(struct factory_reset *r)
{
    replace_config(r);
    wipe(r, true);
    wipe(r, false);
    char *text =
        must_print("{\"time_ms\":%llu,\"by\":\"%s\",\"keep_network\":%s,\"left\":%u}\n",
                   (unsigned long long)wall_clock_ms(), r->who, r->keep_network ? "true" : "false", r->left);
    write_or_say(r->mark, text);
    free(text);
    unlink(r->pending);
    sync_folder(r->pending);
}

/* -- until it is done --------------------------------------------------------------------------------- */

/* NULL: one of them is no UTF-8. */
static json_t *of_words(const struct words *w)
{
    json_t *list = json_array();
    bool good = true;
    for (unsigned i = 0; i < w->n; i++)
        good = json_array_append_new(list, json_string(w->p[i])) == 0 && good;
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static void to_words(const json_t *list, struct words *w)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) if (json_is_string(item))
        words_add(w, must_copy(json_string_value(item)));
}

static void note_pending(const struct factory_reset *r)
{
    json_t *all =
        json_pack("{s:o,s:o,s:s,s:s,s:s,s:b}", "files", of_words(&r->files), "folders", of_words(&r->folders),
                  "config", r->config, "text", r->text, "by", r->who, "keep_network", r->keep_network);
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    if (text)
        write_or_say(r->pending, text); /* on a full disk it goes on without */
    else
        fputs(
            "sluice-control: factory-reset: there are names that are no UTF-8: if it is interrupted it must "
            "be ordered again\n",
            stderr);
    free(text);
    json_decref(all);
}

void factory_reset_run(struct factory_reset *r)
{
    service_stopping();
    carry_out(r);
    release(r);
}

bool factory_reset_resume(const char *state_dir)
{
    char *path = must_print("%s/factory-reset.pending", state_dir);
    json_t *all = json_load_file(path, 0, NULL);
    const char *config, *text, *by;
    int keep_network;
    json_t *files, *folders;
    bool there =
        all && json_unpack(all, "{s:o,s:o,s:s,s:s,s:s,s:b}", "files", &files, "folders", &folders, "config",
                           &config, "text", &text, "by", &by, "keep_network", &keep_network) == 0;
    if (there) {
        struct factory_reset *r = must_alloc(1, sizeof *r);
        to_words(files, &r->files);
        to_words(folders, &r->folders);
        r->config = must_copy(config);
        r->text = must_copy(text);
        r->who = must_copy(by);
        r->keep_network = keep_network;
        r->mark = must_print("%s/factory-reset", state_dir);
        r->pending = must_copy(path);
        carry_out(r);
        release(r);
    } else if (access(path, F_OK) == 0) {
        fprintf(stderr, "sluice-control: %s cannot be read: order the factory reset again\n", path);
    }
    json_decref(all);
    free(path);
    return there;
}

/* -- what there is to wipe ---------------------------------------------------------------------------- */

/* Where the box's programs meet is no setting of an operator's. */
static bool kept(const struct directive *d, bool network)
{
    static const char *const places[] = {"management-socket", "dataplane-socket", "state-dir", NULL};
    for (const char *const *p = places; *p; p++)
        if (strcmp(*p, d->name) == 0)
            return true;
    return network && (strncmp(d->name, "link-", 5) == 0 || strncmp(d->name, "management-", 11) == 0 ||
                       strncmp(d->name, "stats-", 6) == 0 || strcmp(d->name, "system-name-server") == 0);
}

static char *config_text(const char *path, const struct settings *s, bool network)
{
    struct settings *usual = settings_defaults();
    struct text t = {0};
    char line[4096], *factory = must_print("%s.factory", path);
    FILE *f = *path ? fopen(factory, "re") : NULL;
    text_add(&t, "# As the factory made it.\n");
    while (f && fgets(line, sizeof line, f))
        text_add(&t, line);
    if (f)
        fclose(f);
    for (unsigned i = 0; i < directive_count(); i++)
        if (kept(&directives[i], network) && !settings_same(s, usual, (int)i))
            rewrite_directive(&t, s, (int)i);
    settings_free(usual);
    free(factory);
    return t.p;
}

/* Snapshots and logs of writes, if they lie elsewhere than the rest. */
static void add_data(struct factory_reset *r, const struct settings *s)
{
    const char *dir = settings_get(s, "dir");
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if ((n > 4 && strcmp(e->d_name + n - 4, ".rdb") == 0) ||
            strcmp(e->d_name, settings_get(s, "dbfilename")) == 0)
            words_add(&r->files, must_print("%s/%s", dir, e->d_name));
    }
    if (d)
        closedir(d);
    words_add(&r->folders, must_print("%s/%s", dir, settings_get(s, "appenddirname")));
}

void factory_reset(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    const struct settings *s = commit_running(c->commit);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (!*host || strcmp(host, request_word(request, "confirm")) != 0) {
        call_fail(call, "bad-value", "factory-reset: confirm it with the name of this box, %s", host);
        return;
    }
    if (c->reset || !*settings_get(s, "state-dir")) {
        call_fail(call, "busy", "factory-reset: %s", c->reset ? "it is under way" : "there is no state-dir");
        return;
    }
    struct factory_reset *r = must_alloc(1, sizeof *r);
    add_data(r, s);
    if (*settings_get(s, "aclfile"))
        words_add(&r->files, must_copy(settings_get(s, "aclfile")));
    if (*settings_get(s, "logfile"))
        words_add(&r->files, must_copy(settings_get(s, "logfile")));
    words_add(&r->folders, must_copy(settings_get(s, "state-dir")));
    r->config = must_copy(c->config_path);
    r->keep_network = json_is_true(json_object_get(request, "keep_network"));
    r->text = config_text(c->config_path, s, r->keep_network);
    r->mark = must_print("%s/factory-reset", settings_get(s, "state-dir"));
    r->pending = must_print("%s.pending", r->mark);
    r->who = must_copy(call_who(call));
    for (char *p = r->who; *p; p++) /* it stands in a JSON string */
        *p = *p == '"' || *p == '\\' || (unsigned char)*p < ' ' ? '?' : *p;
    note_pending(r); /* what is answered "stopping" is done, whatever ends us */
    c->reset = r;
    log_line(LOG_LEVEL_WARNING, "Factory reset by %s", r->who);
    call_reply(call, json_pack("{s:b}", "stopping", 1));
    c->stop_all(c);
}
