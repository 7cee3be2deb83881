/* main.c: sluice-control: puts the parts together, in order, and takes them down in reverse. */
#include "control/aof.h"
#include "control/alarms.h"
#include "control/audit.h"
#include "control/candidate.h"
#include "control/capture.h"
#include "control/certificates.h"
#include "control/control.h"
#include "control/https.h"
#include "control/factory.h"
#include "control/leftovers.h"
#include "control/load.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/aof_base.h"
#include "control/rdb_report.h"
#include "control/restart.h"
#include "control/remote_log.h"
#include "control/rights.h"
#include "control/secret_memory.h"
#include "control/service.h"
#include "control/show.h"
#include "control/snapshot.h"
#include "control/token.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct arguments {
    const char *file, *dataplane, *instance, *inventory, *running;
    bool check, plan, snapshot, aof;
    int argc; /* what remains: directives */
    char **argv;
};

static const char usage[] =
    "usage: sluice-control [FILE] [--dataplane PROGRAM] [--instance NAME] [--directive value ...]\n"
    "       sluice-control --check FILE      report every error of a configuration file\n"
    "       sluice-control --plan FILE       print how the box would be laid out on this machine, as JSON\n"
    "       sluice-control --snapshot FILE   read an RDB file and print what is in it, as JSON\n"
    "       sluice-control --aof FILE        read an RDB file and write it to stdout as an append-only log\n"
    "       sluice-control --version\n"
    "  --inventory DIR   the machine that a copy of its /sys and /proc in DIR describes (show plan, "
    "--plan)\n"
    "  --running yes     for --plan: the box runs, and the hugepages that are taken are its own\n";

struct program {
    struct control control;
    struct rights rights;
    struct stats *stats;
    struct event *sigterm, *sigint, *sighup, *tick;
    /* Texts that must outlive every generation of settings. */
    char *file, *dataplane, *dataplane_log, *dataplane_socket, *state_dir, *pid_file;
    int lock_fd;
    uint64_t refused, refused_ms; /* logins that the audit log knows of, and when it was told */
};

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
    if (n == 4)
        audit_note(c->audit, part[0], "data port", part[1], json_sprintf("%s", part[2]), part[3]);
    else
        audit_note(c->audit, "clients", "data port", "commands", NULL, part[0]);
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

static const struct link_ops link_ops = {.keep = on_keep,
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

static const struct supervise_ops supervise_ops = {on_attached, on_detached, on_stopped};

/* -- signals, settings -------------------------------------------------------------------------------- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct program *p = arg;
    (void)what;
    if (p->control.leaving) { /* systemd's, behind its `sluice stop` */
        log_line(LOG_LEVEL_NOTICE, "Signal %d: the box is being stopped; control ends when that is over", (int)number);
        return;
    }
    log_line(LOG_LEVEL_NOTICE, "Signal %d: control ends; the dataplane serves on", (int)number);
    event_base_loopbreak(p->control.base);
}

static void loaded(void *ctx, const char *error)
{
    (void)ctx;
    if (error)
        log_line(LOG_LEVEL_WARNING, "%.*s", (int)strcspn(error + 4, "."), error + 4);
}

static void on_hangup(evutil_socket_t number, short what, void *arg)
{
    struct program *p = arg;
    (void)number, (void)what;
    log_reopen();
    commit_load(p->control.commit, "SIGHUP", loaded, NULL);
}

/* -- the audit log ------------------------------------------------------------------------------------ */

static void on_told(void *ctx, const char *who, const char *way, const struct settings *before,
                    const struct settings *after, const char *error)
{
    struct control *c = ctx;
    bool wire = strncmp(who, "user ", 5) == 0;
    audit_note(c->audit, who,
               wire                         ? "data port"
               : strcmp(who, "SIGHUP") == 0 ? "signal"
                                            : "management socket",
               "configuration", after ? audit_changes(before, after) : NULL, error ? error : "ok");
    if (after)
        candidate_changed(c->candidate, way, who, before, after);
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

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    log_tick();
    service_alive();
    alarms_tick(((struct program *)arg)->control.alarms);
    note_refused_logins(arg);
}

static void apply_log_settings(const struct settings *s)
{
    const char *file = settings_get(s, "logfile");
    log_set_level(settings_get(s, "loglevel"));
    if (!log_set_file(file))
        log_line(LOG_LEVEL_WARNING, "logfile %s: %s; correct the directive", file, strerror(errno));
}

static void settings_changed(void *ctx, const struct settings *s)
{
    struct program *p = ctx;
    apply_log_settings(s);
    if (p->control.remote_log)
        remote_log_settings(p->control.remote_log, s);
    if (p->control.certificates)
        certificates_refresh(p->control.certificates);
    if (p->control.snapshot)
        snapshot_settings(p->control.snapshot);
    if (p->control.aof)
        aof_settings(p->control.aof);
}

static void stop_all(struct control *c)
{
    c->leaving = true;
    restart_free(c);
    supervise_stop(c->supervisor, "stopped by the management API");
}

/* -- start -------------------------------------------------------------------------------------------- */

/* Takes our own options out wherever they stand, and a file in front, as redis-server takes one. The rest are
 * directives. */
static bool read_arguments(struct arguments *a, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **into;
    } own[] = {{"--check", &a->file},
               {"--plan", &a->file},
               {"--snapshot", &a->file},
               {"--aof", &a->file},
               {"--dataplane", &a->dataplane},
               {"--instance", &a->instance},
               {"--inventory", &a->inventory},
               {"--running", &a->running}};
    const unsigned known = sizeof own / sizeof *own;
    int kept = 0;
    *a = (struct arguments){.argv = argv + 1, .inventory = ""};
    for (int i = 1; i < argc; i++) {
        unsigned o = 0;
        while (o < known && strcmp(argv[i], own[o].name) != 0)
            o++;
        if (o < known && i + 1 == argc)
            return false;
        a->check = a->check || o == 0;
        a->plan = a->plan || o == 1;
        a->snapshot = a->snapshot || o == 2;
        a->aof = a->aof || o == 3;
        if (o < known)
            *own[o].into = argv[++i];
        else if (i == 1 && argv[i][0] != '-')
            a->file = argv[i];
        else
            a->argv[kept++] = argv[i];
    }
    a->argc = kept;
    return kept == 0 ||
           (strncmp(a->argv[0], "--", 2) == 0 && strcmp(a->argv[0], "--help") != 0 && a->argv[0][2]);
}

static struct settings *read_settings(const struct arguments *a)
{
    struct settings *s = settings_defaults();
    struct report r = {0};
    bool good = !a->file || conf_load(a->file, s, NULL, &r);
    good = conf_overrides(a->argc, a->argv, s, &r) && good;
    fputs(text_str(&r.lines), stderr);
    if (a->check || !good)
        fprintf(stderr, "%s: %u error%s, %u warning%s\n", a->file ? a->file : "command line", r.errors,
                r.errors == 1 ? "" : "s", r.warnings, r.warnings == 1 ? "" : "s");
    report_free(&r);
    if (good)
        return s;
    settings_free(s);
    return NULL;
}

/* --plan: for whoever sets a machine up before anything runs on it. */
static int print_plan(const struct settings *s, const char *inventory, bool running)
{
    char error[512];
    json_t *topology = board_json(s, inventory, running, false, error, sizeof error);
    json_t *plan = topology ? board_json(s, inventory, running, true, error, sizeof error) : NULL;
    if (plan) {
        json_t *both = json_pack("{s:o,s:o}", "topology", topology, "plan", plan);
        json_dumpf(both, stdout, JSON_INDENT(2));
        puts("");
        json_decref(both);
        return 0;
    }
    fprintf(stderr, "sluice-control: %s\n", error);
    json_decref(topology);
    return 1;
}

static void make_folder(const char *path, bool of_file)
{
    char *copy = must_copy(path), *slash = strrchr(copy, '/');
    if (of_file && slash)
        *slash = 0;
    for (char *p = copy + 1; *copy && *p; p++)
        if (*p == '/') {
            *p = 0;
            mkdir(copy, 0755);
            *p = '/';
        }
    if (*copy && (!of_file || slash) && mkdir(copy, 0750) == 0 && of_file)
        chmod(copy, 0755); /* whatever our umask: the socket has a mode of its own */
    free(copy);
}

enum { LOCK_WAIT_MS = 5000, LOCK_EVERY_MS = 20 };

/* A control that was killed keeps the lock until its last thread, or a child that shares the lock, is gone: one that
 * writes a snapshot comes out of its fsync first. */
static bool lock_soon(int fd)
{
    bool taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    for (unsigned waited = 0; !taken && errno == EWOULDBLOCK && waited < LOCK_WAIT_MS; waited += LOCK_EVERY_MS) {
        usleep(LOCK_EVERY_MS * 1000);
        taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    }
    return taken;
}

/* One control for one state-dir. */
static bool take_lock(struct program *p, const char *state_dir)
{
    char *path = must_print("%s/control.lock", state_dir);
    make_folder(state_dir, false);
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    bool opened = p->lock_fd >= 0, taken = opened && lock_soon(p->lock_fd);
    if (!opened)
        fprintf(stderr, "sluice-control: state-dir %s: %s; make the folder or correct the directive\n",
                state_dir, strerror(errno));
    else if (!taken)
        fprintf(stderr,
                "sluice-control: another sluice-control runs on state-dir %s; stop it (sluice stop) or use "
                "another state-dir\n",
                state_dir);
    free(path);
    return taken;
}

/* The dataplane's program: as told, or beside our own. */
static char *find_dataplane(const char *told)
{
    char own[4096];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (told)
        return must_copy(told);
    own[n > 0 ? n : 0] = 0;
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = 0;
    char *beside = must_print("%s/sluice-dataplane", own), *built = must_print("%s/../sluice-dataplane", own);
    char *found =
        access(beside, X_OK) < 0 && access(built, X_OK) == 0 ? built : beside; /* in a build folder */
    free(found == built ? beside : built);
    return found;
}

static struct event *add_signal(struct program *p, int number, event_callback_fn fn)
{
    struct event *e = evsignal_new(p->control.base, number, fn, p);
    event_add(e, NULL);
    return e;
}

static bool open_parts(struct program *p, struct settings *s, const struct arguments *a)
{
    struct control *c = &p->control;
    struct commit_options options = {p->file, a->argc, a->argv, p->state_dir};
    struct supervise_options watch = {p->rights.command, p->rights.starter, p->dataplane_socket,
                                      p->pid_file,       p->dataplane_log,
                                      (unsigned)settings_number(s, "shutdown-timeout") + 5};
    char error[512];
    struct timeval second = {.tv_sec = 1};
    c->link = link_new(c->base, &link_ops, p);
    c->execs = execs_new(c->base, c->link);
    c->capture = capture_new(c->base, c->link);
    c->load = load_new(c->base, c->link);
    make_folder(p->dataplane_socket, true);
    make_folder(settings_get(s, "management-socket"), true);
    c->supervisor = supervise_new(c->base, c->link, &watch, &supervise_ops, p);
    c->commit = commit_new(c->base, c->link, &options, s, settings_changed, p);
    commit_tell(c->commit, on_told, c);
    char *folder = must_print("%s/audit", p->state_dir);
    c->audit = audit_open(folder, error, sizeof error);
    free(folder);
    if (!c->audit) {
        log_line(LOG_LEVEL_WARNING, "%s", error);
        return false;
    }
    c->remote_log = remote_log_new(c->base, c->audit);
    remote_log_settings(c->remote_log, s);
    audit_note(c->audit, "sluice-control", "itself", "start", json_pack("{s:s}", "version", SLUICE_VERSION),
               "ok");
    c->snapshot = snapshot_new(c);
    c->aof = aof_new(c);
    c->certificates = certificates_open(c, p->state_dir, error, sizeof error);
    if (!c->certificates) {
        log_line(LOG_LEVEL_WARNING, "%s", error);
        return false;
    }
    c->candidate = candidate_new(c, p->state_dir);
    c->alarms = alarms_new(c);
    p->stats = stats_open(c, settings_get(s, "stats-address"), (unsigned)settings_number(s, "stats-port"),
                          error, sizeof error);
    c->tokens = tokens_open(p->state_dir);
    if (p->stats)
        c->api = api_open(c, settings_get(s, "management-socket"), error, sizeof error);
    if (c->api)
        c->https = https_open(c, error, sizeof error);
    if (!c->https) {
        log_line(LOG_LEVEL_WARNING, "%s", error);
        return false;
    }
    p->sigterm = add_signal(p, SIGTERM, on_signal);
    p->sigint = add_signal(p, SIGINT, on_signal);
    p->sighup = add_signal(p, SIGHUP, on_hangup);
    p->tick = event_new(c->base, -1, EV_PERSIST, on_tick, p);
    event_add(p->tick, &second);
    return true;
}

static void close_parts(struct program *p)
{
    struct control *c = &p->control;
    struct event *events[] = {p->sigterm, p->sigint, p->sighup, p->tick};
    for (unsigned i = 0; i < 4; i++)
        if (events[i])
            event_free(events[i]);
    aof_free(c->aof);
    restart_free(c);
    snapshot_free(c->snapshot);
    execs_free(c->execs);
    capture_free(c->capture);
    load_free(c->load);
    commit_free(c->commit);
    show_log_end();
    https_close(c->https);
    api_close(c->api);
    tokens_close(c->tokens);
    candidate_free(c->candidate);
    stats_close(p->stats);
    alarms_free(c->alarms);
    certificates_close(c->certificates);
    supervise_free(c->supervisor);
    rights_release(&p->rights);
    link_free(c->link);
    remote_log_free(c->remote_log);
    event_base_free(c->base);
    audit_close(c->audit);
    log_release();
    free(p->file);
    free(p->dataplane);
    free(p->dataplane_log);
    free(p->dataplane_socket);
    free(p->state_dir);
    free(p->pid_file);
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct program p = {.lock_fd = -1};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice-control " SLUICE_VERSION);
        return 0;
    }
    if (!read_arguments(&a, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (a.snapshot)
        return rdb_report_print(a.file);
    if (a.aof)
        return aof_base_print(a.file);
    struct settings *s = read_settings(&a);
    if (!s)
        return 1;
    if (a.check || a.plan) {
        int status = a.plan ? print_plan(s, a.inventory, a.running && strcmp(a.running, "yes") == 0) : 0;
        settings_free(s);
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    secret_memory_start();
    p.dataplane = find_dataplane(a.dataplane);
    p.dataplane_socket = must_copy(settings_get(s, "dataplane-socket"));
    if (!rights_take(&p.rights, s, p.dataplane, p.dataplane_socket, a.instance)) {
        fprintf(stderr, "sluice-control: %s\n", p.rights.line);
        return 1;
    }
    if (!take_lock(&p, settings_get(s, "state-dir"))) {
        settings_free(s);
        return 1;
    }
    if (factory_reset_resume(settings_get(s, "state-dir"))) {
        fputs("sluice-control: the factory reset that was interrupted is done: start again\n", stderr);
        rights_release(&p.rights);
        free(p.dataplane);
        free(p.dataplane_socket);
        settings_free(s);
        return 0;
    }
    settings_place(s);
    p.file = a.file ? realpath(a.file, NULL) : NULL;
    if (!p.file)
        p.file = must_copy(a.file ? a.file : "");
    p.pid_file = must_print("%s/dataplane.pid", settings_get(s, "state-dir"));
    p.state_dir = must_copy(settings_get(s, "state-dir"));
    p.dataplane_log = must_print("%s/dataplane.log", settings_get(s, "state-dir"));
    p.control.config_path = p.file;
    p.control.inventory = a.inventory;
    p.control.started_ms = wall_clock_ms();
    p.control.stop_all = stop_all;
    p.control.base = event_base_new();
    apply_log_settings(s);
    log_line(LOG_LEVEL_NOTICE, "sluice-control %s, configuration %s", SLUICE_VERSION,
             *p.file ? p.file : "(built in)");
    leftovers_delete(settings_get(s, "dir"), settings_get(s, "appenddirname"), settings_get(s, "appendfilename"));
    if (*p.rights.line)
        log_line(p.rights.warning ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "%s", p.rights.line);
    bool good = open_parts(&p, s, &a);
    if (good) {
        supervise_start(p.control.supervisor);
        service_ready();
        event_base_dispatch(p.control.base);
        log_line(LOG_LEVEL_NOTICE, "sluice-control ends");
        audit_note(p.control.audit, "sluice-control", "itself", "end", NULL, "ok");
    }
    close_parts(&p);
    if (p.control.reset)
        factory_reset_run(p.control.reset);
    return good ? 0 : 1;
}
