/* capture.c: `sluice capture`: control streams pcapng (control/pcapng.h, draft-ietf-opsawg-pcapng), each
 * piece whole blocks; it goes to a file as it is, or a line a packet to the terminal. Ctrl-C ends it in good
 * order. */
#include "mgmt/frame.h"
#include "mgmt/interrupt.h"
#include "mgmt/operations.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_PACKET = 6, OPTION_FLAGS = 2, OPTION_QUEUE = 6 };

/* -- the request -------------------------------------------------------------------------------------- */

static bool add_number(json_t *request, const char *name, const char *text)
{
    char *end;
    if (!text)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || *end || end == text || n < 1) {
        fprintf(stderr, "sluice: capture: --%s needs a number from 1, not '%.40s'\n", name, text);
        return false;
    }
    json_object_set_new(request, name, json_integer(n));
    return true;
}

/* NULL: the command line is wrong, and that was said. */
static json_t *make_request(const struct invocation *in)
{
    json_t *request = json_pack("{s:i,s:s,s:s}", "id", 1, "op", "capture", "what", "");
    bool good = add_number(request, "count", in->count) && add_number(request, "snaplen", in->snaplen) &&
                add_number(request, "duration", in->duration);
    if (good && in->direction)
        good = json_object_set_new(request, "direction", json_string(in->direction)) == 0;
    if (good && in->filter && json_object_set_new(request, "filter", json_string(in->filter)) < 0) {
        fputs("sluice: capture: the filter is not UTF-8\n", stderr);
        good = false;
    }
    if (good)
        return request;
    json_decref(request);
    return NULL;
}

/* -- packets as lines --------------------------------------------------------------------------------- */

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A 32-bit option of a packet, 0 if it is not there. */
static uint32_t option_of(const uint8_t *p, size_t left, unsigned code)
{
    while (left >= 8) {
        unsigned found = p[0] | (unsigned)p[1] << 8;
        size_t len = p[2] | (size_t)p[3] << 8, all = 4 + ((len + 3) & ~(size_t)3);
        if (found == code && len == 4)
            return le32(p + 4);
        if (found == 0 || all > left)
            break;
        p += all;
        left -= all;
    }
    return 0;
}

static void print_packet(const struct invocation *in, const uint8_t *p, size_t len)
{
    uint64_t ns = (uint64_t)le32(p + 4) << 32 | le32(p + 8);
    size_t caught = le32(p + 12), padded = (caught + 3) & ~(size_t)3;
    if (caught > len - 20 || padded > len - 20)
        return;
    char what[FRAME_LINE], clock[16], line[FRAME_LINE + 64];
    frame_line(what, p + 20, caught, le32(p + 16));
    unsigned queue = option_of(p + 20 + padded, len - 20 - padded, OPTION_QUEUE);
    const char *direction = option_of(p + 20 + padded, len - 20 - padded, OPTION_FLAGS) == 1 ? "in" : "out";
    time_t seconds = (time_t)(ns / 1000000000);
    strftime(clock, sizeof clock, "%H:%M:%S", localtime(&seconds));
    snprintf(line, sizeof line, "%s.%09u %-3s w%u %s", clock, (unsigned)(ns % 1000000000), direction, queue,
             what);
    if (in->match && !strcasestr(line, in->match))
        return;
    if (!in->json) {
        fprintf(in->out, "%s\n", line);
        return;
    }
    json_t *j = json_pack("{s:I,s:s,s:I,s:I,s:s}", "time_ns", (json_int_t)ns, "direction", direction,
                          "worker", (json_int_t)queue, "length", (json_int_t)le32(p + 16), "summary", what);
    json_dumpf(j, in->out, JSON_COMPACT);
    fputc('\n', in->out);
    json_decref(j);
}

static bool print_piece(const struct invocation *in, const uint8_t *p, size_t len)
{
    while (len >= 12) {
        size_t block = le32(p + 4);
        if (block < 12 || block > len || block % 4)
            return false;
        if (le32(p) == BLOCK_PACKET && block >= 12 + 20)
            print_packet(in, p + 8, block - 12);
        p += block;
        len -= block;
    }
    return len == 0 && fflush(in->out) == 0;
}

/* -- the stream --------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stream_fd;

static void on_end(int number)
{
    shutdown(stream_fd, SHUT_WR);
    signal(number, SIG_DFL); /* should the orderly end not come, a second one ends us */
}

/* Everything up to the empty piece. False: output failed or control has gone, and that was said. */
static bool take_pieces(const struct invocation *in, int fd, FILE *to)
{
    uint8_t *bytes;
    size_t len;
    while (api_piece(fd, &bytes, &len)) {
        bool good = to ? fwrite(bytes, 1, len, to) == len && fflush(to) == 0 : print_piece(in, bytes, len);
        free(bytes);
        if (!good) {
            fprintf(stderr, "sluice: capture: %s: %s\n", to ? in->write : "stdout", strerror(errno));
            return false;
        }
        if (len == 0)
            return true;
    }
    fprintf(stderr, "sluice: %s: control went away; what came before is kept\n", in->socket);
    return false;
}

static int stream(struct invocation *in, int fd, FILE *to)
{
    json_t *totals = NULL;
    struct sigaction on = {.sa_handler = on_end, .sa_flags = SA_RESTART}, before;
    stream_fd = fd;
    interrupt_stream(fd);
    sigaction(SIGTERM, &on, &before);
    int code = take_pieces(in, fd, to) ? api_reply(in->socket, fd, &totals) : EXIT_FAILED;
    interrupt_stream_ends();
    sigaction(SIGTERM, &before, NULL);
    if (code == EXIT_DONE && in->json && to && to != stdout) {
        json_dumpf(totals, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else if (code == EXIT_DONE) {
        json_int_t packets, dropped, matched, seen;
        const char *end;
        if (json_unpack(totals, "{s:s,s:I,s:I,s:I,s:I}", "end", &end, "packets", &packets, "dropped",
                        &dropped, "matched", &matched, "seen", &seen) == 0)
            fprintf(stderr,
                    "%" JSON_INTEGER_FORMAT " packets captured, %" JSON_INTEGER_FORMAT
                    " dropped for want of room, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                    " frames matched (end: %s)\n",
                    packets, dropped, matched, seen, end);
    }
    json_decref(totals);
    return code;
}

/* The file is made when the capture runs: a bad filter leaves an old one alone. */
static FILE *open_output(const char *path)
{
    if (strcmp(path, "-") != 0)
        return fopen(path, "wbe");
    return stdout;
}

int run_capture(struct invocation *in)
{
    json_t *request, *data = NULL;
    FILE *to = NULL;
    int fd;
    if (in->write && strcmp(in->write, "-") == 0 && isatty(1)) {
        fputs("sluice: capture: pcapng is not for a terminal; name a file or pipe it on\n", stderr);
        return EXIT_USAGE;
    }
    if (!(request = make_request(in)))
        return EXIT_USAGE;
    int code = api_begin(in->socket, request, &fd, &data);
    if (code != EXIT_DONE)
        return code;
    json_decref(data);
    if (in->write && !(to = open_output(in->write))) {
        fprintf(stderr, "sluice: capture: %s: %s\n", in->write, strerror(errno));
        close(fd);
        return EXIT_FAILED;
    }
    code = stream(in, fd, to);
    close(fd);
    if (to && to != stdout && fclose(to) != 0)
        code = EXIT_FAILED;
    return code;
}
