/* load_log.c: commands of an append-only log that is loaded (load.h): run one after the other with all other workers stopped, as
 * redis-server runs them: nothing expires meanwhile, since the log says when something did, and nobody is asked for room. */
#include "load.h"

#include "channel/messages.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

struct log_run {
    struct command_env *env;
    struct client client;
    struct slice *argv;
    int room;
    const uint8_t *p, *end;
};

/* "*3\r\n": control has checked it; here it only must not lead outside. */
static bool read_count(struct log_run *l, char kind, size_t *n)
{
    *n = 0;
    if (l->p == l->end || *l->p++ != kind)
        return false;
    for (; l->p < l->end && *l->p != '\r'; l->p++) {
        if (*l->p < '0' || *l->p > '9' || *n > (1u << 30))
            return false;
        *n = *n * 10 + (size_t)(*l->p - '0');
    }
    if (l->end - l->p < 2)
        return false;
    l->p += 2;
    return true;
}

/* The next command's arguments; 0: there is none, or none that can be read. */
static int read_command(struct log_run *l)
{
    size_t argc, len;
    if (!read_count(l, '*', &argc) || argc == 0 || argc > (size_t)(l->end - l->p))
        return 0;
    if ((int)argc > l->room) {
        struct slice *more = realloc(l->argv, argc * sizeof *more);
        if (!more)
            return 0;
        l->argv = more;
        l->room = (int)argc;
    }
    for (size_t i = 0; i < argc; i++) {
        if (!read_count(l, '$', &len) || (size_t)(l->end - l->p) < len + 2)
            return 0;
        l->argv[i] = (struct slice){l->p, len};
        l->p += len + 2;
    }
    return (int)argc;
}

static bool run_one(struct log_run *l, int argc, struct load_batch *b)
{
    struct request rq;
    struct resp_writer nowhere;
    command_prepare(&rq, l->env, &l->client, argc, l->argv);
    if (!rq.cmd || rq.bad_arity) {
        snprintf(b->why, sizeof b->why, "the log has a command that is unknown here, or has a wrong number of arguments: '%.*s', before "
                 "byte %llu", (int)(l->argv[0].len < 64 ? l->argv[0].len : 64), (const char *)l->argv[0].p,
                 (unsigned long long)b->at);
        return false;
    }
    if (l->env->workers > 1)
        rq.route = ROUTE_ALL;
    resp_writer_discard(&nowhere, 2);
    command_nested(&rq, &nowhere);
    bool oom = nowhere.errors && strncmp(nowhere.last_error, "OOM", 3) == 0;
    b->failed += nowhere.errors;
    if (oom)
        snprintf(b->why, sizeof b->why, "there is no memory for what the log says before byte %llu; raise `maxmemory`",
                 (unsigned long long)b->at);
    return !oom;
}

void load_run_log(struct command_env *env, struct load_batch *b)
{
    const struct keyspace *ks = env->ks;
    struct log_run l = {.env = env, .p = b->bytes, .end = b->bytes + b->len};
    struct shard_turn turn[CONFIG_WORKERS];
    uint64_t now_ms = env->now_ms;
    int argc = 1;
    client_init(&l.client, 0, now_ms);
    l.client.flags |= CLIENT_AUTHENTICATED | CLIENT_INTERNAL | CLIENT_DENY_BLOCKING;
    l.client.db = (uint16_t)b->db;
    env->now_ms = now_ms - LOAD_BEFORE_MS;
    for (unsigned i = 0; i < ks->shards; i++) {
        turn[i] = (struct shard_turn){.now_ms = env->now_ms};
        shard_swap_turn(ks->shard[i], &turn[i]);
    }
    while (l.p < l.end && (argc = read_command(&l)) && run_one(&l, argc, b))
        ;
    if (!argc)
        snprintf(b->why, sizeof b->why, "the log cannot be read before byte %llu", (unsigned long long)b->at);
    for (unsigned i = 0; i < ks->shards; i++)
        shard_swap_turn(ks->shard[i], &turn[i]);
    env->now_ms = now_ms;
    b->db = l.client.db;
    client_release(&l.client);
    free(l.argv);
}
