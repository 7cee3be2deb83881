/* kept.c: see kept.h. memfd_create(2), and for the side file: struct side_head, struct side_link, lengths, texts. The link has a
 * place of its own, so that it can be noted while a worker writes the rest. */
#include "kept.h"

#include "base/crc64.h"
#include "script/library.h"
#include "store/store.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum { HUGEPAGE = 2 << 20, SIDE_MOST = 512 << 20 };
#define SIDE_MAGIC UINT64_C(0x5344695365636c54)
#define LINK_MAGIC UINT64_C(0x5344694b6e694c53)

struct side_head {
    uint64_t magic, layout, texts, bytes, sum; /* sum: of lengths and texts */
};

struct side_link {
    uint64_t magic, link, left_ms; /* left: by CLOCK_MONOTONIC */
};
enum { LINK_AT = sizeof(struct side_head), TEXTS_AT = LINK_AT + sizeof(struct side_link) };

/* -- the files -- */

static int make_file(bool huge)
{
    int fd = memfd_create("sluice-memory", MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
    if (fd >= 0)
        (void)!fchmod(fd, 0600);
    return fd;
}

/* Is it what we would have made: without a name, ours, of that kind of pages? */
static bool is_such_file(int fd, bool huge)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return false;
    bool kind = huge ? fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize == HUGEPAGE : fs.f_type == TMPFS_MAGIC;
    return kind && S_ISREG(st.st_mode) && st.st_nlink == 0 && (st.st_mode & 0077) == 0;
}

static int take_file(int fd, bool huge)
{
    if (fd >= 0 && is_such_file(fd, huge)) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return make_file(huge);
}

bool kept_open(struct kept *k, const char *inherited)
{
    int fd[KEPT_FILES] = {-1, -1, -1};
    if (inherited && sscanf(inherited, "%d,%d,%d", &fd[0], &fd[1], &fd[2]) != KEPT_FILES)
        fd[0] = fd[1] = fd[2] = -1;
    k->arena.huge = take_file(fd[0], true);
    k->arena.small = take_file(fd[1], false);
    k->side = take_file(fd[2], false);
    /* Without hugepages there is no such file: control holds an empty one in its place. */
    k->handed[0] = k->arena.huge >= 0 ? k->arena.huge : make_file(false);
    k->handed[1] = k->arena.small;
    k->handed[2] = k->side;
    return k->handed[0] >= 0 && k->handed[1] >= 0 && k->handed[2] >= 0;
}

void kept_close(struct kept *k)
{
    for (unsigned i = 0; i < KEPT_FILES; i++)
        if (k->handed[i] >= 0)
            close(k->handed[i]);
    *k = (struct kept){.arena = {-1, -1}, .side = -1, .handed = {-1, -1, -1}};
}

uint64_t kept_hugepages(const struct kept *k)
{
    enum { STAT_BLOCK = 512 };
    struct stat st;
    return k->arena.huge >= 0 && fstat(k->arena.huge, &st) == 0 ? (uint64_t)st.st_blocks * STAT_BLOCK : 0;
}

/* -- the side file -- */

static bool write_all(int fd, const void *p, size_t n, off_t *at)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(fd, (const uint8_t *)p + done, n - done, *at);
        if (w <= 0)
            return false;
        done += (size_t)w;
        *at += w;
    }
    return true;
}

static bool read_all(int fd, void *p, size_t n, off_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = pread(fd, (uint8_t *)p + done, n - done, at + (off_t)done);
        if (r <= 0)
            return false;
        done += (size_t)r;
    }
    return true;
}

void kept_forget(const struct kept *k)
{
    if (k->side >= 0)
        (void)!ftruncate(k->side, 0);
}

static uint64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void kept_link(const struct kept *k, uint64_t link)
{
    const struct side_link who = {.magic = LINK_MAGIC, .link = link, .left_ms = monotonic_ms()};
    off_t at = LINK_AT;
    if (k->side >= 0)
        (void)!write_all(k->side, &who, sizeof who, &at);
}

bool kept_write(const struct kept *k, const struct scripts *scripts)
{
    struct side_head h = {.magic = SIDE_MAGIC, .layout = keyspace_layout()};
    const struct library *first = libraries_first(scripts_libraries(scripts));
    off_t at = TEXTS_AT;
    kept_forget(k);
    for (const struct library *l = first; l; l = l->next) {
        uint32_t len = (uint32_t)l->code.len;
        h.sum = crc64(h.sum, &len, sizeof len);
        h.texts++;
        h.bytes += len;
        if (l->code.len > SIDE_MOST || !write_all(k->side, &len, sizeof len, &at))
            return false;
    }
    for (const struct library *l = first; l; l = l->next) {
        h.sum = crc64(h.sum, l->code.p, l->code.len);
        if (!write_all(k->side, l->code.p, l->code.len, &at))
            return false;
    }
    at = 0;
    return h.bytes <= SIDE_MOST && write_all(k->side, &h, sizeof h, &at);
}

void kept_texts_free(struct kept_texts *t)
{
    free(t->bytes);
    free(t->len);
    *t = (struct kept_texts){0};
}

static bool lengths_fit(const struct kept_texts *t, uint64_t bytes)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->n; i++)
        sum += t->len[i];
    return sum == bytes;
}

static uint64_t read_link(const struct kept *k)
{
    struct side_link l;
    bool known = read_all(k->side, &l, sizeof l, LINK_AT) && l.magic == LINK_MAGIC;
    return known && monotonic_ms() - l.left_ms < KEPT_LINK_MS ? l.link : 0;
}

bool kept_read(const struct kept *k, struct kept_texts *t)
{
    struct side_head h;
    *t = (struct kept_texts){0};
    if (!read_all(k->side, &h, sizeof h, 0) || h.magic != SIDE_MAGIC || h.layout != keyspace_layout() ||
        h.texts > SIDE_MOST / sizeof *t->len || h.bytes > SIDE_MOST)
        return false;
    size_t lengths = h.texts * sizeof *t->len;
    t->n = (uint32_t)h.texts;
    t->link = read_link(k);
    t->len = malloc(lengths ? lengths : 1);
    t->bytes = malloc(h.bytes ? h.bytes : 1);
    if (t->len && t->bytes && read_all(k->side, t->len, lengths, TEXTS_AT) &&
        read_all(k->side, t->bytes, h.bytes, (off_t)(TEXTS_AT + lengths)) && lengths_fit(t, h.bytes) &&
        crc64(crc64(0, t->len, lengths), t->bytes, h.bytes) == h.sum)
        return true;
    kept_texts_free(t);
    return false;
}
