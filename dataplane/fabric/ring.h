/* ring.h: a single-producer single-consumer ring of pointers between two threads (Lamport 1983, with cached
 * indices so that a side touches the other's cache line only when it must). Bounded: a full ring refuses, the
 * caller keeps its item. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    _Alignas(64) _Atomic(uint32_t) head; /* next to read, written by the consumer */
    uint32_t tail_seen;                  /* consumer's copy of tail */
    _Alignas(64) _Atomic(uint32_t) tail; /* next to write, written by the producer */
    uint32_t head_seen;                  /* producer's copy of head */
    _Alignas(64) uint32_t mask;
    void *slot[];
};

/* A ring of `size` slots, a power of two. NULL if out of memory. Free with free(). */
struct ring *ring_new(uint32_t size);

/* False when full: the item stays the caller's. */
static inline bool ring_push(struct ring *r, void *item)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail - r->head_seen > r->mask) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail - r->head_seen > r->mask)
            return false;
    }
    r->slot[tail & r->mask] = item;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

/* Is there an item to pull? */
static inline bool ring_waits(struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head != r->tail_seen)
        return true;
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head != r->tail_seen;
}

/* The oldest item, the caller's from now on, or NULL. */
static inline void *ring_pull(struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head == r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head == r->tail_seen)
            return NULL;
    }
    void *item = r->slot[head & r->mask];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return item;
}
