/* info_server.c: INFO server, clients, replication, cpu, cluster. */
#include "command/cluster.h"
#include "command/info.h"
#include "command/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* -- Server
 * ---------------------------------------------------------------------------------------------------- */

/* FNV-1a of our version: differs from build to build as far as versions do. */
static void build_id(struct info *i, const char *name)
{
    uint64_t h = 14695981039346656037u;
    for (const char *p = SLUICE_VERSION; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    text_addf(&i->out, "%s:%" PRIx64 "\r\n", name, h);
}

static void os_name(struct info *i, const char *name)
{
    struct utsname u;
    if (uname(&u) == 0)
        text_addf(&i->out, "%s:%s %s %s\r\n", name, u.sysname, u.release, u.machine);
    else
        info_text(i, name, "");
}

static void arch_bits(struct info *i, const char *name)
{
    info_u64(i, name, sizeof(void *) * 8);
}

static void gcc_version(struct info *i, const char *name)
{
    text_addf(&i->out, "%s:%d.%d.%d\r\n", name, __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
}

static void process_id(struct info *i, const char *name)
{
    info_u64(i, name, (uint64_t)getpid());
}

static void run_id(struct info *i, const char *name)
{
    info_text(i, name, i->env->run_id);
}

static void tcp_port(struct info *i, const char *name)
{
    info_u64(i, name, in_cluster(i->rq) ? cluster_port(i->rq, i->env->self)
                      : i->env->conf->port ? i->env->conf->port
                                           : i->env->conf->tls_port);
}

static void server_time(struct info *i, const char *name)
{
    info_u64(i, name, i->env->now_ms * 1000);
}

static void uptime(struct info *i, const char *name)
{
    uint64_t seconds = (i->env->now_ms - i->env->start_ms) / 1000;
    info_u64(i, name, seconds);
    info_u64(i, "uptime_in_days", seconds / 86400);
}

/* The loop has no timer tick of its own; the directive is shown for the tools that read it. */
static void hz(struct info *i, const char *name)
{
    const char *configured = config_text(i->env->conf, "hz");
    info_text(i, name, configured ? configured : "10");
    info_text(i, "configured_hz", configured ? configured : "10");
}

static void lru_clock(struct info *i, const char *name)
{
    info_u64(i, name, i->env->now_ms / 1000 & 0xffffff);
}

static void mode(struct info *i, const char *name)
{
    info_text(i, name, in_cluster(i->rq) ? "cluster" : "standalone");
}

static void listener(struct info *i, const char *name)
{
    const struct config *c = i->env->conf;
    text_addf(&i->out, "%s:name=tcp", name);
    for (unsigned a = 0; a < c->addresses; a++) {
        char ip[ENDPOINT_TEXT];
        ip_format(&c->address[a].ip, ip);
        text_addf(&i->out, ",bind=%s", ip);
    }
    text_addf(&i->out, ",port=%u\r\n", c->port);
}

const struct info_row info_server[] = {
    INFO_FIXED("redis_version", REDIS_VERSION),
    INFO_FIXED("sluice_version", SLUICE_VERSION),
    INFO_FIXED("redis_git_sha1", "00000000"),
    INFO_FIXED("redis_git_dirty", "0"),
    INFO_PRINT("redis_build_id", build_id),
    INFO_PRINT("redis_mode", mode),
    INFO_PRINT("os", os_name),
    INFO_PRINT("arch_bits", arch_bits),
    INFO_FIXED("monotonic_clock", "X86 TSC"),
    INFO_FIXED("multiplexing_api", "dpdk"),
    INFO_FIXED("atomicvar_api", "c11-builtin"),
    INFO_PRINT("gcc_version", gcc_version),
    INFO_PRINT("process_id", process_id),
    INFO_FACT("process_supervised", "no"),
    INFO_PRINT("run_id", run_id),
    INFO_PRINT("tcp_port", tcp_port),
    INFO_PRINT("server_time_usec", server_time),
    INFO_PRINT("uptime_in_seconds", uptime),
    INFO_PRINT("hz", hz),
    INFO_PRINT("lru_clock", lru_clock),
    INFO_FACT("executable", ""),
    INFO_FACT("config_file", ""),
    INFO_FIXED("io_threads_active", "0"),
    INFO_PRINT("listener0", listener),
    {NULL},
};

/* -- Clients
 * ---------------------------------------------------------------------------------------------------- */

static void connected_clients(struct info *i, const char *name)
{
    info_u64(i, name, i->env->box->clients_now(i->env));
}

static void maxclients(struct info *i, const char *name)
{
    info_u64(i, name, i->env->conf->maxclients);
}

struct buffers {
    uint64_t input, output;
};

static void largest_buffers(struct client *c, void *arg)
{
    const struct client_measure m = client_measured(c);
    struct buffers *most = arg;
    if (m.query_bytes + m.query_free > most->input)
        most->input = m.query_bytes + m.query_free;
    if (m.output_bytes > most->output)
        most->output = m.output_bytes;
}

/* Of the clients connected now; Redis remembers the last few seconds. */
static void client_buffers(struct info *i, const char *name)
{
    struct buffers most = {0, 0};
    i->env->box->each_client(i->env, i->turn, largest_buffers, &most);
    info_u64(i, name, most.input);
    info_u64(i, "client_recent_max_output_buffer", most.output);
}

static void blocked_clients(struct info *i, const char *name)
{
    const struct box_ops *box = i->env->box;
    uint64_t clients = 0, keys = 0, timeouts = 0;
    if (box->blocked_now)
        box->blocked_now(i->env, &clients, &keys, &timeouts);
    info_u64(i, name, clients);
    info_tracking_clients(i, "tracking_clients");
    info_u64(i, "clients_in_timeout_table", timeouts);
    info_u64(i, "total_blocking_keys", keys);
}

const struct info_row info_clients[] = {
    INFO_PRINT("connected_clients", connected_clients),
    INFO_FIXED("cluster_connections", "0"),
    INFO_PRINT("maxclients", maxclients),
    INFO_PRINT("client_recent_max_input_buffer", client_buffers),
    INFO_PRINT("blocked_clients", blocked_clients),
    INFO_FIXED("total_blocking_keys_on_nokey", "0"),
    {NULL},
};

/* -- Replication, CPU, Cluster
 * ----------------------------------------------------------------------------------- */

const struct info_row info_replication[] = {
    INFO_FIXED("role", "master"),
    INFO_FIXED("connected_slaves", "0"),
    INFO_FIXED("master_failover_state", "no-failover"),
    INFO_PRINT("master_replid", run_id),
    INFO_FIXED("master_replid2", "0000000000000000000000000000000000000000"),
    INFO_FIXED("master_repl_offset", "0"),
    INFO_FIXED("second_repl_offset", "-1"),
    INFO_FIXED("repl_backlog_active", "0"),
    INFO_FIXED("repl_backlog_size", "0"),
    INFO_FIXED("repl_backlog_first_byte_offset", "0"),
    INFO_FIXED("repl_backlog_histlen", "0"),
    {NULL},
};

static void seconds(struct info *i, const char *name, struct timeval t)
{
    text_addf(&i->out, "%s:%ld.%06ld\r\n", name, (long)t.tv_sec, (long)t.tv_usec);
}

static void cpu_times(struct info *i, const char *name)
{
    static const struct timeval none;
    struct rusage all = {0}, thread = {0};
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &thread);
    seconds(i, name, all.ru_stime);
    seconds(i, "used_cpu_user", all.ru_utime);
    seconds(i, "used_cpu_sys_children", none);
    seconds(i, "used_cpu_user_children", none);
    seconds(i, "used_cpu_sys_main_thread", thread.ru_stime);
    seconds(i, "used_cpu_user_main_thread", thread.ru_utime);
}

const struct info_row info_cpu[] = {
    INFO_PRINT("used_cpu_sys", cpu_times),
    {NULL},
};

static void cluster_enabled(struct info *i, const char *name)
{
    info_u64(i, name, in_cluster(i->rq));
}

const struct info_row info_cluster[] = {
    INFO_PRINT("cluster_enabled", cluster_enabled),
    {NULL},
};
