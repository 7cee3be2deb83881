/* coroutine.h: a function on a stack of its own that may stop in the middle and go on later, in one thread.
 * No signal mask, no system call: a switch saves what the System V ABI for x86-64 (3.2.1) lets a callee keep.
 * ASan is told of each switch. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct coroutine;

/* A stack of so many bytes with a guard page below. NULL without memory. */
struct coroutine *coroutine_new(size_t stack);
/* Not while its function has begun and has not ended. NULL is nothing. */
void coroutine_free(struct coroutine *c);

/* Sets what the next coroutine_resume() begins with: it must have ended, or be new. */
void coroutine_begin(struct coroutine *c, void (*fn)(void *arg), void *arg);
/* Runs it until it ends or yields. True if it has yielded. Not from inside a coroutine. */
bool coroutine_resume(struct coroutine *c);
/* From inside: back to who has resumed it. */
void coroutine_yield(struct coroutine *c);
