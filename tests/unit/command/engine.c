/* engine.c: the command layer in process, for tests. */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "command/acl.h"
#include "command/row.h"
#include "command/transaction.h"
#include "base/coroutine.h"
#include "resp/reader.h"
#include "store/waits.h"
#include "script/script.h"

enum { MAX_PAIRS = 64, MAX_ARGS = 4096 };

/* -- the box -- */

static struct engine *engine_of(struct command_env *env)
{
    return env->worker;
}

static void each_client(struct command_env *env, struct turn *turn, void (*fn)(struct client *c, void *arg),
                        void *arg)
{
    (void)turn;
    struct engine *e = engine_of(env);
    for (unsigned i = 0; i < e->nclients; i++)
        if (!(e->clients[i].flags & CLIENT_KILLED))
            fn(&e->clients[i], arg);
}

static uint64_t counter_sum(struct command_env *env, enum counter which)
{
    return env->counters->v[which];
}

static void stats_sum(struct command_env *env, unsigned id, struct command_stats *out)
{
    *out = env->stats[id];
}

static void reset_stats(struct command_env *env)
{
    struct engine *e = engine_of(env);
    memset(&e->counters, 0, sizeof e->counters);
    memset(e->stats, 0, command_ids() * sizeof *e->stats);
    e->errors = 0;
}

static bool ask_control(struct command_env *env, struct client *c, int argc, const struct slice *argv)
{
    struct engine *e = engine_of(env);
    (void)c;
    size_t at = 0;
    for (int i = 0; i < argc && at + argv[i].len + 2 < sizeof e->asked; i++) {
        if (i)
            e->asked[at++] = ' ';
        memcpy(e->asked + at, argv[i].p, argv[i].len);
        at += argv[i].len;
    }
    e->asked[at] = 0;
    return e->control;
}

static const char *fact(struct command_env *env, const char *name)
{
    (void)env;
    return strcmp(name, "config_file") == 0 ? "/etc/sluice/sluice.conf" : NULL;
}

static void error_seen(struct command_env *env, const char *code)
{
    struct engine *e = engine_of(env);
    for (unsigned i = 0; i < 16; i++) {
        if (i == e->errors) {
            snprintf(e->error[i].code, sizeof e->error[i].code, "%s", code);
            e->error[i].count = 0;
            e->errors++;
        }
        if (strcmp(e->error[i].code, code) == 0) {
            e->error[i].count++;
            return;
        }
    }
}

static void each_error(struct command_env *env, void (*fn)(const char *code, uint64_t count, void *arg),
                       void *arg)
{
    struct engine *e = engine_of(env);
    for (unsigned i = 0; i < e->errors; i++)
        fn(e->error[i].code, e->error[i].count, arg);
}

static uint64_t clients_now(struct command_env *env)
{
    return engine_of(env)->nclients;
}

static void stall(struct command_env *env, uint64_t usec)
{
    engine_of(env)->stalled_us += usec;
}

static const struct box_ops box = {.each_client = each_client,
                                   .counter_sum = counter_sum,
                                   .stats_sum = stats_sum,
                                   .reset_stats = reset_stats,
                                   .ask_control = ask_control,
                                   .fact = fact,
                                   .error_seen = error_seen,
                                   .each_error = each_error,
                                   .clients_now = clients_now,
                                   .stall = stall};

/* -- making one -- */

/* Defaults first: config_text gives the first occurrence, so a caller's directive must replace, not follow.
 */
static unsigned add_pair(struct config_pair *pairs, unsigned n, const char *name, const char *value)
{
    bool several = strcmp(name, "user") == 0 || strcmp(name, "rename-command") == 0;
    for (unsigned i = 0; i < n && !several; i++)
        if (strcmp(pairs[i].name, name) == 0) {
            pairs[i].value = value;
            return n;
        }
    if (n < MAX_PAIRS)
        pairs[n++] = (struct config_pair){name, value};
    return n;
}

static struct config *make_config(const char *directives)
{
    struct config_pair pairs[MAX_PAIRS];
    unsigned n = 0;
    n = add_pair(pairs, n, "workers", "1");
    n = add_pair(pairs, n, "databases", "16");
    n = add_pair(pairs, n, "arena-size", "64mb");
    n = add_pair(pairs, n, "hugepages", "no");
    char *text = strdup(directives ? directives : ""), *next = text, *line;
    while (text && (line = strsep(&next, "\n"))) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value++ = 0;
        n = add_pair(pairs, n, line, value);
    }
    char error[256] = "";
    struct config *conf = config_build(1, pairs, n, error, sizeof error);
    if (!conf)
        printf("# engine: %s\n", error);
    free(text);
    return conf;
}

/* With the names that the directives rename-command give. */
static bool make_table(const struct config *conf, char *error, size_t size)
{
    enum { MOST = 64 };
    char word[MOST][2][64];
    const char *rename[2 * MOST + 1] = {NULL};
    unsigned n = 0;
    for (unsigned i = 0; i < conf->pairs && n < MOST; i++) {
        if (strcmp(conf->pair[i].name, "rename-command") != 0)
            continue;
        word[n][1][0] = 0;
        if (sscanf(conf->pair[i].value, "%63s %63[^\"]", word[n][0], word[n][1]) < 1)
            continue;
        rename[2 * n] = word[n][0];
        rename[2 * n + 1] = word[n][1];
        n++;
    }
    return command_table_init(n ? rename : NULL, error, size);
}

static bool make_env(struct engine *e)
{
    char error[256] = "";
    if (!e->conf || !make_table(e->conf, error, sizeof error)) {
        printf("# engine: %s\n", error);
        return false;
    }
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        e->counter_list[i] = &e->counters;
    int node[CONFIG_WORKERS];
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        node[i] = -1;
    struct keyspace *ks = keyspace_new(e->conf, node, 42, e->counter_list, error, sizeof error);
    e->stats = calloc(command_ids() + 1, sizeof *e->stats);
    if (!ks || !e->stats) {
        printf("# engine: %s\n", error);
        return false;
    }
    e->env = (struct command_env){.ks = ks,
                                  .workers = e->conf->workers,
                                  .conf = e->conf,
                                  .counters = &e->counters,
                                  .stats = e->stats,
                                  .debug = &e->debug,
                                  .now_ms = 1700000000000,
                                  .now_us = 1000000000,
                                  .start_ms = 1700000000000,
                                  .run_id = "0123456789abcdef0123456789abcdef01234567",
                                  .random = 1,
                                  .box = &box,
                                  .scripts = scripts_new(),
                                  .acl = acl_new(e->conf, error, sizeof error),
                                  .row_last = &e->row_last,
                                  .worker = e};
    if (!e->env.acl) {
        printf("# engine: %s\n", error);
        return false;
    }
    e->env.turns =
        getenv("ENGINE_SLICES") != NULL; /* each long command in slices, and each that could be is long */
    for (unsigned i = 0; i < ks->shards; i++) {
        shard_configure(ks->shard[i], e->conf);
        shard_set_time(ks->shard[i], e->env.now_ms);
    }
    return true;
}

struct engine *engine_new(const char *directives)
{
    struct engine *e = calloc(1, sizeof *e);
    e->conf = make_config(directives);
    e->chunk = 64;
    e->control = true;
    if (!make_env(e)) {
        CU_FAIL("no engine");
        engine_free(e);
        return NULL;
    }
    e->client = engine_connect(e);
    return e;
}

void engine_free(struct engine *e)
{
    for (unsigned i = 0; i < e->nclients; i++) {
        transaction_end(&e->env, &e->clients[i]);
        client_release(&e->clients[i]);
    }
    script_host_free(e->env.script_host);
    script_host_free(e->env.function_host);
    scripts_free(e->env.scripts);
    acl_free(e->env.acl);
    if (e->env.ks)
        keyspace_free(e->env.ks);
    command_table_free();
    config_free(e->conf);
    free(e->stats);
    free(e->reply);
    free(e);
}

void engine_accept(struct engine *e, struct client *c, uint64_t id)
{
    bool view = e->conf->cluster_view == CLUSTER_VIEW_WORKERS;
    client_init(c, id, e->env.now_ms);
    ip_parse("127.0.77.1", &c->peer.ip);
    ip_parse("127.0.77.2", &c->local.ip);
    c->peer.port = (uint16_t)(50000 + id);
    c->local.port = view ? (uint16_t)(e->conf->cluster_view_port + e->env.self) : 6379;
    if (view)
        c->flags |= CLIENT_CLUSTER;
}

struct client *engine_connect(struct engine *e)
{
    struct client *c = &e->clients[e->nclients++];
    engine_accept(e, c, e->nclients);
    return c;
}

void engine_sleep(struct engine *e, uint64_t ms)
{
    e->env.now_ms += ms;
    e->env.now_us += ms * 1000;
    for (unsigned i = 0; i < e->env.ks->shards; i++)
        shard_set_time(e->env.ks->shard[i], e->env.now_ms);
}

/* -- talking -- */

struct engine_sink {
    struct resp_writer w;
    struct engine *e;
    uint8_t *chunk;
};

static void take_chunk(struct resp_writer *w)
{
    struct engine_sink *sink = (struct engine_sink *)w;
    struct engine *e = sink->e;
    size_t n = (size_t)(w->cur - w->start);
    if (e->reply_len + n + 1 > e->reply_cap) {
        e->reply_cap = (e->reply_len + n + 1) * 2;
        e->reply = realloc(e->reply, e->reply_cap);
    }
    if (n)
        memcpy(e->reply + e->reply_len, w->start, n);
    e->reply_len += n;
    e->reply[e->reply_len] = 0;
}

static bool grow(struct resp_writer *w)
{
    struct engine_sink *sink = (struct engine_sink *)w;
    take_chunk(w);
    free(sink->chunk); /* a fresh one each time: writes behind the end are found by ASan */
    sink->chunk = malloc(sink->e->chunk);
    w->start = w->cur = sink->chunk;
    w->end = sink->chunk + sink->e->chunk;
    return sink->chunk != NULL;
}

/* A command in slices: stops at each turn. */
struct sliced {
    struct turn turn;
    struct coroutine *co;
    struct engine *e;
    struct resp_writer *out;
};

static void give_way(struct turn *turn)
{
    turn->left = 1;
    coroutine_yield(((struct sliced *)turn)->co);
}

static void sliced_command(void *arg)
{
    struct sliced *s = arg;
    s->e->result = command_long(&s->e->request, s->out);
}

static void run_in_slices(struct engine *e, struct resp_writer *out)
{
    struct sliced s = {
        .turn = {.left = 1, .look = give_way}, .co = coroutine_new(1 << 20), .e = e, .out = out};
    struct keyspace *ks = e->env.ks;
    e->request.turn = &s.turn;
    for (unsigned i = 0; i < ks->shards; i++)
        shard_swap_turn(ks->shard[i], &(struct shard_turn){&s.turn, e->env.now_ms, {0}, 0});
    coroutine_begin(s.co, sliced_command, &s);
    while (coroutine_resume(s.co))
        e->slices++;
    for (unsigned i = 0; i < ks->shards; i++)
        shard_swap_turn(ks->shard[i], &(struct shard_turn){NULL, e->env.now_ms, {0}, 0});
    coroutine_free(s.co);
    e->request.turn = NULL;
}

/* Every shard is here: what needs all of them has stopped whoever else there might be. */
static void execute(struct engine *e, struct resp_writer *out)
{
    e->env.stopped = e->request.route == ROUTE_ALL;
    e->result = command_execute(&e->request, out);
}

static void run_into(struct engine *e, struct resp_writer *out, int argc, const struct slice *argv)
{
    command_prepare(&e->request, &e->env, e->client, argc, argv);
    execute(e, out);
    while (e->result == CMD_ELSEWHERE || (e->result == CMD_LONG && !e->leaves_long)) {
        if (e->result == CMD_LONG)
            run_in_slices(e, out); /* a script may find that it needs all shards */
        else
            execute(e, out);
    }
    e->env.stopped = false;
}

static void run(struct engine *e, int argc, const struct slice *argv)
{
    static const struct resp_sink ops = {grow};
    struct engine_sink sink = {.e = e};
    resp_writer_init(&sink.w, &ops, e->client->proto);
    run_into(e, &sink.w, argc, argv);
    take_chunk(&sink.w);
    free(sink.chunk);
}

static void reply_text(struct engine *e, const char *text)
{
    static const struct resp_sink ops = {grow};
    struct engine_sink sink = {.e = e};
    resp_writer_init(&sink.w, &ops, e->client->proto);
    reply_error(&sink.w, text);
    take_chunk(&sink.w);
    free(sink.chunk);
}

static void clear_reply(struct engine *e)
{
    e->reply_len = 0;
    if (!e->reply)
        e->reply = malloc(e->reply_cap = 64);
    e->reply[0] = 0;
}

const char *engine_argv(struct engine *e, int argc, const struct slice *argv)
{
    clear_reply(e);
    run(e, argc, argv);
    return e->reply;
}

const char *engine_feed(struct engine *e, const void *bytes, size_t len)
{
    static const struct resp_limits limits = {
        .max_bulk = 512 << 20, .max_args = 1024 * 1024, .max_inline = 65536};
    struct resp_reader reader;
    struct slice *argv = malloc(MAX_ARGS * sizeof *argv);
    struct slice window = {bytes, len};
    clear_reply(e);
    resp_reader_init(&reader);
    while (window.len) {
        size_t used = 0, need = 0;
        enum resp_result got = resp_read(&reader, &limits, window, &used, &need);
        if (got != RESP_REQUEST) {
            if (got == RESP_ERROR)
                reply_text(e, reader.error);
            break;
        }
        uint32_t argc = reader.argc < MAX_ARGS ? reader.argc : MAX_ARGS;
        for (uint32_t i = 0; i < argc; i++)
            argv[i] = resp_arg(&reader, window, i);
        if (argc)
            run(e, (int)argc, argv);
        window.p += used;
        window.len -= used;
    }
    resp_reader_reset(&reader);
    free(argv);
    return e->reply;
}

size_t engine_row(struct engine *e, struct slice window)
{
    static const struct resp_sink ops = {grow};
    struct engine_sink sink = {.e = e};
    struct slice argv[AHEAD_ROW * ROW_ARGS];
    struct request rq[AHEAD_ROW];
    uint32_t end[AHEAD_ROW];
    struct ahead_row ahead;
    clear_reply(e);
    ahead_begin(&ahead);
    struct row_room room = {argv, AHEAD_ROW * ROW_ARGS, NULL};
    unsigned n = row_may(&e->env, e->client)
                     ? row_read(&e->env, e->client, window, &ahead, &room, rq, end, AHEAD_ROW)
                     : 0;
    if (n && e->peeks) {
        store_ahead_known(e->env.ks->shard[e->env.self], &ahead);
        row_peek(&e->env, e->client, (struct slice){window.p + end[n - 1], window.len - end[n - 1]});
    }
    resp_writer_init(&sink.w, &ops, e->client->proto);
    const struct waits *waits = shard_waits(e->env.ks->shard[e->env.self]);
    for (unsigned i = 0, done; i < n; i += done ? done : 1) {
        done = row_run(&e->env, e->client, &ahead, i, &rq[i], n - i, &sink.w);
        e->in_rows += done;
        if (done)
            continue;
        row_spread(&e->env, &ahead, i, &rq[i]);
        store_look_ahead(e->env.ks->shard[e->env.self], &ahead, i);
        e->env.ahead = &ahead.at[i];
        run_into(e, &sink.w, rq[i].argc, rq[i].argv);
        e->env.ahead = NULL;
        n = waits->nodes ? i + 1 : n; /* whoever waits for the key comes first */
    }
    take_chunk(&sink.w);
    free(sink.chunk);
    return n ? end[n - 1] : 0;
}

const char *engine_cmd(struct engine *e, const char *format, ...)
{
    va_list args;
    char *line = NULL;
    va_start(args, format);
    int n = vasprintf(&line, format, args);
    va_end(args);
    if (n < 0)
        abort();
    char *whole = NULL;
    n = asprintf(&whole, "%s\r\n", line);
    engine_feed(e, whole, (size_t)n);
    free(line);
    free(whole);
    return e->reply;
}

bool engine_same(const char *got, const char *want)
{
    if (got && strcmp(got, want) == 0)
        return true;
    printf("# got:  %s# want: %s", got ? got : "(none)\n", want);
    return false;
}

bool engine_starts(const char *got, const char *want)
{
    return (got && strncmp(got, want, strlen(want)) == 0) || engine_same(got, want);
}

bool engine_counts(struct engine *e, const char *command, uint64_t hits, uint64_t misses)
{
    uint64_t h = e->counters.v[COUNTER_keyspace_hits], m = e->counters.v[COUNTER_keyspace_misses];
    engine_cmd(e, "%s", command);
    h = e->counters.v[COUNTER_keyspace_hits] - h;
    m = e->counters.v[COUNTER_keyspace_misses] - m;
    if (h != hits || m != misses)
        printf("# %s: %d hits, %d misses\n", command, (int)h, (int)m);
    return h == hits && m == misses;
}
