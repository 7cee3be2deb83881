/* users.h: the ACL file, and the users that CONFIG REWRITE writes. Who the users are and what their rules
 * mean is the dataplane's; control reads and writes files.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/#use-an-external-acl-file */
#pragma once
#include "control/commit.h"

struct control;

/* ACL SAVE, ACL LOAD and CONFIG REWRITE of a client (an ASK of this id). */
void users_save(struct control *c, uint64_t id, const char *who);
void users_load(struct control *c, uint64_t id, const char *who);
void users_rewrite(struct control *c, uint64_t id, const char *who);

/* A client has changed the users of the dataplane (way: "ACL SETUSER" or the like), or control finds them as they are: the
 * `user` directives of the running configuration become them, as a revision by `who`. Those whose meaning is as the
 * configuration has it keep its words. No effect with an ACL file: that has the users then. */
void users_follow(struct control *c, const char *way, const char *who);
/* A copy of s with these users, lines of ACL LIST. */
struct settings *users_settings(const struct settings *s, const struct words *listed);
/* The dataplane's users become these, values of `user` directives, on all workers at one moment, and its clients follow.
 * done's error has Redis' wording; the users are what they were then. ctx: struct control (commit_use_users). */
void users_use(void *ctx, const struct words *users, commit_done *done, void *done_ctx);

/* The users of the ACL file, if there is one: the values of `user` directives that a dataplane starts with.
 * False and one line if it cannot be read, or if there are `user` directives as well. */
bool users_of_file(const struct settings *s, struct words *users, char *error, size_t size);
