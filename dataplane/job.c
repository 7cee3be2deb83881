/* job.c: requests on their way between workers. */
#include "job.h"

#include "command/acl.h"
#include "command/transaction.h"
#include "session.h"

#include <stdlib.h>

static bool job_room(struct job *j, size_t more)
{
    if (j->reply_cap - j->reply_len >= more)
        return true;
    size_t cap = j->reply_cap ? j->reply_cap * 2 : 512;
    while (cap - j->reply_len < more)
        cap *= 2;
    uint8_t *p = realloc(j->reply, cap);
    if (!p)
        return false;
    j->reply = p;
    j->reply_cap = cap;
    return true;
}

static void job_window(struct job *j)
{
    j->out.start = j->out.cur = j->reply + j->reply_len;
    j->out.end = j->reply + j->reply_cap;
}

static void job_settle(struct job *j)
{
    size_t n = (size_t)(j->out.cur - j->out.start);
    if (j->chunk_last) {
        j->chunk_last->len += (uint32_t)n;
        j->chunk_bytes += n;
    } else {
        j->reply_len += n;
    }
    j->out.start = j->out.cur;
}

struct out_chunk *out_chunk_new(uint32_t cap)
{
    struct out_chunk *c = malloc(sizeof *c + cap);
    if (c)
        *c = (struct out_chunk){.cap = cap};
    return c;
}

/* The next chunk of a reply that is not copied any more. */
static bool job_chunk(struct job *j)
{
    struct out_chunk *c = j->chunk_bytes <= j->reply_max ? out_chunk_new(OUT_CHUNK_BYTES) : NULL;
    if (!c)
        return false;
    if (j->chunk_last)
        j->chunk_last->next = c;
    else
        j->chunk_first = c;
    j->chunk_last = c;
    j->out.start = j->out.cur = c->data;
    j->out.end = c->data + c->cap;
    return true;
}

static bool job_grow(struct resp_writer *w)
{
    struct job *j = (struct job *)((char *)w - offsetof(struct job, out));
    job_settle(j);
    if (j->rq.turn) { /* so many bytes take time */
        j->rq.turn->left = 1;
        turn_take(j->rq.turn);
    }
    if (j->streams)
        return job_chunk(j);
    bool ok = j->reply_len <= j->reply_max && job_room(j, 1);
    if (ok)
        job_window(j);
    return ok;
}

static const struct resp_sink job_sink = {job_grow};

/* A table of slices and behind it their bytes, and `more` bytes at *rest. NULL if out of memory. */
static struct slice *copy_args(int argc, const struct slice *argv, size_t more, uint8_t **rest)
{
    size_t bytes = more, table = (size_t)argc * sizeof(struct slice);
    for (int i = 0; i < argc; i++)
        bytes += argv[i].len;
    uint8_t *copy = malloc(table + bytes + 1);
    struct slice *made = (struct slice *)(void *)copy;
    if (!copy)
        return NULL;
    copy += table;
    for (int i = 0; i < argc; i++) {
        if (argv[i].len)
            memcpy(copy, argv[i].p, argv[i].len);
        made[i] = (struct slice){copy, argv[i].len};
        copy += argv[i].len;
    }
    *rest = copy;
    return made;
}

static void job_begin(struct job *j, enum job_kind kind, unsigned home, const struct client *client)
{
    j->kind = kind;
    j->home = home;
    j->client = *client;
    j->client.flags |= CLIENT_PROXY;
    acl_user_hold(j->client.user);
    j->client.name = j->client.lib_name = j->client.lib_ver = NULL;
    j->client.certified = NULL;
    j->client.transaction = NULL;
    j->client.subscriber = NULL;
    j->client.tracker = NULL;
    j->client.measured = NULL;
    j->reply_max = SIZE_MAX;
}

struct job *job_new(enum job_kind kind, unsigned home, const struct client *client, int argc,
                    const struct slice *argv)
{
    size_t name = client->name ? strlen(client->name) + 1 : 0;
    uint8_t *rest = NULL;
    struct job *j = calloc(1, sizeof *j);
    struct slice *copy = copy_args(argc, argv, name, &rest);
    if (!j || !copy) {
        free(j);
        free(copy);
        return NULL;
    }
    job_begin(j, kind, home, client);
    j->argv = copy;
    if (client->name)
        j->client.name = memcpy(rest, client->name, name);
    j->rq.argc = argc;
    return j;
}

struct job *job_with_room(struct job **kept, enum job_kind kind, unsigned home, const struct client *client)
{
    struct job *j = *kept;
    if (j) {
        *kept = j->next;
        uint8_t *room = j->room, *reply = j->reply;
        size_t cap = j->reply_cap;
        memset(j, 0, sizeof *j);
        j->room = room;
        j->reply = reply;
        j->reply_cap = cap;
    } else if ((j = calloc(1, sizeof *j)) && !(j->room = malloc(JOB_ROOM))) {
        free(j);
        j = NULL;
    }
    if (j)
        job_begin(j, kind, home, client);
    return j;
}

/* Arguments of a job with room are there, or have been replaced by others. */
static bool apart(const struct job *j, const struct slice *argv)
{
    return !j->room || (uintptr_t)argv - (uintptr_t)j->room >= JOB_ROOM;
}

bool job_empty(struct job *j)
{
    bool more = !j->room || apart(j, j->argv) || j->client.transaction || j->watch || j->query || j->copied || j->wait.node ||
                j->seat.pin || j->inspection || j->load || j->behind || j->chunk_first || j->reply_cap > JOB_REPLY_KEPT;
    if (more)
        return false;
    acl_user_drop(j->client.user);
    j->client.user = NULL;
    return true;
}

void job_next(struct job *j)
{
    const struct carried *c = &j->carried[j->begun++];
    j->argv += j->rq.argc;
    j->rq.cmd = c->cmd;
    j->rq.argc = c->argc;
    j->rq.argv = j->argv;
    j->rq.key = (struct key){j->argv[c->key], c->hash};
}

struct job *job_new_with(enum job_kind kind, unsigned home, const struct client *client, int argc,
                         struct slice *argv, uint8_t *query)
{
    struct job *j = job_new(kind, home, client, 0, NULL);
    if (!j)
        return NULL;
    j->copied = (uint8_t *)j->argv;
    j->query = query;
    j->argv = argv;
    j->rq.argc = argc;
    return j;
}

struct job *job_new_notes(enum job_kind kind, unsigned home, unsigned to, uint8_t *notes, size_t len)
{
    static const struct client nobody;
    struct job *j = job_new(kind, home, &nobody, 0, NULL);
    if (!j)
        return NULL;
    j->query = notes;
    j->notes = len;
    j->rq.shard = to;
    return j;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    transaction_drop(&j->client);
    acl_user_drop(j->client.user);
    watch_drop(j->watch);
    if (apart(j, j->argv))
        free(j->argv);
    free(j->room);
    free(j->query);
    free(j->copied);
    free(j->wait.node);
    free(j->seat.pin);
    free(j->inspection);
    free(j->load);
    free(j->behind);
    free(j->reply);
    for (struct out_chunk *chunk = j->chunk_first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(j);
}

void job_append(struct job **first, struct job **last, struct job *j)
{
    j->next = NULL;
    if (*last)
        (*last)->next = j;
    else
        *first = j;
    *last = j;
}

void job_prepare(struct job *j, struct command_env *env)
{
    command_prepare(&j->rq, env, &j->client, j->rq.argc, j->argv);
}

bool job_replace(struct job *j, int at, int n, const struct slice *with)
{
    size_t name = j->client.name ? strlen(j->client.name) + 1 : 0;
    uint8_t *rest;
    struct slice *old = j->argv, *made = malloc((size_t)j->rq.argc * sizeof *made);
    if (!made)
        return false;
    memcpy(made, old, (size_t)j->rq.argc * sizeof *made);
    memcpy(made + at, with, (size_t)n * sizeof *made);
    j->argv = copy_args(j->rq.argc, made, name, &rest);
    free(made);
    if (!j->argv) {
        j->argv = old;
        return false;
    }
    if (name)
        j->client.name = memcpy(rest, j->client.name, name);
    if (apart(j, old))
        free(old);
    return true;
}

bool job_is_outdated(const struct job *j, const struct command_env *env)
{
    return j->users_seen != acl_changes(env->acl);
}

/* Users have changed while it was on its way, or waited. False: its client's is no more. */
static __attribute__((noinline)) bool catch_up(struct job *j, const struct command_env *env)
{
    if (!acl_catch_up(env, j->rq.client))
        return false;
    j->users_seen = acl_changes(env->acl);
    return true;
}

enum command_result job_run(struct job *j, struct command_env *env)
{
    j->rq.env = env;
    if (__builtin_expect(job_is_outdated(j, env), 0) && !catch_up(j, env)) {
        job_refuse(j, "NOAUTH Authentication required.");
        return CMD_DONE;
    }
    enum command_result result = command_execute(&j->rq, job_write_begin(j));
    job_write_end(j);
    j->done = result != CMD_BLOCK && result != CMD_LONG && result != CMD_ELSEWHERE;
    j->silent |= !j->done && j->rq.out != j->rq.wire;
    return result;
}

void job_busy(struct job *j, struct command_env *env, const char *busy)
{
    j->rq.env = env;
    command_refuse(&j->rq, job_write_begin(j), busy);
    job_write_end(j);
    j->done = true;
}

struct resp_writer *job_write_begin(struct job *j)
{
    resp_writer_init(&j->out, &job_sink, j->client.proto);
    if (!j->streams) {
        job_room(j, 1);
        job_window(j);
    } else if (!j->chunk_last && !job_chunk(j)) {
        j->out.failed = true;
    }
    return &j->out;
}

void job_write_end(struct job *j)
{
    job_settle(j);
}

void job_wrap(struct job *j, struct slice before, struct slice after)
{
    if (!job_room(j, before.len + after.len)) {
        j->out.failed = true;
        return;
    }
    memmove(j->reply + before.len, j->reply, j->reply_len);
    memcpy(j->reply, before.p, before.len);
    memcpy(j->reply + before.len + j->reply_len, after.p, after.len);
    j->reply_len += before.len + after.len;
}

void job_refuse(struct job *j, const char *text)
{
    if (!j->silent && !(j->client.flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP))) {
        reply_error(job_write_begin(j), text);
        job_write_end(j);
    }
    j->done = true;
}

void job_set_reply(struct job *j, struct slice resp)
{
    j->reply_len = 0;
    j->done = true;
    j->out.failed = !job_room(j, resp.len + 1);
    if (j->out.failed)
        return;
    memcpy(j->reply, resp.p, resp.len);
    j->reply_len = resp.len;
}

struct slice job_reply(const struct job *j)
{
    return (struct slice){j->reply, j->reply_len};
}
