/* time_wait.h: closed connections that still keep their tuple: TIME_WAIT, and guards against the replay of
 * SYN cookies. Private to dataplane/tcp. */
#pragma once
#include "tcp/conn.h"

bool tcp_time_wait_new(struct tcp_stack *s); /* false: no memory; tcp_time_wait_free takes what there is */
void tcp_time_wait_free(struct tcp_stack *s);

/* The connection becomes a record and ends. Its last ACK must have been sent. */
void tcp_time_wait_enter(struct tcp_conn *c, uint64_t now_us);
/* Leaves a guard for a connection that came by a cookie and is about to end. */
void tcp_time_wait_guard(struct tcp_conn *c);

enum tcp_time_wait_verdict {
    TIME_WAIT_NONE,  /* no record stands in the way */
    TIME_WAIT_TAKEN, /* a record has dealt with the segment */
    TIME_WAIT_REUSED /* a SYN that may open the tuple again, with a first number of ours above *above */
};
/* A segment that belongs to no connection. */
enum tcp_time_wait_verdict tcp_time_wait_input(struct tcp_stack *s, const struct tcp_tuple *t,
                                               const struct tcp_segment *seg, uint32_t *above,
                                               uint64_t now_us);
void tcp_time_wait_forget(struct tcp_stack *s, const struct tcp_tuple *t); /* the tuple opens again */
bool tcp_time_wait_holds(const struct tcp_stack *s, const struct tcp_tuple *t);

/* Ends what is due. Returns when the next one is (us), UINT64_MAX if there is none. */
uint64_t tcp_time_wait_expire(struct tcp_stack *s, uint64_t now_us);
