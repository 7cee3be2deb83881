/* program.h: between the files of the program sluice-control itself: main.c (start and end), arguments.c (its command
 * line), reports.c (what the link, the supervisor and the clock report). */
#pragma once
#include "control/control.h"
#include "control/rights.h"

struct stats;

struct arguments {
    const char *file, *dataplane, *updates, *instance, *inventory, *running;
    bool check, plan, snapshot, aof, log, log_cut;
    int argc; /* what remains: directives */
    char **argv;
};

struct program {
    struct control control;
    struct rights rights;
    struct programs *programs;
    struct stats *stats;
    struct event *sigterm, *sigint, *sighup, *tick;
    /* Texts that must outlive every generation of settings. */
    char *file, *dataplane, *dataplane_log, *dataplane_socket, *state_dir, *pid_file;
    int lock_fd;
    uint64_t refused, refused_ms; /* logins that the audit log knows of, and when it was told */
};

/* arguments.c: takes our own options out wherever they stand, and a file in front, as redis-server takes one. The rest are
 * directives. False: print program_usage. */
bool arguments_read(struct arguments *a, int argc, char **argv);
extern const char program_usage[];
/* The file and the directives behind it; errors and warnings on stderr. NULL: there are errors. */
struct settings *arguments_settings(const struct arguments *a);
/* --plan: for whoever sets a machine up before anything runs on it. The exit status. */
int arguments_plan(const struct settings *s, const char *inventory, bool running);

/* reports.c; ctx of both is the struct program. */
extern const struct link_ops program_link_ops;
extern const struct supervise_ops program_supervise_ops;
/* A change of the configuration that somebody asked for (commit_told; ctx: struct control). */
void program_told(void *ctx, const char *who, const char *way, const struct settings *before,
                  const struct settings *after, const char *error);
/* The running configuration is another one (ctx: struct program). */
void program_settings(void *ctx, const struct settings *s);
/* loglevel and logfile. */
void program_log_settings(const struct settings *s);
/* Each second. */
void program_tick(struct program *p);
