/* least_get.c: the least that a GET can be. A request has one form, which is compared; its key is hashed as the engine hashes; a
 * table of lines of eight slots says which entry it most likely is; the entry has key and value, and these are compared and copied. No
 * types, times to live, clocks, counters, databases, rights, other commands, other lengths, other clients; the table never grows, and
 * only keys at home in their line are asked for. */
#include "least_get.h"
#include "least.h"

enum { ENTRY = 88, REQUEST = BEGIN + KEY + 2, REPLY = 5 + VALUE + 2, REPLIES = BATCH * REPLY + 16 };

struct least {
    struct line *line;
    uint8_t *entry;
    uint64_t lines, random;
    size_t line_bytes, entry_bytes;
};

static inline struct line *line_of(const struct least *l, uint64_t hash)
{
    return &l->line[line_number(hash, l->lines)];
}

/* A key whose line is full already has its entry, but nothing says where. */
static void fill(struct least *l, uint64_t keys)
{
    char text[VALUE + 1];
    for (uint64_t i = 0; i < keys; i++) {
        uint8_t *e = l->entry + i * ENTRY;
        key_text(i, text);
        memcpy(e + HEADER, text, KEY);
        snprintf(text, sizeof text, "%064llu", (unsigned long long)i);
        memcpy(e + HEADER + KEY, text, VALUE);
        uint64_t hash = hash_of(e + HEADER);
        struct line *line = line_of(l, hash);
        for (unsigned slot = 0; slot < SLOTS_A_LINE; slot++)
            if (!line->number[slot]) {
                line_write(line, slot, (uint32_t)i + 1, hash);
                break;
            }
    }
}

static bool is_at_home(const struct least *l, uint64_t n)
{
    const uint8_t *e = l->entry + n * ENTRY;
    uint64_t hash = hash_of(e + HEADER);
    const struct line *line = line_of(l, hash);
    unsigned hits = found_in(line, hash);
    return hits && line->number[__builtin_ctz(hits)] == n + 1;
}

static void make_requests(struct least *l, uint64_t keys, uint8_t *request)
{
    for (unsigned i = 0; i < QUERIES;) {
        char text[KEY + 1];
        uint64_t n = random_below(&l->random, keys);
        if (!is_at_home(l, n))
            continue;
        key_text(n, text);
        memcpy(request, LEAST_GET, BEGIN);
        memcpy(request + BEGIN, text, KEY);
        memcpy(request + BEGIN + KEY, "\r\n", 2);
        request += REQUEST;
        i++;
    }
}

/* One batch; where its replies end. NULL: that was something else. */
static uint8_t *serve(const struct least *l, const uint8_t *p, uint8_t *out)
{
    uint64_t hash[BATCH];
    const struct line *line[BATCH];
    const uint8_t *entry[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        if (!begins_with(p + i * REQUEST, LEAST_GET))
            return NULL;
        hash[i] = hash_of(p + i * REQUEST + BEGIN);
        line[i] = line_of(l, hash[i]);
        __builtin_prefetch(line[i]);
    }
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned hits = found_in(line[i], hash[i]);
        if (!hits)
            return NULL;
        entry[i] = l->entry + (uint64_t)(line[i]->number[__builtin_ctz(hits)] - 1) * ENTRY;
        __builtin_prefetch(entry[i]);
        __builtin_prefetch(entry[i] + HEADER + KEY + VALUE - 1);
    }
    for (unsigned i = 0; i < BATCH; i++, out += REPLY) {
        if (!bytes_same_short(entry[i] + HEADER, p + i * REQUEST + BEGIN, KEY))
            return NULL;
        memcpy(out, "$64\r\n", 5);
        memcpy(out + 5, entry[i] + HEADER + KEY, VALUE);
        memcpy(out + 5 + VALUE, "\r\n", 2);
    }
    return out;
}

static double play(const struct least *l, const uint8_t *request)
{
    static uint8_t reply[REPLIES];
    double start = now_ns();
    for (unsigned i = 0; i < QUERIES; i += BATCH)
        if (!serve(l, request + (size_t)i * REQUEST, reply))
            abort();
    return (now_ns() - start) / QUERIES;
}

double least_get(uint64_t keys, int rounds)
{
    struct least l = {.lines = lines_for(keys), .random = 7};
    l.line_bytes = huge_size(l.lines * sizeof *l.line);
    l.entry_bytes = huge_size(keys * ENTRY + 64);
    uint8_t *request = malloc((size_t)QUERIES * REQUEST + 16);
    l.line = huge_map(l.line_bytes);
    l.entry = huge_map(l.entry_bytes);
    double best = 0;
    if (request && l.line && l.entry && keys < UINT32_MAX) {
        fill(&l, keys);
        for (int i = 0; i < rounds; i++) {
            make_requests(&l, keys, request);
            double each = play(&l, request);
            best = best == 0 || each < best ? each : best;
        }
    }
    if (l.line)
        munmap(l.line, l.line_bytes);
    if (l.entry)
        munmap(l.entry, l.entry_bytes);
    free(request);
    return best;
}
