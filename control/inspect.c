/* inspect.c: control's questions to the workers: an EXEC that begins with %INSPECT; the reply is a bulk
 * string of JSON objects, one a line (dataplane/README.md). */
#include "control/resp.h"
#include "control/show.h"

#include <stdlib.h>
#include <string.h>

enum { INSPECT_ARGS = 8 };

struct inspect {
    struct call *call;
    inspect_done *done;
};

/* NULL if a line is no JSON object. */
static json_t *read_rows(const char *text, size_t len)
{
    json_t *rows = json_array();
    for (const char *end = text + len; text < end;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        json_t *row = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(row)) {
            json_decref(row);
            json_decref(rows);
            return NULL;
        }
        json_array_append_new(rows, row);
        text += n + 1;
    }
    return rows;
}

static void answered(void *ctx, const char *resp, size_t len, const char *error)
{
    struct inspect i = *(struct inspect *)ctx;
    const char *text;
    size_t n;
    free(ctx);
    enum resp_kind kind = error ? RESP_NONE : resp_read(resp, len, &text, &n);
    json_t *rows = kind == RESP_BULK ? read_rows(text, n) : NULL;
    if (rows)
        i.done(i.call, rows);
    else if (kind == RESP_ERROR)
        call_fail(i.call, "dataplane", "%.*s", (int)n - (strncmp(text, "ERR ", 4) ? 0 : 4),
                  text + (strncmp(text, "ERR ", 4) ? 0 : 4));
    else
        call_fail(i.call, "no-dataplane", "%s",
                  error ? error : "the dataplane's answer cannot be read; is it of the same release?");
}

void inspect_run(struct call *call, int argc, const char *const *argv, inspect_done *done)
{
    const char *all[INSPECT_ARGS + 1] = {"%INSPECT"};
    struct inspect *i = must_alloc(1, sizeof *i);
    *i = (struct inspect){call, done};
    for (int a = 0; a < argc && a < INSPECT_ARGS; a++)
        all[a + 1] = argv[a];
    exec_run(call_control(call)->execs, argc + 1, all, answered, i);
}
