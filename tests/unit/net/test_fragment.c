/* test_fragment.c: reassembly (RFC 791, RFC 8200, 4.5) and what it refuses. */
#include "case.h"

enum { MORE = 1, LIFE = 5000001 };

/* One fragment of a packet whose payload byte i is i * 7, from off (a multiple of 8) on. */
static size_t fragment(const char *src, const char *dst, uint8_t protocol, uint32_t id, unsigned off,
                       unsigned len, bool more)
{
    uint8_t body[1600] = {0};
    struct ip_addr s = ip(src);
    unsigned head = ip_is_v4(&s) ? 0 : 8;
    for (unsigned i = 0; i < len; i++)
        body[head + i] = (uint8_t)((off + i) * 7);
    if (!head) {
        size_t n = make_ipv4(f, src, dst, protocol, body, len);
        f[18] = (uint8_t)(id >> 8);
        f[19] = (uint8_t)id;
        f[20] = (uint8_t)(off / 8 >> 8 | (more ? 0x20 : 0));
        f[21] = (uint8_t)(off / 8);
        fix_ipv4(f);
        return n;
    }
    body[0] = protocol;
    body[2] = (uint8_t)(off >> 8);
    body[3] = (uint8_t)(off | more);
    memcpy(body + 4, &id, 4);
    return make_ipv6(f, src, dst, 44, 64, body, head + len);
}

static enum net_verdict give(size_t n)
{
    struct net_packet p;
    enum net_verdict v = net_input(rig.nif, rig_frame(f, n), &p, rig.now);
    net_flush(rig.nif);
    return v;
}

static enum net_verdict give4(unsigned off, unsigned len, bool more)
{
    return give(fragment(PEER, OWN, 6, 1, off, len, more));
}

/* The whole packet is a TCP segment again, byte for byte. */
static void check_whole(unsigned len)
{
    static uint8_t flat[9000];
    struct net_packet p;
    struct rte_mbuf *m = net_take_whole(rig.nif);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_EQUAL_FATAL(net_input(rig.nif, m, &p, rig.now), NET_TCP);
    CU_ASSERT_EQUAL(p.l4_len, len);
    CU_ASSERT_FALSE(p.checksum_ok);
    const uint8_t *bytes = rte_pktmbuf_read(m, p.l4_off, p.l4_len, flat);
    for (unsigned i = 0; bytes && i < len; i++)
        if (bytes[i] != (uint8_t)(i * 7)) {
            CU_FAIL("a byte differs");
            break;
        }
    rte_pktmbuf_free(m);
}

static void test_pieces_in_any_order_make_the_packet(void)
{
    static const unsigned order[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(order); i++)
        for (unsigned j = 0; j < 3; j++) {
            unsigned piece = order[i][j];
            enum net_verdict v =
                give(fragment(PEER, OWN, 6, i, piece * 1480, piece == 2 ? 77 : 1480, piece < 2));
            CU_ASSERT_EQUAL_FATAL(v, j == 2 ? NET_WHOLE : NET_DONE);
            if (j == 2)
                check_whole(2 * 1480 + 77);
        }
    CU_ASSERT_EQUAL(COUNT(reassembled), RTE_DIM(order));
    done();
}

static void test_ipv6_pieces_make_the_packet(void)
{
    rig_start(&rig, NULL);
    CU_ASSERT_EQUAL(give(fragment(PEER6, OWN6, 6, 9, 1400, 333, false)), NET_DONE);
    CU_ASSERT_EQUAL(give(fragment(PEER6, OWN6, 6, 9, 0, 1400, true)), NET_WHOLE);
    check_whole(1733);
    done();
}

static void test_padding_of_a_short_piece_is_no_part_of_it(void)
{
    rig_start(&rig, NULL);
    give4(0, 24, MORE);
    size_t n = fragment(PEER, OWN, 6, 1, 24, 2, false);
    memset(f + n, 0xee, 60 - n);
    CU_ASSERT_EQUAL(give(60), NET_WHOLE);
    check_whole(26);
    done();
}

static void test_overlap_refuses_the_whole_packet(void)
{
    static const unsigned second[][2] = {{72, 40}, {0, 40}, {8, 8 * 9 - 8}, {32, 200}};
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < RTE_DIM(second); i++) {
        uint32_t id = 100 + i;
        give(fragment(PEER, OWN, 1, id, 0, 80, MORE));
        give(fragment(PEER, OWN, 1, id, second[i][0], second[i][1], MORE));
        CU_ASSERT_EQUAL(COUNT(drop_fragment_overlap), i + 1);
        /* What would have completed it comes too late (RFC 5722). */
        CU_ASSERT_EQUAL(give(fragment(PEER, OWN, 1, id, 80, 8, false)), NET_DONE);
    }
    CU_ASSERT_EQUAL(COUNT(reassembled), 0);
    done();
}

static void test_the_same_piece_twice_is_dropped_once(void)
{
    rig_start(&rig, NULL);
    give4(0, 80, MORE);
    give4(0, 80, MORE);
    CU_ASSERT_EQUAL(COUNT(drop_fragment), 1);
    CU_ASSERT_EQUAL(give4(80, 8, false), NET_WHOLE);
    check_whole(88);
    done();
}

static void test_pieces_that_contradict_the_end_are_refused(void)
{
    rig_start(&rig, NULL);
    give4(80, 8, false);
    give4(88, 8, MORE);
    CU_ASSERT_EQUAL(COUNT(drop_fragment_overlap), 1);
    give(fragment(PEER, OWN, 6, 2, 80, 8, MORE));
    give(fragment(PEER, OWN, 6, 2, 40, 8, false));
    CU_ASSERT_EQUAL(COUNT(drop_fragment_overlap), 2);
    give(fragment(PEER, OWN, 6, 3, 80, 8, false));
    give(fragment(PEER, OWN, 6, 3, 160, 8, false));
    CU_ASSERT_EQUAL(COUNT(drop_fragment_overlap), 3);
    done();
}

static void test_attacks_by_size_are_refused(void)
{
    rig_start(&rig, NULL);
    give4(0, 16, MORE);       /* RFC 1858: the flags would come with the second */
    give4(8, 32, MORE);       /* RFC 3128 */
    give4(0, 81, MORE);       /* no multiple of 8 */
    give4(64, 0, false);      /* empty */
    give4(65512, 100, false); /* beyond 65535: the ping of death */
    CU_ASSERT_EQUAL(COUNT(drop_fragment_size), 5);
    give(fragment(PEER6, OWN6, 6, 9, 65528, 100, false));
    CU_ASSERT_EQUAL(COUNT(drop_fragment_size), 6);
    CU_ASSERT_EQUAL_FATAL(rig.n, 1); /* RFC 8200, 4.5: parameter problem at the offset */
    CU_ASSERT_TRUE(rig_sent(&rig, 0)[54] == 4 && rig_sent(&rig, 0)[61] == 42);
    done();
}

static void test_too_many_pieces_are_refused(void)
{
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < 9; i++)
        give4(i * 24, 24, MORE);
    CU_ASSERT_EQUAL(COUNT(drop_fragment_many), 1);
    done();
}

static void test_a_flood_is_bounded_and_the_table_recovers(void)
{
    rig_start(&rig, NULL);
    for (uint32_t i = 0; i < 5000; i++)
        give(fragment(PEER, OWN, 6, i, 0, 24, MORE));
    unsigned held = rte_mempool_in_use_count(rig_pool());
    CU_ASSERT_TRUE(held <= 256);
    CU_ASSERT_TRUE(COUNT(drop_fragment_full) >= 5000 - 256);
    rig_clear(&rig);
    rig.now += LIFE;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_TRUE(rig.n <= 60); /* time exceeded, by its rate */
    rig_clear(&rig);
    CU_ASSERT_TRUE(rig_nothing_leaked());
    give4(0, 80, MORE);
    CU_ASSERT_EQUAL(give4(80, 8, false), NET_WHOLE);
    check_whole(88);
    done();
}

static void test_missing_pieces_end_in_time_exceeded(void)
{
    rig_start(&rig, NULL);
    give4(0, 80, MORE);
    give(fragment(PEER6, OWN6, 6, 2, 0, 80, MORE));
    give(fragment(PEER, OWN, 6, 3, 80, 80, MORE)); /* without the first piece nothing is said (RFC 792) */
    rig_clear(&rig);
    rig.now += LIFE;
    net_tick(rig.nif, rig.now);
    net_flush(rig.nif);
    CU_ASSERT_EQUAL(COUNT(fragment_timeouts), 3);
    CU_ASSERT_EQUAL_FATAL(rig.n, 2 + 0);
    unsigned v4 = rig_sent(&rig, 0)[12] == 8 ? 0 : 1;
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, v4) + 34, "\x0b\x01", 2), 0);
    CU_ASSERT_EQUAL(memcmp(rig_sent(&rig, !v4) + 54, "\x03\x01", 2), 0);
    done();
}

static void test_congestion_mark_survives_and_contradiction_does_not(void)
{
    rig_start(&rig, NULL);
    for (uint8_t first = 0; first <= 2; first += 2) { /* not-ECT, then ECT(0) */
        struct net_packet p;
        for (unsigned i = 0; i < 2; i++) {
            size_t n = fragment(PEER, OWN, 6, 40u + first, i * 80, i ? 8 : 80, !i);
            f[15] = i ? 3 : first;
            fix_ipv4(f);
            CU_ASSERT_EQUAL(give(n), i && first ? NET_WHOLE : NET_DONE);
        }
        struct rte_mbuf *m = net_take_whole(rig.nif);
        if (m && net_input(rig.nif, m, &p, rig.now) == NET_TCP) {
            CU_ASSERT_EQUAL(p.ecn, 3);
            rte_pktmbuf_free(m);
        }
    }
    CU_ASSERT_EQUAL(COUNT(drop_fragment_overlap), 1);
    done();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_pieces_in_any_order_make_the_packet),
                                             UNIT(test_ipv6_pieces_make_the_packet),
                                             UNIT(test_padding_of_a_short_piece_is_no_part_of_it),
                                             UNIT(test_overlap_refuses_the_whole_packet),
                                             UNIT(test_the_same_piece_twice_is_dropped_once),
                                             UNIT(test_pieces_that_contradict_the_end_are_refused),
                                             UNIT(test_attacks_by_size_are_refused),
                                             UNIT(test_too_many_pieces_are_refused),
                                             UNIT(test_a_flood_is_bounded_and_the_table_recovers),
                                             UNIT(test_missing_pieces_end_in_time_exceeded),
                                             UNIT(test_congestion_mark_survives_and_contradiction_does_not),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "net/fragment", tests);
}
