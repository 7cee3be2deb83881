/* text.h: bytes that grow, for encoders: a userdata on the stack, so that errors cannot lose it and a
 * script's memory bound holds for it, too. */
#pragma once

#include <lua.h>
#include <stddef.h>

struct script_text {
    lua_State *L;
    int at; /* stack index of the block */
    char *p;
    size_t len, cap;
};

/* Pushes the block; it lives as long as it stays on the stack. Raises Lua's memory error. */
void script_text_begin(struct script_text *t, lua_State *L);

/* Where `more` bytes may be written behind what is there; raises the memory error. The caller adds to len
 * what it wrote. */
char *script_text_room(struct script_text *t, size_t more);

void script_text_put(struct script_text *t, const void *bytes, size_t n);
