/* system.c: the commands about the machine below the box: board, upgrade, reboot, power off. They ask the image's root helper
 * (images/root/usr/lib/sluice/system) over its own Unix socket: a line with the words, for what changes anything control's leave
 * (control/leave.c), for `upgrade install` the bundle behind it; back come lines that begin with '.', and one that begins with '='
 * and has the exit code. */
#include "mgmt/operations.h"
#include "mgmt/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *system_socket(void)
{
    const char *path = getenv("SLUICE_SYSTEM_SOCKET");
    return path && *path ? path : "/run/sluice-system.sock";
}

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = strlen(path) < sizeof to.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        strcpy(to.sun_path, path);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            return fd;
        int why = errno;
        close(fd);
        errno = why;
    }
    fprintf(stderr, "sluice: %s: %s; only a box that runs from an image has this (on others: board/board)\n", path,
            strerror(errno));
    return -1;
}

/* All of `from` into `to`. True if all went; the other end may have had enough and said why. */
static bool pour(int from, int to)
{
    static char bytes[65536];
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        for (ssize_t sent = 0, m; sent < n; sent += m) {
            m = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL);
            if (m < 0 && errno != EINTR)
                return false;
            m = m < 0 ? 0 : m;
        }
    }
    return true;
}

/* Prints what comes until the line with the exit code. */
static int listen_to(int fd, FILE *out)
{
    char *line = NULL;
    size_t room = 0;
    int code = EXIT_UNREACHABLE;
    FILE *in = fdopen(fd, "r");
    if (!in) {
        close(fd);
        return EXIT_FAILED;
    }
    for (ssize_t n; (n = getline(&line, &room, in)) > 0;) {
        line[n - (line[n - 1] == '\n')] = 0;
        if (*line == '=')
            code = atoi(line + 1) ? EXIT_FAILED : EXIT_DONE;
        else if (*line == '.') {
            print_safe(out, line + 1);
            fputc('\n', out);
            fflush(out);
        }
    }
    if (code == EXIT_UNREACHABLE)
        fputs("sluice: the answer broke off\n", stderr);
    free(line);
    fclose(in);
    return code;
}

/* The helper is root's and knows no roles: what ends the box or changes its software it does for who brings control's leave. */
static int get_leave(struct invocation *in, char *leave, size_t size)
{
    json_t *data = NULL;
    char *thing = NULL;
    *leave = 0;
    if (!in->leaf->leave)
        return EXIT_DONE;
    if (asprintf(&thing, "%s %s", in->leaf->op, in->leaf->what) < 0)
        return EXIT_FAILED;
    json_t *request = json_pack("{s:s,s:s,s:s}", "op", "system", "what", "leave", "name", thing);
    int code = api_request(in->socket, request, &data);
    free(thing);
    if (code == EXIT_DONE)
        snprintf(leave, size, " leave=%s", text_of(data, "leave"));
    json_decref(data);
    return code;
}

static int run_words(struct invocation *in, const char *argument, int bundle)
{
    char line[512], leave[64];
    int code = get_leave(in, leave, sizeof leave);
    if (code != EXIT_DONE)
        return code;
    int n = snprintf(line, sizeof line, "%s %s%s%s%s%s\n", in->leaf->op, in->leaf->what, argument ? " " : "",
                     argument ? argument : "", leave, in->json ? " --json" : "");
    if (n < 0 || (size_t)n >= sizeof line || memchr(line, '\n', (size_t)n - 1)) {
        fputs("sluice: that is too much for one command\n", stderr);
        return EXIT_USAGE;
    }
    int fd = connect_to(system_socket());
    if (fd < 0)
        return EXIT_UNREACHABLE;
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) == n && bundle >= 0)
        pour(bundle, fd); /* if it is cut off, the other side says why */
    shutdown(fd, SHUT_WR);
    return listen_to(fd, in->out);
}

int run_system(struct invocation *in)
{
    return run_words(in, in->argc ? in->argv[0] : NULL, -1);
}

int run_upgrade_install(struct invocation *in)
{
    int file = strcmp(in->argv[0], "-") == 0 ? dup(0) : open(in->argv[0], O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fprintf(stderr, "sluice: %s: %s\n", in->argv[0], strerror(errno));
        return EXIT_FAILED;
    }
    int code = run_words(in, in->argc > 1 ? in->argv[1] : NULL, file);
    close(file);
    return code;
}
