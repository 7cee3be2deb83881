/* api.c: redis.*: what a script may ask of the box.
 * https://redis.io/docs/latest/develop/interact/programmability/lua-api/#redis_object */
#include "command/acl.h"
#include "command/debug.h"
#include "command/refuse.h"
#include "command/version.h"
#include "script/host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { REPL_NONE, REPL_AOF, REPL_REPLICA, REPL_ALL, LOG_LEVELS = 4 };

/* -- errors -- */

void api_push_error(lua_State *L, const char *text, size_t len)
{
    const char *code = "ERR", *space;
    size_t code_len = 3;
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (len && text[0] == '-') {
        space = memchr(text, ' ', len);
        code_len = space ? (size_t)(space - text) - 1 : 3;
        code = space ? text + 1 : "ERR";
        const char *rest = space ? space + 1 : text + 1;
        len -= (size_t)(rest - text);
        text = rest;
    }
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, code, code_len);
    lua_pushliteral(L, " ");
    lua_pushlstring(L, text, len);
    lua_concat(L, 3);
    lua_setfield(L, -2, "err");
}

void api_push_counted_error(lua_State *L, const char *text, size_t len)
{
    api_push_error(L, text, len);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ignore_error_stats_update");
}

static int fail(lua_State *L, const char *text)
{
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "ERR %s", text);
    lua_setfield(L, -2, "err");
    return lua_error(L);
}

int api_error_handler(lua_State *L)
{
    lua_Debug where = {0};
    lua_settop(L, 1);
    bool known = lua_getstack(L, 1, &where) && lua_getinfo(L, "Sl", &where);
    if (known && where.what[0] == 'C')
        known = lua_getstack(L, 2, &where) && lua_getinfo(L, "Sl", &where);
    if (!lua_istable(L, 1)) {
        lua_createtable(L, 0, 3);
        if (lua_isstring(L, 1))
            lua_pushfstring(L, "ERR %s", lua_tostring(L, 1));
        else if (lua_isboolean(L, 1))
            lua_pushfstring(L, "ERR %s", lua_toboolean(L, 1) ? "true" : "false");
        else
            lua_pushfstring(L, "ERR %s", luaL_typename(L, 1));
        lua_setfield(L, -2, "err");
    } else if (sandbox_real(L, 1)) {
        return 1;
    }
    if (known) {
        lua_pushliteral(L, "source");
        lua_pushstring(L, where.source);
        lua_rawset(L, -3);
        lua_pushliteral(L, "line");
        lua_pushinteger(L, where.currentline);
        lua_rawset(L, -3);
    }
    return 1;
}

/* -- redis.call -- */

static int take_args(lua_State *L, struct script_host *h, int argc)
{
    if ((size_t)argc > h->argv_cap) {
        struct slice *p = realloc(h->argv, (size_t)argc * sizeof *p);
        if (!p)
            return luaL_error(L, "not enough memory");
        h->argv = p;
        h->argv_cap = (size_t)argc;
    }
    for (int i = 0; i < argc; i++) {
        char text[64];
        if (lua_type(L, i + 1) == LUA_TNUMBER) {
            snprintf(text, sizeof text, "%.17g", (double)lua_tonumber(L, i + 1));
            lua_pushstring(L, text);
            lua_replace(L, i + 1);
        } else if (lua_type(L, i + 1) != LUA_TSTRING) {
            return 0;
        }
        h->argv[i].p = (const uint8_t *)lua_tolstring(L, i + 1, &h->argv[i].len);
    }
    return 1;
}

/* One buffer that is moved when it grows: what is final stays before w->start. */
static bool grow_reply(struct resp_writer *w)
{
    struct script_host *h = (struct script_host *)((char *)w - offsetof(struct script_host, out));
    size_t have = w->bytes, cap = h->reply_cap ? h->reply_cap * 2 : 4096;
    uint8_t *p = cap < h->limit / 2 ? realloc(h->reply, cap) : NULL; /* w->cur is set anew below */
    if (!p)
        return false;
    h->reply = p;
    h->reply_cap = cap;
    w->start = w->cur = p + have;
    w->end = p + cap;
    return true;
}

static void open_reply(struct script_host *h)
{
    static const struct resp_sink sink = {grow_reply};
    resp_writer_init(&h->out, &sink, h->resp);
    h->out.start = h->out.cur = h->reply;
    h->out.end = h->reply + h->reply_cap;
}

/* One that names keys of other slots only if it says so. */
static bool one_slot(const struct script_host *h)
{
    return h->program->flags & SCRIPT_SHEBANG && !(h->program->flags & SCRIPT_ALLOW_CROSS_SLOT);
}

/* May this script write where it is? */
static bool confined(const struct script_host *h)
{
    return one_slot(h) || in_cluster(h->rq);
}

/* It needs more than the shard it runs on: ends it, to start anew. */
static const char *stay(lua_State *L, struct script_host *h, const struct request *rq)
{
    if (script_is_alone(h->rq)) {
        assert(rq->env->workers == 1 || rq->env->stopped || h->killed); /* killed: the box ends */
        return NULL;
    }
    bool elsewhere = rq->route == ROUTE_ALL || (rq->route == ROUTE_SHARD && rq->shard != h->rq->env->self);
    bool may_spread =
        !h->dirty && (rq->cmd->flags & CMD_MAY_REPLICATE || /* PUBLISH: receivers are anywhere */
                      (rq->cmd->flags & CMD_WRITE && !confined(h)));
    if (!elsewhere && !may_spread)
        return NULL;
    if (h->dirty)
        return "-ERR Script has written and names a key of another shard now: declare it, or give the script "
               "the "
               "flag allow-cross-slot-keys";
    h->again = h->ended = true;
    h->why = "Script starts anew";
    atomic_store_explicit(&h->program->wide, true, memory_order_relaxed);
    lua_pushstring(L, h->why);
    lua_error(L);
    return NULL;
}

/* DEBUG SET-DISABLE-DENY-SCRIPTS 1 */
static bool may_debug(const struct request *rq)
{
    return rq->cmd->run == debug_run && rq->env->debug && rq->env->debug->in_scripts;
}

#define DENIED "-NOPERM ACL failure in script: "
enum { DENIED_TEXT = sizeof DENIED - 1 };

/* Why this command must not run, in the order of Redis' script.c. */
static const char *refusal(const struct script_host *h, const struct request *rq, char *room)
{
    if (!rq->cmd)
        return "Unknown Redis command called from script";
    if (rq->bad_arity)
        return "Wrong number of args calling Redis command from script";
    if (rq->cmd->flags & CMD_NOSCRIPT && !may_debug(rq))
        return "This Redis command is not allowed from script";
    if (!(h->client.flags & CLIENT_UNLIMITED) && acl_judge(rq, ACL_IN_SCRIPT, room + DENIED_TEXT) != VERDICT_MAY)
        return memcpy(room, DENIED, DENIED_TEXT);
    if (h->read_only && rq->cmd->flags & (CMD_WRITE | CMD_MAY_REPLICATE))
        return "Write commands are not allowed from read-only scripts.";
    if (h->oom && !h->dirty && rq->cmd->flags & CMD_DENYOOM && !(h->program->flags & SCRIPT_ALLOW_OOM))
        return "-" RESP_OOM;
    return NULL;
}

/* A long command gives way to others when it has begun: only once the script is in slices, where nobody else
 * comes near what it has in hand. */
static void run_nested(struct script_host *h, struct request *rq)
{
    rq->turn = h->may_turn && !(rq->cmd->flags & CMD_REMOTE) ? &h->turn : NULL;
    host_begin_turn(h);
    if (command_nested(rq, &h->out) != CMD_LONG)
        return;
    if (!h->rq->again)
        host_stop_here(h);
    if (!h->may_turn)
        rq->turn = NULL;
    command_nested_long(rq, &h->out, script_is_alone(h->rq));
}

/* Notes a refusal, which no command has replied, and pushes its table. */
static void push_refusal(lua_State *L, struct script_host *h, const struct command *cmd, const char *why)
{
    struct refusal one = {.cmd = cmd, .code = "ERR", .count = 1};
    if (why[0] == '-')
        snprintf(one.code, sizeof one.code, "%.*s", (int)strcspn(why + 1, " "), why + 1);
    host_note_refusal(h, &one);
    api_push_counted_error(L, why, strlen(why));
}

/* Runs what the arguments say; its reply, as a Lua value, or a table of its error, is on top. */
static void run_command(lua_State *L, struct script_host *h, int argc)
{
    struct request rq;
    char room[DENIED_TEXT + ACL_WHY];
    command_prepare(&rq, h->rq->env, &h->client, argc, h->argv);
    const char *why = refusal(h, &rq, room);
    if (!why && in_cluster(&rq))
        why = cluster_script_strays(&rq, &h->slot, one_slot(h));
    if (!why)
        why = stay(L, h, &rq);
    if (why) {
        push_refusal(L, h, rq.cmd, why);
        return;
    }
    if (h->dirty)
        h->client.flags |= CLIENT_GOES_ON;
    h->dirty |= rq.cmd->flags & CMD_WRITE && !request_may_not_write(&rq);
    open_reply(h);
    run_nested(h, &rq);
    lua_settop(L, 0); /* many arguments leave no room for the reply */
    if (h->out.failed)
        luaL_error(L, "not enough memory");
    const uint8_t *at = h->reply;
    value_from_resp(L, &at, at + resp_written(&h->out));
}

static bool is_error(lua_State *L)
{
    if (!lua_istable(L, -1))
        return false;
    lua_getfield(L, -1, "err");
    bool is = lua_isstring(L, -1);
    lua_pop(L, 1);
    return is;
}

static int call(lua_State *L, bool raise)
{
    struct script_host *h = script_host_from(L);
    int argc = lua_gettop(L);
    host_give_way(h);
    if (argc == 0)
        api_push_error(L, "Please specify at least one argument for this redis lib call", 60);
    else if (!take_args(L, h, argc))
        api_push_error(L, "Lua redis lib command arguments must be strings or integers", 59);
    else
        run_command(L, h, argc);
    return raise && is_error(L) ? lua_error(L) : 1;
}

static int redis_call(lua_State *L)
{
    return call(L, true);
}

static int redis_pcall(lua_State *L)
{
    return call(L, false);
}

/* -- the rest -- */

static int single_field(lua_State *L, const char *name)
{
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "ERR wrong number or type of arguments");
        lua_setfield(L, -2, "err");
        return 1;
    }
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, name);
    return 1;
}

static int redis_status_reply(lua_State *L)
{
    return single_field(L, "ok");
}

static int redis_error_reply(lua_State *L)
{
    size_t len;
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING)
        return single_field(L, "err");
    const char *text = lua_tolstring(L, 1, &len);
    bool dash = len && text[0] == '-';
    const char *space = memchr(text, ' ', len);
    lua_createtable(L, 0, 1);
    if (dash && space)
        lua_pushlstring(L, text + 1, len - 1);
    else
        lua_pushfstring(L, "%s%s", space ? "" : "ERR ", text + dash);
    lua_setfield(L, -2, "err");
    return 1;
}

static int redis_sha1hex(lua_State *L)
{
    struct slice text;
    char sha[SCRIPT_SHA + 1];
    if (lua_gettop(L) != 1)
        return fail(L, "wrong number of arguments");
    text.p = (const uint8_t *)lua_tolstring(L, 1, &text.len);
    if (!text.p)
        text = (struct slice){(const uint8_t *)"", 0};
    script_sha(text, sha);
    lua_pushlstring(L, sha, SCRIPT_SHA);
    return 1;
}

static int redis_setresp(lua_State *L)
{
    struct script_host *h = script_host_from(L);
    if (lua_gettop(L) != 1)
        return fail(L, "redis.setresp() requires one argument.");
    lua_Number version = lua_tonumber(L, 1);
    if (version != 2 && version != 3)
        return fail(L, "RESP version must be 2 or 3.");
    h->resp = h->client.proto = version > 2 ? 3 : 2;
    return 0;
}

/* The box keeps no log that a script could fill: the arguments are checked, nothing is written. */
static int redis_log(lua_State *L)
{
    if (lua_gettop(L) < 2)
        return fail(L, "redis.log() requires two arguments or more.");
    if (lua_type(L, 1) != LUA_TNUMBER)
        return fail(L, "First argument must be a number (log level).");
    lua_Number level = lua_tonumber(L, 1);
    if (!(level >= 0 && level < LOG_LEVELS))
        return fail(L, "Invalid debug level.");
    return 0;
}

/* There are no replicas whose way could be chosen. */
static int redis_replicate_commands(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

static int redis_set_repl(lua_State *L)
{
    if (lua_gettop(L) != 1)
        return fail(L, "redis.set_repl() requires two arguments.");
    lua_Number flags = lua_tonumber(L, 1);
    if (!(flags >= REPL_NONE && flags <= REPL_ALL))
        return fail(L, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    return 0;
}

/* redis.debug: nobody debugs. */
static int redis_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

static int redis_breakpoint(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}

static int redis_acl_check_cmd(lua_State *L)
{
    struct script_host *h = script_host_from(L);
    int argc = lua_gettop(L);
    if (argc == 0)
        return fail(L, "Please specify at least one argument for this redis lib call");
    if (!take_args(L, h, argc))
        return fail(L, "Lua redis lib command arguments must be strings or integers");
    const struct command *cmd = command_lookup(argc, h->argv);
    if (!cmd)
        return fail(L, "Invalid command passed to redis.acl_check_cmd()");
    const struct acl_user *u = acl_user_of(h->rq->env, &h->client);
    lua_pushboolean(L, acl_verdict(u, cmd, argc, h->argv, NULL) == VERDICT_MAY);
    return 1;
}

static lua_Number version_number(void)
{
    unsigned part[3] = {0};
    sscanf(REDIS_VERSION, "%u.%u.%u", &part[0], &part[1], &part[2]);
    return part[0] << 16 | part[1] << 8 | part[2];
}

struct constant {
    const char *name; /* NULL ends a list */
    int value;
};

static void add_numbers(lua_State *L, const struct constant *list)
{
    for (; list->name; list++) {
        lua_pushinteger(L, list->value);
        lua_setfield(L, -2, list->name);
    }
}

/* What there is also while a library is loaded, into the table on top. */
static void add_basics(lua_State *L)
{
    static const luaL_Reg functions[] = {{"log", redis_log}, {NULL, NULL}};
    static const struct constant numbers[] = {
        {"LOG_DEBUG", 0}, {"LOG_VERBOSE", 1}, {"LOG_NOTICE", 2}, {"LOG_WARNING", 3}, {NULL, 0}};
    sandbox_functions(L, functions);
    add_numbers(L, numbers);
    lua_pushliteral(L, REDIS_VERSION);
    lua_setfield(L, -2, "REDIS_VERSION");
    lua_pushnumber(L, version_number());
    lua_setfield(L, -2, "REDIS_VERSION_NUM");
}

void api_open_load(lua_State *L)
{
    lua_newtable(L);
    add_basics(L);
}

void api_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"call", redis_call},
                                         {"pcall", redis_pcall},
                                         {"setresp", redis_setresp},
                                         {"error_reply", redis_error_reply},
                                         {"status_reply", redis_status_reply},
                                         {"sha1hex", redis_sha1hex},
                                         {"set_repl", redis_set_repl},
                                         {"acl_check_cmd", redis_acl_check_cmd},
                                         {NULL, NULL}};
    static const luaL_Reg of_scripts[] = {{"replicate_commands", redis_replicate_commands},
                                          {"breakpoint", redis_breakpoint},
                                          {"debug", redis_nothing},
                                          {NULL, NULL}};
    static const struct constant numbers[] = {{"REPL_NONE", REPL_NONE},     {"REPL_AOF", REPL_AOF},
                                              {"REPL_SLAVE", REPL_REPLICA}, {"REPL_REPLICA", REPL_REPLICA},
                                              {"REPL_ALL", REPL_ALL},       {NULL, 0}};
    lua_newtable(L);
    add_basics(L);
    sandbox_functions(L, functions);
    if (!script_host_from(L)->functions)
        sandbox_functions(L, of_scripts);
    add_numbers(L, numbers);
}
