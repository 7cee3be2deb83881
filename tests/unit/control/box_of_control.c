/* box_of_control.c: see box_of_control.h. */
#include "box_of_control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char folder[] = "/tmp/control-box-XXXXXX", conf[96], cli[512];
unsigned port;
pid_t control;
char output[1 << 20]; /* of the last command, HTTP request or API request */

/* -- doing things ------------------------------------------------------------------------------------- */

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs a shell command; its stdout and stderr to output. The exit code. */
int sh(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *f = popen(command, "r");
    output[fread(output, 1, sizeof output - 1, f)] = 0;
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

bool says(const char *what)
{
    bool found = strstr(output, what) != NULL;
    if (!found)
        printf("# no '%s' in: %.400s\n", what, output);
    return found;
}

/* Until the command's output holds `what`; at most a minute. */
bool until(const char *command, const char *what)
{
    for (double end = now() + 60; now() < end; poll(NULL, 0, 20)) {
        sh("%s %s 2>&1", cli, command);
        if (strstr(output, what))
            return true;
    }
    return says(what);
}

/* An order for the fake dataplane, from t.sock, which takes the answer. */
static int send_order(const char *text, struct sockaddr_un *here)
{
    struct sockaddr_un there = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 60};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(there.sun_path, sizeof there.sun_path, "%s/d.sock.fake", folder);
    *here = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(here->sun_path, sizeof here->sun_path, "%s/t.sock", folder);
    unlink(here->sun_path);
    bind(fd, (struct sockaddr *)here, sizeof *here);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&there, sizeof there) > 0)
        return fd;
    close(fd);
    return -1;
}

bool order(const char *text)
{
    struct sockaddr_un here;
    int fd = send_order(text, &here);
    ssize_t n = fd >= 0 ? recv(fd, output, sizeof output - 1, 0) : 0;
    output[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
    unlink(here.sun_path);
    return n > 0;
}

bool last_order(const char *text)
{
    struct sockaddr_un here;
    int fd = send_order(text, &here);
    if (fd >= 0)
        close(fd);
    unlink(here.sun_path);
    return fd >= 0;
}

bool http(const char *path)
{
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval wait = {.tv_sec = 60};
    char request[128];
    size_t used = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    bool good = connect(fd, (struct sockaddr *)&where, sizeof where) == 0;
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    if (good)
        (void)!write(fd, request, (size_t)n);
    for (ssize_t got; good && (got = read(fd, output + used, sizeof output - 1 - used)) > 0;)
        used += (size_t)got;
    output[used] = 0;
    close(fd);
    return good;
}

void write_conf(const char *more)
{
    FILE *f = fopen(conf, "w");
    fprintf(f,
            "workers 2\nlink-address 127.0.77.2/24\nmanagement-socket %s/m.sock\ndataplane-socket "
            "%s/d.sock\nstate-dir %s/state\n"
            "stats-port %u\nlog-file %s/log\n%s",
            folder, folder, folder, port, folder, more);
    fclose(f);
}

void start_control(void)
{
    control = fork();
    if (control == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves nothing behind */
        execl(getenv("SLUICE_CONTROL"), "sluice-control", conf, "--dataplane", getenv("SLUICE_FAKE"),
              (char *)NULL);
        _exit(127);
    }
    CU_ASSERT(until("show status", "serving"));
}

long dataplane_pid(void)
{
    sh("cat %s/state/dataplane.pid 2>&1", folder);
    return atol(output);
}

int end_control(int number)
{
    int status = 0;
    kill(control, number);
    waitpid(control, &status, 0);
    return status;
}

void start_box(void)
{
    write_conf("");
    start_control();
}

void stop_box(void)
{
    int status = 1;
    CU_ASSERT_EQUAL(sh("%s stop 2>&1", cli), 0);
    waitpid(control, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT(dataplane_pid() == 0); /* and the dataplane has gone before it */
    sh("rm -rf %s/state %s/log", folder, folder);
}

static bool free_port(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool good = bind(fd, (struct sockaddr *)&here, sizeof here) == 0 &&
                getsockname(fd, (struct sockaddr *)&here, &len) == 0;
    port = ntohs(here.sin_port);
    close(fd);
    return good;
}

int box_main(int argc, char **argv, const char *suite, const struct unit_test *tests)
{
    if (!getenv("SLUICE_CONTROL") || !getenv("SLUICE_CLI") || !getenv("SLUICE_FAKE") || !mkdtemp(folder) ||
        !free_port())
        return 2;
    char owner[16];
    snprintf(owner, sizeof owner, "%d", (int)getpid());
    setenv("FAKE_OWNER", owner, 1); /* the fake dataplane ends when we do */
    signal(SIGPIPE, SIG_IGN);
    alarm(240);
    snprintf(conf, sizeof conf, "%s/box.conf", folder);
    snprintf(cli, sizeof cli, "%s --socket %s/m.sock", getenv("SLUICE_CLI"), folder);
    int result = unit_main(argc, argv, suite, tests);
    if (result == 0)
        sh("rm -rf %s", folder);
    return result;
}
