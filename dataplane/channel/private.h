/* private.h: the channel's own parts, for the files of this folder only. */
#pragma once
#include "channel/channel.h"
#include "channel/messages.h"

#include <stdio.h>
#include <sys/types.h>

enum { CHANNEL_OUTBOX_MAX = 64 << 20 }; /* bytes of EXEC replies that may wait for room in the ring */

struct channel {
    char *path;
    const struct channel_ops *ops;
    void *ctx;
    uid_t owner; /* who may connect, besides root */
    int listen_fd, peer_fd;
    long peer_pid;
    bool greeted; /* the peer's HELLO has come: it is connected */
    bool more;    /* messages may be left in the ring: do not sleep */

    /* This connection's rings. */
    struct channel_rings *rings;
    struct ring_end in, out;
    uint8_t in_message[CHANNEL_MESSAGE_MAX], out_message[CHANNEL_MESSAGE_MAX];
    struct {
        uint8_t *p; /* u32 length and message, one after the other */
        size_t len, room, at;
    } outbox;

    /* The generation whose parts are arriving. */
    uint64_t generation;
    struct config_pair *pair;
    unsigned pairs, pairs_room;

    char state[32], detail[256]; /* told again to every new peer */

    /* block.c */
    struct channel_block *block;
    size_t block_size;
    int block_fd;

    /* bulk.c */
    void *bulk;
    int bulk_fd;

    int keeps[CHANNEL_KEEPS]; /* descriptors that control is to hold; [0] = 0: none */
};

/* connection.c */
bool channel_flush(struct channel *ch); /* outbox to ring; false if the ring is broken */
void channel_drop_peer(struct channel *ch, const char *why);

/* receive.c */
/* One message from control. False and one line in error if it cannot be one. */
bool channel_receive(struct channel *ch, const uint8_t *message, size_t len, char *error, size_t size);
void channel_forget_pairs(struct channel *ch);

/* block.c */
bool block_open(struct channel *ch, char *error, size_t size);
void block_close(struct channel *ch);

/* bulk.c: the bulk rings (messages.h) */
bool bulk_open(struct channel *ch, char *error, size_t size);
void bulk_close(struct channel *ch);
