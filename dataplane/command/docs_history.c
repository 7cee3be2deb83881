/* docs_history.c: what of a command is younger than the command itself: rows of COMMAND DOCS' history, by name.
 * https://redis.io/docs/latest/commands/command-docs/ */
#include "command/introspect.h"

#include <string.h>

#define MORE_EXPIRE   "The options `NX`, `XX`, `GT` and `LT`."
#define SECONDS       "`timeout` may have a fraction."
#define FLUSHES_LATER "The option `ASYNC`."
#define FLUSHES_NOW   "The option `SYNC`."
#define SEVERAL(what) "Several `" what "` at once."
#define UNITS         "Units may be in upper case."
#define ANY           "`ANY` behind `COUNT`."
#define MINUS_2       "-2 for a key that does not exist."
#define EXCLUSIVE     "Ends of the range may be exclusive."
#define COUNTED       "The argument `count`."
#define BYTES_OR_BITS "Ranges count in `BYTE` or `BIT`."
#define TRIMS         "Trims by `MINID`, and `LIMIT`."
#define PUBSUB_ACL    "Patterns of Pub/Sub channels."

/* In the order of names, and of what came first. */
static const struct docs_change changes[] = {
    {"acl|getuser", "6.2.0", PUBSUB_ACL},
    {"acl|getuser", "7.0.0", "Selectors; patterns of keys and channels as the rules that set them."},
    {"acl|setuser", "6.2.0", PUBSUB_ACL},
    {"acl|setuser", "7.0.0", "Selectors, and rights to keys by what is done to them."},
    {"auth", "6.0.0", "The name of a user before the password."},
    {"bgsave", "3.2.2", "The option `SCHEDULE`."},
    {"bitcount", "7.0.0", BYTES_OR_BITS},
    {"bitpos", "7.0.0", BYTES_OR_BITS},
    {"blpop", "6.0.0", SECONDS},
    {"brpop", "6.0.0", SECONDS},
    {"brpoplpush", "6.0.0", SECONDS},
    {"bzpopmax", "6.0.0", SECONDS},
    {"bzpopmin", "6.0.0", SECONDS},
    {"client|kill", "2.8.12", "Filters, by name and value."},
    {"client|kill", "2.8.12", "The filter `ID`."},
    {"client|kill", "3.2.0", "`TYPE` knows `master`."},
    {"client|kill", "5.0.0", "`TYPE` knows `replica`; `slave` means the same."},
    {"client|kill", "6.2.0", "The filter `LADDR`."},
    {"client|list", "2.8.12", "The field `id`, which is never used twice."},
    {"client|list", "5.0.0", "The filter `TYPE`."},
    {"client|list", "6.0.0", "The field `user`."},
    {"client|list", "6.2.0", "The fields `argv-mem`, `tot-mem`, `laddr` and `redir`; the filter `ID`."},
    {"client|list", "7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp`."},
    {"client|list", "7.0.3", "The field `ssub`."},
    {"client|pause", "6.2.0", "The argument `mode`, and its value `WRITE`."},
    {"cluster|meet", "4.0.0", "The argument `cluster_bus_port`."},
    {"cluster|slots", "4.0.0", "IDs of nodes."},
    {"cluster|slots", "7.0.0", "More about a node's network, behind its ID."},
    {"command|info", "7.0.0", "Without a name it tells of all commands."},
    {"config|get", "7.0.0", "Several patterns at once."},
    {"config|set", "7.0.0", "Several parameters at once."},
    {"exists", "3.0.3", SEVERAL("key")},
    {"expire", "7.0.0", MORE_EXPIRE},
    {"expireat", "7.0.0", MORE_EXPIRE},
    {"flushall", "4.0.0", FLUSHES_LATER},
    {"flushall", "6.2.0", FLUSHES_NOW},
    {"flushdb", "4.0.0", FLUSHES_LATER},
    {"flushdb", "6.2.0", FLUSHES_NOW},
    {"geoadd", "6.2.0", "The options `CH`, `NX` and `XX`."},
    {"georadius", "6.2.0", ANY},
    {"georadius", "7.0.0", UNITS},
    {"georadius_ro", "6.2.0", ANY},
    {"georadiusbymember", "7.0.0", UNITS},
    {"geosearch", "7.0.0", UNITS},
    {"geosearchstore", "7.0.0", UNITS},
    {"hdel", "2.4.0", SEVERAL("field")},
    {"hello", "6.2.0", "Without `protover` it tells of the connection as it is."},
    {"hset", "4.0.0", "Several pairs of `field` and `value` at once."},
    {"info", "7.0.0", "Several sections at once."},
    {"lpop", "6.2.0", COUNTED},
    {"lpush", "2.4.0", SEVERAL("element")},
    {"lpushx", "4.0.0", SEVERAL("element")},
    {"migrate", "3.0.0", "The options `COPY` and `REPLACE`."},
    {"migrate", "3.0.6", "The option `KEYS`."},
    {"migrate", "4.0.7", "The option `AUTH`."},
    {"migrate", "6.0.0", "The option `AUTH2`."},
    {"pexpire", "7.0.0", MORE_EXPIRE},
    {"pexpireat", "7.0.0", MORE_EXPIRE},
    {"pttl", "2.8.0", MINUS_2},
    {"renamenx", "3.2.0", "A key may be renamed to itself."},
    {"restore", "3.0.0", "The option `REPLACE`."},
    {"restore", "5.0.0", "The option `ABSTTL`."},
    {"restore", "5.0.0", "The options `IDLETIME` and `FREQ`."},
    {"restore-asking", "3.0.0", "The option `REPLACE`."},
    {"restore-asking", "5.0.0", "The option `ABSTTL`."},
    {"restore-asking", "5.0.0", "The options `IDLETIME` and `FREQ`."},
    {"rpop", "6.2.0", COUNTED},
    {"rpush", "2.4.0", SEVERAL("element")},
    {"rpushx", "4.0.0", SEVERAL("element")},
    {"sadd", "2.4.0", SEVERAL("member")},
    {"scan", "6.0.0", "The option `TYPE`."},
    {"script|flush", "6.2.0", "The options `ASYNC` and `SYNC`."},
    {"set", "2.6.12", "The options `EX`, `PX`, `NX` and `XX`."},
    {"set", "6.0.0", "The option `KEEPTTL`."},
    {"set", "6.2.0", "The options `GET`, `EXAT` and `PXAT`."},
    {"set", "7.0.0", "`NX` goes together with `GET`."},
    {"shutdown", "7.0.0", "The options `NOW`, `FORCE` and `ABORT`."},
    {"slowlog|get", "4.0.0", "Address and name of the client."},
    {"spop", "3.2.0", COUNTED},
    {"srandmember", "2.6.0", COUNTED},
    {"srem", "2.4.0", SEVERAL("member")},
    {"ttl", "2.8.0", MINUS_2},
    {"xadd", "6.2.0", "The option `NOMKSTREAM`; trims by `MINID`, and `LIMIT`."},
    {"xadd", "7.0.0", "IDs of the form `<ms>-*`."},
    {"xautoclaim", "7.0.0", "A third element: IDs that it has dropped because their entries are deleted."},
    {"xgroup|create", "7.0.0", "The option `ENTRIESREAD`."},
    {"xgroup|setid", "7.0.0", "The option `ENTRIESREAD`."},
    {"xinfo|groups", "7.0.0", "The fields `entries-read` and `lag`."},
    {"xinfo|stream", "6.0.0", "The option `FULL`."},
    {"xinfo|stream", "7.0.0",
     "The fields `max-deleted-entry-id`, `entries-added` and `recorded-first-entry-id`; of groups `entries-read` and `lag`."},
    {"xpending", "6.2.0", "The option `IDLE`; ends of the range may be exclusive."},
    {"xrange", "6.2.0", EXCLUSIVE},
    {"xrevrange", "6.2.0", EXCLUSIVE},
    {"xsetid", "7.0.0", "The options `ENTRIESADDED` and `MAXDELETEDID`."},
    {"xtrim", "6.2.0", TRIMS},
    {"zadd", "2.4.0", SEVERAL("member")},
    {"zadd", "3.0.2", "The options `XX`, `NX`, `CH` and `INCR`."},
    {"zadd", "6.2.0", "The options `GT` and `LT`."},
    {"zrange", "6.2.0", "The options `REV`, `BYSCORE`, `BYLEX` and `LIMIT`."},
    {"zrangebyscore", "2.0.0", "The option `WITHSCORES`."},
    {"zrem", "2.4.0", SEVERAL("member")},
    {"zrevrangebyscore", "2.1.6", "`min` and `max` may be exclusive."},
};
enum { CHANGES = sizeof changes / sizeof changes[0] };

const struct docs_change *docs_history(const char *full_name, unsigned *n)
{
    unsigned first = 0, after = CHANGES;
    while (first < after) { /* the first that is not before it */
        unsigned middle = (first + after) / 2;
        if (strcmp(changes[middle].command, full_name) < 0)
            first = middle + 1;
        else
            after = middle;
    }
    for (*n = 0; first + *n < CHANGES && strcmp(changes[first + *n].command, full_name) == 0;)
        ++*n;
    return &changes[first];
}
