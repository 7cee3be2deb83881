/* table.c: the command table: families of rows joined, numbered and found by name. A name is found by its
 * length and its first and last eight bytes, case folded, in a small open-addressed table. */
#include "base/times.h"
#include "command/row.h"
#include "command/string_commands.h"
#include "command/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { NAME_MAX_LEN = 32 };

static struct {
    struct command *row; /* top-level commands, then all sub-commands */
    unsigned top, ids, enabled;
    struct command_slot *slot;
    unsigned mask;
    char **name; /* [top]: what a top-level command answers to, lower case; NULL: removed */
} table;

static struct command *const families[] = {
    commands_strings,    commands_bits,        commands_generic, commands_connection, commands_server, commands_persist,
    commands_introspect, commands_hash,        commands_set,     commands_lists,      commands_zset,
    commands_zset_more,  commands_geo,         commands_sort,    commands_streams,    commands_stream_groups,
    commands_blocking,   commands_hyperloglog, commands_dump,
    commands_transactions, commands_hash_expire, commands_pubsub, commands_script,
    commands_migrate,     commands_cluster};
enum { FAMILIES = sizeof families / sizeof *families };

/* -- names -- */

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Bit 5 makes a letter lower case; what it does to other bytes is settled by slice_is where names have such.
 */
static inline void fold_name(struct slice name, uint64_t *head, uint64_t *tail)
{
    const uint64_t bit5 = 0x2020202020202020;
    if (name.len >= 8) {
        *head = load64(name.p) | bit5;
        *tail = load64(name.p + name.len - 8) | bit5;
    } else {
        if (name.len >= 4)
            *head = load32(name.p) | (uint64_t)load32(name.p + name.len - 4) << 32;
        else
            *head = name.p[0] | (uint64_t)name.p[name.len / 2] << 8 | (uint64_t)name.p[name.len - 1] << 16;
        *head |= bit5;
        *tail = 0;
    }
}

static inline unsigned slot_of(uint64_t head, uint64_t tail, size_t len)
{
    uint64_t h = (head ^ (tail + len) * 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93;
    return (unsigned)(h >> 40) & table.mask;
}

static __attribute__((noinline)) bool is_named(const struct command_slot *s, struct slice name)
{
    return slice_is(name, table.name[s->cmd->id]);
}

const struct command_slot *command_slot_find(struct slice name)
{
    if (name.len - 1 >= NAME_MAX_LEN)
        return NULL;
    uint64_t head, tail;
    fold_name(name, &head, &tail);
    for (unsigned i = slot_of(head, tail, name.len);; i = (i + 1) & table.mask) {
        const struct command_slot *s = &table.slot[i];
        if (s->len == 0)
            return NULL;
        if (s->head == head && s->tail == tail && s->len == name.len && (s->exact || is_named(s, name)))
            return s;
    }
}

const struct command *command_sub_find(const struct command *container, struct slice name)
{
    for (const struct command *sub = container->sub; sub && sub->name; sub++)
        if (slice_is(name, sub->name))
            return sub;
    return NULL;
}

/* -- building -- */

static bool letters_only(const char *name)
{
    for (; *name; name++)
        if (*name < 'a' || *name > 'z')
            return false;
    return true;
}

static bool insert_name(const char *name, const struct command *cmd, char *error, size_t size)
{
    struct slice s = slice_str(name);
    if (s.len == 0 || s.len > NAME_MAX_LEN) {
        snprintf(error, size, "command name '%.40s' is empty or longer than %d characters", name,
                 NAME_MAX_LEN);
        return false;
    }
    if (command_slot_find(s)) {
        snprintf(error, size, "command '%s' appears twice", name);
        return false;
    }
    struct command_slot slot = {.cmd = cmd,
                                .len = (uint8_t)s.len,
                                .key_kind = cmd->key_kind,
                                .key_first = cmd->key_first,
                                .exact = s.len <= 16 && letters_only(name),
                                .arity = cmd->arity,
                                .container = cmd->sub != NULL,
                                .family = cmd->family};
    fold_name(s, &slot.head, &slot.tail);
    unsigned i = slot_of(slot.head, slot.tail, s.len);
    while (table.slot[i].len)
        i = (i + 1) & table.mask;
    table.slot[i] = slot;
    table.enabled++;
    return true;
}

/* Gives a top-level command the name it answers to ("" = none). */
static bool name_command(struct command *c, const char *name, char *error, size_t size)
{
    if (*name == 0)
        return true;
    char *copy = table.name[c->id] = strdup(name);
    if (!copy) {
        snprintf(error, size, "no memory for the command table");
        return false;
    }
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return insert_name(copy, c, error, size);
}

/* Categories that follow from flags (Redis' setImplicitACLCategories). */
static uint32_t implied_acl(const struct command *c)
{
    uint32_t acl = c->acl;
    if (c->flags & CMD_WRITE)
        acl |= ACL_WRITE;
    if (c->flags & CMD_READONLY && !(acl & ACL_SCRIPTING))
        acl |= ACL_READ;
    if (c->flags & CMD_ADMIN)
        acl |= ACL_ADMIN | ACL_DANGEROUS;
    if (c->flags & CMD_PUBSUB)
        acl |= ACL_PUBSUB;
    if (c->flags & CMD_BLOCKING)
        acl |= ACL_BLOCKING;
    acl |= c->flags & CMD_FAST ? ACL_FAST : 0;
    return acl & ACL_FAST ? acl : acl | ACL_SLOW;
}

/* A first key at a fixed place that the arity guarantees needs no look at the specifications later. */
static void classify_keys(struct command *c)
{
    const struct key_spec *k = &c->key[0];
    bool one = k->last == 0, many = k->last == -1 && k->limit <= 1;
    if (!c->getkeys && k->flags == 0) {
        c->key_kind = COMMAND_NO_KEY;
    } else if (!c->getkeys && c->key[1].flags == 0 && k->begin == KEYS_AT_INDEX && k->find == KEYS_RANGE &&
               (one || many) && k->index > 0 && abs(c->arity) > k->index && !(k->flags & KEY_NOT_KEY)) {
        c->key_kind = one ? COMMAND_ONE_KEY : COMMAND_KEY_FIRST;
        c->key_first = (uint8_t)k->index;
    } else {
        c->key_kind = COMMAND_KEYS;
    }
}

static bool finish_row(struct command *c, const struct command *parent, unsigned id)
{
    c->parent = parent;
    c->id = (uint16_t)id;
    c->acl = implied_acl(c);
    c->family = time_family_of(c->group ? c->group : parent ? parent->group : NULL);
    classify_keys(c);
    char *name = NULL;
    if (parent ? asprintf(&name, "%s|%s", parent->name, c->name) < 0 : !(name = strdup(c->name)))
        return false;
    c->full_name = name;
    return true;
}

static unsigned count_rows(const struct command *row)
{
    unsigned n = 0;
    while (row && row[n].name)
        n++;
    return n;
}

/* Copies the rows: top-level ones first, then each container's own run of sub-commands with its end row. */
static bool copy_rows(void)
{
    unsigned top = 0, all = 0;
    for (unsigned f = 0; f < FAMILIES; f++)
        for (const struct command *c = families[f]; c->name; c++) {
            top++;
            all += 1 + (c->sub ? count_rows(c->sub) + 1 : 0);
        }
    table.row = calloc(all + 1, sizeof *table.row);
    table.name = calloc(top + 1, sizeof *table.name);
    if (!table.row || !table.name)
        return false;
    for (unsigned f = 0; f < FAMILIES; f++) {
        unsigned n = count_rows(families[f]);
        memcpy(table.row + table.top, families[f], n * sizeof *table.row);
        table.top += n;
    }
    table.ids = table.top;
    for (unsigned i = 0; i < table.top; i++) {
        struct command *c = &table.row[i];
        if (!finish_row(c, NULL, i))
            return false;
        if (!c->sub)
            continue;
        unsigned n = count_rows(c->sub);
        struct command *sub = table.row + table.ids;
        memcpy(sub, c->sub, n * sizeof *sub);
        c->sub = sub;
        for (unsigned k = 0; k < n; k++)
            if (!finish_row(&sub[k], c, table.ids + k))
                return false;
        table.ids += n + 1; /* the end row keeps an id that nobody uses */
    }
    return true;
}

static const char *renamed(const char *const *rename, const char *name)
{
    const char *now = name;
    for (; rename && *rename; rename += 2)
        if (strcasecmp(rename[0], name) == 0)
            now = rename[1];
    return now;
}

static bool check_renames(const char *const *rename, char *error, size_t size)
{
    for (; rename && *rename; rename += 2) {
        unsigned i = 0;
        while (i < table.top && strcasecmp(table.row[i].name, rename[0]) != 0)
            i++;
        if (i == table.top) {
            snprintf(error, size, "rename-command: no such command '%s'", rename[0]);
            return false;
        }
    }
    return true;
}

void command_table_free(void)
{
    for (unsigned i = 0; table.row && i < table.ids; i++)
        free((void *)(uintptr_t)table.row[i].full_name);
    for (unsigned i = 0; table.name && i < table.top; i++)
        free(table.name[i]);
    free(table.row);
    free(table.name);
    free(table.slot);
    memset(&table, 0, sizeof table);
}

bool command_table_init(const char *const *rename, char *error, size_t size)
{
    command_table_free();
    unsigned slots = 1024;
    if (!copy_rows() || !(table.slot = aligned_alloc(64, slots * sizeof *table.slot))) {
        snprintf(error, size, "no memory for the command table");
        command_table_free();
        return false;
    }
    memset(table.slot, 0, slots * sizeof *table.slot);
    table.mask = slots - 1;
    bool good = check_renames(rename, error, size);
    for (unsigned i = 0; good && i < table.top; i++)
        good = name_command(&table.row[i], renamed(rename, table.row[i].name), error, size);
    if (good)
        row_init();
    else
        command_table_free();
    return good;
}

/* -- reading -- */

unsigned command_count(void)
{
    return table.enabled;
}

unsigned command_ids(void)
{
    return table.ids;
}

unsigned command_top_ids(void)
{
    return table.top;
}

const struct command *command_by_id(unsigned id)
{
    return id < table.ids && table.row[id].name ? &table.row[id] : NULL;
}

bool command_enabled(const struct command *cmd)
{
    const struct command *top = cmd->parent ? cmd->parent : cmd;
    return table.name[top->id] != NULL;
}

const struct command *command_lookup(int argc, const struct slice *argv)
{
    const struct command_slot *slot = argc > 0 ? command_slot_find(argv[0]) : NULL;
    if (!slot)
        return NULL;
    return slot->container && argc > 1 ? command_sub_find(slot->cmd, argv[1]) : slot->cmd;
}
