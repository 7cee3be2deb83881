/* port.c: a port from configuration to traffic: attach, negotiate offloads, set the queues up, start; and
 * back. */
#include "drivers/internal.h"
#include "drivers/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

enum { DESCRIPTORS = 1024, POOL_CACHE = 256, ETHERNET_OVERHEAD = 22, CHAIN_FRAMES = 44 };

/* Not rte_lcore_to_socket_id(): with --lcores that is the node of the CPU whose number is the lcore's, not of the
 * CPU it runs on. */
static int socket_of(const struct board_plan *plan, unsigned worker)
{
    int node = plan->worker[worker].memory;
    return node >= 0 ? node : SOCKET_ID_ANY;
}

struct rte_mempool *port_pool(const struct config *conf, const struct board_plan *plan, unsigned worker,
                              char *error, size_t size)
{
    char name[32];
    snprintf(name, sizeof name, "worker%u", worker);
    unsigned n = plan->packets, room = RTE_PKTMBUF_HEADROOM + plan_frame_room(conf->link_mtu);
    struct rte_mempool *pool = pool_new(name, n, POOL_CACHE, room, socket_of(plan, worker));
    if (!pool)
        fail(error, size,
             "worker %u: no memory for %u packet buffers: %s (lower mbuf-count or add hugepages)", worker, n,
             rte_strerror(rte_errno));
    return pool;
}

/* -- attach -- */

static bool attach(struct port *p, const struct config *conf, char *error, size_t size)
{
    const struct link_kind *kind = link_kind(conf);
    char args[1024] = "";
    snprintf(p->device, sizeof p->device, "%s", link_device(conf));
    if (conf->link_type != LINK_PCI) {
        bool fits = kind->devargs(conf, p->mac, args, sizeof args);
        size_t used = strlen(args);
        if (conf->link_options && conf->link_options[0])
            fits &= (size_t)snprintf(args + used, sizeof args - used, ",%s", conf->link_options) <
                    sizeof args - used;
        if (!fits)
            return fail(error, size, "link %s: its options are too long", p->device);
        int e = rte_eal_hotplug_add("vdev", p->device, args);
        if (e)
            return fail(error, size, "link %s (%s) does not open: %s", p->device, args, rte_strerror(-e));
        p->vdev = true;
    }
    if (rte_eth_dev_get_port_by_name(p->device, &p->id))
        return fail(error, size, "link %s: no driver takes this device (is it bound to vfio-pci?)",
                    p->device);
    return true;
}

/* -- negotiate -- */

/* Frames a chain may have: what the device's descriptors allow, and what fits into an IP packet. */
static uint16_t chain_frames(const struct rte_eth_dev_info *info)
{
    uint16_t most = info->tx_desc_lim.nb_seg_max;
    return most && most < CHAIN_FRAMES ? most : CHAIN_FRAMES;
}

static void negotiate(struct port *p, const struct config *conf, const struct rte_eth_dev_info *info,
                      struct rte_eth_conf *c)
{
    const struct link_kind *kind = link_kind(conf);
    uint64_t tx = conf->link_offload ? info->tx_offload_capa & kind->tx_offload : 0;
    c->rxmode.offloads = conf->link_offload ? info->rx_offload_capa & kind->rx_offload : 0;
    /* Otherwise it is asked for after the start, which not every device allows. */
    if (conf->link_mtu <= info->max_mtu && conf->link_mtu + ETHERNET_OVERHEAD <= info->max_rx_pktlen)
        c->rxmode.mtu = conf->link_mtu;
    if (c->rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO)
        c->rxmode.max_lro_pkt_size = info->max_lro_pkt_size;
    if (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
        p->offload |= NET_TX_IP_CSUM;
    if (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
        p->offload |= NET_TX_TCP_CSUM;
    /* The IP checksum of a frame to be cut is the device's to fill in, or its driver's in rte_eth_tx_prepare.
     */
    const uint64_t cut = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    if ((tx & cut) == cut && (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)) {
        p->offload |= NET_TX_TSO;
        p->chain_frames = chain_frames(info);
    } else {
        tx &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
    }
    c->txmode.offloads = tx | (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS);

    const uint64_t tcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
    p->rss = kind->rss && p->workers > 1 && info->hash_key_size == sizeof steer_key &&
             (info->flow_type_rss_offloads & tcp) == tcp;
    if (p->rss) {
        c->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        c->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){.rss_hf = tcp, .rss_key_len = sizeof steer_key};
        /* The field is not const, and no driver writes to it. */
        memcpy(&c->rx_adv_conf.rss_conf.rss_key, &(const uint8_t *){steer_key}, sizeof(uint8_t *));
    }
}

/* Sleeping on the queue is tried first; a device that cannot is configured again without. */
static int configure(struct port *p, const struct link_kind *kind, struct rte_eth_conf *c)
{
    c->intr_conf.rxq = kind->wake != WAKE_NONE;
    int e = rte_eth_dev_configure(p->id, p->workers, p->workers, c);
    if (e && c->intr_conf.rxq) {
        c->intr_conf.rxq = 0;
        e = rte_eth_dev_configure(p->id, p->workers, p->workers, c);
    }
    p->interrupts = c->intr_conf.rxq;
    return e;
}

static int queues(struct port *p, const struct config *conf, const struct rte_eth_dev_info *info,
                  const struct rte_eth_conf *c)
{
    uint16_t rx = conf->link_queue_size ? (uint16_t)RTE_MIN(conf->link_queue_size, 32768u) : DESCRIPTORS,
             tx = rx;
    struct rte_eth_txconf txconf = info->default_txconf;
    txconf.offloads = c->txmode.offloads & info->tx_queue_offload_capa;
    int e = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx, &tx);
    for (uint16_t i = 0; !e && i < p->workers; i++) {
        int socket = rte_eth_dev_socket_id(p->id);
        if (socket < 0 || p->vdev)
            socket = p->socket[i];
        e = rte_eth_rx_queue_setup(p->id, i, rx, (unsigned)socket, NULL, p->pool[i]);
        if (!e)
            e = rte_eth_tx_queue_setup(p->id, i, tx, (unsigned)socket, &txconf);
    }
    return e;
}

static int start(struct port *p, struct rte_eth_conf *c, const struct config *conf,
                 const struct rte_eth_dev_info *info)
{
    int e = queues(p, conf, info, c);
    if (!e)
        e = rte_eth_dev_start(p->id);
    if (!e || !p->interrupts)
        return e;
    /* Some devices tell only now that they cannot interrupt. */
    c->intr_conf.rxq = 0;
    p->interrupts = false;
    e = rte_eth_dev_configure(p->id, p->workers, p->workers, c);
    if (!e)
        e = queues(p, conf, info, c);
    return e ? e : rte_eth_dev_start(p->id);
}

/* Not every device has every setting: a link in memory has no filters, for example. What matters is checked
 * after. */
static void settle(struct port *p, const struct config *conf)
{
    struct rte_ether_addr device;
    if (link_kind(conf)->mtu) {
        p->mtu = (uint16_t)RTE_MIN(link_kind(conf)->mtu(conf), (unsigned)UINT16_MAX);
    } else {
        rte_eth_dev_set_mtu(p->id, (uint16_t)conf->link_mtu);
        rte_eth_dev_get_mtu(p->id, &p->mtu);
    }
    if (conf->link_mtu < p->mtu)
        p->mtu = (uint16_t)conf->link_mtu;
    rte_eth_allmulticast_enable(p->id);
    if (rte_eth_macaddr_get(p->id, &device) == 0 && link_kind(conf)->mac == MAC_DEVICE && !conf->link_mac[0])
        memcpy(p->mac, &device, 6);
    else if (memcmp(&device, p->mac, 6) != 0 && link_kind(conf)->mac == MAC_DEVICE)
        rte_eth_promiscuous_enable(p->id);
}

static void read_reta(struct port *p, const struct rte_eth_dev_info *info)
{
    struct rte_eth_rss_reta_entry64 group[RETA_MOST / RTE_ETH_RETA_GROUP_SIZE];
    memset(group, 0xff, sizeof group); /* every entry is wanted */
    if (!p->rss || info->reta_size > RETA_MOST || rte_eth_dev_rss_reta_query(p->id, group, info->reta_size))
        return;
    p->reta_size = info->reta_size;
    for (unsigned i = 0; i < p->reta_size; i++)
        p->reta[i] = group[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
}

static bool bring_up(struct port *p, const struct config *conf, char *error, size_t size)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf c = {0};
    if (rte_eth_dev_info_get(p->id, &info))
        return fail(error, size, "link %s tells nothing about itself", p->device);
    snprintf(p->driver, sizeof p->driver, "%s", info.driver_name);
    if (info.max_rx_queues < p->workers || info.max_tx_queues < p->workers)
        return fail(error, size, "link %s has %u queues, %u workers need one each", p->device,
                    RTE_MIN(info.max_rx_queues, info.max_tx_queues), p->workers);
    negotiate(p, conf, &info, &c);
    int e = configure(p, link_kind(conf), &c);
    if (!e)
        e = start(p, &c, conf, &info);
    if (e)
        return fail(error, size, "link %s does not start: %s", p->device, rte_strerror(-e));
    p->started = true;
    settle(p, conf);
    read_reta(p, &info);
    p->view_port = conf->cluster_view == CLUSTER_VIEW_WORKERS ? conf->cluster_view_port : 0;
    p->ruled = p->view_port && p->rss && rules_place(p, conf);
    if (conf->link_mtu > RTE_ETHER_MTU && p->mtu < conf->link_mtu)
        return fail(error, size, "link-mtu %u: link %s and its driver %s take at most %u", conf->link_mtu,
                    p->device, p->driver, p->mtu);
    return true;
}

static bool make_queues(struct port *p, const struct link_kind *kind)
{
    if (p->workers > 1 && !(p->steer = steer_new(p->workers, p->rss, p->view_port, p->ruled)))
        return false;
    for (uint16_t i = 0; i < p->workers; i++) {
        struct port_queue *q = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(sizeof *q, RTE_CACHE_LINE_SIZE));
        if (!q)
            return false;
        p->queue[i] = q;
        *q = (struct port_queue){.port = p,
                                 .steer = p->steer,
                                 .pool = p->pool[i],
                                 .prepare = p->offload & NET_TX_TSO,
                                 .port_id = p->id,
                                 .index = i,
                                 .wake_event = kind->wake == WAKE_EVENT};
        q->full = &q->unwatched;
        q->wake_fd = p->interrupts ? rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, i) : -1;
    }
    return true;
}

struct port *port_open(const struct config *conf, const struct board_plan *plan, struct rte_mempool *const *pool,
                       char *error, size_t size)
{
    struct port *p = calloc(1, sizeof *p);
    if (!p) {
        fail(error, size, "no memory for the link");
        return NULL;
    }
    p->workers = (uint16_t)conf->workers;
    p->leave_open = link_kind(conf)->leave_open;
    p->claim = link_claim(conf);
    memcpy(p->pool, pool, conf->workers * sizeof *pool);
    for (unsigned i = 0; i < conf->workers; i++)
        p->socket[i] = socket_of(plan, i);
    bool ok = p->claim >= 0 || fail(error, size, "link %s is in use by another box", link_identity(conf));
    ok = ok && (link_mac(conf, p->mac) ||
                fail(error, size, "link-mac \"%s\" is no Ethernet address", conf->link_mac));
    ok = ok && link_kind(conf)->check(conf, error, size) && attach(p, conf, error, size) &&
         bring_up(p, conf, error, size);
    if (ok && !make_queues(p, link_kind(conf)))
        ok = fail(error, size, "no memory for the link's queues");
    if (!ok) {
        port_close(p);
        return NULL;
    }
    return p;
}

void port_close(struct port *p)
{
    if (!p)
        return;
    bool ours = !(p->started && p->leave_open);
    if (p->started && ours)
        rte_eth_dev_stop(p->id);
    for (unsigned i = 0; i < p->workers; i++) {
        struct port_queue *q = p->queue[i];
        for (; q && q->backlog_n; q->backlog_n--, q->backlog_head++)
            rte_pktmbuf_free(q->backlog[q->backlog_head % BACKLOG]);
        free(q);
    }
    steer_free(p->steer);
    if (p->vdev && ours)
        rte_eal_hotplug_remove("vdev", p->device);
    else if (p->started && ours)
        rte_eth_dev_close(p->id);
    if (p->claim >= 0)
        close(p->claim);
    free(p);
}

void port_net_config(const struct port *p, const struct config *conf, struct net_config *out)
{
    const char *vlan = config_text(conf, "link-vlan");
    *out = (struct net_config){.mtu = p->mtu,
                               .vlan = vlan ? (uint16_t)(strtoul(vlan, NULL, 10) & 0xfff) : 0,
                               .offload = p->offload,
                               .chain_frames = p->chain_frames,
                               .gateway4 = conf->gateway4,
                               .gateway6 = conf->gateway6,
                               .dad = conf->link_dad,
                               .seed = rte_rdtsc()};
    memcpy(out->mac, p->mac, 6);
    for (unsigned i = 0; i < conf->addresses && i < NET_ADDRESSES; i++) {
        out->address[out->addresses].ip = conf->address[i].ip;
        out->address[out->addresses++].bits = (uint8_t)conf->address[i].bits;
    }
    for (unsigned i = 0; i < conf->routes && i < NET_ROUTES; i++)
        out->route[out->routes++] = (struct net_route){.prefix = conf->route[i].prefix,
                                                       .gateway = conf->route[i].gateway,
                                                       .bits = (uint8_t)conf->route[i].bits};
}

struct port_queue *port_queue(struct port *p, unsigned worker, struct counters *counters)
{
    if (worker >= p->workers)
        return NULL;
    p->queue[worker]->counters = counters;
    return p->queue[worker];
}

void port_status(const struct port *p, struct port_status *out)
{
    struct rte_eth_link link = {0};
    struct rte_eth_stats stats = {0};
    rte_eth_link_get_nowait(p->id, &link);
    rte_eth_stats_get(p->id, &stats);
    *out =
        (struct port_status){.up = link.link_status == RTE_ETH_LINK_UP,
                             .speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed,
                             .queues = p->workers,
                             .mtu = p->mtu,
                             .offload = p->offload,
                             .rss = p->rss,
                             .rx_missed = stats.imissed,
                             .rx_errors = stats.ierrors,
                             .tx_errors = stats.oerrors,
                             .rx_nombuf = stats.rx_nombuf};
    snprintf(out->name, sizeof out->name, "%.31s", p->device);
    snprintf(out->driver, sizeof out->driver, "%s", p->driver);
    memcpy(out->mac, p->mac, 6);
}
