/* load_bench.c: what a key of an RDB file costs on its way in, in nanoseconds: where control's child makes records of the file
 * (rdb_stream), and where a worker stores them (store_records). Between them the bytes only go through a pipe, a socket and
 * batches. Instructions: tests/durability/large.py (speed) counts them by callgrind.
 *     load_bench FILE [megabytes of the arena = 1024] */
#include "channel/messages.h"
#include "control/rdb_stream.h"
#include "measure.h"
#include "store/rdb.h"
#include "store/shard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct bench {
    struct keyspace *ks;
    uint8_t *record; /* fields, name, type and value */
    size_t len, room;
    uint64_t keys, functions;
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "load_bench: %s\n", what);
        exit(1);
    }
}

/* As worker_load.c does. */
static void store_record(struct bench *b, struct slice record)
{
    struct message_reader fields = {.p = record.p, .left = record.len};
    get_u64(&fields);
    uint32_t db = get_u32(&fields);
    uint64_t expire_ms = get_u64(&fields);
    get_u8(&fields);
    get_u64(&fields);
    uint64_t name = get_u64(&fields);
    must(!fields.failed && name < fields.left, "a record is broken");
    struct key k = keyspace_key(b->ks, (struct slice){fields.p, name});
    struct rdb_target to = {.shard = b->ks->shard[0], .db = db, .key = &k, .expire_at = expire_ms};
    struct rdb_reader in = {.p = fields.p + name, .left = fields.left - name};
    must(rdb_take_value(&in, &to) == RDB_OK && !in.left, "a value was not stored: damaged, or the arena is too small");
    b->keys++;
}

static void add(struct bench *b, const uint8_t *p, size_t n)
{
    if (b->room - b->len < n) {
        b->room = 2 * (b->len + n);
        b->record = realloc(b->record, b->room);
        must(b->record, "no memory");
    }
    memcpy(b->record + b->len, p, n);
    b->len += n;
}

/* All items of the stream. Not static: callgrind finds it by its name. */
__attribute__((noinline)) void store_records(struct bench *b, const uint8_t *p, size_t left);
void store_records(struct bench *b, const uint8_t *p, size_t left)
{
    bool function = false;
    for (uint32_t n; left >= LOAD_ITEM_HEADER; p += LOAD_ITEM_HEADER + n, left -= LOAD_ITEM_HEADER + n) {
        const uint8_t *body = p + LOAD_ITEM_HEADER;
        memcpy(&n, p + 1, sizeof n);
        must(*p != LOAD_FAILED, "the file is damaged");
        if (*p == LOAD_WHOLE) {
            store_record(b, (struct slice){body, n});
            continue;
        }
        if (*p == LOAD_KEY || *p == LOAD_FUNCTION) {
            b->len = 0;
            function = *p == LOAD_FUNCTION;
        }
        add(b, body, n);
        if (*p == LOAD_LAST && !function)
            store_record(b, (struct slice){b->record, b->len});
        b->functions += *p == LOAD_LAST && function;
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct counters counters = {{0}}, *list[] = {&counters};
    struct config conf = {.databases = 16, .workers = 1, .arena_size = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20};
    char error[200] = "";
    int file = argc > 1 ? open(argv[1], O_RDONLY) : -1, stream = memfd_create("load_bench", 0);
    b.ks = keyspace_new(&conf, NULL, 99, list, error, sizeof error);
    must(file >= 0 && stream >= 0, "the file cannot be opened");
    must(b.ks, error);
    shard_set_time(b.ks->shard[0], 1700000000000u);
    double start = now_ns();
    must(rdb_stream(file, dup(stream)), "the file was not read");
    double read = now_ns() - start;
    off_t size = lseek(stream, 0, SEEK_END);
    uint8_t *items = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, stream, 0);
    must(items != MAP_FAILED, "no memory");
    start = now_ns();
    store_records(&b, items, (size_t)size);
    double stored = now_ns() - start, keys = b.keys ? (double)b.keys : 1;
    printf("%llu keys, %lld bytes of records: reading %.0f ns a key, storing %.0f ns\n", (unsigned long long)b.keys, (long long)size,
           read / keys, stored / keys);
    return 0;
}
