/* openapi.c: the management API as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made from the table
 * of operations: what it says is what is served. */
#include "control/https_connection.h"

#include <string.h>

static json_t *schema_of(char kind)
{
    if (kind == '[')
        return json_pack("{s:s,s:{s:s}}", "type", "array", "items", "type", "string");
    return json_pack("{s:s}", "type",
                     kind == '#'   ? "integer"
                     : kind == '?' ? "boolean"
                     : kind == '{' ? "object"
                                   : "string");
}

/* Calls for each word of `takes`. */
static void each_parameter(const char *takes, void (*fn)(json_t *into, const char *name, char kind), json_t *into)
{
    char name[64];
    for (const char *s = takes ? takes : ""; *s;) {
        s += strspn(s, " ");
        size_t n = strcspn(s, " ");
        char kind = *s && strchr("#?{[", *s) ? *s : 'a';
        size_t skip = kind != 'a';
        if (n > skip && n - skip < sizeof name) {
            memcpy(name, s + skip, n - skip);
            name[n - skip] = 0;
            fn(into, name, kind);
        }
        s += n;
    }
}

static void add_query(json_t *into, const char *name, char kind)
{
    json_array_append_new(into, json_pack("{s:s,s:s,s:o}", "name", name, "in", "query", "schema", schema_of(kind)));
}

static void add_property(json_t *into, const char *name, char kind)
{
    json_object_set_new(into, name, schema_of(kind));
}

static json_t *roles_json(unsigned roles)
{
    json_t *list = json_array();
    for (unsigned r = ROLE_ADMIN; r < ROLES; r++)
        if ((roles | MAY_ADMIN) & ROLE_SET(r))
            json_array_append_new(list, json_string(role_name((enum role)r)));
    return list;
}

static json_t *responses(const char *type)
{
    return json_pack("{s:{s:s,s:{s:{s:{s:s}}}},s:{s:s,s:{s:{s:{s:s}}}}}", "200", "description", "done", "content", type,
                     "schema", "$ref", strcmp(type, "application/json") == 0 ? "#/components/schemas/Reply" : "#/components/schemas/Bytes",
                     "default", "description", "refused or failed", "content", "application/json", "schema", "$ref",
                     "#/components/schemas/Failure");
}

static json_t *method_json(const char *id, const char *roles_text, unsigned roles, const char *type)
{
    json_t *j = json_pack("{s:s,s:s,s:o,s:o}", "operationId", id, "summary", roles_text, "x-roles", roles_json(roles),
                          "responses", responses(type));
    return j;
}

static void add_operation(json_t *paths, const struct operation_row *o)
{
    json_t *path = json_object(), *get, *post, *parameters = json_array(), *properties = json_object();
    char name[96], id[96];
    snprintf(name, sizeof name, "/v1/%s%s%s", o->op, *o->what ? "/" : "", o->what);
    snprintf(id, sizeof id, "%s%s%s", o->op, *o->what ? "-" : "", o->what);
    const char *type = strcmp(o->op, "capture") == 0 ? "application/octet-stream" : "application/json";
    each_parameter(o->takes, add_query, parameters);
    each_parameter(o->takes, add_property, properties);
    if (o->reads) {
        get = method_json(id, id, o->roles, type);
        json_object_set(get, "parameters", parameters);
        json_object_set_new(path, "get", get);
        strncat(id, "-post", sizeof id - strlen(id) - 1);
    }
    post = method_json(id, id, o->roles, type);
    if (json_object_size(properties))
        json_object_set_new(post, "requestBody",
                            json_pack("{s:{s:{s:{s:s,s:O}}}}", "content", "application/json", "schema", "type",
                                      "object", "properties", properties));
    json_object_set_new(path, "post", post);
    json_object_set_new(paths, name, path);
    json_decref(parameters);
    json_decref(properties);
}

static void add_files(json_t *paths)
{
    json_t *get = method_json("snapshot-export", "the snapshot that the box loads at its start", MAY_OPERATE,
                              "application/octet-stream");
    json_object_set_new(paths, "/v1/snapshot/export", json_pack("{s:o}", "get", get));
    json_t *put = method_json("snapshot-upload", "load a snapshot file: over the keys of a box that serves, or into one "
                              "that could not load its own", MAY_OPERATE, "application/json");
    json_object_set_new(put, "parameters",
                        json_pack("[{s:s,s:s,s:{s:s,s:[s,s,s]}}]", "name", "mode", "in", "query", "schema", "type",
                                  "string", "enum", "replace", "keep", "salvage"));
    json_object_set_new(put, "requestBody",
                        json_pack("{s:b,s:{s:{s:{s:s}}}}", "required", 1, "content", "application/octet-stream",
                                  "schema", "$ref", "#/components/schemas/Bytes"));
    json_object_set_new(paths, "/v1/snapshot/upload", json_pack("{s:o}", "put", put));
}

static json_t *schemas(void)
{
    return json_pack("{s:{s:s,s:{s:{s:b},s:{}},s:[s,s]},"
                     "s:{s:s,s:{s:{s:b},s:{s:s,s:{s:{s:s},s:{s:s}}}},s:[s,s]},s:{s:s,s:s}}",
                     "Reply", "type", "object", "properties", "ok", "const", 1, "data", "required", "ok", "data",
                     "Failure", "type", "object", "properties", "ok", "const", 0, "error", "type", "object",
                     "properties", "code", "type", "string", "message", "type", "string", "required", "ok", "error",
                     "Bytes", "type", "string", "format", "binary");
}

json_t *openapi_json(void)
{
    json_t *paths = json_object();
    for (unsigned i = 0; i < operation_count(); i++)
        add_operation(paths, operation_at(i));
    add_files(paths);
    return json_pack("{s:s,s:{s:s,s:s,s:s},s:o,s:{s:o,s:{s:{s:s,s:s},s:{s:s}}},s:[{s:[]},{s:[]}]}", "openapi", "3.1.0",
                     "info", "title", "Sluice management API", "version", SLUICE_VERSION, "description",
                     "The operations of the management socket over HTTPS.", "paths", paths, "components", "schemas",
                     schemas(), "securitySchemes", "token", "type", "http", "scheme", "bearer", "certificate", "type",
                     "mutualTLS", "security", "token", "certificate");
}
