/* candidate.h: `configure`: a copy of the configuration that one operator edits and then commits, and commits
 * that go back by themselves unless they are confirmed.
 *
 *     FREE --enter--> EDITING --leave, or the session's connection has gone--> FREE
 *
 * A commit is running when the dataplane has taken it, and then written to the configuration file. One that
 * waits for its confirmation is not written: whatever ends control in between, the file has the configuration
 * before, and the next control runs that. Only what has been changed here is committed: a CONFIG SET of
 * something else in between stays. */
#pragma once
#include "control/show.h"

struct candidate;
struct candidate *candidate_new(struct control *c, const char *state_dir);
void candidate_free(struct candidate *k);

/* The session (call_session) is over: its edits and its lock go. */
void candidate_gone(struct candidate *k, uint64_t session);
/* At each change of the running configuration that somebody asked for. */
void candidate_changed(struct candidate *k, const char *way, const char *who, const struct settings *before,
                       const struct settings *now);
/* CONFIG REWRITE by `who` has been written. */
void candidate_rewritten(struct candidate *k, const char *who, bool wire);
/* What the dataplane says of itself: if control ended while a commit waited for its confirmation, and the dataplane was
 * started with it, it is started again, with the keys that it has when it has loaded them. */
void candidate_state(struct candidate *k, const char *state);
/* Wall clock milliseconds when the commit goes back; 0: none waits. */
uint64_t candidate_deadline(const struct candidate *k, const char **who);

/* candidate_api.c: {"op":"configure"}, and what is known of revisions. */
operation configure_enter, configure_leave, configure_set, configure_delete, configure_insert, configure_show,
    configure_check, configure_commit, configure_rollback, configure_discard, configure_load,
    configure_import, show_configuration, show_history, config_schema;
