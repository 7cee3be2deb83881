/* plan.c: which worker runs on which CPU. */
#include "board/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct choice { /* what a decision looks at */
    struct board_plan *p;
    const struct topology *t;
    const struct plan_wish *w;
    struct cpus usable; /* online, and ours to use */
    char *error;
    size_t size;
};

void plan_remark(struct board_plan *p, const char *format, ...)
{
    va_list args;
    if (p->remarks == PLAN_REMARKS)
        return;
    va_start(args, format);
    vsnprintf(p->remark[p->remarks++], sizeof p->remark[0], format, args);
    va_end(args);
}

static bool refuse(struct choice *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct choice *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->error, c->size, format, args);
    va_end(args);
    return false;
}

static const char *link_words(const struct choice *c)
{
    return c->p->home_told ? c->w->device : "the first worker";
}

/* -- nodes -- */

/* Of a node: CPUs that workers could have, its isolated ones counting more than all others. */
static unsigned room_of(const struct choice *c, unsigned node)
{
    unsigned n = 0;
    for (unsigned i = cpus_next(&c->usable, 0); i < CPUS_MOST; i = cpus_next(&c->usable, i + 1))
        if ((unsigned)c->t->cpu[i].node == node)
            n += cpus_has(&c->t->isolated, i) ? CPUS_MOST : 1;
    return n;
}

/* Of a link without a NIC: the node of the first core that was named, else the roomiest with memory; the
 * last of equals, as the system lives on the first. */
static unsigned roomiest(const struct choice *c)
{
    unsigned best = cpus_next(&c->t->nodes, 0), most = 0;
    for (unsigned i = 0; i < c->w->workers; i++)
        if (c->w->core[i] >= 0)
            return (unsigned)c->t->cpu[c->w->core[i]].node;
    for (unsigned n = best; n < NODES_MOST; n = cpus_next(&c->t->nodes, n + 1)) {
        unsigned room = room_of(c, n) * 2 + (room_of(c, n) && c->t->node[n].memory);
        if (room >= most) {
            best = n;
            most = room;
        }
    }
    return best;
}

static void find_home(struct choice *c)
{
    const struct board_nic *nic = topology_nic(c->t, c->w->device);
    c->p->home_told = c->t->numa && nic && nic->node >= 0;
    c->p->home = c->p->home_told ? nic->node : (int)roomiest(c);
    if (c->w->pci && !nic)
        plan_remark(c->p, "%s: no such NIC on this machine", c->w->device);
    else if (nic && !c->p->home_told && cpus_count(&c->t->nodes) > 1)
        plan_remark(c->p, "%s: the firmware does not say on which node it is: node %d is a guess",
                    c->w->device, c->p->home);
}

/* 0: the home node, 1: another one of its socket, 2: another socket. */
static unsigned farness(const struct choice *c, int node)
{
    int package = c->t->node[c->p->home].package;
    if (node == c->p->home)
        return 0;
    return package >= 0 && c->t->node[node].package == package ? 1 : 2;
}

static bool near_enough(const struct choice *c, int node)
{
    static const unsigned most[] = {[CROSS_NO] = 0, [CROSS_SOCKET] = 1, [CROSS_YES] = 2};
    return farness(c, node) <= most[c->w->cross];
}

/* -- CPUs that were named -- */

static bool check_named(struct choice *c, unsigned worker)
{
    char list[256];
    unsigned cpu = (unsigned)c->w->core[worker];
    if (!cpus_has(&c->usable, cpu))
        return refuse(c, "worker %u: core %u does not exist or is not ours to use", worker, cpu);
    int node = c->t->cpu[cpu].node;
    if (near_enough(c, node))
        return true;
    return refuse(
        c,
        "worker-cores: core %u of worker %u is on node %d, but %s is on node %d; name cores of node "
        "%d (%s), or say cross-node %s",
        cpu, worker, node, link_words(c), c->p->home, c->p->home,
        cpus_print(&c->t->node[c->p->home].cpus, list, sizeof list),
        farness(c, node) == 1 ? "socket" : "yes");
}

/* -- CPUs that are chosen -- */

/* Smaller is better; equal for no two CPUs. */
static unsigned rank(const struct choice *c, unsigned cpu)
{
    const struct board_cpu *b = &c->t->cpu[cpu];
    unsigned first_core = (unsigned)c->t->cpu[cpus_next(&c->t->online, 0)].core;
    unsigned sibling = b->sibling < 7 ? b->sibling : 7;
    return farness(c, b->node) << 16 | !cpus_has(&c->t->isolated, cpu) << 15 | sibling << 12 |
           ((unsigned)b->core == first_core) << 11 | (CPUS_MOST - 1 - cpu);
}

static unsigned best_of(const struct choice *c, const struct cpus *left)
{
    unsigned best = CPUS_MOST;
    for (unsigned i = cpus_next(left, 0); i < CPUS_MOST; i = cpus_next(left, i + 1))
        if (near_enough(c, c->t->cpu[i].node) && (best == CPUS_MOST || rank(c, i) < rank(c, best)))
            best = i;
    return best;
}

static bool too_few(struct choice *c, unsigned there)
{
    unsigned socket = 0;
    for (unsigned i = cpus_next(&c->usable, 0); i < CPUS_MOST; i = cpus_next(&c->usable, i + 1))
        socket += farness(c, c->t->cpu[i].node) < 2;
    const char *wider = c->w->cross == CROSS_NO && socket >= c->w->workers ? "socket" : "yes";
    if (there == 0)
        return refuse(
            c, "node %d, where %s is, has no CPU that is ours to use; say cross-node %s to use other nodes",
            c->p->home, link_words(c), wider);
    return refuse(
        c,
        "workers %u: node %d, where %s is, has %u CPUs for workers; say workers %u, or cross-node %s "
        "to use other nodes as well",
        c->w->workers, c->p->home, link_words(c), there, there, wider);
}

/* The best CPUs for all workers without a named one, in ascending order; when there are not enough in the
 * whole machine, they are handed out again. */
static bool choose(struct choice *c)
{
    struct cpus left = c->usable, taken = {0};
    unsigned wanted = 0, there = 0, n = 0;
    for (unsigned i = 0; i < c->w->workers; i++) {
        if (c->w->core[i] >= 0)
            cpus_remove(&left, (unsigned)c->w->core[i]);
        wanted += c->w->core[i] < 0;
    }
    for (unsigned cpu; there < wanted && (cpu = best_of(c, &left)) < CPUS_MOST; there++) {
        cpus_add(&taken, cpu);
        cpus_remove(&left, cpu);
    }
    if (there < wanted && cpus_next(&left, 0) < CPUS_MOST)
        return too_few(c, there + c->w->workers - wanted); /* others have room */
    if (there < wanted)
        taken = c->usable;
    for (unsigned i = 0; i < c->w->workers; i++) {
        if (c->w->core[i] >= 0) {
            c->p->worker[i].cpu = c->w->core[i];
            continue;
        }
        n = cpus_next(&taken, n) < CPUS_MOST ? cpus_next(&taken, n) : cpus_next(&taken, 0);
        c->p->worker[i].cpu = (int)n++;
    }
    return true;
}

/* -- what follows -- */

/* Cores that workers may be on, without the one that the system begins with. */
static unsigned most_workers(const struct choice *c)
{
    struct cpus cores = {0};
    int first_core = c->t->cpu[cpus_next(&c->t->online, 0)].core;
    for (unsigned i = cpus_next(&c->usable, 0); i < CPUS_MOST; i = cpus_next(&c->usable, i + 1))
        if (near_enough(c, c->t->cpu[i].node) && c->t->cpu[i].core != first_core)
            cpus_add(&cores, (unsigned)c->t->cpu[i].core);
    unsigned n = cpus_count(&cores);
    return n == 0 ? 1 : n < PLAN_WORKERS ? n : PLAN_WORKERS;
}

static void describe(struct choice *c)
{
    struct board_plan *p = c->p;
    for (unsigned i = 0; i < p->workers; i++) {
        struct plan_worker *w = &p->worker[i];
        const struct board_cpu *b = &c->t->cpu[w->cpu];
        w->core = b->core;
        w->node = b->node;
        w->package = b->package;
        w->isolated = cpus_has(&c->t->isolated, (unsigned)w->cpu);
        if (cpus_has(&p->cpus, (unsigned)w->cpu))
            plan_remark(p, "worker %u shares CPU %d with another worker", i, w->cpu);
        cpus_add(&p->cpus, (unsigned)w->cpu);
        if (farness(c, w->node))
            plan_remark(p, "worker %u is on node %d, not on node %d with %s (distance %u)", i, w->node,
                        p->home, link_words(c), c->t->node[p->home].distance[w->node]);
    }
    for (unsigned i = cpus_next(&c->t->online, 0); i < CPUS_MOST; i = cpus_next(&c->t->online, i + 1)) {
        bool beside = false;
        for (unsigned k = 0; k < p->workers; k++)
            beside |= p->worker[k].core == c->t->cpu[i].core;
        if (cpus_has(&p->cpus, i)) {
            if (c->t->cpu[i].core != (int)i && cpus_has(&p->cpus, (unsigned)c->t->cpu[i].core))
                plan_remark(p, "CPUs %d and %u are one core, and workers run on both", c->t->cpu[i].core, i);
        } else if (beside) {
            cpus_add(&p->idle, i);
        } else if (cpus_has(&c->w->allowed, i) && !cpus_has(&c->t->isolated, i)) {
            cpus_add(&p->housekeeping, i);
        }
    }
    if (cpus_count(&p->housekeeping))
        return;
    p->housekeeping = c->usable;
    for (unsigned i = cpus_next(&p->cpus, 0); i < CPUS_MOST; i = cpus_next(&p->cpus, i + 1))
        cpus_remove(&p->housekeeping, i);
    if (cpus_count(&p->housekeeping) == 0)
        p->housekeeping = c->usable;
    if (c->w->busy)
        plan_remark(p, "no core is left to the system: workers that never sleep will be interrupted by it");
}

bool plan_make(struct board_plan *p, const struct topology *t, const struct plan_wish *w, char *error,
               size_t size)
{
    struct choice c = {.p = p, .t = t, .w = w, .error = error, .size = size};
    memset(p, 0, sizeof *p);
    for (unsigned i = 0; i < CPUS_MOST / 64; i++)
        c.usable.bit[i] = w->allowed.bit[i] & t->online.bit[i];
    if (w->workers == 0 || w->workers > PLAN_WORKERS || cpus_count(&c.usable) == 0)
        return refuse(&c, "workers %u: no core to run on, or not between 1 and %d", w->workers, PLAN_WORKERS);
    p->workers = w->workers;
    for (unsigned i = 0; i < w->workers; i++)
        if (w->core[i] >= 0 && !cpus_has(&c.usable, (unsigned)w->core[i]))
            return check_named(&c, i);
    find_home(&c);
    for (unsigned i = 0; i < w->workers; i++)
        if (w->core[i] >= 0 && !check_named(&c, i))
            return false;
    if (!choose(&c))
        return false;
    p->most = most_workers(&c);
    describe(&c);
    if (!plan_memory(p, t, w, error, size))
        return false;
    plan_kernel(p, t, w);
    return true;
}
