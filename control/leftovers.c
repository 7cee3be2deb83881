/* leftovers.c: see leftovers.h. */
#include "control/leftovers.h"
#include "control/aof_folder.h"
#include "control/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef bool is_leftover(const char *name, const struct aof_folder *f);

/* Is it front, a number as printf writes it, and back? */
static bool has_number(const char *name, const char *front, const char *back, uint64_t *number)
{
    char again[AOF_NAME];
    size_t n = strlen(front);
    if (strncmp(name, front, n) != 0 || name[n] < '1' || name[n] > '9')
        return false;
    *number = strtoull(name + n, NULL, 10);
    return snprintf(again, sizeof again, "%s%" PRIu64 "%s", front, *number, back) < (int)sizeof again && strcmp(again, name) == 0;
}

static bool is_in_dir(const char *name, const struct aof_folder *f)
{
    uint64_t pid;
    (void)f;
    return has_number(name, "temp-", ".rdb", &pid) || has_number(name, "temp-upload-", ".rdb", &pid);
}

static bool is_in_log(const char *name, const struct aof_folder *f)
{
    char front[AOF_NAME];
    uint64_t n;
    if (has_number(name, "temp-", ".rdb", &n) || has_number(name, "temp-", ".aof", &n))
        return true;
    if (!f->n || snprintf(front, sizeof front, "%s.", f->prefix) >= (int)sizeof front)
        return false;
    for (unsigned i = 0; i < f->n; i++)
        if (strcmp(f->file[i].name, name) == 0)
            return false;
    return (has_number(name, front, ".incr.aof", &n) && n > aof_folder_last(f)) ||
           (aof_folder_base(f) && (has_number(name, front, ".base.rdb", &n) || has_number(name, front, ".base.aof", &n)) && n > aof_folder_base(f));
}

static void delete_in(const char *path, is_leftover *is, const struct aof_folder *f)
{
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        struct stat st;
        if (!is(e->d_name, f) || fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (unlinkat(dirfd(folder), e->d_name, 0) == 0)
            log_line(LOG_LEVEL_NOTICE, "Deleted %s/%s, %lld bytes: a part that a control which was killed has left", path, e->d_name,
                     (long long)st.st_size);
        else
            log_line(LOG_LEVEL_WARNING, "%s/%s cannot be deleted: %s", path, e->d_name, strerror(errno));
    }
    if (folder)
        closedir(folder);
}

void leftovers_delete(const char *dir, const char *appenddirname, const char *appendfilename)
{
    char error[512];
    struct aof_folder *f = aof_folder_new(dir, appenddirname, appendfilename);
    if (aof_folder_read(f, error, sizeof error) <= 0)
        f->n = 0; /* whoever mends it may want them */
    delete_in(dir, is_in_dir, f);
    delete_in(f->path, is_in_log, f);
    aof_folder_free(f);
}
