/* test_channel.c: the dataplane's end of the channel, in a process of its own, against a hand-made peer that
 * says right and wrong things, and dies (channel_rig.h). */
#include "channel_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/control-channel-XXXXXX";

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
