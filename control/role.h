/* role.h: who an operator is to the box, and what the roles may do. `management-role` lines say who has which:
 *
 *     management-role operator user anna            a user of this machine, by name or number
 *     management-role read-only group monitoring    a group of this machine, by name or number
 *     management-role security certificate "ops"    CN, or a DNS or URI name, of a client's certificate
 *
 * The first line that fits decides. Root, and the user whom control runs as, are admin on the socket. */
#pragma once
#include "control/settings.h"

#include <sys/types.h>

enum role { ROLE_NONE, ROLE_ADMIN, ROLE_OPERATOR, ROLE_SECURITY, ROLE_READ_ONLY, ROLE_SUPPORT, ROLES };

/* Sets of roles, for a table; admin is in all of them. */
#define ROLE_SET(r) (1u << (r))
enum role_set {
    MAY_ADMIN = 1 << ROLE_ADMIN,
    MAY_OPERATE = MAY_ADMIN | 1 << ROLE_OPERATOR,
    MAY_SECURE = MAY_ADMIN | 1 << ROLE_SECURITY,
    MAY_CHANGE = MAY_OPERATE | MAY_SECURE,
    MAY_HELP = MAY_OPERATE | 1 << ROLE_SUPPORT,
    MAY_LOOK = MAY_CHANGE | 1 << ROLE_READ_ONLY | 1 << ROLE_SUPPORT,
    MAY_SEE_KEYS = MAY_OPERATE | 1 << ROLE_READ_ONLY, /* names of keys are the customers' */
};

const char *role_name(enum role r); /* "none" for ROLE_NONE */
/* ROLE_NONE: no such role. */
enum role role_find(const char *name);

/* "role kind name", as a line of the file and as its canonical value have it. False and a text in error. */
enum role_kind { ROLE_OF_USER, ROLE_OF_GROUP, ROLE_OF_CERTIFICATE };
struct role_rule {
    enum role role;
    enum role_kind kind;
    const char *name; /* points into the text */
};
bool role_rule_parse(const char *text, struct role_rule *rule, const char **error);

enum { ROLE_GROUPS_MAX = 256 };
/* On the Unix socket: the peer's user, and its groups with the first among them. */
enum role role_of_peer(const struct settings *s, uid_t uid, const gid_t *groups, unsigned n);
/* One of a certificate's names, which has been verified. */
enum role role_of_certificate(const struct settings *s, const struct words *names);

/* Whether the role may change this directive: what decides about access is security's, all else is the
 * operator's. */
bool role_may_set(enum role r, int directive);
/* Whether it may read passwords that the configuration holds. */
bool role_sees_secrets(enum role r);
