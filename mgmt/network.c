/* network.c: the commands about the data port's network: connections, neighbours, routes, drops, ping. */
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool put_option(json_t *request, const char *key, const char *option, const char *text)
{
    char *end = NULL;
    if (!text)
        return true;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < 0) {
        fprintf(stderr, "sluice: %s: '%.40s' is not a number\n", option, text);
        return false;
    }
    json_object_set_new(request, key, json_integer(v));
    return true;
}

/* -- connections -------------------------------------------------------------------------------------- */

static void print_totals(FILE *out, const json_t *totals)
{
    const char *name, *between = ": ";
    json_t *v;
    fprintf(out, "connections %" JSON_INTEGER_FORMAT, number_of(totals, "total"));
    json_object_foreach((json_t *)(uintptr_t)totals, name, v)
    {
        if (strcmp(name, "total") == 0 || strcmp(name, "shown") == 0 || json_integer_value(v) == 0)
            continue;
        fprintf(out, "%s%s %" JSON_INTEGER_FORMAT, between, name, json_integer_value(v));
        between = ", ";
    }
    fputc('\n', out);
}

static void print_details(FILE *out, const json_t *connections)
{
    size_t i;
    const char *name;
    json_t *connection, *v;
    json_array_foreach(connections, i, connection)
    {
        if (i)
            fputc('\n', out);
        json_object_foreach(connection, name, v) print_field(out, name, v);
    }
}

int run_show_connections(struct invocation *in)
{
    static const struct column columns[] = {{"state", "state"},
                                            {"recv-q", "recv_q", COLUMN_NUMBER},
                                            {"send-q", "send_q", COLUMN_NUMBER},
                                            {"local", "local"},
                                            {"remote", "remote"},
                                            {"worker", "worker", COLUMN_NUMBER},
                                            {0}};
    json_t *j, *request = request_for(in);
    if (!put_option(request, "limit", "--limit", in->limit)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    if (in->detail)
        json_object_set_new(request, "detail", json_string(in->detail));
    int code = ask(in, request, &j);
    if (!j)
        return code;
    const json_t *totals = json_object_get(j, "totals"), *list = json_object_get(j, "connections");
    if (in->detail) {
        print_details(in->out, list);
    } else {
        print_totals(in->out, totals);
        print_table(in->out, columns, list);
        if (number_of(totals, "shown") < number_of(totals, "total"))
            fprintf(in->out,
                    "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " are shown; --limit N shows more\n",
                    number_of(totals, "shown"), number_of(totals, "total"));
    }
    json_decref(j);
    return code;
}

/* -- tables ------------------------------------------------------------------------------------------- */

int run_show_neighbors(struct invocation *in)
{
    static const struct column columns[] = {{"address", "address"},
                                            {"mac", "mac"},
                                            {"state", "state"},
                                            {"age", "age_ms", COLUMN_AGE},
                                            {"worker", "worker", COLUMN_NUMBER},
                                            {0}};
    return show_table(in, columns);
}

int run_show_routes(struct invocation *in)
{
    static const struct column columns[] = {
        {"destination", "destination"}, {"gateway", "gateway"}, {"kind", "kind"}, {0}};
    return show_table(in, columns);
}

int run_show_addresses(struct invocation *in)
{
    static const struct column columns[] = {
        {"address", "address"}, {"bits", "bits", COLUMN_NUMBER}, {"state", "state"}, {0}};
    return show_table(in, columns);
}

int run_show_listeners(struct invocation *in)
{
    static const struct column columns[] = {{"plane", "plane"},
                                            {"service", "service"},
                                            {"transport", "transport"},
                                            {"address", "address"},
                                            {"port", "port", COLUMN_SOME},
                                            {"state", "state"},
                                            {"name", "name"},
                                            {"user", "user"},
                                            {0}};
    return show_table(in, columns);
}

int run_show_drops(struct invocation *in)
{
    static const struct column columns[] = {
        {"reason", "name"}, {"total", "total", COLUMN_NUMBER}, {"meaning", "help"}, {0}};
    return show_table(in, columns);
}

int run_show_filters(struct invocation *in)
{
    static const struct column columns[] = {
        {"rule", "rule", COLUMN_NUMBER}, {"hits", "hits", COLUMN_NUMBER}, {"text", "text"}, {0}};
    return show_table(in, columns);
}

/* -- ping --------------------------------------------------------------------------------------------- */

static double ms_of(const json_t *j, const char *key)
{
    return (double)number_of(j, key) / 1000.0;
}

static void print_outcome(FILE *out, const char *address, const json_t *o)
{
    json_int_t seq = number_of(o, "seq");
    if (json_object_get(o, "rtt_us"))
        fprintf(out,
                "%" JSON_INTEGER_FORMAT " bytes from %s: seq=%" JSON_INTEGER_FORMAT
                " ttl=%" JSON_INTEGER_FORMAT " time=%.3f ms\n",
                number_of(o, "bytes"), address, seq, number_of(o, "ttl"), ms_of(o, "rtt_us"));
    else
        fprintf(out, "%s: seq=%" JSON_INTEGER_FORMAT "\n",
                strcmp(text_of(o, "failure"), "unreachable") == 0 ? "unreachable, no neighbor answers"
                                                                  : "no answer",
                seq);
    fflush(out);
}

static void print_summary(FILE *out, const char *address, const json_t *status)
{
    json_int_t sent = number_of(status, "sent"), received = number_of(status, "received");
    fprintf(out, "--- %s: %" JSON_INTEGER_FORMAT " sent, %" JSON_INTEGER_FORMAT " received, %.4g%% lost\n",
            address, sent, received, sent ? 100.0 * (double)(sent - received) / (double)sent : 0.0);
    if (received)
        fprintf(out, "rtt min/avg/max = %.3f/%.3f/%.3f ms\n", ms_of(status, "min_us"),
                ms_of(status, "avg_us"), ms_of(status, "max_us"));
}

/* Follows the ping to its end; the last status is the caller's, with all outcomes when they are wanted as
 * JSON. */
static int follow(struct invocation *in, json_int_t ping, json_t **status)
{
    json_t *all = json_array(), *o;
    json_int_t from = 0;
    int code;
    size_t i;
    do {
        json_decref(*status);
        *status = NULL;
        json_t *request = json_pack("{s:i,s:s,s:s,s:I,s:I}", "id", 1, "op", "ping", "what", "next", "ping",
                                    ping, "from", from);
        code = api_request(in->socket, request, status);
        if (code != EXIT_DONE)
            break;
        from = number_of(*status, "next");
        json_array_foreach(json_object_get(*status, "outcomes"), i, o)
        {
            if (in->json)
                json_array_append(all, o);
            else
                print_outcome(in->out, in->argv[0], o);
        }
    } while (!json_is_true(json_object_get(*status, "done")) && !interrupt_of_stream());
    json_object_set_new(*status, "outcomes", all);
    return code;
}

int run_ping(struct invocation *in)
{
    json_t *j, *status = NULL, *request = request_for(in);
    json_object_set_new(request, "address", json_string(in->argv[0]));
    if (!put_option(request, "count", "--count", in->count) ||
        !put_option(request, "size", "--size", in->size) ||
        !put_option(request, "interval_ms", "--interval", in->interval)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    int code = api_request(in->socket, request, &j);
    if (code != EXIT_DONE)
        return code;
    if (!in->json)
        fprintf(in->out, "ping %s from %s\n", in->argv[0], text_of(j, "from"));
    interrupt_noted(); /* ends it with a summary */
    code = follow(in, number_of(j, "ping"), &status);
    interrupt_stream_ends();
    if (code == EXIT_DONE && number_of(status, "received") == 0)
        code = EXIT_FAILED;
    if (in->json && status) {
        json_object_set_new(status, "address", json_string(in->argv[0]));
        json_object_set(status, "from", json_object_get(j, "from"));
        json_object_del(status, "next");
        json_dumpf(status, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else if (status) {
        print_summary(in->out, in->argv[0], status);
    }
    json_decref(status);
    json_decref(j);
    return code;
}
