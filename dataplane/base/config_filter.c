/* config_filter.c: directives of the packet filter and of connection rates, for the table of config.c. */
#include "base/config_filter.h"
#include "base/config.h"
#include "base/number.h"

#include <stdio.h>

/* One directive a rule; config_build has made room for as many as there are. */
bool config_parse_filter(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    if (!*text)
        return true;
    if (c->filters == FILTER_RULES || !filter_rule_parse(text, &c->filter[c->filters]))
        return false;
    c->filters++;
    return true;
}

void config_print_filters(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    char rule[FILTER_TEXT];
    size_t used = 0;
    *text = 0;
    for (unsigned i = 0; i < c->filters && used < size; i++) {
        filter_rule_print(&c->filter[i], rule);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "; " : "", rule);
    }
}

/* "V4BITS V6BITS" */
bool config_parse_rate_prefix(struct config *c, const struct row *row, const char *text)
{
    (void)row;
    const char *blank = strchr(text, ' ');
    int64_t v4, v6;
    if (!blank || !parse_i64((struct slice){(const uint8_t *)text, (size_t)(blank - text)}, &v4) ||
        !parse_i64(slice_str(blank + 1), &v6) || v4 < 1 || v4 > 32 || v6 < 1 || v6 > 128)
        return false;
    c->connection_rate_bits4 = (unsigned)v4;
    c->connection_rate_bits6 = (unsigned)v6;
    return true;
}

void config_print_rate_prefix(const struct config *c, const struct row *row, char *text, size_t size)
{
    (void)row;
    snprintf(text, size, "%u %u", c->connection_rate_bits4, c->connection_rate_bits6);
}
