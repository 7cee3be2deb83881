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

static bool is_manifest(const char *path)
{
    static const char suffix[] = ".manifest";
    size_t len = strlen(path);
    return len >= sizeof suffix && strcmp(path + len - (sizeof suffix - 1), suffix) == 0;
}

static ssize_t read_head(const char *path, char head[HEAD])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, head, HEAD) : 0;
    if (fd >= 0)
        close(fd);
    return n;
}

static bool begins_as_rdb(const char *path)
{
    char head[HEAD];
    return read_head(path, head) > 5 && memcmp(head, "REDIS", 5) == 0;
}

/* A folder, its manifest, commands, or an RDB that says that commands may follow (Redis writes so at its head). */
static bool is_log(const char *path)
{
    static const char *const says_so[] = {"aof-preamble\xc0\x01", "aof-base\xc0\x01", "aof-preamble\x01" "1", "aof-base\x01" "1"};
    struct stat st;
    char head[HEAD];
    if ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || is_manifest(path))
        return true;
    ssize_t n = read_head(path, head);
    if (n <= 0 || *head == '*' || *head == '#')
        return n > 0;
    bool says = false;
    for (unsigned i = 0; i < sizeof says_so / sizeof *says_so; i++)
        says |= memmem(head, (size_t)n, says_so[i], strlen(says_so[i])) != NULL;
    return says && memcmp(head, "REDIS", 5) == 0;
}

/* Of all files of the log, for the bar; a manifest stands for its folder. 0: it cannot be told. */
static long long bytes_of(const char *path)
{
    char whole[PATH_MAX];
    struct stat st;
    long long sum = 0;
    if (!realpath(path, whole))
        return 0;
    const char *folder = is_manifest(whole) ? dirname(whole) : whole;
    if (stat(folder, &st) < 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return st.st_size;
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            sum += st.st_size;
    if (d)
        closedir(d);
    return sum;
}

static int make_in(const char *folder, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.4000s/sluice-import-XXXXXX", folder);
    return mkostemp(path, O_CLOEXEC);
}

/* A file of ours that the box can read as well: in $TMPDIR, else beside the log, else (it may not be written there) in /var/tmp; of the
 * user whose socket it is, if we may give it away. */
static int make_aside(struct invocation *in, char path[PATH_MAX])
{
    const char *folder = getenv("TMPDIR");
    char whole[PATH_MAX];
    struct stat st;
    int fd = -1;
    if (folder && *folder)
        fd = make_in(folder, path);
    else if (!remote_is_used() && realpath(in->argv[0], whole))
        fd = make_in(dirname(whole), path);
    if (fd < 0 && !(folder && *folder))
        fd = make_in("/var/tmp", path);
    if (fd >= 0 && !remote_is_used() && stat(in->socket, &st) == 0 && fchown(fd, geteuid() == 0 ? st.st_uid : (uid_t)-1, st.st_gid) == 0)
        fchmod(fd, 0640);
    return fd;
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
    pid_t reader = control_begin(cut ? "--log-cut" : "--log", in->argv[0], STDOUT_FILENO, pipes[1]);
    pid_t replay = begin_replay(pipes[0], to, bytes_of(in->argv[0]), tells);
    close(pipes[0]);
    close(pipes[1]);
    if (tells >= 0)
        close(tells);
    bool good = control_was_content(replay);
    return control_was_content(reader) && good;
}

/* Would the box take it so? To run a log may take long: it is asked before. */
static int ask_whether(struct invocation *in, const char *mode)
{
    json_t *j = NULL;
    int code = api_request(in->socket, json_pack("{s:i,s:s,s:s}", "id", 1, "op", "show", "what", "status"), &j);
    if (code != EXIT_DONE)
        return code;
    bool serves = strcmp(text_of(json_object_get(j, "dataplane"), "state"), "serving") == 0;
    json_decref(j);
    if (serves && strcmp(mode, "salvage") == 0)
        return fails(in->argv[0], "salvage is for a box that could not load its snapshot; this one serves");
    if (!serves && strcmp(mode, "keep") == 0)
        return fails(in->argv[0], "keep is for a box that serves; this one has no keys yet");
    return EXIT_DONE;
}

static int import_snapshot(struct invocation *in, const char *mode)
{
    char path[PATH_MAX];
    if (remote_is_used())
        return upload_file(in, mode);
    return realpath(in->argv[0], path) ? ask_for(in, path, mode) : fails(in->argv[0], strerror(errno));
}

/* salvage: what is sound of a log whose RDB is damaged is what the box finds sound of that. */
static int import_log(struct invocation *in, const char *mode, bool cut)
{
    char path[PATH_MAX] = "";
    bool made;
    int code = ask_whether(in, mode), fd = code == EXIT_DONE ? make_aside(in, path) : -1;
    if (fd < 0)
        return code == EXIT_DONE ? fails(*path ? path : in->argv[0], strerror(errno)) : code;
    made = make_snapshot(in, cut, fd) && lseek(fd, 0, SEEK_SET) == 0;
    if (made)
        code = remote_is_used() ? upload(in, fd, mode) : ask_for(in, path, mode);
    close(fd);
    unlink(path);
    if (made)
        return code;
    return strcmp(mode, "salvage") == 0 && begins_as_rdb(in->argv[0]) ? import_snapshot(in, mode) : EXIT_FAILED;
}

static bool is_mode(const char *word)
{
    return strcmp(word, "replace") == 0 || strcmp(word, "keep") == 0 || strcmp(word, "salvage") == 0;
}

int run_snapshot_import(struct invocation *in)
{
    const char *mode = "";
    bool cut = false, log = is_log(in->argv[0]);
    for (int i = 1; i < in->argc; i++) {
        if (strcmp(in->argv[i], "truncated") == 0) {
            cut = true;
        } else if (!*mode && is_mode(in->argv[i])) {
            mode = in->argv[i];
        } else {
            fputs("sluice: snapshot import: choose replace, keep or salvage; truncated\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (cut && !log) {
        fputs("sluice: snapshot import: truncated is for a log; of a snapshot, salvage takes what is sound\n", stderr);
        return EXIT_USAGE;
    }
    return log ? import_log(in, mode, cut || strcmp(mode, "salvage") == 0) : import_snapshot(in, mode);
}

int run_snapshot_abandon(struct invocation *in)
{
    return print_loaded(in, request_for(in));
}
