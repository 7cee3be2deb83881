/* main.c: sluice-loadgen: sets the parts up in order, runs one mode, tears down in reverse. Exit status: 0
 * all good, 1 it could not run or did not come to its end, 2 a wrong byte came back. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "attack.h"
#include "echo.h"
#include "load.h"
#include "reflect.h"
#include "report.h"
#include "sockets.h"

enum { EXIT_WRONG_BYTE = 2 };

static int run_load(struct link *link, struct workload *work, const struct options *o)
{
    char error[200] = "";
    struct client *cl = calloc(1, sizeof *cl);
    struct load *l = calloc(1, sizeof *l);
    bool good = cl && l && link_resolve(link, o->wait_s, error, sizeof error);
    if (good && !client_init(cl, o, link, work)) {
        snprintf(error, sizeof error, "no memory for %u connections", o->connections);
        good = false;
    }
    if (good && o->attack)
        good = (cl->attack = attack_new(cl, o->attack, o->attack_conns, error, sizeof error)) != NULL;
    if (!good) {
        fprintf(stderr, "sluice-loadgen: %s\n", error[0] ? error : "out of memory");
    } else {
        l->options = o;
        good = load_run(l, cl, error, sizeof error);
        good = report_load(l, cl, error, o->json_path) && good && cl->totals.errors == 0 &&
               cl->totals.resets == 0 && cl->totals.closed_early == 0;
    }
    int status = !good ? EXIT_FAILURE : EXIT_SUCCESS;
    if (cl && cl->totals.wrong)
        status = EXIT_WRONG_BYTE;
    if (l)
        load_free(l);
    if (cl) {
        attack_free(cl->attack);
        client_free(cl);
    }
    free(l);
    free(cl);
    return status;
}

static int run_sockets(struct workload *work, const struct options *o)
{
    char error[200] = "";
    struct load *l = calloc(1, sizeof *l);
    bool good = false;
    if (l) {
        l->options = o;
        good = sockets_run(l, work, error, sizeof error);
        good = report_parts(l, error, o->json_path) && good;
    }
    free(l);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_mode(struct link *link, struct workload *work, const struct options *o)
{
    struct echo_result result;
    switch (o->mode) {
    case MODE_ECHO:
        echo_run(link, o, &result);
        return report_echo(o, &result, o->json_path) && result.received ? EXIT_SUCCESS : EXIT_FAILURE;
    case MODE_REFLECT:
        reflect_run(link, work, o);
        return EXIT_SUCCESS;
    default:
        return run_load(link, work, o);
    }
}

static int run_on_link(struct workload *work, const struct options *o)
{
    char error[1024];
    struct link *link = calloc(1, sizeof *link);
    int status = EXIT_FAILURE;
    if (link && link_open(link, o, error, sizeof error))
        status = run_mode(link, work, o);
    else
        fprintf(stderr, "sluice-loadgen: %s\n", link ? error : "out of memory");
    if (link)
        link_close(link);
    free(link);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    char error[1024];
    if (!options_parse(&o, argc, argv, error, sizeof error)) {
        if (!error[0]) {
            fputs(options_help, stdout);
            attack_list(error, sizeof error);
            printf("attacks\n%s", error);
            return EXIT_SUCCESS;
        }
        fprintf(stderr, "sluice-loadgen: %s\n", error);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN); /* the other end of a vhost socket may go first */
    struct workload work;
    const struct workload_config conf = {.keys = o.keys,
                                         .key_size = o.key_size,
                                         .value_size = o.value_size,
                                         .big_size = o.big_size,
                                         .ttl_s = o.ttl_s,
                                         .zipf = o.zipf,
                                         .seed = o.seed};
    int status = EXIT_FAILURE;
    if (!workload_init(&work, &conf)) {
        fprintf(stderr, "sluice-loadgen: out of memory\n");
        return status;
    }
    if (o.script && (work.script = script_read(o.script, NULL, error, sizeof error)))
        script_size(work.script, o.keys);
    if (o.script && !work.script)
        fprintf(stderr, "sluice-loadgen: %s\n", error);
    else
        status = o.mode == MODE_SOCKETS ? run_sockets(&work, &o) : run_on_link(&work, &o);
    workload_free(&work);
    return status;
}
