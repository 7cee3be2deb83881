/* keys.c: which of a command's arguments are keys, by the specifications of its row.
 * https://redis.io/docs/reference/key-specs/ */
#include "base/number.h"
#include "command/command.h"

#include <stdlib.h>

/* Where a specification's keys begin; 0 = nowhere. */
static int begin_of(const struct key_spec *k, int argc, const struct slice *argv)
{
    if (k->begin == KEYS_AT_INDEX)
        return k->index < argc ? k->index : 0;
    if (k->begin != KEYS_AT_KEYWORD)
        return 0;
    int step = k->index > 0 ? 1 : -1;
    for (int i = k->index > 0 ? k->index : argc + k->index; i > 0 && i < argc - 1; i += step)
        if (slice_is(argv[i], k->keyword))
            return i + 1;
    return 0;
}

/* A number of keys; as atoi() reads it where the command will refuse it, so that rights to its keys are asked
 * for all the same. */
static bool count_of(struct slice s, int64_t *count)
{
    char text[24] = "", *end;
    if (parse_i64(s, count))
        return true;
    if (s.len)
        memcpy(text, s.p, s.len < sizeof text ? s.len : sizeof text - 1);
    *count = strtoll(text, &end, 10);
    return end != text;
}

/* First and last position and step of a specification's keys. False if the arguments are malformed. */
static bool span_of(const struct key_spec *k, int begin, int argc, const struct slice *argv, int *first,
                    int *last)
{
    *first = begin;
    *last = 0;
    if (k->find == KEYS_RANGE) {
        if (k->last >= 0)
            *last = begin + k->last;
        else if (k->limit <= 1)
            *last = argc + k->last;
        else
            *last = begin + (argc - begin) / k->limit + k->last;
    } else if (k->find == KEYS_NUM) {
        int64_t count;
        if (begin + k->last >= argc || !count_of(argv[begin + k->last], &count) || count < 0 || count > argc)
            return false;
        *first = begin + k->limit;
        *last = *first + ((int)count - 1) * k->step;
    } else {
        return false;
    }
    return *last < argc;
}

/* Does a BITFIELD only read? What it would refuse counts as a change. */
static bool only_gets(int argc, const struct slice *argv)
{
    for (int i = 2; i < argc; i++) {
        if (slice_is(argv[i], "get") && argc - i > 2)
            i += 2;
        else if (slice_is(argv[i], "overflow") && argc - i > 1)
            i++;
        else
            return false;
    }
    return true;
}

uint32_t command_key_flags(const struct command *cmd, int argc, const struct slice *argv, int position)
{
    uint32_t flags = cmd->key[0].flags;
    for (int i = 0; i < 3 && cmd->key[i].flags; i++)
        if (cmd->key[i].begin == KEYS_AT_INDEX ? cmd->key[i].index <= position
                                               : i > 0 && cmd->key[0].index < position) /* after STORE */
            flags = cmd->key[i].flags & ~(uint32_t)KEY_INCOMPLETE; /* that is said of the specification */
    if (!(flags & KEY_VARIABLE))
        return flags;
    if (!slice_is(SLICE_LIT("set"), cmd->name))
        return only_gets(argc, argv) ? KEY_RO | KEY_ACCESS : KEY_RW | KEY_ACCESS | KEY_UPDATE;
    bool get = false;
    for (int i = position + 1; i < argc; i++)
        get |= i > 2 && slice_is(argv[i], "get");
    return get ? KEY_RW | KEY_ACCESS | KEY_UPDATE : KEY_OW | KEY_UPDATE;
}

/* Keys that no specification finds. */
static bool each_found(const struct command *cmd, int argc, const struct slice *argv, command_key_fn *fn, void *arg)
{
    int few[16], room = 16, *position = few;
    int n = cmd->getkeys(argc, argv, few, room);
    if (n > room && !(position = malloc((size_t)n * sizeof *position)))
        return false;
    if (n > room)
        cmd->getkeys(argc, argv, position, n);
    bool all = true;
    for (int i = 0; i < n && all; i++)
        all = fn(position[i], command_key_flags(cmd, argc, argv, position[i]), arg);
    if (position != few)
        free(position);
    return all;
}

struct span { /* of a specification's keys */
    const struct key_spec *k;
    int first, last;
};

/* Calls fn for the keys of a span. loose: with no flags at all. */
static bool each_in_span(const struct span *span, const struct command *cmd, int argc, const struct slice *argv, bool loose,
                         command_key_fn *fn, void *arg)
{
    int step = span->k->step > 0 ? span->k->step : 1;
    bool varies = span->k->flags & KEY_VARIABLE;
    for (int at = span->first; at <= span->last; at += step) {
        uint32_t flags = loose ? 0 : varies ? command_key_flags(cmd, argc, argv, at) : span->k->flags;
        if (!fn(at, flags, arg))
            return false;
    }
    return true;
}

/* As in Redis, where a number of keys is none ("1.5") but begins as one: a function finds the keys then, the destination
 * last, and does not know what happens to them, so that any right will do. The command itself refuses the number. */
static bool is_loose(const struct key_spec *k, int begin, const struct slice *argv)
{
    int64_t count;
    return k->find == KEYS_NUM && !parse_i64(argv[begin + k->last], &count);
}

bool command_each_key(const struct command *cmd, int argc, const struct slice *argv, command_key_fn *fn, void *arg)
{
    struct span span[3];
    int spans = 0, loose = -1;
    if (cmd->getkeys)
        return each_found(cmd, argc, argv, fn, arg);
    for (int i = 0; i < 3 && cmd->key[i].flags; i++) {
        const struct key_spec *k = &cmd->key[i];
        int begin = k->flags & KEY_NOT_KEY ? 0 : begin_of(k, argc, argv);
        if (begin == 0 && (k->flags & KEY_NOT_KEY || k->begin == KEYS_AT_KEYWORD))
            continue;
        if (begin == 0 || !span_of(k, begin, argc, argv, &span[spans].first, &span[spans].last) ||
            span[spans].last < span[spans].first)
            return true; /* malformed: the command will say so */
        if (is_loose(k, begin, argv))
            loose = spans;
        span[spans++].k = k;
    }
    if (loose >= 0 && !each_in_span(&span[loose], cmd, argc, argv, true, fn, arg))
        return false;
    for (int i = 0; i < spans; i++)
        if (i != loose && !each_in_span(&span[i], cmd, argc, argv, loose >= 0, fn, arg))
            return false;
    return true;
}

int command_keys(const struct command *cmd, int argc, const struct slice *argv, int *position, int room)
{
    return command_key_uses(cmd, argc, argv, position, NULL, room);
}

/* XREADGROUP changes what its key specification calls read only: such a command may change all. */
static bool changes_unsaid(const struct command *cmd)
{
    for (int i = 0; i < 3 && cmd->key[i].flags; i++)
        if (!(cmd->key[i].flags & KEY_RO))
            return false;
    return cmd->flags & CMD_WRITE;
}

int command_key_uses(const struct command *cmd, int argc, const struct slice *argv, int *position,
                     bool *write, int room)
{
    if (cmd->getkeys) {
        int keys = cmd->getkeys(argc, argv, position, room);
        for (int i = 0; write && i < keys && i < room; i++)
            write[i] = cmd->flags & CMD_WRITE;
        return keys;
    }
    bool all = write && changes_unsaid(cmd);
    int n = 0;
    for (int i = 0; i < 3 && cmd->key[i].flags; i++) {
        const struct key_spec *k = &cmd->key[i];
        int first, last, begin = begin_of(k, argc, argv);
        if (begin == 0 || k->flags & KEY_NOT_KEY)
            continue;
        if (!span_of(k, begin, argc, argv, &first, &last))
            return -1;
        int step = k->step > 0 ? k->step : 1, at = first;
        for (; at <= last && n < room; at += step, n++) {
            position[n] = at;
            if (write)
                write[n] = all || !(k->flags & KEY_RO);
        }
        if (at <= last)
            n += (last - at) / step + 1; /* counted alone: there may be a million */
    }
    return cmd->key[0].flags ? n : -1;
}
