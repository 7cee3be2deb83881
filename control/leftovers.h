/* leftovers.h: files that a control which was killed has left: parts of snapshots, of uploads, and of an append-only log that its
 * manifest does not know. */
#pragma once

/* Deletes them; only for whoever has the lock of the state-dir, and before anything writes: temp-PID.rdb and temp-upload-PID.rdb in
 * dir, temp-PID.rdb in the log's folder, and, if there is a manifest, bases and increments of its name with numbers behind its last. */
void leftovers_delete(const char *dir, const char *appenddirname, const char *appendfilename);
