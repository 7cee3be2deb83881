/* link.c: EAL, port and neighbour of the load generator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "link.h"

enum { POOL_FRAMES = 16383, LARGE_FRAMES = 7, RING = 1024, EAL_WORDS = 40 };

static const struct {
    const char *kind, *device, *format;
} kinds[] = {
    {"vhost", "net_vhost0", "--vdev=net_vhost0,iface=%s,queues=1"},
    {"virtio-user", "net_virtio_user0", "--vdev=net_virtio_user0,path=%s,queues=1,queue_size=1024"},
    {"tap", "net_tap0", "--vdev=net_tap0,iface=%s"},
    {"vdev", NULL, "--vdev=%s"},
};

static bool start_eal(const struct options *o, char *error, size_t size)
{
    static char vdev[160], lcores[32], prefix[96], memory[32], extra[512]; /* EAL keeps pointers */
    static char name[] = "sluice-loadgen", no_pci[] = "--no-pci", quiet[] = "--log-level=4",
                no_telemetry[] = "--no-telemetry", no_huge[] = "--no-huge", in_memory[] = "--in-memory",
                no_files[] = "--no-shconf", single_file[] = "--single-file-segments";
    /* In memory: nothing of ours stays behind, however we end. Few large segments: virtio-user can share 8.
     */
    char *argv[EAL_WORDS] = {name,
                             no_pci,
                             quiet,
                             no_telemetry,
                             lcores,
                             prefix,
                             memory,
                             vdev,
                             o->huge ? in_memory : no_files,
                             o->huge ? single_file : no_huge};
    int argc = 10;
    size_t kind = 0;
    while (kind < RTE_DIM(kinds) && strcmp(kinds[kind].kind, o->link_kind) != 0)
        kind++;
    if (kind == RTE_DIM(kinds)) {
        snprintf(error, size, "unknown kind of link '%s'", o->link_kind);
        return false;
    }
    snprintf(vdev, sizeof vdev, kinds[kind].format, o->link_arg);
    snprintf(lcores, sizeof lcores, "--lcores=0@%d", o->core);
    snprintf(prefix, sizeof prefix, "--file-prefix=%s", o->file_prefix);
    snprintf(memory, sizeof memory, "-m%u", o->memory_mb);
    snprintf(extra, sizeof extra, "%s", o->eal_extra ? o->eal_extra : "");
    char *rest;
    for (char *word = strtok_r(extra, " ", &rest); word && argc < EAL_WORDS - 1;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    if (rte_eal_init(argc, argv) < 0) {
        snprintf(error, size, "EAL: %s", rte_strerror(rte_errno));
        return false;
    }
    return true;
}

static bool start_port(struct link *l, const struct options *o, char *error, size_t size)
{
    struct rte_eth_dev_info info;
    if (rte_eth_dev_count_avail() == 0 || rte_eth_dev_info_get(0, &info) != 0) {
        snprintf(error, size, "no port came up on %s:%s", o->link_kind, o->link_arg);
        return false;
    }
    /* Over vhost the offload means that checksums stay unfilled on both sides if the box negotiates it; if it
     * does not, DPDK fills them in slowly. Our own sum costs less than either, hence the default. */
    bool capable = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    l->offload = o->checksum == CHECKSUM_OFFLOAD && capable;
    struct rte_eth_conf conf = {0};
    if (l->offload) {
        conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    }
    if (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER && info.max_rx_pktlen > RTE_MBUF_DEFAULT_DATAROOM)
        conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    int rc = rte_eth_dev_configure(l->port, 1, 1, &conf);
    if (rc == 0)
        rc = rte_eth_rx_queue_setup(l->port, 0, RING, rte_socket_id(), NULL, l->pool);
    if (rc == 0)
        rc = rte_eth_tx_queue_setup(l->port, 0, RING, rte_socket_id(), NULL);
    if (rc == 0)
        rc = rte_eth_dev_start(l->port);
    if (rc == 0)
        rc = rte_eth_macaddr_get(l->port, &l->mac);
    if (rc != 0)
        snprintf(error, size, "port %s: %s", info.driver_name, rte_strerror(-rc));
    return rc == 0;
}

static bool wait_for_peer(struct link *l, const struct options *o, char *error, size_t size)
{
    struct rte_eth_link status;
    for (unsigned ms = 0; ms < o->wait_s * 1000; ms++) {
        if (rte_eth_link_get_nowait(l->port, &status) == 0 && status.link_status)
            return true;
        rte_delay_us_sleep(1000);
    }
    snprintf(error, size, "nobody at the other end of %s:%s within %u s", o->link_kind, o->link_arg,
             o->wait_s);
    return false;
}

bool link_open(struct link *l, const struct options *o, char *error, size_t size)
{
    memset(l, 0, sizeof *l);
    l->local_ip = o->local_ip;
    l->local_count = (o->connections + o->idle + o->subscribers + LOADGEN_CONNS_PER_ADDRESS - 1) / LOADGEN_CONNS_PER_ADDRESS;
    l->peer_ip = o->peer_ip;
    if (!start_eal(o, error, size))
        return false;
    l->pool =
        rte_pktmbuf_pool_create("loadgen", POOL_FRAMES, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, rte_socket_id());
    l->large = rte_pktmbuf_pool_create("large", LARGE_FRAMES, 0, 0, UINT16_MAX, rte_socket_id());
    if (!l->pool || !l->large) {
        snprintf(error, size, "no memory for %d frames: %s; try --memory or --no-huge", POOL_FRAMES,
                 rte_strerror(rte_errno));
        return false;
    }
    return start_port(l, o, error, size) && wait_for_peer(l, o, error, size);
}

void link_close(struct link *l)
{
    if (l->pool) {
        rte_pktmbuf_free_bulk(l->waiting, l->backlog);
        rte_pktmbuf_free_bulk(l->stashed, l->stash);
        l->backlog = l->stash = 0;
        if (rte_eth_dev_count_avail()) {
            rte_eth_dev_stop(l->port);
            rte_eth_dev_close(l->port);
        }
    }
    rte_eal_cleanup();
}

void link_refill(struct link *l)
{
    if (rte_pktmbuf_alloc_bulk(l->pool, l->stashed, LINK_STASH) == 0)
        l->stash = LINK_STASH;
    else
        l->no_mbuf++;
}

void link_flush(struct link *l)
{
    unsigned sent = 0;
    while (sent < l->backlog) {
        unsigned chunk = RTE_MIN(l->backlog - sent, 2u * LINK_BURST);
        unsigned n = rte_eth_tx_burst(l->port, 0, l->waiting + sent, (uint16_t)chunk);
        sent += n;
        if (n < chunk) {
            l->tx_full++;
            break;
        }
    }
    l->tx_frames += sent;
    l->backlog -= sent;
    if (l->backlog)
        memmove(l->waiting, l->waiting + sent, l->backlog * sizeof *l->waiting);
}

static void send_arp(struct link *l, uint16_t opcode, uint32_t our_ip, const struct rte_ether_addr *to)
{
    struct rte_mbuf *m = link_frame(l);
    if (!m)
        return;
    struct {
        struct rte_ether_hdr eth;
        struct rte_arp_hdr arp;
        uint8_t pad[18]; /* up to Ethernet's least size */
    } frame = {.eth = {.src_addr = l->mac, .dst_addr = *to, .ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP)},
               .arp = {.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
                       .arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
                       .arp_hlen = RTE_ETHER_ADDR_LEN,
                       .arp_plen = 4,
                       .arp_opcode = rte_cpu_to_be_16(opcode),
                       .arp_data = {.arp_sha = l->mac,
                                    .arp_sip = rte_cpu_to_be_32(our_ip),
                                    .arp_tip = rte_cpu_to_be_32(l->peer_ip)}}};
    if (opcode == RTE_ARP_OP_REPLY)
        frame.arp.arp_data.arp_tha = *to;
    memcpy(rte_pktmbuf_append(m, sizeof frame), &frame, sizeof frame);
    link_send(l, m);
}

void link_arp(struct link *l, const struct rte_mbuf *m)
{
    if (rte_pktmbuf_data_len(m) < sizeof(struct rte_ether_hdr) + sizeof(struct rte_arp_hdr))
        return;
    const struct rte_arp_hdr *arp =
        rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
    uint32_t sender = rte_be_to_cpu_32(arp->arp_data.arp_sip),
             target = rte_be_to_cpu_32(arp->arp_data.arp_tip);
    if (sender != l->peer_ip || arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != 4)
        return;
    l->peer_mac = arp->arp_data.arp_sha;
    l->peer_known = true;
    if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) && target - l->local_ip < l->local_count)
        send_arp(l, RTE_ARP_OP_REPLY, target, &l->peer_mac);
}

bool link_resolve(struct link *l, unsigned wait_s, char *error, size_t size)
{
    static const struct rte_ether_addr all = {{255, 255, 255, 255, 255, 255}};
    uint64_t hz = rte_get_tsc_hz(), end = rte_rdtsc() + wait_s * hz, next = 0;
    struct rte_mbuf *frames[LINK_BURST];
    while (!l->peer_known && rte_rdtsc() < end) {
        if (rte_rdtsc() >= next) {
            send_arp(l, RTE_ARP_OP_REQUEST, l->local_ip, &all);
            next = rte_rdtsc() + hz / 20;
        }
        unsigned n = link_rx(l, frames);
        for (unsigned i = 0; i < n; i++) {
            if (rte_pktmbuf_mtod(frames[i], struct rte_ether_hdr *)->ether_type ==
                RTE_BE16(RTE_ETHER_TYPE_ARP))
                link_arp(l, frames[i]);
        }
        rte_pktmbuf_free_bulk(frames, n);
        link_flush(l);
    }
    if (!l->peer_known)
        snprintf(error, size, "no answer to ARP for the box's address within %u s", wait_s);
    return l->peer_known;
}
