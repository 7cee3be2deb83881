/* snapshot_status.c: what is known of snapshots, and of the keys they are of (snapshot.h): to the dataplane, to operators. */
#include "control/snapshot_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

uint64_t snapshot_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const struct settings *snapshot_config(const struct snapshot *s)
{
    return commit_running(s->control->commit);
}

bool snapshot_is_yes(const struct snapshot *s, const char *name)
{
    return strcmp(settings_get(snapshot_config(s), name), "yes") == 0;
}

const char *snapshot_folder(const struct snapshot *s)
{
    return settings_get(snapshot_config(s), "dir");
}

const char *snapshot_name(const struct snapshot *s)
{
    return settings_get(snapshot_config(s), "dbfilename");
}

uint64_t snapshot_counter(const struct snapshot *s, const char *name)
{
    struct block b;
    uint64_t v;
    return block_read(s->control->link, &b) && block_sum(&b, name, &v) ? v : 0;
}

uint64_t snapshot_changes_now(const struct snapshot *s)
{
    struct block b;
    double v;
    return block_read(s->control->link, &b) && block_gauge(&b, "key_changes", &v) && v > 0 ? (uint64_t)v : 0;
}

static void tell_number(struct snapshot *s, const char *name, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    link_fact(s->control->link, name, text);
}

void snapshot_tell(struct snapshot *s)
{
    struct link *l = s->control->link;
    const struct snapshot_status *st = &s->status;
    if (!link_connected(l))
        return;
    bool refused = st->failed && snapshot_is_wanted(s) && snapshot_is_yes(s, "stop-writes-on-bgsave-error");
    link_fact(l, "rdb_last_bgsave_status", st->failed ? "err" : "ok");
    link_fact(l, "writes_refused", refused ? "1" : "0");
    if (st->began_ms)
        tell_number(s, "rdb_began", st->began_ms / 1000);
    else
        link_fact(l, "rdb_began", "");
    if (st->saved_ms)
        tell_number(s, "rdb_last_save_time", st->saved_ms / 1000);
    if (st->saves + st->failures)
        tell_number(s, "rdb_last_bgsave_time_sec", st->took_ms / 1000);
    tell_number(s, "rdb_saves", st->saves);
    tell_number(s, "rdb_saved_changes", s->changes_saved);
    tell_number(s, "rdb_last_cow_size", st->aside);
    link_fact(l, "rdb_bgsave_in_progress", snapshot_busy(s) ? "1" : "0"); /* last: who sees the end sees its figures */
}

void snapshot_status(const struct snapshot *s, struct snapshot_status *out)
{
    struct schedule schedule;
    struct stat st;
    uint64_t now = snapshot_changes_now(s), keys = snapshot_counter(s, "snapshot_keys");
    time_t wall = time(NULL);
    *out = s->status;
    out->changes = now > s->changes_saved ? now - s->changes_saved : 0;
    out->keys_written = s->phase == WRITING && keys > s->keys_before ? keys - s->keys_before : 0;
    char *path = must_print("%s/%s", snapshot_folder(s), snapshot_name(s));
    if (stat(path, &st) == 0) {
        out->file_at = (uint64_t)st.st_mtime;
        out->file_bytes = (uint64_t)st.st_size;
    }
    free(path);
    if (!schedule_read(settings_get(snapshot_config(s), "snapshot-schedule"), &schedule) || !schedule.period)
        return;
    out->period = schedule.period;
    out->next = (uint64_t)schedule_next(&schedule, wall);
    out->overdue = due_long(&s->due, wall);
}
