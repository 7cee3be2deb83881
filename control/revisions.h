/* revisions.h: what the running configuration was, and who made it so: state-dir/revisions/NNNNNN.conf, each
 * the lines of all directives that are not at their default, behind one comment line with what is known of
 * it. They are readable configuration files.
 *
 * Number 0 is the running configuration, 1 the one before it, and so on. 50 changes of operators are kept
 * and, apart from these, 50 that came from Redis clients: no client can drive an operator's out. */
#pragma once
#include "control/settings.h"

#include <jansson.h>

enum { REVISIONS_KEPT = 50 };

struct revisions;
/* state_dir "": nothing is kept. Cannot fail: what cannot be read is logged and left out. */
struct revisions *revisions_open(const char *state_dir);
void revisions_free(struct revisions *r);

/* `way` is "commit", "CONFIG SET" and so on; comment may be "". Nothing happens if the settings are those of
 * the newest one, unless `always`. `wire`: a Redis client asked for it. */
void revisions_add(struct revisions *r, const struct settings *s, const char *way, const char *who,
                   const char *comment, bool wire, bool always);
/* [{"back":0,"revision":12,"time_ms":...,"who":...,"way":...,"comment":...}, ...], newest first. */
json_t *revisions_list(const struct revisions *r);
/* The settings of one; *about (may be NULL) is its row of revisions_list. NULL and one line in error. */
struct settings *revisions_read(const struct revisions *r, unsigned back, json_t **about, char *error,
                                size_t size);

/* -- texts of configurations -- */

/* The lines of all directives that are not at their default; secrets only if asked for. */
void settings_text(struct text *out, const struct settings *s, bool secrets);
/* [{"directive":...,"before":[...],"after":[...],"effect":"at once|restart of the dataplane|restart of
 * control"}], secrets as "(secret)". */
json_t *settings_diff(const struct settings *before, const struct settings *after);
