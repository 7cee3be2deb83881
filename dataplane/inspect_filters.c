/* inspect_filters.c: the packet filter's rules and how often each has decided. */
#include "inspect_ops.h"
#include "json.h"
#include "worker.h"

#include "net/filter.h"

enum { ROWS_A_ROUND = 64, TALLY_SERIAL = 0 };

static void put_rule(struct visit *v, const struct filter *f, unsigned rule)
{
    char text[FILTER_TEXT];
    struct json j = json_begin(v->out);
    if (rule < filter_rules(f)) {
        filter_rule_print(filter_rule(f, rule), text);
        json_u64(&j, "rule", rule + 1);
        json_text(&j, "text", text);
    } else {
        json_text(&j, "rule", "default");
        json_text(&j, "text", filter_action_name(filter_action(f, rule)));
    }
    json_u64(&j, "hits", filter_hits(f, rule));
    json_end(&j);
}

/* filters: one object a rule, in order, and the default. All workers have the same, and the counters of all
 * can be read by each: one is asked. */
enum verdict inspect_filters(struct visit *v)
{
    const struct filter *f = v->worker->conf->compiled;
    if (!f)
        return VISIT_ENOUGH;
    if (v->cursor && v->tally[TALLY_SERIAL] != filter_serial(f)) {
        v->error = "ERR the rules have changed meanwhile, ask again";
        return VISIT_ENOUGH;
    }
    v->tally[TALLY_SERIAL] = filter_serial(f);
    for (unsigned i = 0; i < ROWS_A_ROUND; i++) {
        put_rule(v, f, (unsigned)v->cursor);
        if (v->cursor++ == filter_rules(f))
            return VISIT_ENOUGH;
    }
    return VISIT_AGAIN;
}
