/* options.c: the command line of sluice-loadgen. One row a word, so that help, checks and fields stay
 * together. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

const char options_help[] =
    "sluice-loadgen: a Redis client over its own TCP on a DPDK link, one process, one core.\n"
    "  --mode load|sockets|echo|reflect   (load); sockets: a script over the kernel's TCP, without a link\n"
    "link\n"
    "  --link KIND:ARG               vhost:SOCKET, virtio-user:SOCKET, tap:NAME or vdev:DPDK-STRING\n"
    "  --core N                      core to run on (1)\n"
    "  --file-prefix NAME            DPDK's name of this process (slbench)\n"
    "  --memory MB, --no-huge        hugepage memory (128), or ordinary memory\n"
    "  --eal \"WORDS\"                 further words for EAL\n"
    "  --local IP, --peer IP, --port N   (10.77.0.1, 10.77.0.2, 6379)\n"
    "  --checksum software|offload   who fills and checks TCP checksums: we, or the port where it can "
    "(software)\n"
    "  --no-timestamps               do without RFC 7323 timestamps\n"
    "  --wait S                      for the other end to appear (10)\n"
    "  --polite                      give the core away when idle (for tests on busy machines)\n"
    "workload\n"
    "  --connections N, --pipeline N (1000, 1)\n"
    "  --set-percent N[,N...]        0 = GET only, 100 = SET only (0); several are measured by turns\n"
    "  --rounds N                    turns of all of them (1)\n"
    "  --keys N, --key-size B, --value-size B   (1000000, 16, 64)\n"
    "  --zipf S                      skew up to 1, such as 0.99; 0 = uniform (0)\n"
    "  --ttl S                       SET ... EX S (0 = none)\n"
    "  --fill, --fill-pipeline N, --fill-seconds S   SET every key first (off, 16, 120)\n"
    "  --allow-miss                  a GET may find nothing (eviction, expiry)\n"
    "  --open-rate N                 requests a second at fixed times instead of a closed loop; pipeline 1\n"
    "  --big-rate N, --big-size B    GETs of a large value a second beside, on one more connection (0, "
    "10485760)\n"
    "  --script FILE                 rows of commands one after the other, each at pipeline 1 and at "
    "--pipeline\n"
    "  --only \"ROW ROW\"             of the script (all)\n"
    "  --deep                        without pipeline 1\n"
    "  --seconds S, --warmup S       (5, 1)\n"
    "  --seed N                      (1)\n"
    "idle connections, by turns with none\n"
    "  --idle N                      more connections, which are open and ask nothing (0)\n"
    "subscribers\n"
    "  --subscribers N, --messages N (0, 3) connections that subscribe to one channel; each gets all messages of --value-size\n"
    "  --slow N                      of them, that take nothing any more (0)\n"
    "attack, by turns with none (the box's gateway has to be --local)\n"
    "  --attack NAME                 rounds of: quiet, as many packets as good requests, a share of "
    "capacity\n"
    "  --attack-conns N              connections of the attacker, where the kind has some (1024)\n"
    "  --attack-share S              of the rate that the box takes of the attack alone (0.5)\n"
    "echo and reflect\n"
    "  --frame-size B, --in-flight N frames of B bytes without FCS, at most N on the way (120, 1000)\n"
    "  --drop-one-in N               reflect: lose one of N frames each way (0 = none)\n"
    "output\n"
    "  --json FILE                   write the JSON object there (standard output)\n";

enum kind {
    FLAG,
    CLEAR,
    UNSIGNED,
    WORD32,
    WORD64,
    REAL,
    STRING,
    ADDRESS,
    MODE,
    CHECKSUM,
    LINK,
    PREFIX,
    PARTS
};

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    double min, max;
};

#define AT(field) offsetof(struct options, field)
static const struct row rows[] = {
    {"--mode", MODE, AT(mode), 0, 0},
    {"--link", LINK, 0, 0, 0},
    {"--core", UNSIGNED, AT(core), 0, 1023},
    {"--file-prefix", PREFIX, AT(file_prefix), 0, 0},
    {"--memory", UNSIGNED, AT(memory_mb), 32, 65536},
    {"--no-huge", CLEAR, AT(huge), 0, 0},
    {"--eal", STRING, AT(eal_extra), 0, 0},
    {"--local", ADDRESS, AT(local_ip), 0, 0},
    {"--peer", ADDRESS, AT(peer_ip), 0, 0},
    {"--port", UNSIGNED, AT(peer_port), 1, 65535},
    {"--checksum", CHECKSUM, AT(checksum), 0, 0},
    {"--no-timestamps", CLEAR, AT(timestamps), 0, 0},
    {"--wait", UNSIGNED, AT(wait_s), 1, 600},
    {"--polite", FLAG, AT(polite), 0, 0},
    {"--connections", UNSIGNED, AT(connections), 1, LOADGEN_CONNS_MAX},
    {"--pipeline", UNSIGNED, AT(pipeline), 1, LOADGEN_PIPELINE_MAX},
    {"--fill-pipeline", UNSIGNED, AT(fill_pipeline), 1, LOADGEN_PIPELINE_MAX},
    {"--set-percent", PARTS, 0, 0, 0},
    {"--rounds", UNSIGNED, AT(rounds), 1, LOADGEN_ROUNDS_MAX},
    {"--keys", WORD32, AT(keys), 1, 0x7fffffff},
    {"--key-size", UNSIGNED, AT(key_size), LOADGEN_KEY_MIN, LOADGEN_KEY_MAX},
    {"--value-size", UNSIGNED, AT(value_size), 1, LOADGEN_VALUE_MAX},
    {"--zipf", REAL, AT(zipf), 0, 1},
    {"--ttl", UNSIGNED, AT(ttl_s), 0, 999999999},
    {"--fill", FLAG, AT(fill), 0, 0},
    {"--fill-seconds", REAL, AT(fill_s), 1, 86400},
    {"--allow-miss", FLAG, AT(allow_miss), 0, 0},
    {"--open-rate", WORD64, AT(open_rate), 1, 1e9},
    {"--script", STRING, AT(script), 0, 0},
    {"--only", STRING, AT(only), 0, 0},
    {"--deep", FLAG, AT(deep), 0, 0},
    {"--big-rate", UNSIGNED, AT(big_rate), 0, 1000},
    {"--big-size", UNSIGNED, AT(big_size), 1, 512 << 20},
    {"--seconds", REAL, AT(seconds), 0.01, 86400},
    {"--warmup", REAL, AT(warmup_s), 0, 3600},
    {"--seed", WORD64, AT(seed), 0, 1e15},
    {"--idle", UNSIGNED, AT(idle), 0, LOADGEN_CONNS_MAX},
    {"--subscribers", UNSIGNED, AT(subscribers), 0, LOADGEN_CONNS_MAX},
    {"--messages", UNSIGNED, AT(messages), 1, 99999999},
    {"--slow", UNSIGNED, AT(slow), 0, LOADGEN_CONNS_MAX},
    {"--attack", STRING, AT(attack), 0, 0},
    {"--attack-conns", UNSIGNED, AT(attack_conns), 1, 262144},
    {"--attack-share", REAL, AT(attack_share), 0.001, 10},
    {"--frame-size", UNSIGNED, AT(frame_size), 60, 1514},
    {"--in-flight", UNSIGNED, AT(in_flight), 1, 65536},
    {"--drop-one-in", UNSIGNED, AT(drop_one_in), 0, 1e9},
    {"--json", STRING, AT(json_path), 0, 0},
};

static bool set_number(const struct row *r, void *at, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || isnan(v) || v < r->min || v > r->max)
        return false;
    if (r->kind == REAL) {
        memcpy(at, &v, sizeof v);
        return true;
    }
    if (v != floor(v))
        return false;
    uint64_t wide = (uint64_t)v;
    uint32_t narrow = (uint32_t)wide;
    if (r->kind == WORD64)
        memcpy(at, &wide, sizeof wide);
    else
        memcpy(at, &narrow, sizeof narrow);
    return true;
}

static bool set_choice(void *at, const char *text, const char *const *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            memcpy(at, &i, sizeof i);
            return true;
        }
    }
    return false;
}

static bool set_link(struct options *o, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || !colon[1] || (size_t)(colon - text) >= sizeof o->link_kind ||
        strlen(colon + 1) >= sizeof o->link_arg)
        return false;
    memcpy(o->link_kind, text, (size_t)(colon - text));
    o->link_kind[colon - text] = 0;
    strcpy(o->link_arg, colon + 1);
    return true;
}

/* "0,100,50": the mixes that are measured by turns. */
static bool set_parts(struct options *o, const char *text)
{
    for (o->parts = 0; o->parts < LOADGEN_PARTS_MAX;) {
        char *end;
        unsigned long percent = strtoul(text, &end, 10);
        if (end == text || percent > 100)
            return false;
        o->set_percent[o->parts++] = (unsigned)percent;
        if (*end != ',')
            return *end == 0;
        text = end + 1;
    }
    return false;
}

static bool set_value(struct options *o, const struct row *r, const char *text)
{
    static const char *const modes[] = {"load", "sockets", "echo", "reflect"};
    static const char *const checksums[] = {"software", "offload"};
    void *at = (char *)o + r->offset;
    struct in_addr ip;
    switch (r->kind) {
    case STRING:
        memcpy(at, &text, sizeof text);
        return true;
    case ADDRESS:
        if (inet_pton(AF_INET, text, &ip) != 1)
            return false;
        *(uint32_t *)at = ntohl(ip.s_addr);
        return true;
    case MODE:
        return set_choice(at, text, modes, 4);
    case CHECKSUM:
        return set_choice(at, text, checksums, 2);
    case LINK:
        return set_link(o, text);
    case PARTS:
        return set_parts(o, text);
    case PREFIX:
        if (!*text || strlen(text) >= sizeof o->file_prefix)
            return false;
        strcpy(o->file_prefix, text);
        return true;
    default:
        return set_number(r, at, text);
    }
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static bool consistent(const struct options *o, char *error, size_t size)
{
    const char *wrong = NULL;
    if (o->mode == MODE_SOCKETS && !o->script)
        wrong = "--mode sockets wants a --script";
    else if (!o->link_kind[0] && o->mode != MODE_SOCKETS)
        wrong = "--link is missing";
    else if (o->open_rate && o->pipeline != 1)
        wrong = "--open-rate wants --pipeline 1";
    else if (o->mode == MODE_LOAD && o->peer_ip >= o->local_ip &&
             o->peer_ip - o->local_ip <= (o->connections + o->idle + o->subscribers) / LOADGEN_CONNS_PER_ADDRESS)
        wrong = "--peer lies in the range of addresses that start at --local";
    else if (o->slow > o->subscribers || (o->subscribers && (o->idle || o->attack || o->script || o->big_rate || o->fill)))
        wrong = "--subscribers goes with --slow below it, and not with idle connections, an attack, a script, large values or --fill";
    else if (o->subscribers && o->value_size < 8)
        wrong = "--subscribers wants a --value-size of 8 at least";
    if (wrong)
        snprintf(error, size, "%s", wrong);
    return !wrong;
}

bool options_parse(struct options *o, int argc, char **argv, char *error, size_t size)
{
    *o = (struct options){.file_prefix = "slbench",
                          .core = 1,
                          .memory_mb = 128,
                          .huge = true,
                          .local_ip = 0x0a4d0001,
                          .peer_ip = 0x0a4d0002,
                          .peer_port = 6379,
                          .timestamps = true,
                          .wait_s = 10,
                          .connections = 1000,
                          .pipeline = 1,
                          .fill_pipeline = 16,
                          .parts = 1,
                          .rounds = 1,
                          .key_size = 16,
                          .value_size = 64,
                          .keys = 1000000,
                          .big_size = 10 << 20,
                          .seconds = 5,
                          .warmup_s = 1,
                          .fill_s = 120,
                          .seed = 1,
                          .messages = 3,
                          .attack_conns = 1024,
                          .attack_share = 0.5,
                          .frame_size = 120,
                          .in_flight = 1000};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            *error = 0;
            return false;
        }
        const struct row *r = find_row(argv[i]);
        if (!r) {
            snprintf(error, size, "unknown word '%s'; --help lists all", argv[i]);
            return false;
        }
        if (r->kind == FLAG || r->kind == CLEAR) {
            *((bool *)o + r->offset) = r->kind == FLAG;
            continue;
        }
        if (i + 1 == argc || !set_value(o, r, argv[i + 1])) {
            snprintf(error, size, "'%s %s': not a value it can have", argv[i],
                     i + 1 < argc ? argv[i + 1] : "");
            return false;
        }
        i++;
    }
    return consistent(o, error, size);
}
