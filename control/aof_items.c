/* aof_items.c: see aof_items.h. */
#include "control/aof_items.h"
#include "control/aof_folder.h"
#include "control/rdb_stream.h"
#include "control/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".manifest";

struct log {
    struct aof_source *source;
    unsigned n;
    char why[512];
};

static bool fails(struct log *l, const char *path, const char *why)
{
    snprintf(l->why, sizeof l->why, "%.300s: %s", path, why);
    return false;
}

static bool add_file(struct log *l, const char *path, const char *name, bool may_cut)
{
    struct stat st;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    l->source = must_grow(l->source, l->n + 1, sizeof *l->source);
    struct aof_source *s = &l->source[l->n++];
    *s = (struct aof_source){.file = file, .may_cut = may_cut, .spares = true};
    snprintf(s->name, sizeof s->name, "%s", name);
    if (file < 0)
        return fails(l, path, strerror(errno));
    return (fstat(file, &st) == 0 && S_ISREG(st.st_mode)) || fails(l, path, "it is no regular file");
}

static bool has_suffix(const char *name)
{
    size_t n = strlen(name), end = sizeof suffix - 1;
    return n > end && strcmp(name + n - end, suffix) == 0;
}

/* The one in that folder. False: there is none, or more than one. */
static bool find_manifest(struct log *l, const char *folder, char name[NAME_MAX + 1])
{
    DIR *d = opendir(folder);
    unsigned found = 0;
    if (!d)
        return fails(l, folder, strerror(errno));
    for (const struct dirent *e; (e = readdir(d));)
        if (has_suffix(e->d_name) && strncmp(e->d_name, "temp-", 5) != 0) {
            snprintf(name, NAME_MAX + 1, "%s", e->d_name);
            found++;
        }
    closedir(d);
    if (found == 1)
        return true;
    return fails(l, folder, found ? "there is more than one manifest: name the one that is meant" : "there is no manifest in it");
}

/* name: of the manifest. */
static bool add_folder(struct log *l, const char *folder, const char *name, bool may_cut)
{
    char *parent = must_copy(folder), *own = must_copy(folder), *prefix = must_copy(name), error[400] = "";
    prefix[strlen(prefix) - (sizeof suffix - 1)] = 0;
    struct aof_folder *f = aof_folder_new(dirname(parent), basename(own), prefix);
    int found = aof_folder_read(f, error, sizeof error);
    unsigned n = 0;
    char **path = found > 0 ? aof_folder_paths(f, &n) : NULL;
    bool good = found > 0 || fails(l, folder, *error ? error : "there is no manifest in it");
    for (unsigned i = 0; i < n; i++) {
        good = good && add_file(l, path[i], basename(path[i]), may_cut);
        free(path[i]);
    }
    free(path);
    aof_folder_free(f);
    free(parent);
    free(own);
    free(prefix);
    return good;
}

static bool find(struct log *l, const char *path, bool may_cut)
{
    char name[NAME_MAX + 1], whole[PATH_MAX];
    struct stat st;
    if (!realpath(path, whole) || stat(whole, &st) < 0)
        return fails(l, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return find_manifest(l, whole, name) && add_folder(l, whole, name, may_cut);
    char *slash = strrchr(whole, '/');
    if (!has_suffix(whole) || slash == whole)
        return add_file(l, whole, path, may_cut);
    *slash = 0;
    return add_folder(l, whole, slash + 1, may_cut);
}

int aof_items_print(const char *path, bool may_cut)
{
    struct log l = {0};
    bool good = find(&l, path, may_cut) ? rdb_stream_log(l.source, l.n, STDOUT_FILENO) : rdb_stream_failed(l.why, STDOUT_FILENO);
    for (unsigned i = 0; i < l.n; i++)
        if (l.source[i].file >= 0)
            close(l.source[i].file);
    free(l.source);
    return good ? 0 : 1;
}
