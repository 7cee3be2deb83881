/* messages.h: what goes over the control channel, and nothing else of the dataplane: the one header that
 * control/ and dataplane/ share.
 *
 * Meeting. The dataplane listens on a Unix SOCK_SEQPACKET socket, control connects. The dataplane answers
 * with one packet: PACKET_HELLO, the layout version (u32) and three descriptors (SCM_RIGHTS): a memfd with two
 * message rings, made for this connection; a memfd with the counter block, which lives as long as the
 * dataplane and is read-only for control; a memfd with the bulk rings, which lives as long; and perhaps CHANNEL_KEEPS more, which control
 * understands nothing of: it holds them and hands them to the next dataplane that it starts (--memory), and closes them
 * when there is to be none. Or it answers PACKET_REFUSED and a line that says why. After that
 * the socket carries only doorbells: one-byte packets, so that both ends can sleep in poll.
 *
 * Rings. One producer, one consumer, one u32 length before each message. A message is a type byte and fields;
 * every length is checked, and a wrong length, an unknown type or trailing bytes close the channel. Numbers
 * are little endian. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHANNEL_MAGIC = 0x58554c53, /* "SLUX" */
    CHANNEL_VERSION = 7,        /* of the layouts and messages below; both ends must agree */
    CHANNEL_MESSAGE_MAX = 64 * 1024,
    CHANNEL_PART_MAX = 32 * 1024, /* bytes of a long text carried by one message */
    CHANNEL_RING_BYTES = 1 << 20, /* a power of two */
    CHANNEL_PAIR_MAX = 16 * 1024, /* name and value of one configuration pair together */
    CHANNEL_ARGS_MAX = 4096,      /* arguments of an ASK or EXEC */
    CHANNEL_GAUGES = 512,
    CHANNEL_NAME = 64, /* room for a gauge's, counter's or command's name, zero byte included */
    CHANNEL_HELP = 128,
    CHANNEL_WORKERS = 64,
    CHANNEL_SNAPLEN_MAX = CHANNEL_MESSAGE_MAX - 256, /* bytes of a captured frame: one message holds it */
    CHANNEL_FILTER_MAX = 512,                        /* instructions of a capture's filter, 8 bytes each */
    CHANNEL_KEEPS = 3,                               /* descriptors that control holds for the next dataplane */
};

enum { PACKET_HELLO = 'H', PACKET_REFUSED = 'R', PACKET_DOORBELL = 'D' };

/* -- the rings ---------------------------------------------------------------------------------------- */

struct channel_ring { /* in shared memory, CHANNEL_RING_BYTES of data follow at `data` */
    uint64_t head __attribute__((aligned(64))); /* bytes ever written; only the producer stores */
    uint64_t tail __attribute__((aligned(64))); /* bytes ever read; only the consumer stores */
    uint32_t starved;                           /* the producer waits for room: ring its bell after reading */
};

struct channel_rings { /* at the start of the first memfd */
    uint32_t magic, version;
    uint64_t size; /* of the whole mapping */
    struct channel_ring to_control, to_dataplane;
};
enum {
    CHANNEL_DATA_TO_CONTROL = 4096, /* offsets of the rings' bytes */
    CHANNEL_DATA_TO_DATAPLANE = CHANNEL_DATA_TO_CONTROL + CHANNEL_RING_BYTES,
    CHANNEL_RINGS_SIZE = CHANNEL_DATA_TO_DATAPLANE + CHANNEL_RING_BYTES
};

struct ring_end { /* one process' private view of a ring: the peer can never make it read or write outside */
    struct channel_ring *ring;
    uint8_t *data;
    uint64_t at; /* own index: head for the producer, tail for the consumer */
};

enum ring_result { RING_OK, RING_EMPTY, RING_FULL, RING_BROKEN };

/* Bulk rings: in the third memfd, for each worker one pair as of the connection, of which it alone is the dataplane's
 * end: values on their way to a snapshot. Worker w's struct channel_rings is at w * CHANNEL_RINGS_SIZE; pages
 * that nobody has used take no memory. Whoever asks for a transfer (control) first sees to it that nobody of his
 * reads or writes there any more; the dataplane then makes the ring empty, with all workers stopped, before it
 * answers. */
struct ring_end bulk_to_control(void *bulk, unsigned worker);
/* Both ends begin anew at the beginning of the ring. */
void ring_reset(struct ring_end *e);

enum bulk_type { /* of a message in a bulk ring; its first byte */
    /* either way: u32 database, u8 more, then to the end of the message records as an RDB file has them behind its
     * SELECTDB: [0xfc u64 ms] [0xf8 length: seconds idle | 0xf9 u8: frequency] u8 type, string key, value. Whole ones,
     * unless `more`: the next message of this ring, of the same database, goes on in the middle of the last one. */
    BULK_RECORDS = 1,
    /* to control, the last one of a snapshot: text why it failed (empty: it is whole), u64 keys, u64 bytes of
     * records, u64 largest number of bytes kept aside for control, u64 keys that writers did not wait for the
     * cursor with */
    BULK_END = 2
};
#define BULK_FLUSHED "FLUSHALL" /* why, if that has ended it: no failure */

/* -- the append-only log: behind the bulk rings, in the same memory ------------------------------------
 *
 * Each worker writes records of what it has done into a ring of its own. A record has a number; numbers are without gaps over
 * all workers, and their order is the order of the log. Control reads the rings in that order and writes the file. What it has
 * written stays in the rings until it has noted here how far the file goes: so a control that is killed, and the one after it,
 * write each record once. */
struct channel_log_place { /* how far the file goes; written by control, for itself and its successor */
    uint64_t file;  /* number of the increment; 0: none */
    uint64_t order; /* the last record that is whole in it; LOG_NONE: none, `first` is the next one */
    uint64_t parts; /* messages of the next one that are */
    uint64_t bytes; /* of the file */
    uint64_t db;    /* that was selected last; UINT64_MAX: none */
};
#define LOG_NONE UINT64_MAX
struct channel_log {
    uint64_t synced __attribute__((aligned(64))); /* control: records up to this one are on the disk */
    uint32_t asleep;                              /* control: futex: wake me when there is a record */
    uint64_t first __attribute__((aligned(64)));  /* dataplane: number of the first record since the log began */
    uint64_t begun;                               /* dataplane: 1 = there is a log */
    uint64_t order __attribute__((aligned(64)));  /* dataplane: records so far */
    uint64_t which __attribute__((aligned(64)));  /* which of the two places holds */
    struct channel_log_place place[2];
};
enum {
    CHANNEL_LOG_OFFSET = CHANNEL_WORKERS * CHANNEL_RINGS_SIZE,
    CHANNEL_LOG_RINGS = CHANNEL_LOG_OFFSET + 4096,
    CHANNEL_BULK_SIZE = CHANNEL_LOG_RINGS + CHANNEL_WORKERS * CHANNEL_RINGS_SIZE
};
enum log_type { /* of a message in the ring of a log; its first byte, then u64 number of the record */
    LOG_PART = 1,   /* u32 database, u8 enum log_part, then bytes of a command in RESP */
    LOG_MARK = 2,   /* u64 file: what follows belongs into the increment of that number; a record of its own */
    LOG_LAST = 3,   /* nothing: the log ends here; a record of its own */
    LOG_BROKEN = 4  /* text: records are missing from here on; a record of its own */
};
enum log_part { LOG_BEGINS = 1, /* a command */ LOG_ENDS = 2, /* the record does */ };
static inline struct channel_log *log_shared(void *bulk)
{
    return (struct channel_log *)(void *)((uint8_t *)bulk + CHANNEL_LOG_OFFSET);
}
struct ring_end log_to_control(void *bulk, unsigned worker);
/* ring_get(), but the place of the message stays taken until ring_release(). */
enum ring_result ring_peek(struct ring_end *e, uint8_t *buffer, size_t *len);
void ring_release(struct ring_end *e);

/* Writes one message or nothing. RING_FULL also asks the consumer to ring back when there is room. */
enum ring_result ring_put(struct ring_end *e, const uint8_t *message, size_t len);
/* Copies the next message to buffer (CHANNEL_MESSAGE_MAX bytes). RING_BROKEN: indexes or a length make no
 * sense. *wake is set when the producer waits for room. */
enum ring_result ring_get(struct ring_end *e, uint8_t *buffer, size_t *len, bool *wake);

/* -- the counter block -------------------------------------------------------------------------------- */

struct channel_gauge_slot {
    char name[CHANNEL_NAME];
    uint64_t bits; /* a double; stored and loaded whole */
};

struct channel_counter_info {
    char name[CHANNEL_NAME], help[CHANNEL_HELP];
};

enum { CHANNEL_BUCKETS = 256 };
struct channel_command_totals { /* per worker and command */
    uint64_t calls, usec, rejected, failed;
    uint32_t took[CHANNEL_BUCKETS]; /* calls that were measured, by time: see bucket_ends */
};

struct channel_histogram { /* of nanoseconds, per worker, family of commands and stage of their way */
    uint64_t sum, max;
    uint64_t bucket[CHANNEL_BUCKETS]; /* what each counts at most: see bucket_ends */
};

/* At the start of the second memfd. Offsets count from there. `workers` is stored last (release), so a reader
 * that sees it not zero sees the tables. Worker w's counters (uint64_t) are at workers_offset + w *
 * worker_stride, its command totals commands_in_worker bytes further, its times (struct
 * channel_histogram[families][ stages]) times_in_worker bytes. */
struct channel_block {
    uint32_t magic, version;
    uint64_t size; /* of the whole mapping */
    uint32_t workers, counters, commands;
    uint32_t gauges;         /* slots in use; grows, never shrinks (release) */
    uint64_t gauges_offset;  /* struct channel_gauge_slot[CHANNEL_GAUGES] */
    uint64_t counter_names;  /* struct channel_counter_info[counters] */
    uint64_t command_names;  /* char[commands][CHANNEL_NAME] */
    uint64_t workers_offset; /* see above */
    uint64_t worker_stride;
    uint64_t commands_in_worker;
    uint32_t families, stages;
    uint64_t family_names; /* char[families][CHANNEL_NAME]; "" = none */
    uint64_t stage_names;  /* char[stages][CHANNEL_NAME] */
    uint64_t bucket_ends;  /* uint64_t[CHANNEL_BUCKETS]: the largest ns that a bucket counts */
    uint64_t times_in_worker;
};

/* True if every table of a mapped block lies inside `size` bytes. Call again after `workers` has become
 * non-zero. */
bool block_check(const struct channel_block *b, size_t size);

/* -- messages ----------------------------------------------------------------------------------------- */

enum { CHANNEL_AUDIT = 100 }; /* beside the levels of syslog(3) */

enum message_type {
    /* either way, first on a connection */
    MSG_HELLO = 1, /* u32 version, u64 pid, text build */
    /* control to dataplane */
    MSG_CONFIG, /* u64 generation, u8 last, u32 n, n times (text name, text value); parts of one generation in
                   a row */
    MSG_EXEC,   /* u64 id, u32 argc, argc times bytes */
    MSG_ANSWER, /* u64 id, bytes: the RESP reply to an ASK (always short) */
    MSG_FACT,   /* text name, text value */
    MSG_STOP,   /* nothing: orderly end */
    /* dataplane to control */
    MSG_CONFIG_RESULT, /* u64 generation, u8 accepted, text why not */
    MSG_EXEC_PART,     /* u64 id, u8 last, bytes: the RESP reply to an EXEC */
    MSG_ASK,           /* u64 id, text client, u32 argc, argc times bytes */
    MSG_STATE,         /* text state, text detail */
    MSG_LOG,           /* u8 syslog level, text line; level CHANNEL_AUDIT: a line for the audit log, who TAB what TAB
                          detail TAB result (command/audit.h) */
    /* captures of frames, control to dataplane */
    MSG_CAPTURE_START, /* u64 id, u32 snaplen, u64 count (0 = no end), u8 directions (1 in, 2 out), u64
                          credit, bytes program: classic BPF, each instruction u16 code, u8 jt, u8 jf, u32 k;
                          empty = everything */
    MSG_CAPTURE_STOP,  /* u64 id, u8 rest: what has been captured by now is still wanted */
    MSG_CAPTURE_MORE,  /* u64 id, u64 credit: bytes of MSG_CAPTURE_PACKETS that may come beside those allowed
                          so far */
    /* dataplane to control */
    MSG_CAPTURE_STARTED, /* u64 id, text why not (empty: it runs) */
    MSG_CAPTURE_PACKETS, /* u64 id, then to the end of the message: u64 ns since 1970, u32 worker, u8
                            direction, u32 length of the frame, bytes: what was kept of it */
    MSG_CAPTURE_ENDED,   /* u64 id, text why, u64 frames seen, u64 matched, u64 dropped for want of room; the
                            last one   of this id */
    /* loading of a snapshot, control to dataplane */
    MSG_LOAD_START, /* u64 id, u8 enum load_mode, u8 enum load_log, u64 bytes of the file, text its name */
    MSG_LOAD_DATA,  /* u64 id, bytes: the next of the stream of items (below) */
    MSG_LOAD_STOP,  /* u64 id, text why no more comes */
    /* dataplane to control */
    MSG_LOAD_MORE, /* u64 id, u64 credit: bytes of the stream that may come beside those allowed so far */
    MSG_LOAD_DONE, /* u64 id, text why not (empty: all of it is there), u64 keys loaded, u64 expired, u64 left as they
                      were, u64 libraries of functions; the last one of this id */
    MSG_TYPES
};

/* The stream of a snapshot that is loaded: items, which may begin and end anywhere in messages. u8 enum load_item, u32
 * length of the rest. A record is a LOAD_KEY or LOAD_FUNCTION and as many LOAD_BYTES as it takes to make `body` whole:
 * for a key its name, the type's byte and the value as RDB has them, for functions the text of a library. */
enum load_item {
    LOAD_KEY = 'K', /* u64 offset in the file, u32 database, u64 ms since 1970 when it expires (0 = never), u8 enum
                       load_access, u64 its number, u64 length of the name, then body bytes, perhaps the first of many */
    LOAD_FUNCTION = 'F', /* u64 offset in the file, then body bytes */
    LOAD_BYTES = 'B',    /* body bytes */
    LOAD_LAST = 'L',     /* body bytes, the last of the record */
    LOAD_WHOLE = 'W',    /* as LOAD_KEY, and its bytes are all of the body */
    LOAD_COMMANDS = 'C', /* u64 offset in the file, then bytes of a log: commands in RESP, without MULTI and EXEC, the last of
                            which may go on in the next item; keys do not follow */
    LOAD_BREAK = 'c',    /* the same, and its last command ends there */
    LOAD_END = 'E',      /* nothing: the file was sound to its end */
    LOAD_FAILED = 'X',   /* text: why it was not, with the place */
};
enum load_log {
    LOAD_NO_LOG,
    LOAD_LOG,          /* a log, which goes on behind it */
    LOAD_LOG_OF_MEMORY /* the same; what the dataplane before this one has left in memory is as good, or better, and the log goes on
                          behind that */
};
/* Why it is not loaded, if memory has been taken over. */
#define LOAD_TAKEN_OVER "the box has all keys from before it was restarted"
enum load_mode {
    LOAD_AT_START,  /* clients are told LOADING until all of it is there */
    LOAD_SALVAGE,   /* the same, but what there is before a damage is enough */
    LOAD_REPLACING, /* while serving: keys of the file replace those of the box */
    LOAD_KEEPING    /* while serving: keys of the box stay */
};
enum load_access { LOAD_NO_ACCESS, LOAD_IDLE_SECONDS, LOAD_FREQUENCY };
enum { LOAD_ITEM_MAX = 64 * 1024, LOAD_ITEM_HEADER = 5, LOAD_KEY_FIELDS = 8 + 4 + 8 + 1 + 8 + 8 };
/* bytes: u32 length and the bytes. text: the same, and no zero byte inside. */

struct message_writer {
    uint8_t *p; /* CHANNEL_MESSAGE_MAX bytes, the caller's */
    size_t len;
    bool failed; /* something did not fit */
};

void message_begin(struct message_writer *w, uint8_t *buffer, enum message_type type);
void put_u8(struct message_writer *w, uint8_t v);
void put_u32(struct message_writer *w, uint32_t v);
void put_u64(struct message_writer *w, uint64_t v);
void put_bytes(struct message_writer *w, const void *p, size_t len);
void put_text(struct message_writer *w, const char *text);

struct message_reader {
    const uint8_t *p;
    size_t left;
    bool failed; /* a field reached beyond the end or was not text; all later reads give nothing */
};

/* Starts reading; returns the type (0 if there is none). */
enum message_type message_open(struct message_reader *r, const uint8_t *message, size_t len);
uint8_t get_u8(struct message_reader *r);
uint32_t get_u32(struct message_reader *r);
uint64_t get_u64(struct message_reader *r);
/* Borrowed from the message; NULL if it failed. */
const uint8_t *get_bytes(struct message_reader *r, size_t *len);
/* A text of at most size - 1 bytes, copied; fails if it is longer. */
void get_text(struct message_reader *r, char *text, size_t size);
/* A text of any length, on the heap; NULL if it failed. */
char *get_text_alloc(struct message_reader *r);
/* Nothing failed and nothing is left over. */
bool message_done(const struct message_reader *r);
