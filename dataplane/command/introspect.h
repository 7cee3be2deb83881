/* introspect.h: handlers of the COMMAND, ACL and MODULE families, and what their files share. */
#pragma once
#include "command/table.h"

command_handler command_run, command_count_run, command_docs_run, command_getkeys_run,
    command_getkeysandflags_run, command_help_run, command_info_run, command_list_run;
command_handler acl_cat_run, acl_deluser_run, acl_dryrun_run, acl_genpass_run, acl_getuser_run, acl_help_run,
    acl_list_run, acl_load_run, acl_log_run, acl_save_run, acl_setuser_run, acl_users_run, acl_whoami_run;
command_handler module_help_run, module_list_run;

struct bit_name {
    uint32_t bit;
    const char *name;
};
/* Bits and the words for them, ended by a row without name, in the order in which Redis prints them. */
extern const struct bit_name command_flag_names[], acl_category_names[], key_flag_names[];

/* The bit of a word, 0 if unknown. */
uint32_t bit_by_name(const struct bit_name *names, struct slice word);
/* A set of status replies, one for each bit of `bits`, with a prefix. */
void reply_bit_set(struct resp_writer *w, const struct bit_name *names, uint32_t bits, const char *prefix);

/* "get" or "client|list" to its row, NULL if unknown. */
const struct command *command_by_name(struct slice name);
/* Calls fn for each reachable command and sub-command. */
void command_each(void (*fn)(const struct command *cmd, void *arg), void *arg);
/* How many sub-commands a command has. */
unsigned command_sub_count(const struct command *cmd);

/* What has been added to a command, or has changed, since there is one. */
struct docs_change {
    const char *command, *since, *what; /* its full name; versions of Redis */
};
/* Those of a command, the oldest first: n of them (0: none). */
const struct docs_change *docs_history(const char *full_name, unsigned *n);

/* Replies the names of all commands, sub-commands included, that `wanted` takes. */
void reply_command_names(struct resp_writer *w, bool (*wanted)(const struct command *cmd, const void *arg),
                         const void *arg);
