/* json.h: one flat JSON object (RFC 8259) a line, written to a reply. For what operators look at. */
#pragma once
#include "resp/writer.h"

struct json {
    struct resp_writer *out;
    bool comma;
};

struct json json_begin(struct resp_writer *out); /* { */
void json_end(struct json *j);                   /* } and the end of the line */
void json_u64(struct json *j, const char *name, uint64_t v);
void json_bool(struct json *j, const char *name, bool v);
/* Bytes that are not printable ASCII are written as \u00XX, one each: the text is always valid UTF-8. */
void json_slice(struct json *j, const char *name, struct slice s);
void json_text(struct json *j, const char *name, const char *text);
