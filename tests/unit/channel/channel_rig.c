/* channel_rig.c: see channel_rig.h. */
#include "channel_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

char path[64];

/* -- the dataplane: a child that echoes --------------------------------------------------------------- */

struct echo {
    struct channel *channel;
    bool stop;
};

static struct command one_command = {.name = "client", .full_name = "client|list"};

const struct command *command_by_id(unsigned id)
{
    return id == 0 ? &one_command : NULL;
}

static const char *on_config(void *ctx, struct config *conf)
{
    (void)ctx;
    if (conf->timeout_s == 13)
        return "thirteen";
    config_free(conf);
    return NULL;
}

static void on_exec(void *ctx, uint64_t id, int argc, const struct slice *argv)
{
    struct echo *e = ctx;
    if (slice_is(argv[0], "big")) {
        size_t size = 5 << 20;
        uint8_t *p = malloc(size);
        memset(p, 'x', size);
        channel_exec_reply(e->channel, id, (struct slice){p, size});
        free(p);
    } else if (slice_is(argv[0], "ask")) {
        struct client who = {.id = 5};
        channel_ask(e->channel, 77, &who, argc, argv);
        channel_exec_reply(e->channel, id, SLICE_LIT("+asked\r\n"));
    } else {
        channel_exec_reply(e->channel, id, argv[argc - 1]);
    }
}

static void on_answer(void *ctx, uint64_t id, struct slice resp)
{
    (void)ctx, (void)id, (void)resp;
}

static void on_fact(void *ctx, const char *name, const char *value)
{
    struct echo *e = ctx;
    channel_state(e->channel, name, value);
}

static void on_stop(void *ctx)
{
    ((struct echo *)ctx)->stop = true;
}

static void on_peer(void *ctx, bool connected)
{
    (void)ctx, (void)connected;
}

/* Tells what was asked for as a state. */
static void on_capture_start(void *ctx, const struct channel_capture *c)
{
    char text[128];
    snprintf(text, sizeof text, "%llu %llu %llu %u %u %zu", (unsigned long long)c->id,
             (unsigned long long)c->count, (unsigned long long)c->credit, c->snaplen, c->directions,
             c->program.len);
    channel_state(((struct echo *)ctx)->channel, "capture", text);
}

static void on_capture_stop(void *ctx, uint64_t id, bool rest)
{
    char text[32];
    snprintf(text, sizeof text, "%llu %d", (unsigned long long)id, rest);
    channel_state(((struct echo *)ctx)->channel, "stop", text);
}

static void on_capture_more(void *ctx, uint64_t id, uint64_t bytes)
{
    char text[64];
    snprintf(text, sizeof text, "%llu %llu", (unsigned long long)id, (unsigned long long)bytes);
    channel_state(((struct echo *)ctx)->channel, "more", text);
}

const struct channel_ops ops = {on_config, on_exec,          on_answer,       on_fact,        on_stop,
                                       on_peer,   on_capture_start, on_capture_stop, on_capture_more};

pid_t start_dataplane(void)
{
    int ready[2];
    char byte;
    CU_ASSERT_FATAL(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct echo e = {0};
        char error[256];
        if (!freopen("/dev/null", "w", stderr) ||
            !(e.channel = channel_open(path, &ops, &e, error, sizeof error)))
            _exit(9);
        channel_share_counters(e.channel, 2, 1);
        count_add(channel_counters(e.channel, 1), COUNTER_keyspace_hits, 42);
        channel_command_stats(e.channel, 1)->calls = 3;
        channel_gauge(e.channel, "link_up", 1.5);
        (void)!write(ready[1], "r", 1);
        while (!e.stop)
            channel_poll(e.channel, 1000);
        channel_close(e.channel);
        _exit(0);
    }
    close(ready[1]);
    CU_ASSERT_FATAL(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return pid;
}

int status_of(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

/* -- the peer ----------------------------------------------------------------------------------------- */

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

bool connect_peer(struct peer *p)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char packet[256] = "";
    struct iovec part = {packet, sizeof packet - 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    int fds[3];
    *p = (struct peer){.fd = socket(AF_UNIX, SOCK_SEQPACKET, 0)};
    snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
    if (connect(p->fd, (struct sockaddr *)&where, sizeof where) < 0 || !readable(p->fd, 5000) ||
        recvmsg(p->fd, &m, 0) <= 0)
        return false;
    if (packet[0] != PACKET_HELLO) {
        snprintf(p->refusal, sizeof p->refusal, "%s", packet);
        return false;
    }
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fds);
    p->rings = mmap(NULL, CHANNEL_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    p->block_size = (size_t)lseek(fds[1], 0, SEEK_END);
    p->block = mmap(NULL, p->block_size, PROT_READ, MAP_SHARED, fds[1], 0);
    CU_ASSERT_EQUAL(mmap(NULL, p->block_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0),
                    MAP_FAILED); /* sealed */
    CU_ASSERT(ftruncate(fds[0], 0) < 0);
    close(fds[0]);
    close(fds[1]);
    CU_ASSERT_EQUAL(lseek(fds[2], 0, SEEK_END), CHANNEL_BULK_SIZE);
    close(fds[2]);
    p->in = (struct ring_end){&p->rings->to_control, (uint8_t *)p->rings + CHANNEL_DATA_TO_CONTROL, 0};
    p->out = (struct ring_end){&p->rings->to_dataplane, (uint8_t *)p->rings + CHANNEL_DATA_TO_DATAPLANE, 0};
    return true;
}

void hang_up(struct peer *p)
{
    close(p->fd);
    if (p->rings)
        munmap(p->rings, CHANNEL_RINGS_SIZE);
    if (p->block)
        munmap((void *)(uintptr_t)p->block, p->block_size);
}

uint8_t out_buffer[CHANNEL_MESSAGE_MAX];
static uint8_t in_buffer[CHANNEL_MESSAGE_MAX];

void send_raw(struct peer *p, const uint8_t *message, size_t len)
{
    CU_ASSERT_EQUAL(ring_put(&p->out, message, len), RING_OK);
    send(p->fd, "D", 1, MSG_NOSIGNAL);
}

bool expect(struct peer *p, enum message_type type, struct message_reader *r)
{
    for (;;) {
        size_t len;
        bool wake = false;
        enum ring_result result = ring_get(&p->in, in_buffer, &len, &wake);
        if (wake)
            send(p->fd, "D", 1, MSG_NOSIGNAL);
        if (result == RING_OK && message_open(r, in_buffer, len) == type)
            return true;
        if (result == RING_OK)
            continue;
        char packet[16];
        if (result == RING_BROKEN || !readable(p->fd, 5000) || recv(p->fd, packet, sizeof packet, 0) <= 0)
            return false;
    }
}

void say_hello(struct peer *p)
{
    struct message_writer w;
    message_begin(&w, out_buffer, MSG_HELLO);
    put_u32(&w, CHANNEL_VERSION);
    put_u64(&w, (uint64_t)getpid());
    put_text(&w, "test");
    send_raw(p, w.p, w.len);
}

bool greet(struct peer *p)
{
    struct message_reader r;
    if (!connect_peer(p))
        return false;
    say_hello(p);
    return expect(p, MSG_HELLO, &r) && get_u32(&r) == CHANNEL_VERSION;
}

void put_exec(struct message_writer *w, uint64_t id, const char *word)
{
    message_begin(w, out_buffer, MSG_EXEC);
    put_u64(w, id);
    put_u32(w, 1);
    put_text(w, word);
}

bool echoes(struct peer *p)
{
    struct message_writer w;
    struct message_reader r;
    size_t len;
    put_exec(&w, 4, "hallo");
    send_raw(p, w.p, w.len);
    if (!expect(p, MSG_EXEC_PART, &r) || get_u64(&r) != 4 || get_u8(&r) != 1)
        return false;
    const uint8_t *text = get_bytes(&r, &len);
    return len == 5 && memcmp(text, "hallo", 5) == 0 && message_done(&r);
}

void end_dataplane(pid_t pid)
{
    struct peer p;
    struct message_writer w;
    CU_ASSERT_FATAL(greet(&p));
    message_begin(&w, out_buffer, MSG_STOP);
    send_raw(&p, w.p, w.len);
    CU_ASSERT_EQUAL(status_of(pid), 0);
    hang_up(&p);
    CU_ASSERT(access(path, F_OK) < 0); /* the socket is gone */
}
