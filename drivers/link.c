/* link.c: the kinds of links: checks before they are opened, and their DPDK device arguments. */
#include "drivers/link.h"

#include "board/plan.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_ethdev.h>

enum { CHECKSUMS_RX = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM };
enum { CHECKSUMS_TX = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM };

bool fail(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

/* Appends to a string of size bytes; false if it does not fit. */
static bool append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + used, size - used, format, args);
    va_end(args);
    return n >= 0 && (size_t)n < size - used;
}

static bool append_mac(char *text, size_t size, const uint8_t m[6])
{
    return append(text, size, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

bool link_mac(const struct config *conf, uint8_t mac[6])
{
    unsigned b[6];
    char rest;
    if (conf->link_mac && conf->link_mac[0]) {
        if (sscanf(conf->link_mac, "%2x:%2x:%2x:%2x:%2x:%2x%c", b, b + 1, b + 2, b + 3, b + 4, b + 5,
                   &rest) != 6)
            return false;
        for (unsigned i = 0; i < 6; i++)
            mac[i] = (uint8_t)b[i];
        return !(mac[0] & 1);
    }
    uint64_t h = 0xcbf29ce484222325;
    for (const char *p = link_identity(conf); *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3;
    memcpy(mac, &h, 6);
    mac[0] = 2;
    return true;
}

const char *link_device(const struct config *conf)
{
    static const char *const name[] = {"net_tap0", "net_af_packet0", "net_vhost0", "net_virtio_user0",
                                       "net_memif0"};
    return conf->link_type == LINK_PCI ? conf->link_name : name[conf->link_type];
}

const char *link_identity(const struct config *conf)
{
    return link_kind(conf)->path ? conf->link_path : conf->link_name;
}

static bool is_server(const struct config *conf)
{
    return conf->link_role && strcmp(conf->link_role, "server") == 0;
}

int claim(const char *what, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    /* Abstract: no file is left behind, and network namespaces are told apart. */
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "sluice/%s/%s", what, name);
    if (n < 0 || (size_t)n >= sizeof a.sun_path - 1)
        n = sizeof a.sun_path - 2;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int link_claim(const struct config *conf)
{
    if (!link_kind(conf)->path)
        return claim("link", conf->link_name);
    return claim(is_server(conf) ? "server" : "client", conf->link_path);
}

/* -- tap -- */

static bool read_sysfs(const char *link, const char *file, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/%s", link, file);
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(text, (int)size, f);
    if (f)
        fclose(f);
    return ok;
}

static bool check_name(const struct config *conf, char *error, size_t size)
{
    size_t len = strlen(conf->link_name);
    if (len == 0 || len >= IFNAMSIZ || strpbrk(conf->link_name, "/, \t"))
        return fail(error, size, "link-name \"%s\": give an interface name of 1 to 15 characters",
                    conf->link_name);
    return true;
}

static bool check_tap(const struct config *conf, char *error, size_t size)
{
    enum { MULTI_QUEUE = 0x100 }; /* IFF_MULTI_QUEUE, which <linux/if_tun.h> cannot bring beside <net/if.h> */
    char text[32];
    if (!check_name(conf, error, size))
        return false;
    if (access("/dev/net/tun", R_OK | W_OK))
        return fail(error, size, "link %s: /dev/net/tun: %s", conf->link_name, strerror(errno));
    if (!if_nametoindex(conf->link_name))
        return true;
    if (!read_sysfs(conf->link_name, "tun_flags", text, sizeof text))
        return fail(error, size, "link-name %s is in use by an interface that is no TAP", conf->link_name);
    if (!(strtoul(text, NULL, 16) & MULTI_QUEUE))
        return fail(error, size,
                    "link %s was made without multi_queue: ip tuntap add dev %s mode tap multi_queue",
                    conf->link_name, conf->link_name);
    if (read_sysfs(conf->link_name, "carrier", text, sizeof text) && text[0] == '1')
        return fail(error, size, "link %s is in use by another program", conf->link_name);
    return true;
}

static bool tap_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    /* This address goes to the kernel's side of the TAP, which must differ from ours and stay the same. */
    const uint8_t kernel[6] = {mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] ^ 1};
    return append(text, size, "iface=%s", conf->link_name) && append_mac(text, size, kernel);
}

/* -- af_packet -- */

static bool check_af_packet(const struct config *conf, char *error, size_t size)
{
    if (!check_name(conf, error, size))
        return false;
    if (!if_nametoindex(conf->link_name))
        return fail(error, size, "link-name %s: no such interface", conf->link_name);
    return true;
}

static unsigned af_packet_mtu(const struct config *conf)
{
    char text[32];
    return read_sysfs(conf->link_name, "mtu", text, sizeof text) ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static bool af_packet_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    (void)mac;
    /* A frame must fit its slot, a slot its block; a block of many slots saves the kernel work. */
    unsigned slot = plan_frame_room(conf->link_mtu);
    unsigned slots = conf->link_queue_size ? conf->link_queue_size : 512;
    return append(text, size, "iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=1",
                  conf->link_name, conf->workers, slot * 8, slot, slots);
}

/* -- vhost, virtio_user, memif: a socket that both ends know -- */

/* A socket file that nobody listens on any more is removed when we are to listen there. */
static bool check_socket(const struct config *conf, char *error, size_t size)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (!conf->link_path[0] || strlen(conf->link_path) >= sizeof a.sun_path || strchr(conf->link_path, ','))
        return fail(error, size,
                    "link-path \"%s\": give the path of a socket, at most %zu characters, no comma",
                    conf->link_path, sizeof a.sun_path - 1);
    if (!is_server(conf) || lstat(conf->link_path, &st))
        return true;
    if (!S_ISSOCK(st.st_mode))
        return fail(error, size, "link-path %s: there is a file that is no socket", conf->link_path);
    strcpy(a.sun_path, conf->link_path);
    for (unsigned i = 0; i < 2; i++) { /* memif listens on a SOCK_SEQPACKET, vhost on a SOCK_STREAM */
        int fd = socket(AF_UNIX, (i ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        bool listens = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        if (fd >= 0)
            close(fd);
        if (listens)
            return fail(error, size, "link-path %s is in use by another program", conf->link_path);
    }
    unlink(conf->link_path);
    return true;
}

static bool vhost_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    (void)mac;
    return append(text, size, "iface=%s,queues=%u%s", conf->link_path, conf->workers,
                  is_server(conf) ? "" : ",client=1");
}

static bool virtio_user_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    unsigned descriptors = conf->link_queue_size ? conf->link_queue_size : 1024;
    return append(text, size, "path=%s,queues=%u,queue_size=%u%s", conf->link_path, conf->workers,
                  descriptors, is_server(conf) ? ",server=1" : "") &&
           append_mac(text, size, mac);
}

static bool memif_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    unsigned descriptors = conf->link_queue_size ? conf->link_queue_size : 1024, log2 = 0;
    while (2u << log2 <= descriptors && log2 < 14)
        log2++;
    return append(text, size, "role=%s,id=0,socket=%s,socket-abstract=no,rsize=%u",
                  is_server(conf) ? "server" : "client", conf->link_path, log2) &&
           append_mac(text, size, mac);
}

/* -- pci -- */

static bool check_pci(const struct config *conf, char *error, size_t size)
{
    if (!conf->link_name[0])
        return fail(error, size, "link-name: give the PCI address of the NIC, such as 0000:03:00.0");
    return true;
}

static bool pci_args(const struct config *conf, const uint8_t mac[6], char *text, size_t size)
{
    (void)conf;
    (void)mac;
    (void)text;
    return size != 0;
}

const struct link_kind link_kinds[LINK_PCI + 1] = {
    [LINK_TAP] = {.driver = "net_tap",
                  .root = true,
                  .leave_open = true,
                  .wake = WAKE_READY,
                  .check = check_tap,
                  .devargs = tap_args},
    [LINK_AF_PACKET] = {.driver = "net_af_packet",
                        .root = true,
                        .mac = MAC_DEVICE,
                        .check = check_af_packet,
                        .mtu = af_packet_mtu,
                        .devargs = af_packet_args},
    [LINK_VHOST] = {.driver = "net_vhost",
                    .path = true,
                    .wake = WAKE_EVENT,
                    .rx_offload = CHECKSUMS_RX,
                    .tx_offload = CHECKSUMS_TX,
                    .check = check_socket,
                    .devargs = vhost_args},
    [LINK_VIRTIO_USER] = {.driver = "net_virtio_user",
                          .path = true,
                          .wake = WAKE_EVENT,
                          .rx_offload = CHECKSUMS_RX | RTE_ETH_RX_OFFLOAD_TCP_LRO,
                          .tx_offload = CHECKSUMS_TX | RTE_ETH_TX_OFFLOAD_TCP_TSO,
                          .check = check_socket,
                          .devargs = virtio_user_args},
    [LINK_MEMIF] = {.driver = "net_memif", .path = true, .check = check_socket, .devargs = memif_args},
    [LINK_PCI] = {.driver = "pci",
                  .root = true,
                  .mac = MAC_DEVICE,
                  .wake = WAKE_EVENT,
                  .rx_offload = CHECKSUMS_RX,
                  .tx_offload = CHECKSUMS_TX | RTE_ETH_TX_OFFLOAD_TCP_TSO,
                  .rss = true,
                  .check = check_pci,
                  .devargs = pci_args},
};
