/* interrupt.c: see interrupt.h. */
#include "mgmt/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>

static volatile sig_atomic_t seen, pending, ended, stream = -1;
static struct sigaction before;

static void on_interrupt(int number)
{
    (void)number;
    seen = pending = 1;
}

static void on_interrupt_of_stream(int number)
{
    seen = 1;
    if (ended) { /* the second one: as if there were no stream */
        pending = 1;
        sigaction(number, &before, NULL);
        if (before.sa_handler != on_interrupt)
            raise(number);
    }
    if (stream >= 0)
        shutdown(stream, ended ? SHUT_RDWR : SHUT_WR);
    ended = 1;
}

void interrupt_at_prompt(void)
{
    const struct sigaction noting = {.sa_handler = on_interrupt}; /* no SA_RESTART: who waits is to look */
    sigaction(SIGINT, &noting, NULL);
}

bool interrupt_taken(void)
{
    bool was = seen;
    seen = pending = 0;
    return was;
}

bool interrupt_pending(void)
{
    return pending;
}

void interrupt_stream(int fd)
{
    const struct sigaction ending = {.sa_handler = on_interrupt_of_stream, .sa_flags = SA_RESTART};
    ended = 0;
    stream = fd;
    sigaction(SIGINT, &ending, &before);
}

void interrupt_noted(void)
{
    interrupt_stream(-1);
}

bool interrupt_of_stream(void)
{
    return ended;
}

void interrupt_stream_ends(void)
{
    sigaction(SIGINT, &before, NULL);
    stream = -1;
}
