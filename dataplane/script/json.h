/* json.h: what the two ways of cjson share. */
#pragma once
#include "script/host.h"

struct options {
    bool convert_sparse;
    int sparse_ratio, sparse_safe;
    int encode_depth, decode_depth;
    int invalid_encode; /* 0: error, 1: as they are, 2: null */
    bool invalid_decode;
    bool keep_buffer;
    int precision;
};

enum { DEPTH_MOST = 1000 }; /* of decoding: each level takes C stack */

static inline struct options *json_options(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

int json_decode(lua_State *L);
