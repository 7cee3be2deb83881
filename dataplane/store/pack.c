/* pack.c: packs, the compact form of small collections: elements and how they are read and found (pack_change.c: changed).
 * Format and contract: pack.h. */
#include "store/pack_run.h"
#include "base/number.h"
#include <assert.h>

enum {
    TAG_STRING = PACK_TAG_STRING,
    TAG_INT13 = 0xc0,
    TAG_STRING12 = PACK_TAG_STRING12,
    TAG_INT = 0xf0,
    TAG_STRING32 = 0xf8,
    INT13_MAX = 4095, /* and -4096 */
    BACK_SHORT = PACK_BACK_SHORT,
    BACK_MIDDLE = PACK_BACK_MIDDLE,
    HEAD_MOST = 9 /* tag and length of a string, or a whole number */
};

/* -- one element */

static unsigned number_bytes(int64_t v)
{
    uint64_t magnitude = v < 0 ? ~(uint64_t)v : (uint64_t)v; /* bits beside the sign */
    unsigned bits = magnitude ? 65 - (unsigned)__builtin_clzll(magnitude) : 1;
    return bits <= 16 ? 2 : (bits + 7) / 8;
}

/* Bytes before a body's text or of a whole number, written to head (of HEAD_MOST bytes). */
static unsigned write_head(uint8_t *head, const struct item *item)
{
    if (item->is_number) {
        int64_t v = item->number;
        if (v >= 0 && v < 128) {
            head[0] = (uint8_t)v;
            return 1;
        }
        if (v >= -INT13_MAX - 1 && v <= INT13_MAX) {
            head[0] = (uint8_t)(TAG_INT13 | ((uint64_t)v >> 8 & 31));
            head[1] = (uint8_t)v;
            return 2;
        }
        unsigned n = number_bytes(v);
        head[0] = (uint8_t)(TAG_INT | (n - 1));
        memcpy(head + 1, &v, n); /* little-endian, as all that this box runs on */
        return 1 + n;
    }
    uint32_t len = (uint32_t)item->text.len;
    if (len < 64) {
        head[0] = (uint8_t)(TAG_STRING | len);
        return 1;
    }
    if (len < 4096) {
        head[0] = (uint8_t)(TAG_STRING12 | len >> 8);
        head[1] = (uint8_t)len;
        return 2;
    }
    head[0] = TAG_STRING32;
    memcpy(head + 1, &len, 4);
    return 5;
}

/* Bytes of an element up to what is there for stepping back. */
static inline uint64_t body_size(const uint8_t *p)
{
    uint8_t tag = p[0];
    if (tag < TAG_STRING)
        return 1;
    if (tag < TAG_INT13)
        return 1 + (tag & 63u);
    if (tag < TAG_STRING12)
        return 2;
    if (tag < TAG_INT)
        return 2 + ((tag & 15u) << 8 | p[1]);
    if (tag < TAG_STRING32)
        return 2 + (tag & 7u);
    uint32_t len;
    memcpy(&len, p + 1, 4);
    return 5 + (uint64_t)len;
}

static inline unsigned back_size(uint8_t tag, uint64_t body)
{
    if (tag < TAG_STRING)
        return 0;
    return body <= BACK_SHORT ? 1 : body <= BACK_MIDDLE ? 2 : 5;
}

uint32_t pack_long_size(const uint8_t *p)
{
    uint64_t body = body_size(p);
    return (uint32_t)(body + back_size(p[0], body));
}

static void write_back(uint8_t *p, uint64_t body)
{
    if (body <= BACK_SHORT) {
        p[0] = (uint8_t)(0x80 | (body - 1));
    } else if (body <= BACK_MIDDLE) {
        uint32_t over = (uint32_t)body - BACK_SHORT - 1;
        p[0] = (uint8_t)over;
        p[1] = (uint8_t)(0x80 | (BACK_SHORT + (over >> 8)));
    } else {
        uint32_t len = (uint32_t)body;
        memcpy(p, &len, 4);
        p[4] = 0xff;
    }
}

/* Size of the element whose last byte is p[-1]. */
static uint32_t element_size_back(const uint8_t *p)
{
    uint8_t last = p[-1];
    if (last < 0x80)
        return 1;
    uint32_t code = last & 127u;
    if (code < BACK_SHORT)
        return code + 2;
    if (code < 127)
        return BACK_SHORT + 1 + ((code - BACK_SHORT) << 8 | p[-2]) + 2;
    uint32_t body;
    memcpy(&body, p - 5, 4);
    return body + 5;
}

void pack_write_element(uint8_t *p, const struct item *item)
{
    unsigned head = write_head(p, item);
    uint64_t body = head;
    if (!item->is_number) {
        if (item->text.len)
            memcpy(p + head, item->text.p, item->text.len);
        body += item->text.len;
    }
    if (back_size(p[0], body))
        write_back(p + body, body);
}

/* -- items */

static struct item sized(struct item item)
{
    uint8_t head[HEAD_MOST];
    uint64_t body = write_head(head, &item) + (item.is_number ? 0 : (uint64_t)item.text.len);
    uint64_t size = body + back_size(head[0], body);
    item.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX; /* fits in no pack then */
    return item;
}

struct item item_of(struct slice value)
{
    struct item item = {.text = value};
    /* Most strings are no numbers, and tell it by their first byte. */
    if (value.len && value.len <= 20 && (value.p[0] <= '9'))
        item.is_number = parse_i64(value, &item.number);
    return sized(item);
}

struct item item_of_text(struct slice text)
{
    return sized((struct item){.text = text});
}

struct item item_of_number(int64_t number)
{
    return sized((struct item){.number = number, .is_number = true});
}

struct slice item_text(const struct item *item, char scratch[PACK_TEXT])
{
    if (!item->is_number || item->text.p)
        return item->text;
    return (struct slice){(const uint8_t *)scratch, format_i64(scratch, item->number)};
}

size_t item_text_len(const struct item *item)
{
    char scratch[PACK_TEXT];
    return item_text(item, scratch).len;
}

bool item_eq(const struct item *a, const struct item *b)
{
    if (a->is_number != b->is_number)
        return false;
    return a->is_number ? a->number == b->number : slice_eq(a->text, b->text);
}

/* -- reading */

uint32_t pack_count(struct pack pk)
{
    assert(pk.len >= PACK_EMPTY);
    uint32_t count = pk.p[pk.len - 1];
    if (count == COUNT_LONG)
        memcpy(&count, pk.p + pk.len - 5, 4);
    return count;
}

/* Little-endian, signed, of 2 to 8 bytes: its first and its last ones, which overlap. */
static inline int64_t read_number(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        v = low | (uint64_t)high << 8 * (n - 4);
    } else {
        uint16_t low, high;
        memcpy(&low, p, 2);
        memcpy(&high, p + n - 2, 2);
        v = low | (uint64_t)high << 8 * (n - 2);
    }
    unsigned shift = 64 - 8 * n;
    return (int64_t)(v << shift) >> shift;
}

bool pack_run_take_any(struct pack_run *run, struct slice *text, int64_t *number)
{
    const uint8_t *p = run->p;
    uint8_t tag = p[0];
    uint32_t len;
    run->p = p + pack_size(p);
    if (tag < TAG_STRING) {
        *number = tag;
    } else if (tag < TAG_INT13) {
        *text = (struct slice){p + 1, tag & 63u};
        return true;
    } else if (tag < TAG_STRING12) {
        *number = ((int64_t)((tag & 31u) << 8 | p[1]) ^ 0x1000) - 0x1000;
    } else if (tag < TAG_INT) {
        *text = (struct slice){p + 2, (tag & 15u) << 8 | p[1]};
        return true;
    } else if (tag < TAG_STRING32) {
        *number = read_number(p + 1, (tag & 7u) + 1);
    } else {
        memcpy(&len, p + 1, 4);
        *text = (struct slice){p + 5, len};
        return true;
    }
    return false;
}

/* The element at p, whose size is known. */
static void read_any_element(const uint8_t *p, uint32_t size, struct item *item)
{
    struct pack_run run = {p, NULL};
    *item = (struct item){.size = size};
    item->is_number = !pack_run_take_any(&run, &item->text, &item->number);
}

static inline void read_element(const uint8_t *p, uint32_t size, struct item *item)
{
    if (pack_is_short(p))
        *item = (struct item){.size = size, .text = {p + 1, p[0] & 63u}};
    else
        read_any_element(p, size, item);
}

bool pack_get(struct pack pk, uint32_t at, struct item *item)
{
    uint32_t end = pack_end(pk);
    if (at >= end)
        return false;
    read_element(pk.p + at, pack_size(pk.p + at), item);
    assert(item->size <= end - at);
    return true;
}

uint32_t pack_next(struct pack pk, uint32_t at)
{
    assert(at < pack_end(pk));
    return at + pack_size(pk.p + at);
}

uint32_t pack_prev(struct pack pk, uint32_t at)
{
    assert(at <= pack_end(pk));
    if (at == 0)
        return PACK_NOWHERE;
    uint32_t size = element_size_back(pk.p + at);
    assert(size <= at);
    return at - size;
}

uint32_t pack_seek(struct pack pk, int64_t index)
{
    int64_t count = pack_count(pk);
    if (index < 0)
        index += count;
    if (index < 0 || index >= count)
        return PACK_NOWHERE;
    uint32_t at = 0;
    if (index <= count / 2) {
        while (index-- > 0)
            at += pack_size(pk.p + at);
        return at;
    }
    at = pack_end(pk);
    for (int64_t left = count - index; left > 0; left--)
        at -= element_size_back(pk.p + at);
    return at;
}

/* -- finding */

/* As each value has one encoding only, an element whose head and text are equal is equal. Keys of one kind
 * are often of one length and differ at their end, which is looked at first. */
struct sought {
    const uint8_t *text;
    uint32_t text_len, size;
    uint32_t tail_at; /* where a word of the text's end lies in the element, or its last byte */
    uint64_t tail;
    unsigned head_len;
    uint8_t head[HEAD_MOST];
};

enum { WORD = sizeof(uint64_t) };

/* True if the end that is looked at is a word: of a string whose first byte tells its length. */
static bool seek_item(const struct item *item, struct sought *out)
{
    out->text = item->text.p;
    out->text_len = item->is_number ? 0 : (uint32_t)item->text.len;
    out->size = item->size;
    out->head_len = write_head(out->head, item);
    if (pack_is_short(out->head) && out->text_len >= WORD) {
        out->tail_at = 1 + out->text_len - WORD;
        memcpy(&out->tail, out->text + out->text_len - WORD, WORD);
        return true;
    }
    out->tail_at = out->head_len + out->text_len - 1;
    out->tail = out->text_len ? out->text[out->text_len - 1] : out->head[out->head_len - 1];
    return false;
}

/* Where the first byte and the last word are equal. */
static inline bool begins_at(const uint8_t *p, const struct sought *so)
{
    return so->text_len == WORD || memcmp(p + 1, so->text, so->text_len - WORD) == 0;
}

static inline bool is_at(const uint8_t *p, const struct sought *so)
{
    return memcmp(p, so->head, so->head_len) == 0 &&
           (so->text_len == 0 || memcmp(p + so->head_len, so->text, so->text_len) == 0);
}

static inline __attribute__((always_inline)) const uint8_t *
find_from(const uint8_t *p, const uint8_t *end, const struct sought *so, unsigned stride, bool by_word)
{
    const uint8_t first = so->head[0], last = (uint8_t)so->tail;
    const uint64_t tail = so->tail;
    const uint32_t size = so->size, tail_at = so->tail_at;
    while (p < end) {
        if (p[0] == first) {
            uint64_t word;
            if (by_word)
                memcpy(&word, p + tail_at, WORD);
            if (by_word ? word == tail && begins_at(p, so)
                        : size <= end - p && p[tail_at] == last && is_at(p, so))
                return p;
        }
        p += pack_size(p);
        for (unsigned i = 1; i < stride && p < end; i++)
            p += pack_size(p);
    }
    return NULL;
}

uint32_t pack_find_before(struct pack pk, uint32_t from, uint32_t to, const struct item *item,
                          unsigned stride)
{
    struct sought so;
    const uint8_t *p = pk.p + from, *end = pk.p + to;
    if (!seek_item(item, &so))
        p = find_from(p, end, &so, stride, false);
    else if (stride == 2)
        p = find_from(p, end, &so, 2, true);
    else
        p = find_from(p, end, &so, stride, true);
    return p ? (uint32_t)(p - pk.p) : PACK_NOWHERE;
}

uint32_t pack_find(struct pack pk, uint32_t from, const struct item *item, unsigned stride)
{
    return pack_find_before(pk, from, pack_end(pk), item, stride);
}

/* -- bare elements */

uint32_t bare_size(const struct item *item)
{
    if (item->size == 1)
        return 1;
    return item->size - (item->size <= BACK_SHORT + 1 ? 1 : item->size <= BACK_MIDDLE + 2 ? 2 : 5);
}

uint32_t bare_write(uint8_t *p, const struct item *item)
{
    uint32_t head = write_head(p, item), len = item->is_number ? 0 : (uint32_t)item->text.len;
    if (len)
        memcpy(p + head, item->text.p, len);
    return head + len;
}

uint32_t bare_read(const uint8_t *p, struct item *item)
{
    read_element(p, (uint32_t)body_size(p), item);
    return item->size;
}

uint32_t bare_skip(const uint8_t *p)
{
    return (uint32_t)body_size(p);
}

/* The size of the element at p if it is well-formed and within `room` bytes, else 0. */
static uint64_t check_element(const uint8_t *p, uint64_t room)
{
    uint8_t tag = p[0], head[HEAD_MOST], back[5];
    unsigned lead = tag == TAG_STRING32 ? 5 : (tag & 0xf0) == TAG_STRING12 ? 2 : 1;
    if (tag > TAG_STRING32 || tag == TAG_INT || lead > room)
        return 0; /* numbers of one byte have other forms */
    uint64_t body = body_size(p), size = body + back_size(tag, body);
    if (size > room)
        return 0;
    struct item item;
    read_element(p, (uint32_t)size, &item);
    item = item.is_number ? item_of_number(item.number) : item_of(item.text);
    write_back(back, body);
    return item.size == size && memcmp(head, p, write_head(head, &item)) == 0 &&
                   memcmp(back, p + body, size - body) == 0
               ? size
               : 0;
}

bool pack_check(const uint8_t *p, uint64_t len)
{
    if (len < PACK_EMPTY || len > UINT32_MAX || (p[len - 1] == COUNT_LONG && len < 5))
        return false;
    struct pack pk = {(uint8_t *)(uintptr_t)p, (uint32_t)len};
    uint32_t end = pack_end(pk), count = 0;
    if (p[len - 1] == COUNT_LONG && pack_count(pk) < COUNT_LONG)
        return false;
    for (uint64_t at = 0, size; at < end; at += size, count++)
        if ((size = check_element(p + at, end - at)) == 0)
            return false;
    return count == pack_count(pk);
}
