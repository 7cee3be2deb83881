/* values.c: the lines of a script that set what it begins with, and those that ask what the stack has come to (README.md). */
#include "script.h"

#include <stdlib.h>

static void find_any(struct tcp_conn *c, void *arg)
{
    struct script *s = arg;
    if (peer_of(c) == s->current)
        s->peer[s->current].conn = c;
}

static void find_record(const struct endpoint *local, const struct endpoint *remote, void *arg)
{
    struct script *s = arg;
    (void)local;
    s->waits = s->waits || remote->port == 40000 + s->current;
}

/* = NAME VALUE : state of the connection, number of connections, a field of tcp_info, or a counter. */
void line_check(struct script *s, char *text)
{
    char *name = word(&text);
    if (strcmp(name, "state") == 0) {
        struct peer keep = s->peer[s->current];
        s->peer[s->current].conn = NULL;
        tcp_each(s->bench.stack, find_any, s);
        const struct tcp_conn *c = s->peer[s->current].conn;
        s->waits = false;
        tcp_time_wait_each(s->bench.stack, find_record, s);
        const char *state = tcp_state_name(c ? c->state : s->waits ? TCP_STATE_TIME_WAIT : TCP_STATE_CLOSED);
        if (strcmp(state, word(&text)) != 0)
            complain(&s->complaint, "state is %s", state);
        s->peer[s->current] = keep;
        return;
    }
    uint64_t want = strtoull(text, NULL, 10), value = UINT64_MAX;
    struct tcp_info info = {0};
    if (s->peer[s->current].conn)
        tcp_info(s->peer[s->current].conn, &info);
    if (strcmp(name, "conns") == 0)
        value = tcp_conn_count(s->bench.stack);
    else if (strcmp(name, "time_waits") == 0)
        value = tcp_time_wait_count(s->bench.stack);
    else if (strcmp(name, "half_open") == 0)
        value = s->bench.stack->half_open.n;
    else if (strcmp(name, "orphans") == 0)
        value = s->bench.stack->orphans.n;
    else if (strcmp(name, "cwnd") == 0)
        value = info.cwnd;
    else if (strcmp(name, "ssthresh") == 0)
        value = info.ssthresh;
    else if (strcmp(name, "mss") == 0)
        value = info.mss;
    else if (strcmp(name, "snd_wnd") == 0)
        value = info.snd_wnd;
    else if (strcmp(name, "bytes_in") == 0)
        value = info.bytes_in;
    else if (strcmp(name, "bytes_out") == 0)
        value = info.bytes_out;
    for (unsigned i = 0; i < COUNTER_MAX; i++)
        if (strcmp(counter_name(i), name) == 0)
            value = s->bench.counters.v[i];
    if (value != want)
        complain(&s->complaint, "%s is %llu", name, (unsigned long long)value);
}

/* What may be set at any time. False: it is something else. */
static bool set_now(struct script *s, const char *name, uint64_t value)
{
    if (strcmp(name, "isn") == 0) {
        s->peer[s->current].isn = (uint32_t)value;
        return true;
    }
    if (strcmp(name, "peer") == 0) {
        s->current = (unsigned)value % PEERS;
        return true;
    }
    if (strcmp(name, "port") == 0) {
        s->port = (uint16_t)value;
        return true;
    }
    if (strcmp(name, "rounds") == 0 &&
        s->started) { /* 0: segments belong to one round until it is set to 1 */
        s->bench.manual = value == 0;
        finish_round(s);
        return true;
    }
    if (strcmp(name, "hold") == 0 && s->started) { /* a transmit ring that is not emptied */
        s->bench.hold_frames = value;
        if (!value)
            bench_release(&s->bench);
        return true;
    }
    return false;
}

/* The stack's configuration. False: it is something else. */
static bool set_stack(struct tcp_config *conf, const char *name, uint64_t value)
{
    if (strcmp(name, "rx_window") == 0)
        conf->rx_window = (uint32_t)value;
    else if (strcmp(name, "tx_limit") == 0)
        conf->tx_limit = (uint32_t)value;
    else if (strcmp(name, "tx_limit_max") == 0)
        conf->tx_limit_max = (uint32_t)value;
    else if (strcmp(name, "cubic") == 0)
        conf->congestion_control = value ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
    else if (strcmp(name, "ecn") == 0)
        conf->ecn = value;
    else if (strcmp(name, "keepalive") == 0)
        conf->keepalive_us = value * 1000;
    else if (strcmp(name, "backlog") == 0)
        conf->backlog = (unsigned)value;
    else if (strcmp(name, "max_conns") == 0)
        conf->max_conns = (unsigned)value;
    else if (strcmp(name, "cookies") == 0)
        conf->syn_cookies = value;
    else if (strcmp(name, "user_timeout") == 0)
        conf->user_timeout_us = value * 1000;
    else if (strcmp(name, "orphans") == 0)
        conf->orphans = (unsigned)value;
    else if (strcmp(name, "time_waits") == 0)
        conf->time_waits = (unsigned)value;
    else if (strcmp(name, "time_wait") == 0)
        conf->time_wait_us = value * 1000;
    else
        return false;
    return true;
}

void line_set(struct script *s, char *text)
{
    char *name = word(&text);
    uint64_t value = strtoull(text, NULL, 10);
    if (set_now(s, name, value))
        return;
    if (s->started)
        complain(&s->complaint, "too late to set %s", name);
    else if (set_stack(&s->conf, name, value))
        return;
    else if (strcmp(name, "mtu") == 0)
        s->mtu = (uint16_t)value;
    else if (strcmp(name, "v6") == 0)
        s->v6 = value;
    else if (strcmp(name, "uptime") == 0)
        s->uptime_us = value * 1000;
    else if (strcmp(name, "iss") == 0)
        s->place_iss = true, s->iss = (uint32_t)value;
    else if (strcmp(name, "stamp") == 0)
        s->place_stamp = true, s->stamp = (uint32_t)value;
    else
        complain(&s->complaint, "unknown setting '%s'", name);
}
