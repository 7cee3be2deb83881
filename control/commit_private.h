/* commit_private.h: between commit.c (the queue and the dataplane's consent), commit_apply.c (what a change makes of the
 * configuration) and commit_file.c (files). */
#pragma once
#include "control/commit.h"

struct pending {                /* a change that was asked for */
    struct words names, values; /* CONFIG SET; none: load the file */
    bool wire;
    const char *way; /* lives for ever */
    char *who;
    commit_done *done;
    void *ctx;
    struct pending *next;
};

struct commit {
    struct event_base *base;
    struct link *link;
    struct commit_options options;
    void (*changed)(void *ctx, const struct settings *now);
    void *ctx;
    commit_told *told; /* may be NULL */
    void *told_ctx;

    struct settings *running;
    struct settings *started; /* what the present dataplane was started with; NULL when there is none */
    uint64_t generation, last_number;
    char *refusal;
    struct tls_files *tls; /* as the running configuration has them; NULL = not read, or not wanted */

    commit_use *use; /* NULL: users are the dataplane's affair */
    void *use_ctx;

    bool hold_file;

    struct tls_files *candidate_tls; /* of the candidate, if it reads them anew */
    struct settings
        *candidate; /* waiting for the dataplane's consent; NULL when what was sent is `running` */
    uint64_t sent;  /* its generation; 0 = not waiting */
    struct pending *head, **tail;
    struct event *timer;
};

/* -- commit_apply.c: NULL, or an error on the heap -- */

/* CONFIG SET: all names first, then all values, as Redis does. */
char *commit_apply_set(const struct commit *c, const struct pending *p, struct settings *s);
/* The file, and the command line over it. */
char *commit_apply_file(const struct commit *c, struct settings *s);
/* Users stand in one place. */
char *commit_check_users(const struct commit *c, const struct settings *s);
/* Listeners fit to what the box begins with next time: the dataplane holds them against what it was started with. */
char *commit_check_listeners(const struct settings *s);
/* Redis' words for a directive that cannot be set, and for whatever is wrong with the files of TLS. */
char *commit_failed(const char *name, const char *why);
char *commit_tls_failed(const struct pending *p);

/* -- commit_file.c -- */

void commit_load_generation(struct commit *c);
uint64_t commit_next_generation(struct commit *c);
/* A later control that finds this dataplane alive must know what it was started with. */
void commit_save_started(const struct commit *c);
struct settings *commit_load_started(const struct commit *c);
