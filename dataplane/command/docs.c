/* docs.c: COMMAND DOCS: the table's documentation told to clients, redis-cli's hints among them.
 * https://redis.io/docs/latest/commands/command-docs/ */
#include "command/introspect.h"

static const struct bit_name arg_flag_names[] = {
    {ARG_OPTIONAL, "optional"}, {ARG_MULTIPLE, "multiple"}, {ARG_MULTIPLE_TOKEN, "multiple_token"}, {0}};

static void reply_field(struct resp_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    reply_bulk_str(w, name);
    reply_bulk_str(w, text);
}

static void reply_args(struct resp_writer *w, const struct command_arg *args)
{
    size_t n = 0;
    while (args[n].name)
        n++;
    reply_bulk_str(w, "arguments");
    reply_array(w, n);
    for (const struct command_arg *a = args; a->name; a++) {
        reply_map(w, (size_t)(2 + (a->key_spec > 0) + !!a->token + !!a->summary + !!a->since +
                              !!a->deprecated_since + (a->flags != 0) + !!a->sub));
        reply_field(w, "name", a->name);
        reply_field(w, "type", a->type);
        if (a->key_spec > 0) {
            reply_bulk_str(w, "key_spec_index");
            reply_int(w, a->key_spec - 1);
        }
        reply_field(w, "token", a->token);
        reply_field(w, "summary", a->summary);
        reply_field(w, "since", a->since);
        reply_field(w, "deprecated_since", a->deprecated_since);
        if (a->flags) {
            reply_bulk_str(w, "flags");
            reply_bit_set(w, arg_flag_names, a->flags, "");
        }
        if (a->sub)
            reply_args(w, a->sub);
    }
}

static void reply_history(struct resp_writer *w, const struct docs_change *change, unsigned n)
{
    if (!n)
        return;
    reply_bulk_str(w, "history");
    reply_set(w, n);
    for (unsigned i = 0; i < n; i++) {
        reply_array(w, 2);
        reply_bulk_str(w, change[i].since);
        reply_bulk_str(w, change[i].what);
    }
}

static void reply_docs(struct resp_writer *w, const struct command *cmd)
{
    unsigned subs = command_sub_count(cmd), changes;
    const struct docs_change *change = docs_history(cmd->full_name, &changes);
    bool internal = cmd->flags & CMD_SYSCMD, flags_shown = internal || cmd->deprecated_since;
    reply_bulk_str(w, cmd->full_name);
    reply_map(w, (size_t)(!!cmd->summary + !!cmd->since + !!cmd->group + !!cmd->complexity +
                          !!cmd->deprecated_since + flags_shown + !!cmd->replaced_by + !!cmd->args +
                          (changes != 0) + (subs != 0)));
    reply_field(w, "summary", cmd->summary);
    reply_field(w, "since", cmd->since);
    reply_field(w, "group", cmd->group);
    reply_field(w, "complexity", cmd->complexity);
    if (flags_shown) {
        reply_bulk_str(w, "doc_flags");
        reply_set(w, (size_t)internal + !!cmd->deprecated_since);
        if (cmd->deprecated_since)
            reply_simple(w, "deprecated");
        if (internal)
            reply_simple(w, "syscmd");
    }
    reply_field(w, "deprecated_since", cmd->deprecated_since);
    reply_field(w, "replaced_by", cmd->replaced_by);
    reply_history(w, change, changes);
    if (cmd->args)
        reply_args(w, cmd->args);
    if (!subs)
        return;
    reply_bulk_str(w, "subcommands");
    reply_map(w, subs);
    for (const struct command *sub = cmd->sub; sub->name; sub++)
        reply_docs(w, sub);
}

enum command_result command_docs_run(struct request *rq)
{
    if (rq->argc == 2) {
        reply_map(rq->out, command_count());
        for (unsigned i = 0; i < command_top_ids(); i++)
            if (command_enabled(command_by_id(i)))
                reply_docs(rq->out, command_by_id(i));
        return CMD_DONE;
    }
    size_t known = 0;
    for (int i = 2; i < rq->argc; i++)
        known += command_by_name(rq->argv[i]) != NULL;
    reply_map(rq->out, known);
    for (int i = 2; i < rq->argc; i++) {
        const struct command *cmd = command_by_name(rq->argv[i]);
        if (cmd)
            reply_docs(rq->out, cmd);
    }
    return CMD_DONE;
}
