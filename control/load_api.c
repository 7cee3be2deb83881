/* load_api.c: what `sluice snapshot` asks of control: the files that there are, and loading one. */
#include "control/api.h"
#include "control/load.h"
#include "control/log.h"
#include "control/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *word_of(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));
    return s ? s : "";
}

static bool is_snapshot(const char *name, const char *usual)
{
    size_t n = strlen(name);
    return strcmp(name, usual) == 0 ||
           (n > 4 && strcmp(name + n - 4, ".rdb") == 0 && strncmp(name, "temp-", 5) != 0);
}

void snapshot_list(struct call *call, const json_t *request)
{
    const struct settings *s = commit_running(call_control(call)->commit);
    const char *dir = settings_get(s, "dir"), *usual = settings_get(s, "dbfilename");
    json_t *files = json_array();
    DIR *d = opendir(dir);
    (void)request;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (!is_snapshot(e->d_name, usual) || fstatat(dirfd(d), e->d_name, &st, 0) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        json_t *path = json_sprintf("%s/%s", dir, e->d_name); /* NULL: not UTF-8 */
        if (path)
            json_array_append_new(files, json_pack("{s:o,s:I,s:I,s:b}", "file", path, "bytes",
                                                   (json_int_t)st.st_size, "written", (json_int_t)st.st_mtime,
                                                   "loaded_at_start", strcmp(e->d_name, usual) == 0));
    }
    if (d)
        closedir(d);
    call_reply(call, files);
}

static void imported(void *ctx, const struct load_result *r)
{
    if (r->why)
        call_fail(ctx, "load-failed", "%s", r->why);
    else
        call_reply(ctx, json_pack("{s:I,s:I,s:I,s:I}", "loaded", (json_int_t)r->loaded, "expired",
                                  (json_int_t)r->expired, "left", (json_int_t)r->kept, "libraries",
                                  (json_int_t)r->libraries));
}

/* While the box serves keys are added; one that could not load its snapshot gets this one instead. */
static bool mode_of(const struct control *c, const char *word, enum load_mode *mode, const char **error)
{
    bool closed = strcmp(supervise_status(c->supervisor)->state, "serving") != 0;
    *error = NULL;
    if (strcmp(word, "salvage") == 0)
        *mode = LOAD_SALVAGE;
    else if (!*word || strcmp(word, "replace") == 0)
        *mode = closed ? LOAD_AT_START : LOAD_REPLACING;
    else if (strcmp(word, "keep") == 0)
        *mode = LOAD_KEEPING;
    else
        *error = "choose replace, keep or salvage";
    if (!*error && !closed && *mode == LOAD_SALVAGE)
        *error = "salvage is for a box that could not load its snapshot; this one serves";
    if (!*error && closed && *mode == LOAD_KEEPING)
        *error = "keep is for a box that serves; this one has no keys yet";
    return !*error;
}

void snapshot_import(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    const char *path = word_of(request, "file"), *wrong;
    enum load_mode mode;
    char error[512];
    if (*path != '/')
        call_fail(call, "bad-value", "file: an absolute path is needed");
    else if (!mode_of(c, word_of(request, "mode"), &mode, &wrong))
        call_fail(call, "bad-value", "%s", wrong);
    else if (!load_import(c->load, path, mode, imported, call, error, sizeof error))
        call_fail(call, "failed", "%s", error);
    else
        log_line(LOG_LEVEL_NOTICE, "Importing the snapshot %s", path);
}

void snapshot_abandon(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    if (strcmp(supervise_status(c->supervisor)->state, "load-failed") != 0)
        call_fail(call, "bad-value", "the box has not failed to load a snapshot");
    else if (!load_abandon(c->load, imported, call))
        call_fail(call, "failed", "a snapshot is being loaded, or the dataplane is not running");
    else
        log_line(LOG_LEVEL_WARNING, "The box begins empty, without its snapshot: told so by the operator");
}
