/* coroutine.c: see coroutine.h. System V Application Binary Interface, AMD64 supplement, 3.2. */
#include "base/coroutine.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
/* What ASan would have to know. */
static inline void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
{
    (void)save;
    (void)bottom;
    (void)size;
}
static inline void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
{
    (void)save;
    (void)bottom;
    (void)size;
}
#endif

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#else
/* What TSan would have to know. */
static inline void *__tsan_get_current_fiber(void)
{
    return NULL;
}
static inline void *__tsan_create_fiber(unsigned flags)
{
    (void)flags;
    return NULL;
}
static inline void __tsan_destroy_fiber(void *fiber)
{
    (void)fiber;
}
static inline void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
    (void)fiber;
    (void)flags;
}
#endif

struct coroutine {
    void *sp, *outside; /* stack pointers of who does not run */
    void (*fn)(void *arg);
    void *arg;
    uint8_t *map; /* guard page and stack */
    size_t map_size, guard;
    bool ended;
    void *fake, *fake_outside; /* ASan's */
    const void *outside_bottom;
    size_t outside_size;
    void *fiber, *fiber_outside; /* TSan's */
};

void coroutine_entry(void);
void coroutine_run(struct coroutine *c);
/* Saves what a callee must keep, and the stack pointer in *save; goes on where `to` was saved. */
void coroutine_switch(void **save, void *to);
__asm__(".text\n"
        ".globl coroutine_switch\n"
        ".hidden coroutine_switch\n"
        ".type coroutine_switch, @function\n"
        "coroutine_switch:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size coroutine_switch, . - coroutine_switch\n");

enum { SAVED = 6 }; /* registers beside the return address */

struct coroutine *coroutine_new(size_t stack)
{
    struct coroutine *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->guard = (size_t)sysconf(_SC_PAGESIZE);
    c->map_size = c->guard + (stack + c->guard - 1) / c->guard * c->guard;
    c->map = mmap(NULL, c->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    c->ended = true;
    if (c->map == MAP_FAILED || mprotect(c->map, c->guard, PROT_NONE) < 0) {
        coroutine_free(c);
        return NULL;
    }
    return c;
}

void coroutine_free(struct coroutine *c)
{
    if (c && c->map != MAP_FAILED)
        munmap(c->map, c->map_size);
    if (c && c->fiber)
        __tsan_destroy_fiber(c->fiber);
    free(c);
}

/* The bottom of its stack. Never returns: the last switch leaves it for good. */
__attribute__((used, visibility("hidden"))) void coroutine_run(struct coroutine *c)
{
    __sanitizer_finish_switch_fiber(NULL, &c->outside_bottom, &c->outside_size);
    c->fn(c->arg);
    c->ended = true;
    __sanitizer_start_switch_fiber(NULL, c->outside_bottom, c->outside_size);
    __tsan_switch_to_fiber(c->fiber_outside, 0);
    coroutine_switch(&c->sp, c->outside);
}

/* coroutine_switch() "returns" to here: the coroutine is in rbx. */
__asm__(".text\n"
        ".hidden coroutine_entry\n"
        ".globl coroutine_entry\n"
        ".type coroutine_entry, @function\n"
        "coroutine_entry:\n"
        "    mov %rbx, %rdi\n"
        "    xor %ebp, %ebp\n"
        "    call coroutine_run\n"
        "    ud2\n"
        ".size coroutine_entry, . - coroutine_entry\n");

void coroutine_begin(struct coroutine *c, void (*fn)(void *arg), void *arg)
{
    /* At coroutine_entry the stack is aligned to 16 bytes, so that its call leaves it as the ABI wants. */
    void **sp = (void **)(void *)(c->map + c->map_size) - 2;
    *--sp = (void *)(uintptr_t)coroutine_entry;
    for (int i = 0; i < SAVED; i++)
        *--sp = NULL;
    sp[4] = c; /* popped into rbx */
    c->sp = sp;
    c->fn = fn;
    c->arg = arg;
    c->ended = false;
    if (c->fiber) /* whoever ran there never returned */
        __tsan_destroy_fiber(c->fiber);
    c->fiber = __tsan_create_fiber(0);
}

bool coroutine_resume(struct coroutine *c)
{
    __sanitizer_start_switch_fiber(&c->fake_outside, c->map + c->guard, c->map_size - c->guard);
    c->fiber_outside = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(c->fiber, 0);
    coroutine_switch(&c->outside, c->sp);
    __sanitizer_finish_switch_fiber(c->fake_outside, NULL, NULL);
    return !c->ended;
}

void coroutine_yield(struct coroutine *c)
{
    __sanitizer_start_switch_fiber(&c->fake, c->outside_bottom, c->outside_size);
    __tsan_switch_to_fiber(c->fiber_outside, 0);
    coroutine_switch(&c->sp, c->outside);
    __sanitizer_finish_switch_fiber(c->fake, &c->outside_bottom, &c->outside_size);
}
