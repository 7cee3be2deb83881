/* context.c: one SSL_CTX a worker from a generation of configuration. Redis' directives: redis.conf,
 * "TLS/SSL". What differs from OpenSSL's defaults, and from Redis: no groups but elliptic curves, no ciphers
 * without forward secrecy and AEAD unless tls-ciphers asks for them, no renegotiation at all, and
 * tls-session-caching "no" means no tickets either. */
#include "tls/private.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Groups of primes are left out: a client makes the box compute for long with them (CVE-2002-20001). */
#define GROUPS "X25519:P-256:P-384"
#define STRONG "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"

enum { DIGEST = 32, CACHE_MOST = 20480, TICKETS = 1 };

struct tls_context {
    SSL_CTX *ssl;
    const uint8_t *digest; /* the set's */
};

struct tls_set {
    unsigned refs, workers;
    uint8_t digest[DIGEST]; /* of everything that it was made from; says which sessions may be resumed */
    struct tls_context context[];
};

/* -- tickets
 * ---------------------------------------------------------------------------------------------------- */

static int tickets_index = -1;

static void tickets_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    if (p)
        explicit_bzero(p, sizeof(struct tickets));
    free(p);
}

struct tickets *context_tickets(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index);
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 = good, 2 = good, but make a new one, 0 = not ours. */
static int ticket_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int make)
{
    struct tickets *t = context_tickets(ssl);
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    if (make) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1 || !set_mac(mac, &t->now) ||
            EVP_EncryptInit_ex(cipher, aes, NULL, t->now.cipher, iv) != 1)
            return -1;
        memcpy(name, t->now.name, sizeof t->now.name);
        return 1;
    }
    bool now = memcmp(name, t->now.name, sizeof t->now.name) == 0;
    if (!now && memcmp(name, t->before.name, sizeof t->before.name) != 0)
        return 0;
    const struct ticket_key *k = now ? &t->now : &t->before;
    if (!set_mac(mac, k) || EVP_DecryptInit_ex(cipher, aes, NULL, k->cipher, iv) != 1)
        return -1;
    return now && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

static bool use_sessions(SSL_CTX *ssl, const struct config *conf, const struct tls_set *set,
                         const uint8_t secret[TICKET_SECRET], uint64_t now_ms)
{
    enum { SHORTEST_S = 300 };
    if (SSL_CTX_set_session_id_context(ssl, set->digest, DIGEST) != 1)
        return false;
    if (!conf->tls_session_caching) {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ssl, 0) == 1;
    }
    unsigned size = conf->tls_session_cache_size && conf->tls_session_cache_size < CACHE_MOST
                        ? conf->tls_session_cache_size
                        : CACHE_MOST;
    unsigned timeout = conf->tls_session_cache_timeout_s ? conf->tls_session_cache_timeout_s : SHORTEST_S;
    struct tickets *t = malloc(sizeof *t);
    if (!t || SSL_CTX_set_ex_data(ssl, tickets_index, t) != 1) {
        free(t);
        return false;
    }
    tickets_init(t, secret, now_ms, (timeout > SHORTEST_S ? timeout : SHORTEST_S) * 1000ull);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ssl, size / conf->workers ? size / conf->workers : 1);
    SSL_CTX_set_timeout(ssl, timeout);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, ticket_key) == 1 &&
           SSL_CTX_set_num_tickets(ssl, TICKETS) == 1;
}

/* -- protocols and ciphers
 * -------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t off;
} protocols[] = {{"TLSv1", SSL_OP_NO_TLSv1},
                 {"TLSv1.1", SSL_OP_NO_TLSv1_1},
                 {"TLSv1.2", SSL_OP_NO_TLSv1_2},
                 {"TLSv1.3", SSL_OP_NO_TLSv1_3}};
enum { PROTOCOLS = sizeof protocols / sizeof *protocols };

static bool use_protocols(SSL_CTX *ssl, const char *text, char *error, size_t size)
{
    char line[128], *state;
    uint64_t off = 0;
    for (unsigned i = 0; i < PROTOCOLS; i++)
        off |= protocols[i].off;
    snprintf(line, sizeof line, "%s", *text ? text : "TLSv1.2 TLSv1.3");
    for (char *word = strtok_r(line, " \t", &state); word; word = strtok_r(NULL, " \t", &state)) {
        unsigned i = 0;
        while (i < PROTOCOLS && strcasecmp(protocols[i].name, word) != 0)
            i++;
        if (i == PROTOCOLS) {
            snprintf(error, size,
                     "TLS: invalid tls-protocols: '%.32s' is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", word);
            return false;
        }
        off &= ~protocols[i].off;
    }
    SSL_CTX_set_options(ssl, off);
    return true;
}

static bool say(char *error, size_t size, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(error, size, "TLS: %s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return false;
}

static bool use_ciphers(SSL_CTX *ssl, const struct config *conf, char *error, size_t size)
{
    if (SSL_CTX_set_cipher_list(ssl, *conf->tls_ciphers ? conf->tls_ciphers : STRONG) != 1)
        return say(error, size, "tls-ciphers names none that there is");
    char groups[] = GROUPS; /* OpenSSL's macro takes the const away */
    if (SSL_CTX_set1_groups_list(ssl, groups) != 1)
        return say(error, size, "no groups");
    if (*conf->tls_ciphersuites && SSL_CTX_set_ciphersuites(ssl, conf->tls_ciphersuites) != 1)
        return say(error, size, "tls-ciphersuites");
    if (conf->tls_prefer_server_ciphers)
        SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return true;
}

/* -- certificates
 * ----------------------------------------------------------------------------------------------- */

static BIO *open_text(const char *text)
{
    return text ? BIO_new_mem_buf(text, -1) : NULL;
}

/* None that asks for a pass phrase: control has taken it off. */
static int no_password(char *buffer, int room, int writing, void *arg)
{
    (void)buffer, (void)room, (void)writing, (void)arg;
    return -1;
}

/* Nothing follows; or a certificate that does could not be read, which must not pass for the end. */
static bool at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

static bool use_chain(SSL_CTX *ssl, const char *text)
{
    BIO *b = open_text(text);
    X509 *leaf = b ? PEM_read_bio_X509(b, NULL, no_password, NULL) : NULL;
    bool good = leaf && SSL_CTX_use_certificate(ssl, leaf) == 1;
    X509_free(leaf);
    for (X509 *x; good && (x = PEM_read_bio_X509(b, NULL, no_password, NULL));)
        if (SSL_CTX_add0_chain_cert(ssl, x) != 1) {
            X509_free(x);
            good = false;
        }
    BIO_free(b);
    return good && at_end();
}

static bool use_key(SSL_CTX *ssl, const char *text)
{
    BIO *b = open_text(text);
    EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
    bool good = key && SSL_CTX_use_PrivateKey(ssl, key) == 1 && SSL_CTX_check_private_key(ssl) == 1;
    EVP_PKEY_free(key);
    BIO_free(b);
    return good;
}

static bool use_authorities(SSL_CTX *ssl, const char *text)
{
    BIO *b = open_text(text);
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    bool good = b != NULL;
    unsigned n = 0;
    for (X509 *x; good && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)); n++) {
        good = X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    BIO_free(b);
    return good && n && at_end();
}

static bool use_dh(SSL_CTX *ssl, const char *text)
{
    BIO *b = open_text(text);
    EVP_PKEY *dh = b ? PEM_read_bio_Parameters(b, NULL) : NULL;
    BIO_free(b);
    if (dh && SSL_CTX_set0_tmp_dh_pkey(ssl, dh) == 1)
        return true;
    EVP_PKEY_free(dh);
    return false;
}

static int verify_mode(enum tls_auth auth)
{
    static const int mode[] = {[TLS_AUTH_NO] = SSL_VERIFY_NONE,
                               [TLS_AUTH_YES] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                               [TLS_AUTH_OPTIONAL] = SSL_VERIFY_PEER};
    return mode[auth];
}

static bool use_material(SSL_CTX *ssl, const struct config *conf, char *error, size_t size)
{
    if (!conf->pem[PEM_CERTIFICATE] || !conf->pem[PEM_KEY])
        return say(error, size, "there is a tls-port, but no certificate and key");
    if (!use_chain(ssl, conf->pem[PEM_CERTIFICATE]))
        return say(error, size, "the certificate cannot be used");
    if (!use_key(ssl, conf->pem[PEM_KEY]))
        return say(error, size, "the private key cannot be used, or does not belong to the certificate");
    if (config_asks_clients(conf) && !conf->pem[PEM_AUTHORITIES])
        return say(error, size, "clients are asked for certificates, but no authority is known");
    if (conf->pem[PEM_AUTHORITIES] && !use_authorities(ssl, conf->pem[PEM_AUTHORITIES]))
        return say(error, size, "the authorities' certificates cannot be used");
    if (conf->pem[PEM_DH] && !use_dh(ssl, conf->pem[PEM_DH]))
        return say(error, size, "the DH parameters cannot be used");
    SSL_CTX_set_verify(ssl, verify_mode(conf->tls_auth_clients), NULL);
    return true;
}

/* -- sets
 * ------------------------------------------------------------------------------------------------------- */

static bool make_context(struct tls_context *c, const struct config *conf, const struct tls_set *set,
                         const uint8_t secret[TICKET_SECRET], uint64_t now_ms, char *error, size_t size)
{
    ERR_clear_error();
    c->ssl = SSL_CTX_new(TLS_server_method());
    if (!c->ssl)
        return say(error, size, "no memory for a context");
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE |
                                    SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    traffic_follow(c->ssl);
    return use_protocols(c->ssl, conf->tls_protocols, error, size) &&
           use_ciphers(c->ssl, conf, error, size) && use_material(c->ssl, conf, error, size) &&
           (use_sessions(c->ssl, conf, set, secret, now_ms) || say(error, size, "no memory for sessions"));
}

static bool add(EVP_MD_CTX *md, const char *text)
{
    uint64_t len = text ? strlen(text) : 0;
    return EVP_DigestUpdate(md, &len, sizeof len) == 1 && EVP_DigestUpdate(md, text ? text : "", len) == 1;
}

/* Everything that a context is made from. */
static bool digest(const struct config *conf, uint8_t out[DIGEST])
{
    const unsigned number[] = {
        conf->tls_auth_clients,       conf->tls_prefer_server_ciphers,   conf->tls_session_caching,
        conf->tls_session_cache_size, conf->tls_session_cache_timeout_s, conf->workers,
        config_asks_clients(conf)};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, number, sizeof number) == 1 && add(md, conf->tls_protocols) &&
                add(md, conf->tls_ciphers) && add(md, conf->tls_ciphersuites);
    for (unsigned i = 0; good && i < CONFIG_PEMS; i++)
        good = add(md, conf->pem[i]);
    good = good && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

struct tls_set *tls_set_new(const struct config *conf, uint64_t now_ms, char *error, size_t size)
{
    uint8_t secret[TICKET_SECRET];
    struct tls_set *set = calloc(1, sizeof *set + conf->workers * sizeof set->context[0]);
    if (tickets_index < 0)
        tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tickets_free);
    if (!set || !connection_start() || tickets_index < 0 || RAND_bytes(secret, sizeof secret) != 1 ||
        !digest(conf, set->digest)) {
        free(set);
        say(error, size, "no memory for contexts");
        return NULL;
    }
    set->refs = 1;
    set->workers = conf->workers;
    bool good = true;
    for (unsigned i = 0; good && i < conf->workers; i++) {
        set->context[i].digest = set->digest;
        good = make_context(&set->context[i], conf, set, secret, now_ms, error, size);
    }
    explicit_bzero(secret, sizeof secret);
    if (good)
        return set;
    tls_set_unref(set);
    return NULL;
}

bool tls_set_same(const struct tls_set *set, const struct config *conf)
{
    uint8_t now[DIGEST];
    return digest(conf, now) && memcmp(now, set->digest, DIGEST) == 0;
}

struct tls_set *tls_set_ref(struct tls_set *set)
{
    set->refs++;
    return set;
}

void tls_set_unref(struct tls_set *set)
{
    if (!set || --set->refs)
        return;
    for (unsigned i = 0; i < set->workers; i++)
        SSL_CTX_free(set->context[i].ssl);
    free(set);
}

struct tls_context *tls_set_context(struct tls_set *set, unsigned worker)
{
    return &set->context[worker];
}

bool tls_set_auth(struct tls *t, const struct tls_context *c, enum tls_auth auth)
{
    uint8_t id[DIGEST];
    memcpy(id, c->digest, DIGEST);
    id[0] ^= (uint8_t)(0x40 | auth);
    SSL_set_verify(t->ssl, verify_mode(auth), NULL);
    return SSL_set_session_id_context(t->ssl, id, DIGEST) == 1;
}

SSL_CTX *context_ssl(const struct tls_context *c)
{
    return c->ssl;
}
