/* slowlog.h: commands that took longer than slowlog-log-slower-than. One log a worker, written by that worker
 * alone; SLOWLOG GET|LEN|RESET run with all workers stopped and see the logs of the whole box as one.
 * https://redis.io/docs/latest/commands/slowlog-get/ */
#pragma once
#include "command/command.h"

struct slowlog_entry;

struct slowlog { /* all zero at start */
    struct slowlog_entry *newest, *oldest;
    uint64_t entries, next_id;
};

/* Notes a command that took usec microseconds: keeps at most 32 arguments of 128 bytes, with passwords
 * replaced by "(redacted)", and forgets the oldest entries beyond conf->slowlog_max_len. The caller has
 * compared usec with the threshold (slowlog_wanted). When memory is short the entry is not kept. */
void slowlog_note(struct slowlog *log, const struct request *rq, uint64_t usec);
void slowlog_clear(struct slowlog *log);
/* Does argument i hold a secret, which nobody else is to be shown? */
bool request_is_secret(const struct request *rq, int i);

/* Is a command of that duration to be noted? */
static inline bool slowlog_wanted(const struct command_env *env, const struct command *cmd, uint64_t usec)
{
    int64_t limit = env->conf->slowlog_log_slower_than_us;
    return limit >= 0 && usec >= (uint64_t)limit && env->slowlog && !(cmd->flags & CMD_SKIP_SLOWLOG);
}
