/* show_keys.c: which keys are asked for most, and which are the biggest: what the workers know, as one. */
#include "control/show.h"
#include "control/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_DEFAULT = 20, SHOWN_MAX = 1000 };

static json_int_t field(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

/* The dataplane says the limit again in its first row, for whom the answer comes to. */
static void run_limited(struct call *call, const json_t *request, const char *inspection, inspect_done *done)
{
    json_int_t n = request_number(request, "limit", SHOWN_DEFAULT);
    char text[32];
    if (n < 0 || n > SHOWN_MAX) {
        call_fail(call, "bad-value", "limit: choose 0 to %d", SHOWN_MAX);
        return;
    }
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, n);
    inspect_run(call, 2, (const char *[]){inspection, text}, done);
}

static size_t take_limit(json_t *rows)
{
    size_t limit = (size_t)field(json_array_get(rows, 0), "limit");
    json_array_remove(rows, 0);
    return limit;
}

/* The first `limit` of an array as another one, in an order. */
static json_t *first_rows(json_t *rows, size_t limit, int (*order)(const void *a, const void *b))
{
    size_t n = json_array_size(rows), i;
    json_t **sorted = must_alloc(n + 1, sizeof *sorted), *list = json_array(), *row;
    json_array_foreach(rows, i, row) sorted[i] = row;
    qsort(sorted, n, sizeof *sorted, order);
    for (i = 0; i < n && i < limit; i++)
        json_array_append(list, sorted[i]);
    free(sorted);
    return list;
}

/* -- hot keys ----------------------------------------------------------------------------------------- */

static double accesses(const json_t *row)
{
    return json_number_value(json_object_get(row, "reads")) + json_number_value(json_object_get(row, "writes"));
}

static int hotter(const void *a, const void *b)
{
    double x = accesses(*(json_t *const *)a), y = accesses(*(json_t *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

static void add_rates(json_t *to, const json_t *row)
{
    static const char *const from[] = {"reads_milli", "writes_milli"}, *const into[] = {"reads", "writes"};
    for (int i = 0; i < 2; i++) {
        double before = json_number_value(json_object_get(to, into[i]));
        json_object_set_new(to, into[i], json_real(before + (double)field(row, from[i]) / 1000));
    }
}

/* Clients of several workers ask for the same key. */
static json_t *merge(const json_t *rows, json_t *total)
{
    json_t *by_name = json_object(), *list = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        struct text name = {0};
        const char *key = json_string_value(json_object_get(row, "key"));
        if (!key) {
            add_rates(total, row);
            continue;
        }
        text_printf(&name, "%d %d %s", (int)field(row, "db"), (int)field(row, "key_bytes"), key);
        json_t *one = json_object_get(by_name, name.p);
        if (!one) {
            one = json_pack("{s:O,s:O,s:O,s:O}", "key", json_object_get(row, "key"), "key_bytes",
                            json_object_get(row, "key_bytes"), "cut", json_object_get(row, "cut"), "db",
                            json_object_get(row, "db"));
            json_object_set_new(by_name, name.p, one);
            json_array_append(list, one);
        }
        add_rates(one, row);
        text_free(&name);
    }
    json_decref(by_name);
    return list;
}

static void hotkeys_done(struct call *call, json_t *rows)
{
    size_t limit = take_limit(rows);
    json_t *total = json_pack("{s:f,s:f}", "reads", 0.0, "writes", 0.0), *all = merge(rows, total), *row;
    json_t *top = first_rows(all, limit, hotter);
    double sum = accesses(total);
    size_t i;
    json_array_foreach(top, i, row)
        json_object_set_new(row, "share_percent", json_real(sum > 0 ? 100 * accesses(row) / sum : 0));
    json_decref(all);
    json_decref(rows);
    call_reply(call, json_pack("{s:o,s:o}", "all_keys", total, "hotkeys", top));
}

void show_hotkeys(struct call *call, const json_t *request)
{
    run_limited(call, request, "hotkeys", hotkeys_done);
}

/* -- big keys ----------------------------------------------------------------------------------------- */

static int bigger(const void *a, const void *b)
{
    json_int_t x = field(*(json_t *const *)a, "memory"), y = field(*(json_t *const *)b, "memory");
    return x < y ? 1 : x > y ? -1 : 0;
}

static void bigkeys_done(struct call *call, json_t *rows)
{
    json_t *top = first_rows(rows, take_limit(rows), bigger);
    json_decref(rows);
    call_reply(call, top);
}

void show_bigkeys(struct call *call, const json_t *request)
{
    run_limited(call, request, "bigkeys", bigkeys_done);
}
