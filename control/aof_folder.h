/* aof_folder.h: the folder of an append-only log in several files, as redis-server 7 keeps it: a base (RDB, or commands), increments, and a
 * manifest that names them, which is replaced as a whole. https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AOF_NAME = 256 };
struct aof_file {
    char name[AOF_NAME];
    uint64_t seq;
    char type; /* b, i, h: base, increment, history (to be deleted) */
};

struct aof_folder {
    char *dir, *path, *prefix; /* dir, dir/appenddirname, appendfilename */
    struct aof_file *file;     /* in the order of the manifest: base, increments */
    unsigned n, room;
    uint64_t first; /* what increments before that have is in the base of the last rebase; 0: none since this was read */
    bool commands; /* its next base is one in commands (aof_base.h) */
};

struct aof_folder *aof_folder_new(const char *dir, const char *folder, const char *prefix);
void aof_folder_free(struct aof_folder *f);
/* Reads the manifest. 1: it is there; 0: there is none; -1: it cannot be read, and a line in error. */
int aof_folder_read(struct aof_folder *f, char *error, size_t size);
/* The manifest's text, which is changed. False: it is none. */
bool aof_folder_parse(struct aof_folder *f, char *text);
/* Sees to it that there is one to begin with: the manifest; or a file of an older redis-server, which is taken over; or the
 * snapshot `dump`, which becomes the base; or an empty base. */
bool aof_folder_begin(struct aof_folder *f, const char *dump, char *error, size_t size);
/* Numbers of the base and of the last increment; 0: there is none. */
uint64_t aof_folder_base(const struct aof_folder *f);
uint64_t aof_folder_last(const struct aof_folder *f);
void aof_folder_base_name(const struct aof_folder *f, uint64_t seq, char name[AOF_NAME]);
void aof_folder_incr_name(const struct aof_folder *f, uint64_t seq, char name[AOF_NAME]);
/* The file of an increment that no manifest names, if it is there. */
void aof_folder_delete_incr(const struct aof_folder *f, uint64_t seq);
char *aof_folder_join(const struct aof_folder *f, const char *name);
/* Paths of the base and of the increments, in the order in which they are loaded. Each and the list are the caller's, of must_alloc(). */
char **aof_folder_paths(const struct aof_folder *f, unsigned *n);
/* One more increment, if the manifest does not name it; and a new base, after which come the increments from `first` on (which
 * it `adds`, in one step): what was before is deleted when the manifest is on the disk. */
bool aof_folder_add(struct aof_folder *f, uint64_t seq, char *error, size_t size);
bool aof_folder_rebase(struct aof_folder *f, uint64_t base, uint64_t first, bool adds, char *error, size_t size);
/* Another number whenever the manifest, or one of its files, is another one, or was changed. */
uint64_t aof_folder_stamp(const struct aof_folder *f);
/* Bytes of all files but those of history; of the base alone. */
uint64_t aof_folder_bytes(const struct aof_folder *f, uint64_t *base);
