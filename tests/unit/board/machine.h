/* machine.h: machines that never were: a /sys and /proc in memory, made from a shape and then bent. */
#pragma once
#include "board/plan.h"

enum { MACHINE_FILES = 2048 };

struct shape {
    unsigned sockets, nodes, cores, threads; /* nodes a socket, cores a node, threads a core */
    unsigned memory_mb, pages;               /* a node */
    bool flat;                               /* the kernel knows no nodes */
};

struct machine {
    unsigned files;
    struct {
        char path[160];
        char *text;
        size_t len;
    } file[MACHINE_FILES];
};

/* CPUs are numbered as Linux does: the first threads of all cores, then the second ones. */
struct machine *machine_new(const struct shape *s);
void machine_free(struct machine *m);
/* A file's new text; it need not have been there. */
void machine_set(struct machine *m, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void machine_set_bytes(struct machine *m, const char *path, const void *bytes, size_t len);
/* Takes away what begins so. */
void machine_drop(struct machine *m, const char *prefix);
/* A NIC with an interface behind it; node < 0: the firmware did not say. */
void machine_nic(struct machine *m, const char *address, const char *interface, int node);
struct tree machine_tree(const struct machine *m);
/* Writes the files below a folder. */
bool machine_unpack(const struct machine *m, const char *folder);
