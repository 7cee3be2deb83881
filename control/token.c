/* token.c: see token.h. */
#include "control/token.h"
#include "control/certificate_store.h"
#include "control/https.h"
#include "control/log.h"
#include "control/rewrite.h"
#include "control/secret_memory.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ID = 8, SECRET_BYTES = 32, SECRET_TEXT = 43, DAYS_DEFAULT = 365, DAYS_MAX = 3650 };

struct tokens {
    char *path;
    json_t *all; /* array; NULL: the file cannot be read */
};

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* RFC 4648 section 5, without '='. */
static void print_base64url(const unsigned char *bytes, unsigned n, char *out)
{
    unsigned held = 0, bits = 0;
    for (unsigned i = 0; i < n; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *out++ = letters[held >> (bits - 6) & 63];
    }
    if (bits)
        *out++ = letters[held << (6 - bits) & 63];
    *out = 0;
}

static void hash_of(const char *secret, char hash[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)secret, SECRET_TEXT, digest);
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

bool token_parse(const char *text, char id[9], char hash[65])
{
    if (strlen(text) != 4 + ID + 1 + SECRET_TEXT || strncmp(text, "slt_", 4) != 0 ||
        strspn(text + 4, "0123456789abcdef") != ID || text[4 + ID] != '_' ||
        strspn(text + 5 + ID, letters) != SECRET_TEXT)
        return false;
    memcpy(id, text + 4, ID);
    id[ID] = 0;
    hash_of(text + 5 + ID, hash);
    return true;
}

/* -- the file ----------------------------------------------------------------------------------------- */

static bool is_sound(const json_t *token)
{
    const char *id = json_string_value(json_object_get(token, "id"));
    const char *hash = json_string_value(json_object_get(token, "hash"));
    const char *name = json_string_value(json_object_get(token, "name"));
    const char *role = json_string_value(json_object_get(token, "role"));
    return id && strlen(id) == ID && hash && strlen(hash) == 64 && name && store_is_name(name) && role &&
           role_find(role) && json_is_integer(json_object_get(token, "expires"));
}

struct tokens *tokens_open(const char *state_dir)
{
    struct tokens *t = must_alloc(1, sizeof *t);
    json_error_t why;
    t->path = must_print("%s/tokens.json", state_dir);
    t->all = access(t->path, F_OK) == 0 ? json_load_file(t->path, JSON_REJECT_DUPLICATES, &why) : json_array();
    bool good = json_is_array(t->all) && json_array_size(t->all) <= TOKENS_MAX;
    for (size_t i = 0; good && i < json_array_size(t->all); i++)
        good = is_sound(json_array_get(t->all, i));
    if (!good) {
        log_line(LOG_LEVEL_WARNING, "%s cannot be read: no token is valid; mend it or delete it", t->path);
        json_decref(t->all);
        t->all = NULL;
    }
    return t;
}

void tokens_close(struct tokens *t)
{
    if (!t)
        return;
    json_decref(t->all);
    free(t->path);
    free(t);
}

/* Takes the list over when it is on disk. */
static bool keep(struct tokens *t, json_t *all, char *error, size_t size)
{
    char *text = json_dumps(all, JSON_INDENT(1));
    bool good = text && write_durably(t->path, text, error, size);
    free(text);
    if (good) {
        json_decref(t->all);
        t->all = all;
    } else {
        json_decref(all);
    }
    return good;
}

/* -- looking one up ----------------------------------------------------------------------------------- */

static json_t *find(const struct tokens *t, const char *id, size_t *at)
{
    for (*at = 0; *at < json_array_size(t->all); ++*at) {
        json_t *token = json_array_get(t->all, *at);
        if (strcmp(json_string_value(json_object_get(token, "id")), id) == 0)
            return token;
    }
    return NULL;
}

static bool is_over(const json_t *token, time_t now)
{
    json_int_t expires = json_integer_value(json_object_get(token, "expires"));
    return expires && expires <= now;
}

bool tokens_check(const struct tokens *t, const char *text, time_t now, struct token_view *view)
{
    char id[9], hash[65];
    size_t at;
    if (!token_parse(text, id, hash))
        return false;
    const json_t *token = find(t, id, &at);
    if (!token || CRYPTO_memcmp(hash, json_string_value(json_object_get(token, "hash")), 64) != 0 ||
        is_over(token, now))
        return false;
    memcpy(view->id, id, sizeof id);
    snprintf(view->name, sizeof view->name, "%s", json_string_value(json_object_get(token, "name")));
    view->role = role_find(json_string_value(json_object_get(token, "role")));
    view->expires = json_integer_value(json_object_get(token, "expires"));
    return true;
}

void tokens_metrics(struct text *out, const struct tokens *t)
{
    if (!t)
        return;
    size_t over = 0, n = json_array_size(t->all);
    for (size_t i = 0; i < n; i++)
        over += is_over(json_array_get(t->all, i), time(NULL));
    text_add(out, "# HELP sluice_management_tokens Tokens of the management API.\n# TYPE sluice_management_tokens gauge\n");
    text_printf(out, "sluice_management_tokens{state=\"valid\"} %zu\nsluice_management_tokens{state=\"expired\"} %zu\n",
                n - over, over);
}

/* -- operations --------------------------------------------------------------------------------------- */

static struct tokens *tokens_of(struct call *call)
{
    struct tokens *t = call_control(call)->tokens;
    if (t->all)
        return t;
    call_fail(call, "failed", "%s cannot be read; mend it or delete it, and start control again", t->path);
    return NULL;
}

static void random_text(char id[9], char secret[SECRET_TEXT + 1])
{
    unsigned char bytes[SECRET_BYTES], name[ID / 2];
    if (RAND_bytes(bytes, sizeof bytes) != 1 || RAND_bytes(name, sizeof name) != 1)
        abort(); /* no token is better than one that can be guessed */
    for (unsigned i = 0; i < sizeof name; i++)
        snprintf(id + 2 * i, 3, "%02x", name[i]);
    print_base64url(bytes, sizeof bytes, secret);
    OPENSSL_cleanse(bytes, sizeof bytes);
}

static json_t *without_hash(const json_t *token)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)token);
    json_object_del(shown, "hash");
    json_object_set_new(shown, "expired", json_boolean(is_over(token, time(NULL))));
    return shown;
}

static void add(struct call *call, struct tokens *t, const char *name, enum role role, json_int_t days)
{
    char id[9], secret[SECRET_TEXT + 1], hash[65], error[512];
    time_t now = time(NULL);
    size_t at;
    do
        random_text(id, secret);
    while (find(t, id, &at));
    hash_of(secret, hash);
    json_t *token =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s}", "id", id, "name", name, "role", role_name(role), "hash", hash,
                  "created", (json_int_t)now, "expires", days ? (json_int_t)now + days * 86400 : 0, "by",
                  call_who(call));
    json_t *all = json_copy(t->all), *shown = without_hash(token);
    json_array_append_new(all, token);
    json_object_set_new(shown, "token", json_sprintf("slt_%s_%s", id, secret));
    OPENSSL_cleanse(secret, sizeof secret);
    if (keep(t, all, error, sizeof error)) {
        call_reply(call, shown);
    } else {
        json_decref(shown);
        call_fail(call, "failed", "%s", error);
    }
}

void token_create(struct call *call, const json_t *request)
{
    struct tokens *t = tokens_of(call);
    const char *name = request_word(request, "name");
    enum role role = role_find(request_word(request, "role"));
    json_int_t days = request_number(request, "days", DAYS_DEFAULT);
    if (!t)
        return;
    if (!role)
        call_fail(call, "bad-value", "role: choose admin, operator, security, read-only or support");
    else if (!store_is_name(name))
        call_fail(call, "bad-value", "name: up to %d letters, digits, '-', '_' and '.' that say whose it is",
                  STORE_NAME_MAX);
    else if (days < 0 || days > DAYS_MAX)
        call_fail(call, "bad-value", "days: 1 to %d, or 0 for a token without an end", DAYS_MAX);
    else if (json_array_size(t->all) >= TOKENS_MAX)
        call_fail(call, "busy", "there are %d tokens; revoke some", TOKENS_MAX);
    else
        add(call, t, name, role, days);
}

void token_list(struct call *call, const json_t *request)
{
    const struct tokens *t = tokens_of(call);
    json_t *list = t ? json_array() : NULL, *token;
    size_t i;
    (void)request;
    if (!t)
        return;
    json_array_foreach(t->all, i, token) json_array_append_new(list, without_hash(token));
    call_reply(call, list);
}

void token_revoke(struct call *call, const json_t *request)
{
    struct tokens *t = tokens_of(call);
    char error[512], id[9];
    size_t at;
    if (!t)
        return;
    json_t *token = find(t, request_word(request, "id"), &at);
    if (!token) {
        call_fail(call, "not-found", "there is no token %.40s; see 'sluice token list'", request_word(request, "id"));
        return;
    }
    struct control *c = call_control(call);
    json_t *all = json_copy(t->all), *shown = without_hash(token);
    snprintf(id, sizeof id, "%s", request_word(request, "id"));
    json_array_remove(all, at);
    if (keep(t, all, error, sizeof error)) {
        api_revoke(c->api, id);
        https_revoke(c->https, id);
        call_reply(call, shown);
    } else {
        json_decref(shown);
        call_fail(call, "failed", "%s", error);
    }
}
