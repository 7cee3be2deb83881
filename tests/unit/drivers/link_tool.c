/* link_tool.c: a tool for trying links by hand and by test: a box without TCP. It answers ARP, ND and echo,
 * and sends every TCP segment back to its sender; with --send it is the other end: keeps segments in flight
 * towards a peer and checks what comes back. Prints one line at the end.
 *
 *     link_tool --type tap --name slunet0 --address 127.0.78.2/8 --seconds 60 */
#include "board/plan.h"
#include "drivers/port.h"
#include "net/checksum.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

enum { BURST = 32, HEADER = 20, EMPTY_ROUNDS = 64, LOST_US = 200000 };

struct tool_worker {
    struct port_queue *queue;
    struct net_if *nif;
    struct rte_mempool *pool;
    struct counters counters;
    struct ip_addr own, peer;
    unsigned in_flight, window, payload;
    uint64_t sent, back, bad, heard_at;
};

static struct config conf;
static bool sender, busy;
static unsigned seconds = 10, window = 32, payload = 16;
static volatile sig_atomic_t stop;
static struct tool_worker workers[CONFIG_WORKERS];

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static uint64_t now_us(void)
{
    return rte_rdtsc() / (rte_get_tsc_hz() / 1000000);
}

static bool checksum_right(const struct rte_mbuf *m, const struct net_packet *p)
{
    uint64_t sum = checksum_u16(checksum_pseudo(&p->src, &p->dst, 6), p->l4_len);
    return p->checksum_ok || checksum_finish(checksum_add_frame(sum, m, p->l4_off, p->l4_len)) == 0;
}

static void send_one(struct tool_worker *w, struct net_path *path, uint64_t now)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(HEADER + w->payload)) : NULL;
    if (!p) {
        rte_pktmbuf_free(m);
        return;
    }
    uint16_t port = (uint16_t)(1024 + w->sent % 512);
    memset(p, (int)w->sent, HEADER + w->payload);
    memcpy(p, &port, 2);
    memcpy(p + 2, "\x18\xeb", 2);
    p[12] = 0x50;
    net_send_tcp(w->nif, path, m, HEADER, 0, 0, now);
    w->sent++;
    w->in_flight++;
}

static void keep_sending(struct tool_worker *w, uint64_t now)
{
    if (w->in_flight && now - w->heard_at > LOST_US) {
        w->in_flight = 0;
        w->heard_at = now;
    }
    if (w->in_flight > w->window / 2)
        return;
    struct net_path *path = net_path_get(w->nif, &w->own, &w->peer, now);
    while (path && w->in_flight < w->window)
        send_one(w, path, now);
    net_path_put(w->nif, path);
}

static void segment(struct tool_worker *w, struct rte_mbuf *m, const struct net_packet *p, uint64_t now)
{
    w->back++;
    w->bad += !checksum_right(m, p);
    w->heard_at = now;
    struct net_path *path = sender ? NULL : net_path_get(w->nif, &p->dst, &p->src, now);
    if (!path) {
        w->in_flight -= w->in_flight != 0;
        rte_pktmbuf_free(m);
        return;
    }
    rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - p->l4_off - p->l4_len));
    rte_pktmbuf_adj(m, p->l4_off);
    net_send_tcp(w->nif, path, m, HEADER, 0, 0, now);
    net_path_put(w->nif, path);
}

static unsigned round_of(struct tool_worker *w, uint64_t now)
{
    struct rte_mbuf *m[BURST];
    unsigned n = port_rx(w->queue, m, BURST);
    for (unsigned i = 0; i < n; i++) {
        struct net_packet p;
        if (net_input(w->nif, m[i], &p, now) == NET_TCP)
            segment(w, m[i], &p, now);
    }
    if (sender)
        keep_sending(w, now);
    net_tick(w->nif, now);
    net_flush(w->nif);
    port_tx_retry(w->queue);
    return n;
}

static int run(void *arg)
{
    struct tool_worker *w = arg;
    uint64_t end = now_us() + seconds * 1000000ull;
    unsigned empty = 0;
    for (uint64_t now = now_us(); !stop && now < end; now = now_us()) {
        empty = round_of(w, now) ? 0 : empty + 1;
        if (!busy && empty > EMPTY_ROUNDS)
            port_idle(w->queue, conf.workers > 1 ? 200 : 1000);
    }
    return 0;
}

static int type_of(const char *text)
{
    static const char *const name[] = {"tap", "af_packet", "vhost", "virtio_user", "memif", "pci"};
    for (int i = 0; i < (int)RTE_DIM(name); i++)
        if (strcmp(text, name[i]) == 0)
            return i;
    return -1;
}

static bool set(const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        unsigned *number;
    } known[] = {{"name", &conf.link_name, NULL},
                 {"path", &conf.link_path, NULL},
                 {"role", &conf.link_role, NULL},
                 {"mac", &conf.link_mac, NULL},
                 {"options", &conf.link_options, NULL},
                 {"mtu", NULL, &conf.link_mtu},
                 {"queue-size", NULL, &conf.link_queue_size},
                 {"workers", NULL, &conf.workers},
                 {"seconds", NULL, &seconds},
                 {"window", NULL, &window},
                 {"payload", NULL, &payload}};
    for (unsigned i = 0; i < RTE_DIM(known); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        if (known[i].text)
            *known[i].text = value;
        else
            *known[i].number = (unsigned)atoi(value);
        return true;
    }
    return false;
}

static bool arguments(int argc, char **argv, const char **instance)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i] + 2, *value = argv[i + 1];
        if (strcmp(name, "type") == 0)
            conf.link_type = (enum link_type)type_of(value);
        else if (strcmp(name, "instance") == 0)
            *instance = value;
        else if (strcmp(name, "hugepages") == 0)
            conf.hugepages = atoi(value);
        else if (strcmp(name, "busy") == 0)
            busy = atoi(value);
        else if (strcmp(name, "send") == 0)
            sender = ip_parse(value, &workers[0].peer);
        else if (strcmp(name, "core") == 0)
            conf.worker_core[0] = atoi(value);
        else if (strcmp(name, "address") == 0 && conf.addresses < CONFIG_ADDRESSES)
            conf.addresses +=
                ip_parse_prefix(value, &conf.address[conf.addresses].ip, &conf.address[conf.addresses].bits);
        else if (!set(name, value))
            return false;
    }
    return argc % 2 == 1 && (int)conf.link_type >= 0;
}

static bool set_up(struct port *port, struct rte_mempool **pool)
{
    struct net_config net;
    port_net_config(port, &conf, &net);
    for (unsigned i = 0; i < conf.workers; i++) {
        struct tool_worker *w = &workers[i];
        w->queue = port_queue(port, i, &w->counters);
        w->pool = pool[i];
        w->own = conf.address[0].ip;
        w->peer = workers[0].peer;
        w->window = window;
        w->payload = payload;
        const struct wire wire = {port_tx, w->queue};
        net.quiet = i > 0;
        w->nif = net_if_new(&net, pool[i], &wire, &w->counters);
        if (!w->nif)
            return false;
    }
    return true;
}

static void print_status(const struct port *port)
{
    struct port_status s;
    port_status(port, &s);
    printf("link %s driver %s up %d mtu %u queues %u offload %u rss %d mac %02x:%02x:%02x:%02x:%02x:%02x\n",
           s.name, s.driver, s.up, s.mtu, s.queues, s.offload, s.rss, s.mac[0], s.mac[1], s.mac[2], s.mac[3],
           s.mac[4], s.mac[5]);
    fflush(stdout);
}

static void report(void)
{
    for (unsigned i = 0; i < conf.workers; i++) {
        struct tool_worker *w = &workers[i];
        printf("worker %u sent %lu segments %lu bad %lu rate %lu/s |", i, w->sent, w->back, w->bad,
               w->back / seconds);
        for (enum counter c = 0; c < COUNTER_MAX; c++)
            if (w->counters.v[c])
                printf(" %s %lu", counter_name(c), w->counters.v[c]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    const char *instance = "linktool";
    char error[512] = "";
    unsigned lcore[CONFIG_WORKERS];
    struct rte_mempool *pool[CONFIG_WORKERS] = {NULL};
    conf = (struct config){.workers = 1,
                           .mbuf_count = 8191,
                           .link_name = "",
                           .link_path = "",
                           .link_role = "client",
                           .link_options = "",
                           .link_mac = ""};
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        conf.worker_core[i] = -1;
    if (!arguments(argc, argv, &instance)) {
        fprintf(stderr, "usage: see the head of link_tool.c\n");
        return 2;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    static struct board_plan plan;
    if (!port_plan(&conf, 0, &plan, error, sizeof error) ||
        !eal_start(&conf, &plan, instance, lcore, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    for (unsigned i = 0; i < conf.workers; i++)
        pool[i] = port_pool(&conf, &plan, i, error, sizeof error);
    struct port *port = error[0] ? NULL : port_open(&conf, &plan, pool, error, sizeof error);
    if (!port || !set_up(port, pool)) {
        fprintf(stderr, "%s\n", error);
        eal_stop();
        return 1;
    }
    print_status(port);
    for (unsigned i = 0; i < conf.workers; i++)
        rte_eal_remote_launch(run, &workers[i], lcore[i]);
    rte_eal_mp_wait_lcore();
    print_status(port);
    report();
    unsigned in_use = 0;
    for (unsigned i = 0; i < conf.workers; i++)
        net_if_free(workers[i].nif);
    port_close(port);
    for (unsigned i = 0; i < conf.workers; i++)
        in_use += rte_mempool_in_use_count(pool[i]);
    printf("frames not returned: %u\n", in_use);
    eal_stop();
    return 0;
}
