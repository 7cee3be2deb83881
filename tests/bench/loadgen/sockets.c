/* sockets.c: a script over the kernel's TCP: non-blocking reads by epoll, one write a batch. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sockets.h"

enum { IN_SIZE = 1 << 16, EVENTS = 256, WAIT_MS = 5000 };

struct sock {
    int fd;
    unsigned under_way, answered; /* of request[] */
    uint32_t *request;
    uint8_t *in;
    size_t in_size;
};

struct sockets {
    struct load *l;
    struct workload *work;
    struct sock *sock;
    unsigned count, busy;
    int poll;
    uint64_t replies;
    uint8_t *out; /* a batch */
    char *error;
    size_t error_size;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool fails(struct sockets *k, const char *what, const uint8_t *p, size_t n)
{
    snprintf(k->error, k->error_size, "%s: %s %.*s", k->work->row ? k->work->row->name : "sockets", what,
             (int)(n < 80 ? n : 80), (const char *)p);
    return false;
}

static bool open_all(struct sockets *k, const struct options *o)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)o->peer_port),
                             .sin_addr.s_addr = htonl(o->peer_ip)};
    k->poll = epoll_create1(0);
    for (unsigned i = 0; i < k->count; i++) {
        struct sock *s = &k->sock[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        s->request =
            calloc(o->pipeline > o->fill_pipeline ? o->pipeline : o->fill_pipeline, sizeof *s->request);
        s->in = malloc(IN_SIZE);
        s->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (!s->request || !s->in || s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to) != 0 ||
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) != 0 ||
            epoll_ctl(k->poll, EPOLL_CTL_ADD, s->fd, &event) != 0)
            return fails(k, strerror(errno), k->out, 0);
    }
    return true;
}

static void close_all(struct sockets *k)
{
    for (unsigned i = 0; k->sock && i < k->count; i++) {
        if (k->sock[i].fd >= 0)
            close(k->sock[i].fd);
        free(k->sock[i].request);
        free(k->sock[i].in);
    }
    if (k->poll >= 0)
        close(k->poll);
    free(k->sock);
    free(k->out);
}

/* Gives a connection what the phase wants; nothing if it is over. */
static bool next_batch(struct sockets *k, struct sock *s)
{
    struct load *l = k->l;
    unsigned most = l->phase == LOAD_FILL  ? l->options->fill_pipeline
                    : l->phase == LOAD_RUN ? l->pipeline
                                           : 0;
    size_t size = 0;
    s->under_way = s->answered = 0;
    for (; s->under_way < most; s->under_way++) {
        if (l->phase == LOAD_FILL && l->fill_next == l->fill_end)
            break;
        uint32_t request = l->phase == LOAD_FILL ? script_fill(k->work->row, l->fill_line, l->fill_next++)
                                                 : workload_next(k->work);
        s->request[s->under_way] = request;
        request_write(k->work, request, k->out + size);
        size += request_size(k->work, request);
    }
    k->busy += s->under_way != 0;
    return size == 0 || send(s->fd, k->out, size, MSG_NOSIGNAL) == (ssize_t)size ||
           fails(k, "cannot send", k->out, 0);
}

static bool readable(struct sockets *k, struct sock *s)
{
    ssize_t got = recv(s->fd, s->in + s->in_size, IN_SIZE - s->in_size, MSG_DONTWAIT);
    if (got <= 0)
        return (got < 0 && errno == EAGAIN) || fails(k, "closed by the peer", k->out, 0);
    size_t n = s->in_size + (size_t)got, at = 0;
    while (s->answered < s->under_way) {
        int taken = script_match(k->work->row, s->request[s->answered], s->in + at, n - at);
        if (taken < 0)
            return fails(k, "wrong reply", s->in + at, n - at);
        if (taken == 0)
            break;
        at += (size_t)taken;
        s->answered++;
        k->replies++;
    }
    s->in_size = n - at;
    memmove(s->in, s->in + at, s->in_size);
    if (s->answered < s->under_way)
        return true;
    k->busy--;
    return s->in_size ? fails(k, "bytes nobody asked for", s->in, s->in_size) : next_batch(k, s);
}

static bool turn(struct sockets *k)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(k->poll, events, EVENTS, WAIT_MS);
    if (n == 0)
        return fails(k, "no answer", k->out, 0);
    for (int i = 0; i < n; i++)
        if (!readable(k, &k->sock[events[i].data.u32]))
            return false;
    return true;
}

/* Starts a phase and goes on until its time is over (seconds > 0) or it has come to its end. */
static bool run_phase(struct sockets *k, enum load_phase phase, double seconds)
{
    double end = now_s() + seconds;
    unsigned connections = phase == LOAD_RUN ? script_connections(k->count, k->l->pipeline) : k->count;
    k->l->phase = phase;
    for (unsigned i = 0; i < connections; i++)
        if (k->sock[i].under_way == k->sock[i].answered && !next_batch(k, &k->sock[i]))
            return false;
    while (seconds > 0 ? now_s() < end : k->busy > 0)
        if (!turn(k))
            return false;
    return true;
}

static bool measure(struct sockets *k, unsigned pipeline)
{
    struct load *l = k->l;
    l->pipeline = pipeline;
    if (!run_phase(k, LOAD_RUN, l->options->warmup_s > 0 ? l->options->warmup_s : 0.01))
        return false;
    uint64_t replies = k->replies;
    double start = now_s();
    if (!run_phase(k, LOAD_RUN, l->options->seconds))
        return false;
    l->part[l->parts++] = (struct part){.label = k->work->row->name,
                                        .pipeline = pipeline,
                                        .seconds = now_s() - start,
                                        .replies = k->replies - replies};
    return run_phase(k, LOAD_REST, 0);
}

static bool run_row(struct sockets *k, const struct script_row *row)
{
    struct load *l = k->l;
    k->work->row = row;
    k->work->nth = 0;
    for (l->fill_line = 0; l->fill_line < row->first_send; l->fill_line++) {
        l->fill_next = 0;
        l->fill_end = script_count(row, &row->line[l->fill_line]);
        if (!run_phase(k, LOAD_FILL, 0))
            return false;
    }
    return measure(k, 1) && (l->options->pipeline == 1 || measure(k, l->options->pipeline));
}

bool sockets_run(struct load *l, struct workload *work, char *error, size_t size)
{
    const struct options *o = l->options;
    unsigned most = o->pipeline > o->fill_pipeline ? o->pipeline : o->fill_pipeline;
    struct sockets k = {
        .l = l, .work = work, .count = o->connections, .poll = -1, .error = error, .error_size = size};
    k.sock = calloc(k.count, sizeof *k.sock);
    k.out = malloc((size_t)most * SCRIPT_REQUEST_MAX);
    for (unsigned i = 0; k.sock && i < k.count; i++)
        k.sock[i].fd = -1;
    bool good = (k.sock && k.out) || fails(&k, "out of memory", (const uint8_t *)"", 0);
    good = good && open_all(&k, o);
    for (unsigned i = 0; i < work->script->rows && good; i++)
        if (script_chosen(&work->script->row[i], o->only))
            good = run_row(&k, &work->script->row[i]);
    close_all(&k);
    return good;
}
