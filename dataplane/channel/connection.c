/* connection.c: the listening socket, the one peer, its rings and doorbells. unix(7), memfd_create(2). */
#include "channel/private.h"
#include "command/acl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGES_A_POLL = 256 }; /* so that a chatty control cannot hold the main thread */

/* -- opening ------------------------------------------------------------------------------------------ */

static bool socket_alive(const struct sockaddr_un *where)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive =
        fd >= 0 && (connect(fd, (const struct sockaddr *)where, sizeof *where) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return alive;
}

static bool bind_socket(int fd, const char *path, char *error, size_t size)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where.sun_path) {
        snprintf(error, size, "%s: the path of a socket has at most %zu bytes", path,
                 sizeof where.sun_path - 1);
        return false;
    }
    memcpy(where.sun_path, path, strlen(path) + 1);
    mode_t mask = umask(0177);
    int result = bind(fd, (struct sockaddr *)&where, sizeof where);
    if (result < 0 && errno == EADDRINUSE) {
        if (socket_alive(&where)) {
            umask(mask);
            snprintf(error, size,
                     "%s: another dataplane is running; stop it first or use another dataplane-socket", path);
            return false;
        }
        unlink(path); /* left behind by a process that died */
        result = bind(fd, (struct sockaddr *)&where, sizeof where);
    }
    int why = errno;
    umask(mask);
    if (result < 0 || listen(fd, 8) < 0) {
        snprintf(error, size, "%s: cannot listen: %s", path, strerror(result < 0 ? why : errno));
        return false;
    }
    return true;
}

struct channel *channel_open(const char *path, const struct channel_ops *ops, void *ctx, char *error,
                             size_t size)
{
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch) {
        snprintf(error, size, "out of memory");
        return NULL;
    }
    ch->ops = ops;
    ch->ctx = ctx;
    ch->owner = geteuid();
    ch->peer_fd = ch->block_fd = ch->bulk_fd = -1;
    ch->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ch->listen_fd < 0)
        snprintf(error, size, "cannot make a socket: %s", strerror(errno));
    else if (block_open(ch, error, size) && bulk_open(ch, error, size) && bind_socket(ch->listen_fd, path, error, size) &&
             (ch->path = strdup(path)))
        return ch;
    channel_close(ch);
    return NULL;
}

void channel_keep(struct channel *ch, const int *fds)
{
    memcpy(ch->keeps, fds, sizeof ch->keeps);
}

void channel_close(struct channel *ch)
{
    if (!ch)
        return;
    channel_flush(ch);
    channel_drop_peer(ch, NULL);
    if (ch->listen_fd >= 0)
        close(ch->listen_fd);
    if (ch->path)
        unlink(ch->path);
    block_close(ch);
    bulk_close(ch);
    free(ch->path);
    free(ch);
}

/* -- the peer ----------------------------------------------------------------------------------------- */

static void ring_bell(struct channel *ch)
{
    char bell = PACKET_DOORBELL;
    /* A full socket buffer means that bells are waiting already. */
    if (ch->peer_fd >= 0)
        (void)!send(ch->peer_fd, &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void channel_drop_peer(struct channel *ch, const char *why)
{
    bool was_connected = ch->greeted;
    if (ch->peer_fd < 0)
        return;
    if (why)
        fprintf(stderr, "channel: control (pid %ld) disconnected: %s\n", ch->peer_pid, why);
    close(ch->peer_fd);
    munmap(ch->rings, CHANNEL_RINGS_SIZE);
    free(ch->outbox.p);
    memset(&ch->outbox, 0, sizeof ch->outbox);
    channel_forget_pairs(ch);
    ch->peer_fd = -1;
    ch->rings = NULL;
    ch->greeted = false;
    if (was_connected)
        ch->ops->peer(ch->ctx, false);
}

static void refuse(int fd, const char *why)
{
    char packet[256];
    int n = snprintf(packet, sizeof packet, "%c%s", PACKET_REFUSED, why);
    (void)!send(fd, packet, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

/* A memfd with empty rings, mapped into ch. Returns the descriptor, or -1. */
static int make_rings(struct channel *ch)
{
    int fd = memfd_create("sluice-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    void *p = MAP_FAILED;
    if (ftruncate(fd, CHANNEL_RINGS_SIZE) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        p = mmap(NULL, CHANNEL_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        close(fd);
        return -1;
    }
    ch->rings = p;
    ch->rings->magic = CHANNEL_MAGIC;
    ch->rings->version = CHANNEL_VERSION;
    ch->rings->size = CHANNEL_RINGS_SIZE;
    ch->out = (struct ring_end){&ch->rings->to_control, (uint8_t *)p + CHANNEL_DATA_TO_CONTROL, 0};
    ch->in = (struct ring_end){&ch->rings->to_dataplane, (uint8_t *)p + CHANNEL_DATA_TO_DATAPLANE, 0};
    return fd;
}

static bool send_descriptors(const struct channel *ch, int socket_fd, int rings_fd)
{
    uint8_t hello[5] = {PACKET_HELLO, CHANNEL_VERSION, 0, 0, 0};
    int fds[3 + CHANNEL_KEEPS] = {rings_fd, ch->block_fd, ch->bulk_fd};
    size_t size = (ch->keeps[0] > 0 ? 3 + CHANNEL_KEEPS : 3) * sizeof *fds;
    memcpy(fds + 3, ch->keeps, sizeof ch->keeps);
    union {
        char bytes[CMSG_SPACE(sizeof fds)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {hello, sizeof hello};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
    return sendmsg(socket_fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof hello;
}

static void say_hello(struct channel *ch)
{
    struct message_writer w;
    message_begin(&w, ch->out_message, MSG_HELLO);
    put_u32(&w, CHANNEL_VERSION);
    put_u64(&w, (uint64_t)getpid());
    put_text(&w, SLUICE_VERSION);
    channel_send(ch, &w, false);
}

static void accept_peer(struct channel *ch)
{
    int fd = accept4(ch->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who;
    socklen_t len = sizeof who;
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || (who.uid != 0 && who.uid != ch->owner)) {
        refuse(fd, "permission denied: control must run as root or as the dataplane's user");
        return;
    }
    if (ch->peer_fd >= 0) {
        char why[96];
        snprintf(why, sizeof why, "another control (pid %ld) is connected", ch->peer_pid);
        refuse(fd, why);
        return;
    }
    int rings_fd = make_rings(ch);
    if (rings_fd < 0) {
        refuse(fd, "the dataplane is out of memory or descriptors");
        return;
    }
    ch->peer_fd = fd;
    ch->peer_pid = who.pid;
    bool sent = send_descriptors(ch, fd, rings_fd);
    close(rings_fd);
    if (sent)
        say_hello(ch);
    else
        channel_drop_peer(ch, NULL); /* gone already: a probe whether we live */
}

/* -- messages out ------------------------------------------------------------------------------------- */

static bool store(struct channel *ch, const uint8_t *message, size_t len)
{
    uint32_t size = (uint32_t)len;
    size_t need = ch->outbox.len + sizeof size + len;
    if (need > CHANNEL_OUTBOX_MAX)
        return false;
    if (need > ch->outbox.room) {
        size_t room = need * 2;
        uint8_t *p = realloc(ch->outbox.p, room);
        if (!p)
            return false;
        ch->outbox.p = p;
        ch->outbox.room = room;
    }
    memcpy(ch->outbox.p + ch->outbox.len, &size, sizeof size);
    memcpy(ch->outbox.p + ch->outbox.len + sizeof size, message, len);
    ch->outbox.len = need;
    return true;
}

bool channel_flush(struct channel *ch)
{
    bool any = false;
    enum ring_result result = RING_OK;
    while (ch->peer_fd >= 0 && ch->outbox.at < ch->outbox.len) {
        uint32_t size;
        memcpy(&size, ch->outbox.p + ch->outbox.at, sizeof size);
        result = ring_put(&ch->out, ch->outbox.p + ch->outbox.at + sizeof size, size);
        if (result != RING_OK)
            break;
        ch->outbox.at += sizeof size + size;
        any = true;
    }
    if (ch->outbox.at == ch->outbox.len) {
        free(ch->outbox.p);
        memset(&ch->outbox, 0, sizeof ch->outbox);
    }
    if (any)
        ring_bell(ch);
    return result != RING_BROKEN;
}

bool channel_send(struct channel *ch, struct message_writer *w, bool patient)
{
    if (w->failed || ch->peer_fd < 0)
        return false;
    if (ch->outbox.len == 0) {
        switch (ring_put(&ch->out, w->p, w->len)) {
        case RING_OK:
            ring_bell(ch);
            return true;
        case RING_FULL:
            break;
        default: /* the next poll finds it broken too and drops the peer */
            return false;
        }
    }
    return patient && store(ch, w->p, w->len);
}

bool channel_ask(struct channel *ch, uint64_t id, const struct client *who, int argc,
                 const struct slice *argv)
{
    static const struct slice standard = SLICE_LIT("default");
    char peer[ENDPOINT_TEXT], text[256];
    struct slice user = who->user ? who->user->name : standard;
    struct message_writer w;
    if (!ch->greeted || argc <= 0 || argc > CHANNEL_ARGS_MAX)
        return false;
    endpoint_format(&who->peer, peer);
    snprintf(text, sizeof text, "id=%llu addr=%s user=%.*s name=%s", (unsigned long long)who->id, peer,
             (int)(user.len < 64 ? user.len : 64), (const char *)user.p, who->name ? who->name : "");
    message_begin(&w, ch->out_message, MSG_ASK);
    put_u64(&w, id);
    put_text(&w, text);
    put_u32(&w, (uint32_t)argc);
    for (int i = 0; i < argc; i++)
        put_bytes(&w, argv[i].p, argv[i].len);
    return channel_send(ch, &w, false);
}

bool channel_exec_reply(struct channel *ch, uint64_t id, struct slice resp)
{
    if (!ch->greeted)
        return false;
    if (resp.len + ch->outbox.len > CHANNEL_OUTBOX_MAX / 2) /* before the first part, never in the middle */
        resp = (struct slice)SLICE_LIT("-ERR the reply is too large for the control channel\r\n");
    do {
        size_t part = resp.len < CHANNEL_PART_MAX ? resp.len : CHANNEL_PART_MAX;
        struct message_writer w;
        message_begin(&w, ch->out_message, MSG_EXEC_PART);
        put_u64(&w, id);
        put_u8(&w, part == resp.len);
        put_bytes(&w, resp.p, part);
        if (!channel_send(ch, &w, true)) {
            channel_drop_peer(ch, "out of memory for a reply"); /* half a reply is worse than none */
            return false;
        }
        resp.p += part;
        resp.len -= part;
    } while (resp.len);
    return true;
}

bool channel_log(struct channel *ch, int syslog_level, const char *line)
{
    struct message_writer w;
    if (!ch->greeted)
        return false;
    message_begin(&w, ch->out_message, MSG_LOG);
    put_u8(&w, (uint8_t)syslog_level);
    put_bytes(&w, line, strnlen(line, CHANNEL_PART_MAX));
    return channel_send(ch, &w, false);
}

bool channel_state(struct channel *ch, const char *state, const char *detail)
{
    struct message_writer w;
    if (state != ch->state) {
        snprintf(ch->state, sizeof ch->state, "%s", state);
        snprintf(ch->detail, sizeof ch->detail, "%s", detail ? detail : "");
    }
    if (!ch->greeted)
        return false;
    message_begin(&w, ch->out_message, MSG_STATE);
    put_text(&w, ch->state);
    put_text(&w, ch->detail);
    return channel_send(ch, &w, true);
}

/* -- the poll ----------------------------------------------------------------------------------------- */

/* Handles messages that are in the ring. Returns whether some may be left. */
static bool drain_ring(struct channel *ch)
{
    char error[128];
    size_t len;
    bool wake = false;
    enum ring_result result = RING_OK;
    int n;
    for (n = 0; n < MESSAGES_A_POLL && ch->peer_fd >= 0; n++) {
        result = ring_get(&ch->in, ch->in_message, &len, &wake);
        if (result != RING_OK)
            break;
        if (!channel_receive(ch, ch->in_message, len, error, sizeof error)) {
            channel_drop_peer(ch, error);
            return false;
        }
    }
    if (result == RING_BROKEN)
        channel_drop_peer(ch, "its ring is damaged");
    else if (wake)
        ring_bell(ch);
    return n == MESSAGES_A_POLL;
}

/* Reads doorbells. False when the peer has gone. */
static bool drain_socket(struct channel *ch)
{
    char packet[16];
    for (;;) {
        ssize_t n = recv(ch->peer_fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n != 1 || packet[0] != PACKET_DOORBELL)
            return false;
    }
}

void channel_poll(struct channel *ch, int timeout_ms)
{
    struct pollfd fd[2] = {{.fd = ch->listen_fd, .events = POLLIN}, {.fd = ch->peer_fd, .events = POLLIN}};
    if (poll(fd, 2, ch->more ? 0 : timeout_ms) < 0)
        return;
    if (ch->peer_fd >= 0) {
        bool alive = fd[1].revents == 0 || drain_socket(ch);
        /* What it said before it died still counts. */
        do
            ch->more = drain_ring(ch);
        while (ch->more && !alive);
        if (!alive)
            channel_drop_peer(ch, "it is gone");
        else if (ch->peer_fd >= 0 && !channel_flush(ch))
            channel_drop_peer(ch, "its ring is damaged");
    }
    if (fd[0].revents & POLLIN)
        accept_peer(ch);
}
