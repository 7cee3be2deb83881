/* test_plain.c: the short way in (net/plain.h) says what the general way says. An interface with a VLAN has no short
 * way: whatever is given to the one without is given to it, too, with its tag, and both must judge alike. */
#include "rig.h"
#include "unit.h"

enum { FRAMES = 60000, L2 = 14, TAG = 4, ROOM = 256, VLAN = 5 };

static uint64_t state = 11;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static struct rig with_tag, without;

static void start(void)
{
    struct net_config c = rig_config();
    c.addresses = 3;
    c.address[2].ip = ip("10.0.0.130");
    c.address[2].bits = 25;
    rig_start(&without, &c);
    c.vlan = VLAN;
    rig_start(&with_tag, &c);
}

static void stop(void)
{
    rig_stop(&without);
    rig_stop(&with_tag);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

static bool same_counts(void)
{
    bool same = true;
    for (unsigned i = 0; i < COUNTER_MAX; i++)
        same &= i == COUNTER_tx_bytes || without.counters.v[i] == with_tag.counters.v[i];
    return same;
}

/* Both judge the frame alike; *v is how. flags: of the frame's buffer. */
static bool alike(const uint8_t *f, size_t n, uint64_t flags, enum net_verdict *v)
{
    uint8_t tagged[ROOM + TAG];
    struct net_packet p, q;
    memcpy(tagged, f, 12);
    memcpy(tagged + 12, (const uint8_t[]){0x81, 0, 0, VLAN}, TAG);
    memcpy(tagged + 12 + TAG, f + 12, n - 12);
    struct rte_mbuf *a = rig_exact(f, n), *b = rig_exact(tagged, n + TAG);
    a->ol_flags |= flags;
    b->ol_flags |= flags;
    *v = net_input(without.nif, a, &p, 1000);
    enum net_verdict w = net_input(with_tag.nif, b, &q, 1000);
    if (*v == NET_TCP)
        rte_pktmbuf_free(a);
    if (w == NET_TCP)
        rte_pktmbuf_free(b);
    net_flush(without.nif);
    net_flush(with_tag.nif);
    bool same = *v == w && same_counts() && without.n == with_tag.n;
    if (same && w == NET_TCP)
        same = ip_equal(&p.src, &q.src) && ip_equal(&p.dst, &q.dst) && p.l4_off + TAG == q.l4_off &&
               p.l4_len == q.l4_len && p.ecn == q.ecn && p.ttl == q.ttl && p.checksum_ok == q.checksum_ok &&
               p.flow == 0 && q.flow == 0;
    rig_clear(&without);
    rig_clear(&with_tag);
    return same;
}

static void test_sources_and_destinations(void)
{
    static const char *const address[] = {"10.0.0.1",   "10.0.0.2",        "10.0.0.130", "10.0.0.255", "10.0.0.127",
                                          "0.0.0.0",    "0.1.2.3",         "127.0.0.1",  "224.0.0.1",  "240.0.0.1",
                                          "10.0.0.128", "255.255.255.255", "10.0.1.255", "8.8.8.8"};
    uint8_t f[ROOM];
    enum net_verdict v;
    unsigned taken = 0;
    start();
    for (unsigned s = 0; s < sizeof address / sizeof *address; s++)
        for (unsigned d = 0; d < sizeof address / sizeof *address; d++) {
            size_t n = make_tcp(f, address[s], address[d]);
            CU_ASSERT_TRUE(alike(f, n, 0, &v));
            taken += v == NET_TCP;
        }
    /* To each of the two addresses from: .1, .127 and .128, 10.0.1.255, 8.8.8.8. */
    CU_ASSERT_EQUAL(taken, 10);
    stop();
}

/* One change or two of a good frame, its checksum mostly put right. */
static size_t changed(uint8_t *f, size_t n)
{
    for (unsigned i = draw(3); i; i--) {
        uint32_t at = draw(L2 + 20);
        f[at] = draw(2) ? (uint8_t)draw(256) : f[at] ^ (uint8_t)(1u << draw(8));
    }
    if (draw(4))
        fix_ipv4(f);
    return draw(8) ? n : n - draw((uint32_t)n - 40);
}

static void test_changed_frames(void)
{
    static const uint64_t flags[] = {0, RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
                                     RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE};
    uint8_t f[ROOM];
    enum net_verdict v;
    unsigned taken = 0, bad = 0, judged = 0;
    start();
    for (unsigned i = 0; i < FRAMES; i++) {
        size_t n = changed(f, make_tcp(f, "10.0.0.1", "10.0.0.2"));
        if (f[12] == 0x81 || f[12] == 0x88) /* a tag of its own, which is no longer the same question */
            continue;
        bad += !alike(f, n, flags[draw(4)], &v);
        taken += v == NET_TCP;
        judged++;
    }
    CU_ASSERT_EQUAL(bad, 0);
    printf("# %u frames, %u segments\n", judged, taken);
    CU_ASSERT_TRUE(taken > judged / 4 && taken < judged - judged / 4);
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_sources_and_destinations), UNIT(test_changed_frames), {NULL, NULL}};
    return unit_main(argc, argv, "net/plain", tests);
}
