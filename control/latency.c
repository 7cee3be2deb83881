/* latency.c: how long requests take, out of the histograms in shared memory: as JSON with quantiles, and as
 * Prometheus histograms. https://prometheus.io/docs/concepts/metric_types/#histogram */
#include "control/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- quantiles ---------------------------------------------------------------------------------------- */

/* The least time in ns that so many millionths of all requests did not exceed, to the width of a bucket. */
static uint64_t quantile(const struct block *b, const struct channel_histogram *h, uint64_t count,
                         uint64_t millionths)
{
    uint64_t rank = (uint64_t)(((unsigned __int128)count * millionths + 999999) / 1000000), seen = 0;
    for (unsigned i = 0; i < CHANNEL_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank) {
            uint64_t end = block_bucket_end(b, i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

static json_t *buckets_json(const struct block *b, const struct channel_histogram *h)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < CHANNEL_BUCKETS; i++)
        if (h->bucket[i])
            json_array_append_new(
                list, json_pack("[I,I]", (json_int_t)block_bucket_end(b, i), (json_int_t)h->bucket[i]));
    return list;
}

static json_t *stage_json(const struct block *b, const struct channel_histogram *h, uint64_t count)
{
    static const struct {
        const char *name;
        uint64_t millionths;
    } quantiles[] = {{"p50_ns", 500000}, {"p90_ns", 900000}, {"p99_ns", 990000}, {"p99.9_ns", 999000}};
    json_t *j = json_pack("{s:I,s:I}", "count", (json_int_t)count, "mean_ns", (json_int_t)(h->sum / count));
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        json_object_set_new(j, quantiles[i].name,
                            json_integer((json_int_t)quantile(b, h, count, quantiles[i].millionths)));
    json_object_set_new(j, "max_ns", json_integer((json_int_t)h->max));
    json_object_set_new(j, "buckets", buckets_json(b, h));
    return j;
}

json_t *latency_json(const struct block *b)
{
    json_t *all = json_object();
    char name[CHANNEL_NAME];
    struct channel_histogram h;
    for (unsigned f = 0; b && f < b->head.families; f++) {
        json_t *family = json_object();
        for (unsigned s = 0; s < b->head.stages; s++) {
            uint64_t count = block_times(b, f, s, &h);
            block_stage_name(b, s, name);
            if (count)
                json_object_set_new(family, name, stage_json(b, &h, count));
        }
        block_family_name(b, f, name);
        if (json_object_size(family))
            json_object_set(all, name, family);
        json_decref(family);
    }
    return all;
}

/* -- Prometheus --------------------------------------------------------------------------------------- */

/* Two steps an octave, 1 us to 1 s: enough for histogram_quantile(), and not too many series. The finer
 * buckets are in /stats.json. */
enum { STEP_FIRST_NS = 1024, STEPS = 40 };

static uint64_t step_end(unsigned step)
{
    return (uint64_t)(2 + step % 2) * (STEP_FIRST_NS / 2) << step / 2;
}

struct series {
    const char *name;
    char labels[2 * CHANNEL_NAME + 32];
};

static void sample(struct text *out, const struct series *series, const char *suffix, const char *le)
{
    const char *labels = series->labels;
    text_printf(out, "%s%s", series->name, suffix);
    if (*labels || *le)
        text_printf(out, "{%s%s%s%s%s}", labels, *labels && *le ? "," : "", *le ? "le=\"" : "", le,
                    *le ? "\"" : "");
}

static void print_histogram(struct text *out, const struct block *b, const struct series *series,
                            const struct channel_histogram *h, uint64_t count)
{
    uint64_t upto = 0;
    unsigned at = 0;
    for (unsigned step = 0; step <= STEPS; step++) {
        char le[40];
        while (at < CHANNEL_BUCKETS && block_bucket_end(b, at) <= step_end(step))
            upto += h->bucket[at++];
        snprintf(le, sizeof le, "%.9g", (double)step_end(step) / 1e9);
        sample(out, series, "_bucket", le);
        text_printf(out, " %" PRIu64 "\n", upto);
    }
    sample(out, series, "_bucket", "+Inf");
    text_printf(out, " %" PRIu64 "\n", count);
    sample(out, series, "_sum", "");
    text_printf(out, " %.9f\n", (double)h->sum / 1e9);
    sample(out, series, "_count", "");
    text_printf(out, " %" PRIu64 "\n", count);
}

static void family_text(struct text *out, const struct block *b, unsigned f)
{
    char family[CHANNEL_NAME], stage[CHANNEL_NAME];
    struct channel_histogram h;
    block_family_name(b, f, family);
    for (unsigned s = 0; s < b->head.stages; s++) {
        struct series series = {.name = "sluice_request_seconds"};
        uint64_t count = block_times(b, f, s, &h);
        block_stage_name(b, s, stage);
        snprintf(series.labels, sizeof series.labels, "family=\"%s\",stage=\"%s\"", family, stage);
        if (count)
            print_histogram(out, b, &series, &h, count);
    }
}

/* Family 0 is the loop itself; it has no stages but the last. */
void latency_text(struct text *out, const struct block *b)
{
    static const struct series loop = {.name = "sluice_loop_seconds"};
    struct channel_histogram h;
    if (b->head.families == 0 || b->head.stages == 0)
        return;
    text_add(out,
             "# HELP sluice_request_seconds Time of requests from the RX burst to the TX burst, by family of "
             "commands and stage\n# TYPE sluice_request_seconds histogram\n");
    for (unsigned f = 1; f < b->head.families; f++)
        family_text(out, b, f);
    text_add(out, "# HELP sluice_loop_seconds Time between RX bursts of the workers when there is work\n"
                  "# TYPE sluice_loop_seconds histogram\n");
    uint64_t rounds = block_times(b, 0, b->head.stages - 1, &h);
    print_histogram(out, b, &loop, &h, rounds);
}
