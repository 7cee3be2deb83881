/* candidate_parts.h: between candidate.c (edits, commits, confirmation) and candidate_api.c (its operations). */
#pragma once
#include "control/candidate.h"
#include "control/revisions.h"

struct candidate {
    struct control *control;
    struct revisions *revisions;
    char *marker; /* file that says that a commit waits for its confirmation; NULL: no state folder */

    struct settings *base, *edited; /* NULL: FREE. base: as running when the edits began */
    uint64_t session, since_ms;
    char *who;

    struct call *committing; /* or NULL; the commit is on its way to the dataplane */
    uint64_t committing_session;
    char *comment;
    bool going_back;  /* one that was not confirmed is on its way back */
    unsigned minutes; /* 0: needs no confirmation */

    struct settings *fallback; /* a commit waits for its confirmation: what was before; else NULL */
    bool *touched;             /* by it */
    uint64_t deadline_ms;
    char *confirm_who;
    struct event *timer;
    struct words restart; /* of an unconfirmed commit of a control that has ended: names whose change needs it */
};

/* Every directive on which they differ. */
struct change_list {
    struct change *change;
    unsigned n;
};
/* What makes `from` `to`, but for directives where `only` is false (NULL: all). Free .change alone. */
struct change_list candidate_changes(const struct settings *from, const struct settings *to, const bool *only);
/* The running configuration with the edits. */
struct settings *candidate_merged(const struct candidate *k);
/* Starts a commit; the call is answered when it is over. */
void candidate_commit(struct candidate *k, struct call *call, const char *comment, unsigned minutes);
void candidate_begin(struct candidate *k, uint64_t session, const char *who);
void candidate_end(struct candidate *k);
