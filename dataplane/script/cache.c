/* cache.c: the texts of scripts by their SHA-1. https://redis.io/docs/latest/commands/script-load/ */
#include "base/bytes.h"
#include "base/sha1.h"
#include "script/library.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 1024 };

struct scripts {
    struct script *bucket[BUCKETS];
    uint64_t count, evals, bytes, generation, ids;
    struct libraries *libraries;
    struct script_host *running[CONFIG_WORKERS];
};

struct scripts *scripts_new(void)
{
    struct scripts *all = calloc(1, sizeof *all);
    if (all)
        all->libraries = libraries_new();
    if (all && all->libraries)
        return all;
    free(all);
    return NULL;
}

void scripts_free(struct scripts *all)
{
    if (!all)
        return;
    scripts_flush(all);
    libraries_free(all->libraries);
    free(all);
}

struct script_host **scripts_running(struct scripts *all, unsigned worker)
{
    return &all->running[worker];
}

struct libraries *scripts_libraries(const struct scripts *all)
{
    return all->libraries;
}

void script_sha(struct slice text, char sha[SCRIPT_SHA + 1])
{
    uint8_t digest[SHA1_BYTES];
    sha1(text, digest);
    bytes_hex(digest, SHA1_BYTES, sha);
}

static unsigned digit(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a' + 10) : (unsigned)(c - '0');
}

static unsigned bucket_of(const char *sha)
{
    return (digit(sha[0]) << 8 | digit(sha[1]) << 4 | digit(sha[2])) % BUCKETS;
}

struct script *scripts_find(const struct scripts *all, const char *sha)
{
    struct script *s = all->bucket[bucket_of(sha)];
    while (s && memcmp(s->sha, sha, SCRIPT_SHA) != 0)
        s = s->next;
    return s;
}

static size_t bytes_of(size_t text)
{
    return sizeof(struct script) + text + 1;
}

static void drop(struct scripts *all, struct script *s)
{
    struct script **at = &all->bucket[bucket_of(s->sha)];
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    all->count--;
    all->evals -= !s->kept;
    all->bytes -= bytes_of(s->text.len);
    free(s);
}

/* The text of EVAL that nobody has used for longest. */
static struct script *oldest(const struct scripts *all)
{
    struct script *found = NULL;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct script *s = all->bucket[i]; s; s = s->next)
            if (!s->kept && (!found || s->used < found->used))
                found = s;
    return found;
}

struct script *scripts_add(struct scripts *all, const char *sha, struct slice text, unsigned flags, bool kept,
                           uint64_t now_ms)
{
    size_t size = bytes_of(text.len);
    if (size > SCRIPT_TEXTS_BYTES)
        return NULL;
    while (all->evals && (all->bytes + size > SCRIPT_TEXTS_BYTES || (!kept && all->evals >= SCRIPT_EVALS)))
        drop(all, oldest(all));
    struct script *s = all->bytes + size > SCRIPT_TEXTS_BYTES ? NULL : calloc(1, size);
    if (!s)
        return NULL;
    uint8_t *copy = (uint8_t *)(s + 1);
    if (text.len)
        memcpy(copy, text.p, text.len);
    memcpy(s->sha, sha, SCRIPT_SHA);
    s->text = (struct slice){copy, text.len};
    s->run = (struct program){.name = {(const uint8_t *)s->sha, SCRIPT_SHA}, .flags = flags};
    s->kept = kept;
    s->id = ++all->ids;
    s->used = now_ms;
    struct script **bucket = &all->bucket[bucket_of(sha)];
    s->next = *bucket;
    *bucket = s;
    all->count++;
    all->evals += !kept;
    all->bytes += size;
    return s;
}

void scripts_keep(struct scripts *all, struct script *s)
{
    all->evals -= !s->kept;
    s->kept = true;
}

void scripts_flush(struct scripts *all)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        while (all->bucket[i])
            drop(all, all->bucket[i]);
    all->generation++;
}

uint64_t scripts_generation(const struct scripts *all)
{
    return all->generation;
}

void scripts_measure(const struct scripts *all, uint64_t *count, uint64_t *bytes)
{
    *count = all ? all->count : 0;
    *bytes = all ? all->bytes : 0;
}

/* -- the shebang line: #!lua [name=value ...] */

static const struct flag_name {
    const char *name;
    unsigned flag;
} flag_names[] = {{"no-writes", SCRIPT_NO_WRITES},
                  {"allow-oom", SCRIPT_ALLOW_OOM},
                  {"allow-stale", SCRIPT_ALLOW_STALE},
                  {"no-cluster", SCRIPT_NO_CLUSTER},
                  {"allow-cross-slot-keys", SCRIPT_ALLOW_CROSS_SLOT}};

static struct slice cut(struct slice *rest, char at)
{
    struct slice s = *rest;
    const uint8_t *end = s.len ? memchr(s.p, at, s.len) : NULL;
    if (end)
        s.len = (size_t)(end - s.p);
    size_t used = end ? s.len + 1 : s.len;
    *rest = (struct slice){rest->p + used, rest->len - used};
    return s;
}

static bool same(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

const char *script_flag_name(unsigned i, unsigned *flag)
{
    if (i >= sizeof flag_names / sizeof flag_names[0])
        return NULL;
    *flag = flag_names[i].flag;
    return flag_names[i].name;
}

unsigned script_flag(struct slice name, bool ignore_case)
{
    unsigned flag;
    const char *known;
    for (unsigned i = 0; (known = script_flag_name(i, &flag)); i++)
        if (ignore_case ? slice_is(name, known) : same(name, known))
            return flag;
    return 0;
}

static bool read_flags(struct slice list, unsigned *flags, char *error, size_t size)
{
    while (list.len) {
        struct slice one = cut(&list, ',');
        unsigned flag = script_flag(one, false);
        if (!flag) {
            snprintf(error, size, "ERR Unexpected flag in script shebang: %.*s", (int)one.len, one.p);
            return false;
        }
        *flags |= flag;
    }
    return true;
}

bool script_shebang(struct slice text, unsigned *flags, struct slice *body, char *error, size_t size)
{
    const char *option = "flags=";
    *flags = 0;
    *body = text;
    if (text.len < 2 || memcmp(text.p, "#!", 2) != 0)
        return true;
    const uint8_t *end = memchr(text.p, '\n', text.len);
    if (!end) {
        snprintf(error, size, "ERR Invalid script shebang");
        return false;
    }
    struct slice line = {text.p, (size_t)(end - text.p)};
    *body = (struct slice){end, text.len - line.len};
    struct slice engine = cut(&line, ' ');
    if (!same(engine, "#!lua")) {
        snprintf(error, size, "ERR Unexpected engine in script shebang: %.*s", (int)engine.len, engine.p);
        return false;
    }
    *flags = SCRIPT_SHEBANG;
    while (line.len) {
        struct slice part = cut(&line, ' ');
        if (part.len == 0)
            continue;
        if (part.len < strlen(option) || memcmp(part.p, option, strlen(option)) != 0) {
            snprintf(error, size, "ERR Unknown lua shebang option: %.*s", (int)part.len, part.p);
            return false;
        }
        part = (struct slice){part.p + strlen(option), part.len - strlen(option)};
        if (!read_flags(part, flags, error, size))
            return false;
    }
    return true;
}
