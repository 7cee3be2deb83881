/* supervise_bounds.c: how long an update of the dataplane may take until it serves (supervise.h). Loading keys takes as long as it takes,
 * if it gets on. */
#include "control/supervise_private.h"
#include "control/block.h"

#include <stdlib.h>
#include <string.h>

static void from_now(struct supervisor *s, unsigned seconds)
{
    struct timeval bound = {.tv_sec = seconds};
    evtimer_add(s->late, &bound);
}

/* Will it take over what is kept in memory? Without its word, or that of the one before it, what is there is taken over. */
static bool takes_over(const struct supervisor *s)
{
    char *told = s->kept[0] >= 0 && s->kept_layout ? program_release(s->status.program, "LAYOUT") : NULL;
    bool same = !told || (strtoull(told, NULL, 16) & ((UINT64_C(1) << 48) - 1)) == s->kept_layout;
    free(told);
    return s->kept[0] >= 0 && same && !s->reshaped;
}

void supervise_bound(struct supervisor *s, bool found)
{
    s->loaded[0] = 0;
    from_now(s, !found && takes_over(s) ? s->options.warm_seconds : s->options.cold_seconds);
}

void supervise_loads(struct supervisor *s, const char *detail)
{
    const char *rest = strstr(detail, ", about "); /* the time that is left changes of itself */
    size_t len = rest ? (size_t)(rest - detail) : strlen(detail);
    if (len >= sizeof s->loaded)
        len = sizeof s->loaded - 1;
    if (programs_is_own(s->options.programs, s->status.program) || (strncmp(s->loaded, detail, len) == 0 && !s->loaded[len]))
        return;
    memcpy(s->loaded, detail, len);
    s->loaded[len] = 0;
    from_now(s, s->options.cold_seconds);
}

void supervise_note_layout(struct supervisor *s)
{
    struct block b;
    double layout;
    if (block_read(s->link, &b) && block_gauge(&b, "arena_layout", &layout))
        s->kept_layout = (uint64_t)layout;
}
