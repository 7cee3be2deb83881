/* aof_start.c: how the append-only log begins with a dataplane, and what is kept in mind of one that ends (aof.h).
 *
 *   a dataplane that serves              its log goes on at the place noted in the memory shared with it (adopt)
 *   one that is new                      the log is loaded, and goes on at its end
 *   ... and the one before left memory:  LEFT_SAME: all that it has done is in the log: memory is taken over, the log goes on at its end
 *                                        LEFT_MORE: there was no log, or the disk did not take it, or the dataplane went on without us:
 *                                                   memory is taken over, a new base is made
 *
 * Whether memory is whole the dataplane finds out itself (dataplane/README.md, Warm restart); if it is not, the log is loaded. */
#include "control/aof_private.h"
#include "control/load.h"
#include "control/log.h"
#include "control/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Has the dataplane, which we have found, a log? And has the disk failed the control before us (with or without one now)? */
static bool is_logging(const struct aof *a, bool *lost)
{
    void *bulk = link_map_bulk(a->control->link);
    struct channel_log *l = bulk ? log_shared(bulk) : NULL;
    bool is = l && __atomic_load_n(&l->begun, __ATOMIC_ACQUIRE);
    *lost = l && l->place[__atomic_load_n(&l->which, __ATOMIC_ACQUIRE) & 1].file == LOG_LOST;
    if (bulk)
        munmap(bulk, CHANNEL_BULK_SIZE);
    return is;
}

static void adopt(struct aof *a)
{
    bool lost, is = is_logging(a, &lost);
    uint64_t base;
    aof_new_folder(a);
    a->unserved = false;
    if (!aof_is_wanted(a)) {
        aof_end_log(a); /* if it has ended already, too: replies may wait for our word */
    } else if (is && aof_folder_base(a->folder) && aof_start_writer(a, AOF_ADOPT)) {
        a->phase = ON;
        a->increment = aof_folder_last(a->folder) + 1; /* the control before may have begun a rewrite with that number */
        a->rewritten_bytes = aof_bytes(a, &base);
        log_line(LOG_LEVEL_NOTICE, "The append-only log goes on where the control before has ended");
    } else if (aof_is_wanted(a)) {
        a->lost = lost || is; /* it has a log, and we know no place of it: what is only there is to be in a base first */
        aof_turn_on(a);
    }
    aof_tell(a);
}

static void drop_coming(struct aof *a)
{
    if (a->coming)
        munmap(a->coming, CHANNEL_BULK_SIZE);
    a->coming = NULL;
}

/* Nothing has been loaded: the dataplane has its keys from the memory that the one before it has left. */
static void on_taken_over(struct aof *a)
{
    a->unserved = false;
    if (a->left == LEFT_SAME && aof_start_writer(a, AOF_APPEND)) {
        a->phase = ON;
        log_line(LOG_LEVEL_NOTICE, "The append-only log goes on: it has all that was taken over in memory");
    } else { /* the next tick begins a base */
        a->lost = a->left != LEFT_MORE || a->left_lost;
        log_line(LOG_LEVEL_NOTICE, "The append-only log has not all that was taken over in memory: a new base is made");
    }
    aof_tell(a);
}

static void on_loaded(void *ctx, const struct load_result *r)
{
    static const char serves_already[] = "the box serves already";
    struct aof *a = ctx;
    uint64_t base;
    if (!a->loading) /* the dataplane is gone (aof_detached): what was left before it still is */
        return;
    a->loading = false;
    if (r->why && strcmp(r->why, serves_already) == 0) {
        adopt(a);
        return;
    }
    if (r->why && strcmp(r->why, LOAD_TAKEN_OVER) == 0) {
        on_taken_over(a);
        return;
    }
    if (r->why) {
        a->left = LEFT_UNKNOWN; /* it was not taken over, or must not be */
        return;
    }
    a->unserved = false;
    snapshot_loaded(a->control->snapshot);
    if (aof_start_writer(a, AOF_APPEND))
        a->phase = ON;
    a->left = LEFT_UNKNOWN;
    a->rewritten_bytes = aof_bytes(a, &base);
    aof_tell(a);
}

/* Has the dataplane changed anything since we have noted what it leaves? The channel may have closed before it ended. */
static bool went_on(const struct aof *a)
{
    return !a->bulk || __atomic_load_n(&log_shared(a->bulk)->order, __ATOMIC_ACQUIRE) != a->left_order;
}

bool aof_memory_counts(struct aof *a)
{
    if (a->left == LEFT_SAME && aof_folder_stamp(a->folder) != a->left_stamp) {
        log_line(LOG_LEVEL_NOTICE, "The append-only log is another one than the dataplane before has written: it is loaded");
        a->left = LEFT_UNKNOWN;
    } else if (a->left == LEFT_SAME && went_on(a)) {
        a->left = LEFT_MORE;
        a->left_lost = true;
    }
    return a->left != LEFT_UNKNOWN;
}

void aof_load(struct aof *a)
{
    char error[512] = "";
    if (a->writer)
        return;
    char *dump = must_print("%s/%s", settings_get(aof_conf(a), "dir"), settings_get(aof_conf(a), "dbfilename"));
    aof_new_folder(a);
    struct load_files f = {.memory = aof_memory_counts(a), .may_cut = aof_is_yes(a, "aof-load-truncated")};
    bool good = aof_folder_begin(a->folder, dump, error, sizeof error);
    char **path = aof_folder_paths(a->folder, &f.n);
    if (!good)
        f.why = error;
    f.path = path;
    a->loading = a->unserved = true;
    drop_coming(a);
    a->coming = link_map_bulk(a->control->link);
    load_log(a->control->load, a->folder->path, &f, on_loaded, a);
    while (f.n)
        free(path[--f.n]);
    free(path);
    free(dump);
}

/* One that has been found serving, and whose snapshot nobody offers it, is looked at as well. */
void aof_attached(struct aof *a)
{
    aof_tell(a);
    if (!a->loading && aof_serves(a) && a->phase == OFF)
        adopt(a);
}

/* One that has never served has changed nothing: what the one before it left is still there. It may have come to serve without our
 * having heard of it: then it has made records, which are in no file. */
static void note_what_was_coming(struct aof *a)
{
    if (a->left == LEFT_SAME && (!a->coming || __atomic_load_n(&log_shared(a->coming)->order, __ATOMIC_ACQUIRE) != 0)) {
        a->left = LEFT_MORE;
        a->left_lost = true;
    }
}

static void note_what_is_left(struct aof *a)
{
    uint64_t order = a->bulk ? __atomic_load_n(&log_shared(a->bulk)->order, __ATOMIC_ACQUIRE) : 0;
    bool on = a->phase == ON, lost = a->lost, whole = aof_forget_writer(a);
    if (a->unserved)
        note_what_was_coming(a);
    if (a->unserved || !a->folder)
        return;
    a->left_order = order;
    a->left = on && whole ? LEFT_SAME : LEFT_MORE;
    a->left_lost = on || lost;
    a->left_stamp = aof_folder_stamp(a->folder);
}

void aof_detached(struct aof *a)
{
    note_what_is_left(a);
    drop_coming(a);
    a->phase = OFF;
    a->lost = false;
    a->rewriting = a->scheduled = a->loading = a->unserved = false;
}
