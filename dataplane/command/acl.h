/* acl.h: the users of a box, who its clients are, and the log of what was denied.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
 *
 * There is one struct acl a box. Users come, change and go only with all workers stopped (the commands that
 * do so are CMD_ROUTE_ALL), and nobody holds a user's rights over a turn, so workers read without a lock. A
 * client whose user may do everything has CLIENT_UNLIMITED, which is all that dispatch looks at; when a user
 * changes, the flags of its clients follow. Others that have logged in are asked acl_may() first, so that what they
 * may do goes the same short way.
 *
 * The default user's password is also the directive requirepass: a generation that brings another one wins
 * over what ACL SETUSER has said before. Each worker reads it from its own generation until the next command
 * that changes users takes it over. */
#pragma once
#include "command/acl_rights.h"

struct acl_user { /* lives until nobody holds it */
    struct slice name;
    struct rights rights;
    bool narrowed; /* its last change has taken channels away */
    _Atomic(unsigned) holders;
};

/* With the default user, the password of the directive, and the users of the directives `user`. NULL and one
 * line in error. */
struct acl *acl_new(const struct config *conf, char *error, size_t size);
void acl_free(struct acl *a);

/* -- users -- */

struct acl_user *acl_user_find(const struct acl *a, struct slice name);
struct acl_user *acl_user_of(const struct command_env *env, const struct client *c);
/* NULL: the default user, whom nobody has to hold. */
struct acl_user *acl_user_hold(struct acl_user *u);
void acl_user_drop(struct acl_user *u);
/* In the order of their names. */
unsigned acl_users(const struct acl *a);
struct acl_user *acl_user_at(const struct acl *a, unsigned i);

/* With all workers stopped: takes a changed password over from the directive. False without memory. */
bool acl_settle(const struct command_env *env);
/* ACL SETUSER: makes or changes a user, and its clients with it. False and one line. */
bool acl_set(const struct request *rq, struct slice name, int rules, const struct slice *rule, char *why,
             size_t size);
/* Ends a user and its clients. False if there is none of this name. */
bool acl_delete(const struct request *rq, struct slice name);
/* ACL LOAD: the users that the lines of a file tell of instead of all there are. False and what is wrong with
 * all of them, as text for free(). */
bool acl_load(const struct request *rq, struct slice file, int lines, const struct slice *line,
              struct text *why);
/* Values of `user` directives, read as at the start of a box: with the default user, whose password is the directive's.
 * NULL and one line. acl_free() it. */
struct acl *acl_read(const struct request *rq, int lines, const struct slice *line, char *why, size_t size);
/* With all workers stopped: these users instead of all there are, and clients follow. False and one line: nothing has
 * changed. */
bool acl_use(const struct request *rq, int lines, const struct slice *line, char *why, size_t size);

/* A number that changes with whatever may take rights away from clients. */
uint64_t acl_changes(const struct acl *a);
/* A copy of a client follows its user, as clients themselves do when users change. False: the user is no more, or the client is to
 * end, and nothing may be done in its name. */
bool acl_catch_up(const struct command_env *env, struct client *copy);

/* -- client certificates (acl_certificate.c) --
 *
 * When a handshake has ended with a certificate that we trust:
 *
 *     struct acl_claim claim;
 *     acl_claim_begin(&claim, env);
 *     for each name of the certificate, in its order, while it returns true: acl_claim_name(&claim, kind, name);
 *     acl_claim_end(&claim, client);
 *
 * The first enabled user that has one of these names, by the kinds of names that tls-auth-clients-user lists in their
 * order, is the client's user from then on, also after RESET; AUTH may still change it. A user with the rule
 * certificate-only can be had in no other way: AUTH as that user works only on such a connection. */
struct acl_claim {
    const struct command_env *env;
    struct acl_user *user;
    unsigned rank;
};
void acl_claim_begin(struct acl_claim *claim, const struct command_env *env);
/* False: no further name can matter. */
bool acl_claim_name(struct acl_claim *claim, enum certificate_name kind, struct slice name);
/* False: no user is named, and the client stays who it was. */
bool acl_claim_end(const struct acl_claim *claim, struct client *c);
/* Whom the certificate of the connection makes it, if that user still is and is on; or NULL. */
struct acl_user *acl_certified_user(const struct command_env *env, const struct client *c);

/* -- clients -- */

/* Does the default user need no password? */
bool acl_no_password(const struct command_env *env);
/* Is a client that has shown no password welcome? */
bool acl_open(const struct command_env *env, const struct client *c);
/* May this client be the default user without a password? Not in protected mode by a listener's port. */
bool acl_free_entry(const struct command_env *env, const struct client *c);
/* A connection has begun, or begins anew: as the default user. */
void acl_welcome(const struct command_env *env, struct client *c);
/* AUTH: false if user and password do not fit, which is counted and noted. */
bool acl_login(const struct request *rq, struct slice user, struct slice password);

enum acl_context { ACL_TOPLEVEL, ACL_IN_MULTI, ACL_IN_SCRIPT };
enum { ACL_WHY = 1024 };
/* May the client run this, which is not CLIENT_UNLIMITED? Otherwise counts, notes, and says why not (an error
 * without code) in why, of ACL_WHY bytes. */
enum judgement acl_judge(const struct request *rq, enum acl_context context, char *why);
/* The same for anybody, without counting and noting. Why not is added to `why` (NULL: nobody asks), with the whole name
 * of the key or channel. */
enum judgement acl_verdict(const struct acl_user *u, const struct command *cmd, int argc,
                           const struct slice *argv, struct text *why);
/* May its client read every key by this command? */
bool acl_reads_all(const struct request *rq);
/* The same without counting, noting and saying why: for a client that is authenticated and not CLIENT_UNLIMITED. False
 * says nothing: acl_refuses() does. */
bool acl_may(const struct request *rq);
/* False if the client may run it; otherwise the whole error. For dispatch, of a client that is not
 * CLIENT_UNLIMITED. */
bool acl_refuses(const struct request *rq, char *why);

/* -- the log (acl_log.c) -- */

struct acl_entry;
struct acl_log { /* one a worker, written by it alone; read with all workers stopped */
    struct acl_entry *newest, *oldest;
    uint64_t entries;
};

enum denied { DENIED_COMMAND, DENIED_KEY, DENIED_CHANNEL, DENIED_LOGIN };
void acl_note(const struct request *rq, enum denied reason, enum acl_context context, struct slice object,
              struct slice user);
void acl_log_clear(struct acl_log *log);
/* Those of worker i. */
struct acl_log *acl_log_of(struct acl *a, unsigned i);
uint64_t acl_next_entry(struct acl *a);
