/* test_rules.c: what flow rules a NIC is asked for, and that it is all of them or none. DPDK's functions are here. */
#include "drivers/internal.h"
#include "unit.h"

#include <rte_flow.h>

enum { WORKERS = 4, VIEW = 7000 };

static struct {
    unsigned rules, flushed, refuse; /* refuse: the rule of this number, from 1 on; 0 = none */
    struct {
        enum rte_flow_item_type ip;
        uint16_t port, queue;
    } rule[2 * WORKERS];
} nic;

int rte_flow_validate(uint16_t id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
                      const struct rte_flow_action actions[], struct rte_flow_error *error)
{
    (void)pattern, (void)actions, (void)error;
    CU_ASSERT_EQUAL(id, 5);
    CU_ASSERT(attr->ingress && !attr->egress && !attr->transfer);
    return nic.rules + 1 == nic.refuse ? -1 : 0;
}

struct rte_flow *rte_flow_create(uint16_t id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
                                 const struct rte_flow_action actions[], struct rte_flow_error *error)
{
    (void)id, (void)attr, (void)error;
    const struct rte_flow_item_tcp *spec = pattern[2].spec, *mask = pattern[2].mask;
    const struct rte_flow_action_queue *queue = actions[0].conf;
    CU_ASSERT(pattern[0].type == RTE_FLOW_ITEM_TYPE_ETH && pattern[2].type == RTE_FLOW_ITEM_TYPE_TCP &&
              pattern[3].type == RTE_FLOW_ITEM_TYPE_END);
    CU_ASSERT(actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE && actions[1].type == RTE_FLOW_ACTION_TYPE_END);
    CU_ASSERT(mask->hdr.dst_port == UINT16_MAX && mask->hdr.src_port == 0);
    CU_ASSERT_FATAL(nic.rules < 2 * WORKERS);
    nic.rule[nic.rules].ip = pattern[1].type;
    nic.rule[nic.rules].port = rte_be_to_cpu_16(spec->hdr.dst_port);
    nic.rule[nic.rules].queue = queue->index;
    nic.rules++;
    return (struct rte_flow *)&nic;
}

int rte_flow_flush(uint16_t id, struct rte_flow_error *error)
{
    (void)error;
    CU_ASSERT_EQUAL(id, 5);
    nic.rules = 0;
    nic.flushed++;
    return 0;
}

static bool place(unsigned refuse)
{
    const struct port p = {.id = 5, .workers = WORKERS};
    const struct config conf = {.cluster_view_port = VIEW};
    memset(&nic, 0, sizeof nic);
    nic.refuse = refuse;
    return rules_place(&p, &conf);
}

static void test_each_worker_gets_its_port_of_both_families(void)
{
    CU_ASSERT(place(0));
    CU_ASSERT_EQUAL(nic.rules, 2 * WORKERS);
    for (unsigned i = 0; i < 2 * WORKERS; i++) {
        CU_ASSERT_EQUAL(nic.rule[i].ip, i % 2 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4);
        CU_ASSERT_EQUAL(nic.rule[i].port, VIEW + i / 2);
        CU_ASSERT_EQUAL(nic.rule[i].queue, i / 2);
    }
    CU_ASSERT_EQUAL(nic.flushed, 0);
}

static void test_a_rule_that_is_refused_takes_the_others_with_it(void)
{
    for (unsigned refuse = 1; refuse <= 2 * WORKERS; refuse++) {
        CU_ASSERT_FALSE(place(refuse));
        CU_ASSERT_EQUAL(nic.rules, 0);
        CU_ASSERT_EQUAL(nic.flushed, 1);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_each_worker_gets_its_port_of_both_families),
                                             UNIT(test_a_rule_that_is_refused_takes_the_others_with_it),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "drivers/rules", tests);
}
