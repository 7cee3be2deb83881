/* inject.c: what somebody can do who has taken over a process: stops a thread of it by ptrace(2), has it do
 * one system call, and tells what came of it. For the tests of what the dataplane gives up (confinement.sh).
 * Needs root.
 *
 *     inject PID CALL [TEXT | NUMBER]...     prints "= RESULT" (as the kernel returns it: -errno), or "ended"
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static int fail(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    return 1;
}

/* A text below the stack's red zone; its address. */
static unsigned long long put_text(pid_t pid, unsigned long long *room, const char *text)
{
    size_t words = strlen(text) / 8 + 1;
    *room -= 8 * words;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = 0;
        size_t left = strlen(text) - i * 8;
        memcpy(&word, text + i * 8, left < 8 ? left : 8);
        ptrace(PTRACE_POKEDATA, pid, (void *)(uintptr_t)(*room + i * 8), (void *)(uintptr_t)word);
    }
    return *room;
}

int main(int argc, char **argv)
{
    struct user_regs_struct before, now;
    int status;
    if (argc < 3 || argc > 9)
        return 2;
    pid_t pid = (pid_t)atoi(argv[1]);
    int call = seccomp_syscall_resolve_name(argv[2]);
    if (call < 0 || ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid)
        return fail(argv[2]);
    /* It waits in a system call: the two bytes before where it is are the instruction. */
    if (ptrace(PTRACE_GETREGS, pid, NULL, &before) < 0 ||
        (ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)(before.rip - 2), NULL) & 0xffff) != 0x050f)
        return fail("it is not in a system call");
    now = before;
    unsigned long long room = (before.rsp - 512) & ~15ull;
    unsigned long long *const argument[] = {&now.rdi, &now.rsi, &now.rdx, &now.r10, &now.r8, &now.r9};
    for (int i = 3; i < argc; i++) {
        char *end;
        long long number = strtoll(argv[i], &end, 0);
        *argument[i - 3] = *end || !*argv[i] ? put_text(pid, &room, argv[i]) : (unsigned long long)number;
    }
    now.rax = (unsigned long long)call;
    now.orig_rax = -1ull;
    now.rip = before.rip - 2;
    if (ptrace(PTRACE_SETREGS, pid, NULL, &now) < 0 || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
        return fail("ptrace");
    for (int signal, refused = 0; waitpid(pid, &status, __WALL) == pid;) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            puts("ended");
            return 0;
        }
        signal = WSTOPSIG(status);
        if (signal == SIGTRAP && !refused) {
            ptrace(PTRACE_GETREGS, pid, NULL, &now);
            before.rax = (unsigned long long)-EINTR; /* what its own call came to */
            before.orig_rax = -1ull;
            ptrace(PTRACE_SETREGS, pid, NULL, &before);
            ptrace(PTRACE_DETACH, pid, NULL, NULL);
            printf("= %lld\n", (long long)now.rax);
            return 0;
        }
        /* SIGSYS: its handler has the word, and begins with another step's SIGTRAP. */
        refused |= signal == SIGSYS;
        ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)(signal == SIGTRAP ? 0 : signal));
    }
    return fail("waitpid");
}
