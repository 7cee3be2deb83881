/* log.c: levels, rate limit, target, recent lines. The format is Redis': pid:role date mark text. */
#include "control/log.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static struct {
    enum log_level level;
    int fd; /* 0: stderr (never our own descriptor) */
    int parent; /* 0, or where the lines of a child go */
    char *path;
    unsigned rate, this_second, suppressed;
    time_t second;
    struct log_entry ring[LOG_RING];
    unsigned long written; /* entries ever put into the ring */
    struct log_watch *watches;
} logger = {.level = LOG_LEVEL_NOTICE, .rate = 1000};

static const char *const names[] = {"debug", "verbose", "notice", "warning"};

const char *log_level_name(enum log_level level)
{
    return names[level];
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (unsigned i = 0; i < 4; i++)
        if (strcasecmp(names[i], name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_set_level(const char *name)
{
    return log_level_parse(name, &logger.level);
}

void log_set_rate(unsigned lines)
{
    logger.rate = lines;
}

bool log_set_file(const char *path)
{
    int fd = 0;
    if (*path && (fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640)) < 0)
        return false;
    if (logger.fd > 0)
        close(logger.fd);
    char *copy = must_copy(path);
    free(logger.path);
    logger.path = copy;
    logger.fd = fd;
    return true;
}

void log_reopen(void)
{
    if (!logger.path || !*logger.path)
        return;
    char *path = must_copy(logger.path);
    if (!log_set_file(path))
        log_line(LOG_LEVEL_WARNING, "cannot open the log file %s again: %s; still writing to the old one",
                 path, strerror(errno));
    free(path);
}

/* Text from outside must stay on its line. */
static void clean(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            *s = ' ';
}

int log_fd(void)
{
    return logger.fd;
}

static void print(const struct log_entry *e)
{
    static const char marks[] = {'.', '-', '*', '#'};
    time_t seconds = (time_t)(e->ms / 1000);
    char date[64];
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%d %b %Y %H:%M:%S", &tm);
    char *line = must_print("%ld:%c %s.%03u %c %s\n", e->pid, e->role, date, (unsigned)(e->ms % 1000),
                            marks[e->level], e->line);
    /* A full disk or a reader that has gone must not stop control. */
    (void)!write(logger.fd > 0 ? logger.fd : 2, line, strlen(line));
    free(line);
}

static void keep(long pid, char role, enum log_level level, char *owned)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct log_entry *e = &logger.ring[logger.written++ % LOG_RING];
    free(e->line);
    *e = (struct log_entry){(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, pid, role, level,
                            owned};
    print(e);
    for (struct log_watch *w = logger.watches; w; w = w->next)
        w->fn(e, w->arg);
}

void log_watch(struct log_watch *w, void (*fn)(const struct log_entry *e, void *arg), void *arg)
{
    *w = (struct log_watch){fn, arg, logger.watches};
    logger.watches = w;
}

void log_unwatch(struct log_watch *w)
{
    struct log_watch **at = &logger.watches;
    while (*at && *at != w)
        at = &(*at)->next;
    if (*at)
        *at = w->next;
}

void log_tick(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == logger.second)
        return;
    logger.second = now.tv_sec;
    logger.this_second = 0;
    if (logger.suppressed) {
        unsigned n = logger.suppressed;
        logger.suppressed = 0;
        keep(getpid(), 'C', LOG_LEVEL_WARNING, must_print("suppressed %u line%s", n, n == 1 ? "" : "s"));
    }
}

/* A child's line, cut to a packet: the level as a digit, then the text. */
static void pass_on(enum log_level level, char *owned)
{
    char *line = must_print("%d%.*s", (int)level, PIPE_BUF - 2, owned);
    (void)!write(logger.parent, line, strlen(line));
    free(line);
    free(owned);
}

static void add(long pid, char role, enum log_level level, char *owned)
{
    if (logger.parent) {
        pass_on(level, owned);
        return;
    }
    log_tick();
    clean(owned);
    if (logger.rate && logger.this_second >= logger.rate) {
        logger.suppressed++;
        free(owned);
        return;
    }
    logger.this_second++;
    keep(pid, role, level, owned);
}

void log_line(enum log_level level, const char *format, ...)
{
    struct text t = {0};
    va_list args;
    if (level < logger.level)
        return;
    va_start(args, format);
    text_add(&t, "");
    text_vprintf(&t, format, args);
    va_end(args);
    add(getpid(), 'C', level, t.p);
}

void log_to_parent(int fd)
{
    logger.parent = fd;
}

bool log_of_child(int fd, long pid, bool *over)
{
    char line[PIPE_BUF];
    ssize_t n = read(fd, line, sizeof line);
    *over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (n <= 0)
        return false;
    enum log_level level = line[0] >= '0' && line[0] <= '3' ? (enum log_level)(line[0] - '0') : LOG_LEVEL_WARNING;
    add(pid, 'C', level, must_copy_n(line + 1, (size_t)n - 1));
    return true;
}

void log_dataplane(long pid, int syslog_level, const char *line)
{
    enum log_level level = syslog_level <= LOG_WARNING  ? LOG_LEVEL_WARNING
                           : syslog_level == LOG_NOTICE ? LOG_LEVEL_NOTICE
                           : syslog_level == LOG_INFO   ? LOG_LEVEL_VERBOSE
                                                        : LOG_LEVEL_DEBUG;
    if (level >= logger.level)
        add(pid, 'D', level, must_copy_n(line, strnlen(line, 4096)));
}

void log_recent(enum log_level level, unsigned count, void (*fn)(const struct log_entry *e, void *arg),
                void *arg)
{
    unsigned long oldest = logger.written > LOG_RING ? logger.written - LOG_RING : 0, first = logger.written;
    for (unsigned found = 0; first > oldest && found < count; first--)
        found += logger.ring[(first - 1) % LOG_RING].level >= level;
    for (; first < logger.written; first++)
        if (logger.ring[first % LOG_RING].level >= level)
            fn(&logger.ring[first % LOG_RING], arg);
}

void log_release(void)
{
    for (unsigned i = 0; i < LOG_RING; i++) {
        free(logger.ring[i].line);
        logger.ring[i].line = NULL;
    }
    logger.written = 0;
    log_set_file("");
    free(logger.path);
    logger.path = NULL;
}
