/* state.c: the states of a connection and the legal edges between them (RFC 9293 section 3.3.2, figure 5). */
#include "tcp/conn.h"

#define TO(s) (1u << TCP_STATE_##s)

/* From CLOSED a passive open goes straight to SYN_RECEIVED: LISTEN is not a state of a connection here. Every
 * state may fall to CLOSED (reset, timeout, abort). A FIN that acknowledges ours is taken as ACK, then FIN: by
 * way of FIN_WAIT_2. Closing a connection that is not open yet aborts it. */
static const uint16_t edges[TCP_STATES] = {
    [TCP_STATE_CLOSED] = TO(SYN_SENT) | TO(SYN_RECEIVED),
    [TCP_STATE_SYN_SENT] = TO(CLOSED) | TO(SYN_RECEIVED) | TO(ESTABLISHED),
    [TCP_STATE_SYN_RECEIVED] = TO(CLOSED) | TO(ESTABLISHED),
    [TCP_STATE_ESTABLISHED] = TO(CLOSED) | TO(FIN_WAIT_1) | TO(CLOSE_WAIT),
    [TCP_STATE_FIN_WAIT_1] = TO(CLOSED) | TO(FIN_WAIT_2) | TO(CLOSING),
    [TCP_STATE_FIN_WAIT_2] = TO(CLOSED) | TO(TIME_WAIT),
    [TCP_STATE_CLOSE_WAIT] = TO(CLOSED) | TO(LAST_ACK),
    [TCP_STATE_CLOSING] = TO(CLOSED) | TO(TIME_WAIT),
    [TCP_STATE_LAST_ACK] = TO(CLOSED),
    [TCP_STATE_TIME_WAIT] = TO(CLOSED),
};

static const char *const names[TCP_STATES] = {"CLOSED",     "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED",
                                              "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",   "CLOSING",
                                              "LAST_ACK",   "TIME_WAIT"};

bool tcp_state_edge(enum tcp_state from, enum tcp_state to)
{
    return from < TCP_STATES && to < TCP_STATES && (edges[from] >> to & 1);
}

const char *tcp_state_name(enum tcp_state s)
{
    return s < TCP_STATES ? names[s] : "?";
}

void tcp_set_state(struct tcp_conn *c, enum tcp_state to)
{
    assert(tcp_state_edge(c->state, to));
    c->state = (uint8_t)to;
}
