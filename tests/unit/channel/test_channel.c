/* test_channel.c: the dataplane's end of the channel, in a process of its own, against a hand-made peer that
 * says right and wrong things, and dies. */
#include "channel/channel.h"
#include "channel/messages.h"
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/control-channel-XXXXXX", path[64];

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

static const struct channel_ops ops = {on_config, on_exec,          on_answer,       on_fact,        on_stop,
                                       on_peer,   on_capture_start, on_capture_stop, on_capture_more};

static pid_t start_dataplane(void)
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

static int status_of(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

/* -- the peer ----------------------------------------------------------------------------------------- */

struct peer {
    int fd;
    struct channel_rings *rings;
    const struct channel_block *block;
    size_t block_size;
    struct ring_end in, out;
    char refusal[256];
};

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

static bool connect_peer(struct peer *p)
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

static void hang_up(struct peer *p)
{
    close(p->fd);
    if (p->rings)
        munmap(p->rings, CHANNEL_RINGS_SIZE);
    if (p->block)
        munmap((void *)(uintptr_t)p->block, p->block_size);
}

static uint8_t out_buffer[CHANNEL_MESSAGE_MAX], in_buffer[CHANNEL_MESSAGE_MAX];

static void send_raw(struct peer *p, const uint8_t *message, size_t len)
{
    CU_ASSERT_EQUAL(ring_put(&p->out, message, len), RING_OK);
    send(p->fd, "D", 1, MSG_NOSIGNAL);
}

/* The next message of that type; others are passed over. False: the dataplane hung up or said nothing for 5
 * s. */
static bool expect(struct peer *p, enum message_type type, struct message_reader *r)
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

static void say_hello(struct peer *p)
{
    struct message_writer w;
    message_begin(&w, out_buffer, MSG_HELLO);
    put_u32(&w, CHANNEL_VERSION);
    put_u64(&w, (uint64_t)getpid());
    put_text(&w, "test");
    send_raw(p, w.p, w.len);
}

static bool greet(struct peer *p)
{
    struct message_reader r;
    if (!connect_peer(p))
        return false;
    say_hello(p);
    return expect(p, MSG_HELLO, &r) && get_u32(&r) == CHANNEL_VERSION;
}

static void put_exec(struct message_writer *w, uint64_t id, const char *word)
{
    message_begin(w, out_buffer, MSG_EXEC);
    put_u64(w, id);
    put_u32(w, 1);
    put_text(w, word);
}

static bool echoes(struct peer *p)
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

static void end_dataplane(pid_t pid)
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

/* -- tests -------------------------------------------------------------------------------------------- */

static void test_exec_and_its_reply(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    CU_ASSERT(greet(&p));
    CU_ASSERT(echoes(&p));
    hang_up(&p);
    end_dataplane(pid);
}

static void test_a_reply_larger_than_the_ring_comes_in_parts(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    struct message_writer w;
    struct message_reader r;
    size_t len, all = 0;
    bool last = false;
    CU_ASSERT(greet(&p));
    put_exec(&w, 9, "big");
    send_raw(&p, w.p, w.len);
    while (!last && expect(&p, MSG_EXEC_PART, &r)) {
        CU_ASSERT_EQUAL(get_u64(&r), 9);
        last = get_u8(&r);
        const uint8_t *part = get_bytes(&r, &len);
        CU_ASSERT(message_done(&r) && part[0] == 'x');
        all += len;
    }
    CU_ASSERT_EQUAL(all, 5 << 20);
    CU_ASSERT(echoes(&p));
    hang_up(&p);
    end_dataplane(pid);
}

static void send_config(struct peer *p, uint64_t generation, bool last, const char *name, const char *value)
{
    struct message_writer w;
    message_begin(&w, out_buffer, MSG_CONFIG);
    put_u64(&w, generation);
    put_u8(&w, last);
    put_u32(&w, 1);
    put_text(&w, name);
    put_text(&w, value);
    send_raw(p, w.p, w.len);
}

static void test_configuration_in_parts_is_accepted_or_refused_with_a_reason(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    struct message_reader r;
    char why[256];
    CU_ASSERT(greet(&p));
    send_config(&p, 1, false, "timeout", "5");
    send_config(&p, 1, true, "maxmemory", "1mb");
    CU_ASSERT(expect(&p, MSG_CONFIG_RESULT, &r) && get_u64(&r) == 1 && get_u8(&r) == 1);
    send_config(&p, 2, true, "timeout", "13");
    CU_ASSERT(expect(&p, MSG_CONFIG_RESULT, &r) && get_u64(&r) == 2 && get_u8(&r) == 0);
    get_text(&r, why, sizeof why);
    CU_ASSERT_STRING_EQUAL(why, "thirteen");
    send_config(&p, 3, true, "maxmemory", "lots");
    CU_ASSERT(expect(&p, MSG_CONFIG_RESULT, &r) && get_u64(&r) == 3 && get_u8(&r) == 0);
    hang_up(&p);
    end_dataplane(pid);
}

static void put_capture(struct message_writer *w, uint32_t snaplen)
{
    message_begin(w, out_buffer, MSG_CAPTURE_START);
    put_u64(w, 7);
    put_u32(w, snaplen);
    put_u64(w, 100);
    put_u8(w, 3);
    put_u64(w, 4096);
    put_bytes(w, "12345678", 8);
}

static bool state_is(struct peer *p, const char *state, const char *detail)
{
    struct message_reader r;
    char got[32], text[256];
    do {
        if (!expect(p, MSG_STATE, &r))
            return false;
        get_text(&r, got, sizeof got);
        get_text(&r, text, sizeof text);
    } while (strcmp(got, state) != 0);
    return strcmp(text, detail) == 0;
}

static void test_a_capture_is_started_fed_and_stopped(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    struct message_writer w;
    struct message_reader r;
    CU_ASSERT(greet(&p));
    put_capture(&w, CHANNEL_SNAPLEN_MAX);
    send_raw(&p, w.p, w.len);
    CU_ASSERT(state_is(&p, "capture", "7 100 4096 65280 3 8"));
    message_begin(&w, out_buffer, MSG_CAPTURE_MORE);
    put_u64(&w, 7);
    put_u64(&w, 99);
    send_raw(&p, w.p, w.len);
    CU_ASSERT(state_is(&p, "more", "7 99"));
    message_begin(&w, out_buffer, MSG_CAPTURE_STOP);
    put_u64(&w, 7);
    put_u8(&w, 1);
    send_raw(&p, w.p, w.len);
    CU_ASSERT(state_is(&p, "stop", "7 1"));
    put_capture(&w, CHANNEL_SNAPLEN_MAX + 1); /* one message could not hold such a packet */
    send_raw(&p, w.p, w.len);
    CU_ASSERT_FALSE(expect(&p, MSG_STATE, &r));
    hang_up(&p);
    end_dataplane(pid);
}

static void test_state_is_told_again_to_a_new_control(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    struct message_writer w;
    struct message_reader r;
    char state[64];
    CU_ASSERT(greet(&p));
    message_begin(&w, out_buffer, MSG_FACT);
    put_text(&w, "serving");
    put_text(&w, "well");
    send_raw(&p, w.p, w.len);
    do {
        CU_ASSERT_FATAL(expect(&p, MSG_STATE, &r));
        get_text(&r, state, sizeof state);
    } while (strcmp(state, "serving") != 0);
    hang_up(&p);
    CU_ASSERT(greet(&p));
    CU_ASSERT(expect(&p, MSG_STATE, &r));
    get_text(&r, state, sizeof state);
    CU_ASSERT_STRING_EQUAL(state, "serving");
    hang_up(&p);
    end_dataplane(pid);
}

static void test_counters_and_gauges_are_read_from_shared_memory(void)
{
    pid_t pid = start_dataplane();
    struct peer p;
    CU_ASSERT_FATAL(greet(&p));
    const struct channel_block *b = p.block;
    CU_ASSERT(block_check(b, p.block_size));
    CU_ASSERT(b->workers == 2 && b->counters == COUNTER_MAX && b->commands == 1 && b->gauges == 1);
    const uint8_t *worker = (const uint8_t *)b + b->workers_offset + b->worker_stride;
    CU_ASSERT_EQUAL(((const uint64_t *)(const void *)worker)[COUNTER_keyspace_hits], 42);
    CU_ASSERT_EQUAL(
        ((const struct channel_command_totals *)(const void *)(worker + b->commands_in_worker))->calls, 3);
    const struct channel_counter_info *info = (const void *)((const uint8_t *)b + b->counter_names);
    CU_ASSERT_STRING_EQUAL(info[COUNTER_keyspace_hits].name, "keyspace_hits");
    CU_ASSERT_STRING_EQUAL((const char *)b + b->command_names, "client|list");
    const struct channel_gauge_slot *gauge = (const void *)((const uint8_t *)b + b->gauges_offset);
    double value;
    memcpy(&value, &gauge->bits, sizeof value);
    CU_ASSERT(strcmp(gauge->name, "link_up") == 0 && value == 1.5);
    hang_up(&p);
    end_dataplane(pid);
}

static void test_a_second_control_is_refused_politely(void)
{
    pid_t pid = start_dataplane();
    struct peer first, second;
    CU_ASSERT(greet(&first));
    CU_ASSERT_FALSE(connect_peer(&second));
    CU_ASSERT_PTR_NOT_NULL(strstr(second.refusal, "another control"));
    hang_up(&second);
    CU_ASSERT(echoes(&first));
    hang_up(&first);
    end_dataplane(pid);
}

static void test_a_stale_socket_is_replaced_and_a_living_one_is_an_error(void)
{
    char error[256] = "";
    pid_t pid = start_dataplane();
    CU_ASSERT_PTR_NULL(channel_open(path, &ops, NULL, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "another dataplane is running"));
    kill(pid, SIGKILL);
    status_of(pid);
    CU_ASSERT(access(path, F_OK) == 0);
    end_dataplane(start_dataplane());
}

static void test_wrong_messages_close_the_channel_and_nothing_else(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {{"\xff", 1},
                 {"\x00", 1},
                 {"\x01", 1},
                 {"\x06 trailing", 10},
                 {"\x02\1\0\0\0\0\0\0\0\1\xff\xff\xff\xff", 14},
                 {"\x03\1\0\0\0\0\0\0\0\0\0\0\0", 13},
                 {"\x03\1\0\0\0\0\0\0\0\xff\xff\xff\xff", 13},
                 {"\x07\0", 2},
                 {"\x05\1\0\0\0a", 6}};
    pid_t pid = start_dataplane();
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct peer p;
        struct message_reader r;
        CU_ASSERT_FATAL(greet(&p));
        send_raw(&p, (const uint8_t *)wrong[i].bytes, wrong[i].len);
        CU_ASSERT_FALSE(expect(&p, MSG_TYPES, &r)); /* until it hangs up */
        hang_up(&p);
    }
    end_dataplane(pid);
}

static void test_mutated_messages_never_kill_the_dataplane(void)
{
    pid_t pid = start_dataplane();
    unsigned random = 99;
    for (unsigned i = 0; i < 300; i++) {
        struct peer p;
        struct message_writer w;
        CU_ASSERT_FATAL(greet(&p));
        put_exec(&w, i, "some words to mutate");
        w.p[0] = (uint8_t)(i % 9 > 5               ? MSG_CAPTURE_START + i % 9 - 6
                           : 1 + i % 9 == MSG_STOP ? MSG_EXEC
                                                   : 1 + i % 9);
        for (unsigned k = 0; k < 3; k++) {
            random = random * 1103515245 + 12345;
            w.p[1 + (random >> 8) % (w.len - 1)] = (uint8_t)(random >> 20);
        }
        send_raw(&p, w.p, w.len - random % 4);
        hang_up(&p);
    }
    end_dataplane(pid);
}

static void test_a_peer_may_die_at_any_point(void)
{
    pid_t pid = start_dataplane();
    for (unsigned step = 0; step < 6; step++) {
        pid_t control = fork();
        if (control == 0) {
            struct peer p;
            struct message_writer w;
            if (step == 0 || !connect_peer(&p)) {
                int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
                struct sockaddr_un where = {.sun_family = AF_UNIX};
                snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
                connect(fd, (struct sockaddr *)&where, sizeof where);
                raise(SIGKILL);
            }
            if (step >= 2)
                say_hello(&p);
            if (step == 3)
                send_config(&p, 1, false, "timeout", "1");
            put_exec(&w, 1, "big");
            if (step >= 4)
                send_raw(&p, w.p, w.len);
            if (step == 5) { /* half a message: the head is moved, the length is not there */
                __atomic_store_n(&p.out.ring->head, p.out.at + 2, __ATOMIC_RELEASE);
                send(p.fd, "D", 1, 0);
            }
            raise(SIGKILL);
        }
        status_of(control);
    }
    end_dataplane(pid);
}

static void test_a_message_said_before_death_still_counts(void)
{
    pid_t pid = start_dataplane();
    pid_t control = fork();
    if (control == 0) {
        struct peer p;
        struct message_writer w;
        connect_peer(&p);
        say_hello(&p);
        message_begin(&w, out_buffer, MSG_STOP);
        send_raw(&p, w.p, w.len);
        raise(SIGKILL);
    }
    status_of(control);
    CU_ASSERT_EQUAL(status_of(pid), 0);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_exec_and_its_reply),
        UNIT(test_a_reply_larger_than_the_ring_comes_in_parts),
        UNIT(test_configuration_in_parts_is_accepted_or_refused_with_a_reason),
        UNIT(test_a_capture_is_started_fed_and_stopped),
        UNIT(test_state_is_told_again_to_a_new_control),
        UNIT(test_counters_and_gauges_are_read_from_shared_memory),
        UNIT(test_a_second_control_is_refused_politely),
        UNIT(test_a_stale_socket_is_replaced_and_a_living_one_is_an_error),
        UNIT(test_wrong_messages_close_the_channel_and_nothing_else),
        UNIT(test_mutated_messages_never_kill_the_dataplane),
        UNIT(test_a_peer_may_die_at_any_point),
        UNIT(test_a_message_said_before_death_still_counts),
        {NULL, NULL}};
    if (!mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/d.sock", folder);
    signal(SIGPIPE, SIG_IGN);
    alarm(120); /* a test that hangs ends */
    int result = unit_main(argc, argv, "channel/channel", tests);
    rmdir(folder);
    return result;
}
