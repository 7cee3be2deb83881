/* metrics.c: Prometheus text, JSON, health. https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "control/metrics.h"
#include "control/alarms.h"
#include "control/certificates.h"
#include "control/snapshot.h"
#include "control/https.h"
#include "control/remote_log.h"
#include "control/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t wall_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- text --------------------------------------------------------------------------------------------- */

void metrics_head(struct text *out, const char *name, const char *type, const char *help)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The shortest of two forms that reads back as v. */
static void number(struct text *out, double v)
{
    char shorter[40];
    snprintf(shorter, sizeof shorter, "%.15g", v);
    text_printf(out, strtod(shorter, NULL) == v ? " %.15g\n" : " %.17g\n", v);
}

/* Label values: backslash, quote and line end are escaped. */
void metrics_label(struct text *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            text_add(out, "\\");
        text_add_n(out, *value == '\n' ? " " : value, 1);
    }
}

/* redis_exporter's names and where their values stand: a counter (sum over workers), else a gauge, of the
 * first name that exists. */
static const struct {
    const char *name, *type, *help, *source[2];
} redis_values[] = {
    {"redis_connected_clients", "gauge", "Client connections now", {"connected_clients"}},
    {"redis_blocked_clients", "gauge", "Clients waiting in a blocking command", {"blocked_clients"}},
    {"redis_memory_used_bytes",
     "gauge",
     "Memory used by keys and values",
     {"memory_used_bytes", "used_memory"}},
    {"redis_memory_used_rss_bytes",
     "gauge",
     "Memory of the dataplane process",
     {"memory_rss_bytes", "used_memory_rss"}},
    {"redis_memory_used_peak_bytes",
     "gauge",
     "Highest memory used by keys and values",
     {"memory_peak_bytes", "used_memory_peak"}},
    {"redis_memory_max_bytes",
     "gauge",
     "The most that keys and values may use",
     {"memory_max_bytes", "maxmemory"}},
    {"redis_commands_processed_total", "counter", "Commands executed", {"commands_processed"}},
    {"redis_connections_received_total", "counter", "Client connections accepted", {"connections_received"}},
    {"redis_rejected_connections_total",
     "counter",
     "Client connections refused because of maxclients",
     {"connections_rejected"}},
    {"redis_keyspace_hits_total", "counter", "Reads that found their key", {"keyspace_hits"}},
    {"redis_keyspace_misses_total", "counter", "Reads that found no key", {"keyspace_misses"}},
    {"redis_evicted_keys_total", "counter", "Keys removed to stay below maxmemory", {"evicted_keys"}},
    {"redis_expired_keys_total", "counter", "Keys removed because their time had come", {"expired_keys"}},
    {"redis_net_input_bytes_total", "counter", "Bytes received", {"net_input_bytes", "rx_bytes"}},
    {"redis_net_output_bytes_total", "counter", "Bytes sent", {"net_output_bytes", "tx_bytes"}},
};
enum { REDIS_VALUES = sizeof redis_values / sizeof redis_values[0] };

static bool lookup(const struct control *c, const struct block *b, const char *const source[2], double *value)
{
    uint64_t sum;
    for (unsigned i = 0; i < 2 && source[i]; i++) {
        if (block_sum(b, source[i], &sum)) {
            *value = (double)sum;
            return true;
        }
        if (block_gauge(b, source[i], value))
            return true;
    }
    if (!source[1] || strcmp(source[1], "maxmemory") != 0)
        return false;
    *value = strtod(settings_get(commit_running(c->commit), "maxmemory"), NULL);
    return true;
}

/* "db0_keys" -> "db0"; false if the gauge is not of that form. */
static bool database(const char *name, const char *suffix, char *db, size_t size)
{
    size_t digits = strncmp(name, "db", 2) == 0 ? strspn(name + 2, "0123456789") : 0;
    if (digits == 0 || strcmp(name + 2 + digits, suffix) != 0)
        return false;
    snprintf(db, size, "%.*s", (int)(2 + digits), name);
    return true;
}

static void database_values(struct text *out, const struct block *b, const char *suffix, const char *name,
                            const char *help)
{
    char gauge[CHANNEL_NAME], db[CHANNEL_NAME];
    bool first = true;
    for (unsigned i = 0; i < block_gauges(b); i++) {
        double v = block_gauge_at(b, i, gauge);
        if (!database(gauge, suffix, db, sizeof db))
            continue;
        if (first)
            metrics_head(out, name, "gauge", help);
        first = false;
        text_printf(out, "%s{db=\"%s\"}", name, db);
        number(out, v);
    }
}

static double calls(const struct channel_command_totals *t)
{
    return (double)t->calls;
}
static double seconds(const struct channel_command_totals *t)
{
    return (double)t->usec / 1e6;
}
static double rejected(const struct channel_command_totals *t)
{
    return (double)t->rejected;
}
static double failed(const struct channel_command_totals *t)
{
    return (double)t->failed;
}

static void command_values(struct text *out, const struct block *b)
{
    static const struct {
        const char *name, *help;
        double (*value)(const struct channel_command_totals *t);
    } values[] = {
        {"redis_commands_total", "Calls of each command", calls},
        {"redis_commands_duration_seconds_total", "Time spent in each command", seconds},
        {"redis_commands_rejected_calls_total", "Calls refused before execution", rejected},
        {"redis_commands_failed_calls_total", "Calls that ended in an error", failed},
    };
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        metrics_head(out, values[v].name, "counter", values[v].help);
        for (unsigned i = 0; i < b->head.commands; i++) {
            char name[CHANNEL_NAME];
            struct channel_command_totals t = block_command(b, i);
            block_command_name(b, i, name);
            if (!*name || (t.calls == 0 && t.rejected == 0 && t.failed == 0))
                continue;
            text_printf(out, "%s{cmd=\"", values[v].name);
            metrics_label(out, name);
            text_add(out, "\"}");
            number(out, values[v].value(&t));
        }
    }
}

static void worker_counters(struct text *out, const struct block *b)
{
    char name[CHANNEL_NAME], help[CHANNEL_HELP], full[CHANNEL_NAME + 16];
    for (unsigned i = 0; i < b->head.counters; i++) {
        block_counter_name(b, i, name, help);
        snprintf(full, sizeof full, "sluice_%s_total", name);
        metrics_head(out, full, "counter", help);
        for (unsigned w = 0; w < b->head.workers; w++) {
            text_printf(out, "%s{worker=\"%u\"}", full, w);
            number(out, (double)block_counter(b, w, i));
        }
    }
}

/* Gauges that no redis_ name stands for. A character that a metric name may not hold becomes '_'. */
static void other_gauges(struct text *out, const struct block *b)
{
    char name[CHANNEL_NAME], db[CHANNEL_NAME], full[CHANNEL_NAME + 16];
    for (unsigned i = 0; i < block_gauges(b); i++) {
        double v = block_gauge_at(b, i, name);
        bool known = database(name, "_keys", db, sizeof db) || database(name, "_expires", db, sizeof db) ||
                     database(name, "_avg_ttl_ms", db, sizeof db) ||
                     strcmp(name, "start_time_seconds") == 0 || strcmp(name, "maxclients") == 0;
        for (unsigned r = 0; r < 2 * REDIS_VALUES; r++)
            known = known || (redis_values[r / 2].source[r % 2] &&
                              strcmp(redis_values[r / 2].source[r % 2], name) == 0);
        if (known)
            continue;
        snprintf(full, sizeof full, "sluice_%s", name);
        for (char *p = full; *p; p++)
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p))
                *p = '_';
        metrics_head(out, full, "gauge", "A figure that the dataplane reports");
        text_add(out, full);
        number(out, v);
    }
}

static void one(struct text *out, const char *name, const char *type, const char *help, double v)
{
    metrics_head(out, name, type, help);
    text_add(out, name);
    number(out, v);
}

static void instance_info(struct text *out, const struct control *c)
{
    const struct supervise_status *s = supervise_status(c->supervisor);
    metrics_head(out, "redis_instance_info", "gauge", "What runs here");
    text_printf(out,
                "redis_instance_info{role=\"master\",redis_version=\"7.2.4\",redis_mode=\"standalone\","
                "process_id=\"%ld\","
                "tcp_port=\"%s\",maxmemory_policy=\"%s\",sluice_version=\"",
                s->pid, settings_get(commit_running(c->commit), "port"),
                settings_get(commit_running(c->commit), "maxmemory-policy"));
    metrics_label(out, s->build);
    text_add(out, "\"} 1\n");
}

void metrics_text(struct text *out, const struct control *c, const struct block *b, const struct heartbeat *h,
                  uint64_t now_ms)
{
    const struct supervise_status *s = supervise_status(c->supervisor);
    const struct settings *conf = commit_running(c->commit);
    double v;
    bool up = b && strcmp(s->state, "serving") == 0;
    one(out, "redis_up", "gauge", "1 when the dataplane serves", up);
    one(out, "sluice_dataplane_restarts_total", "counter", "Times control started the dataplane again",
        s->restarts);
    one(out, "sluice_config_generation", "gauge", "Running generation of configuration",
        (double)commit_generation(c->commit));
    one(out, "redis_config_maxclients", "gauge", "The maxclients directive",
        (double)settings_number(conf, "maxclients"));
    certificates_metrics(out, c->certificates);
    snapshot_metrics(out, c->snapshot);
    tokens_metrics(out, c->tokens);
    https_metrics(out, c->https);
    remote_log_metrics(out, c->remote_log);
    if (c->alarms)
        alarms_metrics(out, c->alarms);
    if (!b)
        return;
    v = block_gauge(b, "start_time_seconds", &v) ? v : (double)s->attached_ms / 1000;
    one(out, "redis_start_time_seconds", "gauge", "When the dataplane started, in Unix time", v);
    one(out, "redis_uptime_in_seconds", "gauge", "Seconds since the dataplane started",
        (double)(wall_clock_ms() / 1000) - (double)(uint64_t)v);
    instance_info(out, c);
    for (unsigned i = 0; i < REDIS_VALUES; i++)
        if (lookup(c, b, redis_values[i].source, &v))
            one(out, redis_values[i].name, redis_values[i].type, redis_values[i].help, v);
    database_values(out, b, "_keys", "redis_db_keys", "Keys of each database");
    database_values(out, b, "_expires", "redis_db_keys_expiring",
                    "Keys of each database that have an expiry");
    database_values(out, b, "_avg_ttl_ms", "sluice_db_avg_ttl_milliseconds",
                    "Average time to live of each database");
    command_values(out, b);
    metrics_head(out, "sluice_worker_stalled", "gauge", "1 when the worker's loop has stopped moving");
    for (unsigned w = 0; w < b->head.workers; w++)
        text_printf(out, "sluice_worker_stalled{worker=\"%u\"} %d\n", w, heartbeat_late(h, w, now_ms) != 0);
    worker_counters(out, b);
    latency_text(out, b);
    other_gauges(out, b);
}

/* -- JSON --------------------------------------------------------------------------------------------- */

json_t *metrics_json(const struct control *c, const struct block *b)
{
    json_t *totals = json_object(), *workers = json_array(), *commands = json_object(),
           *gauges = json_object();
    char name[CHANNEL_NAME];
    for (unsigned w = 0; b && w < b->head.workers; w++) {
        json_t *worker = json_object();
        for (unsigned i = 0; i < b->head.counters; i++) {
            block_counter_name(b, i, name, NULL);
            json_int_t v = (json_int_t)block_counter(b, w, i),
                       sum = json_integer_value(json_object_get(totals, name));
            json_object_set_new(worker, name, json_integer(v));
            json_object_set_new(totals, name, json_integer(sum + v));
        }
        json_array_append_new(workers, worker);
    }
    for (unsigned i = 0; b && i < b->head.commands; i++) {
        struct channel_command_totals t = block_command(b, i);
        block_command_name(b, i, name);
        if (t.calls || t.rejected || t.failed)
            json_object_set_new(commands, name,
                                json_pack("{s:I,s:I,s:I,s:I}", "calls", (json_int_t)t.calls, "usec",
                                          (json_int_t)t.usec, "rejected", (json_int_t)t.rejected, "failed",
                                          (json_int_t)t.failed));
    }
    for (unsigned i = 0; b && i < block_gauges(b); i++) {
        double v = block_gauge_at(b, i, name);
        json_object_set_new(gauges, name, json_real(v));
    }
    return json_pack("{s:b,s:I,s:o,s:o,s:o,s:o,s:o}", "up",
                     b && strcmp(supervise_status(c->supervisor)->state, "serving") == 0, "generation",
                     (json_int_t)commit_generation(c->commit), "counters", totals, "gauges", gauges,
                     "commands", commands, "latency", latency_json(b), "workers", workers);
}
