/* rdb_walk.c: header, opcodes and checksum of an RDB file (rdb_walk.h). */
#include "control/rdb_walk.h"
#include "control/rdb_values.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum opcode {
    OP_SLOT_INFO = 244,
    OP_FUNCTION = 245,
    OP_FUNCTION_OLD = 246,
    OP_MODULE_AUX = 247,
    OP_IDLE = 248,
    OP_FREQ = 249,
    OP_AUX = 250,
    OP_RESIZE = 251,
    OP_EXPIRE_MS = 252,
    OP_EXPIRE = 253,
    OP_SELECT = 254,
    OP_END = 255
};
enum { HEADER = 9, SUMMED_FROM = 5 };

/* "REDIS" and four digits, or "VALKEY" and three. */
static void read_header(struct rdb_walk *w, struct rdb_input *in)
{
    char h[HEADER + 1] = "";
    if (in->size < HEADER || !rdb_input_take(in, h, HEADER)) {
        rdb_input_fail(in, "it is too short to be an RDB file");
        return;
    }
    w->valkey = memcmp(h, "VALKEY", 6) == 0;
    const char *digits = h + (w->valkey ? 6 : 5);
    bool good = w->valkey || memcmp(h, "REDIS", 5) == 0;
    for (const char *p = digits; *p; p++)
        good = good && isdigit((unsigned char)*p);
    if (!good) {
        rdb_input_fail(in, "it does not begin as an RDB file does");
        return;
    }
    w->version = (unsigned)atoi(digits);
    if (w->valkey ? w->version != RDB_VALKEY : w->version < RDB_OLDEST || w->version > RDB_NEWEST)
        rdb_input_fail(in, "RDB version %u is not known (1 to %d, and Valkey's %d are)", w->version,
                       RDB_NEWEST, RDB_VALKEY);
}

static void print_name(const struct rdb_bytes *name, char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < name->len && n + 8 < size; i++)
        n += (size_t)snprintf(text + n, size - n, isprint(name->p[i]) ? "%c" : "\\x%02x", name->p[i]);
    snprintf(text + n, size - n, "%s", "");
}

/* What went wrong, where, and in which key. */
static void describe(struct rdb_walk *w, const struct rdb_input *in)
{
    char name[128];
    w->bad_at = in->bad_at;
    if (w->key.name.p) {
        print_name(&w->key.name, name, sizeof name);
        snprintf(w->why, sizeof w->why,
                 "at byte %llu, in the key '%s' of database %llu (%s), which begins at byte %llu: %s",
                 (unsigned long long)in->bad_at, name, (unsigned long long)w->key.db,
                 rdb_type_name(w->key.type) ? rdb_type_name(w->key.type) : "of unknown type",
                 (unsigned long long)w->key.at, in->why);
    } else {
        snprintf(w->why, sizeof w->why, "at byte %llu: %s", (unsigned long long)in->bad_at, in->why);
    }
}

static void next_key(struct rdb_walk *w)
{
    free(w->key.name.p);
    w->key = (struct rdb_key){.db = w->db, .idle = -1, .frequency = -1};
}

static void read_key(struct rdb_walk *w, struct rdb_input *in, unsigned type)
{
    const struct rdb_events *ev = w->events;
    w->key.type = type;
    if (!rdb_type_name(type) || (type == 22 && !w->valkey)) {
        rdb_input_fail(in, "a value is of the unknown type %u", type);
        return;
    }
    if (!rdb_input_string(in, &w->key.name))
        return;
    uint64_t begin = rdb_input_at(in);
    if (ev->key)
        ev->key(w->ctx, &w->key);
    if (ev->value)
        rdb_input_mark(in);
    uint64_t elements = rdb_skip_value(in, type);
    if (in->bad)
        return;
    if (ev->value)
        rdb_input_give(in);
    w->keys++;
    if (ev->key_end)
        ev->key_end(w->ctx, &w->key, elements, rdb_input_at(in) - begin);
    next_key(w);
}

static void read_aux(struct rdb_walk *w, struct rdb_input *in)
{
    struct rdb_bytes name, value;
    if (!rdb_input_string(in, &name))
        return;
    if (rdb_input_string(in, &value)) {
        if (w->events->aux)
            w->events->aux(w->ctx, (const char *)name.p, (const char *)value.p);
        free(value.p);
    }
    free(name.p);
}

static void read_function(struct rdb_walk *w, struct rdb_input *in)
{
    struct rdb_bytes text;
    uint64_t at = rdb_input_at(in) - 1;
    if (!rdb_input_string(in, &text))
        return;
    w->functions++;
    if (w->events->function)
        w->events->function(w->ctx, at, &text);
    free(text.p);
}

static void read_sum(struct rdb_walk *w, struct rdb_input *in)
{
    if (w->version < SUMMED_FROM)
        return;
    uint64_t is = rdb_input_sum(in), told = rdb_input_number(in, 8);
    if (in->bad)
        return;
    w->sum = told == 0 ? RDB_SUM_NONE : told == is ? RDB_SUM_GOOD : RDB_SUM_BAD;
    if (w->sum == RDB_SUM_BAD)
        rdb_input_fail(in,
                       "the checksum is %016llx, but that of the file's bytes is %016llx: some have changed",
                       (unsigned long long)told, (unsigned long long)is);
}

/* A time before 1970 is one that is over; -1 is none. */
static uint64_t deadline(uint64_t ms)
{
    return ms == UINT64_MAX ? 0 : (int64_t)ms <= 0 ? 1 : ms;
}

/* One opcode and what belongs to it. False at the end. */
static bool step(struct rdb_walk *w, struct rdb_input *in)
{
    uint64_t at = rdb_input_at(in);
    unsigned op = rdb_input_byte(in);
    if (!w->key.at)
        w->key.at = at;
    switch (in->bad ? OP_END : op) {
    case OP_END:
        return false;
    case OP_SELECT:
        w->db = w->key.db = rdb_input_len(in);
        break;
    case OP_EXPIRE:
        w->key.expire_ms = deadline(1000 * rdb_input_number(in, 4));
        return true;
    case OP_EXPIRE_MS:
        w->key.expire_ms = deadline(rdb_input_number(in, 8));
        return true;
    case OP_IDLE:
        w->key.idle = (int64_t)(rdb_input_len(in) & INT64_MAX);
        return true;
    case OP_FREQ:
        w->key.frequency = rdb_input_byte(in);
        return true;
    case OP_RESIZE:
        rdb_input_len(in);
        rdb_input_len(in);
        break;
    case OP_SLOT_INFO:
        for (int i = 0; i < 3; i++)
            rdb_input_len(in);
        break;
    case OP_AUX:
        read_aux(w, in);
        break;
    case OP_FUNCTION:
        read_function(w, in);
        break;
    case OP_FUNCTION_OLD:
        rdb_input_fail(in, "functions of a test version of Redis 7 cannot be read");
        break;
    case OP_MODULE_AUX:
        rdb_skip_module(in);
        w->modules_data++;
        break;
    default:
        read_key(w, in, op);
        return true;
    }
    w->key.at = 0;
    return true;
}

bool rdb_walk(struct rdb_walk *w, int fd, const struct rdb_events *events, void *ctx)
{
    struct stat st;
    struct rdb_input *in = malloc(sizeof *in);
    *w = (struct rdb_walk){.events = events, .ctx = ctx};
    if (!in || fstat(fd, &st) < 0) {
        free(in);
        snprintf(w->why, sizeof w->why, in ? "it cannot be read" : "no memory to read it");
        return false;
    }
    w->size = (uint64_t)st.st_size;
    rdb_input_open(in, fd, w->size);
    in->give = events->value;
    in->ctx = ctx;
    read_header(w, in);
    next_key(w);
    while (!in->bad && step(w, in))
        w->at = rdb_input_at(in);
    if (!in->bad)
        read_sum(w, in);
    if (in->bad)
        describe(w, in);
    w->at = rdb_input_at(in);
    free(w->key.name.p);
    free(in);
    return !*w->why;
}
