/* show_schema.c: names, kinds and values of all directives, for completion and help. */
#include "control/candidate.h"

void config_schema(struct call *call, const json_t *request)
{
    static const char *const kinds[] = {"yes|no", "choice", "number", "size", "size or percentage",
                                        "octal",  "text",   "words",  "words"};
    static const char *const effects[] = {"at once", "restart of the dataplane", "restart of control"};
    json_t *list = json_array();
    (void)request;
    for (unsigned i = 0; i < directive_count(); i++) {
        const struct directive *d = &directives[i];
        json_t *j =
            json_pack("{s:s,s:s,s:s,s:b,s:b,s:b}", "name", d->name, "kind", kinds[d->kind], "effect",
                      effects[d->apply], "list", (d->flags & DIRECTIVE_REPEATED) != 0, "secret",
                      (d->flags & DIRECTIVE_SECRET) != 0, "without_effect", (d->flags & DIRECTIVE_KEPT) != 0);
        if (d->fallback)
            json_object_set_new(j, "default", json_string(d->fallback));
        if (d->kind == KIND_BOOL)
            json_object_set_new(j, "choices", json_pack("[s,s]", "yes", "no"));
        if (d->choices) {
            json_t *choices = json_array();
            for (const char *const *word = d->choices; *word; word++)
                json_array_append_new(choices, json_string(*word));
            json_object_set_new(j, "choices", choices);
        }
        json_array_append_new(list, j);
    }
    call_reply(call, list);
}
