/* commit_file.c: the configuration file, and what is kept in state-dir beside it. See commit_private.h. */
#include "control/commit_private.h"
#include "control/log.h"
#include "control/rewrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* -- the generation number and the dataplane's start, on disk ----------------------------------------- */

static char *state_path(const struct commit *c, const char *name)
{
    return *c->options.state_dir ? must_print("%s/%s", c->options.state_dir, name) : NULL;
}

void commit_load_generation(struct commit *c)
{
    char *path = state_path(c, "generation");
    FILE *f = path ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%" SCNu64, &c->last_number) != 1)
        c->last_number = 0;
    if (f)
        fclose(f);
    free(path);
}

uint64_t commit_next_generation(struct commit *c)
{
    char *path = state_path(c, "generation"), text[32], error[256];
    snprintf(text, sizeof text, "%" PRIu64 "\n", ++c->last_number);
    if (path && !write_durably(path, text, error, sizeof error))
        log_line(LOG_LEVEL_WARNING, "%s", error);
    free(path);
    return c->last_number;
}

void commit_save_started(const struct commit *c)
{
    char *path = state_path(c, "started.conf"), error[256];
    struct text t = {0};
    conf_add_version(&t);
    for (unsigned i = 0; i < directive_count(); i++)
        if (directives[i].apply == APPLY_DATAPLANE)
            rewrite_directive(&t, c->started, (int)i);
    if (path && !write_durably(path, text_str(&t), error, sizeof error))
        log_line(LOG_LEVEL_WARNING, "%s", error);
    text_free(&t);
    free(path);
}

struct settings *commit_load_started(const struct commit *c)
{
    char *path = state_path(c, "started.conf");
    struct settings *s = settings_defaults();
    struct report r = {0};
    bool good = path && conf_load(path, s, NULL, &r);
    report_free(&r);
    free(path);
    if (good)
        return s;
    settings_free(s);
    return settings_copy(c->running);
}

/* -- the configuration file -- */

bool commit_unsaved(const struct commit *c)
{
    struct settings *file = settings_defaults();
    struct report r = {0};
    bool differs = false;
    if (*c->options.path && conf_load(c->options.path, file, NULL, &r)) {
        conf_overrides(c->options.argc, c->options.argv, file, &r);
        settings_place(file);
        for (unsigned i = 0; i < directive_count() && !differs; i++)
            differs = !settings_same(file, c->running, (int)i);
    }
    report_free(&r);
    settings_free(file);
    return differs;
}

bool commit_overrides(const struct commit *c, struct settings *s, struct report *r)
{
    return conf_overrides(c->options.argc, c->options.argv, s, r);
}

bool commit_rewrite(struct commit *c, const char *who, char *error, size_t size)
{
    if (c->hold_file) {
        snprintf(error, size, "a commit waits for its confirmation; confirm it (configure, commit) first");
        return false;
    }
    if (!*c->options.path) {
        snprintf(error, size, "The server is running without a config file");
        return false;
    }
    char *text = rewrite_text(c->options.path, c->running, error, size);
    bool good = text && write_durably(c->options.path, text, error, size);
    free(text);
    if (good)
        log_line(LOG_LEVEL_NOTICE, "CONFIG REWRITE by %s: %s written", who, c->options.path);
    else
        log_line(LOG_LEVEL_WARNING, "CONFIG REWRITE by %s failed: %s", who, error);
    return good;
}
