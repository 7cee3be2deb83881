/* acl_rules.c: the rules of ACL SETUSER. See acl_rights.h.
 * https://redis.io/docs/latest/commands/acl-setuser/ */
#include "base/secret.h"
#include "command/acl_rights.h"
#include "command/introspect.h"
#include "command/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static enum rule_error added(bool good)
{
    return good ? RULE_GOOD : RULE_NO_MEMORY;
}

static struct slice from(struct slice s, size_t at)
{
    return (struct slice){s.p + at, s.len - at};
}

static bool has_space(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (isspace(s.p[i]) || s.p[i] == 0)
            return true;
    return false;
}

/* -- commands -- */

/* By the name that rename-command does not change. */
static const struct command *find_command(struct slice name)
{
    for (unsigned i = 0; i < command_ids(); i++) {
        const struct command *cmd = command_by_id(i);
        if (cmd && slice_is(name, cmd->full_name))
            return cmd;
    }
    return NULL;
}

static void allow_id(struct selector *s, unsigned id, bool allow)
{
    uint64_t bit = 1ull << id % 64;
    s->allowed[id / 64] = (s->allowed[id / 64] & ~bit) | (allow ? bit : 0);
    s->all_commands &= allow;
}

/* With its sub-commands. */
static void allow_command(struct selector *s, const struct command *cmd, bool allow)
{
    allow_id(s, cmd->id, allow);
    for (unsigned i = 0; i < s->firsts.n;)
        if (s->firsts.p[i].of == cmd->id)
            words_remove(&s->firsts, &s->firsts.p[i]);
        else
            i++;
    for (const struct command *sub = cmd->sub; sub && sub->name; sub++)
        allow_id(s, sub->id, allow);
}

static void allow_category(struct selector *s, uint32_t category, bool allow)
{
    for (unsigned i = 0; i < command_ids(); i++) {
        const struct command *cmd = command_by_id(i);
        if (cmd && cmd->acl & category)
            allow_command(s, cmd, allow);
    }
}

static enum rule_error allow_all(struct selector *s, bool allow)
{
    memset(s->allowed, allow ? 255 : 0, sizeof s->allowed);
    s->all_commands = allow;
    words_clear(&s->firsts);
    words_clear(&s->rules);
    return RULE_GOOD;
}

/* Is it the same rule without its sign, or one about a sub-command of what `rule` is about? */
static bool is_covered(struct slice old, struct slice rule)
{
    if (old.len < rule.len || memcmp(old.p + 1, rule.p + 1, rule.len - 1) != 0)
        return false;
    return old.len == rule.len || old.p[rule.len] == '|';
}

/* Notes what was said, in place of what it makes void. */
static enum rule_error note(struct selector *s, struct slice rule)
{
    if (!words_add(&s->rules, 0, rule))
        return RULE_NO_MEMORY;
    struct word *mine = &s->rules.p[s->rules.n - 1];
    uint8_t *text = (uint8_t *)(uintptr_t)mine->text.p;
    for (size_t i = 0; i < rule.len; i++)
        text[i] = (uint8_t)tolower(text[i]);
    struct slice lower = mine->text;
    for (unsigned i = 0; i + 1 < s->rules.n;)
        if (is_covered(s->rules.p[i].text, lower))
            words_remove(&s->rules, &s->rules.p[i]);
        else
            i++;
    return RULE_GOOD;
}

/* "+select|0" where SELECT has no sub-commands. */
static enum rule_error allow_first(struct selector *s, const struct command *cmd, struct slice first)
{
    for (unsigned i = 0; i < s->firsts.n; i++)
        if (s->firsts.p[i].of == cmd->id && slice_is(first, (const char *)s->firsts.p[i].text.p))
            return RULE_GOOD;
    return added(words_add(&s->firsts, cmd->id, first));
}

static enum rule_error add_part(struct selector *s, struct slice rule, size_t bar)
{
    struct slice name = from(rule, 1), first = from(name, bar + 1);
    name.len = bar;
    const struct command *cmd = find_command(name);
    if (!cmd)
        return RULE_NO_COMMAND;
    if (cmd->parent)
        return RULE_OF_SUBCOMMAND;
    if (first.len == 0)
        return RULE_SYNTAX;
    if (!cmd->sub)
        return allow_first(s, cmd, first) == RULE_GOOD ? note(s, rule) : RULE_NO_MEMORY;
    cmd = find_command(from(rule, 1));
    if (!cmd)
        return RULE_NO_COMMAND;
    allow_command(s, cmd, true);
    return note(s, rule);
}

static enum rule_error command_rule(struct selector *s, struct slice rule)
{
    bool allow = rule.p[0] == '+';
    struct slice name = from(rule, 1);
    if (name.len && name.p[0] == '@') {
        uint32_t category = bit_by_name(acl_category_names, from(name, 1));
        if (!category)
            return RULE_NO_COMMAND;
        allow_category(s, category, allow);
        return note(s, rule);
    }
    const uint8_t *bar = name.len ? memrchr(name.p, '|', name.len) : NULL;
    if (allow && bar)
        return add_part(s, rule, (size_t)(bar - name.p));
    const struct command *cmd = find_command(name);
    if (!cmd)
        return RULE_NO_COMMAND;
    allow_command(s, cmd, allow);
    return note(s, rule);
}

/* -- keys and channels -- */

/* "~p", "%R~p", "%RW~p": which rights, and where the pattern begins. */
static unsigned key_rights(struct slice rule, size_t *pattern)
{
    unsigned rights = 0;
    size_t i = 1;
    if (rule.p[0] == '~') {
        *pattern = 1;
        return RIGHT_READ | RIGHT_WRITE;
    }
    for (; i < rule.len && rule.p[i] != '~'; i++) {
        unsigned right = toupper(rule.p[i]) == 'R' ? RIGHT_READ : toupper(rule.p[i]) == 'W' ? RIGHT_WRITE : 0;
        if (!right || rights & right)
            return 0;
        rights |= right;
    }
    *pattern = i < rule.len ? i + 1 : i;
    return rights;
}

static enum rule_error key_rule(struct selector *s, struct slice rule)
{
    size_t at = 0;
    if (s->all_keys)
        return RULE_ALL_KEYS;
    unsigned rights = key_rights(rule, &at);
    if (!rights || has_space(from(rule, at)))
        return RULE_SYNTAX;
    struct word *known = words_find(&s->keys, from(rule, at));
    if (!known)
        return added(words_add(&s->keys, rights, from(rule, at)));
    known->of |= rights;
    return RULE_GOOD;
}

static enum rule_error channel_rule(struct selector *s, struct slice rule)
{
    if (s->all_channels)
        return RULE_ALL_CHANNELS;
    if (has_space(from(rule, 1)))
        return RULE_SYNTAX;
    if (words_find(&s->channels, from(rule, 1)))
        return RULE_GOOD;
    return added(words_add(&s->channels, 0, from(rule, 1)));
}

static enum rule_error set_keys(struct selector *s, bool all)
{
    s->all_keys = all;
    words_clear(&s->keys);
    return RULE_GOOD;
}

static enum rule_error set_channels(struct selector *s, bool all)
{
    s->all_channels = all;
    words_clear(&s->channels);
    return RULE_GOOD;
}

/* -- selectors -- */

static enum rule_error selector_rule(struct selector *s, struct slice rule)
{
    static const struct {
        const char *word;
        enum rule_error (*set)(struct selector *s, bool all);
        bool all;
    } words[] = {{"allkeys", set_keys, true},      {"~*", set_keys, true},
                 {"resetkeys", set_keys, false},   {"allchannels", set_channels, true},
                 {"&*", set_channels, true},       {"resetchannels", set_channels, false},
                 {"allcommands", allow_all, true}, {"+@all", allow_all, true},
                 {"nocommands", allow_all, false}, {"-@all", allow_all, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is(rule, words[i].word))
            return words[i].set(s, words[i].all);
    switch (rule.p[0]) {
    case '~':
    case '%':
        return key_rule(s, rule);
    case '&':
        return channel_rule(s, rule);
    case '+':
    case '-':
        return command_rule(s, rule);
    default:
        return RULE_SYNTAX;
    }
}

/* "(~p +get)": one more selector. */
static enum rule_error add_selector(struct rights *r, struct slice rule, bool all_channels)
{
    struct selector *p = realloc(r->selector, (r->selectors + 1) * sizeof *p);
    if (!p)
        return RULE_NO_MEMORY;
    r->selector = p;
    p += r->selectors++;
    *p = (struct selector){.all_channels = all_channels};
    for (size_t at = 1, end; at + 1 < rule.len; at = end) {
        while (at + 1 < rule.len && isspace(rule.p[at]))
            at++;
        for (end = at; end + 1 < rule.len && !isspace(rule.p[end]);)
            end++;
        enum rule_error error =
            end > at ? selector_rule(p, (struct slice){rule.p + at, end - at}) : RULE_GOOD;
        if (error != RULE_GOOD)
            return error;
    }
    return RULE_GOOD;
}

static enum rule_error clear_selectors(struct rights *r)
{
    struct rights rest = {.selector = malloc(sizeof *rest.selector), .selectors = 1};
    if (!rest.selector)
        return RULE_NO_MEMORY;
    struct words passwords = r->passwords;
    *rest.selector = *r->selector;
    *r->selector = (struct selector){0};
    r->passwords = (struct words){0};
    rights_free(r);
    r->selector = rest.selector;
    r->selectors = 1;
    r->passwords = passwords;
    return RULE_GOOD;
}

/* -- users -- */

static enum rule_error reset(struct rights *r, bool all_channels)
{
    struct rights fresh;
    if (!rights_init(&fresh, all_channels))
        return RULE_NO_MEMORY;
    rights_free(r);
    *r = fresh;
    return RULE_GOOD;
}

/* ">password", "#hash", and '<' and '!' to take one away. */
static enum rule_error password_rule(struct rights *r, struct slice rule)
{
    char hash[SECRET_HEX + 1];
    struct slice given = from(rule, 1);
    if (rule.p[0] == '>' || rule.p[0] == '<') {
        if (!secret_hash(given, hash))
            return RULE_NO_MEMORY;
        given = slice_str(hash);
    } else if (!secret_is_hash(given)) {
        return RULE_NO_HASH;
    }
    struct word *known = words_find(&r->passwords, given);
    if (rule.p[0] == '<' || rule.p[0] == '!') {
        if (!known)
            return RULE_NO_PASSWORD;
        words_remove(&r->passwords, known);
        return RULE_GOOD;
    }
    if (!known && !words_add(&r->passwords, 0, given))
        return RULE_NO_MEMORY;
    r->no_password = false;
    return RULE_GOOD;
}

enum rule_error rights_rule(struct rights *r, struct slice rule, bool all_channels)
{
    if (rule.len == 0)
        return RULE_GOOD;
    if (slice_is(rule, "on") || slice_is(rule, "off")) {
        r->enabled = slice_is(rule, "on");
    } else if (slice_is(rule, "certificate-only") || slice_is(rule, "no-certificate-only")) {
        r->certificate_only = slice_is(rule, "certificate-only");
    } else if (slice_is(rule, "skip-sanitize-payload") || slice_is(rule, "sanitize-payload")) {
        r->sanitize = slice_is(rule, "sanitize-payload");
    } else if (slice_is(rule, "nopass") || slice_is(rule, "resetpass")) {
        r->no_password = slice_is(rule, "nopass");
        words_clear(&r->passwords);
    } else if (memchr("><#!", rule.p[0], 4)) {
        return password_rule(r, rule);
    } else if (rule.p[0] == '(' && rule.p[rule.len - 1] == ')') {
        return add_selector(r, rule, all_channels);
    } else if (slice_is(rule, "clearselectors")) {
        return clear_selectors(r);
    } else if (slice_is(rule, "reset")) {
        return reset(r, all_channels);
    } else {
        return selector_rule(r->selector, rule);
    }
    return RULE_GOOD;
}

const char *rule_error_text(enum rule_error error)
{
    static const char *const texts[] = {
        [RULE_NO_COMMAND] = "Unknown command or category name in ACL",
        [RULE_SYNTAX] = "Syntax error",
        [RULE_ALL_KEYS] =
            "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does "
            "not have any effect. Try 'resetkeys' to start with an empty list of patterns",
        [RULE_ALL_CHANNELS] =
            "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
            "does not have any effect. Try 'resetchannels' to start with an empty list of "
            "channels",
        [RULE_NO_PASSWORD] = "The password you are trying to remove from the user does not exist",
        [RULE_NO_HASH] = "The password hash must be exactly 64 characters and contain only lowercase "
                         "hexadecimal characters",
        [RULE_OF_SUBCOMMAND] = "Allowing first-arg of a subcommand is not supported",
        [RULE_NO_MEMORY] = "Out of memory"};
    return texts[error];
}

/* -- several rules -- */

void rules_free(struct word *joined, int n)
{
    for (int i = 0; i < n; i++)
        if (joined[i].of)
            free((void *)(uintptr_t)joined[i].text.p);
}

static bool ends(struct slice s)
{
    return s.len && s.p[s.len - 1] == ')';
}

/* The arguments first..last with blanks between them. */
static bool join(const struct slice *rule, int first, int last, struct word *out)
{
    size_t len = 0;
    for (int i = first; i <= last; i++)
        len += rule[i].len + (i > first);
    uint8_t *p = malloc(len + 1), *at = p;
    if (!p)
        return false;
    for (int i = first; i <= last; i++) {
        if (i > first)
            *at++ = ' ';
        if (rule[i].len)
            memcpy(at, rule[i].p, rule[i].len);
        at += rule[i].len;
    }
    *out = (struct word){.of = 1, .text = {p, len}};
    return true;
}

int rules_join(int n, const struct slice *rule, struct word *joined, int *bad)
{
    int out = 0;
    for (int i = 0; i < n; i++) {
        int last = i;
        if (rule[i].len && rule[i].p[0] == '(')
            while (last < n && !ends(rule[last]))
                last++;
        if (last == n) {
            *bad = i;
            rules_free(joined, out);
            return -1;
        }
        joined[out] = (struct word){.text = rule[i]};
        if (last > i && !join(rule, i, last, &joined[out])) {
            rules_free(joined, out);
            return -2;
        }
        out++;
        i = last;
    }
    return out;
}

static int shown(struct slice s)
{
    return (int)(s.len < 512 ? s.len : 512);
}

bool rights_rules(struct rights *r, int n, const struct slice *rule, bool all_channels, char *why,
                  size_t size)
{
    int bad = 0, i = 0;
    struct word *joined = calloc((size_t)n + 1, sizeof *joined);
    int count = joined ? rules_join(n, rule, joined, &bad) : -2;
    enum rule_error error = RULE_GOOD;
    for (; i < count && error == RULE_GOOD; i++)
        error = rights_rule(r, joined[i].text, all_channels);
    if (count == -1)
        snprintf(why, size, "Unmatched parenthesis in acl selector starting at '%.*s'.", shown(rule[bad]),
                 (const char *)rule[bad].p);
    else if (count < 0 || error == RULE_NO_MEMORY)
        snprintf(why, size, "Out of memory");
    else if (error != RULE_GOOD)
        snprintf(why, size, "Error in ACL SETUSER modifier '%.*s': %s", shown(joined[i - 1].text),
                 (const char *)joined[i - 1].text.p, rule_error_text(error));
    if (count > 0)
        rules_free(joined, count);
    free(joined);
    return count >= 0 && error == RULE_GOOD;
}
