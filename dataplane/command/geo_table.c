/* geo_table.c: rows of the geospatial commands. https://redis.io/docs/latest/commands/?group=geo Facts as
 * COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/geo_commands.h"
#include "command/key_rows.h"

static const struct command_arg geoadd_condition_args[] = {
    {.name = "nx", .type = "pure-token", .token = "NX"},
    {.name = "xx", .type = "pure-token", .token = "XX"},
    {0},
};

static const struct command_arg geoadd_longitude_latitude_member_args[] = {
    {.name = "longitude", .type = "double"},
    {.name = "latitude", .type = "double"},
    {.name = "member", .type = "string"},
    {0},
};

static const struct command_arg geoadd_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "condition",
     .type = "oneof",
     .since = "6.2.0",
     .flags = ARG_OPTIONAL,
     .sub = geoadd_condition_args},
    {.name = "change", .type = "pure-token", .token = "CH", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {.name = "longitude_latitude_member",
     .type = "block",
     .flags = ARG_MULTIPLE,
     .sub = geoadd_longitude_latitude_member_args},
    {0},
};

static const struct command_arg geopos_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg geodist_unit_args[] = {
    {.name = "m", .type = "pure-token", .token = "M"},
    {.name = "km", .type = "pure-token", .token = "KM"},
    {.name = "ft", .type = "pure-token", .token = "FT"},
    {.name = "mi", .type = "pure-token", .token = "MI"},
    {0},
};

static const struct command_arg geodist_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member1", .type = "string"},
    {.name = "member2", .type = "string"},
    {.name = "unit", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geodist_unit_args},
    {0},
};

static const struct command_arg geosearch_from_longitude_latitude_args[] = {
    {.name = "longitude", .type = "double"},
    {.name = "latitude", .type = "double"},
    {0},
};

static const struct command_arg geosearch_from_args[] = {
    {.name = "member", .type = "string", .token = "FROMMEMBER"},
    {.name = "longitude_latitude",
     .type = "block",
     .token = "FROMLONLAT",
     .sub = geosearch_from_longitude_latitude_args},
    {0},
};

static const struct command_arg geosearch_by_circle_args[] = {
    {.name = "radius", .type = "double", .token = "BYRADIUS"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {0},
};

static const struct command_arg geosearch_by_box_args[] = {
    {.name = "width", .type = "double", .token = "BYBOX"},
    {.name = "height", .type = "double"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {0},
};

static const struct command_arg geosearch_by_args[] = {
    {.name = "circle", .type = "block", .sub = geosearch_by_circle_args},
    {.name = "box", .type = "block", .sub = geosearch_by_box_args},
    {0},
};

static const struct command_arg geosearch_order_args[] = {
    {.name = "asc", .type = "pure-token", .token = "ASC"},
    {.name = "desc", .type = "pure-token", .token = "DESC"},
    {0},
};

static const struct command_arg geosearch_count_args[] = {
    {.name = "count", .type = "integer", .token = "COUNT"},
    {.name = "any", .type = "pure-token", .token = "ANY", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg geosearch_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "from", .type = "oneof", .sub = geosearch_from_args},
    {.name = "by", .type = "oneof", .sub = geosearch_by_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = geosearch_count_args},
    {.name = "withcoord", .type = "pure-token", .token = "WITHCOORD", .flags = ARG_OPTIONAL},
    {.name = "withdist", .type = "pure-token", .token = "WITHDIST", .flags = ARG_OPTIONAL},
    {.name = "withhash", .type = "pure-token", .token = "WITHHASH", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg geosearchstore_args[] = {
    {.name = "destination", .type = "key", .key_spec = 1},
    {.name = "source", .type = "key", .key_spec = 2},
    {.name = "from", .type = "oneof", .sub = geosearch_from_args},
    {.name = "by", .type = "oneof", .sub = geosearch_by_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = geosearch_count_args},
    {.name = "storedist", .type = "pure-token", .token = "STOREDIST", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg georadius_count_args[] = {
    {.name = "count", .type = "integer", .token = "COUNT"},
    {.name = "any", .type = "pure-token", .token = "ANY", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg georadius_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "longitude", .type = "double"},
    {.name = "latitude", .type = "double"},
    {.name = "radius", .type = "double"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {.name = "withcoord", .type = "pure-token", .token = "WITHCOORD", .flags = ARG_OPTIONAL},
    {.name = "withdist", .type = "pure-token", .token = "WITHDIST", .flags = ARG_OPTIONAL},
    {.name = "withhash", .type = "pure-token", .token = "WITHHASH", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = georadius_count_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {.name = "key", .type = "key", .token = "STORE", .flags = ARG_OPTIONAL, .key_spec = 2},
    {.name = "key", .type = "key", .token = "STOREDIST", .flags = ARG_OPTIONAL, .key_spec = 3},
    {0},
};

static const struct command_arg georadius_ro_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "longitude", .type = "double"},
    {.name = "latitude", .type = "double"},
    {.name = "radius", .type = "double"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {.name = "withcoord", .type = "pure-token", .token = "WITHCOORD", .flags = ARG_OPTIONAL},
    {.name = "withdist", .type = "pure-token", .token = "WITHDIST", .flags = ARG_OPTIONAL},
    {.name = "withhash", .type = "pure-token", .token = "WITHHASH", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = georadius_count_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {0},
};

static const struct command_arg georadiusbymember_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string"},
    {.name = "radius", .type = "double"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {.name = "withcoord", .type = "pure-token", .token = "WITHCOORD", .flags = ARG_OPTIONAL},
    {.name = "withdist", .type = "pure-token", .token = "WITHDIST", .flags = ARG_OPTIONAL},
    {.name = "withhash", .type = "pure-token", .token = "WITHHASH", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = geosearch_count_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {.name = "key", .type = "key", .token = "STORE", .flags = ARG_OPTIONAL, .key_spec = 2},
    {.name = "key", .type = "key", .token = "STOREDIST", .flags = ARG_OPTIONAL, .key_spec = 3},
    {0},
};

static const struct command_arg georadiusbymember_ro_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string"},
    {.name = "radius", .type = "double"},
    {.name = "unit", .type = "oneof", .sub = geodist_unit_args},
    {.name = "withcoord", .type = "pure-token", .token = "WITHCOORD", .flags = ARG_OPTIONAL},
    {.name = "withdist", .type = "pure-token", .token = "WITHDIST", .flags = ARG_OPTIONAL},
    {.name = "withhash", .type = "pure-token", .token = "WITHHASH", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "block", .flags = ARG_OPTIONAL, .sub = geosearch_count_args},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = geosearch_order_args},
    {0},
};

struct command commands_geo[] = {
    {.name = "geoadd",
     .run = geoadd_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)},
     .summary = "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
     .args = geoadd_args},
    {.name = "geopos",
     .run = geopos_command,
     .arity = -2,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the longitude and latitude of members from a geospatial index.",
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N) where N is the number of members requested.",
     .args = geopos_args},
    {.name = "geodist",
     .run = geodist_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the distance between two members of a geospatial index.",
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(log(N))",
     .args = geodist_args},
    {.name = "geohash",
     .run = geohash_command,
     .arity = -2,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members from a geospatial index as geohash strings.",
     .since = "3.2.0",
     .group = "geo",
     .complexity =
         "O(log(N)) for each member requested, where N is the number of elements in the sorted set.",
     .args = geopos_args},
    {.name = "geosearch",
     .run = geosearch_command,
     .arity = -7,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Queries a geospatial index for members inside an area of a box or a circle.",
     .since = "6.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area "
                   "around the shape provided as the filter and M is the number of items inside the shape",
     .args = geosearch_args},
    {.name = "geosearchstore",
     .run = geosearchstore_command,
     .arity = -8,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_AT(2, KEY_RO | KEY_ACCESS)},
     .summary = "Queries a geospatial index for members inside an area of a box or a circle, optionally "
                "stores the result.",
     .since = "6.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area "
                   "around the shape provided as the filter and M is the number of items inside the shape",
     .args = geosearchstore_args},
    {.name = "georadius",
     .run = georadius_command,
     .arity = -6,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS),
             {.flags = KEY_OW | KEY_UPDATE,
              .begin = KEYS_AT_KEYWORD,
              .index = 6,
              .keyword = "STORE",
              .find = KEYS_RANGE,
              .last = 0,
              .step = 1,
              .limit = 0},
             {.flags = KEY_OW | KEY_UPDATE,
              .begin = KEYS_AT_KEYWORD,
              .index = 6,
              .keyword = "STOREDIST",
              .find = KEYS_RANGE,
              .last = 0,
              .step = 1,
              .limit = 0}},
     .summary = "Queries a geospatial index for members within a distance from a coordinate, optionally "
                "stores the result.",
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular "
                   "area delimited by center and radius and M is the number of items inside the index.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
     .args = georadius_args},
    {.name = "georadius_ro",
     .run = georadius_ro_command,
     .arity = -6,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members from a geospatial index that are within a distance from a coordinate.",
     .since = "3.2.10",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular "
                   "area delimited by center and radius and M is the number of items inside the index.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`GEOSEARCH` with the `BYRADIUS` argument",
     .args = georadius_ro_args},
    {.name = "georadiusbymember",
     .run = georadiusbymember_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS),
             {.flags = KEY_OW | KEY_UPDATE,
              .begin = KEYS_AT_KEYWORD,
              .index = 5,
              .keyword = "STORE",
              .find = KEYS_RANGE,
              .last = 0,
              .step = 1,
              .limit = 0},
             {.flags = KEY_OW | KEY_UPDATE,
              .begin = KEYS_AT_KEYWORD,
              .index = 5,
              .keyword = "STOREDIST",
              .find = KEYS_RANGE,
              .last = 0,
              .step = 1,
              .limit = 0}},
     .summary = "Queries a geospatial index for members within a distance from a member, optionally stores "
                "the result.",
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular "
                   "area delimited by center and radius and M is the number of items inside the index.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
     .args = georadiusbymember_args},
    {.name = "georadiusbymember_ro",
     .run = georadiusbymember_ro_command,
     .arity = -5,
     .flags = CMD_READONLY,
     .acl = ACL_GEO,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members from a geospatial index that are within a distance from a member.",
     .since = "3.2.10",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular "
                   "area delimited by center and radius and M is the number of items inside the index.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
     .args = georadiusbymember_ro_args},
    {0},
};
