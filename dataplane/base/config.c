/* config.c: name/value pairs to the fields that the dataplane acts on. */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>

struct config *config_build(uint64_t generation, const struct config_pair *pairs, unsigned n, char *error, size_t size)
{
    (void)generation, (void)pairs, (void)n;
    snprintf(error, size, "not yet");
    return NULL;
}

void config_free(struct config *c)
{
    free(c);
}

const char *config_text(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->pairs; i++)
        if (strcmp(c->pair[i].name, name) == 0)
            return c->pair[i].value;
    return NULL;
}
