/* table.c: see table.h. */
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 16, CELL = 512 };

static void format_age(char text[CELL], double s)
{
    if (s < 60)
        snprintf(text, CELL, "%.1fs", s);
    else if (s < 3600)
        snprintf(text, CELL, "%dm%02ds", (int)s / 60, (int)s % 60);
    else
        snprintf(text, CELL, "%ldh%02dm", (long)s / 3600, (int)((long)s % 3600 / 60));
}

static void format_time(char text[CELL], json_int_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(text, CELL, "%Y-%m-%d %H:%M:%S", &tm);
}

/* As makers of disks count: 1 kB is 1000 bytes. */
static void format_bytes(char text[CELL], json_int_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double n = (double)bytes;
    unsigned u = 0;
    for (; n >= 999.95 && u < sizeof units / sizeof *units - 1; u++)
        n /= 1000;
    snprintf(text, CELL, u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

static const char *cell(const struct column *c, const json_t *row, char text[CELL])
{
    const json_t *v = json_object_get(row, c->key);
    if (json_is_string(v) && *json_string_value(v))
        return json_string_value(v);
    if (json_is_number(v) && c->kind == COLUMN_AGE)
        format_age(text, json_number_value(v) / 1000);
    else if (json_is_integer(v) && c->kind == COLUMN_TIME)
        format_time(text, json_integer_value(v));
    else if (json_is_integer(v) && c->kind == COLUMN_BYTES)
        format_bytes(text, json_integer_value(v));
    else if (json_is_integer(v) && (c->kind != COLUMN_SOME || json_integer_value(v)))
        snprintf(text, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        return "-";
    return text;
}

/* The last column of a line is not padded on its right. */
static void print_cell(FILE *out, const struct column *c, int width, const char *text)
{
    int pad = width - text_columns(text);
    bool left = c->kind == COLUMN_TEXT || c->kind == COLUMN_TIME;
    if (!left)
        fprintf(out, "%*s", pad, "");
    print_safe(out, text);
    if (c[1].head && left)
        fprintf(out, "%*s", pad, "");
    fputs(c[1].head ? "  " : "\n", out);
}

void print_table(FILE *out, const struct column *columns, const json_t *rows)
{
    int width[COLUMNS] = {0};
    char text[CELL];
    size_t i;
    const json_t *row;
    for (unsigned c = 0; c < COLUMNS && columns[c].head; c++) {
        width[c] = (int)strlen(columns[c].head);
        json_array_foreach(rows, i, row)
        {
            int len = text_columns(cell(&columns[c], row, text));
            width[c] = len > width[c] ? len : width[c];
        }
    }
    for (unsigned c = 0; c < COLUMNS && columns[c].head; c++)
        print_cell(out, &columns[c], width[c], columns[c].head);
    json_array_foreach(rows, i, row) for (unsigned c = 0; c < COLUMNS && columns[c].head; c++)
        print_cell(out, &columns[c], width[c], cell(&columns[c], row, text));
}
