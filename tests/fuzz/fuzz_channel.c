/* fuzz_channel.c: what the dataplane takes from control: messages one after the other (u16 length, bytes),
 * or, if the first byte is odd, the ring itself with indexes and lengths that a broken peer has left. */
#include "channel/private.h"
#include "fuzz.h"

static uint8_t ring_bytes[CHANNEL_RING_BYTES];

/* In place of the command stage's. */
const struct command *command_by_id(unsigned id)
{
    (void)id;
    return NULL;
}

static const char *on_config(void *ctx, struct config *conf)
{
    (void)ctx;
    config_free(conf);
    return NULL;
}

static void on_exec(void *ctx, uint64_t id, int argc, const struct slice *argv)
{
    (void)ctx;
    uint64_t sum = id;
    for (int i = 0; i < argc; i++)
        for (size_t k = 0; k < argv[i].len; k++)
            sum += argv[i].p[k];
    MUST(argc >= 0 && argc <= CHANNEL_ARGS_MAX && sum != 1ull << 63, "too many arguments");
}

static void on_answer(void *ctx, uint64_t id, struct slice resp)
{
    (void)ctx;
    (void)id;
    MUST(resp.len <= CHANNEL_MESSAGE_MAX, "an answer longer than its message");
}

static void on_fact(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    MUST(strlen(name) + strlen(value) <= CHANNEL_MESSAGE_MAX, "a fact longer than its message");
}

static void on_stop(void *ctx)
{
    (void)ctx;
}

static void on_peer(void *ctx, bool connected)
{
    (void)ctx;
    (void)connected;
}

static void messages(struct input *in)
{
    static const struct channel_ops ops = {on_config, on_exec, on_answer, on_fact, on_stop, on_peer};
    struct channel_ring to_control = {0};
    struct channel *ch = calloc(1, sizeof *ch);
    ch->ops = &ops;
    ch->listen_fd = ch->peer_fd = ch->block_fd = -1;
    ch->out = (struct ring_end){.ring = &to_control, .data = ring_bytes};
    char error[256] = "";
    while (in->left) {
        size_t len;
        const uint8_t *p = take(in, take16(in), &len);
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, p, len);
        bool ok = channel_receive(ch, exact, len, error, sizeof error);
        free(exact);
        if (!ok)
            break;
    }
    channel_forget_pairs(ch);
    free(ch->outbox.p);
    free(ch);
}

static void ring(struct input *in)
{
    static uint8_t out[CHANNEL_MESSAGE_MAX];
    struct channel_ring r = {0};
    uint64_t at = take32(in);
    r.tail = at;
    r.head = at + (int16_t)take16(in) * (take8(in) & 1 ? 65536ll : 1);
    struct ring_end e = {.ring = &r, .data = ring_bytes, .at = at};
    for (size_t i = 0; in->left; i++)
        ring_bytes[(at + i) % CHANNEL_RING_BYTES] = take8(in);
    size_t len;
    bool wake;
    for (unsigned i = 0; i < 100 && ring_get(&e, out, &len, &wake) == RING_OK; i++)
        MUST(len <= sizeof out, "a message longer than its buffer");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (take8(&in) & 1)
        ring(&in);
    else
        messages(&in);
    return 0;
}
