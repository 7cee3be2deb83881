/* snapshot_api.c: what `sluice snapshot` asks of control: the files that there are, a new one, how far it is, deleting one. */
#include "control/log.h"
#include "control/show.h"
#include "control/snapshot.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static const struct settings *settings_of(const struct call *call)
{
    return commit_running(call_control(call)->commit);
}

void snapshot_list(struct call *call, const json_t *request)
{
    const struct settings *s = settings_of(call);
    const char *dir = settings_get(s, "dir"), *usual = settings_get(s, "dbfilename");
    json_t *files = json_array();
    DIR *d = opendir(dir);
    (void)request;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        time_t at;
        if (!kept_is_snapshot(e->d_name, usual) || fstatat(dirfd(d), e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        json_t *path = json_sprintf("%s/%s", dir, e->d_name); /* NULL: not UTF-8 */
        if (path)
            json_array_append_new(files, json_pack("{s:o,s:I,s:I,s:b,s:b}", "file", path, "bytes", (json_int_t)st.st_size,
                                                   "written", (json_int_t)st.st_mtime, "loaded_at_start",
                                                   strcmp(e->d_name, usual) == 0, "kept", kept_is(e->d_name, usual, &at)));
    }
    if (d)
        closedir(d);
    call_reply(call, files);
}

static json_t *progress(const struct call *call)
{
    struct snapshot_status st;
    const struct settings *s = settings_of(call);
    snapshot_status(call_control(call)->snapshot, &st);
    return json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:s,s:o,s:o,s:s,s:I,s:I,s:I}", "busy", st.busy, "keys_written",
                     (json_int_t)st.keys_written, "keys_all", (json_int_t)st.keys_all, "saves", (json_int_t)st.saves,
                     "failures", (json_int_t)st.failures, "keys", (json_int_t)st.keys, "bytes", (json_int_t)st.bytes,
                     "milliseconds", (json_int_t)st.took_ms, "failed", st.failed || *st.keep_error, "error",
                     st.failed ? st.error : st.keep_error, "folder", safe_string(settings_get(s, "dir")), "kept_as",
                     safe_string(st.kept_name), "schedule", settings_get(s, "snapshot-schedule"), "keep",
                     (json_int_t)settings_number(s, "snapshot-keep"), "next", (json_int_t)st.next, "kept",
                     (json_int_t)st.kept);
}

void snapshot_progress(struct call *call, const json_t *request)
{
    (void)request;
    call_reply(call, progress(call));
}

static void begun(void *ctx, const char *error)
{
    if (error)
        call_fail(ctx, "failed", "%s", error);
    else
        call_reply(ctx, progress(ctx));
}

/* The reply comes when it has begun. */
void snapshot_create(struct call *call, const json_t *request)
{
    (void)request;
    if (!snapshot_make_kept(call_control(call)->snapshot, begun, NULL, call))
        call_fail(call, "busy", "a snapshot is being written already");
}

void snapshot_delete(struct call *call, const json_t *request)
{
    const struct settings *s = settings_of(call);
    const char *name = request_word(request, "name");
    char error[512];
    if (kept_delete(settings_get(s, "dir"), settings_get(s, "dbfilename"), name, error, sizeof error)) {
        log_line(LOG_LEVEL_NOTICE, "Snapshot %s was deleted", name);
        call_reply(call, json_object());
    } else {
        call_fail(call, "failed", "%s", error);
    }
}
