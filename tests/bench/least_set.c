/* least_set.c: the least that a SET at full memory can be, with a time to live. The request is compared with the one form there is, all
 * but its key and value, which stand in the same place each time. A key that is there is written over. One that is not takes the place of
 * a victim: the older of two, and of three, whose slots a hand has come by, whose first lines were asked for then, and whose first words were read a
 * batch later; the victim's slot is emptied where it was seen, the newcomer written over its entry and put into its own line, or the
 * next one. The next batch's lines are asked for before the one at hand runs. No types, clocks of use, counters, databases,
 * rights, watchers, other commands, sizes, lengths or clients, nothing of a table that grows; nobody reads when a victim was used last but
 * when it was stored, and a guest does not move back when there is room in its own line: it is lost, until the hand comes by. */
#include "least_set.h"
#include "least.h"

enum { EXPIRY = 6, KEY_AT = HEADER + EXPIRY, VALUE_AT = KEY_AT + KEY, ENTRY = 96, FIT = 37 /* of 100 keys */, LIFE_MS = 3600 * 1000 };
enum { SET_VALUE_AT = BEGIN + KEY + 7, SET_TAIL = 20, SET_REQUEST = SET_VALUE_AT + VALUE + SET_TAIL, GET_REQUEST = BEGIN + KEY + 2 };
enum { REPLY = 5 + VALUE + 2, REPLIES = BATCH * REPLY + 16, OK = 5 };
enum { FIVE = 5, SEEN = BATCH / 2 * FIVE, SEEN_ROOM = SEEN + SLOTS_A_LINE, VICTIMS_ROOM = BATCH + SEEN_ROOM, LINES_ON = 16 };
static const char header[] = "\r\n$64\r\n", tail[] = "\r\n$2\r\nEX\r\n$4\r\n3600\r\n";

/* An entry, and the slot where it was seen. */
struct seen {
    uint32_t number, where;
};

struct full {
    struct line *line; /* one more than there are, for guests of the last one */
    uint8_t *entry;
    uint64_t entries, lines, hand, random, now_ms, news, misses;
    uint32_t tick;
    unsigned seen_n, victims;
    struct seen seen[SEEN_ROOM], victim[VICTIMS_ROOM];
    size_t line_bytes, entry_bytes;
};

/* A batch whose lines were asked for. */
struct row {
    const uint8_t *p;
    uint64_t hash[BATCH];
    struct line *line[BATCH];
};

static inline uint8_t *entry_of(const struct full *f, uint32_t number)
{
    return f->entry + (uint64_t)(number - 1) * ENTRY;
}

/* -- victims -- */

static inline uint64_t word_of(const struct seen *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t age_of(const struct full *f, const struct seen *at)
{
    return (f->tick - (bytes_load4(entry_of(f, at->number)) >> 8)) & 0xffffff;
}

/* The next ones: all slots alike, as which of them are empty would be guessed wrong. */
static void sweep(struct full *f)
{
    unsigned n = 0;
    while (n < SEEN) {
        const struct line *line = &f->line[f->hand];
        for (unsigned slot = 0; slot < SLOTS_A_LINE; slot++) {
            __builtin_prefetch(entry_of(f, line->number[slot]));
            f->seen[n] = (struct seen){line->number[slot], (uint32_t)f->hand * SLOTS_A_LINE + slot};
            n += line->number[slot] != 0;
        }
        __builtin_prefetch(line + LINES_ON);
        f->hand = f->hand == f->lines ? 0 : f->hand + 1;
    }
    f->seen_n = n;
}

/* The oldest of n, without a branch. */
static inline uint64_t oldest(const uint64_t *word, const uint32_t *age, unsigned n)
{
    uint64_t best = word[0];
    uint32_t most = age[0];
    for (unsigned i = 1; i < n; i++) {
        uint64_t older = -(uint64_t)(age[i] > most);
        best = (word[i] & older) | (best & ~older);
        most = age[i] > most ? age[i] : most;
    }
    return best;
}

/* Two of every five that were seen; who has gone since is found to be when it is to go. */
static void choose(struct full *f)
{
    for (unsigned i = 0; i + FIVE <= f->seen_n; i += FIVE) {
        uint64_t word[FIVE];
        uint32_t age[FIVE];
        for (unsigned k = 0; k < FIVE; k++) {
            word[k] = word_of(&f->seen[i + k]);
            age[k] = age_of(f, &f->seen[i + k]);
        }
        const uint64_t two[2] = {oldest(word, age, 2), oldest(word + 2, age + 2, 3)};
        for (unsigned k = 0; k < 2; k++) {
            struct seen *victim = &f->victim[f->victims++];
            memcpy(victim, &two[k], sizeof *victim);
            __builtin_prefetch(entry_of(f, victim->number) + 64, 1);
        }
    }
    sweep(f);
}

/* The number of an entry that has no slot any more. */
static inline uint32_t take_victim(struct full *f)
{
    for (;;) {
        if (f->victims == 0)
            choose(f);
        const struct seen v = f->victim[--f->victims];
        struct line *line = &f->line[v.where / SLOTS_A_LINE];
        if (line->number[v.where % SLOTS_A_LINE] == v.number) {
            line_write(line, v.where % SLOTS_A_LINE, 0, 0);
            return v.number;
        }
    }
}

/* -- the table -- */

static inline bool is_full(const struct line *line)
{
    return !slots_with(line->number, 0);
}

/* The number of the entry that a line, or the next one if it is full, has for a hash; 0: none. */
static inline uint32_t look_up(const struct line *line, uint64_t hash)
{
    unsigned hits = found_in(line, hash);
    if (!hits && is_full(line))
        hits = found_in(++line, hash);
    return hits ? line->number[__builtin_ctz(hits)] : 0;
}

/* The number of an entry that is to be written over, with a slot in this line or the next one. Where both are full it is one of theirs. */
static inline uint32_t make_place(struct full *f, struct line *line, uint64_t hash)
{
    unsigned empty = slots_with(line->number, 0);
    if (!empty && (empty = slots_with(line[1].number, 0)) != 0)
        line++;
    const unsigned slot = empty ? (unsigned)__builtin_ctz(empty) : (unsigned)(hash >> TAG_SHIFT) % SLOTS_A_LINE;
    const uint32_t number = empty ? take_victim(f) : line->number[slot];
    line_write(line, slot, number, hash);
    return number;
}

/* -- requests -- */

static inline bool is_set(const uint8_t *p)
{
    const uint8_t *end = p + SET_VALUE_AT + VALUE, *same = (const uint8_t *)tail;
    __m128i first = _mm_cmpeq_epi8(bytes_load16(end), bytes_load16(same));
    __m128i last = _mm_cmpeq_epi8(bytes_load16(end + SET_TAIL - 16), bytes_load16(same + SET_TAIL - 16));
    return begins_with(p, LEAST_SET) && memcmp(p + BEGIN + KEY, header, SET_VALUE_AT - BEGIN - KEY) == 0 &&
           _mm_movemask_epi8(_mm_and_si128(first, last)) == 0xffff;
}

/* The first step of a batch. */
static inline __attribute__((always_inline)) void begin(const struct full *f, struct row *row, const uint8_t *p, size_t request, bool set)
{
    row->p = p;
    for (unsigned i = 0; i < BATCH; i++, p += request) {
        if (!(set ? is_set(p) : begins_with(p, LEAST_GET)))
            abort();
        row->hash[i] = hash_of(p + BEGIN);
        row->line[i] = &f->line[line_number(row->hash[i], f->lines)];
        __builtin_prefetch(row->line[i]);
    }
}

/* The second one: numbers of entries; 0: none in its own line. */
static inline void look(const struct full *f, const struct row *row, uint32_t *number)
{
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned hits = found_in(row->line[i], row->hash[i]);
        number[i] = hits ? row->line[i]->number[__builtin_ctz(hits)] : 0;
        if (hits) {
            __builtin_prefetch(entry_of(f, number[i]));
            __builtin_prefetch(entry_of(f, number[i]) + 64);
        } else {
            __builtin_prefetch(row->line[i] + 1);
        }
    }
}

/* The entry of a key; NULL: none. */
static inline uint8_t *find(const struct full *f, const struct row *row, unsigned i, uint32_t number, const uint8_t *key)
{
    if (number && bytes_same_short(entry_of(f, number) + KEY_AT, key, KEY))
        return entry_of(f, number);
    number = look_up(row->line[i], row->hash[i]);
    return number && bytes_same_short(entry_of(f, number) + KEY_AT, key, KEY) ? entry_of(f, number) : NULL;
}

/* Header, clock and time. */
static inline void write_head(const struct full *f, uint8_t *e)
{
    const uint64_t at = f->now_ms + LIFE_MS, word = (uint64_t)(f->tick & 0xffffff) << 8 | (uint64_t)KEY << 32 | (uint64_t)VALUE << 40 | at << 48;
    const uint32_t rest = (uint32_t)(at >> 16);
    memcpy(e, &word, sizeof word);
    memcpy(e + sizeof word, &rest, sizeof rest);
}

static uint8_t *run_sets(struct full *f, const struct row *row, const uint32_t *number, uint8_t *out)
{
    const uint8_t *p = row->p;
    for (unsigned i = 0; i < BATCH; i++, p += SET_REQUEST, out += OK) {
        uint8_t *e = find(f, row, i, number[i], p + BEGIN);
        if (!e) {
            e = entry_of(f, make_place(f, row->line[i], row->hash[i]));
            memcpy(e + KEY_AT, p + BEGIN, KEY);
            f->news++;
        }
        write_head(f, e);
        memcpy(e + VALUE_AT, p + SET_VALUE_AT, VALUE);
        memcpy(out, "+OK\r\n", OK);
    }
    return out;
}

static uint8_t *run_gets(struct full *f, const struct row *row, const uint32_t *number, uint8_t *out)
{
    const uint8_t *p = row->p;
    for (unsigned i = 0; i < BATCH; i++, p += GET_REQUEST) {
        const uint8_t *e = find(f, row, i, number[i], p + BEGIN);
        if (e && bytes_load8(e + HEADER - 2) >> 16 >= f->now_ms) {
            memcpy(out, "$64\r\n", 5);
            memcpy(out + 5, e + VALUE_AT, VALUE);
            memcpy(out + 5 + VALUE, "\r\n", 2);
            out += REPLY;
        } else {
            memcpy(out, "$-1\r\n", 5);
            out += 5;
            f->misses++;
        }
    }
    return out;
}

/* -- the measurement -- */

static inline __attribute__((always_inline)) double play(struct full *f, const uint8_t *request, size_t size, bool set)
{
    static uint8_t reply[REPLIES];
    struct row row[2];
    uint32_t number[BATCH];
    double start = now_ns();
    begin(f, &row[0], request, size, set);
    for (unsigned i = 0; i < QUERIES / BATCH; i++) {
        if (set && f->victims < BATCH)
            choose(f);
        look(f, &row[i & 1], number);
        if (i + 1 < QUERIES / BATCH)
            begin(f, &row[~i & 1], request + (size_t)(i + 1) * BATCH * size, size, set);
        (set ? run_sets : run_gets)(f, &row[i & 1], number, reply);
        f->tick++;
        __asm__ volatile("" ::: "memory"); /* replies are for somebody */
    }
    return (now_ns() - start) / QUERIES;
}

__attribute__((noinline)) static double play_sets(struct full *f, const uint8_t *request)
{
    return play(f, request, SET_REQUEST, true);
}

__attribute__((noinline)) static double play_gets(struct full *f, const uint8_t *request)
{
    return play(f, request, GET_REQUEST, false);
}

static void make_requests(struct full *f, uint64_t keys, uint8_t *request, bool set)
{
    for (unsigned i = 0; i < QUERIES; i++) {
        char text[VALUE + 1];
        uint64_t n = random_below(&f->random, keys);
        key_text(n, text);
        memcpy(request, set ? LEAST_SET : LEAST_GET, BEGIN);
        memcpy(request + BEGIN, text, KEY);
        if (set) {
            snprintf(text, sizeof text, "%064llu", (unsigned long long)n);
            memcpy(request + BEGIN + KEY, header, sizeof header - 1);
            memcpy(request + SET_VALUE_AT, text, VALUE);
            memcpy(request + SET_VALUE_AT + VALUE, tail, SET_TAIL);
            request += SET_REQUEST;
        } else {
            memcpy(request + BEGIN + KEY, "\r\n", 2);
            request += GET_REQUEST;
        }
    }
}

/* All entries have a key; those whose lines are full are where nobody looks for them. */
static void fill(struct full *f)
{
    char text[VALUE + 1];
    for (uint64_t i = 0; i < f->entries; i++) {
        uint8_t *e = entry_of(f, (uint32_t)i + 1);
        key_text(i, text);
        write_head(f, e);
        memcpy(e + KEY_AT, text, KEY);
        snprintf(text, sizeof text, "%064llu", (unsigned long long)i);
        memcpy(e + VALUE_AT, text, VALUE);
        uint64_t hash = hash_of(e + KEY_AT), at = line_number(hash, f->lines);
        while (is_full(&f->line[at]))
            at = at == f->lines ? 0 : at + 1;
        line_write(&f->line[at], (unsigned)__builtin_ctz(slots_with(f->line[at].number, 0)), (uint32_t)i + 1, hash);
    }
}

static double best_of(double best, double each)
{
    return best == 0 || each < best ? each : best;
}

static struct least_full measure(struct full *f, uint64_t keys, uint8_t *request, int rounds)
{
    struct least_full found = {0};
    for (uint64_t n = 0; n < 2 * keys; n += QUERIES) { /* until all is as it will be */
        make_requests(f, keys, request, true);
        play_sets(f, request);
    }
    f->news = f->misses = 0;
    for (int i = 0; i < rounds; i++) {
        make_requests(f, keys, request, false);
        found.get = best_of(found.get, play_gets(f, request));
        make_requests(f, keys, request, true);
        found.set = best_of(found.set, play_sets(f, request));
    }
    found.misses = (double)f->misses / QUERIES / rounds;
    found.news = (double)f->news / QUERIES / rounds;
    return found;
}

struct least_full least_set(uint64_t keys, int rounds)
{
    static struct full f;
    f = (struct full){.entries = keys * FIT / 100, .random = 7, .now_ms = 1700000000000};
    f.lines = lines_for(f.entries);
    f.line_bytes = huge_size((f.lines + 1) * sizeof *f.line);
    f.entry_bytes = huge_size(f.entries * ENTRY);
    uint8_t *request = malloc((size_t)QUERIES * SET_REQUEST + 16);
    f.line = huge_map(f.line_bytes);
    f.entry = huge_map(f.entry_bytes);
    struct least_full found = {0};
    if (request && f.line && f.entry && f.entries > SEEN && f.entries < UINT32_MAX / SLOTS_A_LINE && rounds > 0) {
        fill(&f);
        found = measure(&f, keys, request, rounds);
    }
    if (f.line)
        munmap(f.line, f.line_bytes);
    if (f.entry)
        munmap(f.entry, f.entry_bytes);
    free(request);
    return found;
}
