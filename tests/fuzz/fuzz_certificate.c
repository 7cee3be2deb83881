/* fuzz_certificate.c: what an operator might install. The first byte says how the rest is meant: 0: PEM text
 * of certificates and key; 1: a certificate's DER; 2: a DNS name, address or URI to be put into one. What is
 * refused has a line that says why; what is taken can be judged and described, and reads back the same. */
#include "control/certificate.h"
#include "control/secret_memory.h"
#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static char error[512];

static char *text_of(const uint8_t *data, size_t size)
{
    char *text = must_copy_n((const char *)data, size);
    for (size_t i = 0; i < size; i++) /* control's texts come from JSON and files without a zero byte */
        text[i] = text[i] ? text[i] : ' ';
    return text;
}

static char *pem_of(const uint8_t *der, size_t size)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *p;
    PEM_write_bio(out, "CERTIFICATE", "", der, (long)size);
    long len = BIO_get_mem_data(out, &p);
    char *text = must_copy_n(p, (size_t)len);
    BIO_free(out);
    return text;
}

static void reads_back(const struct certificate *c)
{
    struct findings f = {0};
    char *pem = c->key ? certificate_bundle(c) : certificate_pem(c, false);
    struct certificate *again = certificate_read(pem, c->key ? pem : NULL, NULL, error, sizeof error);
    MUST(again && X509_cmp(again->leaf, c->leaf) == 0 && sk_X509_num(again->chain) == sk_X509_num(c->chain),
         "what was written reads back as something else");
    json_t *j = certificate_json(c, 1700000000);
    char *shown = json_dumps(j, 0);
    MUST(shown, "it cannot be described");
    certificate_check(c, pem, 1700000000, &f);
    MUST(!c->key || f.errors.n || certificate_handshake(c, error, sizeof error) || *error,
         "a failure without a line");
    findings_free(&f);
    free(shown);
    json_decref(j);
    certificate_free(again);
    secret_free(pem);
}

static void install(const char *text)
{
    *error = 0;
    struct certificate *c =
        certificate_read(text, strstr(text, "PRIVATE KEY") ? text : NULL, "word", error, sizeof error);
    MUST(c || *error, "refused without a word");
    if (c)
        reads_back(c);
    certificate_free(c);
}

static void make(char *name)
{
    char *list[] = {name};
    struct words san = {list, 1};
    struct certificate_wish w = {"p256", "x", &san, 30};
    *error = 0;
    struct certificate *c = certificate_self_signed(&w, 1700000000, error, sizeof error);
    MUST(c || *error, "refused without a word");
    if (c)
        reads_back(c);
    certificate_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char *text = *data % 3 == 1 ? pem_of(data + 1, size - 1) : text_of(data + 1, size - 1);
    if (*data % 3 == 2)
        make(text);
    else
        install(text);
    free(text);
    return 0;
}
