/* introspect.c: COMMAND and its sub-commands but DOCS: the table told to clients.
 * https://redis.io/docs/latest/commands/command/ */
#include "command/introspect.h"

#include <stdlib.h>

#include "base/glob.h"
#include "command/server.h"

const struct bit_name command_flag_names[] = {{CMD_WRITE, "write"},
                                              {CMD_READONLY, "readonly"},
                                              {CMD_DENYOOM, "denyoom"},
                                              {CMD_ADMIN, "admin"},
                                              {CMD_PUBSUB, "pubsub"},
                                              {CMD_NOSCRIPT, "noscript"},
                                              {CMD_BLOCKING, "blocking"},
                                              {CMD_LOADING, "loading"},
                                              {CMD_STALE, "stale"},
                                              {CMD_SKIP_MONITOR, "skip_monitor"},
                                              {CMD_SKIP_SLOWLOG, "skip_slowlog"},
                                              {CMD_ASKING, "asking"},
                                              {CMD_FAST, "fast"},
                                              {CMD_NO_AUTH, "no_auth"},
                                              {CMD_NO_ASYNC_LOADING, "no_async_loading"},
                                              {CMD_NO_MULTI, "no_multi"},
                                              {CMD_NO_MANDATORY_KEYS, "no_mandatory_keys"},
                                              {CMD_MOVABLE_KEYS, "movablekeys"},
                                              {CMD_ALLOW_BUSY, "allow_busy"},
                                              {0}};

const struct bit_name acl_category_names[] = {{ACL_KEYSPACE, "keyspace"},
                                              {ACL_READ, "read"},
                                              {ACL_WRITE, "write"},
                                              {ACL_SET, "set"},
                                              {ACL_SORTEDSET, "sortedset"},
                                              {ACL_LIST, "list"},
                                              {ACL_HASH, "hash"},
                                              {ACL_STRING, "string"},
                                              {ACL_BITMAP, "bitmap"},
                                              {ACL_HYPERLOGLOG, "hyperloglog"},
                                              {ACL_GEO, "geo"},
                                              {ACL_STREAM, "stream"},
                                              {ACL_PUBSUB, "pubsub"},
                                              {ACL_ADMIN, "admin"},
                                              {ACL_FAST, "fast"},
                                              {ACL_SLOW, "slow"},
                                              {ACL_BLOCKING, "blocking"},
                                              {ACL_DANGEROUS, "dangerous"},
                                              {ACL_CONNECTION, "connection"},
                                              {ACL_TRANSACTION, "transaction"},
                                              {ACL_SCRIPTING, "scripting"},
                                              {0}};

const struct bit_name key_flag_names[] = {{KEY_RO, "RO"},
                                          {KEY_RW, "RW"},
                                          {KEY_OW, "OW"},
                                          {KEY_RM, "RM"},
                                          {KEY_ACCESS, "access"},
                                          {KEY_UPDATE, "update"},
                                          {KEY_INSERT, "insert"},
                                          {KEY_DELETE, "delete"},
                                          {KEY_NOT_KEY, "not_key"},
                                          {KEY_INCOMPLETE, "incomplete"},
                                          {KEY_VARIABLE, "variable_flags"},
                                          {0}};

uint32_t bit_by_name(const struct bit_name *names, struct slice word)
{
    for (; names->name; names++)
        if (slice_is(word, names->name))
            return names->bit;
    return 0;
}

void reply_bit_set(struct resp_writer *w, const struct bit_name *names, uint32_t bits, const char *prefix)
{
    size_t n = 0;
    for (const struct bit_name *b = names; b->name; b++)
        n += (bits & b->bit) != 0;
    reply_set(w, n);
    for (const struct bit_name *b = names; b->name; b++)
        if (bits & b->bit) {
            reply_raw(w, "+", 1);
            reply_raw(w, prefix, strlen(prefix));
            reply_raw(w, b->name, strlen(b->name));
            reply_raw(w, "\r\n", 2);
        }
}

/* -- the table as a list -- */

const struct command *command_by_name(struct slice name)
{
    struct slice word[2] = {name, {0}};
    const uint8_t *bar = memchr(name.p, '|', name.len);
    if (!bar)
        return command_lookup(1, word);
    word[0].len = (size_t)(bar - name.p);
    word[1] = (struct slice){bar + 1, name.len - word[0].len - 1};
    const struct command *cmd = command_lookup(2, word);
    return cmd && cmd->parent ? cmd : NULL;
}

void command_each(void (*fn)(const struct command *cmd, void *arg), void *arg)
{
    for (unsigned i = 0; i < command_top_ids(); i++) {
        const struct command *cmd = command_by_id(i);
        if (!command_enabled(cmd))
            continue;
        fn(cmd, arg);
        for (const struct command *sub = cmd->sub; sub && sub->name; sub++)
            fn(sub, arg);
    }
}

unsigned command_sub_count(const struct command *cmd)
{
    unsigned n = 0;
    while (cmd->sub && cmd->sub[n].name)
        n++;
    return n;
}

struct name_list {
    struct resp_writer *w; /* NULL: count only */
    bool (*wanted)(const struct command *cmd, const void *arg);
    const void *arg;
    size_t n;
};

static void list_name(const struct command *cmd, void *arg)
{
    struct name_list *l = arg;
    if (!l->wanted(cmd, l->arg))
        return;
    l->n++;
    if (l->w)
        reply_bulk_str(l->w, cmd->full_name);
}

void reply_command_names(struct resp_writer *w, bool (*wanted)(const struct command *cmd, const void *arg),
                         const void *arg)
{
    struct name_list list = {.wanted = wanted, .arg = arg};
    command_each(list_name, &list);
    reply_array(w, list.n);
    list.w = w;
    command_each(list_name, &list);
}

/* -- COMMAND INFO -- */

/* First, last and step of the keys as COMMAND gave them before key specifications (Redis'
 * populateCommandLegacyRangeSpec): the specifications at a fixed place that follow each other without a gap.
 */
static void legacy_range(const struct command *cmd, int range[3])
{
    int first = 0, last = 0, step = 0, previous = 0;
    for (int i = 0; i < 3 && cmd->key[i].flags; i++) {
        const struct key_spec *k = &cmd->key[i];
        if (k->begin != KEYS_AT_INDEX || k->find != KEYS_RANGE)
            continue;
        if (step && (k->step != 1 || step != 1 || previous != k->index - 1))
            continue;
        int end = k->last >= 0 ? k->index + k->last : k->last;
        first = first ? first : k->index;
        last = step == 0 || (unsigned)end > (unsigned)last ? end : last;
        step = k->step;
        previous = last;
    }
    range[0] = first;
    range[1] = last;
    range[2] = step;
}

static void reply_named_int(struct resp_writer *w, const char *name, int v)
{
    reply_bulk_str(w, name);
    reply_int(w, v);
}

static void begin_typed_spec(struct resp_writer *w, const char *which, const char *type, size_t fields)
{
    reply_bulk_str(w, which);
    reply_map(w, 2);
    reply_bulk_str(w, "type");
    reply_bulk_str(w, type);
    reply_bulk_str(w, "spec");
    reply_map(w, fields);
}

static void reply_key_spec(struct resp_writer *w, const struct key_spec *k)
{
    reply_map(w, k->notes ? 4 : 3);
    if (k->notes) {
        reply_bulk_str(w, "notes");
        reply_bulk_str(w, k->notes);
    }
    reply_bulk_str(w, "flags");
    reply_bit_set(w, key_flag_names, k->flags, "");
    if (k->begin == KEYS_AT_INDEX) {
        begin_typed_spec(w, "begin_search", "index", 1);
        reply_named_int(w, "index", k->index);
    } else if (k->begin == KEYS_AT_KEYWORD) {
        begin_typed_spec(w, "begin_search", "keyword", 2);
        reply_bulk_str(w, "keyword");
        reply_bulk_str(w, k->keyword);
        reply_named_int(w, "startfrom", k->index);
    } else {
        begin_typed_spec(w, "begin_search", "unknown", 0);
    }
    if (k->find == KEYS_RANGE) {
        begin_typed_spec(w, "find_keys", "range", 3);
        reply_named_int(w, "lastkey", k->last);
        reply_named_int(w, "keystep", k->step);
        reply_named_int(w, "limit", k->limit);
    } else if (k->find == KEYS_NUM) {
        begin_typed_spec(w, "find_keys", "keynum", 3);
        reply_named_int(w, "keynumidx", k->last);
        reply_named_int(w, "firstkey", k->limit);
        reply_named_int(w, "keystep", k->step);
    } else {
        begin_typed_spec(w, "find_keys", "unknown", 0);
    }
}

static void reply_info(struct resp_writer *w, const struct command *cmd)
{
    int range[3], specs = 0;
    size_t tips = 0;
    legacy_range(cmd, range);
    while (cmd->tips && cmd->tips[tips])
        tips++;
    while (specs < 3 && cmd->key[specs].flags)
        specs++;
    reply_array(w, 10);
    reply_bulk_str(w, cmd->full_name);
    reply_int(w, cmd->arity);
    reply_bit_set(w, command_flag_names, cmd->flags, "");
    for (int i = 0; i < 3; i++)
        reply_int(w, range[i]);
    reply_bit_set(w, acl_category_names, cmd->acl, "@");
    reply_set(w, tips);
    for (size_t i = 0; i < tips; i++)
        reply_bulk_str(w, cmd->tips[i]);
    reply_set(w, (size_t)specs);
    for (int i = 0; i < specs; i++)
        reply_key_spec(w, &cmd->key[i]);
    if (!cmd->sub) {
        reply_set(w, 0);
        return;
    }
    reply_array(w, command_sub_count(cmd));
    for (const struct command *sub = cmd->sub; sub->name; sub++)
        reply_info(w, sub);
}

enum command_result command_run(struct request *rq)
{
    reply_array(rq->out, command_count());
    for (unsigned i = 0; i < command_top_ids(); i++)
        if (command_enabled(command_by_id(i)))
            reply_info(rq->out, command_by_id(i));
    return CMD_DONE;
}

enum command_result command_info_run(struct request *rq)
{
    if (rq->argc == 2)
        return command_run(rq);
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++) {
        const struct command *cmd = command_by_name(rq->argv[i]);
        if (cmd)
            reply_info(rq->out, cmd);
        else
            reply_null(rq->out);
    }
    return CMD_DONE;
}

enum command_result command_count_run(struct request *rq)
{
    reply_int(rq->out, command_count());
    return CMD_DONE;
}

/* -- COMMAND LIST -- */

static bool any_command(const struct command *cmd, const void *arg)
{
    (void)cmd;
    (void)arg;
    return true;
}

static bool in_category(const struct command *cmd, const void *arg)
{
    const uint32_t *category = arg;
    return cmd->acl & *category;
}

static bool name_matches(const struct command *cmd, const void *arg)
{
    const struct slice *pattern = arg;
    return glob_match(*pattern, slice_str(cmd->full_name), true);
}

enum command_result command_list_run(struct request *rq)
{
    if (rq->argc == 2) {
        reply_command_names(rq->out, any_command, NULL);
        return CMD_DONE;
    }
    struct slice kind = rq->argc == 5 ? rq->argv[3] : (struct slice){0};
    if (rq->argc == 5 && slice_is(rq->argv[2], "filterby")) {
        uint32_t category = bit_by_name(acl_category_names, rq->argv[4]);
        if (slice_is(kind, "module")) {
            reply_array(rq->out, 0);
            return CMD_DONE;
        }
        if (slice_is(kind, "aclcat")) {
            reply_command_names(rq->out, in_category, &category);
            return CMD_DONE;
        }
        if (slice_is(kind, "pattern")) {
            reply_command_names(rq->out, name_matches, &rq->argv[4]);
            return CMD_DONE;
        }
    }
    reply_syntax_error(rq->out);
    return CMD_DONE;
}

/* -- COMMAND GETKEYS and GETKEYSANDFLAGS -- */

static enum command_result reply_keys(struct request *rq, bool with_flags)
{
    int argc = rq->argc - 2;
    const struct slice *argv = rq->argv + 2;
    const struct command *cmd = command_lookup(argc, argv);
    const char *error = NULL;
    if (!cmd)
        error = "ERR Invalid command specified";
    else if (cmd->key_kind == COMMAND_NO_KEY)
        error = "ERR The command has no key arguments";
    else if (!command_arity_ok(cmd->arity, argc))
        error = "ERR Invalid number of arguments specified for command";
    int *position = error ? NULL : malloc((size_t)argc * sizeof *position);
    int n = position ? command_keys(cmd, argc, argv, position, argc) : -1;
    if (position && n <= 0 && cmd->flags & CMD_NO_MANDATORY_KEYS) {
        reply_array(rq->out, 0);
        free(position);
        return CMD_DONE;
    }
    if (n <= 0) {
        if (!error && cmd->flags & CMD_NO_MANDATORY_KEYS)
            reply_array(rq->out, 0);
        else
            reply_error(rq->out, error ? error : "ERR Invalid arguments specified for command");
        free(position);
        return CMD_DONE;
    }
    reply_array(rq->out, (size_t)n);
    for (int i = 0; i < n; i++) {
        if (with_flags)
            reply_array(rq->out, 2);
        reply_bulk(rq->out, argv[position[i]]);
        if (with_flags)
            reply_bit_set(rq->out, key_flag_names, command_key_flags(cmd, argc, argv, position[i]), "");
    }
    free(position);
    return CMD_DONE;
}

enum command_result command_getkeys_run(struct request *rq)
{
    return reply_keys(rq, false);
}

enum command_result command_getkeysandflags_run(struct request *rq)
{
    return reply_keys(rq, true);
}

enum command_result command_help_run(struct request *rq)
{
    static const char *const lines[] = {"(no subcommand)",
                                        "    Return details about all Redis commands.",
                                        "COUNT",
                                        "    Return the total number of commands in this Redis server.",
                                        "LIST",
                                        "    Return a list of all commands in this Redis server.",
                                        "INFO [<command-name> ...]",
                                        "    Return details about multiple Redis commands.",
                                        "    If no command names are given, documentation details for all",
                                        "    commands are returned.",
                                        "DOCS [<command-name> ...]",
                                        "    Return documentation details about multiple Redis commands.",
                                        "    If no command names are given, documentation details for all",
                                        "    commands are returned.",
                                        "GETKEYS <full-command>",
                                        "    Return the keys from a full Redis command.",
                                        "GETKEYSANDFLAGS <full-command>",
                                        "    Return the keys and the access flags from a full Redis command.",
                                        NULL};
    return server_help(rq, lines);
}
