/* leave.c: {"op":"system","what":"leave","name":"system reboot"}: leave for one thing that root does for the CLI (images/,
 * sluice-system.socket). Control knows the caller's role, the helper of root does not: so it does what ends the box or
 * changes its software only for who brings a leave, a name by chance of a file in state-dir/leave that has the words. The
 * helper takes the file away; after LEAVE_SECONDS it is worth nothing. */
#include "control/control.h"
#include "control/metrics.h"
#include "control/rewrite.h"
#include "control/show.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAVE_SECONDS = 60, LEAVE_BYTES = 16 };

static const char *const things[] = {"system reboot",   "system poweroff",  "upgrade install",
                                     "upgrade confirm", "upgrade rollback", "upgrade remove",
                                     "board apply"};

/* Those that nobody has used. */
static void clear_old(const char *folder)
{
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *path = must_print("%s/%s", folder, e->d_name);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime + LEAVE_SECONDS < (time_t)(wall_clock_ms() / 1000))
            unlink(path);
        free(path);
    }
    if (d)
        closedir(d);
}

/* The name of a leave on the heap; NULL and one line. */
static char *leave_new(const char *folder, const char *thing, char *error, size_t size)
{
    unsigned char chance[LEAVE_BYTES];
    struct text name = {0};
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
        snprintf(error, size, "%s: %s", folder, strerror(errno));
        return NULL;
    }
    clear_old(folder);
    if (RAND_bytes(chance, sizeof chance) != 1) {
        snprintf(error, size, "no randomness to be had");
        return NULL;
    }
    for (unsigned i = 0; i < sizeof chance; i++)
        text_printf(&name, "%02x", chance[i]);
    char *path = must_print("%s/%s", folder, text_str(&name));
    bool good = write_durably(path, thing, error, size);
    free(path);
    if (good)
        return name.p;
    text_free(&name);
    return NULL;
}

void system_leave(struct call *call, const json_t *request)
{
    const char *thing = request_word(request, "name");
    const struct settings *s = commit_running(call_control(call)->commit);
    char error[512];
    for (size_t i = 0; i < sizeof things / sizeof *things; i++)
        if (strcmp(thing, things[i]) == 0) {
            char *folder = must_print("%s/leave", settings_get(s, "state-dir"));
            char *name = leave_new(folder, thing, error, sizeof error);
            if (name)
                call_reply(call, json_pack("{s:s,s:i}", "leave", name, "seconds", LEAVE_SECONDS));
            else
                call_fail(call, "failed", "%s", error);
            free(name);
            free(folder);
            return;
        }
    call_fail(call, "bad-value", "name: system reboot, system poweroff, upgrade install, upgrade confirm, upgrade rollback, "
                                 "upgrade remove or board apply");
}
