/* fuzz_resp.c: the request reader. The first byte chooses limits, the second where the window ends first:
 * however the bytes are cut, the same requests and the same error come out. */
#include "fuzz.h"
#include "resp/reader.h"

static const struct resp_limits limits[] = {
    {.max_bulk = 512 << 20, .max_args = 1024 * 1024, .max_inline = 65536},
    {.max_bulk = 512 << 20, .max_args = 10, .max_inline = 65536, .unauth_bulk = 16384},
    {.max_bulk = 64, .max_args = 4, .max_inline = 65536},
    {.max_bulk = 64,
     .max_args = 4,
     .max_inline = 32}, /* this one depends on where bytes are cut, as Redis' does */
};

struct outcome {
    uint64_t hash; /* FNV-1a over arguments */
    size_t requests, used;
    const char *error;
};

static void mix(struct outcome *o, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o->hash = (o->hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3ull;
}

/* Windows grow by `step` bytes; each is an exact allocation, so that a read behind it is found. */
static struct outcome replay(const struct resp_limits *l, const uint8_t *p, size_t len, size_t step)
{
    struct outcome o = {.hash = 0xcbf29ce484222325ull};
    struct resp_reader r;
    resp_reader_init(&r);
    for (size_t end = step < len ? step : len;;) {
        size_t used = 0, need = 0, n = end - o.used;
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, p + o.used, n);
        struct slice window = {copy, n};
        enum resp_result result = resp_read(&r, l, window, &used, &need);
        for (uint32_t i = 0; result == RESP_REQUEST && i < r.argc; i++) {
            struct slice a = resp_arg(&r, window, i);
            mix(&o, &a.len, sizeof a.len);
            mix(&o, a.p, a.len);
        }
        free(copy);
        if (result == RESP_REQUEST) {
            MUST(used && used <= n, "a request of impossible length");
            o.used += used;
            o.requests++;
        } else if (result == RESP_ERROR) {
            o.error = r.error;
            mix(&o, r.error, strlen(r.error));
            break;
        } else {
            MUST(result == RESP_MORE && need, "wants nothing");
            if (end == len)
                break;
            end = end + step < len ? end + step : len;
        }
    }
    resp_reader_reset(&r);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size < 4096 ? size : 4096};
    const struct resp_limits *l = &limits[take8(&in) % (sizeof limits / sizeof *limits)];
    size_t step = 1 + take8(&in);
    struct outcome whole = replay(l, in.p, in.left, in.left + 1), parts = replay(l, in.p, in.left, step);
    if (l->max_inline < in.left)
        return 0;
    MUST(whole.requests == parts.requests && whole.used == parts.used, "cut input gives other requests");
    MUST(whole.hash == parts.hash && !whole.error == !parts.error, "cut input gives another result");
    return 0;
}
