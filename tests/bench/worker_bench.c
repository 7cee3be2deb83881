/* worker_bench.c: GETs (or SETs) over many connections through a whole worker on the in-memory wire, for
 * instruction counts:
 *
 *     valgrind --tool=callgrind --toggle-collect=worker_round build/tests/bench/worker_bench GET 1 20000
 *     callgrind_annotate callgrind.out.PID
 *
 * counts what the box spends on them and nothing of the client's end. Arguments: GET or SET, pipeline depth,
 * requests, and the filter of a capture that runs meanwhile ('' = all frames). */
#include "box_rig.h"
#include "tap.h"

#include <pcap/pcap.h>

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

int main(int argc, char **argv)
{
    bool set = argc > 1 && strcmp(argv[1], "SET") == 0;
    unsigned pipeline = argc > 2 ? (unsigned)atoi(argv[2]) : 1,
             requests = argc > 3 ? (unsigned)atoi(argv[3]) : 20000;
    char value[65], *request = malloc(pipeline * 128 + 1);
    size_t len = 0, want = 0;
    memset(value, 'v', 64);
    value[64] = 0;
    rig_start(&rig, NULL, NULL);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        rig_connect(&rig, i);
    for (unsigned i = 0; i < 1000; i++) {
        char line[128];
        snprintf(line, sizeof line, "SET key:%012u %s\r\n", i, value);
        rig_says(&rig, &rig.client[0], line, "+OK\r\n");
    }
    if (argc > 4)
        start_capture(argv[4]);
    uint64_t done = 0, rounds = rig.counters.v[COUNTER_loop_rounds], at = rig.now_us;
    for (unsigned key = 0; done < requests; done += (uint64_t)CONNECTIONS * pipeline) {
        len = want = 0;
        for (unsigned p = 0; p < pipeline; p++, key = (key + 1) % 1000) {
            len += (size_t)sprintf(request + len, "*%d\r\n$3\r\n%s\r\n$16\r\nkey:%012u\r\n", set ? 3 : 2,
                                   set ? "SET" : "GET", key);
            if (set)
                len += (size_t)sprintf(request + len, "$64\r\n%s\r\n", value);
            want += set ? 5 : 71;
        }
        round_of(request, len, want);
    }
    printf("%llu requests, %llu rounds, %llu segments in, %llu out, %llu virtual us\n",
           (unsigned long long)done, (unsigned long long)(rig.counters.v[COUNTER_loop_rounds] - rounds),
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_in],
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_out],
           (unsigned long long)(rig.now_us - at));
    free(request);
    bool good = rig_stop(&rig);
    tap_free(tap);
    return good ? 0 : 1;
}
