/* show.c: the operations of the management API, one function each, found by a table. */
#include "control/alarms.h"
#include "control/api.h"
#include "control/candidate.h"
#include "control/certificates.h"
#include "control/snapshot.h"
#include "control/log.h"
#include "control/factory.h"
#include "control/metrics.h"
#include "control/restart.h"
#include "control/show.h"
#include "control/audit.h"
#include "control/token.h"

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

static json_t *texts_json(const struct words *texts)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < texts->n; i++)
        json_array_append_new(list, safe_string(texts->p[i]));
    return list;
}

static json_t *reasons_json(struct words *reasons)
{
    json_t *list = texts_json(reasons);
    words_free(reasons);
    return list;
}

/* -- show status ----------------------------------------------------------------------------- */

json_t *waiting_json(const struct control *c)
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
    json_object_set_new(j, "program", safe_string(s->program));
    return j;
}

static void show_status(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    struct settings *s = commit_effective(c->commit);
    struct words reasons = {0}, warnings = {0};
    struct block b;
    (void)request;
    bool good = alarms_health(c->alarms, &reasons);
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
    alarms_warnings(c->alarms, &warnings);
    json_object_set_new(data, "alarms", reasons_json(&warnings));
    json_object_set_new(data, "endpoints", addresses_json(s));
    json_object_set_new(data, "workers", json_integer(block_read(c->link, &b) ? b.head.workers : 0));
    json_object_set_new(data, "stats",
                        json_sprintf("http://%s:%s/metrics", settings_get(s, "stats-address"),
                                     settings_get(s, "stats-port")));
    settings_free(s);
    call_reply(call, data);
}

json_int_t request_number(const json_t *request, const char *key, json_int_t otherwise)
{
    const json_t *v = json_object_get(request, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
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
                                          "tx_full_waits", "tx_full_drops"};
    struct block b;
    (void)request;
    json_t *link = gauges_json(c, "link_"), *counters = json_object();
    json_object_set_new(link, "name", safe_string(settings_get(s, "link-name")));
    json_object_set_new(link, "type", safe_string(settings_get(s, "link-type")));
    json_object_set_new(link, "addresses", texts_json(&s->value[directive_find("link-address")]));
    if (block_read(c->link, &b))
        for (size_t i = 0; i < sizeof traffic / sizeof traffic[0]; i++) {
            uint64_t sum;
            if (block_sum(&b, traffic[i], &sum))
                json_object_set_new(counters, traffic[i], json_integer((json_int_t)sum));
        }
    json_object_set_new(link, "traffic", counters);
    call_reply(call, json_pack("[o]", link));
}

/* -- roles --------------------------------------------------------------------------------------------- */

/* What each role may, and what the caller is. */
static void show_roles(struct call *call, const json_t *request)
{
    json_t *rows = json_array();
    (void)request;
    for (unsigned i = 0; i < operation_count(); i++) {
        const struct operation_row *o = operation_at(i);
        json_t *who = json_array();
        for (unsigned r = ROLE_ADMIN; r < ROLES; r++)
            if ((o->roles | MAY_ADMIN) & ROLE_SET(r))
                json_array_append_new(who, json_string(role_name((enum role)r)));
        json_array_append_new(rows, json_pack("{s:s,s:s,s:o}", "op", o->op, "what", o->what, "roles", who));
    }
    call_reply(call, json_pack("{s:s,s:s,s:o}", "role", role_name(call_role(call)), "who", call_who(call), "operations",
                               rows));
}

/* -- restart, stop ------------------------------------------------------------------------------------ */

static void restart(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    enum restart_way way = restart_dataplane(c, call_who(call));
    if (way == RESTART_BUSY) {
        call_fail(call, "busy", "a restart or a stop is under way");
        return;
    }
    call_reply(call, json_pack("{s:s, s:b}", "dataplane",
                               supervise_phase_name(supervise_status(c->supervisor)->phase), "snapshot_first", way == RESTART_SAVES));
}

static void stop(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    (void)request;
    call_reply(call, json_pack("{s:b}", "stopping", 1));
    restart_stop(c);
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

static const struct operation_row operations[] = {
    {"show", "status", show_status, .roles = MAY_LOOK, .reads = true},
    {"show", "version", show_version, .roles = MAY_LOOK, .reads = true},
    {"show", "config", show_config, .roles = MAY_LOOK, .reads = true, .takes = "name"},
    {"show", "clients", show_clients, .roles = MAY_LOOK, .reads = true},
    {"show", "stats", show_stats, .roles = MAY_LOOK, .reads = true},
    {"show", "latency", show_latency, .roles = MAY_LOOK, .reads = true},
    {"show", "log", show_log, .roles = MAY_LOOK, .reads = true, .takes = "level #lines #since_ms #until_ms"},
    {"show", "links", show_links, .roles = MAY_LOOK, .reads = true},
    {"show", "connections", show_connections, .roles = MAY_LOOK, .reads = true, .takes = "detail #limit"},
    {"show", "neighbors", show_neighbors, .roles = MAY_LOOK, .reads = true},
    {"show", "arp", show_arp, .roles = MAY_LOOK, .reads = true},
    {"show", "routes", show_routes, .roles = MAY_LOOK, .reads = true},
    {"show", "addresses", show_addresses, .roles = MAY_LOOK, .reads = true},
    {"show", "listeners", show_listeners, .roles = MAY_LOOK, .reads = true},
    {"show", "drops", show_drops, .roles = MAY_LOOK, .reads = true},
    {"show", "filters", show_filters, .roles = MAY_LOOK, .reads = true},
    {"show", "hotkeys", show_hotkeys, .roles = MAY_SEE_KEYS, .reads = true, .takes = "#limit"},
    {"show", "bigkeys", show_bigkeys, .roles = MAY_SEE_KEYS, .reads = true, .takes = "#limit"},
    {"show", "topology", show_topology, .roles = MAY_LOOK, .reads = true},
    {"show", "plan", show_plan, .roles = MAY_LOOK, .reads = true},
    {"show", "health", show_health, .roles = MAY_LOOK, .reads = true},
    {"show", "alarms", show_alarms, .roles = MAY_LOOK, .reads = true},
    {"show", "configuration", show_configuration, .roles = MAY_LOOK, .reads = true, .takes = "name #revision #compare"},
    {"show", "history", show_history, .roles = MAY_LOOK, .reads = true},
    {"config", "schema", config_schema, .roles = MAY_LOOK, .reads = true},
    {"config", "import", configure_import, .roles = MAY_LOOK, .takes = "text [words"},
    {"configure", "enter", configure_enter, .roles = MAY_CHANGE},
    {"configure", "leave", configure_leave, .roles = MAY_CHANGE},
    {"configure", "set", configure_set, .roles = MAY_CHANGE, .takes = "name [words"},
    {"configure", "delete", configure_delete, .roles = MAY_CHANGE, .takes = "name [words"},
    {"configure", "insert", configure_insert, .roles = MAY_CHANGE, .takes = "name #position [words"},
    {"configure", "show", configure_show, .roles = MAY_CHANGE, .takes = "name #compare"},
    {"configure", "check", configure_check, .roles = MAY_CHANGE},
    {"configure", "commit", configure_commit, .roles = MAY_CHANGE, .takes = "comment #confirmed"},
    {"configure", "rollback", configure_rollback, .roles = MAY_CHANGE, .takes = "#revision"},
    {"configure", "discard", configure_discard, .roles = MAY_CHANGE},
    {"configure", "load", configure_load, .roles = MAY_CHANGE, .takes = "name text ?merge"},
    {"configure", "import", configure_import, .roles = MAY_CHANGE, .takes = "text [words ?apply"},
    {"show", "inventory", show_inventory, .roles = MAY_LOOK, .reads = true},
    {"factory-reset", "", factory_reset, "factory-reset", MAY_ADMIN, .takes = "confirm ?keep_network"},
    {"system", "leave", system_leave, "leave", MAY_OPERATE, .takes = "name"},
    {"show", "roles", show_roles, .roles = MAY_LOOK, .reads = true},
    {"ping", "start", ping_start, .roles = MAY_HELP, .takes = "address #count #size #interval_ms"},
    {"ping", "next", ping_next, .roles = MAY_HELP, .takes = "#ping #from"},
    {"config", "get", config_get, .roles = MAY_LOOK, .reads = true, .takes = "name"},
    {"config", "set", config_set, .roles = MAY_CHANGE, .takes = "{set"},
    {"config", "load", config_load, .roles = MAY_CHANGE},
    {"config", "rewrite", config_rewrite, "config rewrite", MAY_CHANGE},
    {"certificate", "list", certificate_list, .roles = MAY_LOOK, .reads = true},
    {"certificate", "show", certificate_show, .roles = MAY_LOOK, .reads = true, .takes = "name"},
    {"certificate", "check", certificate_verdict, .roles = MAY_SECURE,
     .takes = "name certificate key passphrase ca"},
    {"certificate", "install", certificate_install, "certificate install", MAY_SECURE,
     .takes = "name certificate key passphrase ca"},
    {"certificate", "rotate", certificate_rotate, "certificate rotate", MAY_SECURE,
     .takes = "name certificate key passphrase ca"},
    {"certificate", "self-signed", certificate_make, "certificate self-signed", MAY_SECURE,
     .takes = "name common_name key_type #days [san"},
    {"certificate", "csr", certificate_csr, "certificate csr", MAY_SECURE,
     .takes = "name common_name key_type [san"},
    {"certificate", "delete", certificate_delete, "certificate delete", MAY_SECURE, .takes = "name"},
    {"certificate", "export", certificate_export, .roles = MAY_LOOK, .reads = true, .takes = "name ?authority"},
    {"restart", "dataplane", restart, "restart dataplane", MAY_OPERATE},
    {"stop", "", stop, "stop", MAY_OPERATE},
    {"capture", "", capture_operation, "capture", MAY_OPERATE,
     .takes = "filter #count #snaplen #duration direction"},
    {"token", "create", token_create, "token create", MAY_ADMIN, .takes = "name role #days"},
    {"token", "list", token_list, .roles = MAY_SECURE, .reads = true},
    {"token", "revoke", token_revoke, "token revoke", MAY_SECURE, .takes = "id"},
    {"audit", "show", audit_show, .roles = MAY_SECURE, .reads = true, .takes = "#lines"},
    {"audit", "verify", audit_verify_all, .roles = MAY_SECURE, .reads = true},
    {"snapshot", "list", snapshot_list, .roles = MAY_LOOK, .reads = true},
    {"snapshot", "create", snapshot_create, "snapshot create", MAY_OPERATE},
    {"snapshot", "status", snapshot_progress, .roles = MAY_LOOK, .reads = true},
    {"snapshot", "delete", snapshot_delete, "snapshot delete", MAY_OPERATE, .takes = "name"},
    {"snapshot", "import", snapshot_import, "snapshot import", MAY_OPERATE, .takes = "file mode"},
    {"snapshot", "abandon", snapshot_abandon, "snapshot abandon", MAY_OPERATE},
};

unsigned operation_count(void)
{
    return sizeof operations / sizeof operations[0];
}

const struct operation_row *operation_at(unsigned i)
{
    return &operations[i];
}

const struct operation_row *operation_find(const char *op, const char *what)
{
    for (unsigned i = 0; i < operation_count(); i++)
        if (strcmp(operations[i].op, op) == 0 && strcmp(operations[i].what, what) == 0)
            return &operations[i];
    return NULL;
}

void operation_run(struct call *call, json_t *request)
{
    const char *op = request_word(request, "op"), *what = request_word(request, "what");
    const struct operation_row *row = operation_find(op, what);
    if (!row) {
        call_fail(call, "unknown-operation", "unknown operation '%.40s %.40s'", op, what);
    } else if (!((row->roles | MAY_ADMIN) & ROLE_SET(call_role(call)))) {
        char *name = must_print("%s%s%s", op, *what ? " " : "", what);
        call_forbid(call, name);
        free(name);
    } else {
        call_audit(call, row->audited, request);
        row->run(call, request);
    }
}
