/* messages.c: rings and fields of the control channel, used by both ends. */
#include "channel/messages.h"

#include <stdlib.h>
#include <string.h>

static void copy_in(struct ring_end *e, uint64_t at, const void *from, size_t len)
{
    size_t start = at & (CHANNEL_RING_BYTES - 1), first = CHANNEL_RING_BYTES - start;
    if (first > len)
        first = len;
    memcpy(e->data + start, from, first);
    memcpy(e->data, (const uint8_t *)from + first, len - first);
}

static void copy_out(const struct ring_end *e, uint64_t at, void *to, size_t len)
{
    size_t start = at & (CHANNEL_RING_BYTES - 1), first = CHANNEL_RING_BYTES - start;
    if (first > len)
        first = len;
    memcpy(to, e->data + start, first);
    memcpy((uint8_t *)to + first, e->data, len - first);
}

struct ring_end bulk_to_control(void *bulk, unsigned worker)
{
    uint8_t *p = (uint8_t *)bulk + (size_t)worker * CHANNEL_RINGS_SIZE;
    struct channel_rings *rings = (struct channel_rings *)(void *)p;
    return (struct ring_end){&rings->to_control, p + CHANNEL_DATA_TO_CONTROL, 0};
}

struct ring_end log_to_control(void *bulk, unsigned worker)
{
    return bulk_to_control((uint8_t *)bulk + CHANNEL_LOG_RINGS, worker);
}

void ring_reset(struct ring_end *e)
{
    e->at = 0;
    __atomic_store_n(&e->ring->head, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&e->ring->tail, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&e->ring->starved, 0, __ATOMIC_SEQ_CST);
}

/* Private keys travel with configurations: what was read does not stay in shared memory. */
static void wipe(struct ring_end *e, uint64_t at, size_t len)
{
    size_t start = at & (CHANNEL_RING_BYTES - 1), first = CHANNEL_RING_BYTES - start;
    if (first > len)
        first = len;
    explicit_bzero(e->data + start, first);
    explicit_bzero(e->data, len - first);
}

enum ring_result ring_put(struct ring_end *e, const uint8_t *message, size_t len)
{
    uint32_t size = (uint32_t)len;
    if (len == 0 || len > CHANNEL_MESSAGE_MAX)
        return RING_BROKEN;
    uint64_t used = e->at - __atomic_load_n(&e->ring->tail, __ATOMIC_ACQUIRE);
    if (used > CHANNEL_RING_BYTES)
        return RING_BROKEN;
    if (CHANNEL_RING_BYTES - used < sizeof size + len) {
        /* The consumer reads `starved` after it has moved the tail: look once more, or its bell could be
         * missed. */
        __atomic_store_n(&e->ring->starved, 1, __ATOMIC_SEQ_CST);
        used = e->at - __atomic_load_n(&e->ring->tail, __ATOMIC_SEQ_CST);
        if (used > CHANNEL_RING_BYTES)
            return RING_BROKEN;
        if (CHANNEL_RING_BYTES - used < sizeof size + len)
            return RING_FULL;
    }
    copy_in(e, e->at, &size, sizeof size);
    copy_in(e, e->at + sizeof size, message, len);
    e->at += sizeof size + len;
    __atomic_store_n(&e->ring->head, e->at, __ATOMIC_RELEASE);
    return RING_OK;
}

/* The next message, whose place stays taken. */
static enum ring_result look(struct ring_end *e, uint8_t *buffer, uint32_t *size)
{
    uint64_t ready = __atomic_load_n(&e->ring->head, __ATOMIC_ACQUIRE) - e->at;
    if (ready == 0)
        return RING_EMPTY;
    if (ready > CHANNEL_RING_BYTES || ready < sizeof *size)
        return RING_BROKEN;
    copy_out(e, e->at, size, sizeof *size);
    if (*size == 0 || *size > CHANNEL_MESSAGE_MAX || *size > ready - sizeof *size)
        return RING_BROKEN;
    copy_out(e, e->at + sizeof *size, buffer, *size);
    return RING_OK;
}

enum ring_result ring_peek(struct ring_end *e, uint8_t *buffer, size_t *len)
{
    uint32_t size = 0;
    enum ring_result result = look(e, buffer, &size);
    *len = size;
    e->at += result == RING_OK ? sizeof size + size : 0;
    return result;
}

void ring_release(struct ring_end *e)
{
    __atomic_store_n(&e->ring->tail, e->at, __ATOMIC_SEQ_CST);
}

enum ring_result ring_get(struct ring_end *e, uint8_t *buffer, size_t *len, bool *wake)
{
    uint32_t size;
    enum ring_result result = look(e, buffer, &size);
    if (result != RING_OK)
        return result;
    *len = size;
    if (buffer[0] == MSG_CONFIG)
        wipe(e, e->at + sizeof size, size);
    e->at += sizeof size + size;
    __atomic_store_n(&e->ring->tail, e->at, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&e->ring->starved, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&e->ring->starved, 0, __ATOMIC_SEQ_CST);
        *wake = true;
    }
    return RING_OK;
}

/* Does a table of n rows of `row` bytes at `offset` lie inside size? */
static bool inside(uint64_t offset, uint64_t n, uint64_t row, uint64_t size)
{
    uint64_t bytes;
    return offset % 8 == 0 && !__builtin_mul_overflow(n, row, &bytes) && offset <= size &&
           bytes <= size - offset;
}

bool block_check(const struct channel_block *b, size_t size)
{
    uint32_t workers = __atomic_load_n(&b->workers, __ATOMIC_ACQUIRE);
    if (size < sizeof *b || b->magic != CHANNEL_MAGIC || b->version != CHANNEL_VERSION || b->size != size ||
        !inside(b->gauges_offset, CHANNEL_GAUGES, sizeof(struct channel_gauge_slot), size))
        return false;
    if (workers == 0)
        return true;
    uint64_t in_worker, times;
    return workers <= CHANNEL_WORKERS &&
           inside(b->counter_names, b->counters, sizeof(struct channel_counter_info), size) &&
           inside(b->command_names, b->commands, CHANNEL_NAME, size) &&
           inside(b->family_names, b->families, CHANNEL_NAME, size) &&
           inside(b->stage_names, b->stages, CHANNEL_NAME, size) &&
           inside(b->bucket_ends, CHANNEL_BUCKETS, sizeof(uint64_t), size) && b->bucket_ends % 8 == 0 &&
           inside(b->workers_offset, workers, b->worker_stride, size) && b->worker_stride % 8 == 0 &&
           b->commands_in_worker % 8 == 0 &&
           b->commands_in_worker >= (uint64_t)b->counters * sizeof(uint64_t) &&
           !__builtin_add_overflow(b->commands_in_worker,
                                   (uint64_t)b->commands * sizeof(struct channel_command_totals),
                                   &in_worker) &&
           in_worker <= b->times_in_worker && b->times_in_worker % 8 == 0 &&
           !__builtin_add_overflow(b->times_in_worker,
                                   (uint64_t)b->families * b->stages * sizeof(struct channel_histogram),
                                   &times) &&
           times <= b->worker_stride;
}

/* -- writing ------------------------------------------------------------------------------------------ */

void message_begin(struct message_writer *w, uint8_t *buffer, enum message_type type)
{
    *w = (struct message_writer){.p = buffer};
    put_u8(w, (uint8_t)type);
}

static void put(struct message_writer *w, const void *p, size_t len)
{
    if (w->failed || len > CHANNEL_MESSAGE_MAX - w->len) {
        w->failed = true;
        return;
    }
    if (len)
        memcpy(w->p + w->len, p, len);
    w->len += len;
}

void put_u8(struct message_writer *w, uint8_t v)
{
    put(w, &v, 1);
}

void put_u32(struct message_writer *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    put(w, b, sizeof b);
}

void put_u64(struct message_writer *w, uint64_t v)
{
    put_u32(w, (uint32_t)v);
    put_u32(w, (uint32_t)(v >> 32));
}

void put_bytes(struct message_writer *w, const void *p, size_t len)
{
    if (len > CHANNEL_MESSAGE_MAX) {
        w->failed = true;
        return;
    }
    put_u32(w, (uint32_t)len);
    put(w, p, len);
}

void put_text(struct message_writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

/* -- reading ------------------------------------------------------------------------------------------ */

enum message_type message_open(struct message_reader *r, const uint8_t *message, size_t len)
{
    *r = (struct message_reader){.p = message, .left = len};
    return (enum message_type)get_u8(r);
}

static const uint8_t *get(struct message_reader *r, size_t len)
{
    if (r->failed || len > r->left) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += len;
    r->left -= len;
    return p;
}

uint8_t get_u8(struct message_reader *r)
{
    const uint8_t *p = get(r, 1);
    return p ? p[0] : 0;
}

uint32_t get_u32(struct message_reader *r)
{
    const uint8_t *p = get(r, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t get_u64(struct message_reader *r)
{
    uint64_t low = get_u32(r);
    return low | (uint64_t)get_u32(r) << 32;
}

const uint8_t *get_bytes(struct message_reader *r, size_t *len)
{
    *len = get_u32(r);
    const uint8_t *p = get(r, *len);
    if (!p)
        *len = 0;
    return p;
}

void get_text(struct message_reader *r, char *text, size_t size)
{
    size_t len;
    const uint8_t *p = get_bytes(r, &len);
    text[0] = 0;
    if (!p || len >= size || memchr(p, 0, len)) {
        r->failed = true;
        return;
    }
    memcpy(text, p, len);
    text[len] = 0;
}

char *get_text_alloc(struct message_reader *r)
{
    size_t len;
    const uint8_t *p = get_bytes(r, &len);
    if (!p || memchr(p, 0, len)) {
        r->failed = true;
        return NULL;
    }
    char *text = malloc(len + 1);
    if (!text) {
        r->failed = true;
        return NULL;
    }
    memcpy(text, p, len);
    text[len] = 0;
    return text;
}

bool message_done(const struct message_reader *r)
{
    return !r->failed && r->left == 0;
}
