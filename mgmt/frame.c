/* frame.c: Ethernet, VLAN, ARP, IPv4, IPv6, TCP, UDP and ICMP headers as text. What is cut off is said to be.
 */
#include "mgmt/frame.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct bytes { /* what is left of the frame */
    const uint8_t *p;
    size_t left;
};

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_VLAN = 0x8100, TYPE_IPV6 = 0x86dd };

static unsigned u16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)u16(p) << 16 | u16(p + 2);
}

/* The next n bytes, or NULL if so many are not there. */
static const uint8_t *take(struct bytes *b, size_t n)
{
    const uint8_t *p = b->p;
    if (n > b->left)
        return NULL;
    b->p += n;
    b->left -= n;
    return p;
}

static size_t add_tcp(char *line, size_t size, const uint8_t *p, size_t len)
{
    static const char letter[] = "FSRP.UEW";
    char flags[sizeof letter];
    unsigned n = 0, header = (p[12] >> 4) * 4u;
    for (unsigned bit = 0; bit < 8; bit++)
        if (p[13] & 1u << bit)
            flags[n++] = letter[bit];
    flags[n] = 0;
    return (size_t)snprintf(line, size, "tcp [%s] seq %u ack %u win %u len %zu", n ? flags : "none",
                            u32(p + 4), u32(p + 8), u16(p + 14), len > header ? len - header : 0);
}

struct packet { /* of IP */
    const char *src, *dst;
    unsigned protocol;
    size_t len; /* of what the protocol carries, its header included */
    bool fragment;
};

static void transport(char *line, size_t size, struct bytes b, const struct packet *ip)
{
    static const char cut[] = "%s > %s: proto %u, cut off";
    bool ports = (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) && !ip->fragment;
    const uint8_t *p = take(&b, ip->protocol == IPPROTO_TCP ? 20 : ip->protocol == IPPROTO_UDP ? 8 : 4);
    if (ip->fragment)
        snprintf(line, size, "%s > %s: fragment of proto %u len %zu", ip->src, ip->dst, ip->protocol,
                 ip->len);
    else if (!p)
        snprintf(line, size, cut, ip->src, ip->dst, ip->protocol);
    else if (ports) {
        size_t at = (size_t)snprintf(line, size, "%s.%u > %s.%u: ", ip->src, u16(p), ip->dst, u16(p + 2));
        if (ip->protocol == IPPROTO_TCP)
            add_tcp(line + at, size - at, p, ip->len);
        else
            snprintf(line + at, size - at, "udp len %u", u16(p + 4));
    } else if (ip->protocol == IPPROTO_ICMP || ip->protocol == IPPROTO_ICMPV6)
        snprintf(line, size, "%s > %s: icmp%s type %u code %u len %zu", ip->src, ip->dst,
                 ip->protocol == IPPROTO_ICMP ? "" : "6", p[0], p[1], ip->len);
    else
        snprintf(line, size, "%s > %s: proto %u len %zu", ip->src, ip->dst, ip->protocol, ip->len);
}

static void ipv4(char *line, size_t size, struct bytes b)
{
    char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
    const uint8_t *p = take(&b, 20);
    size_t header = p ? (p[0] & 15u) * 4 : 0;
    if (!p || header < 20 || !take(&b, header - 20)) {
        snprintf(line, size, "ip, cut off");
        return;
    }
    const struct packet ip = {inet_ntop(AF_INET, p + 12, src, sizeof src),
                              inet_ntop(AF_INET, p + 16, dst, sizeof dst), p[9],
                              u16(p + 2) > header ? u16(p + 2) - header : 0, (u16(p + 6) & 0x3fff) != 0};
    transport(line, size, b, &ip);
}

static void ipv6(char *line, size_t size, struct bytes b)
{
    char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
    const uint8_t *p = take(&b, 40);
    if (!p) {
        snprintf(line, size, "ip6, cut off");
        return;
    }
    const struct packet ip = {inet_ntop(AF_INET6, p + 8, src, sizeof src),
                              inet_ntop(AF_INET6, p + 24, dst, sizeof dst), p[6], u16(p + 4), p[6] == 44};
    transport(line, size, b, &ip);
}

static void arp(char *line, size_t size, struct bytes b)
{
    char sender[INET_ADDRSTRLEN], target[INET_ADDRSTRLEN];
    const uint8_t *p = take(&b, 28);
    if (!p) {
        snprintf(line, size, "arp, cut off");
        return;
    }
    inet_ntop(AF_INET, p + 14, sender, sizeof sender);
    inet_ntop(AF_INET, p + 24, target, sizeof target);
    if (u16(p + 6) == 1)
        snprintf(line, size, "arp who-has %s tell %s", target, sender);
    else
        snprintf(line, size, "arp %s is-at %02x:%02x:%02x:%02x:%02x:%02x", sender, p[8], p[9], p[10], p[11],
                 p[12], p[13]);
}

void frame_line(char line[FRAME_LINE], const uint8_t *p, size_t caught, size_t length)
{
    struct bytes b = {p, caught};
    const uint8_t *ethernet = take(&b, 14), *tag = NULL;
    unsigned type = ethernet ? u16(ethernet + 12) : 0;
    size_t at = 0;
    if (type == TYPE_VLAN && (tag = take(&b, 4))) {
        at = (size_t)snprintf(line, FRAME_LINE, "vlan %u ", u16(tag) & 0xfff);
        type = u16(tag + 2);
    }
    if (!ethernet)
        snprintf(line, FRAME_LINE, "ethernet, cut off");
    else if (type == TYPE_IPV4)
        ipv4(line + at, FRAME_LINE - at, b);
    else if (type == TYPE_IPV6)
        ipv6(line + at, FRAME_LINE - at, b);
    else if (type == TYPE_ARP)
        arp(line + at, FRAME_LINE - at, b);
    else
        snprintf(line + at, FRAME_LINE - at, "ethertype 0x%04x", type);
    at = strlen(line);
    snprintf(line + at, FRAME_LINE - at, " (%zu bytes)", length);
}
