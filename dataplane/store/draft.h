/* draft.h: a value that is made aside, element by element, before it takes a key's place at once with
 * whatever expiry: RESTORE and RDB files. It has a key of its own in a database of the shard that no command
 * sees: there nothing is evicted, expires or is flushed. */
#pragma once
#include "store/store.h"

struct draft {
    struct value_at v; /* for hash_set() and its kin; v.e is NULL as long as nothing was added */
    struct key key;
    uint64_t number;
};

void draft_begin(struct draft *d, struct shard *s);
/* Puts the value, which is there, in place of what the key had, of whatever type. expire_at: absolute ms, 0 =
 * none. STORE_OOM: nothing has changed. The draft is gone in any case. */
enum store_result draft_place(struct draft *d, unsigned db, const struct key *k, uint64_t expire_at);
/* Ends it without; it may be empty. */
void draft_drop(struct draft *d);
