/* secret_memory.c: see secret_memory.h. */
#include "control/secret_memory.h"

#include <event2/event.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe_and_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

/* realloc may leave the old bytes behind. */
static void *wipe_and_grow(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    size_t had = malloc_usable_size(p);
    if (size && size <= had)
        return p;
    void *grown = size ? malloc(size) : NULL;
    if (grown)
        memcpy(grown, p, had);
    if (grown || !size)
        wipe_and_free(p);
    return grown;
}

void secret_free(char *text)
{
    wipe_and_free(text);
}

void secret_memory_start(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
    event_set_mem_functions(malloc, wipe_and_grow, wipe_and_free);
}
