/* config_filter.h: how config.c reads and prints `filter` and `connection-rate-prefix`. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct config;
struct row; /* config.c's own */

bool config_parse_filter(struct config *c, const struct row *row, const char *text);
void config_print_filters(const struct config *c, const struct row *row, char *text, size_t size);
bool config_parse_rate_prefix(struct config *c, const struct row *row, const char *text);
void config_print_rate_prefix(const struct config *c, const struct row *row, char *text, size_t size);
