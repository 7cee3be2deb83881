/* token.c: `sluice token` and `sluice show roles`: who may use the management API, and for what. */
#include "mgmt/operations.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "30d", "12w", "1y" or "never" as days; -1: none of them. */
static long days_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (strcmp(text, "never") == 0)
        return 0;
    if (end == text || n < 1 || n > 3650)
        return -1;
    return strcmp(end, "d") == 0 ? n : strcmp(end, "w") == 0 ? n * 7 : strcmp(end, "y") == 0 ? n * 365 : -1;
}

int run_token_create(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    long days = in->expires ? days_of(in->expires) : -1;
    if (!in->role || (in->expires && days < 0)) {
        fprintf(stderr, "sluice: token create: %s\n",
                in->role ? "--expires takes 30d, 12w, 1y or never" : "--role is needed: admin, operator, security, read-only or support");
        json_decref(request);
        return EXIT_USAGE;
    }
    json_object_set_new(request, "name", json_string(in->argv[0]));
    json_object_set_new(request, "role", json_string(in->role));
    if (days >= 0)
        json_object_set_new(request, "days", json_integer(days));
    int code = ask(in, request, &j);
    if (j) {
        fprintf(in->out, "%s\n", text_of(j, "token"));
        fputs("this token is shown once, now; keep it in a file that nobody else can read\n", stderr);
    }
    json_decref(j);
    return code;
}

static void print_day(FILE *out, json_int_t at)
{
    char text[32] = "never";
    time_t t = (time_t)at;
    if (at)
        strftime(text, sizeof text, "%Y-%m-%d", gmtime(&t));
    fprintf(out, "%-11s ", text);
}

int run_token_list(struct invocation *in)
{
    json_t *list, *token;
    size_t i;
    int code = ask(in, request_for(in), &list);
    if (json_array_size(list))
        fprintf(in->out, "%-9s %-10s %-11s %-11s %s\n", "ID", "ROLE", "CREATED", "EXPIRES", "NAME");
    json_array_foreach(list, i, token)
    {
        fprintf(in->out, "%-9s %-10s ", text_of(token, "id"), text_of(token, "role"));
        print_day(in->out, number_of(token, "created"));
        print_day(in->out, number_of(token, "expires"));
        print_safe(in->out, text_of(token, "name"));
        fputs(json_is_true(json_object_get(token, "expired")) ? "  (expired)\n" : "\n", in->out);
    }
    json_decref(list);
    return code;
}

int run_token_revoke(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    json_object_set_new(request, "id", json_string(in->argv[0]));
    int code = ask(in, request, &j);
    if (j)
        fprintf(in->out, "revoked: %s (%s)\n", text_of(j, "id"), text_of(j, "name"));
    json_decref(j);
    return code;
}

int run_show_roles(struct invocation *in)
{
    json_t *j, *row, *role;
    size_t i, r;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    print_field(in->out, "you are", json_object_get(j, "who"));
    print_field(in->out, "your role", json_object_get(j, "role"));
    json_array_foreach(json_object_get(j, "operations"), i, row)
    {
        char name[80];
        snprintf(name, sizeof name, "%s %s", text_of(row, "op"), text_of(row, "what"));
        fprintf(in->out, "%-24s", name);
        json_array_foreach(json_object_get(row, "roles"), r, role) fprintf(in->out, " %s", json_string_value(role));
        fputc('\n', in->out);
    }
    json_decref(j);
    return code;
}
