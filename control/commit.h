/* commit.h: the running configuration and the way to a new one: candidate, check, generation, the dataplane's
 * consent, running.
 *
 *     idle --change asked--> waiting --accepted--> idle (candidate is running)
 *                               |  `--accepted, other users--> users --taken--> idle (candidate is running)
 *                               |                                |--refused--> waiting (for what runs, sent again)
 *                               |----refused, timed out, dataplane gone--> idle (candidate is dropped)
 *
 * One change at a time; others queue. Without a dataplane a checked candidate becomes running at once, and
 * the dataplane gets it when it attaches. Directives that take effect at a restart of the dataplane stay, in
 * what a running dataplane is sent, as they were when it started. */
#pragma once
#include "control/conffile.h"
#include "control/link.h"

struct commit_options {
    const char *path; /* configuration file, "" = none */
    int argc;         /* command-line overrides, borrowed for the life of the commit */
    char *const *argv;
    const char *state_dir; /* "" = keep no generation number */
};

struct commit;
/* Takes the settings that the program started with. changed() is called after every change of the running
 * configuration. */
struct commit *commit_new(struct event_base *base, struct link *link, const struct commit_options *o,
                          struct settings *owned, void (*changed)(void *ctx, const struct settings *now),
                          void *ctx);
void commit_free(struct commit *c);
/* told() is called after every change of the running configuration that somebody asked for, and after every
 * one that failed (then `after` is NULL, and error says why). way: "CONFIG SET" of a Redis client, "config set",
 * "load", or what commit_set_as was given. */
typedef void commit_told(void *ctx, const char *who, const char *way, const struct settings *before,
                         const struct settings *after, const char *error);
void commit_tell(struct commit *c, commit_told *told, void *ctx);

const struct settings *commit_running(const struct commit *c);
/* The same, but what waits for a restart of the dataplane is as it was when that began. A copy that the caller frees. */
struct settings *commit_effective(const struct commit *c);
uint64_t commit_generation(const struct commit *c); /* of the running configuration */
const char *commit_refusal(
    const struct commit *c); /* why the dataplane refused what it was sent at attach; "" = it did not */
/* A directive whose running value waits for a restart of the dataplane. */
bool commit_waits(const struct commit *c, int directive);

/* Called once, sooner or later; error is NULL when the change is running. */
typedef void commit_done(void *ctx, const char *error);

struct change {
    const char *name, *value;
};
/* CONFIG SET: all or nothing. `wire` says that it comes from a Redis client: what only takes effect at a
 * restart is refused. Errors have Redis' wording ("ERR CONFIG SET failed ..."). */
void commit_set(struct commit *c, const struct change *change, unsigned n, bool wire, const char *who,
                commit_done *done, void *ctx);
/* The same from an operator, by another way; the text lives for ever. */
void commit_set_as(struct commit *c, const struct change *change, unsigned n, const char *way, const char *who,
                   commit_done *done, void *ctx);
/* Reads the file (and the command line over it) again. */
void commit_load(struct commit *c, const char *who, commit_done *done, void *ctx);
/* The dataplane has the users that `from` has: the running configuration does, too. False: it had them already. */
bool commit_follow_users(struct commit *c, const struct settings *from);
/* How the dataplane takes the users of a change that it has accepted otherwise; done is called once. */
typedef void commit_use(void *ctx, const struct words *users, commit_done *done, void *done_ctx);
void commit_use_users(struct commit *c, commit_use *use, void *ctx);
/* Would a control that starts now run another configuration than this? Reads the file. */
bool commit_unsaved(const struct commit *c);
/* What control's command line says, over `s`. False: errors in r. */
bool commit_overrides(const struct commit *c, struct settings *s, struct report *r);
/* While it is held the file stays as it is: commit_rewrite fails. */
void commit_hold_file(struct commit *c, bool hold);
/* CONFIG REWRITE. False and one line in error. */
bool commit_rewrite(struct commit *c, const char *who, char *error, size_t size);

/* What the link reports. `fresh`: this dataplane was started by us and has no configuration yet. */
void commit_attached(struct commit *c, bool fresh);
void commit_detached(struct commit *c);
void commit_result(struct commit *c, uint64_t generation, bool good, const char *why);
