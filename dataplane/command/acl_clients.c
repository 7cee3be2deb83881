/* acl_clients.c: the clients of a box as users: logging in, following their users, what they may do. See
 * acl.h. */
#include "base/secret.h"
#include "command/acl_box.h"

#include <stdio.h>
#include <stdlib.h>

/* -- clients follow their users -- */

static void set_flags(struct client *c, const struct acl_user *u)
{
    c->flags &= ~(uint32_t)CLIENT_UNLIMITED;
    if (c->flags & CLIENT_AUTHENTICATED && rights_unlimited(&u->rights))
        c->flags |= CLIENT_UNLIMITED;
}

static void become(const struct command_env *env, struct client *c, struct acl_user *u)
{
    struct acl_user *before = c->user;
    c->user = u == env->acl->standard ? NULL : acl_user_hold(u);
    acl_user_drop(before);
    c->flags |= CLIENT_AUTHENTICATED;
    set_flags(c, u);
}

/* A listener may say whom its clients are; if there is no such user, they are nobody who has logged in. */
static bool welcome_as(const struct command_env *env, struct client *c)
{
    const struct config_listener *l = config_listener_of(env->conf, c->local.port);
    if (!l || !*l->user)
        return false;
    struct acl_user *u = acl_user_find(env->acl, slice_str(l->user));
    if (u && u->rights.enabled && !u->rights.certificate_only)
        become(env, c, u);
    return true;
}

void acl_welcome(const struct command_env *env, struct client *c)
{
    struct acl_user *certified = c->certified ? acl_certified_user(env, c) : NULL;
    if (certified) {
        become(env, c, certified);
    } else if (!welcome_as(env, c) && acl_open(env, c)) {
        c->flags |= CLIENT_AUTHENTICATED;
        set_flags(c, env->acl->standard);
    }
}

struct follow {
    const struct request *rq;
    const struct acl_user *user; /* whose clients; NULL: everybody's */
};

static void end(const struct follow *f, struct client *c)
{
    c->flags |= c->id == f->rq->client->id ? CLIENT_CLOSE_AFTER_REPLY : CLIENT_KILLED;
}

static bool may_subscribe(const struct rights *r, struct slice name, bool pattern)
{
    for (unsigned i = 0; i < r->selectors; i++)
        if (r->selector[i].all_channels || channels_allow(&r->selector[i].channels, name, pattern))
            return true;
    return false;
}

/* Has it subscribed to something that it may not any more? */
static bool listens_in_vain(const struct client *c, const struct rights *r)
{
    for (unsigned kind = 0; c->subscriber && kind < TOPIC_KINDS; kind++)
        for (const struct subscription *s = c->subscriber->mine[kind]; s; s = s->mine_next)
            if (!may_subscribe(r, topic_name(s->topic), kind == TOPIC_PATTERN))
                return true;
    return false;
}

static void follow(struct client *c, void *arg)
{
    const struct follow *f = arg;
    struct acl_user *u = acl_user_of(f->rq->env, c);
    if (c->flags & CLIENT_INTERNAL || (f->user && u != f->user))
        return;
    if (acl_user_find(f->rq->env->acl, u->name) != u) {
        c->flags &= ~(uint32_t)(CLIENT_AUTHENTICATED | CLIENT_UNLIMITED);
        c->user = NULL;
        acl_user_drop(u);
        end(f, c);
        return;
    }
    set_flags(c, u);
    if (u->narrowed && listens_in_vain(c, &u->rights))
        end(f, c);
}

void acl_follow(const struct request *rq, const struct acl_user *user)
{
    struct follow f = {rq, user};
    rq->env->acl->changes++;
    rq->env->box->each_client(rq->env, NULL, follow, &f);
}

uint64_t acl_changes(const struct acl *a)
{
    return a->changes;
}

bool acl_catch_up(const struct command_env *env, struct client *copy)
{
    const struct acl_user *u = acl_user_of(env, copy);
    if (copy->flags & CLIENT_INTERNAL)
        return true;
    if (copy->flags & CLIENT_KILLED || acl_user_find(env->acl, u->name) != u)
        return false;
    set_flags(copy, u);
    return true;
}

static bool has_channel(const struct rights *r, struct slice name)
{
    for (unsigned i = 0; i < r->selectors; i++)
        if (words_find(&r->selector[i].channels, name))
            return true;
    return false;
}

/* Might somebody have subscribed, by the rights before, to what these do not allow? */
static bool is_narrower(const struct rights *now, const struct rights *before)
{
    for (unsigned i = 0; i < now->selectors; i++)
        if (now->selector[i].all_channels)
            return false;
    for (unsigned i = 0; i < before->selectors; i++) {
        const struct selector *s = &before->selector[i];
        if (s->all_channels)
            return true;
        for (unsigned k = 0; k < s->channels.n; k++)
            if (!has_channel(now, s->channels.p[k].text))
                return true;
    }
    return false;
}

/* The user's rights are these from now on. Its clients must follow if true. */
bool acl_change(struct acl_user *u, struct rights *rights)
{
    struct rights before = u->rights;
    u->rights = *rights;
    u->narrowed = is_narrower(rights, &before);
    bool matters = u->narrowed || rights_unlimited(rights) != rights_unlimited(&before);
    rights_free(&before);
    return matters;
}

bool acl_set(const struct request *rq, struct slice name, int rules, const struct slice *rule, char *why,
             size_t size)
{
    struct acl *a = rq->env->acl;
    struct acl_user *u = acl_user_find(a, name);
    bool open = rq->env->conf->acl_all_channels;
    struct rights rights;
    if (acl_is_spaced(name)) {
        snprintf(why, size, "Usernames can't contain spaces or null characters");
        return false;
    }
    snprintf(why, size, "Out of memory");
    if (!acl_settle(rq->env) || !(u ? rights_copy(&rights, &u->rights) : rights_init(&rights, open)))
        return false;
    if (!rights_rules(&rights, rules, rule, open, why, size)) {
        rights_free(&rights);
        return false;
    }
    if (u) {
        if (acl_change(u, &rights))
            acl_follow(rq, u);
        return true;
    }
    bool good = acl_insert(&a->user, &a->users, name, &rights);
    if (!good)
        rights_free(&rights);
    return good;
}

bool acl_delete(const struct request *rq, struct slice name)
{
    struct acl *a = rq->env->acl;
    unsigned at = acl_place(a->user, a->users, name);
    struct acl_user *u = acl_user_find(a, name);
    if (!u || u == a->standard)
        return false;
    memmove(a->user + at, a->user + at + 1, (--a->users - at) * sizeof *a->user);
    acl_follow(rq, u);
    acl_user_drop(u);
    return true;
}

/* -- logging in -- */

/* At least so many hashes are compared, whether there is such a user or not and whatever it has: the time is not to tell who is there. */
enum { HASHES_COMPARED = 4 };

/* u may be NULL: the answer is no, after as long. */
static bool has_password(const struct command_env *env, const struct acl_user *u, const char *hash)
{
    static const uint8_t nobodys[SECRET_HEX]; /* no digits: no password has this hash */
    const unsigned n = u ? u->rights.passwords.n : 0;
    char wanted[SECRET_HEX + 1];
    if (u == env->acl->standard && acl_is_pending(env))
        return secret_hash(slice_str(env->conf->requirepass), wanted) &&
               secret_same(hash, (const uint8_t *)wanted);
    bool same = false;
    for (unsigned i = 0; i < n || i < HASHES_COMPARED; i++)
        same |= secret_same(hash, i < n ? u->rights.passwords.p[i].text.p : nobodys);
    return same;
}

bool acl_login(const struct request *rq, struct slice user, struct slice password)
{
    struct acl_user *u = acl_user_find(rq->env->acl, user);
    struct client *c = rq->client;
    char hash[SECRET_HEX + 1];
    bool hashed = secret_hash(password, hash), standard = u && u == rq->env->acl->standard;
    bool fits = hashed && has_password(rq->env, u, hash); /* asked of those who are not there, and of those who are off, too */
    bool free_entry = u && (standard ? acl_free_entry(rq->env, c) : u->rights.no_password);
    bool barred = u && u->rights.certificate_only && u != acl_certified_user(rq->env, c);
    if (!hashed || !u || !u->rights.enabled || barred || !(free_entry || fits)) {
        acl_note(rq, DENIED_LOGIN, c->flags & CLIENT_MULTI ? ACL_IN_MULTI : ACL_TOPLEVEL, rq->argv[0], user);
        return false;
    }
    become(rq->env, c, u);
    return true;
}

/* -- judging -- */

static int shown(struct slice s)
{
    return (int)(s.len < 256 ? s.len : 256);
}

static const char *kind_of(enum judgement verdict)
{
    return verdict == VERDICT_KEY ? "key" : "channel";
}

static void say_why(const struct acl_user *u, const struct command *cmd, enum judgement verdict, char *why)
{
    if (verdict == VERDICT_COMMAND)
        snprintf(why, ACL_WHY, "User %.*s has no permissions to run the '%s' command", shown(u->name),
                 (const char *)u->name.p, cmd->full_name);
    else
        snprintf(why, ACL_WHY, "No permissions to access a %s", kind_of(verdict));
}

/* As a C string would be, which ends at a zero byte. */
static void add_whole(struct text *t, struct slice s)
{
    text_add(t, (struct slice){s.p, s.len ? strnlen((const char *)s.p, s.len) : 0});
}

enum judgement acl_verdict(const struct acl_user *u, const struct command *cmd, int argc,
                           const struct slice *argv, struct text *why)
{
    int position;
    enum judgement verdict = rights_verdict(&u->rights, cmd, argc, argv, &position);
    if (verdict == VERDICT_MAY || !why)
        return verdict;
    text_add(why, SLICE_LIT("User "));
    add_whole(why, u->name);
    if (verdict == VERDICT_COMMAND) {
        text_addf(why, " has no permissions to run the '%s' command", cmd->full_name);
    } else {
        text_add(why, SLICE_LIT(" has no permissions to access the '"));
        add_whole(why, argv[position]);
        text_addf(why, "' %s", kind_of(verdict));
    }
    return verdict;
}

enum judgement acl_judge(const struct request *rq, enum acl_context context, char *why)
{
    struct acl_user *u = acl_user_of(rq->env, rq->client);
    int position;
    enum judgement verdict = rights_verdict(&u->rights, rq->cmd, rq->argc, rq->argv, &position);
    if (verdict == VERDICT_MAY)
        return verdict;
    say_why(u, rq->cmd, verdict, why);
    acl_note(rq, (enum denied)(verdict - VERDICT_COMMAND + DENIED_COMMAND), context,
             verdict == VERDICT_COMMAND ? slice_str(rq->cmd->full_name) : rq->argv[position], u->name);
    return verdict;
}

bool acl_may(const struct request *rq)
{
    return rights_may(&acl_user_of(rq->env, rq->client)->rights, rq->cmd, rq->argc, rq->argv);
}

bool acl_reads_all(const struct request *rq)
{
    if (rq->client->flags & (CLIENT_UNLIMITED | CLIENT_INTERNAL))
        return true;
    const struct acl_user *u = acl_user_of(rq->env, rq->client);
    return rights_read_all(&u->rights, rq->cmd, rq->argc, rq->argv);
}

bool acl_refuses(const struct request *rq, char *why)
{
    static const char code[] = "NOPERM ";
    struct client *c = rq->client;
    if (!(c->flags & CLIENT_AUTHENTICATED)) {
        acl_welcome(rq->env, c);
        if (!(c->flags & CLIENT_AUTHENTICATED)) {
            snprintf(why, ACL_WHY, "NOAUTH Authentication required.");
            return true;
        }
    }
    if (c->flags & CLIENT_UNLIMITED)
        return false;
    char text[ACL_WHY];
    if (acl_judge(rq, c->flags & CLIENT_MULTI ? ACL_IN_MULTI : ACL_TOPLEVEL, text) == VERDICT_MAY)
        return false;
    snprintf(why, ACL_WHY, "%s%.1000s", code, text);
    return true;
}
