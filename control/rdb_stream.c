/* rdb_stream.c: from file to items (rdb_stream.h). */
#include "control/rdb_stream.h"
#include "control/aof_read.h"
#include "control/log.h"
#include "control/rdb_values.h"
#include "control/rdb_walk.h"

#include "channel/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>

struct stream {
    FILE *to;
    bool begun; /* a part of this record has been written */
    size_t len;
    uint8_t item[LOAD_ITEM_MAX];
};

static void put_item(struct stream *s, enum load_item kind, const void *bytes, size_t len)
{
    uint32_t n = (uint32_t)len;
    putc_unlocked((int)kind, s->to);
    fwrite_unlocked(&n, sizeof n, 1, s->to);
    if (n)
        fwrite_unlocked(bytes, n, 1, s->to);
}

static void begin(struct stream *s)
{
    s->begun = false;
    s->len = 0;
}

/* Bytes of the record, whose first item is of this kind. */
static void add(struct stream *s, enum load_item first, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n) {
        size_t room = sizeof s->item - s->len, step = n < room ? n : room;
        memcpy(s->item + s->len, p, step);
        s->len += step;
        p += step;
        n -= step;
        if (!n)
            break;
        put_item(s, s->begun ? LOAD_BYTES : first, s->item, s->len);
        s->begun = true;
        s->len = 0;
    }
}

static void add_number(struct stream *s, uint64_t v, unsigned bytes)
{
    add(s, LOAD_KEY, &v, bytes);
}

/* A record of a module's type is one that nobody here can read. */
static void on_key(void *ctx, const struct rdb_key *key)
{
    struct stream *s = ctx;
    enum load_access access = key->idle >= 0        ? LOAD_IDLE_SECONDS
                              : key->frequency >= 0 ? LOAD_FREQUENCY
                                                    : LOAD_NO_ACCESS;
    uint8_t type = (uint8_t)key->type;
    begin(s);
    add_number(s, key->at, 8);
    add_number(s, key->db < UINT32_MAX ? key->db : UINT32_MAX, 4);
    add_number(s, key->expire_ms, 8);
    add_number(s, access, 1);
    add_number(s,
               access == LOAD_IDLE_SECONDS ? (uint64_t)key->idle
               : access                    ? (uint64_t)key->frequency
                                           : 0,
               8);
    add_number(s, key->name.len, 8);
    add(s, LOAD_KEY, key->name.p, key->name.len);
    add(s, LOAD_KEY, &type, 1);
}

static void on_value(void *ctx, const uint8_t *p, size_t n)
{
    add(ctx, LOAD_KEY, p, n);
}

static void on_key_end(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes)
{
    struct stream *s = ctx;
    (void)key, (void)elements, (void)bytes;
    put_item(s, s->begun ? LOAD_LAST : LOAD_WHOLE, s->item, s->len);
}

static void on_function(void *ctx, uint64_t at, const struct rdb_bytes *text)
{
    struct stream *s = ctx;
    begin(s);
    add(s, LOAD_FUNCTION, &at, sizeof at);
    add(s, LOAD_FUNCTION, text->p, text->len);
    if (!s->begun)
        put_item(s, LOAD_FUNCTION, s->item, s->len);
    put_item(s, LOAD_LAST, s->item, s->begun ? s->len : 0);
}

static const struct rdb_events events = {
    .function = on_function, .key = on_key, .value = on_value, .key_end = on_key_end};

static struct stream *open_stream(int to)
{
    enum { BUFFER = 128 * 1024 };
    struct stream *s = malloc(sizeof *s);
    if (!s || !(s->to = fdopen(to, "w"))) {
        free(s);
        return NULL;
    }
    setvbuf(s->to, NULL, _IOFBF, BUFFER);
    return s;
}

/* -- a log: a base, then commands -- */

static void on_commands(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole)
{
    struct stream *s = ctx;
    begin(s);
    add(s, LOAD_COMMANDS, &at, sizeof at);
    add(s, LOAD_COMMANDS, p, n);
    put_item(s, whole ? LOAD_BREAK : LOAD_COMMANDS, s->item, s->len);
}

static bool is_rdb(int file)
{
    char magic[6] = "";
    return pread(file, magic, 5, 0) == 5 && strcmp(magic, "REDIS") == 0;
}

/* A log of redis-server before 7 is one file: an RDB, if it has been rewritten (aof-use-rdb-preamble), and commands behind it. */
static bool stream_preamble(struct stream *s, const struct aof_source *source, uint64_t *end, char *why, size_t size)
{
    struct rdb_walk w;
    bool good = rdb_walk(&w, source->file, &events, s);
    *end = w.at;
    if (!good)
        snprintf(why, size, "%.150s: %.300s", source->name, w.why);
    return good;
}

/* The end that is not whole. */
static bool cut(const struct aof_source *source, const struct aof_check *check, char *why, size_t size)
{
    const unsigned long long good = check->good, all = check->size;
    if (source->spares) {
        fprintf(stderr, "%s ends in the middle of a command: its first %llu of %llu bytes are taken\n", source->name, good, all);
        return true;
    }
    log_line(LOG_LEVEL_WARNING, "%s ends in the middle of a command: cut to its first %llu of %llu bytes (aof-load-truncated)", source->name, good,
             all);
    if (ftruncate(source->file, (off_t)good) == 0)
        return true;
    snprintf(why, size, "%.150s cannot be cut: %s", source->name, strerror(errno));
    return false;
}

static bool stream_file(struct stream *s, const struct aof_source *source, bool last, char *why, size_t size)
{
    struct aof_check check;
    uint64_t from = 0;
    if (is_rdb(source->file) && !stream_preamble(s, source, &from, why, size))
        return false;
    if (!aof_check(source->file, from, &check)) {
        if (!check.truncated || !last || !source->may_cut) {
            snprintf(why, size, "%.150s: %.200s at byte %llu%s", source->name, check.why, (unsigned long long)check.good,
                     !check.truncated || !last ? ""
                     : source->spares          ? "; with `truncated` what is before it would be taken"
                                               : "; with aof-load-truncated yes it would be cut there");
            return false;
        }
        if (!cut(source, &check, why, size))
            return false;
    }
    return aof_read(source->file, from, check.good, on_commands, s);
}

bool rdb_stream_log(const struct aof_source *source, unsigned n, int to)
{
    struct stream *s = open_stream(to);
    char why[640] = "";
    bool good = true;
    if (!s)
        return false;
    for (unsigned i = 0; i < n && good; i++)
        good = stream_file(s, &source[i], i + 1 == n, why, sizeof why);
    put_item(s, good ? LOAD_END : LOAD_FAILED, why, strlen(why));
    good = fclose(s->to) == 0;
    free(s);
    return good;
}

bool rdb_stream_failed(const char *why, int to)
{
    struct stream *s = open_stream(to);
    if (!s)
        return false;
    put_item(s, LOAD_FAILED, why, strlen(why));
    bool good = fclose(s->to) == 0;
    free(s);
    return good;
}

/* Commands behind an RDB are a log: whoever took only what is in front of them would lose the rest in silence. */
static bool is_log(int file, struct rdb_walk *w)
{
    char next = 0;
    if (pread(file, &next, 1, (off_t)w->at) != 1 || (next != '*' && next != '#'))
        return false;
    snprintf(w->why, sizeof w->why, "at byte %llu: behind the snapshot come commands: this is an append-only log; `sluice snapshot import` takes it",
             (unsigned long long)w->at);
    return true;
}

bool rdb_stream(int file, int to)
{
    struct stream *s = open_stream(to);
    struct rdb_walk w;
    if (!s)
        return false;
    if (rdb_walk(&w, file, &events, s) && !is_log(file, &w))
        put_item(s, LOAD_END, NULL, 0);
    else
        put_item(s, LOAD_FAILED, w.why, strlen(w.why));
    bool good = fclose(s->to) == 0;
    free(s);
    return good;
}
