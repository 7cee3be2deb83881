/* client.c: a request to control over its Unix socket: 4-byte big-endian length and JSON, both ways (control/api.c). */
#include "mgmt/operations.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_MAX = 256 << 20, REPLY_SECONDS = 30 };

static int fail(const char *path, const char *what, const char *remedy)
{
    fprintf(stderr, "sluice: %s: %s; %s\n", path, what, remedy);
    return EXIT_UNREACHABLE;
}

static const char *remedy_for(int error)
{
    return error == EACCES   ? "run as root or as a member of the socket's group"
           : error == EAGAIN ? "control does not answer; look at its log"
                             : "start sluice-control, or name its socket with --socket";
}

static bool send_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t len)
{
    uint8_t *p = bytes;
    while (len) {
        ssize_t n = recv(fd, p, len, 0);
        if (n == 0)
            errno = ECONNRESET;
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static int connect_to(const char *path)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = REPLY_SECONDS};
    if (strlen(path) >= sizeof where.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(where.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&where, sizeof where) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* The reply as a text on the heap, or NULL and errno. */
static char *exchange(int fd, const char *text, size_t *len)
{
    size_t n = strlen(text);
    uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    if (!send_all(fd, head, sizeof head) || !send_all(fd, text, n) || !receive_all(fd, head, sizeof head))
        return NULL;
    *len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (*len > REPLY_MAX) {
        errno = EMSGSIZE;
        return NULL;
    }
    char *reply = malloc(*len + 1);
    if (reply && !receive_all(fd, reply, *len)) {
        free(reply);
        return NULL;
    }
    return reply;
}

int api_request(const char *path, json_t *request, json_t **data)
{
    char *text = json_dumps(request, JSON_COMPACT), *reply = NULL;
    size_t len = 0;
    json_decref(request);
    int fd = connect_to(path);
    if (fd >= 0 && text)
        reply = exchange(fd, text, &len);
    int why = errno;
    if (fd >= 0)
        close(fd);
    free(text);
    if (!reply)
        return fail(path, fd < 0 ? strerror(why) : "no answer from control", remedy_for(why));
    json_t *j = json_loadb(reply, len, 0, NULL);
    free(reply);
    if (json_is_true(json_object_get(j, "ok"))) {
        *data = json_incref(json_object_get(j, "data"));
        json_decref(j);
        return EXIT_DONE;
    }
    const char *message = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    fprintf(stderr, "sluice: %s\n", message ? message : "control's answer cannot be read; is it of the same release?");
    json_decref(j);
    return EXIT_FAILED;
}
