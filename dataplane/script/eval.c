/* eval.c: EVAL, EVALSHA, EVAL_RO, EVALSHA_RO and SCRIPT.
 * https://redis.io/docs/latest/commands/?group=scripting */
#include "script/eval.h"

#include "command/info.h"
#include "command/server.h"
#include "script/script.h"

#include <ctype.h>

static enum command_result error(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return CMD_DONE;
}

enum command_result script_stop_first(struct request *rq)
{
    rq->route = ROUTE_ALL;
    rq->again = false;
    rq->busy = NULL;
    return request_elsewhere(rq);
}

int script_keys(struct request *rq, const char *not_a_number)
{
    int64_t keys;
    if (!request_int(rq, 2, &keys, not_a_number))
        return -1;
    if (keys > rq->argc - 3)
        reply_error(rq->out, "ERR Number of keys can't be greater than number of args");
    else if (keys < 0)
        reply_error(rq->out, "ERR Number of keys can't be negative");
    else
        return (int)keys;
    return -1;
}

static enum command_result run(struct request *rq, struct script_host *h, struct script *s, int keys,
                               bool read_only)
{
    if (script_is_wide(rq, &s->run, keys))
        return script_stop_first(rq);
    return script_run(h, s, rq, keys, read_only);
}

/* Takes a text in; NULL after an error. All workers are stopped. */
static struct script *take_in(struct request *rq, struct script_host *h, const char *sha, struct slice text,
                              bool kept)
{
    char why[512];
    unsigned flags;
    struct slice body;
    struct script *s = NULL;
    if (!script_shebang(text, &flags, &body, why, sizeof why) || !script_compiles(h, body, why, sizeof why))
        reply_error(rq->out, why);
    else if (!(s = scripts_add(rq->env->scripts, sha, text, flags, kept, rq->env->now_ms)))
        reply_error(rq->out, "ERR out of memory for another script");
    return s;
}

static struct script_host *host(struct request *rq)
{
    struct script_host *h = script_host_of(rq->env);
    if (!h)
        reply_error(rq->out, "ERR out of memory for scripts");
    return h;
}

static enum command_result eval(struct request *rq, bool read_only)
{
    char sha[SCRIPT_SHA + 1];
    if (rq->busy)
        return script_go_on(rq);
    int keys = script_keys(rq, NULL);
    if (keys < 0)
        return CMD_DONE;
    struct script_host *h = host(rq);
    if (!h)
        return CMD_DONE;
    script_sha(rq->argv[1], sha);
    struct script *s = scripts_find(rq->env->scripts, sha);
    if (!s && !script_is_alone(rq))
        return script_stop_first(rq);
    if (!s)
        s = take_in(rq, h, sha, rq->argv[1], false);
    return s ? run(rq, h, s, keys, read_only) : CMD_DONE;
}

/* The script that an argument names. */
static struct script *named(const struct request *rq, int i)
{
    char sha[SCRIPT_SHA];
    if (rq->argv[i].len != SCRIPT_SHA || !rq->env->scripts)
        return NULL;
    for (unsigned n = 0; n < SCRIPT_SHA; n++) {
        sha[n] = (char)tolower(rq->argv[i].p[n]);
        if (!isxdigit((unsigned char)sha[n]))
            return NULL;
    }
    return scripts_find(rq->env->scripts, sha);
}

static enum command_result evalsha(struct request *rq, bool read_only)
{
    if (rq->busy)
        return script_go_on(rq);
    struct script *s = named(rq, 1);
    if (rq->argv[1].len != SCRIPT_SHA)
        return error(rq, "NOSCRIPT No matching script. Please use EVAL.");
    int keys = script_keys(rq, NULL);
    if (keys < 0)
        return CMD_DONE;
    if (!s)
        return error(rq, "NOSCRIPT No matching script. Please use EVAL.");
    struct script_host *h = host(rq);
    return h ? run(rq, h, s, keys, read_only) : CMD_DONE;
}

/* Without a first line that says so, a script may change something. */
static bool is_reader(unsigned flags)
{
    return flags & SCRIPT_SHEBANG && flags & SCRIPT_NO_WRITES;
}

bool eval_reads(const struct request *rq)
{
    char why[512];
    unsigned flags;
    struct slice body;
    return script_shebang(rq->argv[1], &flags, &body, why, sizeof why) && is_reader(flags);
}

bool evalsha_reads(const struct request *rq)
{
    const struct script *s = named(rq, 1);
    return s && is_reader(s->run.flags);
}

enum command_result eval_command(struct request *rq)
{
    return eval(rq, false);
}

enum command_result eval_ro_command(struct request *rq)
{
    return eval(rq, true);
}

enum command_result evalsha_command(struct request *rq)
{
    return evalsha(rq, false);
}

enum command_result evalsha_ro_command(struct request *rq)
{
    return evalsha(rq, true);
}

/* -- INFO: the interpreter of the worker that answers, the texts of the box */

void info_scripts(struct info *i, const char *name)
{
    uint64_t count, bytes, here = script_host_bytes(i->env->script_host);
    scripts_measure(i->env->scripts, &count, &bytes);
    info_u64(i, name, here);
    info_u64(i, "used_memory_vm_eval", here);
    info_human(i, "used_memory_lua_human", here);
    info_u64(i, "used_memory_scripts_eval", bytes);
    info_u64(i, "number_of_cached_scripts", count);
}

void info_script_totals(struct info *i, const char *name)
{
    info_bytes(i, name, script_host_bytes(i->env->script_host) + script_host_bytes(i->env->function_host));
}

void info_script_texts(struct info *i, const char *name)
{
    uint64_t count, bytes;
    scripts_measure(i->env->scripts, &count, &bytes);
    info_bytes(i, name, bytes);
}

/* -- SCRIPT */

enum command_result script_load(struct request *rq)
{
    char sha[SCRIPT_SHA + 1];
    struct script_host *h = host(rq);
    if (!h)
        return CMD_DONE;
    script_sha(rq->argv[2], sha);
    struct script *s = scripts_find(rq->env->scripts, sha);
    if (s)
        scripts_keep(rq->env->scripts, s);
    else
        s = take_in(rq, h, sha, rq->argv[2], true);
    if (s)
        reply_bulk_str(rq->out, sha);
    return CMD_DONE;
}

enum command_result script_exists(struct request *rq)
{
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++)
        reply_int(rq->out, named(rq, i) != NULL);
    return CMD_DONE;
}

enum command_result script_flush(struct request *rq)
{
    bool mode = rq->argc == 3 && (slice_is(rq->argv[2], "sync") || slice_is(rq->argv[2], "async"));
    if (rq->argc != 2 && !mode)
        return error(rq, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    if (rq->env->scripts)
        scripts_flush(rq->env->scripts);
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result script_kill(struct request *rq)
{
    return script_kill_running(rq, false);
}

enum command_result script_debug(struct request *rq)
{
    if (slice_is(rq->argv[2], "no")) {
        reply_ok(rq->out);
        return CMD_DONE;
    }
    if (slice_is(rq->argv[2], "yes") || slice_is(rq->argv[2], "sync"))
        return error(rq, "ERR there is no Lua debugger");
    return error(rq, "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

enum command_result script_help(struct request *rq)
{
    static const char *const lines[] = {
        "DEBUG (YES|SYNC|NO)",
        "    Set the debug mode for subsequent scripts executed.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.",
        "LOAD <script>",
        "    Load a script into the scripts cache without executing it.",
        NULL};
    return server_help(rq, lines);
}
