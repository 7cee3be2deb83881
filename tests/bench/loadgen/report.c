/* report.c: figures of a run as JSON (RFC 8259) and as text. */
#include <stdio.h>

#include <rte_cycles.h>

#include "attack.h"
#include "report.h"

/* A string with what JSON wants escaped, and nothing above ASCII. */
static void put_text(FILE *f, const char *name, const char *text)
{
    fprintf(f, ",\"%s\":\"", name);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 32 || c > 126)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

static double microseconds(uint64_t cycles)
{
    return (double)cycles * 1e6 / (double)rte_get_tsc_hz();
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void put_counts(FILE *f, const struct load *l)
{
    const struct stats *s = &l->stats;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"replies", s->replies},
                  {"sets", s->sets},
                  {"gets", s->replies - s->sets},
                  {"misses", s->misses},
                  {"segments_in", s->segments_in},
                  {"segments_out", s->segments_out},
                  {"pure_acks", s->pure_acks},
                  {"timeouts", s->timeouts},
                  {"fast_retransmits", s->fast_retransmits},
                  {"out_of_order", s->out_of_order},
                  {"old_data", s->old_data},
                  {"bad_checksum", s->bad_checksum},
                  {"bad_frame", s->bad_frame},
                  {"tx_full", l->tx_full},
                  {"tx_dropped", l->tx_dropped},
                  {"no_mbuf", l->no_mbuf}};
    for (size_t i = 0; i < RTE_DIM(counts); i++)
        fprintf(f, ",\"%s\":%lu", counts[i].name, counts[i].value);
}

/* Of the time, that in which nothing came. */
static double idle_share(uint64_t cycles, double seconds)
{
    return ratio((double)cycles, seconds * (double)rte_get_tsc_hz());
}

static void put_parts(FILE *f, const struct load *l)
{
    fprintf(f, ",\"parts\":[");
    for (unsigned i = 0; i < l->parts; i++) {
        const struct part *p = &l->part[i];
        fprintf(f, "%s{\"set_percent\":%u,\"rate\":%.1f,\"miss_share\":%.4f", i ? "," : "", p->set_percent,
                ratio((double)p->replies, p->seconds), ratio((double)p->misses, (double)p->replies));
        if (p->label && p->pipeline)
            fprintf(f, ",\"label\":\"%s\",\"pipeline\":%u,\"idle_share\":%.3f", p->label, p->pipeline,
                    idle_share(p->empty_cycles, p->seconds));
        else if (p->label && l->options->subscribers)
            fprintf(f, ",\"label\":\"%s\",\"count\":%lu,\"seconds\":%.3f", p->label, p->replies, p->seconds);
        else if (p->label)
            fprintf(f, ",\"label\":\"%s\",\"attack_rate\":%.1f,\"full_share\":%.3f", p->label, p->attack_rate,
                    p->full_share);
        fputc('}', f);
    }
    fputc(']', f);
}

static FILE *open_report(const char *path)
{
    FILE *f = path ? fopen(path, "w") : stdout;
    if (!f)
        perror(path);
    return f;
}

static bool close_report(FILE *f, const char *path)
{
    bool good = !ferror(f);
    return (path ? fclose(f) : fflush(f)) == 0 && good;
}

bool report_load(const struct load *l, const struct client *cl, const char *error, const char *path)
{
    FILE *f = open_report(path);
    if (!f)
        return false;
    const struct options *o = l->options;
    const struct histogram *h = &l->latency;
    double rate = ratio((double)l->stats.replies, l->seconds),
           burst = ratio((double)l->frames_in, (double)l->bursts_in);
    double p50 = microseconds(histogram_quantile(h, .5)), p99 = microseconds(histogram_quantile(h, .99));
    double p999 = microseconds(histogram_quantile(h, .999)), max = microseconds(h->max);
    double idle = idle_share(l->stats.empty_cycles, l->seconds);
    fprintf(f, "{\"mode\":\"load\",\"connections\":%u,\"pipeline\":%u,\"keys\":%u", o->connections,
            o->pipeline, o->keys);
    fprintf(f, ",\"key_size\":%u,\"value_size\":%u,\"zipf\":%g,\"ttl\":%u,\"open_rate\":%lu", o->key_size,
            o->value_size, o->zipf, o->ttl_s, o->open_rate);
    fprintf(f, ",\"checksum_offload\":%s,\"seconds\":%.4f,\"fill_seconds\":%.4f,\"rate\":%.1f",
            cl->link->offload ? "true" : "false", l->seconds, l->fill_seconds, rate);
    fprintf(f, ",\"fill_rate\":%.1f,\"mean_rx_burst\":%.2f,\"idle_share\":%.3f,\"open_lag_ms\":%.3f",
            ratio(l->filled ? o->keys : 0, l->fill_seconds), burst, idle, l->open_lag_ms);
    fprintf(f, ",\"latency_us\":{\"p50\":%.2f,\"p99\":%.2f,\"p99.9\":%.2f,\"max\":%.2f}", p50, p99, p999,
            max);
    put_parts(f, l);
    put_counts(f, l);
    /* These are of the whole run: a wrong byte during the fill counts as well. */
    fprintf(f, ",\"mismatches\":%lu,\"errors\":%lu,\"resets\":%lu,\"closed_early\":%lu,\"unclosed\":%u",
            cl->totals.wrong, cl->totals.errors, cl->totals.resets, cl->totals.closed_early, cl->open);
    if (cl->big)
        fprintf(f, ",\"big_replies\":%lu,\"big_bytes\":%lu", cl->big_replies, cl->big_bytes);
    if (cl->attack)
        fprintf(f, ",\"attack\":\"%s\",\"attack_conns\":{\"opened\":%lu,\"closed_by_box\":%lu}",
                cl->attack->kind->name, cl->attack->opened, cl->attack->closed_by_box);
    put_text(f, "first_error", cl->first_error);
    put_text(f, "failure", error);
    fprintf(f, "}\n");
    fprintf(stderr,
            "%.0f requests/s  p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us  burst %.1f  idle %.0f%%  "
            "retransmits %lu  mismatches %lu  errors %lu  %s %s\n",
            rate, p50, p99, p999, max, burst, idle * 100, l->stats.timeouts + l->stats.fast_retransmits,
            cl->totals.wrong, cl->totals.errors, cl->first_error, error);
    return close_report(f, path);
}

bool report_parts(const struct load *l, const char *error, const char *path)
{
    FILE *f = open_report(path);
    if (!f)
        return false;
    fprintf(f, "{\"mode\":\"sockets\",\"connections\":%u", l->options->connections);
    put_parts(f, l);
    put_text(f, "failure", error);
    fprintf(f, "}\n");
    if (*error)
        fprintf(stderr, "%s\n", error);
    return close_report(f, path);
}

bool report_echo(const struct options *o, const struct echo_result *r, const char *path)
{
    FILE *f = open_report(path);
    if (!f)
        return false;
    double rate = ratio((double)r->received, r->seconds),
           burst = ratio((double)r->received, (double)r->bursts_in);
    fprintf(f, "{\"mode\":\"echo\",\"frame_size\":%u,\"in_flight\":%u,\"seconds\":%.4f,\"rate\":%.1f",
            o->frame_size, o->in_flight, r->seconds, rate);
    fprintf(f, ",\"sent\":%lu,\"received\":%lu,\"lost\":%lu,\"foreign\":%lu,\"mean_rx_burst\":%.2f}\n",
            r->sent, r->received, r->lost, r->foreign, burst);
    fprintf(stderr, "%.0f frames/s of %u bytes echoed  burst %.1f  lost %lu\n", rate, o->frame_size, burst,
            r->lost);
    return close_report(f, path);
}
