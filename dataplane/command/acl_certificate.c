/* acl_certificate.c: the owner of a client certificate as a user (directive tls-auth-clients-user). See
 * acl.h. */
#include "command/acl_box.h"

/* How early the directive names this kind of name: "URI CN" prefers URIs. 0: first; NO_RANK: not at all. */
enum { NO_RANK = 255 };

static unsigned rank_of(const struct config *conf, enum certificate_name kind)
{
    static const char *const words[] = {
        [CERTIFICATE_CN] = "CN", [CERTIFICATE_DNS] = "DNS", [CERTIFICATE_URI] = "URI"};
    unsigned rank = 0;
    for (const char *p = conf->tls_auth_clients_user; *p; p += strspn(p, " "), rank++) {
        size_t len = strcspn(p, " ");
        if (slice_is((struct slice){(const uint8_t *)p, len}, words[kind]))
            return rank;
        p += len;
    }
    return NO_RANK;
}

void acl_claim_begin(struct acl_claim *claim, const struct command_env *env)
{
    *claim = (struct acl_claim){.env = env, .rank = NO_RANK};
}

bool acl_claim_name(struct acl_claim *claim, enum certificate_name kind, struct slice name)
{
    unsigned rank = rank_of(claim->env->conf, kind);
    struct acl_user *u = rank < claim->rank ? acl_user_find(claim->env->acl, name) : NULL;
    if (u && u->rights.enabled) {
        claim->user = u;
        claim->rank = rank;
    }
    return claim->rank != 0;
}

bool acl_claim_end(const struct acl_claim *claim, struct client *c)
{
    if (!claim->user)
        return false;
    acl_user_drop(c->certified);
    c->certified = acl_user_hold(claim->user);
    acl_welcome(claim->env, c);
    return true;
}

struct acl_user *acl_certified_user(const struct command_env *env, const struct client *c)
{
    struct acl_user *u = c->certified;
    return u && u->rights.enabled && acl_user_find(env->acl, u->name) == u ? u : NULL;
}
