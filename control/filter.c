/* filter.c: the child that compiles a filter with libpcap (pcap_compile(3PCAP)), and its pipe. */
#include "control/filter.h"
#include "control/child.h"
#include "control/text.h"
#include "channel/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILTER_SECONDS = 5 };
/* What the child says: one byte, then the program or a line. */
enum { SAYS_PROGRAM = 'P', SAYS_ERROR = 'E' };

struct filter {
    filter_done *done;
    void *ctx;
    pid_t child;
    int fd;
    struct event *readable;
    struct text said;
};

/* -- the child ---------------------------------------------------------------------------------------- */

static void say(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            _exit(1);
        p += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static _Noreturn void say_error(int fd, const char *line)
{
    say(fd, (const char[]){SAYS_ERROR}, 1);
    say(fd, line, strlen(line));
    _exit(0);
}

static _Noreturn void compile(int fd, const char *expression, uint32_t snaplen)
{
    const struct rlimit cpu = {FILTER_SECONDS, FILTER_SECONDS};
    struct bpf_program program;
    signal(SIGALRM, SIG_DFL);
    alarm(FILTER_SECONDS);
    setrlimit(RLIMIT_CPU, &cpu);
    pcap_t *p = pcap_open_dead(DLT_EN10MB, (int)snaplen);
    if (!p)
        say_error(fd, "out of memory");
    if (pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN) < 0)
        say_error(fd, pcap_geterr(p));
    if (program.bf_len > CHANNEL_FILTER_MAX) {
        char line[96];
        snprintf(line, sizeof line, "the expression needs %u instructions; at most %d are possible",
                 program.bf_len, CHANNEL_FILTER_MAX);
        say_error(fd, line);
    }
    say(fd, (const char[]){SAYS_PROGRAM}, 1);
    for (unsigned i = 0; i < program.bf_len; i++) {
        const struct bpf_insn *in = &program.bf_insns[i];
        const uint8_t bytes[FILTER_INSTRUCTION_BYTES] = {(uint8_t)in->code,
                                                         (uint8_t)(in->code >> 8),
                                                         in->jt,
                                                         in->jf,
                                                         (uint8_t)in->k,
                                                         (uint8_t)(in->k >> 8),
                                                         (uint8_t)(in->k >> 16),
                                                         (uint8_t)(in->k >> 24)};
        say(fd, bytes, sizeof bytes);
    }
    _exit(0);
}

/* -- control ------------------------------------------------------------------------------------------ */

void filter_cancel(struct filter *f)
{
    if (!f)
        return;
    event_free(f->readable);
    close(f->fd);
    kill(f->child, SIGKILL);
    while (waitpid(f->child, NULL, 0) < 0 && errno == EINTR)
        ;
    text_free(&f->said);
    free(f);
}

static void finish(struct filter *f)
{
    filter_done *done = f->done;
    void *ctx = f->ctx;
    struct text said = f->said;
    f->said = (struct text){0};
    filter_cancel(f);
    if (said.len && said.p[0] == SAYS_PROGRAM && said.len > 1 &&
        (said.len - 1) % FILTER_INSTRUCTION_BYTES == 0)
        done(ctx, (const uint8_t *)said.p + 1, said.len - 1, NULL);
    else
        done(ctx, NULL, 0,
             said.len > 1 && said.p[0] == SAYS_ERROR ? said.p + 1
                                                     : "the filter could not be compiled in time");
    text_free(&said);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct filter *f = arg;
    char bytes[4096];
    (void)what;
    ssize_t n = read((int)fd, bytes, sizeof bytes);
    if (n > 0 && f->said.len + (size_t)n <= 1 + CHANNEL_FILTER_MAX * FILTER_INSTRUCTION_BYTES)
        text_add_n(&f->said, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        finish(f);
}

struct filter *filter_compile(struct event_base *base, const char *expression, uint32_t snaplen,
                              filter_done *done, void *ctx)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    int parent = (int)getpid();
    pid_t child = fork();
    if (child == 0) {
        child_begins(parent, (int[]){ends[1]}, 1);
        compile(ends[1], expression, snaplen);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return NULL;
    }
    struct filter *f = must_alloc(1, sizeof *f);
    *f = (struct filter){.done = done, .ctx = ctx, .child = child, .fd = ends[0]};
    fcntl(f->fd, F_SETFL, O_NONBLOCK);
    f->readable = event_new(base, f->fd, EV_READ | EV_PERSIST, on_readable, f);
    event_add(f->readable, NULL);
    return f;
}
