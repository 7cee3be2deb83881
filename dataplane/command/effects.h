/* effects.h: what a command has done, as the commands that do it again: lines of the append-only log, in the forms in which
 * redis-server 7 writes them (relative times absolute, chosen members and IDs named). https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
 *
 * While a log is kept (OBSERVE_LOG) the dispatcher runs handlers through effects_run(). A handler whose arguments do not say
 * what it does tells so itself: effects_of() is not NULL then. EXEC and scripts collect what their commands do into one
 * record. */
#pragma once
#include "command/command.h"
#include "store/stream.h"
#include "store/waits.h"

/* A record that is made. Items lie in p one after the other: struct effect, then so many bytes of RESP. */
struct effect {
    uint32_t db, len;
};
struct effects {
    uint8_t *p;
    size_t len, cap;
    size_t item;   /* where the open one begins */
    unsigned n;    /* items */
    bool heap;     /* p is of malloc() */
    bool failed;   /* without memory: the log has a hole */
};

/* An empty one, which takes `room` until that is too small. */
void effects_begin(struct effects *e, void *room, size_t size);
/* Hands the record over, if there is anything in it, and frees it. */
void effects_end(struct command_env *env, struct effects *e);

/* One command: its number of arguments, then each. */
void effects_open(struct effects *e, unsigned db, unsigned argc);
void effects_arg(struct effects *e, struct slice arg);
void effects_word(struct effects *e, const char *word);
void effects_number(struct effects *e, int64_t v);
void effects_add(struct effects *e, unsigned db, unsigned argc, const struct slice *argv);

/* Runs the handler of rq, and notes what it has done. */
enum command_result effects_run(struct request *rq);
/* Does it take the fields that are over out of its first key before it runs, while a log is kept? So it changes a key that its
 * specification may call read only (COPY). */
bool effects_take_fields(const struct request *rq);
/* Where a handler says what it does; NULL: nobody wants to know. */
static inline struct effects *effects_of(const struct request *rq)
{
    return rq->client->effects;
}

/* Of SPOP: this member goes. Before it does. */
void effects_popped(struct request *rq, struct slice member);
void effects_deleted(struct request *rq, struct slice key);
/* Of XREADGROUP and kin: a pending entry is as it is now; a group has been read; a consumer has come to be. */
void effects_claimed(struct request *rq, struct slice key, const struct stream_group *g, const struct stream_consumer *c,
                     const struct stream_pending *p);
void effects_dropped(struct request *rq, struct slice key, const struct stream_group *g, struct stream_id id);
void effects_read(struct request *rq, struct slice key, const struct stream_group *g);
void effects_consumer(struct request *rq, struct slice key, const struct stream_group *g, struct slice consumer);

/* A key has expired or was evicted (key_event_fn's events; ctx is the env of its worker). */
void effects_by_itself(void *ctx, enum key_event event, unsigned db, struct slice name);
/* The same of fields whose time is over (fields_gone_fn). */
void effects_fields_gone(void *ctx, unsigned db, struct slice name, const struct slice *field, unsigned n);

/* effects_rules.c: the forms of commands that are not logged as they came. */
enum { EFFECT_ALWAYS = 1, EFFECT_TOLD = 2, EFFECT_WHOLE = 4 };
struct effect_rule {
    const char *command; /* its full name */
    unsigned how; /* EFFECT_ALWAYS: no key need have changed, unless it failed. EFFECT_TOLD: its handler says it.
                  * EFFECT_WHOLE: what it does depends on all fields of its first key */
    /* NULL: as it came */
    void (*write)(struct request *rq, struct effects *e);
};
const struct effect_rule *effect_rule_of(const struct request *rq);
