/* load_api.c: loading a snapshot, as `sluice snapshot` asks for it. */
#include "control/aof.h"
#include "control/api.h"
#include "control/load.h"
#include "control/log.h"

#include <string.h>

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
