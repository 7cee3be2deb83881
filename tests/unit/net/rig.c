/* rig.c: see rig.h. */
#include "rig.h"

#include "net/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ip.h>

const uint8_t rig_mac[6] = {2, 0, 0, 0, 0, 2}, rig_peer_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t rig_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

enum { POOL = 4095 };

static struct rte_mempool *start_eal(void)
{
    static char core[16];
    snprintf(core, sizeof core, "0@%d", 0);
    char *argv[] = {(char[]){"unit"},
                    (char[]){"--no-huge"},
                    (char[]){"--no-shconf"},
                    (char[]){"--no-pci"},
                    (char[]){"--no-telemetry"},
                    (char[]){"-m"},
                    (char[]){"64"},
                    (char[]){"--lcores"},
                    core,
                    (char[]){"--log-level=error"},
                    NULL};
    if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
        return NULL;
    return rte_pktmbuf_pool_create("unit", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
}

struct rte_mempool *rig_pool(void)
{
    static struct rte_mempool *pool;
    if (!pool)
        pool = start_eal();
    if (!pool) {
        printf("Bail out! no packet pool\n");
        exit(1);
    }
    return pool;
}

bool rig_nothing_leaked(void)
{
    return rte_mempool_in_use_count(rig_pool()) == 0;
}

static void caught(void *ctx, struct rte_mbuf **frames, unsigned n)
{
    struct rig *r = ctx;
    for (unsigned i = 0; i < n; i++) {
        if (r->n < RIG_SENT)
            r->sent[r->n++] = frames[i];
        else
            rte_pktmbuf_free(frames[i]);
    }
}

struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    if (!ip_parse(text, &a))
        abort();
    return a;
}

struct net_config rig_config(void)
{
    struct net_config c = {.mtu = 1500, .addresses = 2, .quiet = true, .seed = 7};
    memcpy(c.mac, rig_mac, 6);
    c.address[0].ip = ip("10.0.0.2");
    c.address[0].bits = 24;
    c.address[1].ip = ip("2001:db8::2");
    c.address[1].bits = 64;
    return c;
}

void rig_start(struct rig *r, const struct net_config *conf)
{
    struct net_config standard = rig_config();
    const struct wire wire = {caught, r};
    memset(r, 0, sizeof *r);
    r->now = 1000;
    r->nif = net_if_new(conf ? conf : &standard, rig_pool(), &wire, &r->counters);
    if (!r->nif)
        abort();
}

void rig_clear(struct rig *r)
{
    rte_pktmbuf_free_bulk(r->sent, r->n);
    r->n = 0;
}

void rig_stop(struct rig *r)
{
    rig_clear(r);
    net_if_free(r->nif);
}

struct rte_mbuf *rig_frame(const void *bytes, size_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool());
    char *p = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;
    if (!p)
        abort();
    memcpy(p, bytes, len);
    return m;
}

static void free_exact(void *bytes, void *info)
{
    free(bytes);
    free(info);
}

struct rte_mbuf *rig_exact(const void *bytes, size_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool());
    struct rte_mbuf_ext_shared_info *info = calloc(1, sizeof *info);
    void *block = malloc(len);
    if (!m || !info || !block)
        abort();
    memcpy(block, bytes, len);
    info->free_cb = free_exact;
    info->fcb_opaque = info;
    rte_mbuf_ext_refcnt_set(info, 1);
    rte_pktmbuf_attach_extbuf(m, block, 0, (uint16_t)len, info);
    rte_pktmbuf_append(m, (uint16_t)len);
    return m;
}

enum net_verdict rig_input(struct rig *r, const void *bytes, size_t len, struct net_packet *out)
{
    struct net_packet ignored;
    struct rte_mbuf *m = rig_exact(bytes, len);
    enum net_verdict v = net_input(r->nif, m, out ? out : &ignored, r->now);
    if (v == NET_TCP)
        rte_pktmbuf_free(m);
    net_flush(r->nif);
    return v;
}

const uint8_t *rig_sent(const struct rig *r, unsigned i)
{
    return rte_pktmbuf_mtod(r->sent[i], const uint8_t *);
}

static size_t ethernet(uint8_t *p, const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
    memcpy(p, dst, 6);
    memcpy(p + 6, src, 6);
    p[12] = (uint8_t)(type >> 8);
    p[13] = (uint8_t)type;
    return 14;
}

size_t make_arp(uint8_t *p, uint16_t op, const uint8_t dst[6], const uint8_t sha[6], const char *sip,
                const char *tip)
{
    const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, (uint8_t)op};
    size_t n = ethernet(p, dst, sha, 0x0806);
    memcpy(p + n, head, 8);
    memcpy(p + n + 8, sha, 6);
    memcpy(p + n + 14, ip(sip).b + 12, 4);
    memset(p + n + 18, 0, 6);
    memcpy(p + n + 24, ip(tip).b + 12, 4);
    return n + 28;
}

void fix_ipv4(uint8_t *frame)
{
    uint8_t *h = frame + 14;
    memset(h + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, h, (h[0] & 15u) * 4));
    memcpy(h + 10, &sum, 2);
}

size_t make_ipv4(uint8_t *p, const char *src, const char *dst, uint8_t protocol, const void *body, size_t len)
{
    size_t n = ethernet(p, rig_mac, rig_peer_mac, 0x0800);
    const uint8_t head[12] = {0x45, 0,       (uint8_t)((len + 20) >> 8), (uint8_t)(len + 20), 0, 0, 0x40, 0,
                              64,   protocol};
    memcpy(p + n, head, 12);
    memcpy(p + n + 12, ip(src).b + 12, 4);
    memcpy(p + n + 16, ip(dst).b + 12, 4);
    memcpy(p + n + 20, body, len);
    fix_ipv4(p);
    return n + 20 + len;
}

size_t make_ipv6(uint8_t *p, const char *src, const char *dst, uint8_t next, uint8_t hops, const void *body,
                 size_t len)
{
    struct ip_addr to = ip(dst);
    uint8_t group[6] = {0x33, 0x33, to.b[12], to.b[13], to.b[14], to.b[15]};
    size_t n = ethernet(p, to.b[0] == 0xff ? group : rig_mac, rig_peer_mac, 0x86dd);
    const uint8_t head[8] = {0x60, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, next, hops};
    memcpy(p + n, head, 8);
    memcpy(p + n + 8, ip(src).b, 16);
    memcpy(p + n + 24, to.b, 16);
    memcpy(p + n + 40, body, len);
    return n + 40 + len;
}

size_t make_tcp(uint8_t *p, const char *src, const char *dst)
{
    uint8_t tcp[20] = {0x30, 0x39, 0x18, 0xeb, [12] = 0x50, [13] = 2, [14] = 0xff, [15] = 0xff};
    struct ip_addr s = ip(src), d = ip(dst);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 6), sizeof tcp);
    uint16_t field = checksum_finish(checksum_add(sum, tcp, sizeof tcp));
    memcpy(tcp + 16, &field, 2);
    return ip_is_v4(&s) ? make_ipv4(p, src, dst, 6, tcp, sizeof tcp)
                        : make_ipv6(p, src, dst, 6, 64, tcp, sizeof tcp);
}

size_t make_echo4(uint8_t *p, const char *src, const char *dst, size_t payload)
{
    uint8_t icmp[1500] = {8, 0, 0, 0, 0x12, 0x34, 0, 1};
    for (size_t i = 0; i < payload; i++)
        icmp[8 + i] = (uint8_t)(i * 7);
    uint16_t sum = checksum_finish(checksum_add(0, icmp, 8 + payload));
    memcpy(icmp + 2, &sum, 2);
    return make_ipv4(p, src, dst, 1, icmp, 8 + payload);
}

size_t make_icmp6(uint8_t *p, const char *src, const char *dst, uint8_t hops, const void *body, size_t len)
{
    size_t n = make_ipv6(p, src, dst, 58, hops, body, len);
    struct ip_addr s = ip(src), d = ip(dst);
    memset(p + 14 + 40 + 2, 0, 2);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 58), (uint16_t)len);
    uint16_t field = checksum_finish(checksum_add(sum, p + 14 + 40, len));
    memcpy(p + 14 + 40 + 2, &field, 2);
    return n;
}

size_t make_ns(uint8_t *p, const char *src, const char *dst, const char *target, bool with_option)
{
    uint8_t body[32] = {135};
    memcpy(body + 8, ip(target).b, 16);
    body[24] = body[25] = 1;
    memcpy(body + 26, rig_peer_mac, 6);
    return make_icmp6(p, src, dst, 255, body, with_option ? 32 : 24);
}

size_t make_na(uint8_t *p, const char *src, const char *dst, const char *target, uint8_t flags,
               const uint8_t mac[6])
{
    uint8_t body[32] = {136, 0, 0, 0, flags};
    memcpy(body + 8, ip(target).b, 16);
    body[24] = 2;
    body[25] = 1;
    memcpy(body + 26, mac, 6);
    return make_icmp6(p, src, dst, 255, body, 32);
}
