/* link.h: the DPDK side of the generator: EAL, one port with one queue each way, mbufs, a bounded transmit
 * backlog, and Ethernet/ARP (RFC 826) with the one neighbour there is. */
#pragma once
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "options.h"

enum { LINK_BURST = 32, LINK_BACKLOG = 16384, LINK_STASH = 64 };

struct link {
    uint16_t port;
    bool offload; /* the port completes TCP checksums of what we send */
    unsigned backlog, stash;
    uint64_t rx_frames, rx_bursts, tx_frames, tx_full, tx_dropped, no_mbuf;
    uint32_t local_ip, local_count, peer_ip;
    struct rte_ether_addr mac, peer_mac;
    bool peer_known;
    struct rte_mempool *pool, *large;
    struct rte_mbuf *stashed[LINK_STASH];
    struct rte_mbuf *waiting[LINK_BACKLOG];
};

/* Starts EAL on one core, opens the port, and waits until the other end is there. False and one line in
 * error. l is large: keep it off the stack. */
bool link_open(struct link *l, const struct options *o, char *error, size_t size);
void link_close(struct link *l);

/* Resolves the peer by ARP within wait_s, answering its questions meanwhile. */
bool link_resolve(struct link *l, unsigned wait_s, char *error, size_t size);

/* Handles an ARP frame, which stays the caller's. */
void link_arp(struct link *l, const struct rte_mbuf *m);

/* Hands what waits to the port; keeps what the port has no room for. */
void link_flush(struct link *l);

void link_refill(struct link *l);

/* Up to LINK_BURST frames, which are the caller's. */
static inline unsigned link_rx(struct link *l, struct rte_mbuf **frames)
{
    unsigned n = rte_eth_rx_burst(l->port, 0, frames, LINK_BURST);
    l->rx_frames += n;
    l->rx_bursts += n > 0;
    return n;
}

/* An empty frame, or NULL when the pool is empty (counted). */
static inline struct rte_mbuf *link_frame(struct link *l)
{
    if (l->stash == 0)
        link_refill(l);
    return l->stash ? l->stashed[--l->stash] : NULL;
}

/* Queues a frame for the next link_flush; takes ownership. */
static inline void link_send(struct link *l, struct rte_mbuf *m)
{
    if (l->backlog == LINK_BACKLOG) {
        l->tx_dropped++;
        rte_pktmbuf_free(m);
        return;
    }
    l->waiting[l->backlog++] = m;
}
