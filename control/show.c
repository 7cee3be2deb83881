/* show.c: the operations of the management API, one function each, found by a table. */
#include "control/api.h"
#include "control/certificates.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/resp.h"
#include "control/show.h"
#include "control/audit.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *request_word(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));
    return s ? s : "";
}

json_t *safe_string(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("(not UTF-8)");
}

static json_t *reasons_json(struct words *reasons)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < reasons->n; i++)
        json_array_append_new(list, safe_string(reasons->p[i]));
    words_free(reasons);
    return list;
}

/* -- show status, version ----------------------------------------------------------------------------- */

static json_t *waiting_json(const struct control *c)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < directive_count(); i++)
        if (commit_waits(c->commit, (int)i))
            json_array_append_new(list, json_string(directives[i].name));
    return list;
}

static json_t *addresses_json(const struct settings *s)
{
    json_t *list = json_array();
    int d = directive_find("link-address");
    for (unsigned i = 0; i < s->value[d].n; i++) {
        const char *a = s->value[d].p[i];
        if (settings_number(s, "port"))
            json_array_append_new(list,
                                  json_sprintf("%.*s:%s", (int)strcspn(a, "/"), a, settings_get(s, "port")));
        if (settings_number(s, "tls-port"))
            json_array_append_new(list, json_sprintf("%.*s:%s (TLS)", (int)strcspn(a, "/"), a,
                                                     settings_get(s, "tls-port")));
    }
    return list;
}

static json_t *dataplane_json(const struct control *c)
{
    const struct supervise_status *s = supervise_status(c->supervisor);
    json_t *j =
        json_pack("{s:s,s:I,s:s,s:I,s:I}", "phase", supervise_phase_name(s->phase), "pid", (json_int_t)s->pid,
                  "version", s->build, "restarts", (json_int_t)s->restarts, "attached_seconds",
                  s->attached_ms ? (json_int_t)((wall_clock_ms() - s->attached_ms) / 1000) : 0);
    json_object_set_new(j, "state", safe_string(s->state));
    json_object_set_new(j, "detail", safe_string(s->detail));
    json_object_set_new(j, "reason", safe_string(s->reason));
    return j;
}

static void show_status(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    const struct settings *s = commit_running(c->commit);
    struct words reasons = {0};
    struct block b;
    (void)request;
    bool good = metrics_health(&reasons, c, &c->heartbeat, monotonic_ms());
    json_t *data = json_object(), *health = json_object(), *conf = json_object();
    json_object_set_new(health, "ok", json_boolean(good));
    json_object_set_new(health, "reasons", reasons_json(&reasons));
    json_object_set_new(conf, "file", safe_string(c->config_path));
    json_object_set_new(conf, "generation", json_integer((json_int_t)commit_generation(c->commit)));
    json_object_set_new(conf, "refusal", safe_string(commit_refusal(c->commit)));
    json_object_set_new(conf, "waits_for_restart", waiting_json(c));
    json_object_set_new(data, "health", health);
    json_object_set_new(data, "dataplane", dataplane_json(c));
    json_object_set_new(data, "control",
                        json_pack("{s:I,s:s,s:I}", "pid", (json_int_t)getpid(), "version", SLUICE_VERSION,
                                  "uptime_seconds", (json_int_t)((wall_clock_ms() - c->started_ms) / 1000)));
    json_object_set_new(data, "configuration", conf);
    json_object_set_new(data, "alarms", certificates_alarms(c->certificates));
    json_object_set_new(data, "endpoints", addresses_json(s));
    json_object_set_new(data, "workers", json_integer(block_read(c->link, &b) ? b.head.workers : 0));
    json_object_set_new(data, "stats",
                        json_sprintf("http://%s:%s/metrics", settings_get(s, "stats-address"),
                                     settings_get(s, "stats-port")));
    call_reply(call, data);
}

static void show_version(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    call_reply(call, json_pack("{s:s,s:s,s:s}", "control", SLUICE_VERSION, "dataplane",
                               supervise_status(c->supervisor)->build, "redis", "7.2"));
}

json_int_t request_number(const json_t *request, const char *key, json_int_t otherwise)
{
    const json_t *v = json_object_get(request, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

/* -- show config, config get -------------------------------------------------------------------------- */

struct collect {
    const char *pattern;
    bool secrets;
    json_t *into;
};

static void collect_pair(const char *name, const char *value, void *arg)
{
    struct collect *k = arg;
    int i = directive_find(name);
    if (fnmatch(k->pattern, name, FNM_CASEFOLD) != 0)
        return;
    json_t *v = directives[i].flags & DIRECTIVE_SECRET && !k->secrets && *value ? json_string("(hidden)")
                                                                                : safe_string(value);
    if (!(directives[i].flags & DIRECTIVE_REPEATED)) {
        json_object_set_new(k->into, name, v);
        return;
    }
    json_t *list = json_object_get(k->into, name);
    if (!list) {
        json_object_set_new(k->into, name, json_array());
        list = json_object_get(k->into, name);
    }
    json_array_append_new(list, v);
}

static void get_config(struct call *call, const char *pattern, bool secrets)
{
    struct control *c = call_control(call);
    struct collect k = {*pattern ? pattern : "*", secrets, json_object()};
    settings_each(commit_running(c->commit), collect_pair, &k);
    if (json_object_size(k.into) == 0 && directive_find(k.pattern) < 0 && !strpbrk(k.pattern, "*?[")) {
        const char *near = directive_nearest(k.pattern);
        json_decref(k.into);
        call_fail(call, "unknown-name", "%.100s: unknown directive%s%s", k.pattern,
                  near ? "; did you mean " : "", near ? near : "");
        return;
    }
    call_reply(call, k.into);
}

static void show_config(struct call *call, const json_t *request)
{
    get_config(call, request_word(request, "name"), false);
}

static void config_get(struct call *call, const json_t *request)
{
    get_config(call, request_word(request, "name"), true);
}

/* -- show clients ------------------------------------------------------------------------------------- */

/* One line of CLIENT LIST: "id=3 addr=... name= ...". */
static json_t *client_json(const char *line, size_t len)
{
    json_t *j = json_object();
    const char *end = line + len;
    while (line < end) {
        const char *stop = memchr(line, ' ', (size_t)(end - line));
        stop = stop ? stop : end;
        const char *eq = memchr(line, '=', (size_t)(stop - line));
        if (eq) {
            char *key = must_copy_n(line, (size_t)(eq - line)),
                 *value = must_copy_n(eq + 1, (size_t)(stop - eq - 1));
            json_object_set_new(j, key, safe_string(value));
            free(key);
            free(value);
        }
        line = stop + 1;
    }
    return j;
}

static void clients_done(void *ctx, const char *resp, size_t len, const char *error)
{
    const char *text;
    size_t n;
    enum resp_kind kind = error ? RESP_NONE : resp_read(resp, len, &text, &n);
    if (error || kind == RESP_NONE || kind == RESP_ERROR) {
        if (kind == RESP_ERROR)
            call_fail(ctx, "dataplane", "%.*s", (int)n, text);
        else
            call_fail(ctx, "no-dataplane", "%s", error ? error : "the dataplane's answer cannot be read");
        return;
    }
    json_t *list = json_array();
    while (n) {
        const char *stop = memchr(text, '\n', n);
        size_t line = stop ? (size_t)(stop - text) : n;
        if (line && text[line - 1] == '\r')
            line--;
        if (line)
            json_array_append_new(list, client_json(text, line));
        size_t used = stop ? (size_t)(stop - text) + 1 : n;
        text += used;
        n -= used;
    }
    call_reply(ctx, list);
}

static void show_clients(struct call *call, const json_t *request)
{
    static const char *const argv[] = {"CLIENT", "LIST"};
    (void)request;
    exec_run(call_control(call)->execs, 2, argv, clients_done, call);
}

/* -- show stats, links -------------------------------------------------------------------------------- */

static void show_stats(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    struct block b;
    (void)request;
    call_reply(call, metrics_json(c, block_read(c->link, &b) ? &b : NULL));
}

static void show_latency(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    struct block b;
    (void)request;
    call_reply(call, latency_json(block_read(c->link, &b) ? &b : NULL));
}

/* Gauges whose names begin with one of the prefixes. */
static json_t *gauges_json(const struct control *c, const char *prefix)
{
    struct block b;
    char name[CHANNEL_NAME];
    json_t *j = json_object();
    if (!block_read(c->link, &b))
        return j;
    for (unsigned i = 0; i < block_gauges(&b); i++) {
        double v = block_gauge_at(&b, i, name);
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            json_object_set_new(j, name + strlen(prefix), json_real(v));
    }
    return j;
}

static void show_links(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    const struct settings *s = commit_running(c->commit);
    static const char *const traffic[] = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes",
                                          "tx_full_drops"};
    struct block b;
    (void)request;
    json_t *link = gauges_json(c, "link_"), *counters = json_object();
    json_object_set_new(link, "name", safe_string(settings_get(s, "link-name")));
    json_object_set_new(link, "type", safe_string(settings_get(s, "link-type")));
    struct collect k = {"link-address", true, json_object()};
    settings_each(s, collect_pair, &k);
    json_object_set(link, "addresses", json_object_get(k.into, "link-address"));
    json_decref(k.into);
    if (block_read(c->link, &b))
        for (size_t i = 0; i < sizeof traffic / sizeof traffic[0]; i++) {
            uint64_t sum;
            if (block_sum(&b, traffic[i], &sum))
                json_object_set_new(counters, traffic[i], json_integer((json_int_t)sum));
        }
    json_object_set_new(link, "traffic", counters);
    call_reply(call, json_pack("[o]", link));
}

/* -- show log ----------------------------------------------------------------------------------------- */

static void add_entry(const struct log_entry *e, void *arg)
{
    json_t *j =
        json_pack("{s:I,s:I,s:s,s:s}", "time_ms", (json_int_t)e->ms, "pid", (json_int_t)e->pid, "process",
                  e->role == 'D' ? "dataplane" : "control", "level", log_level_name(e->level));
    json_object_set_new(j, "line", safe_string(e->line));
    json_array_append_new(arg, j);
}

static void show_log(struct call *call, const json_t *request)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    json_int_t lines = json_integer_value(json_object_get(request, "lines"));
    if (*request_word(request, "level") && !log_level_parse(request_word(request, "level"), &level)) {
        call_fail(call, "bad-value", "level: choose debug, verbose, notice or warning");
        return;
    }
    json_t *list = json_array();
    log_recent(level, lines > 0 && lines < LOG_RING ? (unsigned)lines : LOG_RING, add_entry, list);
    call_reply(call, list);
}

/* -- config set, load, rewrite ------------------------------------------------------------------------ */

static void change_done(void *ctx, const char *error)
{
    struct call *call = ctx;
    if (error) {
        call_fail(call, "refused", "%s", strncmp(error, "ERR ", 4) == 0 ? error + 4 : error);
        return;
    }
    struct control *c = call_control(call);
    json_t *data = json_object();
    json_object_set_new(data, "generation", json_integer((json_int_t)commit_generation(c->commit)));
    json_object_set_new(data, "waits_for_restart", waiting_json(c));
    call_reply(call, data);
}

static void config_set(struct call *call, const json_t *request)
{
    json_t *pairs = json_object_get(request, "set");
    const char *name;
    json_t *value;
    unsigned n = 0;
    struct change *change = NULL;
    json_object_foreach(pairs, name, value)
    {
        size_t values = json_is_array(value) ? json_array_size(value) : 1;
        change = must_grow(change, n + values + 1, sizeof *change);
        if (values == 0) /* clears the list */
            change[n++] = (struct change){name, ""};
        for (size_t i = 0; i < values; i++) {
            const json_t *v = json_is_array(value) ? json_array_get(value, i) : value;
            if (!json_is_string(v)) {
                free(change);
                call_fail(call, "bad-request", "set: a value must be a string, or an array of strings");
                return;
            }
            change[n++] = (struct change){name, json_string_value(v)};
        }
    }
    if (n)
        commit_set(call_control(call)->commit, change, n, false, call_who(call), change_done, call);
    else
        call_fail(call, "bad-request", "set: an object with names and values is needed");
    free(change);
}

static void config_load(struct call *call, const json_t *request)
{
    (void)request;
    commit_load(call_control(call)->commit, call_who(call), change_done, call);
}

static void config_rewrite(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    char error[512];
    (void)request;
    if (commit_rewrite(c->commit, call_who(call), error, sizeof error))
        call_reply(call, json_pack("{s:s}", "file", c->config_path));
    else
        call_fail(call, "failed", "%s", error);
}

/* -- restart, stop ------------------------------------------------------------------------------------ */

static void restart_dataplane(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    supervise_restart(c->supervisor, call_who(call));
    call_reply(call,
               json_pack("{s:s}", "dataplane", supervise_phase_name(supervise_status(c->supervisor)->phase)));
}

static void stop(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    call_reply(call, json_pack("{s:b}", "stopping", 1));
    c->stop_all(c);
}

/* -- the audit log ------------------------------------------------------------------------------------ */

static void audit_show(struct call *call, const json_t *request)
{
    json_int_t lines = request_number(request, "lines", 50);
    if (lines < 1 || lines > 10000)
        call_fail(call, "bad-request", "lines: a number from 1 to 10000");
    else
        call_reply(call, audit_last(call_control(call)->audit, (unsigned)lines));
}

static void audit_verify_all(struct call *call, const json_t *request)
{
    (void)request;
    call_reply(call, audit_verify(call_control(call)->audit));
}

static const struct {
    const char *op, *what;
    operation *run;
    const char *
        audited; /* its name in the audit log; what changes the configuration tells of itself (commit_tell) */
} operations[] = {
    {"show", "status", show_status},
    {"show", "version", show_version},
    {"show", "config", show_config},
    {"show", "clients", show_clients},
    {"show", "stats", show_stats},
    {"show", "latency", show_latency},
    {"show", "log", show_log},
    {"show", "links", show_links},
    {"show", "connections", show_connections},
    {"show", "neighbors", show_neighbors},
    {"show", "arp", show_arp},
    {"show", "routes", show_routes},
    {"show", "addresses", show_addresses},
    {"show", "drops", show_drops},
    {"show", "filters", show_filters},
    {"show", "hotkeys", show_hotkeys},
    {"show", "bigkeys", show_bigkeys},
    {"show", "topology", show_topology},
    {"show", "plan", show_plan},
    {"ping", "start", ping_start},
    {"ping", "next", ping_next},
    {"config", "get", config_get},
    {"config", "set", config_set},
    {"config", "load", config_load},
    {"config", "rewrite", config_rewrite, "config rewrite"},
    {"certificate", "list", certificate_list},
    {"certificate", "show", certificate_show},
    {"certificate", "check", certificate_verdict},
    {"certificate", "install", certificate_install, "certificate install"},
    {"certificate", "rotate", certificate_rotate, "certificate rotate"},
    {"certificate", "self-signed", certificate_make, "certificate self-signed"},
    {"certificate", "csr", certificate_csr, "certificate csr"},
    {"certificate", "delete", certificate_delete, "certificate delete"},
    {"certificate", "export", certificate_export},
    {"restart", "dataplane", restart_dataplane, "restart dataplane"},
    {"stop", "", stop, "stop"},
    {"capture", "", capture_operation, "capture"},
    {"audit", "show", audit_show},
    {"audit", "verify", audit_verify_all},
    {"snapshot", "list", snapshot_list},
    {"snapshot", "import", snapshot_import, "snapshot import"},
    {"snapshot", "abandon", snapshot_abandon, "snapshot abandon"},
};

void operation_run(struct call *call, json_t *request)
{
    const char *op = request_word(request, "op"), *what = request_word(request, "what");
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(operations[i].op, op) == 0 && strcmp(operations[i].what, what) == 0) {
            call_audit(call, operations[i].audited, request);
            operations[i].run(call, request);
            return;
        }
    call_fail(call, "unknown-operation", "unknown operation '%.40s %.40s'", op, what);
}
