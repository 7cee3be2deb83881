/* rights.c: see rights.h. */
#include "control/rights.h"
#include "board/confine.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files, sockets, processes of our own (libpcap, a snapshot on its way in), the C library with its name
 * services. No new program, no other user, no namespace, nobody else's memory, nothing of the kernel's. */
static const struct confine_call ours[] = {
    {.names = "read readv pread64 preadv write writev pwrite64 pwritev open openat close close_range "
              "lseek fcntl flock ioctl dup dup2 dup3 fsync fdatasync sync_file_range ftruncate "
              "fallocate fadvise64 sendfile copy_file_range stat fstat lstat newfstatat statx statfs "
              "fstatfs access faccessat faccessat2 readlink readlinkat getcwd getdents64 mkdir mkdirat "
              "rmdir unlink unlinkat rename renameat renameat2 link linkat chmod fchmod fchmodat chown "
              "fchown fchownat lchown umask "
              "utimensat socket socketpair connect bind listen accept accept4 shutdown getsockopt "
              "setsockopt getsockname getpeername recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg "
              "pipe pipe2 eventfd2 timerfd_create timerfd_settime signalfd4 memfd_create poll ppoll "
              "select pselect6 epoll_create1 epoll_create epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
              "mmap munmap mremap madvise msync mlock munlock brk futex clone clone3 fork vfork wait4 "
              "waitid exit exit_group kill tgkill pidfd_open pidfd_send_signal setsid setpgid getpgrp "
              "alarm setitimer rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigsuspend "
              "sigaltstack restart_syscall getpid getppid gettid getuid geteuid getgid getegid "
              "getgroups getrandom getrusage getrlimit prlimit64 sysinfo uname prctl setpriority "
              "ioprio_set getcpu sched_getaffinity sched_yield set_robust_list set_tid_address rseq "
              "membarrier clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times "
              "arch_prctl"},
    {.names = "mprotect", .how = CONFINE_WITHOUT, .argument = 2, .value = PROT_EXEC},
    {0}};

static void arrange(struct rights *r, const char *program, const char *socket, const char *instance,
                    const char *seccomp)
{
    unsigned n = 0;
    const struct {
        const char *option, *value;
    } options[] = {{"--channel", socket},
                   {"--instance", instance},
                   {"--user", *r->user ? r->user : NULL},
                   {"--control", *r->control ? r->control : NULL},
                   {"--seccomp", strcmp(seccomp, "enforce") == 0 ? NULL : seccomp}};
    r->command[n++] = program;
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].value) {
            r->command[n++] = options[i].option;
            r->command[n++] = options[i].value;
        }
    r->command[n] = NULL;
}

static void tell(char *text, size_t size, const struct confine_user *u)
{
    snprintf(text, size, "%u:%u", u->uid, u->gid);
}

/* What holds a key is never written to a swap device. Only without a limit: with one, memory would end at it.
 */
static bool keep_in_memory(void)
{
    return setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0 &&
           mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

static bool leave_root(struct rights *r, const struct confine_user *user, const char *updates)
{
    const struct confine_call *const lists[] = {ours, NULL};
    r->starter = starter_new(r->command, updates);
    if (!r->starter) {
        snprintf(r->line, sizeof r->line, "control-user: no process that starts the dataplane: %s",
                 strerror(errno));
        return false;
    }
    r->kept = keep_in_memory();
    (void)getpwuid((uid_t)-2); /* the name services are looked for and loaded now */
    return confine_become(user, r->line, sizeof r->line) &&
           confine_calls(CONFINE_ENFORCE, "sluice-control", lists, r->line, sizeof r->line);
}

bool rights_take(struct rights *r, const struct settings *s, const char *program, const char *socket,
                 const char *instance, const char *updates)
{
    const char *name = settings_get(s, "dataplane-user"), *own = settings_get(s, "control-user");
    struct confine_user dataplane, control;
    bool root = geteuid() == 0, known = root && confine_find(name, &dataplane), leaves = root && *own;
    *r = (struct rights){.warning = root && *name && !known};
    if (leaves && (!confine_find(own, &control) || !control.uid || !control.gid)) {
        snprintf(
            r->line, sizeof r->line,
            "control-user %.64s: there is no such user beside root; make it (adduser --system --group %.64s) "
            "or correct the directive",
            own, own);
        return false;
    }
    if (known && dataplane.uid && dataplane.gid)
        tell(r->user, sizeof r->user, &dataplane);
    if (leaves)
        tell(r->control, sizeof r->control, &control);
    arrange(r, program, socket, instance, settings_get(s, "dataplane-seccomp"));
    umask(027);
    confine_begin(false);
    if (leaves && !leave_root(r, &control, updates))
        return false;
    if (r->warning)
        snprintf(r->line, sizeof r->line,
                 "dataplane-user %.64s: there is no such user: the dataplane stays root", name);
    else if (leaves)
        snprintf(r->line, sizeof r->line,
                 "Control goes on as user %.64s without capabilities; system calls beside its own end it; "
                 "its memory %s",
                 own, r->kept ? "is not swapped" : "may be swapped: RLIMIT_MEMLOCK");
    return true;
}

void rights_release(struct rights *r)
{
    starter_free(r->starter);
    r->starter = NULL;
}
