/* turns_rig.c: see turns_rig.h. */
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

struct box_rig rig;
const char *const one[] = {"workers", "1", NULL}, *const two[] = {"workers", "2", NULL};
struct rig_client *client[CLIENTS];

void begin(const char *const *pairs)
{
    rig_start(&rig, pairs, NULL);
    for (unsigned i = 0; i < rig.box.workers; i++) {
        rig.box.worker[i]->turns.each = 1;
        rig.box.worker[i]->env.turn_work = 10;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        client[i] = rig_connect(&rig, i);
}

uint64_t pins(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rig.box.workers; i++) {
        const struct pins *p = shard_pins(rig.box.ks->shard[i]);
        n += p->pins + p->held + p->writing + p->elder + p->everything + p->keys + p->whole;
    }
    return n;
}

bool end(void)
{
    bool none = pins() == 0;
    return rig_stop(&rig) && none;
}

const char *key_of(unsigned shard)
{
    static char text[2][8];
    for (unsigned i = 0;; i++) {
        sprintf(text[shard % 2], "s%u", i);
        if (keyspace_shard_of(rig.box.ks, slice_str(text[shard % 2])) == shard % rig.box.workers)
            return text[shard % 2];
    }
}

void add(const char *command, const char *key, unsigned n)
{
    char text[64], expected[16];
    for (unsigned i = 0; i < n; i++) {
        sprintf(text, "%s %s %u\r\n", command, key, i);
        sprintf(expected, ":%u\r\n", *command == 'S' ? 1 : i + 1);
        CU_ASSERT(rig_says(&rig, client[5], text, expected));
    }
}

void sends(struct rig_client *c, const char *request)
{
    c->got_len = 0;
    rig_exchange(&rig, c, request, strlen(request), 0);
    rig_run(&rig, 2000);
}

bool has(struct rig_client *c, const char *expected)
{
    bool same = c->got_len == strlen(expected) && memcmp(c->got, expected, c->got_len) == 0;
    if (!same)
        printf("# expected: %s\n# got: %.*s\n", expected, (int)c->got_len, (char *)c->got);
    return same;
}

size_t members_size(unsigned n)
{
    size_t size = (size_t)sprintf((char[16]){0}, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++)
        size += (size_t)sprintf((char[32]){0}, "$%d\r\n%u\r\n", i < 10 ? 1 : i < 100 ? 2 : 3, i);
    return size;
}

bool completes(struct rig_client *c, size_t size)
{
    for (unsigned i = 0; i < 10000 && c->got_len < size; i++)
        rig_run(&rig, 100);
    rig_run(&rig, 2000);
    if (c->got_len != size)
        printf("# %zu bytes, not %zu\n", c->got_len, size);
    return c->got_len == size;
}
