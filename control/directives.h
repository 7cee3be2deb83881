/* directives.h: every directive of a configuration file as one row of data: Redis 7.2's by their names and
 * defaults, and our own. https://redis.io/docs/management/config/ */
#pragma once
#include "control/text.h"

#include <netinet/in.h>
#include <stdint.h>

enum directive_kind {
    KIND_BOOL,
    KIND_ENUM,
    KIND_INT,
    KIND_MEMORY,  /* 100mb; printed in bytes */
    KIND_PERCENT, /* memory, or a percentage such as 5% */
    KIND_OCTAL,
    KIND_STRING,
    KIND_LIST,   /* any number of words, each quoted where it needs it (repeated directives) */
    KIND_CHECKED /* words with a check of their own (value.c) */
};

enum directive_apply {
    APPLY_LIVE,      /* at once */
    APPLY_DATAPLANE, /* when the dataplane is started again */
    APPLY_CONTROL    /* when control is started again */
};

enum directive_flag {
    DIRECTIVE_IMMUTABLE = 1,   /* CONFIG SET refuses it: "can't set immutable config" */
    DIRECTIVE_PROTECTED = 2,   /* CONFIG SET refuses it unless enable-protected-configs */
    DIRECTIVE_REPEATED = 4,    /* each occurrence adds a value, max of them (0: any number); not a CONFIG GET
                                  name of Redis' */
    DIRECTIVE_GATHERED = 8,    /* occurrences in a file add to one value (save, client-output-buffer-limit) */
    DIRECTIVE_SECRET = 16,     /* never logged */
    DIRECTIVE_KEPT = 32,       /* accepted and kept, but Sluice has no use for it: said once at load */
    DIRECTIVE_OURS = 64,       /* not Redis' */
    DIRECTIVE_HASH_WORDS = 128 /* later words may begin with '#' (user): no trailing comment is taken off */
};

struct directive;
/* Checks the words and writes the canonical value. `before` is the value so far when occurrences are
 * gathered, or NULL. False and one static text in error. */
typedef bool directive_check(const struct words *w, const char *before, struct text *out, const char **error);

struct directive {
    const char *name, *alias; /* alias may be NULL */
    enum directive_kind kind;
    const char *fallback; /* Redis' default, canonical; NULL for a repeated one: none */
    unsigned flags;
    enum directive_apply apply;
    int64_t min;
    uint64_t max;
    const char *const *choices; /* NULL-terminated */
    directive_check *check;
};

extern const struct directive directives[];
unsigned directive_count(void);
/* Row by name or alias, case-blind; -1 if unknown. */
int directive_find(const char *name);
/* The known name nearest to a misspelt one, or NULL. */
const char *directive_nearest(const char *name);
/* Names of Redis' that stand for nothing any more: accepted and ignored. */
bool directive_obsolete(const char *name);

/* value.c: the words of one occurrence -> canonical text. False and one text (Redis' wording) in error, of
 * `size` bytes. */
bool directive_value(const struct directive *d, const struct words *w, const char *before, struct text *out,
                     char *error, size_t size);
/* What to write instead, for an operator. */
void directive_remedy(const struct directive *d, char *line, size_t size);
/* "100mb", "1gb", "5k" as memtoull reads them. */
bool memory_parse(const char *s, uint64_t *bytes);
/* The shortest text for bytes ("1gb"), for CONFIG REWRITE. */
void memory_print(uint64_t bytes, char *out, size_t size);

directive_check check_words, check_dir, check_file_name, check_save, check_output_limits, check_events, check_percentiles,
    check_oom_values, check_replicaof, check_rename, check_address, check_gateway, check_route, check_mac,
    check_cores, check_filter, check_listener, check_rate_prefix, check_certificate_names, check_schedule, check_management_role, check_log_remote,
    check_name_server;
/* The one text form of an IPv4 or IPv6 address. False: it is none. */
bool address_canonical(const char *s, char canonical[INET6_ADDRSTRLEN]);
