/* receive.c: messages from control, one function each, found by a table. */
#include "channel/private.h"

#include <stdlib.h>
#include <string.h>

typedef bool handler(struct channel *ch, struct message_reader *r);

static bool on_hello(struct channel *ch, struct message_reader *r)
{
    uint32_t version = get_u32(r);
    uint64_t pid = get_u64(r);
    char build[64];
    get_text(r, build, sizeof build);
    if (!message_done(r) || version != CHANNEL_VERSION || ch->greeted)
        return false;
    ch->peer_pid = (long)pid;
    ch->greeted = true;
    ch->ops->peer(ch->ctx, true);
    (void)channel_state(ch, ch->state, ch->detail);
    return true;
}

void channel_forget_pairs(struct channel *ch)
{
    for (unsigned i = 0; i < ch->pairs; i++) {
        free((void *)(uintptr_t)ch->pair[i].name);
        config_wipe((char *)(uintptr_t)ch->pair[i].value);
    }
    free(ch->pair);
    ch->pair = NULL;
    ch->pairs = ch->pairs_room = 0;
}

static bool add_pair(struct channel *ch, char *name, char *value)
{
    if (name && value && ch->pairs == ch->pairs_room) {
        unsigned room = ch->pairs_room ? ch->pairs_room * 2 : 64;
        struct config_pair *more = room <= 1 << 16 ? realloc(ch->pair, room * sizeof *more) : NULL;
        if (more) {
            ch->pair = more;
            ch->pairs_room = room;
        }
    }
    if (!name || !value || ch->pairs == ch->pairs_room) {
        free(name);
        config_wipe(value);
        return false;
    }
    ch->pair[ch->pairs++] = (struct config_pair){name, value};
    return true;
}

static bool commit_pairs(struct channel *ch)
{
    char error[256] = "";
    const char *why = NULL;
    struct config *conf = config_build(ch->generation, ch->pair, ch->pairs, error, sizeof error);
    channel_forget_pairs(ch);
    if (!conf)
        why = error[0] ? error : "out of memory";
    else if ((why = ch->ops->config(ch->ctx, conf)))
        config_free(conf);
    struct message_writer w;
    message_begin(&w, ch->out_message, MSG_CONFIG_RESULT);
    put_u64(&w, ch->generation);
    put_u8(&w, why == NULL);
    put_text(&w, why ? why : "");
    return channel_send(ch, &w, true);
}

static bool on_config(struct channel *ch, struct message_reader *r)
{
    uint64_t generation = get_u64(r);
    bool last = get_u8(r);
    uint32_t n = get_u32(r);
    if (generation != ch->generation)
        channel_forget_pairs(ch);
    ch->generation = generation;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        char *name = get_text_alloc(r), *value = get_text_alloc(r);
        if (!add_pair(ch, name, value))
            return false;
    }
    explicit_bzero(ch->in_message, sizeof ch->in_message); /* it may hold a private key */
    return message_done(r) && (!last || commit_pairs(ch));
}

static bool on_exec(struct channel *ch, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    uint32_t argc = get_u32(r);
    if (argc == 0 || argc > CHANNEL_ARGS_MAX)
        return false;
    struct slice *argv = calloc(argc, sizeof *argv);
    for (uint32_t i = 0; argv && i < argc; i++)
        argv[i].p = get_bytes(r, &argv[i].len);
    bool good = argv && message_done(r);
    if (good)
        ch->ops->exec(ch->ctx, id, (int)argc, argv);
    free(argv);
    return good;
}

static bool on_answer(struct channel *ch, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    struct slice resp;
    resp.p = get_bytes(r, &resp.len);
    if (!message_done(r))
        return false;
    ch->ops->answer(ch->ctx, id, resp);
    return true;
}

static bool on_fact(struct channel *ch, struct message_reader *r)
{
    char name[CHANNEL_NAME];
    get_text(r, name, sizeof name);
    char *value = get_text_alloc(r);
    bool good = message_done(r);
    if (good)
        ch->ops->fact(ch->ctx, name, value);
    free(value);
    return good;
}

static bool on_stop(struct channel *ch, struct message_reader *r)
{
    if (!message_done(r))
        return false;
    ch->ops->stop(ch->ctx);
    return true;
}

static bool on_capture_start(struct channel *ch, struct message_reader *r)
{
    struct channel_capture c = {.id = get_u64(r)};
    c.snaplen = get_u32(r);
    c.count = get_u64(r);
    c.directions = get_u8(r);
    c.credit = get_u64(r);
    c.program.p = get_bytes(r, &c.program.len);
    if (!message_done(r) || c.snaplen == 0 || c.snaplen > CHANNEL_SNAPLEN_MAX)
        return false;
    ch->ops->capture_start(ch->ctx, &c);
    return true;
}

static bool on_capture_stop(struct channel *ch, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    bool rest = get_u8(r);
    if (!message_done(r))
        return false;
    ch->ops->capture_stop(ch->ctx, id, rest);
    return true;
}

static bool on_capture_more(struct channel *ch, struct message_reader *r)
{
    uint64_t id = get_u64(r), bytes = get_u64(r);
    if (!message_done(r))
        return false;
    ch->ops->capture_more(ch->ctx, id, bytes);
    return true;
}

static bool on_load_start(struct channel *ch, struct message_reader *r)
{
    char name[256];
    struct load_request request = {.name = name};
    request.id = get_u64(r);
    request.mode = get_u8(r);
    request.logs = get_u8(r);
    request.bytes = get_u64(r);
    get_text(r, name, sizeof name);
    if (!message_done(r) || !ch->ops->load_start || request.mode > LOAD_KEEPING || request.logs > LOAD_LOG_OF_MEMORY)
        return false;
    ch->ops->load_start(ch->ctx, &request);
    return true;
}

static bool on_load_data(struct channel *ch, struct message_reader *r)
{
    uint64_t id = get_u64(r);
    struct slice bytes;
    bytes.p = get_bytes(r, &bytes.len);
    if (!message_done(r) || !ch->ops->load_data)
        return false;
    ch->ops->load_data(ch->ctx, id, bytes);
    return true;
}

static bool on_load_stop(struct channel *ch, struct message_reader *r)
{
    char why[256];
    uint64_t id = get_u64(r);
    get_text(r, why, sizeof why);
    if (!message_done(r) || !ch->ops->load_stop)
        return false;
    ch->ops->load_stop(ch->ctx, id, why);
    return true;
}

static const struct {
    const char *name;
    handler *run;
} handlers[MSG_TYPES] = {
    [MSG_HELLO] = {"HELLO", on_hello},
    [MSG_CONFIG] = {"CONFIG", on_config},
    [MSG_EXEC] = {"EXEC", on_exec},
    [MSG_ANSWER] = {"ANSWER", on_answer},
    [MSG_FACT] = {"FACT", on_fact},
    [MSG_STOP] = {"STOP", on_stop},
    [MSG_CAPTURE_START] = {"CAPTURE_START", on_capture_start},
    [MSG_CAPTURE_STOP] = {"CAPTURE_STOP", on_capture_stop},
    [MSG_CAPTURE_MORE] = {"CAPTURE_MORE", on_capture_more},
    [MSG_LOAD_START] = {"LOAD_START", on_load_start},
    [MSG_LOAD_DATA] = {"LOAD_DATA", on_load_data},
    [MSG_LOAD_STOP] = {"LOAD_STOP", on_load_stop},
};

bool channel_receive(struct channel *ch, const uint8_t *message, size_t len, char *error, size_t size)
{
    struct message_reader r;
    unsigned type = message_open(&r, message, len);
    if (type >= MSG_TYPES || !handlers[type].run) {
        snprintf(error, size, "unknown message type %u", type);
        return false;
    }
    if (!ch->greeted && type != MSG_HELLO) {
        snprintf(error, size, "%s before HELLO", handlers[type].name);
        return false;
    }
    if (!handlers[type].run(ch, &r)) {
        snprintf(error, size, "malformed %s message of %zu bytes", handlers[type].name, len);
        return false;
    }
    return true;
}
