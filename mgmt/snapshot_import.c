/* snapshot_import.c: `sluice snapshot import|abandon`: a file of keys into the box. A log becomes a snapshot first, by sluice-control, which
 * reads it, and sluice-replay, which runs it (dataplane/replay.h), box or no box. */
#include "mgmt/operations.h"
#include "mgmt/remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEAD = 4096 };

static void print_loaded_keys(const struct invocation *in, json_t *j)
{
    if (j)
        fprintf(in->out,
                "loaded %" JSON_INTEGER_FORMAT " keys and %" JSON_INTEGER_FORMAT
                " libraries of functions; %" JSON_INTEGER_FORMAT " had expired, %" JSON_INTEGER_FORMAT
                " were left as they are in the box\n",
                number_of(j, "loaded"), number_of(j, "libraries"), number_of(j, "expired"),
                number_of(j, "left"));
    json_decref(j);
}

static int print_loaded(struct invocation *in, json_t *request)
{
    json_t *j;
    int code = ask(in, request, &j);
    print_loaded_keys(in, j);
    return code;
}

/* The box is another machine: the file goes there. */
static int upload(struct invocation *in, int fd, const char *mode)
{
    json_t *j = NULL;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return EXIT_FAILED;
    int code = remote_upload(fd, st.st_size, mode, &j);
    if (j && in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
        json_decref(j);
    } else {
        print_loaded_keys(in, j);
    }
    return code;
}

static int fails(const char *path, const char *why)
{
    fprintf(stderr, "sluice: snapshot import: %s: %s\n", path, why);
    return EXIT_FAILED;
}

static int upload_file(struct invocation *in, const char *mode)
{
    struct stat st;
    int fd = open(in->argv[0], O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    int code = good ? upload(in, fd, mode) : fails(in->argv[0], fd < 0 ? strerror(errno) : "not a file");
    if (fd >= 0)
        close(fd);
    return code;
}

static int ask_for(struct invocation *in, const char *path, const char *mode)
{
    json_t *request = request_for(in), *file = json_string(path);
    if (!file) {
        json_decref(request);
        return fails(path, "not UTF-8");
    }
    json_object_set_new(request, "file", file);
    if (*mode)
        json_object_set_new(request, "mode", json_string(mode));
    return print_loaded(in, request);
}

/* -- logs -- */

/* A folder, its manifest, commands, or an RDB that says that commands may follow (Redis writes so at its head). */
static bool is_log(const char *path)
{
    static const char *const says_so[] = {"aof-preamble\xc0\x01", "aof-base\xc0\x01", "aof-preamble\x01" "1", "aof-base\x01" "1"};
    struct stat st;
    char head[HEAD];
    size_t len = strlen(path);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    if (len > 9 && strcmp(path + len - 9, ".manifest") == 0)
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    if (n <= 0 || *head == '*' || *head == '#')
        return n > 0;
    bool says = false;
    for (unsigned i = 0; i < sizeof says_so / sizeof *says_so; i++)
        says |= memmem(head, (size_t)n, says_so[i], strlen(says_so[i])) != NULL;
    return says && memcmp(head, "REDIS", 5) == 0;
}

/* Of all files of the log, for the bar. */
static long long bytes_of(const char *path)
{
    struct stat st;
    long long sum = 0;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return st.st_size;
    DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            sum += st.st_size;
    if (d)
        closedir(d);
    return sum;
}

/* A file of ours that the box can read as well: beside the log, or in $TMPDIR; of the user whose socket it is, if we may give it away. */
static int make_aside(struct invocation *in, char path[PATH_MAX])
{
    const char *folder = getenv("TMPDIR");
    char whole[PATH_MAX];
    struct stat st;
    if (folder && *folder)
        snprintf(path, PATH_MAX, "%.4000s/sluice-import-XXXXXX", folder);
    else if (remote_is_used())
        snprintf(path, PATH_MAX, "/var/tmp/sluice-import-XXXXXX");
    else if (realpath(in->argv[0], whole))
        snprintf(path, PATH_MAX, "%.4000s/sluice-import-XXXXXX", dirname(whole));
    else
        return -1;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0 && !remote_is_used() && stat(in->socket, &st) == 0 && fchown(fd, geteuid() == 0 ? st.st_uid : (uid_t)-1, st.st_gid) == 0)
        fchmod(fd, 0640);
    return fd;
}

static pid_t begin_reader(const char *path, bool cut, int to)
{
    char option[16], file[PATH_MAX];
    snprintf(option, sizeof option, "%s", cut ? "--log-cut" : "--log");
    snprintf(file, sizeof file, "%s", path);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to, STDOUT_FILENO);
        become_program("sluice-control", "control", (char *[]){(char[]){"sluice-control"}, option, file, NULL});
    }
    return pid;
}

/* tells: where lines of JSON go, or -1. */
static pid_t begin_replay(int from, int to, long long bytes, int tells)
{
    char all[24], told[16];
    snprintf(all, sizeof all, "%lld", bytes);
    snprintf(told, sizeof told, "%d", tells);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(from, STDIN_FILENO);
        dup2(to, STDOUT_FILENO);
        become_program("sluice-replay", ".", (char *[]){(char[]){"sluice-replay"}, (char[]){"--bytes"}, all, (char[]){"--tell"}, told, NULL});
    }
    return pid;
}

/* They have said themselves why they could not. */
static bool make_snapshot(struct invocation *in, bool cut, int to)
{
    int pipes[2], tells = in->json ? dup(STDOUT_FILENO) : -1; /* outlives exec */
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    fflush(in->out);
    pid_t reader = begin_reader(in->argv[0], cut, pipes[1]), replay = begin_replay(pipes[0], to, bytes_of(in->argv[0]), tells);
    close(pipes[0]);
    close(pipes[1]);
    if (tells >= 0)
        close(tells);
    bool good = control_was_content(replay);
    return control_was_content(reader) && good;
}

static int import_log(struct invocation *in, const char *mode, bool cut)
{
    char path[PATH_MAX] = "";
    int fd = make_aside(in, path), code = EXIT_FAILED;
    if (fd < 0)
        return fails(*path ? path : in->argv[0], strerror(errno));
    if (make_snapshot(in, cut, fd) && lseek(fd, 0, SEEK_SET) == 0)
        code = remote_is_used() ? upload(in, fd, mode) : ask_for(in, path, mode);
    close(fd);
    unlink(path);
    return code;
}

int run_snapshot_import(struct invocation *in)
{
    char path[PATH_MAX];
    const char *mode = "";
    bool cut = false, log = is_log(in->argv[0]);
    for (int i = 1; i < in->argc; i++) {
        if (strcmp(in->argv[i], "truncated") == 0)
            cut = true;
        else
            mode = in->argv[i];
    }
    if (cut && !log) {
        fputs("sluice: snapshot import: truncated is for a log; of a snapshot, salvage takes what is sound\n", stderr);
        return EXIT_USAGE;
    }
    if (log)
        return import_log(in, mode, cut || strcmp(mode, "salvage") == 0);
    if (remote_is_used())
        return upload_file(in, mode);
    return realpath(in->argv[0], path) ? ask_for(in, path, mode) : fails(in->argv[0], strerror(errno));
}

int run_snapshot_abandon(struct invocation *in)
{
    return print_loaded(in, request_for(in));
}
