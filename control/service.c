/* service.c: tells the service manager that control is ready and alive: a datagram on the socket that
 * $NOTIFY_SOCKET names. sd_notify(3), "Notes": the protocol is stable, so that a few lines do without its
 * library. */
#include "control/service.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    strcpy(to.sun_path, path);
    if (*path == '@') /* abstract */
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    /* A manager that does not read loses one sign of life; the next follows in a second. */
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

void service_ready(void)
{
    notify("READY=1");
}

void service_alive(void)
{
    if (getenv("WATCHDOG_USEC"))
        notify("WATCHDOG=1");
}

void service_stopping(void)
{
    notify("STOPPING=1");
}

void service_goes_on(unsigned seconds)
{
    char text[64];
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%u000000", seconds);
    notify(text);
}
