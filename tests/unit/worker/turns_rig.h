/* turns_rig.h: whole workers in virtual time whose commands are all long ones, a slice one element: what
 * turns_test.c and its kin share. */
#pragma once
#include "box_rig.h"
#include "job.h"

enum { MEMBERS = 300, CLIENTS = 6 };

extern struct box_rig rig;
extern struct rig_client *client[CLIENTS];
extern const char *const one[], *const two[]; /* workers */

void begin(const char *const *pairs);
/* True if nothing is pinned, and nothing has leaked. */
bool end(void);
/* Pins, and what of them is held, in all shards. */
uint64_t pins(void);
/* A key of a worker's shard; of another one for each `other`. The last two are good. */
const char *key_of(unsigned shard);
/* Adds the elements 0 ... n - 1 by a command and a key. */
void add(const char *command, const char *key, unsigned n);
void sends(struct rig_client *c, const char *request);
/* What has come is the reply, nothing else and nothing less. */
bool has(struct rig_client *c, const char *expected);
/* Bytes of the reply with the elements 0 ... n - 1. */
size_t members_size(unsigned n);
/* Runs until a long reply is there. */
bool completes(struct rig_client *c, size_t size);
