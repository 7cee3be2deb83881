/* supervise_ends.c: what the end of a dataplane means: for its program, for what is in memory, for the back-off (supervise.h). */
#include "control/supervise_private.h"
#include "control/log.h"
#include "control/metrics.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAULTS_MOST = 2 }; /* in a row, each within GOOD_SERVICE_MS: what is in its memory may be why */

void supervise_drop(struct supervisor *s)
{
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++) {
        if (s->kept[i] >= 0)
            close(s->kept[i]);
        s->kept[i] = -1;
    }
}

/* What runs has shown that it can. */
void supervise_afresh(struct supervisor *s)
{
    s->status.backoff_ms = BACKOFF_FIRST_MS;
    s->none_serves = false;
}

/* The next of the programs is to be started. False: there is none. */
bool supervise_give_up(struct supervisor *s, const char *why)
{
    if (!programs_failed(s->options.programs, s->status.program, why))
        return false;
    trial_afresh(&s->trial);
    s->faults = 0; /* its memory is not what it was for */
    if (programs_is_own(s->options.programs, s->status.program)) {
        s->none_serves = true;
        return true; /* the updates, once more */
    }
    if (!s->none_serves)
        s->status.backoff_ms = BACKOFF_FIRST_MS;
    log_line(LOG_LEVEL_WARNING, "The dataplane's update %s is given up: %s", s->status.program, why);
    s->ops->gave_up(s->ctx, s->status.program, why);
    return true;
}

/* For how long, in ms; 0: it has not. */
uint64_t supervise_served(const struct supervisor *s)
{
    uint64_t ms = s->serving_ms ? monotonic_ms() - s->serving_ms : 0;
    return s->serving_ms && !ms ? 1 : ms;
}

/* Every program crashes with it: the one that is the box's own has, too. */
static void drop_poison(struct supervisor *s, unsigned faults)
{
    log_line(LOG_LEVEL_WARNING, "The dataplane has crashed %u times in a row: the next one begins without what is in its memory", faults);
    bool pardons = s->hasty && s->kept[0] >= 0;
    supervise_drop(s);
    s->faults = 0;
    if (!pardons)
        return;
    s->hasty = false;
    s->none_serves = true;
    programs_pardon(s->options.programs); /* it may have been this memory's fault: without it they are tried once more */
}

/* Of an end that is no signal of its own: an operator, or the kernel that has no memory left, may have wished it. SIGKILL is the program's
 * fault as long as it has not served: it may be what takes the memory. So is an end in order, if it did not even greet. */
static bool is_fault(const struct supervisor *s, int signal, int status)
{
    if (signal)
        return signal == SIGKILL && !s->serving_ms;
    return status || !s->greeted;
}

/* status: as of wait(2), 0 if nobody knows. */
void supervise_note_end(struct supervisor *s, int status, const char *why)
{
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    bool own = signal && signal != SIGKILL && signal != SIGTERM && signal != SIGINT; /* nobody's wish, but its own doing */
    uint64_t served_ms = supervise_served(s);
    unsigned faults = !own ? 0 : served_ms < GOOD_SERVICE_MS ? s->faults + 1 : 1;
    s->faults = faults;
    if (served_ms >= GOOD_SERVICE_MS)
        s->hasty = false;
    trial_served(&s->trial, served_ms);
    bool others = s->wish == WISH_RUN && trial_ended(&s->trial, served_ms, own || is_fault(s, signal, status)) && supervise_give_up(s, why);
    if (faults >= FAULTS_MOST && (!others || programs_is_own(s->options.programs, s->status.program)))
        drop_poison(s, faults);
}
