/* inspect_ping.c: `sluice ping`: worker 0 asks (net/ping.c), because echo replies come to it. */
#include "inspect_ops.h"
#include "json.h"
#include "worker.h"

#include "base/number.h"
#include "net/ping.h"

enum { WAIT_US = 2000000 }; /* then an answer without news: control's own patience is longer */

static enum verdict fail(struct visit *v, const char *error)
{
    v->error = error;
    return VISIT_ENOUGH;
}

/* A slice as a number from least to most. */
static bool number(struct slice s, int64_t least, int64_t most, int64_t *out)
{
    return parse_i64(s, out) && *out >= least && *out <= most;
}

/* ping-start ADDRESS COUNT SIZE INTERVAL_MS */
enum verdict inspect_ping_start(struct visit *v)
{
    struct net_ping_conf conf = {0};
    struct net_ping_status status;
    char text[ENDPOINT_TEXT] = "";
    int64_t count, size, interval;
    const char *error;
    if (v->argc != 5 || v->argv[1].len >= sizeof text)
        return fail(v, "ERR ping needs an address, count, size and interval");
    memcpy(text, v->argv[1].p, v->argv[1].len);
    if (!ip_parse(text, &conf.to))
        return fail(v, "ERR ping: the address is neither IPv4 nor IPv6");
    if (!number(v->argv[2], 1, NET_PING_COUNT_MAX, &count))
        return fail(v, "ERR ping: count must be 1 to 65535");
    if (!number(v->argv[3], 0, UINT16_MAX, &size))
        return fail(v, "ERR ping: size must be 0 to what the MTU allows");
    if (!number(v->argv[4], NET_PING_INTERVAL_MIN / 1000, NET_PING_INTERVAL_MAX / 1000, &interval))
        return fail(v, "ERR ping: interval must be 20 to 5000 ms");
    conf.count = (uint32_t)count;
    conf.size = (uint16_t)size;
    conf.interval_us = (uint32_t)interval * 1000;
    uint32_t id = net_ping_start(v->worker->nif, &conf, v->worker->env.now_us, &error);
    if (!id)
        return fail(v, error);
    net_ping_look(v->worker->nif, id, v->worker->env.now_us, &status);
    ip_format(&status.from, text);
    struct json j = json_begin(v->out);
    json_u64(&j, "ping", id);
    json_text(&j, "from", text);
    json_end(&j);
    return VISIT_ENOUGH;
}

static void put_event(struct visit *v, const struct net_ping_event *e)
{
    struct json j = json_begin(v->out);
    json_u64(&j, "seq", e->seq);
    if (e->answered) {
        json_u64(&j, "rtt_us", e->rtt_us);
        json_u64(&j, "bytes", e->bytes);
        json_u64(&j, "ttl", e->ttl);
    } else {
        json_text(&j, "failure", e->unresolved ? "unreachable" : "timeout");
    }
    json_end(&j);
}

static void put_status(struct visit *v, const struct net_ping_status *s)
{
    struct json j = json_begin(v->out);
    json_u64(&j, "next", s->events);
    json_bool(&j, "done", s->done);
    json_u64(&j, "sent", s->sent);
    json_u64(&j, "received", s->received);
    if (s->received) {
        json_u64(&j, "min_us", s->min_us);
        json_u64(&j, "avg_us", s->sum_us / s->received);
        json_u64(&j, "max_us", s->max_us);
    }
    json_end(&j);
}

/* ping-next ID FROM: the outcomes from the FROM-th on, as soon as there is one, and how it stands. */
enum verdict inspect_ping_next(struct visit *v)
{
    struct net_if *nif = v->worker->nif;
    struct net_ping_status status;
    struct net_ping_event e;
    uint64_t now = v->worker->env.now_us;
    int64_t id, from;
    if (v->argc != 3 || !number(v->argv[1], 1, UINT32_MAX, &id) || !number(v->argv[2], 0, UINT32_MAX, &from))
        return fail(v, "ERR ping-next needs a number and a position");
    if (!net_ping_look(nif, (uint32_t)id, now, &status))
        return fail(v, "ERR this ping has ended");
    if (!v->cursor)
        v->cursor = now + WAIT_US;
    if (status.events <= (uint32_t)from && !status.done && now < v->cursor)
        return VISIT_WAIT;
    uint32_t k = (uint32_t)from;
    if (status.events > NET_PING_EVENTS && k < status.events - NET_PING_EVENTS)
        k = status.events - NET_PING_EVENTS;
    for (; net_ping_event(nif, (uint32_t)id, k, &e); k++)
        put_event(v, &e);
    put_status(v, &status);
    if (status.done)
        net_ping_end(nif, (uint32_t)id);
    return VISIT_ENOUGH;
}
