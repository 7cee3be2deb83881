/* replay_out.c: all that is in the store as an RDB file, as redis-server 7.0 writes it. See replay.h; https://rdb.fnordig.de/file_format.html */
#include "replay.h"

#include "base/crc64.h"
#include "store/rdb.h"
#include "store/snapshot.h"

#include <errno.h>
#include <stdlib.h>

enum { OPCODE_SELECT = 0xfe, OPCODE_END = 0xff, FOOTER = 10, CHUNK = 64 * 1024 };

struct out {
    FILE *to;
    uint64_t sum;
};

static void put(struct out *o, const void *p, size_t n)
{
    o->sum = crc64(o->sum, p, n);
    fwrite_unlocked(p, 1, n, o->to);
}

/* -- functions: what FUNCTION DUMP replies, which has the form of the file but for its end -- */

struct dump {
    struct resp_writer w;
    uint8_t *p;
    size_t len, room;
    bool failed;
    uint8_t chunk[CHUNK];
};

static bool take_chunk(struct resp_writer *w)
{
    struct dump *d = (struct dump *)w;
    size_t n = (size_t)(w->cur - w->start);
    if (n && d->room - d->len < n) {
        uint8_t *more = realloc(d->p, d->room = 2 * (d->len + n));
        d->failed |= !more;
        d->p = more ? more : d->p;
    }
    if (n && !d->failed)
        memcpy(d->p + d->len, w->start, n);
    d->len += d->failed ? 0 : n;
    w->start = w->cur = d->chunk;
    w->end = d->chunk + CHUNK;
    return !d->failed;
}

static bool put_functions(struct replay *r, struct out *o)
{
    static const struct resp_sink sink = {take_chunk};
    const struct slice argv[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("DUMP")};
    struct request rq;
    struct dump *d = calloc(1, sizeof *d);
    if (!d)
        return false;
    resp_writer_init(&d->w, &sink, 2);
    command_prepare(&rq, &r->env, &r->client, 2, argv);
    command_nested(&rq, &d->w);
    take_chunk(&d->w);
    char *end = NULL;
    size_t n = d->len && d->p[0] == '$' ? strtoull((char *)d->p + 1, &end, 10) : 0; /* "$11\r\n", the payload, "\r\n" */
    bool good = !d->failed && end && n >= FOOTER && (uint8_t *)end + 2 + n + 2 == d->p + d->len;
    if (good)
        put(o, end + 2, n - FOOTER);
    free(d->p);
    free(d);
    return good;
}

/* -- keys -- */

static void put_database(struct out *o, uint32_t db)
{
    struct rdb_writer w = {0};
    rdb_put_byte(&w, OPCODE_SELECT);
    rdb_put_len(&w, db);
    put(o, w.p, w.len);
    rdb_writer_free(&w);
}

static void put_pieces(struct snapshot *c, struct out *o, uint32_t *db)
{
    const struct snapshot_piece *p;
    while ((p = snapshot_first(c))) {
        if (p->db != *db)
            put_database(o, *db = p->db);
        put(o, p->bytes, p->len);
        snapshot_drop_first(c);
    }
}

static const char *put_keys(struct replay *r, struct out *o)
{
    const struct snapshot_options options = {.compress = true, .stays = true, .most = UINT64_MAX};
    struct shard *s = r->env.ks->shard[0];
    struct snapshot_figures f;
    uint32_t db = UINT32_MAX;
    if (!snapshot_begin(s, &options))
        return "there is no memory";
    struct snapshot *c = shard_snapshot(s);
    while (snapshot_step(c))
        put_pieces(c, o, &db);
    put_pieces(c, o, &db);
    const char *why = snapshot_failed(c);
    snapshot_figures(c, &f);
    r->keys = f.keys;
    snapshot_end(s);
    return why;
}

bool replay_write(struct replay *r, FILE *to)
{
    static const char head[] = "\xfa\x09redis-ver\x06" "7.0.15\xfa\x0aredis-bits\xc0\x40";
    struct out o = {.to = to};
    char magic[16];
    const uint8_t end = OPCODE_END;
    snprintf(magic, sizeof magic, "REDIS%04d", snapshot_is_new(r->env.ks->shard[0]) ? RDB_NEWEST : RDB_VERSION);
    put(&o, magic, strlen(magic));
    put(&o, head, sizeof head - 1);
    const char *why = put_functions(r, &o) ? put_keys(r, &o) : "the libraries of functions cannot be written";
    put(&o, &end, 1);
    uint64_t sum = o.sum;
    put(&o, &sum, sizeof sum);
    errno = 0;
    if (!why && (fflush(to) != 0 || ferror(to)))
        why = strerror(errno ? errno : EIO);
    if (why)
        snprintf(r->why, sizeof r->why, "the snapshot cannot be written: %s", why);
    return !why;
}
