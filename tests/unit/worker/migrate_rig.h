/* migrate_rig.h: the box and a target of our own to which it moves keys, in virtual time; for the tests of MIGRATE. */
#pragma once
#include "nomem.h"
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the target listens: the fake port gives worker 0 the flows to an even port that begin at an odd one.
 */
enum { PORT = 7000, WAIT_US = 3000 };

/* Long values stay long, and TCP takes little of them. */
static const char *const plain[] = {"workers", "1", "rdbcompression", "no", "tcp-send-buffer", "256kb", NULL};

static inline void start(const char *const *pairs)
{
    begin(pairs);
    for (unsigned i = 0; i < rig.box.workers; i++)
        rig.box.worker[i]->turns.each = 0;
    rig_serve(&rig, PORT);
}

static inline struct rig_client *target(unsigned i)
{
    for (unsigned n = 0; n < 100 && rig.accepted <= i; n++)
        rig_run(&rig, 1000);
    CU_ASSERT_FATAL(rig.accepted > i);
    return &rig.served[i];
}

/* The target gets exactly this, and answers. */
static inline bool hears(struct rig_client *t, const char *request, const char *answer)
{
    for (unsigned n = 0; n < 100 && t->got_len < strlen(request); n++)
        rig_run(&rig, 1000);
    bool same = has(t, request);
    t->got_len = 0;
    rig_send(t, answer);
    rig_run(&rig, WAIT_US);
    return same;
}

/* Some RESTORE of this key. */
static inline bool hears_restore(struct rig_client *t, const char *key, const char *answer)
{
    char begin[64];
    int n = sprintf(begin, "\r\nRESTORE\r\n$%zu\r\n%s\r\n", strlen(key), key);
    for (unsigned i = 0; i < 100 && !memmem(t->got, t->got_len, begin, (size_t)n); i++)
        rig_run(&rig, 1000);
    bool found = memmem(t->got, t->got_len, begin, (size_t)n) != NULL;
    t->got_len = 0;
    rig_send(t, answer);
    rig_run(&rig, WAIT_US);
    return found;
}

#define SELECT     "*2\r\n$6\r\nSELECT\r\n$1\r\n9\r\n"
#define MOVE(key)  "MIGRATE 10.0.0.1 7000 " key " 9 500\r\n"
#define READING    "-IOERR error or timeout reading to target instance\r\n"
#define WRITING    "-IOERR error or timeout writing to target instance\r\n"
#define CONNECTING "-IOERR error or timeout connecting to the client\r\n"

/* "MSET k0 0 k1 1 ..." */
static inline void set_many(char *text, unsigned keys)
{
    int n = sprintf(text, "MSET");
    for (unsigned i = 0; i < keys; i++)
        n += sprintf(text + n, " k%u %u", i, i);
    sprintf(text + n, "\r\n");
}

/* A MIGRATE that begins so, of these keys. */
static inline void move_many(char *text, const char *begin, unsigned keys)
{
    int n = sprintf(text, "%s", begin);
    for (unsigned i = 0; i < keys; i++)
        n += sprintf(text + n, " k%u", i);
    sprintf(text + n, "\r\n");
}
