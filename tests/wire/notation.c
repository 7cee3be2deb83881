/* notation.c: the words of a packet script: a segment as text (README.md). */
#include "notation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void complain(struct complaint *c, const char *format, ...)
{
    va_list ap;
    if (c->failed)
        return;
    c->failed = true;
    va_start(ap, format);
    vsnprintf(c->why, sizeof c->why, format, ap);
    va_end(ap);
}

char *word(char **text)
{
    char *w = *text + strspn(*text, " \t");
    char *end = w + strcspn(w, " \t");
    *text = *end ? end + 1 : end;
    *end = 0;
    return w;
}

static uint8_t parse_flags(struct complaint *c, const char *w)
{
    static const char letters[] = "FSRP.UEW";
    uint8_t flags = 0;
    for (; *w && *w != '-'; w++) {
        const char *at = strchr(letters, *w);
        if (!at)
            complain(c, "unknown flag '%c'", *w);
        else
            flags |= (uint8_t)(1u << (at - letters));
    }
    return flags;
}

/* <mss 1460,sackOK,TS val 1 ecr 2,wscale 7,sack 1:2 3:4>; numbers relative to base. */
static void parse_options(struct complaint *c, char *text, uint32_t base, struct wanted *w)
{
    struct tcp_segment *seg = &w->seg;
    for (char *save, *o = strtok_r(text, ",>", &save); o; o = strtok_r(NULL, ",>", &save)) {
        unsigned a, b;
        int used = 0;
        if (sscanf(o, "mss %u", &a) == 1) {
            seg->mss = (uint16_t)a;
            seg->options |= TCP_OPT_MSS;
        } else if (sscanf(o, "wscale %u", &a) == 1) {
            seg->wscale = (uint8_t)a;
            seg->options |= TCP_OPT_WSCALE;
        } else if (strcmp(o, "sackOK") == 0) {
            seg->options |= TCP_OPT_SACK_OK;
        } else if (sscanf(o, "TS val %u ecr last%n", &a, &used) == 1 && used > 0) {
            seg->ts_val = a;
            seg->ts_ecr = (uint32_t)strtol(o + used, NULL, 10); /* last+1, last-5 */
            seg->options |= TCP_OPT_TS;
            w->ecr_last = true;
        } else if (sscanf(o, "TS val %u ecr %u", &a, &b) == 2 || sscanf(o, "TS ecr %u", &b) == 1) {
            seg->ts_val = strstr(o, "val") ? a : 0;
            seg->ts_ecr = b;
            seg->options |= TCP_OPT_TS;
        } else if (strncmp(o, "sack ", 5) == 0) {
            for (char *p = o + 5; sscanf(p, " %u:%u%n", &a, &b, &used) == 2; p += used)
                seg->sack[seg->sacks++] = (struct tcp_range){base + a, base + b};
            seg->options |= TCP_OPT_SACK;
        } else {
            complain(c, "unknown option '%s'", o);
        }
    }
}

static void parse_raw(struct wanted *w, const char *hex)
{
    unsigned byte;
    for (int used; w->raw_len < sizeof w->raw && sscanf(hex, "%2x%n", &byte, &used) == 1; hex += used)
        w->raw[w->raw_len++] = (uint8_t)byte;
}

/* FLAGS seq:end(len) [ack N] [win N] [ect0|ect1|ce] [<options>] [badsum] [chain N] [raw HEX] */
void parse_segment(struct complaint *c, char *text, uint32_t seq_base, uint32_t ack_base, struct wanted *w)
{
    unsigned from, to, len;
    memset(w, 0, sizeof *w);
    w->chain = 1;
    char *options = strchr(text, '<');
    if (options) {
        char *end = strchr(options, '>');
        *options = 0;
        w->options = true;
        w->ecr_relative = strstr(options + 1, "ecr +");
        if (end)
            *end++ = 0;
        parse_options(c, options + 1, ack_base, w);
        if (end)
            memmove(options, end, strlen(end) + 1);
    }
    w->seg.flags = parse_flags(c, word(&text));
    if (sscanf(word(&text), "%u:%u(%u)", &from, &to, &len) != 3 || to - from != len)
        complain(c, "sequence range");
    w->seg.seq = seq_base + from;
    w->seg.payload = len;
    for (char *k; *(k = word(&text));) {
        if (strcmp(k, "ack") == 0) {
            w->seg.ack = ack_base + (uint32_t)strtoul(word(&text), NULL, 10);
        } else if (strcmp(k, "win") == 0) {
            w->seg.window = (uint16_t)strtoul(word(&text), NULL, 10);
            w->win = true;
        } else if (strcmp(k, "ect0") == 0) {
            w->seg.ecn = 2;
        } else if (strcmp(k, "ect1") == 0) {
            w->seg.ecn = 1;
        } else if (strcmp(k, "ce") == 0) {
            w->seg.ecn = 3;
        } else if (strcmp(k, "badsum") == 0) {
            w->badsum = true;
        } else if (strcmp(k, "chain") == 0) {
            w->chain = (unsigned)strtoul(word(&text), NULL, 10);
        } else if (strcmp(k, "raw") == 0) {
            parse_raw(w, word(&text));
        } else {
            complain(c, "unknown word '%s'", k);
        }
    }
}

void describe(const struct tcp_segment *g, uint32_t seq_base, uint32_t ack_base, char *text, size_t size)
{
    static const char *const ecn[] = {"", " ect1", " ect0", " ce"};
    snprintf(text, size, "%s%s%s%s%s%s%s %u:%u(%u) ack %u win %u options %#x%s",
             g->flags & TCP_SYN ? "S" : "", g->flags & TCP_FIN ? "F" : "", g->flags & TCP_RST ? "R" : "",
             g->flags & TCP_PSH ? "P" : "", g->flags & TCP_ACK ? "." : "", g->flags & TCP_ECE ? "E" : "",
             g->flags & TCP_CWR ? "W" : "", g->seq - seq_base, g->seq - seq_base + g->payload, g->payload,
             g->ack - ack_base, g->window, g->options, ecn[g->ecn & 3]);
}

bool options_match(const struct tcp_segment *want, const struct tcp_segment *got)
{
    if (want->options != got->options)
        return false;
    if ((want->options & TCP_OPT_MSS) && want->mss != got->mss)
        return false;
    if ((want->options & TCP_OPT_WSCALE) && want->wscale != got->wscale)
        return false;
    if ((want->options & TCP_OPT_TS) && want->ts_ecr != got->ts_ecr)
        return false;
    return !(want->options & TCP_OPT_SACK) ||
           (want->sacks == got->sacks &&
            memcmp(want->sack, got->sack, want->sacks * sizeof *want->sack) == 0);
}
