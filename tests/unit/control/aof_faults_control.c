/* aof_faults_control.c: the append-only log's life as control has it (aof.c, aof_start.c, aof_rewrite.c, aof_writer.c, aof_folder.c), with a
 * dataplane that is another process (aof_faults.h). What control asks of it, and its snapshots, are as here. */
#undef _FORTIFY_SOURCE
#include "aof_faults.h"
#include "control/aof_private.h"
#include "control/load.h"
#include "control/log.h"
#include "control/snapshot.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const struct settings *__wrap_commit_running(const struct commit *c);
const char *__wrap_settings_get(const struct settings *s, const char *name);
long __wrap_settings_number(const struct settings *s, const char *name);
bool __wrap_link_connected(const struct link *l);
bool __wrap_link_fact(struct link *l, const char *name, const char *value);
void *__wrap_link_map_bulk(const struct link *l);
bool __wrap_block_read(const struct link *l, struct block *b);
bool __wrap_snapshot_possible(const struct snapshot *s);
bool __wrap_snapshot_busy(const struct snapshot *s);
void __wrap_snapshot_loaded(struct snapshot *s);
bool __wrap_snapshot_make_base(struct snapshot *s, const struct snapshot_base *b, snapshot_told *begun, snapshot_told *over, void *ctx);
void __wrap_load_log(struct load *l, const char *path, const struct load_files *files, load_done *done, void *ctx);
void __wrap_exec_run(struct execs *x, int argc, const char *const *argv, exec_done *done, void *ctx);
void __wrap_log_line(enum log_level level, const char *format, ...);

/* -- time goes on by itself: nobody waits for seconds -- */

time_t time(time_t *to)
{
    static _Atomic(time_t) now = 1700000000;
    time_t t = now++;
    if (to)
        *to = t;
    return t;
}

int nanosleep(const struct timespec *for_, struct timespec *rest)
{
    struct timespec t = {0, (for_->tv_sec * 1000000000 + for_->tv_nsec) / 20};
    return (int)syscall(SYS_nanosleep, &t, rest);
}

/* -- settings, and what is told -- */

const struct settings *__wrap_commit_running(const struct commit *c)
{
    (void)c;
    return NULL;
}

const char *__wrap_settings_get(const struct settings *s, const char *name)
{
    static const char *const all[][2] = {{"dir", faults_dir}, {"appenddirname", "log"}, {"appendfilename", "a.aof"}, {"dbfilename", "dump.rdb"},
                                         {"appendonly", "yes"}, {"appendfsync", "always"}, {"aof-load-truncated", "yes"},
                                         {"auto-aof-rewrite-min-size", "67108864"}};
    (void)s;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i][0], name) == 0)
            return all[i][1];
    return "no"; /* a base is of commands, too */
}

long __wrap_settings_number(const struct settings *s, const char *name)
{
    (void)s, (void)name;
    return 0;
}

bool __wrap_link_connected(const struct link *l)
{
    (void)l;
    return true;
}

bool __wrap_link_fact(struct link *l, const char *name, const char *value)
{
    (void)l;
    if (strcmp(name, "aof_enabled") == 0)
        between->on = value[0] == '1';
    else if (strcmp(name, "aof_last_write_status") == 0)
        between->refuses = strcmp(value, "ok") != 0;
    return true;
}

void __wrap_log_line(enum log_level level, const char *format, ...)
{
    va_list more;
    if (level < LOG_LEVEL_WARNING)
        return;
    va_start(more, format);
    vsnprintf(between->warning, sizeof between->warning, format, more);
    va_end(more);
    between->warnings++;
}

void *__wrap_link_map_bulk(const struct link *l)
{
    (void)l;
    void *p = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, faults_bulk, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool __wrap_block_read(const struct link *l, struct block *b)
{
    (void)l;
    b->head.workers = WORKERS;
    return true;
}

/* -- what is asked of the dataplane -- */

static struct {
    exec_done *ended;
    void *ended_ctx;
    unsigned ended_at; /* the answer of that number is waited for */
    snapshot_told *begun, *over;
    void *ctx;
    char *folder, *name; /* NULL: none is made */
    unsigned base_at;
} asked;

void __wrap_exec_run(struct execs *x, int argc, const char *const *argv, exec_done *done, void *ctx)
{
    (void)x, (void)argc, (void)argv; /* that the log ends */
    asked.ended = done;
    asked.ended_ctx = ctx;
    asked.ended_at = ++between->end_asked;
}

bool __wrap_snapshot_possible(const struct snapshot *s)
{
    (void)s;
    return true;
}

bool __wrap_snapshot_busy(const struct snapshot *s)
{
    (void)s;
    return asked.folder;
}

void __wrap_snapshot_loaded(struct snapshot *s)
{
    (void)s;
}

bool __wrap_snapshot_make_base(struct snapshot *s, const struct snapshot_base *b, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    (void)s;
    if (asked.folder) {
        free(b->folder);
        free(b->name);
        return false;
    }
    asked.folder = b->folder;
    asked.name = b->name;
    asked.begun = begun;
    asked.over = over;
    asked.ctx = ctx;
    between->base_file = b->increment;
    asked.base_at = ++between->base_asked;
    return true;
}

/* All that had been done at the instant, as snapshot_file.c makes it last: another name, fsync, rename, fsync of the folder. */
static bool write_base(uint64_t instant)
{
    char temporary[300], path[600], text[64];
    bool good = true;
    snprintf(temporary, sizeof temporary, "%s/temp-1.rdb", asked.folder);
    snprintf(path, sizeof path, "%s/%s", asked.folder, asked.name);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640), dir = -1;
    for (uint64_t i = 1; fd >= 0 && good && i <= instant; i++) {
        int n = snprintf(text, sizeof text, "*2\r\n$2\r\nID\r\n$6\r\n%06u\r\n", (unsigned)i);
        good = write(fd, text, (size_t)n) == n;
    }
    good = good && fd >= 0 && fsync(fd) == 0 && rename(temporary, path) == 0;
    if (fd >= 0)
        close(fd);
    good = good && (dir = open(asked.folder, O_RDONLY | O_CLOEXEC)) >= 0 && fsync(dir) == 0;
    if (dir >= 0)
        close(dir);
    return good;
}

static void base_goes_on(struct aof *a)
{
    if (!asked.folder || between->base_done < asked.base_at)
        return;
    if (asked.begun) {
        asked.begun(asked.ctx, NULL);
        asked.begun = NULL; /* the writer has a turn in between */
        return;
    }
    const char *error = write_base(between->base_instant) ? NULL : "the base cannot be written";
    free(asked.folder);
    free(asked.name);
    asked.folder = asked.name = NULL;
    uint64_t good = a->rewrites;
    asked.over(asked.ctx, error);
    (*(a->rewrites > good ? &between->rewrites : &between->rewrites_failed))++;
}

/* The log of a new folder has nothing in it. */
void __wrap_load_log(struct load *l, const char *path, const struct load_files *files, load_done *done, void *ctx)
{
    (void)l, (void)path;
    between->load_failed = files->why;
    if (files->why)
        snprintf(between->warning, sizeof between->warning, "%s", files->why);
    done(ctx, &(struct load_result){.why = files->why});
}

/* -- its life -- */

void faults_control(bool finds)
{
    static struct control control;
    control.base = event_base_new();
    struct aof *a = aof_new(&control);
    control.aof = a;
    if (finds)
        aof_attached(a);
    else
        aof_load(a);
    while (!between->ends && !between->load_failed) {
        const struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
        if (asked.ended && between->end_done >= asked.ended_at) {
            exec_done *ended = asked.ended;
            asked.ended = NULL;
            ended(asked.ended_ctx, NULL, 0, NULL);
        }
        unsigned wanted = between->rewrite_wanted;
        if (wanted != between->rewrite_begun && aof_rewrite(a)[0] == '+')
            between->rewrite_begun = wanted;
        base_goes_on(a);
        event_active(a->tick, EV_TIMEOUT, 1);
        event_base_loop(control.base, EVLOOP_NONBLOCK);
    }
    aof_detached(a);
    between->left_same = a->left == LEFT_SAME;
    aof_free(a);
    event_base_free(control.base);
    free(asked.folder);
    free(asked.name);
}
