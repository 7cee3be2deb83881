/* shell.h: what stays from one command to the next: the mode, and in configuration mode the connection that holds the
 * lock. */
#pragma once
#include "mgmt/grammar.h"

#include <jansson.h>

struct shell {
    const char *socket;
    bool interactive; /* somebody is there who can be asked */
    int session;      /* descriptor of the connection; -1: operational mode */
    bool leave;       /* `exit` */
    /* Of the prompt, or NULL: a line that is typed as an answer, on the heap; NULL: Ctrl-D, or Ctrl-C (cancelled). */
    char *(*ask)(struct shell *sh, const char *before);
    bool cancelled;
};

/* Which box is meant, as the environment says. */
void shell_start(void);
/* The table of the present mode. */
const struct node *shell_table(const struct shell *sh);
/* One line with its pipes; `?` as its last word is help. An exit code. */
int shell_line(struct shell *sh, const char *line);
/* The same from words, of which parsing makes use. */
int shell_words(struct shell *sh, char **words, int n);
/* Lines of stdin until one fails: its exit code. */
int shell_script(struct shell *sh);
void shell_end(struct shell *sh);

/* Asks on the terminal; false if nobody is there, or the answer is not yes. */
bool shell_confirms(struct shell *sh, const char *question);
/* A request on the session's connection. As api_request. When control has gone the mode is left. */
int shell_ask(struct shell *sh, json_t *request, json_t **data);
