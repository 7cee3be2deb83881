/* acl_box.h: struct acl, for the files that make it up: acl_users.c, acl_clients.c, acl_load.c. */
#pragma once
#include "command/acl.h"

struct acl {
    struct acl_user **user; /* by name */
    unsigned users;
    struct acl_user *standard; /* "default" */
    char *password;            /* of the directive requirepass, as the default user has it */
    struct acl_log log[CONFIG_WORKERS];
    _Atomic(uint64_t) entries;
    uint64_t changes; /* acl_changes() */
};

/* A user among n that are in the order of their names. */
struct acl_user *acl_find(struct acl_user *const *user, unsigned n, struct slice name);
unsigned acl_place(struct acl_user *const *user, unsigned n, struct slice name);
/* Puts a new user among them; false without memory: the rights are the caller's still. */
bool acl_insert(struct acl_user ***list, unsigned *n, struct slice name, struct rights *rights);
/* As acl_new(), of n values of `user` directives. */
struct acl *acl_of_lines(const struct config *conf, const char *const *line, unsigned n, char *error, size_t size);
/* Those of a default user that nobody has touched. False without memory. */
bool acl_standard_rights(struct rights *r);
bool acl_is_spaced(struct slice name);
/* The directive requirepass has changed since the default user was told. */
static inline bool acl_is_pending(const struct command_env *env)
{
    return strcmp(env->acl->password, env->conf->requirepass) != 0;
}
/* The user's rights are these from now on. Its clients must follow if true. */
bool acl_change(struct acl_user *u, struct rights *rights);
/* All clients of a user, or of all (NULL), become what it is now; those of users that are no more end. */
void acl_follow(const struct request *rq, const struct acl_user *user);
