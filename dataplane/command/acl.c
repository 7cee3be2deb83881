/* acl.c: the sub-commands of ACL, and what MODULE can say of a box without modules.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ */
#include "command/audit.h"
#include "command/acl.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "command/introspect.h"
#include "command/server.h"
#include "command/table.h"

static int shown(struct slice s)
{
    return (int)(s.len < 512 ? s.len : 512);
}

enum command_result acl_whoami_run(struct request *rq)
{
    reply_bulk(rq->out, acl_user_of(rq->env, rq->client)->name);
    return CMD_DONE;
}

enum command_result acl_users_run(struct request *rq)
{
    const struct acl *a = rq->env->acl;
    reply_array(rq->out, acl_users(a));
    for (unsigned i = 0; i < acl_users(a); i++)
        reply_bulk(rq->out, acl_user_at(a, i)->name);
    return CMD_DONE;
}

static enum command_result out_of_memory(struct request *rq)
{
    reply_error(rq->out, "ERR Out of memory");
    return CMD_DONE;
}

/* -- showing users -- */

static void reply_users(struct request *rq, const struct acl *a)
{
    reply_array(rq->out, acl_users(a));
    for (unsigned i = 0; i < acl_users(a); i++) {
        struct text line = {0};
        text_add(&line, SLICE_LIT("user "));
        text_add(&line, acl_user_at(a, i)->name);
        rights_describe(&acl_user_at(a, i)->rights, &line);
        if (line.failed)
            reply_oom(rq->out);
        else
            reply_bulk(rq->out, (struct slice){(const uint8_t *)line.p, line.len});
        free(line.p);
    }
}

enum command_result acl_list_run(struct request *rq)
{
    if (!acl_settle(rq->env))
        return out_of_memory(rq);
    reply_users(rq, rq->env->acl);
    return CMD_DONE;
}

static void reply_part(struct resp_writer *w, const char *name, const struct selector *s,
                       void (*part)(const struct selector *s, struct text *t))
{
    struct text text = {0};
    part(s, &text);
    reply_bulk_str(w, name);
    if (text.failed)
        reply_oom(w);
    else if (text.len)
        reply_bulk(w, (struct slice){(const uint8_t *)text.p + 1, text.len - 1});
    else
        reply_bulk_str(w, "");
    free(text.p);
}

static void reply_selector(struct resp_writer *w, const struct selector *s)
{
    reply_part(w, "commands", s, selector_commands);
    reply_part(w, "keys", s, selector_keys);
    reply_part(w, "channels", s, selector_channels);
}

static void reply_flags(struct resp_writer *w, const struct rights *r)
{
    reply_bulk_str(w, "flags");
    reply_set(w, 2u + r->no_password + r->certificate_only);
    reply_bulk_str(w, r->enabled ? "on" : "off");
    if (r->no_password)
        reply_bulk_str(w, "nopass");
    if (r->certificate_only)
        reply_bulk_str(w, "certificate-only");
    reply_bulk_str(w, r->sanitize ? "sanitize-payload" : "skip-sanitize-payload");
}

enum command_result acl_getuser_run(struct request *rq)
{
    struct resp_writer *w = rq->out;
    const struct acl_user *u = acl_user_find(rq->env->acl, rq->argv[2]);
    if (!acl_settle(rq->env))
        return out_of_memory(rq);
    if (!u) {
        reply_null(w);
        return CMD_DONE;
    }
    const struct rights *r = &u->rights;
    reply_map(w, 6);
    reply_flags(w, r);
    reply_bulk_str(w, "passwords");
    reply_array(w, r->passwords.n);
    for (unsigned i = 0; i < r->passwords.n; i++)
        reply_bulk(w, r->passwords.p[i].text);
    reply_selector(w, r->selector);
    reply_bulk_str(w, "selectors");
    reply_array(w, r->selectors - 1);
    for (unsigned i = 1; i < r->selectors; i++) {
        reply_map(w, 3);
        reply_selector(w, &r->selector[i]);
    }
    return CMD_DONE;
}

/* -- changing them -- */

/* Control has read the file of users, and sends its lines. */
static enum command_result load(struct request *rq)
{
    struct text why = {0};
    if (acl_load(rq, rq->argv[3], rq->argc - 4, rq->argv + 4, &why))
        reply_ok(rq->out);
    else if (why.failed)
        reply_error(rq->out, "ERR Out of memory");
    else
        reply_errorf(rq->out, "ERR %.*s", (int)why.len, why.p);
    free(why.p);
    return CMD_DONE;
}

/* The users of a configuration: `use` them, or only say how they read in ACL LIST. */
static enum command_result configured(struct request *rq, bool use)
{
    char why[ACL_WHY];
    if (use) {
        if (acl_use(rq, rq->argc - 3, rq->argv + 3, why, sizeof why))
            reply_ok(rq->out);
        else
            reply_errorf(rq->out, "ERR %s", why);
        return CMD_DONE;
    }
    struct acl *a = acl_read(rq, rq->argc - 3, rq->argv + 3, why, sizeof why);
    if (a)
        reply_users(rq, a);
    else
        reply_errorf(rq->out, "ERR %s", why);
    acl_free(a);
    return CMD_DONE;
}

enum command_result acl_setuser_run(struct request *rq)
{
    char why[ACL_WHY];
    /* What control asks for, by names that no user can have: ACL LOAD's second half, users of a configuration. */
    if (rq->client->flags & CLIENT_INTERNAL) {
        if (rq->argc > 3 && slice_eq(rq->argv[2], SLICE_LIT("\n")))
            return load(rq);
        if (slice_eq(rq->argv[2], SLICE_LIT("\nuse")))
            return configured(rq, true);
        if (slice_eq(rq->argv[2], SLICE_LIT("\nread")))
            return configured(rq, false);
    }
    const struct acl_user *u = acl_user_find(rq->env->acl, rq->argv[2]);
    struct text before = {0}, after = {0};
    audit_rules(&before, u ? &u->rights : NULL);
    bool good = acl_set(rq, rq->argv[2], rq->argc - 3, rq->argv + 3, why, sizeof why);
    u = acl_user_find(rq->env->acl, rq->argv[2]);
    audit_rules(&after, u ? &u->rights : NULL);
    audit_user(rq, rq->argv[2], &before, &after, !good);
    free(before.p);
    free(after.p);
    if (good)
        reply_ok(rq->out);
    else
        reply_errorf(rq->out, "ERR %s", why);
    return CMD_DONE;
}

enum command_result acl_deluser_run(struct request *rq)
{
    int64_t deleted = 0;
    for (int i = 2; i < rq->argc; i++)
        if (slice_eq(rq->argv[i], SLICE_LIT("default"))) {
            reply_error(rq->out, "ERR The 'default' user cannot be removed");
            return CMD_DONE;
        }
    for (int i = 2; i < rq->argc; i++)
        deleted += acl_delete(rq, rq->argv[i]);
    reply_int(rq->out, deleted);
    return CMD_DONE;
}

/* -- the file of users, which is control's -- */

static bool has_file(struct request *rq)
{
    const char *file = config_text(rq->env->conf, "aclfile");
    if (file && *file)
        return true;
    reply_error(
        rq->out,
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "
        "ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file "
        "set) in order to store users in the Redis configuration.");
    return false;
}

enum command_result acl_load_run(struct request *rq)
{
    return has_file(rq) ? server_ask_control(rq, "users not loaded") : CMD_DONE;
}

enum command_result acl_save_run(struct request *rq)
{
    return has_file(rq) ? server_ask_control(rq, "users not saved") : CMD_DONE;
}

/* -- trying and generating -- */

enum command_result acl_dryrun_run(struct request *rq)
{
    struct text why = {0};
    int argc = rq->argc - 3;
    const struct slice *argv = rq->argv + 3;
    const struct acl_user *u = acl_user_find(rq->env->acl, rq->argv[2]);
    const struct command *cmd = command_lookup(argc, argv);
    if (!u)
        reply_errorf(rq->out, "ERR User '%.*s' not found", shown(rq->argv[2]), (const char *)rq->argv[2].p);
    else if (!cmd)
        reply_errorf(rq->out, "ERR Command '%.*s' not found", shown(argv[0]), (const char *)argv[0].p);
    else if (!command_arity_ok(cmd->arity, argc))
        reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", cmd->full_name);
    else if (acl_verdict(u, cmd, argc, argv, &why) == VERDICT_MAY)
        reply_ok(rq->out);
    else if (why.failed)
        reply_oom(rq->out);
    else
        reply_bulk(rq->out, (struct slice){(const uint8_t *)why.p, why.len});
    free(why.p);
    return CMD_DONE;
}

enum command_result acl_genpass_run(struct request *rq)
{
    enum { BITS_MAX = 4096 };
    int64_t bits = 256;
    uint8_t bytes[BITS_MAX / 8];
    char hex[BITS_MAX / 4 + 1];
    if (rq->argc > 3) {
        server_unknown_subcommand(rq);
        return CMD_DONE;
    }
    if (rq->argc == 3 && !request_int(rq, 2, &bits, NULL))
        return CMD_DONE;
    if (bits <= 0 || bits > BITS_MAX) {
        reply_errorf(
            rq->out,
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number "
            "up to %d",
            BITS_MAX);
        return CMD_DONE;
    }
    size_t digits = (size_t)(bits + 3) / 4;
    if (!secret_random(bytes, (digits + 1) / 2)) {
        reply_error(rq->out, "ERR No randomness to be had");
        return CMD_DONE;
    }
    bytes_hex(bytes, (digits + 1) / 2, hex);
    reply_bulk(rq->out, (struct slice){(const uint8_t *)hex, digits});
    return CMD_DONE;
}

/* -- categories -- */

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
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
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
