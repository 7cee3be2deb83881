/* programs.c: see programs.h. */
#include "control/programs.h"
#include "control/log.h"
#include "control/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE = 1024 };

struct failure {
    char *build, *why;
};

/* One link is another one than that which was in its place before. */
struct mark {
    ino_t ino;
    struct timespec made;
};

struct programs {
    char *own, *updates, *refused; /* refused: the file */
    struct failure failed[PROGRAMS]; /* since another one has served last */
    unsigned n;
    struct mark since; /* `current` as it was then */
    bool excused; /* the own cannot load the data either */
    bool other;   /* an earlier control has started what runs, which is not the update that was there then */
    struct mark then;
};

/* -- files -- */

static bool is_ours(const char *path, mode_t kind, uid_t owner)
{
    struct stat st;
    return lstat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind && (st.st_uid == 0 || st.st_uid == owner) && (st.st_mode & 022) == 0;
}

/* Who may write what runs without updates: not who asks, as control and its starter are not the same user. */
static uid_t owner_of(const char *own)
{
    struct stat st;
    return stat(own, &st) == 0 ? st.st_uid : 0;
}

char *program_find(const char *own, const char *updates, unsigned which)
{
    static const char *const links[] = {[PROGRAM_UPDATE] = "current", [PROGRAM_BEFORE] = "before"};
    if (which >= PROGRAM_OWN)
        return which == PROGRAM_OWN ? must_copy(own) : NULL;
    if (!updates)
        return NULL;
    char *told = must_print("%s/%s", updates, links[which]), *folder = realpath(told, NULL), *root = realpath(updates, NULL);
    char *path = folder ? must_print("%s/sluice-dataplane", folder) : NULL;
    size_t len = root ? strlen(root) : 0;
    uid_t owner = owner_of(own);
    bool good = path && root && is_ours(root, S_IFDIR, owner) && strncmp(folder, root, len) == 0 && folder[len] == '/' &&
                !strchr(folder + len + 1, '/') && is_ours(folder, S_IFDIR, owner) && is_ours(path, S_IFREG, owner) && access(path, X_OK) == 0;
    free(told);
    free(folder);
    free(root);
    if (good)
        return path;
    free(path);
    return NULL;
}

/* What stands behind each of n keys and `mark` in the first line of a file that begins so, on the heap; NULL: no line does. */
static void lines_of(const char *file, char mark, unsigned n, const char *const keys[], char *found[])
{
    char line[LINE];
    FILE *f = fopen(file, "re");
    memset(found, 0, n * sizeof *found);
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        for (unsigned i = 0; i < n; i++) {
            size_t len = strlen(keys[i]);
            if (!found[i] && strncmp(line, keys[i], len) == 0 && line[len] == mark)
                found[i] = must_copy(line + len + 1);
        }
    }
    if (f)
        fclose(f);
}

void program_releases(const char *path, unsigned n, const char *const keys[], char *values[])
{
    const char *slash = strrchr(path, '/');
    char *file = must_print("%.*srelease", slash ? (int)(slash + 1 - path) : 0, path);
    lines_of(file, '=', n, keys, values);
    free(file);
}

char *program_release(const char *path, const char *key)
{
    char *value;
    program_releases(path, 1, &key, &value);
    return value;
}

char *program_of(long pid)
{
    char path[64], name[PATH_MAX] = "";
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof name - 1) : -1; /* ends at the first word's end */
    if (fd >= 0)
        close(fd);
    return n > 0 && *name ? must_copy(name) : NULL;
}

/* The name of an update's folder is its build id. */
static char *build_of(const char *path)
{
    const char *end = strrchr(path, '/');
    const char *begin = end;
    while (begin && begin > path && begin[-1] != '/')
        begin--;
    return begin ? must_copy_n(begin, (size_t)(end - begin)) : must_copy("");
}

/* -- what has failed -- */

/* Why the file says that this build is not started, on the heap; NULL: it does not. Lines "BUILD WHY". */
static char *refused(const struct programs *p, const char *build)
{
    char *why;
    lines_of(p->refused, ' ', 1, &build, &why);
    return why;
}

static struct mark mark_of(const struct programs *p)
{
    struct stat st = {0};
    char *path = p->updates ? must_print("%s/current", p->updates) : NULL;
    if (path && lstat(path, &st) < 0)
        st = (struct stat){0};
    free(path);
    return (struct mark){st.st_ino, st.st_mtim};
}

static bool is_mark(const struct programs *p, const struct mark *then)
{
    struct mark now = mark_of(p);
    return now.ino == then->ino && now.made.tv_sec == then->made.tv_sec && now.made.tv_nsec == then->made.tv_nsec;
}

/* Nothing was installed since? */
static bool is_as_then(const struct programs *p)
{
    return is_mark(p, &p->since);
}

/* The same, also of those that may have failed by another's fault. */
static char *failure_of(const struct programs *p, const char *path)
{
    char *build = build_of(path), *why = refused(p, build);
    for (unsigned i = 0; i < p->n && !why && is_as_then(p); i++)
        if (strcmp(p->failed[i].build, build) == 0)
            why = must_copy(p->failed[i].why);
    free(build);
    return why;
}

struct programs *programs_new(const char *own, const char *updates, const char *state_dir)
{
    struct programs *p = must_alloc(1, sizeof *p);
    *p = (struct programs){.own = must_copy(own), .updates = updates ? must_copy(updates) : NULL,
                           .refused = must_print("%s/dataplane-refused", state_dir)};
    return p;
}

static void forget(struct programs *p)
{
    p->excused = false;
    while (p->n) {
        struct failure *f = &p->failed[--p->n];
        free(f->build);
        free(f->why);
    }
}

void programs_free(struct programs *p)
{
    if (!p)
        return;
    forget(p);
    free(p->own);
    free(p->updates);
    free(p->refused);
    free(p);
}

unsigned programs_choose(const struct programs *p, char **path)
{
    for (unsigned which = 0; which < PROGRAM_OWN; which++) {
        *path = program_find(p->own, p->updates, which);
        char *why = *path ? failure_of(p, *path) : NULL;
        if (*path && !why)
            return which;
        free(*path);
        free(why);
    }
    *path = must_copy(p->own);
    return PROGRAM_OWN;
}

bool programs_is_own(const struct programs *p, const char *path)
{
    char *root = p->updates ? realpath(p->updates, NULL) : NULL;
    size_t len = root ? strlen(root) : 0;
    bool updates = root && strncmp(path, root, len) == 0 && path[len] == '/';
    free(root);
    return !updates;
}

const char *programs_own(const struct programs *p)
{
    return p->own;
}

bool programs_failed(struct programs *p, const char *path, const char *why)
{
    if (!is_as_then(p))
        forget(p);
    p->since = mark_of(p);
    if (programs_is_own(p, path)) {
        bool others = p->n > 0;
        forget(p);
        return others;
    }
    char *known = failure_of(p, path);
    if (!known && p->n < PROGRAMS) {
        char *line = must_copy(why);
        for (char *c = line; *c; c++)
            if ((unsigned char)*c < ' ')
                *c = ' ';
        p->failed[p->n++] = (struct failure){build_of(path), line};
    }
    free(known);
    return true;
}

bool programs_served(struct programs *p)
{
    struct text lines = {0};
    char error[512];
    if (!is_as_then(p))
        forget(p);
    if (p->excused)
        return false;
    bool any = p->n > 0;
    for (unsigned i = 0; i < p->n; i++)
        text_printf(&lines, "%s %.400s\n", p->failed[i].build, p->failed[i].why);
    for (unsigned which = 0; which < PROGRAM_OWN && p->n; which++) { /* those that the file has already, if they still are there */
        char *path = program_find(p->own, p->updates, which), *build = path ? build_of(path) : NULL;
        char *why = build ? refused(p, build) : NULL;
        if (why)
            text_printf(&lines, "%s %s\n", build, why);
        free(path);
        free(build);
        free(why);
    }
    if (p->n && !write_durably(p->refused, text_str(&lines), error, sizeof error)) {
        log_line(LOG_LEVEL_WARNING, "%s: the dataplane's update is tried again when control starts", error);
        text_free(&lines);
        return any; /* what is in memory stays */
    }
    text_free(&lines);
    forget(p);
    return any;
}

void programs_pardon(struct programs *p)
{
    forget(p);
    if (unlink(p->refused) < 0 && errno != ENOENT)
        log_line(LOG_LEVEL_WARNING, "%s: %s", p->refused, strerror(errno));
}

void programs_excuse(struct programs *p)
{
    p->excused = p->n > 0;
}

void programs_found(struct programs *p, const char *path)
{
    char *update = path ? program_find(p->own, p->updates, PROGRAM_UPDATE) : NULL;
    p->other = update && strcmp(update, path) != 0;
    p->then = mark_of(p);
    free(update);
}

void programs_retry(struct programs *p)
{
    if (p->excused)
        forget(p);
}

char *programs_doubt(const struct programs *p)
{
    char *path = program_find(p->own, p->updates, PROGRAM_UPDATE), *why = path ? failure_of(p, path) : NULL;
    char *line = NULL, *file = NULL, text[LINE] = "";
    FILE *f = NULL;
    if (why) {
        char *build = build_of(path);
        line = must_print("the update of the dataplane, build %s, is given up: %s%s", build, why,
                          p->excused ? " (nor can the box's own load the data: the next restart of the dataplane tries the update again)" : "");
        free(build);
    } else if (path && p->other && is_mark(p, &p->then)) {
        char *build = build_of(path);
        line = must_print("the update of the dataplane, build %s, does not run: another program did when control started (what had failed until then "
                          "nobody knows any more; the next restart of the dataplane tries the update again)", build);
        free(build);
    } else if (p->updates) { /* root's word on one that was not taken over at the machine's start */
        file = must_print("%s/damaged", p->updates);
        f = fopen(file, "re");
    }
    if (f && fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = 0;
        line = must_copy(text);
    }
    if (f)
        fclose(f);
    free(file);
    free(path);
    free(why);
    return line;
}

/* -- a trial -- */

void trial_begin(struct trial *t, const char *program)
{
    if (strcmp(t->program, program) != 0)
        *t = (struct trial){0};
    snprintf(t->program, sizeof t->program, "%s", program);
}

void trial_afresh(struct trial *t)
{
    t->faults = t->wishes = 0;
}

void trial_served(struct trial *t, uint64_t ms)
{
    if (ms >= TRIAL_GOOD_MS)
        trial_afresh(t);
    if (ms >= TRIAL_SOUND_MS)
        t->late_faults = 0;
}

bool trial_ended(struct trial *t, uint64_t served_ms, bool fault)
{
    bool late = fault && served_ms >= TRIAL_GOOD_MS;
    trial_served(t, served_ms);
    t->faults += fault;
    t->wishes += !fault;
    t->late_faults += late;
    return t->late_faults >= TRIAL_LATE_FAULTS || t->faults >= TRIAL_FAULTS || t->wishes >= TRIAL_WISHES;
}
