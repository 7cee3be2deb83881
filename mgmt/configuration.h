/* configuration.h: configurations, what differs between them and where they come from, as texts. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Puts what `| compare` asks for into the request. False and a line on stderr if it is no number. */
bool put_compare(json_t *request, const char *compare);
/* "lines", or "changes" as - and + lines. */
void print_configuration(FILE *out, const json_t *data);
/* The same, or, at the prompt, that there is nothing. */
struct invocation;
void print_shown(struct invocation *in, const json_t *data);
/* Which of the changes do not take effect at once. */
void print_effects(FILE *out, const json_t *changes);
/* A line of `show history`. */
void print_revision(FILE *out, const json_t *about);
void print_import(FILE *out, const json_t *report);
/* "terminal": the prompt, or stdin, up to its end or a line with a dot alone. On the heap; NULL and a line on stderr. */
struct shell;
char *read_text_file(struct shell *sh, const char *path);
