/* resp.h: the little RESP that control needs: answers to ASK, and the replies of EXEC.
 * https://redis.io/docs/reference/protocol-spec/ */
#pragma once
#include "control/text.h"

#include <stdint.h>

/* "-..." and "+OK" lines. The text of an error is cleaned of line ends. */
void resp_error(struct text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void resp_ok(struct text *out);

enum resp_kind { RESP_NONE, RESP_STATUS, RESP_ERROR, RESP_BULK };
/* Reads a reply that is one line or one bulk (or verbatim) string. The bytes are borrowed. RESP_NONE:
 * anything else. */
enum resp_kind resp_read(const char *p, size_t len, const char **value, size_t *value_len);
/* An array of bulk strings without zero bytes, appended to `texts`. False: it is another reply; `texts` may have grown. */
bool resp_texts(const char *p, size_t len, struct words *texts);
