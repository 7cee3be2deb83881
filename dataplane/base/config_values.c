/* config_values.c: see config_values.h. */
#include "base/config_values.h"
#include "base/config_filter.h"
#include "base/number.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_MAX_BYTES = 1024 }; /* a directive that is a list fits this */

/* -- numbers, sizes and words -------------------------------------------------------------------------------
 */

static void put_integer(struct config *c, const struct row *row, int64_t v)
{
    void *field = (uint8_t *)c + row->offset;
    switch (row->width) {
    case 1:
        *(uint8_t *)field = (uint8_t)v;
        break;
    case 2:
        *(uint16_t *)field = (uint16_t)v;
        break;
    case 4:
        *(uint32_t *)field = (uint32_t)v;
        break;
    default:
        *(int64_t *)field = v;
    }
}

/* Fields of four bytes are signed only when the row allows negative values. */
static int64_t get_integer(const struct config *c, const struct row *row)
{
    const void *field = (const uint8_t *)c + row->offset;
    switch (row->width) {
    case 1:
        return *(const uint8_t *)field;
    case 2:
        return *(const uint16_t *)field;
    case 4:
        return row->min < 0 ? *(const int32_t *)field : (int64_t) * (const uint32_t *)field;
    default:
        return *(const int64_t *)field;
    }
}

static bool parse_number(struct config *c, const struct row *row, const char *text)
{
    int64_t v;
    if (!parse_i64(slice_str(text), &v) || v < row->min || v > row->max)
        return false;
    put_integer(c, row, v);
    return true;
}

static void print_number(const struct config *c, const struct row *row, char *text, size_t size)
{
    snprintf(text, size, "%" PRId64, get_integer(c, row));
}

static bool parse_size(struct config *c, const struct row *row, const char *text)
{
    uint64_t v;
    if (!parse_memory(text, &v) || v > INT64_MAX || (int64_t)v < row->min || (int64_t)v > row->max)
        return false;
    put_integer(c, row, (int64_t)v);
    return true;
}

/* Bytes, or so many per cent of something: kept as a negative number. */
static bool parse_part(struct config *c, const struct row *row, const char *text)
{
    size_t len = strlen(text);
    int64_t percent;
    if (len < 2 || text[len - 1] != '%')
        return parse_size(c, row, text);
    if (!parse_i64((struct slice){(const uint8_t *)text, len - 1}, &percent) || percent < 0 || percent > 100)
        return false;
    put_integer(c, row, -percent);
    return true;
}

static void print_part(const struct config *c, const struct row *row, char *text, size_t size)
{
    int64_t v = get_integer(c, row);
    snprintf(text, size, v < 0 ? "%" PRId64 "%%" : "%" PRId64, v < 0 ? -v : v);
}

static bool parse_word(struct config *c, const struct row *row, const char *text)
{
    for (const struct word *w = row->words; w->text; w++)
        if (strcasecmp(w->text, text) == 0) {
            put_integer(c, row, w->value);
            return true;
        }
    return false;
}

static void print_word(const struct config *c, const struct row *row, char *text, size_t size)
{
    int value = row->width == 1 ? (int)get_integer(c, row) : (int32_t)get_integer(c, row);
    for (const struct word *w = row->words; w->text; w++)
        if (w->value == value) {
            snprintf(text, size, "%s", w->text);
            return;
        }
}

/* Points into the generation's own copy of the pairs (or at a static default). */
static bool parse_text(struct config *c, const struct row *row, const char *text)
{
    *(const char **)((uint8_t *)c + row->offset) = text;
    return true;
}

static void print_text(const struct config *c, const struct row *row, char *text, size_t size)
{
    snprintf(text, size, "%s", *(const char *const *)((const uint8_t *)c + row->offset));
}

/* -- directives that are lists
 * -------------------------------------------------------------------------------- */

static const struct limit_class {
    const char *name, *alias;
    size_t offset;
} limit_classes[] = {
    {"normal", "normal", offsetof(struct config, limit_normal)},
    {"slave", "replica", offsetof(struct config, limit_replica)},
    {"pubsub", "pubsub", offsetof(struct config, limit_pubsub)},
};
enum { LIMIT_CLASSES = sizeof limit_classes / sizeof limit_classes[0] };

static const struct limit_class *limit_class(const char *name)
{
    for (unsigned i = 0; i < LIMIT_CLASSES; i++)
        if (strcasecmp(name, limit_classes[i].name) == 0 || strcasecmp(name, limit_classes[i].alias) == 0)
            return &limit_classes[i];
    return NULL;
}

/* Groups of "CLASS HARD SOFT SECONDS"; classes that are not named keep what they have. */
static bool parse_limits(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    char line[LINE_MAX_BYTES], *state;
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    char *name = strtok_r(line, " \t", &state);
    if (!name)
        return false;
    for (; name; name = strtok_r(NULL, " \t", &state)) {
        const struct limit_class *class = limit_class(name);
        const char *hard = strtok_r(NULL, " \t", &state), *soft = strtok_r(NULL, " \t", &state);
        const char *seconds = strtok_r(NULL, " \t", &state);
        struct output_limit limit;
        int64_t s;
        if (!class || !seconds || !parse_memory(hard, &limit.hard) || !parse_memory(soft, &limit.soft) ||
            !parse_i64(slice_str(seconds), &s) || s < 0 || s > UINT32_MAX)
            return false;
        limit.soft_seconds = (uint32_t)s;
        memcpy((uint8_t *)c + class->offset, &limit, sizeof limit);
    }
    return true;
}

static void print_limits(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    for (unsigned i = 0; i < LIMIT_CLASSES && used < size; i++) {
        struct output_limit limit;
        memcpy(&limit, (const uint8_t *)c + limit_classes[i].offset, sizeof limit);
        used += (size_t)snprintf(text + used, size - used, "%s%s %" PRIu64 " %" PRIu64 " %u", i ? " " : "",
                                 limit_classes[i].name, limit.hard, limit.soft, limit.soft_seconds);
    }
}

/* In the order in which Redis prints them. */
static const struct {
    char letter;
    unsigned class;
} notify_letters[] = {{'A', NOTIFY_ALL},      {'g', NOTIFY_GENERIC}, {'$', NOTIFY_STRING},
                      {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},     {'h', NOTIFY_HASH},
                      {'z', NOTIFY_ZSET},     {'x', NOTIFY_EXPIRED}, {'e', NOTIFY_EVICTED},
                      {'t', NOTIFY_STREAM},   {'d', NOTIFY_MODULE},  {'K', NOTIFY_KEYSPACE},
                      {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_MISS},    {'n', NOTIFY_NEW}};
enum { NOTIFY_LETTERS = sizeof notify_letters / sizeof *notify_letters };

static bool parse_events(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    c->notify = 0;
    for (; *text; text++) {
        unsigned i = 0;
        while (i < NOTIFY_LETTERS && notify_letters[i].letter != *text)
            i++;
        if (i == NOTIFY_LETTERS)
            return false;
        c->notify |= notify_letters[i].class;
    }
    return true;
}

static void print_events(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    unsigned left = c->notify;
    for (unsigned i = 0; i < NOTIFY_LETTERS && size > 1; i++) {
        if ((left & notify_letters[i].class) != notify_letters[i].class)
            continue;
        *text++ = notify_letters[i].letter;
        size--;
        left &= ~notify_letters[i].class;
    }
    *text = 0;
}

/* "auto", or one core a worker in order; workers beyond the list get a core of the box's choice. */
static bool parse_cores(struct config *c, const struct row *row, const char *text)
{
    char line[LINE_MAX_BYTES], *state;
    for (unsigned i = 0; i < CONFIG_WORKERS; i++)
        c->worker_core[i] = -1;
    if (strcasecmp(text, "auto") == 0)
        return true;
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    unsigned n = 0;
    for (char *word = strtok_r(line, " ,\t", &state); word; word = strtok_r(NULL, " ,\t", &state), n++) {
        int64_t core;
        if (n == CONFIG_WORKERS || !parse_i64(slice_str(word), &core) || core < row->min || core > row->max)
            return false;
        c->worker_core[n] = (int)core;
    }
    return n > 0;
}

static void print_cores(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = (size_t)snprintf(text, size, "%s", c->worker_core[0] < 0 ? "auto" : "");
    for (unsigned i = 0; i < CONFIG_WORKERS && c->worker_core[i] >= 0 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%d", i ? " " : "", c->worker_core[i]);
}

/* One directive an address; the empty default adds none. */
static bool parse_address(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    if (!*text)
        return true;
    if (c->addresses == CONFIG_ADDRESSES ||
        !ip_parse_prefix(text, &c->address[c->addresses].ip, &c->address[c->addresses].bits))
        return false;
    c->addresses++;
    return true;
}

static void print_addresses(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    *text = 0;
    for (unsigned i = 0; i < c->addresses && used < size; i++) {
        char ip[ENDPOINT_TEXT];
        ip_format(&c->address[i].ip, ip);
        used += (size_t)snprintf(text + used, size - used, "%s%s/%u", i ? " " : "", ip, c->address[i].bits);
    }
}

static bool parse_gateway(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    struct ip_addr ip;
    if (!*text)
        return true;
    if (!ip_parse(text, &ip))
        return false;
    *(ip_is_v4(&ip) ? &c->gateway4 : &c->gateway6) = ip;
    return true;
}

static void print_gateways(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    static const struct ip_addr none;
    char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";
    if (!ip_equal(&c->gateway4, &none))
        ip_format(&c->gateway4, v4);
    if (!ip_equal(&c->gateway6, &none))
        ip_format(&c->gateway6, v6);
    snprintf(text, size, "%s%s%s", v4, *v4 && *v6 ? " " : "", v6);
}

/* "PREFIX/BITS via GATEWAY", one directive a route. */
static bool parse_route(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    char line[LINE_MAX_BYTES], *state;
    if (!*text)
        return true;
    if (c->routes == CONFIG_ROUTES || snprintf(line, sizeof line, "%s", text) >= (int)sizeof line)
        return false;
    const char *prefix = strtok_r(line, " \t", &state), *via = strtok_r(NULL, " \t", &state);
    const char *gateway = strtok_r(NULL, " \t", &state);
    struct ip_addr to, hop;
    unsigned bits;
    if (!gateway || strcasecmp(via, "via") != 0 || strtok_r(NULL, " \t", &state) ||
        !ip_parse_prefix(prefix, &to, &bits) || !ip_parse(gateway, &hop) || ip_is_v4(&to) != ip_is_v4(&hop))
        return false;
    c->route[c->routes].prefix = to;
    c->route[c->routes].bits = bits;
    c->route[c->routes++].gateway = hop;
    return true;
}

static void print_routes(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    size_t used = 0;
    *text = 0;
    for (unsigned i = 0; i < c->routes && used < size; i++) {
        char to[ENDPOINT_TEXT], hop[ENDPOINT_TEXT];
        ip_format(&c->route[i].prefix, to);
        ip_format(&c->route[i].gateway, hop);
        used += (size_t)snprintf(text + used, size - used, "%s%s/%u via %s", i ? " " : "", to,
                                 c->route[i].bits, hop);
    }
}

/* -- all of them
 * ------------------------------------------------------------------------------------------------- */

const struct kind kind_number = {parse_number, print_number, "a whole number within its bounds"},
                  kind_bytes = {parse_size, print_number,
                                "a size such as 1048576, 100mb or 2gb, within its bounds"},
                  kind_part = {parse_part, print_part, "a size such as 100mb, or a share such as 5%"},
                  kind_word = {parse_word, print_word, "one of its words"},
                  kind_text = {parse_text, print_text, "a text"},
                  kind_limits = {parse_limits, print_limits,
                                 "CLASS HARD SOFT SECONDS with the class normal, replica or pubsub"},
                  kind_events = {parse_events, print_events, "letters of Ag$lshzxeKEtmdn"},
                  kind_cores = {parse_cores, print_cores,
                                "auto, or core numbers with blanks between, at most 64"},
                  kind_address = {parse_address, print_addresses, "ADDRESS/BITS, at most 8 of them"},
                  kind_gateway = {parse_gateway, print_gateways, "an IPv4 or IPv6 address"},
                  kind_route = {parse_route, print_routes,
                                "PREFIX/BITS via GATEWAY, both of one family, at most 64 of them"},
                  kind_filter = {config_parse_filter, config_print_filters,
                                 "permit|deny|reject [tcp|icmp|any] [from PREFIX] [to PREFIX] [port "
                                 "N|N-M], at most 1024 of them"},
                  kind_listener = {config_parse_listener, config_print_listeners,
                                   "NAME port N [bind ADDRESS]... [tls yes|no] [auth-clients yes|no|optional] [user "
                                   "NAME], at most 16 of them"},
                  kind_rate_prefix = {config_parse_rate_prefix, config_print_rate_prefix,
                                      "two numbers of bits: of IPv4 (1 to 32) and of IPv6 (1 to 128)"};
