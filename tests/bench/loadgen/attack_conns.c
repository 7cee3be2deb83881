/* attack_conns.c: attacks that open connections. An attacker's number is its address (203.0.113.0/24, RFC
 * 5737) and the low part of its port; the high part changes whenever it connects again. */
#include "attack.h"

enum {
    NET = 0xcb007100,
    PORT_BASE = 1024,
    PORTS = 1024, /* one generation's: 256 addresses make 262144 attackers */
    GENERATIONS = 60,
    PATIENCE_MS = 1000, /* for the answer to a SYN or a FIN, and after a reset by the box */
    STUCK_MS = 250,     /* then what is unacknowledged is sent again */
    IN_FLIGHT = 32,     /* bytes, each a segment */
    LOOKS = 16          /* attackers looked at for one with something to send */
};

static const char small_request[] = "PING\r\n";
static const char slow_request[] = "*2\r\n$4\r\nECHO\r\n$100000000\r\n";
static const char big_request[] = "SETRANGE flood:big 32767 x\r\n"
                                  "GET flood:big\r\nGET flood:big\r\nGET flood:big\r\nGET flood:big\r\n"
                                  "GET flood:big\r\nGET flood:big\r\nGET flood:big\r\nGET flood:big\r\n";

static uint32_t number(const struct attack *a, const struct attacker *c)
{
    return (uint32_t)(c - a->conns);
}

static bool send_from(struct attack *a, struct attacker *c, uint8_t flags, const void *data, unsigned size)
{
    uint32_t i = number(a, c);
    struct attack_segment s = {.source = NET | (i & 0xff),
                               .port = (uint16_t)(PORT_BASE + c->generation * PORTS + (i >> 8)),
                               .to_port = a->cl->peer_port,
                               .seq = c->nxt,
                               .ack = flags & RTE_TCP_ACK_FLAG ? c->read : 0,
                               .window = a->kind->window,
                               .flags = flags,
                               .data = data,
                               .size = size};
    if (!attack_send_segment(a, &s))
        return false;
    c->nxt += size + !!(flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG));
    c->sent_ms = a->cl->now_ms;
    return true;
}

static bool connect_again(struct attack *a, struct attacker *c)
{
    c->generation = (uint8_t)((c->generation + 1) % GENERATIONS);
    c->nxt = c->una = (uint32_t)attack_random(a);
    c->start = c->nxt + 1;
    c->state = ATTACKER_SYN_SENT;
    return send_from(a, c, RTE_TCP_SYN_FLAG, NULL, 0);
}

static bool waited(const struct attack *a, const struct attacker *c, uint32_t ms)
{
    return a->cl->now_ms - c->sent_ms >= ms;
}

/* Gives each attacker in turn the chance to send one segment: the SYN, or what step makes of an open one. */
static bool each_in_turn(struct attack *a, bool (*step)(struct attack *a, struct attacker *c))
{
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        struct attacker *c = &a->conns[a->next];
        a->next = a->next + 1 == a->count ? 0 : a->next + 1;
        if (c->state == ATTACKER_OPEN) {
            if (step(a, c))
                return true;
        } else if (c->state == ATTACKER_CLOSED || waited(a, c, PATIENCE_MS)) {
            return connect_again(a, c);
        }
    }
    return false;
}

/* The next byte of a stream that begins with text, which is repeated or followed by one byte for ever. */
static bool next_byte(struct attack *a, struct attacker *c, const char *text, unsigned size, bool again)
{
    if (c->nxt - c->una >= IN_FLIGHT) {
        if (!waited(a, c, STUCK_MS))
            return false;
        c->nxt = c->una;
    }
    uint32_t at = c->nxt - c->start;
    const char *byte = again ? &text[at % size] : at < size ? &text[at] : "x";
    return send_from(a, c, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, byte, 1);
}

static bool small_step(struct attack *a, struct attacker *c)
{
    return next_byte(a, c, small_request, sizeof small_request - 1, true);
}

static bool slow_request_step(struct attack *a, struct attacker *c)
{
    return next_byte(a, c, slow_request, sizeof slow_request - 1, false);
}

/* Asks once; then each segment acknowledges one more byte, behind which there is room for a segment's rest.
 */
static bool slow_reader_step(struct attack *a, struct attacker *c)
{
    if (c->una == c->start && (c->nxt == c->start || waited(a, c, STUCK_MS))) {
        c->nxt = c->start;
        return send_from(a, c, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, big_request, sizeof big_request - 1);
    }
    c->read += c->read != c->rcv_nxt;
    return send_from(a, c, RTE_TCP_ACK_FLAG, NULL, 0);
}

static bool churn_step(struct attack *a, struct attacker *c)
{
    if (!waited(a, c, PATIENCE_MS))
        return false;
    send_from(a, c, RTE_TCP_RST_FLAG, NULL, 0);
    return connect_again(a, c);
}

bool attack_small(struct attack *a)
{
    return each_in_turn(a, small_step);
}

bool attack_slow_reader(struct attack *a)
{
    return each_in_turn(a, slow_reader_step);
}

bool attack_slow_request(struct attack *a)
{
    return each_in_turn(a, slow_request_step);
}

bool attack_churn(struct attack *a)
{
    return each_in_turn(a, churn_step);
}

void attack_conns_reset(struct attack *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct attacker *c = &a->conns[i];
        if (c->state == ATTACKER_OPEN || c->state == ATTACKER_CLOSING)
            send_from(a, c, RTE_TCP_RST_FLAG, NULL, 0);
        c->state = ATTACKER_CLOSED;
    }
}

struct arrival {
    struct rte_ether_hdr eth;
    struct rte_ipv4_hdr ip;
    struct rte_tcp_hdr tcp;
};

static struct attacker *find(struct attack *a, const struct arrival *p)
{
    uint32_t address = rte_be_to_cpu_32(p->ip.dst_addr), port = rte_be_to_cpu_16(p->tcp.dst_port);
    if ((address & ~0xffu) != NET || port < PORT_BASE)
        return NULL;
    uint32_t i = (port - PORT_BASE) % PORTS << 8 | (address & 0xff);
    if (i >= a->count || a->conns[i].generation != (port - PORT_BASE) / PORTS)
        return NULL;
    return &a->conns[i];
}

static void opened(struct attack *a, struct attacker *c, uint32_t seq)
{
    c->state = ATTACKER_OPEN;
    c->rcv_nxt = c->read = seq + 1;
    c->una = c->start;
    a->opened++;
    if (a->kind->send == attack_churn)
        send_from(a, c, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, small_request, sizeof small_request - 1);
    else
        send_from(a, c, RTE_TCP_ACK_FLAG, NULL, 0);
}

/* Data and FIN of the box: taken in order; acknowledged by what the attacker sends next. */
static void take(struct attack *a, struct attacker *c, uint32_t seq, unsigned size, bool fin)
{
    if (seq != c->rcv_nxt)
        return;
    c->rcv_nxt += size + fin;
    if (a->kind->send != attack_slow_reader)
        c->read = c->rcv_nxt;
    if (fin) {
        bool ours = c->state == ATTACKER_CLOSING; /* else the box has begun it */
        send_from(a, c, ours ? RTE_TCP_ACK_FLAG : RTE_TCP_RST_FLAG, NULL, 0);
        a->closed_by_box += !ours;
        c->state = ours ? ATTACKER_CLOSED : ATTACKER_THROWN_OUT;
    } else if (size && c->state == ATTACKER_OPEN && a->kind->send == attack_churn) {
        send_from(a, c, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
        c->state = ATTACKER_CLOSING;
    }
}

void attack_input(struct attack *a, const struct rte_mbuf *m)
{
    const struct arrival *p = rte_pktmbuf_mtod(m, const struct arrival *);
    if (a->rate <= 0 || rte_pktmbuf_data_len(m) < sizeof *p || p->ip.next_proto_id != IPPROTO_TCP)
        return;
    struct attacker *c = find(a, p);
    unsigned total = rte_be_to_cpu_16(p->ip.total_length), header = (p->tcp.data_off >> 4) * 4u;
    if (!c || c->state <= ATTACKER_THROWN_OUT || total < sizeof p->ip + header)
        return;
    uint64_t sent = a->sent;
    uint32_t seq = rte_be_to_cpu_32(p->tcp.sent_seq), ack = rte_be_to_cpu_32(p->tcp.recv_ack);
    uint8_t flags = p->tcp.tcp_flags;
    if (flags & RTE_TCP_RST_FLAG) {
        a->closed_by_box++;
        c->state = ATTACKER_THROWN_OUT;
        c->sent_ms = a->cl->now_ms;
    } else if (c->state == ATTACKER_SYN_SENT) {
        if (flags & RTE_TCP_SYN_FLAG && ack == c->start)
            opened(a, c, seq);
    } else {
        if (flags & RTE_TCP_ACK_FLAG && !seq_before(ack, c->una) && !seq_before(c->nxt, ack))
            c->una = ack;
        take(a, c, seq, total - (unsigned)sizeof p->ip - header, flags & RTE_TCP_FIN_FLAG);
    }
    a->budget -= (double)(a->sent - sent);
}
