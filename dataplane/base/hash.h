/* hash.h: hashes of keys. Slots as in Redis Cluster, and the keyed hash of the index. */
#pragma once
#include "base/slice.h"

enum { SLOTS = 16384 };

/* Redis Cluster's slot of a key, 0..16383: CRC16-CCITT (XMODEM) of the key, or of the part between the first
 * '{' and the next '}' when that part is not empty. */
unsigned key_slot(struct slice key);

/* 64-bit keyed hash of a key for the index: not guessable without the seed (hash-flooding), every bit usable.
 */
uint64_t key_hash(struct slice key, uint64_t seed);
