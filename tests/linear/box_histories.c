/* box_histories.c: histories of many connections to a server on the network, judged by the checker; and the
 * planted defects, each of which must be found. Empties the server. Prints TAP.
 *
 *     linear_box_histories HOST PORT [COUNT [SEED [CLIENTS]]]      100 histories of 12 clients from seed 1
 *
 * Against redis-server all are linearizable as well; the defects are found there, too. */
#include "checker.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS = 5000000, WAIT_MS = 20000, DEFECT_HISTORIES = 200 };

struct connection {
    int fd;
    struct linear_client *client;
    char in[LINEAR_PIPELINE * LINEAR_REPLY];
    size_t len;
    size_t gone; /* bytes of the request that have been sent */
};

static struct sockaddr_in address;
static struct connection connection[LINEAR_CLIENTS];
static struct linear_client client[LINEAR_CLIENTS];
static unsigned connections = 12, numbers;
static struct linear_load load;
static _Atomic(uint64_t) ticks;

static void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            die("send");
        p += n;
        len -= (size_t)n;
    }
}

/* False: nothing came for a long time. */
static bool receive(struct connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, WAIT_MS) <= 0)
        return false;
    ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - c->len, 0);
    if (n <= 0)
        die("the server has closed a connection");
    c->len += (size_t)n;
    return true;
}

static void say_to_all(const char *request)
{
    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = &connection[i];
        send_all(c->fd, request, strlen(request));
        while (!linear_reply_size(c->in, c->len))
            if (!receive(c))
                die("no answer");
        c->len = 0;
    }
}

static void begin_client(struct connection *c, unsigned left)
{
    c->client = &client[numbers];
    linear_client_init(c->client, &load, numbers++);
    c->client->left = left;
}

static void hang_up(struct connection *c)
{
    unsigned left = c->client->left;
    if (numbers == LINEAR_CLIENTS || !linear_client_may_go(c->client))
        return;
    close(c->fd);
    linear_client_lost(c->client);
    c->fd = dial();
    c->len = 0;
    begin_client(c, left);
}

/* A request often goes in pieces, so that others come between them. */
static void send_piece(struct connection *c, uint64_t *random)
{
    size_t left = c->client->request_len - c->gone;
    size_t n = linear_random(random) % 2 ? left : 1 + linear_random(random) % left;
    send_all(c->fd, c->client->request + c->gone, n);
    c->gone += n;
}

/* What has come, and the next request if that was all. False: the client has done all it had to. */
static bool turn(struct connection *c, uint64_t *random)
{
    size_t taken = linear_client_told(c->client, c->in, c->len);
    c->len -= taken;
    memmove(c->in, c->in + taken, c->len);
    if (!c->client->waiting && c->client->left) {
        linear_client_ask(c->client);
        c->gone = 0;
    }
    if (c->client->waiting && c->gone < c->client->request_len)
        send_piece(c, random);
    return c->client->waiting > 0;
}

static bool play(uint64_t *random, bool hangs_up)
{
    struct pollfd p[LINEAR_CLIENTS];
    for (;;) {
        unsigned busy = 0, unsent = 0;
        for (unsigned i = 0; i < connections; i++) {
            bool more = turn(&connection[i], random);
            busy += more;
            unsent += more && connection[i].gone < connection[i].client->request_len;
            p[i] = (struct pollfd){.fd = more ? connection[i].fd : -1, .events = POLLIN};
        }
        if (!busy)
            return true;
        if (poll(p, connections, unsent ? 0 : WAIT_MS) <= 0 && !unsent)
            return false;
        for (unsigned i = 0; i < connections; i++)
            if (p[i].revents && !receive(&connection[i]))
                return false;
        if (hangs_up && linear_random(random) % 50 == 0)
            hang_up(&connection[linear_random(random) % connections]);
    }
}

static enum { GOOD, BAD, UNKNOWN } history(uint64_t seed, enum linear_defect defect)
{
    struct history h = {0};
    uint64_t random = seed;
    unsigned ops = 8 + (unsigned)(seed % 8);
    load = (struct linear_load){
        .seed = seed, .ops = ops, .whole = seed % 3 == 0, .block_ms = 20, .defect = defect, .clock = &ticks};
    numbers = 0;
    say_to_all("UNWATCH\r\n");
    say_to_all("FLUSHALL\r\n");
    for (unsigned i = 0; i < connections; i++)
        begin_client(&connection[i], ops);
    bool ended = play(&random, seed % 4 == 0);
    for (unsigned i = 0; i < numbers; i++) {
        linear_client_gather(&client[i], &h);
        linear_client_free(&client[i]);
    }
    struct linear_verdict v = linear_check(&h, STEPS);
    bool bad = !ended || v.is == NOT_LINEAR;
    if (bad && !defect) {
        printf("# seed %llu: %s\n", (unsigned long long)seed, ended ? "not linearizable" : "did not end");
        printf("# stuck at the operation called at %llu\n", (unsigned long long)h.op[v.stuck].call);
        history_print(&h);
    }
    history_free(&h);
    if (!ended)
        exit(1); /* nothing more can be asked on these connections */
    return bad ? BAD : v.is == GAVE_UP ? UNKNOWN : GOOD;
}

static bool all_are_linearizable(unsigned count, uint64_t seed)
{
    unsigned result[3] = {0};
    for (unsigned i = 0; i < count && result[BAD] < 3; i++)
        result[history(seed + i, SOUND)]++;
    printf("%sok 1 - histories of %u clients are linearizable\n", result[BAD] ? "not " : "", connections);
    printf("# %u linearizable, %u not, %u unknown; seed %llu\n", result[GOOD], result[BAD], result[UNKNOWN],
           (unsigned long long)seed);
    return !result[BAD];
}

static bool is_found(enum linear_defect defect, uint64_t seed)
{
    unsigned i = 0;
    while (i < DEFECT_HISTORIES && history(seed + i, defect) != BAD)
        i++;
    bool found = i < DEFECT_HISTORIES;
    printf("%sok %u - %s is found\n# in history %u\n", found ? "" : "not ", defect + 1, linear_defect_name[defect], i + 1);
    return found;
}

int main(int argc, char **argv)
{
    if (argc < 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr, "usage: linear_box_histories HOST PORT [COUNT [SEED [CLIENTS]]]\n");
        return 2;
    }
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    if (argc > 5)
        connections = (unsigned)atoi(argv[5]);
    if (!connections || connections > LINEAR_CLIENTS)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("TAP version 13\n1..%d\n", LINEAR_DEFECTS);
    for (unsigned i = 0; i < connections; i++)
        connection[i].fd = dial();
    bool good = all_are_linearizable(count, seed);
    for (enum linear_defect defect = TORN_MSET; defect < LINEAR_DEFECTS; defect++)
        good &= is_found(defect, seed);
    return good ? 0 : 1;
}
