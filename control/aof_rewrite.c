/* aof_rewrite.c: a new base of the append-only log without fork: a snapshot at an instant, and an increment from there on (aof.h). */
#include "control/aof_private.h"
#include "control/log.h"
#include "control/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_begun(void *ctx, const char *error)
{
    struct aof *a = ctx;
    if (error || !a->increment || a->phase == ON)
        return;
    if (!a->writer)
        aof_start_writer(a, a->lost ? AOF_ANEW : AOF_FRESH);
}

/* One of that number, which no manifest names, is of a control that was killed. */
static void delete_increment(const struct aof *a)
{
    if (a->increment)
        aof_folder_delete_incr(a->folder, a->increment);
}

/* Has the writer begun it? Until it has, the manifest must not name it. */
static bool has_increment(const struct aof *a)
{
    char name[AOF_NAME];
    aof_folder_incr_name(a->folder, a->increment, name);
    char *path = aof_folder_join(a->folder, name);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

static void on_rewritten(void *ctx, const char *error)
{
    struct aof *a = ctx;
    char why[256];
    uint64_t base;
    a->rewriting = false;
    a->took = aof_seconds() - a->began;
    if (!error) {
        pthread_mutex_lock(&a->lock);
        bool adds = a->increment && aof_folder_last(a->folder) < a->increment && has_increment(a);
        bool good = aof_folder_rebase(a->folder, a->base, a->increment ? a->increment : UINT64_MAX, adds, why, sizeof why);
        if (good && a->phase == FIRST && a->writer)
            aof_writer_named(a->writer); /* in the same step: it adds what it begins from now on */
        pthread_mutex_unlock(&a->lock);
        error = good ? NULL : why;
    }
    a->rewrite_failed = error != NULL;
    if (error) {
        a->failures++;
        if (a->phase == FIRST && !a->writer)
            aof_end_log(a); /* nobody would read it; it begins anew with the next try */
        log_line(LOG_LEVEL_WARNING, "Background AOF rewrite failed: %s", error);
    } else {
        a->rewrites++;
        if (a->phase == FIRST && a->writer) {
            a->phase = ON;
            a->lost = false;
        }
        a->rewritten_bytes = aof_bytes(a, &base);
        log_line(LOG_LEVEL_NOTICE, "Background AOF rewrite finished successfully: a base of %llu bytes", (unsigned long long)base);
    }
    aof_tell(a);
}

bool aof_begin_rewrite(struct aof *a)
{
    char name[AOF_NAME];
    mkdir(a->folder->path, 0750);
    pthread_mutex_lock(&a->lock);
    uint64_t last = aof_folder_last(a->folder);
    a->base = aof_folder_base(a->folder) + 1;
    a->increment = a->phase == OFF ? 0 : (a->increment > last ? a->increment : last) + 1;
    delete_increment(a);
    a->folder->commands = !aof_is_yes(a, "aof-use-rdb-preamble");
    aof_folder_base_name(a->folder, a->base, name);
    pthread_mutex_unlock(&a->lock);
    struct snapshot_base base = {strdup(a->folder->path), strdup(name), a->increment, a->folder->commands};
    a->began = a->tried = aof_seconds();
    a->scheduled = false;
    a->rewriting = snapshot_make_base(a->control->snapshot, &base, on_begun, on_rewritten, a);
    if (a->rewriting)
        log_line(LOG_LEVEL_NOTICE, "Background AOF rewrite started");
    else
        a->scheduled = true;
    aof_tell(a);
    return a->rewriting;
}

const char *aof_rewrite(struct aof *a)
{
    if (a->rewriting)
        return "-ERR Background append only file rewriting already in progress";
    if (snapshot_busy(a->control->snapshot)) {
        a->scheduled = true;
        aof_tell(a);
        return "+Background append only file rewriting scheduled";
    }
    if (!a->folder)
        aof_new_folder(a);
    return aof_begin_rewrite(a) ? "+Background append only file rewriting started"
                            : "-ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";
}
