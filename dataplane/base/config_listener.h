/* config_listener.h: ports beside `port` and `tls-port`, each with its own settings: the directive `listener`.
 *
 *     NAME port N [bind ADDRESS]... [tls yes|no] [auth-clients yes|no|optional] [user NAME]
 *
 * tests/unit/control/test_listener.c holds this parser against control's. */
#pragma once
#include "base/endpoint.h"

enum { CONFIG_LISTENERS = 16, LISTENER_NAME = 32, LISTENER_USER = 64, LISTENER_ADDRESSES = 8 };
enum tls_auth { TLS_AUTH_NO, TLS_AUTH_YES, TLS_AUTH_OPTIONAL };

struct config_listener {
    char name[LISTENER_NAME];
    char user[LISTENER_USER]; /* whom a connection is without having shown a password; "": the default user, as everywhere */
    uint16_t port;
    bool tls, own_auth;
    enum tls_auth auth; /* client certificates, if own_auth: else as tls-auth-clients says */
    unsigned addresses; /* 0: all of the box's */
    struct ip_addr address[LISTENER_ADDRESSES];
};

/* False: the words are no listener. */
bool config_listener_parse(const char *text, struct config_listener *l);

struct config;
struct row; /* config.c's own */
bool config_parse_listener(struct config *c, const struct row *row, const char *text);
void config_print_listeners(const struct config *c, const struct row *row, char *text, size_t size);
/* Ports, names and addresses go together with each other and with the box's. False and one line. */
bool config_listeners_fit(const struct config *c, char *error, size_t size);
