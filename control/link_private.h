/* link_private.h: what link.c (the socket, what is sent) and link_in.c (what comes) share. */
#pragma once
#include "control/link.h"

struct link {
    struct event_base *base;
    const struct link_ops *ops;
    void *ctx;
    int fd;
    struct event *readable;
    bool greeted;
    struct channel_rings *rings;
    struct ring_end in, out;
    const struct channel_block *block;
    size_t block_size;
    int bulk_fd;
    uint8_t in_message[CHANNEL_MESSAGE_MAX], out_message[CHANNEL_MESSAGE_MAX];
};

/* Closes the link and says why to whoever owns it. */
void link_fail(struct link *l, const char *why);
/* link_in.c: hands a message of so many bytes, in in_message, to its function. False: it was none, and the link has failed. A function
 * may close the link. */
bool link_receive(struct link *l, size_t len);
