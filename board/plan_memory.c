/* plan_memory.c: which node gives which memory, and whether it has it. */
#include "board/plan.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    MB = 1 << 20,
    CACHE_LINE = 64,
    BUFFER_HEAD = 128 + 128, /* DPDK's description of a buffer, and room in front of the frame */
    SMALL_PAGE = 4096,
    PACKETS_LEAST = 2048,
    PACKETS_MOST = 1 << 18
};

unsigned plan_frame_room(unsigned mtu)
{
    /* Ethernet with tag and FCS, and what af_packet puts in front of a frame; eight slots are whole pages. */
    enum { LEAST = 2048, STEP = 512, IN_FRONT = 128, ETHERNET = 22 };
    unsigned room = (mtu + ETHERNET + IN_FRONT + STEP - 1) / STEP * STEP;
    return room < LEAST ? LEAST : room;
}

unsigned plan_packets(const struct plan_wish *w)
{
    unsigned n = w->mbufs;
    if (n == 0)
        n = 16384 + w->maxclients / (w->workers ? w->workers : 1);
    /* A pool is filled best by one less than a power of two. */
    return n < PACKETS_LEAST ? PACKETS_LEAST - 1 : n > PACKETS_MOST ? PACKETS_MOST - 1 : n;
}

/* In ordinary memory no buffer crosses a page, as a pool knows no more than a page to be contiguous there. */
uint64_t plan_packet_bytes(const struct plan_wish *w, bool huge)
{
    uint64_t each = BUFFER_HEAD + plan_frame_room(w->mtu) + 2 * CACHE_LINE;
    if (huge)
        each += CACHE_LINE; /* spread over memory channels */
    else if (each > SMALL_PAGE)
        each = (each + SMALL_PAGE - 1) / SMALL_PAGE * SMALL_PAGE;
    else
        each = SMALL_PAGE / (SMALL_PAGE / each);
    return plan_packets(w) * each;
}

/* The node itself if it has memory, else the nearest that has. */
static int memory_near(const struct topology *t, unsigned node)
{
    unsigned best = node;
    if (!t->numa)
        return -1;
    if (t->node[node].memory)
        return (int)node;
    for (unsigned n = cpus_next(&t->nodes, 0); n < NODES_MOST; n = cpus_next(&t->nodes, n + 1))
        if (t->node[n].memory &&
            (!t->node[best].memory || t->node[node].distance[n] < t->node[node].distance[best]))
            best = n;
    return t->node[best].memory ? (int)best : -1;
}

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes + (HUGEPAGE_KB << 10) - 1) / (HUGEPAGE_KB << 10);
}

/* Every node that gives memory has the pages? Otherwise the first that has not. */
static unsigned short_node(const struct board_plan *p)
{
    unsigned n = 0;
    while (n < NODES_MOST && p->node[n].pages <= p->node[n].pages_there)
        n++;
    return n;
}

static bool sum_fits(const struct board_plan *p)
{
    uint64_t needed = 0, there = 0;
    for (unsigned n = 0; n < NODES_MOST; n++) {
        needed += p->node[n].pages;
        there += p->node[n].pages_there;
    }
    return needed <= there;
}

/* The arena's pages that are not free any more. On which nodes they are is not known: if it is not this one, the arena's
 * others are elsewhere as well, and what is needed beside it is free here. */
static uint64_t kept_there(const struct plan_node *n, const struct plan_wish *w)
{
    uint64_t arena = pages_of(n->arena), kept = pages_of(w->kept);
    return kept < arena ? kept : arena;
}

static void share_out(struct board_plan *p, const struct topology *t, const struct plan_wish *w)
{
    unsigned home =
        (unsigned)(t->numa && memory_near(t, (unsigned)p->home) >= 0 ? memory_near(t, (unsigned)p->home)
                                                                     : p->home);
    p->node[home].other += (uint64_t)PLAN_BASE_MB * MB;
    for (unsigned i = 0; i < p->workers; i++) {
        struct plan_worker *worker = &p->worker[i];
        worker->memory = memory_near(t, (unsigned)worker->node);
        if (t->numa && worker->memory != worker->node)
            plan_remark(p, "worker %u: node %d has no memory of its own: its memory is on node %d", i,
                        worker->node, worker->memory);
        struct plan_node *n = &p->node[worker->memory >= 0 ? worker->memory : (int)home];
        n->arena += w->arena / p->workers;
        n->packets += plan_packet_bytes(w, true);
        n->other += (uint64_t)PLAN_WORKER_MB * MB;
    }
    for (unsigned i = cpus_next(&t->nodes, 0); i < NODES_MOST; i = cpus_next(&t->nodes, i + 1)) {
        struct plan_node *n = &p->node[i];
        n->pages = pages_of(n->arena) + pages_of(n->packets + n->other);
        n->pages_there = w->running ? t->node[i].pages : t->node[i].pages_free + kept_there(n, w);
        if (t->node[i].memory_mb && (n->arena + n->packets + n->other) / MB > t->node[i].memory_mb)
            plan_remark(p, "node %u has %" PRIu64 " MB of memory, %" PRIu64 " MB are wanted there", i,
                        t->node[i].memory_mb, (n->arena + n->packets + n->other) / MB);
    }
}

/* Hugepages that are not where they are needed: an error when they must be used, else ordinary memory. */
bool plan_memory(struct board_plan *p, const struct topology *t, const struct plan_wish *w, char *error,
                 size_t size)
{
    p->packets = plan_packets(w);
    share_out(p, t, w);
    if (w->hugepages == 0)
        return true;
    unsigned n = short_node(p);
    bool nodes = cpus_count(&t->nodes) > 1;
    /* With one node, whoever takes pages finds out by itself: what is known here is in part an estimate. */
    p->huge = n == NODES_MOST || !nodes || (w->cross == CROSS_YES && sum_fits(p));
    if (n == NODES_MOST)
        return true;
    const struct plan_node *node = &p->node[n];
    char where[32] = "";
    if (nodes)
        snprintf(where, sizeof where, "node %u has ", n);
    if (p->huge && nodes) {
        plan_remark(p,
                    "%s%" PRIu64 " of the %" PRIu64 " hugepages it needs: the rest is taken from other nodes",
                    where, node->pages_there, node->pages);
    } else if (w->hugepages < 0) {
        plan_remark(p,
                    "hugepages: %s%" PRIu64 " of the %" PRIu64 " of 2 MB that are needed: %s ordinary memory",
                    where, node->pages_there, node->pages, nodes ? "the box lies in" : "the rest lies in");
    } else if (nodes) {
        snprintf(error, size,
                 "hugepages yes: node %u has %" PRIu64 " free of %" PRIu64 " needed; write %" PRIu64
                 " to /sys/devices/system/node/node%u/hugepages/hugepages-2048kB/nr_hugepages, or say "
                 "hugepages auto%s",
                 n, node->pages_there, node->pages, t->node[n].pages + node->pages - node->pages_there, n,
                 sum_fits(p) ? " or cross-node yes" : "");
        return false;
    }
    return true;
}
