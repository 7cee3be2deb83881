/* reply_run.c: replies of many elements of a pack (reply_run.h): from its bytes to RESP in one loop. */
#include "command/reply_run.h"
#include "resp/bulk.h"

/* One that needs a chunk's end or a long copy. */
static __attribute__((noinline)) uint8_t *reply_text(struct resp_writer *w, uint8_t *to, struct slice text)
{
    w->cur = to;
    reply_bulk(w, text);
    return w->cur;
}

static __attribute__((noinline)) uint8_t *reply_number(struct resp_writer *w, uint8_t *to, int64_t number)
{
    w->cur = to;
    reply_bulk_int(w, number);
    return w->cur;
}

/* Up to `most` elements; returns how many. */
static inline __attribute__((always_inline)) uint64_t reply_part(struct resp_writer *w, struct pack_run *from,
                                                                 uint64_t most, bool firsts)
{
    struct pack_run run = *from;
    uint8_t *to = w->cur;
    uint64_t n = 0;
    for (struct slice text; n < most && run.p < run.end; n++) {
        int64_t number;
        if (!pack_run_take(&run, &text, &number))
            to = w->end - to >= BULK_NUMBER ? put_bulk_number(to, number) : reply_number(w, to, number);
        else if (__builtin_expect(bulk_is_short(w->end - to, text.len), 1))
            to = put_bulk(to, text.p, text.len);
        else
            to = reply_text(w, to, text);
        if (firsts && run.p < run.end)
            pack_run_skip(&run);
    }
    w->cur = to;
    *from = run;
    return n;
}

static inline __attribute__((always_inline)) bool reply_parts(struct resp_writer *w, struct pack_run *run,
                                                              uint64_t *left, struct turn *turn, bool firsts)
{
    bool goes_on = true;
    while (*left && run->p < run->end && goes_on) {
        uint32_t bunch = turn_bunch(turn);
        uint64_t n = reply_part(w, run, *left < bunch ? *left : bunch, firsts);
        *left -= n;
        goes_on = turn_passed(turn, (uint32_t)n);
    }
    return goes_on;
}

bool reply_run(struct resp_writer *w, struct pack_run *run, uint64_t *left, struct turn *turn)
{
    return reply_parts(w, run, left, turn, false);
}

bool reply_run_firsts(struct resp_writer *w, struct pack_run *run, uint64_t *left, struct turn *turn)
{
    return reply_parts(w, run, left, turn, true);
}
