/* debug_cmd.c: DEBUG, the helpers that tests use. Allowed by enable-debug-command (yes, no, local; no is the
 * default), as in Redis 7. Runs with all workers stopped. */
#include "base/glob.h"
#include "base/number.h"
#include "command/debug.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct debug_word { /* a sub-command and how many arguments it takes, DEBUG and itself included */
    const char *name;
    int min, max;
    void (*run)(struct request *rq);
};

static bool is_local(const struct client *c)
{
    static const struct ip_addr loopback6 = {{[15] = 1}};
    return c->flags & CLIENT_INTERNAL || ip_equal(&c->peer.ip, &loopback6) ||
           (ip_is_v4(&c->peer.ip) && c->peer.ip.b[12] == 127);
}

static bool is_allowed(const struct request *rq)
{
    const char *allowed = config_text(rq->env->conf, "enable-debug-command");
    if (!allowed)
        return false;
    return strcasecmp(allowed, "yes") == 0 || (strcasecmp(allowed, "local") == 0 && is_local(rq->client));
}

/* strtod, as Redis reads the seconds: what is no number is 0. At most a minute: the box does not answer
 * meanwhile. */
static void debug_sleep(struct request *rq)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)(rq->argv[2].len < 31 ? rq->argv[2].len : 31),
             (const char *)rq->argv[2].p);
    double seconds = strtod(text, NULL);
    if (seconds > 60)
        seconds = 60;
    if (seconds > 0)
        rq->env->box->stall(rq->env, (uint64_t)(seconds * 1e6));
    reply_ok(rq->out);
}

/* The text becomes the error reply; reply_errorf keeps line ends out of it. */
static void debug_error(struct request *rq)
{
    int shown = rq->argv[2].len > 512 ? 512 : (int)rq->argv[2].len;
    reply_errorf(rq->out, "%.*s", shown, (const char *)rq->argv[2].p);
}

static void debug_stringmatch(struct request *rq)
{
    reply_int(rq->out, glob_match(rq->argv[2], rq->argv[3], false));
}

static void debug_active_expire(struct request *rq)
{
    int64_t on;
    if (!request_int(rq, 2, &on, NULL))
        return;
    for (unsigned i = 0; i < rq->env->ks->shards; i++)
        shard_set_active_expiry(rq->env->ks->shard[i], on != 0);
    reply_ok(rq->out);
}

/* Redis allows scripts all commands then; here DEBUG, for which tests want it. */
static void debug_deny_scripts(struct request *rq)
{
    int64_t disabled;
    if (!request_int(rq, 2, &disabled, NULL))
        return;
    bool allowed = disabled != 0;
    if (rq->env->debug)
        rq->env->debug->in_scripts = allowed;
    reply_ok(rq->out);
}

/* CHANGE-REPL-ID: no replica knows the id. PAUSE-CRON: what tests want to stop with it does not come by a
 * timer here, or is not there. */
static void debug_ok(struct request *rq)
{
    reply_ok(rq->out);
}

/* Replies are written into frames: there is no buffer that would shrink or could be kept from it. */
static void debug_replybuffer(struct request *rq)
{
    int64_t ms;
    bool resizing = slice_is(rq->argv[2], "resizing"), peak = slice_is(rq->argv[2], "peak-reset-time");
    if (!resizing && !peak)
        server_unknown_subcommand(rq);
    else if ((peak && (slice_is(rq->argv[3], "never") || slice_is(rq->argv[3], "reset"))) ||
             request_int(rq, 3, &ms, NULL))
        reply_ok(rq->out);
}

/* POPULATE count [prefix] [size]: keys prefix:0 ... that do not exist yet, "value:i" cut or zero-padded to
 * size. */
static void debug_populate(struct request *rq)
{
    enum { LONGEST = 1024 * 1024 };
    int64_t count, size = 0;
    struct slice prefix = rq->argc > 3 ? rq->argv[3] : SLICE_LIT("key");
    if (!request_int(rq, 2, &count, NULL) || (rq->argc > 4 && !request_int(rq, 4, &size, NULL)))
        return;
    if (count < 0 || size < 0 || size > LONGEST || prefix.len > 512) {
        reply_error(rq->out, "ERR value is out of range, must be positive");
        return;
    }
    uint8_t *value = calloc(1, (size_t)size + 32);
    if (!value) {
        reply_oom(rq->out);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        char name[544];
        memcpy(name, prefix.p, prefix.len);
        int digits = snprintf(name + prefix.len, sizeof name - prefix.len, ":%" PRId64, i);
        struct key k =
            keyspace_key(rq->env->ks, (struct slice){(uint8_t *)name, prefix.len + (size_t)digits});
        struct shard *s = request_shard(rq, &k);
        if (store_find(s, rq->client->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT))
            continue;
        int n = snprintf((char *)value, 32, "value:%" PRId64, i);
        struct slice v = {value, size ? (size_t)size : (size_t)n};
        if (store_set_string(s, rq->client->db, &k, v, 0, 0) != STORE_OK) {
            free(value);
            reply_oom(rq->out);
            return;
        }
    }
    free(value);
    reply_ok(rq->out);
}

/* -- PROTOCOL: one reply of each type, as it stands on the wire
 * ----------------------------------------------------- */

static const struct {
    const char *type, *resp2, *resp3;
} samples[] = {
    {"string", "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"},
    {"integer", ":12345\r\n", ":12345\r\n"},
    {"double", "$5\r\n3.141\r\n", ",3.141\r\n"},
    {"bignum", "$37\r\n1234567999999999999999999999999999999\r\n",
     "(1234567999999999999999999999999999999\r\n"},
    {"null", "$-1\r\n", "_\r\n"},
    {"array", "*3\r\n:0\r\n:1\r\n:2\r\n", "*3\r\n:0\r\n:1\r\n:2\r\n"},
    {"set", "*3\r\n:0\r\n:1\r\n:2\r\n", "~3\r\n:0\r\n:1\r\n:2\r\n"},
    {"map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"},
    {"attrib", "$39\r\nSome real reply following the attribute\r\n",
     "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
     "$39\r\nSome real reply following the attribute\r\n"},
    {"push", "", ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"},
    {"verbatim", "$25\r\nThis is a verbatim\nstring\r\n", "=29\r\ntxt:This is a verbatim\nstring\r\n"},
    {"true", ":1\r\n", "#t\r\n"},
    {"false", ":0\r\n", "#f\r\n"},
};

static void debug_protocol(struct request *rq)
{
    for (unsigned i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *bytes = rq->out->proto == 3 ? samples[i].resp3 : samples[i].resp2;
        if (!slice_is(rq->argv[2], samples[i].type))
            continue;
        if (*bytes)
            reply_raw(rq->out, bytes, strlen(bytes));
        else
            reply_error(rq->out, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_error(rq->out, "ERR Wrong protocol type name. Please use one of the following: "
                         "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}

/* -- dispatch
 * ------------------------------------------------------------------------------------------------------ */

static void debug_help(struct request *rq)
{
    static const char *const lines[] = {
        "CHANGE-REPL-ID",
        "    Nothing: the box has no replicas.",
        "DIGEST",
        "    Output a hex signature representing the current DB content.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Output a hex signature of the values of all the specified keys.",
        "ERROR <string>",
        "    Return a Redis protocol error with <string> as message.",
        "HTSTATS <dbid>",
        "    Shape of the index of the specified database.",
        "HTSTATS-KEY <key>",
        "    Shape of the index of a large hash, set or sorted set.",
        "LOADAOF",
        "    As RELOAD: the box keeps no log.",
        "OBJECT <key>",
        "    Show low level info about `key` and associated value.",
        "PAUSE-CRON <0|1>",
        "    Nothing: no work of a timer disturbs a test.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create <count> string keys named key:<num>, or with <prefix> instead of 'key'.",
        "PROTOCOL <type>",
        "    Reply with a test value of the specified type. <type> can be: string,",
        "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
        "    true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Cut lists into chunks of at most <size> bytes. 0: as list-max-listpack-size has it.",
        "RELOAD [MERGE] [NOFLUSH]",
        "    Take all values through their RDB form, in memory: save, flush, load. With",
        "    MERGE and NOFLUSH over the values that are there.",
        "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>",
        "REPLYBUFFER RESIZING <0|1>",
        "    Nothing: replies are written into frames, clients have no buffer for them.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Setting it to 0 disables expiring keys that are not accessed.",
        "SET-DISABLE-DENY-SCRIPTS <0|1>",
        "    Setting it to 1 lets scripts run DEBUG.",
        "SLEEP <seconds>",
        "    Stop the server for <seconds>. Decimals allowed.",
        "STRINGMATCH-LEN <pattern> <string>",
        "    Match a string against a glob pattern: 1 or 0.",
        NULL};
    server_help(rq, lines);
}

static const struct debug_word words[] = {
    {"help", 2, 2, debug_help},
    {"sleep", 3, 3, debug_sleep},
    {"error", 3, 3, debug_error},
    {"object", 3, 4, debug_object},
    {"populate", 3, 5, debug_populate},
    {"protocol", 3, 3, debug_protocol},
    {"stringmatch-len", 4, 4, debug_stringmatch},
    {"set-active-expire", 3, 3, debug_active_expire},
    {"change-repl-id", 2, 2, debug_ok},
    {"pause-cron", 3, 3, debug_ok},
    {"replybuffer", 4, 4, debug_replybuffer},
    {"set-disable-deny-scripts", 3, 3, debug_deny_scripts},
    {"htstats", 3, 4, debug_htstats},
    {"htstats-key", 3, 4, debug_htstats_key},
    {"listpack", 3, 3, debug_no_terminal},
    {"quicklist", 3, 4, debug_no_terminal},
    {"quicklist-packed-threshold", 3, 3, debug_packed_threshold},
    {"digest", 2, 2, debug_digest},
    {"digest-value", 2, INT_MAX, debug_digest_value},
    {"reload", 2, INT_MAX, debug_reload},
    {"loadaof", 2, 2, debug_loadaof},
};

enum command_result debug_run(struct request *rq)
{
    if (!is_allowed(rq)) {
        reply_error(
            rq->out,
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can "
            "run it from a local connection, otherwise you need to set this option in the configuration "
            "file, and then restart the server.");
        return CMD_DONE;
    }
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (slice_is(rq->argv[1], words[i].name) && rq->argc >= words[i].min && rq->argc <= words[i].max) {
            words[i].run(rq);
            return CMD_DONE;
        }
    server_unknown_subcommand(rq);
    return CMD_DONE;
}
