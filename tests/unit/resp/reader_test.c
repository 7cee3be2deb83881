/* reader_test.c: the request reader: transcripts whole, split at every byte and at random places; every limit
 * with Redis' text; damaged input. */
#include "resp/reader.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static const struct resp_limits usual = {.max_bulk = 512 << 20, .max_args = 1024 * 1024, .max_inline = 65536};
static const struct resp_limits early = {
    .max_bulk = 512 << 20, .max_args = 10, .max_inline = 65536, .unauth_bulk = 16384};

struct transcript {
    char text[1 << 12]; /* requests as [a][b], errors as !text */
    size_t len;
};

static void note(struct transcript *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n && t->len + 2 < sizeof t->text; i++)
        t->text[t->len++] = p[i];
    t->text[t->len] = 0;
}

static void note_request(struct transcript *t, const struct resp_reader *r, struct slice w)
{
    for (uint32_t i = 0; i < r->argc; i++) {
        struct slice a = resp_arg(r, w, i);
        note(t, "[", 1);
        note(t, (const char *)a.p, a.len);
        note(t, "]", 1);
    }
    note(t, ";", 1);
}

/* A reader's note must be gone as soon as a request has another first argument or number of arguments. */
static unsigned notes_kept;
static void check_note(struct resp_reader *r, struct slice w)
{
    static struct {
        uint32_t argc;
        size_t len;
        uint8_t name[256];
    } last;
    struct slice name = r->argc ? resp_arg(r, w, 0) : (struct slice){0};
    if (r->note) {
        notes_kept++;
        CU_ASSERT(r->argc == last.argc && name.len == last.len && memcmp(name.p, last.name, name.len) == 0);
    }
    if (name.len > sizeof last.name)
        return;
    last.argc = r->argc;
    last.len = name.len;
    if (name.len)
        memcpy(last.name, name.p, name.len);
    r->note = &last;
}

/* Feeds bytes in pieces that end at the given places; each window is a fresh exact allocation, so that a read
 * behind it is found. Returns what was read. */
static const char *replay(const struct resp_limits *limits, const char *bytes, size_t len, const size_t *cut,
                          size_t cuts)
{
    static struct transcript t;
    struct resp_reader r;
    size_t start = 0;
    t.len = 0;
    t.text[0] = 0;
    resp_reader_init(&r);
    for (size_t piece = 0; piece <= cuts; piece++) {
        size_t end = piece < cuts ? cut[piece] : len;
        for (;;) {
            size_t used = 0, need = 0, n = end - start;
            uint8_t *copy = malloc(n ? n : 1);
            memcpy(copy, bytes + start, n);
            enum resp_result result = resp_read(&r, limits, (struct slice){copy, n}, &used, &need);
            if (result == RESP_REQUEST) {
                note_request(&t, &r, (struct slice){copy, n});
                check_note(&r, (struct slice){copy, n});
            }
            free(copy);
            if (result == RESP_ERROR) {
                note(&t, "!", 1);
                note(&t, r.error, strlen(r.error));
                resp_reader_reset(&r);
                return t.text;
            }
            if (result != RESP_REQUEST) {
                CU_ASSERT(result == RESP_MORE && need > 0);
                break;
            }
            CU_ASSERT(used > 0 && used <= n);
            start += used;
        }
    }
    resp_reader_reset(&r);
    return t.text;
}

static void same(const char *got, const char *want, const char *input)
{
    CU_ASSERT_STRING_EQUAL(got, want);
    if (strcmp(got, want) != 0)
        printf("# input %.40s\n# got  %s\n# want %s\n", input, got, want);
}

/* Whole, then split at every place. */
static void expect_limits(const struct resp_limits *limits, const char *bytes, size_t len, const char *want)
{
    same(replay(limits, bytes, len, NULL, 0), want, bytes);
    for (size_t at = 0; at <= len && len < 600; at++)
        same(replay(limits, bytes, len, &at, 1), want, bytes);
    if (len < 600) {
        size_t *each = malloc((len + 1) * sizeof *each);
        for (size_t i = 0; i < len; i++)
            each[i] = i + 1;
        same(replay(limits, bytes, len, each, len), want, bytes);
        free(each);
    }
}

#define EXPECT(bytes, want) expect_limits(&usual, bytes, sizeof(bytes) - 1, want)

static void test_arrays(void)
{
    EXPECT("*1\r\n$4\r\nPING\r\n", "[PING];");
    EXPECT("*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n*1\r\n$4\r\nPING\r\n",
           "[GET][0123456789abcdef];[PING];");
    EXPECT("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n", "[SET][][\r\n\r\n];");
    EXPECT("*12\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$"
           "1\r\ni\r\n"
           "$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\n",
           "[a][b][c][d][e][f][g][h][i][j][k][l];");
}

/* Around the number that is read straight through, and that grows the table of arguments. */
static void test_requests_of_many_arguments(void)
{
    static const unsigned counts[] = {9, 10, 11, 21, 63, 64, 65, 99, 100, 130};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char bytes[2048], want[1024];
        size_t n = (size_t)sprintf(bytes, "*%u\r\n", counts[i]), m = 0;
        for (unsigned k = 0; k < counts[i]; k++) {
            n += (size_t)sprintf(bytes + n, "$3\r\n%03u\r\n", k);
            m += (size_t)sprintf(want + m, "[%03u]", k);
        }
        n += (size_t)sprintf(bytes + n, "*1\r\n$1\r\nz\r\n");
        sprintf(want + m, ";[z];");
        expect_limits(&usual, bytes, n, want);
        if (counts[i] > early.max_args)
            sprintf(want, "!ERR Protocol error: unauthenticated multibulk length");
        same(replay(&early, bytes, n, NULL, 0), want, bytes);
    }
}

static void test_empty_requests_are_requests_without_arguments(void)
{
    EXPECT("*0\r\n*-1\r\n\r\n\n   \r\n*-5\r\nPING\r\n", ";;;;;;[PING];");
}

static void test_numbers_may_be_long_and_odd_as_in_redis(void)
{
    EXPECT("*1\r\n$05\r\nhello\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*01\r\n$1\r\na\r\n", "!ERR Protocol error: invalid multibulk length");
    EXPECT("*1\rX$1\rYaZZPING\n", "[a];[PING];"); /* what follows CR is skipped unseen */
}

static void test_inline_commands(void)
{
    EXPECT("SET  k\tv\r\nGET k\n", "[SET][k][v];[GET][k];");
    EXPECT("  PING  \r\n", "[PING];");
    EXPECT("GET a\0b c\r\nPING\r\n", "[GET][a];[PING];");
}

static void test_inline_quotes(void)
{
    EXPECT("SET k \"a b\\n\\x41\\q\\\"\"\r\n", "[SET][k][a b\nAq\"];");
    EXPECT("SET k 'a\\'b\\n'\r\n", "[SET][k][a'b\\n];");
    EXPECT("SET k \"\" ''\r\n", "[SET][k][][];");
    EXPECT("SET foo\"bar baz\" x\r\n", "[SET][foobar baz][x];");
    EXPECT("SET \"\\x4g\\r\\t\\b\\a\"\r\n", "[SET][x4g\r\t\b\a];");
    EXPECT("SET \"a\"b\r\n", "!ERR Protocol error: unbalanced quotes in request");
    EXPECT("SET 'a\r\n", "!ERR Protocol error: unbalanced quotes in request");
    EXPECT("SET \"a\\\"\r\n", "!ERR Protocol error: unbalanced quotes in request");
}

static void test_limits_have_redis_texts(void)
{
    EXPECT("*x\r\n", "!ERR Protocol error: invalid multibulk length");
    EXPECT("*\r\n", "!ERR Protocol error: invalid multibulk length");
    EXPECT("*2147483648\r\n", "!ERR Protocol error: invalid multibulk length");
    EXPECT("*1\r\nGET\r\n", "!ERR Protocol error: expected '$', got 'G'");
    EXPECT("*2\r\n$3\r\nGET\r\n:5\r\n", "!ERR Protocol error: expected '$', got ':'");
    EXPECT("*1\r\n$-1\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*1\r\n$\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*1\r\n$536870913\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*1\r\n$99999999999999999999\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*1\r\n$4294967295\r\n", "!ERR Protocol error: invalid bulk length");
    EXPECT("*1\r\n$536870912\r\nx", "");
}

static void test_a_line_without_end_is_refused(void)
{
    static char line[70000];
    memset(line, '1', sizeof line);
    same(replay(&usual, line, sizeof line, NULL, 0), "!ERR Protocol error: too big inline request", "1...");
    line[0] = '*';
    same(replay(&usual, line, sizeof line, NULL, 0), "!ERR Protocol error: too big mbulk count string",
         "*1...");
    memcpy(line, "*1\r\n$", 5);
    same(replay(&usual, line, sizeof line, NULL, 0), "!ERR Protocol error: too big bulk count string",
         "$1...");
    size_t cut[] = {10, 1000, 65000, 65540, 65545};
    same(replay(&usual, line, sizeof line, cut, 5), "!ERR Protocol error: too big bulk count string",
         "$1...");
}

static void test_a_tls_handshake_is_told_apart_from_a_line(void)
{
    EXPECT("\x16\x03\x01\x02", "!ERR Protocol error: a TLS handshake on a port without TLS");
    EXPECT("\x16\n", "[\x16];");
}

static void test_limits_before_authentication(void)
{
    static const char args[] = "*11\r\n", bulk[] = "*1\r\n$16385\r\n", fine[] = "*1\r\n$16384\r\n";
    expect_limits(&early, args, sizeof args - 1, "!ERR Protocol error: unauthenticated multibulk length");
    expect_limits(&early, bulk, sizeof bulk - 1, "!ERR Protocol error: unauthenticated bulk length");
    expect_limits(&early, fine, sizeof fine - 1, "");
    static const char huge[] = "*1\r\n$536870913\r\n", many[] = "*2147483648\r\n";
    expect_limits(&early, huge, sizeof huge - 1, "!ERR Protocol error: invalid bulk length");
    expect_limits(&early, many, sizeof many - 1, "!ERR Protocol error: invalid multibulk length");
}

static void test_an_announced_count_allocates_nothing(void)
{
    static const char bytes[] = "*1048576\r\n$1\r\na\r\n";
    struct resp_reader r;
    size_t used = 0, need = 0;
    resp_reader_init(&r);
    CU_ASSERT_EQUAL(resp_read(&r, &usual, SLICE_LIT(bytes), &used, &need), RESP_MORE);
    CU_ASSERT_EQUAL(r.cap, 8);
    CU_ASSERT_PTR_EQUAL(r.arg, r.inline_arg);
    resp_reader_reset(&r);
}

static void test_need_tells_what_a_bulk_lacks(void)
{
    struct resp_reader r;
    size_t used = 0, need = 0;
    resp_reader_init(&r);
    CU_ASSERT_EQUAL(resp_read(&r, &usual, SLICE_LIT("*1\r\n$100000\r\nabc"), &used, &need), RESP_MORE);
    CU_ASSERT_EQUAL(need, 100000 + 2 - 3);
    resp_reader_reset(&r);
}

static void test_a_large_table_is_given_back(void)
{
    char bytes[4096];
    int n = sprintf(bytes, "*200\r\n");
    for (int i = 0; i < 200; i++)
        n += sprintf(bytes + n, "$1\r\nx\r\n");
    struct resp_reader r;
    size_t used = 0, need = 0;
    resp_reader_init(&r);
    CU_ASSERT_EQUAL(resp_read(&r, &usual, (struct slice){(uint8_t *)bytes, (size_t)n}, &used, &need),
                    RESP_REQUEST);
    CU_ASSERT_EQUAL(r.argc, 200);
    CU_ASSERT_EQUAL(resp_read(&r, &usual, SLICE_LIT("PING\r\n"), &used, &need), RESP_REQUEST);
    CU_ASSERT_PTR_EQUAL(r.arg, r.inline_arg);
    resp_reader_reset(&r);
}

static uint64_t state = 88172645463325252;
static size_t any(size_t below)
{
    return (size_t)(unit_random(&state) % below);
}

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static const char stream[] =
    "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*2\r\n$3\r\nGET\r\n$5\r\nother\r\n*0\r\nSET k \"v w\"\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n"
    "0123456789\r\n\r\n*-1\r\nPING\n*1\r\n$4\r\nQUIT\r\n*9\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\n"
    "b\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n";

static void test_random_splits_read_the_same(void)
{
    char want[4096];
    strcpy(want, replay(&usual, stream, sizeof stream - 1, NULL, 0));
    CU_ASSERT_STRING_EQUAL(want, "[GET][key];[GET][other];;[SET][k][v w];[SET][k][0123456789];;;[PING];[QUIT];"
                                 "[MGET][a][b][c][d][e][f][g][h];");
    for (int round = 0; round < 2000; round++) {
        size_t cut[8], cuts = any(8);
        for (size_t i = 0; i < cuts; i++)
            cut[i] = any(sizeof stream);
        qsort(cut, cuts, sizeof *cut, ascending);
        same(replay(&usual, stream, sizeof stream - 1, cut, cuts), want, "stream");
    }
}

static void test_requests_that_begin_alike(void)
{
    notes_kept = 0;
    EXPECT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"
           "*2\r\n$3\r\nGEX\r\n$1\r\na\r\n*3\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\nGET q\r\n*2\r\n$3\r\nGET\r\n$1\r\nc\r\n"
           "*2\r\n$3\r\nGET\r\n$2\r\ncd\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$6\r\nXSETID\r\n",
           "[GET][a];[GET][abcdefghijkl];[GET][];[GEX][a];[GET][a][b];[GET][q];[GET][c];[GET][cd];"
           "[PING];[PING];[XSETID];");
    CU_ASSERT(notes_kept > 4);
    EXPECT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n:1\r\na\r\n",
           "[GET][a];!ERR Protocol error: expected '$', got ':'");
}

/* Whatever the damage: the same answer for any split, and no read outside (ASan). */
static void test_damaged_streams(void)
{
    static const char bytes[] = "*$\r\n-019aG\"' \\x\0";
    for (int round = 0; round < 5000; round++) {
        char damaged[sizeof stream], want[4096];
        memcpy(damaged, stream, sizeof stream);
        for (size_t i = 0, n = 1 + any(4); i < n; i++)
            damaged[any(sizeof stream - 1)] = any(3) ? bytes[any(sizeof bytes)] : (char)any(256);
        strcpy(want, replay(&usual, damaged, sizeof damaged - 1, NULL, 0));
        size_t cut[2] = {any(sizeof stream), any(sizeof stream)};
        qsort(cut, 2, sizeof *cut, ascending);
        same(replay(&usual, damaged, sizeof damaged - 1, cut, 2), want, "damaged");
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_arrays),
                                             UNIT(test_requests_of_many_arguments),
                                             UNIT(test_empty_requests_are_requests_without_arguments),
                                             UNIT(test_numbers_may_be_long_and_odd_as_in_redis),
                                             UNIT(test_inline_commands),
                                             UNIT(test_inline_quotes),
                                             UNIT(test_limits_have_redis_texts),
                                             UNIT(test_a_line_without_end_is_refused), UNIT(test_a_tls_handshake_is_told_apart_from_a_line),
                                             UNIT(test_limits_before_authentication),
                                             UNIT(test_an_announced_count_allocates_nothing),
                                             UNIT(test_need_tells_what_a_bulk_lacks),
                                             UNIT(test_a_large_table_is_given_back),
                                             UNIT(test_requests_that_begin_alike),
                                             UNIT(test_random_splits_read_the_same),
                                             UNIT(test_damaged_streams),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "resp/reader", tests);
}
