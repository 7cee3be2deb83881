/* tap_test.c: the capture's filter (in frames of several pieces too), its rings, and the tap of a worker. */
#include "box_rig.h"
#include "tap.h"
#include "unit.h"

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX = 2000, SNAPLEN = 65280 };

static struct box_rig rig; /* for EAL and a packet pool */
static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t any(uint32_t below)
{
    return (uint32_t)((unit_random(&seed) >> 20) % below);
}

/* -- frames ------------------------------------------------------------------------------------------- */

static const char *const expressions[] = {
    "tcp port 6379",
    "host 10.0.0.1 and not arp",
    "icmp or icmp6",
    "ip6 and tcp dst port 80",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip[2:2] > 100 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "vlan 5 and tcp",
    "ether host 02:00:00:00:00:01 or broadcast",
    "net 10.0.0.0/8 and portrange 1000-7000",
    "less 80 or greater 1000",
    "ip[8] / (ip[9] + 1) > 3 or len - ether[13] < 50",
    "udp port 53 or (tcp and ip[6:2] & 0x1fff = 0)",
};

enum { EXPRESSIONS = sizeof expressions / sizeof *expressions };

static struct bpf_program compile(const char *expression)
{
    struct bpf_program program = {0};
    pcap_t *p = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    CU_ASSERT_EQUAL_FATAL(pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN), 0);
    pcap_close(p);
    return program;
}

/* Words that filters look for come often. */
static size_t random_frame(uint8_t *p)
{
    static const uint16_t types[] = {0x0800, 0x0800, 0x0800, 0x86dd, 0x0806, 0x8100, 0x1234};
    size_t len = any(10) ? 14 + any(200) : 14 + any(FRAME_MAX - 14);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)any(256);
    uint16_t type = types[any(7)];
    p[12] = (uint8_t)(type >> 8);
    p[13] = (uint8_t)type;
    size_t l3 = 14;
    if (type == 0x8100 && len > 60) {
        memcpy(p + 14, (const uint8_t[]){0, 5, 8, 0}, 4);
        l3 = 18;
    }
    if (len < l3 + 44 || type == 0x0806)
        return len;
    if (type == 0x86dd) {
        p[l3 + 6] = any(2) ? 6 : 58;
        memcpy(p + l3 + 40 + 2, (const uint8_t[]){0, 80}, 2);
    } else {
        static const uint8_t protocols[] = {6, 6, 1, 17};
        p[l3] = (uint8_t)(0x45 + any(3));
        p[l3 + 6] = any(3) ? 0 : p[l3 + 6];
        p[l3 + 7] = any(3) ? 0 : p[l3 + 7];
        p[l3 + 9] = protocols[any(4)];
        memcpy(p + l3 + 12, (const uint8_t[]){10, 0, 0, 1}, any(2) ? 4 : 1);
        memcpy(p + l3 + 20, (const uint8_t[]){0x18, 0xeb}, any(2) ? 2 : 0);
    }
    return len;
}

/* The bytes in an mbuf, in several segments now and then. */
static struct rte_mbuf *frame_of(const uint8_t *p, size_t len, bool chained)
{
    struct rte_mbuf *first = rte_pktmbuf_alloc(rig.pool);
    size_t cut = chained ? 1 + any((uint32_t)len - 1) : len;
    memcpy(rte_pktmbuf_append(first, (uint16_t)cut), p, cut);
    if (cut < len) {
        struct rte_mbuf *second = rte_pktmbuf_alloc(rig.pool);
        memcpy(rte_pktmbuf_append(second, (uint16_t)(len - cut)), p + cut, len - cut);
        rte_pktmbuf_chain(first, second);
    }
    return first;
}

/* -- filters ------------------------------------------------------------------------------------------ */

static struct tap *tap_with(const struct bpf_program *program, uint32_t snaplen, unsigned workers)
{
    static uint8_t bytes[8 * 5000];
    char error[256];
    struct tap_request request = {.snaplen = snaplen, .directions = TAP_IN | TAP_OUT, .program = bytes};
    request.program_len = program ? program->bf_len * 8 : 0;
    for (unsigned i = 0; program && i < program->bf_len; i++) {
        const struct bpf_insn *in = &program->bf_insns[i];
        const uint8_t one[8] = {(uint8_t)in->code,
                                (uint8_t)(in->code >> 8),
                                in->jt,
                                in->jf,
                                (uint8_t)in->k,
                                (uint8_t)(in->k >> 8),
                                (uint8_t)(in->k >> 16),
                                (uint8_t)(in->k >> 24)};
        memcpy(bytes + i * 8, one, 8);
    }
    return tap_new(&request, workers, error, sizeof error);
}

static bool tap_matches(struct tap *t, struct rte_mbuf *m)
{
    struct tap_totals before, after;
    struct tap_packet packet;
    tap_totals(t, &before);
    tap_frames(t, 0, TAP_IN, &m, 1, 1);
    tap_totals(t, &after);
    if (tap_peek(t, &packet)) {
        tap_take(t, &packet);
        tap_release(t);
    }
    return after.matched > before.matched;
}

/* How often a frame in pieces is judged otherwise than its bytes in a row. */
static unsigned disagreements(struct tap *t, const struct bpf_program *program, unsigned frames)
{
    static uint8_t p[FRAME_MAX];
    unsigned wrong = 0;
    for (unsigned i = 0; i < frames; i++) {
        size_t len = random_frame(p);
        struct rte_mbuf *m = frame_of(p, len, any(3) == 0);
        bool expected = bpf_filter(program->bf_insns, p, (unsigned)len, (unsigned)len) != 0;
        wrong += tap_matches(t, m) != expected;
        rte_pktmbuf_free(m);
    }
    return wrong;
}

static void test_a_frame_in_pieces_is_judged_as_one(void)
{
    rig_start(&rig, NULL, NULL);
    for (unsigned e = 0; e < EXPRESSIONS; e++) {
        struct bpf_program program = compile(expressions[e]);
        struct tap *t = tap_with(&program, SNAPLEN, 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        unsigned wrong = disagreements(t, &program, 1000);
        if (wrong)
            printf("# %s: %u of 1000 frames differ\n", expressions[e], wrong);
        CU_ASSERT_EQUAL(wrong, 0);
        tap_free(t);
        pcap_freecode(&program);
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Programs that libpcap did not write: refused, or run to their end. */
static void test_a_mutated_program_is_refused_or_harmless(void)
{
    rig_start(&rig, NULL, NULL);
    unsigned taken = 0, refused = 0;
    for (unsigned round = 0; round < 1500; round++) {
        struct bpf_program program = compile(expressions[any(EXPRESSIONS)]);
        for (unsigned n = 1 + any(3); n; n--) {
            struct bpf_insn *in = &program.bf_insns[any(program.bf_len)];
            uint8_t *byte = (uint8_t *)in + any(sizeof *in);
            *byte = any(2) ? (uint8_t)any(256) : (uint8_t)(*byte ^ 1 << any(8));
        }
        if (any(10) == 0)
            program.bf_len = 1 + any(program.bf_len); /* without its end */
        struct tap *t = tap_with(&program, SNAPLEN, 64);
        taken += t != NULL;
        refused += t == NULL;
        if (t)
            (void)disagreements(t, &program, 10);
        tap_free(t);
        pcap_freecode(&program);
    }
    printf("# %u programs taken, %u refused\n", taken, refused);
    CU_ASSERT_TRUE(taken > 100 && refused > 100);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* SYN to port 6379 in a VLAN-less frame, and what differs from it in one field. */
static void test_a_filter_chooses_by_protocol_host_and_port(void)
{
    static const struct {
        const char *expression;
        bool expected;
    } cases[] = {
        {"tcp", true},
        {"udp", false},
        {"icmp", false},
        {"port 6379", true},
        {"src port 6379", false},
        {"tcp dst port 6380", false},
        {"host 10.0.0.2", true},
        {"src 10.0.0.2", false},
        {"net 192.168.0.0/16", false},
        {"tcp[13] = 2", true},
        {"tcp[13] & 16 != 0", false},
        {"tcp[tcpflags] & tcp-syn != 0 and greater 54", true},
    };
    static const uint8_t syn[54] = {2,    0, 0,  0,  0,    2, 2,    0,    0,    0,    0, 1, 8,  0,
                                    0x45, 0, 0,  40, 0,    0, 0x40, 0,    64,   6,    0, 0, 10, 0,
                                    0,    1, 10, 0,  0,    2, 0x30, 0x39, 0x18, 0xeb, 0, 0, 0,  1,
                                    0,    0, 0,  0,  0x50, 2, 1,    0,    0,    0,    0, 0};
    rig_start(&rig, NULL, NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bpf_program program = compile(cases[i].expression);
        struct tap *t = tap_with(&program, SNAPLEN, 64);
        for (unsigned pieces = 0; pieces < 2; pieces++) {
            struct rte_mbuf *m = frame_of(syn, sizeof syn, pieces);
            if (tap_matches(t, m) != cases[i].expected)
                printf("# %s\n", cases[i].expression);
            CU_ASSERT_EQUAL(tap_matches(t, m), cases[i].expected);
            rte_pktmbuf_free(m);
        }
        tap_free(t);
        pcap_freecode(&program);
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_programs_that_cannot_be_are_refused(void)
{
    static struct bpf_insn many[TAP_PROGRAM_MAX + 1];
    char error[256] = "";
    for (unsigned i = 0; i <= TAP_PROGRAM_MAX; i++)
        many[i] = (struct bpf_insn){.code = BPF_RET | BPF_K, .k = 1};
    struct bpf_program program = {TAP_PROGRAM_MAX + 1, many};
    CU_ASSERT_PTR_NULL(tap_with(&program, SNAPLEN, 1));
    program.bf_len = TAP_PROGRAM_MAX;
    struct tap *t = tap_with(&program, SNAPLEN, 1);
    CU_ASSERT_PTR_NOT_NULL(t);
    tap_free(t);
    struct bpf_program loop = compile("ip6 protochain 6");
    CU_ASSERT_PTR_NULL(tap_with(&loop, SNAPLEN, 1));
    pcap_freecode(&loop);
    struct tap_request half = {1, TAP_IN, (const uint8_t *)"\6\0\0\0\1\0\0", 7};
    CU_ASSERT_PTR_NULL(tap_new(&half, 1, error, sizeof error));
    CU_ASSERT_TRUE(*error != 0);
}

/* -- rings -------------------------------------------------------------------------------------------- */

static void test_a_full_ring_drops_and_counts_and_goes_on(void)
{
    enum { LENGTH = 1000 };
    uint8_t p[LENGTH];
    struct tap_packet packet;
    struct tap_totals totals;
    rig_start(&rig, NULL, NULL);
    struct tap *t = tap_with(NULL, SNAPLEN, 64); /* a 64th of the memory */
    unsigned sent = 0, got = 0;
    for (; sent < 1000; sent++) {
        memset(p, (int)sent, sizeof p);
        struct rte_mbuf *m = frame_of(p, LENGTH, sent & 1);
        tap_frames(t, 63, TAP_OUT, &m, 1, sent);
        rte_pktmbuf_free(m);
    }
    tap_totals(t, &totals);
    CU_ASSERT_EQUAL(totals.matched, 1000);
    CU_ASSERT_TRUE(totals.dropped > 700 && totals.dropped < 800);
    for (; tap_peek(t, &packet); got++) {
        CU_ASSERT_EQUAL(packet.wall_ns, got);
        CU_ASSERT_EQUAL(packet.bytes[LENGTH - 1], (uint8_t)got);
        CU_ASSERT_EQUAL(packet.worker, 63);
        CU_ASSERT_EQUAL(packet.direction, TAP_OUT);
        tap_take(t, &packet);
    }
    CU_ASSERT_EQUAL(got, totals.matched - totals.dropped);
    tap_rewind(t); /* not used: they come again */
    CU_ASSERT_TRUE(tap_peek(t, &packet));
    CU_ASSERT_EQUAL(packet.wall_ns, 0);
    while (tap_peek(t, &packet))
        tap_take(t, &packet);
    tap_release(t);
    struct rte_mbuf *m = frame_of(p, LENGTH, false);
    tap_frames(t, 63, TAP_IN, &m, 1, 5000);
    CU_ASSERT_TRUE(tap_peek(t, &packet));
    CU_ASSERT_EQUAL(packet.wall_ns, 5000);
    rte_pktmbuf_free(m);
    tap_free(t);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_snaplen_direction_and_order_over_workers(void)
{
    uint8_t p[300] = {1, 2, 3};
    struct tap_packet packet;
    char error[256];
    struct tap_request request = {.snaplen = 100, .directions = TAP_IN};
    rig_start(&rig, NULL, NULL);
    struct tap *t = tap_new(&request, 2, error, sizeof error);
    struct rte_mbuf *m = frame_of(p, sizeof p, false);
    tap_frames(t, 0, TAP_OUT, &m, 1, 1); /* not asked for */
    tap_frames(t, 1, TAP_IN, &m, 1, 20);
    tap_frames(t, 0, TAP_IN, &m, 1, 30);
    tap_frames(t, 1, TAP_IN, &m, 1, 40);
    for (unsigned i = 2; i <= 4; i++) {
        CU_ASSERT_TRUE_FATAL(tap_peek(t, &packet));
        CU_ASSERT_EQUAL(packet.wall_ns, i * 10);
        CU_ASSERT_EQUAL(packet.length, 300);
        CU_ASSERT_EQUAL(packet.caught, 100);
        CU_ASSERT_EQUAL(memcmp(packet.bytes, p, 100), 0);
        tap_take(t, &packet);
    }
    CU_ASSERT_FALSE(tap_peek(t, &packet));
    rte_pktmbuf_free(m);
    tap_free(t);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

struct feed {
    struct tap *tap;
    struct rte_mbuf *frame[64];
    uint64_t frames;
};

static void *feed_frames(void *arg)
{
    struct feed *f = arg;
    for (uint64_t i = 0; i < f->frames; i++)
        tap_frames(f->tap, 0, TAP_IN, &f->frame[i % 64], 1, i);
    return NULL;
}

static void test_writer_and_reader_at_the_same_time(void)
{
    static uint8_t p[FRAME_MAX];
    struct tap_packet packet;
    struct tap_totals totals;
    uint64_t got = 0, last = 0;
    bool good = true, ended = false;
    pthread_t thread;
    rig_start(&rig, NULL, NULL);
    struct feed f = {.tap = tap_with(NULL, SNAPLEN, 64), .frames = 300000};
    for (unsigned i = 0; i < 64; i++) {
        memset(p, (int)i, sizeof p);
        f.frame[i] = frame_of(p, 60 + any(FRAME_MAX - 60), false);
    }
    pthread_create(&thread, NULL, feed_frames, &f);
    while (!ended || tap_peek(f.tap, &packet)) {
        tap_totals(f.tap, &totals);
        ended = totals.seen == f.frames;
        while (tap_peek(f.tap, &packet)) {
            good = good && (got == 0 || packet.wall_ns > last) && packet.bytes[0] == packet.wall_ns % 64 &&
                   packet.bytes[packet.caught - 1] == packet.wall_ns % 64;
            last = packet.wall_ns;
            got++;
            tap_take(f.tap, &packet);
            tap_release(f.tap);
        }
    }
    pthread_join(thread, NULL);
    while (tap_peek(f.tap, &packet)) {
        got++;
        tap_take(f.tap, &packet);
    }
    tap_totals(f.tap, &totals);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_EQUAL(got, f.frames - totals.dropped);
    for (unsigned i = 0; i < 64; i++)
        rte_pktmbuf_free(f.frame[i]);
    tap_free(f.tap);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- the worker --------------------------------------------------------------------------------------- */

static unsigned drain(struct tap *t, enum tap_direction direction)
{
    struct tap_packet packet;
    unsigned n = 0;
    while (tap_peek(t, &packet)) {
        n += packet.direction == direction;
        tap_take(t, &packet);
    }
    return n;
}

static void test_a_worker_shows_both_directions_and_lets_go(void)
{
    rig_start(&rig, NULL, NULL);
    struct bpf_program program = compile("tcp port 6379");
    struct tap *t = tap_with(&program, SNAPLEN, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    struct rig_client *c = rig_connect(&rig, 0);
    atomic_store(&rig.box.tap, t);
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(drain(t, TAP_IN) >= 1);
    tap_rewind(t);
    CU_ASSERT_TRUE(drain(t, TAP_OUT) >= 1);
    tap_release(t);

    atomic_store(&rig.box.tap, NULL);
    uint64_t token = rte_rcu_qsbr_start(rig.box.rcu);
    CU_ASSERT_EQUAL(rte_rcu_qsbr_check(rig.box.rcu, token, false), 0);
    rig_run(&rig, 1000);
    CU_ASSERT_EQUAL(rte_rcu_qsbr_check(rig.box.rcu, token, false), 1);
    tap_free(t); /* a use after this is the sanitizer's to find */
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    pcap_freecode(&program);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_frame_in_pieces_is_judged_as_one),
        UNIT(test_a_filter_chooses_by_protocol_host_and_port),
        UNIT(test_a_mutated_program_is_refused_or_harmless),
        UNIT(test_programs_that_cannot_be_are_refused),
        UNIT(test_a_full_ring_drops_and_counts_and_goes_on),
        UNIT(test_snaplen_direction_and_order_over_workers),
        UNIT(test_writer_and_reader_at_the_same_time),
        UNIT(test_a_worker_shows_both_directions_and_lets_go),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/tap", tests);
}
