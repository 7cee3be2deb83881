/* replay.c: sluice-replay: see replay.h. It reads stdin, writes stdout, and may do nothing else (board/confine.h): a log is a program that
 * somebody else has written. */
#include "replay.h"

#include "base/config.h"
#include "board/confine.h"
#include "command/acl.h"
#include "command/table.h"
#include "load.h"
#include "script/script.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { TELL_EVERY_MS = 200, BAR = 40, DATABASES = 16384 };

/* -- a box that has nobody else -- */

static void no_clients(struct command_env *env, struct turn *turn, void (*fn)(struct client *c, void *arg), void *arg)
{
    (void)env, (void)turn, (void)fn, (void)arg;
}

static uint64_t no_count(struct command_env *env, enum counter which)
{
    return env->counters->v[which];
}

static void no_stats(struct command_env *env, unsigned id, struct command_stats *out)
{
    *out = env->stats[id];
}

static void no_reset(struct command_env *env)
{
    (void)env;
}

static bool no_control(struct command_env *env, struct client *c, int argc, const struct slice *argv)
{
    (void)env, (void)c, (void)argc, (void)argv;
    return false;
}

static const char *no_fact(struct command_env *env, const char *name)
{
    (void)env, (void)name;
    return NULL;
}

static void no_errors(struct command_env *env, void (*fn)(const char *code, uint64_t count, void *arg), void *arg)
{
    (void)env, (void)fn, (void)arg;
}

static uint64_t no_clients_now(struct command_env *env)
{
    (void)env;
    return 0;
}

static void no_stall(struct command_env *env, uint64_t usec)
{
    (void)env, (void)usec;
}

static const struct box_ops box = {.each_client = no_clients,
                                   .counter_sum = no_count,
                                   .stats_sum = no_stats,
                                   .reset_stats = no_reset,
                                   .ask_control = no_control,
                                   .fact = no_fact,
                                   .each_error = no_errors,
                                   .clients_now = no_clients_now,
                                   .stall = no_stall};

/* -- the store -- */

static uint64_t clock_ms(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Nine tenths of what the machine has to give: beyond that the store says that there is none, before others are hurt. */
static uint64_t memory_for_keys(void)
{
    unsigned long long kb = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && !kb && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kb) != 1)
            kb = 0;
    if (f)
        fclose(f);
    return (kb ? kb : 256 * 1024) * 1024 / 10 * 9;
}

static const struct config *make_config(char *error, size_t size)
{
    char arena[32], databases[16];
    snprintf(arena, sizeof arena, "%llu", (unsigned long long)memory_for_keys());
    snprintf(databases, sizeof databases, "%d", DATABASES);
    /* A script of the log has run before: it is given all the time there is (30 s) and memory. */
    const struct config_pair pairs[] = {{"workers", "1"},           {"databases", databases},      {"arena-size", arena},
                                        {"hugepages", "no"},        {"busy-reply-threshold", "0"}, {"script-memory-limit", "4gb"}};
    return config_build(1, pairs, sizeof pairs / sizeof *pairs, error, size);
}

static bool open_store(struct replay *r)
{
    static struct counters counters;
    static struct counters *list[CONFIG_WORKERS] = {&counters};
    static int node[CONFIG_WORKERS] = {-1};
    const struct config *conf = make_config(r->why, sizeof r->why);
    if (!conf || !command_table_init(NULL, r->why, sizeof r->why))
        return false;
    r->env = (struct command_env){.ks = keyspace_new(conf, node, (uint64_t)getpid() << 20, list, r->why, sizeof r->why),
                                  .workers = 1,
                                  .conf = conf,
                                  .counters = &counters,
                                  .stats = calloc(command_ids() + 1, sizeof(struct command_stats)),
                                  .now_ms = clock_ms(CLOCK_REALTIME),
                                  .now_us = clock_ms(CLOCK_MONOTONIC) * 1000,
                                  .run_id = "0000000000000000000000000000000000000000",
                                  .random = 1,
                                  .box = &box,
                                  .scripts = scripts_new(),
                                  .acl = acl_new(conf, r->why, sizeof r->why),
                                  .worker = r};
    if (!r->env.ks || !r->env.stats || !r->env.scripts || !r->env.acl) {
        if (!*r->why)
            snprintf(r->why, sizeof r->why, "there is no memory");
        return false;
    }
    *r->why = 0; /* who may write a reason does so before it looks */
    r->env.start_ms = r->env.now_ms;
    struct shard *s = r->env.ks->shard[0];
    shard_configure(s, conf);
    shard_set_active_expiry(s, false);
    shard_set_time(s, r->env.now_ms - LOAD_BEFORE_MS);
    client_init(&r->client, 1, r->env.now_ms);
    r->client.flags |= CLIENT_AUTHENTICATED | CLIENT_INTERNAL | CLIENT_DENY_BLOCKING;
    return true;
}

/* -- telling -- */

void replay_tell(struct replay *r, bool over)
{
    uint64_t now_ms = clock_ms(CLOCK_MONOTONIC), done = r->before + r->at;
    char line[160];
    int n = 0;
    if ((r->tells < 0 && !r->bar) || (!over && now_ms < r->next_tell_ms))
        return;
    r->next_tell_ms = now_ms + TELL_EVERY_MS;
    if (done > r->bytes)
        done = r->bytes;
    int part = r->bytes ? (int)(done * BAR / r->bytes) : BAR;
    if (r->tells >= 0)
        n = snprintf(line, sizeof line, "{\"log_bytes_read\":%llu,\"log_bytes\":%llu}\n", (unsigned long long)(over ? r->bytes : done),
                     (unsigned long long)r->bytes);
    else if (over)
        n = snprintf(line, sizeof line, "\r%*s\r", BAR + 24, "");
    else
        n = snprintf(line, sizeof line, "\r[%.*s%*s] %3llu %% of the log read", part, "########################################", BAR - part,
                     "", (unsigned long long)(r->bytes ? done * 100 / r->bytes : 100));
    if (write(r->tells >= 0 ? r->tells : STDERR_FILENO, line, (size_t)n) < 0)
        r->next_tell_ms = UINT64_MAX; /* nobody looks any more */
}

/* -- the process -- */

static const struct confine_call calls[] = {
    {.names = "read readv write writev close fstat newfstatat lseek munmap mremap madvise brk futex clock_gettime clock_getres gettimeofday time "
              "nanosleep clock_nanosleep sched_yield restart_syscall getpid gettid getrandom getrusage sysinfo rt_sigaction rt_sigprocmask "
              "rt_sigreturn sigaltstack set_robust_list rseq exit exit_group mbind get_mempolicy set_mempolicy tgkill"},
    {.names = "mmap mprotect", .how = CONFINE_WITHOUT, .argument = 2, .value = PROT_EXEC},
    {.names = "ioctl", .how = CONFINE_REFUSED, .value = 25 /* ENOTTY: stdio asks what it writes to */},
    {0}};

static bool read_options(struct replay *r, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--bytes") == 0)
            r->bytes = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--tell") == 0)
            r->tells = atoi(argv[i + 1]);
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct confine_call *const lists[] = {calls, NULL};
    static struct replay r = {.tells = -1};
    if (!read_options(&r, argc, argv) || isatty(STDOUT_FILENO)) {
        fputs("usage: sluice-control --log LOG | sluice-replay [--bytes N] [--tell FD] >SNAPSHOT\n"
              "  --bytes N   of the log, for the bar on a terminal and the lines of JSON that FD gets\n",
              stderr);
        return 2;
    }
    r.bar = r.bytes && r.tells < 0 && isatty(STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    confine_begin(true);
    bool good = open_store(&r) && confine_calls(CONFINE_ENFORCE, "sluice-replay", lists, r.why, sizeof r.why) &&
                replay_read(&r, stdin);
    good = good && replay_write(&r, stdout);
    replay_tell(&r, true);
    if (!good)
        fprintf(stderr, "sluice: snapshot import: %s\n", r.why);
    else if (r.refused)
        fprintf(stderr, "sluice: snapshot import: %llu commands of the log replied an error, as they may have when they were first run\n",
                (unsigned long long)r.refused);
    return good ? 0 : 1;
}
