/* geohash.c: see geohash.h. Interleaving after "Interleave bits by Binary Magic Numbers" (S. E. Anderson, Bit
 * Twiddling Hacks), distances by the haversine formula. */
#include "command/geohash.h"
#include <math.h>

#define EARTH_RADIUS  6372797.560856
#define MERCATOR_MOST 20037726.37
#define EVEN_BITS     0x5555555555555555ULL
#define ODD_BITS      0xaaaaaaaaaaaaaaaaULL

static double radians(double degrees)
{
    return degrees * (M_PI / 180.0);
}

static double degrees(double radians_)
{
    return radians_ / (M_PI / 180.0);
}

/* -- cells
 * ----------------------------------------------------------------------------------------------------- */

static const uint64_t masks[] = {0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f,
                                 0x00ff00ff00ff00ff, 0x0000ffff0000ffff};

static uint64_t spread(uint32_t bits)
{
    uint64_t v = bits;
    for (int i = 4; i >= 0; i--)
        v = (v | v << (1u << i)) & masks[i];
    return v;
}

static uint32_t gather(uint64_t bits)
{
    uint64_t v = bits & masks[0];
    for (unsigned i = 0; i < 4; i++)
        v = (v | v >> (1u << i)) & masks[i + 1];
    return (uint32_t)(v | v >> 16);
}

uint64_t geohash_of(struct geo_point p, double latitude_range, unsigned steps)
{
    double y = (p.latitude - -latitude_range) / (latitude_range - -latitude_range);
    double x = (p.longitude - -GEO_LONGITUDE) / (GEO_LONGITUDE - -GEO_LONGITUDE);
    double cells = (double)(1ULL << steps);
    return spread((uint32_t)(y * cells)) | spread((uint32_t)(x * cells)) << 1;
}

struct cell {
    double west, east, south, north;
};

static struct cell cell_of(uint64_t hash, unsigned steps)
{
    uint32_t y = gather(hash), x = gather(hash >> 1);
    double cells = (double)(1ULL << steps);
    double height = GEO_LATITUDE - -GEO_LATITUDE, width = GEO_LONGITUDE - -GEO_LONGITUDE;
    return (struct cell){.west = -GEO_LONGITUDE + (x * 1.0 / cells) * width,
                         .east = -GEO_LONGITUDE + ((x + 1) * 1.0 / cells) * width,
                         .south = -GEO_LATITUDE + (y * 1.0 / cells) * height,
                         .north = -GEO_LATITUDE + ((y + 1) * 1.0 / cells) * height};
}

/* A score need not come from GEOADD: what x86 makes of any double. */
static uint64_t bits_of(double score)
{
    if (score < 0x1p63)
        return score >= -0x1p63 ? (uint64_t)(int64_t)score : 1ULL << 63;
    return score < 0x1p64 ? (uint64_t)score : 0;
}

double geo_score(struct geo_point p)
{
    return (double)geohash_of(p, GEO_LATITUDE, GEO_STEPS);
}

static double within(double v, double most)
{
    return v > most ? most : v < -most ? -most : v;
}

struct geo_point geo_point_of(double score)
{
    struct cell c = cell_of(bits_of(score), GEO_STEPS);
    return (struct geo_point){within((c.west + c.east) / 2, GEO_LONGITUDE),
                              within((c.south + c.north) / 2, GEO_LATITUDE)};
}

/* Eleven characters of five bits take three more than there are: the last character is a 0, as in Redis. */
void geo_text(struct geo_point p, char text[GEO_TEXT])
{
    uint64_t hash = geohash_of(p, 90, GEO_STEPS);
    for (unsigned i = 0; i < GEO_TEXT; i++)
        text[i] = "0123456789bcdefghjkmnpqrstuvwxyz"[i < 10 ? hash >> (52 - (i + 1) * 5) & 31 : 0];
}

/* -- distances
 * ------------------------------------------------------------------------------------------------- */

static double latitude_distance(double a, double b)
{
    return EARTH_RADIUS * fabs(radians(b) - radians(a));
}

double geo_distance(struct geo_point a, struct geo_point b)
{
    double v = sin((radians(b.longitude) - radians(a.longitude)) / 2);
    if (v == 0.0)
        return latitude_distance(a.latitude, b.latitude);
    double from = radians(a.latitude), to = radians(b.latitude);
    double u = sin((to - from) / 2);
    double part = u * u + cos(from) * cos(to) * v * v;
    return 2.0 * EARTH_RADIUS * asin(sqrt(part));
}

bool geo_inside(const struct geo_shape *shape, struct geo_point p, double *distance)
{
    if (shape->is_box) {
        struct geo_point beside = {shape->centre.longitude, p.latitude};
        if (latitude_distance(p.latitude, shape->centre.latitude) > shape->height * shape->unit / 2 ||
            geo_distance(p, beside) > shape->width * shape->unit / 2)
            return false;
    }
    *distance = geo_distance(shape->centre, p);
    return shape->is_box || *distance <= shape->radius * shape->unit;
}

/* -- cells around a shape
 * -------------------------------------------------------------------------------------- */

/* One cell to the east (x = 1), west, north (y = 1) or south, around the world. */
static uint64_t neighbour(uint64_t hash, unsigned steps, int x, int y)
{
    uint64_t odd = ODD_BITS >> (64 - steps * 2), even = EVEN_BITS >> (64 - steps * 2);
    uint64_t in_x = hash & ODD_BITS, in_y = hash & EVEN_BITS;
    if (x)
        in_x = (x > 0 ? in_x + (even + 1) : (in_x | even) - (even + 1)) & odd;
    if (y)
        in_y = (y > 0 ? in_y + (odd + 1) : (in_y | odd) - (odd + 1)) & even;
    return in_x | in_y;
}

/* Steps of cells that are about as large as the radius; larger ones near the poles, where cells are narrow.
 */
static unsigned steps_for(double radius, double latitude)
{
    int steps = 1;
    if (radius == 0)
        return GEO_STEPS;
    for (; radius < MERCATOR_MOST; radius *= 2)
        steps++;
    steps -= 2;
    if (fabs(latitude) > 66)
        steps--;
    if (fabs(latitude) > 80)
        steps--;
    return steps < 1 ? 1 : steps > GEO_STEPS ? GEO_STEPS : (unsigned)steps;
}

static struct cell box_around(const struct geo_shape *shape)
{
    struct geo_point at = shape->centre;
    double height = shape->unit * (shape->is_box ? shape->height / 2 : shape->radius);
    double width = shape->unit * (shape->is_box ? shape->width / 2 : shape->radius);
    double up = degrees(height / EARTH_RADIUS);
    /* the side that is nearer to its pole is the wider one in degrees */
    double widest = at.latitude < 0 ? at.latitude - up : at.latitude + up;
    double aside = degrees(width / EARTH_RADIUS / cos(radians(widest)));
    return (struct cell){.west = at.longitude - aside,
                         .east = at.longitude + aside,
                         .south = at.latitude - up,
                         .north = at.latitude + up};
}

/* True if the nine cells around a hash reach to all sides of the box. */
static bool reaches(uint64_t hash, unsigned steps, const struct cell *box)
{
    return !(cell_of(neighbour(hash, steps, 0, 1), steps).north < box->north) &&
           !(cell_of(neighbour(hash, steps, 0, -1), steps).south > box->south) &&
           !(cell_of(neighbour(hash, steps, 1, 0), steps).east < box->east) &&
           !(cell_of(neighbour(hash, steps, -1, 0), steps).west > box->west);
}

/* True if the cell in this direction has nothing of the box. */
static bool is_beside(const struct cell *middle, const struct cell *box, int x, int y)
{
    return (y < 0 && middle->south < box->south) || (y > 0 && middle->north > box->north) ||
           (x < 0 && middle->west < box->west) || (x > 0 && middle->east > box->east);
}

static double align(uint64_t hash, unsigned steps)
{
    return (double)(hash << (52 - steps * 2));
}

unsigned geo_ranges(const struct geo_shape *shape, struct geo_range range[GEO_BOXES])
{
    static const int8_t way[GEO_BOXES][2] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                             {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    struct cell box = box_around(shape);
    double radius =
        shape->is_box
            ? sqrt((shape->width / 2) * (shape->width / 2) + (shape->height / 2) * (shape->height / 2))
            : shape->radius;
    unsigned steps = steps_for(radius * shape->unit, shape->centre.latitude), count = 0;
    uint64_t hash = geohash_of(shape->centre, GEO_LATITUDE, steps), last = 0;
    if (steps > 1 && !reaches(hash, steps, &box)) {
        steps--;
        hash = geohash_of(shape->centre, GEO_LATITUDE, steps);
    }
    struct cell middle = cell_of(hash, steps);
    for (unsigned i = 0; i < GEO_BOXES; i++) {
        uint64_t near = neighbour(hash, steps, way[i][0], way[i][1]);
        if (steps >= 2 && is_beside(&middle, &box, way[i][0], way[i][1]))
            continue;
        /* with very large cells neighbours are the same */
        if (count > 1 && near == last)
            continue;
        range[count++] = (struct geo_range){align(near, steps), align(near + 1, steps)};
        last = near;
    }
    return count;
}
