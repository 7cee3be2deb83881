/* function.c: FCALL, FCALL_RO and FUNCTION: libraries of functions.
 * https://redis.io/docs/latest/commands/function-load/, fcall/ */
#include "base/glob.h"
#include "command/generic.h"
#include "command/info.h"
#include "command/server.h"
#include "script/eval.h"
#include "script/host.h"
#include "store/rdb.h"

#include <stdio.h>

enum { LIBRARY_OPCODE = 245 /* RDB_OPCODE_FUNCTION2 */, LIBRARY_OPCODE_OLD = 246, ERROR_TEXT = 512 };

static enum command_result error(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return CMD_DONE;
}

static enum command_result out_of_memory(struct request *rq)
{
    return error(rq, "ERR out of memory for another library");
}

static struct libraries *libraries(const struct request *rq)
{
    return rq->env->scripts ? scripts_libraries(rq->env->scripts) : NULL;
}

static void note_change(const struct request *rq)
{
    if (rq->env->box && rq->env->box->functions_changed)
        rq->env->box->functions_changed(rq->env);
}

/* -- FCALL -- */

static enum command_result fcall(struct request *rq, bool read_only)
{
    if (rq->busy)
        return script_go_on(rq);
    const struct libraries *all = libraries(rq);
    struct function *f = all ? libraries_function(all, rq->argv[1]) : NULL;
    if (!f)
        return error(rq, "ERR Function not found");
    int keys = script_keys(rq, "ERR Bad number of keys provided");
    if (keys < 0)
        return CMD_DONE;
    if (script_is_wide(rq, &f->run, keys))
        return script_stop_first(rq);
    struct script_host *h = function_host_of(rq->env);
    if (!h)
        return out_of_memory(rq);
    return function_run(h, f, rq, keys, read_only);
}

bool fcall_reads(const struct request *rq)
{
    const struct libraries *all = libraries(rq);
    const struct function *f = all ? libraries_function(all, rq->argv[1]) : NULL;
    return f && f->run.flags & SCRIPT_NO_WRITES;
}

enum command_result fcall_command(struct request *rq)
{
    return fcall(rq, false);
}

enum command_result fcall_ro_command(struct request *rq)
{
    return fcall(rq, true);
}

/* -- making libraries -- */

/* A function of l that another library than `old` has. */
static const struct function *taken(const struct libraries *all, const struct library *l,
                                    const struct library *old)
{
    for (const struct function *f = l->first; f; f = f->next) {
        const struct function *there = libraries_function(all, f->run.name);
        if (there && there->library != old)
            return f;
    }
    return NULL;
}

/* Makes a library of a text and puts it into all. NULL, nothing changed, with an error in text. */
static const struct library *make(struct script_host *h, struct libraries *all, struct slice code,
                                  bool replace, char *why, size_t size)
{
    struct library_head head;
    uint64_t count, functions, bytes;
    if (!library_head(code, &head, why, size))
        return NULL;
    const struct library *old = libraries_find(all, slice_str(head.name));
    if (old && !replace) {
        snprintf(why, size, "ERR Library '%s' already exists", head.name);
        return NULL;
    }
    struct library *l = library_new(slice_str(head.name), code);
    libraries_measure(all, &count, &functions, &bytes);
    if (!l || bytes + l->bytes > SCRIPT_TEXTS_BYTES) {
        snprintf(why, size, "ERR out of memory for another library");
    } else if (library_load(h, l, head.body, why, size)) {
        const struct function *f = taken(all, l, old);
        if (!f) {
            if (old)
                libraries_delete(all, old);
            libraries_put(all, l);
            return l;
        }
        snprintf(why, size, "ERR Function %s already exists", (const char *)f->run.name.p);
    }
    library_free(l);
    return NULL;
}

/* In the cluster view clients load and delete a library at each node. The nodes have the box' libraries in common, so one
 * of them may have done so already. */
static bool has_sisters(const struct request *rq)
{
    return in_cluster(rq) && rq->env->workers > 1;
}

/* The library of just this text. */
static const struct library *loaded(const struct libraries *all, struct slice code)
{
    char why[ERROR_TEXT];
    struct library_head head;
    const struct library *l =
        library_head(code, &head, why, sizeof why) ? libraries_find(all, slice_str(head.name)) : NULL;
    return l && slice_eq(l->code, code) ? l : NULL;
}

/* Libraries are not counted in maxmemory, but where nothing more fits they are refused as everything is. */
static bool is_full(struct request *rq, struct slice text)
{
    if (shard_make_room(rq->env->ks->shard[rq->env->self], text.len) == STORE_OK)
        return false;
    reply_oom(rq->out);
    return true;
}

enum command_result function_load(struct request *rq)
{
    char why[ERROR_TEXT];
    bool replace = false;
    struct slice code = rq->argv[rq->argc - 1];
    for (int i = 2; i < rq->argc - 1; i++) {
        if (!slice_is(rq->argv[i], "replace")) {
            reply_errorf(rq->out, "ERR Unknown option given: %.*s", (int)rq->argv[i].len, rq->argv[i].p);
            return CMD_DONE;
        }
        replace = true;
    }
    if (is_full(rq, code))
        return CMD_DONE;
    struct script_host *h = function_host_of(rq->env);
    if (!h)
        return out_of_memory(rq);
    const struct library *l = has_sisters(rq) ? loaded(libraries(rq), code) : NULL;
    if (!l)
        l = make(h, libraries(rq), code, replace, why, sizeof why);
    if (!l)
        return error(rq, why);
    note_change(rq);
    reply_bulk(rq->out, l->name);
    return CMD_DONE;
}

enum command_result function_delete(struct request *rq)
{
    struct libraries *all = libraries(rq);
    const struct library *l = all ? libraries_find(all, rq->argv[2]) : NULL;
    if (!l && !has_sisters(rq))
        return error(rq, "ERR Library not found");
    if (l)
        libraries_delete(all, l);
    note_change(rq);
    reply_ok(rq->out);
    return CMD_DONE;
}

static enum command_result refuse_arguments(struct request *rq)
{
    reply_errorf(rq->out,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try FUNCTION HELP.",
                 (int)rq->argv[1].len, rq->argv[1].p);
    return CMD_DONE;
}

enum command_result function_flush(struct request *rq)
{
    bool mode = rq->argc == 3 && (slice_is(rq->argv[2], "sync") || slice_is(rq->argv[2], "async"));
    if (rq->argc > 3)
        return refuse_arguments(rq);
    if (rq->argc == 3 && !mode)
        return error(rq, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    if (libraries(rq))
        libraries_flush(libraries(rq));
    note_change(rq);
    reply_ok(rq->out);
    return CMD_DONE;
}

/* -- payloads -- */

enum command_result function_dump(struct request *rq)
{
    struct rdb_writer w = {.compress = dump_compresses(rq->env->conf)};
    const struct libraries *all = libraries(rq);
    for (const struct library *l = all ? libraries_first(all) : NULL; l; l = l->next) {
        rdb_put_byte(&w, LIBRARY_OPCODE);
        rdb_put_string(&w, l->code);
    }
    rdb_put_footer(&w);
    return reply_payload(rq, &w);
}

/* Reads all libraries of a payload. False with an error in text. */
static bool read_payload(struct script_host *h, struct slice body, struct libraries *into, char *why,
                         size_t size)
{
    struct rdb_reader r = {.p = body.p, .left = body.len};
    while (r.left) {
        struct rdb_text code;
        uint8_t type = rdb_take_byte(&r);
        if (type != LIBRARY_OPCODE) {
            snprintf(why, size,
                     type == LIBRARY_OPCODE_OLD ? "ERR Pre-release function format not supported."
                                                : "ERR given type is not a function");
            return false;
        }
        if (!rdb_take_string(&r, &code)) {
            snprintf(why, size, "ERR Failed loading library payload");
            return false;
        }
        const struct library *l = make(h, into, code.s, false, why, size);
        rdb_text_free(&code);
        if (!l)
            return false;
    }
    return true;
}

enum restore_policy { APPEND, REPLACE, FLUSH, NO_POLICY };

static enum restore_policy policy_of(struct slice s)
{
    return slice_is(s, "append")    ? APPEND
           : slice_is(s, "replace") ? REPLACE
           : slice_is(s, "flush")   ? FLUSH
                                    : NO_POLICY;
}

enum command_result function_restore(struct request *rq)
{
    char why[ERROR_TEXT];
    struct slice body;
    if (rq->argc > 4)
        return refuse_arguments(rq);
    enum restore_policy policy = rq->argc == 4 ? policy_of(rq->argv[3]) : APPEND;
    if (policy == NO_POLICY)
        return error(rq, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    if (!rdb_check_payload(rq->argv[2], &body, NULL))
        return error(rq, "ERR DUMP payload version or checksum are wrong");
    if (is_full(rq, body))
        return CMD_DONE;
    struct libraries *read = libraries_new();
    struct script_host *h = read ? function_host_of(rq->env) : NULL;
    if (!h) {
        libraries_free(read);
        return out_of_memory(rq);
    }
    bool ok = read_payload(h, body, read, why, sizeof why);
    if (ok && policy == FLUSH)
        libraries_flush(libraries(rq));
    ok = ok && libraries_join(libraries(rq), read, policy == REPLACE, why, sizeof why);
    libraries_free(read);
    note_change(rq);
    if (!ok)
        return error(rq, why);
    reply_ok(rq->out);
    return CMD_DONE;
}

/* -- what there is -- */

static void reply_function(struct resp_writer *out, const struct function *f)
{
    unsigned flag, n = 0;
    const char *name;
    reply_map(out, 3);
    reply_bulk_str(out, "name");
    reply_bulk(out, f->run.name);
    reply_bulk_str(out, "description");
    if (f->description.p)
        reply_bulk(out, f->description);
    else
        reply_null(out);
    reply_bulk_str(out, "flags");
    for (unsigned i = 0; script_flag_name(i, &flag); i++)
        n += (f->run.flags & flag) != 0;
    reply_set(out, n);
    for (unsigned i = 0; (name = script_flag_name(i, &flag)); i++)
        if (f->run.flags & flag)
            reply_simple(out, name);
}

static void reply_library(struct resp_writer *out, const struct library *l, bool code)
{
    reply_map(out, code ? 4 : 3);
    reply_bulk_str(out, "library_name");
    reply_bulk(out, l->name);
    reply_bulk_str(out, "engine");
    reply_bulk_str(out, "LUA");
    reply_bulk_str(out, "functions");
    reply_array(out, l->functions);
    for (const struct function *f = l->first; f; f = f->next)
        reply_function(out, f);
    if (!code)
        return;
    reply_bulk_str(out, "library_code");
    reply_bulk(out, l->code);
}

struct listing {
    bool code;
    struct slice pattern; /* p NULL: all */
};

static bool parse_listing(struct request *rq, struct listing *o)
{
    *o = (struct listing){0};
    for (int i = 2; i < rq->argc; i++) {
        if (!o->code && slice_is(rq->argv[i], "withcode")) {
            o->code = true;
        } else if (!o->pattern.p && slice_is(rq->argv[i], "libraryname")) {
            if (++i == rq->argc) {
                reply_error(rq->out, "ERR library name argument was not given");
                return false;
            }
            o->pattern = rq->argv[i];
        } else {
            reply_errorf(rq->out, "ERR Unknown argument %.*s", (int)rq->argv[i].len, rq->argv[i].p);
            return false;
        }
    }
    return true;
}

static bool is_listed(const struct listing *o, const struct library *l)
{
    return !o->pattern.p || glob_match(o->pattern, l->name, true);
}

enum command_result function_list(struct request *rq)
{
    struct listing o;
    size_t n = 0;
    const struct libraries *all = libraries(rq);
    if (!parse_listing(rq, &o))
        return CMD_DONE;
    const struct library *first = all ? libraries_first(all) : NULL;
    for (const struct library *l = first; l; l = l->next)
        n += is_listed(&o, l);
    reply_array(rq->out, n);
    for (const struct library *l = first; l; l = l->next)
        if (is_listed(&o, l))
            reply_library(rq->out, l, o.code);
    return CMD_DONE;
}

static void measure(const struct command_env *env, uint64_t *count, uint64_t *functions, uint64_t *bytes)
{
    *count = *functions = *bytes = 0;
    if (env->scripts)
        libraries_measure(scripts_libraries(env->scripts), count, functions, bytes);
}

static void reply_running(struct resp_writer *out, const struct script_host *h)
{
    reply_map(out, 3);
    reply_bulk_str(out, "name");
    reply_bulk(out, h->program->name);
    reply_bulk_str(out, "command");
    reply_array(out, (size_t)h->rq->argc);
    for (int i = 0; i < h->rq->argc; i++)
        reply_bulk(out, h->rq->argv[i]);
    reply_bulk_str(out, "duration_ms");
    reply_int(out, (int64_t)((host_clock_us() - h->begun_us) / 1000));
}

/* What runs in slices, a function rather than a script. */
static const struct script_host *running(const struct command_env *env)
{
    const struct script_host *found = NULL;
    for (unsigned i = 0; env->scripts && i < env->workers; i++) {
        const struct script_host *h = *scripts_running(env->scripts, i);
        if (h && h->rq && (!found || h->functions))
            found = h;
    }
    return found;
}

enum command_result function_stats(struct request *rq)
{
    uint64_t count, functions, bytes;
    const struct script_host *h = running(rq->env);
    if (h && !h->functions)
        return error(rq, BUSY_SCRIPT);
    measure(rq->env, &count, &functions, &bytes);
    reply_map(rq->out, 2);
    reply_bulk_str(rq->out, "running_script");
    if (h)
        reply_running(rq->out, h);
    else
        reply_null(rq->out);
    reply_bulk_str(rq->out, "engines");
    reply_map(rq->out, 1);
    reply_bulk_str(rq->out, "LUA");
    reply_map(rq->out, 2);
    reply_bulk_str(rq->out, "libraries_count");
    reply_int(rq->out, (int64_t)count);
    reply_bulk_str(rq->out, "functions_count");
    reply_int(rq->out, (int64_t)functions);
    return CMD_DONE;
}

enum command_result function_kill(struct request *rq)
{
    return script_kill_running(rq, true);
}

void info_functions(struct info *i, const char *name)
{
    uint64_t count, functions, bytes;
    measure(i->env, &count, &functions, &bytes);
    info_u64(i, name, functions);
    info_u64(i, "number_of_libraries", count);
    info_u64(i, "used_memory_vm_functions", script_host_bytes(i->env->function_host));
}

void info_function_texts(struct info *i, const char *name)
{
    uint64_t count, functions, bytes;
    measure(i->env, &count, &functions, &bytes);
    info_u64(i, name, bytes);
}

enum command_result function_help(struct request *rq)
{
    static const char *const lines[] = {
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Create a new library with the given library name and code.",
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Library description",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using FUNCTION "
        "RESTORE command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, it is possible to give a restore policy "
        "to",
        "    control how to handle existing libraries (default APPEND):",
        "    * FLUSH: delete all existing libraries.",
        "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
        "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the "
        "old",
        "      libraries with the new libraries (notice that even on this option there is a chance of "
        "failure",
        "      in case of functions name collision with another library).",
        NULL};
    return server_help(rq, lines);
}
