/* memory_limit.c: an array of lines that hold indices into another one, together as large as a store. */
#include "memory_limit.h"
#include "measure.h"

#include <stdlib.h>
#include <string.h>

enum { QUERIES = 1 << 20, WORDS = 8 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return *state >> 17;
}

static double look_up(const uint64_t *line, const uint64_t *at, unsigned batch)
{
    uint64_t sum = 0;
    double start = now_ns();
    for (unsigned i = 0; i + batch <= QUERIES; i += batch) {
        for (unsigned j = 0; j < batch; j++)
            __builtin_prefetch(&line[at[i + j] * WORDS]);
        for (unsigned j = 0; j < batch; j++)
            __builtin_prefetch(&line[line[at[i + j] * WORDS] * WORDS]);
        for (unsigned j = 0; j < batch; j++)
            sum += line[line[at[i + j] * WORDS] * WORDS];
        if (batch == 1)
            __asm__ volatile("lfence" ::: "memory");
    }
    __asm__ volatile("" ::"r"(sum));
    return (now_ns() - start) / QUERIES;
}

double memory_limit(uint64_t lookups, unsigned batch)
{
    size_t half = lookups * WORDS * sizeof(uint64_t), size = huge_size(2 * half);
    uint64_t *line = huge_map(size), *at = malloc(QUERIES * sizeof *at), random = 1;
    double ns = 0;
    if (line && at) {
        memset(line, 1, size);
        for (uint64_t i = 0; i < lookups; i++)
            line[i * WORDS] = lookups + next_random(&random) % lookups;
        for (unsigned i = 0; i < QUERIES; i++)
            at[i] = next_random(&random) % lookups;
        ns = look_up(line, at, batch);
    }
    if (line)
        munmap(line, size);
    free(at);
    return ns;
}
