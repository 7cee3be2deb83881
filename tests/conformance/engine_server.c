/* engine_server.c: test tool: the command layer and the store behind an ordinary kernel socket, so that
 * redis-cli, client libraries and differential.py can talk to them without DPDK, a network stack or
 * privileges. One thread, poll(2), blocking sends, a handful of connections. Not a product.
 *
 *     engine_server PORT ["directive value" ...]       prints "ready PORT" when it listens on 127.0.0.1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "block.h"
#include "command/transaction.h"
#include "engine.h"
#include "job.h"
#include "resp/reader.h"
#include "turns.h"

enum { CONNECTIONS = 8, READ_SIZE = 65536, UPKEEP_MS = 100, TIMERS_MS = 2, UPKEEP_BUDGET = 1000 };

struct connection {
    int fd; /* -1: free */
    struct client *client;
    struct resp_reader reader;
    uint8_t *in;
    size_t len, cap;
    struct slice *argv;
    uint32_t argv_cap;
    char *out; /* replies of a pipeline: one send */
    size_t out_len, out_cap;
    struct job *job; /* waits for a key: nothing further is run */
    bool resumed;    /* waits no more: what it has sent meanwhile is to be run */
};

struct server {
    struct engine *engine;
    struct box_ops box;
    struct blocking blocking;
    struct turns
        turns; /* with ENGINE_INTERLEAVED in the environment: long commands give way at each element */
    bool interleaved;
    struct connection connection[CONNECTIONS];
    struct pollfd poll[CONNECTIONS + 1]; /* the last one listens */
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_time(struct engine *e)
{
    uint64_t now = wall_ms();
    if (now > e->env.now_ms)
        engine_sleep(e, now - e->env.now_ms);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) {
        fprintf(stderr, "engine_server: port %u: %s\n", port, strerror(errno));
        exit(1);
    }
    return fd;
}

static void put(struct connection *c, const char *p, size_t n)
{
    if (c->out_cap - c->out_len < n) {
        c->out_cap = c->out_cap * 2 + n;
        c->out = realloc(c->out, c->out_cap);
    }
    if (n)
        memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
}

static bool flush(struct connection *c)
{
    const char *p = c->out;
    while (c->out_len) {
        ssize_t sent = send(c->fd, p, c->out_len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        c->out_len -= (size_t)sent;
    }
    return true;
}

static void retire(struct server *s, struct job *j)
{
    block_leave(&s->blocking, j);
    job_free(j);
}

static void hang_up(struct server *s, unsigned i)
{
    struct connection *c = &s->connection[i];
    if (c->job && block_abandon(c->job))
        retire(s, c->job);
    close(c->fd);
    transaction_end(&s->engine->env, c->client);
    client_release(c->client);
    client_init(c->client, 0, 0);
    c->client->flags |= CLIENT_KILLED; /* a free slot of the engine */
    resp_reader_reset(&c->reader);
    free(c->in);
    free(c->out);
    free(c->argv);
    *c = (struct connection){.fd = -1};
    s->poll[i].fd = -1;
}

static struct client *new_client(struct engine *e)
{
    static uint64_t id = CONNECTIONS; /* those of engine_connect() are below */
    for (unsigned i = 0; i < e->nclients; i++)
        if (e->clients[i].flags & CLIENT_KILLED) {
            engine_accept(e, &e->clients[i], ++id);
            return &e->clients[i];
        }
    return engine_connect(e);
}

static void welcome(struct server *s)
{
    int one = 1, fd = accept(s->poll[CONNECTIONS].fd, NULL, NULL);
    unsigned i = 0;
    while (i < CONNECTIONS && s->connection[i].fd >= 0)
        i++;
    if (fd < 0 || i == CONNECTIONS) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->connection[i] = (struct connection){.fd = fd, .client = new_client(s->engine)};
    resp_reader_init(&s->connection[i].reader);
    s->poll[i].fd = fd;
}

/* -- waiting for keys: one thread serves all shards, as a worker does that has stopped all others -- */

static struct server *server_of(struct command_env *env)
{
    return (struct server *)((char *)(uintptr_t)env->box - offsetof(struct server, box));
}

static bool unblock(struct command_env *env, uint64_t id, bool error)
{
    struct server *s = server_of(env);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (s->connection[i].job && s->connection[i].client->id == id)
            return block_end(&s->blocking, s->connection[i].job, error);
    return false;
}

static void blocked_now(struct command_env *env, uint64_t *clients, uint64_t *keys, uint64_t *timeouts)
{
    *clients = server_of(env)->blocking.clients;
    *timeouts = server_of(env)->blocking.timers;
    for (unsigned i = 0; i < env->ks->shards; i++)
        *keys += shard_waits(env->ks->shard[i])->keys;
}

static void block(struct server *s, struct connection *c)
{
    struct request *rq = &s->engine->request;
    struct job *j = job_new(JOB_HOP, 0, c->client, rq->argc, rq->argv);
    job_prepare(j, &s->engine->env);
    if (block_begin(&s->blocking, j)) {
        c->job = j;
        c->client->flags |= CLIENT_BLOCKED;
        return;
    }
    put(c, (const char *)job_reply(j).p, job_reply(j).len);
    retire(s, j);
}

static void bring_home(struct server *s, struct job *j)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &s->connection[i];
        if (c->job != j)
            continue;
        c->job = NULL;
        c->client->flags &= ~(uint32_t)CLIENT_BLOCKED;
        c->resumed = true;
        put(c, (const char *)job_reply(j).p, job_reply(j).len);
    }
    retire(s, j);
}

static void serve_keys(struct server *s)
{
    block_serve(&s->blocking, true);
    for (struct job *j; (j = block_done(&s->blocking));)
        bring_home(s, j);
}

/* -- long commands in slices, the others' commands in between, in one shard -- */

static struct job *make_job(struct server *s, struct connection *c, int argc)
{
    struct job *j = job_new(JOB_HOP, 0, c->client, argc, c->argv);
    job_prepare(j, &s->engine->env);
    return c->job = j;
}

/* Does it wait for another one's keys? */
static bool must_wait(struct server *s, struct connection *c, int argc)
{
    struct request rq = {0};
    command_prepare(&rq, &s->engine->env, c->client, argc, c->argv);
    bool waits = turns_any(&s->turns) && turns_conflict(&s->engine->env, &rq, false);
    return waits && turns_wait(&s->turns, make_job(s, c, argc));
}

static enum command_result run_waiting(void *server, struct job *j)
{
    return job_run(j, &((struct server *)server)->engine->env);
}

static void take_turns(struct server *s)
{
    turns_round(&s->turns);
    for (struct job *j; (j = turns_done(&s->turns));)
        bring_home(s, j);
}

static bool interleave(struct server *s)
{
    struct command_env *env = &s->engine->env;
    s->interleaved = s->engine->leaves_long = turns_init(&s->turns, env, &s->blocking, run_waiting, s);
    s->turns.each = 1;
    env->turn_work = 1;
    return s->interleaved;
}

/* -- what is control's elsewhere -- */

/* CONFIG SET: the next generation has the pairs there are, and those of the request. */
static bool config_set(struct server *s, char *error, size_t size)
{
    struct engine *e = s->engine;
    const struct request *rq = &e->request;
    struct config_pair pairs[256];
    char text[16][256];
    unsigned n = 0;
    for (; n < e->conf->pairs && n < 200; n++)
        pairs[n] = e->conf->pair[n];
    for (int i = 2, at = 0; i + 1 < rq->argc && at < 16; i += 2, at += 2) {
        for (int half = 0; half < 2; half++)
            snprintf(text[at + half], sizeof text[0], "%.*s", (int)rq->argv[i + half].len,
                     (const char *)rq->argv[i + half].p);
        unsigned place = 0;
        while (place < n && strcmp(pairs[place].name, text[at]) != 0)
            place++;
        pairs[place] = (struct config_pair){text[at], text[at + 1]};
        n = place == n ? n + 1 : n;
    }
    struct config *conf = config_build(e->conf->generation + 1, pairs, n, error, size);
    if (!conf)
        return false;
    config_free(e->conf);
    e->env.conf = e->conf = conf;
    for (unsigned i = 0; i < e->env.ks->shards; i++)
        shard_configure(e->env.ks->shard[i], conf);
    return true;
}

static void control(struct server *s, struct connection *c)
{
    const struct request *rq = &s->engine->request;
    char error[256] = "this test tool has no control process", reply[300];
    bool set = rq->argc >= 4 && slice_is(rq->argv[0], "config") && slice_is(rq->argv[1], "set") &&
               config_set(s, error, sizeof error);
    int n =
        set ? snprintf(reply, sizeof reply, "+OK\r\n") : snprintf(reply, sizeof reply, "-ERR %s\r\n", error);
    put(c, reply, (size_t)n);
    c->client->flags &= ~(uint32_t)CLIENT_WAITING;
}

/* Runs the request that the reader holds. False when the connection must close. */
static bool run_request(struct server *s, struct connection *c, struct slice window)
{
    uint32_t argc = c->reader.argc;
    if (argc > c->argv_cap) {
        free(c->argv);
        c->argv = malloc(argc * sizeof *c->argv);
        c->argv_cap = argc;
    }
    for (uint32_t i = 0; i < argc; i++)
        c->argv[i] = resp_arg(&c->reader, window, i);
    struct engine *e = s->engine;
    e->client = c->client;
    if (s->interleaved && must_wait(s, c, (int)argc))
        return true;
    engine_argv(e, (int)argc, c->argv);
    if (e->result == CMD_LONG) {
        turns_long(&s->turns, make_job(s, c, (int)argc));
        return true;
    }
    if (e->result == CMD_BLOCK) {
        block(s, c);
        return true;
    }
    if (e->result == CMD_WAIT)
        control(s, c);
    else
        put(c, e->reply, e->reply_len);
    serve_keys(s);
    return !(c->client->flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_KILLED));
}

/* Runs what the window begins with, if it goes in rows as in a worker. Returns how many bytes. */
static size_t run_row(struct server *s, struct connection *c, struct slice window)
{
    if (s->interleaved || c->reader.state != RESP_STATE_START || c->reader.scanned)
        return 0;
    s->engine->client = c->client;
    size_t used = engine_row(s->engine, window);
    put(c, s->engine->reply, s->engine->reply_len);
    if (used)
        serve_keys(s);
    return used;
}

/* Runs every complete request of the input. False when the connection must close. */
static bool run_requests(struct server *s, struct connection *c)
{
    struct resp_limits limits = {
        .max_bulk = s->engine->conf->proto_max_bulk_len, .max_args = 1024 * 1024, .max_inline = 65536};
    struct slice window = {c->in, c->len};
    enum resp_result got = RESP_MORE;
    size_t used = 0, need = 0;
    bool ok = true;
    while (ok && window.len && !c->job) {
        if (!(used = run_row(s, c, window))) {
            got = resp_read(&c->reader, &limits, window, &used, &need);
            if (got != RESP_REQUEST)
                break;
            ok = c->reader.argc == 0 || run_request(s, c, window);
        }
        window.p += used;
        window.len -= used;
    }
    if (ok && got == RESP_ERROR) {
        char text[128];
        int n = snprintf(text, sizeof text, "-%s\r\n", c->reader.error);
        put(c, text, (size_t)n);
    }
    memmove(c->in, window.p, window.len);
    c->len = window.len;
    ok = flush(c) && ok;
    return ok && got != RESP_ERROR && got != RESP_NOMEM;
}

static bool readable(struct server *s, struct connection *c)
{
    if (c->cap - c->len < READ_SIZE) {
        c->cap = c->cap * 2 + READ_SIZE;
        c->in = realloc(c->in, c->cap);
    }
    ssize_t n = recv(c->fd, c->in + c->len, c->cap - c->len, 0);
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    return run_requests(s, c);
}

/* CLIENT KILL and ACL DELUSER end others. */
static void end_killed(struct server *s)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (s->connection[i].fd >= 0 && s->connection[i].client->flags & CLIENT_KILLED)
            hang_up(s, i);
}

static void resume(struct server *s)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        while (s->connection[i].fd >= 0 && s->connection[i].resumed) {
            s->connection[i].resumed = false;
            if (!run_requests(s, &s->connection[i]))
                hang_up(s, i);
        }
}

static void serve(struct server *s)
{
    while (!stopped) {
        poll(s->poll, CONNECTIONS + 1, s->turns.jobs ? 0 : s->blocking.timers ? TIMERS_MS : UPKEEP_MS);
        set_time(s->engine);
        block_timers(&s->blocking);
        if (s->interleaved)
            take_turns(s);
        serve_keys(s);
        for (unsigned i = 0; i < CONNECTIONS; i++)
            if (s->connection[i].fd >= 0 && s->poll[i].revents && !readable(s, &s->connection[i]))
                hang_up(s, i);
        resume(s);
        end_killed(s);
        if (s->poll[CONNECTIONS].revents)
            welcome(s);
        for (unsigned i = 0; i < s->engine->env.ks->shards; i++)
            shard_upkeep(s->engine->env.ks->shard[i], UPKEEP_BUDGET);
    }
}

static struct engine *make_engine(int argc, char **argv)
{
    char directives[4096] = "arena-size 512mb\n";
    for (int i = 2; i < argc; i++) {
        size_t at = strlen(directives);
        snprintf(directives + at, sizeof directives - at, "%s\n", argv[i]);
    }
    struct engine *e = engine_new(directives);
    if (e)
        e->clients[0].flags |= CLIENT_KILLED; /* engine_new's own client is nobody here */
    return e;
}

int main(int argc, char **argv)
{
    struct server s = {.engine = argc > 1 ? make_engine(argc, argv) : NULL};
    if (!s.engine) {
        fprintf(stderr, "usage: engine_server PORT [\"directive value\" ...]\n");
        return 2;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    signal(SIGPIPE, SIG_IGN);
    s.engine->chunk = 4096;
    s.box = *s.engine->env.box;
    s.box.unblock = unblock;
    s.box.blocked_now = blocked_now;
    s.engine->env.box = &s.box;
    blocking_init(&s.blocking, &s.engine->env, true, UINT64_MAX);
    if (getenv("ENGINE_INTERLEAVED") && !interleave(&s))
        return 2;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        s.connection[i].fd = -1;
        s.poll[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    }
    s.poll[CONNECTIONS] = (struct pollfd){.fd = listen_on((uint16_t)atoi(argv[1])), .events = POLLIN};
    printf("ready %s\n", argv[1]);
    fflush(stdout);
    serve(&s);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (s.connection[i].fd >= 0)
            hang_up(&s, i);
    close(s.poll[CONNECTIONS].fd);
    if (s.interleaved) {
        turns_end(&s.turns);
        take_turns(&s);
        turns_free(&s.turns);
    }
    blocking_free(&s.blocking);
    engine_free(s.engine);
    return 0;
}
