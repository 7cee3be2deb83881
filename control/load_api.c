/* load_api.c: loading a snapshot, as `sluice snapshot` asks for it. */
#include "control/aof.h"
#include "control/api.h"
#include "control/load.h"
#include "control/log.h"

#include <string.h>
#include <unistd.h>

static const char *word_of(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));
    return s ? s : "";
}

static void imported(void *ctx, const struct load_result *r)
{
    struct control *c = call_control(ctx);
    struct aof_status log;
    aof_status(c->aof, &log);
    if (log.on) /* it has not seen the keys, be it some only: a new base has them */
        aof_rewrite(c->aof);
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

/* The file `path` as the client has opened it (fd), or as control can. */
static void import_file(struct call *call, int fd, const char *path, enum load_mode mode)
{
    char error[512];
    if (!load_import(call_control(call)->load, fd, path, mode, imported, call, error, sizeof error))
        call_fail(call, "failed", "%s", error);
    else
        log_line(LOG_LEVEL_NOTICE, "Importing the snapshot %s", path);
}

static void import_as_asked(struct call *call, int fd, const json_t *request)
{
    const char *wrong;
    enum load_mode mode;
    if (mode_of(call_control(call), word_of(request, "mode"), &mode, &wrong)) {
        import_file(call, fd, word_of(request, "file"), mode);
        return;
    }
    if (fd >= 0)
        close(fd);
    call_fail(call, "bad-value", "%s", wrong);
}

static void file_came(struct call *call, void *request, int fd)
{
    if (fd >= 0)
        import_as_asked(call, fd, request);
    else
        call_fail(call, "bad-value", "handed: no file was handed over");
    json_decref(request);
}

static void want_file(struct call *call, const json_t *request)
{
    json_t *kept = json_deep_copy(request);
    if (call_wants_file(call, file_came, kept))
        return;
    json_decref(kept);
    call_fail(call, "bad-value", "handed: only a process of this machine can hand a file over");
}

/* "handed": the client opens the file, so that control needs neither the right to read it nor to see the folder it is in; "file" is its name. */
void snapshot_import(struct call *call, const json_t *request)
{
    const char *path = word_of(request, "file"), *wrong;
    enum load_mode mode;
    if (*path != '/')
        call_fail(call, "bad-value", "file: an absolute path is needed");
    else if (!mode_of(call_control(call), word_of(request, "mode"), &mode, &wrong))
        call_fail(call, "bad-value", "%s", wrong);
    else if (!json_is_true(json_object_get(request, "handed")))
        import_file(call, -1, path, mode);
    else
        want_file(call, request);
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
