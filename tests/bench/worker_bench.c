/* worker_bench.c: GETs (or SETs, or a row of commands.script) over many connections through a whole worker on
 * the in-memory wire, for instruction counts:
 *
 *     valgrind --tool=callgrind --toggle-collect=worker_round build/tests/bench/worker_bench GET 1 20000
 *     callgrind_annotate callgrind.out.PID
 *
 * counts what the box spends on them once the keyspace is filled, and nothing of the client's end. Arguments:
 * GET, GET/KEYS (any of so many keys, which no cache holds), SET or FILE:ROW or FILE:ROW@USER (a user of the list below sends them), pipeline depth, requests, bytes a value (64; of a row the elements in all its keys),
 * and what the port does: plain, verify (checksums), cut (TSO and checksums), gather (LRO and checksums), gro
 * (rte_gro over each burst), and the filter of a capture that runs meanwhile
 * ('' = all frames). The wire copies frames inside the round:
 * subtract what callgrind_annotate --inclusive=yes says of memwire_receive and wire_send. */
#include "box_rig.h"
#include "tap.h"

#include <pcap/pcap.h>

#include "loadgen/script.h"

#include <rte_cycles.h>
#include <rte_gro.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

/* Forgets what has been counted so far: the filling. */
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COUNT_FROM_HERE() CALLGRIND_ZERO_STATS
#else
#define COUNT_FROM_HERE() ((void)0)
#endif

enum { CONNECTIONS = RIG_CLIENTS, BATCH_MAX = 64 };

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

/* Until so many bytes have come to each connection. */
static void play_until(size_t want)
{
    for (bool all = false; !all;) {
        rig_run(&rig, 100);
        read_capture();
        all = true;
        for (unsigned i = 0; i < CONNECTIONS; i++)
            all &= rig.client[i].got_len >= want;
    }
}

static void round_of(char *request, size_t len, size_t want)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct rig_client *c = &rig.client[i];
        c->to_send = (const uint8_t *)request;
        c->to_send_len = len;
        c->sent = c->got_len = 0;
    }
    play_until(want);
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

struct plan {
    unsigned pipeline, requests, size;
};

/* -- GET or SET of a thousand keys, all connections the same one at a time */

static uint64_t play_strings(const struct plan *plan, bool set)
{
    unsigned size = plan->size, digits = (unsigned)snprintf(NULL, 0, "%u", size);
    char *value = malloc(size + 1), *request = malloc((size_t)plan->pipeline * (size + 128) + 1),
         *line = malloc(size + 128);
    size_t len = 0, want = 0;
    memset(value, 'v', size);
    value[size] = 0;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(line, size + 128, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012u\r\n$%u\r\n%s\r\n", i, size, value);
        rig_says(&rig, &rig.client[0], line, "+OK\r\n");
    }
    COUNT_FROM_HERE();
    uint64_t done = 0;
    for (unsigned key = 0; done < plan->requests; done += (uint64_t)CONNECTIONS * plan->pipeline) {
        len = want = 0;
        for (unsigned p = 0; p < plan->pipeline; p++, key = (key + 1) % 1000) {
            len += (size_t)sprintf(request + len, "*%d\r\n$3\r\n%s\r\n$16\r\nkey:%012u\r\n", set ? 3 : 2,
                                   set ? "SET" : "GET", key);
            if (set)
                len += (size_t)sprintf(request + len, "$%u\r\n%s\r\n", size, value);
            want += set ? 5 : size + digits + 5;
        }
        round_of(request, len, want);
    }
    free(line);
    free(value);
    free(request);
    return done;
}

/* -- GET/KEYS: any of so many, so that memory has to be waited for; told is the box's own time */

enum { COLD_ROOM = BATCH_MAX * 64 };
static uint64_t round_cycles, port_cycles;

/* Requests of all connections, for keys whose numbers are as long as the last one's. */
static void cold_requests(const struct plan *plan, char (*request)[COLD_ROOM], unsigned least, unsigned keys)
{
    static uint64_t random = 1;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct rig_client *c = &rig.client[i];
        c->to_send = (const uint8_t *)request[i];
        c->to_send_len = c->sent = c->got_len = 0;
        for (unsigned p = 0; p < plan->pipeline; p++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            unsigned key = least + (unsigned)((random >> 33) % (keys - least));
            c->to_send_len += (size_t)sprintf(request[i] + c->to_send_len, "*2\r\n$3\r\nGET\r\n$%d\r\nk:%u\r\n",
                                              2 + snprintf(NULL, 0, "%u", key), key);
        }
    }
}

static uint64_t play_cold(const struct plan *plan, unsigned keys)
{
    static char request[CONNECTIONS][COLD_ROOM];
    char line[128];
    unsigned least = 1;
    uint64_t done = 0;
    while (least <= (keys - 1) / 10)
        least *= 10;
    snprintf(line, sizeof line, "DEBUG POPULATE %u k %u\r\n", keys, plan->size);
    if (plan->pipeline > BATCH_MAX || !rig_says(&rig, &rig.client[0], line, "+OK\r\n"))
        exit(1);
    COUNT_FROM_HERE();
    round_cycles = port_cycles = 0;
    const size_t want = plan->pipeline * (plan->size + (size_t)snprintf(NULL, 0, "%u", plan->size) + 5);
    for (; done < plan->requests; done += (uint64_t)CONNECTIONS * plan->pipeline) {
        cold_requests(plan, request, least, keys);
        play_until(want);
    }
    printf("%.1f ns a request in the box\n",
           (double)(round_cycles - port_cycles) / (double)rte_get_tsc_hz() * 1e9 / (double)done);
    return done;
}

/* -- a row of a script: every connection its own requests */

static struct script_batch {
    uint32_t request[BATCH_MAX];
    unsigned n;
    uint8_t bytes[BATCH_MAX * SCRIPT_REQUEST_MAX];
} batch[CONNECTIONS];

static void batch_send(const struct script_row *row, unsigned i)
{
    struct rig_client *c = &rig.client[i];
    struct script_batch *b = &batch[i];
    c->to_send = b->bytes;
    c->to_send_len = c->sent = c->got_len = 0;
    for (unsigned k = 0; k < b->n; k++) {
        script_write(row, b->request[k], b->bytes + c->to_send_len);
        c->to_send_len += script_request_size(row, b->request[k]);
    }
}

/* Are all replies there? Ends the program when one is wrong. */
static bool batch_answered(const struct script_row *row, unsigned i)
{
    const struct rig_client *c = &rig.client[i];
    size_t at = 0;
    for (unsigned k = 0; k < batch[i].n; k++) {
        int taken = script_match(row, batch[i].request[k], c->got + at, c->got_len - at);
        if (taken < 0) {
            fprintf(stderr, "%s: wrong reply: %.*s\n", row->name, (int)(c->got_len - at),
                    (const char *)c->got + at);
            exit(1);
        }
        if (taken == 0)
            return false;
        at += (unsigned)taken;
    }
    return true;
}

static void play_batches(const struct script_row *row, unsigned connections)
{
    for (unsigned i = 0; i < connections; i++)
        batch_send(row, i);
    for (bool all = false; !all;) {
        rig_run(&rig, 100);
        read_capture();
        all = true;
        for (unsigned i = 0; i < connections; i++)
            all &= batch_answered(row, i);
    }
}

static void fill_row(const struct script_row *row)
{
    for (unsigned line = 0; line < row->first_send; line++) {
        uint32_t count = script_count(row, &row->line[line]);
        for (uint32_t at = 0; at < count; at += batch[0].n) {
            for (batch[0].n = 0; batch[0].n < BATCH_MAX && at + batch[0].n < count; batch[0].n++)
                batch[0].request[batch[0].n] = script_fill(row, line, at + batch[0].n);
            play_batches(row, 1);
        }
    }
}

/* Users with key patterns, categories and a selector: what a row asks for is allowed by their own patterns, by
 * the last of three, or by the selector alone. */
static const struct {
    const char *name, *rules;
} users[] = {
    {"patterns", "~app:* ~session:* ~s:* +@read +@write +@connection -@dangerous (~other:* +get)"},
    {"selector", "~app:* ~session:* +@read +@write +@connection -@dangerous (~s:* +get)"},
};

/* All clients log in as this user. */
static bool log_in(const char *name)
{
    char line[256];
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (strcmp(users[i].name, name) == 0) {
            snprintf(line, sizeof line, "ACL SETUSER %s on nopass %s\r\n", name, users[i].rules);
            bool good = rig_says(&rig, &rig.client[0], line, "+OK\r\n");
            snprintf(line, sizeof line, "AUTH %s x\r\n", name);
            for (unsigned k = 0; k < CONNECTIONS; k++)
                good &= rig_says(&rig, &rig.client[k], line, "+OK\r\n");
            return good;
        }
    return false;
}

static uint64_t play_row(const struct plan *plan, const char *file_and_row)
{
    char path[256], name[64], error[200] = "no such row or user";
    const char *colon = strrchr(file_and_row, ':'), *user = strchr(colon, '@');
    snprintf(path, sizeof path, "%.*s", (int)(colon - file_and_row), file_and_row);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(colon + 1, "@"), colon + 1);
    struct script *s = script_read(path, NULL, error, sizeof error);
    const struct script_row *row = NULL;
    for (unsigned i = 0; s && i < s->rows; i++)
        if (strcmp(s->row[i].name, name) == 0)
            row = &s->row[i];
    if (!row || plan->pipeline > BATCH_MAX) {
        fprintf(stderr, "worker_bench: %s\n", error);
        exit(1);
    }
    script_size(s, plan->size);
    fill_row(row);
    if (user && !log_in(user + 1)) {
        fprintf(stderr, "worker_bench: %s\n", error);
        exit(1);
    }
    COUNT_FROM_HERE();
    uint64_t done = 0;
    uint32_t random = 1;
    while (done < plan->requests) {
        for (unsigned i = 0; i < CONNECTIONS; i++)
            for (batch[i].n = 0; batch[i].n < plan->pipeline; batch[i].n++, done++) {
                random = random * 1664525u + 1013904223u;
                batch[i].request[batch[i].n] = script_next(row, done, random >> 8 ^ random << 16);
            }
        play_batches(row, CONNECTIONS);
    }
    script_free(s);
    return done;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "GET";
    static const char *const large[] = {"arena-size", "1gb", "enable-debug-command", "yes", NULL};
    const bool scripted = strchr(what, ':');
    const unsigned keys = strncmp(what, "GET/", 4) == 0 ? (unsigned)atoi(what + 4) : 0;
    struct plan plan = {.pipeline = argc > 2 ? (unsigned)atoi(argv[2]) : 1,
                        .requests = argc > 3 ? (unsigned)atoi(argv[3]) : 20000,
                        .size = argc > 4   ? (unsigned)atoi(argv[4])
                                : scripted ? 20000
                                           : 64};
    set_port(argc > 5 ? argv[5] : "plain");
    if (keys) {
        rig_port.round_cycles = &round_cycles;
        rig_port.port_cycles = &port_cycles;
    }
    rig_start(&rig, keys ? large : NULL, NULL);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        rig_connect(&rig, i);
    if (argc > 6)
        start_capture(argv[6]);
    uint64_t rounds = rig.counters.v[COUNTER_loop_rounds], at = rig.now_us;
    uint64_t done = scripted ? play_row(&plan, what)
                    : keys   ? play_cold(&plan, keys)
                             : play_strings(&plan, strcmp(what, "SET") == 0);
    printf("%llu requests, %llu rounds, %llu segments in, %llu out, %llu large in, %llu large out, %llu "
           "virtual us\n",
           (unsigned long long)done, (unsigned long long)(rig.counters.v[COUNTER_loop_rounds] - rounds),
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_in],
           (unsigned long long)rig.counters.v[COUNTER_tcp_segments_out],
           (unsigned long long)rig.counters.v[COUNTER_tcp_large_in],
           (unsigned long long)rig.counters.v[COUNTER_tcp_large_out], (unsigned long long)(rig.now_us - at));
    bool good = rig_stop(&rig);
    tap_free(tap);
    return good ? 0 : 1;
}
