/* worker_hop.c: requests with keys of one other worker's shard, on their way there. They go in a job that is used again
 * and again, as they were prepared, with a copy of their arguments; what a client has sent one behind the other for the
 * same worker goes as one job, so that a pipeline pays for a hop once a row and not once a request.
 *
 * Of such a row the session reads on only behind the first one, as if the others had not been read: the owner of their
 * shard runs them one by one and may leave off after any of them (one takes long or waits, something is to be delivered
 * first). How far it came it says by the job, and the session steps over so many. */
#include "worker.h"

#include "job.h"

enum { SPARE_JOBS = 64, ROW_REPLIES = 16384 };

bool worker_carries(const struct request *rq)
{
    enum { ALONE = CMD_BLOCKING | CMD_NOSCRIPT | CMD_REMOTE, ALONE_ACL = ACL_SCRIPTING | ACL_TRANSACTION };
    const struct command *cmd = rq->cmd;
    return cmd && !rq->bad_arity && rq->route == ROUTE_SHARD && cmd->key_kind <= COMMAND_KEY_FIRST &&
           !(cmd->flags & ALONE) && !(cmd->acl & ALONE_ACL);
}

/* -- to the owner
 * ------------------------------------------------------------------------------------------------------- */

static size_t room_for(const struct request *rq)
{
    size_t bytes = sizeof(struct carried) + (size_t)rq->argc * sizeof(struct slice);
    for (int i = 0; i < rq->argc; i++)
        bytes += rq->argv[i].len;
    return bytes;
}

/* How many requests of the batch, from the one at work on, go together; 0: not even that. *args of them all. */
static unsigned row_of(const struct worker *w, const struct session *s, unsigned *args)
{
    enum { UNUSUAL = CLIENT_UNUSUAL | CLIENT_REPLY_SKIP_NEXT | CLIENT_TRACKS };
    const struct batch *b = &w->batch;
    size_t name = s->client.name ? strlen(s->client.name) + 1 : 0, left = JOB_ROOM - name, more;
    bool alone = s->client.flags & UNUSUAL || w->paused || !worker_carries(&b->rq[b->at]);
    unsigned n = 0;
    *args = 0;
    for (unsigned i = b->at; i < b->n && (n == 0 || b->behind >> i & 1); i++, n++) {
        if ((n && alone) || (more = room_for(&b->rq[i])) > left)
            break;
        left -= more;
        *args += (unsigned)b->rq[i].argc;
    }
    return n;
}

/* Copies the arguments; returns which of them is the key (0: none). */
static unsigned copy_request(const struct request *rq, struct slice *argv, uint8_t **bytes)
{
    uint8_t *to = *bytes;
    unsigned key = 0;
    for (int i = 0; i < rq->argc; i++) {
        const struct slice a = rq->argv[i];
        argv[i] = (struct slice){to, a.len};
        if (a.len)
            memcpy(to, a.p, a.len);
        to += a.len;
        if (!key && a.p == rq->key.name.p && a.len == rq->key.name.len)
            key = (unsigned)i;
    }
    *bytes = to;
    return key;
}

/* Puts n requests of the batch into the job's room: slices, what is carried, and the bytes behind them. */
static void load(struct job *j, const struct batch *b, unsigned n, unsigned args, const char *name)
{
    struct slice *argv = j->argv = (struct slice *)(void *)j->room;
    struct carried *carried = j->carried = (struct carried *)(void *)(argv + args);
    uint8_t *bytes = (uint8_t *)(carried + n);
    const struct request *first = &b->rq[b->at];
    const struct mark from = b->after[b->at];
    for (unsigned i = 0; i < n; i++) {
        const struct request *rq = first + i;
        const struct mark at = b->after[b->at + i];
        unsigned key = copy_request(rq, argv, &bytes);
        carried[i] = (struct carried){rq->cmd, rq->key.hash, (uint16_t)rq->argc, (uint16_t)key,
                                      (uint32_t)(at.rx_off - from.rx_off), (uint32_t)(at.query_off - from.query_off)};
        argv += rq->argc;
    }
    if (name)
        j->client.name = memcpy(bytes, name, strlen(name) + 1);
    j->rq.client = &j->client;
    j->rq.route = ROUTE_SHARD;
    j->rq.shard = first->shard;
    j->requests = n;
    job_next(j);
}

bool worker_hop(struct worker *w, struct session *s, const struct request *rq)
{
    unsigned args, n = rq->cmd && !rq->bad_arity && !worker_lends(rq->cmd) ? row_of(w, s, &args) : 0;
    struct job *j = n ? job_with_room(&w->spare_jobs, JOB_HOP, w->id, &s->client) : NULL;
    if (!j)
        return worker_defer(w, s, rq);
    w->spares -= w->spares > 0;
    j->rq.env = &w->env;
    load(j, &w->batch, n, args, s->client.name);
    worker_expects(w, s, j);
    worker_send_job(w, j);
    return true;
}

/* -- there
 * --------------------------------------------------------------------------------------------------------- */

/* May the next one of a row run at once? If not it comes again, behind the replies so far. */
static bool goes_on(const struct worker *w, const struct job *j)
{
    return j->begun < j->requests && !j->out.failed && !w->due && !w->paused && !turns_any(&w->turns) &&
           j->reply_len < ROW_REPLIES;
}

/* Asks for the memory that the row's keys need. */
static void look_ahead(const struct worker *w, const struct job *j, struct ahead_row *row)
{
    const struct shard *shard = w->env.ks->shard[w->id];
    ahead_begin(row);
    for (unsigned i = 0; i < j->requests; i++)
        store_ahead(shard, row, j->client.db, j->carried[i].hash);
}

static bool run_row(struct worker *w, struct job *j)
{
    const struct shard *shard = w->env.ks->shard[w->id];
    struct ahead_row row;
    bool done;
    look_ahead(w, j, &row);
    for (;;) {
        unsigned at = j->begun - 1;
        store_look_ahead(shard, &row, at);
        w->env.ahead = &row.at[at];
        done = worker_run_job(w, j);
        w->env.ahead = NULL;
        if (!done || !goes_on(w, j))
            return done;
        job_next(j);
    }
}

bool worker_run_row(struct worker *w, struct job *j)
{
    return j->requests > 1 ? run_row(w, j) : worker_run_job(w, j);
}

/* -- and back
 * ------------------------------------------------------------------------------------------------------ */

void worker_step(struct session *s, const struct job *j)
{
    const struct carried *last = &j->carried[j->begun - 1];
    s->rx_off += last->rx;
    s->query_off += last->query;
    s->client.last_command = last->cmd;
    session_consumed(s);
}

void worker_keep_job(struct worker *w, struct job *j)
{
    if (j->home == w->id && w->spares < SPARE_JOBS && job_empty(j)) {
        j->next = w->spare_jobs;
        w->spare_jobs = j;
        w->spares++;
    } else {
        job_free(j);
    }
}
