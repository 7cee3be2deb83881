/* wire.c: what Redis clients ask of control through the dataplane: CONFIG SET, CONFIG REWRITE, ACL LOAD, ACL
 * SAVE, SHUTDOWN and, later, the commands of snapshots and the log. https://redis.io/commands/config-set/,
 * config-rewrite/, shutdown/ */
#include "control/aof.h"
#include "control/audit.h"
#include "control/control.h"
#include "control/log.h"
#include "control/resp.h"
#include "control/snapshot.h"
#include "control/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct ask {
    struct control *control;
    uint64_t id;
};

static void answer(struct control *c, uint64_t id, struct text *resp)
{
    if (!link_answer(c->link, id, text_str(resp), resp->len))
        log_line(LOG_LEVEL_VERBOSE, "The answer to a client's command could not be sent");
    text_free(resp);
}

static void answer_error(struct control *c, uint64_t id, const char *error)
{
    struct text resp = {0};
    resp_error(&resp, "%.2000s", error);
    answer(c, id, &resp);
}

static void answer_ok(struct control *c, uint64_t id)
{
    struct text resp = {0};
    resp_ok(&resp);
    answer(c, id, &resp);
}

/* The value of a field of a client's description: "addr=127.0.0.1:50412 ..."; "" if it has none. */
static int field(const char *client, const char *name, const char **value)
{
    const char *at = strstr(client, name);
    *value = at ? at + strlen(name) : "";
    return (int)strcspn(*value, " ");
}

static void name_client(const char *client, char *out, size_t size)
{
    const char *addr, *user;
    int addr_len = field(client, " addr=", &addr), user_len = field(client, " user=", &user);
    if (addr_len)
        snprintf(out, size, "user %.*s at %.*s", user_len < 64 ? user_len : 64, user, addr_len, addr);
    else
        snprintf(out, size, "%.100s", client);
}

static void set_done(void *ctx, const char *error)
{
    struct ask *a = ctx;
    if (error)
        answer_error(a->control, a->id, error);
    else
        answer_ok(a->control, a->id);
    free(a);
}

static void config_set(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    if (argc < 4 || argc % 2) {
        answer_error(
            c, id, argc < 4 ? "ERR wrong number of arguments for 'config|set' command" : "ERR syntax error");
        return;
    }
    unsigned n = (unsigned)(argc - 2) / 2;
    struct change *change = must_alloc(n, sizeof *change);
    struct ask *a = must_alloc(1, sizeof *a);
    *a = (struct ask){c, id};
    for (unsigned i = 0; i < n; i++)
        change[i] = (struct change){argv[2 + 2 * i], argv[3 + 2 * i]};
    commit_set(c->commit, change, n, true, who, set_done, a);
    free(change);
}

static void config_rewrite(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)argc, (void)argv;
    users_rewrite(c, id, who);
}

static void acl_load(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)argc, (void)argv;
    users_load(c, id, who);
}

static void acl_save(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)argc, (void)argv;
    users_save(c, id, who);
}

/* -- snapshots -- */

static struct ask *ask_new(struct control *c, uint64_t id)
{
    struct ask *a = must_alloc(1, sizeof *a);
    *a = (struct ask){c, id};
    return a;
}

static void bgsave_begun(void *ctx, const char *error)
{
    struct ask *a = ctx;
    struct text resp = {0};
    if (error)
        resp_error(&resp, "ERR Background save failed: %.500s", error);
    else
        text_add(&resp, "+Background saving started\r\n");
    answer(a->control, a->id, &resp);
    free(a);
}

static const char *const in_progress = "ERR Background save already in progress";

static void bgsave(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)who, (void)argc, (void)argv;
    struct ask *a = ask_new(c, id);
    struct aof_status log;
    if (snapshot_make(c->snapshot, bgsave_begun, NULL, a))
        return;
    aof_status(c->aof, &log);
    answer_error(c, id, log.rewriting ? "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in "
                                        "order to schedule a BGSAVE whenever possible."
                                      : in_progress);
    free(a);
}

static void save_over(void *ctx, const char *error)
{
    struct ask *a = ctx;
    if (error)
        answer_error(a->control, a->id, "ERR");
    else
        answer_ok(a->control, a->id);
    free(a);
}

static void save(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)who, (void)argc, (void)argv;
    struct ask *a = ask_new(c, id);
    if (snapshot_make(c->snapshot, NULL, save_over, a)) {
        snapshot_hurry(c->snapshot);
        return;
    }
    answer_error(c, id, in_progress);
    free(a);
}

static void bgrewriteaof(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)who, (void)argc, (void)argv;
    struct text resp = {0};
    text_printf(&resp, "%s\r\n", aof_rewrite(c->aof));
    answer(c, id, &resp);
}

static void waited(void *ctx, bool synced)
{
    struct ask *a = ctx;
    struct text resp = {0};
    text_printf(&resp, "*2\r\n:%d\r\n:0\r\n", synced);
    answer(a->control, a->id, &resp);
    free(a);
}

/* WAITAOF numlocal numreplicas timeout, which the dataplane has looked at. */
static void waitaof(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    (void)who;
    struct ask *a = ask_new(c, id);
    bool replicas = argc > 2 && strtoull(argv[2], NULL, 10) > 0;
    if (argc > 3 && aof_wait(c->aof, strtoull(argv[3], NULL, 10), replicas, waited, a))
        return;
    answer_error(c, id, "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    free(a);
}

/* -- the end -- */

struct ending {
    struct control *control;
    uint64_t id;
    char *who, *reason;
    bool force;
};

static void saved_at_end(void *ctx, const char *error)
{
    struct ending *e = ctx;
    bool stays = error && !e->force;
    audit_note(e->control->audit, e->who, "data port", "shutdown", NULL, stays ? error : "ok");
    if (stays)
        answer_error(e->control, e->id, "ERR Errors trying to SHUTDOWN. Check logs.");
    else
        supervise_stop(e->control->supervisor, e->reason);
    free(e->who);
    free(e->reason);
    free(e);
}

/* Redis closes the connection without a reply. The dataplane does the same when it ends, so there is nothing
 * to answer. */
static void shutdown_box(struct control *c, uint64_t id, const char *who, int argc, char **argv)
{
    static const char *const words[] = {"nosave", "save", "now", "force", "abort", NULL};
    bool possible = snapshot_possible(c->snapshot); /* what is half loaded is not saved */
    bool abort = false, saves = snapshot_is_wanted(c->snapshot), force = false;
    for (int i = 1; i < argc; i++) {
        const char *const *w = words;
        while (*w && strcasecmp(*w, argv[i]) != 0)
            w++;
        if (!*w) {
            answer_error(c, id, "ERR syntax error");
            return;
        }
        abort = abort || strcasecmp(argv[i], "abort") == 0;
        force = force || strcasecmp(argv[i], "force") == 0;
        saves = (saves || strcasecmp(argv[i], "save") == 0) && strcasecmp(argv[i], "nosave") != 0;
    }
    if (abort) {
        answer_error(c, id, "ERR No shutdown in progress.");
        return;
    }
    char *reason = must_print("stopped by SHUTDOWN from %s", who);
    struct ending *e = must_alloc(1, sizeof *e);
    *e = (struct ending){c, id, must_print("%s", who), reason, force};
    if (!saves || !possible)
        saved_at_end(e, NULL);
    else if (!snapshot_make(c->snapshot, NULL, saved_at_end, e))
        saved_at_end(e, in_progress);
    else
        snapshot_hurry(c->snapshot);
}

static const struct {
    const char *name, *sub; /* sub may be NULL */
    void (*run)(struct control *c, uint64_t id, const char *who, int argc, char **argv);
} commands[] = {
    {"config", "set", config_set},
    {"config", "rewrite", config_rewrite},
    {"acl", "load", acl_load},
    {"acl", "save", acl_save},
    {"shutdown", NULL, shutdown_box},
    {"bgsave", NULL, bgsave},
    {"save", NULL, save},
    {"bgrewriteaof", NULL, bgrewriteaof},
    {"waitaof", NULL, waitaof},
};

void wire_ask(struct control *c, uint64_t id, const char *client, int argc, char **argv)
{
    char who[192];
    name_client(client, who, sizeof who);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcasecmp(commands[i].name, argv[0]) == 0 &&
            (!commands[i].sub || (argc > 1 && strcasecmp(commands[i].sub, argv[1]) == 0))) {
            commands[i].run(c, id, who, argc, argv);
            return;
        }
    struct text resp = {0};
    resp_error(&resp, "ERR '%.64s' is not available on this box yet", argv[0]);
    answer(c, id, &resp);
}
