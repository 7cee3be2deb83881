/* relay.c: a bridge between two network interfaces that treats frames badly: loss, duplicates, reordering,
 * delay, a rate with a bounded queue that drops its tail or marks (ECN, RFC 3168 section 5). For kernels
 * without netem. Both directions alike; frames that are not IPv4 pass untouched. Ends on SIGTERM and prints
 * what it did. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 2048, BURST = 64, SLOTS = 1 << 15, ETH = 14, BUFFER = 32 << 20 };

struct slot {
    uint64_t due_ns;
    unsigned len;
    uint8_t data[FRAME];
};

/* Frames in the order of their due times. */
struct line {
    struct slot *slot;
    unsigned head, tail;
};

struct faults {
    uint32_t loss, reorder, duplicate; /* of a million frames */
    uint64_t delay_ns, hold_ns;        /* one way; what a reordered frame waits more */
    uint64_t rate;                     /* bits a second, 0 = none */
    uint64_t queue, mark;              /* bytes; 0 = never */
};

struct direction {
    int from, to;
    struct line line, held;
    uint64_t free_ns; /* when the link of this rate has sent everything */
    uint64_t in, out, lost, queue_drops, marked, duplicated, reordered, overflows;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool chance(uint64_t *state, uint32_t of_a_million)
{
    *state ^= *state << 13; /* xorshift (Marsaglia) */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (*state >> 11) % 1000000 < of_a_million;
}

static int die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_port(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), one = 1, size = BUFFER;
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    at.sll_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        die(name);
    return fd;
}

static void line_new(struct line *l)
{
    l->slot = mmap(NULL, SLOTS * sizeof *l->slot, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (l->slot == MAP_FAILED)
        die("memory");
}

static void put(struct direction *d, struct line *l, const uint8_t *data, unsigned len, uint64_t due_ns)
{
    if (l->tail - l->head == SLOTS) {
        d->overflows++;
        return;
    }
    struct slot *s = &l->slot[l->tail++ % SLOTS];
    s->due_ns = due_ns;
    s->len = len;
    memcpy(s->data, data, len);
}

static void mark_ce(uint8_t *ip)
{
    unsigned header = (ip[0] & 15) * 4u;
    uint32_t sum = 0;
    ip[1] |= 3;
    ip[10] = ip[11] = 0;
    for (unsigned i = 0; i + 1 < header; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip[10] = (uint8_t)(~sum >> 8);
    ip[11] = (uint8_t)~sum;
}

/* The queue before the slow link: false if the frame finds no room. */
static bool pass_queue(struct direction *d, const struct faults *f, uint8_t *frame, unsigned len,
                       uint64_t now)
{
    if (d->free_ns < now)
        d->free_ns = now;
    if (!f->rate)
        return true;
    uint64_t waiting = (d->free_ns - now) * (f->rate / 8000) / 1000000;
    bool capable = frame[ETH + 1] & 3;
    if (f->mark && waiting > f->mark && capable) {
        mark_ce(frame + ETH);
        d->marked++;
    }
    if (f->queue && waiting + len > f->queue)
        return false;
    d->free_ns += len * 8000000000ull / f->rate;
    return true;
}

static void treat(struct direction *d, const struct faults *f, uint8_t *frame, unsigned len, uint64_t now,
                  uint64_t *random)
{
    d->in++;
    if (len < ETH + 20 || frame[12] != 8 || frame[13] != 0) {
        put(d, &d->line, frame, len, d->free_ns + f->delay_ns > now ? d->free_ns + f->delay_ns : now);
        return;
    }
    if (chance(random, f->loss)) {
        d->lost++;
        return;
    }
    bool twice = chance(random, f->duplicate), late = chance(random, f->reorder);
    if (!pass_queue(d, f, frame, len, now)) {
        d->queue_drops++;
        return;
    }
    uint64_t due = d->free_ns + f->delay_ns;
    put(d, late ? &d->held : &d->line, frame, len, late ? due + f->hold_ns : due);
    if (twice)
        put(d, &d->line, frame, len, due);
    d->duplicated += twice;
    d->reordered += late;
}

static void receive(struct direction *d, const struct faults *f, uint64_t *random)
{
    static uint8_t data[BURST][FRAME];
    struct mmsghdr m[BURST] = {0};
    struct iovec v[BURST];
    for (unsigned i = 0; i < BURST; i++) {
        v[i] = (struct iovec){data[i], FRAME};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(d->from, m, BURST, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int i = 0; i < n; i++)
        treat(d, f, data[i], m[i].msg_len, now, random);
}

/* Sends what is due. When the next one is. */
static uint64_t send_due(struct direction *d, struct line *l)
{
    struct mmsghdr m[BURST] = {0};
    struct iovec v[BURST];
    unsigned n = 0;
    uint64_t now = now_ns();
    for (unsigned i = l->head; n < BURST && i != l->tail && l->slot[i % SLOTS].due_ns <= now; i++, n++) {
        v[n] = (struct iovec){l->slot[i % SLOTS].data, l->slot[i % SLOTS].len};
        m[n].msg_hdr = (struct msghdr){.msg_iov = &v[n], .msg_iovlen = 1};
    }
    int sent = n ? sendmmsg(d->to, m, n, 0) : 0;
    if (sent > 0) {
        l->head += (unsigned)sent;
        d->out += (unsigned)sent;
    } else if (n && errno != EAGAIN && errno != ENOBUFS) {
        l->head++; /* a frame that the device refuses must not block the rest */
    }
    return l->head == l->tail ? UINT64_MAX : l->slot[l->head % SLOTS].due_ns;
}

static void relay(struct direction d[2], const struct faults *f, uint64_t random)
{
    struct pollfd p[2] = {{.fd = d[0].from, .events = POLLIN}, {.fd = d[1].from, .events = POLLIN}};
    while (!stop) {
        uint64_t next = UINT64_MAX;
        for (unsigned i = 0; i < 2; i++) {
            uint64_t a = send_due(&d[i], &d[i].line), b = send_due(&d[i], &d[i].held);
            next = a < next ? a : next;
            next = b < next ? b : next;
        }
        uint64_t now = now_ns(), wait = next > now ? next - now : 0;
        if (wait > 100000000)
            wait = 100000000;
        struct timespec t = {0, (long)wait};
        if (ppoll(p, 2, &t, NULL) <= 0)
            continue;
        for (unsigned i = 0; i < 2; i++)
            if (p[i].revents)
                receive(&d[i], f, &random);
    }
}

static const struct option words[] = {
    {"left", 1, NULL, 'l'},     {"right", 1, NULL, 'r'},     {"loss", 1, NULL, 'L'},
    {"reorder", 1, NULL, 'R'},  {"hold-us", 1, NULL, 'H'},   {"duplicate", 1, NULL, 'D'},
    {"delay-us", 1, NULL, 'd'}, {"rate-mbit", 1, NULL, 'b'}, {"queue", 1, NULL, 'q'},
    {"mark", 1, NULL, 'm'},     {"seed", 1, NULL, 's'},      {"help", 0, NULL, 'h'},
    {NULL, 0, NULL, 0}};

static int usage(FILE *to)
{
    fputs(
        "usage: relay --left IF --right IF [--loss PPM] [--duplicate PPM] [--reorder PPM] [--hold-us N]\n"
        "             [--delay-us N] [--rate-mbit N] [--queue BYTES] [--mark BYTES] [--seed N]\n"
        "Bridges two interfaces, both directions with the same faults. PPM: frames of a million; a "
        "reordered\n"
        "frame comes hold-us later than its neighbours; delay-us is one way; queue and mark are bytes that\n"
        "wait before the link of that rate: beyond the first the frame is dropped, beyond the second an\n"
        "ECN-capable one is marked.\n",
        to);
    return to == stderr ? 2 : 0;
}

/* -1, or the status with which the program ends. */
static int read_words(int argc, char **argv, const char *name[2], struct faults *f, uint64_t *random)
{
    for (int o; (o = getopt_long(argc, argv, "", words, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;
        switch (o) {
        case 'l':
            name[0] = optarg;
            break;
        case 'r':
            name[1] = optarg;
            break;
        case 'L':
            f->loss = (uint32_t)n;
            break;
        case 'R':
            f->reorder = (uint32_t)n;
            break;
        case 'H':
            f->hold_ns = n * 1000;
            break;
        case 'D':
            f->duplicate = (uint32_t)n;
            break;
        case 'd':
            f->delay_ns = n * 1000;
            break;
        case 'b':
            f->rate = n * 1000000;
            break;
        case 'q':
            f->queue = n;
            break;
        case 'm':
            f->mark = n;
            break;
        case 's':
            *random = n | 1;
            break;
        default:
            return usage(o == 'h' ? stdout : stderr);
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct faults f = {.hold_ns = 1000000};
    const char *name[2] = {NULL, NULL};
    uint64_t random = 1;
    int ends = read_words(argc, argv, name, &f, &random);
    if (ends >= 0)
        return ends;
    if (!name[0] || !name[1] || optind != argc)
        return usage(stderr);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int fd[2] = {open_port(name[0]), open_port(name[1])};
    struct direction d[2] = {{.from = fd[0], .to = fd[1]}, {.from = fd[1], .to = fd[0]}};
    for (unsigned i = 0; i < 2; i++) {
        line_new(&d[i].line);
        line_new(&d[i].held);
    }
    puts("ready");
    fflush(stdout);
    relay(d, &f, random * 0x9e3779b97f4a7c15u);
    for (unsigned i = 0; i < 2; i++)
        printf("%s to %s: in %lu out %lu lost %lu queue_drops %lu marked %lu duplicated %lu reordered %lu "
               "overflows %lu\n",
               name[i], name[1 - i], d[i].in, d[i].out, d[i].lost, d[i].queue_drops, d[i].marked,
               d[i].duplicated, d[i].reordered, d[i].overflows);
    return 0;
}
