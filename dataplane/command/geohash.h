/* geohash.h: the arithmetic of Redis' geo commands: 52-bit geohashes of WGS84 coordinates, boxes of them
 * around an area, distances on a sphere. Numbers come out as in Redis to the last bit; so this file alone is
 * compiled without fused multiplication. https://redis.io/docs/latest/commands/geoadd/ */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define GEO_LONGITUDE 180.0       /* degrees, at most, either way */
#define GEO_LATITUDE  85.05112878 /* that of the square Mercator map */

enum { GEO_STEPS = 26, GEO_BOXES = 9, GEO_TEXT = 11 };

/* Degrees. */
struct geo_point {
    double longitude, latitude;
};

/* The cell of 2 * steps bits that a point lies in; longitude bits are the odd ones. */
uint64_t geohash_of(struct geo_point p, double latitude_range, unsigned steps);
/* The score of a point, and the middle of the cell that a score stands for. */
double geo_score(struct geo_point p);
struct geo_point geo_point_of(double score);
/* The geohash as the rest of the world writes it. */
void geo_text(struct geo_point p, char text[GEO_TEXT]);

/* Metres on a sphere (haversine). */
double geo_distance(struct geo_point a, struct geo_point b);

/* A circle or a rectangle around a point; lengths in units of `unit` metres. */
struct geo_shape {
    struct geo_point centre;
    bool is_box;
    double unit, radius, width, height;
};
/* True if the point is inside, and then its distance from the centre. */
bool geo_inside(const struct geo_shape *shape, struct geo_point p, double *distance);

/* Scores from .. below end. */
struct geo_range {
    double from, end;
};
/* The ranges that hold every point of a shape, in the order in which Redis looks through them; how many. */
unsigned geo_ranges(const struct geo_shape *shape, struct geo_range range[GEO_BOXES]);
