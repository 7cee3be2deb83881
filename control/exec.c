/* exec.c: pending EXECs and their replies, put together from parts. */
#include "control/exec.h"
#include "control/text.h"

#include <stdlib.h>
#include <unistd.h>

enum { EXEC_REPLY_MAX = 64 << 20 };

struct exec {
    uint64_t id;
    struct text resp;
    exec_done *done;
    void *ctx;
    struct event *timer;
    struct execs *all;
    struct exec *next;
};

struct execs {
    struct event_base *base;
    struct link *link;
    uint64_t last_id;
    struct exec *first;
};

struct execs *execs_new(struct event_base *base, struct link *link)
{
    struct execs *x = must_alloc(1, sizeof *x);
    x->base = base;
    x->link = link;
    /* A dataplane may still answer what an earlier control has asked: ids of two controls must not meet. */
    x->last_id = (uint64_t)getpid() << 32;
    return x;
}

static void finish(struct exec *e, const char *error)
{
    for (struct exec **at = &e->all->first; *at; at = &(*at)->next)
        if (*at == e) {
            *at = e->next;
            break;
        }
    e->done(e->ctx, error ? NULL : text_str(&e->resp), e->resp.len, error);
    event_free(e->timer);
    text_free(&e->resp);
    free(e);
}

void execs_detached(struct execs *x)
{
    while (x->first)
        finish(x->first, "the dataplane went away");
}

void execs_free(struct execs *x)
{
    if (x)
        execs_detached(x);
    free(x);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    finish(arg, "the dataplane did not answer in time");
}

void exec_run(struct execs *x, int argc, const char *const *argv, exec_done *done, void *ctx)
{
    exec_run_for(x, EXEC_SECONDS, argc, argv, done, ctx);
}

void exec_run_for(struct execs *x, unsigned seconds, int argc, const char *const *argv, exec_done *done, void *ctx)
{
    struct timeval wait = {.tv_sec = seconds};
    uint64_t id = ++x->last_id;
    if (!link_exec(x->link, id, argc, argv)) {
        done(ctx, NULL, 0, "the dataplane is not running");
        return;
    }
    struct exec *e = must_alloc(1, sizeof *e);
    *e = (struct exec){.id = id, .done = done, .ctx = ctx, .all = x, .next = x->first};
    e->timer = evtimer_new(x->base, on_timeout, e);
    evtimer_add(e->timer, &wait);
    x->first = e;
}

void exec_part(struct execs *x, uint64_t id, bool last, const char *bytes, size_t len)
{
    struct exec *e = x->first;
    while (e && e->id != id)
        e = e->next;
    if (!e)
        return; /* given up already, or asked by an earlier control */
    if (e->resp.len + len > EXEC_REPLY_MAX) {
        finish(e, "the reply is too large");
        return;
    }
    text_add_n(&e->resp, bytes, len);
    if (last)
        finish(e, NULL);
}
