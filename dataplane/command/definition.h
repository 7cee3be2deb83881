/* definition.h: one row of the command table: what a command is (arity, flags, key positions, ACL categories, documentation,
 * handler). https://redis.io/docs/reference/command-tips/, key-specs/, command-arguments/ */
#pragma once
#include "base/slice.h"

struct request;

enum command_flag { /* names as COMMAND prints them, in lower case */
                    CMD_WRITE = 1 << 0,
                    CMD_READONLY = 1 << 1,
                    CMD_DENYOOM = 1 << 2,
                    CMD_ADMIN = 1 << 3,
                    CMD_PUBSUB = 1 << 4,
                    CMD_NOSCRIPT = 1 << 5,
                    CMD_BLOCKING = 1 << 6,
                    CMD_LOADING = 1 << 7,
                    CMD_STALE = 1 << 8,
                    CMD_SKIP_MONITOR = 1 << 9,
                    CMD_SKIP_SLOWLOG = 1 << 10,
                    CMD_ASKING = 1 << 11,
                    CMD_FAST = 1 << 12,
                    CMD_NO_AUTH = 1 << 13,       /* runs before authentication */
                    CMD_MAY_REPLICATE = 1 << 14, /* not shown by COMMAND */
                    CMD_NO_ASYNC_LOADING = 1 << 15,
                    CMD_NO_MULTI = 1 << 16,
                    CMD_MOVABLE_KEYS = 1 << 17,
                    CMD_ALLOW_BUSY = 1 << 18,
                    CMD_NO_MANDATORY_KEYS = 1 << 19,
                    /* Ours, not shown by COMMAND. */
                    CMD_ROUTE_ALL = 1 << 24, /* needs every shard or every worker: runs with all others
                                                stopped (INFO, KEYS, FLUSHALL) */
                    CMD_WHOLE = 1 << 27,     /* changes or reads all of the keyspace: waits until no command
                                                in slices is under way (FLUSHALL) */
                    CMD_ALL_KEYS = 1 << 29,  /* CMD_WHOLE, but reads which keys there are: goes with other
                                                readers, and nobody changes a key meanwhile (KEYS) */
                    CMD_DETACHES = 1 << 28,  /* CMD_WHOLE, but leaves to readers what they read: waits only
                                                for who changes something (FLUSHALL) */
                    CMD_OF_NODE = 1 << 23,   /* CMD_ROUTE_ALL, but in the cluster view about its worker's shard alone */
                    CMD_REMOTE = 1 << 30,    /* waits for another server, in slices (MIGRATE) */
                    CMD_AUDITED = 1 << 21,   /* control's audit log tells of it; not of CMD_FAST, which are not looked at
                                                each */
                    CMD_SAMPLED = 1 << 22,   /* as short as a CMD_FAST command, or done in slices: one of many is
                                                timed (SET) */
                    CMD_SYSCMD = 1 << 25,    /* doc_flags of COMMAND DOCS: for internal use */
                    CMD_NOT_QUEUED = 1 << 26 /* runs at once also when MULTI is open */
};

enum acl_category { /* the 21 categories; read, write, fast, slow, admin, dangerous, blocking, pubsub follow
                       from flags as in Redis */
                    ACL_KEYSPACE = 1 << 0,
                    ACL_READ = 1 << 1,
                    ACL_WRITE = 1 << 2,
                    ACL_SET = 1 << 3,
                    ACL_SORTEDSET = 1 << 4,
                    ACL_LIST = 1 << 5,
                    ACL_HASH = 1 << 6,
                    ACL_STRING = 1 << 7,
                    ACL_BITMAP = 1 << 8,
                    ACL_HYPERLOGLOG = 1 << 9,
                    ACL_GEO = 1 << 10,
                    ACL_STREAM = 1 << 11,
                    ACL_PUBSUB = 1 << 12,
                    ACL_ADMIN = 1 << 13,
                    ACL_FAST = 1 << 14,
                    ACL_SLOW = 1 << 15,
                    ACL_BLOCKING = 1 << 16,
                    ACL_DANGEROUS = 1 << 17,
                    ACL_CONNECTION = 1 << 18,
                    ACL_TRANSACTION = 1 << 19,
                    ACL_SCRIPTING = 1 << 20
};

enum key_flag { /* of a key specification */
                KEY_RO = 1 << 0,
                KEY_RW = 1 << 1,
                KEY_OW = 1 << 2,
                KEY_RM = 1 << 3,
                KEY_ACCESS = 1 << 4,
                KEY_UPDATE = 1 << 5,
                KEY_INSERT = 1 << 6,
                KEY_DELETE = 1 << 7,
                KEY_NOT_KEY = 1 << 8,
                KEY_INCOMPLETE = 1 << 9,
                KEY_VARIABLE = 1 << 10
};

struct key_spec {
    uint16_t flags; /* 0 ends the list */
    uint8_t begin;  /* KEYS_AT_INDEX or KEYS_AT_KEYWORD */
    int8_t index;   /* KEYS_AT_INDEX: argument position; KEYS_AT_KEYWORD: where to start looking */
    const char *keyword;
    uint8_t find;              /* KEYS_RANGE or KEYS_NUM */
    int16_t last, step, limit; /* KEYS_RANGE: last relative to begin (-1 = last argument). KEYS_NUM: last =
                                  index of the number, limit = first key, both relative to begin */
    const char *notes;
};
enum { KEYS_AT_INDEX, KEYS_AT_KEYWORD, KEYS_UNKNOWN };
enum { KEYS_RANGE, KEYS_NUM, KEYS_FIND_UNKNOWN };

struct command_arg {  /* for COMMAND DOCS */
    const char *name; /* NULL ends a list */
    const char
        *type; /* "string" "integer" "double" "key" "pattern" "unix-time" "pure-token" "oneof" "block" */
    const char *token, *since, *summary;
    uint8_t flags;   /* ARG_* */
    int8_t key_spec; /* index + 1 for type "key", 0 = none */
    const struct command_arg *sub;
    const char *deprecated_since;
};
enum { ARG_OPTIONAL = 1, ARG_MULTIPLE = 2, ARG_MULTIPLE_TOKEN = 4 };

enum command_result {
    CMD_DONE,  /* the reply has been written */
    CMD_WAIT,  /* the reply will come later: the box was asked (box_ops.ask) and the client is CLIENT_WAITING
                */
    CMD_BLOCK, /* nothing was replied: the client waits for what env->block says (request_block) */
    CMD_ELSEWHERE, /* nothing was done: it must run again where rq->route and rq->shard say now */
    CMD_COUNTED,   /* done; and the bytes that the client's transaction takes have changed */
    CMD_LONG       /* it is to run once more in slices (turn_wanted): nothing was replied or changed, but by a
                      script (rq->busy) or a command in parts (rq->part) */
};

typedef enum command_result command_handler(struct request *rq);

struct command {
    const char *name; /* lower case; NULL ends a table. A sub-command's is the second word alone */
    command_handler *run;
    int16_t arity; /* as in Redis: negative = at least */
    uint32_t flags, acl;
    struct key_spec key[3];
    const char *summary, *since, *group, *complexity;
    const char *const *tips; /* NULL-terminated, or NULL */
    const char *deprecated_since, *replaced_by;
    const struct command_arg *args;
    const struct command *sub; /* sub-commands, for a container */
    /* For the few commands whose keys no specification finds (SORT ... STORE and kin): fills positions,
     * returns how many. */
    int (*getkeys)(int argc, const struct slice *argv, int *position, int room);
    /* True if the arguments lead to keys that they do not name (SORT BY and GET): runs with all others
     * stopped, and in slices only while nobody changes a key. NULL: never. */
    bool (*reaches)(int argc, const struct slice *argv);
    /* True if the arguments say that it changes nothing, although its flags do not (a script with no-writes).
     * NULL: never. */
    bool (*reads)(const struct request *rq);
    /* Filled by command_table_init. */
    const struct command *parent;
    uint16_t id;           /* dense: index into per-command statistics */
    uint8_t key_kind;      /* COMMAND_NO_KEY ... : how command_prepare finds the first key */
    uint8_t key_first;     /* COMMAND_ONE_KEY, COMMAND_KEY_FIRST (and others may follow): its position */
    uint8_t family;        /* of its wire-to-wire times (base/times.h) */
    const char *full_name; /* "client|list" */
};
enum { COMMAND_NO_KEY, COMMAND_ONE_KEY, COMMAND_KEY_FIRST, COMMAND_KEYS };

/* Each family exports its rows, ended by a row without name. command_table_init copies them: a handler finds
 * its row in rq->cmd, never by address. */
extern struct command commands_strings[], commands_bits[], commands_generic[], commands_connection[],
    commands_server[], commands_persist[], commands_introspect[], commands_hash[], commands_set[], commands_lists[],
    commands_zset[], commands_zset_more[], commands_geo[], commands_sort[], commands_streams[],
    commands_stream_groups[];
extern struct command commands_blocking[], commands_hyperloglog[], commands_dump[], commands_transactions[],
    commands_hash_expire[], commands_pubsub[], commands_script[], commands_migrate[], commands_cluster[];
