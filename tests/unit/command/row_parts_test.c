/* row_parts_test.c: GETs that are alike and begin a batch, which are no requests: they reply what they reply one by one, whatever they find and
 * whatever changes between their being read and run. */
#include "row_pipeline.h"
#include "store/shard.h"
#include "unit.h"

/* A batch of GETs that are alike of several clients: what is read of each, and what it becomes when it is to run. */
struct several {
    struct slice argv[AHEAD_ROW * ROW_ARGS];
    struct request rq[AHEAD_ROW];
    struct ahead_row ahead;
    struct row_room room;
    unsigned n;
};

static void read_parts(struct engine *e, struct several *b, const struct slice *window, unsigned windows)
{
    uint32_t end[AHEAD_ROW];
    b->room = (struct row_room){b->argv, AHEAD_ROW * ROW_ARGS, NULL};
    b->n = 0;
    ahead_begin(&b->ahead);
    for (unsigned i = 0; i < windows; i++)
        b->n += row_read(&e->env, e->client, window[i], &b->ahead, &b->room, &b->rq[b->n], end, AHEAD_ROW - b->n);
    CU_ASSERT_EQUAL(b->ahead.n, b->n);
}

static void add_keys(struct pipeline *p, unsigned from, unsigned n)
{
    char line[32];
    for (unsigned i = from; i < from + n; i++) {
        snprintf(line, sizeof line, "GET key:%06u", i);
        add(p, line);
    }
}

/* Runs the batch from `at` on; what is replied. */
static const char *run_parts(struct engine *e, struct several *b, unsigned at, unsigned most, unsigned *done, char *room)
{
    struct resp_writer w = {.cur = (uint8_t *)room, .start = (uint8_t *)room, .end = (uint8_t *)room + TEXT, .proto = 2};
    *done = row_run(&e->env, e->client, &b->ahead, at, &b->rq[at], most, &w);
    *w.cur = 0;
    return room;
}

static void test_parts_of_several_clients(void)
{
    enum { KEYS = 40, FIRST = 10, SECOND = 9, THIRD = 3 };
    struct engine *e = engine_new(NULL);
    struct several *b = malloc(sizeof *b);
    struct pipeline *p = calloc(3, sizeof *p);
    char *room = malloc(TEXT + 1), want[1024] = "";
    unsigned done;
    for (unsigned i = 0; i < KEYS; i++)
        engine_cmd(e, "SET key:%06u value%u", i, i);
    add_keys(&p[0], 0, FIRST);
    add_keys(&p[1], FIRST, SECOND);
    add_keys(&p[2], FIRST + SECOND, THIRD);
    add(&p[2], "SET key:000000 new");
    const struct slice window[] = {{(uint8_t *)p[0].text, p[0].len}, {(uint8_t *)p[1].text, p[1].len}, {(uint8_t *)p[2].text, p[2].len}};
    for (unsigned i = 0; i < 2; i++)
        engine_row(e, window[0]); /* the second one like another is what the next are compared with */
    read_parts(e, b, window, 3);
    CU_ASSERT_EQUAL_FATAL(b->n, FIRST + SECOND + THIRD + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->ahead.texts);
    CU_ASSERT_EQUAL(b->ahead.texts->n, FIRST + SECOND); /* the third are too few */
    CU_ASSERT_EQUAL(e->row_last.gets[e->row_last.now].parts, 2);
    for (unsigned i = 0; i < FIRST; i++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "$6\r\nvalue%u\r\n", i);
    CU_ASSERT_STRING_EQUAL(run_parts(e, b, 0, FIRST, &done, room), want);
    CU_ASSERT_EQUAL(done, FIRST);
    /* Keys go, are made anew, and move while it runs: each is read as it is. */
    engine_cmd(e, "DEL key:%06u", FIRST + 1);
    engine_cmd(e, "SET key:%06u %01200d", FIRST + 2, 1);
    engine_cmd(e, "LPUSH list:%06u a", FIRST + 3);
    CU_ASSERT_STRING_EQUAL(run_parts(e, b, FIRST, SECOND, &done, room), "$7\r\nvalue10\r\n$-1\r\n");
    CU_ASSERT_EQUAL(done, 2); /* a long value goes the general way */
    row_spread(&e->env, &b->ahead, FIRST + 2, &b->rq[FIRST + 2]);
    CU_ASSERT(slice_is(b->rq[FIRST + 2].argv[1], "key:000012"));
    CU_ASSERT_EQUAL(b->rq[FIRST + 2].argc, 2);
    CU_ASSERT_PTR_NOT_NULL(b->ahead.at[FIRST + 2].e);
    run_parts(e, b, FIRST + 3, SECOND - 3, &done, room);
    CU_ASSERT_EQUAL(done, SECOND - 3);
    run_parts(e, b, FIRST + SECOND, THIRD + 1, &done, room);
    CU_ASSERT_EQUAL(done, THIRD + 1);
    CU_ASSERT_STRING_EQUAL(room, "$7\r\nvalue19\r\n$7\r\nvalue20\r\n$7\r\nvalue21\r\n+OK\r\n");
    EXPECT(e, "GET key:000000", "$3\r\nnew\r\n");
    free(room);
    free(p);
    free(b);
    engine_free(e);
}

/* A row begun ahead, where the batch before it stores the key of one of its GETs: in a segment that was empty, and in general. */
static void test_a_key_stored_after_the_row_was_begun(void)
{
    enum { KEYS = 400, GETS = 40 };
    struct engine *e = engine_new(NULL);
    struct pipeline *p = calloc(1, sizeof *p);
    char *got, line[64];
    unsigned victim = 0, left;
    for (unsigned i = 0; i < KEYS; i++)
        engine_cmd(e, "SET key:%06u v", i);
    const struct index *ix = &e->env.ks->shard[0]->db[0].index;
    CU_ASSERT_FATAL(ix->segments > 1);
    for (unsigned i = 0; i < KEYS; i++) { /* nothing is left in segment 1 */
        snprintf(line, sizeof line, "key:%06u", i);
        if (index_segment_of(ix, key_hash(slice_str(line), e->env.ks->seed)) == 1) {
            engine_cmd(e, "DEL %s", line);
            victim = i;
        }
    }
    for (left = AHEAD_ROW - 1; left > 0; left--)
        add(p, "GET key:000000");
    snprintf(line, sizeof line, "SET key:%06u new", victim);
    add(p, line);
    for (unsigned i = 0; i < GETS; i++) {
        snprintf(line, sizeof line, "GET key:%06u", i == 5 ? victim : 0);
        add(p, line);
    }
    for (unsigned round = 0; round < 2; round++) {
        engine_cmd(e, "DEL key:%06u", victim);
        feed_rows(e, p, &got);
        const char *at = strstr(got, "+OK\r\n");
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        CU_ASSERT_PTR_NOT_NULL(strstr(at, "$3\r\nnew\r\n"));
        free(got);
    }
    free(p);
    engine_free(e);
}

/* A key with the tag that empty slots have, behind such a one. */
static void test_the_tag_of_empty_slots(void)
{
    enum { KEYS = 6, GETS = 12 };
    struct engine *e = engine_new(NULL);
    struct pipeline *p = calloc(1, sizeof *p);
    char name[16], line[32], *got;
    unsigned i = 0;
    uint64_t hash;
    do {
        snprintf(name, sizeof name, "key:%08u", i++);
        hash = key_hash(slice_str(name), e->env.ks->seed);
    } while (hash >> (64 - TAG_BITS));
    for (unsigned k = 0; k < KEYS; k++)
        engine_cmd(e, "SET other:%u v", k);
    engine_cmd(e, "SET %s here", name);
    for (unsigned k = 0; k < KEYS; k++)
        engine_cmd(e, "DEL other:%u", k);
    snprintf(line, sizeof line, "GET %s", name);
    for (unsigned k = 0; k < GETS; k++)
        add(p, line);
    for (unsigned round = 0; round < 2; round++) {
        feed_rows(e, p, &got);
        const char *at = got;
        for (unsigned k = 0; k < GETS; k++, at += strlen("$4\r\nhere\r\n"))
            CU_ASSERT_EQUAL(strncmp(at, "$4\r\nhere\r\n", 10), 0);
        CU_ASSERT_EQUAL(*at, 0);
        free(got);
    }
    free(p);
    engine_free(e);
}

/* A user with patterns: GETs of a part up to the first key that is not allowed, which goes the general way. */
static void test_parts_of_a_user_with_limits(void)
{
    enum { GETS = 20, DENIED = 13 };
    struct engine *e = engine_new(NULL);
    struct pipeline *p = calloc(1, sizeof *p);
    char line[32], *got;
    for (unsigned i = 0; i < GETS; i++) {
        engine_cmd(e, "SET %s:%06u v%u", i == DENIED ? "not" : "key", i, i);
        snprintf(line, sizeof line, "GET %s:%06u", i == DENIED ? "not" : "key", i);
        add(p, line);
    }
    EXPECT(e, "ACL SETUSER ann on nopass ~key:* +get", "+OK\r\n");
    EXPECT(e, "AUTH ann any", "+OK\r\n");
    for (unsigned round = 0; round < 3; round++) {
        uint64_t rows = e->in_rows;
        feed_rows(e, p, &got);
        const char *at = got;
        for (unsigned i = 0; i < GETS; i++, at = strchr(at, '\n') + 1) {
            if (i == DENIED) {
                CU_ASSERT_EQUAL(strncmp(at, "-NOPERM ", 8), 0);
                continue;
            }
            snprintf(line, sizeof line, "$%u\r\nv%u\r\n", i < 10 ? 2 : 3, i);
            CU_ASSERT_EQUAL(strncmp(at, line, strlen(line)), 0);
            at = strchr(at, '\n') + 1;
        }
        CU_ASSERT_EQUAL(*at, 0);
        CU_ASSERT(round == 0 || e->in_rows - rows >= GETS - 2);
        free(got);
    }
    free(p);
    engine_free(e);
}

/* Strings of every kind that lies in its entry are replied to in rows, wherever the reply's memory ends (ASan), and as one by one. */
static void test_strings_of_all_kinds(void)
{
    enum { GETS = 24, CHUNKS = 1500 };
    static const char *const numbers[] = {"-9223372036854775808", "9223372036854775807", "-1", "0"};
    static const unsigned sizes[] = {0, 1, 31, 44, 45, 64, 98, 99, 100, 101, 253, 254, 255, 256, 999, 1000, 1023, 1024};
    enum { SIZES = sizeof sizes / sizeof *sizes, NUMBERS = sizeof numbers / sizeof *numbers };
    struct engine *e = engine_new(NULL);
    struct pipeline *p = calloc(1, sizeof *p);
    char line[32], *got, *want = NULL, *value = calloc(1, 1025);
    for (unsigned i = 0; i < SIZES; i++) {
        memset(value, 'a' + (int)i, sizes[i]);
        value[sizes[i]] = 0;
        const char *argv[] = {"SET", "", value, "EX", "100"};
        snprintf(line, sizeof line, "key:%06u", i);
        argv[1] = line;
        struct pipeline one = {.len = 0};
        one.len = (size_t)snprintf(one.text, TEXT, "*%d\r\n", i % 2 ? 5 : 3);
        for (unsigned k = 0; k < (i % 2 ? 5 : 3); k++)
            one.len += (size_t)snprintf(one.text + one.len, TEXT - one.len, "$%zu\r\n%s\r\n", strlen(argv[k]), argv[k]);
        engine_feed(e, one.text, one.len);
    }
    for (unsigned i = 0; i < NUMBERS; i++)
        engine_cmd(e, "SET key:%06u %s", SIZES + i, numbers[i]);
    for (unsigned i = 0; i < GETS; i++) /* two of them are not there; neighbours differ by much */
        add_keys(p, i * 7 % GETS, 1);
    for (unsigned chunk = 64; chunk < CHUNKS; chunk++) {
        if (chunk == CHUNKS / 2)
            engine_cmd(e, "HELLO 3");
        e->chunk = chunk;
        if (chunk == 64 || chunk == CHUNKS / 2) {
            free(want);
            want = strdup(engine_feed(e, p->text, p->len));
        }
        e->stats[e->row_last.get.cmd ? e->row_last.get.cmd->id : 0].calls = 1; /* the next ones are not measured */
        const uint64_t rows = e->in_rows;
        feed_rows(e, p, &got);
        CU_ASSERT_STRING_EQUAL(got, want);
        CU_ASSERT(chunk == 64 || e->in_rows - rows == GETS);
        free(got);
    }
    CU_ASSERT_EQUAL(e->row_last.unusual, 0);
    free(want);
    free(value);
    free(p);
    engine_free(e);
}

/* Values that no row replies to: where they come often GETs are requests from the beginning, and no longer where they do not. */
static void test_values_that_are_too_long(void)
{
    enum { GETS = 30, BATCHES = 10 };
    struct engine *e = engine_new(NULL);
    struct pipeline *p = calloc(1, sizeof *p);
    char line[32], *got;
    unsigned asked = 0;
    for (unsigned i = 0; i < GETS; i++) {
        engine_cmd(e, "SET key:%06u %01200u", i, i);
        snprintf(line, sizeof line, "GET key:%06u", i);
        add(p, line);
    }
    for (unsigned round = 0; round < 3 * BATCHES; round++) {
        if (round == BATCHES)
            for (unsigned i = 0; i < GETS; i++)
                engine_cmd(e, "DEL key:%06u", i);
        if (round == 2 * BATCHES)
            for (unsigned i = 0; i < GETS; i++)
                engine_cmd(e, "SET key:%06u t%u", i, 10 + i);
        asked += round > 0 && round <= BATCHES && e->row_last.unusual;
        feed_rows(e, p, &got);
        const size_t each = round < BATCHES ? strlen("$1200\r\n\r\n") + 1200 : round < 2 * BATCHES ? strlen("$-1\r\n") : strlen("$3\r\nt10\r\n");
        CU_ASSERT_EQUAL(strlen(got), GETS * each);
        free(got);
    }
    CU_ASSERT(asked >= BATCHES * 3 / 4); /* now and then it is tried anew */
    CU_ASSERT_EQUAL(e->row_last.unusual, 0);
    free(p);
    engine_free(e);
}

static void configure_policy(struct engine *e, enum maxmemory_policy policy)
{
    e->conf->maxmemory_policy = policy;
    shard_configure(e->env.ks->shard[0], e->conf);
}

/* Whatever changes between reading and running: nothing is stored any more, uses are counted, another database, another way to be
 * allowed. */
static void test_parts_that_wait(void)
{
    enum { GETS = 12 };
    struct engine *e = engine_new("maxmemory 10mb\nmaxmemory-policy allkeys-lru");
    struct several *b = malloc(sizeof *b);
    struct pipeline *p = calloc(1, sizeof *p);
    char *room = malloc(TEXT + 1);
    unsigned done, again;
    add_keys(p, 0, GETS);
    const struct slice window = {(uint8_t *)p->text, p->len};
    for (unsigned way = 0; way < 5; way++) {
        for (unsigned i = 0; i < GETS; i++)
            engine_cmd(e, "SET key:%06u v", i);
        e->client->db = 1;
        engine_cmd(e, "SET any key");
        e->client->db = 0;
        for (unsigned i = 0; i < 2; i++)
            engine_row(e, window);
        read_parts(e, b, &window, 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(b->ahead.texts);
        e->stats[e->row_last.get.cmd->id].calls = 1; /* the next ones are not measured */
        if (way == 0 || way == 3)
            store_ahead_known(e->env.ks->shard[0], &b->ahead);
        if (way == 1)
            engine_cmd(e, "FLUSHALL");
        if (way == 2)
            configure_policy(e, POLICY_ALLKEYS_LFU);
        if (way == 3)
            e->client->db = 1;
        if (way == 4)
            for (unsigned i = 0; i < 5000; i++) /* segments are split, and entries move */
                engine_cmd(e, "SET other:%u v", i);
        run_parts(e, b, 0, GETS, &done, room);
        CU_ASSERT_EQUAL(done, way == 0 || way == 4 ? GETS : 0);
        CU_ASSERT(done ? strncmp(room, "$1\r\nv\r\n$1\r\nv\r\n", 12) == 0 : room[0] == 0);
        run_parts(e, b, done, GETS - done, &again, room); /* once more: of what is there now */
        CU_ASSERT_EQUAL(again, way == 1 || way == 3 ? GETS : 0);
        CU_ASSERT(again ? strncmp(room, "$-1\r\n$-1\r\n", 10) == 0 : room[0] == 0);
        if (way == 2) {
            row_spread(&e->env, &b->ahead, 3, &b->rq[3]);
            CU_ASSERT(slice_is(b->rq[3].argv[1], "key:000003"));
            configure_policy(e, POLICY_ALLKEYS_LRU);
        }
        e->client->db = 0;
        e->row_last.unusual = 0;
    }
    free(room);
    free(p);
    free(b);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_parts_of_several_clients),
                                             UNIT(test_a_key_stored_after_the_row_was_begun),
                                             UNIT(test_the_tag_of_empty_slots),
                                             UNIT(test_parts_of_a_user_with_limits),
                                             UNIT(test_strings_of_all_kinds),
                                             UNIT(test_values_that_are_too_long),
                                             UNIT(test_parts_that_wait),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/row_parts", tests);
}
