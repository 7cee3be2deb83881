/* room.c: the port's queue is full: who has something to send waits in his turn, instead of sending what would be dropped.
 *
 *     tcp_output ──► send_frames: port_full ──► tcp_unsent ──► row_first ──► ... ──► row_last
 *         ▲                                                        │
 *         └───────────── tcp_go_on, when there is room ◄───────────┘
 *
 * A frame that waits here has not been sent: it is not in flight, no time is noted and no timer set for it, and the congestion window is not what
 * held it back. A timeout or a tail probe that falls due meanwhile happens when the turn has come: what it asks about may lie in
 * the same queue. If that was sent when the port was full or about to be, nobody can have answered yet: the timeout is put off, once.
 * While somebody stands in the row, the port counts as full, or those who come later would overtake. Who has had a turn and has
 * more to send goes to the end. A connection that has gone keeps its place until its turn. */
#include "tcp/conn.h"

bool *tcp_port_full(struct tcp_stack *s)
{
    return &s->port_full;
}

void tcp_wait_for_room(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    if (c->in_row)
        return;
    conn_count(c, COUNTER_tx_full_waits);
    c->in_row = true;
    c->next_in_row = NO_CONN;
    if (s->row_first == NO_CONN)
        s->row_first = conn_index(c);
    else
        s->conns[s->row_last].next_in_row = conn_index(c);
    s->row_last = conn_index(c);
}

void tcp_timer_waits(struct tcp_conn *c, uint64_t now_us)
{
    if (!c->late_timer)
        c->late_ms = (uint32_t)(now_us / 1000);
    c->late_timer = true;
    tcp_wait_for_room(c);
}

void tcp_unsent(struct tcp_conn *c)
{
    if (c->stack->port_full)
        tcp_wait_for_room(c);
    else
        tcp_starve(c);
}

static bool lost_head(const struct tcp_conn *c)
{
    return frame_in_flight(c, c->tx_head) &&
           (frame_of(c->tx_head)->flags & (FRAME_LOST | FRAME_REPAIRED)) == FRAME_LOST;
}

/* The turn of one whom the port had no room for. */
static void go_on(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_stack *s = c->stack;
    bool timer = c->late_timer, head = c->late_head;
    c->late_timer = c->late_head = false;
    if (timer) {
        tcp_put_off(c, s->full_since_us ? s->full_since_us : now_us, now_us);
        tcp_timer_conn(c, now_us);
        if (c->state == TCP_STATE_CLOSED)
            return;
    }
    if (head && lost_head(c)) /* whatever is believed to be on its way */
        tcp_resend(c, c->tx_head, now_us);
    tcp_output(c, now_us);
}

void tcp_no_room(struct tcp_stack *s, uint64_t now_us)
{
    if (s->port_full && !s->full_since_us)
        s->full_since_us = now_us;
}

bool tcp_go_on(struct tcp_stack *s, unsigned turns, uint64_t now_us)
{
    s->port_full = false;
    for (; s->row_first != NO_CONN && !s->port_full && turns; turns--) {
        struct tcp_conn *c = &s->conns[s->row_first];
        s->row_first = c->next_in_row;
        c->in_row = false;
        if (c->flags & CONN_DEAD)
            tcp_conn_release(c);
        else if (c->state != TCP_STATE_CLOSED)
            go_on(c, now_us);
    }
    s->port_full |= s->row_first != NO_CONN;
    if (!s->port_full)
        s->full_since_us = 0;
    return s->row_first != NO_CONN;
}
