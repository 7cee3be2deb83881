/* tls_files.c: certificates, keys, authorities and DH parameters from disk, by OpenSSL's PEM reader. Texts of
 * errors that Redis has are Redis'. */
#include "control/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MOST = 1 << 20, AUTHORITIES_MOST = 512 * 1024, PART = 12 * 1024 };

struct why { /* where the line for the operator goes */
    char *error;
    size_t size;
};

/* The line, with OpenSSL's reason behind it if it has one. */
static bool wrong(const struct why *why, const char *directive, const char *path, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(why->error, why->size, "%s %s: %s%s%s", directive, path, what, reason ? ": " : "",
             reason ? reason : "");
    ERR_clear_error();
    return false;
}

/* Does a listener (in its canonical form) speak TLS, and which rule has it for certificates of clients? */
static bool listener_speaks(const char *listener, const char **auth)
{
    const char *at = strstr(listener, " auth-clients ");
    *auth = at ? at + strlen(" auth-clients ") : "";
    return strstr(listener, " tls yes") != NULL;
}

static bool any_listener_speaks(const struct settings *s)
{
    const struct words *w = &s->value[directive_find("listener")];
    const char *auth;
    for (unsigned i = 0; i < w->n; i++)
        if (listener_speaks(w->p[i], &auth))
            return true;
    return false;
}

/* Does a port that speaks TLS ask for certificates of clients? */
static bool asks_clients(const struct settings *s)
{
    const struct words *w = &s->value[directive_find("listener")];
    const char *auth;
    bool usual = settings_number(s, "tls-port") > 0 || w->n == 0;
    for (unsigned i = 0; i < w->n; i++) {
        bool tls = listener_speaks(w->p[i], &auth);
        if (tls && (strncmp(auth, "yes", 3) == 0 || strncmp(auth, "optional", 8) == 0))
            return true;
        usual = usual || (tls && !*auth);
    }
    return usual && strcmp(settings_get(s, "tls-auth-clients"), "no") != 0;
}

bool tls_wanted(const struct settings *s)
{
    if (any_listener_speaks(s))
        return true;
    return settings_number(s, "tls-port") > 0 || strcmp(settings_get(s, "tls-replication"), "yes") == 0 ||
           strcmp(settings_get(s, "tls-cluster"), "yes") == 0;
}

/* A whole file, bounded: it may be somebody's disk image. */
static BIO *read_file(const struct why *why, const char *directive, const char *path)
{
    struct stat st;
    BIO *text = BIO_new(BIO_s_secmem());
    FILE *f = fopen(path, "re");
    char part[4096];
    size_t n;
    bool good = f && text && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MOST;
    for (size_t all = 0; good && (n = fread(part, 1, sizeof part, f)) > 0;)
        good = (all += n) <= FILE_MOST && BIO_write(text, part, (int)n) == (int)n;
    good = good && !ferror(f);
    if (!good)
        wrong(why, directive, path, f ? "not a regular file of at most 1 MB" : strerror(errno));
    explicit_bzero(part, sizeof part);
    if (f)
        fclose(f);
    if (!good) {
        BIO_free(text);
        text = NULL;
    }
    return text;
}

/* What was written to it, in parts. */
static void take_text(BIO *b, struct words *out)
{
    char *p;
    long left = BIO_get_mem_data(b, &p);
    for (long n; left > 0; left -= n, p += n) {
        n = left < PART ? left : PART;
        words_add(out, must_copy_n(p, (size_t)n));
    }
}

/* All certificates of a file, written anew: what else stands in it stays here. *first is the leaf. */
static unsigned copy_certificates(BIO *from, BIO *to, X509 **first)
{
    unsigned n = 0;
    for (X509 *x; (x = PEM_read_bio_X509_AUX(from, NULL, NULL, NULL)); n++) {
        if (PEM_write_bio_X509(to, x) != 1) {
            X509_free(x);
            return 0;
        }
        if (n == 0 && first)
            *first = x;
        else
            X509_free(x);
    }
    unsigned long end = ERR_peek_last_error();
    if (n && ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE)
        ERR_clear_error();
    else if (n && end)
        n = 0; /* garbled behind the first one */
    return n;
}

static int give_password(char *buffer, int size, int writing, void *password)
{
    size_t n = strlen(password);
    (void)writing;
    if (n == 0 || n > (size_t)size)
        return -1;
    memcpy(buffer, password, n);
    return (int)n;
}

static EVP_PKEY *read_key(const struct why *why, const char *directive, const char *path,
                          const char *password)
{
    BIO *text = read_file(why, directive, path);
    if (!text)
        return NULL;
    char *copy = must_copy(password);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, give_password, copy);
    explicit_bzero(copy, strlen(copy));
    free(copy);
    BIO_free(text);
    if (!key)
        wrong(why, directive, path, "no private key can be read (a wrong pass phrase?)");
    ERR_clear_error();
    return key;
}

static X509 *read_chain(const struct why *why, const char *directive, const char *path, struct words *out)
{
    X509 *leaf = NULL;
    BIO *text = read_file(why, directive, path), *chain = BIO_new(BIO_s_mem());
    if (text && (!chain || copy_certificates(text, chain, &leaf) == 0)) {
        wrong(why, directive, path, "no certificate can be read");
        X509_free(leaf);
        leaf = NULL;
    }
    if (leaf)
        take_text(chain, out);
    BIO_free(text);
    BIO_free(chain);
    return leaf;
}

/* A pair of directives: both files, and that they belong together. */
static bool read_pair(const struct settings *s, const char *which, const struct why *why, struct words *chain,
                      struct words *key)
{
    char cert_name[40], key_name[40], pass_name[48];
    snprintf(cert_name, sizeof cert_name, "tls-%scert-file", which);
    snprintf(key_name, sizeof key_name, "tls-%skey-file", which);
    snprintf(pass_name, sizeof pass_name, "tls-%skey-file-pass", which);
    const char *key_path = settings_get(s, key_name);
    X509 *leaf = read_chain(why, cert_name, settings_get(s, cert_name), chain);
    EVP_PKEY *k = leaf ? read_key(why, key_name, key_path, settings_get(s, pass_name)) : NULL;
    bool good = k != NULL;
    if (good && X509_check_private_key(leaf, k) != 1)
        good = wrong(why, key_name, key_path, "the key does not belong to the certificate");
    BIO *plain = good ? BIO_new(BIO_s_secmem()) : NULL;
    if (good && (!plain || PEM_write_bio_PrivateKey(plain, k, NULL, NULL, 0, NULL, NULL) != 1))
        good = wrong(why, key_name, key_path, "the key cannot be written");
    if (good)
        take_text(plain, key);
    BIO_free(plain);
    EVP_PKEY_free(k);
    X509_free(leaf);
    return good;
}

static bool add_authorities(const char *directive, const char *path, BIO *all, const struct why *why,
                            unsigned *n)
{
    BIO *text = read_file(why, directive, path);
    if (!text)
        return false;
    *n = copy_certificates(text, all, NULL);
    BIO_free(text);
    return true;
}

/* Redis lets OpenSSL look into the directory by hashed names at each handshake; here all certificates in it
 * are read once. */
static bool add_directory(const char *directory, BIO *all, const struct why *why)
{
    DIR *d = opendir(directory);
    bool any = false;
    if (!d)
        return wrong(why, "tls-ca-cert-dir", directory, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        char *path = must_print("%s/%s", directory, e->d_name);
        struct stat st;
        unsigned n = 0;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            add_authorities("tls-ca-cert-dir", path, all, why, &n))
            any |= n > 0;
        ERR_clear_error();
        free(path);
    }
    closedir(d);
    return any || wrong(why, "tls-ca-cert-dir", directory, "no certificate in it can be read");
}

static bool read_authorities(const struct settings *s, const struct why *why, struct words *out)
{
    const char *file = settings_get(s, "tls-ca-cert-file"), *directory = settings_get(s, "tls-ca-cert-dir");
    BIO *all = BIO_new(BIO_s_mem());
    unsigned n = 1;
    bool good = all && (!*file || add_authorities("tls-ca-cert-file", file, all, why, &n));
    if (good && n == 0)
        good = wrong(why, "tls-ca-cert-file", file, "no certificate can be read");
    good = good && (!*directory || add_directory(directory, all, why));
    if (good && BIO_pending(all) > AUTHORITIES_MOST)
        good = wrong(why, "tls-ca-cert-file", file, "more than 512 KB of certificates");
    if (good)
        take_text(all, out);
    BIO_free(all);
    return good;
}

static bool read_dh(const struct settings *s, const struct why *why, struct words *out)
{
    const char *path = settings_get(s, "tls-dh-params-file");
    if (!*path)
        return true;
    BIO *text = read_file(why, "tls-dh-params-file", path);
    if (!text)
        return false;
    EVP_PKEY *dh = PEM_read_bio_Parameters(text, NULL);
    BIO *clean = dh ? BIO_new(BIO_s_mem()) : NULL;
    bool good = clean && PEM_write_bio_Parameters(clean, dh) == 1;
    if (good)
        take_text(clean, out);
    else
        wrong(why, "tls-dh-params-file", path, "no DH parameters can be read");
    BIO_free(clean);
    BIO_free(text);
    EVP_PKEY_free(dh);
    return good;
}

/* What Redis asks for before it reads anything. */
static const char *missing(const struct settings *s)
{
    if (!*settings_get(s, "tls-cert-file"))
        return "No tls-cert-file configured!";
    if (!*settings_get(s, "tls-key-file"))
        return "No tls-key-file configured!";
    bool asks = asks_clients(s) ||
                strcmp(settings_get(s, "tls-cluster"), "yes") == 0 ||
                strcmp(settings_get(s, "tls-replication"), "yes") == 0;
    if (asks && !*settings_get(s, "tls-ca-cert-file") && !*settings_get(s, "tls-ca-cert-dir"))
        return "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, "
               "tls-replication or "
               "tls-auth-clients are enabled!";
    return NULL;
}

static void wipe(struct words *w)
{
    for (unsigned i = 0; i < w->n; i++)
        explicit_bzero(w->p[i], strlen(w->p[i]));
    words_free(w);
}

/* For connections that we open, of which there are none with TLS yet: only checked. */
static bool check_client_pair(const struct settings *s, const struct why *why)
{
    struct words chain = {0}, key = {0};
    bool good = (!*settings_get(s, "tls-client-cert-file") && !*settings_get(s, "tls-client-key-file")) ||
                read_pair(s, "client-", why, &chain, &key);
    wipe(&chain);
    wipe(&key);
    return good;
}

struct tls_files *tls_files_read(const struct settings *s, char *error, size_t size)
{
    const struct why why = {error, size};
    const char *lacks = missing(s);
    if (lacks) {
        snprintf(error, size, "%s", lacks);
        return NULL;
    }
    struct tls_files *f = must_alloc(1, sizeof *f);
    ERR_clear_error();
    if (read_pair(s, "", &why, &f->part[TLS_CERTIFICATE], &f->part[TLS_KEY]) && check_client_pair(s, &why) &&
        read_authorities(s, &why, &f->part[TLS_AUTHORITIES]) && read_dh(s, &why, &f->part[TLS_DH]))
        return f;
    tls_files_free(f);
    return NULL;
}

void tls_files_free(struct tls_files *f)
{
    for (unsigned i = 0; f && i < TLS_TEXTS; i++)
        wipe(&f->part[i]);
    free(f);
}

void tls_files_each(const struct tls_files *f, void (*fn)(const char *name, const char *value, void *arg),
                    void *arg)
{
    static const char *const name[TLS_TEXTS] = {"tls:certificate", "tls:key", "tls:authorities", "tls:dh"};
    for (unsigned i = 0; i < TLS_TEXTS; i++)
        for (unsigned j = 0; j < f->part[i].n; j++)
            fn(name[i], f->part[i].p[j], arg);
}
