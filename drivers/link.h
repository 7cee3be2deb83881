/* link.h: what drivers/ knows about each kind of link, as data; private to drivers/. */
#pragma once
#include "base/config.h"

enum link_wake {             /* how a worker can sleep until a frame comes */
                 WAKE_NONE,  /* it cannot: short sleeps */
                 WAKE_READY, /* the queue's descriptor is readable while frames wait */
                 WAKE_EVENT  /* the queue's descriptor is an eventfd, to be read after waking */
};

enum link_mac {            /* where our Ethernet address comes from when the configuration names none */
                MAC_MADE,  /* from the link's name */
                MAC_DEVICE /* the device's own */
};

struct link_kind {
    const char *driver; /* name of the DPDK device */
    bool root;          /* needs root (or CAP_NET_ADMIN, CAP_NET_RAW) */
    bool path;          /* needs link-path */
    /* Closing the device would take down the kernel's side and the routes over it; the end of the process
     * lets go of it and leaves them be. */
    bool leave_open;
    enum link_wake wake;
    enum link_mac mac;
    uint64_t rx_offload, tx_offload; /* RTE_ETH_*: what is worth using of what the device says it has */
    bool rss;                        /* the device can hash */
    /* The MTU that the interface has outside, where the device knows nothing of it; NULL: the device does. */
    unsigned (*mtu)(const struct config *conf);
    /* Is the link there and free? False and one line in error. */
    bool (*check)(const struct config *conf, char *error, size_t size);
    /* Appends the device arguments; false if they do not fit. */
    bool (*devargs)(const struct config *conf, const uint8_t mac[6], char *text, size_t size);
};

extern const struct link_kind link_kinds[LINK_PCI + 1];

static inline const struct link_kind *link_kind(const struct config *conf)
{
    return &link_kinds[conf->link_type];
}

/* The configured address, or one made from the link's name (locally administered). False if the text is no
 * address. */
bool link_mac(const struct config *conf, uint8_t mac[6]);

/* Name by which DPDK knows the device. */
const char *link_device(const struct config *conf);

/* Name or path that both ends of the link know. */
const char *link_identity(const struct config *conf);
/* Takes this end of the link for this process: a descriptor as from claim. */
int link_claim(const struct config *conf);

/* Takes a name for this process, so that a second box gives up with a clear error; free again when the
 * process ends, however it ends. A descriptor, or -1 if taken. */
int claim(const char *what, const char *name);

/* One line of error, false: so that a check reads `return fail(...)`. */
bool fail(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
