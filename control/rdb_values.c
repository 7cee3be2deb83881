/* rdb_values.c: over values of RDB files of versions 1 to 12 and of Valkey's 80 (rdb_values.h). Redis' and
 * Valkey's rdb.h, rdb.c */
#include "control/rdb_values.h"

enum { RAW_ID = 16, RAW_TIME = 8 };

static uint64_t skip_strings(struct rdb_input *in, unsigned each)
{
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++)
        for (unsigned k = 0; k < each; k++)
            rdb_input_skip_string(in);
    return n;
}

static uint64_t skip_string(struct rdb_input *in)
{
    rdb_input_skip_string(in);
    return 1;
}

static uint64_t skip_packed(struct rdb_input *in)
{
    rdb_input_skip_string(in);
    return 0;
}

static uint64_t skip_singles(struct rdb_input *in)
{
    return skip_strings(in, 1);
}

static uint64_t skip_pairs(struct rdb_input *in)
{
    return skip_strings(in, 2);
}

/* Scores as text with a byte of length before it; the last three lengths are numbers that have no text. */
static uint64_t skip_old_zset(struct rdb_input *in)
{
    enum { NO_TEXT = 253 };
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_skip_string(in);
        uint8_t len = rdb_input_byte(in);
        rdb_input_skip(in, len < NO_TEXT ? len : 0);
    }
    return n;
}

static uint64_t skip_zset(struct rdb_input *in)
{
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_skip_string(in);
        rdb_input_skip(in, 8);
    }
    return n;
}

static uint64_t skip_quicklist(struct rdb_input *in)
{
    skip_strings(in, 1);
    return 0;
}

static uint64_t skip_quicklist_2(struct rdb_input *in)
{
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        uint64_t kind = rdb_input_len(in);
        if (!in->bad && kind != 1 && kind != 2)
            rdb_input_fail(in, "a list has a node of the unknown kind %llu", (unsigned long long)kind);
        rdb_input_skip_string(in);
    }
    return 0;
}

/* Valkey's: each with a time, -1 = none. */
static uint64_t skip_valkey_hash(struct rdb_input *in)
{
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_skip_string(in);
        rdb_input_skip_string(in);
        rdb_input_skip(in, RAW_TIME);
    }
    return n;
}

static uint64_t skip_timed_hash(struct rdb_input *in)
{
    rdb_input_skip(in, RAW_TIME);
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_len(in);
        rdb_input_skip_string(in);
        rdb_input_skip_string(in);
    }
    return n;
}

static uint64_t skip_timed_listpack(struct rdb_input *in)
{
    rdb_input_skip(in, RAW_TIME);
    return skip_packed(in);
}

static void skip_lens(struct rdb_input *in, unsigned n)
{
    while (n--)
        rdb_input_len(in);
}

static void skip_group(struct rdb_input *in, unsigned form)
{
    rdb_input_skip_string(in);
    skip_lens(in, form >= 2 ? 3 : 2);
    uint64_t n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_skip(in, RAW_ID + RAW_TIME);
        rdb_input_len(in);
    }
    n = rdb_input_count(in);
    for (uint64_t i = 0; i < n && !in->bad; i++) {
        rdb_input_skip_string(in);
        rdb_input_skip(in, form >= 3 ? 2 * RAW_TIME : RAW_TIME);
        uint64_t ids = rdb_input_count(in);
        rdb_input_skip(in, ids * RAW_ID);
    }
}

static uint64_t skip_stream(struct rdb_input *in, unsigned form)
{
    skip_strings(in, 2);
    uint64_t entries = rdb_input_len(in);
    skip_lens(in, form >= 2 ? 7 : 2);
    uint64_t groups = rdb_input_count(in);
    for (uint64_t i = 0; i < groups && !in->bad; i++)
        skip_group(in, form);
    return entries;
}

static uint64_t skip_stream_1(struct rdb_input *in)
{
    return skip_stream(in, 1);
}

static uint64_t skip_stream_2(struct rdb_input *in)
{
    return skip_stream(in, 2);
}

static uint64_t skip_stream_3(struct rdb_input *in)
{
    return skip_stream(in, 3);
}

/* Each value has a number before it that says what it is; zero ends them. */
void rdb_skip_module(struct rdb_input *in)
{
    enum { END, SIGNED, UNSIGNED, FLOAT, DOUBLE, STRING };
    rdb_input_len(in);
    for (uint64_t what; (what = rdb_input_len(in)) != END && !in->bad;)
        if (what == SIGNED || what == UNSIGNED)
            rdb_input_len(in);
        else if (what == FLOAT || what == DOUBLE)
            rdb_input_skip(in, what == FLOAT ? 4 : 8);
        else if (what == STRING)
            rdb_input_skip_string(in);
        else
            rdb_input_fail(in, "a module's value has the unknown kind %llu", (unsigned long long)what);
}

static uint64_t skip_module(struct rdb_input *in)
{
    rdb_skip_module(in);
    return 0;
}

static const struct {
    const char *name, *form;
    uint64_t (*skip)(struct rdb_input *in);
} types[RDB_VALUE_TYPES] = {
    [0] = {"string", "string", skip_string},
    [1] = {"list", "strings", skip_singles},
    [2] = {"set", "strings", skip_singles},
    [3] = {"zset", "strings", skip_old_zset},
    [4] = {"hash", "strings", skip_pairs},
    [5] = {"zset", "strings and doubles", skip_zset},
    [RDB_MODULE] = {"module", "module", skip_module},
    [9] = {"hash", "zipmap", skip_packed},
    [10] = {"list", "ziplist", skip_packed},
    [11] = {"set", "intset", skip_packed},
    [12] = {"zset", "ziplist", skip_packed},
    [13] = {"hash", "ziplist", skip_packed},
    [14] = {"list", "quicklist of ziplists", skip_quicklist},
    [15] = {"stream", "listpacks", skip_stream_1},
    [16] = {"hash", "listpack", skip_packed},
    [17] = {"zset", "listpack", skip_packed},
    [18] = {"list", "quicklist", skip_quicklist_2},
    [19] = {"stream", "listpacks, of 7.0", skip_stream_2},
    [20] = {"set", "listpack", skip_packed},
    [21] = {"stream", "listpacks, of 7.2", skip_stream_3},
    [22] = {"hash", "strings with times, of Valkey", skip_valkey_hash},
    [24] = {"hash", "strings with times", skip_timed_hash},
    [25] = {"hash", "listpack with times", skip_timed_listpack},
};

const char *rdb_type_name(unsigned type)
{
    return type < RDB_VALUE_TYPES ? types[type].name : NULL;
}

const char *rdb_type_form(unsigned type)
{
    return types[type].form;
}

uint64_t rdb_skip_value(struct rdb_input *in, unsigned type)
{
    return types[type].skip(in);
}
