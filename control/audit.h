/* audit.h: who changed what, when and from where, as lines that vouch for each other:
 * state-dir/audit/NNNNNN.jsonl, mode 0600, one JSON object a line, on disk (fsync) before the next thing
 * happens.
 *
 *     {"n":7,"time":"2026-11-22T04:51:02.123Z","who":"uid 0 (root), pid 812","from":"management socket",
 *      "what":"config set","detail":{...},"result":"ok","prev":"HASH of line 6","hash":"SHA-256 of this line
 * up to here"}
 *
 * A line that was changed, taken out, put in or moved no longer fits the ones beside it. Lines cut off at the
 * end are noticed as long as control runs, which knows the last number and hash; whoever keeps those two
 * elsewhere can tell later, too. Who can write the file and knows no such pair may put a whole new history
 * there: a chain has no secret. */
#pragma once
#include "control/settings.h"

#include <jansson.h>
#include <stdint.h>

enum {
    AUDIT_HASH = 64,
    AUDIT_FILE_MAX = 16 << 20, /* bytes; then the next file begins */
    AUDIT_FILES_MAX = 50       /* the oldest go */
};

struct audit;
/* Goes on behind what is in the folder, which is made. A line that was cut short by a crash is ended and
 * said. NULL and one line in error. */
struct audit *audit_open(const char *folder, char *error, size_t size);
void audit_close(struct audit *a);

/* Adds a line; a NULL audit does nothing. detail is taken over and may be NULL. A failure to write is logged,
 * counted and told by audit_failures(): the change itself has happened. */
void audit_note(struct audit *a, const char *who, const char *from, const char *what, json_t *detail,
                const char *result);
/* The same for what was refused: whoever may do nothing must not drive the rest out of the log either. At most
 * AUDIT_REFUSALS lines at once and one a second after that; those left out are counted in the next. */
enum { AUDIT_REFUSALS = 60 };
void audit_refusal(struct audit *a, const char *who, const char *from, const char *what, const char *result);
/* What a change of the configuration was: {"name":{"before":...,"after":...}}, secrets as "(secret)". NULL:
 * nothing. */
json_t *audit_changes(const struct settings *before, const struct settings *after);
/* Whoever wants each line as it has been written, from now on; fn NULL: nobody. fn must not add lines. A NULL audit does
 * nothing. */
void audit_watch(struct audit *a, void (*fn)(void *arg, const char *line), void *arg);
uint64_t audit_failures(const struct audit *a);

/* Walks all lines: {"files":N,"lines":N,"first":N,"last":N,"hash":"...","good":bool} and, if not good,
 * "file", "line" and "reason". */
json_t *audit_verify(const struct audit *a);
/* The last so many lines, oldest first. */
json_t *audit_last(const struct audit *a, unsigned lines);
