/* manners.c: what clients do to a connection that is in use. */
#include "peer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LONG = 1 << 20 };

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* A second connection that has stored a long value. */
static bool store_long(const struct target *t)
{
    int fd = dial(t, NULL);
    bool ok = fd >= 0 && set_pattern(fd, "long", 7, LONG);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool ask_long(int fd, unsigned times)
{
    bool ok = true;
    for (; ok && times; times--)
        ok = send_all(fd, "GET long\r\n", 10);
    return ok;
}

/* Everything asked for before the FIN is answered, then comes the end. */
bool manner_half_close(const struct target *t)
{
    enum { REQUESTS = 2000 };
    bool ok = store_long(t);
    int fd = dial(t, NULL);
    ok = ok && fd >= 0;
    for (unsigned i = 0; ok && i < REQUESTS; i++)
        ok = send_all(fd, "PING\r\n", 6);
    ok = ok && ask_long(fd, 3);
    shutdown(fd, SHUT_WR);
    for (unsigned i = 0; ok && i < REQUESTS; i++)
        ok = says(fd, "", "+PONG\r\n");
    for (unsigned i = 0; ok && i < 3; i++)
        ok = receive_pattern(fd, 7, LONG);
    ok = ok && at_end(fd);
    close(fd);
    return ok;
}

/* Until the kernel's receive buffer does not grow any more. */
static bool stalled(int fd)
{
    int before = -1, now = 0;
    for (unsigned i = 0; i < 100; i++) {
        if (ioctl(fd, FIONREAD, &now) != 0)
            return false;
        if (now == before && now > 0)
            return true;
        before = now;
        pause_ms(100);
    }
    return because("the replies never stopped");
}

bool manner_zero_window(const struct target *t)
{
    enum { VALUES = 8 };
    bool ok = store_long(t);
    int fd = dial(t, &(struct manner){.rcvbuf = 8192});
    ok = ok && fd >= 0 && ask_long(fd, VALUES) && stalled(fd);
    for (double end = seconds() + 1.5; ok && seconds() < end; pause_ms(50)) /* probes in between */
        ok = stalled(fd);
    for (unsigned i = 0; ok && i < VALUES; i++)
        ok = receive_pattern(fd, 7, LONG);
    ok = ok && says(fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    return ok;
}

bool manner_slow_reader(const struct target *t)
{
    enum { SIZE = 128 * 1024, STEP = 512 };
    char head[16];
    uint8_t part[STEP];
    int fd = dial(t, &(struct manner){.rcvbuf = 2048});
    bool ok = fd >= 0 && set_pattern(fd, "slow", 9, SIZE) && send_all(fd, "GET slow\r\n", 10) &&
              receive_all(fd, head, strlen("$131072\r\n"));
    for (size_t at = 0; ok && at < SIZE; at += STEP) {
        ok = receive_all(fd, part, STEP) && pattern_is(part, STEP, 9, at);
        pause_ms(2);
    }
    ok = ok && receive_all(fd, head, 2);
    close(fd);
    return ok;
}

bool manner_one_byte(const struct target *t)
{
    static const char request[] =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$11\r\nhello world\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    int fd = dial(t, NULL);
    bool ok = fd >= 0;
    for (unsigned times = 0; ok && times < 50; times++) {
        for (const char *p = request; ok && *p; p++)
            ok = send_all(fd, p, 1);
        ok = ok && says(fd, "", "+OK\r\n$11\r\nhello world\r\n");
    }
    close(fd);
    return ok;
}

/* While the replies are on their way; every second time with unread ones in our own buffer. */
bool manner_reset_in_the_middle(const struct target *t)
{
    char some[1000];
    bool ok = store_long(t);
    for (unsigned i = 0; ok && i < 200; i++) {
        int fd = dial(t, NULL);
        ok = fd >= 0 && ask_long(fd, 3) && (i & 1 || receive_all(fd, some, sizeof some));
        if (i & 2)
            close_reset(fd);
        else
            close(fd); /* unread bytes: a reset too */
    }
    return ok;
}

bool manner_abandoned_request(const struct target *t)
{
    static const char half[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nabcdef";
    bool ok = true;
    for (unsigned i = 0; ok && i < 200; i++) {
        int fd = dial(t, NULL);
        ok = fd >= 0 && send_all(fd, half, sizeof half - 1);
        if (i & 1)
            close_reset(fd);
        else
            close(fd);
    }
    return ok;
}

/* RFC 6093: urgent data stays in line. The kernel takes the byte out of the stream unless asked
 * (SO_OOBINLINE). */
bool manner_urgent(const struct target *t)
{
    int fd = dial(t, NULL);
    bool ok = fd >= 0;
    for (unsigned i = 0; ok && i < 20; i++) {
        ok = send_all(fd, "PI", 2) && send(fd, "N", 1, MSG_OOB) == 1;
        ok = ok && (t->kernel ? send_all(fd, "NG\r\n", 4) : send_all(fd, "G\r\n", 3)) &&
             says(fd, "", "+PONG\r\n");
    }
    close(fd);
    return ok;
}

bool manner_small_mss(const struct target *t)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < 4; i++) {
        int fd = dial(t, &(struct manner){.maxseg = (int[]){88, 216, 536, 1200}[i]});
        ok = fd >= 0 && set_pattern(fd, "small", i, 300000) && get_pattern(fd, "small", i, 300000);
        close(fd);
    }
    return ok;
}

bool manner_pipeline_then_quit(const struct target *t)
{
    bool ok = store_long(t);
    int fd = dial(t, &(struct manner){.rcvbuf = 16384});
    ok = ok && fd >= 0 && ask_long(fd, 4) && send_all(fd, "QUIT\r\n", 6);
    for (unsigned i = 0; ok && i < 4; i++)
        ok = receive_pattern(fd, 7, LONG);
    ok = ok && says(fd, "", "+OK\r\n") && at_end(fd);
    close(fd);
    return ok;
}

/* Our kernel forgets the connection without a word, as after a crash (TCP_REPAIR). */
static bool forget(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0)
        return because("TCP_REPAIR: %s", strerror(errno));
    close(fd);
    return true;
}

static bool set_keepalive(const struct target *t, const char *value)
{
    char request[64];
    snprintf(request, sizeof request, "CONFIG SET tcp-keepalive %s\r\n", value);
    int fd = dial(t, NULL);
    bool ok = fd >= 0 && says(fd, request, "+OK\r\n");
    close(fd);
    return ok;
}

/* Keepalive finds out: the kernel answers a probe of a connection it does not know with a reset. */
bool manner_forgotten(const struct target *t)
{
    bool ok = set_keepalive(t, "1");
    for (unsigned i = 0; ok && i < 20; i++) {
        int fd = dial(t, NULL);
        ok = fd >= 0 && says(fd, "PING\r\n", "+PONG\r\n") && forget(fd);
    }
    ok = ok && settled(t);
    return set_keepalive(t, "300") && ok;
}

/* The same port again: a SYN into the old connection, challenge ACK, reset, a second SYN (RFC 9293, 5961). */
bool manner_forgotten_port_again(const struct target *t)
{
    bool ok = true;
    for (uint16_t i = 0; ok && i < 3; i++) {
        struct manner m = {.port = (uint16_t)(31000 + i)};
        int fd = dial(t, &m);
        ok = fd >= 0 && says(fd, "PING\r\n", "+PONG\r\n") && forget(fd);
        double start = seconds();
        fd = ok ? dial(t, &m) : -1;
        ok = fd >= 0 && says(fd, "PING\r\n", "+PONG\r\n");
        if (ok && seconds() - start > 5)
            ok = because("took %.1f s", seconds() - start);
        if (fd >= 0)
            close_reset(fd);
    }
    return ok;
}
