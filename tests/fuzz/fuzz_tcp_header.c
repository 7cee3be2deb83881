/* fuzz_tcp_header.c: tcp_header_parse of any bytes; what it accepts can be written and read again. */
#include "fuzz.h"
#include "tcp/header.h"

static bool same_options(const struct tcp_segment *a, const struct tcp_segment *b)
{
    return (!(a->options & TCP_OPT_MSS) || a->mss == b->mss) &&
           (!(a->options & TCP_OPT_WSCALE) || a->wscale == b->wscale) &&
           (!(a->options & TCP_OPT_TS) || (a->ts_val == b->ts_val && a->ts_ecr == b->ts_ecr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tcp_segment s, again;
    uint8_t *exact = malloc(size ? size : 1), written[TCP_HEADER_MAX]; /* so that a read behind it is found */
    memcpy(exact, data, size);
    if (tcp_header_parse(exact, (uint32_t)size, &s) == TCP_PARSED) {
        MUST(s.header >= TCP_HEADER && s.header <= size, "a header longer than the segment");
        MUST(s.sacks <= TCP_SACK_BLOCKS, "more SACK blocks than there is room for");
        MUST(s.wscale <= TCP_WSCALE_MAX || !(s.options & TCP_OPT_WSCALE), "a window scale beyond 14");
        unsigned len = tcp_header_write(written, &s);
        MUST(len >= TCP_HEADER && len <= TCP_HEADER_MAX && len % 4 == 0, "an impossible length written");
        MUST(tcp_header_parse(written, len, &again) == TCP_PARSED, "what was written cannot be read");
        MUST(again.seq == s.seq && again.ack == s.ack && again.window == s.window, "fields changed");
        MUST(again.flags == s.flags && same_options(&s, &again), "flags or options changed");
    }
    free(exact);
    return 0;
}
