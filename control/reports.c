/* reports.c: what reaches sluice-control while it runs: the dataplane's messages, changes of the configuration, the clock.
 * See program.h. */
#include "control/alarms.h"
#include "control/aof.h"
#include "control/audit.h"
#include "control/candidate.h"
#include "control/capture.h"
#include "control/certificates.h"
#include "control/load.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/name_servers.h"
#include "control/program.h"
#include "control/remote_log.h"
#include "control/restart.h"
#include "control/service.h"
#include "control/snapshot.h"
#include "control/users.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- what the link and the supervisor report ---------------------------------------------------------- */

static void on_hello(void *ctx, long pid, const char *build)
{
    supervise_hello(((struct program *)ctx)->control.supervisor, pid, build);
}

static void on_closed(void *ctx, const char *why)
{
    supervise_closed(((struct program *)ctx)->control.supervisor, why);
}

static void on_snapshot_loaded(void *ctx, const struct load_result *result)
{
    struct control *c = ctx;
    if (!result->why)
        snapshot_loaded(c->snapshot);
}

/* The snapshot, or the log, that the box begins with. */
static void load_snapshot(struct control *c)
{
    const struct settings *s = commit_running(c->commit);
    if (aof_is_wanted(c->aof)) {
        aof_load(c->aof);
        return;
    }
    char *path = must_print("%s/%s", settings_get(s, "dir"), settings_get(s, "dbfilename"));
    load_at_start(c->load, path, on_snapshot_loaded, c);
    free(path);
}

static void on_state(void *ctx, const char *state, const char *detail)
{
    struct control *c = &((struct program *)ctx)->control;
    supervise_state(c->supervisor, state, detail);
    candidate_state(c->candidate, state);
    if (strcmp(state, "loading") == 0 && !load_runs(c->load)) /* whoever brought it has gone in the middle */
        load_snapshot(c);
}

/* "who TAB what TAB detail TAB result" of a client's command; without tabs: how many lines found no room. */
static void note_command(struct control *c, const char *line)
{
    const char *part[4];
    char *copy = must_copy(line), *rest = copy;
    unsigned n = 0;
    while (n < 4 && rest)
        part[n++] = strsep(&rest, "\t");
    if (n == 4) {
        audit_note(c->audit, part[0], "data port", part[1], json_sprintf("%s", part[2]), part[3]);
        if (strcmp(part[1], "acl|setuser") == 0 || strcmp(part[1], "acl|deluser") == 0)
            users_follow(c, part[1][4] == 's' ? "ACL SETUSER" : "ACL DELUSER", part[0]);
    } else {
        audit_note(c->audit, "clients", "data port", "commands", NULL, part[0]);
        users_follow(c, "ACL SETUSER", "clients"); /* it may have been among them */
    }
    free(copy);
}

static void on_log(void *ctx, int level, const char *line)
{
    if (level == CHANNEL_AUDIT) {
        note_command(&((struct program *)ctx)->control, line);
        return;
    }
    log_dataplane(supervise_status(((struct program *)ctx)->control.supervisor)->pid, level, line);
}

static void on_ask(void *ctx, uint64_t id, const char *client, int argc, char **argv)
{
    wire_ask(&((struct program *)ctx)->control, id, client, argc, argv);
}

static void on_config_result(void *ctx, uint64_t generation, bool accepted, const char *why)
{
    commit_result(((struct program *)ctx)->control.commit, generation, accepted, why);
}

static void on_exec_part(void *ctx, uint64_t id, bool last, const char *bytes, size_t len)
{
    exec_part(((struct program *)ctx)->control.execs, id, last, bytes, len);
}

static bool on_capture(void *ctx, enum message_type type, struct message_reader *r)
{
    return capture_message(((struct program *)ctx)->control.capture, type, r);
}

static bool on_load(void *ctx, enum message_type type, struct message_reader *r)
{
    return load_message(((struct program *)ctx)->control.load, type, r);
}

static void on_keep(void *ctx, const int fds[CHANNEL_KEEPS])
{
    supervise_keep(((struct program *)ctx)->control.supervisor, fds);
}

const struct link_ops program_link_ops = {.keep = on_keep,
                                         .hello = on_hello,
                                         .closed = on_closed,
                                         .state = on_state,
                                         .log = on_log,
                                         .ask = on_ask,
                                         .config_result = on_config_result,
                                         .exec_part = on_exec_part,
                                         .capture = on_capture,
                                         .load = on_load};

static void on_attached(void *ctx, bool fresh)
{
    struct control *c = &((struct program *)ctx)->control;
    link_fact(c->link, "config_file", c->config_path);
    link_fact(c->link, "control_version", SLUICE_VERSION);
    load_snapshot(c); /* before the configuration, with which it begins to serve; one that serves wants none */
    commit_attached(c->commit, fresh);
    if (!fresh) /* clients may have changed its users while nobody listened; they stay, as its keys do */
        users_follow(c, "ACL LIST", "the dataplane that serves");
    snapshot_attached(c->snapshot, fresh);
    aof_attached(c->aof);
}

static void on_detached(void *ctx)
{
    struct control *c = &((struct program *)ctx)->control;
    execs_detached(c->execs);
    capture_detached(c->capture);
    snapshot_detached(c->snapshot);
    aof_detached(c->aof); /* before it hears that its load has ended: it asks whether the dataplane had begun to serve */
    load_detached(c->load);
    commit_detached(c->commit);
}

static void on_stopped(void *ctx)
{
    struct program *p = ctx;
    if (p->control.leaving)
        event_base_loopbreak(p->control.base);
}

static void on_gave_up(void *ctx, const char *program, const char *why)
{
    struct control *c = &((struct program *)ctx)->control;
    char *build = program_release(program, "BUILD_ID");
    audit_note(c->audit, "sluice-control", "itself", "dataplane-update", json_pack("{s:s}", "build", build ? build : "unknown"), why);
    free(build);
}

static bool on_reshapes(void *ctx)
{
    char why[128];
    return restart_reshapes(&((struct program *)ctx)->control, why, sizeof why);
}

const struct supervise_ops program_supervise_ops = {on_attached, on_detached, on_stopped, on_gave_up, on_reshapes};

/* -- the audit log ------------------------------------------------------------------------------------ */

void program_told(void *ctx, const char *who, const char *way, const struct settings *before,
                    const struct settings *after, const char *error)
{
    struct control *c = ctx;
    bool wire = strncmp(who, "user ", 5) == 0;
    audit_note(c->audit, who,
               wire                         ? "data port"
               : strcmp(who, "SIGHUP") == 0 ? "signal"
                                            : "management socket",
               "configuration", after ? audit_changes(before, after) : NULL, error ? error : "ok");
    if (!after)
        return;
    candidate_changed(c->candidate, way, who, before, after);
    if (!settings_same(before, after, directive_find("requirepass")) && after->value[directive_find("user")].n)
        users_follow(c, way, who); /* of the default user, who may be among them */
}

/* Logins that were refused since it was last told: ACL LOG has their addresses and users. Once a minute at
 * most, so that nobody drives the rest out of the log with them. */
static void note_refused_logins(struct program *p)
{
    enum { APART_MS = 60000 };
    struct block b;
    uint64_t n, now = monotonic_ms();
    if (!block_read(p->control.link, &b) || !block_sum(&b, "auth_failures", &n))
        return;
    if (n < p->refused) /* another dataplane, or CONFIG RESETSTAT */
        p->refused = 0;
    if (n == p->refused || (p->refused_ms && now - p->refused_ms < APART_MS))
        return;
    audit_note(p->control.audit, "clients (see ACL LOG)", "data port", "logins",
               json_pack("{s:I}", "count", (json_int_t)(n - p->refused)), "refused");
    p->refused = n;
    p->refused_ms = now;
}

void program_tick(struct program *p)
{
    log_tick();
    service_alive();
    alarms_tick(p->control.alarms);
    note_refused_logins(p);
}

/* -- settings -- */

void program_log_settings(const struct settings *s)
{
    const char *file = settings_get(s, "logfile");
    log_set_level(settings_get(s, "loglevel"));
    if (!log_set_file(file))
        log_line(LOG_LEVEL_WARNING, "logfile %s: %s; correct the directive", file, strerror(errno));
}

void program_settings(void *ctx, const struct settings *s)
{
    struct program *p = ctx;
    program_log_settings(s);
    if (p->control.remote_log)
        remote_log_settings(p->control.remote_log, s);
    name_servers_settings(s);
    if (p->control.certificates)
        certificates_refresh(p->control.certificates);
    if (p->control.snapshot)
        snapshot_settings(p->control.snapshot);
    if (p->control.aof)
        aof_settings(p->control.aof);
}
