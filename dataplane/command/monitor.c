/* monitor.c: MONITOR (monitor.h): lines as Redis writes them. */
#include "command/monitor.h"

#include "command/command.h"
#include "command/server.h"
#include "command/slowlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIME_TEXT = 18 }; /* "+1339518083.107412": lines of one length are in the order of their times */

/* -- lines -- */

static void add_argument(struct text *t, struct slice arg)
{
    enum { CHUNK = 256 };
    char text[TEXT_QUOTED * CHUNK];
    text_add(t, SLICE_LIT(" \""));
    for (size_t i = 0; i < arg.len;) {
        size_t n = 0;
        for (size_t end = arg.len - i < CHUNK ? arg.len : i + CHUNK; i < end; i++)
            n += text_quote(text + n, arg.p[i]);
        text_add(t, (struct slice){(const uint8_t *)text, n});
    }
    text_add(t, SLICE_LIT("\""));
}

static void add_source(struct text *t, const struct client *c)
{
    char peer[ENDPOINT_TEXT];
    endpoint_format(&c->peer, peer);
    const char *who = c->flags & CLIENT_SCRIPT ? "lua" : c->flags & CLIENT_INTERNAL ? "control" : peer;
    text_addf(t, " [%u %s]", c->db, who);
}

static void add_line(struct text *t, const struct request *rq)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    text_addf(t, "+%ld.%06ld", (long)now.tv_sec, now.tv_nsec / 1000);
    add_source(t, rq->client);
    for (int i = 0; i < rq->argc; i++)
        add_argument(t, request_is_secret(rq, i) ? SLICE_LIT("(redacted)") : rq->argv[i]);
    text_add(t, SLICE_LIT("\r\n"));
}

static bool has_room(const struct monitor *m, size_t more)
{
    size_t waits = m->seen.len + atomic_load_explicit(&m->on_the_way, memory_order_relaxed);
    return waits + more <= MONITOR_ROOM;
}

void monitor_note_always(const struct request *rq)
{
    struct monitor *m = rq->env->monitor;
    size_t before = m->seen.len, least = 0;
    for (int i = 0; i < rq->argc; i++)
        least += rq->argv[i].len + 3;
    if (has_room(m, least))
        add_line(&m->seen, rq);
    if (m->seen.len == before || m->seen.failed || !has_room(m, 0)) {
        m->seen.len = before;
        m->seen.failed = false;
        count_one(rq->env->counters, COUNTER_monitor_drop_full);
    }
    *m->due = true;
}

void monitor_note(const struct request *rq)
{
    if (!(rq->cmd->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)))
        monitor_note_always(rq);
}

/* -- who monitors -- */

bool monitor_wanted(const struct monitor *m)
{
    for (unsigned i = 0; i < m->common->workers; i++)
        if (atomic_load_explicit(&m->common->of[i]->clients, memory_order_relaxed))
            return true;
    return false;
}

/* False if out of memory. */
static bool join(struct monitor *m, struct client *c)
{
    unsigned n = atomic_load_explicit(&m->clients, memory_order_relaxed);
    if (n == m->cap) {
        unsigned cap = m->cap ? 2 * m->cap : 4;
        struct client **p = realloc(m->client, cap * sizeof(struct client *));
        if (!p)
            return false;
        m->client = p;
        m->cap = cap;
    }
    m->client[n] = c;
    atomic_store_explicit(&m->clients, n + 1, memory_order_relaxed);
    c->flags |= CLIENT_MONITOR;
    return true;
}

void monitor_leave(struct monitor *m, struct client *c)
{
    unsigned n = atomic_load_explicit(&m->clients, memory_order_relaxed);
    if (!(c->flags & CLIENT_MONITOR))
        return;
    c->flags &= ~(uint32_t)CLIENT_MONITOR;
    for (unsigned i = 0; i < n; i++)
        if (m->client[i] == c) {
            memmove(&m->client[i], &m->client[i + 1], (n - i - 1) * sizeof(struct client *));
            break;
        }
    atomic_store_explicit(&m->clients, n - 1, memory_order_relaxed);
}

/* Runs with all workers stopped, where the client is. One that monitors already is told nothing, as in Redis.
 */
enum command_result monitor_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->flags & CLIENT_DENY_BLOCKING)
        reply_error(rq->out, "ERR MONITOR isn't allowed for DENY BLOCKING client");
    else if (!rq->env->monitor || c->flags & (CLIENT_INTERNAL | CLIENT_PROXY))
        reply_error(rq->out, "ERR MONITOR needs a connection");
    else if (c->flags & CLIENT_MONITOR)
        return CMD_DONE;
    else if (!join(rq->env->monitor, c))
        reply_oom(rq->out);
    else {
        rq->env->box->observe(rq->env, OBSERVE_MONITOR);
        reply_ok(rq->out);
    }
    return CMD_DONE;
}

/* -- the order of several workers -- */

static int by_time(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    int c = memcmp(*a, *b, TIME_TEXT);
    return c ? c : (*a > *b) - (*a < *b);
}

static size_t line_length(const char *line, const char *end)
{
    const char *n = memchr(line, '\n', (size_t)(end - line));
    return n ? (size_t)(n + 1 - line) : (size_t)(end - line);
}

/* Without memory they stay as they came. */
void monitor_sort(struct monitor *m)
{
    const char *p = m->came.p, *end = p + m->came.len;
    size_t n = 0;
    for (const char *at = p; at < end; at += line_length(at, end))
        n++;
    const char **line = n > 1 ? malloc(n * sizeof(char *)) : NULL;
    struct text sorted = {0};
    n = 0;
    for (const char *at = p; line && at < end; at += line_length(at, end))
        line[n++] = at;
    if (line)
        qsort(line, n, sizeof(char *), by_time);
    for (size_t i = 0; line && i < n; i++)
        text_add(&sorted, (struct slice){(const uint8_t *)line[i], line_length(line[i], end)});
    if (line && !sorted.failed) {
        free(m->came.p);
        m->came = sorted;
    } else {
        free(sorted.p);
    }
    free(line);
}

/* -- life -- */

struct monitor *monitor_new(struct monitor_common *common, struct command_env *env, bool *due)
{
    struct monitor *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    *m = (struct monitor){.common = common, .env = env, .due = due};
    common->workers = env->workers;
    common->of[env->self] = m;
    return m;
}

void monitor_free(struct monitor *m)
{
    if (!m)
        return;
    m->common->of[m->env->self] = NULL;
    free(m->seen.p);
    free(m->came.p);
    free(m->client);
    free(m);
}
