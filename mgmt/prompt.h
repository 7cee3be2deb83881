/* prompt.h: the interactive prompt (libedit): the same grammar, history, completion, help at `?`. */
#pragma once

/* Until end of input or `exit`. Returns the exit code of the last command. */
int prompt_run(const char *socket_path);
