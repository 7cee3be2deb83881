/* bulk.c: the bulk rings: a memfd that lives as long as the dataplane, since workers write to it whether control is
 * there or not. It has a pair of rings for each worker there can be; what nobody touches takes no memory. */
#include "channel/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

bool bulk_open(struct channel *ch, char *error, size_t size)
{
    void *p = MAP_FAILED;
    ch->bulk_fd = memfd_create("sluice-bulk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ch->bulk_fd >= 0 && ftruncate(ch->bulk_fd, CHANNEL_BULK_SIZE) == 0 &&
        fcntl(ch->bulk_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        p = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ch->bulk_fd, 0);
    if (p == MAP_FAILED) {
        snprintf(error, size, "cannot make the rings of snapshots (%d bytes of shared memory): %s", CHANNEL_BULK_SIZE,
                 strerror(errno));
        return false;
    }
    ch->bulk = p;
    return true;
}

void bulk_close(struct channel *ch)
{
    if (ch->bulk)
        munmap(ch->bulk, CHANNEL_BULK_SIZE);
    if (ch->bulk_fd >= 0)
        close(ch->bulk_fd);
    ch->bulk = NULL;
    ch->bulk_fd = -1;
}

void *channel_bulk(struct channel *ch)
{
    return ch->bulk;
}
