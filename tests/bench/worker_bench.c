/* worker_bench.c: GETs (or SETs) over many connections through a whole worker on the in-memory wire, for
 * instruction counts:
 *
 *     valgrind --tool=callgrind --toggle-collect=worker_round build/tests/bench/worker_bench GET 1 20000
 *     callgrind_annotate callgrind.out.PID
 *
 * counts what the box spends on them and nothing of the client's end. Arguments: GET or SET, pipeline depth,
 * requests, bytes a value (64), and what the port does: plain, verify (checksums), cut (TSO and checksums),
 * gather (LRO and checksums), gro (rte_gro over each burst), and the filter of a capture that runs meanwhile
 * ('' = all frames). The wire copies frames inside the round:
 * subtract what callgrind_annotate --inclusive=yes says of memwire_receive and wire_send. */
#include "box_rig.h"
#include "tap.h"

#include <pcap/pcap.h>

#include <rte_gro.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECTIONS = RIG_CLIENTS };

static struct box_rig rig;
static struct tap *tap; /* NULL: no capture */

static void start_capture(const char *expression)
{
    static uint8_t bytes[TAP_PROGRAM_MAX * TAP_INSTRUCTION_BYTES];
    char error[256] = "";
    struct bpf_program program;
    pcap_t *p = pcap_open_dead(DLT_EN10MB, 65280);
    struct tap_request request = {.snaplen = 65280, .directions = TAP_IN | TAP_OUT, .program = bytes};
    if (*expression && pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN) == 0) {
        for (unsigned i = 0; i < program.bf_len && i < TAP_PROGRAM_MAX; i++)
            memcpy(bytes + i * 8, &program.bf_insns[i], 8); /* on a little-endian machine */
        request.program_len = program.bf_len * 8;
        pcap_freecode(&program);
    }
    pcap_close(p);
    tap = tap_new(&request, 1, error, sizeof error);
    fputs(error, stderr);
    atomic_store(&rig.box.tap, tap);
}

static void read_capture(void)
{
    struct tap_packet packet;
    while (tap && tap_peek(tap, &packet))
        tap_take(tap, &packet);
    if (tap)
        tap_release(tap);
}

static void round_of(char *request, size_t len, size_t want)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct rig_client *c = &rig.client[i];
        c->to_send = (const uint8_t *)request;
        c->to_send_len = len;
        c->sent = c->got_len = 0;
    }
    for (bool all = false; !all;) {
        rig_run(&rig, 100);
        read_capture();
        all = true;
        for (unsigned i = 0; i < CONNECTIONS; i++)
            all &= rig.client[i].got_len >= want;
    }
}

/* rte_gro wants the lengths of the headers and the packet's type, which a NIC may tell. */
static void gro(struct rte_mbuf **frames, unsigned *n)
{
    static const struct rte_gro_param param = {
        .gro_types = RTE_GRO_TCP_IPV4, .max_flow_num = 32, .max_item_per_flow = 32};
    for (unsigned i = 0; i < *n; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        frames[i]->l2_len = 14;
        frames[i]->l3_len = 20;
        frames[i]->l4_len = p[46] / 16 * 4u;
        frames[i]->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
    }
    *n = rte_gro_reassemble_burst(frames, (uint16_t)*n, &param);
}

static void set_port(const char *how)
{
    rig_port.cut = strcmp(how, "cut") == 0;
    rig_port.gather = strcmp(how, "gather") == 0;
    rig_port.verified = strcmp(how, "plain") != 0;
    rig_port.arrived = strcmp(how, "gro") == 0 ? gro : NULL;
}

int main(int argc, char **argv)
{
    bool set = argc > 1 && strcmp(argv[1], "SET") == 0;
    unsigned pipeline = argc > 2 ? (unsigned)atoi(argv[2]) : 1,
             requests = argc > 3 ? (unsigned)atoi(argv[3]) : 20000;
    unsigned size = argc > 4 ? (unsigned)atoi(argv[4]) : 64, digits = (unsigned)snprintf(NULL, 0, "%u", size);
    char *value = malloc(size + 1), *request = malloc((size_t)pipeline * (size + 128) + 1),
         *line = malloc(size + 128);
    size_t len = 0, want = 0;
    set_port(argc > 5 ? argv[5] : "plain");
    memset(value, 'v', size);
    value[size] = 0;
    rig_start(&rig, NULL, NULL);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        rig_connect(&rig, i);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(line, size + 128, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012u\r\n$%u\r\n%s\r\n", i, size, value);
        rig_says(&rig, &rig.client[0], line, "+OK\r\n");
    }
    if (argc > 6)
        start_capture(argv[6]);
    uint64_t done = 0, rounds = rig.counters.v[COUNTER_loop_rounds], at = rig.now_us;
    for (unsigned key = 0; done < requests; done += (uint64_t)CONNECTIONS * pipeline) {
        len = want = 0;
        for (unsigned p = 0; p < pipeline; p++, key = (key + 1) % 1000) {
            len += (size_t)sprintf(request + len, "*%d\r\n$3\r\n%s\r\n$16\r\nkey:%012u\r\n", set ? 3 : 2,
                                   set ? "SET" : "GET", key);
            if (set)
                len += (size_t)sprintf(request + len, "$%u\r\n%s\r\n", size, value);
            want += set ? 5 : size + digits + 5;
        }
        round_of(request, len, want);
    }
    printf("%llu requests, %llu rounds, %llu segments in, %llu out, %llu large in, %llu large out, %llu "
           "virtual us\n",
           (unsigned long long)done, (unsigned long long)(rig.counters.v[COUNTER_loop_rounds] - rounds),
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_in],
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_out],
           (unsigned long long)rig.counters.v[COUNTER_tcp_large_in],
           (unsigned long long)rig.counters.v[COUNTER_tcp_large_out], (unsigned long long)(rig.now_us - at));
    free(line);
    free(value);
    free(request);
    bool good = rig_stop(&rig);
    tap_free(tap);
    return good ? 0 : 1;
}
