/* configure.c: configuration mode: control holds the candidate, this session the lock (control/candidate.h).
 */
#include "mgmt/configuration.h"
#include "mgmt/operations.h"
#include "mgmt/shell.h"
#include "mgmt/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MINUTES_DEFAULT = 10 };

static json_t *words_json(char **argv, int argc)
{
    json_t *list = json_array();
    for (int i = 0; i < argc; i++) {
        json_t *word = json_string(argv[i]);
        if (!word) {
            fprintf(stderr, "sluice: a word is not UTF-8\n");
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, word);
    }
    return list;
}

/* Asks over the session; with --json prints the answer as it is. *data is NULL when there is nothing more to
 * do. */
static int ask_session(struct invocation *in, json_t *request, json_t **data)
{
    int code = shell_ask(in->shell, request, data);
    if (code != EXIT_DONE)
        *data = NULL;
    else if (in->json) {
        json_dumpf(*data, in->out, JSON_INDENT(2) | JSON_ENCODE_ANY);
        fputc('\n', in->out);
        json_decref(*data);
        *data = NULL;
    }
    return code;
}

int run_configure(struct invocation *in)
{
    json_t *j;
    int fd, code = api_begin(in->socket, request_for(in), &fd, &j);
    if (code != EXIT_DONE)
        return code;
    in->shell->session = fd;
    if (in->shell->interactive)
        fprintf(in->out, "configuration mode: set, delete, show | compare, commit; exit leaves it\n");
    if (number_of(j, "goes_back_ms")) {
        fprintf(in->out, "the last commit goes back at ");
        print_time(in->out, number_of(j, "goes_back_ms"));
        fprintf(in->out, " unless you `commit`\n");
    }
    json_decref(j);
    return EXIT_DONE;
}

/* set, delete, insert: NAME [POSITION] WORDS... */
int run_edit(struct invocation *in)
{
    json_t *j, *request = request_for(in), *words;
    int first = 1;
    json_object_set_new(request, "name", json_string(in->argv[0]));
    if (strcmp(in->leaf->what, "insert") == 0) {
        json_object_set_new(request, "position", json_integer(strtol(in->argv[1], NULL, 10)));
        first = 2;
    }
    if (!(words = words_json(in->argv + first, in->argc - first))) {
        json_decref(request);
        return EXIT_USAGE;
    }
    json_object_set_new(request, "words", words);
    int code = ask_session(in, request, &j);
    json_decref(j);
    return code;
}

int run_edit_show(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    if (in->argc)
        json_object_set_new(request, "name", json_string(in->argv[0]));
    if (!put_compare(request, in->compare)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    int code = ask_session(in, request, &j);
    if (j)
        print_shown(in, j);
    json_decref(j);
    return code;
}

static void print_findings(FILE *out, const json_t *check)
{
    const json_t *list = json_object_get(check, "warnings"), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        fputs("warning: ", out);
        print_safe(out, json_string_value(v));
        fputc('\n', out);
    }
    print_effects(out, json_object_get(check, "changes"));
}

int run_edit_check(struct invocation *in)
{
    json_t *j;
    int code = ask_session(in, json_pack("{s:s,s:s}", "op", "configure", "what", "check"), &j);
    if (j) {
        print_findings(in->out, j);
        size_t n = json_array_size(json_object_get(j, "changes"));
        fprintf(in->out, "%zu change%s; nothing is wrong\n", n, n == 1 ? "" : "s");
    }
    json_decref(j);
    return code;
}

/* check | [comment TEXT] [confirmed [MINUTES]] */
static bool read_commit(struct invocation *in, json_t *request, bool *check)
{
    for (int i = 0; i < in->argc; i++) {
        if (strcmp(in->argv[i], "check") == 0 && in->argc == 1) {
            *check = true;
        } else if (strcmp(in->argv[i], "comment") == 0 && i + 1 < in->argc) {
            json_t *text = json_string(in->argv[++i]);
            json_object_set_new(request, "comment", text ? text : json_string("(not UTF-8)"));
        } else if (strcmp(in->argv[i], "confirmed") == 0) {
            char *end;
            long n = MINUTES_DEFAULT;
            if (i + 1 < in->argc && strcmp(in->argv[i + 1], "comment") != 0) {
                n = strtol(in->argv[++i], &end, 10);
                if (*end || n < 1) {
                    fprintf(stderr, "sluice: commit confirmed: '%s' is not a number of minutes\n",
                            in->argv[i]);
                    return false;
                }
            }
            json_object_set_new(request, "confirmed", json_integer(n));
        } else {
            fprintf(stderr, "sluice: commit [check] | [comment TEXT] [confirmed [MINUTES]]\n");
            return false;
        }
    }
    return true;
}

static void print_commit(FILE *out, const json_t *j)
{
    const json_t *waits = json_object_get(j, "waits_for_restart");
    fprintf(out, "generation %" JSON_INTEGER_FORMAT " is running", number_of(j, "generation"));
    if (*text_of(j, "file"))
        fprintf(out, ", and written to %s", text_of(j, "file"));
    fputc('\n', out);
    if (json_is_true(json_object_get(j, "confirmed")))
        fputs("confirmed\n", out);
    if (number_of(j, "goes_back_ms")) {
        fputs("it goes back at ", out);
        print_time(out, number_of(j, "goes_back_ms"));
        fputs(" unless you `commit` again\n", out);
    } else if (*text_of(j, "not_saved")) {
        fputs("NOT written to the configuration file: ", out);
        print_safe(out, text_of(j, "not_saved"));
        fputc('\n', out);
    }
    if (json_array_size(waits))
        print_field(out, "waits for `restart dataplane`:", waits);
}

int run_commit(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    bool check = false;
    if (!read_commit(in, request, &check)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    if (check) {
        json_decref(request);
        return run_edit_check(in);
    }
    int code = shell_ask(in->shell, json_pack("{s:s,s:s}", "op", "configure", "what", "check"), &j);
    if (code != EXIT_DONE) {
        json_decref(request);
        return code;
    }
    if (!in->json)
        print_findings(in->out, j);
    json_decref(j);
    code = ask_session(in, request, &j);
    if (j)
        print_commit(in->out, j);
    json_decref(j);
    return code;
}

int run_rollback(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    json_object_set_new(request, "revision", json_integer(in->argc ? strtol(in->argv[0], NULL, 10) : 0));
    int code = ask_session(in, request, &j);
    if (j) {
        fputs("loaded:", in->out);
        print_revision(in->out, j);
        fputs("look at it with `show | compare`, then `commit`\n", in->out);
    }
    json_decref(j);
    return code;
}

int run_discard(struct invocation *in)
{
    json_t *j;
    int code = ask_session(in, request_for(in), &j);
    json_decref(j);
    return code;
}

/* The running configuration: what CONFIG SET has changed, too. */
int run_save(struct invocation *in)
{
    json_t *j;
    int code = ask_session(in, request_for(in), &j);
    if (j)
        fprintf(in->out, "written to %s\n", text_of(j, "file"));
    json_decref(j);
    return code;
}

static json_t *text_of_file(struct shell *sh, const char *path)
{
    char *text = read_text_file(sh, path);
    json_t *j = text ? json_string(text) : NULL;
    if (text && !j)
        fprintf(stderr, "sluice: %s: not a text in UTF-8\n", path);
    free(text);
    return j;
}

/* load FILE | terminal [merge] */
int run_load(struct invocation *in)
{
    json_t *j, *request = request_for(in), *text;
    bool merge = in->argc > 1 && strcmp(in->argv[1], "merge") == 0;
    if (in->argc > 1 && !merge) {
        fprintf(stderr, "sluice: load FILE|terminal [merge]\n");
        json_decref(request);
        return EXIT_USAGE;
    }
    if (!(text = text_of_file(in->shell, in->argv[0]))) {
        json_decref(request);
        return EXIT_FAILED;
    }
    json_object_set_new(request, "text", text);
    json_object_set_new(request, "name", json_string(in->argv[0]));
    json_object_set_new(request, "merge", json_boolean(merge));
    int code = ask_session(in, request, &j);
    if (j)
        print_text(in->out, text_of(j, "report"));
    json_decref(j);
    return code;
}

int run_edit_import(struct invocation *in)
{
    json_t *j, *request = request_for(in), *text = text_of_file(in->shell, in->argv[0]);
    if (!text) {
        json_decref(request);
        return EXIT_FAILED;
    }
    json_object_set_new(request, "text", text);
    json_object_set_new(request, "apply", json_true());
    int code = ask_session(in, request, &j);
    if (j) {
        print_import(in->out, j);
        code = number_of(j, "errors") ? EXIT_FAILED : EXIT_DONE;
        fputs(code ? "nothing is loaded: correct the lines with errors, or take them out\n"
                   : "loaded: look at it with `show | compare`, then `commit`\n",
              in->out);
    }
    json_decref(j);
    return code;
}

int run_leave(struct invocation *in)
{
    struct shell *sh = in->shell;
    json_t *j = NULL;
    int code = EXIT_DONE;
    if (sh->session < 0) {
        sh->leave = true;
        return EXIT_DONE;
    }
    if (shell_ask(sh, json_pack("{s:s,s:s,s:b}", "op", "configure", "what", "show", "compare", 1), &j) ==
            EXIT_DONE &&
        json_array_size(json_object_get(j, "changes"))) {
        if (sh->interactive && !shell_confirms(sh, "The changes are not committed and will be lost. Leave?")) {
            json_decref(j);
            return EXIT_FAILED;
        }
        if (!sh->interactive) {
            fputs("sluice: changes were not committed: they are lost\n", stderr);
            code = EXIT_FAILED;
        }
    }
    json_decref(j);
    shell_end(sh);
    return code;
}

/* -- back to the beginning ---------------------------------------------------------------------------- */

int run_factory_reset(struct invocation *in)
{
    json_t *j, *request = request_for(in);
    char *name = NULL;
    bool keep = in->argc > 0;
    if (keep && strcmp(in->argv[0], "keep-network") != 0) {
        fprintf(stderr, "sluice: factory-reset [keep-network] [--confirm HOST]\n");
        json_decref(request);
        return EXIT_USAGE;
    }
    if (!in->confirm && in->shell->interactive) {
        puts("Configuration, users, certificates, snapshots, logs and history will be wiped, and\n"
             "the box stops serving. Type the name of this box to do it.");
        name = in->shell->ask ? in->shell->ask(in->shell, "name: ") : NULL;
        if (!name) {
            fputs("sluice: not done\n", stderr);
            json_decref(request);
            return EXIT_FAILED;
        }
    }
    json_t *said = json_string(in->confirm ? in->confirm : name ? name : "");
    json_object_set_new(request, "confirm", said ? said : json_string(""));
    free(name);
    json_object_set_new(request, "keep_network", json_boolean(keep));
    int code = ask(in, request, &j);
    if (j)
        fputs("the box stops, and is as the factory made it when it starts again\n", in->out);
    json_decref(j);
    return code;
}
