/* show_clients.c: `show clients`: CLIENT LIST as JSON. */
#include "control/control.h"
#include "control/resp.h"
#include "control/show.h"

#include <stdlib.h>
#include <string.h>

/* One line of CLIENT LIST: "id=3 addr=... name= ...". */
static json_t *client_json(const char *line, size_t len)
{
    json_t *j = json_object();
    const char *end = line + len;
    while (line < end) {
        const char *stop = memchr(line, ' ', (size_t)(end - line));
        stop = stop ? stop : end;
        const char *eq = memchr(line, '=', (size_t)(stop - line));
        if (eq) {
            char *key = must_copy_n(line, (size_t)(eq - line)),
                 *value = must_copy_n(eq + 1, (size_t)(stop - eq - 1));
            json_object_set_new(j, key, safe_string(value));
            free(key);
            free(value);
        }
        line = stop + 1;
    }
    return j;
}

static void clients_done(void *ctx, const char *resp, size_t len, const char *error)
{
    const char *text;
    size_t n;
    enum resp_kind kind = error ? RESP_NONE : resp_read(resp, len, &text, &n);
    if (error || kind == RESP_NONE || kind == RESP_ERROR) {
        if (kind == RESP_ERROR)
            call_fail(ctx, "dataplane", "%.*s", (int)n, text);
        else
            call_fail(ctx, "no-dataplane", "%s", error ? error : "the dataplane's answer cannot be read");
        return;
    }
    json_t *list = json_array();
    while (n) {
        const char *stop = memchr(text, '\n', n);
        size_t line = stop ? (size_t)(stop - text) : n;
        if (line && text[line - 1] == '\r')
            line--;
        if (line)
            json_array_append_new(list, client_json(text, line));
        size_t used = stop ? (size_t)(stop - text) + 1 : n;
        text += used;
        n -= used;
    }
    call_reply(ctx, list);
}

void show_clients(struct call *call, const json_t *request)
{
    static const char *const argv[] = {"CLIENT", "LIST"};
    (void)request;
    exec_run(call_control(call)->execs, 2, argv, clients_done, call);
}
