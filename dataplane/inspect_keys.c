/* inspect_keys.c: which keys are asked for most, and which are the biggest. Names are quoted as redis-cli
 * does, but for the quotation marks around them. */
#include "inspect_ops.h"
#include "json.h"
#include "worker.h"

#include "base/number.h"
#include "command/text.h"

#include <stdio.h>

enum { HOT_SHOWN = 128, QUOTED = TEXT_QUOTED * HOT_NAME };

/* What does not fit is cut off. */
static struct slice quote(char text[QUOTED], struct slice name)
{
    size_t at = 0;
    for (size_t i = 0; i < name.len && at + TEXT_QUOTED <= QUOTED; i++)
        at += text_quote(text + at, name.p[i]);
    return (struct slice){(const uint8_t *)text, at};
}

static void put_key(struct json *j, struct slice name, size_t len, unsigned db)
{
    char text[QUOTED];
    json_slice(j, "key", quote(text, name));
    json_u64(j, "key_bytes", len);
    json_bool(j, "cut", name.len < len);
    json_u64(j, "db", db);
}

/* The first row of all: how many the asker wants to show. */
static bool put_limit(struct visit *v)
{
    int64_t limit;
    if (v->argc != 2 || !parse_i64(v->argv[1], &limit) || limit < 0) {
        v->error = "ERR say how many";
        return false;
    }
    if (v->first && !v->cursor) {
        struct json j = json_begin(v->out);
        json_u64(&j, "limit", (uint64_t)limit);
        json_end(&j);
    }
    return true;
}

static void put_rates(struct json *j, const struct hot_key *k)
{
    json_u64(j, "reads_milli", (uint64_t)(k->reads * 1000));
    json_u64(j, "writes_milli", (uint64_t)(k->writes * 1000));
}

/* hotkeys LIMIT: the keys that this worker's clients ask for most, and a row for all keys; in thousandths of
 * an access a second. */
enum verdict inspect_hotkeys(struct visit *v)
{
    struct hot_key top[HOT_SHOWN], total;
    if (!put_limit(v))
        return VISIT_ENOUGH;
    unsigned n = hotkeys_top(&v->worker->hot, v->worker->env.now_us, top, HOT_SHOWN, &total);
    struct json j = json_begin(v->out); /* all keys: a row without a name */
    put_rates(&j, &total);
    json_end(&j);
    for (unsigned i = 0; i < n; i++) {
        const struct hot_name *name = top[i].name;
        j = json_begin(v->out);
        put_key(&j, (struct slice){name->text, name->len < HOT_NAME ? name->len : HOT_NAME}, name->len,
                name->db);
        put_rates(&j, &top[i]);
        json_end(&j);
    }
    return VISIT_DONE;
}

struct big_show {
    struct visit *v;
    const struct shard *s;
};

static void put_big(const struct entry *e, const struct key *k, unsigned db, void *arg)
{
    static const char *const type[] = {"string", "list", "set", "zset", "hash", "stream"};
    const struct big_show *b = arg;
    struct json j = json_begin(b->v->out);
    struct slice name = {k->name.p, k->name.len < HOT_NAME ? k->name.len : HOT_NAME};
    put_key(&j, name, k->name.len, db);
    json_text(&j, "type", type[entry_type(e)]);
    json_text(&j, "encoding", entry_encoding(e));
    json_u64(&j, "elements", entry_elements(b->s, e));
    json_u64(&j, "bytes", entry_user_bytes(e));
    json_u64(&j, "memory", entry_memory(e));
    json_end(&j);
}

/* bigkeys LIMIT: those of this worker's shard, a type a round. */
enum verdict inspect_bigkeys(struct visit *v)
{
    struct shard *s = v->worker->env.ks->shard[v->worker->id];
    if (!put_limit(v))
        return VISIT_ENOUGH;
    store_each_big(s, (enum value_type)v->cursor, put_big, &(struct big_show){v, s});
    return v->cursor++ == TYPE_STREAM ? VISIT_DONE : VISIT_AGAIN;
}
