/* capture.c: phases of a capture. Only as many bytes are let out of the dataplane as the client has read
 * (MSG_CAPTURE_MORE): what waits, waits in the dataplane's bounded rings, and is dropped and counted there.
 *
 *     IDLE -> COMPILING -> STARTING -> RUNNING -> ENDING -> IDLE
 *
 * ENDING: the dataplane has been told to stop, or nobody wants what it sends; MSG_CAPTURE_ENDED comes last.
 */
#include "control/capture.h"
#include "control/api.h"
#include "control/filter.h"
#include "control/log.h"
#include "control/pcapng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_BYTES = 256 << 10, ANSWER_SECONDS = 5, DURATION_MAX = 365 * 86400, MESSAGE_HEAD = 9 };

enum phase { IDLE, COMPILING, STARTING, RUNNING, ENDING };

struct capture {
    struct event_base *base;
    struct link *link;
    enum phase phase;
    uint64_t id;
    struct call *call; /* NULL: its client has gone */
    struct filter *filter;
    struct event *timer; /* for an answer, or for the end */
    char *expression, *name;
    uint32_t snaplen, seconds;
    uint64_t count, start_ns, delivered;
    uint64_t owed; /* bytes that the client has been given since the last MSG_CAPTURE_MORE */
    uint8_t directions;
    bool by_time; /* the duration was reached */
};

static uint64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void arm(struct capture *k, unsigned seconds)
{
    const struct timeval wait = {.tv_sec = (time_t)seconds};
    evtimer_del(k->timer);
    if (seconds)
        evtimer_add(k->timer, &wait);
}

static void become_idle(struct capture *k)
{
    filter_cancel(k->filter);
    free(k->expression);
    free(k->name);
    k->filter = NULL;
    k->expression = k->name = NULL;
    k->call = NULL;
    k->phase = IDLE;
    arm(k, 0);
}

/* -- to the dataplane --------------------------------------------------------------------------------- */

static bool send_start(struct capture *k, const uint8_t *program, size_t len)
{
    struct message_writer w;
    link_begin(k->link, &w, MSG_CAPTURE_START);
    put_u64(&w, ++k->id);
    put_u32(&w, k->snaplen);
    put_u64(&w, k->count);
    put_u8(&w, k->directions);
    put_u64(&w, WINDOW_BYTES);
    put_bytes(&w, program, len);
    return link_send(k->link, &w);
}

static void send_stop(struct capture *k, bool rest)
{
    struct message_writer w;
    link_begin(k->link, &w, MSG_CAPTURE_STOP);
    put_u64(&w, k->id);
    put_u8(&w, rest);
    link_send(k->link, &w);
}

static void send_more(struct capture *k)
{
    struct message_writer w;
    if (!k->owed)
        return;
    link_begin(k->link, &w, MSG_CAPTURE_MORE);
    put_u64(&w, k->id);
    put_u64(&w, k->owed);
    if (link_send(k->link, &w))
        k->owed = 0;
}

/* -- to the client ------------------------------------------------------------------------------------ */

/* Nothing has been streamed yet: the call ends with an error. */
static void refuse(struct capture *k, const char *code, const char *why)
{
    struct call *call = k->call;
    become_idle(k);
    if (call)
        call_fail(call, code, "%s", why);
}

/* error NULL: in good order, for the reason `why`. */
static void end_stream(struct capture *k, const struct pcapng_totals *totals, const char *why,
                       const char *error)
{
    struct call *call = k->call;
    struct text out = {0};
    k->call = NULL;
    log_line(LOG_LEVEL_NOTICE, "Capture of frames ended after %llu packets: %s",
             (unsigned long long)k->delivered,
             error  ? error
             : call ? why
                    : "its client has gone");
    if (!call)
        return;
    pcapng_end(&out, totals);
    call_piece(call, out.p, out.len);
    text_free(&out);
    if (error)
        call_fail(call, "no-dataplane", "%s; what came before is kept", error);
    else
        call_reply(call, json_pack("{s:s,s:I,s:I,s:I,s:I}", "end", why, "packets",
                                   (json_int_t)totals->delivered, "dropped", (json_int_t)totals->dropped,
                                   "matched", (json_int_t)totals->matched, "seen", (json_int_t)totals->seen));
}

static void begin_stream(struct capture *k)
{
    struct text out = {0};
    const struct pcapng_source source = {"sluice-control " SLUICE_VERSION, k->name, k->expression,
                                         k->snaplen};
    k->start_ns = wall_ns();
    k->delivered = k->owed = 0;
    k->phase = RUNNING;
    arm(k, k->seconds);
    log_line(LOG_LEVEL_NOTICE, "Capture of frames for the management API: filter '%s', snaplen %u",
             k->expression, k->snaplen);
    call_stream(k->call, json_pack("{s:s,s:s,s:I}", "format", "pcapng", "link", k->name, "snaplen",
                                   (json_int_t)k->snaplen));
    pcapng_begin(&out, &source);
    call_piece(k->call, out.p, out.len);
    text_free(&out);
}

/* The client has gone, or an answer is late: the dataplane's rings are not wanted any more. */
static void on_gone(void *ctx)
{
    struct capture *k = ctx;
    struct call *call = k->call;
    k->call = NULL;
    if (k->phase == COMPILING) {
        become_idle(k);
    } else {
        send_stop(k, false);
        k->phase = ENDING;
        arm(k, ANSWER_SECONDS);
    }
    call_fail(call, "gone", "the client has gone");
}

static void on_stop(void *ctx)
{
    struct capture *k = ctx;
    if (k->phase == COMPILING) {
        refuse(k, "stopped", "stopped before it began");
    } else if (k->phase == STARTING || k->phase == RUNNING) {
        send_stop(k, true);
        if (k->phase == RUNNING) {
            k->phase = ENDING;
            arm(k, 0);
        }
    }
}

static void on_written(void *ctx)
{
    send_more(ctx);
}

static const struct stream_ops stream_ops = {on_gone, on_stop, on_written};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct capture *k = arg;
    (void)fd, (void)what;
    if (k->phase == RUNNING) {
        k->by_time = true;
        on_stop(k);
    } else if (k->phase == STARTING) {
        send_stop(k, false);
        refuse(k, "no-dataplane", "the dataplane did not answer in time");
    } else if (k->phase == ENDING && !k->call) {
        become_idle(k); /* a dataplane that hangs must not keep the next capture from being asked for */
    }
}

/* -- from the dataplane ------------------------------------------------------------------------------- */

static bool on_started(struct capture *k, struct message_reader *r)
{
    char why[256];
    uint64_t id = get_u64(r);
    get_text(r, why, sizeof why);
    if (!message_done(r))
        return false;
    if (id != k->id || k->phase != STARTING)
        return true;
    if (*why)
        refuse(k, "refused", why);
    else
        begin_stream(k);
    return true;
}

static bool on_packets(struct capture *k, struct message_reader *r)
{
    struct text out = {0};
    uint64_t id = get_u64(r), cost = MESSAGE_HEAD + r->left, n = 0;
    while (r->left && !r->failed) {
        struct pcapng_packet p = {.ns = get_u64(r), .queue = get_u32(r), .direction = get_u8(r)};
        size_t caught;
        p.length = get_u32(r);
        p.bytes = get_bytes(r, &caught);
        p.caught = (uint32_t)caught;
        if (!r->failed)
            pcapng_add(&out, &p);
        n++;
    }
    if (id == k->id && k->call && !r->failed) {
        k->delivered += n;
        k->owed += cost;
        call_piece(k->call, out.p, out.len);
    }
    text_free(&out);
    return !r->failed;
}

static bool on_ended(struct capture *k, struct message_reader *r)
{
    char why[256];
    uint64_t id = get_u64(r);
    get_text(r, why, sizeof why);
    struct pcapng_totals totals = {.start_ns = k->start_ns, .end_ns = wall_ns(), .delivered = k->delivered};
    totals.seen = get_u64(r);
    totals.matched = get_u64(r);
    totals.dropped = get_u64(r);
    if (!message_done(r))
        return false;
    if (id == k->id && (k->phase == RUNNING || k->phase == ENDING)) {
        end_stream(k, &totals, k->by_time ? "duration" : why, NULL);
        become_idle(k);
    }
    return true;
}

bool capture_message(struct capture *k, enum message_type type, struct message_reader *r)
{
    return type == MSG_CAPTURE_STARTED   ? on_started(k, r)
           : type == MSG_CAPTURE_PACKETS ? on_packets(k, r)
                                         : on_ended(k, r);
}

static void break_off(struct capture *k, const char *error)
{
    if (k->phase == RUNNING || k->phase == ENDING) {
        const struct pcapng_totals totals = {.start_ns = k->start_ns,
                                             .end_ns = wall_ns(),
                                             .seen = k->delivered,
                                             .matched = k->delivered,
                                             .delivered = k->delivered};
        end_stream(k, &totals, NULL, error);
        become_idle(k);
    } else if (k->phase != IDLE) {
        refuse(k, "no-dataplane", error);
    }
}

void capture_detached(struct capture *k)
{
    break_off(k, "the dataplane went away");
}

/* -- the request -------------------------------------------------------------------------------------- */

static void compiled(void *ctx, const uint8_t *program, size_t len, const char *error)
{
    struct capture *k = ctx;
    k->filter = NULL;
    if (error) {
        refuse(k, "bad-filter", error);
        return;
    }
    if (!send_start(k, program, len)) {
        refuse(k, "no-dataplane", "the dataplane is not running");
        return;
    }
    k->phase = STARTING;
    arm(k, ANSWER_SECONDS);
}

static const char *text_field(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));
    return s ? s : "";
}

/* A number of the request; `fallback` if it is not there. False: it is no number from 1 to most. */
static bool number_field(const json_t *request, const char *key, uint64_t most, uint64_t fallback,
                         uint64_t *to)
{
    const json_t *v = json_object_get(request, key);
    *to = v ? (uint64_t)json_integer_value(v) : fallback;
    return !v || (json_is_integer(v) && json_integer_value(v) > 0 && *to <= most);
}

/* NULL, or what is wrong with the request. */
static const char *read_request(struct capture *k, const json_t *request)
{
    const char *direction = text_field(request, "direction");
    uint64_t snaplen, seconds;
    if (!number_field(request, "count", INT64_MAX, 0, &k->count))
        return "count: a number of packets, at least 1";
    if (!number_field(request, "snaplen", UINT32_MAX, CHANNEL_SNAPLEN_MAX, &snaplen))
        return "snaplen: a number of bytes, at least 1";
    if (!number_field(request, "duration", DURATION_MAX, 0, &seconds))
        return "duration: a number of seconds, at least 1";
    if (*direction && strcmp(direction, "in") && strcmp(direction, "out") && strcmp(direction, "both"))
        return "direction: choose in, out or both";
    if (strlen(text_field(request, "filter")) > FILTER_EXPRESSION_MAX)
        return "filter: the expression is too long";
    k->directions = strcmp(direction, "in") == 0 ? 1 : strcmp(direction, "out") == 0 ? 2 : 3;
    k->snaplen = snaplen < CHANNEL_SNAPLEN_MAX ? (uint32_t)snaplen : CHANNEL_SNAPLEN_MAX;
    k->seconds = (uint32_t)seconds;
    return NULL;
}

void capture_operation(struct call *call, const json_t *request)
{
    struct control *c = call_control(call);
    struct capture *k = c->capture;
    const char *filter = text_field(request, "filter"), *wrong;
    if (k->phase != IDLE) {
        call_fail(call, "busy", "another capture is running%s; one at a time is possible",
                  k->phase == ENDING ? " out" : "");
        return;
    }
    if ((wrong = read_request(k, request))) {
        call_fail(call, "bad-value", "%s", wrong);
        return;
    }
    if (!call_watch(call, &stream_ops, k)) {
        call_fail(call, "busy", "a capture runs on this connection already");
        return;
    }
    k->call = call;
    k->by_time = false;
    k->expression = must_copy(filter);
    k->name = must_copy(settings_get(commit_running(c->commit), "link-name"));
    k->phase = COMPILING;
    if (!*filter)
        compiled(k, NULL, 0, NULL);
    else if (!(k->filter = filter_compile(k->base, filter, k->snaplen, compiled, k)))
        refuse(k, "failed", "no process could be started for the filter");
}

struct capture *capture_new(struct event_base *base, struct link *link)
{
    struct capture *k = must_alloc(1, sizeof *k);
    k->base = base;
    k->link = link;
    /* A dataplane may still send what an earlier control has asked for. */
    k->id = (uint64_t)getpid() << 32;
    k->timer = evtimer_new(base, on_timer, k);
    return k;
}

void capture_free(struct capture *k)
{
    if (!k)
        return;
    break_off(k, "control ends");
    event_free(k->timer);
    free(k);
}
