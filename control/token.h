/* token.h: tokens: what a program shows to the management API over HTTPS instead of a certificate.
 *
 *     slt_ID_SECRET     ID: 8 hexadecimal digits; SECRET: 256 random bits, in base64url
 *
 * Kept is the SHA-256 of SECRET alone (nothing slower is needed for what cannot be guessed), in state-dir/tokens.json,
 * mode 0600; the token itself is told once, by `create`. */
#pragma once
#include "control/show.h"

enum { TOKENS_MAX = 256, TOKEN_TEXT_MAX = 80 };

struct tokens;
/* A file that cannot be read lets nobody in, and is not written over: said in the log and by operations. */
struct tokens *tokens_open(const char *state_dir);
void tokens_close(struct tokens *t);

struct token_view {
    char id[9], name[65];
    enum role role;
    json_int_t expires; /* Unix time; 0: never */
};
/* Whose it is; false if it is none, or over. */
bool tokens_check(const struct tokens *t, const char *text, time_t now, struct token_view *view);
/* The parts of a token's text. False: it is none. */
bool token_parse(const char *text, char id[9], char hash[65]);

/* Numbers for /metrics. */
void tokens_metrics(struct text *out, const struct tokens *t);

operation token_create, token_list, token_revoke;
