/* main.c: sluice-control: puts the parts together, in order, and takes them down in reverse. */
#include "control/alarms.h"
#include "control/aof.h"
#include "control/aof_base.h"
#include "control/aof_items.h"
#include "control/audit.h"
#include "control/candidate.h"
#include "control/capture.h"
#include "control/certificates.h"
#include "control/factory.h"
#include "control/https.h"
#include "control/leftovers.h"
#include "control/load.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/name_servers.h"
#include "control/program.h"
#include "control/rdb_report.h"
#include "control/remote_log.h"
#include "control/restart.h"
#include "control/secret_memory.h"
#include "control/service.h"
#include "control/show.h"
#include "control/snapshot.h"
#include "control/token.h"
#include "control/users.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    program_tick(arg);
}

static void stop_all(struct control *c)
{
    c->leaving = true;
    restart_free(c);
    supervise_stop(c->supervisor, "stopped by the management API");
}

/* -- start -- */

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

/* Without anything in memory there are pages to be cleared first, of a large machine many. */
enum { UPDATE_WARM_SECONDS = 60, UPDATE_COLD_SECONDS = 300 };

static bool open_audit(struct program *p, const struct settings *s)
{
    struct control *c = &p->control;
    char error[512], *folder = must_print("%s/audit", p->state_dir);
    c->audit = audit_open(folder, error, sizeof error);
    free(folder);
    if (!c->audit) {
        log_line(LOG_LEVEL_WARNING, "%s", error);
        return false;
    }
    c->remote_log = remote_log_new(c->base, c->audit);
    remote_log_settings(c->remote_log, s);
    audit_note(c->audit, "sluice-control", "itself", "start", json_pack("{s:s}", "version", SLUICE_VERSION), "ok");
    return true;
}

static bool open_parts(struct program *p, struct settings *s, const struct arguments *a)
{
    struct control *c = &p->control;
    struct commit_options options = {p->file, a->argc, a->argv, p->state_dir};
    struct supervise_options watch = {.argv = p->rights.command,
                                      .programs = p->programs,
                                      .starter = p->rights.starter,
                                      .socket = p->dataplane_socket,
                                      .pid_file = p->pid_file,
                                      .log_file = p->dataplane_log,
                                      .stop_seconds = (unsigned)settings_number(s, "shutdown-timeout") + 5,
                                      .warm_seconds = UPDATE_WARM_SECONDS,
                                      .cold_seconds = UPDATE_COLD_SECONDS};
    char error[512];
    struct timeval second = {.tv_sec = 1};
    c->link = link_new(c->base, &program_link_ops, p);
    c->execs = execs_new(c->base, c->link);
    c->capture = capture_new(c->base, c->link);
    c->load = load_new(c->base, c->link);
    make_folder(p->dataplane_socket, true);
    make_folder(settings_get(s, "management-socket"), true);
    name_servers_settings(s);
    c->supervisor = supervise_new(c->base, c->link, &watch, &program_supervise_ops, p);
    c->commit = commit_new(c->base, c->link, &options, s, program_settings, p);
    commit_tell(c->commit, program_told, c);
    commit_use_users(c->commit, users_use, c);
    if (!open_audit(p, s))
        return false;
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
    restart_free(c);
    if (c->snapshot)
        snapshot_leave(c->snapshot);
    execs_detached(c->execs); /* whoever waits for an answer is there to be told that there is none */
    aof_free(c->aof);
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
    programs_free(p->programs);
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

/* What is asked of a file, without a box. */
static int print_file(const struct arguments *a)
{
    if (a->snapshot)
        return rdb_report_print(a->file);
    if (a->aof)
        return aof_base_print(a->file);
    return aof_items_print(a->file, a->log_cut);
}

static void begin(struct program *p, struct settings *s, const struct arguments *a)
{
    settings_place(s);
    p->file = a->file ? realpath(a->file, NULL) : NULL;
    if (!p->file)
        p->file = must_copy(a->file ? a->file : "");
    p->pid_file = must_print("%s/dataplane.pid", settings_get(s, "state-dir"));
    p->state_dir = must_copy(settings_get(s, "state-dir"));
    p->programs = programs_new(p->dataplane, a->updates, p->state_dir);
    p->dataplane_log = must_print("%s/dataplane.log", settings_get(s, "state-dir"));
    p->control.config_path = p->file;
    p->control.inventory = a->inventory;
    p->control.started_ms = wall_clock_ms();
    p->control.stop_all = stop_all;
    p->control.base = event_base_new();
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct program p = {.lock_fd = -1};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice-control " SLUICE_VERSION);
        return 0;
    }
    if (!arguments_read(&a, argc, argv)) {
        fputs(program_usage, stderr);
        return 2;
    }
    if (a.snapshot || a.aof || a.log)
        return print_file(&a);
    struct settings *s = arguments_settings(&a);
    if (!s)
        return 1;
    if (a.check || a.plan) {
        int status = a.plan ? arguments_plan(s, a.inventory, a.running && strcmp(a.running, "yes") == 0) : 0;
        settings_free(s);
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    secret_memory_start();
    p.dataplane = find_dataplane(a.dataplane);
    p.dataplane_socket = must_copy(settings_get(s, "dataplane-socket"));
    if (!rights_take(&p.rights, s, p.dataplane, p.dataplane_socket, a.instance, a.updates)) {
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
    begin(&p, s, &a);
    program_log_settings(s);
    log_line(LOG_LEVEL_NOTICE, "sluice-control %s, configuration %s", SLUICE_VERSION, *p.file ? p.file : "(built in)");
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
