/* dad.c: the life of our own addresses: is another station using them (RFC 5227 for IPv4; RFC 4862, 5.4 for
 * IPv6), announcements (RFC 5227, 2.3; RFC 4861, 7.2.6), and conflicts later on (RFC 5227, 2.4).
 *
 *     tentative --no answer--> preferred
 *        ^  \--somebody has it--> duplicate
 *        +----------RETRY------------/
 *
 * A tentative address answers nobody and is no source. Both families use one schedule: three probes 200 ms
 * apart and a verdict after 600 ms. RFC 5227 would take 5 to 7 s and RFC 4862 1 to 2 s: times for hosts that
 * wait for hubs and wireless; here every station answers within a millisecond, and what a blocked switch port
 * hides at start is found by the announcements and the watch that follows. An address in use elsewhere is
 * tried again every 30 s, so that the box recovers when the other station leaves (RFC 4862, 5.4.5 would wait
 * for an operator). A preferred address is defended with at most one announcement in 10 s and never given up
 * (RFC 5227, 2.4 c), which is for a server. Skipped: the random delay before the first probe, optimistic
 * addresses (RFC 4429), the nonce against looped frames (RFC 7527; the MAC tells them).
 *
 * Loopback addresses (development) are on every station: never asked for. */
#include "net/internal.h"

#include "base/crc64.h"

enum {
    PROBES = 3,
    PROBE_INTERVAL = SECOND / 5,
    ANNOUNCEMENTS = 2,
    ANNOUNCE_INTERVAL = 2 * SECOND,
    RETRY = 30 * SECOND,
    DEFEND_INTERVAL = 10 * SECOND
};

void address_start(struct net_if *n, struct local_address *a)
{
    bool loopback = !a->v6 && a->ip.b[12] == 127;
    a->state = n->conf.dad && !loopback ? ADDRESS_TENTATIVE : ADDRESS_PREFERRED;
}

static void announce(struct net_if *n, const struct local_address *a)
{
    if (!n->conf.quiet)
        (a->v6 ? nd_announce : arp_announce)(n, &a->ip);
}

static void probe(struct net_if *n, const struct local_address *a)
{
    if (!n->conf.quiet)
        (a->v6 ? nd_probe : arp_probe)(n, &a->ip);
}

static void step(struct net_if *n, struct local_address *a, uint64_t now)
{
    if (a->state == ADDRESS_DUPLICATE) {
        a->state = ADDRESS_TENTATIVE;
        a->sent = 0;
    }
    if (a->state == ADDRESS_TENTATIVE && a->sent < PROBES) {
        probe(n, a);
        a->sent++;
        a->due = now + PROBE_INTERVAL;
        return;
    }
    if (a->state == ADDRESS_TENTATIVE) {
        a->state = ADDRESS_PREFERRED;
        a->sent = 0;
    }
    announce(n, a);
    a->due = ++a->sent < ANNOUNCEMENTS ? now + ANNOUNCE_INTERVAL : UINT64_MAX;
}

uint64_t addresses_tick(struct net_if *n, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < n->addresses; i++) {
        if (n->address[i].due <= now)
            step(n, &n->address[i], now);
        next = RTE_MIN(next, n->address[i].due);
    }
    return next;
}

struct local_address *address_find(struct net_if *n, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < n->addresses; i++)
        if (ip_equal(&n->address[i].ip, ip))
            return &n->address[i];
    return NULL;
}

void address_conflict(struct net_if *n, struct local_address *a, const uint8_t mac[6], uint64_t now)
{
    if (memcmp(mac, n->conf.mac, 6) == 0)
        return; /* our own frame came back */
    if (a->state == ADDRESS_TENTATIVE) {
        count_one(n->counters, COUNTER_net_duplicate_addresses);
        a->state = ADDRESS_DUPLICATE;
        a->due = now + RETRY;
    }
    if (a->state == ADDRESS_DUPLICATE)
        return;
    count_one(n->counters, COUNTER_net_address_conflicts);
    if (a->v6 || (a->defended && now - a->defended < DEFEND_INTERVAL))
        return; /* RFC 4862 knows no defence of an address in use */
    a->defended = now;
    announce(n, a);
}

uint64_t net_identity(const struct net_config *conf)
{
    uint64_t sum = crc64(crc64(0, conf->mac, sizeof conf->mac), &conf->vlan, sizeof conf->vlan);
    for (unsigned i = 0; i < conf->addresses; i++)
        sum = crc64(crc64(sum, &conf->address[i].ip, sizeof conf->address[i].ip), &conf->address[i].bits, 1);
    return sum ? sum : 1;
}

bool net_is_preferred(const struct net_if *n)
{
    for (unsigned i = 0; i < n->addresses; i++)
        if (n->address[i].state != ADDRESS_PREFERRED)
            return false;
    return true;
}

void net_each_address(struct net_if *n,
                      void (*fn)(const struct ip_addr *ip, unsigned bits, const char *state, void *arg),
                      void *arg)
{
    static const char *const name[] = {[ADDRESS_PREFERRED] = "preferred",
                                       [ADDRESS_TENTATIVE] = "tentative",
                                       [ADDRESS_DUPLICATE] = "duplicate"};
    for (unsigned i = 0; i < n->addresses; i++)
        fn(&n->address[i].ip, n->address[i].bits, name[n->address[i].state], arg);
}
