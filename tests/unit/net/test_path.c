/* test_path.c: the way out: routes, paths, neighbours, segments. */
#include "case.h"

static void test_segment_waits_for_its_neighbour(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 5);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[13], 6);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "incomplete");
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 1), rig_peer_mac, 6), 0);
    net_path_put(rig.nif, p);
    done();
}

static void check_segment(const uint8_t *r, size_t payload)
{
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(0, r + 14, 20)), 0);
    CU_ASSERT_EQUAL((r[16] << 8 | r[17]), (int)(40 + payload));
    struct ip_addr s = ip(OWN), d = ip(PEER);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 6), (uint16_t)(20 + payload));
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 34, 20 + payload)), 0);
}

static void test_segments_of_every_length_are_right(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    CU_ASSERT_EQUAL(net_path_mtu(p), 1500);
    send_to(p, 0);
    hear_peer();
    rig_clear(&rig);
    for (size_t payload = 0; payload <= 1460; payload += payload < 70 ? 1 : 111) {
        net_send_tcp(rig.nif, p, segment(payload), 20, 0, 2, rig.now);
        net_flush(rig.nif);
        CU_ASSERT_EQUAL_FATAL(rig.n, 1);
        CU_ASSERT_EQUAL(rig.sent[0]->pkt_len, 54 + payload);
        CU_ASSERT_EQUAL(rig_sent(&rig, 0)[15], 2);
        check_segment(rig_sent(&rig, 0), payload);
        rig_clear(&rig);
    }
    send_to(p, 1461);
    CU_ASSERT_EQUAL(COUNT(drop_unsendable), 1);
    net_path_put(rig.nif, p);
    done();
}

static void test_chained_segment_has_the_right_checksum(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    for (size_t cut = 1; cut < 40; cut++) {
        rig_clear(&rig);
        struct rte_mbuf *m = segment(3);
        uint8_t rest[64];
        memset(rest, (int)cut, sizeof rest);
        CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, rig_frame(rest, cut)), 0);
        CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, rig_frame(rest, 7)), 0);
        net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
        net_flush(rig.nif);
        uint8_t flat[200];
        const uint8_t *r = rte_pktmbuf_read(rig.sent[0], 0, rig.sent[0]->pkt_len, flat);
        check_segment(r, 3 + cut + 7);
    }
    net_path_put(rig.nif, p);
    done();
}

static void test_offload_leaves_the_pseudo_sum(void)
{
    struct net_config c = rig_config();
    c.offload = NET_TX_TCP_CSUM | NET_TX_TSO;
    rig_start(&rig, &c);
    struct net_path *p = path_to(OWN, PEER);
    struct ip_addr s = ip(OWN), d = ip(PEER);
    send_to(p, 0);
    hear_peer();
    rig_clear(&rig);
    send_to(p, 100);
    net_send_tcp(rig.nif, p, segment(1400), 20, 536, 0, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    uint16_t sum;
    memcpy(&sum, rig_sent(&rig, 0) + 50, 2);
    CU_ASSERT_EQUAL(sum, checksum_fold(checksum_u16(checksum_pseudo(&s, &d, 6), 120)));
    CU_ASSERT_EQUAL(rig.sent[0]->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
    CU_ASSERT_TRUE(rig.sent[0]->l2_len == 14 && rig.sent[0]->l3_len == 20 && rig.sent[0]->l4_len == 20);
    memcpy(&sum, rig_sent(&rig, 1) + 50, 2);
    CU_ASSERT_EQUAL(sum, checksum_fold(checksum_pseudo(&s, &d, 6)));
    CU_ASSERT_TRUE(rig.sent[1]->ol_flags & RTE_MBUF_F_TX_TCP_SEG && rig.sent[1]->tso_segsz == 536);
    net_path_put(rig.nif, p);
    done();
}

static void test_ipv6_segment_is_right(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN6, PEER6);
    send_to(p, 11);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), "\x33\x33\xff\x00\x00\x01", 6), 0);
    CU_ASSERT_EQUAL(rig_sent(&rig, 0)[54], 135);
    rig_input(&rig, f, make_na(f, PEER6, OWN6, PEER6, SOLICITED | OVERRIDE, rig_peer_mac), NULL);
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    const uint8_t *r = rig_sent(&rig, 1);
    CU_ASSERT_EQUAL(r[19], 31);
    struct ip_addr s = ip(OWN6), d = ip(PEER6);
    uint64_t sum = checksum_u16(checksum_pseudo(&s, &d, 6), 31);
    CU_ASSERT_EQUAL(checksum_finish(checksum_add(sum, r + 54, 31)), 0);
    net_path_put(rig.nif, p);
    done();
}

static void test_waiting_queue_keeps_the_newest(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    for (unsigned i = 0; i < 12; i++)
        send_to(p, i);
    CU_ASSERT_EQUAL(rig.n, 1); /* one question, whatever waits */
    CU_ASSERT_EQUAL(COUNT(drop_waiting_full), 4);
    hear_peer();
    CU_ASSERT_EQUAL_FATAL(rig.n, 9);
    CU_ASSERT_EQUAL(rig.sent[1]->pkt_len, 54 + 4);
    net_path_put(rig.nif, p);
    done();
}

static void test_frames_waiting_for_all_neighbours_are_bounded(void)
{
    rig_start(&rig, NULL);
    for (unsigned host = 10; host < 60; host++) {
        char to[16];
        snprintf(to, sizeof to, "10.0.0.%u", host);
        struct net_path *p = path_to(OWN, to);
        for (unsigned i = 0; i < 8; i++)
            send_to(p, 0);
        net_path_put(rig.nif, p);
    }
    CU_ASSERT_EQUAL(COUNT(drop_waiting_full), 50 * 8 - 256);
    done();
}

static void test_silent_neighbour_fails_after_three_questions(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    for (unsigned i = 0; i < 40; i++) {
        rig.now += 100000;
        net_tick(rig.nif, rig.now);
    }
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 3);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "failed");
    CU_ASSERT_EQUAL(COUNT(drop_unresolved), 1);
    send_to(p, 0);
    CU_ASSERT_EQUAL(rig.n, 4); /* the next packet asks anew, at once, and then twice more by itself */
    CU_ASSERT(net_tick(rig.nif, rig.now) <= rig.now + 1000000);
    for (unsigned i = 0; i < 20; i++) {
        rig.now += 100000;
        net_tick(rig.nif, rig.now);
    }
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 6);
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    CU_ASSERT_EQUAL(rig.n, 7); /* what waited has left */
    net_path_put(rig.nif, p);
    done();
}

static void test_neighbour_ages_and_is_probed_when_used(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    rig.now += 46000000;
    net_tick(rig.nif, rig.now);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "stale");
    rig_clear(&rig);
    send_to(p, 0);
    CU_ASSERT_EQUAL(rig.n, 1);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "delay");
    rig.now += 5100000;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "probe");
    CU_ASSERT_EQUAL_FATAL(rig.n, 2);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 1), rig_peer_mac, 6), 0); /* asked in person */
    hear_peer();
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    net_path_put(rig.nif, p);
    done();
}

static void test_path_follows_a_changed_mac(void)
{
    static const uint8_t moved[6] = {2, 0, 0, 0, 0, 9};
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    send_to(p, 0);
    hear_peer();
    rig_input(&rig, f, make_arp(f, REQUEST, rig_all, moved, PEER, PEER), NULL);
    rig_clear(&rig);
    send_to(p, 0);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0), moved, 6), 0);
    net_path_put(rig.nif, p);
    done();
}

static void test_routes(void)
{
    struct net_config c = rig_config();
    c.gateway4 = ip("10.0.0.254");
    rig_start(&rig, &c);
    static const char *const nowhere[] = {"10.0.0.255", "224.0.0.1", "255.255.255.255",
                                          "0.0.0.0",    OWN,         PEER6};
    for (unsigned i = 0; i < RTE_DIM(nowhere); i++)
        CU_ASSERT_PTR_NULL(path_to(OWN, nowhere[i]));
    CU_ASSERT_PTR_NULL(path_to(OWN6, "2001:db8:1::1")); /* no gateway */
    CU_ASSERT_EQUAL(COUNT(no_route), RTE_DIM(nowhere) + 1);
    struct net_path *far = path_to(OWN, "192.0.2.1"), *again = path_to(OWN, "192.0.2.1");
    CU_ASSERT_PTR_EQUAL(far, again);
    send_to(far, 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, 0) + 38, ip("10.0.0.254").b + 12, 4), 0);
    net_path_put(rig.nif, far);
    net_path_put(rig.nif, again);
    struct net_path *near = path_to(OWN6, "fe80::1");
    CU_ASSERT_PTR_NOT_NULL(near);
    net_path_put(rig.nif, near);
    done();
}

static struct net_config routed(void)
{
    static const char *const routes[][2] = {{"172.16.0.0", "10.0.0.11"},
                                            {"172.16.5.0", "10.0.0.12"},
                                            {"172.16.5.9", "10.0.0.13"},
                                            {"2001:db8:7::", "2001:db8::7"}};
    static const uint8_t bits[] = {12, 24, 32, 48};
    struct net_config c = rig_config();
    c.gateway4 = ip("10.0.0.254");
    c.address[c.addresses].ip = ip("192.168.7.2");
    c.address[c.addresses++].bits = 30;
    for (unsigned i = 0; i < RTE_DIM(routes); i++)
        c.route[c.routes++] =
            (struct net_route){.prefix = ip(routes[i][0]), .gateway = ip(routes[i][1]), .bits = bits[i]};
    return c;
}

/* The neighbour that is asked for first when something is sent to dst. */
static bool leaves_through(const char *src, const char *dst, const char *hop)
{
    struct net_path *p = path_to(src, dst);
    if (!p)
        return false;
    rig_clear(&rig);
    send_to(p, 0);
    struct ip_addr want = ip(hop);
    bool v4 = ip_is_v4(&want), right = rig.n == 1 && memcmp(rig_sent(&rig, 0) + (v4 ? 38 : 62),
                                                            want.b + (v4 ? 12 : 0), v4 ? 4 : 16) == 0;
    net_path_put(rig.nif, p);
    return right;
}

static void test_the_longest_prefix_wins(void)
{
    struct net_config c = routed();
    rig_start(&rig, &c);
    CU_ASSERT_TRUE(leaves_through(OWN, "172.17.1.1", "10.0.0.11"));
    CU_ASSERT_TRUE(leaves_through(OWN, "172.16.5.1", "10.0.0.12"));
    CU_ASSERT_TRUE(leaves_through(OWN, "172.16.5.9", "10.0.0.13"));
    CU_ASSERT_TRUE(leaves_through(OWN, "172.32.0.1", "10.0.0.254"));
    CU_ASSERT_TRUE(leaves_through(OWN, "10.0.0.77", "10.0.0.77"));
    CU_ASSERT_TRUE(leaves_through("192.168.7.2", "192.168.7.1", "192.168.7.1"));
    CU_ASSERT_TRUE(leaves_through(OWN6, "2001:db8:7:1::1", "2001:db8::7"));
    CU_ASSERT_FALSE(leaves_through(OWN6, "2001:db8:8::1", "2001:db8::7"));
    done();
}

struct listing {
    unsigned n[NET_ROUTE_DEFAULT + 1], kind, bits;
    bool ordered;
};

static void list(const struct ip_addr *prefix, unsigned bits, const struct ip_addr *gateway,
                 enum net_route_kind kind, void *arg)
{
    struct listing *l = arg;
    (void)prefix;
    l->ordered &= kind > l->kind || (kind == l->kind && bits <= l->bits);
    l->ordered &= (gateway == NULL) == (kind == NET_ROUTE_CONNECTED);
    l->kind = kind;
    l->bits = bits;
    l->n[kind]++;
}

static void test_routes_are_listed(void)
{
    struct net_config c = routed();
    struct listing l = {.bits = 128, .ordered = true};
    rig_start(&rig, &c);
    net_each_route(rig.nif, list, &l);
    CU_ASSERT_EQUAL(l.n[NET_ROUTE_CONNECTED], 4); /* with fe80::/64 */
    CU_ASSERT_EQUAL(l.n[NET_ROUTE_STATIC], 4);
    CU_ASSERT_EQUAL(l.n[NET_ROUTE_DEFAULT], 1);
    CU_ASSERT_TRUE(l.ordered);
    done();
}

static void test_learned_mtu_outlives_its_connection_but_not_ten_minutes(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    CU_ASSERT_TRUE(net_path_learn_mtu(rig.nif, p, 1300, rig.now));
    CU_ASSERT_FALSE(net_path_learn_mtu(rig.nif, p, 1400, rig.now));
    net_path_put(rig.nif, p);
    p = path_to(OWN, PEER);
    CU_ASSERT_EQUAL(net_path_mtu(p), 1300);
    CU_ASSERT_TRUE(net_path_learn_mtu(rig.nif, p, 100, rig.now));
    CU_ASSERT_EQUAL(net_path_mtu(p), 552);
    send_to(p, 1460); /* connections that do not know yet may still send, and hear from the router */
    CU_ASSERT_EQUAL(COUNT(drop_unsendable), 0);
    rig.now += NET_MTU_LIFE;
    net_tick(rig.nif, rig.now);
    CU_ASSERT_EQUAL(net_path_mtu(p), 1500);
    net_path_put(rig.nif, p);
    p = path_to(OWN6, PEER6);
    net_path_learn_mtu(rig.nif, p, 100, rig.now);
    CU_ASSERT_EQUAL(net_path_mtu(p), 1280);
    net_path_put(rig.nif, p);
    done();
}

static void test_learned_mtus_are_bounded(void)
{
    char to[16];
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(to, sizeof to, "10.0.0.%u", 3 + i % 250);
        struct net_path *p = path_to(OWN, to);
        net_path_learn_mtu(rig.nif, p, 1500 - 1 - i, rig.now);
        net_path_put(rig.nif, p);
    }
    rig.now += NET_MTU_LIFE;
    CU_ASSERT_TRUE(net_tick(rig.nif, rig.now) > rig.now);
    done();
}

static void test_progress_of_tcp_saves_the_probe(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    net_path_confirm(rig.nif, p, rig.now); /* nothing to confirm: its address is not known */
    send_to(p, 0);
    hear_peer();
    rig.now += 46000000;
    net_tick(rig.nif, rig.now);
    send_to(p, 0);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "delay");
    net_path_confirm(rig.nif, p, rig.now);
    CU_ASSERT_STRING_EQUAL(state_of(PEER, NULL), "reachable");
    rig_clear(&rig);
    rig.now += 6000000;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(rig.n, 0);
    net_path_put(rig.nif, p);
    done();
}

static void test_tables_are_bounded(void)
{
    struct net_config c = rig_config();
    c.neighbours = 4;
    c.paths = 6;
    c.gateway4 = ip("10.0.0.254");
    rig_start(&rig, &c);
    struct net_path *p[8];
    char to[16];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(to, sizeof to, "10.0.0.%u", 10 + i);
        p[i] = path_to(OWN, to);
        CU_ASSERT_EQUAL(p[i] == NULL, i == 4);
    }
    CU_ASSERT_EQUAL(COUNT(neighbours_full), 1);
    net_path_put(rig.nif, p[3]);
    for (unsigned i = 3; i < 8; i++) {
        snprintf(to, sizeof to, "192.0.2.%u", i);
        p[i] = path_to(OWN, to);
        CU_ASSERT_EQUAL(p[i] == NULL, i >= 6);
    }
    CU_ASSERT_EQUAL(COUNT(paths_full), 2);
    for (unsigned i = 0; i < 8; i++)
        net_path_put(rig.nif, p[i]);
    /* A stream of strangers replaces neighbours that nobody needs. */
    for (unsigned i = 1; i < 100; i++) {
        snprintf(to, sizeof to, "10.0.0.%u", 100 + i);
        rig_input(&rig, f, make_arp(f, REQUEST, rig_all, rig_peer_mac, to, OWN), NULL);
    }
    CU_ASSERT_STRING_EQUAL(state_of("10.0.0.199", NULL), "stale");
    done();
}

static void test_segment_sent_again_waits_once(void)
{
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    struct rte_mbuf *m = segment(4);
    rte_mbuf_refcnt_update(m, 2);
    uint16_t off = m->data_off;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    m->data_off = off;
    m->data_len = 24;
    m->pkt_len = 24;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    hear_peer();
    CU_ASSERT_EQUAL(rig.n, 2); /* the question and one segment */
    rte_pktmbuf_free(m);
    net_path_put(rig.nif, p);
    done();
}

static void test_empty_pool_is_a_counter(void)
{
    static struct rte_mbuf *all[5000];
    rig_start(&rig, NULL);
    struct net_path *p = path_to(OWN, PEER);
    struct rte_mbuf *m = segment(0);
    unsigned n = 0;
    while (n < RTE_DIM(all) && (all[n] = rte_pktmbuf_alloc(rig_pool())))
        n++;
    net_send_tcp(rig.nif, p, m, 20, 0, 0, rig.now);
    CU_ASSERT_EQUAL(COUNT(no_memory), 1);
    rte_pktmbuf_free_bulk(all, n);
    net_path_put(rig.nif, p);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_segment_waits_for_its_neighbour),
        UNIT(test_segments_of_every_length_are_right),
        UNIT(test_chained_segment_has_the_right_checksum),
        UNIT(test_offload_leaves_the_pseudo_sum),
        UNIT(test_ipv6_segment_is_right),
        UNIT(test_waiting_queue_keeps_the_newest),
        UNIT(test_frames_waiting_for_all_neighbours_are_bounded),
        UNIT(test_silent_neighbour_fails_after_three_questions),
        UNIT(test_neighbour_ages_and_is_probed_when_used),
        UNIT(test_path_follows_a_changed_mac),
        UNIT(test_routes),
        UNIT(test_the_longest_prefix_wins),
        UNIT(test_routes_are_listed),
        UNIT(test_learned_mtu_outlives_its_connection_but_not_ten_minutes),
        UNIT(test_learned_mtus_are_bounded),
        UNIT(test_progress_of_tcp_saves_the_probe),
        UNIT(test_tables_are_bounded),
        UNIT(test_segment_sent_again_waits_once),
        UNIT(test_empty_pool_is_a_counter),
        {NULL, NULL}};
    return unit_main(argc, argv, "net/path", tests);
}
