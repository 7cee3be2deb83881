/* show_inventory.c: what the machine is made of, for whoever has to replace a part: from /sys and /proc, or a
 * copy of them. */
#include "control/show.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DISKS_MAX = 256, TEXT_MAX = 200 };

/* The first line of a file of the tree; NULL if there is none. A JSON string. */
static json_t *line_of(const char *tree, const char *format, const char *name, const char *leaf)
{
    char text[TEXT_MAX] = "";
    char *tail = must_print(format, name, leaf), *path = must_print("%s%s", tree, tail);
    FILE *f = fopen(path, "re");
    bool good = f && fgets(text, sizeof text, f);
    if (f)
        fclose(f);
    free(path);
    free(tail);
    text[strcspn(text, "\n")] = 0;
    for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return good && *text ? safe_string(text) : NULL;
}

static void put(json_t *j, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(j, key, value);
}

static json_t *system_json(const char *tree)
{
    static const char *const fields[][2] = {{"vendor", "sys_vendor"},         {"product", "product_name"},
                                            {"serial", "product_serial"},     {"board", "board_name"},
                                            {"board_serial", "board_serial"}, {"bios", "bios_version"},
                                            {"bios_date", "bios_date"}};
    json_t *j = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put(j, fields[i][0], line_of(tree, "/sys/class/dmi/id/%s%s", fields[i][1], ""));
    put(j, "kernel", line_of(tree, "/proc/sys/kernel/%s%s", "osrelease", ""));
    return j;
}

/* The value of the first line that begins with key, behind its colon. */
static json_t *proc_value(const char *tree, const char *file, const char *key)
{
    char line[TEXT_MAX], *path = must_print("%s/proc/%s", tree, file);
    json_t *found = NULL;
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *colon = strncmp(line, key, strlen(key)) == 0 ? strchr(line, ':') : NULL;
        if (!colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        found = safe_string(colon);
    }
    if (f)
        fclose(f);
    free(path);
    return found;
}

static json_t *disks_json(const char *tree)
{
    json_t *list = json_array();
    char *path = must_print("%s/sys/block", tree);
    DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d)) && json_array_size(list) < DISKS_MAX;) {
        if (*e->d_name == '.' || strncmp(e->d_name, "loop", 4) == 0 || strncmp(e->d_name, "ram", 3) == 0)
            continue;
        json_t *sectors = line_of(tree, "/sys/block/%s/%s", e->d_name, "size"), *j = json_object();
        put(j, "name", safe_string(e->d_name));
        if (sectors)
            put(j, "bytes", json_integer(512 * strtoll(json_string_value(sectors), NULL, 10)));
        put(j, "vendor", line_of(tree, "/sys/block/%s/%s", e->d_name, "device/vendor"));
        put(j, "model", line_of(tree, "/sys/block/%s/%s", e->d_name, "device/model"));
        put(j, "serial", line_of(tree, "/sys/block/%s/%s", e->d_name, "device/serial"));
        put(j, "rotational", line_of(tree, "/sys/block/%s/%s", e->d_name, "queue/rotational"));
        const bool none = sectors && strcmp(json_string_value(sectors), "0") == 0; /* an empty drive, swap in memory */
        json_decref(sectors);
        if (none)
            json_decref(j);
        else
            json_array_append_new(list, j);
    }
    if (d)
        closedir(d);
    free(path);
    return list;
}

void show_inventory(struct call *call, const json_t *request)
{
    const struct control *c = call_control(call);
    char error[512];
    json_t *topology = board_json(commit_running(c->commit), c->inventory, false, false, error, sizeof error);
    json_t *j = json_object();
    (void)request;
    put(j, "system", system_json(c->inventory));
    put(j, "cpu", proc_value(c->inventory, "cpuinfo", "model name"));
    put(j, "memory", proc_value(c->inventory, "meminfo", "MemTotal"));
    put(j, "disks", disks_json(c->inventory));
    put(j, "software", versions_json(c));
    if (topology)
        put(j, "topology", topology);
    call_reply(call, j);
}
