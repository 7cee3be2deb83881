/* record_rig.h: connections of TLS 1.3 whose records are ours, and whoever has their keys. */
#pragma once
#include "tls/private.h"
#include "tls_rig.h"

enum { ROOM = 1 << 16, SUITES = 3 };
extern const char *const suite_names[SUITES];
extern struct rig_pair own;
extern struct rig_box box;
extern uint8_t sent[ROOM], got[ROOM]; /* sent: bytes of no pattern */

/* Starts OpenSSL and makes `own` and `box`. */
bool record_rig_start(void);
void record_rig_stop(void);
/* A connection of TLS 1.3 with this suite, or with the first, whose records are ours. */
struct rig_talk *talk_in(const char *suite);
struct rig_talk *talk(void);
/* Whoever has the client's key: seals as the client would. */
struct record_way key_of_client(const struct rig_talk *t);
/* These bytes follow what the client has sent. */
void arrive(struct rig_talk *t, const uint8_t *p, size_t n);
/* What the client makes of an alert that has been sent to it. */
int alert_heard(struct rig_talk *t);
