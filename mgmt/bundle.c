/* bundle.c: `sluice support-bundle`: what whoever helps needs to see, in one archive (POSIX ustar in gzip):
 * no secret, no name of a key, no value; every part bounded. */
#include "mgmt/operations.h"
#include "mgmt/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { PART_MAX = 4 << 20, BLOCK = 512, LOG_LINES = 10000, AUDIT_LINES = 1000 };

/* What is asked of control. hotkeys and bigkeys are not: they have names of keys; nor the clients, whose last
 * commands and names are theirs. */
static const struct {
    const char *file, *op, *what;
    int lines;
} parts[] = {
    {"health", "show", "health"},
    {"alarms", "show", "alarms"},
    {"status", "show", "status"},
    {"version", "show", "version"},
    {"configuration", "show", "config"},
    {"history", "show", "history"},
    {"stats", "show", "stats"},
    {"latency", "show", "latency"},
    {"drops", "show", "drops"},
    {"links", "show", "links"},
    {"addresses", "show", "addresses"},
    {"listeners", "show", "listeners"},
    {"routes", "show", "routes"},
    {"neighbors", "show", "neighbors"},
    {"connections", "show", "connections"},
    {"filters", "show", "filters"},
    {"topology", "show", "topology"},
    {"plan", "show", "plan"},
    {"inventory", "show", "inventory"},
    {"certificates", "certificate", "list"},
    {"snapshots", "snapshot", "list"},
    {"log", "show", "log", LOG_LINES},
    {"audit", "audit", "show", AUDIT_LINES},
};

/* -- the archive -------------------------------------------------------------------------------------- */

static void octal(char *field, size_t size, unsigned long n)
{
    snprintf(field, size, "%0*lo", (int)size - 1, n);
}

static bool add_file(gzFile out, const char *folder, const char *name, const char *bytes, size_t len,
                     time_t now)
{
    char head[BLOCK] = {0};
    static const char zeros[BLOCK];
    unsigned sum = 0;
    size_t pad = (BLOCK - len % BLOCK) % BLOCK;
    snprintf(head, 100, "%.60s/%.30s.json", folder, name);
    octal(head + 100, 8, 0640);
    octal(head + 108, 8, 0);
    octal(head + 116, 8, 0);
    octal(head + 124, 12, len);
    octal(head + 136, 12, (unsigned long)now);
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (unsigned i = 0; i < BLOCK; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    return gzwrite(out, head, BLOCK) == BLOCK &&
           (len == 0 || gzwrite(out, bytes, (unsigned)len) == (int)len) &&
           (pad == 0 || gzwrite(out, zeros, (unsigned)pad) == (int)pad);
}

/* -- its parts ---------------------------------------------------------------------------------------- */

/* The answer as text, or why there is none. On the heap. */
static char *ask_part(const struct invocation *in, int fd, size_t i)
{
    json_t *data = NULL, *request = json_pack("{s:s,s:s}", "op", parts[i].op, "what", parts[i].what);
    if (parts[i].lines)
        json_object_set_new(request, "lines", json_integer(parts[i].lines));
    char *text = NULL, why[80];
    int code = api_again(in->socket, fd, request, &data);
    if (code == EXIT_DONE)
        text = json_dumps(data, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(code == EXIT_DONE ? data : NULL);
    if (text)
        return text;
    snprintf(why, sizeof why, "{\"missing\":\"exit code %d\"}", code);
    return strdup(why);
}

/* The end of what is too long is what matters in a log, the beginning in all else. */
static const char *bounded(const char *text, size_t *len, bool log)
{
    size_t all = strlen(text);
    *len = all < PART_MAX ? all : PART_MAX;
    return log ? text + (all - *len) : text;
}

static bool write_parts(const struct invocation *in, int fd, gzFile out, const char *folder)
{
    static const char zeros[2 * BLOCK];
    time_t now = time(NULL);
    bool good = true;
    for (size_t i = 0; good && i < sizeof parts / sizeof parts[0]; i++) {
        char *text = ask_part(in, fd, i);
        size_t len;
        const char *from = text ? bounded(text, &len, parts[i].lines > 0) : NULL;
        good = from && add_file(out, folder, parts[i].file, from, len, now);
        free(text);
    }
    return gzwrite(out, zeros, sizeof zeros) == (int)sizeof zeros && good;
}

/* sluice-support-HOST-20261122-083000: also the folder inside. */
static void name_bundle(char *name, size_t size)
{
    char host[48] = "box", when[32];
    time_t now = time(NULL);
    struct tm tm;
    gethostname(host, sizeof host - 1);
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
    snprintf(name, size, "sluice-support-%s-%s", host, when);
}

int run_support_bundle(struct invocation *in)
{
    char folder[128], path[256];
    json_t *data;
    int fd, code;
    name_bundle(folder, sizeof folder);
    snprintf(path, sizeof path, "%s", in->argc ? in->argv[0] : "");
    if (!*path)
        snprintf(path, sizeof path, "%s.tar.gz", folder);
    bool out = strcmp(path, "-") == 0;
    if (out && isatty(1)) {
        fputs("sluice: support-bundle: an archive is not for a terminal; name a file or pipe it on\n",
              stderr);
        return EXIT_USAGE;
    }
    code = api_begin(in->socket, json_pack("{s:s,s:s}", "op", "show", "what", "version"), &fd, &data);
    if (code != EXIT_DONE)
        return code;
    json_decref(data);
    int file = out ? dup(1) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    gzFile gz = file >= 0 ? gzdopen(file, "wb6") : NULL;
    bool good = gz && write_parts(in, fd, gz, folder);
    good = gz && gzclose(gz) == Z_OK && good;
    close(fd);
    if (!good) {
        fprintf(stderr, "sluice: support-bundle: %s: %s\n", path,
                file < 0 ? strerror(errno) : "cannot be written");
        return EXIT_FAILED;
    }
    if (!out)
        fprintf(in->out, "%s\n", path);
    return EXIT_DONE;
}
