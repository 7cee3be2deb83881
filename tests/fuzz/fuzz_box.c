/* fuzz_box.c: a whole worker (Ethernet to store) fed with frames in virtual time. The input is a program: an
 * operation byte, then its operands. Checksums and lengths are put right except in OP_RAW. Whatever comes:
 * every frame the box sends is sound, a fresh client gets its PONG, no connection stays, no packet buffer is
 * lost. */
#include "job.h"
#include "far_end.h"

#include <rte_mempool.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, INPUTS_A_BOX = 2000 };

static struct far_ends world;
static struct frame frame;
static unsigned idle_frames; /* buffers that are free when nothing happens */

/* -- operations: each takes its operands from the input
 * -------------------------------------------------------- */

static const char *const request[] = {
    "PING\r\n",
    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n",
    "SETRANGE z 70000 x\r\n",
    "GET z\r\n",
    "GET z\r\nGET z\r\nGET z\r\nGET z\r\nGET z\r\n",
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n",
    "*1000000\r\n",
    "QUIT\r\n",
    "CLIENT KILL TYPE normal\r\n",
    "INFO\r\n",
    "FLUSHALL\r\n",
};

static struct far_end *take_peer(struct input *in)
{
    return &world.peer[take8(in) % PEERS];
}

/* Small shifts are likely, large ones possible. */
static uint32_t take_shift(struct input *in)
{
    uint8_t b = take8(in);
    return b < 0x60 ? b : b < 0xc0 ? (uint32_t)b - 0xc0 : b < 0xe0 ? take16(in) : take32(in);
}

static void op_open(struct input *in)
{
    static const uint8_t usual[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    struct far_end *p = take_peer(in);
    uint8_t how = take8(in);
    uint32_t isn = how & 1 ? 0xffffff00 : how & 2 ? take32(in) : 1000;
    size_t n = sizeof usual;
    const uint8_t *option = how & 4 ? take(in, take8(in) % 41, &n) : usual;
    if (p->synced && !(how & 16)) /* else the box keeps it, for a while */
        far_end_send(&world, p, RST | ACK, p->next, p->seen, NULL, 0);
    far_end_open(&world, p, isn, option, how & 8 ? 0 : n);
}

static void op_request(struct input *in)
{
    struct far_end *p = take_peer(in);
    const char *s = request[take8(in) % (sizeof request / sizeof *request)];
    size_t len = strlen(s);
    far_end_send(&world, p, PSH | ACK, p->next, p->acked, (const uint8_t *)s, len);
    p->next += (uint32_t)len;
}

static void op_data(struct input *in)
{
    struct far_end *p = take_peer(in);
    size_t len;
    const uint8_t *data = take(in, take8(in), &len);
    far_end_send(&world, p, PSH | ACK, p->next, p->acked, data, len);
    p->next += (uint32_t)len;
}

/* A segment anywhere with any flags; the peer forgets that it sent it. */
static void op_stray(struct input *in)
{
    static const uint8_t filler[1400];
    struct far_end *p = take_peer(in);
    uint8_t flags = take8(in);
    uint32_t seq = p->next + take_shift(in), ack = p->acked + take_shift(in);
    far_end_send(&world, p, flags, seq, ack, filler, (size_t)take8(in) * 6 % sizeof filler);
}

/* Options of any kind on an acknowledgement, SACK blocks among them. */
static void op_options(struct input *in)
{
    struct far_end *p = take_peer(in);
    size_t len;
    uint8_t flags = take8(in);
    uint32_t ack = p->acked + take_shift(in);
    const uint8_t *option = take(in, take8(in) % 41, &len);
    struct segment s = {.v6 = p->v6,
                        .host = p->host,
                        .sport = p->port,
                        .dport = 6379,
                        .window = p->window,
                        .urgent = take8(in),
                        .ecn = flags >> 6,
                        .seq = p->next,
                        .ack = ack,
                        .flags = flags ? flags : ACK,
                        .option = option,
                        .options = len};
    frame_tcp(&frame, &s);
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

/* A SACK of `n` bytes `shift` behind what is acknowledged. */
static void op_sack(struct input *in)
{
    struct far_end *p = take_peer(in);
    uint8_t o[12 + 2 + 24] = {1, 1, 8, 10};
    unsigned blocks = 1 + take8(in) % 3, at = p->ts ? 12 : 0;
    if (!p->ts)
        memset(o, 0, 12);
    to32(o + 4, p->ts ? p->ts_val : 0);
    to32(o + 8, p->ts ? p->ts_ecr : 0);
    o[at++] = 5;
    o[at++] = (uint8_t)(2 + 8 * blocks);
    for (unsigned i = 0; i < blocks; i++, at += 8) {
        uint32_t from = p->acked + take_shift(in) * 100;
        to32(o + at, from);
        to32(o + at + 4, from + take_shift(in) * 100);
    }
    struct segment s = {.v6 = p->v6,
                        .host = p->host,
                        .sport = p->port,
                        .dport = 6379,
                        .window = p->window,
                        .seq = p->next,
                        .ack = p->acked,
                        .flags = ACK,
                        .option = o,
                        .options = at};
    frame_tcp(&frame, &s);
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

static void op_fin(struct input *in)
{
    struct far_end *p = take_peer(in);
    far_end_send(&world, p, FIN | ACK, p->next++, p->acked, NULL, 0);
}

static void op_reset(struct input *in)
{
    struct far_end *p = take_peer(in);
    far_end_send(&world, p, RST, p->next + take_shift(in), 0, NULL, 0);
}

/* Up to 13 seconds. */
static void op_time(struct input *in)
{
    uint8_t b = take8(in);
    far_ends_run(&world, 100ull << (b & 31) % 18, 1 + (b >> 5));
}

/* How the peer acknowledges from now on, and its window. */
static void op_manner(struct input *in)
{
    struct far_end *p = take_peer(in);
    uint8_t how = take8(in);
    p->auto_ack = how & 1;
    if (how & 2)
        p->window = how & 4 ? take16(in) : 0;
    if (how & 8)
        p->acked = p->seen;
    p->acked += how & 16 ? take_shift(in) : 0;
    p->ts_val += how & 32 ? take_shift(in) : 0;
    far_end_send(&world, p, ACK, p->next, p->acked, NULL, 0);
}

static void op_raw(struct input *in)
{
    const uint8_t *p = take(in, 1 + take16(in) % FRAME_MAX, &frame.len);
    memcpy(frame.p, p, frame.len);
    if (frame.len == 0)
        return;
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

/* An IP packet of any protocol, checksums right. */
static void op_packet(struct input *in)
{
    size_t len;
    uint8_t how = take8(in), host = take8(in), protocol = take8(in);
    static const uint8_t usual[] = {ICMP4, ICMP6, TCP, 44, 0, 60, 17};
    if (how & 2)
        protocol = usual[protocol % sizeof usual];
    const uint8_t *p = take(in, take16(in) % 1500, &len);
    frame_ip(&frame, how & 1, how & 4 ? host : 1, protocol, p, len);
    for (unsigned i = how >> 5; i; i--) /* headers too: fragments, options, addresses */
        frame.p[take8(in) % 64] = take8(in);
    frame_repair(&frame);
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

/* An ARP packet or a neighbour discovery message, some bytes of it changed. */
static void op_neighbour(struct input *in)
{
    static const uint8_t arp[28] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 3,
                                    10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};
    static const uint8_t ns[32] = {135, 0, 0, 0, 0, 0, 0, 0, 0xfd, [23] = 2, 1, 1, 2, 0, 0, 0, 0, 3};
    uint8_t how = take8(in);
    frame_ip(&frame, true, 1, ICMP6, ns, sizeof ns);
    if (how & 1) {
        to16(frame.p + 12, 0x0806);
        memcpy(frame.p + ETHER, arp, sizeof arp);
        frame.len = ETHER + sizeof arp;
    } else if (how & 2) {
        frame.p[ETHER + 40] = (uint8_t)(130 + (how >> 4)); /* MLD, router and neighbour messages, redirect */
    }
    for (unsigned i = how >> 2 & 3; i; i--)
        frame.p[take8(in) % frame.len] = take8(in);
    frame_repair(&frame);
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

/* An ICMP error (unreachable, too big, time exceeded) about a segment of the box to this peer. */
static void op_error(struct input *in)
{
    struct far_end *p = take_peer(in);
    uint8_t m[8 + 40 + 20] = {0}, type = take8(in), *ip = m + 8;
    size_t header = p->v6 ? 40 : 20;
    m[0] = p->v6 ? 1 + type % 4 : (uint8_t[]){3, 4, 5, 11, 12}[type % 5];
    m[1] = take8(in);
    to32(m + 4, take16(in)); /* the MTU */
    ip[0] = p->v6 ? 0x60 : 0x45;
    ip[p->v6 ? 6 : 9] = TCP;
    if (p->v6) {
        ip[8] = ip[24] = 0xfd;
        ip[23] = 2;
        ip[39] = p->host;
    } else {
        memcpy(ip + 12, (uint8_t[]){10, 0, 0, 2, 10, 0, 0, p->host}, 8);
        to16(ip + 2, 1500);
    }
    uint8_t *t = ip + header;
    to16(t, 6379);
    to16(t + 2, p->port);
    to32(t + 4, p->acked + take_shift(in));
    frame_ip(&frame, p->v6, type & 64 ? 77 : p->host, p->v6 ? ICMP6 : ICMP4, m,
             8 + header + (type & 128 ? 8 : 20));
    far_ends_send(&world, &frame);
    far_ends_run(&world, 100, 1);
}

/* The next data as two IPv4 fragments, in any order, overlapping or one missing. */
static void op_fragments(struct input *in)
{
    static struct frame part;
    struct far_end *p = &world.peer[0];
    uint8_t how = take8(in);
    size_t cut = 8 + take8(in) % 12 * 8u, len = strlen(request[2]);
    struct segment s = {.host = p->host,
                        .sport = p->port,
                        .dport = 6379,
                        .window = p->window,
                        .seq = p->next,
                        .ack = p->acked,
                        .flags = PSH | ACK,
                        .payload = (const uint8_t *)request[2],
                        .payload_len = len};
    frame_tcp(&frame, &s);
    size_t total = frame.len - ETHER - 20;
    cut = cut < total ? cut : total;
    for (unsigned i = 0; i < 3; i++) {
        bool last = (i ^ how) & 1;
        size_t from = last ? cut - (how & 2 && cut > 8 ? 8 : 0) : 0, to = last ? total : cut;
        memcpy(part.p, frame.p, ETHER + 20);
        memcpy(part.p + ETHER + 20, frame.p + ETHER + 20 + from, to - from);
        part.len = ETHER + 20 + to - from;
        to16(part.p + ETHER + 4, how >> 4);
        to16(part.p + ETHER + 6, (unsigned)(from / 8) | (last ? 0 : 0x2000));
        frame_repair(&part);
        if (i < 2 || how & 4)
            far_ends_send(&world, &part);
        far_ends_run(&world, 100, 1);
    }
    if (how & 8)
        p->next += (uint32_t)len;
}

static void (*const operation[])(struct input *) = {
    op_open, op_request, op_data, op_stray,  op_options,   op_sack,  op_fin,       op_reset,
    op_time, op_manner,  op_raw,  op_packet, op_neighbour, op_error, op_fragments,
};

/* -- one input
 * -------------------------------------------------------------------------------------------------- */

static bool answers(void)
{
    struct far_end *p = &world.peer[2];
    p->host = 77; /* one whose rate no operation has used up */
    for (unsigned i = 0; i < 5; i++) {
        far_end_open(&world, p, 5000, NULL, 0);
        if (p->synced) {
            far_end_send(&world, p, PSH | ACK, p->next, p->acked, (const uint8_t *)"PING\r\n", 6);
            p->next += 6;
            far_ends_run(&world, 2000, 4);
        }
        bool pong = p->got_len == 7 && memcmp(p->got, "+PONG\r\n", 7) == 0;
        far_end_send(&world, p, RST | ACK, p->next, p->seen, NULL, 0);
        p->host = 1;
        if (pong)
            return true;
        far_ends_run(&world, 2000000, 20);
    }
    return false;
}

static void all_ends(void)
{
    struct worker *w = world.rig.worker;
    struct fabric *f = world.rig.box.fabric;
    for (unsigned i = 0; i < PEERS; i++)
        if (world.peer[i].synced)
            far_end_send(&world, &world.peer[i], RST | ACK, world.peer[i].next, world.peer[i].seen, NULL, 0);
    while (w->live_sessions)
        session_close(w->live_sessions, false);
    for (struct job *j; (j = fabric_receive(f, fabric_main(f)));)
        job_free(j);
    for (unsigned i = 0; i < 600 && tcp_conn_count(w->tcp); i++)
        far_ends_run(&world, 1000000, 1);
    MUST(tcp_conn_count(w->tcp) == 0, "a connection is still there after ten minutes");
    for (unsigned i = 0; i < 90 && rte_mempool_avail_count(world.rig.pool) < idle_frames; i++)
        far_ends_run(&world, 1000000, 1);
    MUST(rte_mempool_avail_count(world.rig.pool) == idle_frames, "a packet buffer is lost");
}

static void fresh_box(void)
{
    static unsigned inputs = INPUTS_A_BOX;
    if (inputs++ < INPUTS_A_BOX)
        return;
    inputs = 1;
    if (world.rig.wire)
        MUST(far_ends_stop(&world), "a packet buffer is lost at the end");
    far_ends_start(&world);
    idle_frames = 0;
    MUST(answers(), "the box does not answer at the start");
    while (world.rig.worker->live_sessions)
        session_close(world.rig.worker->live_sessions, false);
    far_ends_run(&world, 10000000, 100);
    idle_frames = rte_mempool_avail_count(world.rig.pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    fresh_box();
    while (in.left)
        operation[take8(&in) % (sizeof operation / sizeof *operation)](&in);
    MUST(answers(), "no PONG for a fresh client");
    all_ends();
    return 0;
}
