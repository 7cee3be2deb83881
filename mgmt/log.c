/* log.c: `sluice show log`: the lines of control and dataplane, recent ones and those to come. */
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"
#include "mgmt/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- when --------------------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    long seconds;
} units[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}, {"week", 604800}};

/* "90s", "10 min", "1 hour ago", "2days": how long ago, in seconds; -1: it is none of these. */
static long ago(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || n < 0 || n > 1000000)
        return -1;
    while (isspace((unsigned char)*end))
        end++;
    size_t len = strcspn(end, " ");
    if (len > 1 && end[len - 1] == 's')
        len--;
    const char *rest = end + strcspn(end, " ");
    rest += strspn(rest, " ");
    for (size_t u = 0; len && u < sizeof units / sizeof units[0]; u++)
        if (strncmp(units[u].word, end, len) == 0 && (!*rest || strcmp(rest, "ago") == 0))
            return n * units[u].seconds;
    return -1;
}

/* Milliseconds since 1970 of what an operator writes; false and a line on stderr. */
static bool read_time(const char *option, const char *text, json_int_t *ms)
{
    static const char *const forms[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                        "%Y-%m-%d",          "%H:%M:%S",          "%H:%M"};
    time_t now = time(NULL);
    long seconds = ago(text);
    if (seconds >= 0) {
        *ms = ((json_int_t)now - seconds) * 1000;
        return true;
    }
    bool yesterday = strcmp(text, "yesterday") == 0;
    if (yesterday || strcmp(text, "today") == 0) {
        struct tm tm;
        localtime_r(&now, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mday -= yesterday;
        tm.tm_isdst = -1;
        *ms = (json_int_t)mktime(&tm) * 1000;
        return true;
    }
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        struct tm tm = {0};
        if (f >= 4) { /* a time of today */
            localtime_r(&now, &tm);
            tm.tm_sec = 0;
        }
        tm.tm_isdst = -1;
        const char *end = strptime(text, forms[f], &tm);
        if (end && !*end) {
            *ms = (json_int_t)mktime(&tm) * 1000;
            return true;
        }
    }
    fprintf(stderr,
            "sluice: %s: '%.60s' is no time; write 2026-11-22, \"2026-11-22 10:00:00\", 10:00, today, \"1 "
            "hour ago\" or 10m\n",
            option, text);
    return false;
}

/* -- printing ----------------------------------------------------------------------------------------- */

static void print_entry(struct invocation *in, const json_t *e)
{
    if (in->json) { /* one object a line */
        json_dumpf(e, in->out, JSON_COMPACT);
    } else {
        print_time(in->out, number_of(e, "time_ms"));
        fprintf(in->out, ".%03d %-9s %-7s ", (int)(number_of(e, "time_ms") % 1000), text_of(e, "process"),
                text_of(e, "level"));
        print_safe(in->out, text_of(e, "line"));
    }
    fputc('\n', in->out);
}

static void print_entries(struct invocation *in, const json_t *list)
{
    const json_t *e;
    size_t i;
    json_array_foreach(list, i, e) print_entry(in, e);
}

/* -- following ---------------------------------------------------------------------------------------- */

static int follow(struct invocation *in, json_t *request)
{
    json_t *data, *e;
    uint8_t *piece;
    size_t len;
    int fd, code = api_begin(in->socket, request, &fd, &data);
    if (code != EXIT_DONE)
        return code;
    print_entries(in, json_object_get(data, "lines"));
    fflush(in->out);
    json_decref(data);
    interrupt_stream(fd);
    bool good;
    while ((good = api_piece(fd, &piece, &len)) && len && !ferror(in->out)) {
        if ((e = json_loadb((char *)piece, len, 0, NULL)))
            print_entry(in, e);
        fflush(in->out);
        json_decref(e);
        free(piece);
    }
    free(piece);
    interrupt_stream_ends();
    if (!good)
        fprintf(stderr, "sluice: %s: control went away\n", in->socket);
    close(fd);
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* Redis' levels, and what journalctl calls them. */
static const char *level_of(const char *word)
{
    static const char *const others[][2] = {{"err", "warning"}, {"error", "warning"}, {"info", "verbose"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i][0], word) == 0)
            return others[i][1];
    return word;
}

int run_show_log(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    json_int_t since = 0, until = 0;
    if ((in->since && !read_time("--since", in->since, &since)) ||
        (in->until && !read_time("--until", in->until, &until)) ||
        !put_option(request, "lines", "--lines", in->lines)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    if (in->level)
        json_object_set_new(request, "level", json_string(level_of(in->level)));
    if (since)
        json_object_set_new(request, "since_ms", json_integer(since));
    if (until)
        json_object_set_new(request, "until_ms", json_integer(until));
    if (in->follow) {
        json_object_set_new(request, "follow", json_true());
        return follow(in, request);
    }
    int code = ask(in, request, &j);
    print_entries(in, j);
    json_decref(j);
    return code;
}
