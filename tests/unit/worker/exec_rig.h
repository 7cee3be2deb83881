/* exec_rig.h: EXECs with scripts that take long, over whole workers in virtual time: what exec_script_test.c and exec_outside_test.c
 * share. */
#pragma once
#include "box_rig.h"
#include "unit.h"

enum { THRESHOLD_US = 50000, REQUEST = 600, WAITS = 20000 };

#define BUSY          "-BUSY Redis is busy running a script. You can only call "
#define BUSY_SCRIPT   BUSY "SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
#define BUSY_FUNCTION BUSY "FUNCTION KILL or SHUTDOWN NOSAVE.\r\n"
#define ENDLESS       "EVAL \"while true do end\" "
#define SHA_ENDLESS   "694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7"
#define KILLED        "-ERR Script killed by user with SCRIPT KILL... script: " SHA_ENDLESS ", on @user_script:1.\r\n"
#define QUEUED(N)     "+OK\r\n" QUEUED_##N
#define QUEUED_2      "+QUEUED\r\n+QUEUED\r\n"
#define QUEUED_3      "+QUEUED\r\n" QUEUED_2
#define QUEUED_4      QUEUED_2 QUEUED_2


extern struct box_rig rig;
extern const char *here, *there; /* a key of each shard; of one worker's alone: two keys */
extern struct rig_client *a, *b, *d; /* of the first worker (a, b) and, if there are two, of the second */

/* One worker, or several, with more directives (name, value, ..., NULL) or NULL; THRESHOLD_US, unless they say otherwise. */
void start_with(unsigned several, const char *const *pairs);
void start(unsigned several);
/* However slow the machine is: nobody is told BUSY. */
void start_without_threshold(unsigned several);
/* Nothing is pinned, and nothing has leaked. */
void stop(void);

/* In formats %1$s is `here`, %2$s `there`. This is sent, and that and nothing else comes. */
bool says(struct rig_client *c, const char *format, const char *expected);
/* Sends without waiting for a reply. */
void sends(struct rig_client *c, const char *format);
/* This and nothing else comes, now or soon. */
bool hears(struct rig_client *c, const char *format);
/* Where a text stands in what a client has got; NULL: nowhere. And waits until it does. */
const uint8_t *shown(const struct rig_client *c, const char *text);
const uint8_t *comes(const struct rig_client *c, const char *text);
/* An EXEC is in the middle of its script, as another client sees it (b). */
void is_in_the_middle_of(struct rig_client *other);
void is_in_the_middle(void);
