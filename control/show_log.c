/* show_log.c: recent lines of the log, and those to come. */
#include "control/log.h"
#include "control/metrics.h"
#include "control/show.h"

#include <stdlib.h>
#include <string.h>

enum { UNREAD_MAX = 256 << 10 };

struct wanted {
    enum log_level level;
    uint64_t since, until; /* wall clock ms; until 0: for ever */
    unsigned lines;
    json_t *list;
};

static json_t *entry_json(const struct log_entry *e)
{
    json_t *j =
        json_pack("{s:I,s:I,s:s,s:s}", "time_ms", (json_int_t)e->ms, "pid", (json_int_t)e->pid, "process",
                  e->role == 'D' ? "dataplane" : "control", "level", log_level_name(e->level));
    json_object_set_new(j, "line", safe_string(e->line));
    return j;
}

static bool wants(const struct wanted *w, const struct log_entry *e)
{
    return e->level >= w->level && e->ms >= w->since && (!w->until || e->ms <= w->until);
}

static void add_entry(const struct log_entry *e, void *arg)
{
    struct wanted *w = arg;
    if (wants(w, e))
        json_array_append_new(w->list, entry_json(e));
}

/* -- following ---------------------------------------------------------------------------------------- */

struct follower {
    struct call *call;
    struct wanted wanted;
    struct log_watch watch;
    size_t unread;
    unsigned lost;
    struct follower *next;
};

static struct follower *followers;

static void end_following(struct follower *f)
{
    struct follower **at = &followers;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    log_unwatch(&f->watch);
    call_reply(f->call, json_object());
    free(f);
}

static void send_entry(struct follower *f, const struct log_entry *e)
{
    json_t *j = entry_json(e);
    char *text = json_dumps(j, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    call_piece(f->call, text, len);
    f->unread += len;
    free(text);
    json_decref(j);
}

static void on_line(const struct log_entry *e, void *arg)
{
    struct follower *f = arg;
    if (!wants(&f->wanted, e))
        return;
    if (f->unread > UNREAD_MAX)
        f->lost++;
    else
        send_entry(f, e);
}

static void on_written(void *ctx)
{
    struct follower *f = ctx;
    unsigned lost = f->lost;
    f->unread = 0;
    f->lost = 0;
    if (lost) {
        char line[64];
        snprintf(line, sizeof line, "%u lines were not read in time and are left out", lost);
        send_entry(f, &(struct log_entry){
                          .ms = wall_clock_ms(), .role = 'C', .level = LOG_LEVEL_WARNING, .line = line});
    }
}

static void on_end(void *ctx)
{
    end_following(ctx);
}

static const struct stream_ops following = {.gone = on_end, .stop = on_end, .written = on_written};

static void follow(struct call *call, const struct wanted *w)
{
    struct follower *f = must_alloc(1, sizeof *f);
    *f = (struct follower){.call = call, .wanted = *w, .next = followers};
    if (!call_watch(call, &following, f)) {
        free(f);
        call_fail(call, "busy", "this connection follows something already");
        return;
    }
    followers = f;
    f->wanted.list = NULL;
    call_stream(call, json_pack("{s:O}", "lines", w->list));
    log_watch(&f->watch, on_line, f);
}

void show_log_end(void)
{
    while (followers)
        end_following(followers);
}

void show_log(struct call *call, const json_t *request)
{
    struct wanted w = {.level = LOG_LEVEL_DEBUG,
                       .since = (uint64_t)request_number(request, "since_ms", 0),
                       .until = (uint64_t)request_number(request, "until_ms", 0)};
    json_int_t lines = request_number(request, "lines", 0);
    if (*request_word(request, "level") && !log_level_parse(request_word(request, "level"), &w.level)) {
        call_fail(call, "bad-value", "level: choose debug, verbose, notice or warning");
        return;
    }
    w.list = json_array();
    log_recent(w.level, LOG_RING, add_entry, &w);
    if (lines > 0 && json_array_size(w.list) > (size_t)lines) {
        size_t surplus = json_array_size(w.list) - (size_t)lines;
        json_t *last = json_array();
        for (size_t i = surplus; i < json_array_size(w.list); i++)
            json_array_append(last, json_array_get(w.list, i));
        json_decref(w.list);
        w.list = last;
    }
    if (json_is_true(json_object_get(request, "follow"))) {
        follow(call, &w);
        json_decref(w.list);
    } else {
        call_reply(call, w.list);
    }
}
