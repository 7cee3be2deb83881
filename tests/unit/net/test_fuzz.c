/* test_fuzz.c: a million frames that are almost right. None may crash, read beyond its end, leak, or fill a
 * table without bound. Seeded: a failure can be repeated. */
#include "net/checksum.h"
#include "rig.h"
#include "unit.h"

#include <time.h>

enum { FRAMES = 1000000, SECONDS = 8, SEED_FRAMES = 15, ROOM = 1700 };

static uint64_t state = 20;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

/* Fragments, ICMP errors, listener queries and strange transports. */
static size_t seed_more(unsigned which, uint8_t *f)
{
    static const uint8_t options[48] = {1, 7, 7, 4, 0, 0, 0, 0};
    static const uint8_t query[36] = {58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0, 0, 100};
    static uint8_t body[1400];
    switch (which) {
    case 8: { /* one of three pieces of one of few packets, so that they meet */
        unsigned id = draw(256), at = draw(3);
        size_t n = make_ipv4(f, "10.0.0.1", "10.0.0.2", id & 1 ? 6 : 1, body, 320);
        f[19] = (uint8_t)id;
        f[20] = at < 2 ? 0x20 : 0;
        f[21] = (uint8_t)(at * 40);
        fix_ipv4(f);
        return n;
    }
    case 9: {
        unsigned at = draw(3) * 320;
        body[0] = draw(2) ? 6 : 58;
        body[2] = (uint8_t)(at >> 8);
        body[3] = (uint8_t)(at | (at < 640));
        body[7] = (uint8_t)draw(128);
        body[7] = (uint8_t)(body[7] << 1 | (body[0] == 6));
        return make_ipv6(f, "2001:db8::1", "2001:db8::2", 44, 64, body, 8 + 320);
    }
    case 10: /* errors that quote a segment of ours */
    case 11: {
        uint8_t icmp[128] = {(uint8_t)draw(13), (uint8_t)draw(5), 0, 0, 0, 0, 5, (uint8_t)draw(256)},
                inner[96];
        bool v6 = which == 11;
        size_t n = v6 ? make_ipv6(inner, "2001:db8::2", "2001:db8::1", 6, 64, options, 20)
                      : make_ipv4(inner, "10.0.0.2", "10.0.0.1", 6, options, 20);
        memcpy(icmp + 8, inner + 14, n - 14);
        uint16_t sum = v6 ? 0 : checksum_finish(checksum_add(0, icmp, n - 6));
        memcpy(icmp + 2, &sum, 2);
        return v6 ? make_icmp6(f, "2001:db8::99", "2001:db8::2", 64, icmp, n - 6)
                  : make_ipv4(f, "10.0.0.99", "10.0.0.2", 1, icmp, n - 6);
    }
    case 12:
        return make_ipv6(f, "fe80::1", "ff02::1", 0, 1, query, draw(2) ? 36 : 32);
    default:
        return make_ipv4(f, "10.0.0.1", "10.0.0.2", (uint8_t)draw(256), options, sizeof options);
    }
}

static size_t seed_frame(unsigned which, uint8_t *f)
{
    static const uint8_t extensions[44] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6};
    static const uint8_t options[48] = {1, 7, 7, 4, 0, 0, 0, 0};
    switch (which) {
    case 0:
        return make_arp(f, 1, rig_all, rig_peer_mac, "10.0.0.1", "10.0.0.2");
    case 1:
        return make_arp(f, 2, rig_mac, rig_peer_mac, "10.0.0.1", "10.0.0.2");
    case 2:
        return make_tcp(f, "10.0.0.1", "10.0.0.2");
    case 3:
        return make_tcp(f, "2001:db8::1", "2001:db8::2");
    case 4:
        return make_echo4(f, "10.0.0.1", "10.0.0.2", draw(100));
    case 5:
        return make_ns(f, "2001:db8::1", "ff02::1:ff00:2", "2001:db8::2", draw(2));
    case 6:
        return make_na(f, "2001:db8::1", "2001:db8::2", "2001:db8::1", (uint8_t)draw(256), rig_peer_mac);
    case 7:
        return make_ipv6(f, "2001:db8::1", "2001:db8::2", 0, 64, extensions, sizeof extensions);
    case 14:
        return make_ipv4(f, "10.0.0.1", "10.0.0.2", 6, options, sizeof options);
    default:
        return seed_more(which, f);
    }
}

/* Without right checksums most mutants would die at the first check. */
static void repair(uint8_t *f, size_t n)
{
    if (n >= 74 && f[12] == 8 && f[13] == 0 && (f[14] & 15) >= 5)
        fix_ipv4(f);
    if (n >= 62 && f[12] == 0x86 && f[13] == 0xdd && f[20] == 58) {
        struct ip_addr s, d;
        size_t len = (size_t)f[18] << 8 | f[19];
        if (len < 8 || len > n - 54)
            return;
        memcpy(s.b, f + 22, 16);
        memcpy(d.b, f + 38, 16);
        memset(f + 56, 0, 2);
        uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 58), (uint16_t)len);
        uint16_t field = checksum_finish(checksum_add(sum, f + 54, len));
        memcpy(f + 56, &field, 2);
    }
}

static size_t mutate(uint8_t *f, size_t n)
{
    for (unsigned i = draw(4); i; i--)
        f[draw((uint32_t)n)] = (uint8_t)draw(256);
    if (draw(4) == 0)
        f[draw((uint32_t)n)] ^= (uint8_t)(1u << draw(8));
    if (draw(8) == 0)
        n = draw((uint32_t)n) + 1;
    if (draw(16) == 0) {
        size_t more = draw(64);
        memset(f + n, (int)draw(256), more);
        n += more;
    }
    if (draw(4))
        repair(f, n);
    return n;
}

static unsigned whole, errors; /* packets completed, errors handed up */

static void give(struct rig *r, const uint8_t *f, size_t n)
{
    struct net_packet p;
    struct rte_mbuf *m;
    size_t cut = draw(8) ? 0 : draw((uint32_t)n);
    if (cut) {
        m = rig_frame(f, cut);
        rte_pktmbuf_chain(m, rig_frame(f + cut, n - cut));
    } else {
        m = rig_exact(f, n);
    }
    if (draw(16) == 0) {
        m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        m->vlan_tci = (uint16_t)draw(3);
    }
    enum net_verdict v = net_input(r->nif, m, &p, r->now);
    if (v == NET_WHOLE) {
        whole++;
        m = net_take_whole(r->nif);
        v = net_input(r->nif, m, &p, r->now);
        CU_ASSERT_TRUE_FATAL(v != NET_WHOLE);
    }
    errors += v == NET_TCP_ERROR;
    if (v == NET_TCP) {
        CU_ASSERT_TRUE_FATAL((uint32_t)p.l4_off + p.l4_len <= m->pkt_len);
        CU_ASSERT_TRUE_FATAL(m->data_len >= (uint32_t)p.l4_off + (p.l4_len < 60 ? p.l4_len : 60));
        rte_pktmbuf_free(m);
    }
    net_flush(r->nif);
}

static void test_a_million_mutants(void)
{
    static uint8_t f[ROOM];
    static struct rig r;
    struct timespec start, now;
    struct net_config c = rig_config();
    c.neighbours = 64;
    rig_start(&r, &c);
    clock_gettime(CLOCK_MONOTONIC, &start);
    unsigned done = 0;
    for (; done < FRAMES; done++) {
        give(&r, f, mutate(f, seed_frame(draw(SEED_FRAMES), f)));
        rig_clear(&r);
        r.now += 50;
        net_tick(r.nif, r.now);
        if (done % 4096 == 0) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (now.tv_sec - start.tv_sec > SECONDS)
                break;
        }
    }
    printf("# %u frames, %u packets completed, %u errors\n", done, whole, errors);
    CU_ASSERT_TRUE(whole > 100 && errors > 100);
    rig_stop(&r);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_million_mutants), {NULL, NULL}};
    return unit_main(argc, argv, "net/fuzz", tests);
}
