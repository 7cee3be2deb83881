/* inspect_net.c: what workers tell of their network: connections, neighbours, addresses, routes. */
#include "inspect_ops.h"
#include "json.h"
#include "worker.h"

#include "base/number.h"

#include <stdio.h>

enum { WALK_STEPS = 512, WALK_SHOWN = 64 }; /* connections looked at in one round; when they are shown */

enum verdict inspect_workers(struct visit *v)
{
    struct json j = json_begin(v->out);
    json_u64(&j, "worker", v->worker->id);
    json_u64(&j, "connections", tcp_conn_count(v->worker->tcp));
    json_u64(&j, "sessions", v->worker->sessions);
    json_end(&j);
    return VISIT_DONE;
}

/* -- connections -------------------------------------------------------------------------------------- */

enum { TALLY_SHOWN = INSPECT_TALLY - 1 }; /* below it: connections by state */
_Static_assert((int)TCP_STATE_NUMBERS < (int)TALLY_SHOWN, "a tally has room for every state");

struct walk {
    struct visit *visit;
    uint64_t limit;
    bool detail;
    struct endpoint wanted; /* with detail: the remote end */
};

static void put_endpoints(struct json *j, const struct tcp_conn *c)
{
    struct endpoint local, remote;
    char text[ENDPOINT_TEXT];
    tcp_endpoints(c, &local, &remote);
    endpoint_format(&local, text);
    json_text(j, "local", text);
    endpoint_format(&remote, text);
    json_text(j, "remote", text);
}

static void put_brief(struct json *j, const struct worker *w, const struct tcp_conn *c,
                      const struct tcp_info *i)
{
    json_text(j, "state", i->state);
    put_endpoints(j, c);
    json_u64(j, "worker", w->id);
    json_u64(j, "recv_q", i->rx_unread);
    json_u64(j, "send_q", i->unacked);
}

/* In µs from now; left out when the timer is off. */
static void put_timer(struct json *j, const char *name, uint64_t at, uint64_t now)
{
    if (at && at != UINT64_MAX)
        json_u64(j, name, at > now ? at - now : 0);
}

static void put_session(struct json *j, const struct worker *w, const struct tcp_conn *c)
{
    const struct session *s = tcp_user(c);
    if (!s || s->conn != c || !(s->flags & SESSION_OPEN))
        return;
    json_u64(j, "client_id", s->client.id);
    if (s->client.name)
        json_text(j, "client_name", s->client.name);
    json_u64(j, "client_db", s->client.db);
    json_u64(j, "client_commands", s->client.commands);
    json_u64(j, "client_age_ms",
             w->env.now_ms > s->client.created_ms ? w->env.now_ms - s->client.created_ms : 0);
    json_u64(j, "client_unsent", s->chunk_bytes);
    json_bool(j, "client_waits", s->flags & SESSION_STALLED);
}

static void put_detail(struct json *j, const struct worker *w, const struct tcp_conn *c,
                       const struct tcp_info *i)
{
    uint64_t now = w->env.now_us;
    json_u64(j, "srtt_us", i->srtt_us);
    json_u64(j, "rttvar_us", i->rttvar_us);
    json_u64(j, "rto_us", i->rto_us);
    json_u64(j, "mss", i->mss);
    json_u64(j, "peer_mss", i->peer_mss);
    json_text(j, "congestion", i->congestion);
    json_u64(j, "cwnd", i->cwnd);
    json_u64(j, "ssthresh", i->ssthresh);
    json_u64(j, "snd_wnd", i->snd_wnd);
    json_u64(j, "rcv_wnd", i->rcv_wnd);
    json_u64(j, "snd_wscale", i->snd_wscale);
    json_u64(j, "rcv_wscale", i->rcv_wscale);
    json_bool(j, "timestamps", i->timestamps);
    json_bool(j, "sack", i->sack);
    json_bool(j, "ecn", i->ecn);
    json_bool(j, "wscale", i->wscale);
    json_bool(j, "active_open", i->active);
    json_text(j, "sending", i->loss ? "loss" : i->recovery ? "recovery" : i->persist ? "persist" : "open");
    json_u64(j, "bytes_in", i->bytes_in);
    json_u64(j, "bytes_out", i->bytes_out);
    json_u64(j, "retransmits", i->retransmits);
    json_u64(j, "backoff", i->backoff);
    json_u64(j, "probes", i->probes);
    json_u64(j, "frames_out", i->tx_frames);
    json_u64(j, "frames_in", i->rx_frames);
    json_u64(j, "frames_out_of_order", i->out_of_order);
    json_u64(j, "last_rx_ms", (uint32_t)(now / 1000) - i->last_rx_ms);
    put_timer(j, i->persist ? "timer_persist_us" : "timer_retransmit_us", i->rexmit_at, now);
    put_timer(j, "timer_delayed_ack_us", i->delack_at, now);
    put_timer(j, "timer_state_us", i->state_at, now);
    if (i->orphan)
        json_bool(j, "orphan", true);
    else if (!i->active)
        put_session(j, w, c);
}

static bool is_wanted(const struct walk *k, const struct tcp_conn *c)
{
    struct endpoint local, remote;
    tcp_endpoints(c, &local, &remote);
    return remote.port == k->wanted.port && ip_equal(&remote.ip, &k->wanted.ip);
}

static void put_connection(struct tcp_conn *c, void *arg)
{
    struct walk *k = arg;
    struct visit *v = k->visit;
    v->tally[tcp_state_number(c)]++;
    if (v->tally[TALLY_SHOWN] >= k->limit || (k->detail && !is_wanted(k, c)))
        return;
    v->tally[TALLY_SHOWN]++;
    struct tcp_info info;
    tcp_info(c, &info);
    struct json j = json_begin(v->out);
    put_brief(&j, v->worker, c, &info);
    if (k->detail)
        put_detail(&j, v->worker, c, &info);
    json_end(&j);
}

static void put_totals(struct visit *v)
{
    uint64_t all = 0;
    struct json j = json_begin(v->out);
    for (unsigned i = 1; i < TCP_STATE_NUMBERS; i++) {
        json_u64(&j, tcp_state_label(i), v->tally[i]);
        all += v->tally[i];
    }
    json_u64(&j, "total", all);
    json_u64(&j, "shown", v->tally[TALLY_SHOWN]);
    json_end(&j);
}

static enum verdict walk_on(struct visit *v, struct walk *k)
{
    unsigned steps = k->detail || v->tally[TALLY_SHOWN] >= k->limit ? WALK_STEPS : WALK_SHOWN;
    v->cursor = tcp_walk(v->worker->tcp, (uint32_t)v->cursor, steps, put_connection, k);
    if (v->cursor)
        return VISIT_AGAIN;
    v->tally[TCP_NUMBER_TIME_WAIT] +=
        tcp_time_wait_count(v->worker->tcp); /* which are no connections any more */
    if (v->last)
        put_totals(v);
    return VISIT_DONE;
}

/* connections LIMIT: one object a connection; the last one has the totals by state. */
enum verdict inspect_connections(struct visit *v)
{
    int64_t limit;
    struct walk k = {.visit = v};
    if (v->argc != 2 || !parse_i64(v->argv[1], &limit) || limit < 0) {
        v->error = "ERR connections: a limit is needed";
        return VISIT_ENOUGH;
    }
    k.limit = (uint64_t)limit;
    return walk_on(v, &k);
}

/* As endpoint_format writes it. */
static bool parse_endpoint(struct slice s, struct endpoint *out)
{
    char text[ENDPOINT_TEXT], *ip = text;
    int64_t port;
    if (s.len >= sizeof text)
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = 0;
    char *colon = strrchr(text, ':');
    if (!colon || !parse_i64(slice_str(colon + 1), &port) || port < 0 || port > UINT16_MAX)
        return false;
    *colon = 0;
    if (*ip == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        ip++;
    }
    out->port = (uint16_t)port;
    return ip_parse(ip, &out->ip);
}

/* connection ADDR:PORT: those with this remote end, in detail; then the totals. */
enum verdict inspect_connection(struct visit *v)
{
    struct walk k = {.visit = v, .limit = WALK_SHOWN, .detail = true};
    if (v->argc != 2 || !parse_endpoint(v->argv[1], &k.wanted)) {
        v->error = "ERR ADDRESS:PORT or [ADDRESS]:PORT is needed";
        return VISIT_ENOUGH;
    }
    return walk_on(v, &k);
}

/* -- neighbours, addresses, routes -------------------------------------------------------------------- */

static void put_ip(struct json *j, const char *name, const struct ip_addr *ip)
{
    char text[ENDPOINT_TEXT];
    ip_format(ip, text);
    json_text(j, name, text);
}

static void put_neighbour(const struct ip_addr *ip, const uint8_t mac[6], const char *state, void *arg)
{
    struct visit *v = arg;
    static const uint8_t none[6];
    char text[24] = "";
    struct json j = json_begin(v->out);
    put_ip(&j, "address", ip);
    if (memcmp(mac, none, 6) != 0)
        snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                 mac[5]);
    json_text(&j, "mac", text);
    json_text(&j, "state", state);
    json_u64(&j, "age_ms", net_neighbour_age(v->worker->nif, ip, v->worker->env.now_us) / 1000);
    json_u64(&j, "worker", v->worker->id);
    json_end(&j);
}

enum verdict inspect_neighbors(struct visit *v)
{
    net_each_neighbour(v->worker->nif, put_neighbour, v);
    return VISIT_DONE;
}

static void put_route(const struct ip_addr *prefix, unsigned bits, const struct ip_addr *gateway,
                      enum net_route_kind kind, void *arg)
{
    static const char *const kinds[] = {"connected", "static", "default"};
    struct visit *v = arg;
    char address[ENDPOINT_TEXT], text[ENDPOINT_TEXT + 8];
    struct json j = json_begin(v->out);
    ip_format(prefix, address);
    snprintf(text, sizeof text, "%s/%u", address, bits);
    json_text(&j, "kind", kinds[kind]);
    json_text(&j, "destination", text);
    if (gateway)
        put_ip(&j, "gateway", gateway);
    json_end(&j);
}

/* All workers have the same: one is asked. */
enum verdict inspect_routes(struct visit *v)
{
    net_each_route(v->worker->nif, put_route, v);
    return VISIT_ENOUGH;
}

static void put_address(const struct ip_addr *ip, unsigned bits, const char *state, void *arg)
{
    struct visit *v = arg;
    struct json j = json_begin(v->out);
    put_ip(&j, "address", ip);
    json_u64(&j, "bits", bits);
    json_text(&j, "state", state);
    json_end(&j);
}

enum verdict inspect_addresses(struct visit *v)
{
    net_each_address(v->worker->nif, put_address, v);
    return VISIT_ENOUGH;
}
