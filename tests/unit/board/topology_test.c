/* topology_test.c: what a machine's files say, and what is made of files that say nothing sensible. */
#include "machine.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct topology t, other;
static char error[256];

static bool look(const struct machine *m)
{
    struct tree tree = machine_tree(m);
    return topology_read(&t, &tree, error, sizeof error);
}

static const char *list(const struct cpus *set)
{
    static char text[4096];
    return cpus_print(set, text, sizeof text);
}

static bool noted(const char *what)
{
    for (unsigned i = 0; i < t.notes; i++)
        if (strstr(t.note[i], what))
            return true;
    return false;
}

static void test_lists_are_read_and_written_as_the_kernel_does(void)
{
    static const char *const good[] = {"", "0", "0-3", "0-3,8", "1,3,5", "1022-1023", "63-64,127-128"};
    static const char *const bad[] = {"-",          "a",     "1-",   "3-1",    "1,,2",
                                      ",1",         "1,",    "1024", "0-1024", "1 2",
                                      "4294967296", "1-2-3", " 1",   "1\n2",   "99999999999999999999",
                                      "0x1",        "1-\n"};
    struct cpus s;
    char text[64];
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT(cpus_parse(&s, good[i]));
        CU_ASSERT_STRING_EQUAL(list(&s), good[i]);
        snprintf(text, sizeof text, "%s\n", good[i]);
        CU_ASSERT(cpus_parse(&s, text));
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_FALSE(cpus_parse(&s, bad[i]));
        CU_ASSERT_EQUAL(cpus_count(&s), 0);
    }
    CU_ASSERT(cpus_parse(&s, "0-1023"));
    CU_ASSERT_EQUAL(cpus_count(&s), 1024);
    CU_ASSERT(cpus_parse(&s, "1,3,5,7"));
    CU_ASSERT_STRING_EQUAL(cpus_print(&s, text, 4), "1,3"); /* cut, not overrun */
}

static void test_two_sockets_with_two_threads_a_core(void)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 8, 2, 65536, 512});
    machine_nic(m, "0000:81:00.1", "ens2f1", 1);
    machine_nic(m, "0000:81:00.0", "", 1);
    machine_nic(m, "0000:01:00.0", "eno1", -1);
    machine_set(m, "sys/bus/pci/devices/0000:00:1f.2/class", "0x010601\n"); /* a disk controller */
    CU_ASSERT(look(m));
    CU_ASSERT(t.numa && cpus_count(&t.nodes) == 2 && cpus_count(&t.online) == 32);
    CU_ASSERT_STRING_EQUAL(list(&t.node[1].cpus), "8-15,24-31");
    CU_ASSERT(t.cpu[24].node == 1 && t.cpu[24].package == 1 && t.cpu[24].core == 8 && t.cpu[24].sibling == 1);
    CU_ASSERT(t.cpu[3].node == 0 && t.cpu[3].core == 3 && t.cpu[3].sibling == 0);
    CU_ASSERT(t.node[0].distance[1] == 21 && t.node[1].distance[1] == 10);
    CU_ASSERT(t.node[1].memory_mb == 65536 && t.node[1].pages == 512 && t.node[1].memory);
    CU_ASSERT_EQUAL(t.nics, 3);
    CU_ASSERT_STRING_EQUAL(t.nic[0].address, "0000:01:00.0");
    CU_ASSERT_EQUAL(t.nic[0].node, -1);
    CU_ASSERT(topology_nic(&t, "ens2f1") == &t.nic[2] && topology_nic(&t, "0000:81:00.0") == &t.nic[1]);
    CU_ASSERT(topology_nic(&t, "") == NULL && topology_nic(&t, "eth9") == NULL);
    CU_ASSERT_STRING_EQUAL(t.nic[1].driver, "vfio-pci");
    CU_ASSERT(t.intel && !t.iommu && t.hugepage_kb == 2048 && t.notes == 0);
    machine_free(m);
}

static void test_a_kernel_without_nodes_is_one_node(void)
{
    struct machine *m = machine_new(&(struct shape){1, 1, 4, 1, 4096, 64, .flat = true});
    CU_ASSERT(look(m));
    CU_ASSERT(!t.numa && cpus_count(&t.nodes) == 1);
    CU_ASSERT_STRING_EQUAL(list(&t.node[0].cpus), "0-3");
    CU_ASSERT(t.node[0].memory_mb == 4096 && t.node[0].pages == 64 && t.notes == 0);
    machine_free(m);
}

static void test_cpus_that_are_off_are_not_there(void)
{
    struct machine *m = machine_new(&(struct shape){1, 1, 4, 2, 4096, 0});
    machine_set(m, "sys/devices/system/cpu/online", "0,2-3,5-7\n"); /* 1 and 4 are off */
    machine_set(m, "sys/devices/system/cpu/isolated", "2-3,6\n");
    CU_ASSERT(look(m));
    CU_ASSERT_STRING_EQUAL(list(&t.node[0].cpus), "0,2-3,5-7");
    CU_ASSERT(t.cpu[5].core == 5 && t.cpu[5].sibling == 0); /* its sibling is off */
    CU_ASSERT(t.cpu[6].core == 2 && t.cpu[6].sibling == 1);
    CU_ASSERT_STRING_EQUAL(list(&t.isolated), "2-3,6");
    machine_free(m);
}

static void test_an_interface_of_virtio_is_found_one_level_up(void)
{
    struct machine *m = machine_new(&(struct shape){1, 1, 2, 1, 1024, 0});
    machine_nic(m, "0000:00:03.0", "", 0);
    machine_set(m, "sys/class/net/eth0/device/uevent", "DRIVER=virtio_net\nMODALIAS=virtio:d1v1AF4\n");
    machine_set(m, "sys/class/net/eth0/device/../uevent", "DRIVER=virtio-pci\nPCI_SLOT_NAME=0000:00:03.0\n");
    machine_set(m, "sys/class/net/lo/carrier", "1\n");
    CU_ASSERT(look(m));
    CU_ASSERT(topology_nic(&t, "eth0") == &t.nic[0]);
    machine_free(m);
}

static void test_what_makes_no_sense_is_noted_and_unknown(void)
{
    struct machine *m = machine_new(&(struct shape){2, 1, 4, 1, 1024, 16});
    machine_set(m, "sys/devices/system/node/node1/cpulist", "4-x\n");
    machine_set(m, "sys/devices/system/cpu/isolated", "all of them\n");
    machine_set(m, "sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0-1\n"); /* not itself */
    machine_set(m, "sys/devices/system/cpu/cpu3/topology/physical_package_id", "-1\n");
    machine_set(m, "sys/devices/system/node/node0/meminfo", "MemTotal: lots\n");
    machine_set(m, "sys/devices/system/node/node0/distance", "10 ten\n");
    machine_set(m, "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "-5\n");
    machine_set(m, "sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "99999999\n");
    machine_nic(m, "0000:81:00.0", "", 7); /* no such node */
    CU_ASSERT(look(m));
    CU_ASSERT(noted("node1/cpulist") && noted("cpu/isolated") && noted("cpu2") &&
              noted("4 CPUs belong to no node"));
    CU_ASSERT_STRING_EQUAL(list(&t.node[0].cpus), "0-7");
    CU_ASSERT(t.cpu[2].core == 2 && t.cpu[3].package == -1);
    CU_ASSERT(t.node[0].memory && t.node[0].memory_mb == 0 && t.node[0].pages == 0 &&
              t.node[0].distance[1] == 255);
    CU_ASSERT_EQUAL(t.node[1].pages_free, 16); /* never more than there are */
    CU_ASSERT_EQUAL(t.nic[0].node, -1);
    machine_free(m);
}

static void test_without_cpus_there_is_no_machine(void)
{
    struct machine *m = machine_new(&(struct shape){1, 1, 2, 1, 1024, 0});
    machine_set(m, "sys/devices/system/cpu/online", "\n");
    CU_ASSERT_FALSE(look(m));
    machine_set_bytes(m, "sys/devices/system/cpu/online", "0-1\0", 4);
    CU_ASSERT_FALSE(look(m));
    machine_drop(m, "sys/devices/system/cpu/online");
    CU_ASSERT_FALSE(look(m));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "cpu/online"));
    machine_free(m);
}

/* A folder's files say what the same files in memory say; one that is too long says nothing. */
static void test_a_folder_is_read_as_the_machine_it_came_from(void)
{
    struct machine *m = machine_new(&(struct shape){2, 2, 4, 2, 2048, 8});
    char folder[] = "/tmp/sluice_board_XXXXXX", command[64];
    machine_nic(m, "0000:81:00.0", "ens1", 2);
    machine_set(m, "sys/devices/system/node/node3/meminfo", "%9000s", "MemTotal: 1 kB");
    CU_ASSERT_FATAL(mkdtemp(folder) && machine_unpack(m, folder) && look(m));
    struct tree tree = tree_files(folder);
    CU_ASSERT(topology_read(&other, &tree, error, sizeof error));
    CU_ASSERT_EQUAL(memcmp(&t, &other, sizeof t), 0);
    CU_ASSERT(t.node[3].memory && t.node[3].memory_mb == 0);
    long n;
    CU_ASSERT(tree_number(&tree, "sys/bus/pci/devices/0000:81:00.0/numa_node", 0, 63, &n) && n == 2);
    CU_ASSERT_FALSE(tree_number(&tree, "sys/bus/pci/devices/0000:81:00.0/numa_node", 0, 1, &n));
    CU_ASSERT_FALSE(tree_number(&tree, "sys/bus/pci/devices", 0, 63, &n)); /* a folder */
    CU_ASSERT_FALSE(tree_number(&tree, "sys/none", 0, 63, &n));
    snprintf(command, sizeof command, "rm -r %s", folder);
    CU_ASSERT_EQUAL(system(command), 0);
    machine_free(m);
}

static void test_this_machine(void)
{
    struct tree tree = tree_files("");
    struct cpus allowed;
    CU_ASSERT(topology_read(&t, &tree, error, sizeof error));
    topology_allowed(&t, &allowed);
    CU_ASSERT(cpus_count(&allowed) && cpus_within(&allowed, &t.online));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_lists_are_read_and_written_as_the_kernel_does),
                                             UNIT(test_two_sockets_with_two_threads_a_core),
                                             UNIT(test_a_kernel_without_nodes_is_one_node),
                                             UNIT(test_cpus_that_are_off_are_not_there),
                                             UNIT(test_an_interface_of_virtio_is_found_one_level_up),
                                             UNIT(test_what_makes_no_sense_is_noted_and_unknown),
                                             UNIT(test_without_cpus_there_is_no_machine),
                                             UNIT(test_a_folder_is_read_as_the_machine_it_came_from),
                                             UNIT(test_this_machine),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "board/topology", tests);
}
