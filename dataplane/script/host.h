/* host.h: a worker's interpreter, for the files of this folder. */
#pragma once
#include "script/script.h"

#include <lauxlib.h>
#include <lua.h>

/* Names that replies are made of: kept so that making one takes no memory. */
enum host_name {
    NAME_ERR,
    NAME_OK,
    NAME_DOUBLE,
    NAME_MAP,
    NAME_SET,
    NAME_BIG_NUMBER,
    NAME_VERBATIM,
    NAME_FORMAT,
    NAME_STRING,
    NAMES
};

struct script_host {
    lua_State *L;
    size_t used, limit;
    uint64_t generation;
    unsigned compiled; /* functions kept */
    unsigned runs;
    int name[NAMES];       /* references to the strings */
    unsigned short rng[3]; /* math.random */
    uint64_t deadline_us;  /* of the monotonic clock */
    bool ended;            /* it must end: every hook raises again */
    bool again;            /* because it is to start anew elsewhere */
    const char *why;       /* what ended says */
    struct request *rq;    /* who runs the script */
    struct client client;  /* in whose name its commands run */
    struct script *script;
    uint8_t resp; /* 2 or 3: redis.setresp */
    bool read_only, dirty, oom, replying;
    struct resp_writer out; /* replies of commands, into reply */
    uint8_t *reply;
    size_t reply_cap;
    struct slice *argv;
    size_t argv_cap;
};

struct script_host *script_host_from(lua_State *L);
/* Opens the libraries and locks them up (sandbox.c); raises errors. */
void sandbox_open(lua_State *L);
/* Real table of a protected one at index, pushed; false and nothing pushed if it is none. */
bool sandbox_real(lua_State *L, int index);
/* Replaces the table on top by one that cannot be changed. */
void sandbox_protect(lua_State *L);
/* The table of globals that scripts see but cannot change, pushed. */
void sandbox_globals(lua_State *L);
/* As luaL_register would, into the table on top. */
void sandbox_functions(lua_State *L, const luaL_Reg *list);

/* luaL_loadbuffer(), with a name that outlives the parser. */
int sandbox_load_text(lua_State *L, const char *text, size_t len, const char *name);

/* redis.* (api.c), pushed as a table. */
void api_open(lua_State *L);
/* The handler of errors of a run: makes a table of them, with source and line. */
int api_error_handler(lua_State *L);
/* Pushes a table of the error text: "-CODE text" or "text". */
void api_push_error(lua_State *L, const char *text, size_t len);

/* RESP to a Lua value, pushed; *at moves on. Raises errors. */
void value_from_resp(lua_State *L, const uint8_t **at, const uint8_t *end);
/* The Lua value on top as a reply; popped. Takes no memory but the stack's. */
void value_to_reply(struct script_host *h, struct resp_writer *out);

/* bit, cjson, cmsgpack, struct: pushed as tables. */
void bit_open(lua_State *L);
void json_open(lua_State *L);
void msgpack_open(lua_State *L);
void struct_open(lua_State *L);
