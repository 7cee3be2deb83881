/* rdb_packed.c: listpacks, ziplists, zipmaps and intsets from outside, read with bounds (rdb_packed.h). */
#include "store/rdb_packed.h"

enum {
    TERMINATOR = 0xff,
    LISTPACK_HEADER = 6,
    ZIPLIST_HEADER = 10,
    INTSET_HEADER = 8,
    COUNT_UNKNOWN = UINT16_MAX, /* in a header: so many or more */
    ZIPMAP_UNKNOWN = 254,
    LONG_LENGTH = 254 /* of a ziplist's and a zipmap's lengths: four bytes follow */
};

static bool fails(struct packed *in)
{
    in->bad = true;
    in->p = in->end;
    return false;
}

static uint64_t left_in(const struct packed *in)
{
    return (uint64_t)(in->end - in->p);
}

static uint64_t little_endian(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static int64_t signed_of(uint64_t v, unsigned bits)
{
    return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

/* What an element is made of, found in its first bytes. */
struct shape {
    unsigned head; /* bytes before the text, or before the number */
    uint64_t text; /* bytes of text */
    unsigned raw;  /* bytes of a number, little endian; 0: it is text, or `number` is it */
    bool is_number;
    int64_t number;
};

static struct shape text_shape(unsigned head, uint64_t text)
{
    return (struct shape){.head = head, .text = text};
}

static struct shape number_shape(unsigned head, unsigned raw, int64_t number)
{
    return (struct shape){.head = head, .raw = raw, .is_number = true, .number = number};
}

/* The item of a shape at p, which has all its bytes. */
static struct item shape_item(const struct shape *shape, const uint8_t *p)
{
    if (!shape->is_number)
        return item_of((struct slice){p + shape->head, shape->text});
    if (!shape->raw)
        return item_of_number(shape->number);
    return item_of_number(signed_of(little_endian(p + shape->head, shape->raw), shape->raw * 8));
}

static uint64_t shape_size(const struct shape *shape)
{
    return shape->head + shape->text + shape->raw;
}

/* -- listpack */

/* p has at least five bytes behind it that may be read: zeros are put there where there are fewer. */
static bool listpack_shape(const uint8_t head[5], struct shape *shape)
{
    static const unsigned widths[] = {2, 3, 4, 8};
    uint8_t first = head[0];
    if (first < 0x80)
        *shape = number_shape(1, 0, first);
    else if (first < 0xc0)
        *shape = text_shape(1, first & 63);
    else if (first < 0xe0)
        *shape = number_shape(2, 0, signed_of((uint64_t)(first & 31) << 8 | head[1], 13));
    else if (first < 0xf0)
        *shape = text_shape(2, (uint64_t)(first & 15) << 8 | head[1]);
    else if (first == 0xf0)
        *shape = text_shape(5, little_endian(head + 1, 4));
    else if (first <= 0xf4)
        *shape = number_shape(1, widths[first - 0xf1], 0);
    else
        return false;
    return true;
}

/* An element's length, for those who come from behind: seven bits a byte, the last ones first to be read from
 * there, and all bytes but the first one with their top bit set. Returns how many bytes. */
static unsigned backward_length(uint64_t len, uint8_t out[5])
{
    static const uint64_t beyond[] = {1 << 7, (1 << 14) - 1, (1 << 21) - 1,
                                      (1 << 28) - 1}; /* as Redis does */
    unsigned n = 1;
    while (n < 5 && len >= beyond[n - 1])
        n++;
    for (unsigned i = n; i-- > 0; len >>= 7)
        out[i] = (uint8_t)((len & 127) | (i ? 128 : 0));
    return n;
}

/* Bytes of a number behind the first one, for which sizes there are: 2, 3, 4, 8. */
static unsigned number_bytes(int64_t v)
{
    static const unsigned widths[] = {2, 3, 4};
    for (unsigned i = 0; i < 3; i++)
        if (v == signed_of((uint64_t)v, widths[i] * 8))
            return widths[i];
    return 8;
}

uint64_t listpack_size_of(const struct item *item)
{
    uint8_t back[5];
    int64_t v = item->number;
    uint64_t len = item->text.len, size;
    if (item->is_number)
        size = v >= 0 && v < 128 ? 1 : v >= -4096 && v < 4096 ? 2 : 1 + number_bytes(v);
    else
        size = len + (len < 64 ? 1 : len < 4096 ? 2 : 5);
    return size + backward_length(size, back);
}

static bool next_in_listpack(struct packed *in, struct item *item)
{
    uint8_t head[5] = {0}, back[5];
    struct shape shape;
    uint64_t left = left_in(in);
    memcpy(head, in->p, left < sizeof head ? left : sizeof head);
    if (!listpack_shape(head, &shape))
        return fails(in);
    uint64_t size = shape_size(&shape);
    unsigned n = backward_length(size, back);
    if (size > left || left - size < n || memcmp(in->p + size, back, n) != 0)
        return fails(in);
    *item = shape_item(&shape, in->p);
    in->p += size + n;
    return true;
}

/* -- ziplist */

static bool ziplist_shape(const uint8_t head[5], struct shape *shape)
{
    uint8_t first = head[0];
    if (first < 0x40)
        *shape = text_shape(1, first);
    else if (first < 0x80)
        *shape = text_shape(2, (uint64_t)(first & 63) << 8 | head[1]);
    else if (first < 0xc0)
        *shape = text_shape(5, (uint64_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4]);
    else if (first == 0xc0 || first == 0xd0 || first == 0xe0)
        *shape = number_shape(1, 2u << ((first >> 4) - 0xc), 0);
    else if (first == 0xf0 || first == 0xfe)
        *shape = number_shape(1, first == 0xf0 ? 3 : 1, 0);
    else if (first > 0xf0 && first < 0xfe)
        *shape = number_shape(1, 0, (first & 15) - 1);
    else
        return false;
    return true;
}

static bool next_in_ziplist(struct packed *in, struct item *item)
{
    uint8_t head[5] = {0};
    struct shape shape;
    const uint8_t *begin = in->p;
    bool is_long = *begin == LONG_LENGTH;
    unsigned skip = is_long ? 5 : 1;
    if (left_in(in) <= skip || (is_long ? little_endian(begin + 1, 4) : *begin) != in->previous)
        return fails(in);
    uint64_t left = left_in(in) - skip;
    memcpy(head, begin + skip, left < sizeof head ? left : sizeof head);
    if (!ziplist_shape(head, &shape) || shape_size(&shape) > left)
        return fails(in);
    *item = shape_item(&shape, begin + skip);
    in->previous = skip + shape_size(&shape);
    in->p += in->previous;
    return in->p < in->end || (uint64_t)(begin - in->start) == in->tail || fails(in);
}

/* -- zipmap: a value has a byte that says how many bytes behind it are free */

static bool next_in_zipmap(struct packed *in, struct item *item)
{
    uint64_t len = *in->p, skip = 1, spare = 0;
    if (len == LONG_LENGTH) {
        len = left_in(in) < 5 ? 0 : little_endian(in->p + 1, 4);
        skip = 5;
        if (len < LONG_LENGTH) /* it has but one form, as in Redis */
            return fails(in);
    } else if (len > LONG_LENGTH) {
        return fails(in);
    }
    if (in->is_value && left_in(in) > skip)
        spare = in->p[skip++];
    else if (in->is_value)
        return fails(in);
    if (skip + len + spare > left_in(in))
        return fails(in);
    *item = item_of((struct slice){in->p + skip, len});
    in->p += skip + len + spare;
    in->is_value = !in->is_value;
    return true;
}

/* -- intset */

static bool next_in_intset(struct packed *in, struct item *item)
{
    int64_t v = signed_of(little_endian(in->p, in->width), in->width * 8);
    if (in->p > in->start && signed_of(little_endian(in->p - in->width, in->width), in->width * 8) >= v)
        return fails(in);
    *item = item_of_number(v);
    in->p += in->width;
    return true;
}

/* -- all of them */

static bool open_listpack(struct packed *in, uint64_t len)
{
    const uint8_t *p = in->p;
    if (len <= LISTPACK_HEADER || little_endian(p, 4) != len || p[len - 1] != TERMINATOR)
        return fails(in);
    uint64_t count = little_endian(p + 4, 2);
    in->left = count == COUNT_UNKNOWN ? PACKED_UNKNOWN : count;
    in->p += LISTPACK_HEADER;
    in->end--;
    return true;
}

static bool open_ziplist(struct packed *in, uint64_t len)
{
    const uint8_t *p = in->p;
    if (len <= ZIPLIST_HEADER || little_endian(p, 4) != len || p[len - 1] != TERMINATOR)
        return fails(in);
    uint64_t count = little_endian(p + 8, 2);
    in->tail = little_endian(p + 4, 4);
    in->left = count == COUNT_UNKNOWN ? PACKED_UNKNOWN : count;
    in->start = p;
    in->p += ZIPLIST_HEADER;
    in->end--;
    return in->p < in->end || in->tail == ZIPLIST_HEADER || fails(in);
}

static bool open_zipmap(struct packed *in, uint64_t len)
{
    const uint8_t *p = in->p;
    if (len < 2 || p[len - 1] != TERMINATOR)
        return fails(in);
    in->left = *p >= ZIPMAP_UNKNOWN ? PACKED_UNKNOWN : 2u * *p;
    in->p++;
    in->end--;
    return true;
}

static bool open_intset(struct packed *in, uint64_t len)
{
    if (len < INTSET_HEADER)
        return fails(in);
    in->width = (uint32_t)little_endian(in->p, 4);
    in->left = little_endian(in->p + 4, 4);
    if ((in->width != 2 && in->width != 4 && in->width != 8) ||
        len - INTSET_HEADER != in->left * (uint64_t)in->width)
        return fails(in);
    in->p += INTSET_HEADER;
    in->start = in->p;
    return true;
}

static const struct {
    bool (*open)(struct packed *in, uint64_t len);
    bool (*next)(struct packed *in, struct item *item);
} kinds[] = {
    [PACKED_LISTPACK] = {open_listpack, next_in_listpack},
    [PACKED_ZIPLIST] = {open_ziplist, next_in_ziplist},
    [PACKED_ZIPMAP] = {open_zipmap, next_in_zipmap},
    [PACKED_INTSET] = {open_intset, next_in_intset},
};

bool packed_open(struct packed *in, enum packing packing, struct slice bytes)
{
    *in = (struct packed){.p = bytes.p, .end = bytes.p + bytes.len, .packing = packing};
    return kinds[packing].open(in, bytes.len);
}

bool packed_next(struct packed *in, struct item *item)
{
    if (in->bad || in->p == in->end) {
        bool all = in->left == 0 || in->left == PACKED_UNKNOWN;
        return all && !in->is_value ? false : fails(in);
    }
    if (in->left == 0)
        return fails(in);
    if (in->left != PACKED_UNKNOWN)
        in->left--;
    return kinds[in->packing].next(in, item);
}

/* -- writing */

size_t listpack_begin(struct rdb_writer *w)
{
    static const uint8_t header[LISTPACK_HEADER];
    size_t begin = w->len;
    rdb_put(w, header, sizeof header);
    return begin;
}

static void put_back(struct rdb_writer *w, uint64_t len)
{
    uint8_t back[5];
    rdb_put(w, back, backward_length(len, back));
}

void listpack_put_number(struct rdb_writer *w, int64_t v)
{
    uint8_t out[9];
    unsigned n;
    if (v >= 0 && v < 128) {
        out[0] = (uint8_t)v;
        n = 1;
    } else if (v >= -4096 && v < 4096) {
        out[0] = (uint8_t)(0xc0 | (v >> 8 & 31));
        out[1] = (uint8_t)v;
        n = 2;
    } else {
        unsigned bytes = number_bytes(v);
        out[0] = (uint8_t)(bytes == 8 ? 0xf4 : 0xf1 + bytes - 2);
        memcpy(out + 1, &v, sizeof v);
        n = 1 + bytes;
    }
    rdb_put(w, out, n);
    put_back(w, n);
}

static void put_text(struct rdb_writer *w, struct slice text)
{
    uint8_t head[5];
    uint32_t len = (uint32_t)text.len;
    unsigned n = len < 64 ? 1 : len < 4096 ? 2 : 5;
    if (n == 5) {
        head[0] = 0xf0;
        memcpy(head + 1, &len, 4);
    } else {
        head[0] = n == 1 ? (uint8_t)(0x80 | len) : (uint8_t)(0xe0 | len >> 8);
        head[1] = (uint8_t)len;
    }
    rdb_put(w, head, n);
    rdb_put(w, text.p, text.len);
    put_back(w, n + (uint64_t)len);
}

void listpack_put(struct rdb_writer *w, const struct item *item)
{
    if (item->is_number)
        listpack_put_number(w, item->number);
    else
        put_text(w, item->text);
}

void listpack_put_text(struct rdb_writer *w, struct slice text)
{
    struct item item = item_of(text);
    listpack_put(w, &item);
}

void listpack_end(struct rdb_writer *w, size_t begin, uint64_t elements)
{
    rdb_put_byte(w, TERMINATOR);
    if (w->failed)
        return;
    uint32_t bytes = (uint32_t)(w->len - begin);
    uint16_t count = elements < COUNT_UNKNOWN ? (uint16_t)elements : COUNT_UNKNOWN;
    memcpy(w->p + begin, &bytes, sizeof bytes);
    memcpy(w->p + begin + 4, &count, sizeof count);
}
