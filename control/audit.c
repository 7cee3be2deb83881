/* audit.c: see audit.h. SHA-256 (FIPS 180-4) by libcrypto. */
#include "control/audit.h"
#include "control/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char end_mark[] = ",\"hash\":\"";
enum { END = sizeof end_mark - 1 + AUDIT_HASH + 2 /* "} */, LINE_MAX_BYTES = 8 << 20 };

struct audit {
    char *folder;
    int fd;
    unsigned long number;    /* of the file that is written */
    off_t bytes;             /* whole lines in it */
    uint64_t last, failures; /* number of the last line */
    uint64_t refused_s;      /* when `tokens` was last filled up, in whole seconds */
    unsigned tokens, left_out;
    char hash[AUDIT_HASH + 1];
    void (*watch)(void *arg, const char *line);
    void *watch_arg;
};

static void hash_of(const char *text, size_t len, char hash[AUDIT_HASH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, len, digest);
    for (unsigned i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

/* -- reading ------------------------------------------------------------------------------------------ */

struct walk {
    uint64_t lines, first, last;
    char hash[AUDIT_HASH + 1];
    unsigned long files, file, line; /* file and line within it that is looked at */
    const char *reason;              /* what is wrong there; NULL: nothing */
    bool cut;                        /* the last line has no end */
    off_t end;                       /* bytes of the last file that are whole lines */
    unsigned keep;                   /* the last so many lines are in `kept` */
    json_t *kept;
};

/* The number and the hash of the line before as a line tells them; false if it is none of ours. */
static bool read_links(json_t *line, uint64_t *n, const char **prev)
{
    json_t *number = json_object_get(line, "n");
    *prev = json_string_value(json_object_get(line, "prev"));
    *n = (uint64_t)json_integer_value(number);
    return json_is_integer(number) && json_integer_value(number) > 0 && *prev;
}

/* Why a line (without its end) does not follow those before it; NULL if it does. */
static const char *look_at(struct walk *w, const char *text, size_t len)
{
    char hash[AUDIT_HASH + 1];
    const char *prev;
    uint64_t n;
    json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const char *why = NULL;
    if (!read_links(line, &n, &prev) || len <= END ||
        memcmp(text + len - END, end_mark, sizeof end_mark - 1) != 0) {
        json_decref(line);
        return "it is no line of an audit log";
    }
    hash_of(text, len - END, hash);
    if (memcmp(text + len - 2 - AUDIT_HASH, hash, AUDIT_HASH) != 0)
        why = "its own hash does not fit: it was changed";
    else if (w->lines && n != w->last + 1)
        why = "lines before it are missing, or it stands in the wrong place";
    else if (w->lines ? strcmp(prev, w->hash) != 0 : n == 1 && *prev)
        why = "it does not follow the line before it";
    w->first = w->lines++ ? w->first : n;
    w->last = n;
    memcpy(w->hash, hash, sizeof hash);
    if (w->keep) {
        json_array_append(w->kept, line);
        if (json_array_size(w->kept) > w->keep)
            json_array_remove(w->kept, 0);
    }
    json_decref(line);
    return why;
}

static char *path_of(const char *folder, unsigned long number)
{
    return must_print("%s/%06lu.jsonl", folder, number);
}

/* Goes on until something is wrong. */
static void walk_file(struct walk *w, const char *folder, unsigned long number)
{
    char *path = path_of(folder, number), *text = NULL;
    size_t room = 0;
    ssize_t len;
    FILE *f = fopen(path, "re");
    w->files++;
    w->file = number;
    w->line = 0;
    w->end = 0;
    w->reason = f ? NULL : "it cannot be read";
    while (f && !w->reason && (len = getline(&text, &room, f)) > 0) {
        w->line++;
        w->cut = text[len - 1] != '\n';
        if (w->cut)
            break;
        w->reason = len > LINE_MAX_BYTES ? "it is too long" : look_at(w, text, (size_t)len - 1);
        w->end = ftello(f);
    }
    if (f)
        fclose(f);
    free(text);
    free(path);
}

/* Numbers of the files there are, lowest and highest; returns how many. */
static unsigned scan(const char *folder, unsigned long *lowest, unsigned long *highest)
{
    DIR *d = opendir(folder);
    unsigned n = 0;
    *lowest = *highest = 0;
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *end;
        unsigned long number = strtoul(e->d_name, &end, 10);
        if (end == e->d_name || strcmp(end, ".jsonl") != 0 || !number)
            continue;
        n++;
        *highest = number > *highest ? number : *highest;
        *lowest = n == 1 || number < *lowest ? number : *lowest;
    }
    if (d)
        closedir(d);
    return n;
}

static void walk_all(struct walk *w, const char *folder)
{
    unsigned long lowest, highest;
    if (!scan(folder, &lowest, &highest))
        return;
    for (unsigned long i = lowest; i <= highest && !w->reason; i++) {
        walk_file(w, folder, i);
        if (w->cut && i < highest)
            w->reason = "it is cut off";
        if (w->reason || w->cut)
            break;
    }
}

json_t *audit_verify(const struct audit *a)
{
    struct walk w = {0};
    walk_all(&w, a->folder);
    const char *reason = w.reason ? w.reason : w.cut ? "it is cut off" : NULL;
    if (!reason && (w.last != a->last || (a->last && strcmp(w.hash, a->hash) != 0)))
        reason = "lines that were written are missing at the end";
    json_t *j =
        json_pack("{s:I,s:I,s:I,s:I,s:s,s:b}", "files", (json_int_t)w.files, "lines", (json_int_t)w.lines,
                  "first", (json_int_t)w.first, "last", (json_int_t)w.last, "hash", w.hash, "good", !reason);
    if (reason) {
        char *path = path_of(a->folder, w.file);
        json_object_set_new(j, "file", json_string(path));
        json_object_set_new(j, "line", json_integer((json_int_t)w.line));
        json_object_set_new(j, "reason", json_string(reason));
        free(path);
    }
    return j;
}

json_t *audit_last(const struct audit *a, unsigned lines)
{
    struct walk w = {.keep = lines, .kept = json_array()};
    unsigned long lowest, highest;
    if (lines && scan(a->folder, &lowest, &highest)) {
        /* The file before it as well, when this one has just begun; a line that does not fit is shown all the
         * same. */
        for (unsigned long i = highest > lowest ? highest - 1 : highest; i <= highest; i++)
            walk_file(&w, a->folder, i);
    }
    return w.kept;
}

/* -- writing ------------------------------------------------------------------------------------------ */

static bool open_file(struct audit *a, unsigned long number)
{
    char *path = path_of(a->folder, number);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    free(path);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return false;
    }
    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
    a->number = number;
    a->bytes = st.st_size;
    return true;
}

static void sync_folder(const struct audit *a)
{
    int fd = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* The next file begins; the oldest go. */
static void rotate(struct audit *a)
{
    unsigned long lowest, highest;
    if (!open_file(a, a->number + 1))
        return; /* the old one goes on */
    while (scan(a->folder, &lowest, &highest) > AUDIT_FILES_MAX) {
        char *path = path_of(a->folder, lowest);
        bool gone = unlink(path) == 0;
        free(path);
        if (!gone)
            break;
    }
    sync_folder(a);
}

/* A crash in the middle of a line leaves a part of it, which nobody was told was written: it is taken off. */
static bool mend(const struct audit *a, const struct walk *w)
{
    char *path = path_of(a->folder, w->file);
    bool good = truncate(path, w->end) == 0;
    log_line(LOG_LEVEL_WARNING, "audit log %s: a line was cut short by a crash%s", path,
             good ? "; taken off" : ", and cannot be taken off");
    free(path);
    return good;
}

struct audit *audit_open(const char *folder, char *error, size_t size)
{
    struct audit *a = must_alloc(1, sizeof *a);
    struct walk w = {0};
    unsigned long lowest, highest;
    a->folder = must_copy(folder);
    a->fd = -1;
    bool made = mkdir(folder, 0700) == 0 || errno == EEXIST;
    unsigned files = made ? scan(folder, &lowest, &highest) : 0;
    for (unsigned long i = files > 1 ? highest - 1 : highest; files && i <= highest; i++)
        walk_file(&w, folder, i);
    if (w.reason) /* it goes on all the same, and `verify` tells from where on it is in doubt */
        log_line(LOG_LEVEL_WARNING, "audit log %s, file %06lu, line %lu: %s; see 'sluice audit verify'",
                 folder, w.file, w.line, w.reason);
    else if (w.cut)
        mend(a, &w);
    a->last = w.last;
    memcpy(a->hash, w.hash, sizeof a->hash);
    if (!made || !open_file(a, files ? highest : 1)) {
        snprintf(error, size, "audit log %s: %s; make the folder writable", folder, strerror(errno));
        audit_close(a);
        return NULL;
    }
    sync_folder(a);
    return a;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    free(a->folder);
    free(a);
}

static void put_time(json_t *line)
{
    struct timespec now;
    struct tm tm;
    char day[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    json_object_set_new(line, "time", json_sprintf("%s.%03ldZ", day, now.tv_nsec / 1000000));
}

/* Texts from outside need not be UTF-8, which JSON wants: those are put down as what they are not. */
static json_t *string_of(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("(not UTF-8)");
}

/* An object as text, which gets its hash and is on disk then; or nothing of it is. */
static bool add_line(struct audit *a, const char *object)
{
    char hash[AUDIT_HASH + 1];
    if (!object)
        return false;
    size_t len = strlen(object) - 1; /* without the brace that ends it */
    if (a->bytes > AUDIT_FILE_MAX)
        rotate(a);
    hash_of(object, len, hash);
    char *line = must_print("%.*s%s%s\"}\n", (int)len, object, end_mark, hash);
    ssize_t bytes = (ssize_t)strlen(line);
    bool good = write(a->fd, line, (size_t)bytes) == bytes && fdatasync(a->fd) == 0;
    int why = errno;
    if (good && a->watch) {
        line[bytes - 1] = 0;
        a->watch(a->watch_arg, line);
    }
    free(line);
    if (!good) {
        if (ftruncate(a->fd, a->bytes) < 0)
            log_line(LOG_LEVEL_WARNING, "The audit log has a part of a line that cannot be taken off");
        errno = why;
        return false;
    }
    a->bytes += bytes;
    a->last++;
    memcpy(a->hash, hash, sizeof hash);
    return true;
}

void audit_note(struct audit *a, const char *who, const char *from, const char *what, json_t *detail,
                const char *result)
{
    if (!a) {
        json_decref(detail);
        return;
    }
    json_t *line = json_object();
    json_object_set_new(line, "n", json_integer((json_int_t)a->last + 1));
    put_time(line);
    json_object_set_new(line, "who", string_of(who));
    json_object_set_new(line, "from", string_of(from));
    json_object_set_new(line, "what", string_of(what));
    if (detail)
        json_object_set_new(line, "detail", detail);
    json_object_set_new(line, "result", string_of(result));
    json_object_set_new(line, "prev", json_string(a->hash));
    char *body = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(line);
    if (!add_line(a, body)) {
        a->failures++;
        log_line(LOG_LEVEL_WARNING, "The audit log cannot be written: %s: %s by %s (%s)", strerror(errno),
                 what, who, result);
    }
    free(body);
}

void audit_refusal(struct audit *a, const char *who, const char *from, const char *what, const char *result)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!a)
        return;
    const uint64_t s = (uint64_t)now.tv_sec + AUDIT_REFUSALS, earned = a->tokens + (s - a->refused_s);
    a->tokens = earned < AUDIT_REFUSALS ? (unsigned)earned : AUDIT_REFUSALS;
    a->refused_s = s;
    if (a->tokens == 0) {
        a->left_out++;
        return;
    }
    a->tokens--;
    audit_note(a, who, from, what, a->left_out ? json_pack("{s:I}", "left_out", (json_int_t)a->left_out) : NULL,
               result);
    a->left_out = 0;
}

void audit_watch(struct audit *a, void (*fn)(void *arg, const char *line), void *arg)
{
    if (a) {
        a->watch = fn;
        a->watch_arg = arg;
    }
}

uint64_t audit_failures(const struct audit *a)
{
    return a ? a->failures : 0;
}

/* -- changes of the configuration --------------------------------------------------------------------- */

static json_t *value_json(const struct settings *s, int d)
{
    if (directives[d].flags & DIRECTIVE_SECRET)
        return json_string(s->value[d].n && *s->value[d].p[0] ? "(secret)" : "");
    if (!(directives[d].flags & DIRECTIVE_REPEATED))
        return string_of(s->value[d].n ? s->value[d].p[0] : "");
    json_t *list = json_array();
    for (unsigned i = 0; i < s->value[d].n; i++)
        json_array_append_new(list, string_of(s->value[d].p[i]));
    return list;
}

json_t *audit_changes(const struct settings *before, const struct settings *after)
{
    json_t *all = json_object();
    for (unsigned i = 0; i < directive_count(); i++)
        if (!settings_same(before, after, (int)i))
            json_object_set_new(all, directives[i].name,
                                json_pack("{s:o,s:o}", "before", value_json(before, (int)i), "after",
                                          value_json(after, (int)i)));
    return all;
}
