/* capture.c: a capture's life: running, ending (a grace period over the workers), gone. */
#include "capture.h"

#include "channel/channel.h"
#include "channel/messages.h"

#include <rte_rcu_qsbr.h>

enum { PACKET_FIELDS = 8 + 4 + 1 + 4 + 4 }; /* bytes of a packet in a message beside its own */

static void say_started(struct channel *ch, uint64_t id, const char *error)
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    message_begin(&w, buffer, MSG_CAPTURE_STARTED);
    put_u64(&w, id);
    put_text(&w, error);
    channel_send(ch, &w, true);
}

void capture_start(struct capture *c, const struct capture_place *place,
                   const struct channel_capture *request, bool serving)
{
    char error[256] = "";
    if (!serving || c->tap) {
        say_started(place->channel, request->id,
                    c->tap ? "another capture is running" : "the dataplane is still starting");
        return;
    }
    const struct tap_request tap = {.snaplen = request->snaplen,
                                    .directions = request->directions,
                                    .program = request->program.p,
                                    .program_len = request->program.len};
    *c = (struct capture){.id = request->id,
                          .left = request->count ? request->count : UINT64_MAX,
                          .credit = request->credit,
                          .tap = tap_new(&tap, place->workers, error, sizeof error)};
    atomic_store_explicit(place->tap, c->tap, memory_order_release);
    say_started(place->channel, request->id, error);
}

static void take_from_workers(struct capture *c, const struct capture_place *place, const char *why)
{
    if (!c->tap || c->ending)
        return;
    atomic_store_explicit(place->tap, NULL, memory_order_release);
    c->token = rte_rcu_qsbr_start(place->rcu);
    c->ending = true;
    c->why = why;
}

void capture_stop(struct capture *c, const struct capture_place *place, uint64_t id, bool rest)
{
    if (c->id != id)
        return;
    take_from_workers(c, place, "stopped");
    c->left = rest ? c->left : 0;
}

void capture_more(struct capture *c, uint64_t id, uint64_t bytes)
{
    if (c->tap && c->id == id)
        c->credit += bytes;
}

void capture_forget(struct capture *c, const struct capture_place *place)
{
    take_from_workers(c, place, "");
    c->unwanted = true;
}

/* -- sending ------------------------------------------------------------------------------------------ */

static void put_packet(struct message_writer *w, const struct tap_packet *packet)
{
    put_u64(w, packet->wall_ns);
    put_u32(w, packet->worker);
    put_u8(w, (uint8_t)packet->direction);
    put_u32(w, packet->length);
    put_bytes(w, packet->bytes, packet->caught);
}

/* One message with as many packets as fit into it and the credit (a packet that exceeds the credit goes when
 * there is any). False: there is nothing to send now, or the ring to control is full. */
static bool send_packets(struct capture *c, struct channel *ch)
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    struct tap_packet packet;
    uint64_t n = 0;
    message_begin(&w, buffer, MSG_CAPTURE_PACKETS);
    put_u64(&w, c->id);
    while (n < c->left && w.len < c->credit && tap_peek(c->tap, &packet) &&
           w.len + PACKET_FIELDS + packet.caught <= CHANNEL_MESSAGE_MAX) {
        put_packet(&w, &packet);
        tap_take(c->tap, &packet);
        n++;
    }
    if (!n || !channel_send(ch, &w, false)) {
        tap_rewind(c->tap);
        return false;
    }
    tap_release(c->tap);
    c->left -= c->left == UINT64_MAX ? 0 : n;
    c->credit -= w.len < c->credit ? w.len : c->credit;
    return true;
}

static void say_ended(const struct capture *c, struct channel *ch)
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    struct tap_totals totals;
    tap_totals(c->tap, &totals);
    message_begin(&w, buffer, MSG_CAPTURE_ENDED);
    put_u64(&w, c->id);
    put_text(&w, c->why);
    put_u64(&w, totals.seen);
    put_u64(&w, totals.matched);
    put_u64(&w, totals.dropped);
    channel_send(ch, &w, true);
}

void capture_free(struct capture *c)
{
    tap_free(c->tap);
    *c = (struct capture){0};
}

void capture_turn(struct capture *c, const struct capture_place *place)
{
    struct tap_packet rest;
    if (!c->tap)
        return;
    bool quiet = c->ending && rte_rcu_qsbr_check(place->rcu, c->token, false) == 1;
    while (!c->unwanted && c->left && send_packets(c, place->channel))
        ;
    if (!c->left)
        take_from_workers(c, place, "count");
    if (!quiet || (!c->unwanted && c->left && tap_peek(c->tap, &rest)))
        return;
    if (!c->unwanted)
        say_ended(c, place->channel);
    capture_free(c);
}
