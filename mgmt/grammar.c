/* grammar.c: the CLI's tables and the three things made from them: parsing, help, completion. */
#include "mgmt/grammar.h"
#include "mgmt/operations.h"

#include <stdio.h>
#include <string.h>

static const struct node show[] = {
    {"status", "health, dataplane, configuration, endpoints", .run = run_show_status, .op = "show",
     .what = "status"},
    {"version", "versions of control and dataplane", .run = run_show_fields, .op = "show", .what = "version"},
    {"config", "the running configuration, or the directives that match NAME", .run = run_show_config,
     .op = "show", .what = "config", .parameter = {{"NAME", PARAMETER_DIRECTIVE, true}}},
    {"clients", "connected Redis clients", .run = run_show_clients, .op = "show", .what = "clients"},
    {"stats", "counters, gauges and commands", .run = run_show_stats, .op = "show", .what = "stats"},
    {"latency", "how long requests take, by family of commands and stage of their way",
     .run = run_show_latency, .op = "show", .what = "latency"},
    {"log", "recent lines of control and dataplane", .run = run_show_log, .op = "show", .what = "log"},
    {"links", "data links, their addresses and traffic", .run = run_show_links, .op = "show",
     .what = "links"},
    {"connections", "TCP connections, or one of them in detail", .run = run_show_connections, .op = "show",
     .what = "connections"},
    {"neighbors", "hosts on the data links, as every worker knows them", .run = run_show_neighbors,
     .op = "show", .what = "neighbors"},
    {"arp", "the IPv4 neighbors", .run = run_show_neighbors, .op = "show", .what = "arp"},
    {"routes", "where packets go", .run = run_show_routes, .op = "show", .what = "routes"},
    {"addresses", "our addresses on the data links, and whether they are in use", .run = run_show_addresses,
     .op = "show", .what = "addresses"},
    {"listeners", "where connections are taken: data ports and management, and what they speak", .run = run_show_listeners,
     .op = "show", .what = "listeners"},
    {"filters", "rules of the packet filter, in order, and how often each has decided",
     .run = run_show_filters, .op = "show", .what = "filters"},
    {"hotkeys", "the keys that are asked for most, over the last half minute or so", .run = run_show_hotkeys,
     .op = "show", .what = "hotkeys"},
    {"bigkeys", "the biggest keys", .run = run_show_bigkeys, .op = "show", .what = "bigkeys"},
    {"topology", "the machine: CPUs, NUMA nodes, hugepages, NICs", .run = run_show_topology, .op = "show",
     .what = "topology"},
    {"plan", "which worker is on which CPU, whose memory on which node, and what the kernel should be told",
     .run = run_show_plan, .op = "show", .what = "plan"},
    {"inventory", "the machine's parts: serials, CPU, memory, disks, NICs", .run = run_show_inventory, .op = "show",
     .what = "inventory"},
    {"health", "how well the box is, and why", .run = run_show_health, .op = "show", .what = "health"},
    {"alarms", "the alarms that were raised and cleared", .run = run_show_alarms, .op = "show", .what = "alarms"},
    {"configuration", "what the running configuration, or a revision, sets; or what differs (| compare)",
     .run = run_show_configuration, .op = "show", .what = "configuration",
     .parameter = {{"NAME|revision", PARAMETER_DIRECTIVE, true}, {"N", PARAMETER_REVISION, true}}, .compares = true},
    {"history", "revisions of the configuration: who changed it, when and how", .run = run_show_history, .op = "show",
     .what = "history"},
    {"roles", "which role may do what, and who you are to the box", .run = run_show_roles, .op = "show",
     .what = "roles"},
    {"drops", "what was dropped or refused, and why", .run = run_show_drops, .op = "show", .what = "drops"},
    {0}};

static const struct node config[] = {
    {"get", "values of directives, as a line of the file each", .run = run_show_config, .op = "config",
     .what = "get", .parameter = {{"NAME", PARAMETER_DIRECTIVE, false}}},
    {"set",
     "change directives of the running configuration, all or none; a repeated one gets all values given",
     .run = run_config_set, .op = "config", .what = "set",
     .parameter = {{"NAME", PARAMETER_DIRECTIVE, false}, {"VALUE", PARAMETER_VALUE, false}},
     .repeated = true},
    {"load", "read the configuration file again", .run = run_change, .op = "config", .what = "load"},
    {"rewrite", "write the running configuration to its file", .run = run_rewrite, .op = "config",
     .what = "rewrite"},
    {"import", "what an existing redis.conf, or -- the arguments of a redis-server, would mean here", .run = run_import,
     .op = "config", .what = "import", .parameter = {{"FILE|ARGUMENTS", PARAMETER_FILE, false}}, .rest = true},
    {"check", "report every error of a configuration file, without using it", .run = run_config_check,
     .parameter = {{"FILE", PARAMETER_FILE, false}}},
    {0}};

static const struct node snapshot[] = {
    {"create", "write a snapshot now: the one that is loaded at start, and a dated name that stays", .run = run_snapshot_create,
     .op = "snapshot", .what = "create", .live = true},
    {"list", "the snapshot files in the box's folder", .run = run_snapshot_list, .op = "snapshot", .what = "list"},
    {"schedule",
     "when dated snapshots are made: off, every N m|h|d, daily HH:MM; and how many stay (0: all); nothing: says so",
     .run = run_snapshot_schedule, .op = "snapshot", .what = "status",
     .parameter = {{"WHEN", PARAMETER_VALUE, true}, {"TIME", PARAMETER_VALUE, true}, {"KEEP", PARAMETER_VALUE, true}}},
    {"delete", "delete a snapshot, but for the one that is loaded at start", .run = run_snapshot_delete, .op = "snapshot",
     .what = "delete", .asks = "Its keys cannot be brought back. Delete the snapshot?", .parameter = {{"NAME", PARAMETER_VALUE, false}}},
    {"show", "what is in a snapshot file: keys by type, forms, databases", .run = run_snapshot_report, .what = "show",
     .parameter = {{"FILE", PARAMETER_FILE, false}}},
    {"verify", "read all of a snapshot file and say whether it is sound, or what is damaged and where",
     .run = run_snapshot_report, .what = "verify", .parameter = {{"FILE", PARAMETER_FILE, false}}},
    {"import",
     "load a snapshot, or an append-only log (a file, or a folder): over the keys of a box that serves (replace, keep), or into one that "
     "could not load its own (salvage: as far as it is sound); truncated: a log whose end is not whole",
     .run = run_snapshot_import, .op = "snapshot", .what = "import",
     .parameter = {{"FILE", PARAMETER_FILE, false}, {"HOW", PARAMETER_VALUE, true}, {"END", PARAMETER_VALUE, true}}},
    {"export", "copy the snapshot that the box loads at its start, as it is or (aof) as commands: an append-only log in one file",
     .run = run_snapshot_export, .op = "snapshot", .what = "list",
     .parameter = {{"FILE", PARAMETER_FILE, false}, {"FORM", PARAMETER_VALUE, true}}},
    {"abandon", "let a box that could not load its snapshot begin empty", .run = run_snapshot_abandon,
     .op = "snapshot", .what = "abandon", .asks = "The keys of the snapshot are given up. Begin empty?"},
    {0}};

static const struct node audit[] = {
    {"show", "the last lines: who changed what, when, from where", .run = run_audit_show, .op = "audit",
     .what = "show"},
    {"verify", "whether any line was changed, taken out or put in", .run = run_audit_verify, .op = "audit",
     .what = "verify"},
    {0}};

static const struct node certificate[] = {
    {"list", "certificates that are stored, and the one in use", .run = run_certificate_list,
     .op = "certificate", .what = "list"},
    {"show", "a certificate (the one in use), and what is to be said about it", .run = run_certificate_show,
     .op = "certificate", .what = "show", .parameter = {{"NAME", PARAMETER_CERTIFICATE, true}}},
    {"check", "whether a stored one, or the pair in two files, can be served", .run = run_certificate_check,
     .op = "certificate", .what = "check",
     .parameter = {{"NAME|CERTIFICATE", PARAMETER_CERTIFICATE, false}, {"KEY", PARAMETER_FILE, true}}},
    {"install", "store a certificate with its chain and key, without using it",
     .run = run_certificate_install, .op = "certificate", .what = "install",
     .parameter = {{"NAME", PARAMETER_CERTIFICATE, false},
                   {"CERTIFICATE", PARAMETER_FILE, false},
                   {"KEY", PARAMETER_FILE, true}}},
    {"rotate", "use a stored one, or store and use this, without dropping a connection",
     .run = run_certificate_rotate, .op = "certificate", .what = "rotate",
     .parameter = {{"NAME", PARAMETER_CERTIFICATE, false},
                   {"CERTIFICATE", PARAMETER_FILE, true},
                   {"KEY", PARAMETER_FILE, true}}},
    {"self-signed", "make and store a certificate that clients trust by itself", .run = run_certificate_make,
     .op = "certificate", .what = "self-signed", .parameter = {{"NAME", PARAMETER_VALUE, false}}},
    {"csr", "make a key that stays here, and print the request to have it signed", .run = run_certificate_csr,
     .op = "certificate", .what = "csr", .parameter = {{"NAME", PARAMETER_CERTIFICATE, false}}},
    {"delete", "delete the request that waits, or else the certificate", .run = run_certificate_delete,
     .op = "certificate", .what = "delete", .asks = "Its private key cannot be brought back. Delete it?", .parameter = {{"NAME", PARAMETER_CERTIFICATE, false}}},
    {"export", "print a certificate (the one in use) with its chain; never its key",
     .run = run_certificate_export, .op = "certificate", .what = "export",
     .parameter = {{"NAME", PARAMETER_CERTIFICATE, true}}},
    {0}};

static const struct node token[] = {
    {"create", "make a token for the management API over HTTPS and print it, once", .run = run_token_create,
     .op = "token", .what = "create", .parameter = {{"NAME", PARAMETER_VALUE, false}}},
    {"list", "the tokens that there are", .run = run_token_list, .op = "token", .what = "list"},
    {"revoke", "let a token be valid no longer", .run = run_token_revoke, .op = "token", .what = "revoke",
     .parameter = {{"ID", PARAMETER_VALUE, false}}},
    {0}};

static const struct node restart[] = {{"dataplane", "stop the dataplane orderly and start it again", .run = run_simple, .op = "restart",
                                       .what = "dataplane", .asks = "All connections of clients are closed. Restart the dataplane?"},
                                      {0}};

static const struct node board[] = {
    {"show", "what the machine is made of: ports with their drivers and roles, disks, nodes", .run = run_system, .op = "board", .what = "show"},
    {"plan", "how the box is laid out on it, line by line", .run = run_system, .op = "board", .what = "plan"},
    {"apply", "make it so: drivers of ports, hugepages, interrupts, the kernel's command line", .run = run_system, .leave = true, .op = "board",
     .what = "apply"},
    {"verify", "whether it is so; exit code 1 if not", .run = run_system, .op = "board", .what = "verify"},
    {0}};

static const struct node upgrade_remove[] = {
    {"dataplane", "the slot's own dataplane instead of its update, warm; cold: even if the keys must be loaded from disk", .run = run_system,
     .leave = true, .op = "upgrade", .what = "remove", .parameter = {{"cold", PARAMETER_VALUE, true}}, .live = true},
    {0}};

static const struct node upgrade[] = {
    {"install",
     "a signed bundle (- for stdin): written to the slot that does not run, restart to start it; or a package of the dataplane alone, which is "
     "restarted with its keys (cold: even if they must be loaded from disk)",
     .run = run_upgrade_install, .leave = true, .op = "upgrade", .what = "install",
     .parameter = {{"BUNDLE", PARAMETER_FILE, false}, {"cold", PARAMETER_VALUE, true}}, .live = true},
    {"remove", "dataplane: the slot's own instead of its update", .next = upgrade_remove},
    {"status", "the slots, which one runs, which one starts next; the dataplane and its update", .run = run_system, .op = "upgrade", .what = "status"},
    {"confirm", "keep the slot that runs", .run = run_system, .leave = true, .op = "upgrade", .what = "confirm"},
    {"rollback", "start the other slot next", .run = run_system, .leave = true, .op = "upgrade", .what = "rollback"},
    {0}};

static const struct node system_commands[] = {
    {"reboot", "restart the machine", .run = run_system, .leave = true, .op = "system", .what = "reboot",
     .asks = "The box serves nobody until it is up again. Restart the machine?"},
    {"poweroff", "stop the box and switch the machine off", .run = run_system, .leave = true, .op = "system", .what = "poweroff",
     .asks = "Somebody has to switch it on again. Switch the machine off?"},
    {0}};

const struct node grammar[] = {
    {"show", "what the box is and does", .next = show},
    {"config", "the configuration", .next = config},
    {"configure", "edit a copy of the configuration, then commit it", .run = run_configure, .op = "configure",
     .what = "enter"},
    {"certificate", "certificates of the data port", .next = certificate},
    {"audit", "the log of changes", .next = audit},
    {"token", "tokens for the management API over HTTPS", .next = token},
    {"restart", "start a part again", .next = restart},
    {"snapshot", "files with all keys", .next = snapshot},
    {"ping", "send echo requests from the data port", .run = run_ping, .op = "ping", .what = "start",
     .parameter = {{"ADDRESS", PARAMETER_VALUE, false}}, .live = true},
    {"capture", "frames of the data port, a line each or into a file, until Ctrl-C", .run = run_capture,
     .op = "capture", .what = "", .live = true},
    {"board", "the machine and the plan for it", .next = board},
    {"upgrade", "software of the box", .next = upgrade},
    {"system", "the machine as a whole", .next = system_commands},
    {"stop", "stop the dataplane and control", .run = run_simple, .op = "stop", .what = "",
     .asks = "The box serves nobody then, and cannot be managed from here. Stop it?"},
    {"support-bundle", "an archive for whoever helps: no secrets, no names of keys (- for stdout)", .run = run_support_bundle,
     .op = "show", .what = "version", .parameter = {{"FILE", PARAMETER_FILE, true}}},
    {"factory-reset", "wipe configuration, users, certificates, snapshots, logs; keep-network: but not the links",
     .run = run_factory_reset, .op = "factory-reset", .what = "", .parameter = {{"keep-network", PARAMETER_VALUE, true}}},
    {"exit", "leave", .run = run_leave, .op = "", .what = ""},
    {0}};

/* -- configuration mode -------------------------------------------------------------------------------- */

#define NAME  {"NAME", PARAMETER_DIRECTIVE, false}
#define VALUE {"VALUE", PARAMETER_SETTING, false}
const struct node grammar_configure[] = {
    {"set", "give a directive a value; of a list, add one at its end", .run = run_edit, .op = "configure", .what = "set",
     .parameter = {NAME, VALUE}, .rest = true},
    {"insert", "put a value into a list, at a position from 1", .run = run_edit, .op = "configure", .what = "insert",
     .parameter = {NAME, {"POSITION", PARAMETER_VALUE, false}, VALUE}, .rest = true},
    {"delete", "take a directive back to its default; of a list, all or one value", .run = run_edit, .op = "configure",
     .what = "delete", .parameter = {NAME, {"VALUE", PARAMETER_SETTING, true}}, .rest = true},
    {"show", "the edited configuration; | compare: what differs", .run = run_edit_show, .op = "configure", .what = "show",
     .parameter = {{"NAME", PARAMETER_DIRECTIVE, true}}, .compares = true},
    {"check", "what can be said of the changes before they are committed", .run = run_edit_check, .op = "configure",
     .what = "check"},
    {"commit", "run the changes and write them to the file; confirmed: they go back unless there is another commit",
     .run = run_commit, .op = "configure", .what = "commit",
     .parameter = {{"comment TEXT|confirmed MINUTES|check", PARAMETER_COMMIT, true}}, .rest = true},
    {"rollback", "take a revision of show history (0: the running configuration) as the edited one", .run = run_rollback,
     .op = "configure", .what = "rollback", .parameter = {{"N", PARAMETER_REVISION, true}}},
    {"load", "a configuration file, or one that is typed in (up to a line with a dot); merge: over what there is",
     .run = run_load, .op = "configure", .what = "load",
     .parameter = {{"FILE|terminal", PARAMETER_FILE, false}, {"merge", PARAMETER_VALUE, true}}},
    {"import", "an existing redis.conf, with a report of each line", .run = run_edit_import, .op = "configure",
     .what = "import", .parameter = {{"FILE", PARAMETER_FILE, false}}},
    {"discard", "forget the changes", .run = run_discard, .op = "configure", .what = "discard"},
    {"save", "write the running configuration to its file, with what CONFIG SET has changed", .run = run_save,
     .op = "config", .what = "rewrite"},
    {"run", "a command of operational mode: run show status", .run = run_leave, .op = "", .what = "",
     .parameter = {{"COMMAND", PARAMETER_VALUE, false}}, .rest = true},
    {"exit", "leave configuration mode", .run = run_leave, .op = "configure", .what = "leave"},
    {0}};
#undef NAME
#undef VALUE

#define AT(field) offsetof(struct invocation, field)
#define MADE "certificate self-signed,certificate csr"
#define READ "certificate check,certificate install,certificate rotate"
#define LIMITED "show connections,show hotkeys,show bigkeys"
const struct option options[] = {
    {"--json", NULL, "print JSON", AT(json), NULL},
    {"--match", "TEXT", "print only lines that hold TEXT, whatever the case", AT(match), NULL},
    {"--level", "LEVEL", "debug, verbose, notice or warning and above", AT(level), "show log"},
    {"--lines", "N", "the last N lines", AT(lines), "show log,audit show"},
    {"--since", "TIME", "from then on: 2026-11-22, \"2026-11-22 10:00\", 10:00, today, \"1 hour ago\", 10m", AT(since), "show log"},
    {"--until", "TIME", "up to then", AT(until), "show log"},
    {"--follow", NULL, "and the lines to come, until Ctrl-C", AT(follow), "show log"},
    {"--confirm", "HOST", "the name of the box, instead of being asked for it", AT(confirm), "factory-reset"},
    {"--limit", "N", "at most so many (1000; of keys 20)", AT(limit), LIMITED},
    {"--detail", "ADDR:PORT", "everything about those with this remote end", AT(detail), "show connections"},
    {"--count", "N", "so many requests (5)", AT(count), "ping"},
    {"--count", "N", "end after N packets", AT(count), "capture"},
    {"--size", "BYTES", "payload of a request (56)", AT(size), "ping"},
    {"--interval", "MS", "time between requests (1000)", AT(interval), "ping"},
    {"--filter", "EXPRESSION", "only frames that match, as tcpdump takes it (pcap-filter(7))", AT(filter), "capture"},
    {"--snaplen", "N", "keep the first N bytes of a frame (default: all that is possible)", AT(snaplen), "capture"},
    {"--duration", "SECONDS", "end after so long", AT(duration), "capture"},
    {"--direction", "in|out|both", "only received or only sent frames", AT(direction), "capture"},
    {"--write", "FILE", "write pcapng to FILE (- for stdout) instead of a line a packet", AT(write), "capture"},
    {"--san", "NAME,...", "DNS names, addresses, URIs in it (default: the box's addresses)", AT(san), MADE},
    {"--days", "N", "how long it is valid (365)", AT(days), "certificate self-signed"},
    {"--subject", "NAME", "common name (default: the first of --san)", AT(subject), MADE},
    {"--key-type", "KIND", "p256, p384, rsa2048 or rsa3072 (p256)", AT(key_type), MADE},
    {"--wait", NULL, "until it is on disk, with its progress (--json: a line each)", AT(wait), "snapshot create"},
    {"--ca", "FILE", "the authority that must have issued it", AT(ca), READ},
    {"--passphrase", "FILE", "what opens the private key", AT(passphrase), READ},
    {"--authority", NULL, "only the top of the chain, for clients to trust", AT(authority), "certificate export"},
    {"--role", "ROLE", "admin, operator, security, read-only or support", AT(role), "token create"},
    {"--expires", "TIME", "30d, 12w, 1y (the default) or never", AT(expires), "token create"},
    {"--host", "HOST[:PORT]", "the box at HOST over HTTPS, port 9443 (else $SLUICE_HOST)", AT(host), NULL},
    {"--token-file", "FILE", "with --host: the token that says who you are (else $SLUICE_TOKEN_FILE)", AT(token_file), NULL},
    {"--certificate", "FILE", "with --host: certificate and key instead (else $SLUICE_CERTIFICATE)", AT(host_certificate), NULL},
    {"--host-ca", "FILE", "with --host: who must have signed the box's certificate (else $SLUICE_HOST_CA)", AT(host_ca), NULL},
    {"--socket", "PATH", "control's management socket (else $SLUICE_SOCKET, else /run/sluice/management.sock)", AT(socket), NULL},
    {0}};

/* -- parsing ------------------------------------------------------------------------------------------ */

const struct node *grammar_match(const struct node *table, const char *word, unsigned *candidates)
{
    const struct node *found = NULL;
    size_t len = strlen(word);
    *candidates = 0;
    for (const struct node *n = table; n->word && len; n++) {
        if (strcmp(n->word, word) == 0) {
            *candidates = 1;
            return n;
        }
        if (strncmp(n->word, word, len) == 0) {
            found = n;
            ++*candidates;
        }
    }
    return *candidates == 1 ? found : NULL;
}

const struct node *grammar_find(const struct node *table, char **words, int n, int *used, char *error, size_t size)
{
    const struct node *at = NULL;
    unsigned candidates;
    for (*used = 0; table; ++*used) {
        if (*used == n) {
            snprintf(error, size, "the command is not complete; try %s ?", n ? words[n - 1] : "sluice");
            return NULL;
        }
        at = grammar_match(table, words[*used], &candidates);
        if (!at) {
            snprintf(error, size, "'%.60s' is %s; try ? for help", words[*used],
                     candidates ? "ambiguous" : "unknown here");
            return NULL;
        }
        table = at->next;
    }
    return at;
}

static bool take_option(struct invocation *in, char **words, int n, int *i, char *error, size_t size)
{
    for (unsigned o = 0; options[o].name; o++) {
        size_t len = strlen(options[o].name);
        bool inline_value =
            options[o].value && strncmp(words[*i], options[o].name, len) == 0 && words[*i][len] == '=';
        if (!inline_value && strcmp(words[*i], options[o].name) != 0)
            continue;
        void *field = (char *)in + options[o].at;
        const char **into = field;
        if (!options[o].value)
            *(bool *)field = true;
        else if (inline_value)
            *into = words[*i] + len + 1;
        else if (*i + 1 < n)
            *into = words[++*i];
        else {
            snprintf(error, size, "%s needs a value: %s %s", options[o].name, options[o].name,
                     options[o].value);
            return false;
        }
        return true;
    }
    snprintf(error, size, "unknown option %.60s; try --help", words[*i]);
    return false;
}

bool grammar_parse(const struct node *table, struct invocation *in, char **words, int n, char *error, size_t size)
{
    int kept = 0, used;
    bool literal = false;
    for (int i = 0; i < n; i++) {
        if (!literal && strcmp(words[i], "--") == 0)
            literal = true; /* values that begin with -- follow */
        else if (!literal && strncmp(words[i], "--", 2) == 0) {
            if (!take_option(in, words, n, &i, error, size))
                return false;
        } else {
            words[kept++] = words[i];
        }
    }
    in->leaf = grammar_find(table, words, kept, &used, error, size);
    if (!in->leaf)
        return false;
    in->argv = words + used;
    in->argc = kept - used;
    int least = 0, most = 0;
    for (int p = 0; p < PARAMETERS && in->leaf->parameter[p].kind; p++, most++)
        least += !in->leaf->parameter[p].optional;
    if (in->argc < least)
        snprintf(error, size, "%s: %s is missing", in->leaf->word, in->leaf->parameter[in->argc].name);
    else if (in->argc > most && !in->leaf->repeated && !in->leaf->rest)
        snprintf(error, size, "%s: '%.60s' is one word too many", in->leaf->word, in->argv[most]);
    else if (in->leaf->repeated && in->argc % most)
        snprintf(error, size, "%s: %s is missing for '%.60s'", in->leaf->word,
                 in->leaf->parameter[in->argc % most].name, in->argv[in->argc - 1]);
    else
        return true;
    return false;
}

/* -- where a line stands ------------------------------------------------------------------------------- */

const struct node *grammar_path(const struct node *table, char **words, int n, char path[GRAMMAR_PATH])
{
    const struct node *at = NULL, *found;
    unsigned candidates;
    size_t len = 0;
    *path = 0;
    for (int i = 0; i < n && table && (found = grammar_match(table, words[i], &candidates)); i++) {
        len += (size_t)snprintf(path + len, GRAMMAR_PATH - len, "%s%.24s", at ? " " : "", found->word);
        at = found;
        table = at->next;
    }
    return at;
}

bool grammar_takes(const char *path, const struct option *o)
{
    size_t len = strlen(path);
    for (const char *of = o->of; of && *of && len; of += strcspn(of, ","), of += *of == ',')
        if (strncmp(of, path, len) == 0 && (!of[len] || of[len] == ','))
            return true;
    return !o->of;
}

/* -- completion --------------------------------------------------------------------------------------- */

static char *const *names_for(const struct node *leaf, unsigned position, char **words, const struct known_names *known)
{
    static char check[] = "check", comment[] = "comment", confirmed[] = "confirmed",
                *const of_commit[] = {check, comment, confirmed, NULL};
    switch (leaf->parameter[position].kind) {
    case PARAMETER_DIRECTIVE: return known->directives;
    case PARAMETER_CERTIFICATE: return known->certificates;
    case PARAMETER_SETTING: return known->values ? known->values(words[0]) : NULL;
    case PARAMETER_COMMIT: return of_commit;
    default: return NULL;
    }
}

/* Each once. */
static const char *complete_option(const struct node *table, char **words, int n, const char *prefix, unsigned index)
{
    char path[GRAMMAR_PATH];
    grammar_path(table, words, n, path);
    for (const struct option *o = options; o->name; o++)
        if (strncmp(o->name, prefix, strlen(prefix)) == 0 && grammar_takes(path, o) && index-- == 0)
            return o->name;
    return NULL;
}

const char *grammar_complete(const struct node *table, char **words, int n, const char *prefix, unsigned index,
                             const struct known_names *known)
{
    const struct node *at = NULL;
    unsigned candidates;
    int i = 0;
    if (strncmp(prefix, "--", 2) == 0)
        return complete_option(table, words, n, prefix, index);
    for (; i < n && table; i++) {
        if (!(at = grammar_match(table, words[i], &candidates)))
            return NULL;
        table = at->next;
    }
    for (; table && table->word; table++)
        if (strncmp(table->word, prefix, strlen(prefix)) == 0 && index-- == 0)
            return table->word;
    if (table || !at || !at->parameter[0].kind)
        return NULL;
    unsigned most = 1, position = (unsigned)(n - i);
    while (most < PARAMETERS && at->parameter[most].kind)
        most++;
    if (at->repeated)
        position %= most;
    else if (at->rest && position >= most)
        position = most - 1;
    char *const *names = position < most ? names_for(at, position, words + i, known) : NULL;
    for (; names && *names; names++)
        if (strncmp(*names, prefix, strlen(prefix)) == 0 && index-- == 0)
            return *names;
    return NULL;
}
