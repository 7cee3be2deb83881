/* debug_store.c: DEBUG OBJECT, HTSTATS, HTSTATS-KEY, QUICKLIST-PACKED-THRESHOLD: what they say is true of
 * this store, in the words of Redis where it has the same thing (debug.c of Redis 7.0). */
#include "command/debug.h"
#include "base/number.h"
#include "store/list.h"
#include "store/rdb.h"

#include <inttypes.h>
#include <stdio.h>

/* The bytes that the value takes in an RDB file, without its type. */
static size_t serialized_length(const struct shard *s, const struct entry *e)
{
    struct rdb_writer w = {.compress = true};
    rdb_put_value(&w, s, e); /* long: */
    size_t len = w.failed ? 0 : w.len - 1;
    rdb_writer_free(&w);
    return len;
}

static const struct entry *find_or_say_so(struct request *rq, const struct key *k)
{
    const struct entry *e = store_peek(request_shard(rq, k), rq->client->db, k);
    if (!e)
        reply_error(rq->out, "ERR no such key");
    return e;
}

void debug_object(struct request *rq)
{
    struct key k = request_key(rq, 2);
    const struct entry *e = find_or_say_so(rq, &k);
    if (!e)
        return;
    char line[384];
    uint64_t idle = entry_idle_seconds(request_shard(rq, &k), e), bytes;
    int n = snprintf(line, sizeof line,
                     "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%" PRIu64
                     " lru_seconds_idle:%" PRIu64,
                     (const void *)e, entry_encoding(e), serialized_length(request_shard(rq, &k), e),
                     (rq->env->now_ms / 1000 - idle) & 0xffffff, idle);
    uint64_t chunks = entry_type(e) == TYPE_LIST ? list_chunks(e, &bytes) : 0;
    if (chunks) /* never compressed: list-compress-depth is only read */
        snprintf(line + n, sizeof line - (size_t)n,
                 " ql_nodes:%" PRIu64 " ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:0"
                 " ql_uncompressed_size:%" PRIu64,
                 chunks, (double)list_len(e) / (double)chunks, rq->env->conf->limits.list_size, bytes);
    reply_simple(rq->out, line);
}

/* Redis keeps elements of at least that size in a node each. Here a chunk of a list takes that many bytes at
 * most, so that such an element has one for itself, too. */
void debug_packed_threshold(struct request *rq)
{
    char text[32];
    uint64_t bytes;
    struct slice arg = rq->argv[2];
    snprintf(text, sizeof text, "%.*s", (int)(arg.len < 31 ? arg.len : 31), (const char *)arg.p);
    if (!parse_memory(text, &bytes) || bytes > UINT32_MAX) {
        reply_error(rq->out, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
        return;
    }
    for (unsigned i = 0; i < rq->env->ks->shards; i++)
        shard_set_list_chunk(rq->env->ks->shard[i], (uint32_t)bytes);
    reply_ok(rq->out);
}

/* -- indexes */

static size_t put_shape(char *p, size_t room, const struct index_shape *shape)
{
    uint64_t slots = shape->buckets * 8;
    int n = snprintf(p, room,
                     " number of elements: %" PRIu64 "\n segments: %" PRIu64 "\n buckets: %" PRIu64
                     "\n table size: %" PRIu64 "\n slots in use: %.2f%%\n bytes: %" PRIu64 "\n",
                     shape->elements, shape->segments, shape->buckets, slots,
                     slots ? 100.0 * (double)shape->elements / (double)slots : 0.0, shape->bytes);
    return (size_t)n < room ? (size_t)n : room;
}

static void reply_text(struct request *rq, const char *text)
{
    reply_verbatim(rq->out, "txt", slice_str(text));
}

static void add_shape(struct index_shape *sum, const struct index_shape *one)
{
    sum->elements += one->elements;
    sum->segments += one->segments;
    sum->buckets += one->buckets;
    sum->bytes += one->bytes;
}

void debug_htstats(struct request *rq)
{
    int64_t db;
    char text[512];
    struct index_shape sum = {0}, one;
    if (!request_int(rq, 2, &db, NULL))
        return;
    if (db < 0 || db >= (int64_t)rq->env->conf->databases) {
        reply_error(rq->out, "ERR Out of range database");
        return;
    }
    for (unsigned i = 0; i < rq->env->ks->shards; i++) {
        shard_index_shape(rq->env->ks->shard[i], (unsigned)db, &one);
        add_shape(&sum, &one);
    }
    size_t n = (size_t)snprintf(text, sizeof text, "[Index of the keys, %u shards]\n", rq->env->ks->shards);
    put_shape(text + n, sizeof text - n, &sum);
    reply_text(rq, text);
}

void debug_htstats_key(struct request *rq)
{
    struct key k = request_key(rq, 2);
    const struct entry *e = find_or_say_so(rq, &k);
    char text[512];
    struct index_shape shape;
    if (!e)
        return;
    if (!entry_index_shape(request_shard(rq, &k), e, &shape)) {
        reply_error(rq->out,
                    "ERR The value stored at the specified key is not represented using an hash table");
        return;
    }
    size_t n = (size_t)snprintf(text, sizeof text, "[Index of the value]\n");
    put_shape(text + n, sizeof text - n, &shape);
    reply_text(rq, text);
}

/* LISTPACK, QUICKLIST: Redis prints the bytes of the value on its standard output. */
void debug_no_terminal(struct request *rq)
{
    reply_error(rq->out, "ERR this prints on the server's terminal and the box has none: see DEBUG OBJECT");
}
