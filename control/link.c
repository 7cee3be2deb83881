/* link.c: connecting, doorbells, and what is sent. */
#include "control/link_private.h"
#include "control/log.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { OWN = 3, DESCRIPTORS = OWN + CHANNEL_KEEPS }; /* in the first packet: rings, counter block, bulk rings; kept ones */

struct link *link_new(struct event_base *base, const struct link_ops *ops, void *ctx)
{
    struct link *l = must_alloc(1, sizeof *l);
    l->base = base;
    l->ops = ops;
    l->ctx = ctx;
    l->fd = l->bulk_fd = -1;
    return l;
}

void link_close(struct link *l)
{
    if (l->readable)
        event_free(l->readable);
    if (l->fd >= 0)
        close(l->fd);
    if (l->rings)
        munmap(l->rings, CHANNEL_RINGS_SIZE);
    if (l->block)
        munmap((void *)(uintptr_t)l->block, l->block_size);
    if (l->bulk_fd >= 0)
        close(l->bulk_fd);
    l->readable = NULL;
    l->fd = l->bulk_fd = -1;
    l->rings = NULL;
    l->block = NULL;
    l->greeted = false;
}

void link_free(struct link *l)
{
    if (l)
        link_close(l);
    free(l);
}

bool link_connected(const struct link *l)
{
    return l->greeted;
}

bool link_opened(const struct link *l)
{
    return l->fd >= 0;
}

const struct channel_block *link_block(const struct link *l, size_t *size)
{
    *size = l->block_size;
    return l->greeted ? l->block : NULL;
}

void *link_map_bulk(const struct link *l)
{
    struct stat st;
    void *p = MAP_FAILED;
    if (l->greeted && fstat(l->bulk_fd, &st) == 0 && st.st_size == CHANNEL_BULK_SIZE)
        p = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, l->bulk_fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void link_fail(struct link *l, const char *why)
{
    char *copy = must_copy(why);
    link_close(l);
    l->ops->closed(l->ctx, copy);
    free(copy);
}

/* -- the socket --------------------------------------------------------------------------------------- */

static void ring_bell(struct link *l)
{
    char bell = PACKET_DOORBELL;
    if (l->fd >= 0)
        (void)!send(l->fd, &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Handles all messages in the ring; false if the link is gone. A handler may close the link. */
static bool drain(struct link *l)
{
    size_t len;
    bool wake = false;
    enum ring_result result;
    while (l->rings && (result = ring_get(&l->in, l->in_message, &len, &wake)) != RING_EMPTY) {
        if (result == RING_BROKEN) {
            link_fail(l, "the dataplane's ring is damaged");
            return false;
        }
        if (!link_receive(l, len))
            return false;
        if (wake)
            ring_bell(l);
        wake = false;
    }
    return l->rings != NULL;
}

/* Maps a descriptor of the first packet, whose size must be exactly or at least `size`. Closes it. */
static void *map(int fd, int protection, size_t size, bool exactly, size_t *mapped)
{
    struct stat st;
    void *p = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size >= size &&
        (!exactly || (size_t)st.st_size == size)) {
        p = mmap(NULL, (size_t)st.st_size, protection, MAP_SHARED, fd, 0);
        *mapped = (size_t)st.st_size;
    }
    if (fd >= 0)
        close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static void say_hello(struct link *l);

static void hand_on_kept(struct link *l, const int *fds)
{
    bool all = true;
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++)
        all = all && fds[i] >= 0;
    if (all && l->ops->keep) {
        l->ops->keep(l->ctx, fds);
        return;
    }
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void attach(struct link *l, const uint8_t *packet, size_t len, const int fds[DESCRIPTORS])
{
    uint32_t version = len == 5 ? (uint32_t)packet[1] | (uint32_t)packet[2] << 8 | (uint32_t)packet[3] << 16 |
                                      (uint32_t)packet[4] << 24
                                : 0;
    size_t rings_size;
    l->rings = map(fds[0], PROT_READ | PROT_WRITE, CHANNEL_RINGS_SIZE, true, &rings_size);
    l->block = map(fds[1], PROT_READ, sizeof *l->block, false, &l->block_size);
    l->bulk_fd = fds[2];
    hand_on_kept(l, fds + OWN);
    if (version != CHANNEL_VERSION) {
        char why[128];
        snprintf(why, sizeof why,
                 "the dataplane speaks channel version %u and control %d: run both from one release", version,
                 CHANNEL_VERSION);
        link_fail(l, why);
        return;
    }
    if (!l->rings || !l->block || l->bulk_fd < 0 || l->rings->magic != CHANNEL_MAGIC || l->rings->version != CHANNEL_VERSION ||
        l->rings->size != CHANNEL_RINGS_SIZE || !block_check(l->block, l->block_size)) {
        link_fail(l, "the shared memory of the dataplane does not have the expected layout");
        return;
    }
    l->in = (struct ring_end){&l->rings->to_control, (uint8_t *)l->rings + CHANNEL_DATA_TO_CONTROL, 0};
    l->out = (struct ring_end){&l->rings->to_dataplane, (uint8_t *)l->rings + CHANNEL_DATA_TO_DATAPLANE, 0};
    say_hello(l);
}

/* Reads one packet. Returns its length, 0 at the end, -1 if there is none. */
static ssize_t read_packet(struct link *l, uint8_t *packet, size_t size, int fds[DESCRIPTORS])
{
    union {
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {packet, size};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    memset(fds, -1, DESCRIPTORS * sizeof *fds);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len <= CMSG_LEN(DESCRIPTORS * sizeof(int)))
            memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    uint8_t packet[257];
    int fds[DESCRIPTORS];
    ssize_t n = -1;
    (void)fd, (void)what;
    while (l->fd >= 0 && (n = read_packet(l, packet, sizeof packet - 1, fds)) > 0) {
        if (packet[0] == PACKET_HELLO && !l->rings) {
            attach(l, packet, (size_t)n, fds);
            continue;
        }
        for (unsigned i = 0; i < DESCRIPTORS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        packet[n] = 0;
        if (packet[0] == PACKET_REFUSED)
            link_fail(l, (char *)packet + 1);
        else if (n != 1 || packet[0] != PACKET_DOORBELL || !l->rings)
            link_fail(l, "a packet from the dataplane is not a doorbell");
    }
    /* What it said before it died still counts. */
    if (l->fd >= 0 && (!l->rings || drain(l)) && n == 0)
        link_fail(l, "it is gone");
}

bool link_connect(struct link *l, const char *path)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    link_close(l);
    if (strlen(path) >= sizeof where.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(where.sun_path, path, strlen(path) + 1);
    l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd >= 0 && connect(l->fd, (struct sockaddr *)&where, sizeof where) == 0 &&
        (l->readable = event_new(l->base, l->fd, EV_READ | EV_PERSIST, on_readable, l)) &&
        event_add(l->readable, NULL) == 0)
        return true;
    int why = errno;
    link_close(l);
    errno = why;
    return false;
}

/* -- messages out ------------------------------------------------------------------------------------- */

/* The dataplane reads its ring all the time; a ring that stays full for a second means that its main thread
 * hangs. */
static bool send_message(struct link *l, const struct message_writer *w)
{
    if (w->failed || !l->rings)
        return false;
    for (unsigned tries = 0; tries < 100; tries++) {
        enum ring_result result = ring_put(&l->out, w->p, w->len);
        if (result == RING_OK) {
            ring_bell(l);
            return true;
        }
        if (result == RING_BROKEN)
            return false;
        ring_bell(l);
        usleep(10000);
    }
    return false;
}

static void say_hello(struct link *l)
{
    struct message_writer w;
    message_begin(&w, l->out_message, MSG_HELLO);
    put_u32(&w, CHANNEL_VERSION);
    put_u64(&w, (uint64_t)getpid());
    put_text(&w, SLUICE_VERSION);
    send_message(l, &w);
}

/* How many of the pairs fit into one message. */
static unsigned pairs_that_fit(const struct link_pair *pair, unsigned n)
{
    size_t used = 64;
    unsigned i = 0;
    for (; i < n; i++) {
        used += strlen(pair[i].name) + strlen(pair[i].value) + 8;
        if (used > CHANNEL_MESSAGE_MAX)
            break;
    }
    return i;
}

bool link_config(struct link *l, uint64_t generation, const struct link_pair *pair, unsigned n)
{
    if (!l->greeted)
        return false;
    do {
        struct message_writer w;
        unsigned part = pairs_that_fit(pair, n);
        message_begin(&w, l->out_message, MSG_CONFIG);
        put_u64(&w, generation);
        put_u8(&w, part == n);
        put_u32(&w, part);
        for (unsigned i = 0; i < part; i++) {
            put_text(&w, pair[i].name);
            put_text(&w, pair[i].value);
        }
        bool sent = (part > 0 || n == 0) && send_message(l, &w);
        explicit_bzero(l->out_message, sizeof l->out_message); /* it may hold a private key */
        if (!sent)
            return false;
        pair += part;
        n -= part;
    } while (n);
    return true;
}

bool link_exec(struct link *l, uint64_t id, int argc, const char *const *argv)
{
    struct message_writer w;
    message_begin(&w, l->out_message, MSG_EXEC);
    put_u64(&w, id);
    put_u32(&w, (uint32_t)argc);
    for (int i = 0; i < argc; i++)
        put_text(&w, argv[i]);
    return l->greeted && send_message(l, &w);
}

bool link_answer(struct link *l, uint64_t id, const char *resp, size_t len)
{
    struct message_writer w;
    message_begin(&w, l->out_message, MSG_ANSWER);
    put_u64(&w, id);
    put_bytes(&w, resp, len);
    return l->greeted && send_message(l, &w);
}

bool link_fact(struct link *l, const char *name, const char *value)
{
    struct message_writer w;
    message_begin(&w, l->out_message, MSG_FACT);
    put_text(&w, name);
    put_text(&w, value);
    return l->greeted && send_message(l, &w);
}

bool link_stop(struct link *l)
{
    struct message_writer w;
    message_begin(&w, l->out_message, MSG_STOP);
    return l->greeted && send_message(l, &w);
}

void link_begin(struct link *l, struct message_writer *w, enum message_type type)
{
    message_begin(w, l->out_message, type);
}

bool link_send(struct link *l, const struct message_writer *w)
{
    return l->greeted && send_message(l, w);
}
