/* place.c: the plan of this machine for a configuration (board/plan.h): made before EAL starts. */
#include "drivers/internal.h"

#include <stdlib.h>

#include <rte_mbuf.h>

void wish_of(const struct config *conf, struct plan_wish *w)
{
    *w = (struct plan_wish){.workers = conf->workers,
                            .cross = (enum plan_cross)conf->cross_node,
                            .hugepages = conf->hugepages,
                            .busy = conf->idle_policy == IDLE_BUSY,
                            .pci = conf->link_type == LINK_PCI,
                            .device = "",
                            .arena = conf->arena_size,
                            .mtu = conf->link_mtu,
                            .mbufs = conf->mbuf_count,
                            .maxclients = conf->maxclients};
    if (conf->link_type == LINK_PCI || conf->link_type == LINK_AF_PACKET)
        w->device = conf->link_name;
    for (unsigned i = 0; i < PLAN_WORKERS && i < CONFIG_WORKERS; i++)
        w->core[i] = conf->worker_core[i];
}

bool port_plan(const struct config *conf, uint64_t kept, struct board_plan *plan, char *error, size_t size)
{
    struct topology *t = malloc(sizeof *t);
    struct tree tree = tree_files("");
    struct plan_wish w;
    if (!t)
        return fail(error, size, "no memory to look at the machine");
    bool ok = topology_read(t, &tree, error, size);
    if (ok) {
        wish_of(conf, &w);
        w.kept = kept;
        topology_allowed(t, &w.allowed);
        ok = plan_make(plan, t, &w, error, size);
    }
    free(t);
    return ok;
}
