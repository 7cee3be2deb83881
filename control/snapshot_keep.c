/* snapshot_keep.c: see snapshot_keep.h. */
#include "control/snapshot_keep.h"
#include "control/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, LONGEST_DAYS = 366, SECONDS_TRIED = 60 };
#define DATED "-YYYYmmddTHHMMSSZ.rdb"

/* -- schedule -- */

static bool read_every(const char *text, struct schedule *s)
{
    char *unit;
    errno = 0;
    unsigned long long n = strtoull(text, &unit, 10);
    if (!isdigit((unsigned char)*text) || errno)
        return false;
    unit += strspn(unit, " ");
    uint64_t each = strcasecmp(unit, "s") == 0   ? 1
                    : strcasecmp(unit, "m") == 0 ? MINUTE
                    : strcasecmp(unit, "h") == 0 ? HOUR
                    : strcasecmp(unit, "d") == 0 ? DAY
                                                 : 0;
    if (!each || n > (uint64_t)LONGEST_DAYS * DAY / each || n * each < MINUTE)
        return false;
    s->period = n * each;
    return true;
}

static bool read_daily(const char *text, struct schedule *s)
{
    unsigned h, m;
    int end = 0;
    if (strlen(text) != 5 || sscanf(text, "%2u:%2u%n", &h, &m, &end) != 2 || end != 5 || h > 23 || m > 59)
        return false;
    *s = (struct schedule){.period = DAY, .offset = h * HOUR + m * MINUTE, .daily = true};
    return true;
}

bool schedule_read(const char *text, struct schedule *s)
{
    *s = (struct schedule){0};
    text += strspn(text, " ");
    if (!*text || strcasecmp(text, "off") == 0)
        return true;
    if (strncasecmp(text, "every ", 6) == 0)
        return read_every(text + 6 + strspn(text + 6, " "), s);
    return strncasecmp(text, "daily ", 6) == 0 && read_daily(text + 6, s);
}

/* Seconds that count as the schedule does. */
static int64_t seconds_of(const struct schedule *s, time_t t)
{
    struct tm tm;
    bool local = s->daily && localtime_r(&t, &tm);
    return (int64_t)t + (local ? tm.tm_gmtoff : 0) - (int64_t)s->offset;
}

int64_t schedule_slot(const struct schedule *s, time_t t)
{
    int64_t at = seconds_of(s, t), period = (int64_t)s->period;
    return period ? at / period - (at % period < 0) : 0;
}

time_t schedule_next(const struct schedule *s, time_t t)
{
    int64_t period = (int64_t)s->period;
    return period ? t + (time_t)((schedule_slot(s, t) + 1) * period - seconds_of(s, t)) : 0;
}

/* -- names -- */

/* Without .rdb. */
static int stem_of(const char *usual)
{
    size_t n = strlen(usual);
    return (int)(n > 4 && strcmp(usual + n - 4, ".rdb") == 0 ? n - 4 : n);
}

bool kept_is(const char *name, const char *usual, time_t *at)
{
    struct tm tm = {0};
    size_t stem = (size_t)stem_of(usual);
    if (strncmp(name, usual, stem) != 0 || strlen(name) != stem + sizeof DATED - 1)
        return false;
    const char *end = strptime(name + stem, "-%Y%m%dT%H%M%SZ.rdb", &tm);
    if (!end || *end)
        return false;
    *at = timegm(&tm);
    return true;
}

bool kept_is_snapshot(const char *name, const char *usual)
{
    size_t n = strlen(name);
    return strcmp(name, usual) == 0 ||
           (n > 4 && strcmp(name + n - 4, ".rdb") == 0 && strncmp(name, "temp-", 5) != 0);
}

/* -- files -- */

static bool sync_folder(int folder)
{
    return fsync(folder) == 0 || errno == EINVAL;
}

bool kept_make(const char *dir, const char *usual, time_t at, char *name, char *error, size_t size)
{
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = -1;
    for (int i = 0; folder >= 0 && result < 0 && i < SECONDS_TRIED; i++, at++) {
        char date[sizeof DATED];
        struct tm tm;
        gmtime_r(&at, &tm);
        strftime(date, sizeof date, "-%Y%m%dT%H%M%SZ.rdb", &tm);
        if (snprintf(name, KEPT_NAME, "%.*s%s", stem_of(usual), usual, date) >= KEPT_NAME)
            errno = ENAMETOOLONG;
        else
            result = linkat(folder, usual, folder, name, 0);
        if (result < 0 && errno != EEXIST)
            break;
    }
    bool good = result == 0 && sync_folder(folder);
    if (!good)
        snprintf(error, size, "the snapshot cannot be kept under another name in %.150s: %s", dir, strerror(errno));
    if (folder >= 0)
        close(folder);
    return good;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

unsigned kept_trim(const char *dir, const char *usual, unsigned most, time_t *newest)
{
    struct words names = {0};
    time_t at = 0, last = 0;
    unsigned left;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (kept_is(e->d_name, usual, &at)) {
            words_add(&names, must_copy(e->d_name));
            last = at > last ? at : last;
        }
    left = names.n;
    if (names.n)
        qsort(names.p, names.n, sizeof *names.p, by_name);
    for (unsigned i = 0; most && i + most < names.n; i++)
        left -= unlinkat(dirfd(d), names.p[i], 0) == 0;
    if (left < names.n)
        sync_folder(dirfd(d));
    if (d)
        closedir(d);
    words_free(&names);
    if (newest)
        *newest = last;
    return left;
}

bool kept_delete(const char *dir, const char *usual, const char *name, char *error, size_t size)
{
    const char *why = NULL;
    if (strchr(name, '/') || !kept_is_snapshot(name, usual))
        why = "there is no such snapshot; `sluice snapshot list` names them";
    else if (strcmp(name, usual) == 0)
        why = "the box loads this one at its start; it is not deleted";
    int folder = why ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!why && (folder < 0 || unlinkat(folder, name, 0) < 0 || !sync_folder(folder)))
        why = strerror(errno);
    if (folder >= 0)
        close(folder);
    if (why)
        snprintf(error, size, "%.200s: %s", name, why);
    return !why;
}

int kept_open(const char *dir, const char *usual, const char *name, uint64_t *bytes, char *error, size_t size)
{
    struct stat st;
    char magic[5];
    const char *wanted = *name ? name : usual;
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    errno = ENOENT;
    if (folder >= 0 && !strchr(wanted, '/') && kept_is_snapshot(wanted, usual))
        fd = openat(folder, wanted, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    /* Whatever `dir` and the name have been set to: no other file leaves the box. */
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || pread(fd, magic, sizeof magic, 0) != sizeof magic ||
                    memcmp(magic, "REDIS", sizeof magic) != 0)) {
        close(fd);
        fd = -1;
        errno = ENOENT;
    }
    if (fd < 0)
        snprintf(error, size, "%.200s: %s", wanted, strerror(errno));
    else
        *bytes = (uint64_t)st.st_size;
    if (folder >= 0)
        close(folder);
    return fd;
}
