/* snapshot_when.c: when a snapshot is made that nobody waits for (snapshot.h): BGSAVE in a transaction, after FLUSHALL, at a save
 * point, by snapshot-schedule. */
#include "control/snapshot_private.h"
#include "control/log.h"

#include <time.h>

enum { RETRY_SECONDS = 5 }; /* after a failure, as Redis' CONFIG_BGSAVE_RETRY_DELAY */

/* The first figures of a dataplane that has just been started: does it go on with the keys of the one before? */
static void follow_restart(struct snapshot *s)
{
    struct block b;
    double generation;
    if (!s->fresh || !block_read(s->control->link, &b) || !block_gauge(&b, "arena_generation", &generation))
        return;
    s->fresh = false;
    if (generation > 1)
        s->changes_saved = s->changes_before;
}

static void on_schedule(struct snapshot *s)
{
    time_t now = time(NULL);
    const char *text = settings_get(snapshot_config(s), "snapshot-schedule");
    if (!due_now(&s->due, text, snapshot_folder(s), snapshot_name(s), now))
        return;
    log_line(LOG_LEVEL_NOTICE, "A snapshot is due by snapshot-schedule %s", text);
    if (snapshot_make_kept(s, NULL, NULL, NULL) && s->phase != IDLE)
        due_done(&s->due, now);
}

/* FLUSHALL with save points is followed by a snapshot, as in Redis: or what was there would be back after a crash. */
static bool was_flushed(const struct snapshot *s)
{
    return snapshot_is_wanted(s) && (s->flushed || snapshot_counter(s, "flushes_of_all") != s->flushes);
}

void snapshot_tick(struct snapshot *s)
{
    struct snapshot_status st;
    snapshot_say_hurry(s);
    if (s->phase != IDLE || !link_connected(s->control->link) || !snapshot_possible(s))
        return;
    follow_restart(s);
    uint64_t now = snapshot_wall_ms(), since = s->status.saved_ms ? s->status.saved_ms : s->control->started_ms;
    snapshot_status(s, &st);
    if (s->status.failed && now - s->tried_ms < RETRY_SECONDS * 1000)
        return;
    uint64_t asked = snapshot_counter(s, "snapshots_scheduled");
    if (asked != s->scheduled_by_clients) {
        s->scheduled_by_clients = asked;
        snapshot_make(s, NULL, NULL, NULL);
    } else if (was_flushed(s)) {
        log_line(LOG_LEVEL_NOTICE, "All keys were flushed. Saving...");
        snapshot_make(s, NULL, NULL, NULL);
    } else if (st.changes && save_point_reached(settings_get(snapshot_config(s), "save"), st.changes, now > since ? (now - since) / 1000 : 0)) {
        log_line(LOG_LEVEL_NOTICE, "%llu changes in %llu seconds. Saving...", (unsigned long long)st.changes,
                 (unsigned long long)((now - since) / 1000));
        snapshot_make(s, NULL, NULL, NULL);
    }
    if (s->phase == IDLE)
        on_schedule(s);
}
