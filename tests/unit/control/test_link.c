/* test_link.c: control's end of the channel against a dataplane that says wrong things: each ends in one
 * closed() with a reason. */
#include "control/link.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/control-link-XXXXXX", path[64];
static struct event_base *base;
static struct link *control;
static unsigned hellos, states, closes;
static char reason[256];

static void on_hello(void *ctx, long pid, const char *build)
{
    (void)ctx, (void)pid, (void)build;
    hellos++;
}
static void on_closed(void *ctx, const char *why)
{
    (void)ctx;
    closes++;
    snprintf(reason, sizeof reason, "%s", why);
}
static void on_state(void *ctx, const char *state, const char *detail)
{
    (void)ctx, (void)state, (void)detail;
    states++;
}
static void on_log(void *ctx, int level, const char *line)
{
    (void)ctx, (void)level, (void)line;
}
static void on_ask(void *ctx, uint64_t id, const char *client, int argc, char **argv)
{
    (void)ctx, (void)id, (void)client, (void)argc, (void)argv;
}
static void on_result(void *ctx, uint64_t generation, bool accepted, const char *why)
{
    (void)ctx, (void)generation, (void)accepted, (void)why;
}
static void on_part(void *ctx, uint64_t id, bool last, const char *bytes, size_t len)
{
    (void)ctx, (void)id, (void)last, (void)bytes, (void)len;
}
static const struct link_ops ops = {on_hello, on_closed, on_state, on_log, on_ask, on_result, on_part};

/* -- the other end, in the same process ---------------------------------------------------------------- */

struct other {
    int listener, fd;
    struct channel_rings *rings;
    struct channel_block *block;
    struct ring_end out;
};

static int memory(size_t size, void **mapped)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    CU_ASSERT_FATAL(ftruncate(fd, (off_t)size) == 0);
    *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return fd;
}

static void send_hello(const struct other *o, uint32_t version, int rings_fd, int block_fd)
{
    uint8_t packet[5] = {PACKET_HELLO, (uint8_t)version, 0, 0, 0};
    void *bulk;
    int bulk_fd = memory(CHANNEL_BULK_SIZE, &bulk), fds[3] = {rings_fd, block_fd, bulk_fd};
    munmap(bulk, CHANNEL_BULK_SIZE);
    union {
        char bytes[CMSG_SPACE(sizeof fds)];
        struct cmsghdr align;
    } space = {{0}};
    struct iovec part = {packet, sizeof packet};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    CU_ASSERT(sendmsg(o->fd, &m, MSG_NOSIGNAL) > 0);
    close(bulk_fd);
}

static void turn(void)
{
    for (unsigned i = 0; i < 5; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void meet(struct other *o)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
    *o = (struct other){.listener = socket(AF_UNIX, SOCK_SEQPACKET, 0)};
    unlink(path);
    CU_ASSERT_FATAL(bind(o->listener, (struct sockaddr *)&where, sizeof where) == 0 &&
                    listen(o->listener, 1) == 0);
    hellos = states = closes = 0;
    CU_ASSERT_FATAL(link_connect(control, path));
    o->fd = accept(o->listener, NULL, NULL);
}

static void part(struct other *o)
{
    close(o->fd);
    close(o->listener);
    if (o->rings)
        munmap(o->rings, CHANNEL_RINGS_SIZE);
    if (o->block)
        munmap(o->block, 1 << 16);
    link_close(control);
}

/* Hands over rings and a block; the caller may have spoilt `version`. */
static void greet(struct other *o, uint32_t version)
{
    void *rings, *block;
    int rings_fd = memory(CHANNEL_RINGS_SIZE, &rings), block_fd = memory(1 << 16, &block);
    o->rings = rings;
    o->block = block;
    o->rings->magic = o->block->magic = CHANNEL_MAGIC;
    o->rings->version = o->block->version = CHANNEL_VERSION;
    o->rings->size = CHANNEL_RINGS_SIZE;
    o->block->size = 1 << 16;
    o->block->gauges_offset = 4096;
    o->out = (struct ring_end){&o->rings->to_control, (uint8_t *)rings + CHANNEL_DATA_TO_CONTROL, 0};
    send_hello(o, version, rings_fd, block_fd);
    close(rings_fd);
    close(block_fd);
    turn();
}

static void say(struct other *o, const void *message, size_t len)
{
    CU_ASSERT_EQUAL(ring_put(&o->out, message, len), RING_OK);
    send(o->fd, "D", 1, MSG_NOSIGNAL);
    turn();
}

static void say_hello(struct other *o)
{
    static uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    message_begin(&w, buffer, MSG_HELLO);
    put_u32(&w, CHANNEL_VERSION);
    put_u64(&w, 1);
    put_text(&w, "test");
    say(o, buffer, w.len);
}

/* -- tests ---------------------------------------------------------------------------------------------- */

static void test_a_good_dataplane_is_heard(void)
{
    struct other o;
    meet(&o);
    greet(&o, CHANNEL_VERSION);
    say_hello(&o);
    say(&o, "\x0a\2\0\0\0ok\0\0\0\0", 11); /* STATE "ok", "" */
    CU_ASSERT(hellos == 1 && states == 1 && closes == 0 && link_connected(control));
    part(&o);
}

static void test_another_version_is_refused_with_a_remedy(void)
{
    struct other o;
    meet(&o);
    greet(&o, CHANNEL_VERSION + 1);
    CU_ASSERT(closes == 1 && strstr(reason, "run both from one release"));
    part(&o);
}

static void test_a_refusal_is_reported_in_the_dataplanes_words(void)
{
    struct other o;
    meet(&o);
    send(o.fd, "Ranother control is connected", 29, 0);
    turn();
    CU_ASSERT(closes == 1);
    CU_ASSERT_STRING_EQUAL(reason, "another control is connected");
    part(&o);
}

static void test_packets_that_are_no_doorbells_close_the_link(void)
{
    static const char *const packets[] = {"x", "DD", "H", "Hxxxx"};
    for (unsigned i = 0; i < 4; i++) {
        struct other o;
        meet(&o);
        send(o.fd, packets[i], strlen(packets[i]), 0);
        turn();
        CU_ASSERT_EQUAL(closes, 1);
        part(&o);
    }
}

static void test_memory_of_the_wrong_size_or_layout_is_refused(void)
{
    struct other o;
    void *small;
    meet(&o);
    int fd = memory(4096, &small), again = dup(fd);
    send_hello(&o, CHANNEL_VERSION, fd, again);
    turn();
    CU_ASSERT(closes == 1 && strstr(reason, "layout"));
    munmap(small, 4096);
    close(fd);
    close(again);
    part(&o);
}

static void test_malformed_messages_close_the_link(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {{"\xff", 1},
                 {"\x00", 1},
                 {"\x01", 1},
                 {"\x02", 1},
                 {"\x0a\2\0\0\0ok", 7},
                 {"\x0a\2\0\0\0o\0\0\0\0\0", 11},
                 {"\x09\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17},
                 {"\x09\1\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff", 17},
                 {"\x08\1\0\0\0\0\0\0\0\1\xff\xff\xff\xff", 14},
                 {"\x07\1", 2},
                 {"\x0b\1\1\0\0\0ax", 8}};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct other o;
        meet(&o);
        greet(&o, CHANNEL_VERSION);
        say_hello(&o);
        say(&o, wrong[i].bytes, wrong[i].len);
        CU_ASSERT(closes == 1 && strstr(reason, "from the dataplane"));
        part(&o);
    }
}

static void test_a_message_before_hello_and_a_damaged_ring_close_the_link(void)
{
    struct other o;
    meet(&o);
    greet(&o, CHANNEL_VERSION);
    say(&o, "\x0a\2\0\0\0ok\0\0\0\0", 11);
    CU_ASSERT(closes == 1 && strstr(reason, "before HELLO"));
    part(&o);
    meet(&o);
    greet(&o, CHANNEL_VERSION);
    say_hello(&o);
    o.rings->to_control.head += CHANNEL_RING_BYTES + 1;
    send(o.fd, "D", 1, MSG_NOSIGNAL);
    turn();
    CU_ASSERT(closes == 1 && strstr(reason, "damaged"));
    part(&o);
}

static void test_mutated_messages_never_harm_control(void)
{
    static const char good[] = "\x09\1\0\0\0\0\0\0\0\4\0\0\0id=1\2\0\0\0\6\0\0\0CONFIG\3\0\0\0SET";
    unsigned random = 4711;
    for (unsigned i = 0; i < 500; i++) {
        struct other o;
        char copy[sizeof good];
        meet(&o);
        greet(&o, CHANNEL_VERSION);
        say_hello(&o);
        memcpy(copy, good, sizeof good);
        for (unsigned k = 0; k < 3; k++) {
            random = random * 1103515245 + 12345;
            copy[(random >> 8) % (sizeof good - 1)] = (char)(random >> 20);
        }
        say(&o, copy, sizeof good - 1 - random % 3);
        CU_ASSERT(closes <= 1);
        part(&o);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_good_dataplane_is_heard),
        UNIT(test_another_version_is_refused_with_a_remedy),
        UNIT(test_a_refusal_is_reported_in_the_dataplanes_words),
        UNIT(test_packets_that_are_no_doorbells_close_the_link),
        UNIT(test_memory_of_the_wrong_size_or_layout_is_refused),
        UNIT(test_malformed_messages_close_the_link),
        UNIT(test_a_message_before_hello_and_a_damaged_ring_close_the_link),
        UNIT(test_mutated_messages_never_harm_control),
        {NULL, NULL}};
    if (!mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/d.sock", folder);
    base = event_base_new();
    control = link_new(base, &ops, NULL);
    alarm(60);
    int result = unit_main(argc, argv, "control/link", tests);
    link_free(control);
    event_base_free(base);
    unlink(path);
    rmdir(folder);
    return result;
}
