/* test_supervise.c: programs that fail, kept running (control/supervise.c): scripts in the place of dataplanes; the channel's words come
 * from here, and so does the time. A back-off is not waited for. */
#include "control/metrics.h"
#include "control/supervise_private.h"
#include "unit.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static char folder[64], updates[96], own[96], text[4096];
static uint64_t later; /* ms that have gone by without us */
static struct event_base *base;
static struct event *tick;
static struct link *channel;
static struct programs *programs;
static struct starter *starter;
static struct supervisor *s;
static unsigned given_up;
static bool reshapes;

uint64_t __real_monotonic_ms(void);
uint64_t __wrap_monotonic_ms(void);
uint64_t __wrap_monotonic_ms(void)
{
    return __real_monotonic_ms() + later;
}

uint64_t __real_wall_clock_ms(void);
uint64_t __wrap_wall_clock_ms(void);
uint64_t __wrap_wall_clock_ms(void)
{
    return __real_wall_clock_ms() + later;
}

/* -- a box ------------------------------------------------------------------------------------------------ */

#define RUNS "exec sleep 120"
#define CRASHES "kill -SEGV $$"
#define CRASHES_WITH_MEMORY "case $* in *--memory*) " CRASHES " ;; esac\n" RUNS

/* A program that notes its start as "NAME ARGUMENTS". */
static void put_program(const char *path, const char *name, const char *body)
{
    FILE *f = fopen(path, "we");
    CU_ASSERT_FATAL(f != NULL);
    fprintf(f, "#!/bin/sh\necho %s \"$@\" >>%s/starts\n%s\n", name, folder, body);
    fclose(f);
    chmod(path, 0755);
}

static void make_programs(const char *update, const char *of_the_box)
{
    char *to = must_print("%s/aaaa", updates), *program = must_print("%s/sluice-dataplane", to), *current = must_print("%s/current", updates);
    CU_ASSERT_FATAL(mkdir(updates, 0755) == 0 && mkdir(to, 0755) == 0 && chmod(updates, 0755) == 0 && chmod(to, 0755) == 0);
    CU_ASSERT_FATAL(symlink("aaaa", current) == 0);
    put_program(program, "update", update);
    put_program(own, "own", of_the_box);
    free(to);
    free(program);
    free(current);
}

static void on_attached(void *ctx, bool fresh)
{
    (void)ctx, (void)fresh;
}

static void on_event(void *ctx)
{
    (void)ctx;
}

/* As of control: what a dataplane was started with is known as long as it is there. */
static void on_detached(void *ctx)
{
    (void)ctx;
    reshapes = false;
}

static void on_gave_up(void *ctx, const char *program, const char *why)
{
    (void)ctx, (void)program, (void)why;
    given_up++;
}

static bool on_reshapes(void *ctx)
{
    (void)ctx;
    return reshapes;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

/* started_from: where a starter looks for updates; NULL: without one. */
static void begin(const char *update, const char *of_the_box, const char *started_from)
{
    static const struct supervise_ops ops = {on_attached, on_detached, on_event, on_gave_up, on_reshapes};
    static const struct link_ops none = {0};
    static const char *argv[] = {own, NULL};
    static char socket[96], pid_file[96], log_file[96];
    const struct timeval often = {.tv_usec = 10000};
    strcpy(folder, "/tmp/test_supervise.XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
    snprintf(updates, sizeof updates, "%s/updates", folder);
    snprintf(own, sizeof own, "%s/sluice-dataplane", folder);
    snprintf(socket, sizeof socket, "%s/d.sock", folder);
    snprintf(pid_file, sizeof pid_file, "%s/pid", folder);
    snprintf(log_file, sizeof log_file, "%s/log", folder);
    make_programs(update, of_the_box);
    given_up = 0;
    reshapes = false;
    later = 0;
    starter = started_from ? starter_new(argv, started_from) : NULL;
    base = event_base_new();
    channel = link_new(base, &none, NULL);
    programs = programs_new(own, updates, folder);
    s = supervise_new(base, channel,
                      &(struct supervise_options){.argv = argv, .programs = programs, .starter = starter, .socket = socket, .pid_file = pid_file,
                                                  .log_file = log_file, .stop_seconds = 60, .warm_seconds = started_from ? 1 : 300,
                                                  .cold_seconds = started_from ? 1 : 3000},
                      &ops, NULL);
    tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    event_add(tick, &often);
}

static void end(void)
{
    char *command = must_print("rm -rf %s", folder);
    if (supervise_status(s)->pid)
        kill((pid_t)supervise_status(s)->pid, SIGKILL);
    supervise_free(s);
    link_free(channel);
    programs_free(programs);
    starter_free(starter);
    event_free(tick);
    event_base_free(base);
    CU_ASSERT(system(command) == 0);
    free(command);
}

static void keep_memory(void)
{
    int fds[CHANNEL_KEEPS];
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    supervise_keep(s, fds);
}

/* What has been started, in lines. */
static const char *starts(void)
{
    char *path = must_print("%s/starts", folder);
    FILE *f = fopen(path, "re");
    text[f ? fread(text, 1, sizeof text - 1, f) : 0] = 0;
    if (f)
        fclose(f);
    free(path);
    return text;
}

static bool have_started(const char *wanted)
{
    return strcmp(starts(), wanted) == 0;
}

static bool have_given_up(const char *times)
{
    return given_up == (unsigned)atoi(times);
}

/* Until it is so; false after two minutes. */
static bool until(bool (*is)(const char *), const char *wanted)
{
    for (uint64_t bound = __real_monotonic_ms() + 120000; __real_monotonic_ms() < bound;) {
        if (is(wanted))
            return true;
        if (supervise_status(s)->phase == PHASE_WAITING)
            supervise_start(s);
        event_base_loop(base, EVLOOP_ONCE);
    }
    printf("# not '%s'; given up %u times, started: %s\n", wanted, given_up, starts());
    return false;
}

static void says(const char *state)
{
    supervise_hello(s, supervise_status(s)->pid, "a build");
    supervise_state(s, state, "");
}

/* Later: it greets once. */
static void goes_on(const char *state, const char *detail)
{
    supervise_state(s, state, detail);
}

static void end_by(int number)
{
    CU_ASSERT_FATAL(supervise_status(s)->pid > 0);
    CU_ASSERT(kill((pid_t)supervise_status(s)->pid, number) == 0);
}

static void crash(void)
{
    end_by(SIGSEGV);
}

static bool doubts(const char *wanted)
{
    char *doubt = programs_doubt(programs);
    bool good = doubt && strstr(doubt, wanted);
    free(doubt);
    return good;
}

/* Seconds until an update is late; 0: it cannot be. */
static long bound(void)
{
    struct timeval when, now;
    if (!event_pending(s->late, EV_TIMEOUT, &when))
        return 0;
    gettimeofday(&now, NULL);
    return when.tv_sec - now.tv_sec;
}

static bool runs_update(void)
{
    char *doubt = programs_doubt(programs);
    bool good = !doubt && !programs_is_own(programs, supervise_status(s)->program);
    free(doubt);
    return good;
}

/* -- tests -------------------------------------------------------------------------------------------- */

#define KEPT " --memory 3,4,5\n"

static void test_memory_that_crashes_every_program_is_dropped(void)
{
    begin(CRASHES_WITH_MEMORY, CRASHES_WITH_MEMORY, NULL);
    keep_memory();
    supervise_start(s);
    CU_ASSERT(until(have_started, "update" KEPT "update" KEPT "own" KEPT "own" KEPT "update\n"));
    says("serving");
    CU_ASSERT(runs_update() && given_up == 1); /* it was not its fault */
    end();
}

/* The box's own serves at first, and that was believed. */
static void test_memory_that_crashes_the_own_later_pardons_the_update(void)
{
    begin(CRASHES_WITH_MEMORY, RUNS, NULL);
    keep_memory();
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update" KEPT "update" KEPT "own" KEPT));
    says("serving");
    CU_ASSERT(!runs_update());
    crash();
    CU_ASSERT_FATAL(until(have_started, "update" KEPT "update" KEPT "own" KEPT "own" KEPT));
    says("serving");
    crash();
    CU_ASSERT_FATAL(until(have_started, "update" KEPT "update" KEPT "own" KEPT "own" KEPT "update\n"));
    says("serving");
    CU_ASSERT(runs_update());
    end();
}

static void test_the_back_off_grows_when_every_program_fails(void)
{
    begin(CRASHES, CRASHES, NULL);
    supervise_start(s);
    CU_ASSERT(until(have_given_up, "1"));
    CU_ASSERT_EQUAL(supervise_status(s)->backoff_ms, 200); /* the next one at once */
    CU_ASSERT(until(have_given_up, "2"));
    CU_ASSERT_EQUAL(supervise_status(s)->backoff_ms, 3200); /* that was the sixth end */
    end();
}

/* Root's starter does not find what control has found. */
static void test_an_update_that_cannot_be_started_is_given_up(void)
{
    begin(RUNS, RUNS, "/nonexistent");
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "own\n"));
    CU_ASSERT_EQUAL(given_up, 1);
    char *doubt = programs_doubt(programs);
    CU_ASSERT(doubt && strstr(doubt, "cannot be started"));
    free(doubt);
    long pid = supervise_status(s)->pid;
    for (uint64_t bound = __real_monotonic_ms() + 1300; __real_monotonic_ms() < bound;) /* the time that the update had is not the own's */
        event_base_loop(base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(supervise_status(s)->pid, pid);
    CU_ASSERT_EQUAL(supervise_status(s)->phase, PHASE_STARTING);
    end();
}

static void test_what_has_served_for_long_begins_afresh_whoever_ends_it(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("serving");
    crash();
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\n"));
    says("serving");
    later += TRIAL_GOOD_MS;
    supervise_restart(s, "a test");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\nupdate\n"));
    says("serving");
    crash();
    CU_ASSERT(until(have_started, "update\nupdate\nupdate\nupdate\n"));
    CU_ASSERT(given_up == 0);
    end();
}

static void test_loading_for_long_is_not_serving(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("loading");
    later += TRIAL_GOOD_MS;
    crash();
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\n"));
    says("loading");
    later += TRIAL_GOOD_MS;
    crash();
    CU_ASSERT(until(have_started, "update\nupdate\nown\n"));
    CU_ASSERT(given_up == 1);
    end();
}

static void test_an_update_that_cannot_load_the_data_is_given_up(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("loading");
    goes_on("load-failed", "dump.rdb was not loaded: its end is missing");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\n")); /* once may have been control's fault */
    CU_ASSERT(given_up == 0);
    says("loading");
    goes_on("load-failed", "dump.rdb was not loaded: its end is missing");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\nown\n"));
    says("loading");
    goes_on("serving", "");
    CU_ASSERT(given_up == 1 && !runs_update() && doubts("could not load the data: dump.rdb was not loaded: its end is missing"));
    end();
}

static void test_a_load_that_failed_once_is_tried_again(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("load-failed");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\n"));
    says("serving");
    CU_ASSERT(given_up == 0 && runs_update());
    end();
}

/* Each time later than an end shows anything of an update, and never for an hour. */
static void test_an_update_that_crashes_late_and_again_and_again_is_given_up(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    char wanted[128] = "";
    for (unsigned i = 0; i < TRIAL_LATE_FAULTS; i++) {
        CU_ASSERT_FATAL(until(have_started, strcat(wanted, "update\n")));
        CU_ASSERT(given_up == 0);
        says("serving");
        later += TRIAL_GOOD_MS;
        crash();
    }
    CU_ASSERT_FATAL(until(have_started, strcat(wanted, "own\n")));
    CU_ASSERT(given_up == 1);
    end();
}

/* Then it is the data's fault: the own waits for the operator, the update for the next restart. */
static void test_data_that_the_own_cannot_load_either_is_not_the_updates_fault(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("load-failed");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\n"));
    says("load-failed");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\nown\n"));
    long pid = supervise_status(s)->pid;
    says("load-failed");
    CU_ASSERT(supervise_status(s)->phase == PHASE_ATTACHED && supervise_status(s)->pid == pid && given_up == 1);
    goes_on("serving", ""); /* told to begin empty */
    CU_ASSERT(!runs_update() && doubts("nor can the box's own load the data"));
    supervise_restart(s, "a test");
    CU_ASSERT_FATAL(until(have_started, "update\nupdate\nown\nupdate\n"));
    says("serving");
    CU_ASSERT(runs_update());
    end();
}

static void test_who_ends_an_update_does_not_condemn_it(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    for (unsigned i = 1; i < TRIAL_WISHES; i++) {
        char wanted[128] = "";
        for (unsigned n = 0; n < i; n++)
            strcat(wanted, "update\n");
        CU_ASSERT_FATAL(until(have_started, wanted));
        if (i % 2)
            says("serving");
        end_by(i % 2 ? SIGKILL : SIGTERM);
    }
    CU_ASSERT(until(have_started, "update\nupdate\nupdate\nupdate\nupdate\nupdate\nupdate\nupdate\n"));
    CU_ASSERT(given_up == 0);
    end_by(SIGTERM);
    CU_ASSERT(until(have_given_up, "1"));
    end();
}

static void test_loading_takes_as_long_as_it_gets_on(void)
{
    begin(RUNS, RUNS, NULL);
    supervise_start(s);
    CU_ASSERT_FATAL(until(have_started, "update\n"));
    says("loading");
    goes_on("loading", "dump.rdb: 1.00 %, 10 keys, about 9 s more");
    CU_ASSERT(bound() > 0);
    evtimer_del(s->late);
    goes_on("loading", "dump.rdb: 1.00 %, 10 keys, about 99 s more");
    CU_ASSERT(bound() == 0); /* that was none */
    goes_on("loading", "dump.rdb: 1.00 %, 11 keys, about 98 s more");
    CU_ASSERT(bound() > 0);
    event_active(s->late, EV_TIMEOUT, 1);
    CU_ASSERT_FATAL(until(have_started, "update\nown\n"));
    says("loading");
    goes_on("loading", "dump.rdb: 2.00 %, 20 keys, about 9 s more");
    CU_ASSERT(bound() == 0 && doubts("did not get on with loading")); /* the own has no bound */
    end();
}

/* What is kept in memory and cannot be taken over does not make a start a warm one. */
static void test_an_update_of_another_layout_has_the_time_of_a_cold_start(void)
{
    for (unsigned same = 0; same < 2; same++) {
        begin(RUNS, RUNS, NULL);
        char *release = must_print("%s/aaaa/release", updates);
        FILE *f = fopen(release, "we");
        CU_ASSERT_FATAL(f != NULL);
        fprintf(f, "LAYOUT=%s\n", same ? "ffff0123456789ab" : "ffff0123456789ac");
        fclose(f);
        free(release);
        keep_memory();
        s->kept_layout = 0x0123456789ab;
        supervise_start(s);
        CU_ASSERT(bound() > 0 && (bound() <= 300) == same);
        end();
    }
}

/* Nor does what is kept in a shape that the configuration changes with this start. */
static void test_an_update_with_memory_of_another_shape_has_the_time_of_a_cold_start(void)
{
    for (unsigned shaped = 0; shaped < 2; shaped++) {
        begin(RUNS, RUNS, NULL);
        keep_memory();
        supervise_start(s);
        CU_ASSERT(bound() > 0 && bound() <= 300);
        CU_ASSERT_FATAL(until(have_started, "update" KEPT));
        says("serving");
        reshapes = shaped;
        supervise_restart(s, "a test");
        end_by(SIGTERM);
        CU_ASSERT_FATAL(until(have_started, "update" KEPT "update" KEPT));
        CU_ASSERT(bound() > 0 && (bound() <= 300) == !shaped);
        end();
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_memory_that_crashes_every_program_is_dropped),
                                             UNIT(test_memory_that_crashes_the_own_later_pardons_the_update),
                                             UNIT(test_the_back_off_grows_when_every_program_fails),
                                             UNIT(test_an_update_that_cannot_be_started_is_given_up),
                                             UNIT(test_what_has_served_for_long_begins_afresh_whoever_ends_it),
                                             UNIT(test_loading_for_long_is_not_serving),
                                             UNIT(test_an_update_that_cannot_load_the_data_is_given_up),
                                             UNIT(test_a_load_that_failed_once_is_tried_again),
                                             UNIT(test_an_update_that_crashes_late_and_again_and_again_is_given_up),
                                             UNIT(test_data_that_the_own_cannot_load_either_is_not_the_updates_fault),
                                             UNIT(test_who_ends_an_update_does_not_condemn_it),
                                             UNIT(test_loading_takes_as_long_as_it_gets_on),
                                             UNIT(test_an_update_of_another_layout_has_the_time_of_a_cold_start),
                                             UNIT(test_an_update_with_memory_of_another_shape_has_the_time_of_a_cold_start),
                                             {NULL, NULL}};
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return unit_main(argc, argv, "control/supervise", tests);
}
