/* users.h: the ACL file, and the users that CONFIG REWRITE writes. Who the users are and what their rules
 * mean is the dataplane's; control reads and writes files.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/#use-an-external-acl-file */
#pragma once
#include "control/settings.h"

struct control;

/* ACL SAVE, ACL LOAD and CONFIG REWRITE of a client (an ASK of this id). */
void users_save(struct control *c, uint64_t id, const char *who);
void users_load(struct control *c, uint64_t id, const char *who);
void users_rewrite(struct control *c, uint64_t id, const char *who);

/* The users of the ACL file, if there is one: the values of `user` directives that a dataplane starts with.
 * False and one line if it cannot be read, or if there are `user` directives as well. */
bool users_of_file(const struct settings *s, struct words *users, char *error, size_t size);
