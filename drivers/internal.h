/* internal.h: the port as the files of drivers/ see it; nobody else includes it. */
#pragma once
#include "board/plan.h"
#include "drivers/link.h"
#include "drivers/port.h"
#include "drivers/steer.h"

enum { BACKLOG = 512, TX_STUCK_PER_SECOND = 100, TX_ALONE_PER_SECOND = 1, TX_DOUBTS = 3, RETA_MOST = 512 };

struct port_queue {
    struct port *port;
    struct counters *counters;
    struct steer *steer; /* NULL with one worker */
    struct rte_mempool *pool;
    uint16_t port_id, index;
    int wake_fd; /* -1: sleeps only */
    bool wake_event;
    bool prepare; /* frames may be there that the device is to cut up */
    bool *full; /* port_watch() */
    bool unwatched;
    unsigned backlog_n, backlog_head;
    unsigned doubts;      /* how often the device has taken a frame behind it instead */
    uint64_t stuck_since; /* cycles at which the device refused the frame at the head, 0 = it did not */
    struct rte_mbuf *backlog[BACKLOG];
};

struct port {
    uint16_t id, workers, mtu;
    uint16_t chain_frames; /* as in struct net_config */
    uint8_t mac[6];
    bool vdev, started, leave_open, rss, interrupts;
    bool ruled;         /* rules_place() did */
    uint16_t view_port; /* worker 0's own local port in the cluster view; 0 = none */
    uint32_t offload; /* enum net_offload */
    int claim;
    char device[64], driver[32];
    struct steer *steer;
    uint16_t reta_size; /* with rss: which queue the device gives a hash to; 0: it does not tell */
    uint16_t reta[RETA_MOST];
    struct port_queue *queue[CONFIG_WORKERS];
    struct rte_mempool *pool[CONFIG_WORKERS];
    int socket[CONFIG_WORKERS]; /* NUMA node of a worker's memory */
};

/* Has the device bring TCP to each worker's own local port to its queue. False if it cannot: nothing is left of
 * it. The device has been started. */
bool rules_place(const struct port *p, const struct config *conf);
/* What the planner is to know of a configuration; which CPUs there are is the caller's to fill in. */
void wish_of(const struct config *conf, struct plan_wish *w);
