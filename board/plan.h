/* plan.h: how the box is laid out on a machine: which worker on which CPU, whose memory on which NUMA node,
 * and what the kernel should be told at boot. A function of a topology and of what the operator wrote, and
 * nothing else: the dataplane makes it when it starts, control to show it, and both get the same.
 *
 * Workers go to the node of the NIC (without one: to one node together), one a core before two share a core,
 * isolated CPUs first, the first CPU's core last. Nodes further away only when asked: across the wire between
 * two nodes every frame, every hop and every look at memory takes half as long again or more. */
#pragma once
#include "board/topology.h"

enum { PLAN_WORKERS = 64, PLAN_REMARKS = 16, PLAN_ARGUMENTS = 8 };

enum plan_cross {
    CROSS_NO,
    CROSS_SOCKET,
    CROSS_YES
}; /* nodes beside the NIC's: none, those of its socket, all */

struct plan_wish {          /* what the operator wrote */
    unsigned workers;       /* 1 .. PLAN_WORKERS */
    int core[PLAN_WORKERS]; /* -1 = chosen here */
    enum plan_cross cross;
    int hugepages;                   /* 1 yes, 0 no, -1 if there are any */
    bool busy;                       /* workers poll for ever */
    bool pci;                        /* the device is bound to vfio-pci */
    const char *device;              /* PCI address or interface of the NIC; "" = a link without one */
    uint64_t arena;                  /* bytes */
    uint64_t kept;                   /* bytes of it that lie on hugepages already, left by the box before this one */
    unsigned mtu, mbufs, maxclients; /* mbufs 0 = chosen here */
    struct cpus allowed;             /* CPUs this process may use */
    bool running;                    /* the box runs: hugepages that are taken are its own */
};

struct plan_worker {
    int cpu, core, node, package;
    int memory; /* node of its memory, -1 = any: the machine has no nodes */
    bool isolated;
};

struct plan_node { /* memory that the box takes there, bytes */
    uint64_t arena, packets, other;
    uint64_t pages, pages_there; /* hugepages: needed, to be had */
};

enum plan_state { ARGUMENT_MISSING, ARGUMENT_SET, ARGUMENT_OTHER /* set, to something else */ };

struct plan_argument {
    char text[256];
    enum plan_state state;
};

struct board_plan {
    unsigned workers;
    struct plan_worker worker[PLAN_WORKERS];
    int home;       /* the NIC's node, or the one chosen for a link without */
    bool home_told; /* it is the NIC's */
    unsigned most;  /* workers that would have a core each where they may be, one core left to the system */
    struct cpus cpus, idle;   /* of workers; siblings of those, best left idle */
    struct cpus housekeeping; /* what is left for the system and our main thread; all if that is nothing */
    unsigned packets;         /* buffers of a worker */
    bool huge;                /* hugepages may be taken, as far as there are any */
    struct plan_node node[NODES_MOST];
    unsigned arguments;
    struct plan_argument argument[PLAN_ARGUMENTS]; /* for the kernel's command line */
    unsigned remarks;
    char remark[PLAN_REMARKS][192]; /* what is not as good as it could be */
};

/* False, and one line in error that says what to write, if the wish cannot be met as it stands. */
bool plan_make(struct board_plan *p, const struct topology *t, const struct plan_wish *w, char *error,
               size_t size);

/* -- memory, also for whoever takes it (drivers/) -- */

/* Packet buffers of one worker, and bytes of a buffer's room for a frame of this MTU. */
unsigned plan_packets(const struct plan_wish *w);
unsigned plan_frame_room(unsigned mtu);
/* Bytes of packet buffers a worker takes, and that DPDK takes beside them for one worker and for all. */
uint64_t plan_packet_bytes(const struct plan_wish *w, bool huge);
enum { PLAN_BASE_MB = 64, PLAN_WORKER_MB = 4 };

/* -- between the planner's files -- */

void plan_remark(struct board_plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool plan_memory(struct board_plan *p, const struct topology *t, const struct plan_wish *w, char *error,
                 size_t size);
void plan_kernel(struct board_plan *p, const struct topology *t, const struct plan_wish *w);
