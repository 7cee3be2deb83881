/* rules.c: flow rules of a NIC: TCP to a worker's own local port (the cluster view) goes to that worker's
 * queue. https://doc.dpdk.org/guides-22.11/prog_guide/rte_flow.html */
#include "drivers/internal.h"

#include <rte_flow.h>

static bool rule(const struct port *p, enum rte_flow_item_type ip, uint16_t tcp_port, uint16_t queue)
{
    const struct rte_flow_attr in = {.ingress = 1};
    const struct rte_flow_item_tcp spec = {.hdr.dst_port = rte_cpu_to_be_16(tcp_port)},
                                   mask = {.hdr.dst_port = UINT16_MAX};
    const struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
                                            {.type = ip},
                                            {.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &spec, .mask = &mask},
                                            {.type = RTE_FLOW_ITEM_TYPE_END}};
    const struct rte_flow_action_queue to = {.index = queue};
    const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
                                              {.type = RTE_FLOW_ACTION_TYPE_END}};
    struct rte_flow_error error;
    return rte_flow_validate(p->id, &in, pattern, actions, &error) == 0 &&
           rte_flow_create(p->id, &in, pattern, actions, &error);
}

bool rules_place(const struct port *p, const struct config *conf)
{
    bool all = true;
    for (uint16_t i = 0; i < p->workers && all; i++) {
        uint16_t tcp_port = (uint16_t)(conf->cluster_view_port + i);
        all = rule(p, RTE_FLOW_ITEM_TYPE_IPV4, tcp_port, i) && rule(p, RTE_FLOW_ITEM_TYPE_IPV6, tcp_port, i);
    }
    struct rte_flow_error error;
    if (!all) /* those of some workers alone are of no use: steer.c does it for all */
        rte_flow_flush(p->id, &error);
    return all;
}
