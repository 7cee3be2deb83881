/* keys.c: which of a command's arguments are keys, by the specifications of its row.
 * https://redis.io/docs/reference/key-specs/ */
#include "base/number.h"
#include "command/command.h"

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
        if (begin + k->last >= argc || !parse_i64(argv[begin + k->last], &count) || count < 0 || count > argc)
            return false;
        *first = begin + k->limit;
        *last = *first + ((int)count - 1) * k->step;
    } else {
        return false;
    }
    return *last < argc;
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
