/* idle_memory.c: what an idle client connection costs, part by part, from the structures themselves. Fails to
 * build when it grows beyond the floor of 1 KiB.
 *
 *     ninja -C build tests/bench/idle_memory && build/tests/bench/idle_memory */
#include <stdio.h>

#include "net/internal.h"
#include "session.h"
#include "tcp/conn.h"

enum {
    FLOW = 2 * sizeof(struct tcp_flow_slot), /* the table is a quarter to a half full of a full pool */
    CONNECTION = sizeof(struct tcp_conn) + 2 * FLOW + sizeof(struct session)
};

static_assert(CONNECTION + sizeof(struct net_path) <= 1024,
              "an idle connection stays below 1 KiB, even alone from its address");

static void line(const char *what, size_t bytes, const char *note)
{
    printf("%-34s %5zu  %s\n", what, bytes, note);
}

int main(void)
{
    line("tcp: connection", sizeof(struct tcp_conn), "");
    line("  of it: hot lines", offsetof(struct tcp_conn, timer), "");
    line("  of it: timer node", sizeof(struct wheel_node), "");
    line("tcp: flow table", FLOW, "at least; twice that just beyond a power of two");
    line("session", sizeof(struct session), "");
    line("  of it: client", sizeof(struct client), "");
    line("a connection", CONNECTION - FLOW, "no buffer is held while it is idle");
    line("net: path", sizeof(struct net_path), "once for all connections of an address");
    line("a connection with its own path", CONNECTION - FLOW + sizeof(struct net_path), "");
    line("a connection in TIME_WAIT", 64 + FLOW, "record and table");
    line("a half-open one with a cookie", 0, "");
    return 0;
}
