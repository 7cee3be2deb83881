/* main.c: sluice-dataplane. Waits on its channel for control's first generation of configuration, brings the
 * box up with it, then carries messages between control and the workers until it is told to stop. Reads no
 * file. */
#include "box.h"
#include "base/heap.h"
#include "facts.h"
#include "tls/tls.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

static void take_signals(void (*handler)(int))
{
    struct sigaction on = {.sa_handler = handler};
    sigaction(SIGTERM, &on, NULL);
    sigaction(SIGINT, &on, NULL);
}

static const char *on_config(void *ctx, struct config *conf)
{
    struct plane *p = ctx;
    if (p->serving)
        return plane_reconfigure(p, conf);
    config_free(p->first);
    p->first = conf;
    return NULL;
}

static void on_exec(void *ctx, uint64_t id, int argc, const struct slice *argv)
{
    struct plane *p = ctx;
    if (p->serving)
        plane_exec(p, id, argc, argv);
    else
        channel_exec_reply(p->channel, id, SLICE_LIT("-LOADING Sluice is starting\r\n"));
}

static void on_answer(void *ctx, uint64_t id, struct slice resp)
{
    plane_answer(ctx, id, resp, false);
}

static void on_fact(void *ctx, const char *name, const char *value)
{
    struct plane *p = ctx;
    fact_set(name, value);
    if (strcmp(name, "writes_refused") == 0)
        atomic_store(&p->box.refuses_writes, *value == '1');
    else if (strcmp(name, "aof_write_error") == 0)
        atomic_store(&p->box.log_failed, *value != 0);
}

static void on_stop(void *ctx)
{
    (void)ctx;
    stop_signal = SIGTERM;
}

static void on_peer(void *ctx, bool connected)
{
    struct plane *p = ctx;
    atomic_store(&p->box.control_present, connected);
    if (!connected)
        atomic_store(&p->box.snapshot_unwanted, true);
    if (!connected && p->serving)
        plane_capture_forget(p);
    if (!connected)
        load_forget(p);
    if (!connected)
        plane_answer(p, 0, SLICE_LIT("-ERR control plane went away before it answered\r\n"), true);
    else if (p->serving && !load_keeps_closed(p))
        channel_state(p->channel, "serving", "Ready to accept connections");
}

static void on_capture_start(void *ctx, const struct channel_capture *request)
{
    plane_capture_start(ctx, request);
}

static void on_capture_stop(void *ctx, uint64_t id, bool rest)
{
    plane_capture_stop(ctx, id, rest);
}

static void on_capture_more(void *ctx, uint64_t id, uint64_t bytes)
{
    capture_more(&((struct plane *)ctx)->capture, id, bytes);
}

static void on_load_start(void *ctx, const struct load_request *request)
{
    load_start(ctx, request);
}

static void on_load_data(void *ctx, uint64_t id, struct slice bytes)
{
    load_data(ctx, id, bytes);
}

static void on_load_stop(void *ctx, uint64_t id, const char *why)
{
    load_stop(ctx, id, why);
}

static const struct channel_ops ops = {.config = on_config,
                                       .exec = on_exec,
                                       .answer = on_answer,
                                       .fact = on_fact,
                                       .stop = on_stop,
                                       .peer = on_peer,
                                       .capture_start = on_capture_start,
                                       .capture_stop = on_capture_stop,
                                       .capture_more = on_capture_more,
                                       .load_start = on_load_start,
                                       .load_data = on_load_data,
                                       .load_stop = on_load_stop};

static uint64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int fail(struct plane *p, const char *error)
{
    fprintf(stderr, "sluice-dataplane: %s\n", error);
    if (p->channel) {
        channel_log(p->channel, LOG_ERR, error);
        channel_state(p->channel, "failed", error);
        channel_poll(p->channel, 10);
    }
    return 1;
}

/* What the start may have to wait for, for whoever asks for the status meanwhile. */
static void tell_start(struct plane *p)
{
    const struct config *conf = p->first;
    char detail[256] = "bringing up memory, link and workers";
    if (conf->link_type == LINK_VIRTIO_USER && strcmp(conf->link_role, "server") == 0)
        snprintf(detail, sizeof detail, "waiting for the vhost side of the link to connect to %.200s",
                 conf->link_path);
    channel_state(p->channel, "starting", detail);
}

/* A driver may wait in there for its peer, without end and deaf to a flag. There is nothing to save yet, so
 * that a signal may simply end us. */
static bool start(struct plane *p, char *error, size_t size)
{
    take_signals(SIG_DFL);
    bool ok = plane_start(p, error, size);
    heap_bounded();
    take_signals(on_signal);
    return ok;
}

static int serve(struct plane *p)
{
    char error[256];
    while (!p->first && !stop_signal)
        channel_poll(p->channel, 100);
    if (stop_signal)
        return 0;
    tell_start(p);
    if (!start(p, error, sizeof error))
        return fail(p, error);
    if (!load_keeps_closed(p))
        channel_state(p->channel, "serving", "Ready to accept connections");
    while (!stop_signal) {
        channel_poll(p->channel, 1);
        plane_exchange(p, monotonic_ms());
    }
    channel_state(p->channel, "stopping", "asked to stop");
    return 0;
}

/* The socket is made by, and for, whom control runs as: root does nothing in a folder of that user's. */
static struct channel *open_channel(const char *path, const struct confine_user *control, struct plane *p,
                                    char *error, size_t size)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (control && (setegid(control->gid) || seteuid(control->uid))) {
        snprintf(error, size, "cannot act for user %u, as --control says", control->uid);
        return NULL;
    }
    struct channel *ch = channel_open(path, &ops, p, error, size);
    if (control && (seteuid(uid) || setegid(gid)))
        abort();
    return ch;
}

static void usage(FILE *to)
{
    fputs("usage: sluice-dataplane --channel SOCKET [--instance NAME] [--memory FD,FD,FD]\n"
          "                        [--user UID:GID] [--control UID:GID] [--seccomp enforce|log|off]\n"
          "  --channel SOCKET   Unix socket on which sluice-control connects\n"
          "  --instance NAME    tells several boxes on one machine apart (default: sluice)\n"
          "  --memory FD,FD,FD  what the dataplane before this one has left in memory (kept.h)\n"
          "  --user UID:GID     becomes this user when memory, link and workers are there\n"
          "  --control UID:GID  who may connect to the channel beside root (default: who starts it)\n"
          "  --seccomp MODE     what happens to system calls beside those it needs (default: enforce)\n"
          "  --layout           prints the layout of its memory: what programs of one layout leave, the other takes over\n"
          "  --channel-version  prints the version of the channel that it and control must agree on\n"
          "  --version, --help\n"
          "Started by sluice-control, which brings the configuration.\n",
          to);
}

struct arguments {
    const char *path, *memory;
    struct confine_user control;
    bool control_given;
};

/* -1, or the status with which the program ends. */
static int read_arguments(struct arguments *a, struct plane *p, int argc, char **argv)
{
    static const struct option options[] = {{"channel", required_argument, NULL, 'c'},
                                            {"instance", required_argument, NULL, 'i'},
                                            {"memory", required_argument, NULL, 'm'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"control", required_argument, NULL, 'o'},
                                            {"seccomp", required_argument, NULL, 's'},
                                            {"layout", no_argument, NULL, 'l'},
                                            {"channel-version", no_argument, NULL, 'n'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'c')
            a->path = optarg;
        else if (o == 'i')
            p->instance = optarg;
        else if (o == 'u' && confine_parse(optarg, &p->rights.user))
            p->rights.leave_root = true;
        else if (o == 'o' && confine_parse(optarg, &a->control))
            a->control_given = true;
        else if (o == 's' && confine_mode(optarg, &p->rights.calls))
            continue;
        else if (o == 'm')
            a->memory = optarg;
        else if (o == 'l')
            return printf("%016llx\n", (unsigned long long)keyspace_layout()) < 0;
        else if (o == 'n')
            return printf("%d\n", CHANNEL_VERSION) < 0;
        else if (o == 'v')
            return printf("sluice-dataplane %s\n", SLUICE_VERSION) < 0;
        else {
            usage(o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : 2;
        }
    }
    if (a->path && optind == argc)
        return -1;
    usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct plane plane = {.instance = "sluice", .rights.calls = CONFINE_ENFORCE};
    struct arguments a = {0};
    char error[256];
    int ends = read_arguments(&a, &plane, argc, argv);
    if (ends >= 0)
        return ends;
    confine_begin(true);
    tzset(); /* reads a file, which later nobody may */
    take_signals(on_signal);
    signal(SIGPIPE, SIG_IGN);
    if (!tls_start())
        return fail(&plane, "no memory for TLS");
    plane.channel = open_channel(a.path, a.control_given ? &a.control : NULL, &plane, error, sizeof error);
    if (!plane.channel)
        return fail(&plane, error);
    if (kept_open(&plane.kept, a.memory))
        channel_keep(plane.channel, plane.kept.handed);
    else
        kept_close(&plane.kept);
    int status = serve(&plane);
    plane_stop(&plane);
    channel_close(plane.channel);
    kept_close(&plane.kept);
    return status;
}
