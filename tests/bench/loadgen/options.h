/* options.h: what the command line of sluice-loadgen says, checked and in the units the rest uses. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode {
    MODE_LOAD,    /* a Redis client over our own TCP */
    MODE_SOCKETS, /* the same requests over the kernel's TCP, for a server on loopback */
    MODE_ECHO,    /* frames of a fixed size against an echo: the physical limit E */
    MODE_REFLECT  /* the least server there can be: proves that the client side is no bottleneck */
};

enum checksum { CHECKSUM_SOFTWARE, CHECKSUM_OFFLOAD };

enum {
    LOADGEN_PIPELINE_MAX = 1024,
    LOADGEN_PARTS_MAX = 8,
    LOADGEN_ROUNDS_MAX = 32,
    LOADGEN_KEY_MIN = 16,
    LOADGEN_KEY_MAX = 128,
    LOADGEN_VALUE_MAX = 16384,
    LOADGEN_PORT_BASE = 2048, /* our first TCP port on each of our addresses */
    LOADGEN_CONNS_PER_ADDRESS = 60000,
    LOADGEN_CONNS_MAX = 2000000
};

struct options {
    enum mode mode;
    /* link */
    char link_kind[16], link_arg[108]; /* "vhost:/path" in two halves */
    char file_prefix[64];
    const char *eal_extra; /* further EAL words, split at spaces; NULL = none */
    int core;
    unsigned memory_mb;
    bool huge;
    enum checksum checksum;
    uint32_t local_ip, peer_ip; /* host order */
    unsigned peer_port;
    bool timestamps;
    unsigned wait_s; /* for the other end of the link */
    bool polite;     /* give the core away when there is nothing to do */
    /* workload */
    unsigned connections, pipeline, fill_pipeline;
    unsigned parts, rounds, set_percent[LOADGEN_PARTS_MAX]; /* mixes measured by turns */
    unsigned key_size, value_size, ttl_s;
    unsigned big_rate, big_size; /* GETs of a large value a second, on a connection of their own; 0 = none */
    uint32_t keys;
    double zipf; /* 0 = uniform */
    bool fill, allow_miss;
    uint64_t open_rate; /* requests a second; 0 = closed loop */
    double seconds, warmup_s, fill_s;
    uint64_t seed;
    const char *script; /* rows of commands instead of GET and SET (script.h); NULL = none */
    const char *only;   /* the rows of it, separated by blanks; NULL = all */
    bool deep;          /* without pipeline 1 */
    /* attack */
    const char *attack; /* NULL = none */
    unsigned attack_conns, idle;
    unsigned subscribers, slow, messages; /* 0 = none; the slow ones of them; that each is sent */
    double attack_share; /* of what the box can take of the attack alone */
    /* echo, reflect */
    unsigned frame_size, in_flight, drop_one_in;
    const char *json_path; /* NULL = standard output */
};

/* Fills o from the command line. False and one line in error if a word cannot be used; an empty line in error
 * means that help was asked for. */
bool options_parse(struct options *o, int argc, char **argv, char *error, size_t size);

extern const char options_help[];
