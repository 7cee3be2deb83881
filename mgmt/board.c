/* board.c: the commands about the machine: what it is made of, and how the box is laid out on it. */
#include "mgmt/operations.h"
#include "mgmt/table.h"
#include "mgmt/words.h"

#include <stdlib.h>
#include <string.h>

static void print_lines(FILE *out, const char *head, const json_t *list)
{
    size_t i;
    const json_t *line;
    json_array_foreach(list, i, line)
    {
        fprintf(out, "%-24s ", head);
        print_safe(out, json_string_value(line));
        fputc('\n', out);
    }
}

static void print_list(FILE *out, const char *head, const json_t *object, const char *key)
{
    const char *text = text_of(object, key);
    fprintf(out, "%-24s %s\n", head, *text ? text : "none");
}

int run_show_topology(struct invocation *in)
{
    static const struct column nodes[] = {{"node", "node", COLUMN_NUMBER},
                                          {"socket", "socket", COLUMN_NUMBER},
                                          {"cpus", "cpus"},
                                          {"memory MB", "memory_mb", COLUMN_NUMBER},
                                          {"free MB", "free_mb", COLUMN_NUMBER},
                                          {"hugepages", "hugepages", COLUMN_NUMBER},
                                          {"free", "hugepages_free", COLUMN_NUMBER},
                                          {0}};
    static const struct column nics[] = {
        {"NIC", "address"}, {"interface", "interface"},      {"driver", "driver"},
        {"id", "id"},       {"node", "node", COLUMN_NUMBER}, {0}};
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    print_list(in->out, "CPUs", j, "cpus");
    print_list(in->out, "isolated", j, "isolated");
    print_list(in->out, "without ticks", j, "nohz_full");
    print_field(in->out, "IOMMU", json_object_get(j, "iommu"));
    print_lines(in->out, "note", json_object_get(j, "notes"));
    fputc('\n', in->out);
    print_table(in->out, nodes, json_object_get(j, "nodes"));
    if (json_array_size(json_object_get(j, "nics"))) {
        fputc('\n', in->out);
        print_table(in->out, nics, json_object_get(j, "nics"));
    }
    json_decref(j);
    return code;
}

int run_show_plan(struct invocation *in)
{
    static const struct column workers[] = {{"worker", "worker", COLUMN_NUMBER},
                                            {"cpu", "cpu", COLUMN_NUMBER},
                                            {"core", "core", COLUMN_NUMBER},
                                            {"socket", "socket", COLUMN_NUMBER},
                                            {"node", "node", COLUMN_NUMBER},
                                            {"memory on", "memory_node", COLUMN_NUMBER},
                                            {0}};
    static const struct column memory[] = {{"node", "node", COLUMN_NUMBER},
                                           {"arena MB", "arena_mb", COLUMN_NUMBER},
                                           {"packets MB", "packets_mb", COLUMN_NUMBER},
                                           {"other MB", "other_mb", COLUMN_NUMBER},
                                           {"hugepages needed", "hugepages_needed", COLUMN_NUMBER},
                                           {"there", "hugepages", COLUMN_NUMBER},
                                           {0}};
    static const struct column kernel[] = {{"kernel argument", "argument"}, {"state", "state"}, {0}};
    json_t *j;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    fprintf(in->out, "%-24s %" JSON_INTEGER_FORMAT "%s%s\n", "node", number_of(j, "node"),
            json_is_true(json_object_get(j, "node_is_links")) ? ", that of " : "",
            json_is_true(json_object_get(j, "node_is_links")) ? text_of(j, "link_device") : "");
    print_list(in->out, "CPUs of workers", j, "cpus");
    print_list(in->out, "their siblings, idle", j, "idle_siblings");
    print_list(in->out, "CPUs of the system", j, "system_cpus");
    print_field(in->out, "workers at most", json_object_get(j, "most_workers"));
    print_lines(in->out, "remark", json_object_get(j, "remarks"));
    fputc('\n', in->out);
    print_table(in->out, workers, json_object_get(j, "workers"));
    fputc('\n', in->out);
    print_table(in->out, memory, json_object_get(j, "memory"));
    fputc('\n', in->out);
    print_table(in->out, kernel, json_object_get(j, "kernel"));
    json_decref(j);
    return code;
}

static void print_part(FILE *out, const char *name, const struct column *columns, const json_t *rows)
{
    if (json_array_size(rows)) {
        fputc('\n', out);
        print_table(out, columns, rows);
    } else {
        fprintf(out, "%-24s none\n", name);
    }
}

int run_show_inventory(struct invocation *in)
{
    static const struct column disks[] = {{"disk", "name"},     {"size", "bytes", COLUMN_BYTES},
                                          {"vendor", "vendor"}, {"model", "model"},
                                          {"serial", "serial"}, {0}};
    static const struct column nics[] = {
        {"NIC", "address"}, {"interface", "interface"}, {"driver", "driver"}, {"id", "id"}, {0}};
    json_t *j, *v;
    const char *name;
    int code = ask(in, request_for(in), &j);
    if (!j)
        return code;
    json_object_foreach(json_object_get(j, "software"), name, v) print_field(in->out, name, v);
    json_object_foreach(json_object_get(j, "system"), name, v) print_field(in->out, name, v);
    print_field(in->out, "cpu", json_object_get(j, "cpu"));
    fprintf(in->out, "%-24s %.1f GB\n", "memory", strtod(text_of(j, "memory"), NULL) * 1024 / 1e9); /* "... kB" */
    print_part(in->out, "disks", disks, json_object_get(j, "disks"));
    print_part(in->out, "NICs", nics, json_object_get(json_object_get(j, "topology"), "nics"));
    json_decref(j);
    return code;
}
