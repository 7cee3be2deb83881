/* acl_rights.h: what a user may do: the rules of ACL SETUSER turned into a bit a command and lists of
 * patterns, and back into rules. Knows neither users nor clients.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ */
#pragma once
#include "command/command.h"
#include "command/text.h"

enum {
    RIGHTS_COMMANDS = 1024, /* ids; the last one stands for commands that are not there yet */
    RIGHTS_FUTURE = RIGHTS_COMMANDS - 1
};
enum { RIGHT_READ = 1, RIGHT_WRITE = 2 };

struct word {    /* its text is on the heap */
    unsigned of; /* a key pattern's RIGHT_*, a first argument's command id */
    struct slice text;
    /* As a pattern: what the beginning and the length of a name say of whether it matches. Without special characters, or
     * with a star at the end alone, they mostly say all (`shallow`); for the rest there is glob_match(). */
    uint64_t head, mask; /* a name that matches begins so: at most eight characters */
    size_t least, spare; /* and has so many characters, and at most so many more */
    bool shallow;
};

struct words {
    struct word *p;
    unsigned n;
};

struct selector {
    bool all_keys, all_channels, all_commands;
    uint64_t allowed[RIGHTS_COMMANDS / 64];
    struct words keys, channels;
    struct words firsts; /* first arguments with which a command may run that is not allowed otherwise */
    struct words rules;  /* "+get": what was said of commands since @all, in that order */
};

struct rights {
    bool enabled, no_password;
    bool certificate_only; /* nobody becomes this user but by a client certificate */
    bool sanitize; /* skip-sanitize-payload or sanitize-payload: kept, shown, and without effect */
    struct words passwords; /* SHA-256 as text */
    struct selector *selector; /* the first one is the user's own, the others are those in parentheses */
    unsigned selectors;
};

/* A user's that was just made: off, nothing allowed but, if so told, all channels. False without memory. */
bool rights_init(struct rights *r, bool all_channels);
void rights_free(struct rights *r);
/* False without memory: then there is nothing to free. */
bool rights_copy(struct rights *to, const struct rights *from);
/* Nothing of what it may run needs a look. */
static inline bool rights_unlimited(const struct rights *r)
{
    const struct selector *own = r->selector;
    return own->all_commands && own->all_keys && own->all_channels;
}

enum rule_error {
    RULE_GOOD,
    RULE_NO_COMMAND,
    RULE_SYNTAX,
    RULE_ALL_KEYS,
    RULE_ALL_CHANNELS,
    RULE_NO_PASSWORD,
    RULE_NO_HASH,
    RULE_OF_SUBCOMMAND,
    RULE_NO_MEMORY
};

/* Applies one rule. After an error the rights are to be thrown away. all_channels: what `reset` and new
 * selectors begin with (acl-pubsub-default). */
enum rule_error rights_rule(struct rights *r, struct slice rule, bool all_channels);
const char *rule_error_text(enum rule_error error);
/* Applies all; selectors may be spread over several arguments. On an error says why: "Error in ACL SETUSER
 * modifier 'x': ..." in why, of size bytes, and which error in *error if that is not NULL. */
bool rights_rules(struct rights *r, int n, const struct slice *rule, bool all_channels, char *why,
                  size_t size);
/* Joins what stands between parentheses; into `joined` (n of them), texts on the heap where of is 1. Returns
 * how many, -1: the argument *bad opens one that is not closed, -2: no memory. Free with rules_free(). */
int rules_join(int n, const struct slice *rule, struct word *joined, int *bad);
void rules_free(struct word *joined, int n);

/* " on nopass ~* &* +@all", a blank before each word; and its parts. */
void rights_describe(const struct rights *r, struct text *t);
void selector_commands(const struct selector *s, struct text *t);
void selector_keys(const struct selector *s, struct text *t);
void selector_channels(const struct selector *s, struct text *t);

/* -- what is allowed -- */

enum judgement { VERDICT_MAY, VERDICT_COMMAND, VERDICT_KEY, VERDICT_CHANNEL };

/* May it be run with these arguments? Otherwise *position is the key's or channel's that is to blame. */
enum judgement rights_verdict(const struct rights *r, const struct command *cmd, int argc,
                              const struct slice *argv, int *position);
/* The same without saying why not. */
bool rights_may(const struct rights *r, const struct command *cmd, int argc, const struct slice *argv);
/* The same, and does what allows it also allow to read every key (SORT BY and GET)? */
bool rights_read_all(const struct rights *r, const struct command *cmd, int argc, const struct slice *argv);
/* Calls of a command with one key, n of them, `step` slices from the key of one to that of the next: how many are allowed
 * before the first that is not, or needs a closer look. */
unsigned rights_in_row(const struct rights *r, const struct command *cmd, const struct slice *key, unsigned step,
                       unsigned n);
/* Is a subscription to it allowed by the patterns? */
bool channels_allow(const struct words *channels, struct slice name, bool pattern);

/* -- lists -- */

bool words_add(struct words *w, unsigned of, struct slice text); /* false without memory */
struct word *words_find(const struct words *w, struct slice text);
void words_remove(struct words *w, struct word *which);
void words_clear(struct words *w);
bool words_copy(struct words *to, const struct words *from); /* false without memory: nothing to free */
