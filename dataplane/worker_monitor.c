/* worker_monitor.c: lines of MONITOR on their way to who asked for them (command/monitor.h). */
#include "worker.h"

#include "command/monitor.h"
#include "job.h"

#include <stdlib.h>

enum { KEPT = 65536 };

static void forget(struct text *t)
{
    t->len = 0;
    if (t->cap <= KEPT)
        return;
    free(t->p);
    *t = (struct text){0};
}

/* To all monitors here. */
static void show(struct worker *w, struct text *lines)
{
    struct monitor *m = w->env.monitor;
    unsigned n = atomic_load_explicit(&m->clients, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++) {
        struct session *s = worker_session_of(m->client[i]);
        struct resp_writer *out = worker_push_begin(s);
        if (!out)
            continue;
        reply_raw(out, lines->p, lines->len);
        worker_push_end(s);
    }
    forget(lines);
}

static void drop(struct worker *w, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] == '\n')
            count_one(w->counters, COUNTER_monitor_drop_full);
}

static void collect(struct worker *w, const uint8_t *p, size_t len)
{
    struct monitor *m = w->env.monitor;
    size_t before = m->came.len;
    if (before + len <= (size_t)MONITOR_ROOM * w->box->workers)
        text_add(&m->came, (struct slice){p, len});
    m->came.failed = false;
    if (m->came.len == before)
        drop(w, p, len);
}

static void send(struct worker *w, unsigned to)
{
    struct monitor *m = w->env.monitor;
    uint8_t *copy = malloc(m->seen.len);
    struct job *j = copy ? job_new_notes(JOB_LINES, w->id, to, copy, m->seen.len) : NULL;
    if (!j) {
        free(copy);
        drop(w, (const uint8_t *)m->seen.p, m->seen.len);
        return;
    }
    memcpy(copy, m->seen.p, m->seen.len);
    atomic_fetch_add(&m->on_the_way, j->notes);
    worker_send_job(w, j);
}

void worker_lines(struct worker *w, struct job *j)
{
    collect(w, j->query, j->notes);
    atomic_fetch_sub(&w->box->monitor.of[j->home]->on_the_way, j->notes);
    job_free(j);
}

void worker_show(struct worker *w)
{
    struct monitor *m = w->env.monitor;
    if (!m->seen.len)
        return;
    for (unsigned i = 0; i < w->box->workers; i++)
        if (i != w->id && atomic_load_explicit(&w->box->monitor.of[i]->clients, memory_order_relaxed))
            send(w, i);
    if (w->box->workers == 1)
        show(w, &m->seen);
    else if (atomic_load_explicit(&m->clients, memory_order_relaxed))
        collect(w, (const uint8_t *)m->seen.p, m->seen.len);
    forget(&m->seen);
}

void worker_tend_monitor(struct worker *w)
{
    struct monitor *m = w->env.monitor;
    if (m->came.len) {
        monitor_sort(m);
        show(w, &m->came);
    }
    if (!monitor_wanted(m))
        w->env.observers &= ~(unsigned)OBSERVE_MONITOR;
}
