/* entry.c: reading and writing the layout of entry.h; encodings as OBJECT ENCODING names them. */
#include "store/entry.h"
#include "base/number.h"

uint8_t *entry_write(struct entry *e, const struct entry_plan *plan)
{
    uint32_t key_len = (uint32_t)plan->key.len, value_len = plan->value_len;
    uint8_t *p = entry_bytes(e);
    uint8_t *key = p + (key_len >= ENTRY_LONG ? 4 : 0) + (value_len >= ENTRY_LONG ? 4 : 0) +
                   (plan->expire_at ? ENTRY_EXPIRY : 0);
    bytes_move(key, plan->key.p, key_len); /* first: it may lie where the lengths go */
    e->head = (uint8_t)(plan->type | plan->encoding << 3 | (plan->expire_at ? ENTRY_TTL : 0));
    e->key_len = key_len >= ENTRY_LONG ? ENTRY_LONG : (uint8_t)key_len;
    e->value_len = value_len >= ENTRY_LONG ? ENTRY_LONG : (uint8_t)value_len;
    if (key_len >= ENTRY_LONG) {
        memcpy(p, &key_len, 4);
        p += 4;
    }
    if (value_len >= ENTRY_LONG) {
        memcpy(p, &value_len, 4);
        p += 4;
    }
    if (plan->expire_at)
        entry_write_expiry(p, plan->expire_at);
    return key + key_len;
}

void entry_write_expiry(uint8_t *at, uint64_t expire_at)
{
    uint64_t ms = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at;
    memcpy(at, &ms, ENTRY_EXPIRY);
}

enum value_type entry_type(const struct entry *e)
{
    return (enum value_type)entry_type_of(e);
}

struct slice entry_key(const struct entry *e)
{
    struct parts parts = entry_parts(e);
    return (struct slice){parts.key, parts.key_len};
}

uint64_t entry_expire_at(const struct entry *e)
{
    return entry_has_ttl(e) ? entry_expiry(entry_parts(e).expiry) : 0;
}

const char *entry_encoding(const struct entry *e)
{
    static const char *const string_names[8] = {"int", "embstr", "raw", "raw"};
    if (entry_type_of(e) != TYPE_STRING)
        return value_encoding_name(e);
    const char *name = string_names[entry_encoding_of(e)];
    return name ? name : "unknown";
}

struct apart entry_apart(const struct entry *e)
{
    struct apart root;
    memcpy(&root, entry_parts(e).value, sizeof root);
    return root;
}

uint64_t entry_memory(const struct entry *e)
{
    uint64_t bytes = slab_size(entry_size(e));
    if (entry_is_apart(e))
        bytes += slab_size(entry_apart(e).cap);
    return entry_is_body(e) ? bytes + body_memory(entry_body(e)) : bytes;
}

uint64_t entry_user_bytes(const struct entry *e)
{
    struct parts parts = entry_parts(e);
    if (entry_is_body(e))
        return parts.key_len + entry_body(e)->data;
    return parts.key_len + (entry_is_apart(e) ? entry_apart(e).len : parts.value_len);
}

static bool inside(const void *p, const void *start, uint64_t len)
{
    return (uintptr_t)p - (uintptr_t)start < len;
}

bool entry_covers(const struct entry *e, const void *p)
{
    if (inside(p, e, entry_size(e)))
        return true;
    if (entry_is_body(e))
        return p == entry_body(e);
    if (!entry_is_apart(e))
        return false;
    struct apart root = entry_apart(e);
    return inside(p, root.p, root.cap);
}

/* Digits are written backwards from the end of scratch. */
static struct slice int_text(int64_t v, char scratch[24])
{
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *end = scratch + 24, *p = end;
    do {
        *--p = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (v < 0)
        *--p = '-';
    return (struct slice){(const uint8_t *)p, (size_t)(end - p)};
}

struct slice entry_string(const struct entry *e, char *scratch)
{
    struct parts parts = entry_parts(e);
    int64_t v;
    switch (entry_encoding_of(e)) {
    case STRING_INT:
        memcpy(&v, parts.value, sizeof v);
        return int_text(v, scratch);
    case STRING_APART: {
        struct apart root = entry_apart(e);
        return (struct slice){root.p, root.len};
    }
    default:
        return (struct slice){parts.value, parts.value_len};
    }
}

bool entry_int(const struct entry *e, int64_t *out)
{
    if (entry_type_of(e) != TYPE_STRING)
        return false;
    if (entry_encoding_of(e) == STRING_INT) {
        memcpy(out, entry_parts(e).value, sizeof *out);
        return true;
    }
    return parse_i64(entry_string(e, NULL), out);
}
