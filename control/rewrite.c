/* rewrite.c: CONFIG REWRITE. */
#include "control/rewrite.h"
#include "control/conffile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char heading[] = "# Written by CONFIG REWRITE";

/* -- the text ----------------------------------------------------------------------------------------- */

/* A value that holds several words. What a client set may hold anything: each word is quoted where it needs
 * it. */
static void print_words(struct text *out, const char *value)
{
    for (const char *before = ""; *value; before = " ") {
        size_t len = strcspn(value, " \t");
        char *word = must_copy_n(value, len);
        text_add(out, before);
        text_add_word(out, word);
        free(word);
        value += len;
        value += strspn(value, " \t");
    }
}

void rewrite_directive(struct text *out, const struct settings *s, int i)
{
    const struct directive *d = &directives[i];
    for (unsigned j = 0; j < s->value[i].n; j++) {
        const char *value = s->value[i].p[j];
        char size[32];
        uint64_t bytes;
        text_printf(out, "%s ", d->name);
        if (d->kind == KIND_MEMORY && memory_parse(value, &bytes)) {
            memory_print(bytes, size, sizeof size);
            text_add(out, size);
        } else if (d->flags & DIRECTIVE_REPEATED) {
            text_add(out, value); /* quoted already, word by word */
        } else if (d->kind == KIND_CHECKED && *value) {
            print_words(out, value);
        } else {
            text_add_word(out, value);
        }
        text_add(out, "\n");
    }
}

static char *compose(const struct conf_lines *lines, const struct settings *running, const bool *changed,
                     bool any, bool *written)
{
    struct text out = {0};
    bool headed = false, newer = false;
    for (unsigned n = 0; n < lines->n; n++)
        newer = newer || conf_is_of_newer(lines->line[n].raw);
    if (any && !newer)
        conf_add_version(&out);
    for (unsigned n = 0; n < lines->n; n++) {
        const struct conf_line *l = &lines->line[n];
        if (any && !newer && conf_is_version(l->raw))
            continue;
        headed = headed || strcmp(l->raw, heading) == 0;
        if (l->directive < 0 || !changed[l->directive]) {
            text_printf(&out, "%s\n", l->raw);
            continue;
        }
        if (l->comment)
            text_printf(&out, "%s\n", l->comment);
        if (!written[l->directive])
            rewrite_directive(&out, running, l->directive);
        written[l->directive] = true;
    }
    for (unsigned i = 0; i < directive_count(); i++)
        if (changed[i] && !written[i]) {
            if (!headed)
                text_printf(&out, "%s\n", heading);
            headed = true;
            rewrite_directive(&out, running, (int)i);
        }
    text_add(&out, "");
    return out.p;
}

/* Marks the directives on which a and b differ; returns how many. */
static unsigned mark_changes(const struct settings *a, const struct settings *b, bool *changed)
{
    unsigned n = 0;
    for (unsigned i = 0; i < directive_count(); i++) {
        changed[i] = !settings_same(a, b, (int)i);
        n += changed[i];
    }
    return n;
}

char *rewrite_text(const char *path, const struct settings *running, char *error, size_t size)
{
    struct report r = {0};
    struct conf_lines lines = {0};
    struct settings *file = settings_defaults(), *back = settings_defaults();
    bool *changed = must_alloc(directive_count(), sizeof(bool)),
         *written = must_alloc(directive_count(), sizeof(bool));
    char *text = NULL;
    unsigned left = 0;
    if (!conf_load(path, file, &lines, &r)) {
        snprintf(error, size, "%s: %.*s", path, (int)strcspn(text_str(&r.lines), "\n"), text_str(&r.lines));
    } else {
        bool any = mark_changes(file, running, changed) > 0;
        text = compose(&lines, running, changed, any, written);
        conf_parse(path, text, strlen(text), back, NULL, &r);
        if ((left = mark_changes(back, running,
                                 changed))) { /* an include comes after the line: say it again at the end */
            struct text more = {0};
            text_printf(&more, "%s%s\n", text, heading);
            for (unsigned i = 0; i < directive_count(); i++)
                if (changed[i])
                    rewrite_directive(&more, running, (int)i);
            free(text);
            text = more.p;
            settings_free(back);
            back = settings_defaults();
            conf_parse(path, text, strlen(text), back, NULL, &r);
            left = mark_changes(back, running, changed);
        }
    }
    if (text && left) {
        for (unsigned i = 0; i < directive_count(); i++)
            if (changed[i])
                snprintf(error, size, "%s: %s is also set by an included file, which REWRITE does not touch",
                         path, directives[i].name);
        free(text);
        text = NULL;
    }
    settings_free(file);
    settings_free(back);
    conf_lines_free(&lines);
    report_free(&r);
    free(changed);
    free(written);
    return text;
}

/* -- the disk ----------------------------------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash          ? must_copy(".")
           : slash == path ? must_copy("/")
                           : must_copy_n(path, (size_t)(slash - path));
}

bool sync_folder(const char *path)
{
    char *folder = folder_of(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(folder);
    return good;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return true;
}

bool write_durably(const char *path, const char *text, char *error, size_t size)
{
    struct stat old;
    bool had = stat(path, &old) == 0;
    char *real = had ? realpath(path, NULL) : NULL; /* a symbolic link stays one */
    char *target = real ? real : must_copy(path), *temporary = must_print("%s.XXXXXX", target);
    int fd = mkostemp(temporary, O_CLOEXEC);
    bool good = fd >= 0 && fchmod(fd, had ? old.st_mode & 07777 : 0600) == 0;
    if (good && had)
        good = fchown(fd, old.st_uid, old.st_gid) == 0 || errno == EPERM;
    good = good && write_all(fd, text, strlen(text)) && fsync(fd) == 0 && rename(temporary, target) == 0 &&
           sync_folder(target);
    if (!good) {
        snprintf(error, size, "cannot write %s: %s", target, strerror(errno));
        if (fd >= 0)
            unlink(temporary);
    }
    if (fd >= 0)
        close(fd);
    free(temporary);
    free(target);
    return good;
}
