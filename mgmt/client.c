/* client.c: a request to control over its Unix socket: 4-byte big-endian length and JSON, both ways
 * (control/api.c). */
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"
#include "mgmt/words.h"
#include "mgmt/remote.h"

#include <errno.h>
#include <poll.h>
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
    if (interrupt_pending()) {
        fputs("sluice: interrupted\n", stderr);
        return EXIT_FAILED;
    }
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
        if (n < 0 && (errno != EINTR || interrupt_pending()))
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
        if (n == 0 || (n < 0 && (errno != EINTR || interrupt_pending())))
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

static bool send_text(int fd, const char *text)
{
    size_t n = strlen(text);
    uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return send_all(fd, head, sizeof head) && send_all(fd, text, n);
}

bool api_piece(int fd, uint8_t **bytes, size_t *len)
{
    uint8_t head[4];
    *bytes = NULL;
    if (!receive_all(fd, head, sizeof head))
        return false;
    *len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (*len > REPLY_MAX) {
        errno = EMSGSIZE;
        return false;
    }
    *bytes = malloc(*len + 1);
    if (*bytes && receive_all(fd, *bytes, *len))
        return true;
    free(*bytes);
    *bytes = NULL;
    return false;
}

int api_reply(const char *path, int fd, json_t **data)
{
    uint8_t *text;
    size_t len;
    if (!api_piece(fd, &text, &len))
        return fail(path, "no answer from control", remedy_for(errno));
    json_t *j = json_loadb((char *)text, len, 0, NULL);
    free(text);
    if (json_is_true(json_object_get(j, "ok"))) {
        *data = json_incref(json_object_get(j, "data"));
        json_decref(j);
        return EXIT_DONE;
    }
    const char *message = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    fputs("sluice: ", stderr);
    print_text(stderr, message ? message : "control's answer cannot be read; is it of the same release?");
    json_decref(j);
    return EXIT_FAILED;
}

int api_again(const char *path, int fd, json_t *request, json_t **data)
{
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    int code = text && send_text(fd, text) ? api_reply(path, fd, data) : fail(path, "no answer from control", remedy_for(errno));
    free(text);
    return code;
}

static const struct timeval for_ever;

/* Not begun at all if Ctrl-C came between two requests of a command. */
static int begin(const char *path, json_t *request, bool patient, int *fd, json_t **data)
{
    if (interrupt_pending()) {
        json_decref(request);
        return fail(path, "", "");
    }
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    int code = EXIT_UNREACHABLE;
    *fd = remote_is_used() ? remote_connect(&code) : connect_to(path);
    if (*fd >= 0 && patient)
        setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever);
    if (*fd < 0 && remote_is_used())
        ; /* told already */
    else if (*fd < 0)
        code = fail(path, strerror(errno), remedy_for(errno));
    else if (!text || !send_text(*fd, text))
        code = fail(path, "no answer from control", remedy_for(errno));
    else
        code = api_reply(path, *fd, data);
    free(text);
    if (code != EXIT_DONE && *fd >= 0)
        close(*fd);
    else if (code == EXIT_DONE)
        setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever);
    return code;
}

int api_begin(const char *path, json_t *request, int *fd, json_t **data)
{
    return begin(path, request, false, fd, data);
}

int api_request(const char *path, json_t *request, json_t **data)
{
    int fd, code = begin(path, request, false, &fd, data);
    if (code == EXIT_DONE)
        close(fd);
    return code;
}

int api_patient(const char *path, json_t *request, json_t **data)
{
    int fd, code = begin(path, request, true, &fd, data);
    if (code == EXIT_DONE)
        close(fd);
    return code;
}

bool api_hand(int fd, int file)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char byte = 0;
    struct msghdr m = {.msg_iov = &(struct iovec){&byte, 1},
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    ssize_t n;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(c), &file, sizeof file);
    while ((n = sendmsg(fd, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == 1;
}

bool api_comes(int fd, int milliseconds)
{
    return interrupt_pending() || poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, milliseconds) == 1;
}
