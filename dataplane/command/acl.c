/* acl.c: what ACL and MODULE can say of a box with the one user "default" and no modules.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ */
#include "command/introspect.h"
#include "command/server.h"

static bool has_password(const struct request *rq)
{
    const char *password = rq->env->conf->requirepass;
    return password && *password;
}

enum command_result acl_whoami_run(struct request *rq)
{
    reply_bulk_str(rq->out, "default");
    return CMD_DONE;
}

enum command_result acl_users_run(struct request *rq)
{
    reply_array(rq->out, 1);
    reply_bulk_str(rq->out, "default");
    return CMD_DONE;
}

/* The password itself, even hashed, is control's: it is not shown here. */
enum command_result acl_list_run(struct request *rq)
{
    reply_array(rq->out, 1);
    reply_bulk_str(rq->out,
                   has_password(rq) ? "user default on ~* &* +@all" : "user default on nopass ~* &* +@all");
    return CMD_DONE;
}

enum command_result acl_getuser_run(struct request *rq)
{
    struct resp_writer *w = rq->out;
    if (!slice_eq(rq->argv[2], SLICE_LIT("default"))) {
        reply_null(w);
        return CMD_DONE;
    }
    reply_map(w, 6);
    reply_bulk_str(w, "flags");
    reply_set(w, has_password(rq) ? 1 : 2);
    reply_bulk_str(w, "on");
    if (!has_password(rq))
        reply_bulk_str(w, "nopass");
    reply_bulk_str(w, "passwords");
    reply_array(w, 0);
    reply_bulk_str(w, "commands");
    reply_bulk_str(w, "+@all");
    reply_bulk_str(w, "keys");
    reply_bulk_str(w, "~*");
    reply_bulk_str(w, "channels");
    reply_bulk_str(w, "&*");
    reply_bulk_str(w, "selectors");
    reply_array(w, 0);
    return CMD_DONE;
}

static bool in_category(const struct command *cmd, const void *arg)
{
    const uint32_t *category = arg;
    return cmd->acl & *category;
}

enum command_result acl_cat_run(struct request *rq)
{
    if (rq->argc > 3) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 3) {
        struct slice name = rq->argv[2];
        uint32_t category = bit_by_name(acl_category_names, name);
        if (category)
            reply_command_names(rq->out, in_category, &category);
        else
            reply_errorf(rq->out, "ERR Unknown category '%.*s'", (int)(name.len < 128 ? name.len : 128),
                         (const char *)name.p);
        return CMD_DONE;
    }
    size_t n = 0;
    while (acl_category_names[n].name)
        n++;
    reply_array(rq->out, n);
    for (size_t i = 0; i < n; i++)
        reply_bulk_str(rq->out, acl_category_names[i].name);
    return CMD_DONE;
}

enum command_result acl_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "GETUSER <username>",
        "    Get the user's details.",
        "LIST",
        "    Show users details in config file format.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        NULL};
    return server_help(rq, lines);
}

enum command_result module_list_run(struct request *rq)
{
    reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result module_help_run(struct request *rq)
{
    static const char *const lines[] = {"LIST", "    Return a list of loaded modules.", NULL};
    return server_help(rq, lines);
}
