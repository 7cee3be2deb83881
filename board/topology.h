/* topology.h: what a machine is made of, as its kernel tells: CPUs, NUMA nodes with their memory and
 * hugepages, NICs. https://docs.kernel.org/admin-guide/cputopology.html,
 * https://docs.kernel.org/admin-guide/mm/hugetlbpage.html, Documentation/ABI/stable/sysfs-devices-node. What
 * is not told, or told in a way that makes no sense, is unknown: noted, never an error. */
#pragma once
#include "board/cpus.h"
#include "board/tree.h"

enum { NODES_MOST = 64, NICS_MOST = 64, NOTES_MOST = 16, HUGEPAGE_KB = 2048 };

struct board_cpu {
    int16_t node;    /* 0 where the machine has no nodes */
    int16_t package; /* -1 = unknown */
    int16_t core;    /* the least CPU of its core: that CPU's number and its siblings' name */
    uint8_t sibling; /* which thread of its core: 0 is the first */
};

struct board_node {
    struct cpus cpus; /* online */
    int16_t package;  /* of its first CPU, -1 = unknown */
    bool memory;      /* has some */
    uint64_t memory_mb, free_mb;
    uint64_t pages, pages_free; /* hugepages of 2 MB */
    uint8_t distance[NODES_MOST];
};

struct board_nic {
    char address[32];   /* 0000:81:00.0 */
    char interface[32]; /* "" if the kernel has none */
    char driver[32];    /* "" = none */
    char id[16];        /* 8086:1592 */
    int node;           /* -1 = unknown */
};

struct topology {
    struct cpus online, isolated, nohz_full;
    bool numa;         /* the kernel tells of nodes */
    struct cpus nodes; /* their numbers: {0} without */
    struct board_cpu cpu[CPUS_MOST];
    struct board_node node[NODES_MOST];
    unsigned nics;
    struct board_nic nic[NICS_MOST]; /* by address */
    unsigned long hugepage_kb;       /* the default size, 0 = none */
    bool iommu, intel;
    char cmdline[2048]; /* the kernel's, "" = unknown */
    unsigned notes;
    char note[NOTES_MOST][128];
};

/* Reads all of it. False and one line in error if not even the CPUs can be told. */
bool topology_read(struct topology *t, const struct tree *tree, char *error, size_t size);

/* The CPUs that this process may run on: its affinity, and what is isolated if the kernel gives it. */
void topology_allowed(const struct topology *t, struct cpus *allowed);

/* A NIC by its PCI address or its interface's name, or NULL. */
const struct board_nic *topology_nic(const struct topology *t, const char *name);
