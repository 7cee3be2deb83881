/* keys.c: the commands about keys: those asked for most, and the biggest. */
#include "mgmt/operations.h"
#include "mgmt/table.h"

static int ask_limited(struct invocation *in, json_t **j)
{
    json_t *request = request_for(in);
    *j = NULL;
    if (!put_option(request, "limit", "--limit", in->limit)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    return ask(in, request, j);
}

/* The name in quotation marks; what was cut off is shown by dots. */
static void quote_key(json_t *row)
{
    json_object_set_new(row, "key",
                        json_sprintf("\"%s\"%s", text_of(row, "key"), json_is_true(json_object_get(row, "cut")) ? "..." : ""));
}

static void set_decimal(json_t *row, const char *key, double v, const char *format)
{
    json_object_set_new(row, key, json_sprintf(format, v));
}

/* A figure of the row as text, as rates below ten need a digit behind the point. */
static void format_rate(json_t *row, const char *key)
{
    double v = json_number_value(json_object_get(row, key));
    set_decimal(row, key, v, v < 10 ? "%.1f" : "%.0f");
}

int run_show_hotkeys(struct invocation *in)
{
    static const struct column columns[] = {{"share", "share", COLUMN_NUMBER},
                                            {"reads/s", "reads", COLUMN_NUMBER},
                                            {"writes/s", "writes", COLUMN_NUMBER},
                                            {"db", "db", COLUMN_NUMBER},
                                            {"key", "key"},
                                            {0}};
    json_t *j, *row, *all;
    size_t i;
    int code = ask_limited(in, &j);
    if (!j)
        return code;
    all = json_object_get(j, "all_keys");
    format_rate(all, "reads");
    format_rate(all, "writes");
    fprintf(in->out, "all keys: %s reads/s, %s writes/s\n", text_of(all, "reads"), text_of(all, "writes"));
    json_array_foreach(json_object_get(j, "hotkeys"), i, row)
    {
        set_decimal(row, "share", json_number_value(json_object_get(row, "share_percent")), "%.2f%%");
        format_rate(row, "reads");
        format_rate(row, "writes");
        quote_key(row);
    }
    print_table(in->out, columns, json_object_get(j, "hotkeys"));
    json_decref(j);
    return code;
}

int run_show_bigkeys(struct invocation *in)
{
    static const struct column columns[] = {{"memory", "memory", COLUMN_NUMBER},
                                            {"bytes", "bytes", COLUMN_NUMBER},
                                            {"elements", "elements", COLUMN_NUMBER},
                                            {"type", "type"},
                                            {"encoding", "encoding"},
                                            {"db", "db", COLUMN_NUMBER},
                                            {"key", "key"},
                                            {0}};
    json_t *j, *row;
    size_t i;
    int code = ask_limited(in, &j);
    if (!j)
        return code;
    json_array_foreach(j, i, row) quote_key(row);
    print_table(in->out, columns, j);
    json_decref(j);
    return code;
}
