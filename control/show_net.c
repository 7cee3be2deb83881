/* show_net.c: operations on the network of the data port: connections, neighbours, routes, what was dropped,
 * ping. */
#include "control/block.h"
#include "control/show.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { CONNECTIONS_DEFAULT = 1000, CONNECTIONS_MAX = 100000 };

static const char *decimal(char text[32], json_int_t v)
{
    snprintf(text, 32, "%" JSON_INTEGER_FORMAT, v);
    return text;
}

/* -- connections -------------------------------------------------------------------------------------- */

/* The last row has the totals. */
static void connections_done(struct call *call, json_t *rows)
{
    size_t last = json_array_size(rows);
    json_t *totals = last ? json_incref(json_array_get(rows, last - 1)) : json_object();
    if (last)
        json_array_remove(rows, last - 1);
    call_reply(call, json_pack("{s:o,s:o}", "totals", totals, "connections", rows));
}

static void detail_done(struct call *call, json_t *rows)
{
    if (json_array_size(rows) > 1) {
        connections_done(call, rows);
        return;
    }
    json_decref(rows);
    call_fail(call, "not-found", "there is no connection with this remote address and port");
}

void show_connections(struct call *call, const json_t *request)
{
    const char *detail = request_word(request, "detail");
    char text[32];
    if (*detail) {
        const char *argv[] = {"connection", detail};
        inspect_run(call, 2, argv, detail_done);
        return;
    }
    json_int_t limit = request_number(request, "limit", CONNECTIONS_DEFAULT);
    if (limit < 0 || limit > CONNECTIONS_MAX) {
        call_fail(call, "bad-value", "limit: choose 0 to %d", CONNECTIONS_MAX);
        return;
    }
    const char *argv[] = {"connections", decimal(text, limit)};
    inspect_run(call, 2, argv, connections_done);
}

/* -- neighbours, routes ------------------------------------------------------------------------------- */

static void show_rows(struct call *call, const char *inspection, inspect_done *done)
{
    inspect_run(call, 1, &inspection, done);
}

void show_neighbors(struct call *call, const json_t *request)
{
    (void)request;
    show_rows(call, "neighbors", call_reply);
}

static void arp_done(struct call *call, json_t *rows)
{
    for (size_t i = json_array_size(rows); i-- > 0;)
        if (strchr(request_word(json_array_get(rows, i), "address"), ':'))
            json_array_remove(rows, i);
    call_reply(call, rows);
}

void show_arp(struct call *call, const json_t *request)
{
    (void)request;
    show_rows(call, "neighbors", arp_done);
}

void show_routes(struct call *call, const json_t *request)
{
    (void)request;
    show_rows(call, "routes", call_reply);
}

void show_addresses(struct call *call, const json_t *request)
{
    (void)request;
    show_rows(call, "addresses", call_reply);
}

/* -- the packet filter -------------------------------------------------------------------------------- */

void show_filters(struct call *call, const json_t *request)
{
    (void)request;
    show_rows(call, "filters", call_reply);
}

/* -- drops -------------------------------------------------------------------------------------------- */

/* Names that say that something was lost or refused, and counters of losses whose names do not. */
static const char *const patterns[] = {"*_drop*", "*_limited", "*_full", "*_shed_*", "*_refused", NULL};
static const char *const losses[] = {"net_no_route",
                                     "net_no_memory",
                                     "net_neighbour_failures",
                                     "net_fragment_timeouts",
                                     "net_duplicate_addresses",
                                     "net_address_conflicts",
                                     "tcp_timeouts",
                                     "tcp_user_timeouts",
                                     "mbuf_exhausted",
                                     "filter_denied",
                                     "filter_rejected",
                                     "filter_ended",
                                     "connections_rejected",
                                     "resp_protocol_errors",
                                     "auth_failures",
                                     "client_memory_closes",
                                     "client_evictions",
                                     "client_query_limit_closes",
                                     "client_output_limit_closes",
                                     NULL};

static bool is_loss(const char *name)
{
    for (const char *const *p = patterns; *p; p++)
        if (fnmatch(*p, name, 0) == 0)
            return true;
    for (const char *const *l = losses; *l; l++)
        if (strcmp(*l, name) == 0)
            return true;
    return false;
}

/* What the port itself has lost: gauges. */
static const struct {
    const char *gauge, *help;
} port_losses[] = {
    {"link_rx_missed", "Frames that the port lost because nobody took them in time"},
    {"link_rx_errors", "Frames that the port received damaged"},
    {"link_tx_errors", "Frames that the port could not send"},
    {"link_rx_nombuf", "Frames lost because the packet pool was empty"},
};

static json_t *drop_json(const char *name, const char *help, uint64_t total)
{
    json_t *j = json_object();
    json_object_set_new(j, "name", safe_string(name));
    json_object_set_new(j, "total", json_integer((json_int_t)total));
    json_object_set_new(j, "help", safe_string(help));
    return j;
}

static json_t *counter_json(const struct block *b, unsigned counter, const char *name, const char *help)
{
    json_t *workers = json_array();
    uint64_t total = 0;
    for (unsigned w = 0; w < b->head.workers; w++) {
        uint64_t v = block_counter(b, w, counter);
        total += v;
        json_array_append_new(workers, json_integer((json_int_t)v));
    }
    json_t *j = drop_json(name, help, total);
    json_object_set_new(j, "workers", workers);
    return j;
}

static void sort_in(json_t *row, json_t *nonzero, json_t *zero)
{
    bool any = json_integer_value(json_object_get(row, "total")) != 0;
    json_array_append_new(any ? nonzero : zero, row);
}

/* Non-zero ones first, each part in the order of counters.def. */
void show_drops(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    struct block b;
    char name[CHANNEL_NAME], help[CHANNEL_HELP];
    (void)request;
    if (!block_read(c->link, &b)) {
        call_fail(call, "no-dataplane", "the dataplane is not running");
        return;
    }
    json_t *list = json_array(), *zero = json_array();
    for (unsigned i = 0; i < b.head.counters; i++) {
        block_counter_name(&b, i, name, help);
        if (is_loss(name))
            sort_in(counter_json(&b, i, name, help), list, zero);
    }
    for (size_t i = 0; i < sizeof port_losses / sizeof port_losses[0]; i++) {
        double v;
        if (block_gauge(&b, port_losses[i].gauge, &v))
            sort_in(drop_json(port_losses[i].gauge, port_losses[i].help, (uint64_t)v), list, zero);
    }
    json_array_extend(list, zero);
    json_decref(zero);
    call_reply(call, list);
}

/* -- ping --------------------------------------------------------------------------------------------- */

/* The only row. */
static void start_done(struct call *call, json_t *rows)
{
    json_t *row = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    call_reply(call, row);
}

void ping_start(struct call *call, const json_t *request)
{
    char count[32], size[32], interval[32];
    const char *argv[] = {
        "ping-start", request_word(request, "address"), decimal(count, request_number(request, "count", 5)),
        decimal(size, request_number(request, "size", 56)), decimal(interval, request_number(request, "interval_ms", 1000))};
    inspect_run(call, 5, argv, start_done);
}

/* The last row says how the ping stands. */
static void next_done(struct call *call, json_t *rows)
{
    size_t last = json_array_size(rows);
    if (last == 0) {
        start_done(call, rows);
        return;
    }
    json_t *status = json_incref(json_array_get(rows, last - 1));
    json_array_remove(rows, last - 1);
    json_object_set_new(status, "outcomes", rows);
    call_reply(call, status);
}

void ping_next(struct call *call, const json_t *request)
{
    char ping[32], from[32];
    const char *argv[] = {"ping-next", decimal(ping, request_number(request, "ping", 0)),
                          decimal(from, request_number(request, "from", 0))};
    inspect_run(call, 3, argv, next_done);
}
