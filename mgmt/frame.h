/* frame.h: an Ethernet frame in one line, in the manner of tcpdump -n. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { FRAME_LINE = 320 };

/* caught bytes at p, of a frame of `length` bytes. */
void frame_line(char line[FRAME_LINE], const uint8_t *p, size_t caught, size_t length);
