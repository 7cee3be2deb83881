/* channel.h: the dataplane's end of the control channel. One Unix SOCK_SEQPACKET socket on which control
 * connects; at connect the dataplane hands over a memfd with two message rings and the counter block
 * (messages.h says what they look like). Everything here runs on the main thread, never on a worker. */
#pragma once
#include "base/config.h"
#include "base/counters.h"
#include "base/times.h"
#include "command/command.h"

struct channel;
struct message_writer;

struct channel_capture { /* MSG_CAPTURE_START; program is borrowed */
    uint64_t id, count, credit;
    uint32_t snaplen;
    uint8_t directions;
    struct slice program;
};

struct load_request { /* MSG_LOAD_START */
    uint64_t id, bytes;
    uint8_t mode; /* enum load_mode */
    uint8_t logs; /* enum load_log */
    const char *name;
};

struct channel_ops { /* called from channel_poll, on the main thread */
    /* A new generation. Returns NULL if it is accepted (the callee owns conf from then on), or one static
     * line saying why not (the channel frees conf and tells control). */
    const char *(*config)(void *ctx, struct config *conf);
    /* Control wants a command run with every right (show clients, INFO ...): answer later with
     * channel_exec_reply(id). */
    void (*exec)(void *ctx, uint64_t id, int argc, const struct slice *argv);
    /* Control's answer in RESP to channel_ask(id). */
    void (*answer)(void *ctx, uint64_t id, struct slice resp);
    /* A fact changed (box_ops.fact). */
    void (*fact)(void *ctx, const char *name, const char *value);
    /* Control asks for an orderly end. */
    void (*stop)(void *ctx);
    /* Control has connected or gone (connected = false): asks that wait are to be failed. */
    void (*peer)(void *ctx, bool connected);
    /* A capture is to start, to stop, may send more (messages.h). */
    void (*capture_start)(void *ctx, const struct channel_capture *request);
    void (*capture_stop)(void *ctx, uint64_t id, bool rest);
    void (*capture_more)(void *ctx, uint64_t id, uint64_t bytes);
    /* A snapshot is to be loaded; the next bytes of its records (messages.h). */
    void (*load_start)(void *ctx, const struct load_request *request);
    void (*load_data)(void *ctx, uint64_t id, struct slice bytes);
    void (*load_stop)(void *ctx, uint64_t id, const char *why);
};

/* Binds path (mode 0600; a stale socket of a dead process is replaced, a living one is an error) and waits
 * for nobody. NULL and one line in error. */
struct channel *channel_open(const char *path, const struct channel_ops *ops, void *ctx, char *error,
                             size_t size);
void channel_close(struct channel *ch);

/* Counter block in shared memory, laid out for `workers` workers and `commands` command ids. Call once,
 * before the first channel_poll that may meet a peer after configuration; pointers stay valid for the life of
 * the process, connected or not. */
bool channel_share_counters(struct channel *ch, unsigned workers, unsigned commands);
struct counters *channel_counters(struct channel *ch, unsigned worker);
struct command_stats *channel_command_stats(struct channel *ch, unsigned worker);
struct family_times *channel_times(struct channel *ch, unsigned worker); /* [TIME_FAMILIES] */
/* The bulk rings (messages.h): valid for the life of the process, connected or not. */
void *channel_bulk(struct channel *ch);
/* Gauges that change rarely (port, link speed, arena size, keys per database ...): text name, number. Main
 * thread only. */
void channel_gauge(struct channel *ch, const char *name, double value);

/* CHANNEL_KEEPS descriptors that each control gets when it connects, for the dataplane that it starts after this one. */
void channel_keep(struct channel *ch, const int *fds);

/* Handles what has arrived; waits at most timeout_ms for something. */
void channel_poll(struct channel *ch, int timeout_ms);

/* To control. False when it is not connected or its ring is full. */
/* The message in w; with `patient` it may wait in memory until there is room. */
bool channel_send(struct channel *ch, struct message_writer *w, bool patient);
bool channel_ask(struct channel *ch, uint64_t id, const struct client *who, int argc,
                 const struct slice *argv);
bool channel_exec_reply(struct channel *ch, uint64_t id, struct slice resp); /* any length: sent in parts */
bool channel_log(struct channel *ch, int syslog_level, const char *line);
/* "starting", "serving", "stopping": what control's status shows; detail is a line for people. */
bool channel_state(struct channel *ch, const char *state, const char *detail);
