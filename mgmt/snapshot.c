/* snapshot.c: `sluice snapshot`: files of keys. What is in one sluice-control reads (control/rdb_report.h),
 * box or no box. */
#include "mgmt/operations.h"
#include "mgmt/remote.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void print_types(FILE *out, const json_t *types)
{
    const char *name, *form;
    json_t *type, *keys;
    json_object_foreach((json_t *)(uintptr_t)types, name, type)
    {
        fprintf(out, "  %-22s %" JSON_INTEGER_FORMAT " keys, %" JSON_INTEGER_FORMAT " bytes (", name,
                number_of(type, "keys"), number_of(type, "bytes"));
        const char *comma = "";
        json_object_foreach(json_object_get(type, "forms"), form, keys)
        {
            fprintf(out, "%s%s: %" JSON_INTEGER_FORMAT, comma, form, json_integer_value(keys));
            comma = ", ";
        }
        fputs(")\n", out);
    }
}

static void print_report(FILE *out, const json_t *j, bool all)
{
    const char *name;
    json_t *v;
    const bool ok = json_is_true(json_object_get(j, "ok"));
    fprintf(out, "%s: ", text_of(j, "file"));
    print_safe(out, ok ? "sound" : text_of(j, "error"));
    fputc('\n', out);
    if (!json_object_get(j, "keys"))
        return;
    fprintf(out, "%s version %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT " bytes, checksum %s\n",
            text_of(j, "format"), number_of(j, "version"), number_of(j, "size"), text_of(j, "checksum"));
    fprintf(out,
            "%" JSON_INTEGER_FORMAT " keys%s, %" JSON_INTEGER_FORMAT " expire, %" JSON_INTEGER_FORMAT
            " have expired; %" JSON_INTEGER_FORMAT " libraries of functions\n",
            number_of(j, "keys"), ok ? "" : " before the damage", number_of(j, "expires"),
            number_of(j, "expired"), number_of(j, "functions"));
    print_types(out, json_object_get(j, "types"));
    if (!all)
        return;
    json_object_foreach(json_object_get(j, "databases"), name, v)
        fprintf(out, "database %-15s %" JSON_INTEGER_FORMAT " keys\n", name, json_integer_value(v));
    json_object_foreach(json_object_get(j, "aux"), name, v) print_field(out, name, v);
    const json_t *biggest = json_object_get(j, "biggest");
    if (biggest) {
        fprintf(out, "biggest value            %" JSON_INTEGER_FORMAT " bytes, key ",
                number_of(biggest, "bytes"));
        print_safe(out, text_of(biggest, "key"));
        fputc('\n', out);
    }
}

int run_snapshot_report(struct invocation *in)
{
    pid_t pid;
    FILE *from = control_of_file("--snapshot", in->argv[0], STDOUT_FILENO, &pid);
    json_t *j = from ? json_loadf(from, 0, NULL) : NULL;
    if (from)
        fclose(from);
    bool good = control_was_content(pid);
    if (!j) {
        fputs("sluice: snapshot: the file could not be read\n", stderr);
        return EXIT_FAILED;
    }
    if (in->json) {
        json_dumpf(j, in->out, JSON_INDENT(2));
        fputc('\n', in->out);
    } else {
        print_report(in->out, j, strcmp(in->leaf->what, "show") == 0);
    }
    json_decref(j);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int run_snapshot_list(struct invocation *in)
{
    json_t *files, *file;
    size_t i;
    int code = ask(in, request_for(in), &files);
    if (files && !json_array_size(files))
        fputs("none\n", in->out);
    json_array_foreach(files, i, file)
    {
        char when[32];
        time_t at = (time_t)number_of(file, "written");
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime(&at));
        fprintf(in->out, "%s  %14" JSON_INTEGER_FORMAT "  ", when, number_of(file, "bytes"));
        print_safe(in->out, text_of(file, "file"));
        fputs(json_is_true(json_object_get(file, "loaded_at_start")) ? "  (loaded at start)\n"
              : json_is_true(json_object_get(file, "kept"))          ? "  (kept)\n"
                                                                     : "\n",
              in->out);
    }
    json_decref(files);
    return code;
}

static bool copy(int from, int to)
{
    static char bytes[1 << 16];
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) != 0;)
        for (ssize_t done = 0, step; done < n || n < 0; done += step)
            if (n < 0 || (step = write(to, bytes + done, (size_t)(n - done))) < 0)
                return false;
    return fsync(to) == 0 || errno == EINVAL || errno == EROFS;
}

/* Reads a snapshot, writes it as commands. */
static bool copy_as_log(int from, int to)
{
    char source[32];
    int outlives = dup(from); /* exec */
    snprintf(source, sizeof source, "/dev/fd/%d", outlives);
    bool good = outlives >= 0 && control_writes("--aof", source, to);
    close(outlives);
    return good;
}

/* From the box that is another machine. */
static int fetch(int to, bool as_log)
{
    FILE *aside = as_log ? tmpfile() : NULL;
    if (as_log && !aside)
        return EXIT_FAILED;
    int code = remote_export(aside ? fileno(aside) : to);
    if (aside && code == EXIT_DONE && !copy_as_log(fileno(aside), to))
        code = EXIT_FAILED;
    if (aside)
        fclose(aside);
    return code;
}

static int export_here(const char *target, bool as_log)
{
    bool out = strcmp(target, "-") == 0;
    int to = out ? STDOUT_FILENO : open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0) {
        fprintf(stderr, "sluice: snapshot export: %s: %s\n", target, strerror(errno));
        return EXIT_FAILED;
    }
    int code = fetch(to, as_log);
    if (!out && code == EXIT_DONE && fsync(to) < 0)
        code = EXIT_FAILED;
    if (!out && code != EXIT_DONE)
        unlink(target);
    if (!out)
        close(to);
    return code;
}

/* The file is whole or not there. */
static int export_to(const char *source, const char *target, bool as_log)
{
    bool out = strcmp(target, "-") == 0;
    int from = open(source, O_RDONLY | O_CLOEXEC);
    int to = out        ? STDOUT_FILENO
             : from < 0 ? -1
                        : open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = from >= 0 && to >= 0 && (as_log ? copy_as_log(from, to) : copy(from, to));
    if (!good && (!as_log || from < 0 || to < 0))
        fprintf(stderr, "sluice: snapshot export: %s: %s\n", from < 0 ? source : target, strerror(errno));
    if (!good && to >= 0 && !out)
        unlink(target);
    if (from >= 0)
        close(from);
    if (to >= 0 && !out)
        close(to);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int run_snapshot_export(struct invocation *in)
{
    json_t *files, *file;
    size_t i;
    bool as_log = in->argc > 1;
    if (as_log && strcmp(in->argv[1], "aof") != 0) {
        fputs("sluice: snapshot export: the form is aof, or none for the snapshot as it is\n", stderr);
        return EXIT_USAGE;
    }
    if (remote_is_used())
        return export_here(in->argv[0], as_log);
    int code = api_request(in->socket, request_for(in), &files);
    if (code != EXIT_DONE)
        return code;
    const char *source = NULL;
    json_array_foreach(files, i, file) if (json_is_true(json_object_get(file, "loaded_at_start"))) source =
        text_of(file, "file");
    if (source)
        code = export_to(source, in->argv[0], as_log);
    else
        fputs("sluice: snapshot export: the box has no snapshot; make one (`sluice snapshot create`)\n", stderr);
    json_decref(files);
    return source ? code : EXIT_FAILED;
}
