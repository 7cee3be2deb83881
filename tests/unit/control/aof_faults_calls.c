/* aof_faults_calls.c: the calls of the system by which control keeps a log, as test_aof_faults.c wants them (aof_faults.h): each that
 * is about a file or folder of the test is counted, and one of them fails, is cut short, or is the last of its process. What is not on
 * the disk yet is known: bytes behind the last sync of a file, and names since the last sync of their folder. */
#undef _FORTIFY_SOURCE
#include "aof_faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    enum fault fault;
    unsigned at;
    bool struck;
} faults;
static pthread_mutex_t one_by_one = PTHREAD_MUTEX_INITIALIZER; /* who strikes ends the process before others go on */

/* -- what is on the disk -- */

enum { MOST = 64 };
static struct {
    ino_t inode[MOST];
    off_t bytes[MOST];
    unsigned n;
    char made[MOST][300]; /* names since the last sync of the folder */
    unsigned mades;
    char replaced[300]; /* the last name that a rename has taken from another file, which is kept under "before" */
} disk;

static void note_synced(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        char before[100];
        snprintf(before, sizeof before, "%s/before", faults_dir);
        unlinkat(AT_FDCWD, before, 0);
        disk.mades = 0;
        disk.replaced[0] = 0;
        return;
    }
    unsigned i = 0;
    while (i < disk.n && disk.inode[i] != st.st_ino)
        i++;
    if (i == MOST)
        return;
    disk.n += i == disk.n;
    disk.inode[i] = st.st_ino;
    disk.bytes[i] = st.st_size;
}

static void note_made(const char *path)
{
    if (disk.mades < MOST)
        snprintf(disk.made[disk.mades++], sizeof disk.made[0], "%s", path);
}

static void note_renamed(const char *to)
{
    char before[100];
    snprintf(before, sizeof before, "%s/before", faults_dir);
    if (!disk.replaced[0] && syscall(SYS_link, to, before) == 0)
        snprintf(disk.replaced, sizeof disk.replaced, "%s", to);
    else if (!disk.replaced[0])
        note_made(to);
}

static void lose_power(void)
{
    char folder[100], path[600], before[100];
    snprintf(folder, sizeof folder, "%s/log", faults_dir);
    snprintf(before, sizeof before, "%s/before", faults_dir);
    if (disk.replaced[0])
        syscall(SYS_rename, before, disk.replaced);
    for (unsigned i = 0; i < disk.mades; i++)
        syscall(SYS_unlink, disk.made[i]);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &st) < 0)
            continue;
        off_t bytes = 0;
        for (unsigned i = 0; i < disk.n; i++)
            bytes = disk.inode[i] == st.st_ino ? disk.bytes[i] : bytes;
        if (bytes < st.st_size)
            (void)!syscall(SYS_truncate, path, bytes);
    }
}

/* -- whose turn it is -- */

void faults_begin(enum fault fault, unsigned at)
{
    faults.fault = fault;
    faults.at = at;
}

static void die(void)
{
    if (faults.fault == FAULT_POWER_BEFORE || faults.fault == FAULT_POWER_AFTER)
        lose_power();
    raise(SIGKILL);
}

/* Before a call: true: it fails, errno is set. */
static bool fails(void)
{
    pthread_mutex_lock(&one_by_one);
    faults.struck = ++between->calls == faults.at;
    if (!faults.struck)
        return false;
    if (faults.fault == FAULT_KILL_BEFORE || faults.fault == FAULT_POWER_BEFORE)
        die();
    if (faults.fault != FAULT_EIO && faults.fault != FAULT_ENOSPC)
        return false;
    pthread_mutex_unlock(&one_by_one);
    errno = faults.fault == FAULT_EIO ? EIO : ENOSPC;
    return true;
}

static long done(long result)
{
    int why = errno;
    if (faults.struck && (faults.fault == FAULT_KILL_AFTER || faults.fault == FAULT_POWER_AFTER))
        die();
    pthread_mutex_unlock(&one_by_one);
    errno = why;
    return result;
}

static bool is_ours(const char *path)
{
    return faults.fault && strncmp(path, faults_dir, strlen(faults_dir)) == 0;
}

static bool is_ours_fd(int fd)
{
    char link[40], path[300];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = faults.fault ? readlink(link, path, sizeof path - 1) : -1;
    if (n < 0)
        return false;
    path[n] = 0;
    return is_ours(path);
}

/* -- the calls -- */

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (!is_ours(path))
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fails())
        return -1;
    bool makes = flags & O_CREAT && access(path, F_OK) < 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && makes)
        note_made(path);
    return (int)done(fd);
}

FILE *fopen(const char *path, const char *mode)
{
    bool writes = mode[0] != 'r';
    int fd = open(path, (writes ? O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC) : O_RDONLY) | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fdopen(fd, writes ? "w" : "r");
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (!is_ours_fd(fd))
        return syscall(SYS_write, fd, bytes, n);
    if (fails())
        return -1;
    bool cut = faults.struck && n > 1 && (faults.fault == FAULT_SHORT || faults.fault == FAULT_KILL_AFTER || faults.fault == FAULT_POWER_AFTER);
    return done(syscall(SYS_write, fd, bytes, cut ? n / 2 : n));
}

static int synced(int fd, long number)
{
    if (!is_ours_fd(fd))
        return (int)syscall(number, fd);
    if (fails())
        return -1;
    int result = (int)syscall(number, fd);
    if (result == 0)
        note_synced(fd);
    return (int)done(result);
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
    if (!is_ours_fd(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    return fails() ? -1 : (int)done(syscall(SYS_ftruncate, fd, size));
}

int rename(const char *from, const char *to)
{
    if (!is_ours(to))
        return (int)syscall(SYS_rename, from, to);
    if (fails())
        return -1;
    note_renamed(to);
    return (int)done(syscall(SYS_rename, from, to));
}

int unlink(const char *path)
{
    if (!is_ours(path))
        return (int)syscall(SYS_unlink, path);
    return fails() ? -1 : (int)done(syscall(SYS_unlink, path));
}
