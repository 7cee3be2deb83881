/* certificate_watch.c: which certificates there are and when they end: figures for the statistics, alarms. */
#include "control/certificates.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/secret_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_SECONDS = 3600, DAY = 86400, DAYS_SOON = 30, DAYS_URGENT = 7 };
enum urgency { WELL, SOON, URGENT, EXPIRED };

struct watched {
    char *name; /* of the store, or the path of another file that is in use */
    time_t ends;
    char *trouble; /* why it cannot be read, or NULL */
    bool used;
};

struct certificates {
    struct control *control;
    char *folder;
    struct event *timer;
    struct watched *watched;
    unsigned n;
    enum urgency said; /* in the log, of the one in use */
    time_t said_at;
    bool busy;
};

struct control *certificates_control(const struct certificates *cs)
{
    return cs->control;
}

const char *certificates_folder(const struct certificates *cs)
{
    return cs->folder;
}

bool certificates_busy(const struct certificates *cs)
{
    return cs->busy;
}

void certificates_set_busy(struct certificates *cs, bool busy)
{
    cs->busy = busy;
}

static const char *used_path(const struct certificates *cs)
{
    return settings_get(commit_running(cs->control->commit), "tls-cert-file");
}

bool certificates_is_used(const struct certificates *cs, const char *name)
{
    char *path = store_path(cs->folder, name, STORE_PAIR);
    bool same = strcmp(path, used_path(cs)) == 0;
    free(path);
    return same;
}

/* -- looking ------------------------------------------------------------------------------------------ */

static void look_at(struct certificates *cs, const char *name, const char *path, bool used)
{
    char error[512];
    char *text = store_read(path, error, sizeof error);
    struct certificate *c = text ? certificate_read(text, NULL, NULL, error, sizeof error) : NULL;
    secret_free(text);
    cs->watched = must_grow(cs->watched, cs->n + 1, sizeof *cs->watched);
    cs->watched[cs->n++] =
        (struct watched){must_copy(name), c ? certificate_ends(c) : 0, c ? NULL : must_copy(error), used};
    certificate_free(c);
}

static void forget(struct certificates *cs)
{
    while (cs->n) {
        cs->n--;
        free(cs->watched[cs->n].name);
        free(cs->watched[cs->n].trouble);
    }
    free(cs->watched);
    cs->watched = NULL;
}

static enum urgency urgency(const struct watched *w, time_t now)
{
    return w->trouble || w->ends <= now                 ? EXPIRED
           : w->ends <= now + (time_t)DAYS_URGENT * DAY ? URGENT
           : w->ends <= now + (time_t)DAYS_SOON * DAY   ? SOON
                                                        : WELL;
}

static char *alarm_of(const struct watched *w, time_t now)
{
    static const char remedy[] = "have it renewed, then `sluice certificate rotate`";
    if (w->trouble)
        return must_print("certificate %s, which is in use, cannot be read: %s", w->name, w->trouble);
    if (w->ends <= now)
        return must_print("certificate %s, which is in use, has expired; %s", w->name, remedy);
    return must_print("certificate %s, which is in use, expires in %ld days; %s", w->name,
                      (long)((w->ends - now) / DAY), remedy);
}

/* When it becomes worse, and every day in the last week. */
static void say(struct certificates *cs, const struct watched *w, time_t now)
{
    enum urgency u = urgency(w, now);
    if (u > cs->said || (u >= URGENT && now - cs->said_at >= DAY)) {
        char *line = alarm_of(w, now);
        log_line(LOG_LEVEL_WARNING, "Alarm: %s", line);
        free(line);
        cs->said_at = now;
    }
    cs->said = u;
}

void certificates_refresh(struct certificates *cs)
{
    struct words names = {0};
    const struct watched *in_use = NULL;
    forget(cs);
    store_names(cs->folder, STORE_PAIR, &names);
    for (unsigned i = 0; i < names.n; i++) {
        char *path = store_path(cs->folder, names.p[i], STORE_PAIR);
        look_at(cs, names.p[i], path, strcmp(path, used_path(cs)) == 0);
        free(path);
    }
    words_free(&names);
    for (unsigned i = 0; i < cs->n; i++)
        in_use = cs->watched[i].used ? &cs->watched[i] : in_use;
    if (!in_use && *used_path(cs)) {
        look_at(cs, used_path(cs), used_path(cs), true);
        in_use = &cs->watched[cs->n - 1];
    }
    if (in_use)
        say(cs, in_use, time(NULL));
    else
        cs->said = WELL;
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    certificates_refresh(arg);
}

struct certificates *certificates_open(struct control *c, const char *state_dir, char *error, size_t size)
{
    struct certificates *cs = must_alloc(1, sizeof *cs);
    struct timeval every = {.tv_sec = LOOK_SECONDS};
    cs->control = c;
    cs->folder = must_print("%s/certificates", state_dir);
    if (!store_open(cs->folder, error, size)) {
        certificates_close(cs);
        return NULL;
    }
    cs->timer = event_new(c->base, -1, EV_PERSIST, on_time, cs);
    event_add(cs->timer, &every);
    certificates_refresh(cs);
    return cs;
}

void certificates_close(struct certificates *cs)
{
    if (!cs)
        return;
    if (cs->timer)
        event_free(cs->timer);
    forget(cs);
    free(cs->folder);
    free(cs);
}

/* -- telling ------------------------------------------------------------------------------------------ */

json_t *certificates_alarms(const struct certificates *cs)
{
    json_t *list = json_array();
    time_t now = time(NULL);
    for (unsigned i = 0; i < cs->n; i++)
        if (cs->watched[i].used && urgency(&cs->watched[i], now) != WELL) {
            char *line = alarm_of(&cs->watched[i], now);
            json_array_append_new(list, safe_string(line));
            free(line);
        }
    return list;
}

static void gauge(struct text *out, const struct certificates *cs, const char *name, const char *help,
                  time_t since, long unit)
{
    bool first = true;
    for (unsigned i = 0; i < cs->n; i++) {
        const struct watched *w = &cs->watched[i];
        if (w->trouble)
            continue;
        if (first)
            metrics_head(out, name, "gauge", help);
        first = false;
        text_printf(out, "%s{certificate=\"", name);
        metrics_label(out, w->name);
        text_printf(out, "\",used=\"%s\"} %.15g\n", w->used ? "yes" : "no",
                    (double)(w->ends - since) / (double)unit);
    }
}

void certificates_metrics(struct text *out, const struct certificates *cs)
{
    gauge(out, cs, "sluice_certificate_not_after_seconds", "When a certificate ends, in Unix time", 0, 1);
    gauge(out, cs, "sluice_certificate_days_left", "Days until a certificate ends", time(NULL), DAY);
}
