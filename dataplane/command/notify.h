/* notify.h: keyspace notifications (notify-keyspace-events).
 * https://redis.io/docs/latest/develop/use/keyspace-notifications/
 *
 * No handler knows of them: the store notes the keys that a command makes, changes and removes
 * (store/waits.h), the dispatcher then looks up how Redis calls what such a command does (notify_rules.c). */
#pragma once
#include "command/command.h"
#include "store/waits.h"

/* Tells of the keys that were noted since the last time: rq has done that. */
void notify_of(struct request *rq);
/* What happens to keys by itself (key_event_fn; ctx is the env of the key's worker). */
void notify_by_itself(void *ctx, enum key_event event, unsigned db, struct slice name);

/* -- for its own files */

enum rule_how {
    RULE_ONLY_DEL = 1, /* of a key that goes, "del" is all there is to say */
    RULE_NO_DEL = 2,   /* nor that */
    RULE_BACKWARDS = 4 /* the key of the second event is told of first */
};

struct notify_rule {
    const char *command; /* its full name */
    unsigned class, how; /* how: enum rule_how */
    const char *event;   /* for all keys, or for the one that argument 1 names in the client's database ... */
    const char *other;   /* ... if this is for the others */
    /* Changes the rule by the arguments; NULL: nothing to change. */
    void (*refine)(const struct request *rq, struct notify_rule *rule);
    const char *also; /* an event after it */
    unsigned also_class;
};

/* False if the command has no events. */
bool notify_rule_of(const struct request *rq, struct notify_rule *rule);
