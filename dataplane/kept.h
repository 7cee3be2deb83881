/* kept.h: what the next dataplane takes over from this one: files without a name (memfd_create(2)) that control holds,
 * too, and hands to the process that it starts. Nobody else can reach them, and they are gone when both are.
 *
 *   huge, small  the arena (store/arena.h), in one of them
 *   side         what commands have made and no shard has: the texts of libraries of functions, written again with each
 *                change; whose addresses on the link are ours, noted again and again */
#pragma once
#include "base/slice.h"
#include "store/arena.h"

struct scripts;

enum { KEPT_FILES = 3 };
struct kept {
    struct arena_files arena;
    int side;
    int handed[KEPT_FILES]; /* huge, small, side as control gets them: never -1 */
};

/* Takes the descriptors that control has handed over ("3,4,5"; NULL: none), or makes new files. What is not such a file
 * is closed and made anew. False if there is no memory for them: nothing outlives the process then. */
bool kept_open(struct kept *k, const char *inherited);
void kept_close(struct kept *k);
/* Hugepages that the arena has and the kernel does not count as free, bytes. Pages that it has merely reserved are free. */
uint64_t kept_hugepages(const struct kept *k);

/* The texts that a process has left beside the arena of this generation. False: they are not there, or damaged. */
struct kept_texts {
    uint8_t *bytes;
    uint32_t n, *len; /* one after the other */
    uint64_t link; /* net_identity() of who had the link until less than KEPT_LINK_MS ago; 0: nobody we know of */
};
enum { KEPT_LINK_MS = 60000 }; /* a start, the longest back-off and then some */
bool kept_read(const struct kept *k, struct kept_texts *t);
void kept_texts_free(struct kept_texts *t);
/* Leaves them: by the worker that has changed them, with all others stopped, or while none runs. Until it returns there are
 * none. False: without room. */
bool kept_write(const struct kept *k, const struct scripts *scripts);
/* This is who has the link at this time; 0: nobody. By the main thread. */
void kept_link(const struct kept *k, uint64_t link);
/* From now on there are none. */
void kept_forget(const struct kept *k);
