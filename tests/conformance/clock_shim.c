/* clock_shim.c: test tool, LD_PRELOADed into a server: the wall clock is the 64-bit count of milliseconds in
 * the file named by SHARED_CLOCK, which whoever runs the test maps and moves. So two servers have the same
 * time to the millisecond, and expiry needs no sleeping. The monotonic clocks stay as they are.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic uint64_t *now;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("SHARED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, fd, 0);
    now = at == MAP_FAILED ? NULL : at;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!now || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return (int)syscall(SYS_clock_gettime, clock, t);
    uint64_t ms = *now;
    *t = (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    (void)zone;
    struct timespec real;
    int status = clock_gettime(CLOCK_REALTIME, &real);
    *t = (struct timeval){.tv_sec = real.tv_sec, .tv_usec = real.tv_nsec / 1000};
    return status;
}

time_t time(time_t *t)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    if (t)
        *t = real.tv_sec;
    return real.tv_sec;
}
