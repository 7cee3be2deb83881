/* lzf_turns.h: Marc Lehmann's LZF, with turns, which liblzf does not know.
 * http://oldhome.schmorp.de/marc/liblzf.html
 *
 *     000LLLLL                    L + 1 bytes as they are
 *     LLLooooo oooooooo           L + 2 bytes that were o + 1 bytes before, L < 7
 *     111ooooo LLLLLLLL oooooooo  L + 9 of them */
#pragma once
#include "base/slice.h"

struct turn;

/* Packs into at most `room` bytes; byte for byte what liblzf makes of it. How many there are; 0 if they are
 * more, or without memory. from.len <= UINT32_MAX. */
size_t lzf_pack(struct slice from, uint8_t *to, size_t room, struct turn *turn);
/* False unless that makes exactly `len` bytes. */
bool lzf_unpack(struct slice from, uint8_t *to, size_t len, struct turn *turn);
