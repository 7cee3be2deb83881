/* alarms.c: see alarms.h. */
#include "control/alarms.h"
#include "control/audit.h"
#include "control/candidate.h"
#include "control/certificates.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/remote_log.h"
#include "control/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

enum { EVENTS_MAX = 200, SLOW_MS = 10000, NOMBUF_MS = 60000 };
enum { REMOTE_DOWN_MS = 30000 };
enum { FULL_PERCENT = 90, EASED_PERCENT = 85, DISK_PERCENT = 5 };

struct kind;

struct alarm {
    const struct kind *kind;
    char *subject, *text; /* subject: which of several of a kind; "" if there is one */
    uint64_t since_ms, wall_ms; /* monotonic: of the condition; wall clock */
    bool holds;                 /* seen in this look */
    bool raised;
};

struct happening {
    uint64_t ms; /* wall clock */
    bool raised;
    const struct kind *kind;
    char *text;
};

struct alarms {
    struct control *control;
    struct alarm *row;
    unsigned rows;
    struct happening events[EVENTS_MAX];
    unsigned long happened;
    uint64_t looked_ms, slow_ms, nombuf_ms;
    double nombuf;
    bool unsaved, disk_full, was_full;
    char *update; /* why an update of the dataplane does not run; NULL */
    char disk[128];
};

struct kind {
    const char *name, *severity; /* critical: the box does not serve */
    void (*look)(struct alarms *a, const struct kind *k, uint64_t now);
    unsigned after_ms;
    bool logs_itself;
};

/* -- conditions --------------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void holds(struct alarms *a, const struct kind *k, const char *subject,
                                                        const char *format, ...)
{
    struct text t = {0};
    va_list args;
    unsigned i = 0;
    va_start(args, format);
    text_vprintf(&t, format, args);
    va_end(args);
    while (i < a->rows && (a->row[i].kind != k || strcmp(a->row[i].subject, subject) != 0))
        i++;
    if (i == a->rows) {
        a->row = must_grow(a->row, a->rows + 1, sizeof *a->row);
        a->row[a->rows++] = (struct alarm){.kind = k,
                                           .subject = must_copy(subject),
                                           .since_ms = a->looked_ms,
                                           .wall_ms = wall_clock_ms()};
    }
    free(a->row[i].text);
    a->row[i].text = t.p;
    a->row[i].holds = true;
}

static void look_dataplane(struct alarms *a, const struct kind *k, uint64_t now)
{
    const struct supervise_status *s = supervise_status(a->control->supervisor);
    (void)now;
    if (s->phase != PHASE_ATTACHED)
        holds(a, k, "", "dataplane is %s%s%s", supervise_phase_name(s->phase), *s->reason ? ": " : "", s->reason);
    else if (strcmp(s->state, "serving") != 0)
        holds(a, k, "", "dataplane is %s%s%s", *s->state ? s->state : "starting", *s->detail ? ": " : "", s->detail);
}

static void look_refusal(struct alarms *a, const struct kind *k, uint64_t now)
{
    const char *why = commit_refusal(a->control->commit);
    (void)now;
    if (*why)
        holds(a, k, "", "configuration refused by the dataplane: %s", why);
}

static void look_workers(struct alarms *a, const struct kind *k, uint64_t now)
{
    const struct heartbeat *h = &a->control->heartbeat;
    char subject[24];
    bool attached = supervise_status(a->control->supervisor)->phase == PHASE_ATTACHED;
    for (unsigned w = 0; attached && w < h->workers; w++) {
        uint64_t late = heartbeat_late(h, w, now);
        snprintf(subject, sizeof subject, "%u", w);
        if (late)
            holds(a, k, subject, "worker %u has not moved for %" PRIu64 " s", w, late / 1000);
    }
}

static void look_link(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct block b;
    double up;
    (void)now;
    if (block_read(a->control->link, &b) && block_gauge(&b, "link_up", &up) && up == 0)
        holds(a, k, "", "link %s is down; look at its cable or its peer",
              settings_get(commit_running(a->control->commit), "link-name"));
}

static void look_memory(struct alarms *a, const struct kind *k, uint64_t now)
{
    const char *policy = settings_get(commit_running(a->control->commit), "maxmemory-policy");
    struct block b;
    double used, most, arena;
    (void)now;
    if (!block_read(a->control->link, &b) || !block_gauge(&b, "memory_used_bytes", &used) ||
        !block_gauge(&b, "arena_bytes", &arena))
        return;
    bool limited = block_gauge(&b, "memory_max_bytes", &most) && most > 0;
    bool evicts = strcmp(policy, "noeviction") != 0 && limited;
    most = limited ? most : arena;
    a->was_full = most > 0 && !evicts && used * 100 >= most * (a->was_full ? EASED_PERCENT : FULL_PERCENT);
    if (a->was_full)
        holds(a, k, "", "keys and values take %.0f %% of %s, and nothing is evicted; raise %s, or choose a "
                        "maxmemory-policy",
              used * 100 / most, limited ? "maxmemory" : "the arena", limited ? "maxmemory" : "arena-size");
}

static void look_buffers(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct block b;
    double n;
    if (!block_read(a->control->link, &b) || !block_gauge(&b, "link_rx_nombuf", &n))
        return;
    if (n > a->nombuf)
        a->nombuf_ms = now;
    a->nombuf = n; /* of another dataplane it begins at 0 again */
    if (a->nombuf_ms && now - a->nombuf_ms < NOMBUF_MS)
        holds(a, k, "", "frames are lost for want of packet buffers; raise mbuf-count");
}

static void look_clients(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct block b;
    double n, most;
    (void)now;
    if (block_read(a->control->link, &b) && block_gauge(&b, "connected_clients", &n) &&
        block_gauge(&b, "maxclients", &most) && most > 0 && n * 100 >= most * FULL_PERCENT)
        holds(a, k, "", "%.0f of %.0f client connections are taken (maxclients)", n, most);
}

static void look_certificate(struct alarms *a, const struct kind *k, uint64_t now)
{
    json_t *list = certificates_alarms(a->control->certificates), *line;
    size_t i;
    char subject[24];
    (void)now;
    json_array_foreach(list, i, line)
    {
        snprintf(subject, sizeof subject, "%zu", i);
        holds(a, k, subject, "%s", json_string_value(line));
    }
    json_decref(list);
}

struct of_kind {
    struct alarms *alarms;
    const struct kind *kind;
};

static void subject_holds(void *ctx, const char *subject, const char *line)
{
    const struct of_kind *of = ctx;
    holds(of->alarms, of->kind, subject, "%s", line);
}

static void look_snapshot(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct of_kind of = {a, k};
    (void)now;
    snapshot_alarms(a->control->snapshot, settings_get(commit_running(a->control->commit), "save"), subject_holds, &of);
}

static void look_remote_log(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct of_kind of = {a, k};
    (void)now;
    remote_log_alarms(a->control->remote_log, REMOTE_DOWN_MS, subject_holds, &of);
}

static void look_unsaved(struct alarms *a, const struct kind *k, uint64_t now)
{
    const char *who;
    (void)now;
    if (a->unsaved && !candidate_deadline(a->control->candidate, &who)) /* that one is told of already */
        holds(a, k, "", "the running configuration is not that of its file; `config rewrite` keeps it, `config load` "
                        "drops it");
}

static void look_waiting(struct alarms *a, const struct kind *k, uint64_t now)
{
    struct text names = {0};
    (void)now;
    for (unsigned i = 0; i < directive_count(); i++)
        if (commit_waits(a->control->commit, (int)i))
            text_printf(&names, "%s%s", names.len ? ", " : "", directives[i].name);
    if (names.len)
        holds(a, k, "", "waits for `restart dataplane`: %s", text_str(&names));
    text_free(&names);
}

static void look_unconfirmed(struct alarms *a, const struct kind *k, uint64_t now)
{
    const char *who;
    uint64_t deadline = candidate_deadline(a->control->candidate, &who), wall = wall_clock_ms();
    (void)now;
    if (deadline)
        holds(a, k, "", "the commit of %s goes back in %" PRIu64 " s unless it is confirmed (configure, commit)", who,
              deadline > wall ? (deadline - wall) / 1000 : 0);
}

static void look_audit(struct alarms *a, const struct kind *k, uint64_t now)
{
    (void)now;
    if (a->control->audit && audit_failures(a->control->audit))
        holds(a, k, "", "%" PRIu64 " lines of the audit log could not be written; look at the disk",
              audit_failures(a->control->audit));
}

static void look_disk(struct alarms *a, const struct kind *k, uint64_t now)
{
    (void)now;
    if (a->disk_full)
        holds(a, k, "", "%s", a->disk);
}

static void look_update(struct alarms *a, const struct kind *k, uint64_t now)
{
    (void)now;
    if (a->update)
        holds(a, k, "", "%s; `upgrade install` another one, or `upgrade remove dataplane`", a->update);
}

/* In the order in which they are told. */
static const struct kind kinds[] = {
    {"dataplane", "critical", look_dataplane, 5000, false},
    {"configuration-refused", "critical", look_refusal, 0, false},
    {"worker-stalled", "critical", look_workers, 0, false},
    {"link-down", "warning", look_link, 2000, false},
    {"memory-full", "warning", look_memory, 0, false},
    {"packet-buffers", "warning", look_buffers, 0, false},
    {"clients-full", "warning", look_clients, 0, false},
    {"certificate", "warning", look_certificate, 0, true},
    {"snapshot", "warning", look_snapshot, 0, false},
    {"disk-full", "warning", look_disk, 0, false},
    {"dataplane-update", "warning", look_update, 0, false},
    {"audit-log", "warning", look_audit, 0, false},
    {"log-remote", "warning", look_remote_log, 0, false},
    {"unconfirmed", "notice", look_unconfirmed, 0, false},
    {"unsaved", "notice", look_unsaved, 0, false},
    {"restart-waits", "notice", look_waiting, 0, false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static bool critical(const struct kind *k)
{
    return strcmp(k->severity, "critical") == 0;
}

/* -- raising and clearing ----------------------------------------------------------------------------- */

static void happen(struct alarms *a, const struct alarm *r, bool raised)
{
    struct happening *e = &a->events[a->happened++ % EVENTS_MAX];
    free(e->text);
    *e = (struct happening){wall_clock_ms(), raised, r->kind, must_copy(r->text)};
    if (!r->kind->logs_itself)
        log_line(raised && strcmp(r->kind->severity, "notice") != 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "Alarm %s: %s: %s",
                 raised ? "raised" : "cleared", r->kind->name, r->text);
}

/* What needs a disk: not at every look. */
static void look_slowly(struct alarms *a)
{
    const char *folder = settings_get(commit_running(a->control->commit), "state-dir");
    struct statvfs v;
    a->unsaved = commit_unsaved(a->control->commit);
    free(a->update);
    a->update = programs_doubt(supervise_programs(a->control->supervisor));
    a->disk_full = *folder && statvfs(folder, &v) == 0 && v.f_blocks > 0 &&
                   (double)v.f_bavail * 100 < (double)v.f_blocks * DISK_PERCENT;
    if (a->disk_full)
        snprintf(a->disk, sizeof a->disk, "the disk of state-dir has %llu MB left",
                 (unsigned long long)v.f_bavail * v.f_frsize >> 20);
}

static void look(struct alarms *a)
{
    unsigned kept = 0;
    a->looked_ms = monotonic_ms();
    for (unsigned i = 0; i < a->rows; i++)
        a->row[i].holds = false;
    for (unsigned i = 0; i < KINDS; i++)
        kinds[i].look(a, &kinds[i], a->looked_ms);
    for (unsigned i = 0; i < a->rows; i++) {
        struct alarm *r = &a->row[i];
        if (r->holds && !r->raised && a->looked_ms - r->since_ms >= r->kind->after_ms) {
            r->raised = true;
            happen(a, r, true);
        }
        if (r->holds) {
            a->row[kept++] = *r;
            continue;
        }
        if (r->raised)
            happen(a, r, false);
        free(r->subject);
        free(r->text);
    }
    a->rows = kept;
}

void alarms_tick(struct alarms *a)
{
    uint64_t now = monotonic_ms();
    if (!a->slow_ms || now - a->slow_ms >= SLOW_MS) {
        look_slowly(a);
        a->slow_ms = now;
    }
    look(a);
}

struct alarms *alarms_new(struct control *c)
{
    struct alarms *a = must_alloc(1, sizeof *a);
    a->control = c;
    return a;
}

void alarms_free(struct alarms *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < a->rows; i++) {
        free(a->row[i].subject);
        free(a->row[i].text);
    }
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        free(a->events[i].text);
    free(a->row);
    free(a->update);
    free(a);
}

/* -- telling ------------------------------------------------------------------------------------------ */

bool alarms_health(struct alarms *a, struct words *reasons)
{
    look(a);
    for (unsigned i = 0; i < a->rows; i++)
        if (critical(a->row[i].kind))
            words_add(reasons, must_copy(a->row[i].text));
    return reasons->n == 0;
}

void alarms_warnings(struct alarms *a, struct words *lines)
{
    for (unsigned i = 0; i < a->rows; i++)
        if (a->row[i].raised && !critical(a->row[i].kind))
            words_add(lines, must_copy(a->row[i].text));
}

void alarms_metrics(struct text *out, struct alarms *a)
{
    metrics_head(out, "sluice_alarm", "gauge", "Alarms of each kind that are raised now");
    for (unsigned k = 0; k < KINDS; k++) {
        unsigned n = 0;
        for (unsigned i = 0; i < a->rows; i++)
            n += a->row[i].kind == &kinds[k] && a->row[i].raised;
        text_printf(out, "sluice_alarm{alarm=\"%s\",severity=\"%s\"} %u\n", kinds[k].name, kinds[k].severity, n);
    }
}

static json_t *clock_json(void)
{
    struct timex t = {0};
    int state = adjtimex(&t); /* reads alone */
    return json_pack("{s:b,s:f}", "synchronized", state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC),
                     "estimated_error_ms", (double)t.esterror / 1000);
}

static json_t *alarms_json(const struct alarms *a)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < a->rows; i++) {
        const struct alarm *r = &a->row[i];
        if (!r->raised && !critical(r->kind))
            continue;
        json_t *j = json_pack("{s:s,s:s,s:I,s:b}", "alarm", r->kind->name, "severity", r->kind->severity, "since_ms",
                              (json_int_t)r->wall_ms, "raised", r->raised);
        json_object_set_new(j, "text", safe_string(r->text));
        json_array_append_new(list, j);
    }
    return list;
}

void show_health(struct call *call, const json_t *request)
{
    struct alarms *a = call_control(call)->alarms;
    struct words reasons = {0};
    (void)request;
    look_slowly(a);
    bool good = alarms_health(a, &reasons);
    words_free(&reasons);
    json_t *list = alarms_json(a);
    call_reply(call, json_pack("{s:s,s:b,s:o,s:o}", "health",
                               !good                      ? "critical"
                               : json_array_size(list) > 0 ? "degraded"
                                                           : "ok",
                               "serves", good, "alarms", list, "clock", clock_json()));
}

void show_alarms(struct call *call, const json_t *request)
{
    const struct alarms *a = call_control(call)->alarms;
    unsigned long first = a->happened > EVENTS_MAX ? a->happened - EVENTS_MAX : 0;
    json_t *list = json_array();
    (void)request;
    for (; first < a->happened; first++) {
        const struct happening *e = &a->events[first % EVENTS_MAX];
        json_t *j = json_pack("{s:I,s:s,s:s,s:s}", "time_ms", (json_int_t)e->ms, "what", e->raised ? "raised" : "cleared",
                              "alarm", e->kind->name, "severity", e->kind->severity);
        json_object_set_new(j, "text", safe_string(e->text));
        json_array_append_new(list, j);
    }
    call_reply(call, list);
}
