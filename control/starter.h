/* starter.h: starts and signals the dataplane for a control that has given root up: a process that was forked
 * off while there still was root, waits in recv(2), and does four things, with arguments that were fixed
 * then; of the programs, too, it is told only which, and root put them where they are. It ends when control does, however that is; what it started lives on. Privilege separation as in
 * OpenSSH (Provos, 2003). */
#pragma once
#include "channel/messages.h"

#include <stdbool.h>

struct starter;

/* argv: the dataplane's command line, ended by NULL, its own program first; updates: the folder of others (programs.h), or NULL.
 * Before there are other descriptors that it should not have. NULL: no process to be had (errno). */
struct starter *starter_new(const char *const argv[], const char *updates);
void starter_free(struct starter *s);

/* The program with log_fd (or -1) as its output, and `--memory 3,4,5` if there are descriptors of kept memory
 * (kept[0] is none's: -1) for it; its pid, or -1 (errno). which: one of programs.h, looked for there and then.
 * starter_fork: without a starter; the program instead of argv[0]. */
long starter_start(struct starter *s, unsigned which, int log_fd, const int kept[CHANNEL_KEEPS]);
long starter_fork(const char *program, const char *const argv[], int log_fd, const int kept[CHANNEL_KEEPS]);
/* `--layout` of a program, its output to out_fd: the pid, for starter_status, or -1. */
long starter_layout(struct starter *s, unsigned which, int out_fd);
/* A signal for a dataplane, ours or an earlier control's; anything else is left alone (EPERM). */
bool starter_signal(struct starter *s, long pid, int signal);
/* How it ended (wait(2)). False: it was not started by this starter. */
bool starter_status(struct starter *s, long pid, int *status);
