/* set_write.c: set commands that change one set or two: SADD, SREM, SPOP, SMOVE.
 * https://redis.io/docs/latest/commands/?group=set */
#include "command/effects.h"
#include "command/set_commands.h"
#include "store/set.h"

enum command_result sadd_command(struct request *rq)
{
    struct value_at v;
    int64_t new_members = 0;
    bool added;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_SET, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    if (rq->argc > 3 && store_room_for(&v, rq->argv + 2, (size_t)rq->argc - 2) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn)) {
        if (set_add(&v, rq->argv[i], &added) != STORE_OK) {
            reply_oom(rq->out);
            return CMD_DONE;
        }
        new_members += added;
    }
    reply_int(rq->out, new_members);
    return CMD_DONE;
}

enum command_result srem_command(struct request *rq)
{
    struct value_at v;
    int64_t removed = 0;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_SET, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = 2; i < rq->argc && v.e; i++, turn_take(rq->turn))
        removed += set_remove(&v, rq->argv[i]);
    reply_int(rq->out, removed);
    return CMD_DONE;
}

/* -- SPOP -- */

static void reply_member(const struct set_member *member, void *out)
{
    reply_bulk(out, member->text);
}

static void pop_one(struct request *rq, struct value_at *v)
{
    struct set_member member;
    set_random(v->s, v->e, &member);
    reply_bulk(rq->out, member.text);
    if (effects_of(rq))
        effects_popped(rq, member.text);
    set_remove(v, member.text);
}

static void pop_many(struct request *rq, struct value_at *v, uint64_t count)
{
    uint64_t n = v->e ? set_count(v->e) : 0;
    reply_set(rq->out, count < n ? count : n);
    if (n == 0 || count == 0)
        return;
    if (count >= n) {
        set_scan(v->s, v->e, 0, UINT64_MAX, reply_member, rq->out);
        if (effects_of(rq))
            effects_deleted(rq, v->key->name);
        store_delete(v->s, v->db, v->key);
        return;
    }
    for (; count-- > 0; turn_take(rq->turn))
        pop_one(rq, v);
}

enum command_result spop_command(struct request *rq)
{
    struct value_at v;
    int64_t count = 0;
    if (rq->argc > 3) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (rq->argc == 3) {
        if (!request_int(rq, 2, &count, "ERR value is out of range, must be positive"))
            return CMD_DONE;
        if (count < 0) {
            reply_error(rq->out, "ERR value is out of range, must be positive");
            return CMD_DONE;
        }
    }
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_SET, &v))
        return CMD_DONE;
    uint64_t n = v.e ? set_count(v.e) : 0;
    if (turn_wanted(rq, 4 * (n < (uint64_t)count ? n : (uint64_t)count)))
        return CMD_LONG;
    if (rq->argc == 3)
        pop_many(rq, &v, (uint64_t)count);
    else if (v.e)
        pop_one(rq, &v);
    else
        reply_null(rq->out);
    return CMD_DONE;
}

/* -- SMOVE -- */

/* The member is added before it is removed, so that no memory means no change. */
static void move_member(struct request *rq, struct value_at *from, struct value_at *to)
{
    bool added;
    struct slice member = rq->argv[3];
    if (!set_has(from->s, from->e, member)) {
        reply_int(rq->out, 0);
        return;
    }
    store_hold(from->e);
    enum store_result result = set_add(to, member, &added);
    store_release(from->e);
    if (result != STORE_OK) {
        reply_oom(rq->out);
        return;
    }
    set_remove(from, member);
    reply_int(rq->out, 1);
}

enum command_result smove_command(struct request *rq)
{
    struct key a = request_key(rq, 1), b = request_key(rq, 2);
    unsigned db = rq->client->db;
    struct value_at from = {request_shard(rq, &a), db, &a, request_find(rq, &a, LOOK_WRITE)};
    struct value_at to = {request_shard(rq, &b), db, &b, request_find(rq, &b, LOOK_WRITE)};
    if (!from.e)
        reply_int(rq->out, 0);
    else if (entry_type(from.e) != TYPE_SET || (to.e && entry_type(to.e) != TYPE_SET))
        reply_wrong_type(rq->out);
    else if (from.e == to.e)
        reply_int(rq->out, set_has(from.s, from.e, rq->argv[3]));
    else
        move_member(rq, &from, &to);
    return CMD_DONE;
}
