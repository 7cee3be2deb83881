/* link_in.c: one function for each message of the dataplane. */
#include "control/link_private.h"
#include "control/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool on_hello(struct link *l, struct message_reader *r)
{
    char build[64];
    uint32_t version = get_u32(r);
    long pid = (long)get_u64(r);
    get_text(r, build, sizeof build);
    if (!message_done(r) || version != CHANNEL_VERSION || l->greeted)
        return false;
    l->greeted = true;
    l->ops->hello(l->ctx, pid, build);
    return true;
}

static bool on_config_result(struct link *l, struct message_reader *r)
{
    char why[1024];
    uint64_t generation = get_u64(r);
    bool accepted = get_u8(r);
    get_text(r, why, sizeof why);
    if (!message_done(r))
        return false;
    l->ops->config_result(l->ctx, generation, accepted, why);
    return true;
}

static bool on_exec_part(struct link *l, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    bool last = get_u8(r);
    size_t len;
    const uint8_t *p = get_bytes(r, &len);
    if (!message_done(r))
        return false;
    l->ops->exec_part(l->ctx, id, last, (const char *)p, len);
    return true;
}

static bool on_ask(struct link *l, struct message_reader *r)
{
    char client[256];
    uint64_t id = get_u64(r);
    get_text(r, client, sizeof client);
    uint32_t argc = get_u32(r);
    struct words argv = {0};
    if (argc == 0 || argc > CHANNEL_ARGS_MAX)
        return false;
    bool zero = false;
    for (uint32_t i = 0; i < argc && !r->failed; i++) {
        size_t len;
        const uint8_t *p = get_bytes(r, &len);
        zero = zero || (len && memchr(p, 0, len));
        words_add(&argv, must_copy_n((const char *)p, len));
    }
    bool good = message_done(r);
    static const char no_zero[] = "-ERR an argument holds a zero byte, which no configuration file can\r\n";
    if (good && zero)
        link_answer(l, id, no_zero, sizeof no_zero - 1);
    else if (good)
        l->ops->ask(l->ctx, id, client, (int)argv.n, argv.p);
    words_free(&argv);
    return good;
}

static bool on_state(struct link *l, struct message_reader *r)
{
    char state[32], detail[256];
    get_text(r, state, sizeof state);
    get_text(r, detail, sizeof detail);
    if (!message_done(r))
        return false;
    l->ops->state(l->ctx, state, detail);
    return true;
}

static bool on_log(struct link *l, struct message_reader *r)
{
    int level = get_u8(r);
    char *line = get_text_alloc(r);
    bool good = message_done(r);
    if (good)
        l->ops->log(l->ctx, level, line);
    free(line);
    return good;
}

static bool on_capture(struct link *l, enum message_type type, struct message_reader *r)
{
    return l->ops->capture && l->ops->capture(l->ctx, type, r) && message_done(r);
}

static bool on_capture_started(struct link *l, struct message_reader *r)
{
    return on_capture(l, MSG_CAPTURE_STARTED, r);
}

static bool on_capture_packets(struct link *l, struct message_reader *r)
{
    return on_capture(l, MSG_CAPTURE_PACKETS, r);
}

static bool on_capture_ended(struct link *l, struct message_reader *r)
{
    return on_capture(l, MSG_CAPTURE_ENDED, r);
}

static bool on_load_more(struct link *l, struct message_reader *r)
{
    return l->ops->load && l->ops->load(l->ctx, MSG_LOAD_MORE, r) && message_done(r);
}

static bool on_load_done(struct link *l, struct message_reader *r)
{
    return l->ops->load && l->ops->load(l->ctx, MSG_LOAD_DONE, r) && message_done(r);
}

static const struct {
    const char *name;
    bool (*run)(struct link *l, struct message_reader *r);
} handlers[MSG_TYPES] = {
    [MSG_HELLO] = {"HELLO", on_hello},
    [MSG_CONFIG_RESULT] = {"CONFIG_RESULT", on_config_result},
    [MSG_EXEC_PART] = {"EXEC_PART", on_exec_part},
    [MSG_ASK] = {"ASK", on_ask},
    [MSG_STATE] = {"STATE", on_state},
    [MSG_LOG] = {"LOG", on_log},
    [MSG_CAPTURE_STARTED] = {"CAPTURE_STARTED", on_capture_started},
    [MSG_CAPTURE_PACKETS] = {"CAPTURE_PACKETS", on_capture_packets},
    [MSG_CAPTURE_ENDED] = {"CAPTURE_ENDED", on_capture_ended},
    [MSG_LOAD_MORE] = {"LOAD_MORE", on_load_more},
    [MSG_LOAD_DONE] = {"LOAD_DONE", on_load_done},
};

bool link_receive(struct link *l, size_t len)
{
    struct message_reader r;
    unsigned type = message_open(&r, l->in_message, len);
    char why[96];
    if (type >= MSG_TYPES || !handlers[type].run)
        snprintf(why, sizeof why, "unknown message type %u from the dataplane", type);
    else if (!l->greeted && type != MSG_HELLO)
        snprintf(why, sizeof why, "%s before HELLO from the dataplane", handlers[type].name);
    else if (!handlers[type].run(l, &r))
        snprintf(why, sizeof why, "malformed %s message of %zu bytes from the dataplane", handlers[type].name,
                 len);
    else
        return true;
    link_fail(l, why);
    return false;
}
