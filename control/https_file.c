/* https_file.c: snapshots over the management API: out, as much at a time as the client reads; in, to a file beside the
 * others, which is loaded when it is whole and gone then. */
#include "control/audit.h"
#include "control/https_connection.h"
#include "control/log.h"
#include "control/snapshot_keep.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PIECE = 256 << 10 };

void https_file_end(struct https_connection *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
    if (k->path) { /* an upload: loaded, or not to be */
        unlink(k->path);
        free(k->path);
        k->path = NULL;
        k->https->uploading = false;
    }
}

/* -- out ---------------------------------------------------------------------------------------------- */

void https_export(struct https_connection *k)
{
    const struct settings *s = commit_running(k->carrier.control->commit);
    char error[KEPT_NAME + 256];
    k->fd = kept_open(settings_get(s, "dir"), settings_get(s, "dbfilename"), "", &k->left, error, sizeof error);
    if (k->fd < 0) {
        https_refuse(k, 404, "not-found", "the box has no snapshot; make one (BGSAVE)");
        return;
    }
    /* What is replaced meanwhile stays what it was under this descriptor: the file is of one moment. */
    posix_fadvise(k->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    https_send_head(k, 200, "application/octet-stream", (int64_t)k->left,
                    "Content-Disposition: attachment; filename=\"dump.rdb\"\r\n");
    https_phase(k, HTTPS_EXPORT, 0); /* a client that does not read runs into the write time limit */
    https_export_more(k);
}

void https_export_more(struct https_connection *k)
{
    const size_t wanted = k->left < PIECE ? (size_t)k->left : PIECE;
    int n = wanted ? evbuffer_read(bufferevent_get_output(k->stream), k->fd, (int)wanted) : 0;
    if (wanted && n <= 0) { /* shorter than it was, or unreadable: the length that was told is not reached */
        log_line(LOG_LEVEL_WARNING, "A snapshot cannot be exported: %s", n < 0 ? strerror(errno) : "it became shorter");
        https_hang_up(k);
        return;
    }
    k->left -= (uint64_t)n;
    if (k->left == 0) {
        https_file_end(k);
        https_replied(k);
    }
}

/* -- in ----------------------------------------------------------------------------------------------- */

/* Nothing here may fill the disk that the box's own snapshots need. */
static bool has_room(const char *folder, uint64_t bytes)
{
    struct statvfs v;
    return statvfs(folder, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize > bytes + ((uint64_t)64 << 20);
}

void https_upload(struct https_connection *k)
{
    const struct settings *s = commit_running(k->carrier.control->commit);
    const char *folder = settings_get(s, "dir");
    k->row = operation_find("snapshot", "import");
    if (k->head.method != HTTP_POST || k->head.length == 0) {
        https_refuse(k, 411, "bad-request", "PUT the bytes of a snapshot file, with their Content-Length");
    } else if (k->https->uploading) {
        https_refuse(k, 409, "busy", "another snapshot is being uploaded");
    } else if (!has_room(folder, k->head.length)) {
        https_refuse(k, 507, "failed", "there is no room for it on the box's disk");
    } else {
        k->path = must_print("%s/temp-upload-%d.rdb", folder, (int)getpid());
        unlink(k->path); /* of a control that was killed, whose number is ours now */
        k->fd = open(k->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        k->https->uploading = true;
        if (k->fd < 0) {
            https_file_end(k);
            https_refuse(k, 500, "failed", "the file cannot be made in the box's folder");
            return;
        }
        if (k->head.expects)
            evbuffer_add_printf(bufferevent_get_output(k->stream), "HTTP/1.1 100 Continue\r\n\r\n");
        k->left = k->head.length;
        k->moved = 0;
        https_phase(k, HTTPS_UPLOAD, HTTPS_STUCK_SECONDS);
        https_upload_more(k);
    }
}

/* It is here: the operation `snapshot import` of that file, whose end takes it away again. */
static void load(struct https_connection *k)
{
    const char *why;
    json_t *request = http_request(&k->head, NULL, "mode", &why);
    if (!request) {
        https_file_end(k);
        https_refuse(k, 400, "bad-request", why);
        return;
    }
    json_object_set_new(request, "what", json_string("import"));
    json_object_set_new(request, "file", json_string(k->path));
    https_phase(k, HTTPS_CALL, 0);
    call_begin(&k->carrier, request);
    json_decref(request);
}

void https_upload_more(struct https_connection *k)
{
    struct evbuffer *in = bufferevent_get_input(k->stream);
    while (k->left && evbuffer_get_length(in)) {
        int n = evbuffer_write_atmost(in, k->fd, k->left < PIECE ? (ev_ssize_t)k->left : PIECE);
        if (n <= 0) {
            https_file_end(k);
            https_refuse(k, 507, "failed", "the box's disk takes no more");
            return;
        }
        k->left -= (uint64_t)n;
        k->moved += (uint64_t)n;
    }
    if (k->left == 0)
        load(k);
}
