/* tree.h: the kernel's files about the machine (/sys, /proc), read within bounds. Where the tree begins is an
 * argument, so that a plan can be made for a tree copied from another machine, or for one that never was. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { TREE_NAMES = 4096, TREE_NAME = 64, TREE_PATH = 256 };

struct tree {
    /* A whole file, zero-terminated. False if there is none, it cannot be read, holds a zero byte or does not
     * fit: then text is "". Paths are relative ("sys/devices/..."). */
    bool (*read)(const void *ctx, const char *path, char *text, size_t size);
    /* Calls each() for the names in a folder, at most TREE_NAMES, none longer than TREE_NAME - 1 bytes, in
     * any order. */
    void (*list)(const void *ctx, const char *path, void (*each)(void *arg, const char *name), void *arg);
    const void *ctx;
};

/* The file system below root ("" for this machine). root must stay valid. */
struct tree tree_files(const char *root);

/* A file that holds one number (a sign, digits, a newline) within bounds. */
bool tree_number(const struct tree *t, const char *path, long min, long max, long *value);
