/* interrupt.h: Ctrl-C while a command runs at the prompt. It ends the command, not the session. */
#pragma once
#include <stdbool.h>

/* From here on Ctrl-C is noted; requests that wait for control then fail (client.c). Elsewhere than at the prompt it goes on to end the process. */
void interrupt_at_prompt(void);
/* Forgets the last one. True: there was one. */
bool interrupt_taken(void);
/* There was one that nobody has taken, and no stream has been ended by it. */
bool interrupt_pending(void);

/* Until interrupt_stream_ends() the first Ctrl-C shuts our side of that socket down, so that control ends its stream orderly; a second one, should
 * that end not come, is as without. */
void interrupt_stream(int fd);
/* The same without a socket: interrupt_of_stream() says whether it came. */
void interrupt_noted(void);
bool interrupt_of_stream(void);
void interrupt_stream_ends(void);
