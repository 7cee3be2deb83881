/* revisions.c: see revisions.h. */
#include "control/revisions.h"
#include "control/conffile.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/rewrite.h"
#include "control/user_line.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char mark[] = "# sluice-revision ";
enum { HEAD_MAX = 8192 };

struct revision {
    unsigned long n;
    bool wire;
    json_t *about; /* what the comment line says; never NULL */
};

struct revisions {
    char *folder;         /* NULL: nothing is kept */
    struct revision *row; /* oldest first */
    unsigned rows;
    char *last; /* text of the newest one, or NULL */
};

/* -- texts -------------------------------------------------------------------------------------------- */

/* Comments: without their passwords they are no users to be loaded. */
static void users_text(struct text *out, const struct words *users)
{
    for (unsigned i = 0; i < users->n; i++) {
        text_add(out, "# user ");
        user_line_shown(out, users->p[i]);
        text_add(out, "\n");
    }
}

void settings_text(struct text *out, const struct settings *s, bool secrets)
{
    struct settings *usual = settings_defaults();
    for (unsigned i = 0; i < directive_count(); i++) {
        if (settings_same(s, usual, (int)i))
            continue;
        if (!secrets && (int)i == directive_find("user"))
            users_text(out, &s->value[i]);
        else if (!secrets && directives[i].flags & DIRECTIVE_SECRET)
            text_printf(out, "# %s is set (secret)\n", directives[i].name);
        else
            rewrite_directive(out, s, (int)i);
    }
    text_add(out, "");
    settings_free(usual);
}

static void users_json(json_t *list, const struct words *users)
{
    for (unsigned i = 0; i < users->n; i++) {
        struct text t = {0};
        user_line_shown(&t, users->p[i]);
        json_t *v = json_string(text_str(&t));
        json_array_append_new(list, v ? v : json_string("(not UTF-8)"));
        text_free(&t);
    }
}

static json_t *values_json(const struct settings *s, unsigned i)
{
    json_t *list = json_array();
    const struct words *w = &s->value[i];
    if ((int)i == directive_find("user")) {
        users_json(list, w);
        return list;
    }
    for (unsigned j = 0; j < w->n; j++) {
        bool hidden = directives[i].flags & DIRECTIVE_SECRET && *w->p[j];
        char size[32];
        uint64_t bytes;
        bool memory = directives[i].kind == KIND_MEMORY && memory_parse(w->p[j], &bytes);
        if (memory)
            memory_print(bytes, size, sizeof size);
        json_t *v = json_string(hidden ? "(secret)" : memory ? size : w->p[j]);
        json_array_append_new(list, v ? v : json_string("(not UTF-8)"));
    }
    return list;
}

json_t *settings_diff(const struct settings *before, const struct settings *after)
{
    static const char *const effects[] = {"at once", "restart of the dataplane", "restart of control"};
    json_t *list = json_array();
    for (unsigned i = 0; i < directive_count(); i++)
        if (!settings_same(before, after, (int)i))
            json_array_append_new(list,
                                  json_pack("{s:s,s:o,s:o,s:s}", "directive", directives[i].name, "before",
                                            values_json(before, i), "after", values_json(after, i), "effect",
                                            effects[directives[i].apply]));
    return list;
}

/* -- the folder --------------------------------------------------------------------------------------- */

static char *path_of(const struct revisions *r, unsigned long n, bool wire)
{
    return must_print("%s/%06lu%s.conf", r->folder, n, wire ? ".wire" : "");
}

/* The comment line; an object without members if there is none (a file of an older release). */
static json_t *read_about(const char *path)
{
    char line[HEAD_MAX];
    json_t *about = NULL;
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f) && strncmp(line, mark, sizeof mark - 1) == 0)
        about = json_loads(line + sizeof mark - 1, 0, NULL);
    if (f)
        fclose(f);
    if (json_is_object(about))
        return about;
    json_decref(about);
    return json_object();
}

static int older(const void *a, const void *b)
{
    const struct revision *x = a, *y = b;
    return x->n < y->n ? -1 : x->n > y->n;
}

static void add_row(struct revisions *r, unsigned long n, bool wire, json_t *about)
{
    r->row = must_grow(r->row, r->rows + 1, sizeof *r->row);
    r->row[r->rows++] = (struct revision){n, wire, about};
}

static void scan(struct revisions *r)
{
    DIR *d = opendir(r->folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *end;
        unsigned long n = strtoul(e->d_name, &end, 10);
        bool wire = strcmp(end, ".wire.conf") == 0;
        if (end == e->d_name || n == 0 || (!wire && strcmp(end, ".conf") != 0))
            continue;
        char *path = path_of(r, n, wire);
        add_row(r, n, wire, read_about(path));
        free(path);
    }
    if (d)
        closedir(d);
    if (r->rows)
        qsort(r->row, r->rows, sizeof *r->row, older);
}

static void drop_row(struct revisions *r, unsigned i)
{
    char *path = path_of(r, r->row[i].n, r->row[i].wire);
    unlink(path);
    free(path);
    json_decref(r->row[i].about);
    memmove(&r->row[i], &r->row[i + 1], (r->rows - i - 1) * sizeof *r->row);
    r->rows--;
}

static void drop_oldest(struct revisions *r, bool wire)
{
    unsigned n = 0, first = 0;
    for (unsigned i = r->rows; i-- > 0;)
        if (r->row[i].wire == wire) {
            n++;
            first = i;
        }
    if (n > REVISIONS_KEPT)
        drop_row(r, first);
}

struct revisions *revisions_open(const char *state_dir)
{
    struct revisions *r = must_alloc(1, sizeof *r);
    char error[512];
    if (!*state_dir)
        return r;
    r->folder = must_print("%s/revisions", state_dir);
    if (mkdir(r->folder, 0750) < 0 && errno != EEXIST)
        log_line(LOG_LEVEL_WARNING, "Revisions of the configuration cannot be kept in %s: %s", r->folder,
                 strerror(errno));
    scan(r);
    struct settings *s = r->rows ? revisions_read(r, 0, NULL, error, sizeof error) : NULL;
    if (s) {
        struct text t = {0};
        settings_text(&t, s, true);
        r->last = t.p;
        settings_free(s);
    }
    return r;
}

void revisions_free(struct revisions *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->rows; i++)
        json_decref(r->row[i].about);
    free(r->row);
    free(r->folder);
    free(r->last);
    free(r);
}

void revisions_add(struct revisions *r, const struct settings *s, const char *way, const char *who,
                   const char *comment, bool wire, bool always)
{
    struct text body = {0}, file = {0};
    char error[512];
    settings_text(&body, s, true);
    if (!r->folder || (!always && r->last && strcmp(r->last, text_str(&body)) == 0)) {
        text_free(&body);
        return;
    }
    unsigned long n = r->rows ? r->row[r->rows - 1].n + 1 : 1;
    json_t *about = json_pack("{s:I,s:I,s:s}", "revision", (json_int_t)n, "time_ms",
                              (json_int_t)wall_clock_ms(), "way", way);
    json_t *author = json_string(who), *words = json_string(comment); /* NULL: not UTF-8 */
    json_object_set_new(about, "who", author ? author : json_string("(not UTF-8)"));
    json_object_set_new(about, "comment", words ? words : json_string("(not UTF-8)"));
    char *head = json_dumps(about, JSON_COMPACT | JSON_ENSURE_ASCII), *path = path_of(r, n, wire);
    text_printf(&file, "%s%s\n", mark, head);
    conf_add_version(&file);
    text_add(&file, text_str(&body));
    if (write_durably(path, text_str(&file), error, sizeof error)) {
        add_row(r, n, wire, about);
        drop_oldest(r, wire);
        free(r->last);
        r->last = body.p;
    } else {
        log_line(LOG_LEVEL_WARNING, "This revision of the configuration is not kept: %s", error);
        json_decref(about);
        text_free(&body);
    }
    text_free(&file);
    free(head);
    free(path);
}

static json_t *row_json(const struct revisions *r, unsigned back)
{
    const struct revision *v = &r->row[r->rows - 1 - back];
    json_t *j = json_copy(v->about);
    json_object_set_new(j, "back", json_integer(back));
    json_object_set_new(j, "revision", json_integer((json_int_t)v->n));
    return j;
}

json_t *revisions_list(const struct revisions *r)
{
    json_t *list = json_array();
    for (unsigned back = 0; back < r->rows; back++)
        json_array_append_new(list, row_json(r, back));
    return list;
}

struct settings *revisions_read(const struct revisions *r, unsigned back, json_t **about, char *error,
                                size_t size)
{
    if (back >= r->rows) {
        snprintf(error, size, "there is no revision %u; `show history` lists those that there are", back);
        return NULL;
    }
    const struct revision *v = &r->row[r->rows - 1 - back];
    struct settings *s = settings_defaults();
    struct report report = {0};
    char *path = path_of(r, v->n, v->wire);
    if (!conf_load(path, s, NULL, &report)) {
        snprintf(error, size, "revision %u cannot be read: %.*s", back,
                 (int)strcspn(text_str(&report.lines), "\n"), text_str(&report.lines));
        settings_free(s);
        s = NULL;
    } else if (about) {
        *about = row_json(r, back);
    }
    report_free(&report);
    free(path);
    return s;
}
