/* load.c: the child that reads a snapshot, its pipe, and the credit of the dataplane (load.h). */
#include "control/load.h"
#include "control/child.h"
#include "control/log.h"
#include "control/rdb_stream.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGES_A_TURN = 16, PIPE_BYTES = 1 << 20 };

struct load {
    struct event_base *base;
    struct link *link;
    uint64_t id, credit;
    bool runs; /* the dataplane has not said yet how it ended */
    pid_t child;
    int fd; /* end of the pipe; -1: none, or all has been read */
    struct event *readable;
    int notes; /* end of the pipe with the child's lines for the log; -1: none */
    struct event *noted;
    struct aof_source *source; /* of a log, until the dataplane wants it: reading may cut its end */
    unsigned sources;
    load_done *done;
    void *ctx;
    char *path;
};

bool load_runs(const struct load *l)
{
    return l->runs;
}

static void drop_sources(struct load *l)
{
    for (unsigned i = 0; i < l->sources; i++)
        if (l->source[i].file >= 0)
            close(l->source[i].file);
    free(l->source);
    l->source = NULL;
    l->sources = 0;
}

/* Lines that are there. */
static void take_notes(struct load *l)
{
    bool over = false;
    while (l->notes >= 0 && log_of_child(l->notes, (long)l->child, &over))
        ;
    if (!over)
        return;
    event_free(l->noted);
    close(l->notes);
    l->notes = -1;
}

static void on_note(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    take_notes(arg);
}

static void end_notes(struct load *l)
{
    take_notes(l);
    if (l->notes < 0)
        return;
    event_free(l->noted);
    close(l->notes);
    l->notes = -1;
}

static void end_child(struct load *l)
{
    drop_sources(l);
    end_notes(l);
    if (l->readable)
        event_free(l->readable);
    if (l->fd >= 0)
        close(l->fd);
    if (l->child > 0) {
        kill(l->child, SIGKILL);
        while (waitpid(l->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    l->readable = NULL;
    l->fd = -1;
    l->child = 0;
}

static void finish(struct load *l, const struct load_result *result)
{
    load_done *done = l->done;
    end_child(l);
    l->runs = false;
    l->done = NULL;
    if (done)
        done(l->ctx, result);
}

static void send_stop(struct load *l, const char *why)
{
    struct message_writer w;
    link_begin(l->link, &w, MSG_LOAD_STOP);
    put_u64(&w, l->id);
    put_text(&w, why);
    link_send(l->link, &w);
}

/* The child has written all it had to say, or died over it. */
static void pipe_ended(struct load *l)
{
    int status = 0;
    end_notes(l); /* it has written them before it closed the other pipe */
    event_free(l->readable);
    l->readable = NULL;
    close(l->fd);
    l->fd = -1;
    while (waitpid(l->child, &status, 0) < 0 && errno == EINTR)
        ;
    l->child = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        send_stop(l, "the process that reads the file has died");
}

/* Hands on one message. False: there is nothing now. */
static bool hand_on(struct load *l)
{
    uint8_t bytes[CHANNEL_PART_MAX];
    size_t room = l->credit < sizeof bytes ? (size_t)l->credit : sizeof bytes;
    ssize_t n = read(l->fd, bytes, room);
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        pipe_ended(l);
        return false;
    }
    struct message_writer w;
    link_begin(l->link, &w, MSG_LOAD_DATA);
    put_u64(&w, l->id);
    put_bytes(&w, bytes, (size_t)n);
    l->credit -= (uint64_t)n;
    return link_send(l->link, &w);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct load *l = arg;
    (void)fd, (void)what;
    for (int i = 0; i < MESSAGES_A_TURN && l->credit && l->fd >= 0 && hand_on(l); i++)
        ;
    if (!l->credit && l->readable)
        event_del(l->readable);
}

/* For the file's records, and for the log. */
static bool open_pipes(int pipes[2], int notes[2])
{
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    if (pipe2(notes, O_CLOEXEC | O_DIRECT) < 0) {
        close(pipes[0]);
        close(pipes[1]);
        return false;
    }
    fcntl(pipes[1], F_SETPIPE_SZ, PIPE_BYTES);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    fcntl(notes[0], F_SETFL, O_NONBLOCK | O_DIRECT);
    return true;
}

static void watch_child(struct load *l, pid_t pid, int records, int notes)
{
    end_notes(l);
    l->child = pid;
    l->fd = records;
    l->readable = event_new(l->base, records, EV_READ | EV_PERSIST, on_readable, l);
    l->notes = notes;
    l->noted = event_new(l->base, notes, EV_READ | EV_PERSIST, on_note, l);
    event_add(l->noted, NULL);
}

/* With a log, `file` is that of none: its sources are. */
static bool spawn(struct load *l, int file, const struct aof_source *source, unsigned sources)
{
    int pipes[2], notes[2];
    if (!open_pipes(pipes, notes))
        return false;
    int *keep = must_alloc(sources + 3, sizeof *keep), parent = (int)getpid();
    for (unsigned i = 0; i < sources; i++)
        keep[i] = source[i].file;
    keep[sources] = file;
    keep[sources + 1] = pipes[1];
    keep[sources + 2] = notes[1];
    pid_t pid = fork();
    if (pid == 0) {
        child_begins(parent, keep, sources + 3);
        log_to_parent(notes[1]);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        if (source)
            _exit(rdb_stream_log(source, sources, pipes[1]) ? 0 : 1);
        posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
        _exit(rdb_stream(file, pipes[1]) ? 0 : 1);
    }
    free(keep);
    close(pipes[1]);
    close(notes[1]);
    if (pid < 0) {
        close(pipes[0]);
        close(notes[0]);
        return false;
    }
    watch_child(l, pid, pipes[0], notes[0]);
    return true;
}
static bool send_start(struct load *l, enum load_mode mode, enum load_log logs, uint64_t bytes)
{
    struct message_writer w;
    char name[256];
    snprintf(name, sizeof name, "%s", l->path);
    link_begin(l->link, &w, MSG_LOAD_START);
    put_u64(&w, l->id);
    put_u8(&w, (uint8_t)mode);
    put_u8(&w, (uint8_t)logs);
    put_u64(&w, bytes);
    put_text(&w, name);
    return link_send(l->link, &w);
}

static void set_path(struct load *l, const char *path)
{
    free(l->path);
    l->path = must_copy(path);
    l->id++;
    l->credit = 0;
    l->runs = true;
}

void load_at_start(struct load *l, const char *path, load_done *done, void *ctx)
{
    char why[512] = "";
    struct stat st = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) {
        log_line(LOG_LEVEL_NOTICE, "There is no snapshot %s to begin with", path);
        return;
    }
    if (l->runs)
        finish(l, &(struct load_result){.why = "the dataplane starts anew"});
    set_path(l, path);
    l->done = done;
    l->ctx = ctx;
    if (file < 0 || fstat(file, &st) < 0)
        snprintf(why, sizeof why, "the file cannot be opened: %s", strerror(errno));
    else if (!spawn(l, file, NULL, 0))
        snprintf(why, sizeof why, "no process could be started to read it: %s", strerror(errno));
    if (file >= 0)
        close(file);
    send_start(l, LOAD_AT_START, LOAD_NO_LOG, (uint64_t)st.st_size);
    if (*why)
        send_stop(l, why);
}

static uint64_t size_of(int file)
{
    struct stat st;
    return fstat(file, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void load_log(struct load *l, const char *path, const struct load_files *f, load_done *done, void *ctx)
{
    char error[512] = "";
    uint64_t bytes = 0;
    if (l->runs)
        finish(l, &(struct load_result){.why = "the dataplane starts anew"});
    set_path(l, path);
    l->done = done;
    l->ctx = ctx;
    l->source = must_alloc(f->n + 1, sizeof *l->source);
    l->sources = f->n;
    if (f->why)
        snprintf(error, sizeof error, "%s", f->why);
    for (unsigned i = 0; i < f->n; i++) {
        l->source[i] = (struct aof_source){.file = open(f->path[i], O_RDWR | O_CLOEXEC), .may_cut = f->may_cut};
        snprintf(l->source[i].name, sizeof l->source[i].name, "%s", f->path[i]);
        if (l->source[i].file < 0 && !*error)
            snprintf(error, sizeof error, "%.300s, which the manifest names, cannot be opened: %s", f->path[i], strerror(errno));
        bytes += l->source[i].file >= 0 ? size_of(l->source[i].file) : 0;
    }
    if (*error)
        drop_sources(l);
    send_start(l, LOAD_AT_START, f->memory ? LOAD_LOG_OF_MEMORY : LOAD_LOG, bytes);
    if (*error)
        send_stop(l, error);
}

static bool begin_import(struct load *l, int file, const char *path, enum load_mode mode, char *error, size_t size)
{
    struct stat st;
    if (l->runs || !link_connected(l->link)) {
        snprintf(error, size,
                 l->runs ? "a snapshot is being loaded; one at a time is possible"
                         : "the dataplane is not running");
        return false;
    }
    if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
        snprintf(error, size, "%.300s: %s", path, file < 0 ? strerror(errno) : "it is no regular file");
        return false;
    }
    set_path(l, path);
    if (spawn(l, file, NULL, 0) && send_start(l, mode, LOAD_NO_LOG, (uint64_t)st.st_size))
        return true;
    end_child(l);
    l->runs = false;
    snprintf(error, size, "no process could be started to read the file");
    return false;
}

bool load_import(struct load *l, int file, const char *path, enum load_mode mode, load_done *done, void *ctx,
                 char *error, size_t size)
{
    if (file < 0)
        file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool good = begin_import(l, file, path, mode, error, size);
    if (file >= 0)
        close(file);
    if (!good)
        return false;
    l->done = done;
    l->ctx = ctx;
    return true;
}

bool load_abandon(struct load *l, load_done *done, void *ctx)
{
    if (l->runs || !link_connected(l->link))
        return false;
    set_path(l, "(nothing)");
    l->done = done;
    l->ctx = ctx;
    if (send_start(l, LOAD_SALVAGE, LOAD_NO_LOG, 0))
        send_stop(l, "the operator lets the box begin empty");
    return true;
}

/* The dataplane wants it. */
static void read_log(struct load *l)
{
    if (!spawn(l, -1, l->source, l->sources))
        send_stop(l, "no process could be started to read the log");
    drop_sources(l);
}

bool load_message(struct load *l, enum message_type type, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    char why[512] = "";
    if (type == MSG_LOAD_MORE) {
        uint64_t more = get_u64(r);
        if (id == l->id && l->source && !r->failed)
            read_log(l);
        if (id == l->id && l->readable && !r->failed) {
            l->credit += more;
            event_add(l->readable, NULL);
        }
        return true;
    }
    get_text(r, why, sizeof why);
    struct load_result result = {.why = *why ? why : NULL};
    result.loaded = get_u64(r);
    result.expired = get_u64(r);
    result.kept = get_u64(r);
    result.libraries = get_u64(r);
    if (id == l->id && l->runs && !r->failed)
        finish(l, &result);
    return true;
}

void load_detached(struct load *l)
{
    if (l->runs)
        finish(l, &(struct load_result){.why = "the dataplane is gone"});
}

struct load *load_new(struct event_base *base, struct link *link)
{
    struct load *l = must_alloc(1, sizeof *l);
    l->base = base;
    l->link = link;
    l->fd = l->notes = -1;
    l->id = (uint64_t)getpid() << 32;
    return l;
}

void load_free(struct load *l)
{
    if (!l)
        return;
    l->done = NULL;
    end_child(l);
    free(l->path);
    free(l);
}
