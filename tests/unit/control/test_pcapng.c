/* test_pcapng.c: what control/pcapng.c writes, read back block by block, and by tcpdump where it is
 * installed. */
#include "control/pcapng.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return v;
}

static uint16_t u16(const void *at)
{
    uint16_t v;
    memcpy(&v, at, 2);
    return v;
}

/* The block at *at, whose two lengths agree; moves *at behind it. NULL: there is none, or it is not whole. */
static const char *next_block(const struct text *t, size_t *at, uint32_t *type, uint32_t *len)
{
    if (t->len - *at < 12)
        return NULL;
    const char *p = t->p + *at;
    *type = u32(p);
    *len = u32(p + 4);
    if (*len < 12 || *len % 4 || *len > t->len - *at || u32(p + *len - 4) != *len)
        return NULL;
    *at += *len;
    return p + 8;
}

/* An option of a block's list; NULL if it is not there or the list is not whole. */
static const char *option(const char *p, const char *end, unsigned code, uint16_t *len)
{
    while (end - p >= 4) {
        unsigned found = u16(p);
        *len = u16(p + 2);
        if (found == code && *len <= end - p - 4)
            return p + 4;
        if (found == 0)
            return NULL;
        p += 4 + ((*len + 3) & ~3);
    }
    return NULL;
}

static const uint8_t frame[61] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06};

static struct text a_file(const char *filter)
{
    struct text t = {0};
    const struct pcapng_source source = {"test 1", "slu0", filter, 65280};
    const struct pcapng_packet packet = {0x1122334455667788, 3, 2, 1500, sizeof frame, frame};
    const struct pcapng_totals totals = {1, 2, 10, 9, 8, 7};
    pcapng_begin(&t, &source);
    pcapng_add(&t, &packet);
    pcapng_end(&t, &totals);
    return t;
}

static void test_blocks_read_back(void)
{
    struct text t = a_file("tcp port 80");
    size_t at = 0;
    uint32_t type, len;
    uint16_t n;
    const char *p = next_block(&t, &at, &type, &len), *o;
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(type, 0x0a0d0d0a);
    CU_ASSERT_EQUAL(u32(p), 0x1a2b3c4d);
    CU_ASSERT_EQUAL(u16(p + 4), 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(p = next_block(&t, &at, &type, &len));
    CU_ASSERT_EQUAL(type, 1);
    CU_ASSERT_EQUAL(u16(p), 1); /* Ethernet */
    CU_ASSERT_EQUAL(u32(p + 4), 65280);
    o = option(p + 8, p + len - 12, 9, &n);
    CU_ASSERT_TRUE(o && n == 1 && *o == 9);
    o = option(p + 8, p + len - 12, 11, &n);
    CU_ASSERT_TRUE(o && n == 12 && memcmp(o, "\0tcp port 80", 12) == 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(p = next_block(&t, &at, &type, &len));
    CU_ASSERT_EQUAL(type, 6);
    CU_ASSERT_EQUAL(u32(p + 4), 0x11223344);
    CU_ASSERT_EQUAL(u32(p + 8), 0x55667788);
    CU_ASSERT_EQUAL(u32(p + 12), sizeof frame);
    CU_ASSERT_EQUAL(u32(p + 16), 1500);
    CU_ASSERT_EQUAL(memcmp(p + 20, frame, sizeof frame), 0);
    o = option(p + 20 + 64, p + len - 12, 2, &n);
    CU_ASSERT_TRUE(o && n == 4 && u32(o) == 2);
    o = option(p + 20 + 64, p + len - 12, 6, &n);
    CU_ASSERT_TRUE(o && n == 4 && u32(o) == 3);

    CU_ASSERT_PTR_NOT_NULL_FATAL(p = next_block(&t, &at, &type, &len));
    CU_ASSERT_EQUAL(type, 5);
    static const struct {
        unsigned code, value;
    } counts[] = {{4, 10}, {6, 9}, {7, 8}, {8, 7}};
    for (unsigned i = 0; i < 4; i++) {
        o = option(p + 12, p + len - 12, counts[i].code, &n);
        CU_ASSERT_TRUE(o && n == 8 && u32(o) == counts[i].value && u32(o + 4) == 0);
    }
    CU_ASSERT_EQUAL(at, t.len);
    text_free(&t);
}

static void test_no_filter_no_option(void)
{
    struct text t = a_file("");
    size_t at = 0;
    uint32_t type, len;
    uint16_t n;
    next_block(&t, &at, &type, &len);
    const char *p = next_block(&t, &at, &type, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NULL(option(p + 8, p + len - 12, 11, &n));
    text_free(&t);
}

static void test_tcpdump_reads_it(void)
{
    struct text t = a_file("arp");
    char path[] = "/tmp/test_pcapng.XXXXXX", command[128];
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, t.p, t.len), (ssize_t)t.len);
    close(fd);
    snprintf(command, sizeof command,
             "command -v tcpdump >/dev/null || exit 77; tcpdump -nr %s >/dev/null 2>&1", path);
    int status = system(command);
    if (status == 77 << 8)
        unit_skip("tcpdump is not installed");
    else
        CU_ASSERT_EQUAL(status, 0);
    unlink(path);
    text_free(&t);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_blocks_read_back),
        UNIT(test_no_filter_no_option),
        UNIT(test_tcpdump_reads_it),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "control/pcapng", tests);
}
