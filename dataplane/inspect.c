/* inspect.c: the operations by name, and a job's visits. */
#include "inspect.h"

#include "inspect_ops.h"
#include "job.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    inspect_fn *fn;
} operations[] = {
    {"workers", inspect_workers},       {"connections", inspect_connections},
    {"connection", inspect_connection}, {"neighbors", inspect_neighbors},
    {"routes", inspect_routes},         {"addresses", inspect_addresses},
    {"ping-start", inspect_ping_start}, {"ping-next", inspect_ping_next},
    {"filters", inspect_filters},       {"hotkeys", inspect_hotkeys},
    {"bigkeys", inspect_bigkeys},
};

static inspect_fn *find(int argc, const struct slice *argv)
{
    for (size_t i = 0; argc && i < sizeof operations / sizeof operations[0]; i++)
        if (slice_eq(argv[0], slice_str(operations[i].name)))
            return operations[i].fn;
    return NULL;
}

struct job *inspect_job(unsigned home, int argc, const struct slice *argv, const char **error)
{
    struct client nobody;
    client_init(&nobody, 0, 0);
    inspect_fn *fn = find(argc, argv);
    struct job *j = fn ? job_new(JOB_INSPECT, home, &nobody, argc, argv) : NULL;
    struct inspection *i = j ? calloc(1, sizeof *i) : NULL;
    if (!i) {
        *error = fn ? "ERR out of memory" : "ERR unknown inspection";
        job_free(j);
        return NULL;
    }
    i->fn = fn;
    j->inspection = i;
    j->reply_max = INSPECT_REPLY_MAX;
    return j;
}

enum verdict inspect_visit(struct job *j, struct worker *w, unsigned workers)
{
    struct inspection *i = j->inspection;
    struct visit *v = &i->visit;
    v->worker = w;
    v->argc = j->rq.argc;
    v->argv = j->argv;
    v->first = w->id == 0;
    v->last = w->id + 1 == workers;
    v->out = job_write_begin(j);
    enum verdict verdict = i->fn(v);
    job_write_end(j);
    if (v->error || j->out.failed)
        verdict = VISIT_ENOUGH;
    if (verdict == VISIT_DONE || verdict == VISIT_ENOUGH)
        v->cursor = 0;
    return verdict;
}

void inspect_finish(struct job *j)
{
    const char *error = j->inspection->visit.error;
    char head[128];
    if (j->out.failed)
        error = "ERR the reply is too large; ask for less";
    if (error) {
        int n = snprintf(head, sizeof head, "-%s\r\n", error);
        job_set_reply(j, (struct slice){(const uint8_t *)head, (size_t)n});
        return;
    }
    int n = snprintf(head, sizeof head, "$%zu\r\n", j->reply_len);
    job_wrap(j, (struct slice){(const uint8_t *)head, (size_t)n}, SLICE_LIT("\r\n"));
}
