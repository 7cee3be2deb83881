/* hyperloglog.c: PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST over the bytes of hll.h: the value is a string,
 * equal to Redis' byte for byte. https://redis.io/docs/latest/commands/?group=hyperloglog
 *
 * A sparse value is changed in a copy and stored again (it is short, and may shrink); a dense one where it
 * lies. */
#include "command/hyperloglog.h"
#include "command/hll.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCRATCH = HLL_LONGEST + 4, SELF_TEST_ROUNDS = 10, SELF_TEST_ELEMENTS = 100000 };
/* turn_wanted(): a sparse value is gone through for each element; a dense one has its registers. */
enum { RAISE_WORK = 16, MERGE_WORK = 200 }; /* of PFMERGE */

static void reply_corrupt(struct request *rq)
{
    reply_error(rq->out, "INVALIDOBJ Corrupted HLL object detected");
}

/* *value: the string of k, empty if there is none. False after the error reply if it is no HyperLogLog. */
static bool find_hll(struct request *rq, const struct key *k, unsigned how, struct slice *value)
{
    char scratch[24];
    struct entry *e = request_find(rq, k, how);
    *value = (struct slice){0};
    if (!e)
        return true;
    if (entry_type(e) != TYPE_STRING) {
        reply_wrong_type(rq->out);
        return false;
    }
    *value = entry_string(e, scratch);
    if (hll_is(*value))
        return true;
    reply_error(rq->out, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

/* The bytes of a value, to be changed where they lie; it becomes "raw", as in Redis. NULL after the OOM
 * reply. */
static uint8_t *writable(struct request *rq, size_t len)
{
    uint8_t *bytes;
    if (store_string_grow(request_shard(rq, &rq->key), rq->client->db, &rq->key, len, &bytes) == STORE_OK)
        return bytes;
    reply_oom(rq->out);
    return NULL;
}

static bool store_hll(struct request *rq, const struct hll *h)
{
    struct slice value = {h->bytes, h->len};
    if (store_set_string(request_shard(rq, &rq->key), rq->client->db, &rq->key, value, 0,
                         SET_KEEPTTL | SET_RAW) == STORE_OK)
        return true;
    reply_oom(rq->out);
    return false;
}

/* A copy of a value in scratch, or a new one. False after the error reply: no valid sparse value is so long.
 */
static bool copy_hll(struct request *rq, struct hll *h, struct slice value)
{
    if (value.len == 0) {
        hll_init(h);
        return true;
    }
    if (value.len > HLL_LONGEST) {
        reply_corrupt(rq);
        return false;
    }
    memcpy(h->bytes, value.p, value.len);
    h->len = value.len;
    return true;
}

/* -- PFADD
 * ---------------------------------------------------------------------------------------------------- */

static void add_dense(struct request *rq)
{
    uint8_t *bytes = writable(rq, HLL_DENSE_SIZE);
    bool changed = false;
    if (!bytes)
        return;
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn)) {
        unsigned value, index = hll_hash(rq->argv[i], &value);
        changed |= hll_raise_dense(bytes, index, value) == HLL_CHANGED;
    }
    if (changed) {
        hll_stale(bytes);
        request_changed(rq, &rq->key);
    }
    reply_int(rq->out, changed);
}

enum command_result pfadd_command(struct request *rq)
{
    uint8_t scratch[SCRATCH];
    struct hll h = {.bytes = scratch, .sparse_max = rq->env->conf->hll_sparse_max_bytes};
    struct slice old;
    if (!find_hll(rq, &rq->key, LOOK_WRITE, &old))
        return CMD_DONE;
    if (turn_wanted(rq, RAISE_WORK * (uint64_t)(rq->argc - 2)))
        return CMD_LONG;
    if (old.len && hll_is_dense(old.p)) {
        add_dense(rq);
        return CMD_DONE;
    }
    if (!copy_hll(rq, &h, old))
        return CMD_DONE;
    bool changed = old.len == 0;
    enum hll_result result = HLL_SAME;
    for (int i = 2; i < rq->argc && result != HLL_CORRUPT; i++, turn_take(rq->turn)) {
        unsigned value, index = hll_hash(rq->argv[i], &value);
        result = hll_raise(&h, index, value);
        changed |= result == HLL_CHANGED;
    }
    if (changed && result != HLL_CORRUPT)
        hll_stale(h.bytes);
    if (changed && !store_hll(rq, &h)) /* what was raised before the corruption showed stays, as in Redis */
        return CMD_DONE;
    if (result == HLL_CORRUPT)
        reply_corrupt(rq);
    else
        reply_int(rq->out, changed);
    return CMD_DONE;
}

/* -- PFCOUNT, PFMERGE
 * ----------------------------------------------------------------------------------------- */

/* Raises max to the registers of the keys from argument 1 on; *dense: one of them is. False after an error
 * reply. */
static bool merge_keys(struct request *rq, uint8_t max[HLL_REGISTERS], bool *dense)
{
    bool writes = rq->cmd->flags & CMD_WRITE; /* PFMERGE: FLUSHALL waits for it */
    struct turn *turn = writes ? rq->turn : turn_of_keys(rq, (uint64_t)rq->argc - 1);
    for (int i = 1; i < rq->argc; i++, turn_take(turn)) {
        struct key k = request_key(rq, i);
        struct slice value;
        if (!find_hll(rq, &k, LOOK_READ, &value))
            return false;
        if (value.len == 0)
            continue;
        *dense |= hll_is_dense(value.p);
        if (!hll_merge(max, value)) {
            reply_corrupt(rq);
            return false;
        }
    }
    return true;
}

static void count_union(struct request *rq)
{
    uint8_t max[HLL_REGISTERS] = {0};
    bool dense = false;
    if (merge_keys(rq, max, &dense))
        reply_int(rq->out, (int64_t)hll_count_registers(max));
}

enum command_result pfcount_command(struct request *rq)
{
    struct slice value;
    uint64_t cardinality = 0;
    if (rq->argc > 2) {
        if (turn_wanted_keys(rq, KEY_WORK))
            return CMD_LONG;
        count_union(rq);
        return CMD_DONE;
    }
    if (!find_hll(rq, &rq->key, LOOK_READ, &value))
        return CMD_DONE;
    if (value.len && !hll_cached(value.p, &cardinality)) {
        if (!hll_count(value, &cardinality)) {
            reply_corrupt(rq);
            return CMD_DONE;
        }
        uint8_t *bytes = writable(rq, value.len);
        if (!bytes)
            return CMD_DONE;
        hll_cache(bytes, cardinality);
        request_changed(rq, &rq->key);
    }
    reply_int(rq->out, (int64_t)cardinality);
    return CMD_DONE;
}

enum command_result pfmerge_command(struct request *rq)
{
    uint8_t scratch[SCRATCH], max[HLL_REGISTERS] = {0};
    struct hll h = {.bytes = scratch, .sparse_max = rq->env->conf->hll_sparse_max_bytes};
    struct slice old;
    bool dense = false;
    if (turn_wanted_keys(rq, 2 * MERGE_WORK))
        return CMD_LONG;
    if (!merge_keys(rq, max, &dense) || !find_hll(rq, &rq->key, LOOK_WRITE, &old) || !copy_hll(rq, &h, old))
        return CMD_DONE;
    if (dense && hll_to_dense(&h) == HLL_CORRUPT) {
        reply_corrupt(rq);
        return CMD_DONE;
    }
    for (unsigned i = 0; i < HLL_REGISTERS; i++)
        if (max[i]) {
            hll_raise(&h, i, max[i]);
            turn_take(rq->turn);
        }
    hll_stale(h.bytes);
    if (store_hll(rq, &h))
        reply_ok(rq->out);
    return CMD_DONE;
}

/* -- PFDEBUG
 * -------------------------------------------------------------------------------------------------- */

/* Makes the value of rq->key dense. *converted: it was not. False after the error reply. */
static bool make_dense(struct request *rq, struct slice value, bool *converted)
{
    uint8_t scratch[SCRATCH];
    struct hll h = {.bytes = scratch};
    *converted = !hll_is_dense(value.p);
    if (!*converted)
        return true;
    if (!copy_hll(rq, &h, value))
        return false;
    if (hll_to_dense(&h) != HLL_CORRUPT)
        return store_hll(rq, &h);
    reply_corrupt(rq);
    return false;
}

static void debug_registers(struct request *rq, struct slice value)
{
    uint8_t max[HLL_REGISTERS] = {0};
    bool converted;
    if (!make_dense(rq, value, &converted) || !find_hll(rq, &rq->key, LOOK_WRITE, &value))
        return;
    hll_merge(max, value);
    reply_array(rq->out, HLL_REGISTERS);
    for (unsigned i = 0; i < HLL_REGISTERS; i++)
        reply_int(rq->out, max[i]);
}

/* "Z:16000 v:3,1 z:20": runs of zeros, long and short, and of a value. */
static void debug_decode(struct request *rq, struct slice value)
{
    enum { LONGEST_RUN = 8 }; /* "Z:16384 " of two bytes, "v:32,4 " of one */
    const uint8_t *p = value.p + HLL_HEADER, *end = value.p + value.len;
    unsigned registers, v, size;
    if (hll_is_dense(value.p)) {
        reply_error(rq->out, "ERR HLL encoding is not sparse");
        return;
    }
    if (value.len > HLL_LONGEST) {
        reply_corrupt(rq);
        return;
    }
    char *text = malloc(value.len * LONGEST_RUN), *to = text;
    if (!text) {
        reply_oom(rq->out);
        return;
    }
    for (; (size = hll_run(p, end, &registers, &v)); p += size)
        to += v ? sprintf(to, "v:%u,%u ", v, registers)
                : sprintf(to, "%c:%u ", size == 2 ? 'Z' : 'z', registers);
    reply_bulk(rq->out, (struct slice){(const uint8_t *)text, to > text ? (size_t)(to - text) - 1 : 0});
    free(text);
}

static void debug_encoding(struct request *rq, struct slice value)
{
    reply_simple(rq->out, hll_is_dense(value.p) ? "dense" : "sparse");
}

static void debug_to_dense(struct request *rq, struct slice value)
{
    bool converted;
    if (make_dense(rq, value, &converted))
        reply_int(rq->out, converted);
}

static const struct {
    const char *name;
    void (*run)(struct request *rq, struct slice value);
} debug_words[] = {{"getreg", debug_registers},
                   {"decode", debug_decode},
                   {"encoding", debug_encoding},
                   {"todense", debug_to_dense}};

enum command_result pfdebug_command(struct request *rq)
{
    struct slice value;
    struct slice word = rq->argv[1];
    if (!find_hll(rq, &rq->key, LOOK_WRITE, &value))
        return CMD_DONE;
    if (value.len == 0) {
        reply_error(rq->out, "ERR The specified key does not exist");
        return CMD_DONE;
    }
    for (unsigned i = 0; i < sizeof debug_words / sizeof debug_words[0]; i++)
        if (slice_is(word, debug_words[i].name)) {
            debug_words[i].run(rq, value);
            return CMD_DONE;
        }
    reply_errorf(rq->out, "ERR Unknown PFDEBUG subcommand '%.*s'", (int)(word.len < 900 ? word.len : 900),
                 (const char *)word.p);
    return CMD_DONE;
}

/* -- PFSELFTEST
 * ----------------------------------------------------------------------------------------------- */

static bool registers_hold(struct request *rq, struct hll *dense)
{
    struct command_env *env = rq->env;
    uint8_t wanted[HLL_REGISTERS], max[HLL_REGISTERS];
    for (unsigned round = 0; round < SELF_TEST_ROUNDS; round++, turn_take(rq->turn)) {
        memset(dense->bytes + HLL_HEADER, 0, HLL_DENSE_SIZE - HLL_HEADER);
        memset(max, 0, sizeof max);
        for (unsigned i = 0; i < HLL_REGISTERS; i++) {
            wanted[i] = env_random(env) & 63;
            hll_raise_dense(dense->bytes, i, wanted[i]);
        }
        if (!hll_merge(max, (struct slice){dense->bytes, dense->len}) || memcmp(max, wanted, sizeof max) != 0)
            return false;
    }
    return true;
}

/* Both encodings must agree, and be right within six standard errors. */
static const char *estimates_hold(struct request *rq, struct hll *dense, struct hll *sparse)
{
    uint64_t seed = env_random(rq->env), checkpoint = 1;
    for (uint64_t j = 1; j <= SELF_TEST_ELEMENTS; j++, turn_take(rq->turn)) {
        uint64_t element = j ^ seed, a = 0, b = 0;
        unsigned value, index = hll_hash((struct slice){(const uint8_t *)&element, sizeof element}, &value);
        hll_raise_dense(dense->bytes, index, value);
        hll_raise(sparse, index, value);
        if (j != checkpoint)
            continue;
        if (j < sparse->sparse_max / 2 && hll_is_dense(sparse->bytes))
            return "ERR TESTFAILED sparse encoding not used";
        if (!hll_count((struct slice){dense->bytes, dense->len}, &a) ||
            !hll_count((struct slice){sparse->bytes, sparse->len}, &b) || a != b)
            return "ERR TESTFAILED dense/sparse disagree";
        double allowed = j == 10 ? 1 : ceil(6 * 1.04 / sqrt(HLL_REGISTERS) * (double)j);
        if (fabs((double)a - (double)j) > allowed)
            return "ERR TESTFAILED Too big error.";
        checkpoint *= 10;
    }
    return NULL;
}

/* Redis' tests on less data: Redis takes a second for it, in which it answers nobody. */
enum command_result pfselftest_command(struct request *rq)
{
    uint8_t dense_bytes[SCRATCH], sparse_bytes[SCRATCH];
    struct hll dense = {.bytes = dense_bytes}, sparse = {.bytes = sparse_bytes, .sparse_max = 3000};
    if (turn_wanted(rq, SELF_TEST_ELEMENTS))
        return CMD_LONG;
    hll_init(&dense);
    hll_to_dense(&dense);
    hll_init(&sparse);
    const char *fault = "ERR TESTFAILED a register does not hold its value";
    if (registers_hold(rq, &dense)) {
        memset(dense.bytes + HLL_HEADER, 0, HLL_DENSE_SIZE - HLL_HEADER);
        fault = estimates_hold(rq, &dense, &sparse);
    }
    if (fault)
        reply_error(rq->out, fault);
    else
        reply_ok(rq->out);
    return CMD_DONE;
}
