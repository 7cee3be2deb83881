/* tree.c: see tree.h. */
#include "board/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool full_path(const void *root, const char *path, char *full, size_t size)
{
    return snprintf(full, size, "%s/%s", (const char *)root, path) < (int)size;
}

static bool read_file(const void *root, const char *path, char *text, size_t size)
{
    char full[2 * TREE_PATH];
    size_t used = 0;
    ssize_t n = -1;
    text[0] = 0;
    int fd = full_path(root, path, full, sizeof full) ? open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return false;
    while (used < size && ((n = read(fd, text + used, size - used)) > 0 || (n < 0 && errno == EINTR)))
        used += n > 0 ? (size_t)n : 0;
    close(fd);
    if (n < 0 || used == size || memchr(text, 0, used)) {
        text[0] = 0;
        return false;
    }
    text[used] = 0;
    return true;
}

static void list_files(const void *root, const char *path, void (*each)(void *arg, const char *name),
                       void *arg)
{
    char full[2 * TREE_PATH];
    DIR *dir = full_path(root, path, full, sizeof full) ? opendir(full) : NULL;
    struct dirent *entry;
    unsigned n = 0;
    while (dir && n < TREE_NAMES && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < TREE_NAME) {
            each(arg, entry->d_name);
            n++;
        }
    if (dir)
        closedir(dir);
}

struct tree tree_files(const char *root)
{
    return (struct tree){read_file, list_files, root};
}

bool tree_number(const struct tree *t, const char *path, long min, long max, long *value)
{
    char text[32], *end;
    if (!t->read(t->ctx, path, text, sizeof text) || (text[0] != '-' && (text[0] < '0' || text[0] > '9')))
        return false;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || (*end && strcmp(end, "\n") != 0) || v < min || v > max)
        return false;
    *value = v;
    return true;
}
