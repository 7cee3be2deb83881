/* rdb_input.h: an RDB file that is read from the beginning to the end, through a window: lengths, strings and
 * numbers, each bounded by what is left of the file, and the checksum of what has been read.
 * https://rdb.fnordig.de/file_format.html, Redis' rdb.c */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { RDB_WINDOW = 256 * 1024, RDB_WHY = 160 };
#define RDB_STRING_MAX                                                                                       \
    (512u << 20) /* bytes of a string that is read into memory: Redis' own limit of a key */

struct rdb_input {
    int fd;
    uint64_t base, size; /* place in the file of window[0]; bytes of the file */
    size_t at, len;      /* next byte, end of those that were read */
    uint64_t crc;        /* of what lies before `summed` */
    size_t summed;
    bool bad; /* damage was found: nothing more comes, reads give zeros */
    uint64_t bad_at;
    char why[RDB_WHY];
    /* From `mark` on the bytes are somebody's: they are given to him before they leave the window. */
    bool marked;
    size_t mark;
    void (*give)(void *ctx, const uint8_t *p, size_t n);
    void *ctx;
    uint8_t window[RDB_WINDOW];
};

/* A string as it was before it was packed, on the heap; free(p). */
struct rdb_bytes {
    uint8_t *p;
    size_t len;
};

void rdb_input_open(struct rdb_input *in, int fd, uint64_t size);
/* Place in the file of the next byte. */
uint64_t rdb_input_at(const struct rdb_input *in);
/* Says what is wrong, at the next byte; the first one counts. */
void rdb_input_fail(struct rdb_input *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* CRC-64 of everything read so far. */
uint64_t rdb_input_sum(struct rdb_input *in);

uint8_t rdb_input_byte(struct rdb_input *in);
uint64_t rdb_input_number(struct rdb_input *in, unsigned bytes); /* little endian, at most 8 */
bool rdb_input_take(struct rdb_input *in, void *to, size_t n);   /* at most RDB_WINDOW / 2 */
void rdb_input_skip(struct rdb_input *in, uint64_t n);
uint64_t rdb_input_len(struct rdb_input *in);
/* A number of elements, each of which takes a byte at least. */
uint64_t rdb_input_count(struct rdb_input *in);
void rdb_input_skip_string(struct rdb_input *in);
/* False if it is bad; nothing is to be freed then. */
bool rdb_input_string(struct rdb_input *in, struct rdb_bytes *bytes);

/* From the next byte on they are `give`'s; and up to here, the rest of them. */
void rdb_input_mark(struct rdb_input *in);
void rdb_input_give(struct rdb_input *in);
