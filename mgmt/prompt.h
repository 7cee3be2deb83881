/* prompt.h: the interactive prompt (libedit): the same grammar, history, completion, `| match TEXT`, `| json`. */
#pragma once
#include "mgmt/grammar.h"

/* Runs one command line, prints its output through the filters of `in`. Returns an exit code. in->socket is set. */
int run_line(struct invocation *in, char **words, int n);
/* Until end of input or `exit`. Returns the exit code of the last command. */
int prompt_run(const char *socket_path);
