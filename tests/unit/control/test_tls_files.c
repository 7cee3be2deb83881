/* test_tls_files.c: control/tls_files.h: what the files of tls-* directives hold reaches the dataplane whole, in order and
 * without anything else that stands in them; what is wrong is one line that names the directive and the file. */
#include "control/directives.h"
#include "control/tls_files.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/tls-files-XXXXXX", error[512];
static const char make_all[] =
    "set -e; cd %s; exec 2>log\n"
    "pair() { openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout $1.key -subj /CN=$1 -days 9 -out $1.pem; }\n"
    "pair box; pair other; pair ca; pair cb\n"
    "openssl pkey -in box.key -aes256 -passout pass:word -out locked.key\n"
    "openssl x509 -in box.pem -text >noisy; echo 'and more' >>noisy; cat other.pem box.key >>noisy\n"
    "{ cat box.pem; sed 's/^MII/!!!/' other.pem; } >garbled; : >empty; mkdir cas none; cp ca.pem cas/one.crt; cp cb.pem cas/two; echo x >cas/readme\n"
    "head -c 1100000 /dev/zero >huge; i=0; while [ $i -lt 60 ]; do cat ca.pem; i=$((i + 1)); done >many\n"
    "openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out dh.pem\n";

/* Directives by name and file, NULL at the end; a value without a dot or slash in front is a file of the folder. */
static struct tls_files *read_with(const char *const *pairs)
{
    struct settings *s = settings_defaults();
    char value[160];
    *error = 0;
    for (; *pairs; pairs += 2) {
        bool file = strstr(pairs[0], "-file") || strstr(pairs[0], "-dir");
        bool pass = strstr(pairs[0], "-pass");
        snprintf(value, sizeof value, "%s%s%s", file && !pass ? folder : "", file && !pass ? "/" : "", pairs[1]);
        CU_ASSERT_FATAL(settings_replace(s, directive_find(pairs[0]), value, error, sizeof error));
    }
    struct tls_files *f = tls_files_read(s, error, sizeof error);
    settings_free(s);
    return f;
}
#define READ(...) read_with((const char *const[]){__VA_ARGS__, NULL})

/* All parts of a text, one behind the other. */
static char *whole(const struct tls_files *f, enum tls_text which)
{
    static char text[1 << 20];
    *text = 0;
    for (unsigned i = 0; i < f->part[which].n; i++)
        strcat(text, f->part[which].p[i]);
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static const char *file(const char *name)
{
    static char text[1 << 16];
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    return text;
}

static void test_a_pair(void)
{
    struct tls_files *f = READ("tls-cert-file", "box.pem", "tls-key-file", "box.key", "tls-auth-clients", "no");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_STRING_EQUAL(whole(f, TLS_CERTIFICATE), file("box.pem"));
    CU_ASSERT_STRING_EQUAL(whole(f, TLS_KEY), file("box.key"));
    CU_ASSERT(f->part[TLS_AUTHORITIES].n == 0 && f->part[TLS_DH].n == 0);
    tls_files_free(f);
}

static void test_a_pass_phrase_opens_a_key(void)
{
    struct tls_files *f =
        READ("tls-cert-file", "box.pem", "tls-key-file", "locked.key", "tls-key-file-pass", "word", "tls-auth-clients", "no");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_STRING_EQUAL(whole(f, TLS_KEY), file("box.key"));
    tls_files_free(f);
}

/* Of a chain's file nothing but the certificates leaves control, least of all a key. */
static void test_what_else_stands_in_a_file_stays(void)
{
    struct tls_files *f = READ("tls-cert-file", "noisy", "tls-key-file", "box.key", "tls-auth-clients", "no");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    const char *chain = whole(f, TLS_CERTIFICATE);
    CU_ASSERT_EQUAL(count(chain, "BEGIN CERTIFICATE"), 2);
    CU_ASSERT(strncmp(chain, file("box.pem"), strlen(file("box.pem"))) == 0);
    CU_ASSERT(!strstr(chain, "PRIVATE") && !strstr(chain, "and more") && !strstr(chain, "Issuer"));
    tls_files_free(f);
}

struct told {
    unsigned n[TLS_TEXTS];
    size_t longest;
};

static void tell(const char *name, const char *value, void *arg)
{
    static const char *const names[TLS_TEXTS] = {"tls:certificate", "tls:key", "tls:authorities", "tls:dh"};
    struct told *t = arg;
    for (unsigned i = 0; i < TLS_TEXTS; i++)
        t->n[i] += strcmp(name, names[i]) == 0;
    t->longest = strlen(value) > t->longest ? strlen(value) : t->longest;
}

/* Authorities of a file and of a directory, and DH parameters; a long text goes in parts that fit a message. */
static void test_authorities_and_parameters(void)
{
    struct told t = {0};
    struct tls_files *f = READ("tls-cert-file", "box.pem", "tls-key-file", "box.key", "tls-ca-cert-file", "many", "tls-ca-cert-dir",
                               "cas", "tls-dh-params-file", "dh.pem");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(count(whole(f, TLS_AUTHORITIES), "BEGIN CERTIFICATE"), 62);
    CU_ASSERT_EQUAL(count(whole(f, TLS_DH), "BEGIN"), 1);
    tls_files_each(f, tell, &t);
    CU_ASSERT(t.n[TLS_CERTIFICATE] == 1 && t.n[TLS_KEY] == 1 && t.n[TLS_AUTHORITIES] > 1 && t.n[TLS_DH] == 1);
    CU_ASSERT(t.longest <= 12 * 1024);
    tls_files_free(f);
}

#define BOX "tls-cert-file", "box.pem", "tls-key-file", "box.key"
static void test_what_is_wrong_is_named(void)
{
    static const struct {
        const char *pairs[12], *text;
    } cases[] = {
        {{"tls-key-file", "box.key"}, "No tls-cert-file configured!"},
        {{"tls-cert-file", "box.pem"}, "No tls-key-file configured!"},
        {{BOX}, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"},
        {{"tls-cert-file", "box.pem", "tls-key-file", "other.key", "tls-auth-clients", "no"}, "the key does not belong to the certificate"},
        {{"tls-cert-file", "absent", "tls-key-file", "box.key", "tls-auth-clients", "no"}, "absent: No such file"},
        {{"tls-cert-file", "empty", "tls-key-file", "box.key", "tls-auth-clients", "no"}, "empty: no certificate can be read"},
        {{"tls-cert-file", "garbled", "tls-key-file", "box.key", "tls-auth-clients", "no"}, "garbled: no certificate can be read"},
        {{"tls-cert-file", "huge", "tls-key-file", "box.key", "tls-auth-clients", "no"}, "huge: not a regular file of at most 1 MB"},
        {{"tls-cert-file", "cas", "tls-key-file", "box.key", "tls-auth-clients", "no"}, "cas: not a regular file"},
        {{"tls-cert-file", "box.pem", "tls-key-file", "box.pem", "tls-auth-clients", "no"}, "no private key can be read"},
        {{"tls-cert-file", "box.pem", "tls-key-file", "locked.key", "tls-auth-clients", "no"}, "a wrong pass phrase?"},
        {{BOX, "tls-ca-cert-file", "box.key"}, "tls-ca-cert-file"},
        {{BOX, "tls-ca-cert-dir", "none"}, "no certificate in it can be read"},
        {{BOX, "tls-ca-cert-dir", "absent"}, "absent: No such file"},
        {{BOX, "tls-auth-clients", "no", "tls-dh-params-file", "box.pem"}, "no DH parameters can be read"},
        {{BOX, "tls-auth-clients", "no", "tls-client-cert-file", "other.pem", "tls-client-key-file", "box.key"},
         "tls-client-key-file"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_files *f = read_with(cases[i].pairs);
        CU_ASSERT_PTR_NULL(f);
        CU_ASSERT(strstr(error, cases[i].text) && !strchr(error, '\n'));
        if (f || !strstr(error, cases[i].text))
            printf("# wanted: %s\n# got: %s\n", cases[i].text, error);
        tls_files_free(f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_pair), UNIT(test_a_pass_phrase_opens_a_key),
                                             UNIT(test_what_else_stands_in_a_file_stays), UNIT(test_authorities_and_parameters),
                                             UNIT(test_what_is_wrong_is_named), {NULL, NULL}};
    char command[sizeof make_all + sizeof folder];
    if (!mkdtemp(folder))
        return 1;
    snprintf(command, sizeof command, make_all, folder);
    int status = system(command) ? 1 : unit_main(argc, argv, "control/tls_files", tests);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) ? 1 : status;
}
