/* snapshot_watch.c: what is told of snapshots: figures for the statistics (redis_exporter's names and our own), alarms. */
#include "control/metrics.h"
#include "control/snapshot.h"
#include "control/snapshot_due.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one(struct text *out, const char *name, const char *type, const char *help, double v)
{
    metrics_head(out, name, type, help);
    text_printf(out, "%s %.15g\n", name, v);
}

void snapshot_metrics(struct text *out, const struct snapshot *s)
{
    struct snapshot_status st;
    snapshot_status(s, &st);
    double now = (double)wall_clock_ms() / 1000;
    one(out, "redis_rdb_changes_since_last_save", "gauge", "Changes of keys since the last snapshot", (double)st.changes);
    one(out, "redis_rdb_bgsave_in_progress", "gauge", "1 while a snapshot is written", st.busy);
    one(out, "redis_rdb_last_bgsave_status", "gauge", "1 when the last snapshot went well, or there was none", !st.failed);
    one(out, "redis_rdb_last_bgsave_duration_sec", "gauge", "Seconds that the last snapshot took",
        st.saves + st.failures ? (double)st.took_ms / 1000 : -1);
    one(out, "redis_rdb_current_bgsave_duration_sec", "gauge", "Seconds that the one under way has taken",
        st.began_ms ? now - (double)st.began_ms / 1000 : -1);
    one(out, "redis_rdb_last_cow_size_bytes", "gauge", "Bytes that the last snapshot kept aside at most", (double)st.aside);
    one(out, "sluice_snapshots_total", "counter", "Snapshots that are on disk", (double)st.saves);
    one(out, "sluice_snapshot_failures_total", "counter", "Snapshots that failed", (double)st.failures);
    one(out, "sluice_snapshot_keys", "gauge", "Keys in the last snapshot", (double)st.keys);
    one(out, "sluice_snapshots_kept", "gauge", "Snapshots under a name with a date", st.kept);
    if (st.next)
        one(out, "sluice_snapshot_next_timestamp_seconds", "gauge", "When the next one is due by snapshot-schedule",
            (double)st.next);
    if (!st.file_at)
        return;
    one(out, "redis_rdb_last_save_timestamp_seconds", "gauge", "When the snapshot that is on disk was written",
        (double)st.file_at);
    one(out, "sluice_snapshot_bytes", "gauge", "Size of the snapshot that is on disk", (double)st.file_bytes);
    one(out, "sluice_snapshot_age_seconds", "gauge", "Age of the snapshot that is on disk", now - (double)st.file_at);
}

__attribute__((format(printf, 4, 5))) static void tell(snapshot_alarm *holds, void *ctx, const char *subject, const char *format,
                                                       ...)
{
    struct text line = {0};
    va_list args;
    va_start(args, format);
    text_vprintf(&line, format, args);
    va_end(args);
    holds(ctx, subject, text_str(&line));
    text_free(&line);
}

void snapshot_alarms(const struct snapshot *s, const char *save, snapshot_alarm *holds, void *ctx)
{
    enum { GRACE = 60, TIMES = 2 };
    struct snapshot_status st;
    snapshot_status(s, &st);
    uint64_t now = wall_clock_ms() / 1000, period = save_point_longest(save);
    if (st.failed)
        tell(holds, ctx, "failed", "the last snapshot failed: %s; the one before is untouched", st.error);
    if (*st.keep_error)
        tell(holds, ctx, "kept", "%s", st.keep_error);
    uint64_t since = st.file_at && st.file_at > st.loaded_s ? st.file_at : st.loaded_s;
    if (period && st.changes && since && now > since + TIMES * period + GRACE)
        tell(holds, ctx, "age", "%llu changes of keys are in no snapshot, and the last one is %llu seconds old",
                                  (unsigned long long)st.changes, (unsigned long long)(now - since));
    if (st.overdue)
        tell(holds, ctx, "overdue", "the snapshot that snapshot-schedule asks for is overdue");
    if (st.period && st.saves && st.took_ms / 1000 > st.period)
        tell(holds, ctx, "slow", "the last snapshot took %llu seconds, longer than snapshot-schedule leaves from one to the next",
                                  (unsigned long long)(st.took_ms / 1000));
}
