/* acl_check.c: may this command be run with these arguments? See acl_rights.h. */
#include "base/glob.h"
#include "command/acl_rights.h"
#include "command/pubsub_commands.h"

/* -- commands -- */

static inline bool has_bit(const struct selector *s, const struct command *cmd)
{
    return s->allowed[cmd->id / 64] >> cmd->id % 64 & 1;
}

/* Allowed with that first argument alone? */
static bool first_allowed(const struct selector *s, const struct command *cmd, int argc,
                          const struct slice *argv)
{
    for (unsigned i = 0; argc > 1 && i < s->firsts.n; i++)
        if (s->firsts.p[i].of == cmd->id && slice_is(argv[1], (const char *)s->firsts.p[i].text.p))
            return true;
    return false;
}

static bool command_allowed(const struct selector *s, const struct command *cmd, int argc,
                            const struct slice *argv)
{
    return has_bit(s, cmd) || s->all_commands || cmd->flags & CMD_NO_AUTH || first_allowed(s, cmd, argc, argv);
}

/* -- patterns -- */

static __attribute__((noinline)) uint64_t short_head(struct slice name)
{
    uint64_t head = 0;
    if (name.len)
        memcpy(&head, name.p, name.len);
    return head;
}

/* The name's first eight bytes, zeros where it is shorter. */
static inline uint64_t head_of(struct slice name)
{
    uint64_t head;
    if (name.len < 8)
        return short_head(name);
    memcpy(&head, name.p, 8);
    return head;
}

static inline bool word_matches(const struct word *w, struct slice name, uint64_t head)
{
    if ((head ^ w->head) & w->mask || name.len - w->least > w->spare)
        return false;
    return w->shallow || glob_match(w->text, name, false);
}

/* -- keys -- */

static unsigned rights_of(unsigned key_flags)
{
    return (key_flags & KEY_ACCESS ? RIGHT_READ : 0) |
           (key_flags & (KEY_INSERT | KEY_DELETE | KEY_UPDATE) ? RIGHT_WRITE : 0);
}

/* The pattern that gives these rights to a key, or NULL. */
static inline const struct word *pattern_of(const struct selector *s, unsigned rights, struct slice key)
{
    const uint64_t head = head_of(key);
    for (const struct word *w = s->keys.p, *end = w + s->keys.n; w < end; w++)
        if (word_matches(w, key, head) && (w->of & rights) == rights)
            return w;
    return NULL;
}

struct key_check {
    const struct selector *s;
    const struct slice *argv;
    int bad;
};

static bool key_allowed(int position, unsigned flags, void *arg)
{
    struct key_check *check = arg;
    if (pattern_of(check->s, rights_of(flags), check->argv[position]))
        return true;
    check->bad = position;
    return false;
}

/* Where all keys are; else *position is one that is not allowed. */
static inline bool keys_allowed(const struct selector *s, const struct command *cmd, int argc,
                                const struct slice *argv, int *position)
{
    if (s->all_keys || cmd->key_kind == COMMAND_NO_KEY)
        return true;
    if (cmd->key_kind == COMMAND_ONE_KEY && cmd->key_first < argc && !(cmd->key[0].flags & KEY_VARIABLE)) {
        *position = cmd->key_first;
        return pattern_of(s, rights_of(cmd->key[0].flags), argv[cmd->key_first]);
    }
    struct key_check check = {s, argv, 0};
    bool good = command_each_key(cmd, argc, argv, key_allowed, &check);
    *position = check.bad;
    return good;
}

/* The pattern of any selector that lets this command have this key. */
static __attribute__((noinline)) const struct word *pattern_for(const struct rights *r, const struct command *cmd, unsigned rights,
                                                                     const struct slice *key)
{
    static const struct word any = {.spare = SIZE_MAX / 2, .shallow = true};
    for (const struct selector *s = r->selector, *end = s + r->selectors; s < end; s++) {
        const struct word *w = has_bit(s, cmd) ? s->all_keys ? &any : pattern_of(s, rights, *key) : NULL;
        if (w)
            return w;
    }
    return NULL;
}

/* Where the first key is that is not one of the long names, as most are, of which the pattern's beginning and length say
 * all; or the end. */
static inline const struct slice *alike(const struct word *w, const struct slice *key, unsigned step,
                                        const struct slice *end)
{
    const uint64_t head = w->head, mask = w->mask;
    const size_t least = w->least < 8 ? 8 : w->least, spare = w->least + w->spare - least;
    if (!w->shallow || w->least + w->spare < least)
        return key;
    for (; key < end && key->len - least <= spare; key += step) {
        uint64_t mine;
        memcpy(&mine, key->p, 8);
        if ((mine ^ head) & mask)
            break;
    }
    return key;
}

static __attribute__((noinline)) unsigned several_in_row(const struct rights *r, const struct command *cmd,
                                                         const struct slice *key, unsigned step, unsigned n)
{
    const unsigned rights = rights_of(cmd->key[0].flags);
    const struct slice *at = key, *end = key + (size_t)n * step;
    while (at < end) { /* mostly the pattern of one key is that of the next */
        const struct word *w = pattern_for(r, cmd, rights, at);
        if (!w)
            break;
        at = alike(w, at + step, step, end);
    }
    return (unsigned)((size_t)(at - key) / step);
}

unsigned rights_in_row(const struct rights *r, const struct command *cmd, const struct slice *key, unsigned step,
                       unsigned n)
{
    if (n != 1)
        return several_in_row(r, cmd, key, step, n);
    return pattern_for(r, cmd, rights_of(cmd->key[0].flags), key) != NULL;
}

/* -- channels -- */

/* Which arguments are channels that a message goes to or that are subscribed to: first..last; 0: none. */
static int channels_of(const struct command *cmd, int argc, int *last, bool *pattern)
{
    *pattern = cmd->run == psubscribe_run;
    *last = argc - 1;
    if (cmd->run == subscribe_run || cmd->run == ssubscribe_run || *pattern)
        return 1;
    *last = 1;
    return cmd->run == publish_run || cmd->run == spublish_run;
}

bool channels_allow(const struct words *channels, struct slice name, bool pattern)
{
    for (unsigned i = 0; i < channels->n; i++)
        if (pattern ? slice_eq(channels->p[i].text, name)
                    : word_matches(&channels->p[i], name, head_of(name)))
            return true;
    return false;
}

static bool channels_allowed(const struct selector *s, const struct command *cmd, int argc,
                             const struct slice *argv, int *position)
{
    int last;
    bool pattern;
    int first = channels_of(cmd, argc, &last, &pattern);
    for (int i = first; first && i <= last && i < argc; i++) /* a script may ask about a command without arguments */
        if (!channels_allow(&s->channels, argv[i], pattern)) {
            *position = i;
            return false;
        }
    return true;
}

/* -- together -- */

static inline enum judgement selector_verdict(const struct selector *s, const struct command *cmd, int argc,
                                       const struct slice *argv, int *position)
{
    *position = 0;
    if (!command_allowed(s, cmd, argc, argv))
        return VERDICT_COMMAND;
    if (!keys_allowed(s, cmd, argc, argv, position))
        return VERDICT_KEY;
    if (!s->all_channels && cmd->flags & CMD_PUBSUB && !channels_allowed(s, cmd, argc, argv, position))
        return VERDICT_CHANNEL;
    return VERDICT_MAY;
}

/* Of several refusals the one that got furthest is told. */
enum judgement rights_verdict(const struct rights *r, const struct command *cmd, int argc,
                              const struct slice *argv, int *position)
{
    enum judgement worst = VERDICT_COMMAND;
    *position = 0;
    for (unsigned i = 0; i < r->selectors; i++) {
        int at;
        enum judgement verdict = selector_verdict(&r->selector[i], cmd, argc, argv, &at);
        if (verdict == VERDICT_MAY)
            return VERDICT_MAY;
        if (verdict > worst || (verdict == worst && at > *position)) {
            worst = verdict;
            *position = at;
        }
    }
    return worst;
}

/* Most commands have one key and are allowed: then a selector that has both says all. */
bool rights_may(const struct rights *r, const struct command *cmd, int argc, const struct slice *argv)
{
    int position;
    if (cmd->key_kind == COMMAND_ONE_KEY && cmd->key_first < argc && !(cmd->key[0].flags & KEY_VARIABLE) && !(cmd->flags & CMD_PUBSUB) &&
        pattern_for(r, cmd, rights_of(cmd->key[0].flags), &argv[cmd->key_first]))
        return true;
    return rights_verdict(r, cmd, argc, argv, &position) == VERDICT_MAY;
}

static bool reads_all(const struct selector *s)
{
    const struct word *all = words_find(&s->keys, SLICE_LIT("*"));
    return s->all_keys || (all && all->of & RIGHT_READ);
}

bool rights_read_all(const struct rights *r, const struct command *cmd, int argc, const struct slice *argv)
{
    for (unsigned i = 0; i < r->selectors; i++) {
        int at;
        if (reads_all(&r->selector[i]) &&
            selector_verdict(&r->selector[i], cmd, argc, argv, &at) == VERDICT_MAY)
            return true;
    }
    return false;
}
