/* aof_wait.c: WAITAOF: whoever waits for what was done by now to be on the disk (aof.h). */
#include "control/aof_private.h"

#include <stdlib.h>
#include <time.h>

enum { WAIT_MS = 5 };

struct wait {
    struct wait *next, **before; /* of those who wait */
    struct aof *aof;
    struct event *timer;
    uint64_t order, until_ms; /* until_ms 0: for ever */
    bool whole_time;          /* what is waited for cannot come: replicas */
    aof_waited *done;
    void *ctx;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void end(struct wait *w, bool synced)
{
    *w->before = w->next;
    if (w->next)
        w->next->before = w->before;
    w->aof->waits--;
    w->done(w->ctx, synced);
    event_free(w->timer);
    free(w);
}

static void on_wait(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval soon = {.tv_usec = WAIT_MS * 1000};
    struct wait *w = arg;
    (void)fd, (void)what;
    bool gone = !w->aof->writer, synced = !gone && aof_writer_synced(w->aof->writer) >= w->order;
    bool over = w->until_ms && now_ms() >= w->until_ms;
    if (!gone && !over && (!synced || w->whole_time)) {
        evtimer_add(w->timer, &soon);
        return;
    }
    end(w, synced);
}

void aof_end_waits(struct aof *a)
{
    while (a->waiting)
        end(a->waiting, false);
}

bool aof_wait(struct aof *a, uint64_t ms, bool whole_time, aof_waited *done, void *ctx)
{
    if (!a->writer)
        return false;
    uint64_t order = aof_writer_order(a->writer);
    if (a->waits == AOF_WAITS) {
        done(ctx, aof_writer_synced(a->writer) >= order);
        return true;
    }
    a->waits++;
    struct wait *w = must_alloc(1, sizeof *w);
    *w = (struct wait){.aof = a, .order = order, .until_ms = ms ? now_ms() + ms : 0, .whole_time = whole_time,
                       .done = done, .ctx = ctx, .next = a->waiting, .before = &a->waiting};
    if (w->next)
        w->next->before = &w->next;
    a->waiting = w;
    w->timer = evtimer_new(a->control->base, on_wait, w);
    on_wait(-1, 0, w);
    return true;
}
