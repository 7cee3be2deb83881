/* reply_run_test.c: runs of a pack's elements are replied as each of them alone is, wherever a chunk ends and
 * whenever a turn is taken. Packs and chunks are as large as they say and no byte larger. */
#include "command/reply_run.h"
#include "store/pack.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { ELEMENTS = 300, LONGEST = 5000, OUT = 1 << 20 };

/* -- a writer into chunks of one size */

struct sink {
    struct resp_writer w;
    uint8_t *chunk;
    size_t size, len;
    uint8_t *out;
};

static void collect(struct sink *s)
{
    size_t n = (size_t)(s->w.cur - s->w.start);
    CU_ASSERT_FATAL(s->len + n <= OUT);
    if (n)
        memcpy(s->out + s->len, s->w.start, n);
    s->len += n;
}

static bool grow(struct resp_writer *w)
{
    struct sink *s = (struct sink *)w;
    collect(s);
    free(s->chunk);
    s->chunk = malloc(s->size);
    w->start = w->cur = s->chunk;
    w->end = s->chunk + s->size;
    return true;
}

static void begin(struct sink *s, size_t size)
{
    static const struct resp_sink sink = {grow};
    *s = (struct sink){.size = size, .out = malloc(OUT)};
    resp_writer_init(&s->w, &sink, 2);
}

static bool same(struct sink *a, struct sink *b)
{
    collect(a);
    collect(b);
    bool equal = a->len == b->len && memcmp(a->out, b->out, a->len) == 0;
    free(a->chunk);
    free(b->chunk);
    free(a->out);
    free(b->out);
    return equal;
}

/* -- packs */

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 16;
}

/* Short texts and small numbers most of all. */
static struct item random_item(char text[LONGEST])
{
    uint64_t r = next_random();
    size_t len = r % 64 == 0 ? r / 64 % LONGEST : r % 64 < 8 ? 50 + r / 64 % 60 : r / 64 % 40;
    if (r % 3 == 0)
        return item_of_number((int64_t)next_random() >> (r / 64 % 64));
    if (r % 7 == 0)
        return item_of_number((int64_t)(r / 64 % 300) - 100);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + (r + i) % 26);
    return item_of((struct slice){(const uint8_t *)text, len});
}

static struct pack random_pack(unsigned elements)
{
    static uint8_t room[ELEMENTS * (LONGEST + 10)];
    char text[LONGEST];
    struct pack pk = pack_init(room);
    for (unsigned i = 0; i < elements; i++) {
        struct item item = random_item(text);
        pack_insert(&pk, pack_end(pk), &item);
    }
    pk.p = memcpy(malloc(pk.len), room, pk.len);
    return pk;
}

/* -- turns, counted */

struct counting {
    struct turn turn;
    unsigned looks, end; /* it is in vain from this look on */
};

static void look(struct turn *t)
{
    struct counting *c = (struct counting *)t;
    t->left = 7;
    t->gone = ++c->looks >= c->end;
}

/* The same, element by element. */
static void reply_each(struct resp_writer *w, struct pack pk, uint32_t at, uint64_t n, unsigned step)
{
    struct item item;
    for (uint64_t i = 0; n > 0 && pack_get(pk, at, &item); at += item.size, i++) {
        if (i % step)
            continue;
        if (item.is_number)
            reply_bulk_int(w, item.number);
        else
            reply_bulk(w, item.text);
        n--;
    }
}

static void test_a_run_is_replied_as_its_elements_are(void)
{
    for (unsigned round = 0; round < 400; round++) {
        unsigned elements = round < 3 ? round : (unsigned)(next_random() % ELEMENTS) + 1;
        struct pack pk = random_pack(elements);
        uint32_t at = elements ? pack_seek(pk, (int64_t)(next_random() % elements)) : 0;
        uint64_t most = next_random() % (elements + 2), left = most;
        struct counting c = {.turn = {.left = 7, .look = look}, .end = UINT32_MAX};
        struct pack_run run = pack_run_from(pk, at);
        struct sink got, want;
        bool firsts = round % 2;
        begin(&got, round % 3 ? RESP_CHUNK_MIN + next_random() % 200 : 1448);
        begin(&want, 100000);
        bool goes_on =
            (firsts ? reply_run_firsts : reply_run)(&got.w, &run, &left, round % 5 ? &c.turn : NULL);
        reply_each(&want.w, pk, at, most, firsts ? 2 : 1);
        CU_ASSERT_TRUE(goes_on);
        CU_ASSERT_TRUE(left == 0 || run.p == run.end);
        CU_ASSERT_EQUAL(c.looks, round % 5 ? (most - left) / 7 : 0);
        CU_ASSERT_TRUE(same(&got, &want));
        free(pk.p);
    }
}

static void test_a_run_may_be_replied_in_parts(void)
{
    struct pack pk = random_pack(ELEMENTS);
    struct pack_run run = pack_run_from(pk, 0);
    struct sink got, want;
    begin(&got, 200);
    begin(&want, 100000);
    for (uint64_t part = 0, left; run.p < run.end; part = (part + 1) % 9) {
        left = part;
        CU_ASSERT_TRUE(reply_run(&got.w, &run, &left, NULL));
    }
    reply_each(&want.w, pk, 0, UINT64_MAX, 1);
    CU_ASSERT_TRUE(same(&got, &want));
    free(pk.p);
}

static void test_who_has_gone_gets_no_more(void)
{
    struct pack pk = random_pack(ELEMENTS);
    struct pack_run run = pack_run_from(pk, 0);
    struct counting c = {.turn = {.left = 7, .look = look}, .end = 2};
    uint64_t left = ELEMENTS;
    struct sink s, none;
    begin(&s, 1000);
    begin(&none, 1000);
    CU_ASSERT_FALSE(reply_run(&s.w, &run, &left, &c.turn));
    CU_ASSERT_EQUAL(left, ELEMENTS - 14);
    same(&s, &none);
    free(pk.p);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_run_is_replied_as_its_elements_are),
                                             UNIT(test_a_run_may_be_replied_in_parts),
                                             UNIT(test_who_has_gone_gets_no_more),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/reply_run", tests);
}
