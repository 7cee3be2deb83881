/* settings.h: the value of every directive: one configuration as a whole object that is copied, changed,
 * checked and then becomes the running one. */
#pragma once
#include "control/directives.h"

struct settings {
    struct words *value; /* [directive_count()]: one canonical text, or any number for a repeated directive */
    bool *set;           /* named in the file, on the command line or by CONFIG SET */
};

struct settings *settings_defaults(void);
struct settings *settings_copy(const struct settings *s);
void settings_free(struct settings *s);
/* The value of one directive, and whether it was named. */
void settings_copy_one(struct settings *to, const struct settings *from, int directive);

/* First text of a directive that the program itself knows by name; "" if it has none. */
const char *settings_get(const struct settings *s, const char *name);
long settings_number(const struct settings *s, const char *name);

/* One occurrence in a file or on the command line. */
bool settings_add(struct settings *s, int directive, const struct words *w, char *error, size_t size);
/* One value of CONFIG SET: replaces. */
bool settings_replace(struct settings *s, int directive, const char *value, char *error, size_t size);
/* Forget the values that a lower layer gave a repeated or gathered directive, before a higher layer's are
 * added. */
void settings_clear(struct settings *s, int directive);

/* Where nobody has said otherwise, snapshots lie beside what else the box keeps: two boxes on one machine must not
 * write, or load, one file. */
void settings_place(struct settings *s);

bool settings_same(const struct settings *a, const struct settings *b, int directive);
/* Calls fn for every name (aliases too) and value. */
void settings_each(const struct settings *s, void (*fn)(const char *name, const char *value, void *arg),
                   void *arg);
