/* shed.c: what is given up when connections run short, and in which order.
 *
 * 1. The backlog is full, or the pool is low: SYNs get a cookie (cookie.c); without cookies the newest is
 *    dropped.
 * 2. The pool is empty and a SYN comes: a cookie, or it is dropped. Nothing that stands is touched for an
 *    address that has proved nothing.
 * 3. The pool is empty and a cookie comes back: the newest half-open connection goes (its peer asks again),
 *    else the oldest orphan is reset, else the ACK is dropped (its sender's data try again). Orphans that wait for frames or the port are
 *    passed over: their places would be free only when their turn has come.
 * 4. Too many orphans: the oldest is reset.
 * 5. A connection with a user has to wait for frames: orphans that have had a timeout, or stand before a
 *    closed window, and hold more than a share (queue.c) are reset. Their peers are most likely gone, and
 *    would pin megabytes for a minute.
 * 6. The table of TIME_WAIT is full: the record that would end first goes (time_wait.c).
 *
 * Established connections with a user are never shed here. Everything is counted, nothing stays switched on:
 * when the pressure ends, the next SYN is served as ever. */
#include "tcp/conn.h"

void tcp_age_add(struct tcp_conn *c, struct tcp_ages *list)
{
    struct tcp_stack *s = c->stack;
    c->flags |= CONN_AGED;
    c->older = list->newest;
    c->newer = NO_CONN;
    if (list->newest == NO_CONN)
        list->oldest = conn_index(c);
    else
        s->conns[list->newest].newer = conn_index(c);
    list->newest = conn_index(c);
    list->n++;
}

static void age_add_oldest(struct tcp_conn *c, struct tcp_ages *list)
{
    struct tcp_stack *s = c->stack;
    c->flags |= CONN_AGED;
    c->newer = list->oldest;
    c->older = NO_CONN;
    if (list->oldest == NO_CONN)
        list->newest = conn_index(c);
    else
        s->conns[list->oldest].older = conn_index(c);
    list->oldest = conn_index(c);
    list->n++;
}

void tcp_age_remove(struct tcp_conn *c, struct tcp_ages *list)
{
    struct tcp_stack *s = c->stack;
    if (!(c->flags & CONN_AGED))
        return;
    c->flags &= ~(uint32_t)CONN_AGED;
    uint32_t older = c->older, newer = c->newer;
    c->user = NULL;
    if (older == NO_CONN)
        list->oldest = newer;
    else
        s->conns[older].newer = newer;
    if (newer == NO_CONN)
        list->newest = older;
    else
        s->conns[newer].older = older;
    list->n--;
}

static void reset_orphan(struct tcp_stack *s, uint32_t i, uint64_t now_us)
{
    struct tcp_conn *c = &s->conns[i];
    count_one(s->counters, COUNTER_tcp_shed_orphans);
    tcp_send_rst(c, now_us);
    tcp_conn_end(c);
}

void tcp_orphan_timeout(struct tcp_conn *c)
{
    tcp_age_remove(c, &c->stack->orphans);
    age_add_oldest(c, &c->stack->orphans);
}

void tcp_shed_soon(struct tcp_stack *s)
{
    if (s->orphans.n && s->starved_at == UINT64_MAX)
        s->starved_at = 0; /* the next tcp_timers dates it */
}

/* Those whose timers have fired stand in front. */
void tcp_shed_frames(struct tcp_stack *s, uint64_t now_us)
{
    while (s->orphans.n && s->queued > s->queued_max / 2) {
        const struct tcp_conn *c = &s->conns[s->orphans.oldest];
        bool waits = c->retries || (c->flags & CONN_PERSIST);
        if (!waits || tcp_queue_share(c))
            break;
        reset_orphan(s, s->orphans.oldest, now_us);
    }
}

void tcp_orphan(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_stack *s = c->stack;
    if (s->orphans.n >= s->conf.orphans)
        reset_orphan(s, s->orphans.oldest, now_us);
    tcp_age_add(c, &s->orphans);
}

bool tcp_pool_low(const struct tcp_stack *s)
{
    return s->conf.max_conns - s->used <= s->conf.max_conns >> TCP_RESERVE_SHIFT;
}

/* The oldest orphan whose end makes room now, of as many as can be looked at for one segment; NO_CONN: none. */
static uint32_t oldest_at_hand(const struct tcp_stack *s)
{
    enum { LOOKS = 64 };
    uint32_t i = s->orphans.oldest;
    for (unsigned n = 0; i != NO_CONN && n < LOOKS; n++) {
        if (!conn_listed(&s->conns[i]))
            return i;
        i = s->conns[i].newer;
    }
    return NO_CONN;
}

bool tcp_shed(struct tcp_stack *s, uint64_t now_us)
{
    if (s->used < s->conf.max_conns)
        return true;
    if (s->half_open.n) {
        count_one(s->counters, COUNTER_tcp_shed_half_open);
        tcp_conn_end(&s->conns[s->half_open.newest]); /* no reset: to its peer it is a lost SYN-ACK */
    } else if (s->orphans.n) {
        uint32_t i = oldest_at_hand(s);
        if (i != NO_CONN)
            reset_orphan(s, i, now_us);
    }
    return s->used < s->conf.max_conns; /* unless a list of this round still holds it */
}
