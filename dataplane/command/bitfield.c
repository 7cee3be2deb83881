/* bitfield.c: BITFIELD and BITFIELD_RO. https://redis.io/docs/latest/commands/bitfield/ */
#include "base/number.h"
#include "command/bits.h"
#include "command/string_commands.h"

enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field { /* one operation */
    enum field_verb verb;
    enum field_overflow overflow;
    bool is_signed;
    unsigned width;
    uint64_t offset;
    int64_t operand;
};

static bool parse_type(struct request *rq, int i, struct field *f)
{
    struct slice s = rq->argv[i];
    int64_t width;
    f->is_signed = s.len && s.p[0] == 'i';
    if (s.len > 1 && (s.p[0] == 'i' || s.p[0] == 'u') &&
        parse_i64((struct slice){s.p + 1, s.len - 1}, &width) && width >= 1 &&
        width <= (f->is_signed ? 64 : 63)) {
        f->width = (unsigned)width;
        return true;
    }
    reply_error(rq->out,
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
                "but i64 is.");
    return false;
}

static bool parse_overflow(struct request *rq, int i, enum field_overflow *how)
{
    static const char *const names[] = {
        [OVERFLOW_WRAP] = "WRAP", [OVERFLOW_SAT] = "SAT", [OVERFLOW_FAIL] = "FAIL"};
    for (unsigned n = 0; n < 3; n++)
        if (slice_is(rq->argv[i], names[n])) {
            *how = (enum field_overflow)n;
            return true;
        }
    reply_error(rq->out, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* Reads the operation at argument *i and steps over it. 1: there is one in f; 0: no more; -1: an error was
 * replied. f->overflow stays as the last OVERFLOW said. */
static int next_field(struct request *rq, int *i, struct field *f)
{
    static const struct {
        const char *word;
        enum field_verb verb;
        int args;
    } verbs[] = {{"GET", FIELD_GET, 2}, {"SET", FIELD_SET, 3}, {"INCRBY", FIELD_INCRBY, 3}};

    while (*i + 1 < rq->argc && slice_is(rq->argv[*i], "OVERFLOW")) {
        if (!parse_overflow(rq, *i + 1, &f->overflow))
            return -1;
        *i += 2;
    }
    if (*i >= rq->argc)
        return 0;
    for (unsigned n = 0; n < 3; n++) {
        if (*i + verbs[n].args >= rq->argc || !slice_is(rq->argv[*i], verbs[n].word))
            continue;
        f->verb = verbs[n].verb;
        if (!parse_type(rq, *i + 1, f) || !request_bit_offset(rq, *i + 2, f->width, &f->offset) ||
            (f->verb != FIELD_GET && !request_int(rq, *i + 3, &f->operand, NULL)))
            return -1;
        *i += 1 + verbs[n].args;
        return 1;
    }
    reply_syntax_error(rq->out);
    return -1;
}

static int64_t sign_extend(uint64_t value, unsigned width)
{
    unsigned unused = 64 - width;
    return (int64_t)(value << unused) >> unused;
}

/* Fits value into the field by the overflow rule. False: FAIL, and nothing is to be written. */
static bool fit(const struct field *f, __int128 value, uint64_t *out)
{
    const __int128 one = 1;
    __int128 max = (one << (f->is_signed ? f->width - 1 : f->width)) - 1;
    __int128 min = f->is_signed ? -max - 1 : 0;
    bool over = value > max || value < min;
    if (over && f->overflow == OVERFLOW_FAIL)
        return false;
    /* A SET so far below that max - value passes 2^63 ends at the maximum: Redis' sum wraps there. */
    if (over && f->overflow == OVERFLOW_SAT)
        value = value > max || (f->verb == FIELD_SET && max - value > INT64_MAX && f->width < 64) ? max : min;
    *out = (uint64_t)value & (uint64_t)((one << f->width) - 1);
    return true;
}

static void reply_field(struct request *rq, const struct field *f, uint64_t raw)
{
    reply_int(rq->out, f->is_signed ? sign_extend(raw, f->width) : (int64_t)raw);
}

/* True if it wrote another value. *written: it wrote. */
static bool run_write(struct request *rq, const struct field *f, uint8_t *p, size_t len, bool *written)
{
    uint64_t old = bits_get(p, len, f->offset, f->width), fresh;
    __int128 value;
    if (f->verb == FIELD_INCRBY) /* exact: neither sum can leave 128 bits */
        value = (f->is_signed ? (__int128)sign_extend(old, f->width) : (__int128)old) + f->operand;
    else /* Redis takes a negative SET into an unsigned field for a huge one */
        value = f->is_signed ? (__int128)f->operand : (__int128)(uint64_t)f->operand;
    if (!fit(f, value, &fresh)) {
        reply_null(rq->out);
        return false;
    }
    *written = true;
    bits_put(p, f->offset, f->width, fresh);
    reply_field(rq, f, f->verb == FIELD_INCRBY ? fresh : old);
    return fresh != old;
}

/* Checks every operation before the first one runs: how many there are, and the bytes that writes need. */
static bool check_fields(struct request *rq, size_t *count, size_t *bytes)
{
    struct field f = {.overflow = OVERFLOW_WRAP};
    int i = 2, more;
    *count = *bytes = 0;
    for (; (more = next_field(rq, &i, &f)) > 0; turn_take(rq->turn)) {
        size_t end = (f.offset + f.width - 1) / 8 + 1;
        if (f.verb != FIELD_GET && end > *bytes)
            *bytes = end;
        ++*count;
    }
    return more == 0;
}

static enum command_result run_fields(struct request *rq, bool may_write)
{
    char scratch[24];
    struct entry *e;
    struct field f = {.overflow = OVERFLOW_WRAP};
    size_t count, need;
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    if (!check_fields(rq, &count, &need))
        return CMD_DONE;
    if (need && !may_write) {
        reply_error(rq->out, "ERR BITFIELD_RO only supports the GET subcommand");
        return CMD_DONE;
    }
    if (!string_find(rq, &rq->key, need ? LOOK_WRITE : LOOK_READ, &e))
        return CMD_DONE;
    struct slice s = e ? entry_string(e, scratch) : (struct slice){NULL, 0};
    uint8_t *writable = NULL;
    bool grows = need > s.len, written = false, changed = false;
    if (grows && turn_wanted(rq, turn_bytes(store_string_growth(e, need))))
        return CMD_LONG;
    if (need) {
        s.len = need > s.len ? need : s.len;
        if (store_string_grow(request_shard(rq, &rq->key), rq->client->db, &rq->key, s.len, &writable) !=
            STORE_OK) {
            reply_oom(rq->out);
            return CMD_DONE;
        }
        s.p = writable;
    }
    reply_array(rq->out, count);
    for (int i = 2; next_field(rq, &i, &f) > 0; turn_take(rq->turn)) {
        if (f.verb == FIELD_GET)
            reply_field(rq, &f, bits_get(s.p, s.len, f.offset, f.width));
        else
            changed |= run_write(rq, &f, writable, s.len, &written);
    }
    if (changed || (grows && written))
        request_changed(rq, &rq->key);
    return CMD_DONE;
}

enum command_result bitfield_command(struct request *rq)
{
    return run_fields(rq, true);
}

enum command_result bitfield_ro_command(struct request *rq)
{
    return run_fields(rq, false);
}
