/* far_end.c: see peer.h. */
#include "far_end.h"

#include <rte_mbuf.h>

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, BOX_PORT = 6379 };

void far_ends_start(struct far_ends *ps)
{
    /* More clients than an input can open. */
    static const char *const pairs[] = {"slowlog-log-slower-than", "0", "maxclients", "1000", NULL};
    rig_ipv6 = true;
    rig_start(&ps->rig, pairs, NULL);
    for (unsigned i = 0; i < PEERS; i++)
        ps->peer[i] = (struct far_end){.v6 = i == PEERS - 1, .host = i == 1 ? 9 : 1, .window = 65535};
}

bool far_ends_stop(struct far_ends *ps)
{
    return rig_stop(&ps->rig);
}

void far_ends_send(struct far_ends *ps, const struct frame *f)
{
    const struct wire *w = memwire_end(ps->rig.wire, 1);
    struct rte_mbuf *m = rte_pktmbuf_alloc(ps->rig.pool);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)f->len) : NULL;
    if (!p) { /* the box may hold that much */
        rte_pktmbuf_free(m);
        return;
    }
    memcpy(p, f->p, f->len);
    w->send(w->ctx, &m, 1);
}

/* -- what comes back
 * -------------------------------------------------------------------------------------------- */

static void find_timestamp(struct far_end *p, const uint8_t *t, size_t header)
{
    for (size_t at = 20; at + 10 <= header && t[at];) {
        if (t[at] == 8 && t[at + 1] == 10) {
            p->ts_ecr = be32(t + at + 2);
            p->ts = p->ts || t[13] & SYN;
        }
        at += t[at] == 1 ? 1 : t[at + 1] > 1 ? t[at + 1] : header;
    }
}

static void far_end_hears(struct far_end *p, const uint8_t *t, size_t len)
{
    size_t header = (size_t)(t[12] >> 4) * 4, payload = len - header;
    uint32_t seq = be32(t + 4);
    if (t[13] & SYN) {
        p->seen = p->acked = seq + 1;
        p->synced = true;
    } else if (seq == p->seen && !(t[13] & RST)) {
        p->got_len = payload < sizeof p->got ? payload : sizeof p->got;
        memcpy(p->got, t + header, p->got_len);
        p->seen += (uint32_t)payload + (t[13] & FIN);
    }
    find_timestamp(p, t, header);
    if (p->auto_ack)
        p->acked = p->seen;
}

static void hear(struct far_ends *ps, const struct rte_mbuf *m)
{
    static struct frame f, answer;
    MUST(m->pkt_len <= FRAME_MAX, "the box sends more than the MTU");
    const uint8_t *p = rte_pktmbuf_read(m, 0, m->pkt_len, f.p);
    if (p != f.p)
        memcpy(f.p, p, m->pkt_len);
    f.len = m->pkt_len;
    frame_check(&f);
    size_t len;
    const uint8_t *t = frame_find_tcp(&f, &len);
    for (unsigned i = 0; t && i < PEERS; i++)
        if (be16(t + 2) == ps->peer[i].port)
            far_end_hears(&ps->peer[i], t, len);
    if (frame_resolve(&f, &answer))
        far_ends_send(ps, &answer);
}

void far_ends_run(struct far_ends *ps, uint64_t us, unsigned rounds)
{
    struct box_rig *r = &ps->rig;
    struct worker *w = r->worker;
    if (rounds == 0 || us < rounds)
        rounds = 1;
    for (unsigned i = 0; i < rounds; i++) {
        r->now_us += us / rounds;
        memwire_set_time(r->wire, r->now_us);
        fabric_wake(r->box.fabric, 0);
        worker_round(w, w->epoch_cycles + (uint64_t)((double)(r->now_us + 1) / w->us_per_cycle));
        fabric_sleep(r->box.fabric, 0);
        struct rte_mbuf *m[32];
        for (unsigned n; (n = memwire_receive(r->wire, 1, m, 32));)
            for (unsigned k = 0; k < n; k++) {
                hear(ps, m[k]);
                rte_pktmbuf_free(m[k]);
            }
    }
}

/* -- what is sent
 * ----------------------------------------------------------------------------------------------- */

void far_end_send(struct far_ends *ps, struct far_end *p, uint8_t flags, uint32_t seq, uint32_t ack,
                  const uint8_t *data, size_t len)
{
    static struct frame f;
    uint8_t ts[12] = {1, 1, 8, 10};
    to32(ts + 4, p->ts_val += 1);
    to32(ts + 8, p->ts_ecr);
    struct segment s = {.v6 = p->v6,
                        .host = p->host,
                        .sport = p->port,
                        .dport = BOX_PORT,
                        .window = p->window,
                        .seq = seq,
                        .ack = ack,
                        .flags = flags,
                        .option = ts,
                        .options = p->ts ? sizeof ts : 0,
                        .payload = data,
                        .payload_len = len};
    frame_tcp(&f, &s);
    far_ends_send(ps, &f);
    far_ends_run(ps, 100, 1);
}

void far_end_open(struct far_ends *ps, struct far_end *p, uint32_t isn, const uint8_t *option, size_t options)
{
    static struct frame f;
    *p = (struct far_end){.v6 = p->v6,
                          .host = p->host,
                          .auto_ack = true,
                          .port = (uint16_t)(10000 + ps->ports++ % 50000),
                          .window = 65535,
                          .next = isn + 1,
                          .ts_val = 1000};
    struct segment s = {.v6 = p->v6,
                        .host = p->host,
                        .sport = p->port,
                        .dport = BOX_PORT,
                        .window = p->window,
                        .seq = isn,
                        .flags = SYN,
                        .option = option,
                        .options = options};
    frame_tcp(&f, &s);
    far_ends_send(ps, &f);
    for (unsigned i = 0; i < 4 && !p->synced; i++) /* the first may have to ask for the way back */
        far_ends_run(ps, 100, 1);
    if (p->synced)
        far_end_send(ps, p, ACK, p->next, p->acked, NULL, 0);
}
