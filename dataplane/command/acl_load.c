/* acl_load.c: the users of a file (ACL LOAD), or of a configuration, instead of those there are. See acl.h. */
#include "command/acl_box.h"

#include <stdio.h>
#include <stdlib.h>

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
        text_addf(l->why, "%.*s:%d: Unmatched parenthesis in selector definition.", shown(l->file),
                  (const char *)l->file.p, number);
    for (int i = 0; i < count; i++) {
        struct slice op = trim(joined[i].text, "\t\r\n");
        enum rule_error error = rights_rule(r, op, l->conf->acl_all_channels);
        l->no_memory |= error == RULE_NO_MEMORY;
        if (error == RULE_NO_COMMAND)
            text_addf(l->why, "%.*s:%d: Error in applying operation '%.*s': %s. ", shown(l->file),
                      (const char *)l->file.p, number, shown(op), (const char *)op.p, rule_error_text(error));
        else if (error != RULE_GOOD && !told) {
            text_addf(l->why, "%.*s:%d: %s. ", shown(l->file), (const char *)l->file.p, number,
                      rule_error_text(error));
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
    if (acl_is_spaced(word[1])) {
        text_addf(l->why, "'%.*s:%d: username '%.*s' contains invalid characters. ", shown(l->file),
                  (const char *)l->file.p, number, shown(word[1]), (const char *)word[1].p);
        return;
    }
    if (acl_find(l->user, l->users, word[1])) {
        text_addf(l->why, "WARNING: Duplicate user '%.*s' found on line %d. ", shown(word[1]),
                  (const char *)word[1].p, number);
        return;
    }
    if (!rights_init(&rights, l->conf->acl_all_channels)) {
        l->no_memory = true;
        return;
    }
    load_rules(l, &rights, number, n - 2, word + 2);
    if (!acl_insert(&l->user, &l->users, word[1], &rights)) {
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
static void take_users(const struct request *rq, struct acl_user **user, unsigned users)
{
    struct acl *a = rq->env->acl;
    struct acl_user **before = a->user;
    unsigned n = a->users;
    for (unsigned i = 0; i < users; i++) {
        struct acl_user *known = acl_find(before, n, user[i]->name), *loaded = user[i];
        if (!known)
            continue;
        acl_change(known, &loaded->rights);
        loaded->rights = (struct rights){0};
        acl_user_drop(loaded);
        user[i] = acl_user_hold(known);
    }
    a->user = user;
    a->users = users;
    acl_follow(rq, NULL);
    for (unsigned i = 0; i < n; i++)
        acl_user_drop(before[i]);
    free(before);
}

bool acl_load(const struct request *rq, struct slice file, int lines, const struct slice *line,
              struct text *why)
{
    struct loading l = {.conf = rq->env->conf, .file = file, .why = why};
    struct rights rights;
    for (int i = 0; i < lines; i++)
        load_line(&l, i + 1, line[i]);
    if (!why->len && !acl_find(l.user, l.users, SLICE_LIT("default"))) {
        bool good = acl_standard_rights(&rights);
        if (good && !(good = acl_insert(&l.user, &l.users, SLICE_LIT("default"), &rights)))
            rights_free(&rights);
        l.no_memory |= !good;
    }
    l.no_memory |= why->failed || !acl_settle(rq->env);
    if (!why->len && !l.no_memory) {
        take_users(rq, l.user, l.users);
        return true;
    }
    while (l.users)
        acl_user_drop(l.user[--l.users]);
    free(l.user);
    if (l.no_memory)
        text_add(why, SLICE_LIT("Out of memory. "));
    text_add(why,
             SLICE_LIT(
                 "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"));
    return false;
}

/* -- those of a configuration -- */

struct acl *acl_read(const struct request *rq, int lines, const struct slice *line, char *why, size_t size)
{
    char **text = calloc((size_t)lines + 1, sizeof *text);
    struct acl *a = NULL;
    bool good = text;
    for (int i = 0; good && i < lines; i++)
        good = (text[i] = strndup((const char *)line[i].p, line[i].len));
    if (good)
        a = acl_of_lines(rq->env->conf, (const char *const *)text, (unsigned)lines, why, size);
    else
        snprintf(why, size, "no memory for users");
    for (int i = 0; text && i < lines; i++)
        free(text[i]);
    free(text);
    return a;
}

bool acl_use(const struct request *rq, int lines, const struct slice *line, char *why, size_t size)
{
    struct acl *a = acl_read(rq, lines, line, why, size);
    if (a && !acl_settle(rq->env)) {
        snprintf(why, size, "no memory for users");
        acl_free(a);
        return false;
    }
    if (!a)
        return false;
    take_users(rq, a->user, a->users);
    a->user = NULL;
    a->users = 0;
    acl_free(a);
    return true;
}
