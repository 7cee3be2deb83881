/* plan_test.c: where workers and memory go on machines of all shapes, and what is refused. */
#include "machine.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct topology t;
static struct board_plan p;
static struct plan_wish w;
static char error[512];

#define NIC "0000:81:00.0"

/* What most tests ask for: so many workers for the NIC. */
static void wish(unsigned workers)
{
    w = (struct plan_wish){.workers = workers,
                           .hugepages = -1,
                           .device = "",
                           .arena = 1ULL << 30,
                           .mtu = 1500,
                           .maxclients = 10000};
    for (unsigned i = 0; i < PLAN_WORKERS; i++)
        w.core[i] = -1;
}

/* Takes the machine. */
static void look(struct machine *m)
{
    struct tree tree = machine_tree(m);
    CU_ASSERT_FATAL(topology_read(&t, &tree, error, sizeof error));
    machine_free(m);
    w.allowed = t.online;
}

static bool make(void)
{
    *error = 0;
    bool ok = plan_make(&p, &t, &w, error, sizeof error);
    CU_ASSERT_EQUAL(ok, *error == 0);
    return ok;
}

static const char *list(const struct cpus *set)
{
    static char text[4096];
    return cpus_print(set, text, sizeof text);
}

/* The plan is refused with these words in the line. */
static void refused(const char *words)
{
    CU_ASSERT_FALSE(make());
    if (!strstr(error, words))
        printf("# %s\n", error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, words));
}

static void workers_on(const char *cpus)
{
    CU_ASSERT(make());
    if (*error)
        printf("# %s\n", error);
    CU_ASSERT_STRING_EQUAL(list(&p.cpus), cpus);
}

static bool remarked(const char *words)
{
    for (unsigned i = 0; i < p.remarks; i++)
        if (strstr(p.remark[i], words))
            return true;
    return false;
}

static const char *argument(const char *name)
{
    static char line[300];
    for (unsigned i = 0; i < p.arguments; i++)
        if (strncmp(p.argument[i].text, name, strlen(name)) == 0) {
            snprintf(line, sizeof line, "%s %d", p.argument[i].text, p.argument[i].state);
            return line;
        }
    return "";
}

static void two_sockets(int nic)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 8, 2, 65536, 4096});
    machine_nic(m, NIC, "ens1", nic);
    look(m);
    w.device = NIC;
}

static void test_two_cores_as_a_development_machine_has(void)
{
    wish(1);
    look(machine_new(&(struct shape){1, 1, 2, 1, 4096, 0}));
    workers_on("1");
    CU_ASSERT_STRING_EQUAL(list(&p.housekeeping), "0");
    w.workers = 2;
    workers_on("0-1");
    CU_ASSERT(p.worker[0].cpu == 0 && p.worker[1].cpu == 1);
    CU_ASSERT_STRING_EQUAL(list(&p.housekeeping), "0-1"); /* shared, as there is no other */
    w.workers = 4;
    workers_on("0-1");
    CU_ASSERT(p.worker[2].cpu == 0 && p.worker[3].cpu == 1 && remarked("worker 3 shares CPU 1"));
    CU_ASSERT_STRING_EQUAL(argument("isolcpus"), "");
    CU_ASSERT(remarked("workers have all cores"));
}

static void test_a_core_each_before_siblings_and_the_first_core_last(void)
{
    wish(8);
    look(machine_new(&(struct shape){1, 1, 16, 2, 65536, 4096}));
    workers_on("8-15");
    CU_ASSERT_STRING_EQUAL(list(&p.idle), "24-31");
    CU_ASSERT_STRING_EQUAL(list(&p.housekeeping), "0-7,16-23");
    CU_ASSERT_EQUAL(p.most, 15);
    w.workers = 15;
    workers_on("1-15");
    w.workers = 17;
    workers_on("0-15,31");
    CU_ASSERT(remarked("CPUs 15 and 31 are one core"));
}

static void test_workers_and_memory_are_on_the_node_of_the_nic(void)
{
    wish(4);
    two_sockets(1);
    workers_on("12-15");
    CU_ASSERT(p.home == 1 && p.home_told && p.remarks == 0);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT(p.worker[i].node == 1 && p.worker[i].memory == 1);
    CU_ASSERT(p.node[0].pages == 0 && p.node[1].arena == 1ULL << 30 && p.node[1].pages > 512);
    two_sockets(0);
    workers_on("4-7");
    CU_ASSERT_EQUAL(p.node[1].pages, 0);
    w.device = "ens1"; /* by the name of its interface */
    workers_on("4-7");
}

static void test_without_a_nic_all_are_on_one_node(void)
{
    wish(4);
    two_sockets(0);
    w.device = "";
    workers_on("12-15"); /* the system lives on node 0 */
    w.core[0] = 3;
    workers_on("3,5-7");
    w.core[0] = -1;
    two_sockets(-1);
    workers_on("12-15");
    CU_ASSERT(remarked("firmware does not say"));
}

static void test_more_workers_than_the_node_has_are_refused_unless_asked(void)
{
    wish(20);
    two_sockets(1);
    refused("workers 20: node 1, where 0000:81:00.0 is, has 16 CPUs for workers; say workers 16, or "
            "cross-node yes");
    w.cross = CROSS_SOCKET; /* the other node is another socket */
    refused("cross-node yes");
    w.cross = CROSS_YES;
    workers_on("4-15,24-31");
    CU_ASSERT(remarked("is on node 0, not on node 1 with 0000:81:00.0 (distance 21)"));
    CU_ASSERT(p.node[0].arena && p.node[1].arena == 4 * p.node[0].arena);
}

static void test_named_cores_are_checked(void)
{
    wish(2);
    two_sockets(1);
    w.core[0] = 9;
    workers_on("9,15");
    w.core[1] = 3;
    refused(
        "worker-cores: core 3 of worker 1 is on node 0, but 0000:81:00.0 is on node 1; name cores of node 1 "
        "(8-15,24-31), or say cross-node yes");
    w.cross = CROSS_YES;
    workers_on("3,9");
    w.core[1] = 32;
    refused("core 32 does not exist or is not ours to use");
    cpus_remove(&w.allowed, 9);
    refused("worker 0: core 9 does not exist or is not ours to use");
}

static void test_parts_of_a_socket(void)
{
    wish(6);
    struct machine *m = machine_new(&(struct shape){2, 2, 4, 1, 16384, 4096});
    machine_nic(m, NIC, "", 3);
    look(m);
    w.device = NIC;
    refused("has 4 CPUs for workers; say workers 4, or cross-node socket");
    w.cross = CROSS_SOCKET;
    workers_on("10-15");
    CU_ASSERT(remarked("worker 0 is on node 2, not on node 3 with 0000:81:00.0 (distance 12)"));
    w.workers = 9;
    refused("has 8 CPUs for workers; say workers 8, or cross-node yes");
    w.core[0] = 8; /* node 2 */
    w.workers = 1;
    w.cross = CROSS_NO;
    refused("cross-node socket");
}

static void test_isolated_cpus_are_taken_first(void)
{
    struct machine *m = machine_new(&(struct shape){1, 1, 8, 2, 65536, 4096});
    wish(3);
    machine_set(m, "sys/devices/system/cpu/isolated", "2-3,10-11\n");
    look(m);
    workers_on("2-3,11"); /* also a sibling: they were set apart for us */
    CU_ASSERT(p.worker[0].isolated);
    CU_ASSERT_STRING_EQUAL(list(&p.housekeeping), "0-1,4-9,12-15");
    cpus_parse(&w.allowed, "0-1,4-9,12-15"); /* the kernel gives us none of them */
    workers_on("5-7");
}

static void test_hugepages_that_are_not_on_the_node(void)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 8, 1, 65536, 4096});
    wish(2);
    machine_nic(m, NIC, "", 1);
    machine_set(m, "sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "100\n");
    machine_set(m, "sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "40\n");
    look(m);
    w.device = NIC;
    w.hugepages = 1;
    refused("hugepages yes: node 1 has 40 free of");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        error, "node1/hugepages/hugepages-2048kB/nr_hugepages, or say hugepages auto or cross-node yes"));
    w.hugepages = -1;
    workers_on("14-15");
    CU_ASSERT(!p.huge && remarked("the box lies in ordinary memory"));
    w.cross = CROSS_YES;
    workers_on("14-15"); /* the CPUs stay */
    CU_ASSERT(p.huge && remarked("the rest is taken from other nodes"));
    w.hugepages = 0;
    CU_ASSERT(make() && !p.huge && p.remarks == 0);
    CU_ASSERT_STRING_EQUAL(argument("hugepagesz"), "");
}

static void test_a_running_box_holds_its_pages_itself(void)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 4, 1, 65536, 4096});
    wish(1);
    machine_set(m, "sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "0\n");
    look(m);
    CU_ASSERT(make() && p.home == 1 && !p.huge);
    w.running = true;
    CU_ASSERT(make() && p.huge && p.remarks == 0);
}

/* What a restart finds: the arena of the box before it, a part of whose pages is in use, and as many free ones as are left. */
static void test_an_arena_that_is_kept_has_its_pages(void)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 4, 1, 65536, 4096});
    wish(1);
    machine_nic(m, NIC, "", 1);
    w.device = NIC;
    look(m);
    CU_ASSERT_FATAL(make() && p.huge);
    uint64_t needed = p.node[1].pages, arena = w.arena >> 21;
    t.node[1].pages_free = needed - 3;
    CU_ASSERT(make() && !p.huge && remarked("the box lies in ordinary memory"));
    w.kept = 2ULL << 21;
    CU_ASSERT(make() && !p.huge);
    w.kept = 3ULL << 21;
    CU_ASSERT(make() && p.huge && p.remarks == 0);
    t.node[1].pages_free = needed - arena; /* all of the arena's are in use: what lies beside it is there */
    w.kept = w.arena;
    CU_ASSERT(make() && p.huge);
    t.node[1].pages_free--; /* not even if more is kept than is wanted now */
    w.kept = 2 * w.arena;
    CU_ASSERT(make() && !p.huge);
}

static void test_a_node_without_memory_has_it_from_the_nearest(void)
{
    struct machine *m = machine_new(&(struct shape){2, 2, 4, 1, 16384, 4096});
    wish(2);
    machine_nic(m, NIC, "", 1);
    machine_set(m, "sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 0 kB\n");
    look(m);
    w.device = NIC;
    workers_on("6-7");
    CU_ASSERT(p.worker[0].node == 1 && p.worker[0].memory == 0 && p.node[1].pages == 0);
    CU_ASSERT(remarked("node 1 has no memory of its own: its memory is on node 0"));
    w.device = "";
    workers_on("14-15"); /* free to choose, it is avoided */
}

static void test_without_nodes_memory_is_anywhere(void)
{
    wish(2);
    look(machine_new(&(struct shape){1, 1, 4, 1, 4096, 1024, .flat = true}));
    workers_on("2-3");
    CU_ASSERT(p.worker[0].memory == -1 && p.huge && !p.home_told);
    CU_ASSERT_STRING_EQUAL(argument("hugepagesz"), "hugepagesz=2M hugepages=599 1");
}

static void test_what_the_kernel_should_be_told(void)
{
    wish(2);
    two_sockets(1);
    w.pci = true;
    CU_ASSERT(make());
    CU_ASSERT_STRING_EQUAL(argument("isolcpus"), "isolcpus=managed_irq,domain,14-15,30-31 0");
    CU_ASSERT_STRING_EQUAL(argument("nohz_full"), "nohz_full=14-15,30-31 0");
    CU_ASSERT_STRING_EQUAL(argument("rcu_nocbs"), "rcu_nocbs=14-15,30-31 0");
    CU_ASSERT_STRING_EQUAL(argument("irqaffinity"), "irqaffinity=0-13,16-29 0");
    CU_ASSERT_STRING_EQUAL(argument("intel_iommu"), "intel_iommu=on 0");
    CU_ASSERT_STRING_EQUAL(argument("hugepagesz"), "hugepagesz=2M hugepages=1:599 1");

    struct machine *m = machine_new(&(struct shape){2, 1, 8, 2, 65536, 100});
    machine_nic(m, NIC, "", 1);
    machine_set(m, "sys/devices/system/cpu/isolated", "14-15,30-31\n");
    machine_set(m, "sys/class/iommu/dmar0/intel-iommu/cap", "1\n");
    machine_set(m, "proc/cmdline",
                "isolcpus=nohz,domain,14-15,30-31 rcu_nocbs=15 intel_iommu=off iommu=pt hugepages=200 -- "
                "irqaffinity=0-13,16-29\n");
    look(m);
    CU_ASSERT(make());
    CU_ASSERT_STRING_EQUAL(argument("isolcpus"), "isolcpus=managed_irq,domain,14-15,30-31 1"); /* in effect */
    CU_ASSERT_STRING_EQUAL(argument("rcu_nocbs"), "rcu_nocbs=14-15,30-31 2");
    CU_ASSERT_STRING_EQUAL(argument("irqaffinity"), "irqaffinity=0-13,16-29 0"); /* that was init's */
    CU_ASSERT_STRING_EQUAL(argument("iommu"), "iommu=pt 1");
    CU_ASSERT_STRING_EQUAL(argument("intel_iommu"), "intel_iommu=on 1");
    CU_ASSERT_STRING_EQUAL(argument("hugepagesz"), "hugepagesz=2M hugepages=1:599 2");
}

static uint64_t seed = 1;
static unsigned dice(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % n;
}

/* What holds for any machine and any wish that is met. */
static void sound(void)
{
    bool others = false; /* a CPU near enough that no worker has */
    for (unsigned c = cpus_next(&t.online, 0); c < CPUS_MOST; c = cpus_next(&t.online, c + 1))
        others |= cpus_has(&w.allowed, c) && t.cpu[c].node == p.home && !cpus_has(&p.cpus, c);
    for (unsigned i = 0; i < p.workers; i++) {
        const struct plan_worker *one = &p.worker[i];
        CU_ASSERT(cpus_has(&w.allowed, (unsigned)one->cpu) && cpus_has(&t.online, (unsigned)one->cpu));
        CU_ASSERT(one->node == t.cpu[one->cpu].node && (w.core[i] < 0 || w.core[i] == one->cpu));
        CU_ASSERT(w.cross == CROSS_YES || one->node == p.home ||
                  (w.cross == CROSS_SOCKET && t.node[one->node].package == t.node[p.home].package));
        for (unsigned k = 0; k < i && others; k++)
            CU_ASSERT(p.worker[k].cpu != one->cpu || w.core[i] == one->cpu);
    }
    CU_ASSERT(cpus_count(&p.housekeeping));
    CU_ASSERT(p.most && p.arguments <= PLAN_ARGUMENTS);
}

static void test_any_machine(void)
{
    unsigned met = 0;
    for (unsigned round = 0; round < 600; round++) {
        struct shape s = {1 + dice(4),    1 + dice(3), 1 + dice(6),         1 + dice(2),
                          1 + dice(9000), dice(3000),  .flat = dice(8) == 0};
        struct machine *m = machine_new(&s);
        unsigned nodes = s.sockets * s.nodes, cpus = nodes * s.cores * s.threads;
        wish(1 + dice(dice(2) ? 4 : PLAN_WORKERS));
        machine_nic(m, NIC, "", (int)dice(nodes + 1) - 1);
        if (dice(3) == 0)
            machine_set(m, "sys/devices/system/cpu/isolated", "%u-%u\n", dice(cpus), cpus - 1);
        if (dice(3) == 0)
            machine_set(m, "sys/devices/system/cpu/online", "0-%u\n", dice(cpus));
        look(m);
        w.cross = (enum plan_cross)dice(3);
        w.hugepages = (int)dice(3) - 1;
        w.device = dice(2) ? NIC : "";
        w.pci = dice(2);
        w.busy = dice(2);
        for (unsigned i = dice(2) ? dice(w.workers) : w.workers; i < w.workers; i++)
            w.core[i] = (int)dice(cpus);
        for (unsigned i = dice(4); i; i--)
            cpus_remove(&w.allowed, dice(cpus));
        if (make()) {
            sound();
            met++;
        } else {
            CU_ASSERT(strlen(error) < sizeof error - 1 && !strchr(error, '\n'));
        }
    }
    CU_ASSERT(met > 100);
    printf("# %u of 600 were met\n", met);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_two_cores_as_a_development_machine_has),
        UNIT(test_a_core_each_before_siblings_and_the_first_core_last),
        UNIT(test_workers_and_memory_are_on_the_node_of_the_nic),
        UNIT(test_without_a_nic_all_are_on_one_node),
        UNIT(test_more_workers_than_the_node_has_are_refused_unless_asked),
        UNIT(test_named_cores_are_checked),
        UNIT(test_parts_of_a_socket),
        UNIT(test_isolated_cpus_are_taken_first),
        UNIT(test_hugepages_that_are_not_on_the_node),
        UNIT(test_an_arena_that_is_kept_has_its_pages),
        UNIT(test_a_running_box_holds_its_pages_itself),
        UNIT(test_a_node_without_memory_has_it_from_the_nearest),
        UNIT(test_without_nodes_memory_is_anywhere),
        UNIT(test_what_the_kernel_should_be_told),
        UNIT(test_any_machine),
        {NULL, NULL}};
    return unit_main(argc, argv, "board/plan", tests);
}
