/* snapshot_import.c: `sluice snapshot import|abandon`: a file of keys into the box. A log becomes a snapshot first, by sluice-control, which
 * reads it, and sluice-replay, which runs it (dataplane/replay.h), box or no box. */
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"
#include "mgmt/progress.h"
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

enum { HEAD = 4096, LOOK_EACH_MS = 200 };

/* What there was none of is not told. */
static void print_loaded_keys(const struct invocation *in, json_t *j)
{
    static const char *const parts[][2] = {{"libraries", "libraries of functions"},
                                           {"expired", "had expired"},
                                           {"left", "were left as they are in the box"}};
    fprintf(in->out, "loaded %" JSON_INTEGER_FORMAT " keys", number_of(j, "loaded"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (number_of(j, parts[i][0]))
            fprintf(in->out, ", %" JSON_INTEGER_FORMAT " %s", number_of(j, parts[i][0]), parts[i][1]);
    fputc('\n', in->out);
    json_decref(j);
}

static int print_loaded(struct invocation *in, int code, json_t *j)
{
    if (code == EXIT_DONE && in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
        json_decref(j);
    } else if (code == EXIT_DONE) {
        print_loaded_keys(in, j);
    }
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
    return print_loaded(in, code, j);
}

static int fails(const char *path, const char *why)
{
    fprintf(stderr, "sluice: snapshot import: %s: %s\n", path, why);
    return EXIT_FAILED;
}

static json_t *import_request(struct invocation *in, const char *path, const char *mode)
{
    json_t *request = request_for(in), *file = json_string(path);
    if (!file) {
        json_decref(request);
        fails(path, "not UTF-8");
        return NULL;
    }
    json_object_set_new(request, "file", file);
    if (*mode)
        json_object_set_new(request, "mode", json_string(mode));
    return request;
}

/* How far the box is: it reads what we have opened, so its place in the file is ours. */
static void show_bar(const struct invocation *in, int file, off_t size)
{
    off_t at = lseek(file, 0, SEEK_CUR);
    if (!in->json && at >= 0)
        progress_show(at, size, "loaded");
}

static int await_loaded(struct invocation *in, int fd, int file, off_t size, json_t **j)
{
    uint8_t *piece = NULL;
    size_t len = 0;
    while (!api_comes(fd, LOOK_EACH_MS))
        show_bar(in, file, size);
    progress_end();
    if (interrupt_pending())
        return fails(in->argv[0], "interrupted; the box goes on with what it has begun");
    bool ends = api_piece(fd, &piece, &len) && len == 0;
    free(piece);
    return ends ? api_reply(in->socket, fd, j) : fails(in->argv[0], "control went away");
}

/* The file as we have opened it, wherever it lies: control may neither read it nor see its folder (an image's control has a /var/tmp of
 * its own). path: what it is called. */
static int hand_over(struct invocation *in, int file, const char *path, const char *mode)
{
    json_t *request = import_request(in, path, mode), *j = NULL;
    struct stat st;
    int fd, code = request ? EXIT_DONE : EXIT_FAILED;
    if (request)
        json_object_set_new(request, "handed", json_true());
    if (code == EXIT_DONE)
        code = api_begin(in->socket, request, &fd, &j);
    if (code != EXIT_DONE)
        return code;
    json_decref(j);
    j = NULL;
    code = fstat(file, &st) == 0 && api_hand(fd, file) ? await_loaded(in, fd, file, st.st_size, &j)
                                                       : fails(path, strerror(errno));
    close(fd);
    return print_loaded(in, code, j);
}

/* One that we may not open, but control may: one of its own. */
static int ask_for(struct invocation *in, const char *path, const char *mode)
{
    json_t *request = import_request(in, path, mode), *j = NULL;
    int code = request ? api_patient(in->socket, request, &j) : EXIT_FAILED;
    return print_loaded(in, code, j);
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

/* A file of ours: in $TMPDIR, else beside the log, else (it may not be written there) in /var/tmp. */
static int make_aside(struct invocation *in, char path[PATH_MAX])
{
    const char *folder = getenv("TMPDIR");
    char whole[PATH_MAX];
    int fd = -1;
    if (folder && *folder)
        fd = make_in(folder, path);
    else if (!remote_is_used() && realpath(in->argv[0], whole))
        fd = make_in(dirname(whole), path);
    if (fd < 0 && !(folder && *folder))
        fd = make_in("/var/tmp", path);
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

static int import_open(struct invocation *in, int file, const char *mode)
{
    char path[PATH_MAX];
    struct stat st;
    if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
        return fails(in->argv[0], "not a file");
    if (remote_is_used())
        return upload(in, file, mode);
    return realpath(in->argv[0], path) ? hand_over(in, file, path, mode) : fails(in->argv[0], strerror(errno));
}

static int import_snapshot(struct invocation *in, const char *mode)
{
    int file = open(in->argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == EACCES && *in->argv[0] == '/' && !remote_is_used())
        return ask_for(in, in->argv[0], mode);
    int code = file < 0 ? fails(in->argv[0], strerror(errno)) : import_open(in, file, mode);
    if (file >= 0)
        close(file);
    return code;
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
        code = remote_is_used() ? upload(in, fd, mode) : hand_over(in, fd, path, mode);
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
    json_t *j = NULL;
    int code = api_patient(in->socket, request_for(in), &j);
    return print_loaded(in, code, j);
}
