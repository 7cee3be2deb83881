/* acl_users.c: the users of a box: their table, and those that the configuration names. See acl.h. */
#include "base/secret.h"
#include "command/acl_box.h"

#include <stdio.h>
#include <stdlib.h>

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
unsigned acl_place(struct acl_user *const *user, unsigned n, struct slice name)
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

struct acl_user *acl_find(struct acl_user *const *user, unsigned n, struct slice name)
{
    unsigned at = acl_place(user, n, name);
    return at < n && slice_eq(user[at]->name, name) ? user[at] : NULL;
}

struct acl_user *acl_user_find(const struct acl *a, struct slice name)
{
    return acl_find(a->user, a->users, name);
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
bool acl_insert(struct acl_user ***list, unsigned *n, struct slice name, struct rights *rights)
{
    struct acl_user **grown = realloc(*list, (*n + 1) * sizeof **list);
    if (grown)
        *list = grown;
    struct acl_user *u = grown ? user_new(name, rights) : NULL;
    if (!u)
        return false;
    unsigned at = acl_place(grown, *n, name);
    memmove(grown + at + 1, grown + at, (*n - at) * sizeof *grown);
    grown[at] = u;
    ++*n;
    return true;
}

bool acl_standard_rights(struct rights *r)
{
    static const char *const rules[] = {"+@all", "~*", "&*", "on", "nopass"};
    if (!rights_init(r, true))
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rights_rule(r, slice_str(rules[i]), true);
    return true;
}

/* -- the default user's password -- */

static bool set_password(struct acl *a, const char *password)
{
    char *copy = strdup(password), hash[SECRET_HEX + 1] = "";
    struct words passwords = {0};
    bool good =
        copy &&
        (!*password || (secret_hash(slice_str(password), hash) && words_add(&passwords, 0, slice_str(hash))));
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
    return !acl_is_pending(env) || set_password(env->acl, env->conf->requirepass);
}

bool acl_no_password(const struct command_env *env)
{
    return acl_is_pending(env) ? !*env->conf->requirepass : env->acl->standard->rights.no_password;
}

/* Protected mode lets nobody in by the ports of the box without a password, but by a listener that has a user of its own
 * (also one that has gone since). */
static bool is_protected(const struct command_env *env, const struct client *c)
{
    const struct config *conf = env->conf;
    uint16_t port = c->local.port;
    return conf->protected_mode && port && port != conf->port && port != conf->tls_port && config_worker_of_port(conf, port) < 0;
}

bool acl_free_entry(const struct command_env *env, const struct client *c)
{
    return acl_no_password(env) && !is_protected(env, c);
}

bool acl_open(const struct command_env *env, const struct client *c)
{
    const struct rights *r = &env->acl->standard->rights;
    return r->enabled && !r->certificate_only && acl_free_entry(env, c);
}

/* -- making -- */

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
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

bool acl_is_spaced(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == 0 || (name.p[i] >= '\t' && name.p[i] <= '\r') || name.p[i] == ' ')
            return true;
    return false;
}

/* One `user` directive. */
static bool add_configured(struct acl *a, const struct config *conf, int words, const struct slice *word,
                           char *error, size_t size)
{
    char why[ACL_WHY] = "Out of memory";
    struct rights rights;
    struct acl_user *known = words ? acl_user_find(a, word[0]) : NULL;
    snprintf(error, size, "user without a name, or a name with blanks");
    if (!words || acl_is_spaced(word[0]))
        return false;
    int shown = (int)(word[0].len < 64 ? word[0].len : 64);
    bool good = rights_init(&rights, conf->acl_all_channels);
    if (good && !(good = rights_rules(&rights, words - 1, word + 1, conf->acl_all_channels, why, sizeof why)))
        rights_free(&rights);
    if (good && known) {
        rights_free(&known->rights);
        known->rights = rights;
    } else if (good && !(good = acl_insert(&a->user, &a->users, word[0], &rights))) {
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

static bool is_twice(const char *const *line, unsigned at)
{
    size_t name = strcspn(line[at], " ");
    for (unsigned i = 0; i < at; i++)
        if (strcspn(line[i], " ") == name && strncmp(line[i], line[at], name) == 0)
            return true;
    return false;
}

static bool add_all(struct acl *a, const struct config *conf, const char *const *line, unsigned n, char *error,
                    size_t size)
{
    for (unsigned i = 0; i < n; i++) {
        if (is_twice(line, i)) {
            snprintf(error, size,
                     "user %.64s: Duplicate user found. A user can only be defined once in config files", line[i]);
            return false;
        }
        if (!add_line(a, conf, line[i], error, size))
            return false;
    }
    return true;
}

struct acl *acl_of_lines(const struct config *conf, const char *const *line, unsigned n, char *error, size_t size)
{
    struct acl *a = calloc(1, sizeof *a);
    struct rights rights = {0};
    snprintf(error, size, "no memory for users");
    bool good = a && (a->password = strdup("")) && acl_standard_rights(&rights);
    if (good && !(good = acl_insert(&a->user, &a->users, standard_name, &rights)))
        rights_free(&rights);
    if (good) {
        a->standard = a->user[0];
        good = set_password(a, conf->requirepass) && add_all(a, conf, line, n, error, size);
    }
    if (good)
        return a;
    acl_free(a);
    return NULL;
}

struct acl *acl_new(const struct config *conf, char *error, size_t size)
{
    const char **line = calloc(conf->pairs + 1, sizeof *line);
    struct acl *a = NULL;
    unsigned n = 0;
    for (unsigned i = 0; line && i < conf->pairs; i++)
        if (strcmp(conf->pair[i].name, "user") == 0)
            line[n++] = conf->pair[i].value;
    if (line)
        a = acl_of_lines(conf, line, n, error, size);
    else
        snprintf(error, size, "no memory for users");
    free(line);
    return a;
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
