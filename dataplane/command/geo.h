/* geo.h: what the geospatial commands share. */
#pragma once
#include "command/geohash.h"
#include "command/zset.h"

/* A longitude and a latitude in arguments i and i + 1; a unit of length, in metres. False after replying an
 * error. */
bool request_point(const struct request *rq, int i, struct geo_point *out);
bool request_unit(const struct request *rq, int i, double *metres);
/* "0.1234" as a bulk string, and a coordinate with as many digits as it has. */
void reply_distance(struct resp_writer *out, double distance);
void reply_point(struct resp_writer *out, struct geo_point p);
