/* library.c: libraries of functions and their names (library.h).
 * https://redis.io/docs/latest/commands/function-load/ */
#include "script/library.h"

#include "resp/reader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { BUCKETS = 256 };

struct libraries {
    struct library *first, *last;
    struct function *bucket[BUCKETS];
    uint64_t count, functions, bytes, flushes, deletions, ids;
};

/* -- one library -- */

bool library_name_ok(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum(name.p[i]) && name.p[i] != '_')
            return false;
    return name.len > 0;
}

/* Words of the first line: engine, then name=value. */
static bool read_head(const struct resp_reader *r, struct slice window, struct library_head *head,
                      char *error, size_t size)
{
    struct slice engine = resp_arg(r, window, 0), name = {0};
    for (unsigned i = 1; i < r->argc; i++) {
        struct slice part = resp_arg(r, window, i);
        bool is_name = part.len >= 5 && strncasecmp((const char *)part.p, "name=", 5) == 0;
        if (!is_name)
            snprintf(error, size, "ERR Invalid metadata value given: %.*s", (int)part.len, part.p);
        else if (name.p)
            snprintf(error, size, "ERR Invalid metadata value, name argument was given multiple times");
        if (!is_name || name.p)
            return false;
        name = (struct slice){part.p + 5, part.len - 5};
    }
    engine = (struct slice){engine.p + 2, engine.len - 2};
    if (!name.p)
        snprintf(error, size, "ERR Library name was not given");
    else if (!library_name_ok(name))
        snprintf(error, size, "ERR " LIBRARY_BAD_NAME);
    else if (!slice_is(engine, "lua"))
        snprintf(error, size, "ERR Engine '%.*s' not found", (int)engine.len, engine.p);
    else if (name.len >= sizeof head->name)
        snprintf(error, size, "ERR Library name is too long");
    else {
        snprintf(head->name, sizeof head->name, "%.*s", (int)name.len, name.p);
        return true;
    }
    return false;
}

bool library_head(struct slice code, struct library_head *head, char *error, size_t size)
{
    static const struct resp_limits limits = {.max_bulk = 1, .max_args = 1024, .max_inline = 65536};
    struct resp_reader r;
    size_t used, need;
    if (code.len < 2 || memcmp(code.p, "#!", 2) != 0) {
        snprintf(error, size, "ERR Missing library metadata");
        return false;
    }
    const uint8_t *end = memchr(code.p, '\n', code.len);
    struct slice line = {code.p, end ? (size_t)(end - code.p) + 1 : 0};
    snprintf(error, size, "ERR Invalid library metadata");
    if (!end || memchr(line.p, 0, line.len))
        return false;
    head->body = (struct slice){end, code.len - (size_t)(end - code.p)};
    resp_reader_init(&r); /* words and quotes are those of a request in a line */
    bool ok =
        resp_read(&r, &limits, line, &used, &need) == RESP_REQUEST && read_head(&r, line, head, error, size);
    resp_reader_reset(&r);
    return ok;
}

static struct slice copy(struct slice s)
{
    uint8_t *p = malloc(s.len + 1);
    if (!p)
        return (struct slice){0};
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = 0;
    return (struct slice){p, s.len};
}

static void drop(struct slice s)
{
    free((void *)(uintptr_t)s.p);
}

struct library *library_new(struct slice name, struct slice code)
{
    struct library *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->name = copy(name);
    l->code = copy(code);
    l->bytes = sizeof *l + name.len + code.len + 2;
    if (l->name.p && l->code.p)
        return l;
    library_free(l);
    return NULL;
}

void library_free(struct library *l)
{
    if (!l)
        return;
    for (struct function *f = l->first, *next; f; f = next) {
        next = f->next;
        drop(f->run.name);
        drop(f->description);
        free(f);
    }
    drop(l->name);
    drop(l->code);
    free(l);
}

struct function *library_add(struct library *l, struct slice name, struct slice description, unsigned flags)
{
    struct function *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->run = (struct program){.name = copy(name), .flags = flags | SCRIPT_SHEBANG};
    if (description.p)
        f->description = copy(description);
    f->library = l;
    if (!f->run.name.p || (description.p && !f->description.p)) {
        drop(f->run.name);
        drop(f->description);
        free(f);
        return NULL;
    }
    *(l->last ? &l->last->next : &l->first) = f;
    l->last = f;
    l->functions++;
    l->bytes += sizeof *f + name.len + description.len + 2;
    return f;
}

static bool equal(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

struct function *library_function(const struct library *l, struct slice name)
{
    struct function *f = l->first;
    while (f && !equal(f->run.name, name))
        f = f->next;
    return f;
}

/* -- all of them -- */

struct libraries *libraries_new(void)
{
    return calloc(1, sizeof(struct libraries));
}

void libraries_free(struct libraries *all)
{
    if (all)
        libraries_flush(all);
    free(all);
}

const struct library *libraries_first(const struct libraries *all)
{
    return all->first;
}

const struct library *libraries_find(const struct libraries *all, struct slice name)
{
    const struct library *l = all->first;
    while (l && !equal(l->name, name))
        l = l->next;
    return l;
}

bool libraries_have(const struct libraries *all, uint64_t id)
{
    const struct library *l = all->first;
    while (l && l->id != id)
        l = l->next;
    return l;
}

static bool equal_blind(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0;
}

static unsigned bucket_of(struct slice name)
{
    unsigned h = 5381;
    for (size_t i = 0; i < name.len; i++)
        h = h * 33 + (unsigned)tolower(name.p[i]);
    return h % BUCKETS;
}

struct function *libraries_function(const struct libraries *all, struct slice name)
{
    struct function *f = all->bucket[bucket_of(name)];
    while (f && !equal_blind(f->run.name, name))
        f = f->same;
    return f;
}

void libraries_put(struct libraries *all, struct library *l)
{
    l->id = ++all->ids;
    l->next = NULL;
    *(all->last ? &all->last->next : &all->first) = l;
    all->last = l;
    all->count++;
    all->functions += l->functions;
    all->bytes += l->bytes;
    for (struct function *f = l->first; f; f = f->next) {
        struct function **bucket = &all->bucket[bucket_of(f->run.name)];
        f->same = *bucket;
        *bucket = f;
    }
}

/* Out of the list and the table: the caller's. */
static struct library *take(struct libraries *all, const struct library *which)
{
    struct library **at = &all->first, *before = NULL;
    for (; *at != which; at = &(*at)->next)
        before = *at;
    struct library *l = *at;
    *at = l->next;
    if (all->last == l)
        all->last = before;
    for (struct function *f = l->first; f; f = f->next) {
        struct function **bucket = &all->bucket[bucket_of(f->run.name)];
        while (*bucket != f)
            bucket = &(*bucket)->same;
        *bucket = f->same;
    }
    all->count--;
    all->functions -= l->functions;
    all->bytes -= l->bytes;
    return l;
}

void libraries_delete(struct libraries *all, const struct library *l)
{
    library_free(take(all, l));
    all->deletions++;
}

/* What stands against it. False: nothing. */
static bool is_refused(const struct libraries *all, const struct libraries *from, bool replace, char *error,
                       size_t size)
{
    for (const struct library *l = from->first; l; l = l->next) {
        if (!replace && libraries_find(all, l->name)) {
            snprintf(error, size, "ERR Library %s already exists", (const char *)l->name.p);
            return true;
        }
        for (const struct function *f = l->first; f; f = f->next) {
            const struct function *there = libraries_function(all, f->run.name);
            if (there && !libraries_find(from, there->library->name)) {
                snprintf(error, size, "ERR Function %s already exists", (const char *)f->run.name.p);
                return true;
            }
        }
    }
    return false;
}

bool libraries_join(struct libraries *all, struct libraries *from, bool replace, char *error, size_t size)
{
    if (is_refused(all, from, replace, error, size))
        return false;
    for (const struct library *l = from->first; l; l = l->next) {
        const struct library *old = libraries_find(all, l->name);
        if (old)
            libraries_delete(all, old);
    }
    while (from->first)
        libraries_put(all, take(from, from->first));
    return true;
}

void libraries_flush(struct libraries *all)
{
    while (all->first)
        library_free(take(all, all->first));
    all->flushes++;
}

uint64_t libraries_flushes(const struct libraries *all)
{
    return all->flushes;
}

uint64_t libraries_deletions(const struct libraries *all)
{
    return all->deletions;
}

void libraries_measure(const struct libraries *all, uint64_t *libraries, uint64_t *functions, uint64_t *bytes)
{
    *libraries = all->count;
    *functions = all->functions;
    *bytes = all->bytes;
}
