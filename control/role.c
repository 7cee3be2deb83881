/* role.c: see role.h. */
#include "control/role.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const names[ROLES] = {"none", "admin", "operator", "security", "read-only", "support"};
static const char *const kinds[] = {
    [ROLE_OF_USER] = "user", [ROLE_OF_GROUP] = "group", [ROLE_OF_CERTIFICATE] = "certificate"};

const char *role_name(enum role r)
{
    return names[r];
}

enum role role_find(const char *name)
{
    for (unsigned r = ROLE_ADMIN; r < ROLES; r++)
        if (strcasecmp(name, names[r]) == 0)
            return (enum role)r;
    return ROLE_NONE;
}

/* The word that `text` begins with, if it is one of these; *rest is what follows it and one blank. */
static int take(const char *text, const char *const *words, unsigned from, unsigned n, const char **rest)
{
    size_t len = strcspn(text, " ");
    for (unsigned i = from; i < n; i++)
        if (strlen(words[i]) == len && strncasecmp(text, words[i], len) == 0) {
            *rest = text[len] ? text + len + 1 : text + len;
            return (int)i;
        }
    return -1;
}

bool role_rule_parse(const char *text, struct role_rule *rule, const char **error)
{
    int role = take(text, names, ROLE_ADMIN, ROLES, &text);
    *error = "the first word is a role: admin, operator, security, read-only or support";
    if (role < 0)
        return false;
    int kind = take(text, kinds, 0, sizeof kinds / sizeof *kinds, &text);
    *error = "the second word says whose role it is: user, group or certificate";
    if (kind < 0)
        return false;
    *error = "the third word is the name of a user, a group or a certificate, of up to 255 bytes";
    size_t len = strlen(text);
    if (len == 0 || len > 255 || (kind != ROLE_OF_CERTIFICATE && strpbrk(text, " \t")))
        return false;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            return false;
    *rule = (struct role_rule){(enum role)role, (enum role_kind)kind, text};
    return true;
}

bool check_management_role(const struct words *w, const char *before, struct text *out, const char **error)
{
    struct text line = {0};
    struct role_rule rule;
    (void)before;
    for (unsigned i = 0; i < w->n; i++)
        text_printf(&line, "%s%s", i ? " " : "", w->p[i]);
    bool good = role_rule_parse(text_str(&line), &rule, error);
    if (good)
        text_printf(out, "%s %s %s", names[rule.role], kinds[rule.kind], rule.name);
    text_free(&line);
    return good;
}

/* -- who it is ---------------------------------------------------------------------------------------- */

/* A name that is a number stands for itself, as for chown(1). */
static bool number_of(const char *name, unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(name, &end, 10);
    return name[strspn(name, "0123456789")] == 0 && *name && !errno && *end == 0 && *number < UINT_MAX;
}

static bool is_user(const char *name, uid_t uid)
{
    unsigned long number;
    const struct passwd *p = getpwnam(name);
    return p ? p->pw_uid == uid : number_of(name, &number) && number == uid;
}

static bool has_group(const char *name, const gid_t *groups, unsigned n)
{
    unsigned long number = UINT_MAX;
    const struct group *g = getgrnam(name);
    if (g)
        number = g->gr_gid;
    else if (!number_of(name, &number))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (groups[i] == number)
            return true;
    return false;
}

struct subject {
    uid_t uid;
    const gid_t *groups;
    unsigned n;
    const struct words *names; /* of a certificate; NULL: it is a peer of the socket */
};

static bool fits(const struct role_rule *rule, const struct subject *who)
{
    if (!who->names)
        return rule->kind == ROLE_OF_USER    ? is_user(rule->name, who->uid)
               : rule->kind == ROLE_OF_GROUP ? has_group(rule->name, who->groups, who->n)
                                             : false;
    for (unsigned i = 0; rule->kind == ROLE_OF_CERTIFICATE && i < who->names->n; i++)
        if (strcmp(rule->name, who->names->p[i]) == 0)
            return true;
    return false;
}

static enum role first_of(const struct settings *s, const struct subject *who)
{
    const struct words *rules = &s->value[directive_find("management-role")];
    const char *error;
    struct role_rule rule;
    for (unsigned i = 0; i < rules->n; i++)
        if (role_rule_parse(rules->p[i], &rule, &error) && fits(&rule, who))
            return rule.role;
    return ROLE_NONE;
}

enum role role_of_peer(const struct settings *s, uid_t uid, const gid_t *groups, unsigned n)
{
    if (uid == 0 || uid == geteuid())
        return ROLE_ADMIN;
    return first_of(s, &(struct subject){.uid = uid, .groups = groups, .n = n});
}

enum role role_of_certificate(const struct settings *s, const struct words *certificate)
{
    return first_of(s, &(struct subject){.names = certificate});
}

/* -- what it may -------------------------------------------------------------------------------------- */

static bool is_about_access(int directive)
{
    static const char *const beginnings[] = {
        "tls-", "acl",  "listener",  "enable-", "management-",    "filter",  "connection-",
        "user", "bind", "port",    "protected-mode", "rename-", "sanitize-"};
    const char *name = directives[directive].name;
    if (directives[directive].flags & DIRECTIVE_SECRET)
        return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

/* Who has which role, and what would give another role: files that control or the dataplane reads, writes or
 * hands out, whom and in what confinement they run as, and who tells the addresses of names. */
static bool is_admins(int directive)
{
    static const char *const list[] = {"management-role",
                                       "management-ca-cert-file",
                                       "management-socket",
                                       "dir",
                                       "dbfilename",
                                       "logfile",
                                       "appenddirname",
                                       "appendfilename",
                                       "state-dir",
                                       "control-user",
                                       "dataplane-user",
                                       "dataplane-seccomp",
                                       "dataplane-socket",
                                       "log-remote",
                                       "log-remote-ca-cert-file",
                                       "system-name-server"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(directives[directive].name, list[i]) == 0)
            return true;
    return false;
}

bool role_may_set(enum role r, int directive)
{
    if (is_admins(directive))
        return r == ROLE_ADMIN;
    return r == ROLE_ADMIN || (r == ROLE_SECURITY && is_about_access(directive)) ||
           (r == ROLE_OPERATOR && !is_about_access(directive));
}

bool role_sees_secrets(enum role r)
{
    return r == ROLE_ADMIN || r == ROLE_SECURITY;
}
