/* fuzz_aof.c: a file of an append-only log, and a manifest, of any bytes. What is called sound is given whole and in order; what is
 * in the manifest stays in its folder. */
#include "control/aof_folder.h"
#include "control/aof_read.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct given {
    const uint8_t *data;
    uint64_t good, at;
    bool whole;
};

static void taken(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole)
{
    struct given *g = ctx;
    MUST(n > 0 && n <= AOF_PIECE, "a piece of no possible size");
    MUST(at <= g->good && at >= n && at - n >= g->at, "a piece out of place");
    MUST(memcmp(g->data + at - n, p, n) == 0, "other bytes than in the file");
    g->at = at;
    g->whole = whole;
}

static void read_log(const uint8_t *data, size_t size)
{
    struct aof_check check;
    int fd = memfd_create("aof", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size, "no memory for a file");
    bool sound = aof_check(fd, 0, &check);
    MUST(check.good <= size && sound == (check.good == size), "what is good is not what is sound");
    struct given g = {.data = data, .good = check.good, .whole = true};
    MUST(aof_read(fd, 0, check.good, taken, &g) && g.whole, "what is good cannot be read");
    close(fd);
}

static void read_manifest(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct aof_folder *f = aof_folder_new("d", "f", "a");
    memcpy(text, data, size);
    text[size] = 0;
    if (aof_folder_parse(f, text))
        for (unsigned i = 0; i < f->n; i++)
            MUST(!strchr(f->file[i].name, '/') && f->file[i].seq, "a file outside of the folder");
    aof_folder_free(f);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_log(data, size);
    read_manifest(data, size);
    return 0;
}
