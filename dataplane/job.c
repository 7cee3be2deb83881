/* job.c: requests on their way between workers. */
#include "job.h"

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
    j->reply_len += (size_t)(j->out.cur - j->out.start);
    j->out.start = j->out.cur;
}

static bool job_grow(struct resp_writer *w)
{
    struct job *j = (struct job *)((char *)w - offsetof(struct job, out));
    job_settle(j);
    bool ok = j->reply_len <= j->reply_max && job_room(j, 2 * RESP_CHUNK_MIN);
    if (ok)
        job_window(j);
    return ok;
}

static const struct resp_sink job_sink = {job_grow};

struct job *job_new(enum job_kind kind, unsigned home, const struct client *client, int argc,
                    const struct slice *argv)
{
    size_t name = client->name ? strlen(client->name) : 0, bytes = 0;
    for (int i = 0; i < argc; i++)
        bytes += argv[i].len;
    size_t table = (size_t)argc * sizeof(struct slice);
    struct job *j = calloc(1, sizeof *j);
    uint8_t *copy = malloc(table + bytes + name + 1);
    if (!j || !copy) {
        free(j);
        free(copy);
        return NULL;
    }
    j->kind = kind;
    j->home = home;
    j->client = *client;
    j->client.flags |= CLIENT_PROXY;
    j->client.lib_name = j->client.lib_ver = NULL;
    j->argv = (struct slice *)(void *)copy;
    copy += table;
    for (int i = 0; i < argc; i++) {
        if (argv[i].len)
            memcpy(copy, argv[i].p, argv[i].len);
        j->argv[i] = (struct slice){copy, argv[i].len};
        copy += argv[i].len;
    }
    if (client->name)
        j->client.name = memcpy(copy, client->name, name + 1);
    j->rq.argc = argc;
    j->reply_max = SIZE_MAX;
    return j;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    free(j->argv);
    free(j->inspection);
    free(j->reply);
    free(j);
}

void job_prepare(struct job *j, struct command_env *env)
{
    command_prepare(&j->rq, env, &j->client, j->rq.argc, j->argv);
}

void job_run(struct job *j, struct command_env *env)
{
    j->rq.env = env;
    command_execute(&j->rq, job_write_begin(j));
    job_write_end(j);
    j->done = true;
}

struct resp_writer *job_write_begin(struct job *j)
{
    resp_writer_init(&j->out, &job_sink, j->client.proto);
    job_room(j, 2 * RESP_CHUNK_MIN);
    job_window(j);
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
