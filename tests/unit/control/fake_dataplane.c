/* fake_dataplane.c: a program that speaks the channel as the dataplane does, for control's tests: it has no
 * network. Behind SOCKET.fake (a datagram socket) it takes orders from a test, one packet each, and answers
 * with one packet:
 *
 *     ask WORD ...    asks control as a Redis client would; answers with control's RESP
 *     get NAME        the value of a directive in the present generation
 *     refuse, accept every configuration from here on
 *     script HOW      a script that reads runs until SCRIPT KILL; HOW: `busy` for every other EXEC, `begun`
 *                     after writes were made to wait, BUSY for %SNAPSHOT alone, `silent` (they all wait)
 *     begins          how often %SNAPSHOT begin was asked
 *     die | exit N | hang
 *
 * A configuration with `maxmemory-samples 13` is refused. It ends when the process FAKE_OWNER does. */
#include "channel/channel.h"
#include "channel/messages.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake {
    struct channel *channel;
    struct config *conf;
    unsigned workers;
    bool stop, hang, refuses;
    enum { NO_SCRIPT, BUSY, BEGUN, SILENT } script;
    unsigned begins, waiting;
    uint64_t waits[32]; /* EXECs, for the script's end */
    int orders;
    struct sockaddr_un asker;
    socklen_t asker_len;
    uint64_t ask_id;
};

static struct command fake_command = {.name = "get", .full_name = "get"};

const struct command *command_by_id(unsigned id)
{
    return id == 0 ? &fake_command : NULL;
}

static const char *on_config(void *ctx, struct config *conf)
{
    struct fake *f = ctx;
    if (f->refuses)
        return "told to refuse";
    if (conf->maxmemory_samples == 13)
        return "maxmemory-samples 13 brings bad luck";
    if (!f->workers) {
        f->workers = conf->workers;
        channel_share_counters(f->channel, f->workers, 1);
        channel_command_stats(f->channel, 0)[0] = (struct command_stats){3, 1500, 1, 2};
        count_add(channel_counters(f->channel, 0), COUNTER_keyspace_hits, 7);
        for (unsigned w = 0; w < 2; w++)
            count_add(channel_counters(f->channel, w), COUNTER_tcp_drop_checksum, 2 + w);
        for (unsigned w = 0; w < f->workers; w++)
            histogram_add(&channel_times(f->channel, w)[TIME_FIRST_GROUP].stage[TIME_TOTAL], w ? 50000 : 2000,
                          500);
        channel_gauge(f->channel, "connected_clients", 2);
        channel_gauge(f->channel, "used_memory", 123456);
        channel_gauge(f->channel, "db0_keys", 5);
        channel_gauge(f->channel, "db0_expires", 1);
        channel_gauge(f->channel, "link_up", 1);
    }
    config_free(f->conf);
    f->conf = conf;
    channel_state(f->channel, "serving", "fake");
    return NULL;
}

/* Answers to inspections: the words of the question, and rows. */
static const struct {
    const char *question, *rows;
} inspections[] = {
    {"connections 13", "not json\n"},
    {"connections 14", "[1]\n"},
    {"connections", "{\"state\":\"ESTABLISHED\",\"local\":\"127.0.77.2:6379\",\"remote\":\"127.0.0.1:50\","
                    "\"worker\":1,\"recv_q\":0,"
                    "\"send_q\":17}\n"
                    "{\"state\":\"TIME_WAIT\",\"local\":\"127.0.77.2:6379\",\"remote\":\"127.0.0.1:5\","
                    "\"worker\":0,\"recv_q\":0,"
                    "\"send_q\":0}\n"
                    "{\"ESTABLISHED\":2,\"CLOSE_WAIT\":0,\"TIME_WAIT\":1,\"total\":3,\"shown\":2}\n"},
    {"connection 127.0.0.1:50", "{\"state\":\"ESTABLISHED\",\"srtt_us\":120,\"sack\":true}\n"
                                "{\"ESTABLISHED\":2,\"total\":2,\"shown\":1}\n"},
    {"connection ", "{\"total\":2,\"shown\":0}\n"},
    {"neighbors",
     "{\"address\":\"10.0.0.1\",\"mac\":\"02:00:00:00:00:01\",\"state\":\"reachable\",\"age_ms\":1500,"
     "\"worker\":0}\n"
     "{\"address\":\"fe80::1\",\"mac\":\"\",\"state\":\"failed\",\"age_ms\":125000,\"worker\":1}\n"},
    {"routes", "{\"kind\":\"connected\",\"destination\":\"10.0.0.0/24\"}\n"
               "{\"kind\":\"default\",\"destination\":\"0.0.0.0/0\",\"gateway\":\"10.0.0.1\"}\n"},
    {"ping-start nowhere", NULL},
    {"ping-start 10.0.0.9", "{\"ping\":9,\"from\":\"10.0.0.2\"}\n"},
    {"ping-start", "{\"ping\":1,\"from\":\"10.0.0.2\"}\n"},
    {"ping-next 9 0", "{\"seq\":0,\"failure\":\"unreachable\"}\n"
                      "{\"next\":1,\"done\":true,\"sent\":1,\"received\":0}\n"},
    {"ping-next 1 0",
     "{\"seq\":0,\"rtt_us\":250,\"bytes\":64,\"ttl\":64}\n"
     "{\"next\":1,\"done\":false,\"sent\":2,\"received\":1,\"min_us\":250,\"avg_us\":250,\"max_us\":250}\n"},
    {"ping-next 1 1",
     "{\"seq\":1,\"failure\":\"timeout\"}\n"
     "{\"next\":2,\"done\":true,\"sent\":2,\"received\":1,\"min_us\":250,\"avg_us\":250,\"max_us\":250}\n"},
};

static void answer_inspection(FILE *out, int argc, const struct slice *argv)
{
    char question[256] = "";
    for (int i = 1; i < argc; i++)
        snprintf(question + strlen(question), sizeof question - strlen(question), "%s%.*s", i > 1 ? " " : "",
                 (int)argv[i].len, (const char *)argv[i].p);
    for (size_t i = 0; i < sizeof inspections / sizeof inspections[0]; i++) {
        const char *rows = inspections[i].rows;
        if (strncmp(question, inspections[i].question, strlen(inspections[i].question)) != 0)
            continue;
        if (rows)
            fprintf(out, "$%zu\r\n%s\r\n", strlen(rows), rows);
        else
            fprintf(out, "-ERR ping: the address is neither IPv4 nor IPv6\r\n");
        return;
    }
    fprintf(out, "-ERR unknown inspection\r\n");
}

static void answer(struct fake *f, uint64_t id, const char *text)
{
    channel_exec_reply(f->channel, id, slice_str(text));
}

static void end_script(struct fake *f, uint64_t id)
{
    if (!f->script) {
        answer(f, id, "-NOTBUSY No scripts in execution right now.\r\n");
        return;
    }
    f->script = NO_SCRIPT;
    channel_log(f->channel, 5, "the fake script was ended");
    answer(f, id, "+OK\r\n");
    while (f->waiting > 0)
        answer(f, f->waits[--f->waiting], "-ERR unknown command\r\n");
}

/* Does the script that runs keep it from being carried out? */
static bool meets_script(struct fake *f, uint64_t id, int argc, const struct slice *argv)
{
    bool begin = argc >= 2 && slice_is(argv[0], "%snapshot") && slice_is(argv[1], "begin");
    f->begins += begin;
    if (argc == 2 && slice_is(argv[0], "script") && slice_is(argv[1], "kill")) {
        end_script(f, id);
        return true;
    }
    if (f->script == BUSY || (f->script == BEGUN && begin)) {
        answer(f, id, "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n");
        return true;
    }
    if (f->script == SILENT && f->waiting < sizeof f->waits / sizeof *f->waits) {
        f->waits[f->waiting++] = id;
        return true;
    }
    return false;
}

static void on_exec(void *ctx, uint64_t id, int argc, const struct slice *argv)
{
    static const char clients[] =
        "id=3 addr=127.0.0.1:5 laddr=127.0.0.1:6379 name= age=1 idle=0 db=0 cmd=get lib-name= resp=2\n"
        "id=4 addr=127.0.0.1:6 laddr=127.0.0.1:6379 name=n age=2 idle=1 db=1 cmd=set lib-name=x resp=3\n";
    static const char user[] = "user default on nopass sanitize-payload ~* &* +@all";
    struct fake *f = ctx;
    char *text;
    size_t size;
    if (meets_script(f, id, argc, argv))
        return;
    FILE *out = open_memstream(&text, &size);
    if (argc == 2 && slice_is(argv[0], "acl"))
        fprintf(out, "*1\r\n$%zu\r\n%s\r\n", sizeof user - 1, user);
    else if (argc == 2 && slice_is(argv[0], "client"))
        fprintf(out, "$%zu\r\n%s\r\n", sizeof clients - 1, clients);
    else if (slice_is(argv[0], "big")) /* more than both rings */
        fprintf(out, "$%d\r\n%0*d\r\n", 3 << 20, 3 << 20, 0);
    else if (slice_is(argv[0], "%inspect"))
        answer_inspection(out, argc, argv);
    else
        fprintf(out, "-ERR unknown command\r\n");
    fclose(out);
    channel_exec_reply(f->channel, id, (struct slice){(const uint8_t *)text, size});
    free(text);
}

static void reply(struct fake *f, const void *text, size_t len)
{
    sendto(f->orders, text, len, 0, (struct sockaddr *)&f->asker, f->asker_len);
}

static void on_answer(void *ctx, uint64_t id, struct slice resp)
{
    struct fake *f = ctx;
    if (id == f->ask_id)
        reply(f, resp.p, resp.len);
}

static void on_fact(void *ctx, const char *name, const char *value)
{
    (void)ctx, (void)name, (void)value;
}

static void on_stop(void *ctx)
{
    ((struct fake *)ctx)->stop = true;
}

static void on_peer(void *ctx, bool connected)
{
    struct fake *f = ctx;
    if (connected)
        channel_log(f->channel, 5, "the fake dataplane greets");
}

static void on_capture_start(void *ctx, const struct channel_capture *request)
{
    struct fake *f = ctx;
    static uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    message_begin(&w, buffer, MSG_CAPTURE_STARTED);
    put_u64(&w, request->id);
    put_text(&w, "the fake dataplane has no frames");
    channel_send(f->channel, &w, true);
}

static void on_capture_stop(void *ctx, uint64_t id, bool rest)
{
    (void)ctx, (void)id, (void)rest;
}

static void on_capture_more(void *ctx, uint64_t id, uint64_t bytes)
{
    (void)ctx, (void)id, (void)bytes;
}

static void obey(struct fake *f, char *order)
{
    struct slice argv[32];
    int argc = 0;
    struct client who = {.id = 9, .peer = {.ip = {{[10] = 0xff, 0xff, 10, 0, 0, 1}}, .port = 1234}};
    char *state, *word = strtok_r(order, " ", &state);
    if (!word)
        return;
    if (strcmp(word, "die") == 0)
        raise(SIGKILL);
    if (strcmp(word, "exit") == 0) {
        fprintf(stderr, "fake: told to exit\n");
        _exit(atoi(strtok_r(NULL, " ", &state)));
    }
    if (strcmp(word, "hang") == 0) {
        f->hang = true;
        reply(f, "ok", 2);
    } else if (strcmp(word, "refuse") == 0 || strcmp(word, "accept") == 0) {
        f->refuses = *word == 'r';
        reply(f, "ok", 2);
    } else if (strcmp(word, "script") == 0) {
        word = strtok_r(NULL, " ", &state);
        f->script = strcmp(word, "busy") == 0 ? BUSY : strcmp(word, "begun") == 0 ? BEGUN : SILENT;
        reply(f, "ok", 2);
    } else if (strcmp(word, "begins") == 0) {
        char count[16];
        reply(f, count, (size_t)snprintf(count, sizeof count, "%u", f->begins));
    } else if (strcmp(word, "get") == 0) {
        const char *value = f->conf ? config_text(f->conf, strtok_r(NULL, " ", &state)) : NULL;
        reply(f, value ? value : "(none)", strlen(value ? value : "(none)"));
    } else if (strcmp(word, "ask") == 0) {
        while (argc < 32 && (word = strtok_r(NULL, " ", &state)))
            argv[argc++] = slice_str(strcmp(word, "''") == 0 ? "" : word);
        if (!channel_ask(f->channel, ++f->ask_id, &who, argc, argv))
            reply(f, "-no control", 11);
    }
}

static void take_order(struct fake *f)
{
    char order[4096];
    f->asker_len = sizeof f->asker;
    ssize_t n = recvfrom(f->orders, order, sizeof order - 1, MSG_DONTWAIT, (struct sockaddr *)&f->asker,
                         &f->asker_len);
    if (n < 0)
        return;
    order[n] = 0;
    obey(f, order);
}

static void on_term(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    static const struct channel_ops ops = {on_config,        on_exec,         on_answer,
                                           on_fact,          on_stop,         on_peer,
                                           on_capture_start, on_capture_stop, on_capture_more};
    struct fake f = {0};
    char error[256];
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    signal(SIGTERM, on_term);
    if (argc < 3 || strcmp(argv[1], "--channel") != 0)
        return 2;
    f.channel = channel_open(argv[2], &ops, &f, error, sizeof error);
    if (!f.channel) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    f.orders = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(where.sun_path, sizeof where.sun_path, "%s.fake", argv[2]);
    unlink(where.sun_path);
    if (bind(f.orders, (struct sockaddr *)&where, sizeof where) < 0)
        return 1;
    const char *owner = getenv("FAKE_OWNER");
    while (!f.stop && (!owner || kill(atoi(owner), 0) == 0)) {
        channel_poll(f.channel, 5);
        take_order(&f);
        for (unsigned w = 0; w < f.workers && !(f.hang && w == 0); w++)
            count_one(channel_counters(f.channel, w), COUNTER_loop_rounds);
    }
    channel_state(f.channel, "stopping", "asked to");
    channel_close(f.channel);
    unlink(where.sun_path);
    config_free(f.conf);
    return 0;
}
