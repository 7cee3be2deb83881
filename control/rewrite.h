/* rewrite.h: CONFIG REWRITE: the running configuration back into its file, durably, comments and order kept.
 */
#pragma once
#include "control/settings.h"

/* The file's new text: lines whose directive has not changed stay as they are, changed ones are written in
 * place of the first line of their directive, new ones at the end. NULL and one line in error if the file
 * cannot be read or the result would not read back as `running`. Heap. */
char *rewrite_text(const char *path, const struct settings *running, char *error, size_t size);

/* Appends the lines of one directive, so that they read back as its values. */
void rewrite_directive(struct text *out, const struct settings *s, int directive);

/* Replaces path by text: temporary file, fsync, rename, fsync of the folder; mode and owner are kept. False
 * and one line in error. */
bool write_durably(const char *path, const char *text, char *error, size_t size);

/* The folder that path is in: what was renamed or unlinked there stays so. */
bool sync_folder(const char *path);
