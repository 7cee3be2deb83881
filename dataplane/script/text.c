/* text.c: bytes that grow, kept by Lua (text.h). */
#include "script/text.h"

#include <string.h>

void script_text_begin(struct script_text *t, lua_State *L)
{
    *t = (struct script_text){.L = L, .cap = 256};
    t->p = lua_newuserdata(L, t->cap);
    t->at = lua_gettop(L);
}

char *script_text_room(struct script_text *t, size_t more)
{
    if (t->cap - t->len < more) {
        size_t cap = t->cap;
        while (cap - t->len < more)
            cap *= 2;
        char *p = lua_newuserdata(t->L, cap);
        memcpy(p, t->p, t->len);
        lua_replace(t->L, t->at);
        t->p = p;
        t->cap = cap;
    }
    return t->p + t->len;
}

void script_text_put(struct script_text *t, const void *bytes, size_t n)
{
    char *room = script_text_room(t, n);
    if (n)
        memcpy(room, bytes, n);
    t->len += n;
}
