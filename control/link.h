/* link.h: control's end of the channel (dataplane/channel/messages.h), on a libevent loop. */
#pragma once
#include "channel/messages.h"

#include <event2/event.h>

struct link_ops {
    void (*hello)(void *ctx, long pid, const char *build); /* the dataplane is connected */
    /* It has gone, or broke the protocol, or refused us. The link is closed already. */
    void (*closed)(void *ctx, const char *why);
    void (*state)(void *ctx, const char *state, const char *detail);
    void (*log)(void *ctx, int level, const char *line);
    void (*ask)(void *ctx, uint64_t id, const char *client, int argc, char **argv);
    void (*config_result)(void *ctx, uint64_t generation, bool accepted, const char *why);
    void (*exec_part)(void *ctx, uint64_t id, bool last, const char *bytes, size_t len);
    /* One of MSG_CAPTURE_STARTED, _PACKETS, _ENDED; false if it cannot be read. */
    bool (*capture)(void *ctx, enum message_type type, struct message_reader *r);
    /* MSG_LOAD_MORE, _DONE; the same. */
    bool (*load)(void *ctx, enum message_type type, struct message_reader *r);
    /* Descriptors that the next dataplane is to get (messages.h): the callee's from now on. They come before hello. */
    void (*keep)(void *ctx, const int fds[CHANNEL_KEEPS]);
};

struct link;
struct link *link_new(struct event_base *base, const struct link_ops *ops, void *ctx);
void link_free(struct link *l);

/* Starts to connect; hello or closed tells the outcome. False and errno if nobody listens on path. */
bool link_connect(struct link *l, const char *path);
bool link_connected(const struct link *l); /* hello has come */
bool link_opened(const struct link *l);    /* connecting or connected */
void link_close(struct link *l);           /* without calling closed */

/* The dataplane's counter block, mapped read-only; NULL when not connected. A consistent copy of its head is
 * checked by block_check. */
const struct channel_block *link_block(const struct link *l, size_t *size);

/* Maps the bulk rings (messages.h) for whoever reads or writes them, also beyond the link's end: munmap() of
 * CHANNEL_BULK_SIZE is the caller's. NULL when not connected, or without memory. */
void *link_map_bulk(const struct link *l);

/* Each returns false when not connected or when the message cannot be sent (too long, the ring stays full).
 */
struct link_pair {
    const char *name, *value;
};
bool link_config(struct link *l, uint64_t generation, const struct link_pair *pair, unsigned n);
bool link_exec(struct link *l, uint64_t id, int argc, const char *const *argv);
bool link_answer(struct link *l, uint64_t id, const char *resp, size_t len);
bool link_fact(struct link *l, const char *name, const char *value);
bool link_stop(struct link *l);

/* A message of any other kind: begin it, add its fields, send it. */
void link_begin(struct link *l, struct message_writer *w, enum message_type type);
bool link_send(struct link *l, const struct message_writer *w);
