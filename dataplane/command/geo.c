/* geo.c: GEOADD, GEOPOS, GEODIST, GEOHASH: a geospatial index is a sorted set whose scores are geohashes.
 * https://redis.io/docs/latest/commands/?group=geo */
#include "command/geo.h"
#include "base/number.h"
#include "command/geo_commands.h"
#include <stdio.h>

bool request_point(const struct request *rq, int i, struct geo_point *out)
{
    if (!request_double(rq, i, &out->longitude, "ERR value is not a valid float") ||
        !request_double(rq, i + 1, &out->latitude, "ERR value is not a valid float"))
        return false;
    if (out->longitude >= -GEO_LONGITUDE && out->longitude <= GEO_LONGITUDE &&
        out->latitude >= -GEO_LATITUDE && out->latitude <= GEO_LATITUDE)
        return true;
    reply_errorf(rq->out, "ERR invalid longitude,latitude pair %f,%f", out->longitude, out->latitude);
    return false;
}

bool request_unit(const struct request *rq, int i, double *metres)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (unsigned u = 0; u < sizeof units / sizeof units[0]; u++)
        if (slice_is(rq->argv[i], units[u].name)) {
            *metres = units[u].metres;
            return true;
        }
    reply_error(rq->out, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

void reply_distance(struct resp_writer *out, double distance)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%.4f", distance);
    reply_bulk(out, (struct slice){(const uint8_t *)text, (size_t)n});
}

static void reply_coordinate(struct resp_writer *out, double v)
{
    char text[NUMBER_TEXT];
    size_t n = format_long_double(text, v);
    if (out->proto == 2) {
        reply_bulk(out, (struct slice){(const uint8_t *)text, n});
        return;
    }
    reply_raw(out, ",", 1);
    reply_raw(out, text, n);
    reply_raw(out, "\r\n", 2);
}

void reply_point(struct resp_writer *out, struct geo_point p)
{
    reply_array(out, 2);
    reply_coordinate(out, p.longitude);
    reply_coordinate(out, p.latitude);
}

/* -- GEOADD
 * ---------------------------------------------------------------------------------------------------- */

static int add_options(const struct request *rq, unsigned *flags, bool *changed)
{
    int i = 2;
    for (; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "NX"))
            *flags |= ZSET_NX;
        else if (slice_is(rq->argv[i], "XX"))
            *flags |= ZSET_XX;
        else if (slice_is(rq->argv[i], "CH"))
            *changed = true;
        else
            break;
    }
    return i;
}

enum command_result geoadd_command(struct request *rq)
{
    unsigned flags = 0;
    bool changed = false;
    struct value_at v;
    struct geo_point p;
    int64_t added = 0, updated = 0;
    int first = add_options(rq, &flags, &changed);
    if (first == rq->argc || (rq->argc - first) % 3 || flags == (ZSET_NX | ZSET_XX)) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = first; i < rq->argc; i += 3, turn_take(rq->turn))
        if (!request_point(rq, i, &p))
            return CMD_DONE;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_ZSET, &v))
        return CMD_DONE;
    if (rq->argc - first > 3 && store_room_for(&v, rq->argv + first, (size_t)(rq->argc - first)) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    for (int i = first; i < rq->argc; i += 3, turn_take(rq->turn)) {
        parse_double(rq->argv[i], &p.longitude);
        parse_double(rq->argv[i + 1], &p.latitude);
        double score = geo_score(p);
        enum zset_outcome outcome = zset_add(&v, rq->argv[i + 2], &score, flags);
        if (outcome == ZSET_OOM) {
            reply_oom(rq->out);
            return CMD_DONE;
        }
        added += outcome == ZSET_ADDED;
        updated += outcome == ZSET_UPDATED;
    }
    reply_int(rq->out, changed ? added + updated : added);
    return CMD_DONE;
}

/* -- GEOPOS, GEOHASH, GEODIST
 * ---------------------------------------------------------------------------------- */

enum command_result geopos_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    double score;
    if (!request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn)) {
        if (zset_score(&z, rq->argv[i], &score))
            reply_point(rq->out, geo_point_of(score));
        else
            reply_null_array(rq->out);
    }
    return CMD_DONE;
}

enum command_result geohash_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    double score;
    if (!request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn)) {
        char text[GEO_TEXT];
        if (!zset_score(&z, rq->argv[i], &score)) {
            reply_null(rq->out);
            continue;
        }
        geo_text(geo_point_of(score), text);
        reply_bulk(rq->out, (struct slice){(const uint8_t *)text, sizeof text});
    }
    return CMD_DONE;
}

enum command_result geodist_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    double unit = 1, a, b;
    if (rq->argc > 5) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if ((rq->argc == 5 && !request_unit(rq, 4, &unit)) || !request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (zset_score(&z, rq->argv[2], &a) && zset_score(&z, rq->argv[3], &b))
        reply_distance(rq->out, geo_distance(geo_point_of(a), geo_point_of(b)) / unit);
    else
        reply_null(rq->out);
    return CMD_DONE;
}
