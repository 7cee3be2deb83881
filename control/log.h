/* log.h: control's log: Redis' line format, levels, a limit on the rate, a file or stderr, and a ring of
 * recent lines for `show log`. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_VERBOSE, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING };
enum { LOG_RING = 10000 }; /* lines kept for `show log` */

/* Lines below the level are dropped. "debug", "verbose", "notice", "warning"; false for another word. */
bool log_set_level(const char *name);
bool log_level_parse(const char *name, enum log_level *level);
/* Appends to a file from now on ("" = stderr, which systemd sends to the journal). False and errno if it
 * cannot be opened: the old target stays. */
bool log_set_file(const char *path);
int log_fd(void); /* of that file; 0: none */
void log_reopen(void); /* after a rotation */
/* More than `lines` a second are counted instead of written, and the count is written when the second is
 * over. 0 = no limit. */
void log_set_rate(unsigned lines);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the dataplane. */
void log_dataplane(long pid, int syslog_level, const char *line);
/* In a child of ours: lines go into this pipe from now on (pipe2 with O_DIRECT: a packet each), for the parent's log. */
void log_to_parent(int fd);
/* In the parent: logs one line out of such a pipe. False: there is none now, or (*over) none will come. */
bool log_of_child(int fd, long pid, bool *over);
/* Writes a "suppressed" line that is due. Call about once a second. */
void log_tick(void);

struct log_entry {
    uint64_t ms; /* wall clock */
    long pid;
    char role; /* 'C' control, 'D' dataplane */
    enum log_level level;
    char *line;
};
/* Oldest first, at least `level`, at most `count` of the newest. */
void log_recent(enum log_level level, unsigned count, void (*fn)(const struct log_entry *e, void *arg),
                void *arg);
/* Whoever wants every line as it comes, from now on. fn must not log. */
struct log_watch {
    void (*fn)(const struct log_entry *e, void *arg);
    void *arg;
    struct log_watch *next;
};
void log_watch(struct log_watch *w, void (*fn)(const struct log_entry *e, void *arg), void *arg);
void log_unwatch(struct log_watch *w);
const char *log_level_name(enum log_level level);
void log_release(void); /* frees the ring */
