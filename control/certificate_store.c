/* certificate_store.c: see certificate_store.h. */
#include "control/certificate_store.h"
#include "control/certificate.h"
#include "control/rewrite.h"
#include "control/secret_memory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const endings[] = {[STORE_PAIR] = ".pem", [STORE_REQUEST] = ".request"};

bool store_is_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > STORE_NAME_MAX || !isalnum((unsigned char)*name))
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            return false;
    return true;
}

char *store_path(const char *folder, const char *name, enum store_kind kind)
{
    return must_print("%s/%s%s", folder, name, endings[kind]);
}

/* The length of the name before the ending; 0: another file. */
static size_t stem(const char *file, enum store_kind kind)
{
    size_t len = strlen(file), end = strlen(endings[kind]);
    return len > end && strcmp(file + len - end, endings[kind]) == 0 ? len - end : 0;
}

/* Of a write that was cut short: NAME.pem.XXXXXX (write_durably). */
static bool is_temporary(const char *file)
{
    size_t len = strlen(file);
    for (unsigned kind = 0; kind < 2; kind++) {
        size_t end = strlen(endings[kind]) + 7;
        if (len > end && file[len - 7] == '.' &&
            strncmp(file + len - end, endings[kind], strlen(endings[kind])) == 0)
            return true;
    }
    return false;
}

bool store_open(const char *folder, char *error, size_t size)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
        snprintf(error, size, "cannot make %s: %s", folder, strerror(errno));
        return false;
    }
    DIR *d = opendir(folder);
    if (!d || chmod(folder, 0700) < 0) {
        snprintf(error, size, "cannot use %s: %s", folder, strerror(errno));
        if (d)
            closedir(d);
        return false;
    }
    for (const struct dirent *e; (e = readdir(d));)
        if (is_temporary(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_names(const char *folder, enum store_kind kind, struct words *names)
{
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d)) && names->n < STORE_ENTRIES_MAX;) {
        char *name = must_copy_n(e->d_name, stem(e->d_name, kind));
        if (store_is_name(name))
            words_add(names, name);
        else
            free(name);
    }
    if (d)
        closedir(d);
    if (names->n)
        qsort(names->p, names->n, sizeof *names->p, by_name);
}

bool store_has(const char *folder, const char *name, enum store_kind kind)
{
    char *path = store_path(folder, name, kind);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Not by stdio, which would keep a copy of the key. */
static bool read_all(int fd, char *text, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, text + done, len - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

char *store_read(const char *path, char *error, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = NULL;
    if (fd < 0 || fstat(fd, &st) < 0) {
        snprintf(error, size, "cannot read %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size > 2 * CERTIFICATE_TEXT_MAX) {
        snprintf(error, size, "%s is not a file with a certificate", path);
    } else {
        text = must_alloc((size_t)st.st_size + 1, 1);
        if (!read_all(fd, text, (size_t)st.st_size)) {
            snprintf(error, size, "cannot read %s: %s", path, strerror(errno));
            secret_free(text);
            text = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    return text;
}

bool store_write(const char *folder, const char *name, enum store_kind kind, const char *text, char *error,
                 size_t size)
{
    struct words names = {0};
    store_names(folder, kind, &names);
    bool full = names.n >= STORE_ENTRIES_MAX && !store_has(folder, name, kind);
    words_free(&names);
    if (full) {
        snprintf(error, size, "%d certificates are stored; delete one", STORE_ENTRIES_MAX);
        return false;
    }
    char *path = store_path(folder, name, kind);
    bool good = write_durably(path, text, error, size);
    free(path);
    return good;
}

bool store_delete(const char *folder, const char *name, enum store_kind kind, char *error, size_t size)
{
    char *path = store_path(folder, name, kind);
    bool good = unlink(path) == 0 && sync_folder(path);
    if (!good)
        snprintf(error, size, "cannot delete %s: %s", path, strerror(errno));
    free(path);
    return good;
}
