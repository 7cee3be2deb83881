/* acl_users.c: the users of a box, and its clients as users. See acl.h. */
#include "base/secret.h"
#include "command/acl.h"

#include <stdio.h>
#include <stdlib.h>

struct acl {
    struct acl_user **user; /* by name */
    unsigned users;
    struct acl_user *standard; /* "default" */
    char *password;            /* of the directive requirepass, as the default user has it */
    struct acl_log log[CONFIG_WORKERS];
    _Atomic(uint64_t) entries;
};

static const struct slice standard_name = {(const uint8_t *)"default", 7};

/* -- users -- */

static struct acl_user *user_new(struct slice name, struct rights *rights)
{
    struct acl_user *u = malloc(sizeof *u + name.len);
    if (!u)
        return NULL;
    memcpy(u + 1, name.p, name.len);
    *u = (struct acl_user){.name = {(const uint8_t *)(u + 1), name.len}, .rights = *rights, .holders = 1};
    return u;
}

struct acl_user *acl_user_hold(struct acl_user *u)
{
    if (u)
        atomic_fetch_add_explicit(&u->holders, 1, memory_order_relaxed);
    return u;
}

void acl_user_drop(struct acl_user *u)
{
    if (!u || atomic_fetch_sub_explicit(&u->holders, 1, memory_order_acq_rel) != 1)
        return;
    rights_free(&u->rights);
    free(u);
}

static int compare(struct slice a, struct slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.p, b.p, least) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where it stands, or would. */
static unsigned place_of(struct acl_user *const *user, unsigned n, struct slice name)
{
    unsigned low = 0;
    while (n > low) {
        unsigned middle = low + (n - low) / 2;
        if (compare(user[middle]->name, name) < 0)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

static struct acl_user *find(struct acl_user *const *user, unsigned n, struct slice name)
{
    unsigned at = place_of(user, n, name);
    return at < n && slice_eq(user[at]->name, name) ? user[at] : NULL;
}

struct acl_user *acl_user_find(const struct acl *a, struct slice name)
{
    return find(a->user, a->users, name);
}

struct acl_user *acl_user_of(const struct command_env *env, const struct client *c)
{
    return c->user ? c->user : env->acl->standard;
}

unsigned acl_users(const struct acl *a)
{
    return a->users;
}

struct acl_user *acl_user_at(const struct acl *a, unsigned i)
{
    return a->user[i];
}

/* Puts a new user among the others; false without memory: the rights are the caller's still. */
static bool insert(struct acl_user ***list, unsigned *n, struct slice name, struct rights *rights)
{
    struct acl_user **grown = realloc(*list, (*n + 1) * sizeof **list);
    if (grown)
        *list = grown;
    struct acl_user *u = grown ? user_new(name, rights) : NULL;
    if (!u)
        return false;
    unsigned at = place_of(grown, *n, name);
    memmove(grown + at + 1, grown + at, (*n - at) * sizeof *grown);
    grown[at] = u;
    ++*n;
    return true;
}

static bool standard_rights(struct rights *r)
{
    static const char *const rules[] = {"+@all", "~*", "&*", "on", "nopass"};
    if (!rights_init(r, true))
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rights_rule(r, slice_str(rules[i]), true);
    return true;
}

/* -- the default user's password -- */

static bool is_pending(const struct command_env *env)
{
    return strcmp(env->acl->password, env->conf->requirepass) != 0;
}

static bool set_password(struct acl *a, const char *password)
{
    char *copy = strdup(password), hash[SECRET_HEX + 1] = "";
    struct words passwords = {0};
    bool good = copy && (!*password || (secret_hash(slice_str(password), hash) &&
                                        words_add(&passwords, 0, slice_str(hash))));
    if (!good) {
        free(copy);
        return false;
    }
    words_clear(&a->standard->rights.passwords);
    a->standard->rights.passwords = passwords;
    a->standard->rights.no_password = !*password;
    free(a->password);
    a->password = copy;
    return true;
}

bool acl_settle(const struct command_env *env)
{
    return !is_pending(env) || set_password(env->acl, env->conf->requirepass);
}

bool acl_no_password(const struct command_env *env)
{
    return is_pending(env) ? !*env->conf->requirepass : env->acl->standard->rights.no_password;
}

bool acl_open(const struct command_env *env)
{
    return env->acl->standard->rights.enabled && acl_no_password(env);
}

/* -- making -- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What a backslash in quotes stands for; *at is on its last character then. */
static char escaped(char **at)
{
    static const char letters[] = "nrtab", named[] = "\n\r\t\a\b";
    char *p = ++*at;
    const char *letter = strchr(letters, *p);
    if (*p == 'x' && digit(p[1]) >= 0 && digit(p[2]) >= 0) {
        *at += 2;
        return (char)(digit(p[1]) << 4 | digit(p[2]));
    }
    return letter ? named[letter - letters] : *p;
}

/* The next word of a directive, which may stand in quotes; in its place. False at the end. */
static bool next_word(char **at, struct slice *word)
{
    char *p = *at, *to;
    while (*p == ' ')
        p++;
    if (!*p)
        return false;
    bool quoted = *p == '"';
    char end = quoted ? '"' : ' ';
    p += quoted;
    to = p;
    word->p = (uint8_t *)p;
    for (; *p && *p != end; p++)
        *to++ = quoted && *p == '\\' && p[1] ? escaped(&p) : *p;
    word->len = (size_t)(to - (char *)(uintptr_t)word->p);
    *at = *p ? p + 1 : p;
    return true;
}

static bool is_spaced(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == 0 || (name.p[i] >= '\t' && name.p[i] <= '\r') || name.p[i] == ' ')
            return true;
    return false;
}

/* One `user` directive. */
static bool add_configured(struct acl *a, const struct config *conf, int words, const struct slice *word, char *error,
                           size_t size)
{
    char why[ACL_WHY] = "Out of memory";
    struct rights rights;
    struct acl_user *known = words ? acl_user_find(a, word[0]) : NULL;
    snprintf(error, size, "user without a name, or a name with blanks");
    if (!words || is_spaced(word[0]))
        return false;
    int shown = (int)(word[0].len < 64 ? word[0].len : 64);
    bool good = rights_init(&rights, conf->acl_all_channels);
    if (good && !(good = rights_rules(&rights, words - 1, word + 1, conf->acl_all_channels, why, sizeof why)))
        rights_free(&rights);
    if (good && known) {
        rights_free(&known->rights);
        known->rights = rights;
    } else if (good && !(good = insert(&a->user, &a->users, word[0], &rights))) {
        rights_free(&rights);
    }
    snprintf(error, size, "user %.*s: %s", shown, (const char *)word[0].p, good ? "" : why);
    return good;
}

static bool add_line(struct acl *a, const struct config *conf, const char *line, char *error, size_t size)
{
    size_t len = strlen(line);
    char *copy = strdup(line), *at = copy;
    struct slice *word = calloc(len / 2 + 2, sizeof *word);
    int n = 0;
    bool good = copy && word;
    snprintf(error, size, "no memory for users");
    while (good && next_word(&at, &word[n]))
        n++;
    good = good && add_configured(a, conf, n, word, error, size);
    free(word);
    free(copy);
    return good;
}

static bool is_twice(const struct config *conf, unsigned pair)
{
    const char *line = conf->pair[pair].value;
    size_t name = strcspn(line, " ");
    for (unsigned i = 0; i < pair; i++)
        if (strcmp(conf->pair[i].name, "user") == 0 && strcspn(conf->pair[i].value, " ") == name &&
            strncmp(conf->pair[i].value, line, name) == 0)
            return true;
    return false;
}

static bool add_all(struct acl *a, const struct config *conf, char *error, size_t size)
{
    for (unsigned i = 0; i < conf->pairs; i++) {
        if (strcmp(conf->pair[i].name, "user") != 0)
            continue;
        if (is_twice(conf, i)) {
            snprintf(error, size, "user %.64s: Duplicate user found. A user can only be defined once in config files",
                     conf->pair[i].value);
            return false;
        }
        if (!add_line(a, conf, conf->pair[i].value, error, size))
            return false;
    }
    return true;
}

struct acl *acl_new(const struct config *conf, char *error, size_t size)
{
    struct acl *a = calloc(1, sizeof *a);
    struct rights rights = {0};
    snprintf(error, size, "no memory for users");
    bool good = a && (a->password = strdup("")) && standard_rights(&rights);
    if (good && !(good = insert(&a->user, &a->users, standard_name, &rights)))
        rights_free(&rights);
    if (good) {
        a->standard = a->user[0];
        good = set_password(a, conf->requirepass) && add_all(a, conf, error, size);
    }
    if (good)
        return a;
    acl_free(a);
    return NULL;
}

void acl_free(struct acl *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        acl_log_clear(&a->log[i]);
    while (a->users)
        acl_user_drop(a->user[--a->users]);
    free(a->user);
    free(a->password);
    free(a);
}

struct acl_log *acl_log_of(struct acl *a, unsigned i)
{
    return &a->log[i];
}

uint64_t acl_next_entry(struct acl *a)
{
    return atomic_fetch_add_explicit(&a->entries, 1, memory_order_relaxed);
}

/* -- clients follow their users -- */

static void set_flags(struct client *c, const struct acl_user *u)
{
    c->flags &= ~(uint32_t)CLIENT_UNLIMITED;
    if (c->flags & CLIENT_AUTHENTICATED && rights_unlimited(&u->rights))
        c->flags |= CLIENT_UNLIMITED;
}

void acl_welcome(const struct command_env *env, struct client *c)
{
    if (!acl_open(env))
        return;
    c->flags |= CLIENT_AUTHENTICATED;
    set_flags(c, env->acl->standard);
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

static void follow_all(const struct request *rq, const struct acl_user *user)
{
    struct follow f = {rq, user};
    rq->env->box->each_client(rq->env, NULL, follow, &f);
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
static bool change(struct acl_user *u, struct rights *rights)
{
    struct rights before = u->rights;
    u->rights = *rights;
    u->narrowed = is_narrower(rights, &before);
    bool matters = u->narrowed || rights_unlimited(rights) != rights_unlimited(&before);
    rights_free(&before);
    return matters;
}

bool acl_set(const struct request *rq, struct slice name, int rules, const struct slice *rule, char *why, size_t size)
{
    struct acl *a = rq->env->acl;
    struct acl_user *u = acl_user_find(a, name);
    bool open = rq->env->conf->acl_all_channels;
    struct rights rights;
    if (is_spaced(name)) {
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
        if (change(u, &rights))
            follow_all(rq, u);
        return true;
    }
    bool good = insert(&a->user, &a->users, name, &rights);
    if (!good)
        rights_free(&rights);
    return good;
}

bool acl_delete(const struct request *rq, struct slice name)
{
    struct acl *a = rq->env->acl;
    unsigned at = place_of(a->user, a->users, name);
    struct acl_user *u = acl_user_find(a, name);
    if (!u || u == a->standard)
        return false;
    memmove(a->user + at, a->user + at + 1, (--a->users - at) * sizeof *a->user);
    follow_all(rq, u);
    acl_user_drop(u);
    return true;
}

/* -- ACL LOAD -- */

struct loading {
    const struct config *conf;
    struct slice file;
    struct acl_user **user;
    unsigned users;
    struct text *why;
    bool no_memory;
};

static struct slice trim(struct slice s, const char *what)
{
    while (s.len && strchr(what, s.p[0]) && s.p[0])
        s.p++, s.len--;
    while (s.len && strchr(what, s.p[s.len - 1]) && s.p[s.len - 1])
        s.len--;
    return s;
}

static int shown(struct slice s)
{
    return (int)(s.len < 256 ? s.len : 256);
}

static void load_rules(struct loading *l, struct rights *r, int number, int n, const struct slice *rule)
{
    int bad, count;
    bool told = false;
    struct word *joined = calloc((size_t)n + 1, sizeof *joined);
    count = joined ? rules_join(n, rule, joined, &bad) : -2;
    l->no_memory |= count == -2;
    if (count == -1)
        text_addf(l->why, "%.*s:%d: Unmatched parenthesis in selector definition.", shown(l->file), (const char *)l->file.p,
                  number);
    for (int i = 0; i < count; i++) {
        struct slice op = trim(joined[i].text, "\t\r\n");
        enum rule_error error = rights_rule(r, op, l->conf->acl_all_channels);
        l->no_memory |= error == RULE_NO_MEMORY;
        if (error == RULE_NO_COMMAND)
            text_addf(l->why, "%.*s:%d: Error in applying operation '%.*s': %s. ", shown(l->file),
                      (const char *)l->file.p, number, shown(op), (const char *)op.p, rule_error_text(error));
        else if (error != RULE_GOOD && !told) {
            text_addf(l->why, "%.*s:%d: %s. ", shown(l->file), (const char *)l->file.p, number, rule_error_text(error));
            told = true;
        }
    }
    if (count > 0)
        rules_free(joined, count);
    free(joined);
}

static void load_words(struct loading *l, int number, int n, const struct slice *word)
{
    struct rights rights;
    if (!slice_eq(word[0], SLICE_LIT("user")) || n < 2) {
        text_addf(l->why, "%.*s:%d should start with user keyword followed by the username. ", shown(l->file),
                  (const char *)l->file.p, number);
        return;
    }
    if (is_spaced(word[1])) {
        text_addf(l->why, "'%.*s:%d: username '%.*s' contains invalid characters. ", shown(l->file),
                  (const char *)l->file.p, number, shown(word[1]), (const char *)word[1].p);
        return;
    }
    if (find(l->user, l->users, word[1])) {
        text_addf(l->why, "WARNING: Duplicate user '%.*s' found on line %d. ", shown(word[1]), (const char *)word[1].p,
                  number);
        return;
    }
    if (!rights_init(&rights, l->conf->acl_all_channels)) {
        l->no_memory = true;
        return;
    }
    load_rules(l, &rights, number, n - 2, word + 2);
    if (!insert(&l->user, &l->users, word[1], &rights)) {
        l->no_memory = true;
        rights_free(&rights);
    }
}

static void load_line(struct loading *l, int number, struct slice line)
{
    line = trim(line, " \t\r\n");
    struct slice *word = line.len ? calloc(line.len + 1, sizeof *word) : NULL;
    int n = 0;
    l->no_memory |= line.len && !word;
    for (size_t at = 0; word && at <= line.len; n++) {
        const uint8_t *blank = memchr(line.p + at, ' ', line.len - at);
        size_t end = blank ? (size_t)(blank - line.p) : line.len;
        word[n] = (struct slice){line.p + at, end - at};
        at = end + 1;
    }
    if (n)
        load_words(l, number, n, word);
    free(word);
}

/* Those that stay keep their struct, since clients have it. */
static void take_loaded(const struct request *rq, struct loading *l)
{
    struct acl *a = rq->env->acl;
    struct acl_user **before = a->user;
    unsigned n = a->users;
    for (unsigned i = 0; i < l->users; i++) {
        struct acl_user *known = find(before, n, l->user[i]->name), *loaded = l->user[i];
        if (!known)
            continue;
        change(known, &loaded->rights);
        loaded->rights = (struct rights){0};
        acl_user_drop(loaded);
        l->user[i] = acl_user_hold(known);
    }
    a->user = l->user;
    a->users = l->users;
    follow_all(rq, NULL);
    for (unsigned i = 0; i < n; i++)
        acl_user_drop(before[i]);
    free(before);
}

bool acl_load(const struct request *rq, struct slice file, int lines, const struct slice *line, struct text *why)
{
    struct loading l = {.conf = rq->env->conf, .file = file, .why = why};
    struct rights rights;
    for (int i = 0; i < lines; i++)
        load_line(&l, i + 1, line[i]);
    if (!why->len && !find(l.user, l.users, standard_name)) {
        bool good = standard_rights(&rights);
        if (good && !(good = insert(&l.user, &l.users, standard_name, &rights)))
            rights_free(&rights);
        l.no_memory |= !good;
    }
    l.no_memory |= why->failed || !acl_settle(rq->env);
    if (!why->len && !l.no_memory) {
        take_loaded(rq, &l);
        return true;
    }
    while (l.users)
        acl_user_drop(l.user[--l.users]);
    free(l.user);
    if (l.no_memory)
        text_add(why, SLICE_LIT("Out of memory. "));
    text_add(why, SLICE_LIT("WARNING: ACL errors detected, no change to the previously active ACL rules was performed"));
    return false;
}

/* -- logging in -- */

static bool has_password(const struct command_env *env, const struct acl_user *u, const char *hash)
{
    char wanted[SECRET_HEX + 1];
    if (u == env->acl->standard && is_pending(env))
        return secret_hash(slice_str(env->conf->requirepass), wanted) && secret_same(hash, (const uint8_t *)wanted);
    bool same = false;
    for (unsigned i = 0; i < u->rights.passwords.n; i++)
        same |= secret_same(hash, u->rights.passwords.p[i].text.p);
    return same;
}

bool acl_login(const struct request *rq, struct slice user, struct slice password)
{
    struct acl_user *u = acl_user_find(rq->env->acl, user);
    struct client *c = rq->client;
    char hash[SECRET_HEX + 1];
    bool hashed = secret_hash(password, hash), standard = u && u == rq->env->acl->standard;
    bool free_entry = u && (standard ? acl_no_password(rq->env) : u->rights.no_password);
    if (!hashed || !u || !u->rights.enabled || !(free_entry || has_password(rq->env, u, hash))) {
        acl_note(rq, DENIED_LOGIN, c->flags & CLIENT_MULTI ? ACL_IN_MULTI : ACL_TOPLEVEL, rq->argv[0], user);
        return false;
    }
    struct acl_user *before = c->user;
    c->user = standard ? NULL : acl_user_hold(u);
    acl_user_drop(before);
    c->flags |= CLIENT_AUTHENTICATED;
    set_flags(c, u);
    return true;
}

/* -- judging -- */

static void say_why(const struct acl_user *u, const struct command *cmd, enum judgement verdict, struct slice what,
                    char *why, bool detail)
{
    int name = shown(u->name);
    const char *kind = verdict == VERDICT_KEY ? "key" : "channel";
    if (verdict == VERDICT_COMMAND)
        snprintf(why, ACL_WHY, "User %.*s has no permissions to run the '%s' command", name, (const char *)u->name.p,
                 cmd->full_name);
    else if (detail)
        snprintf(why, ACL_WHY, "User %.*s has no permissions to access the '%.*s' %s", name, (const char *)u->name.p,
                 shown(what), (const char *)what.p, kind);
    else
        snprintf(why, ACL_WHY, "No permissions to access a %s", kind);
}

enum judgement acl_verdict(const struct acl_user *u, const struct command *cmd, int argc, const struct slice *argv,
                         char *why, bool detail)
{
    int position;
    enum judgement verdict = rights_verdict(&u->rights, cmd, argc, argv, &position);
    if (verdict != VERDICT_MAY)
        say_why(u, cmd, verdict, argv[position], why, detail);
    return verdict;
}

enum judgement acl_judge(const struct request *rq, enum acl_context context, char *why)
{
    struct acl_user *u = acl_user_of(rq->env, rq->client);
    int position;
    enum judgement verdict = rights_verdict(&u->rights, rq->cmd, rq->argc, rq->argv, &position);
    if (verdict == VERDICT_MAY)
        return verdict;
    say_why(u, rq->cmd, verdict, rq->argv[position], why, false);
    acl_note(rq, (enum denied)(verdict - VERDICT_COMMAND + DENIED_COMMAND), context,
             verdict == VERDICT_COMMAND ? slice_str(rq->cmd->full_name) : rq->argv[position], u->name);
    return verdict;
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
