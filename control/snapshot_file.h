/* snapshot_file.h: an RDB file that is written from the bulk rings (channel/messages.h), on a thread of its own: a disk
 * may take its time, and control's loop goes on. The file comes to be under another name and takes the place of the one
 * that is there when all of it is on the disk: temp-PID.rdb, fsync, rename, fsync of the folder. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_db {
    uint64_t number, keys, expires;
};

struct snapshot_plan {
    const char *folder, *name; /* dir, dbfilename */
    bool checksum;             /* rdbchecksum */
    bool commands;             /* it becomes one of commands in the end (aof_base.h) */
    bool read_soon;            /* who reads it is to find it in the page cache */
    void *bulk;                /* mapped; the file's from now on */
    unsigned workers;
    const struct snapshot_db *db; /* those that have keys, `dbs` of them */
    unsigned dbs;
    const uint8_t *head; /* what the file begins with */
    size_t head_len;
    int done_fd; /* an eventfd that is told when it is over */
};

struct snapshot_totals {
    uint64_t keys, records, bytes; /* bytes: of the file */
    uint64_t aside, ahead;         /* as BULK_END has them, of all workers */
};

struct snapshot_file;
/* Is the folder there, and may a file be made in it? False and a line in error. */
bool snapshot_file_try(const char *folder, char *error, size_t size);
/* Starts to write; everything is copied but bulk. NULL and a line in error: bulk is unmapped. */
struct snapshot_file *snapshot_file_start(const struct snapshot_plan *plan, char *error, size_t size);
/* It is to give up; done_fd tells when it has. */
void snapshot_file_stop(struct snapshot_file *f, const char *why);
/* Waits for it (after done_fd told: not at all) and frees it. True: the file is there. Otherwise a line in error, and
 * the one before is as it was. */
bool snapshot_file_end(struct snapshot_file *f, struct snapshot_totals *totals, char *error, size_t size);
