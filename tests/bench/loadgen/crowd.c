/* crowd.c: very many subscribers of one channel, each with a connection of its own, and one that publishes: each has to get every
 * message, whole and in order. Slow ones take nothing any more once they have subscribed: the box has to end them.
 * https://redis.io/docs/latest/develop/interact/pubsub/ */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "load.h"

enum { UNDER_WAY = 256, PATIENCE_S = 600, DIGITS = 8, REPLY_MOST = 16 };

static const char confirmation[] = "*3\r\n$9\r\nsubscribe\r\n$5\r\ncrowd\r\n:1\r\n";

bool crowd_init(struct client *cl, const struct options *o, uint32_t first)
{
    struct crowd *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    *w = (struct crowd){.first = first, .count = o->subscribers, .slow = o->slow, .size = o->value_size};
    w->got = calloc(w->count, sizeof *w->got);
    w->head_size = (unsigned)snprintf(w->head, sizeof w->head, "*3\r\n$7\r\nmessage\r\n$5\r\ncrowd\r\n$%u\r\n", w->size);
    cl->crowd = w;
    workload_crowd(cl->work, w->size);
    return w->got;
}

void crowd_free(struct client *cl)
{
    if (cl->crowd)
        free(cl->crowd->got);
    free(cl->crowd);
    cl->crowd = NULL;
}

/* A byte of what a subscriber gets: the confirmation, then messages, whose texts are their numbers, filled with dots. */
static uint8_t byte_at(const struct crowd *w, uint64_t at)
{
    if (at < sizeof confirmation - 1)
        return (uint8_t)confirmation[at];
    at -= sizeof confirmation - 1;
    uint64_t length = w->head_size + w->size + 2, number = at / length, in = at % length;
    if (in < w->head_size)
        return (uint8_t)w->head[in];
    in -= w->head_size;
    if (in >= w->size)
        return in == w->size ? '\r' : '\n';
    if (in >= DIGITS)
        return '.';
    for (unsigned i = DIGITS - 1; i > in; i--)
        number /= 10;
    return (uint8_t)('0' + number % 10);
}

static void answered(struct client *cl, struct conn *c)
{
    uint32_t request = *conn_pending(cl, c, c->head);
    c->head++;
    c->head_seq += request_size(cl->work, request);
    c->reply_at = 0;
}

/* To the one that publishes: how many there are. */
static unsigned take_number(struct client *cl, struct conn *c, const uint8_t *p, unsigned n)
{
    struct crowd *w = cl->crowd;
    for (unsigned i = 0; i < n; i++) {
        if (c->head == c->tail || c->reply_at == REPLY_MOST || (c->reply_at == 0) != (p[i] == ':'))
            return i;
        if (p[i] == ':')
            w->receivers = 0;
        else if (p[i] >= '0' && p[i] <= '9')
            w->receivers = w->receivers * 10 + (uint32_t)(p[i] - '0');
        else if (p[i] != '\r' && p[i] != '\n')
            return i;
        c->reply_at++;
        if (p[i] == '\n')
            answered(cl, c);
    }
    return n;
}

unsigned crowd_take(struct client *cl, struct conn *c, const uint8_t *p, unsigned n)
{
    struct crowd *w = cl->crowd;
    uint32_t index = conn_index(cl, c);
    if (index < w->first)
        return take_number(cl, c, p, n);
    uint64_t *got = &w->got[index - w->first], length = w->head_size + w->size + 2;
    for (unsigned i = 0; i < n; i++) {
        if (p[i] != byte_at(w, *got))
            return i;
        ++*got;
        if (*got == sizeof confirmation - 1) {
            w->confirmed++;
            answered(cl, c);
        } else if (*got > sizeof confirmation - 1 && (*got - (sizeof confirmation - 1)) % length == 0) {
            w->messages++;
        }
    }
    return n;
}

static bool in_time(uint64_t start)
{
    return rte_rdtsc() - start < PATIENCE_S * rte_get_tsc_hz();
}

static void ask(struct client *cl, struct conn *c, uint32_t request)
{
    *conn_pending(cl, c, c->tail++) = request;
    tcp_output(cl, c);
}

static bool subscribe_all(struct client *cl)
{
    struct crowd *w = cl->crowd;
    uint64_t start = rte_rdtsc();
    uint32_t next = 0;
    while (w->confirmed < w->count && in_time(start) && !cl->totals.wrong && !cl->totals.closed_early && !cl->totals.resets) {
        for (; next < w->count && next - w->confirmed < UNDER_WAY; next++)
            ask(cl, conn_at(cl, w->first + next), REQUEST_SUBSCRIBE);
        load_turn(cl);
    }
    return w->confirmed == w->count;
}

/* One more message, until all that are not slow have it and the publisher is told. */
static bool publish(struct client *cl)
{
    struct crowd *w = cl->crowd;
    struct conn *c = conn_at(cl, 0);
    uint64_t start = rte_rdtsc(), wanted = w->messages + (w->count - w->slow);
    cl->work->crowd_number++;
    ask(cl, c, REQUEST_PUBLISH);
    w->deaf = w->slow;
    while ((w->messages < wanted || c->head != c->tail) && in_time(start) && !cl->totals.wrong && !cl->totals.closed_early && !cl->totals.resets)
        load_turn(cl);
    return w->messages == wanted && c->head == c->tail && w->receivers <= w->count && w->receivers >= w->count - w->slow;
}

static void note(struct load *l, const char *label, uint64_t start, uint64_t n)
{
    l->part[l->parts++] = (struct part){
        .label = label, .replies = n, .seconds = (double)(rte_rdtsc() - start) / (double)rte_get_tsc_hz()};
}

void crowd_measure(struct load *l, struct client *cl)
{
    struct crowd *w = cl->crowd;
    uint64_t start = rte_rdtsc(), begin = start;
    l->phase = LOAD_REST;
    bool good = load_change_all(cl, true);
    note(l, "opened", begin, w->count);
    cl->timed = cl->count; /* the timers of all of them */
    begin = rte_rdtsc();
    good = good && subscribe_all(cl);
    note(l, "subscribed", begin, w->confirmed);
    begin = rte_rdtsc();
    for (unsigned i = 0; i < l->options->messages && good; i++)
        good = publish(cl);
    note(l, "got messages", begin, w->messages);
    good = good && w->receivers == w->count - w->slow;
    for (uint32_t i = cl->count - w->slow; i < cl->count; i++) /* the box has ended them: no more of them */
        if (conn_at(cl, i)->state == CONN_OPEN)
            conn_end(cl, conn_at(cl, i), CONN_DONE);
    if (!good && !cl->first_error[0])
        snprintf(cl->first_error, sizeof cl->first_error, "%u subscribed, %lu messages came, the last one went to %u", w->confirmed,
                 w->messages, w->receivers);
    cl->totals.errors += !good;
    l->seconds = (double)(rte_rdtsc() - start) / (double)rte_get_tsc_hz();
}
