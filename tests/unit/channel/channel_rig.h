/* channel_rig.h: a dataplane that echoes, in a process of its own, and a hand-made peer: the two ends of the channel in
 * test_channel.c. */
#pragma once
#include "channel/channel.h"
#include "channel/messages.h"
#include "unit.h"

#include <sys/types.h>

extern char path[64]; /* of the socket */
extern const struct channel_ops ops;

struct peer {
    int fd;
    struct channel_rings *rings;
    const struct channel_block *block;
    size_t block_size;
    struct ring_end in, out;
    char refusal[256];
};

/* A child, which listens when this returns; its status when it has ended; tells it to end, and waits for it. */
pid_t start_dataplane(void);
int status_of(pid_t pid);
void end_dataplane(pid_t pid);

/* False: refused, p->refusal says why. greet() says hello, too. */
bool connect_peer(struct peer *p);
bool greet(struct peer *p);
void say_hello(struct peer *p);
void hang_up(struct peer *p);

extern uint8_t out_buffer[CHANNEL_MESSAGE_MAX];
void send_raw(struct peer *p, const uint8_t *message, size_t len);
/* The next message of that type; others are passed over. False: the dataplane hung up or said nothing for 5 s. */
bool expect(struct peer *p, enum message_type type, struct message_reader *r);
/* A command of one word, into out_buffer. */
void put_exec(struct message_writer *w, uint64_t id, const char *word);
/* Does the dataplane still answer? */
bool echoes(struct peer *p);
