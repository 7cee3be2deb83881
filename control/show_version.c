/* show_version.c: which programs run, and what they agree on: an update of the dataplane alone asks. */
#include "control/programs.h"
#include "control/restart.h"
#include "control/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION, BUILD, VALUES };

/* Of the `release` beside a program; "": none. */
static void read_release(const char *program, char *values[VALUES])
{
    static const char *const keys[] = {[VERSION] = "VERSION", [BUILD] = "BUILD_ID"};
    memset(values, 0, VALUES * sizeof *values);
    if (*program)
        program_releases(program, VALUES, keys, values);
}

static void put(json_t *j, const char *name, const char *value)
{
    if (value)
        json_object_set_new(j, name, safe_string(value));
}

/* Which one runs, and which one is the box's own: mostly that is one. */
static void put_releases(json_t *j, const char *runs, const char *own)
{
    char *of_it[VALUES], *of_own[VALUES];
    bool same = strcmp(runs, own) == 0;
    read_release(runs, of_it);
    read_release(same ? "" : own, of_own);
    put(j, "dataplane_release", of_it[VERSION]);
    put(j, "dataplane_build", of_it[BUILD]);
    put(j, "box_build", same ? of_it[BUILD] : of_own[BUILD]);
    for (unsigned i = 0; i < VALUES; i++) {
        free(of_it[i]);
        free(of_own[i]);
    }
}

json_t *versions_json(const struct control *c)
{
    const struct supervise_status *s = supervise_status(c->supervisor);
    const struct programs *programs = supervise_programs(c->supervisor);
    char *doubt = programs_doubt(programs);
    bool own = programs_is_own(programs, s->program);
    json_t *j = json_pack("{s:s,s:s,s:s}", "control", SLUICE_VERSION, "dataplane", s->build, "redis", "7.2");
    json_object_set_new(j, "dataplane_program", safe_string(s->program));
    json_object_set_new(j, "dataplane_is", json_string(!*s->program ? "" : own ? "the box's own" : "an update"));
    put_releases(j, s->program, programs_own(programs));
    json_object_set_new(j, "update_fails", safe_string(doubt ? doubt : ""));
    free(doubt);
    return j;
}

void show_version(struct call *call, const json_t *request)
{
    const struct control *c = call_control(call);
    json_t *j = versions_json(c);
    char hex[24] = "", why[128];
    struct block b;
    double layout, kept;
    (void)request;
    if (block_read(c->link, &b) && block_gauge(&b, "arena_layout", &layout) && block_gauge(&b, "arena_kept", &kept) && kept != 0)
        snprintf(hex, sizeof hex, "%012" PRIx64, (uint64_t)layout);
    json_object_set_new(j, "channel", json_integer(CHANNEL_VERSION));
    json_object_set_new(j, "layout_kept", json_string(hex)); /* "": what is in memory does not outlive the dataplane */
    json_object_set_new(j, "restart_loses", restart_reshapes(c, why, sizeof why) ? json_string(why) : json_null());
    json_object_set_new(j, "restarting", json_boolean(c->restart != NULL)); /* one is under way that makes a snapshot first */
    call_reply(call, j);
}
