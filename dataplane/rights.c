/* rights.c: see rights.h. The system calls that the dataplane does once it serves, known from the code and from
 * runs of the tests. There is none that opens a file, makes a socket, reaches another process or
 * runs a program. */
#include "rights.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The loop, the channel, memory, time, the C library. What the end would tidy up in folders of root's is for
 * control and the next start. */
static const struct confine_call always[] = {
    {.names = "read readv write writev pwrite64 close fcntl lseek poll ppoll epoll_wait epoll_pwait epoll_ctl epoll_create "
              "accept4 recvfrom recvmsg sendto sendmsg getsockopt memfd_create ftruncate fallocate "
              "fstat newfstatat munmap mremap madvise brk mbind set_mempolicy get_mempolicy futex "
              "nanosleep clock_nanosleep sched_yield restart_syscall clock_gettime clock_getres "
              "gettimeofday time timerfd_settime getpid gettid getuid geteuid getrandom getrusage "
              "sysinfo uname getcpu sched_getaffinity sched_setaffinity rt_sigaction rt_sigprocmask "
              "rt_sigreturn sigaltstack set_robust_list rseq exit exit_group"},
    {.names = "mmap mprotect", .how = CONFINE_WITHOUT, .argument = 2, .value = PROT_EXEC},
    {.names = "unlink unlinkat rmdir", .how = CONFINE_REFUSED, .value = EPERM},
    {0}};

/* A NIC's interrupts, configuration space and link state; a TAP's flags. */
static const struct confine_call of_device[] = {{.names = "ioctl pread64"}, {0}};
/* At the end VFIO's group is looked up once more, by the device's link in sysfs, so that the device is let go of in order. */
static const struct confine_call of_pci[] = {{.names = "ioctl pread64 readlink"}, {0}};
/* A peer in user space that comes, goes and brings its memory along. */
static const struct confine_call of_peer[] = {
    {.names = "ioctl accept eventfd2 bind listen shutdown dup connect setsockopt"},
    {.names = "socket", .how = CONFINE_EQUAL, .value = AF_UNIX},
    {0}};

static const struct confine_call *of_link(enum link_type link)
{
    switch (link) {
    case LINK_TAP:
        return of_device;
    case LINK_PCI:
        return of_pci;
    case LINK_VHOST:
    case LINK_VIRTIO_USER:
    case LINK_MEMIF:
        return of_peer;
    default:
        return NULL;
    }
}

bool rights_drop(const struct rights *r, enum link_type link, char *line, size_t size)
{
    const struct confine_call self[] = {
        {.names = "tgkill", .how = CONFINE_EQUAL, .value = (uint64_t)getpid()},
        {.names = "kill", .how = CONFINE_EQUAL, .value = (uint64_t)getpid()},
        {0}};
    const struct confine_call *const lists[] = {always, self, of_link(link), NULL};
    static const char *const told[] = {"no filter of system calls",
                                       "system calls beside ours are told to the audit log",
                                       "system calls beside ours end it"};
    bool root = geteuid() == 0;
    if (root && r->leave_root && !confine_become(&r->user, line, size))
        return false;
    if (!confine_calls(r->calls, "sluice-dataplane", lists, line, size))
        return false;
    if (root && !r->leave_root)
        snprintf(line, size, "The dataplane stays root (no user was given to it); %s", told[r->calls]);
    else
        snprintf(line, size, "The dataplane goes on as user %u without capabilities; %s", geteuid(),
                 told[r->calls]);
    return true;
}
