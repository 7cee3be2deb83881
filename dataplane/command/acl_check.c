/* acl_check.c: may this command be run with these arguments? See acl_rights.h. */
#include "base/glob.h"
#include "command/acl_rights.h"
#include "command/pubsub_commands.h"

/* -- commands -- */

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
    return s->all_commands || s->allowed[cmd->id / 64] >> cmd->id % 64 & 1 || cmd->flags & CMD_NO_AUTH ||
           first_allowed(s, cmd, argc, argv);
}

/* -- keys -- */

static unsigned rights_of(unsigned key_flags)
{
    return (key_flags & KEY_ACCESS ? RIGHT_READ : 0) |
           (key_flags & (KEY_INSERT | KEY_DELETE | KEY_UPDATE) ? RIGHT_WRITE : 0);
}

struct key_check {
    const struct selector *s;
    const struct slice *argv;
    int bad;
};

static bool key_allowed(int position, unsigned flags, void *arg)
{
    struct key_check *check = arg;
    const struct words *keys = &check->s->keys;
    unsigned rights = rights_of(flags);
    for (unsigned i = 0; i < keys->n; i++)
        if ((keys->p[i].of & rights) == rights && glob_match(keys->p[i].text, check->argv[position], false))
            return true;
    check->bad = position;
    return false;
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
        if (pattern ? slice_eq(channels->p[i].text, name) : glob_match(channels->p[i].text, name, false))
            return true;
    return false;
}

static bool channels_allowed(const struct selector *s, const struct command *cmd, int argc,
                             const struct slice *argv, int *position)
{
    int last;
    bool pattern;
    int first = channels_of(cmd, argc, &last, &pattern);
    for (int i = first; first && i <= last; i++)
        if (!channels_allow(&s->channels, argv[i], pattern)) {
            *position = i;
            return false;
        }
    return true;
}

/* -- together -- */

static enum judgement selector_verdict(const struct selector *s, const struct command *cmd, int argc,
                                       const struct slice *argv, int *position)
{
    struct key_check check = {s, argv, 0};
    *position = 0;
    if (!command_allowed(s, cmd, argc, argv))
        return VERDICT_COMMAND;
    if (!s->all_keys && cmd->key_kind != COMMAND_NO_KEY &&
        !command_each_key(cmd, argc, argv, key_allowed, &check)) {
        *position = check.bad;
        return VERDICT_KEY;
    }
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
