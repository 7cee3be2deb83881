/* confine.h: how a process of the box gives up, for good, what it needs no longer: root, capabilities, new
 * programs, core dumps, system calls. credentials(7), capabilities(7), prctl(2), seccomp(2). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct confine_user {
    uid_t uid;
    gid_t gid;
};

enum confine_mode {
    CONFINE_OFF,
    CONFINE_LOG,
    CONFINE_ENFORCE
}; /* LOG: the kernel's audit log tells, nothing is refused */

/* What is allowed; several rows of one name: any of them. */
enum confine_how {
    CONFINE_ANY,
    CONFINE_EQUAL,   /* the argument is `value` */
    CONFINE_WITHOUT, /* the argument has none of the bits of `value` */
    CONFINE_REFUSED  /* not done, answered with error number `value`, and no violation */
};

struct confine_call {
    const char *names; /* with blanks between; one that the library does not know is left out */
    enum confine_how how;
    uint8_t argument; /* from 0 */
    uint64_t value;
};

/* False: the system knows no such user. Reads files. */
bool confine_find(const char *name, struct confine_user *user);
/* "UID:GID" in decimal; neither may be root's. */
bool confine_parse(const char *text, struct confine_user *user);
/* "off", "log", "enforce". */
bool confine_mode(const char *word, enum confine_mode *mode);

/* No core dumps, nobody may trace us, execve(2) gives no new rights; with `alone` no rights at all, since
 * nothing is ever to be executed. Before there are threads: they inherit it. With sanitizers dumps and
 * tracing stay: they trace themselves. */
void confine_begin(bool alone);
/* All threads become that user, of no other group and without a capability. False and one line in error: the
 * caller has to end, since some of it may have been done. */
bool confine_become(const struct confine_user *user, char *error, size_t size);
/* All threads, those of later too, may do these system calls of this machine alone, and map no memory that is
 * both new and executable unless the rows say so. A violation ends the process: one line on stderr names
 * `program` and the call, exit status CONFINE_STATUS. Looking up anything by name (time zone, users) has to
 * be over. */
enum { CONFINE_STATUS = 71 };
bool confine_calls(enum confine_mode mode, const char *program, const struct confine_call *const lists[],
                   char *error, size_t size); /* lists: each ends with a row without a name, they with NULL */
