/* host.h: a worker's interpreter, for the files of this folder. */
#pragma once
#include "command/effects.h"
#include "script/library.h"

#include <lauxlib.h>
#include <lua.h>

#define BUSY          "BUSY Redis is busy running a script. You can only call "
#define BUSY_SCRIPT   BUSY "SCRIPT KILL or SHUTDOWN NOSAVE."
#define BUSY_FUNCTION BUSY "FUNCTION KILL or SHUTDOWN NOSAVE."

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
    NAME_COUNTED,
    NAMES
};

/* Commands that were refused, for INFO: counted when the run ends, and not if it is to start anew elsewhere. */
struct refusal {
    const struct command *cmd; /* NULL: unknown */
    char code[32];
    uint64_t count;
};
enum { REFUSALS = 8 }; /* kinds of them that a run notes; more are counted at once */

struct script_host {
    lua_State *L;
    size_t used, limit;
    size_t used_before, tidy_above; /* used when the run began; of it, what is collected after a run */
    uint64_t generation;
    unsigned compiled; /* functions kept */
    unsigned runs;
    int name[NAMES];       /* references to the strings */
    unsigned short rng[3]; /* math.random */
    uint64_t deadline_us;  /* of the monotonic clock */
    struct coroutine *co;  /* what it runs on; NULL: on whatever stack its command runs on */
    bool may_turn;         /* it gives way to others ... */
    uint64_t until;        /* ... when the TSC says so */
    struct turn turn;      /* of its commands that are long */
    bool killed;
    uint64_t begun_us;       /* as deadline_us */
    int keys, status;        /* of the run: how many keys, and lua_cpcall()'s result */
    bool failed;             /* the script ended with an error */
    bool ended;              /* it must end: every hook raises again */
    bool again;              /* because it is to start anew elsewhere */
    const char *why;         /* what ended says */
    struct request *rq;      /* who runs the script */
    const struct command *cmd; /* ... and by what */
    struct client client;    /* in whose name its commands run */
    struct effects record;   /* of the log, if it is no part of another one */
    struct program *program; /* what runs: one of the two */
    struct script *script;
    struct function *function;
    bool functions; /* it is that of the libraries, which are also counted: */
    uint64_t deletions;
    struct library *loading; /* registers its functions, if it is not known yet which ones it has */
    uint8_t resp;            /* 2 or 3: redis.setresp */
    int slot;                /* in the cluster view: of its keys so far (command/cluster.h) */
    bool read_only, dirty, oom, replying;
    struct resp_writer out; /* replies of commands, into reply */
    uint8_t *reply;
    size_t reply_cap;
    struct slice *argv;
    size_t argv_cap;
    struct refusal refused[REFUSALS];
    unsigned refusals;
};

struct script_host *script_host_from(lua_State *L);
/* Opens the libraries and locks them up (sandbox.c); raises errors. */
void sandbox_open(lua_State *L);
/* Real table of a protected one at index, pushed; false and nothing pushed if it is none. */
bool sandbox_real(lua_State *L, int index);
/* Replaces the table on top by one that cannot be changed. */
void sandbox_protect(lua_State *L);
/* The table of globals that scripts see but cannot change, pushed; what getmetatable() says of it, and of strings. */
void sandbox_globals(lua_State *L);
void sandbox_globals_meta(lua_State *L);
void sandbox_string_meta(lua_State *L);
#define SANDBOX_READONLY "Attempt to modify a readonly table"
/* Ours in place of Lua's (sandbox_replace.c): into the table of globals on top; into the libraries, which are open. */
void sandbox_replace_globals(lua_State *L);
void sandbox_replace_in_libraries(lua_State *L);
/* Reading what is not in the table on top is an error from now on. */
void sandbox_strict(lua_State *L);
/* Scripts see the table on top, popped, instead of the globals; of a table of `globals` again. */
void sandbox_show(lua_State *L);
/* As luaL_register would, into the table on top. */
void sandbox_functions(lua_State *L, const luaL_Reg *list);

/* luaL_loadbuffer(), with a name that outlives the parser. */
int sandbox_load_text(lua_State *L, const char *text, size_t len, const char *name);

/* redis.* (api.c), pushed as a table; and what of it there is while a library is loaded. */
void api_open(lua_State *L);
void api_open_load(lua_State *L);
/* The handler of errors of a run: makes a table of them, with source and line. */
int api_error_handler(lua_State *L);
/* Pushes a table of the error text: "-CODE text" or "text". Counted: it is in INFO errorstats already and is not to be
 * counted as the script's reply again. */
void api_push_error(lua_State *L, const char *text, size_t len);
void api_push_counted_error(lua_State *L, const char *text, size_t len);
/* Replies this error, of the table at index. */
void value_reply_error(struct script_host *h, struct resp_writer *out, int index, const char *text);

/* Frees the memory that is kept for replies and arguments of its commands; no script runs. */
void host_give_buffers(struct script_host *h);
/* Compiles, as luaL_loadbuffer() with the name of scripts or of functions. */
int host_compile(lua_State *L, struct script_host *h, struct slice body);
/* Lets others have the worker when a slice is over. */
void host_give_way(struct script_host *h);
/* Lets others have it now, so that what comes next is in slices. */
void host_stop_here(struct script_host *h);
/* Before a command that may take h->turn. */
void host_begin_turn(struct script_host *h);
/* One more refusal of the run, and those of a run that has ended. */
void host_note_refusal(struct script_host *h, const struct refusal *one);
void host_count_refusals(struct script_host *h, struct command_env *env);
/* Monotonic. */
uint64_t host_clock_us(void);
/* Gives what runs next so much time; `why` is the error when it is over. */
void host_limit_time(struct script_host *h, uint64_t us, const char *why);
/* The table of what is kept compiled, by id, pushed; and an empty one in its place. */
void host_compiled(lua_State *L);
void host_forget(lua_State *L);
/* Pushes the function of a script, compiled when it is first wanted. */
void script_push(lua_State *L, struct script_host *h);
/* Pushes the function of a library, which is loaded when it is first wanted (function_load.c). */
void library_push(lua_State *L, struct script_host *h);
/* Forgets libraries that there are no more. */
void library_sweep(struct script_host *h, const struct libraries *all);

/* RESP to a Lua value, pushed; *at moves on. Raises errors. */
void value_from_resp(lua_State *L, const uint8_t **at, const uint8_t *end);
/* The Lua value on top as a reply; popped. Takes no memory but the stack's. */
void value_to_reply(struct script_host *h, struct resp_writer *out);

/* bit, cjson, cmsgpack, struct: pushed as tables. */
void bit_open(lua_State *L);
void json_open(lua_State *L);
void msgpack_open(lua_State *L);
void struct_open(lua_State *L);
