/* tap.c: filter and rings of a capture. The filter's machine: McCanne and Jacobson, "The BSD Packet Filter"
 * (1993), as libpcap has it (bpf_validate, bpf_filter). rte_bpf of DPDK 22.11 is not used: its conversion of
 * classic BPF gives wrong answers for tcp[...], and its compiled code crashes (tests/unit/worker/tap_test.c
 * shows both when it is put in). */
#include "tap.h"

#include <rte_common.h>
#include <rte_mbuf.h>

#include <pcap/bpf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct record {      /* in a ring, before the bytes of a frame */
    uint32_t size;   /* with this header, a multiple of its alignment */
    uint32_t caught; /* SKIP: the rest of the ring is not used, go on at its start */
    uint32_t length;
    uint32_t direction;
    uint64_t wall_ns;
};

enum {
    RECORD_ALIGN = 8,
    FILTER_BYTES =
        256, /* of a frame in pieces are put together for the filter: headers and the start of the data */
};
#define SKIP UINT32_MAX

struct ring { /* one producer: its worker; one consumer: the main thread */
    _Atomic(uint64_t) head __attribute__((aligned(64)));
    _Atomic(uint64_t) seen, matched, dropped;
    uint8_t *bytes;
    _Atomic(uint64_t) tail __attribute__((aligned(64)));
    uint64_t cursor; /* tail <= cursor <= head: how far the main thread has taken */
};

struct tap {
    unsigned instructions; /* 0: every frame */
    struct bpf_insn program[TAP_PROGRAM_MAX];
    uint32_t snaplen;
    uint8_t directions;
    unsigned workers;
    uint64_t ring_size; /* a power of two */
    struct ring ring[];
};

/* -- making ------------------------------------------------------------------------------------------- */

/* bpf_filter aborts the process at an instruction it does not know, which bpf_validate lets through; and both
 * take a jump back (protochain makes one), which nothing ends. */
static bool known(const struct bpf_insn *in)
{
    static const uint8_t codes[] = {
        BPF_LD | BPF_W | BPF_ABS,
        BPF_LD | BPF_H | BPF_ABS,
        BPF_LD | BPF_B | BPF_ABS,
        BPF_LD | BPF_W | BPF_IND,
        BPF_LD | BPF_H | BPF_IND,
        BPF_LD | BPF_B | BPF_IND,
        BPF_LD | BPF_W | BPF_LEN,
        BPF_LD | BPF_IMM,
        BPF_LD | BPF_MEM,
        BPF_LDX | BPF_MSH | BPF_B,
        BPF_LDX | BPF_W | BPF_LEN,
        BPF_LDX | BPF_IMM,
        BPF_LDX | BPF_MEM,
        BPF_ST,
        BPF_STX,
        BPF_JMP | BPF_JA,
        BPF_JMP | BPF_JGT | BPF_K,
        BPF_JMP | BPF_JGE | BPF_K,
        BPF_JMP | BPF_JEQ | BPF_K,
        BPF_JMP | BPF_JSET | BPF_K,
        BPF_JMP | BPF_JGT | BPF_X,
        BPF_JMP | BPF_JGE | BPF_X,
        BPF_JMP | BPF_JEQ | BPF_X,
        BPF_JMP | BPF_JSET | BPF_X,
        BPF_ALU | BPF_ADD | BPF_K,
        BPF_ALU | BPF_SUB | BPF_K,
        BPF_ALU | BPF_MUL | BPF_K,
        BPF_ALU | BPF_DIV | BPF_K,
        BPF_ALU | BPF_MOD | BPF_K,
        BPF_ALU | BPF_AND | BPF_K,
        BPF_ALU | BPF_OR | BPF_K,
        BPF_ALU | BPF_XOR | BPF_K,
        BPF_ALU | BPF_LSH | BPF_K,
        BPF_ALU | BPF_RSH | BPF_K,
        BPF_ALU | BPF_ADD | BPF_X,
        BPF_ALU | BPF_SUB | BPF_X,
        BPF_ALU | BPF_MUL | BPF_X,
        BPF_ALU | BPF_DIV | BPF_X,
        BPF_ALU | BPF_MOD | BPF_X,
        BPF_ALU | BPF_AND | BPF_X,
        BPF_ALU | BPF_OR | BPF_X,
        BPF_ALU | BPF_XOR | BPF_X,
        BPF_ALU | BPF_LSH | BPF_X,
        BPF_ALU | BPF_RSH | BPF_X,
        BPF_ALU | BPF_NEG,
        BPF_RET | BPF_K,
        BPF_RET | BPF_A,
        BPF_MISC | BPF_TAX,
        BPF_MISC | BPF_TXA,
    };
    if (in->code == (BPF_JMP | BPF_JA) && in->k > TAP_PROGRAM_MAX)
        return false;
    return in->code <= UINT8_MAX && memchr(codes, in->code, sizeof codes) != NULL;
}

static bool load_filter(struct tap *t, const struct tap_request *request, char *error, size_t size)
{
    size_t n = request->program_len / TAP_INSTRUCTION_BYTES;
    if (n > TAP_PROGRAM_MAX || request->program_len % TAP_INSTRUCTION_BYTES) {
        snprintf(error, size, "the filter has %zu bytes; %d whole instructions are possible",
                 request->program_len, TAP_PROGRAM_MAX);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = request->program + i * TAP_INSTRUCTION_BYTES;
        t->program[i] = (struct bpf_insn){
            .code = (uint16_t)(p[0] | p[1] << 8),
            .jt = p[2],
            .jf = p[3],
            .k = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24,
        };
    }
    t->instructions = (unsigned)n;
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good = good && known(&t->program[i]);
    if (good && (n == 0 || bpf_validate(t->program, (int)n)))
        return true;
    snprintf(error, size, "the filter has a loop (protochain) or is no valid program");
    return false;
}

static bool make_rings(struct tap *t)
{
    t->ring_size = rte_align64prevpow2(TAP_MEMORY / t->workers);
    for (unsigned i = 0; i < t->workers; i++) {
        /* Not from the heap, which keeps what is freed. */
        void *p = mmap(NULL, t->ring_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return false;
        t->ring[i].bytes = p;
    }
    return true;
}

struct tap *tap_new(const struct tap_request *request, unsigned workers, char *error, size_t size)
{
    size_t bytes = sizeof(struct tap) + workers * sizeof(struct ring);
    struct tap *t = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(bytes, RTE_CACHE_LINE_SIZE));
    if (!t) {
        snprintf(error, size, "out of memory");
        return NULL;
    }
    memset(t, 0, bytes);
    t->workers = workers;
    t->snaplen = request->snaplen;
    t->directions = request->directions;
    if (!make_rings(t))
        snprintf(error, size, "no memory for the rings of a capture");
    else if (load_filter(t, request, error, size))
        return t;
    tap_free(t);
    return NULL;
}

void tap_free(struct tap *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->workers; i++)
        if (t->ring[i].bytes)
            munmap(t->ring[i].bytes, t->ring_size);
    free(t);
}

/* -- a worker ----------------------------------------------------------------------------------------- */

static void bump(_Atomic(uint64_t) *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static bool matches(const struct tap *t, const struct rte_mbuf *m)
{
    uint8_t together[FILTER_BYTES];
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t len = m->data_len;
    if (!t->instructions)
        return true;
    if (len < m->pkt_len && len < FILTER_BYTES) {
        len = RTE_MIN(m->pkt_len, (uint32_t)FILTER_BYTES);
        p = rte_pktmbuf_read(m, 0, len, together);
    }
    return p && bpf_filter(t->program, p, m->pkt_len, len) != 0;
}

static struct record *record_at(const struct tap *t, const struct ring *r, uint64_t at)
{
    return (struct record *)(r->bytes + (at & (t->ring_size - 1)));
}

static uint32_t record_size(uint32_t caught)
{
    return (uint32_t)sizeof(struct record) + RTE_ALIGN(caught, RECORD_ALIGN);
}

static void keep(struct tap *t, struct ring *r, const struct rte_mbuf *m, enum tap_direction direction,
                 uint64_t wall_ns)
{
    uint32_t caught = RTE_MIN(m->pkt_len, t->snaplen);
    uint32_t size = record_size(caught);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t straight = t->ring_size - (head & (t->ring_size - 1));
    uint64_t skipped = size > straight ? straight : 0; /* a frame lies in one piece */
    uint64_t used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
    if (used + skipped + size > t->ring_size) {
        bump(&r->dropped);
        return;
    }
    if (skipped) {
        struct record *end = record_at(t, r, head);
        end->size = (uint32_t)skipped;
        end->caught = SKIP;
        head += skipped;
    }
    struct record *record = record_at(t, r, head);
    *record = (struct record){size, caught, m->pkt_len, direction, wall_ns};
    const void *bytes = rte_pktmbuf_read(m, 0, caught, record + 1);
    if (bytes && bytes != record + 1)
        memcpy(record + 1, bytes, caught);
    atomic_store_explicit(&r->head, head + size, memory_order_release);
}

void tap_frames(struct tap *t, unsigned worker, enum tap_direction direction, struct rte_mbuf **frames,
                unsigned n, uint64_t wall_ns)
{
    struct ring *r = &t->ring[worker];
    if (!(t->directions & direction))
        return;
    for (unsigned i = 0; i < n; i++) {
        bump(&r->seen);
        if (!matches(t, frames[i]))
            continue;
        bump(&r->matched);
        keep(t, r, frames[i], direction, wall_ns);
    }
}

/* -- the main thread ---------------------------------------------------------------------------------- */

/* The next record of a ring, behind one that only fills its end up; NULL if there is none. */
static const struct record *peek(const struct tap *t, struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    if (r->cursor == head)
        return NULL;
    const struct record *record = record_at(t, r, r->cursor);
    if (record->caught == SKIP) { /* what follows was published with it */
        r->cursor += record->size;
        record = record_at(t, r, r->cursor);
    }
    return record;
}

bool tap_peek(struct tap *t, struct tap_packet *out)
{
    const struct record *oldest = NULL;
    unsigned from = 0;
    for (unsigned i = 0; i < t->workers; i++) {
        const struct record *record = peek(t, &t->ring[i]);
        if (record && (!oldest || record->wall_ns < oldest->wall_ns)) {
            oldest = record;
            from = i;
        }
    }
    if (!oldest)
        return false;
    *out = (struct tap_packet){.wall_ns = oldest->wall_ns,
                               .worker = from,
                               .direction = oldest->direction,
                               .length = oldest->length,
                               .caught = oldest->caught,
                               .bytes = (const uint8_t *)(oldest + 1)};
    return true;
}

void tap_take(struct tap *t, const struct tap_packet *packet)
{
    t->ring[packet->worker].cursor += record_size(packet->caught);
}

void tap_release(struct tap *t)
{
    for (unsigned i = 0; i < t->workers; i++)
        atomic_store_explicit(&t->ring[i].tail, t->ring[i].cursor, memory_order_release);
}

void tap_rewind(struct tap *t)
{
    for (unsigned i = 0; i < t->workers; i++)
        t->ring[i].cursor = atomic_load_explicit(&t->ring[i].tail, memory_order_relaxed);
}

void tap_totals(const struct tap *t, struct tap_totals *out)
{
    *out = (struct tap_totals){0};
    for (unsigned i = 0; i < t->workers; i++) {
        const struct ring *r = &t->ring[i];
        out->seen += atomic_load_explicit(&r->seen, memory_order_relaxed);
        out->matched += atomic_load_explicit(&r->matched, memory_order_relaxed);
        out->dropped += atomic_load_explicit(&r->dropped, memory_order_relaxed);
    }
}
