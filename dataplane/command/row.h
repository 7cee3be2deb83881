/* row.h: GETs and SETs one behind the other, as clients that pipeline send them, in loops of their own: what is the
 * same for all of them is looked at once. Whatever is unusual about one ends the row before it, and it goes the
 * general way (command_prepare, command_execute), which gives the same reply; and whatever looks on while commands run
 * (env->observers: a log, tracking, notifications, ...) has all of them go there, but for a snapshot: the store shows it the keys
 * that SETs change (store_put_ahead()).
 *
 * A row is GET key, SET key value and SET key value EX|PX time, with arguments of up to 999 bytes, in any order. */
#pragma once
#include "base/bytes.h"
#include "command/command.h"

enum { ROW_ARGS = 5 /* the most that a request of a row has */, ROW_PART = 8 /* the least GETs of a part */ };
enum { GET_ARGS = 2, SET_ARGS = 3, SET_TIME_ARGS = 5, NAME_AT = 8, NAME_LEN = 3, BEGIN = 13 };

struct row_form {
    uint8_t begin[16]; /* header and first argument, its letters small; zero if there is none */
    const struct command *cmd;
};
extern struct row_form row_forms[8] __attribute__((visibility("hidden"))); /* by the header's digit, its lowest bits */

/* How a GET began, up to its key: those of clients of one program mostly begin alike, and what is the same is compared at once. */
struct row_alike {
    __m128i begin[2]; /* the first 16 bytes, and the last 16 up to the key */
    size_t key_at, key_len;
    size_t all;   /* bytes of the request; 0: nothing is alike */
    size_t other; /* bytes of the last one that was not alike */
    const struct command *cmd;
};

/* The same for a SET, whose key and value were as long as its time was: also what stands between them. */
struct row_alike_set {
    struct row_alike begin; /* up to the key */
    uint64_t header;        /* behind the key: the value's length, 6 to 8 bytes that end at the value */
    unsigned header_shift;
    size_t value_at, value_len;
    size_t tail_at; /* 16 bytes of which some are behind the value: up to the digits of the time, or the end */
    __m128i tail, tail_mask;
    unsigned argc;
};

/* GETs that are alike, one behind the other, from p on: no request is made of one unless it goes the general way (row_spread()). */
struct row_part {
    const uint8_t *p;
    struct slice *argv; /* room for their arguments */
    unsigned first, n;  /* of the batch */
    size_t key_at, key_len, all;
    const struct command *cmd;
};

/* Those with which a batch begins. They run before anything else of it, and so before anything that stores a key (store_texts_alike()). */
struct row_gets {
    struct ahead_texts look;
    unsigned parts;
    unsigned unusual; /* so often one was nothing that a row replies to */
    struct row_part part[AHEAD_ROW / ROW_PART];
};

/* What the requests of a worker's clients were last (command_env has it), zero at first. */
struct row_last {
    struct row_alike get;
    struct row_alike_set set;
    struct row_gets gets[2]; /* of the batch under way, and of the one that is begun ahead */
    unsigned now;            /* which one is the former: 0 or 1 */
    unsigned unusual;        /* for so many batches those of parts become requests before they are run */
    const uint8_t *peeked;   /* what the latter begins with; NULL: there is none */
};

/* Where the arguments of requests go: n slices. Those that row_read() has used are behind it. */
struct row_room {
    struct slice *argv;
    unsigned n;
    const struct row_part *alike; /* set by row_read(): the part that the row begins with; NULL: none */
};

/* Fills row_forms from the table; for command_table_init(). A command of another name has no rows. */
void row_init(void);

/* The form of the request that the window begins with, if it may go in rows by how it begins; or NULL. */
static inline const struct row_form *row_form_of(struct slice window)
{
    enum { SAME = (1 << 13) - 1 };
    if (window.len < sizeof row_forms[0].begin)
        return NULL;
    const struct row_form *form = &row_forms[window.p[1] & 7];
    __m128i small = _mm_or_si128(bytes_load16(window.p), _mm_setr_epi32(0, 0, 0x202020, 0));
    unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(small, bytes_load16(form->begin)));
    return (same & SAME) == SAME ? form : NULL;
}

/* May requests of this client go in rows now? */
static inline bool row_may(const struct command_env *env, const struct client *c)
{
    enum { UNUSUAL = CLIENT_UNUSUAL | CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_TOUCH | CLIENT_COUNTED | CLIENT_INTERNAL };
    return (c->flags & (CLIENT_AUTHENTICATED | UNUSUAL)) == CLIENT_AUTHENTICATED && !(env->observers & ~(unsigned)OBSERVE_SNAPSHOT);
}

/* Reads requests that may go in rows, whole ones, from the window's beginning, at most `most` (and there is room in
 * the row of look-ups): each with a key of this worker's shard, for which memory is asked ahead. Of rq[i] cmd, argc and
 * argv are set, the latter one request's behind the other's; end[i] is where request i ends in the window. GETs that are alike, with
 * which a batch begins, are left out of rq and of the look-ups (room->alike has those of this row): row_run() knows them, and
 * for anybody else row_spread() puts one there. Returns how many they all are. */
unsigned row_read(const struct command_env *env, const struct client *c, struct slice window, struct ahead_row *ahead,
                  struct row_room *room, struct request *rq, uint32_t *end, unsigned most);
/* Sets cmd, argc and argv of the batch's request `at`, and its look-up, if they were left out so far. */
void row_spread(const struct command_env *env, struct ahead_row *ahead, unsigned at, struct request *rq);

/* Begins the look-ups of GETs that a window begins with, which is to be read next: asked between the steps of one row and its run, what
 * either waits for in memory is hidden by the other's work. The worker's next row_read() goes on from there if it is of this window, and
 * forgets it in any case; nothing may be received, nor any frame of the window's given back before it. A hint as look-ups are: nothing is
 * said of what is there. Does nothing where there are several shards. */
void row_peek(const struct command_env *env, const struct client *c, struct slice window);
static inline void row_forget_peeked(struct row_last *last)
{
    last->peeked = NULL;
}

/* Runs and replies to requests of the row rq[0] ... rq[n - 1], of the batch's from `first` on, as long as they are of the
 * usual kind: a GET finds a string that lies in its entry, or nothing, and a SET room, and nobody waits for keys. Counts them. Returns how
 * many are done: the next one, if there is one, has changed nothing and goes the general way. */
unsigned row_run(struct command_env *env, struct client *c, struct ahead_row *ahead, unsigned first,
                 struct request *rq, unsigned n, struct resp_writer *out);
