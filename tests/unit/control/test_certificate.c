/* test_certificate.c: PEM texts, what is said about a pair, handshakes with ourselves, making. The
 * certificates that are wrong in one way each come from the openssl program. */
#include "control/certificate.h"
#include "control/certificate_store.h"
#include "control/secret_memory.h"
#include "unit.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/certificate-XXXXXX", error[512];
static const char make_all[] =
    "set -e; cd %s; exec 2>log\n"
    "ext() { printf 'basicConstraints=critical,%%s\\n%%s\\n' \"$1\" \"$2\" >$3.ext; }\n"
    "ext CA:TRUE keyUsage=keyCertSign ca\n"
    "ext CA:FALSE subjectAltName=DNS:box.example.net,IP:127.0.77.2 leaf\n"
    "ext CA:FALSE subjectAltName=DNS:*.example.net wild\n"
    "ext CA:FALSE extendedKeyUsage=clientAuth client\n"
    "ext CA:FALSE keyUsage=keyEncipherment silent\n"
    /* sign NAME KEY-OPTIONS EXTENSIONS ISSUER OPTIONS */
    "sign() { openssl req -new -nodes -newkey $2 -keyout $1.key -subj /CN=$1 >$1.csr\n"
    "  openssl x509 -req -in $1.csr -CA $4.crt -CAkey $4.key -CAcreateserial -extfile $3.ext $5 -out $1.crt; "
    "}\n"
    "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout root.key -subj /CN=root "
    "-days 3650 "
    "-addext keyUsage=keyCertSign -out root.crt\n"
    "EC='ec -pkeyopt ec_paramgen_curve:P-256'\n"
    "sign middle \"$EC\" ca root '-days 3000'; sign leaf \"$EC\" leaf middle '-days 100'\n"
    "sign rsa rsa:2048 leaf root '-days 100'; sign weak rsa:1024 leaf root '-days 100'\n"
    "sign sha1 \"$EC\" leaf root '-days 100 -sha1'; sign soon \"$EC\" leaf root '-days 20'\n"
    "sign wild \"$EC\" wild root '-days 100'; sign client \"$EC\" client root '-days 100'\n"
    "sign silent \"$EC\" silent root '-days 100'\n"
    "openssl pkey -in leaf.key -aes256 -passout pass:word -out locked.key\n"
    "openssl ec -in leaf.key -out old.key; openssl x509 -in leaf.crt -text >noise; cat middle.crt >>noise\n"
    "cat leaf.crt middle.crt >full; cat leaf.crt middle.crt root.crt >whole; cat middle.crt leaf.crt "
    ">turned\n"
    "cat leaf.crt root.crt >gap; cat leaf.crt leaf.crt middle.crt >twice; cat leaf.key full >one\n"
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat middle.crt; done >many; cat leaf.crt many >long\n";

static char *file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = store_read(path, error, sizeof error);
    if (!text)
        printf("# %s\n", error);
    return text ? text : must_copy("");
}

static struct certificate *read_pair(const char *name, const char *key_name, const char *pass)
{
    char *pem = file(name), *key = key_name ? file(key_name) : NULL;
    struct certificate *c = certificate_read(pem, key, pass, error, sizeof error);
    free(pem);
    secret_free(key);
    return c;
}

static bool names(const struct words *lines, const char *what)
{
    for (unsigned i = 0; i < lines->n; i++)
        if (strstr(lines->p[i], what))
            return true;
    for (unsigned i = 0; i < lines->n; i++)
        printf("# not '%s': %s\n", what, lines->p[i]);
    return lines->n == 0 && !*what;
}

/* What is said about a pair `days` from now: the error and the warning that must be there ("" = none at all).
 */
static void said(const char *name, const char *key, int days, const char *wrong, const char *doubtful)
{
    struct findings f = {0};
    struct certificate *c = read_pair(name, key, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    certificate_check(c, NULL, time(NULL) + days * 86400L, &f);
    CU_ASSERT(names(&f.errors, wrong));
    CU_ASSERT(names(&f.warnings, doubtful));
    findings_free(&f);
    certificate_free(c);
}

static void refused(const char *name, const char *key, const char *why)
{
    struct certificate *c = read_pair(name, key, NULL);
    CU_ASSERT_PTR_NULL(c);
    if (!strstr(error, why))
        printf("# not '%s': %s\n", why, error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, why));
    certificate_free(c);
}

/* -- reading ------------------------------------------------------------------------------------------ */

static void test_a_text_is_read_whatever_stands_between(void)
{
    struct certificate *c = read_pair("noise", "one", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(sk_X509_num(c->chain), 1);
    CU_ASSERT_EQUAL(X509_check_private_key(c->leaf, c->key), 1);
    certificate_free(c);
    c = read_pair("one", "old.key", NULL);
    CU_ASSERT(c && sk_X509_num(c->chain) == 1);
    certificate_free(c);
}

static void test_what_is_no_certificate_or_key_is_named(void)
{
    refused("log", NULL, "there is no certificate in it");
    refused("leaf.key", NULL, "there is no certificate in it");
    refused("leaf.crt", "leaf.crt", "there is no private key in it");
    refused("leaf.crt", "locked.key", "there is no passphrase");
    refused("long", NULL, "more than 11 certificates");
}

static void test_an_encrypted_key_needs_its_passphrase(void)
{
    struct certificate *c = read_pair("full", "locked.key", "word");
    CU_ASSERT(c && X509_check_private_key(c->leaf, c->key) == 1);
    certificate_free(c);
    CU_ASSERT_PTR_NULL(read_pair("full", "locked.key", "other"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "does not open it"));
}

/* Never a pair out of half a text, and an error always has its line. */
static void test_a_text_cut_or_changed_at_every_byte(void)
{
    char *whole = file("one");
    size_t len = strlen(whole);
    unsigned taken = 0;
    for (size_t i = 0; i < len; i++) {
        char *text = must_copy_n(whole, i), kept = whole[i];
        *error = 0;
        struct certificate *c = certificate_read(text, text, NULL, error, sizeof error);
        CU_ASSERT(c || *error);
        taken += c != NULL;
        certificate_free(c);
        free(text);
        whole[i] = (char)(kept == 'A' ? 'B' : 'A');
        *error = 0;
        c = certificate_read(whole, whole, NULL, error, sizeof error);
        CU_ASSERT(c || *error);
        certificate_free(c);
        whole[i] = kept;
    }
    CU_ASSERT(taken > 0 && taken < len / 2); /* the chain may be cut off, nothing else */
    secret_free(whole);
}

/* -- judging ------------------------------------------------------------------------------------------ */

static void test_a_good_chain_has_nothing_said_about_it(void)
{
    said("full", "leaf.key", 0, "", "");
    said("whole", "leaf.key", 0, "", "");
    said("rsa.crt", "rsa.key", 0, "", "comes without its chain");
}

static void test_what_is_wrong_with_a_pair_is_said(void)
{
    said("full", "rsa.key", 0, "the private key is not the one", "");
    said("full", "leaf.key", 101, "the certificate has expired", "");
    said("full", "leaf.key", 80, "", "the certificate expires within 30 days");
    said("full", "leaf.key", -2, "", "not valid yet");
    said("soon.crt", "soon.key", 0, "", "expires within 30 days");
    said("weak.crt", "weak.key", 0, "too weak (1024 bits)", "");
    said("sha1.crt", "sha1.key", 0, "signature of the certificate is too weak", "");
    said("client.crt", "client.key", 0, "not one for servers", "names no host");
    said("silent.crt", "silent.key", 0, "may not sign", "names no host");
    said("middle.crt", "middle.key", 0, "may not sign", "one of an authority");
}

static void test_a_chain_must_go_up(void)
{
    said("turned", "middle.key", 0, "certificate 2 (of its chain) is not the issuer of the certificate", "");
    said("gap", "leaf.key", 0, "certificate 2 (of its chain) is not the issuer", "");
    said("twice", "leaf.key", 0, "stands there twice", "");
}

static void test_the_authority_that_must_have_issued_it(void)
{
    char *root = file("root.crt"), *other = file("rsa.crt");
    struct certificate *c = read_pair("full", "leaf.key", NULL),
                       *gap = read_pair("leaf.crt", "leaf.key", NULL);
    struct findings f = {0};
    certificate_check(c, root, time(NULL), &f);
    CU_ASSERT_EQUAL(f.errors.n, 0);
    findings_free(&f);
    f = (struct findings){0};
    certificate_check(c, other, time(NULL), &f);
    CU_ASSERT(names(&f.errors, "does not lead to that authority"));
    findings_free(&f);
    f = (struct findings){0};
    certificate_check(gap, root, time(NULL), &f);
    CU_ASSERT(names(&f.errors, "does not lead to that authority"));
    findings_free(&f);
    f = (struct findings){0};
    certificate_check(c, "nothing", time(NULL), &f);
    CU_ASSERT(names(&f.errors, "no certificate of an authority"));
    findings_free(&f);
    certificate_free(c);
    certificate_free(gap);
    free(root);
    free(other);
}

static void test_a_handshake_with_ourselves(void)
{
    static const struct {
        const char *pem, *key, *why; /* NULL: it succeeds */
    } cases[] = {{"full", "leaf.key", NULL},
                 {"whole", "leaf.key", NULL},
                 {"rsa.crt", "rsa.key", NULL},
                 {"wild.crt", "wild.key", NULL},
                 {"leaf.crt", "leaf.key", NULL},
                 {"client.crt", "client.key", "unsuitable certificate purpose"},
                 {"weak.crt", "weak.key", "key too small"},
                 {"full", "rsa.key", "a handshake with it fails"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certificate *c = read_pair(cases[i].pem, cases[i].key, NULL);
        *error = 0;
        bool good = c && certificate_handshake(c, error, sizeof error);
        CU_ASSERT_EQUAL(good, !cases[i].why);
        CU_ASSERT(good || strstr(error, cases[i].why));
        if (good != !cases[i].why || (!good && !strstr(error, cases[i].why)))
            printf("# %s: %s\n", cases[i].pem, error);
        certificate_free(c);
    }
}

/* -- making ------------------------------------------------------------------------------------------- */

static struct certificate *made(const char *key, const char *san, time_t now)
{
    struct words list = {0};
    if (*san)
        words_add(&list, must_copy(san));
    struct certificate_wish w = {key, "a box", &list, 30};
    struct certificate *c = certificate_self_signed(&w, now, error, sizeof error);
    words_free(&list);
    return c;
}

static void test_a_self_signed_one_serves_and_the_openssl_program_agrees(void)
{
    static const char *const keys[] = {"p256", "p384", "rsa2048"};
    char command[512];
    for (unsigned i = 0; i < 3; i++) {
        struct certificate *c = made(keys[i], i ? "box.example.net" : "2001:db8::1", time(NULL));
        struct findings f = {0};
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        certificate_check(c, NULL, time(NULL), &f);
        CU_ASSERT(f.errors.n == 0);
        CU_ASSERT(certificate_handshake(c, error, sizeof error));
        findings_free(&f);
        char *text = certificate_bundle(c);
        CU_ASSERT(store_open(folder, error, sizeof error));
        CU_ASSERT(store_write(folder, "made", STORE_PAIR, text, error, sizeof error));
        secret_free(text);
        snprintf(
            command, sizeof command,
            "cd %s && openssl verify -x509_strict -purpose sslserver -CAfile made.pem %s made.pem >out 2>&1 "
            "&& "
            "test \"$(openssl x509 -in made.pem -noout -pubkey)\" = \"$(openssl pkey -in made.pem -pubout)\"",
            folder, i ? "-verify_hostname box.example.net" : "-verify_ip 2001:db8::1");
        CU_ASSERT_EQUAL(system(command), 0);
        certificate_free(c);
    }
}

static void test_one_made_yesterday_has_ended(void)
{
    struct certificate *c = made("p256", "127.0.0.1", time(NULL) - 31 * 86400L);
    CU_ASSERT_FALSE(certificate_handshake(c, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "certificate has expired"));
    json_t *j = certificate_json(c, time(NULL));
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "days_left")), -1);
    CU_ASSERT(strcmp(json_string_value(json_array_get(json_object_get(j, "names"), 0)), "IP:127.0.0.1") == 0);
    json_decref(j);
    certificate_free(c);
}

static void test_wishes_that_cannot_be(void)
{
    static const char *const bad[] = {"a b", "", "a,IP:1.2.3.4", "-x", "*.*", "http:/ x", "x\ny", "*"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct words list = {0};
        words_add(&list, must_copy(bad[i]));
        struct certificate_wish w = {"p256", "x", &list, 30};
        struct certificate *c = certificate_self_signed(&w, time(NULL), error, sizeof error);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "is not a host's name"));
        certificate_free(c);
        words_free(&list);
    }
    struct words none = {0};
    CU_ASSERT_PTR_NULL(made("dsa", "x", time(NULL)));
    CU_ASSERT_PTR_NULL(
        certificate_self_signed(&(struct certificate_wish){"p256", "", &none, 1}, 0, error, 99));
    CU_ASSERT_PTR_NULL(
        certificate_self_signed(&(struct certificate_wish){"p256", "x", &none, 0}, 0, error, 99));
    CU_ASSERT_PTR_NULL(
        certificate_self_signed(&(struct certificate_wish){"p256", "x", &none, 3651}, 0, error, 99));
}

static void test_a_request_can_be_signed_and_comes_back_with_its_key(void)
{
    struct words list = {0};
    char command[512];
    words_add(&list, must_copy("box.example.net"));
    struct certificate_wish w = {"p256", "box", &list, 0};
    char *text = certificate_request(&w, error, sizeof error),
         *pem = text ? certificate_request_pem(text) : NULL;
    CU_ASSERT(pem && !strstr(pem, "PRIVATE KEY"));
    CU_ASSERT(store_write(folder, "box", STORE_REQUEST, text, error, sizeof error));
    snprintf(command, sizeof command,
             "cd %s && openssl req -in box.request -noout -verify 2>out && openssl x509 -req -in box.request "
             "-CA root.crt "
             "-CAkey root.key -copy_extensions copy -days 9 -out box.crt 2>>out && openssl verify "
             "-verify_hostname "
             "box.example.net -CAfile root.crt box.crt >>out 2>&1",
             folder);
    CU_ASSERT_EQUAL(system(command), 0);
    said("box.crt", "box.request", 0, "", "expires within 30 days");
    secret_free(text);
    free(pem);
    words_free(&list);
}

/* -- the store ---------------------------------------------------------------------------------------- */

static void test_names_of_the_store(void)
{
    CU_ASSERT(store_is_name("server-1.example_2") && store_is_name("7"));
    CU_ASSERT_FALSE(store_is_name("") || store_is_name(".x") || store_is_name("a/b") ||
                    store_is_name("../x") || store_is_name("-x") || store_is_name("a b") ||
                    store_is_name("a\n"));
    char name[80];
    memset(name, 'a', sizeof name);
    name[STORE_NAME_MAX + 1] = 0;
    CU_ASSERT_FALSE(store_is_name(name));
    name[STORE_NAME_MAX] = 0;
    CU_ASSERT(store_is_name(name));
}

static void test_files_of_the_store_are_controls_alone_and_leftovers_go(void)
{
    char sub[128], path[256];
    struct stat st;
    struct words found = {0};
    snprintf(sub, sizeof sub, "%s/store", folder);
    CU_ASSERT(store_open(sub, error, sizeof error));
    CU_ASSERT(stat(sub, &st) == 0 && (st.st_mode & 07777) == 0700);
    CU_ASSERT(store_write(sub, "b", STORE_PAIR, "x", error, sizeof error));
    CU_ASSERT(store_write(sub, "a", STORE_PAIR, "x", error, sizeof error));
    snprintf(path, sizeof path, "%s/a.pem", sub);
    CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    snprintf(path, sizeof path, "%s/a.pem.Abc123", sub);
    fclose(fopen(path, "w"));
    CU_ASSERT(store_open(sub, error, sizeof error));
    CU_ASSERT(access(path, F_OK) < 0);
    store_names(sub, STORE_PAIR, &found);
    CU_ASSERT(found.n == 2 && strcmp(found.p[0], "a") == 0 && strcmp(found.p[1], "b") == 0);
    words_free(&found);
    for (unsigned i = 2; i < STORE_ENTRIES_MAX; i++) {
        snprintf(path, sizeof path, "c%u", i);
        CU_ASSERT(store_write(sub, path, STORE_PAIR, "x", error, sizeof error));
    }
    CU_ASSERT_FALSE(store_write(sub, "one-more", STORE_PAIR, "x", error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "delete one"));
    CU_ASSERT(store_write(sub, "a", STORE_PAIR, "y", error, sizeof error));
    CU_ASSERT(store_delete(sub, "a", STORE_PAIR, error, sizeof error));
    CU_ASSERT_FALSE(store_has(sub, "a", STORE_PAIR));
}

static void test_secrets_are_wiped(void)
{
    secret_memory_start();
    json_t *j = json_string("-----BEGIN PRIVATE KEY-----");
    CU_ASSERT_STRING_EQUAL(json_string_value(j), "-----BEGIN PRIVATE KEY-----");
    json_decref(j);
    secret_free(NULL);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_text_is_read_whatever_stands_between),
        UNIT(test_what_is_no_certificate_or_key_is_named),
        UNIT(test_an_encrypted_key_needs_its_passphrase),
        UNIT(test_a_text_cut_or_changed_at_every_byte),
        UNIT(test_a_good_chain_has_nothing_said_about_it),
        UNIT(test_what_is_wrong_with_a_pair_is_said),
        UNIT(test_a_chain_must_go_up),
        UNIT(test_the_authority_that_must_have_issued_it),
        UNIT(test_a_handshake_with_ourselves),
        UNIT(test_a_self_signed_one_serves_and_the_openssl_program_agrees),
        UNIT(test_one_made_yesterday_has_ended),
        UNIT(test_wishes_that_cannot_be),
        UNIT(test_a_request_can_be_signed_and_comes_back_with_its_key),
        UNIT(test_names_of_the_store),
        UNIT(test_files_of_the_store_are_controls_alone_and_leftovers_go),
        UNIT(test_secrets_are_wiped),
        {NULL, NULL}};
    char command[8192];
    if (!mkdtemp(folder))
        return 2;
    snprintf(command, sizeof command, make_all, folder);
    if (system(command) != 0) {
        fprintf(stderr, "the openssl program cannot make the certificates: see %s/log\n", folder);
        return 2;
    }
    int result = unit_main(argc, argv, "control/certificate", tests);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (result == 0)
        (void)!system(command);
    return result;
}
