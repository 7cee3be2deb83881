/* programs.h: which dataplane is started: an update of the dataplane alone, the one before it, or the box's own. Root puts
 * updates, checked, into a folder that control may not write (images/root/usr/lib/sluice/dataplane): `current` and `before`
 * are links to folders there, named by build id, with sluice-dataplane and `release` in each.
 *
 * One that does not serve is passed over, in the order above. Whether it was the program's fault is known when another one
 * serves: then state-dir/dataplane-refused keeps it, with the reason, until root installs something else. If the box's own does
 * not serve either, all begins again. */
#pragma once
#include "control/text.h"

#include <stdint.h>

enum { PROGRAM_UPDATE, PROGRAM_BEFORE, PROGRAM_OWN, PROGRAMS };

/* The path of one, without links, on the heap; NULL: there is none, or somebody beside root (and whose the box's own is) may have
 * written it. updates: the folder, or NULL. Keeps no state: the starter asks for itself, as root, and is to find what control found. */
char *program_find(const char *own, const char *updates, unsigned which);
/* What stands behind KEY= in `release` beside a program, on the heap; NULL: nothing. The second is for n keys at once: values[i] of keys[i]. */
char *program_release(const char *path, const char *key);
void program_releases(const char *path, unsigned n, const char *const keys[], char *values[]);
/* The program that a process was started as, on the heap; NULL: it does not say. proc(5), cmdline. */
char *program_of(long pid);

struct programs;
/* Texts are copied. */
struct programs *programs_new(const char *own, const char *updates, const char *state_dir);
void programs_free(struct programs *p);

/* The first that has not failed; its path on the heap. PROGRAM_OWN is told whether it is there or not. */
unsigned programs_choose(const struct programs *p, char **path);
bool programs_is_own(const struct programs *p, const char *path);
const char *programs_own(const struct programs *p);
/* It does not serve. True: another one is to be started instead. Until one serves that is forgotten when root puts another link into
 * the place of `current`. */
bool programs_failed(struct programs *p, const char *path, const char *why);
/* This one serves: what has failed before it is not started again. True: there was something that had failed. */
bool programs_served(struct programs *p);
/* All that was passed over for good is tried again. */
void programs_pardon(struct programs *p);
/* The box's own cannot load the data either, and waits for the operator: what has failed is not to blame when it serves at last, and
 * after programs_retry, at a restart that somebody asks for, it is tried again. */
void programs_excuse(struct programs *p);
void programs_retry(struct programs *p);
/* What an earlier control had started serves: if it is not the update, why is known no more. NULL: we have started what runs. */
void programs_found(struct programs *p, const char *path);
/* Why the update that is there, or was to be there, does not run: a line on the heap; NULL: it runs, or there is none. */
char *programs_doubt(const struct programs *p);

/* Counts a program's ends: is it to be given up? Faults are its own. What others have ended, or may have, shows nothing of it, unless
 * that goes on and on. */
enum { TRIAL_FAULTS = 2, TRIAL_WISHES = 8, TRIAL_LATE_FAULTS = 5, TRIAL_GOOD_MS = 60000, TRIAL_SOUND_MS = 3600000 };
struct trial {
    char program[512];
    unsigned faults, wishes; /* since it has served for TRIAL_GOOD_MS; the end behind that counts, too */
    unsigned late_faults;    /* since it has served for TRIAL_SOUND_MS, of ends behind TRIAL_GOOD_MS */
};
void trial_begin(struct trial *t, const char *program);
void trial_afresh(struct trial *t); /* but for its late faults */
void trial_served(struct trial *t, uint64_t ms); /* whoever wished its end */
/* served_ms: 0 = it has not. True: enough. */
bool trial_ended(struct trial *t, uint64_t served_ms, bool fault);
