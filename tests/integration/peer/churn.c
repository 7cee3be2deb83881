/* churn.c: connections opened and closed as fast as the kernel can, closed by either side and by reset, over
 * few local ports, so that each meets what its predecessor left. */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum ending { ORDERLY, RESET, SERVER, ENDINGS };

struct opener {
    pthread_t thread;
    const struct target *t;
    unsigned mask;         /* of endings, used in turn */
    uint16_t first, ports; /* 0: the kernel chooses */
    double until;
    unsigned long opened, busy; /* busy: the port was still in our own kernel's TIME_WAIT */
    bool ok;
};

static bool one(struct opener *o, enum ending how)
{
    struct manner m = {.port = o->ports ? (uint16_t)(o->first + (o->opened + o->busy) % o->ports) : 0};
    int fd = dial(o->t, &m);
    if (fd < 0 && (errno == EADDRNOTAVAIL || errno == EADDRINUSE) && o->busy < 100000000) {
        o->busy++;
        return true;
    }
    if (fd < 0)
        return because("connect: %s", strerror(errno));
    o->opened++;
    bool ok = says(fd, "PING\r\n", "+PONG\r\n");
    if (how == SERVER)
        ok = ok && says(fd, "QUIT\r\n", "+OK\r\n") && at_end(fd);
    if (how == RESET)
        close_reset(fd);
    else
        close(fd);
    return ok;
}

static void *open_and_close(void *arg)
{
    struct opener *o = arg;
    o->ok = true;
    for (unsigned i = 0; o->ok && (i % 16 || seconds() < o->until); i++)
        if (o->mask >> i % ENDINGS & 1)
            o->ok = one(o, i % ENDINGS);
    return NULL;
}

static bool churn(const struct target *t, unsigned mask, uint16_t ports)
{
    struct opener *o = calloc(t->threads, sizeof *o);
    double start = seconds();
    unsigned long opened = 0, busy = 0;
    bool ok = o != NULL;
    for (unsigned i = 0; i < t->threads; i++) {
        o[i] = (struct opener){.t = t, .mask = mask, .ports = ports, .until = start + t->churn_seconds};
        o[i].first = (uint16_t)(t->first_port + i * ports);
        if (pthread_create(&o[i].thread, NULL, open_and_close, &o[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < t->threads; i++) {
        pthread_join(o[i].thread, NULL);
        ok = ok && o[i].ok;
        opened += o[i].opened;
        busy += o[i].busy;
    }
    double rate = (double)opened / (seconds() - start);
    because("%lu connections, %.0f a second; %lu times the port was in the client's own TIME_WAIT", opened,
            rate, busy);
    free(o);
    if (rate < t->churn_floor)
        return because("less than %u a second", t->churn_floor);
    return ok && opened > 0;
}

bool churn_orderly(const struct target *t)
{
    return churn(t, 1 << ORDERLY, 0);
}

bool churn_reset(const struct target *t)
{
    return churn(t, 1 << RESET, 50);
}

/* The box holds TIME_WAIT, and a SYN comes to it from the same port (RFC 6191). */
bool churn_server_closes(const struct target *t)
{
    return churn(t, 1 << SERVER, 50);
}

bool churn_mixed(const struct target *t)
{
    return churn(t, 1 << ORDERLY | 1 << RESET | 1 << SERVER, 500);
}

bool churn_many_open(const struct target *t)
{
    enum { MANY = 900 };
    int fd[MANY];
    unsigned n = 0;
    bool ok = true;
    for (; n < MANY && ok; n += ok)
        ok = (fd[n] = dial(t, NULL)) >= 0 || because("connection %u: %s", n, strerror(errno));
    for (unsigned i = 0; i < n && ok; i++)
        ok = says(fd[i], "PING\r\n", "+PONG\r\n");
    while (n)
        n & 1 ? close_reset(fd[--n]) : (void)close(fd[--n]);
    return ok;
}
