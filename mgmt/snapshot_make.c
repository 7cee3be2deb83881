/* snapshot_make.c: `sluice snapshot create|schedule|delete`. */
#include "mgmt/operations.h"
#include "mgmt/progress.h"
#include "mgmt/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_EACH_MS = 100 };

/* -- create -- */

static json_t *status_request(void)
{
    return json_pack("{s:i,s:s,s:s}", "id", 1, "op", "snapshot", "what", "status");
}

/* A bar on a terminal, a line of JSON where that is asked for. */
static void show_progress(const struct invocation *in, const json_t *j)
{
    json_int_t all = number_of(j, "keys_all"), done = number_of(j, "keys_written");
    if (in->json) {
        fprintf(in->out, "{\"keys_written\":%" JSON_INTEGER_FORMAT ",\"keys_all\":%" JSON_INTEGER_FORMAT "}\n", done, all);
        fflush(in->out);
        return;
    }
    char said[64];
    snprintf(said, sizeof said, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " keys", done, all);
    progress_show(done, all, said);
}

static int show_end(struct invocation *in, const json_t *j, bool good)
{
    const char *error = text_of(j, "error");
    progress_end();
    if (in->json)
        json_dumpf(j, in->out, JSON_COMPACT);
    else if (good)
        fprintf(in->out, "%s/%s: %" JSON_INTEGER_FORMAT " keys, %" JSON_INTEGER_FORMAT " bytes, %" JSON_INTEGER_FORMAT " ms",
                text_of(j, "folder"), text_of(j, "kept_as"), number_of(j, "keys"), number_of(j, "bytes"),
                number_of(j, "milliseconds"));
    if (in->json || good)
        fputc('\n', in->out);
    if (!good)
        fprintf(stderr, "sluice: snapshot create: %s\n", *error ? error : "it was ended, by FLUSHALL or a restart");
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* Until it is over. before: the answer when it began. */
static int follow(struct invocation *in, const json_t *before)
{
    const struct timespec pause = {0, LOOK_EACH_MS * 1000000};
    json_t *now;
    int code;
    while ((code = api_request(in->socket, status_request(), &now)) == EXIT_DONE) {
        if (!json_is_true(json_object_get(now, "busy"))) {
            bool good = number_of(now, "saves") > number_of(before, "saves") && !json_is_true(json_object_get(now, "failed"));
            code = show_end(in, now, good);
            json_decref(now);
            return code;
        }
        show_progress(in, now);
        json_decref(now);
        nanosleep(&pause, NULL);
    }
    return code;
}

int run_snapshot_create(struct invocation *in)
{
    json_t *j;
    int code = api_request(in->socket, request_for(in), &j);
    if (code != EXIT_DONE)
        return code;
    if (in->wait)
        code = follow(in, j);
    else if (in->json)
        json_dumpf(j, in->out, JSON_COMPACT);
    else
        fputs("begun; `snapshot list` shows it when it is on disk\n", in->out);
    json_decref(j);
    return code;
}

/* -- schedule, delete -- */

static int show_schedule(struct invocation *in)
{
    json_t *j;
    char when[32] = "";
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    time_t next = (time_t)number_of(j, "next");
    fprintf(in->out, "schedule  %s\nkeep      ", text_of(j, "schedule"));
    fprintf(in->out, number_of(j, "keep") ? "%" JSON_INTEGER_FORMAT "\n" : "all\n", number_of(j, "keep"));
    fprintf(in->out, "kept now  %" JSON_INTEGER_FORMAT "\n", number_of(j, "kept"));
    if (next && strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime(&next)))
        fprintf(in->out, "next      %s\n", when);
    json_decref(j);
    return EXIT_DONE;
}

int run_snapshot_schedule(struct invocation *in)
{
    if (in->argc == 0)
        return show_schedule(in);
    const char *time = in->argc > 1 ? in->argv[1] : "", *keep = in->argc > 2 ? in->argv[2] : NULL;
    json_t *set = json_object(), *when = json_sprintf("%s%s%s", in->argv[0], *time ? " " : "", time);
    if (!when) {
        fputs("sluice: snapshot schedule: not UTF-8\n", stderr);
        json_decref(set);
        return EXIT_USAGE;
    }
    json_object_set_new(set, "snapshot-schedule", when);
    if (keep)
        json_object_set_new(set, "snapshot-keep", json_string(keep));
    return change_directives(in, set);
}

int run_snapshot_delete(struct invocation *in)
{
    const char *slash = strrchr(in->argv[0], '/');
    json_t *j, *request = request_for(in);
    json_object_set_new(request, "name", json_string(slash ? slash + 1 : in->argv[0]));
    int code = ask(in, request, &j);
    if (j)
        fputs("deleted\n", in->out);
    json_decref(j);
    return code;
}
