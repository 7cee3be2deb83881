/* name_servers.c: see name_servers.h. Control may not write /etc, and need not: whoever keeps resolv.conf
 * watches the file. */
#include "control/name_servers.h"
#include "control/log.h"
#include "control/rewrite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *path_of(const struct settings *s)
{
    const char *socket = settings_get(s, "management-socket"), *slash = strrchr(socket, '/');
    return must_print("%.*sname-servers", slash ? (int)(slash + 1 - socket) : 0, socket);
}

/* Does the file hold just that? */
static bool holds(const char *path, const char *text, size_t len)
{
    char there[512];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(there, 1, sizeof there, f) : 0;
    if (f)
        fclose(f);
    return f && n == len && memcmp(there, text, len) == 0;
}

void name_servers_settings(const struct settings *s)
{
    const struct words *wanted = &s->value[directive_find("system-name-server")];
    char *path = path_of(s), error[512] = "";
    struct text t = {0};
    for (unsigned i = 0; i < wanted->n; i++)
        text_printf(&t, "%s\n", wanted->p[i]);
    if (!t.len && unlink(path) < 0 && errno != ENOENT)
        snprintf(error, sizeof error, "%s: %s", path, strerror(errno));
    if (t.len && !holds(path, t.p, t.len))
        (void)write_durably(path, t.p, error, sizeof error);
    if (*error)
        log_line(LOG_LEVEL_WARNING, "system-name-server: %s", error);
    text_free(&t);
    free(path);
}
