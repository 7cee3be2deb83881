/* conffile.c: redis.conf's grammar. https://redis.io/docs/management/config-file/ */
#include "control/conffile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, INCLUDE_DEPTH = 16, INCLUDE_FILES = 256, REPORT_MAX = 200 };

struct source { /* a file that is being read, and the files that led to it */
    const char *path;
    unsigned line;
    dev_t dev;
    ino_t ino;
    const struct source *parent;
};

struct load {
    struct settings *into;
    struct report *report;
    unsigned files;
    bool alone; /* the text is somebody else's: it must not make control read files */
    bool newer; /* it is a newer version's: what is not known here is left out */
};

/* -- what is wrong ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 5, 6))) static void say(struct report *r, bool warning, const struct source *at,
                                                      const char *word, const char *format, ...)
{
    va_list args;
    *(warning ? &r->warnings : &r->errors) += 1;
    if (r->errors + r->warnings > REPORT_MAX)
        return;
    text_add(&r->lines, at->path);
    if (at->line)
        text_printf(&r->lines, ":%u", at->line);
    text_printf(&r->lines, ": %s%.100s: ", warning ? "warning: " : "", word);
    va_start(args, format);
    text_vprintf(&r->lines, format, args);
    va_end(args);
    text_add(&r->lines, "\n");
}

void report_free(struct report *r)
{
    text_free(&r->lines);
    *r = (struct report){0};
}

void conf_lines_free(struct conf_lines *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        free(l->line[i].raw);
        free(l->line[i].comment);
    }
    free(l->line);
    *l = (struct conf_lines){0};
}

/* -- words -------------------------------------------------------------------------------------------- */

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* The escape after a backslash in double quotes; returns how many characters it takes. */
static size_t escape(const char *s, char *out)
{
    static const char letters[] = "nrtba", bytes[] = "\n\r\t\b\a";
    const char *l = *s ? strchr(letters, *s) : NULL;
    if (*s == 'x' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
        *out = (char)(hex(s[1]) * 16 + hex(s[2]));
        return 3;
    }
    *out = l ? bytes[l - letters] : *s;
    return 1;
}

/* One quoted part, s after the opening quote. Returns what follows the closing quote, or NULL. */
static const char *quoted(const char *s, char quote, struct text *out)
{
    for (; *s != quote; s++) {
        char c = *s;
        if (c == 0)
            return NULL;
        if (c == '\\' && quote == '"' && s[1])
            s += escape(s + 1, &c);
        else if (c == '\\' && quote == '\'' && s[1] == '\'')
            c = *++s;
        if (c == 0) /* \x00 */
            return NULL;
        text_add_n(out, &c, 1);
    }
    s++; /* the closing quote must end the word */
    return *s == 0 || isspace((unsigned char)*s) ? s : NULL;
}

bool line_split(const char *s, struct words *out, unsigned comment_from, char **comment)
{
    *comment = NULL;
    for (;;) {
        struct text word = {0};
        while (isspace((unsigned char)*s))
            s++;
        if (*s == 0)
            return true;
        if (*s == '#' && out->n >= comment_from) {
            *comment = must_copy(s);
            return true;
        }
        text_add(&word, "");
        while (s && *s && !isspace((unsigned char)*s)) {
            if (*s == '"' || *s == '\'')
                s = quoted(s + 1, *s, &word);
            else
                text_add_n(&word, s++, 1);
        }
        if (!s) {
            text_free(&word);
            return false;
        }
        words_add(out, word.p);
    }
}

/* -- lines -------------------------------------------------------------------------------------------- */

static bool load_file(struct load *l, const char *path, const struct source *parent, const char *word,
                      struct conf_lines *lines);

static void include(struct load *l, const struct source *at, const struct words *w)
{
    struct text pattern = {0};
    const char *slash = strrchr(at->path, '/');
    glob_t found = {0};
    if (w->n != 2 || !*w->p[1]) {
        say(l->report, false, at, "include", "wrong number of arguments; write include and one file name");
        return;
    }
    if (w->p[1][0] != '/' && slash) /* relative to the including file */
        text_add_n(&pattern, at->path, (size_t)(slash - at->path + 1));
    text_add(&pattern, w->p[1]);
    if (strpbrk(w->p[1], "*?[")) {
        if (glob(pattern.p, 0, NULL, &found) == 0)
            for (size_t i = 0; i < found.gl_pathc; i++)
                load_file(l, found.gl_pathv[i], at, w->p[1], NULL);
        globfree(&found); /* as in Redis, a pattern that matches nothing is no error */
    } else {
        load_file(l, pattern.p, at, w->p[1], NULL);
    }
    text_free(&pattern);
}

static void unknown(struct load *l, const struct source *at, const char *name)
{
    const char *near = directive_nearest(name);
    if (l->newer)
        say(l->report, true, at, name, "left out: version " SLUICE_VERSION " does not know it; a newer one wrote this file");
    else if (directive_obsolete(name))
        say(l->report, true, at, name,
            "this directive of older Redis versions has no effect any more; remove the line");
    else if (near)
        say(l->report, false, at, name, "unknown directive; did you mean %s?", near);
    else
        say(l->report, false, at, name, "unknown directive; remove the line or correct the name");
}

static void set(struct load *l, const struct source *at, int i, const struct words *w)
{
    const struct directive *d = &directives[i];
    struct words values = {.p = w->p + 1, .n = w->n - 1};
    char error[512], remedy[256];
    directive_remedy(d, remedy, sizeof remedy);
    if (values.n == 0) {
        say(l->report, false, at, w->p[0], "wrong number of arguments: a value is missing; %s", remedy);
    } else if (!settings_add(l->into, i, &values, error, sizeof error)) {
        if (l->newer && !(d->flags & DIRECTIVE_REPEATED)) /* a rule or user that is missing may open what was closed */
            say(l->report, true, at, w->p[0], "left out: %s; a newer version than " SLUICE_VERSION " wrote this file", error);
        else if (values.n == 1 && !(d->flags & DIRECTIVE_SECRET))
            say(l->report, false, at, w->p[0], "'%.64s': %s; %s", values.p[0], error, remedy);
        else
            say(l->report, false, at, w->p[0], "%s; %s", error, remedy);
    } else if (d->flags & DIRECTIVE_KEPT &&
               strcmp(l->into->value[i].p[0], d->fallback ? d->fallback : "") != 0) {
        say(l->report, true, at, w->p[0], "accepted, but without effect on Sluice");
    }
}

/* Where a trailing comment may begin: after the values that a line must have. */
static unsigned comment_position(const char *line)
{
    char name[64];
    if (sscanf(line, "%63s", name) != 1)
        return 1;
    int i = directive_find(name);
    if (i >= 0 && directives[i].flags & DIRECTIVE_HASH_WORDS)
        return UINT_MAX;
    return i >= 0 && directives[i].check == check_rename ? 3 : 2;
}

/* One line; returns its directive for conf_lines, and the comment taken off. */
static int parse_line(struct load *l, const struct source *at, const char *line, char **comment)
{
    struct words w = {0};
    int found = -1;
    *comment = NULL;
    line += strspn(line, " \t\r");
    if (*line == 0 || *line == '#')
        return -1;
    if (!line_split(line, &w, comment_position(line), comment)) {
        say(l->report, false, at, w.n ? w.p[0] : line,
            "unbalanced quotes; close the quote and put a blank behind it, or write \\\" for a quote inside");
    } else if (w.n) {
        for (char *c = w.p[0]; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        if (*comment)
            say(l->report, true, at, w.p[0],
                "the comment after the value was taken off; Redis would refuse this line");
        if (strcmp(w.p[0], "include") == 0 && l->alone)
            say(l->report, false, at, "include", "not possible here: load the files one by one, with merge");
        else if (strcmp(w.p[0], "include") == 0)
            include(l, at, &w);
        else if ((found = directive_find(w.p[0])) < 0)
            unknown(l, at, w.p[0]);
        else
            set(l, at, found, &w);
    }
    words_free(&w);
    return found;
}

/* -- versions ----------------------------------------------------------------------------------------- */

static const char version_mark[] = "# sluice-version ";

void conf_add_version(struct text *out)
{
    text_printf(out, "%s%s\n", version_mark, SLUICE_VERSION);
}

bool conf_is_version(const char *line)
{
    return strncmp(line, version_mark, sizeof version_mark - 1) == 0;
}

/* MAJOR.MINOR.PATCH as a number that grows with them; 0: it is none. */
static uint64_t version_number(const char *text)
{
    unsigned part[3];
    if (sscanf(text, "%5u.%5u.%5u", &part[0], &part[1], &part[2]) != 3)
        return 0;
    return (uint64_t)part[0] << 40 | (uint64_t)part[1] << 20 | part[2];
}

bool conf_is_of_newer(const char *line)
{
    return conf_is_version(line) && version_number(line + sizeof version_mark - 1) > version_number(SLUICE_VERSION);
}

/* Among the first lines, as those who write it do (behind what is said of a revision). */
static bool newer_wrote(const char *text, size_t len)
{
    enum { LINES = 3, LONGEST = 64 };
    const char *end = text + len;
    for (unsigned i = 0; i < LINES && text < end; i++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        char line[LONGEST] = "";
        memcpy(line, text, (size_t)(end - text) < sizeof line ? (size_t)(end - text) : sizeof line - 1);
        if (conf_is_version(line))
            return conf_is_of_newer(line);
        text = stop ? stop + 1 : end;
    }
    return false;
}

static void parse_text(struct load *l, struct source *at, const char *text, size_t len,
                       struct conf_lines *lines)
{
    const char *end = text + len;
    l->newer = l->newer || newer_wrote(text, len);
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        char *line = must_copy_n(text, n), *comment = NULL;
        int found = -1;
        at->line++;
        if (memchr(text, 0, n))
            say(l->report, false, at, "line", "holds a zero byte; this is not a text file");
        else
            found = parse_line(l, at, line, &comment);
        text += n + 1;
        if (!lines) {
            free(line);
            free(comment);
            continue;
        }
        lines->line = must_grow(lines->line, lines->n + 1, sizeof *lines->line);
        lines->line[lines->n++] = (struct conf_line){line, found, comment};
    }
}

/* -- files -------------------------------------------------------------------------------------------- */

/* The whole of an ordinary file of bounded size; NULL and a text in *why. */
static char *read_whole(const char *path, struct stat *st, size_t *len, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *p = NULL;
    *len = 0;
    if (fd < 0 || fstat(fd, st) < 0) {
        *why = strerror(errno);
    } else if (!S_ISREG(st->st_mode)) {
        *why = "not an ordinary file";
    } else if (st->st_size > FILE_BYTES_MAX) {
        *why = "larger than 1 MB";
    } else {
        p = must_alloc((size_t)st->st_size + 1, 1);
        ssize_t n;
        while (*len < (size_t)st->st_size && (n = read(fd, p + *len, (size_t)st->st_size - *len)) > 0)
            *len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    return p;
}

static bool load_file(struct load *l, const char *path, const struct source *parent, const char *word,
                      struct conf_lines *lines)
{
    struct stat st;
    size_t len;
    const char *why;
    unsigned depth = 0;
    struct source here = {.path = path, .parent = parent};
    const struct source *blame = parent ? parent : &here;
    char *text = read_whole(path, &st, &len, &why);
    if (!text) {
        say(l->report, false, blame, word, "cannot read %s: %s; correct the name or its permissions", path,
            why);
        return false;
    }
    here.dev = st.st_dev;
    here.ino = st.st_ino;
    for (const struct source *s = parent; s; s = s->parent, depth++)
        if (s->dev == st.st_dev && s->ino == st.st_ino) {
            say(l->report, false, blame, word, "%s includes itself; remove this include", path);
            free(text);
            return false;
        }
    if (depth >= INCLUDE_DEPTH || ++l->files > INCLUDE_FILES)
        say(l->report, false, blame, word, "too many includes (%d deep, %d files at most); join some files",
            INCLUDE_DEPTH, INCLUDE_FILES);
    else
        parse_text(l, &here, text, len, lines);
    free(text);
    return true;
}

bool conf_load(const char *path, struct settings *into, struct conf_lines *lines, struct report *r)
{
    struct load l = {.into = into, .report = r};
    unsigned before = r->errors;
    load_file(&l, path, NULL, "file", lines);
    return r->errors == before;
}

static bool parse(struct load *l, const char *path, const char *text, size_t len, struct conf_lines *lines)
{
    struct source at = {.path = path};
    unsigned before = l->report->errors;
    parse_text(l, &at, text, len, lines);
    return l->report->errors == before;
}

bool conf_parse(const char *path, const char *text, size_t len, struct settings *into,
                struct conf_lines *lines, struct report *r)
{
    return parse(&(struct load){.into = into, .report = r}, path, text, len, lines);
}

bool conf_parse_alone(const char *path, const char *text, size_t len, struct settings *into, struct report *r)
{
    return parse(&(struct load){.into = into, .report = r, .alone = true}, path, text, len, NULL);
}

/* -- command line ------------------------------------------------------------------------------------- */

bool conf_overrides(int argc, char *const *argv, struct settings *into, struct report *r)
{
    struct load l = {.into = into, .report = r};
    struct source at = {.path = "command line"};
    bool *seen = must_alloc(directive_count(), sizeof *seen);
    unsigned before = r->errors;
    for (int i = 0; i < argc;) {
        struct words w = {0};
        char *comment = NULL;
        if (strncmp(argv[i], "--", 2) != 0 || !argv[i][2]) {
            say(r, false, &at, argv[i], "not an option; write --directive value");
            i++;
            continue;
        }
        /* "--maxmemory 1gb" may also be one argument. */
        if (!line_split(argv[i++] + 2, &w, UINT_MAX, &comment))
            say(r, false, &at, argv[i - 1], "unbalanced quotes");
        while (i < argc && (strncmp(argv[i], "--", 2) != 0 || !argv[i][2]))
            words_add(&w, must_copy(argv[i++]));
        int found = w.n ? directive_find(w.p[0]) : -1;
        if (found >= 0 && !seen[found]) {
            settings_clear(into, found);
            seen[found] = true;
        }
        if (w.n && strcmp(w.p[0], "include") == 0)
            include(&l, &at, &w);
        else if (found >= 0)
            set(&l, &at, found, &w);
        else if (w.n)
            unknown(&l, &at, w.p[0]);
        words_free(&w);
    }
    free(seen);
    return r->errors == before;
}
