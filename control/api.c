/* api.c: the management API's socket: a Unix stream socket, each message a 4-byte big-endian length and that
 * many bytes of JSON.
 *
 *     {"id":1,"op":"show","what":"status"}  ->  {"id":1,"ok":true,"data":{...}}
 *                                           or  {"id":1,"ok":false,"error":{"code":"...","message":"..."}}
 *
 * A streamed reply (capture): {"id":1,"ok":true,"data":{...}}, then pieces of bytes, each behind its 4-byte
 * length, an empty piece, and a last {"id":1,"ok":...} as above. A client that shuts its side down asks for
 * the end.
 *
 * A file handed over (snapshot import): the reply of a stream, upon which the client sends one byte with a descriptor (unix(7),
 * SCM_RIGHTS); then the rest of the stream. */
#include "control/api.h"
#include "control/candidate.h"
#include "control/log.h"
#include "control/secret_memory.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <grp.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HANDED_SECONDS = 10 };

struct api_client {
    struct carrier carrier; /* first */
    struct api *api;
    struct bufferevent *stream; /* NULL once the client has gone; calls that wait keep the struct */
    bool local;                 /* a client of the socket: its peer is a process here */
    bool ended;                 /* has shut its side down: close when the stream is over */
    bool closing;               /* after a malformed request: close when the error is written */
    struct event *handed;       /* waits for a descriptor; NULL: none is wanted */
    struct call *wants;         /* it is for this one */
    struct api_client *next;
};

struct api {
    struct control *control;
    uint64_t sessions; /* ever */
    char *path;
    struct stat socket; /* what we bound there */
    struct evconnlistener *listener;
    struct api_client *first;
    unsigned clients;
};

/* -- clients ------------------------------------------------------------------------------------------ */

static void unlink_client(struct api_client *client)
{
    for (struct api_client **at = &client->api->first; *at; at = &(*at)->next)
        if (*at == client) {
            *at = client->next;
            break;
        }
}

/* The wait for a descriptor is over. */
static void stop_waiting(struct api_client *client, int fd)
{
    struct call *call = client->wants;
    if (!client->handed)
        return;
    event_free(client->handed);
    client->handed = NULL;
    client->wants = NULL;
    call_file(call, fd);
}

static void hang_up(struct api_client *client)
{
    if (client->stream && client->handed) {
        stop_waiting(client, -1); /* which ends its call */
        hang_up(client);
        return;
    }
    if (client->stream) {
        bufferevent_free(client->stream);
        client->stream = NULL;
        client->api->clients--;
        candidate_gone(client->api->control->candidate, client->carrier.session);
        if (carrier_gone(&client->carrier)) /* it ends its call, now or later */
            return;
    }
    if (client->carrier.calls == 0) {
        unlink_client(client);
        free(client);
    }
}

static void send_json(struct carrier *to, json_t *owned)
{
    struct api_client *client = (struct api_client *)to;
    char *text = json_dumps(owned, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    struct evbuffer *out = client->stream ? bufferevent_get_output(client->stream) : NULL;
    uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    if (out && text && evbuffer_get_length(out) + len <= API_OUTPUT_MAX) {
        evbuffer_add(out, head, sizeof head);
        evbuffer_add(out, text, len);
    } else if (out) {
        log_line(LOG_LEVEL_WARNING, "A management client does not read its replies: closed");
        client->closing = true;
    }
    free(text);
    json_decref(owned);
}

static void send_piece(struct carrier *to, const void *bytes, size_t len)
{
    struct api_client *client = (struct api_client *)to;
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    if (!client->stream)
        return;
    evbuffer_add(bufferevent_get_output(client->stream), head, sizeof head);
    evbuffer_add(bufferevent_get_output(client->stream), bytes, len);
}

static void call_ended(struct carrier *to, bool good)
{
    struct api_client *client = (struct api_client *)to;
    (void)good;
    client->closing = client->closing || client->ended;
    if (!client->stream && to->calls == 0)
        hang_up(client);
}

/* -- a file handed over ------------------------------------------------------------------------------- */

/* The descriptor that came with a byte, or -1. */
static int receive_descriptor(int from)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char byte;
    int fd = -1;
    struct msghdr m = {.msg_iov = &(struct iovec){&byte, 1},
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = CMSG_LEN(sizeof fd)}; /* the kernel keeps what it has no room for */
    if (recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
        return -1;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* Without a descriptor what else comes on that connection could not be told apart. */
static void on_handed(evutil_socket_t from, short what, void *arg)
{
    struct api_client *client = arg;
    int fd = what & EV_READ ? receive_descriptor(from) : -1;
    client->closing = client->closing || fd < 0;
    if (!client->closing)
        bufferevent_enable(client->stream, EV_READ);
    stop_waiting(client, fd);
}

/* Only from the socket's own clients: the stream of others is TLS. libevent reads no descriptors, so it reads nothing meanwhile. */
static bool want_file(struct carrier *to, struct call *call)
{
    struct api_client *client = (struct api_client *)to;
    const struct timeval wait = {.tv_sec = HANDED_SECONDS};
    if (!client->stream || !client->local || client->handed)
        return false;
    client->handed = event_new(client->api->control->base, bufferevent_getfd(client->stream), EV_READ, on_handed, client);
    if (!client->handed)
        return false;
    bufferevent_disable(client->stream, EV_READ);
    event_add(client->handed, &wait);
    client->wants = call;
    return true;
}

static const struct carrier_ops carrier_ops = {send_json, send_piece, call_ended, want_file};

static void refuse(struct api_client *client, const char *message)
{
    send_json(&client->carrier, error_json("bad-request", message));
    client->closing = true;
}

static void handle(struct api_client *client, const char *text, size_t len)
{
    json_error_t error;
    json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(request)) {
        char message[256];
        snprintf(message, sizeof message, "the request is not a JSON object%s%.150s", request ? "" : ": ",
                 request ? "" : error.text);
        send_json(&client->carrier, error_json("bad-request", message));
    } else if (client->carrier.calls >= API_CALLS_MAX) {
        send_json(&client->carrier, error_json("busy", "too many requests wait for an answer on this connection"));
    } else {
        call_begin(&client->carrier, request);
    }
    json_decref(request);
}

/* -- the stream --------------------------------------------------------------------------------------- */

static void on_read(struct bufferevent *stream, void *arg)
{
    struct api_client *client = arg;
    struct evbuffer *in = bufferevent_get_input(stream);
    uint8_t head[4];
    client->carrier.calls++; /* holds the struct while requests are handled */
    while (client->stream && !client->closing &&
           evbuffer_copyout(in, head, sizeof head) == (ssize_t)sizeof head) {
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (len == 0 || len > API_REQUEST_MAX) {
            refuse(client, "the length of a request must be 1 to 1048576 bytes");
            break;
        }
        if (evbuffer_get_length(in) < sizeof head + len)
            break;
        evbuffer_drain(in, sizeof head);
        char *text = must_alloc(len + 1, 1);
        evbuffer_remove(in, text, len);
        handle(client, text, len);
        secret_free(text); /* it may have brought a private key */
    }
    client->carrier.calls--;
    if (client->closing && client->stream) {
        bufferevent_disable(client->stream, EV_READ);
        if (evbuffer_get_length(bufferevent_get_output(client->stream)) == 0)
            hang_up(client);
    } else if (!client->stream) {
        hang_up(client);
    }
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct api_client *client = arg;
    (void)stream;
    if (client->closing)
        hang_up(client);
    else
        carrier_written(&client->carrier);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct api_client *client = arg;
    if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING) && client->carrier.streamed) {
        bufferevent_disable(stream, EV_READ);
        client->ended = true;
        carrier_stop(&client->carrier);
    } else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) {
        hang_up(client);
    }
}

/* Who it is, and the role that its user or one of its groups has. */
static void know_peer(struct carrier *c, int fd)
{
    struct ucred peer = {0};
    gid_t groups[1 + ROLE_GROUPS_MAX];
    socklen_t len = sizeof peer, room = sizeof groups - sizeof *groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        snprintf(c->who, sizeof c->who, "unknown");
        return;
    }
    groups[0] = peer.gid;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &room) < 0)
        room = 0; /* a user in more groups than that has the role of the first alone */
    c->role = role_of_peer(commit_running(c->control->commit), peer.uid, groups,
                           1 + (unsigned)(room / sizeof *groups));
    const struct passwd *user = getpwuid(peer.uid);
    snprintf(c->who, sizeof c->who, "uid %u (%.40s), pid %d", peer.uid, user ? user->pw_name : "no name",
             (int)peer.pid);
}

static struct api_client *add_client(struct api *a, struct bufferevent *stream, const char *from)
{
    struct api_client *client = must_alloc(1, sizeof *client);
    *client = (struct api_client){.carrier = {.ops = &carrier_ops, .control = a->control, .from = from,
                                              .session = ++a->sessions},
                                  .api = a,
                                  .stream = stream,
                                  .next = a->first};
    a->first = client;
    a->clients++;
    return client;
}

static void begin(struct api_client *client)
{
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, API_REQUEST_MAX + 4);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

bool api_has_room(const struct api *a)
{
    return a->clients < API_CLIENTS_MAX - API_CLIENTS_LOCAL;
}

void api_adopt(struct api *a, struct bufferevent *stream, const struct api_peer *peer)
{
    struct api_client *client = add_client(a, stream, peer->from);
    struct carrier *c = &client->carrier;
    c->role = peer->role;
    c->until = peer->until;
    snprintf(c->who, sizeof c->who, "%s", peer->who);
    snprintf(c->token, sizeof c->token, "%s", peer->token);
    begin(client);
    on_read(stream, client); /* what came behind the request to become one */
}

void api_revoke(struct api *a, const char *id)
{
    for (struct api_client *client = a->first, *next; client; client = next) {
        next = client->next;
        if (strcmp(client->carrier.token, id) != 0)
            continue;
        client->closing = true; /* as soon as what is under way has its answer, which may be this very call's */
        client->carrier.role = ROLE_NONE;
        if (client->carrier.streamed || client->carrier.calls == 0)
            hang_up(client);
    }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *arg)
{
    struct api *a = arg;
    (void)listener, (void)from, (void)len;
    struct bufferevent *stream = a->clients < API_CLIENTS_MAX
                                     ? bufferevent_socket_new(a->control->base, fd, BEV_OPT_CLOSE_ON_FREE)
                                     : NULL;
    if (!stream) {
        close(fd);
        return;
    }
    struct api_client *client = add_client(a, stream, "management socket");
    client->local = true;
    know_peer(&client->carrier, fd);
    begin(client);
}

/* Who may open the socket; what they may do then, their role says. */
static bool give_to_group(const char *path, const char *group, char *error, size_t size)
{
    const struct group *g = *group ? getgrnam(group) : NULL;
    if (!*group || (g && chown(path, (uid_t)-1, g->gr_gid) == 0))
        return true;
    snprintf(error, size, "management-socket-group %s: %s; correct the directive", group,
             g ? strerror(errno) : "there is no such group");
    return false;
}

struct api *api_open(struct control *c, const char *path, char *error, size_t size)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where.sun_path) {
        snprintf(error, size, "management-socket %s: at most %zu bytes are possible", path,
                 sizeof where.sun_path - 1);
        return NULL;
    }
    memcpy(where.sun_path, path, strlen(path) + 1);
    struct api *a = must_alloc(1, sizeof *a);
    a->control = c;
    unlink(path); /* ours alone: the lock in state-dir was taken before */
    mode_t mask = umask(0117);
    a->listener =
        evconnlistener_new_bind(c->base, on_accept, a, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
                                (struct sockaddr *)&where, sizeof where);
    int why = errno;
    umask(mask);
    if (!a->listener) {
        snprintf(error, size, "management-socket %s: %s; correct the directive or make its folder", path,
                 strerror(why));
        free(a);
        return NULL;
    }
    a->path = must_copy(path);
    if (lstat(path, &a->socket) < 0)
        a->socket = (struct stat){0}; /* somebody was faster: it is not ours to take away */
    if (!give_to_group(path, settings_get(commit_running(c->commit), "management-socket-group"), error, size)) {
        api_close(a);
        return NULL;
    }
    return a;
}

/* A last reply ("stop") goes out if the socket takes it at once; an adopted client's under its TLS. */
static void last_words(struct bufferevent *stream)
{
    struct evbuffer *out = bufferevent_get_output(stream);
    SSL *ssl = bufferevent_openssl_get_ssl(stream);
    evbuffer_unfreeze(out, 1); /* a bufferevent keeps its output to itself */
    if (!ssl) {
        evbuffer_write(out, bufferevent_getfd(stream));
        return;
    }
    const size_t len = evbuffer_get_length(out);
    const unsigned char *bytes = len && len <= INT_MAX ? evbuffer_pullup(out, -1) : NULL;
    if (!bytes || SSL_write(ssl, bytes, (int)len) > 0)
        SSL_shutdown(ssl);
    ERR_clear_error();
}

/* Not the socket of another control, with a state-dir of its own, that has been put in its place since. To be asked while
 * ours is open, as its number is then nobody else's. */
static void remove_own_socket(const struct api *a)
{
    struct stat there;
    if (lstat(a->path, &there) == 0 && there.st_ino == a->socket.st_ino && there.st_dev == a->socket.st_dev)
        unlink(a->path);
}

void api_close(struct api *a)
{
    if (!a)
        return;
    remove_own_socket(a);
    evconnlistener_free(a->listener);
    for (struct api_client *client = a->first, *next; client; client = next) {
        next = client->next;
        if (client->handed)
            event_free(client->handed);
        if (client->stream) {
            last_words(client->stream);
            bufferevent_free(client->stream);
        }
        free(client);
    }
    free(a->path);
    free(a);
}
