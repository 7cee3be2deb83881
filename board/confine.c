/* confine.c: see confine.h. The filter is libseccomp's; what this file adds is a violation that says its
 * name. */
#include "board/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { CALLS = 512, NAME = 24 };

/* For the handler, which may look nothing up. */
static char call_name[CALLS][NAME], program_name[32];

static bool fail(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool fail(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

/* -- who we are --------------------------------------------------------------------------------------- */

bool confine_find(const char *name, struct confine_user *user)
{
    const struct passwd *p = *name ? getpwnam(name) : NULL;
    if (p)
        *user = (struct confine_user){p->pw_uid, p->pw_gid};
    return p != NULL;
}

bool confine_parse(const char *text, struct confine_user *user)
{
    char *end;
    errno = 0;
    unsigned long uid = strtoul(text, &end, 10);
    if (errno || end == text || *end != ':' || uid == 0 || uid >= UINT32_MAX)
        return false;
    const char *group = end + 1;
    unsigned long gid = strtoul(group, &end, 10);
    if (errno || end == group || *end || gid == 0 || gid >= UINT32_MAX)
        return false;
    *user = (struct confine_user){(uid_t)uid, (gid_t)gid};
    return true;
}

bool confine_mode(const char *word, enum confine_mode *mode)
{
    static const char *const words[] = {"off", "log", "enforce"};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *mode = (enum confine_mode)i;
            return true;
        }
    return false;
}

static void drop_bounds(void)
{
    for (int c = 0; c <= CAP_LAST_CAP; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

void confine_begin(bool alone)
{
    if (alone)
        drop_bounds();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (SANITIZED)
        return;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

bool confine_become(const struct confine_user *user, char *error, size_t size)
{
    drop_bounds();
    /* glibc does these in every thread; leaving root takes the capabilities along. */
    if (setgroups(0, NULL) || setresgid(user->gid, user->gid, user->gid) ||
        setresuid(user->uid, user->uid, user->uid))
        return fail(error, size, "cannot become user %u: %s", user->uid, strerror(errno));
    if (setuid(0) == 0 || setgid(0) == 0)
        return fail(error, size, "root came back after it was given up");
    prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0); /* a change of user makes the kernel's default of it */
    return true;
}

/* -- what we may do ----------------------------------------------------------------------------------- */

static size_t add(char *to, size_t at, const char *text)
{
    while (*text && at < 160)
        to[at++] = *text++;
    return at;
}

/* malloc looks at these when it first gives part of a thread's memory back, or makes a thread memory of its own, and copes
 * without. */
static bool asked_by_malloc(const ucontext_t *at, int call)
{
    static const char *const files[] = {"/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu/online",
                                        "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu", "/proc/stat"};
    const char *path = (const char *)(uintptr_t)at->uc_mcontext.gregs[REG_RSI];
    if (call != SCMP_SYS(openat) || (int)at->uc_mcontext.gregs[REG_RDI] != AT_FDCWD)
        return false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(path, files[i]) == 0)
            return true;
    return false;
}

/* The call has not been done. Async-signal-safe. */
static void on_violation(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    int call = info->si_syscall, saved = errno;
    char line[192], digits[16];
    size_t n = 0, d = 0;
    (void)number;
    if (asked_by_malloc(at, call)) {
        at->uc_mcontext.gregs[REG_RAX] = -EACCES;
        errno = saved;
        return;
    }
    for (unsigned v = (unsigned)call; d < 10 && (v || d == 0); v /= 10)
        digits[d++] = (char)('0' + v % 10);
    n = add(line, n, program_name);
    n = add(line, n, ": system call ");
    n = add(line, n, call >= 0 && call < CALLS && call_name[call][0] ? call_name[call] : "unknown");
    n = add(line, n, " (");
    while (d)
        line[n++] = digits[--d];
    n = add(line, n, ") is not allowed here: ended\n");
    (void)!write(2, line, n);
    _exit(CONFINE_STATUS);
}

static bool allow(scmp_filter_ctx filter, const struct confine_call *c, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0)
        return true;
    switch (c->how) {
    case CONFINE_EQUAL:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_CMP64(c->argument, SCMP_CMP_EQ, c->value)) == 0;
    case CONFINE_WITHOUT:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_CMP64(c->argument, SCMP_CMP_MASKED_EQ, c->value, 0)) == 0;
    case CONFINE_REFUSED:
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(c->value), number, 0) == 0;
    default:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0;
    }
}

/* A sanitizer's report and its search for leaks at the end. */
static const struct confine_call for_sanitizers[] = {
    {.names =
         "open openat readlink readlinkat ptrace clone wait4 prctl fork execve pipe pipe2 dup dup2 kill "
         "getdents64 stat getppid arch_prctl prlimit64 mmap mprotect sigaltstack tgkill uname newfstatat "
         "ioctl sched_yield getrlimit"},
    {0}};

static bool allow_all(scmp_filter_ctx filter, const struct confine_call *row)
{
    for (; row->names; row++)
        for (const char *at = row->names, *end; *at; at = end + strspn(end, " ")) {
            char name[NAME];
            end = at + strcspn(at, " ");
            snprintf(name, sizeof name, "%.*s", (int)(end - at), at);
            if (!allow(filter, row, name))
                return false;
        }
    return true;
}

static void remember_names(const char *program)
{
    snprintf(program_name, sizeof program_name, "%s", program);
    for (int i = 0; i < CALLS; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
        snprintf(call_name[i], sizeof call_name[i], "%s", name ? name : "");
        free(name);
    }
}

bool confine_calls(enum confine_mode mode, const char *program, const struct confine_call *const lists[],
                   char *error, size_t size)
{
    if (mode == CONFINE_OFF)
        return true;
    struct sigaction on = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO};
    remember_names(program);
    sigaction(SIGSYS, &on, NULL);
    scmp_filter_ctx filter = seccomp_init(mode == CONFINE_LOG ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
    bool ok = filter && seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
              seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
              (!SANITIZED || allow_all(filter, for_sanitizers));
    /* An older kernel would make every process with a filter a slow one (speculative store bypass); what
     * knows no such flag goes without. */
    if (ok)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    /* A tree instead of a chain: a few comparisons a call. */
    if (ok)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (; ok && *lists; lists++)
        ok = allow_all(filter, *lists);
    int loaded = ok ? seccomp_load(filter) : -ENOMEM;
    if (filter)
        seccomp_release(filter);
    return loaded == 0 || fail(error, size, "no filter of system calls: %s", strerror(-loaded));
}
