/* test_steer.c: who owns a frame, and that nothing is lost between workers without a count. */
#include "drivers/steer.h"
#include "rig.h"
#include "unit.h"

#include <rte_thash.h>

enum { WORKERS = 4 };

static struct steer *steer;
static struct counters counters;
static uint8_t f[1700];

static void start_view(bool hashed, uint16_t view_port, bool ruled)
{
    memset(&counters, 0, sizeof counters);
    rig_pool();
    steer = steer_new(WORKERS, hashed, view_port, ruled);
    CU_ASSERT_PTR_NOT_NULL_FATAL(steer);
}

static void start(bool hashed)
{
    start_view(hashed, 0, false);
}

static void done(void)
{
    steer_free(steer);
    CU_ASSERT_TRUE(rig_nothing_leaked());
}

static struct rte_mbuf *tcp(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
    size_t n = make_tcp(f, src, dst), at = n - 20;
    const uint8_t ports[4] = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8), (uint8_t)dport};
    memcpy(f + at, ports, 4);
    return rig_frame(f, n);
}

static unsigned owner(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
    struct rte_mbuf *m = tcp(src, dst, sport, dport);
    unsigned w = steer_target(steer, m).worker;
    rte_pktmbuf_free(m);
    return w;
}

static void test_both_directions_have_one_owner(void)
{
    start(false);
    for (uint16_t port = 1024; port < 1324; port++) {
        CU_ASSERT_EQUAL(owner("10.0.0.1", "10.0.0.2", port, 6379), owner("10.0.0.2", "10.0.0.1", 6379, port));
        CU_ASSERT_EQUAL(owner("2001:db8::1", "2001:db8::2", port, 6379),
                        owner("2001:db8::2", "2001:db8::1", 6379, port));
    }
    done();
}

static void test_flows_are_spread(void)
{
    unsigned of[WORKERS] = {0};
    start(false);
    for (uint16_t port = 32768; port < 33768; port++)
        of[owner("10.0.0.1", "10.0.0.2", port, 6379)]++;
    for (unsigned w = 0; w < WORKERS; w++)
        CU_ASSERT_TRUE(of[w] > 150 && of[w] < 350);
    done();
}

/* Who opens a connection knows where its answers will come. */
static void test_the_owner_of_a_flow_is_known_before_its_frames(void)
{
    start(false);
    for (uint16_t port = 49152; port < 49452; port++) {
        struct endpoint local = {.port = port}, remote = {.port = 6379};
        ip_parse("10.0.0.2", &local.ip);
        ip_parse("192.0.2.77", &remote.ip);
        unsigned w = steer_worker(steer, steer_hash(steer, &local, &remote));
        CU_ASSERT_EQUAL(w, owner("192.0.2.77", "10.0.0.2", 6379, port));
        ip_parse("2001:db8::2", &local.ip);
        ip_parse("2001:db8:1::5", &remote.ip);
        w = steer_worker(steer, steer_hash(steer, &local, &remote));
        CU_ASSERT_EQUAL(w, owner("2001:db8:1::5", "2001:db8::2", 6379, port));
    }
    done();
}

/* The short cut over the repeating key gives what the full Toeplitz hash of DPDK gives. */
static void test_hash_is_toeplitz(void)
{
    start(false);
    for (uint16_t port = 1; port < 3000; port += 13) {
        uint32_t tuple[3] = {0x0a000001, 0x0a000002, (uint32_t)port << 16 | 6379};
        uint32_t hash = rte_softrss(tuple, 3, steer_key);
        CU_ASSERT_EQUAL(owner("10.0.0.1", "10.0.0.2", port, 6379), (hash & 0xffff) * WORKERS >> 16);
    }
    done();
}

static void test_frames_reach_their_owner(void)
{
    start(false);
    struct rte_mbuf *m[64], *in[64];
    for (unsigned i = 0; i < 64; i++)
        m[i] = tcp("10.0.0.1", "10.0.0.2", (uint16_t)(40000 + i), 6379);
    unsigned own = steer_out(steer, 1, rig_pool(), m, 64, &counters), total = own;
    for (unsigned i = 0; i < own; i++)
        CU_ASSERT_EQUAL(steer_target(steer, m[i]).worker, 1);
    rte_pktmbuf_free_bulk(m, own);
    for (unsigned w = 0; w < WORKERS; w++) {
        unsigned n = steer_in(steer, w, in, 64);
        for (unsigned i = 0; i < n; i++)
            CU_ASSERT_EQUAL(steer_target(steer, in[i]).worker, w);
        rte_pktmbuf_free_bulk(in, n);
        total += n;
    }
    CU_ASSERT_EQUAL(total, 64);
    CU_ASSERT_EQUAL(counters.v[COUNTER_steered_packets], 64 - own);
    done();
}

static void heard_by_all(size_t len, unsigned receiver)
{
    struct rte_mbuf *m = rig_frame(f, len), *in[4];
    CU_ASSERT_EQUAL(steer_out(steer, receiver, rig_pool(), &m, 1, &counters), 1);
    rte_pktmbuf_free(m);
    for (unsigned w = 0; w < WORKERS; w++) {
        unsigned n = steer_in(steer, w, in, 4);
        CU_ASSERT_EQUAL(n, w != receiver);
        rte_pktmbuf_free_bulk(in, n);
    }
}

static void test_news_of_neighbours_reach_all(void)
{
    for (unsigned hashed = 0; hashed < 2; hashed++) {
        start(hashed);
        heard_by_all(make_arp(f, 2, rig_mac, rig_peer_mac, "10.0.0.1", "10.0.0.2"), 2);
        heard_by_all(make_arp(f, 1, rig_all, rig_peer_mac, "10.0.0.1", "10.0.0.1"), 0);
        heard_by_all(make_na(f, "2001:db8::1", "2001:db8::2", "2001:db8::1", 0x60, rig_peer_mac), 3);
        done();
    }
}

static void test_questions_go_to_worker_0(void)
{
    start(true);
    struct rte_mbuf *m[2] = {rig_frame(f, make_arp(f, 1, rig_all, rig_peer_mac, "10.0.0.1", "10.0.0.2")),
                             rig_frame(f, make_echo4(f, "10.0.0.1", "10.0.0.2", 8))};
    CU_ASSERT_EQUAL(steer_out(steer, 3, rig_pool(), m, 2, &counters), 0);
    CU_ASSERT_EQUAL(steer_in(steer, 0, m, 2), 2);
    rte_pktmbuf_free_bulk(m, 2);
    done();
}

static void test_port_that_hashes_keeps_its_flows(void)
{
    start(true);
    for (uint16_t port = 1; port < 50; port++) {
        struct rte_mbuf *m = tcp("10.0.0.1", "10.0.0.2", port, 6379);
        CU_ASSERT_EQUAL(steer_out(steer, 2, rig_pool(), &m, 1, &counters), 1);
        rte_pktmbuf_free(m);
    }
    done();
}

static void test_full_ring_is_counted(void)
{
    start(false);
    unsigned own = 0, sent = 0;
    for (; sent < 2000; sent++) { /* worker 0 never looks */
        struct rte_mbuf *m = rig_frame(f, make_echo4(f, "10.0.0.1", "10.0.0.2", 8));
        own += steer_out(steer, 1, rig_pool(), &m, 1, &counters);
    }
    CU_ASSERT_EQUAL(own, 0);
    CU_ASSERT_EQUAL(counters.v[COUNTER_steer_drops] + counters.v[COUNTER_steered_packets], sent);
    CU_ASSERT_TRUE(counters.v[COUNTER_steer_drops] > 0);
    done();
}

static void test_short_frames_belong_to_somebody(void)
{
    start(false);
    size_t n = make_tcp(f, "2001:db8::1", "2001:db8::2");
    for (size_t len = 1; len < n; len++) {
        struct rte_mbuf *m = rig_exact(f, len);
        CU_ASSERT_TRUE(steer_target(steer, m).worker < WORKERS);
        rte_pktmbuf_free(m);
    }
    done();
}

static unsigned owner_of_frame(size_t n, bool *all)
{
    struct rte_mbuf *m = rig_exact(f, n);
    struct steer_target t = steer_target(steer, m);
    rte_pktmbuf_free(m);
    if (all)
        *all = t.all;
    return t.worker;
}

static void test_errors_go_to_the_owner_of_the_quoted_segment(void)
{
    uint8_t icmp[128] = {3, 4}, inner[128];
    start(false);
    for (uint8_t port = 0; port < 100; port++) {
        const uint8_t segment[20] = {0x18, 0xeb, 0x80, port};
        size_t n = make_ipv4(inner, "10.0.0.2", "10.0.0.1", 6, segment, 20);
        memcpy(icmp + 8, inner + 14, n - 14);
        CU_ASSERT_EQUAL(owner_of_frame(make_ipv4(f, "10.0.0.99", "10.0.0.2", 1, icmp, 36), NULL),
                        owner("10.0.0.2", "10.0.0.1", 6379, (uint16_t)(0x8000 | port)));
        n = make_ipv6(inner, "2001:db8::2", "2001:db8::1", 6, 64, segment, 20);
        memcpy(icmp + 8, inner + 14, n - 14);
        icmp[0] = 2;
        CU_ASSERT_EQUAL(owner_of_frame(make_icmp6(f, "2001:db8::99", "2001:db8::2", 64, icmp, 56), NULL),
                        owner("2001:db8::2", "2001:db8::1", 6379, (uint16_t)(0x8000 | port)));
        icmp[0] = 3;
    }
    done();
}

static void test_fragments_of_a_packet_meet(void)
{
    unsigned of[WORKERS] = {0};
    uint8_t body[64] = {6};
    start(false);
    for (unsigned id = 0; id < 1000; id++) {
        unsigned got[2];
        for (unsigned i = 0; i < 2; i++) {
            size_t n = make_ipv4(f, "10.0.0.1", "10.0.0.2", 6, body, sizeof body);
            f[18] = (uint8_t)(id >> 8);
            f[19] = (uint8_t)id;
            f[20] = i ? 0 : 0x20;
            f[21] = i ? 8 : 0;
            got[i] = owner_of_frame(n, NULL);
        }
        CU_ASSERT_EQUAL(got[0], got[1]);
        of[got[0]]++;
        for (unsigned i = 0; i < 2; i++) {
            body[3] = i ? 64 : 1;
            body[6] = (uint8_t)(id >> 8);
            body[7] = (uint8_t)id;
            got[i] =
                owner_of_frame(make_ipv6(f, "2001:db8::1", "2001:db8::2", 44, 64, body, sizeof body), NULL);
        }
        CU_ASSERT_EQUAL(got[0], got[1]);
    }
    for (unsigned w = 0; w < WORKERS; w++)
        CU_ASSERT_TRUE(of[w] > 150);
    done();
}

static void test_a_whole_packet_goes_to_the_owner_of_its_flow(void)
{
    start(true); /* whatever the port would have done with it */
    for (uint16_t port = 1; port < 50; port++) {
        unsigned to = owner("10.0.0.1", "10.0.0.2", port, 6379);
        struct rte_mbuf *m = tcp("10.0.0.1", "10.0.0.2", port, 6379), *got;
        bool passed = steer_pass(steer, 0, m, &counters);
        CU_ASSERT_EQUAL(passed, to != 0);
        if (passed)
            CU_ASSERT_EQUAL(steer_in(steer, to, &got, 1), 1);
        rte_pktmbuf_free(m);
    }
    done();
}

enum { VIEW = 7000 };

static void test_a_workers_own_port_is_its_own(void)
{
    unsigned of[WORKERS] = {0};
    start_view(false, VIEW, false);
    for (uint16_t port = 40000; port < 40200; port++) {
        for (uint16_t w = 0; w < WORKERS; w++) {
            CU_ASSERT_EQUAL(owner("10.0.0.1", "10.0.0.2", port, (uint16_t)(VIEW + w)), w);
            CU_ASSERT_EQUAL(owner("2001:db8::1", "2001:db8::2", port, (uint16_t)(VIEW + w)), w);
        }
        of[owner("10.0.0.1", "10.0.0.2", port, 6379)]++;
        of[owner("10.0.0.1", "10.0.0.2", VIEW, port)]++; /* the other end's port is anybody's */
    }
    for (unsigned w = 0; w < WORKERS; w++)
        CU_ASSERT_TRUE(of[w] > 30);
    CU_ASSERT_EQUAL(steer_port_owner(steer, VIEW - 1), -1);
    CU_ASSERT_EQUAL(steer_port_owner(steer, VIEW + WORKERS), -1);
    done();
}

static void test_errors_about_an_own_port_go_to_its_worker(void)
{
    start_view(true, VIEW, true);
    for (uint16_t w = 0; w < WORKERS; w++) {
        uint8_t icmp[128] = {3, 4}, inner[128];
        const uint8_t segment[20] = {VIEW >> 8, (uint8_t)((VIEW & 0xff) + w), 0x80, 1};
        size_t n = make_ipv4(inner, "10.0.0.2", "10.0.0.1", 6, segment, 20);
        memcpy(icmp + 8, inner + 14, n - 14);
        CU_ASSERT_EQUAL(owner_of_frame(make_ipv4(f, "10.0.0.99", "10.0.0.2", 1, icmp, 36), NULL), w);
        n = make_ipv6(inner, "2001:db8::2", "2001:db8::1", 6, 64, segment, 20);
        icmp[0] = 2;
        memcpy(icmp + 8, inner + 14, n - 14);
        CU_ASSERT_EQUAL(owner_of_frame(make_icmp6(f, "2001:db8::99", "2001:db8::2", 64, icmp, 56), NULL), w);
    }
    done();
}

/* A port that hashes without such rules has brought the frame to any worker. */
static void test_own_ports_need_rules_or_handing_on(void)
{
    for (unsigned ruled = 0; ruled < 2; ruled++) {
        start_view(true, VIEW, ruled);
        struct rte_mbuf *m = tcp("10.0.0.1", "10.0.0.2", 40000, VIEW + 3), *got;
        CU_ASSERT_EQUAL(steer_out(steer, 1, rig_pool(), &m, 1, &counters), ruled);
        CU_ASSERT_EQUAL(steer_in(steer, 3, &got, 1), !ruled);
        rte_pktmbuf_free(m);
        m = tcp("10.0.0.1", "10.0.0.2", 40000, 6379);
        CU_ASSERT_EQUAL(steer_out(steer, 1, rig_pool(), &m, 1, &counters), 1);
        rte_pktmbuf_free(m);
        done();
    }
}

static void test_questions_for_duplicates_reach_all(void)
{
    bool all;
    start(false);
    owner_of_frame(make_arp(f, 1, rig_all, rig_peer_mac, "0.0.0.0", "10.0.0.2"), &all);
    CU_ASSERT_TRUE(all);
    owner_of_frame(make_ns(f, "::", "ff02::1:ff00:2", "2001:db8::2", false), &all);
    CU_ASSERT_TRUE(all);
    owner_of_frame(make_ns(f, "2001:db8::1", "ff02::1:ff00:2", "2001:db8::2", true), &all);
    CU_ASSERT_FALSE(all);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_both_directions_have_one_owner),
                                             UNIT(test_flows_are_spread),
                                             UNIT(test_hash_is_toeplitz),
                                             UNIT(test_the_owner_of_a_flow_is_known_before_its_frames),
                                             UNIT(test_frames_reach_their_owner),
                                             UNIT(test_news_of_neighbours_reach_all),
                                             UNIT(test_questions_go_to_worker_0),
                                             UNIT(test_port_that_hashes_keeps_its_flows),
                                             UNIT(test_errors_go_to_the_owner_of_the_quoted_segment),
                                             UNIT(test_fragments_of_a_packet_meet),
                                             UNIT(test_a_whole_packet_goes_to_the_owner_of_its_flow),
                                             UNIT(test_a_workers_own_port_is_its_own),
                                             UNIT(test_errors_about_an_own_port_go_to_its_worker),
                                             UNIT(test_own_ports_need_rules_or_handing_on),
                                             UNIT(test_questions_for_duplicates_reach_all),
                                             UNIT(test_full_ring_is_counted),
                                             UNIT(test_short_frames_belong_to_somebody),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "drivers/steer", tests);
}
