/* box_load_in.h: for box_load.c alone: what comes off the channel becomes jobs for workers (box_load_in.c). */
#pragma once
#include "box.h"
#include "channel/messages.h"
#include "job.h"

enum { LOAD_CARRY = LOAD_ITEM_HEADER + LOAD_ITEM_MAX, LOAD_LOG_BATCH = 128 * 1024 };
#define LOAD_JOB UINT64_MAX /* id of a JOB_EXEC of ours: control counts from below */

/* A request of ours for a worker; takes batch, which may be NULL. Without memory it says so in load.why. */
void load_send_job(struct plane *p, unsigned worker, enum job_kind kind, int argc, const struct slice *argv,
                   struct load_batch *batch);
/* A library of functions for worker 0. */
void load_send_function(struct plane *p, struct slice text);
/* A batch without records for each worker: doors open or close. */
void load_order_all(struct plane *p, enum load_order order);
/* The batches of records, full or not; the commands of a log, if they are enough and it is their turn. */
void load_send_batches(struct plane *p);
void load_send_log(struct plane *p);
