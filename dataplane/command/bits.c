/* bits.c: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. https://redis.io/docs/latest/commands/?group=bitmap */
#include "command/bits.h"
#include "base/number.h"
#include "command/string_commands.h"
#include <stdlib.h>

bool request_bit_offset(struct request *rq, int i, unsigned width, uint64_t *offset)
{
    struct slice s = rq->argv[i];
    int64_t n;
    int64_t unit = 1;
    if (width && s.len && s.p[0] == '#') {
        unit = width;
        s = (struct slice){s.p + 1, s.len - 1};
    }
    if (parse_i64(s, &n) && !__builtin_mul_overflow(n, unit, &n) && n >= 0 &&
        (uint64_t)n / 8 < rq->env->conf->proto_max_bulk_len) {
        *offset = (uint64_t)n;
        return true;
    }
    reply_error(rq->out, "ERR bit offset is not an integer or out of range");
    return false;
}

enum command_result setbit_command(struct request *rq)
{
    static const char bad_bit[] = "ERR bit is not an integer or out of range";
    char scratch[24];
    uint8_t *bytes;
    uint64_t offset;
    int64_t bit;
    struct entry *e;
    if (!request_bit_offset(rq, 2, 0, &offset) || !request_int(rq, 3, &bit, bad_bit))
        return CMD_DONE;
    if (bit != 0 && bit != 1) {
        reply_error(rq->out, bad_bit);
        return CMD_DONE;
    }
    if (!string_find(rq, &rq->key, LOOK_WRITE, &e))
        return CMD_DONE;
    size_t len = e ? entry_string(e, scratch).len : 0, need = offset / 8 + 1;
    if (need > len && turn_wanted(rq, turn_bytes(store_string_growth(e, need))))
        return CMD_LONG;
    if (store_string_grow(request_shard(rq, &rq->key), rq->client->db, &rq->key, need > len ? need : len,
                          &bytes) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    unsigned mask = 0x80u >> offset % 8;
    bool was = bytes[offset / 8] & mask;
    reply_int(rq->out, was);
    bytes[offset / 8] = (uint8_t)((bytes[offset / 8] & ~mask) | (bit ? mask : 0));
    if (!e || need > len || was != bit)
        request_changed(rq, &rq->key);
    return CMD_DONE;
}

enum command_result getbit_command(struct request *rq)
{
    char scratch[24];
    uint64_t offset;
    struct entry *e;
    if (!request_bit_offset(rq, 2, 0, &offset) || !string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    struct slice s = e ? entry_string(e, scratch) : (struct slice){NULL, 0};
    reply_int(rq->out, (int64_t)bits_get(s.p, s.len, offset, 1));
    return CMD_DONE;
}

enum { PIECE = 16384 }; /* bytes between two turns */

/* A range of whole bytes and what of its first and last byte lies outside the range asked for. */
struct bit_range {
    int64_t start, end; /* bytes, inclusive; start > end: nothing */
    uint8_t first_out, last_out;
};

/* Turns indexes as users give them (negative: from the end; in bits or bytes) into a range within len bytes.
 */
static struct bit_range bit_range(int64_t start, int64_t end, bool in_bits, int64_t len)
{
    struct bit_range r = {.first_out = 0, .last_out = 0};
    int64_t total = in_bits ? len * 8 : len;
    if (start < 0)
        start = start + total < 0 ? 0 : start + total;
    if (end < 0)
        end = end + total < 0 ? 0 : end + total;
    if (end >= total)
        end = total - 1;
    if (in_bits && start <= end) {
        r.first_out = (uint8_t) ~(0xffu >> start % 8);
        r.last_out = (uint8_t)(0x7fu >> end % 8);
        start /= 8;
        end /= 8;
    }
    r.start = start;
    r.end = end;
    return r;
}

/* BYTE or BIT. False after replying a syntax error. */
static bool parse_unit(struct request *rq, int i, bool *in_bits)
{
    *in_bits = slice_is(rq->argv[i], "BIT");
    if (*in_bits || slice_is(rq->argv[i], "BYTE"))
        return true;
    reply_syntax_error(rq->out);
    return false;
}

enum command_result bitcount_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    bool in_bits = false;
    int64_t start = 0, end = -1;
    if (!string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (!e) { /* answered before the range is looked at, as Redis before 8.0 does */
        reply_int(rq->out, 0);
        return CMD_DONE;
    }
    if (rq->argc == 3 || rq->argc > 5) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (rq->argc > 2 && (!request_int(rq, 2, &start, NULL) || !request_int(rq, 3, &end, NULL)))
        return CMD_DONE;
    bool backwards = start < 0 && end < 0 && start > end;
    if (!backwards && rq->argc == 5 && !parse_unit(rq, 4, &in_bits))
        return CMD_DONE;
    struct slice s = entry_string(e, scratch);
    struct bit_range r = bit_range(start, end, in_bits, (int64_t)s.len);
    if (backwards || r.start > r.end) {
        reply_int(rq->out, 0);
        return CMD_DONE;
    }
    size_t len = (size_t)(r.end - r.start + 1);
    if (turn_wanted(rq, turn_bytes(len)))
        return CMD_LONG;
    uint64_t count = 0;
    for (size_t at = 0; at < len; at += PIECE, turn_take(rq->turn))
        count += bits_count(s.p + r.start + at, len - at < PIECE ? len - at : PIECE);
    count -= (unsigned)__builtin_popcount(s.p[r.start] & r.first_out);
    count -= (unsigned)__builtin_popcount(s.p[r.end] & r.last_out);
    reply_int(rq->out, (int64_t)count);
    return CMD_DONE;
}

/* First bit of the wanted value within the range, as a position in the whole string; -1 if there is none. */
static int64_t find_in_range(struct turn *turn, const uint8_t *p, const struct bit_range *r, bool bit)
{
    /* Bits outside count as the other value. The ends are looked at alone, the middle in one run. */
    uint8_t first = bit ? (uint8_t)(p[r->start] & ~r->first_out) : (uint8_t)(p[r->start] | r->first_out);
    uint8_t last = r->start == r->end ? first : p[r->end];
    last = bit ? (uint8_t)(last & ~r->last_out) : (uint8_t)(last | r->last_out);
    if (r->start == r->end)
        first = last;
    uint64_t at = bits_find(&first, 1, bit);
    if (at < 8)
        return r->start * 8 + (int64_t)at;
    if (r->start == r->end)
        return -1;
    size_t middle = (size_t)(r->end - r->start - 1);
    for (size_t from = 0; from < middle; from += PIECE, turn_take(turn)) {
        size_t n = middle - from < PIECE ? middle - from : PIECE;
        at = bits_find(p + r->start + 1 + from, n, bit);
        if (at < (uint64_t)n * 8)
            return (r->start + 1 + (int64_t)from) * 8 + (int64_t)at;
    }
    at = bits_find(&last, 1, bit);
    return at < 8 ? r->end * 8 + (int64_t)at : -1;
}

enum command_result bitpos_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    bool in_bits = false;
    int64_t bit, start = 0, end = -1;
    if (!request_int(rq, 2, &bit, NULL))
        return CMD_DONE;
    if (bit != 0 && bit != 1) {
        reply_error(rq->out, "ERR The bit argument must be 1 or 0.");
        return CMD_DONE;
    }
    if (!string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (!e) { /* an endless run of zeros */
        reply_int(rq->out, bit ? -1 : 0);
        return CMD_DONE;
    }
    if (rq->argc > 6) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if ((rq->argc > 3 && !request_int(rq, 3, &start, NULL)) ||
        (rq->argc > 5 && !parse_unit(rq, 5, &in_bits)) || (rq->argc > 4 && !request_int(rq, 4, &end, NULL)))
        return CMD_DONE;
    struct slice s = entry_string(e, scratch);
    struct bit_range r = bit_range(start, end, in_bits, (int64_t)s.len);
    int64_t at = -1;
    if (r.start <= r.end && turn_wanted(rq, turn_bytes((uint64_t)(r.end - r.start))))
        return CMD_LONG;
    if (r.start <= r.end) {
        at = find_in_range(rq->turn, s.p, &r, bit == 1);
        /* Without an explicit end the string goes on with zeros. */
        if (at < 0 && bit == 0 && rq->argc <= 4)
            at = (r.end + 1) * 8;
    }
    reply_int(rq->out, at);
    return CMD_DONE;
}

/* Looks at every source of BITOP: false after a reply if one is no string, else the length of the longest. */
static bool bitop_sources(struct request *rq, size_t *longest)
{
    char scratch[24];
    *longest = 0;
    for (int i = 3; i < rq->argc; i++, turn_take(rq->turn)) {
        struct key k = request_key(rq, i);
        struct entry *e;
        if (!string_find(rq, &k, LOOK_READ, &e))
            return false;
        size_t len = e ? entry_string(e, scratch).len : 0;
        if (len > *longest)
            *longest = len;
    }
    return true;
}

/* Computes n bytes from `from` on into out. Shorter sources count as padded with zeros. */
static void bitop_piece(struct request *rq, enum bit_op op, uint8_t *out, size_t from, size_t n)
{
    char scratch[24];
    memset(out, op == BITS_NOT ? 0xff : 0, n);
    for (int i = 3; i < rq->argc; i++, turn_take(rq->turn)) {
        struct key k = request_key(rq, i);
        struct entry *e = request_find(rq, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
        struct slice s = e ? entry_string(e, scratch) : (struct slice){NULL, 0};
        s.p += from < s.len ? from : 0;
        s.len = from >= s.len ? 0 : s.len - from < n ? s.len - from : n;
        if (i == 3 && op != BITS_NOT) {
            if (s.len)
                memcpy(out, s.p, s.len);
            continue;
        }
        bits_combine(op, out, s.p, s.len);
        if (op == BITS_AND)
            memset(out + s.len, 0, n - s.len);
    }
}

static void bitop_compute(struct request *rq, enum bit_op op, uint8_t *out, size_t longest)
{
    for (size_t at = 0; at < longest; at += PIECE, turn_take(rq->turn))
        bitop_piece(rq, op, out + at, at, longest - at < PIECE ? longest - at : PIECE);
}

static void bitop_store(struct request *rq, enum bit_op op, size_t longest)
{
    uint8_t room[1024];
    struct key k = request_key(rq, 2);
    struct shard *s = request_shard(rq, &k);
    if (longest == 0) {
        store_delete(s, rq->client->db, &k);
        reply_int(rq->out, 0);
        return;
    }
    /* Computed aside: the destination may be one of the sources, and replacing it may move the others. */
    uint8_t *out = longest <= sizeof room ? room : malloc(longest);
    if (!out) {
        reply_oom(rq->out);
        return;
    }
    bitop_compute(rq, op, out, longest);
    if (store_set_string(s, rq->client->db, &k, (struct slice){out, longest}, 0, SET_RAW) == STORE_OK)
        reply_int(rq->out, (int64_t)longest);
    else
        reply_oom(rq->out);
    if (out != room)
        free(out);
}

enum command_result bitop_command(struct request *rq)
{
    static const char *const names[] = {
        [BITS_AND] = "AND", [BITS_OR] = "OR", [BITS_XOR] = "XOR", [BITS_NOT] = "NOT"};
    unsigned op = 0;
    size_t longest;
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    while (op <= BITS_NOT && !slice_is(rq->argv[1], names[op]))
        op++;
    if (op > BITS_NOT)
        reply_syntax_error(rq->out);
    else if (op == BITS_NOT && rq->argc != 4)
        reply_error(rq->out, "ERR BITOP NOT must be called with a single source key.");
    else if (bitop_sources(rq, &longest)) {
        if (turn_wanted(rq, turn_bytes(longest * (size_t)(rq->argc - 2))))
            return CMD_LONG;
        bitop_store(rq, (enum bit_op)op, longest);
    }
    return CMD_DONE;
}
