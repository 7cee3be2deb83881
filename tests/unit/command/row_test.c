/* row_test.c: GETs and SETs in rows do what they do one by one: the same replies, counts and keys, also where memory is
 * full, an allocation fails, keys expire or somebody watches. */
#include "row_pipeline.h"
#include "store/shard.h"
#include "unit.h"

enum { TEXT_LAST = TEXT - (1 << 15), REQUESTS = 400, PIPELINES = 40, NAME = 256 };

static uint32_t draw(uint64_t *x, uint32_t below)
{
    return (uint32_t)(unit_random(x) >> 20) % below;
}

static unsigned name_len; /* of all keys; 0: as many as there are keys */

/* Many keys have names of one length, as most clients' have. */
static void key_name(char name[static NAME], unsigned key, unsigned keys)
{
    if (name_len)
        snprintf(name, NAME, "%0*u", (int)name_len, key % 1000000);
    else
        snprintf(name, NAME, keys < 1000 ? "k%u" : "key:%06u", key % 1000000);
}

static void add_random(struct pipeline *p, uint64_t *x, unsigned keys)
{
    static const char *const lines[] = {
        "GET %s", "GET %s", "get %s", "GET %s", "SET %s %s", "set %s %s", "SET %s %s EX 100", "SET %s %s px 90000",
        "SET %s %s PX 3", "SET %s 12345 ex 1", "SET %s 77", "SET %s %s NX", "SET %s %s EX 0", "SET %s %s PX -5",
        "SET %s %s EX 10x", "SET %s %s EX 9999999999999999", "SET %s %s EX 012", "SET %s %s PX 604800000", "SET %s %s px 120960000000",
        "SET %s %s EX 12345678", "SET %s %s PX 60480000:", "SET %s %s PX 6/4800000", "SET %s %s XX GET", "SET %s %s KEEPTTL",
        "SET %s %s EY 10", "SET %s %s EXAT 1700000000", "DEL %s", "APPEND %s %s", "INCR %s", "LPUSH %s %s", "TTL %s",
        "GET %s %s", "SET %s", "GETX %s", "STRLEN %s"};
    static const uint16_t sizes[] = {0, 1, 3, 20, 31, 32, 33, 44, 45, 63, 64, 64, 65, 98, 99, 100, 130, 254, 255, 256, 400, 1023, 1024, 1025};
    char name[NAME], value[1100], line[NAME + 1200];
    size_t n = sizes[draw(x, sizeof sizes / sizeof *sizes)];
    key_name(name, draw(x, keys), keys);
    memset(value, 'a' + (int)draw(x, 26), n);
    value[n] = 0;
    /* half of it what usual clients send */
    unsigned which = draw(x, draw(x, 2) ? 8 : sizeof lines / sizeof *lines);
    snprintf(line, sizeof line, lines[which], name, value);
    add(p, line);
}

/* GETs alone: what begins alike is read, and many are looked up, in another way than one. */
static void add_gets(struct pipeline *p, uint64_t *x, unsigned keys)
{
    char line[NAME + 16], name[NAME];
    for (unsigned left = draw(x, 80); left > 0; left--) {
        const char *form = draw(x, 32) ? "GET %s" : "gEt %s";
        key_name(name, draw(x, keys), keys);
        snprintf(line, sizeof line, form, name);
        add(p, line);
    }
}

static void make(struct pipeline *p, uint64_t *x, unsigned keys)
{
    p->len = 0;
    for (unsigned i = 0; i < REQUESTS && p->len < TEXT_LAST; i++) {
        add_random(p, x, keys);
        if (draw(x, 20) == 0)
            add_gets(p, x, keys);
    }
}

struct outcome {
    char *replies[PIPELINES];
    char digest[64];
    uint64_t hits, misses, commands, errors, evicted, expired, get_calls, set_calls, client_commands, in_rows, dirty;
};

static uint64_t calls_of(const struct engine *e, const char *name)
{
    struct slice word = slice_str(name);
    return e->stats[command_lookup(1, &word)->id].calls;
}

/* Plays the pipelines of a seed; every other one moves the clock. */
static struct outcome play(const char *directives, uint64_t seed, unsigned keys, bool rows, unsigned chunk)
{
    struct outcome o = {0};
    struct engine *e = engine_new(directives);
    struct pipeline *p = malloc(sizeof *p);
    e->chunk = chunk;
    for (unsigned i = 0; i < PIPELINES; i++) {
        make(p, &seed, keys);
        if (rows)
            feed_rows(e, p, &o.replies[i]);
        else
            o.replies[i] = strdup(engine_feed(e, p->text, p->len));
        engine_sleep(e, i % 2 * 20);
        if (i == PIPELINES / 2)
            engine_cmd(e, "HELLO 3");
    }
    const uint64_t *v = e->counters.v;
    o.hits = v[COUNTER_keyspace_hits], o.misses = v[COUNTER_keyspace_misses];
    o.commands = v[COUNTER_commands_processed], o.errors = v[COUNTER_command_errors];
    o.evicted = v[COUNTER_evicted_keys], o.expired = v[COUNTER_expired_keys];
    o.get_calls = calls_of(e, "get"), o.set_calls = calls_of(e, "set");
    o.client_commands = e->client->commands;
    o.dirty = e->env.ks->shard[0]->dirty;
    o.in_rows = e->in_rows;
    snprintf(o.digest, sizeof o.digest, "%s", engine_cmd(e, "DEBUG DIGEST"));
    free(p);
    engine_free(e);
    return o;
}

static void compare(const char *directives, uint64_t seed, unsigned keys, unsigned chunk)
{
    struct outcome a = play(directives, seed, keys, true, chunk), b = play(directives, seed, keys, false, chunk);
    for (unsigned i = 0; i < PIPELINES; i++) {
        CU_ASSERT(engine_same(a.replies[i], b.replies[i]));
        free(a.replies[i]);
        free(b.replies[i]);
    }
    CU_ASSERT(engine_same(a.digest, b.digest));
    CU_ASSERT(a.digest[0] == '+' || a.digest[0] == '$');
    CU_ASSERT(a.hits == b.hits && a.misses == b.misses && a.commands == b.commands && a.errors == b.errors);
    CU_ASSERT_EQUAL(a.evicted, b.evicted);
    CU_ASSERT_EQUAL(a.expired, b.expired);
    CU_ASSERT_EQUAL(a.dirty, b.dirty);
    CU_ASSERT_EQUAL(a.client_commands, b.client_commands);
    CU_ASSERT(a.get_calls == b.get_calls && a.set_calls == b.set_calls);
    CU_ASSERT(a.in_rows > a.commands / 4);
    CU_ASSERT_EQUAL(b.in_rows, 0);
}

static void test_rows_do_what_commands_do(void)
{
    for (uint64_t seed = 1; seed < 5; seed++)
        compare("enable-debug-command yes", 0x9e3779b97f4a7c15 * seed, seed % 2 ? 30 : 2000, seed < 3 ? 16384 : 256);
}

/* Names and values of lengths at the edges of what is compared and copied at once. */
static void test_rows_with_names_of_any_length(void)
{
    static const unsigned lengths[] = {7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 254, 255};
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        name_len = lengths[i];
        compare("enable-debug-command yes", 77 + i, i % 2 ? 40 : 1000, 16384);
    }
    name_len = 0;
}

static void evict_both_ways(const char *policy, uint64_t seed)
{
    char directives[128];
    bool evicts = strcmp(policy, "noeviction") != 0;
    snprintf(directives, sizeof directives, "enable-debug-command yes\nmaxmemory 256kb\nmaxmemory-policy %s", policy);
    struct outcome a = play(directives, seed, 5000, true, 16384), b = play(directives, seed, 5000, false, 16384);
    for (unsigned n = 0; n < PIPELINES; n++) {
        CU_ASSERT(engine_same(a.replies[n], b.replies[n]));
        free(a.replies[n]);
        free(b.replies[n]);
    }
    CU_ASSERT(engine_same(a.digest, b.digest));
    CU_ASSERT_EQUAL(a.evicted, b.evicted);
    CU_ASSERT(a.evicted > 100 || !evicts);
    CU_ASSERT(a.errors == b.errors && a.errors > 100);
}

/* Victims are the same, too: the same random numbers are drawn in the same order. Volatile policies run out of keys that
 * may go: a SET that finds no room must not be tried twice. */
static void test_rows_evict_what_commands_evict(void)
{
    static const char *const policies[] = {"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction", "volatile-lru"};
    for (unsigned i = 0; i < sizeof policies / sizeof *policies; i++)
        for (uint64_t seed = 0; seed < 2; seed++)
            evict_both_ways(policies[i], 99 + i + 100 * seed);
    for (uint64_t seed = 0; seed < 12; seed++)
        evict_both_ways("volatile-ttl", 100 + 100 * seed);
}

/* Each SET that was confirmed is there, each other one has changed nothing. */
static void test_no_allocation_fails_in_silence(void)
{
    struct engine *e = engine_new("maxmemory-policy noeviction");
    struct pipeline p = {.len = 0};
    char line[64], *got;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, i % 3 ? "SET key:%u value-of-some-length EX 100" : "SET key:%u another%u", i, i);
        add(&p, line);
    }
    for (uint64_t n = 1;; n++) {
        engine_cmd(e, "FLUSHALL");
        uint64_t *fail_in = &e->env.ks->shard[0]->heap.fail_in;
        *fail_in = n;
        feed_rows(e, &p, &got);
        bool passed = *fail_in != 0;
        *fail_in = 0;
        const char *at = got;
        for (unsigned i = 0; i < 20; i++, at = strchr(at, '\n') + 1) {
            bool stored = strncmp(at, "+OK\r\n", 5) == 0;
            CU_ASSERT(stored || strncmp(at, "-OOM ", 5) == 0);
            CU_ASSERT(engine_same(engine_cmd(e, "EXISTS key:%u", i), stored ? ":1\r\n" : ":0\r\n"));
        }
        CU_ASSERT_EQUAL(*at, 0);
        free(got);
        if (passed) {
            CU_ASSERT(n > 20);
            break;
        }
    }
    engine_free(e);
}

static struct pipeline two_sets;

static size_t rows_of(struct engine *e)
{
    two_sets.len = 0;
    add(&two_sets, "SET k 1");
    add(&two_sets, "SET k 2");
    uint64_t before = e->in_rows;
    engine_row(e, (struct slice){(const uint8_t *)two_sets.text, two_sets.len});
    return e->in_rows - before;
}

/* The first one goes the general way: there is no room for its reply yet. */
static void test_whoever_looks_on_has_no_rows(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "PING", "+PONG\r\n"); /* the first command looks who the client is */
    rows_of(e);
    CU_ASSERT_EQUAL(rows_of(e), 1);
    for (unsigned bit = 1; bit <= OBSERVE_LOG; bit <<= 1) {
        e->env.observers = bit;
        CU_ASSERT_EQUAL(row_may(&e->env, e->client), bit == OBSERVE_SNAPSHOT); /* which the store shows the keys */
    }
    e->env.observers = 0;
    static const uint32_t flags[] = {CLIENT_REPLY_OFF, CLIENT_MULTI, CLIENT_NO_TOUCH, CLIENT_CLUSTER};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        e->client->flags |= flags[i];
        CU_ASSERT(!row_may(&e->env, e->client));
        e->client->flags &= ~flags[i];
    }
    e->client->flags &= ~(uint32_t)CLIENT_AUTHENTICATED;
    CU_ASSERT(!row_may(&e->env, e->client));
    e->client->flags |= CLIENT_AUTHENTICATED;
    struct client *writer = e->client, *watcher = engine_connect(e);
    e->client = watcher;
    EXPECT(e, "WATCH k", "+OK\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    e->client = writer;
    CU_ASSERT_EQUAL(rows_of(e), 0);
    e->client = watcher;
    EXPECT(e, "EXEC", "*-1\r\n");
    e->client = writer;
    CU_ASSERT_EQUAL(rows_of(e), 1);
    engine_free(e);
}

/* The database is that of when it runs, whatever was looked up ahead. */
static void test_hints_of_another_database(void)
{
    struct engine *e = engine_new(NULL);
    struct slice argv[4 * ROW_ARGS];
    struct request rq[4];
    uint32_t end[4];
    struct ahead_row ahead;
    struct pipeline p = {.len = 0};
    uint8_t room[256];
    struct resp_writer w = {.cur = room, .start = room, .end = room + sizeof room, .proto = 2};
    EXPECT(e, "SET k zero", "+OK\r\n");
    EXPECT(e, "GET k", "$4\r\nzero\r\n");
    add(&p, "GET k");
    add(&p, "SET k one");
    add(&p, "GET k");
    ahead_begin(&ahead);
    struct row_room args = {argv, 4 * ROW_ARGS, NULL};
    unsigned n = row_read(&e->env, e->client, (struct slice){(const uint8_t *)p.text, p.len}, &ahead, &args, rq, end, 4);
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT_EQUAL(end[2], p.len);
    e->client->db = 1;
    CU_ASSERT_EQUAL(row_run(&e->env, e->client, &ahead, 0, rq, n, &w), 3);
    *w.cur = 0;
    CU_ASSERT(engine_same((const char *)room, "$-1\r\n+OK\r\n$3\r\none\r\n"));
    EXPECT(e, "GET k", "$3\r\none\r\n");
    e->client->db = 0;
    EXPECT(e, "GET k", "$4\r\nzero\r\n");
    engine_free(e);
}

/* Reads all of a window as one row; how many. */
static unsigned read_window(struct engine *e, struct slice window, struct slice *argv, struct request *rq, struct ahead_row *ahead)
{
    uint32_t end[AHEAD_ROW];
    ahead_begin(ahead);
    struct row_room room = {argv, AHEAD_ROW * ROW_ARGS, NULL};
    unsigned n = row_read(&e->env, e->client, window, ahead, &room, rq, end, AHEAD_ROW);
    CU_ASSERT_PTR_NULL(e->row_last.peeked);
    CU_ASSERT_EQUAL_FATAL(ahead->n, n);
    CU_ASSERT_EQUAL(end[n - 1], window.len);
    return n;
}

/* A row that was peeked at is read from there, but not for another database, nor once other requests were read. */
static void test_a_row_begun_ahead(void)
{
    enum { GETS = 16 };
    struct engine *e = engine_new(NULL);
    struct slice argv[AHEAD_ROW * ROW_ARGS];
    struct request rq[AHEAD_ROW];
    struct ahead_row ahead;
    struct pipeline p = {.len = 0}, other = {.len = 0};
    for (unsigned i = 0; i < GETS; i++) {
        char line[24];
        snprintf(line, sizeof line, "GET key:%06u", i);
        add(&p, line);
    }
    for (unsigned i = 0; i < 2; i++)
        add(&other, "GET key:1");
    const struct slice window = {(const uint8_t *)p.text, p.len}, others = {(const uint8_t *)other.text, other.len};
    EXPECT(e, "SET any key", "+OK\r\n"); /* where nothing is stored nothing is looked up */
    e->client->db = 1;
    EXPECT(e, "SET any key", "+OK\r\n");
    e->client->db = 0;
    for (unsigned way = 0; way < 3; way++) {
        for (unsigned i = 0; i < 2; i++) /* the second one like another is what the next are compared with */
            engine_row(e, (struct slice){window.p, 2 * window.len / GETS});
        row_peek(&e->env, e->client, window);
        CU_ASSERT_PTR_EQUAL(e->row_last.peeked, window.p);
        CU_ASSERT_EQUAL(e->row_last.gets[!e->row_last.now].look.n, GETS);
        if (way == 1) /* another database than it was begun for */
            e->client->db = 1;
        if (way == 2) /* others come before it, of another length */
            CU_ASSERT_EQUAL(read_window(e, others, argv, rq, &ahead), 2);
        CU_ASSERT_EQUAL_FATAL(read_window(e, window, argv, rq, &ahead), GETS);
        for (unsigned i = 0; i < GETS; i++) {
            char key[16];
            snprintf(key, sizeof key, "key:%06u", i);
            row_spread(&e->env, &ahead, i, &rq[i]);
            CU_ASSERT(slice_is(rq[i].argv[1], key));
            CU_ASSERT_EQUAL(ahead.at[i].db, e->client->db);
            CU_ASSERT_EQUAL(ahead.at[i].hash, key_hash(rq[i].argv[1], e->env.ks->seed));
        }
    }
    engine_free(e);
}

/* What is not whole, or of another shape, is not taken. */
static void test_only_whole_requests(void)
{
    static const char *const others[] = {"*2\r\n$3\r\nGET\r\n$1000\r\n", "*2\r\n$3\r\nGET\r\n+1\r\nk\r\n      ",
                                         "*2\r\n$3\r\nGEX\r\n$1\r\nk\r\n", "*3\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\nk\r\n",
                                         "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nk\r\n$2\r\nNX\r\n",
                                         "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nk\r\n$2\r\nNX\r\n$3\r\nGET\r\n",
                                         "*2\r\n$3\r\nGET\r\n$01\r\nk\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\nk\r\n"};
    struct engine *e = engine_new(NULL);
    struct pipeline p = {.len = 0};
    EXPECT(e, "PING", "+PONG\r\n");
    add(&p, "SET key value EX 10");
    const size_t first = p.len;
    add(&p, "GET key");
    for (size_t n = 0; n < p.len; n++) {
        char *part = malloc(n + 1); /* of its own: what lies behind is not looked at (ASan) */
        memcpy(part, p.text, n);
        size_t used = engine_row(e, (struct slice){(const uint8_t *)part, n});
        CU_ASSERT_EQUAL(used, n < first ? 0 : first);
        free(part);
    }
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        CU_ASSERT_EQUAL(engine_row(e, slice_str(others[i])), 0);
    engine_free(e);
}

/* A row from here, in memory of its own (ASan); its replies are added to *got. */
static size_t row_from(struct engine *e, const struct pipeline *p, size_t at, char *got, size_t room)
{
    char *part = malloc(p->len - at + 1);
    memcpy(part, p->text + at, p->len - at);
    size_t used = engine_row(e, (struct slice){(const uint8_t *)part, p->len - at}), len = strlen(got);
    snprintf(got + len, room - len, "%s", used ? e->reply : "");
    free(part);
    return used;
}

/* The same as if nothing had been before it. */
static size_t row_anew(struct engine *e, const struct pipeline *p, size_t at, char *got, size_t room)
{
    e->env.row_last = NULL;
    size_t used = row_from(e, p, at, got, room);
    e->env.row_last = &e->row_last;
    return used;
}

/* What begins nearly like the request before it is read as if that had not been there: each byte of a second GET's
 * beginning is put to every value. */
static void test_nearly_alike(void)
{
    struct engine *e = engine_new(NULL);
    struct pipeline p = {.len = 0};
    EXPECT(e, "SET key-of-16-bytes. value", "+OK\r\n");
    add(&p, "GET key-of-16-bytes.");
    const size_t first = p.len, key_at = strlen("*2\r\n$3\r\nGET\r\n$16\r\n");
    for (unsigned i = 0; i < 3; i++)
        add(&p, "GET key-of-16-bytes.");
    for (size_t i = first; i < first + key_at; i++) {
        const char right = p.text[i];
        for (unsigned value = 0; value < 256; value++) {
            char whole[256] = "", parts[256] = "$5\r\nvalue\r\n";
            p.text[i] = (char)value;
            size_t used = row_from(e, &p, 0, whole, sizeof whole);
            CU_ASSERT_EQUAL(used, first + row_anew(e, &p, first, parts, sizeof parts));
            CU_ASSERT_STRING_EQUAL(whole, parts);
        }
        p.text[i] = right;
    }
    engine_free(e);
}

/* What the key has after a row from here: its value and time to live. */
static void state_after(struct engine *e, const struct pipeline *p, size_t at, char *state, size_t room)
{
    engine_cmd(e, "DEL key-of-16-bytes.");
    state[0] = 0;
    size_t used = at ? row_anew(e, p, at, state, room) : row_from(e, p, at, state, room), len = strlen(state);
    len += (size_t)snprintf(state + len, room - len, "%zu %s", used + at, engine_cmd(e, "GET key-of-16-bytes."));
    snprintf(state + len, room - len, "%s", engine_cmd(e, "PTTL key-of-16-bytes."));
}

/* The same for SETs, whose time and value stand behind the key: each byte that is not of the key or the value. */
static void nearly_alike_sets(const char *format)
{
    char before[128], line[128];
    static const char values[] = "$*\r\n0123456789 eExXpPsSkK\xff";
    struct engine *e = engine_new(NULL);
    struct pipeline p = {.len = 0};
    snprintf(before, sizeof before, format, "old-of-16-bytes.");
    snprintf(line, sizeof line, format, "key-of-16-bytes.");
    add(&p, before);
    const size_t first = p.len;
    add(&p, line);
    add(&p, "GET other");
    for (size_t i = first; i < 2 * first; i++) {
        const char right = p.text[i];
        for (unsigned v = 0; v < sizeof values; v++) {
            char whole[512], parts[512];
            p.text[i] = values[v];
            state_after(e, &p, 0, whole, sizeof whole);
            state_after(e, &p, first, parts, sizeof parts);
            CU_ASSERT(strncmp(whole, "+OK\r\n", 5) == 0);
            CU_ASSERT_STRING_EQUAL(whole + 5, parts);
        }
        p.text[i] = right;
    }
    engine_free(e);
}

static void test_nearly_alike_sets(void)
{
    nearly_alike_sets("SET %s a-value");
    nearly_alike_sets("SET %s a-value-of-some-length EX 3600");
    nearly_alike_sets("set %s v px 123456789");
}

/* Rows of one request, as clients send that do not pipeline: what was noted of others' is of use, and a part of one is not taken
 * for the whole. */
static void test_rows_of_one(void)
{
    static const char *const lines[] = {
        "GET a",           "GET a",           "GET b",             "get a",            "GET longer",     "SET longer 1",
        "GET longer",      "SET a 1",         "SET b 2",           "GET b",            "SET a one EX 9", "SET b two EX 8",
        "SET c six EX 7",  "GET c",           "SET a x PX 123456", "SET b y px 99999", "SET c z PX 77777", "SET a 22 PX 123456",
        "SET a 333 EX 100"};
    struct engine *e = engine_new(NULL), *other = engine_new(NULL);
    EXPECT(e, "PING", "+PONG\r\n");
    for (unsigned i = 0; i < 4 * (sizeof lines / sizeof *lines); i++) {
        struct pipeline p = {.len = 0};
        char got[128] = "";
        add(&p, lines[i / 2 % (sizeof lines / sizeof *lines)]); /* each twice */
        for (size_t whole = p.len, n = 0; n < whole; n++) {
            p.len = n;
            CU_ASSERT_EQUAL(row_from(e, &p, 0, got, sizeof got), 0);
            p.len = whole;
        }
        CU_ASSERT_EQUAL(row_from(e, &p, 0, got, sizeof got), p.len);
        CU_ASSERT(engine_same(got, engine_feed(other, p.text, p.len)));
    }
    CU_ASSERT(e->row_last.get.all != 0 && e->row_last.set.begin.all != 0);
    engine_free(e);
    engine_free(other);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_rows_do_what_commands_do),
                                             UNIT(test_rows_with_names_of_any_length),
                                             UNIT(test_rows_evict_what_commands_evict),
                                             UNIT(test_no_allocation_fails_in_silence),
                                             UNIT(test_whoever_looks_on_has_no_rows),
                                             UNIT(test_hints_of_another_database),
                                             UNIT(test_a_row_begun_ahead),
                                             UNIT(test_only_whole_requests),
                                             UNIT(test_nearly_alike),
                                             UNIT(test_nearly_alike_sets),
                                             UNIT(test_rows_of_one),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/row", tests);
}
