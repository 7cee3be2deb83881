/* audit.c: `sluice audit`: the log of who changed what. */
#include "mgmt/operations.h"
#include "mgmt/words.h"

#include <inttypes.h>
#include <stdlib.h>

static void print_line(FILE *out, const json_t *line)
{
    const json_t *detail = json_object_get(line, "detail");
    char *text = detail ? json_dumps(detail, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    fprintf(out, "%" JSON_INTEGER_FORMAT " %s ", number_of(line, "n"), text_of(line, "time"));
    print_safe(out, text_of(line, "what"));
    fputs(": ", out);
    print_safe(out, text_of(line, "result"));
    fputs("; ", out);
    print_safe(out, text_of(line, "who"));
    fputs(", ", out);
    print_safe(out, text_of(line, "from"));
    if (text) {
        fputs(" ", out);
        print_safe(out, text);
    }
    fputc('\n', out);
    free(text);
}

int run_audit_show(struct invocation *in)
{
    json_t *j, *line, *request = request_for(in);
    size_t i;
    if (!put_option(request, "lines", "--lines", in->lines)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    int code = ask(in, request, &j);
    json_array_foreach(j, i, line) print_line(in->out, line);
    json_decref(j);
    return code;
}

/* Its exit code tells whether the log is whole; with --json, too. */
int run_audit_verify(struct invocation *in)
{
    json_t *j;
    int code = api_request(in->socket, request_for(in), &j);
    if (code != EXIT_DONE)
        return code;
    bool good = json_is_true(json_object_get(j, "good"));
    if (in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else {
        fprintf(in->out, "%s: %" JSON_INTEGER_FORMAT " lines in %" JSON_INTEGER_FORMAT " files\n",
                good ? "whole" : "NOT WHOLE", number_of(j, "lines"), number_of(j, "files"));
        print_field(in->out, "last line", json_object_get(j, "last"));
        print_field(in->out, "its hash", json_object_get(j, "hash"));
        for (const char *const *key = (const char *const[]){"file", "line", "reason", NULL}; !good && *key;
             key++)
            print_field(in->out, *key, json_object_get(j, *key));
    }
    json_decref(j);
    return good ? EXIT_DONE : EXIT_FAILED;
}
