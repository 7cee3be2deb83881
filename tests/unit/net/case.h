/* case.h: what every test program of net/ starts with: one interface, one frame, and the names of both ends.
 */
#pragma once
#include "net/checksum.h"
#include "rig.h"
#include "unit.h"

#include <rte_ip.h>

#define PEER  "10.0.0.1"
#define OWN   "10.0.0.2"
#define PEER6 "2001:db8::1"
#define OWN6  "2001:db8::2"
#define GROUP "ff02::1:ff00:2"

enum { REQUEST = 1, REPLY = 2, SOLICITED = 0x40, OVERRIDE = 0x20 };

static struct rig rig;
static uint8_t f[1700];

#define COUNT(name) rig.counters.v[COUNTER_net_##name]

static inline void done(void)
{
    rig_stop(&rig);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

struct seen {
    const char *state;
    uint8_t mac[6];
    struct ip_addr want;
};

static inline void look(const struct ip_addr *addr, const uint8_t mac[6], const char *state, void *arg)
{
    struct seen *s = arg;
    if (!ip_equal(addr, &s->want))
        return;
    s->state = state;
    memcpy(s->mac, mac, 6);
}

static inline const char *state_of(const char *addr, uint8_t mac[6])
{
    struct seen s = {.state = "none", .want = ip(addr)};
    net_each_neighbour(rig.nif, look, &s);
    if (mac)
        memcpy(mac, s.mac, 6);
    return s.state;
}

static inline struct rte_mbuf *segment(size_t payload)
{
    uint8_t tcp[1500] = {0x18, 0xeb, 0x30, 0x39, [12] = 0x50, [13] = 0x10};
    memset(tcp + 20, 'x', payload);
    return rig_frame(tcp, 20 + payload);
}

static inline void hear_peer(void)
{
    rig_input(&rig, f, make_arp(f, REPLY, rig_mac, rig_peer_mac, PEER, OWN), NULL);
}

static inline size_t tag(uint8_t *frame, size_t n, uint16_t vid)
{
    const uint8_t t[4] = {0x81, 0, (uint8_t)(vid >> 8), (uint8_t)vid};
    memmove(frame + 16, frame + 12, n - 12);
    memcpy(frame + 12, t, 4);
    return n + 4;
}

static inline struct net_path *path_to(const char *src, const char *dst)
{
    struct ip_addr s = ip(src), d = ip(dst);
    return net_path_get(rig.nif, &s, &d, rig.now);
}

static inline void send_to(struct net_path *p, size_t payload)
{
    net_send_tcp(rig.nif, p, segment(payload), 20, 0, 0, rig.now);
    net_flush(rig.nif);
}
