/* rdb_report.c: an RDB file counted (rdb_report.h). */
#include "control/rdb_report.h"
#include "control/rdb_values.h"
#include "control/rdb_walk.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BIGGEST = 64 };

struct counts {
    uint64_t keys[RDB_VALUE_TYPES], elements[RDB_VALUE_TYPES], bytes[RDB_VALUE_TYPES];
    uint64_t expires, expired, biggest;
    struct rdb_bytes name; /* of the biggest */
    uint64_t now_ms;
    json_t *aux, *databases;
};

static void on_aux(void *ctx, const char *name, const char *value)
{
    struct counts *n = ctx;
    json_t *v = json_string(value);
    if (v && json_object_size(n->aux) < 64)
        json_object_set(n->aux, name, v); /* not UTF-8: left out */
    json_decref(v);
}

static void count_database(struct counts *n, uint64_t db)
{
    char name[32];
    snprintf(name, sizeof name, "%llu", (unsigned long long)db);
    json_t *v = json_object_get(n->databases, name);
    json_object_set_new(n->databases, name, json_integer(json_integer_value(v) + 1));
}

static void on_key_end(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes)
{
    struct counts *n = ctx;
    n->keys[key->type]++;
    n->elements[key->type] += elements;
    n->bytes[key->type] += bytes;
    n->expires += key->expire_ms > 0;
    n->expired += key->expire_ms && key->expire_ms <= n->now_ms;
    count_database(n, key->db);
    if (bytes <= n->biggest)
        return;
    n->biggest = bytes;
    free(n->name.p);
    n->name.len = key->name.len < BIGGEST ? key->name.len : BIGGEST;
    n->name.p = (uint8_t *)must_copy_n((const char *)key->name.p, n->name.len);
}

static json_t *types_json(const struct counts *n)
{
    json_t *types = json_object();
    for (unsigned t = 0; t < RDB_VALUE_TYPES; t++) {
        const char *name = rdb_type_name(t);
        if (!name || !n->keys[t])
            continue;
        json_t *type = json_object_get(types, name);
        if (!type) {
            type = json_pack("{s:I,s:I,s:I,s:{}}", "keys", (json_int_t)0, "elements", (json_int_t)0, "bytes",
                             (json_int_t)0, "forms");
            json_object_set_new(types, name, type);
        }
        const char *const sums[] = {"keys", "elements", "bytes"};
        const uint64_t of[] = {n->keys[t], n->elements[t], n->bytes[t]};
        for (unsigned i = 0; i < 3; i++)
            json_object_set_new(
                type, sums[i],
                json_integer(json_integer_value(json_object_get(type, sums[i])) + (json_int_t)of[i]));
        json_object_set_new(json_object_get(type, "forms"), rdb_type_form(t),
                            json_integer((json_int_t)n->keys[t]));
    }
    return types;
}

static void fill_report(json_t *report, const struct rdb_walk *w, struct counts *n)
{
    static const char *const sums[] = {"none", "good", "wrong"};
    bool ended = !*w->why || w->sum == RDB_SUM_BAD;
    json_object_set_new(report, "ok", json_boolean(!*w->why));
    json_object_set_new(report, "size", json_integer((json_int_t)w->size));
    json_object_set_new(report, "format", json_string(w->valkey ? "VALKEY" : "REDIS"));
    json_object_set_new(report, "version", json_integer(w->version));
    json_object_set_new(report, "checksum", json_string(ended ? sums[w->sum] : "not reached"));
    json_object_set_new(report, "keys", json_integer((json_int_t)w->keys));
    json_object_set_new(report, "expires", json_integer((json_int_t)n->expires));
    json_object_set_new(report, "expired", json_integer((json_int_t)n->expired));
    json_object_set_new(report, "functions", json_integer((json_int_t)w->functions));
    json_object_set_new(report, "types", types_json(n));
    json_object_set(report, "databases", n->databases);
    json_object_set(report, "aux", n->aux);
    if (n->name.p) {
        json_t *name = json_stringn((const char *)n->name.p, n->name.len);
        if (name)
            json_object_set_new(report, "biggest",
                                json_pack("{s:o,s:I}", "key", name, "bytes", (json_int_t)n->biggest));
    }
    if (*w->why) {
        json_t *why = json_string(w->why);
        json_object_set_new(report, "error", why ? why : json_string("it is damaged"));
        json_object_set_new(report, "offset", json_integer((json_int_t)w->bad_at));
    }
}

json_t *rdb_report(const char *path)
{
    static const struct rdb_events events = {.aux = on_aux, .key_end = on_key_end};
    struct counts n = {.aux = json_object(), .databases = json_object()};
    struct rdb_walk w;
    struct timespec now;
    json_t *report = json_object(), *file = json_string(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    clock_gettime(CLOCK_REALTIME, &now);
    n.now_ms = (uint64_t)now.tv_sec * 1000;
    json_object_set_new(report, "file", file ? file : json_string("?"));
    if (fd < 0) {
        json_object_set_new(report, "ok", json_false());
        json_object_set_new(report, "error", json_string(strerror(errno)));
    } else {
        rdb_walk(&w, fd, &events, &n);
        close(fd);
        fill_report(report, &w, &n);
    }
    free(n.name.p);
    json_decref(n.aux);
    json_decref(n.databases);
    return report;
}

int rdb_report_print(const char *path)
{
    json_t *report = rdb_report(path);
    bool ok = json_is_true(json_object_get(report, "ok"));
    json_dumpf(report, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(report);
    return ok ? 0 : 1;
}
