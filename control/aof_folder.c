/* aof_folder.c: see aof_folder.h. Every change is a new manifest: temporary file, fsync, rename, fsync of the folder. */
#include "control/aof_folder.h"
#include "base/crc64.h"
#include "control/log.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MOST = 1 << 20, FILES_MOST = 4096 };

static bool fails(char *error, size_t size, const char *what, const char *path)
{
    snprintf(error, size, "%s %.300s: %s", what, path, strerror(errno));
    return false;
}

char *aof_folder_join(const struct aof_folder *f, const char *name)
{
    return must_print("%s/%s", f->path, name);
}

char **aof_folder_paths(const struct aof_folder *f, unsigned *n)
{
    static const char types[] = "bi";
    char **path = must_alloc(f->n + 1, sizeof *path);
    *n = 0;
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < f->n; i++)
            if (f->file[i].type == types[k])
                path[(*n)++] = aof_folder_join(f, f->file[i].name);
    return path;
}

struct aof_folder *aof_folder_new(const char *dir, const char *folder, const char *prefix)
{
    struct aof_folder *f = must_alloc(1, sizeof *f);
    f->dir = must_copy(dir);
    f->path = must_print("%s/%s", dir, folder);
    f->prefix = must_copy(prefix);
    return f;
}

void aof_folder_free(struct aof_folder *f)
{
    if (!f)
        return;
    free(f->dir);
    free(f->path);
    free(f->prefix);
    free(f->file);
    free(f);
}

/* -- what is in it -- */

static struct aof_file *append(struct aof_folder *f, const char *name, uint64_t seq, char type)
{
    if (f->n == f->room) {
        unsigned room = f->room ? 2 * f->room : 8;
        struct aof_file *more = must_alloc(room, sizeof *more);
        if (f->n)
            memcpy(more, f->file, f->n * sizeof *more);
        free(f->file);
        f->file = more;
        f->room = room;
    }
    struct aof_file *file = &f->file[f->n++];
    *file = (struct aof_file){.seq = seq, .type = type};
    snprintf(file->name, sizeof file->name, "%s", name);
    return file;
}

static uint64_t greatest(const struct aof_folder *f, char type)
{
    uint64_t seq = 0;
    for (unsigned i = 0; i < f->n; i++)
        if (f->file[i].type == type && f->file[i].seq > seq)
            seq = f->file[i].seq;
    return seq;
}

uint64_t aof_folder_base(const struct aof_folder *f)
{
    return greatest(f, 'b');
}

uint64_t aof_folder_last(const struct aof_folder *f)
{
    return greatest(f, 'i');
}

void aof_folder_base_name(const struct aof_folder *f, uint64_t seq, char name[AOF_NAME])
{
    snprintf(name, AOF_NAME, "%.200s.%" PRIu64 ".base.%s", f->prefix, seq, f->commands ? "aof" : "rdb");
}

void aof_folder_incr_name(const struct aof_folder *f, uint64_t seq, char name[AOF_NAME])
{
    snprintf(name, AOF_NAME, "%.200s.%" PRIu64 ".incr.aof", f->prefix, seq);
}

void aof_folder_delete_incr(const struct aof_folder *f, uint64_t seq)
{
    char name[AOF_NAME];
    aof_folder_incr_name(f, seq, name);
    char *path = aof_folder_join(f, name);
    unlink(path);
    free(path);
}

uint64_t aof_folder_bytes(const struct aof_folder *f, uint64_t *base)
{
    uint64_t all = 0;
    *base = 0;
    for (unsigned i = 0; i < f->n; i++) {
        struct stat st;
        char *path = aof_folder_join(f, f->file[i].name);
        uint64_t bytes = f->file[i].type != 'h' && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
        free(path);
        all += bytes;
        *base += f->file[i].type == 'b' ? bytes : 0;
    }
    return all;
}

/* -- the manifest: "file NAME seq N type b", a line each -- */

static char *manifest_path(const struct aof_folder *f)
{
    return must_print("%s/%s.manifest", f->path, f->prefix);
}

/* False: the line is none. Names with blanks are quoted. */
static bool read_line(struct aof_folder *f, char *line)
{
    char name[AOF_NAME], type, quoted[AOF_NAME];
    uint64_t seq;
    int end = 0;
    if (line[0] == '#')
        return true;
    if (sscanf(line, "file \"%255[^\"]\" seq %" SCNu64 " type %c%n", quoted, &seq, &type, &end) == 3)
        snprintf(name, sizeof name, "%s", quoted);
    else if (sscanf(line, "file %255s seq %" SCNu64 " type %c%n", name, &seq, &type, &end) != 3)
        return false;
    bool good = end && !line[end + strspn(line + end, " \t\r")] && strchr("bih", type) && seq && !strchr(name, '/') &&
                strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && f->n < FILES_MOST;
    bool order = type == 'h' || (type == 'b' ? !aof_folder_base(f) : seq > aof_folder_last(f));
    if (good && order)
        append(f, name, seq, type);
    return good && order;
}

bool aof_folder_parse(struct aof_folder *f, char *text)
{
    unsigned lines = 0;
    for (char *at = text, *line; (line = strsep(&at, "\n"));) {
        if (!*line)
            continue;
        if (!read_line(f, line))
            return false;
        lines++;
    }
    return lines > 0;
}

int aof_folder_read(struct aof_folder *f, char *error, size_t size)
{
    char *path = manifest_path(f);
    FILE *file = fopen(path, "re");
    int result = 1;
    f->n = 0;
    if (!file && errno == ENOENT) {
        result = 0;
    } else if (!file) {
        fails(error, size, "cannot open", path);
        result = -1;
    } else {
        char *text = must_alloc(1, MANIFEST_MOST + 1);
        size_t n = fread(text, 1, MANIFEST_MOST, file);
        text[n] = 0;
        if (strlen(text) != n || !aof_folder_parse(f, text)) {
            snprintf(error, size, "the manifest %.300s is damaged", path);
            result = -1;
        }
        free(text);
        fclose(file);
    }
    free(path);
    return result;
}

static bool sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool write_all(int fd, const char *p, size_t n)
{
    for (ssize_t done; n; p += done, n -= (size_t)done)
        if ((done = write(fd, p, n)) < 0)
            return false;
    return fsync(fd) == 0;
}

static bool write_manifest(const struct aof_folder *f, char *error, size_t size)
{
    struct text t = {0};
    char *path = manifest_path(f), *temporary = must_print("%s/temp-%s.manifest", f->path, f->prefix);
    static const char types[] = "bhi"; /* in Redis' order */
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < f->n; i++)
            if (f->file[i].type == types[k])
                text_printf(&t, strchr(f->file[i].name, ' ') ? "file \"%s\" seq %" PRIu64 " type %c\n" : "file %s seq %" PRIu64 " type %c\n",
                            f->file[i].name, f->file[i].seq, types[k]);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    bool good = fd >= 0 && write_all(fd, text_str(&t), t.len);
    if (fd >= 0)
        close(fd);
    good = good && rename(temporary, path) == 0 && sync_path(f->path);
    if (!good)
        fails(error, size, "cannot write", path);
    text_free(&t);
    free(path);
    free(temporary);
    return good;
}

/* -- changes -- */

bool aof_folder_add(struct aof_folder *f, uint64_t seq, char *error, size_t size)
{
    char name[AOF_NAME];
    if (aof_folder_last(f) >= seq)
        return true;
    aof_folder_incr_name(f, seq, name);
    append(f, name, seq, 'i');
    if (write_manifest(f, error, size))
        return true;
    f->n--;
    return false;
}

static void delete_history(struct aof_folder *f)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < f->n; i++) {
        if (f->file[i].type != 'h') {
            f->file[kept++] = f->file[i];
            continue;
        }
        char *path = aof_folder_join(f, f->file[i].name);
        if (unlink(path) < 0 && errno != ENOENT)
            log_line(LOG_LEVEL_WARNING, "%s cannot be deleted: %s", path, strerror(errno));
        free(path);
    }
    f->n = kept;
}

bool aof_folder_rebase(struct aof_folder *f, uint64_t base, uint64_t first, bool adds, char *error, size_t size)
{
    char name[AOF_NAME];
    unsigned n = f->n;
    struct aof_file *before = must_alloc(n + 1, sizeof *before);
    if (n)
        memcpy(before, f->file, n * sizeof *before);
    for (unsigned i = 0; i < n; i++)
        if (f->file[i].type == 'b' || f->file[i].seq < first)
            f->file[i].type = 'h';
    aof_folder_base_name(f, base, name);
    append(f, name, base, 'b');
    aof_folder_incr_name(f, first, name);
    if (adds)
        append(f, name, first, 'i');
    bool good = write_manifest(f, error, size);
    if (good) {
        f->first = first != UINT64_MAX ? first : 0;
        delete_history(f);
        write_manifest(f, error, size); /* if not: the same files are deleted once more */
    } else {
        memcpy(f->file, before, n * sizeof *before);
        f->n = n;
    }
    free(before);
    return good;
}

/* -- the first manifest -- */

/* The empty base: what stands before the first database, and the end, without a sum. */
static bool write_empty(const char *path)
{
    static const char empty[] = "REDIS0010\xfa\x08""aof-base\xc0\x01\xff\0\0\0\0\0\0\0\0";
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    bool good = fd >= 0 && write_all(fd, empty, sizeof empty - 1);
    if (fd >= 0)
        close(fd);
    return good;
}

/* Snapshots take the place of the file by a rename: a link to this one stays what it is. */
static bool take_dump(const char *dump, const char *base)
{
    struct stat st;
    if (stat(dump, &st) < 0)
        return false;
    unlink(base);
    if (link(dump, base) == 0 && sync_path(base)) {
        log_line(LOG_LEVEL_NOTICE, "There is no append-only log yet: it begins with the snapshot %s", dump);
        return true;
    }
    return false;
}

/* The single file of an older redis-server becomes the base; its manifest is there before it moves. */
static bool take_old(struct aof_folder *f, char *error, size_t size)
{
    append(f, f->prefix, 1, 'b');
    if (!write_manifest(f, error, size))
        return false;
    log_line(LOG_LEVEL_NOTICE, "The append-only file %s/%s of an older form becomes the base of the log", f->dir, f->prefix);
    return true;
}

/* A file that the manifest names and that has not moved yet. */
static bool move_old(struct aof_folder *f, char *error, size_t size)
{
    char *from = must_print("%s/%s", f->dir, f->prefix), *to = aof_folder_join(f, f->prefix);
    bool named = false, good = true;
    for (unsigned i = 0; i < f->n; i++)
        named |= strcmp(f->file[i].name, f->prefix) == 0;
    if (named && access(to, F_OK) < 0 && access(from, F_OK) == 0)
        good = (rename(from, to) == 0 && sync_path(f->path)) || fails(error, size, "cannot move", from);
    free(from);
    free(to);
    return good;
}

static bool first_base(struct aof_folder *f, const char *dump, char *error, size_t size)
{
    char name[AOF_NAME];
    aof_folder_base_name(f, 1, name);
    char *base = aof_folder_join(f, name);
    bool there = access(dump, F_OK) == 0;
    bool good = there ? take_dump(dump, base) : write_empty(base);
    if (!good)
        fails(error, size, there ? "cannot take the snapshot over into" : "cannot write", base);
    free(base);
    if (good)
        append(f, name, 1, 'b');
    return good;
}

bool aof_folder_begin(struct aof_folder *f, const char *dump, char *error, size_t size)
{
    char name[AOF_NAME];
    if (mkdir(f->path, 0750) < 0 && errno != EEXIST)
        return fails(error, size, "cannot make", f->path);
    int found = aof_folder_read(f, error, size);
    if (found < 0)
        return false;
    char *old = must_print("%s/%s", f->dir, f->prefix);
    bool has_old = !found && access(old, F_OK) == 0;
    free(old);
    if (has_old && !take_old(f, error, size))
        return false;
    if (!move_old(f, error, size) || (!found && !has_old && !first_base(f, dump, error, size)))
        return false;
    delete_history(f);
    if (aof_folder_last(f) && found)
        return true;
    aof_folder_incr_name(f, aof_folder_last(f) + 1, name);
    char *path = aof_folder_join(f, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    bool good = fd >= 0 || fails(error, size, "cannot make", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return good && aof_folder_add(f, aof_folder_last(f) + 1, error, size);
}

static uint64_t stamp_of(uint64_t sum, char *path)
{
    struct stat st = {0};
    if (stat(path, &st) < 0)
        memset(&st, 0, sizeof st);
    const uint64_t facts[] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    free(path);
    return crc64(sum, facts, sizeof facts);
}

uint64_t aof_folder_stamp(const struct aof_folder *f)
{
    uint64_t sum = stamp_of(1, manifest_path(f));
    for (unsigned i = 0; i < f->n; i++)
        if (f->file[i].type != 'h')
            sum = stamp_of(sum, aof_folder_join(f, f->file[i].name));
    return sum;
}
