/* test_rdb.c: the walk over RDB files and the stream of records that is made of one, on files with random
 * damage: they end, say where, and touch nothing beyond (run it with sanitizers). */
#include "channel/messages.h"
#include "control/rdb_stream.h"
#include "control/rdb_walk.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every opcode and many forms; no checksum, so that damage gets as far as it can. */
static const uint8_t head[] = "REDIS0012"
                              "\xfa\x09redis-ver\x05"
                              "7.4.0"
                              "\xf7\x81\0\0\0\1\0\0\0\0\2\1\5\3abc\0"; /* a module's AUX */

static int file_of(const uint8_t *p, size_t n)
{
    int fd = memfd_create("rdb", MFD_CLOEXEC);
    if (write(fd, p, n) != (ssize_t)n)
        abort();
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static size_t build(uint8_t *p)
{
    static const uint8_t keys[] =
        "\xfe\x03\xfb\x09\x01"
        "\xfc\x01\x02\x03\x04\x05\x06\x07\x00\x00\x01"
        "a\xc1\x10\x27"
        "\xf8\x07\x01\x01l\x02\x01x\xc0\x05"
        "\xf9\x09\x05\x01z\x01\x01m\x00\x00\x00\x00\x00\x00\xf0\x3f"
        "\x03\x01Z\x02\x01m\x03"
        "1.5\x01n\xfe"
        "\x12\x01q\x01\x02\x0b\x0b\x00\x00\x00\x01\x00\x81x\x02\xff\x00"
        "\x18\x01h\x10\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01"
        "f\x01v"
        "\x15\x01s\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01g\x00\x00\x00\x00\x00";
    size_t n = sizeof head - 1;
    memcpy(p, head, n);
    memcpy(p + n, keys, sizeof keys - 1);
    n += sizeof keys - 1;
    memcpy(p + n, "\xff\0\0\0\0\0\0\0\0", 9);
    return n + 9;
}

static const struct rdb_events nothing;

static void test_sound(void)
{
    uint8_t p[512];
    size_t n = build(p);
    struct rdb_walk w;
    int fd = file_of(p, n);
    bool good = rdb_walk(&w, fd, &nothing, NULL);
    if (!good)
        printf("# %s\n", w.why);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_EQUAL(w.keys, 7);
    CU_ASSERT_EQUAL(w.sum, RDB_SUM_NONE);
    close(fd);
}

static void test_every_cut(void)
{
    uint8_t p[512];
    size_t n = build(p);
    struct rdb_walk w;
    for (size_t cut = 0; cut < n; cut++) {
        int fd = file_of(p, cut);
        CU_ASSERT_FALSE(rdb_walk(&w, fd, &nothing, NULL));
        CU_ASSERT_TRUE(w.bad_at <= cut);
        close(fd);
    }
}

/* The items of a stream, each whole, the last one END or FAILED. */
static bool items_are_sound(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *p = malloc((size_t)size + 1);
    bool ended = false, good = pread(fd, p, (size_t)size, 0) == size;
    for (off_t at = 0; good && at < size;) {
        uint32_t n;
        good = size - at >= LOAD_ITEM_HEADER && !ended;
        if (!good)
            break;
        memcpy(&n, p + at + 1, sizeof n);
        good = n <= LOAD_ITEM_MAX && size - at - LOAD_ITEM_HEADER >= n;
        ended = p[at] == LOAD_END || p[at] == LOAD_FAILED;
        at += LOAD_ITEM_HEADER + n;
    }
    free(p);
    return good && ended;
}

static void test_damage(void)
{
    uint8_t p[512], hurt[512];
    size_t n = build(p);
    uint64_t random = 88172645463325252ull;
    for (int round = 0; round < 3000; round++) {
        memcpy(hurt, p, n);
        for (int i = 0; i < 1 + round % 4; i++) {
            unit_random(&random);
            hurt[9 + random % (n - 9)] = (uint8_t)(random >> 32);
        }
        int fd = file_of(hurt, n), to = memfd_create("items", MFD_CLOEXEC);
        CU_ASSERT_TRUE(rdb_stream(fd, dup(to)));
        CU_ASSERT_TRUE(items_are_sound(to));
        close(to);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_sound), UNIT(test_every_cut), UNIT(test_damage), {NULL, NULL}};
    return unit_main(argc, argv, "control/rdb", tests);
}
