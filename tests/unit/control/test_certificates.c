/* test_certificates.c: `sluice certificate` and a control with a fake dataplane: the store, rotation and its
 * kills, alarms, metrics. The openssl program is the referee. */
#include "box_of_control.h"

#include "control/certificate.h"
#include "control/secret_memory.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes a self-signed pair that was made `age` days and an hour ago for 60 days to folder/NAME.crt and .key.
 */
static void make_files(const char *name, int age)
{
    char path[160], error[256];
    struct words san = {0};
    words_add(&san, must_copy("127.0.77.2"));
    struct certificate_wish w = {"p256", name, &san, 60};
    struct certificate *c =
        certificate_self_signed(&w, time(NULL) - age * 86400L - 3600, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    char *bundle = certificate_bundle(c), *pem = certificate_pem(c, false);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s.%s", folder, name, i ? "key" : "crt");
        FILE *f = fopen(path, "w");
        if (i) /* the key comes first */
            fprintf(f, "%.*s", (int)(strstr(bundle, "-----BEGIN CERT") - bundle), bundle);
        else
            fputs(pem, f);
        fclose(f);
    }
    secret_free(bundle);
    free(pem);
    certificate_free(c);
    words_free(&san);
}

static void begin(void)
{
    write_conf("");
    start_control();
}

/* Runs the CLI; its exit code must be so, and its output (both channels) hold this. */
static void does(int code, const char *command, const char *what)
{
    char line[512], *at = line;
    for (const char *p = command; *p; p++) /* '@' is the folder */
        at += *p == '@' ? sprintf(at, "%s", folder) : sprintf(at, "%c", *p);
    int got = sh("%s certificate %s 2>&1", cli, line);
    if (got != code)
        printf("# %s: exit code %d: %.300s\n", command, got, output);
    CU_ASSERT_EQUAL(got, code);
    CU_ASSERT(says(what));
}

/* -- tests -------------------------------------------------------------------------------------------- */

static void test_a_self_signed_one_is_made_checked_used_and_exported(void)
{
    begin();
    does(0, "list", "");
    does(1, "show", "no certificate is in use");
    does(0, "self-signed server --san box.example.net,127.0.77.2 --days 90",
         "DNS:box.example.net, IP:127.0.77.2");
    CU_ASSERT(says("stored"));
    does(1, "self-signed server", "there is a certificate server; delete it");
    does(0, "check server", "it can be served");
    does(0, "list", "box.example.net, ...");
    does(0, "rotate server", "serves server");
    CU_ASSERT(says("`sluice config rewrite` keeps it"));
    does(0, "list --match yes", "server");
    sh("%s config get tls-cert-file", cli);
    CU_ASSERT(says("/state/certificates/server.pem"));
    CU_ASSERT(order("get tls-cert-file"));
    CU_ASSERT(says("/state/certificates/server.pem"));
    CU_ASSERT_EQUAL(
        sh("%s certificate export >%s/ca.pem && ! grep PRIVATE %s/ca.pem && openssl verify -CAfile "
           "%s/ca.pem -verify_hostname box.example.net %s/state/certificates/server.pem",
           cli, folder, folder, folder, folder),
        0);
    CU_ASSERT_EQUAL(
        sh("cd %s/state && stat -c %%a certificates certificates/server.pem | tr '\\n' ' '", folder), 0);
    CU_ASSERT_STRING_EQUAL(output, "700 600 ");
    does(1, "delete server", "is in use");
    does(0, "show", "in use                   yes");
    CU_ASSERT_EQUAL(sh("%s certificate show --json | jq -r .pem,.key,.findings.ok", cli), 0);
    CU_ASSERT(says("END CERTIFICATE") && says("EC") && says("true"));
    CU_ASSERT_FALSE(strstr(output, "PRIVATE") != NULL);
    stop_box();
}

static void test_names_of_clients_certificates_that_count(void)
{
    begin();
    CU_ASSERT_EQUAL(
        sh("%s config set tls-auth-clients-user 'uri cn' && %s config get tls-auth-clients-user", cli, cli),
        0);
    CU_ASSERT(says("tls-auth-clients-user URI CN\n"));
    CU_ASSERT(order("get tls-auth-clients-user"));
    CU_ASSERT_STRING_EQUAL(output, "URI CN");
    CU_ASSERT_EQUAL(sh("%s config set tls-auth-clients-user 'CN cn' 2>&1", cli), 1);
    CU_ASSERT_EQUAL(sh("%s config set tls-auth-clients-user mail 2>&1", cli), 1);
    CU_ASSERT(says("not off and not a list of CN, DNS and URI"));
    CU_ASSERT_EQUAL(sh("%s config set tls-auth-clients-user OFF", cli), 0);
    stop_box();
}

static void test_files_are_installed_and_bad_ones_are_not(void)
{
    begin();
    make_files("a", 0);
    make_files("b", 0);
    make_files("old", 61);
    make_files("later", -2);
    does(0, "install one @/a.crt @/a.key", "stored");
    does(1, "install two @/a.crt @/b.key", "the private key is not the one of the certificate");
    does(1, "install two @/old.crt @/old.key", "has expired");
    does(0, "install later @/later.crt @/later.key", "not valid yet");
    does(1, "rotate later", "certificate is not yet valid");
    does(1, "install two @/a.crt", "no private key was given, and none is stored as two that fits");
    does(1, "install two @/a.key @/a.key", "there is no certificate in it");
    does(1, "install two /dev/null", "it is empty");
    does(1, "install two @/nothing", "No such file");
    does(1, "install ../two @/a.crt @/a.key", "begins with a letter or digit");
    does(0, "install one @/a.crt", "stored"); /* its key is there */
    does(1, "check @/a.crt @/b.key", "it must not be served");
    does(0, "check @/a.crt @/a.key --ca @/a.crt", "it can be served");
    does(1, "check @/a.crt @/a.key --ca @/b.crt", "does not lead to that authority");
    does(1, "check nobody", "there is no certificate nobody");
    CU_ASSERT_EQUAL(
        sh("openssl pkey -in %s/a.key -aes256 -passout pass:word -out %s/locked.key && echo word >%s/pass",
           folder, folder, folder),
        0);
    does(1, "install locked @/a.crt @/locked.key", "there is no passphrase");
    does(0, "install locked @/a.crt @/locked.key --passphrase @/pass", "stored");
    does(0, "delete locked", "the certificate is deleted");
    does(1, "delete locked", "there is no certificate locked");
    does(2, "install one", "CERTIFICATE is missing");
    stop_box();
}

/* Who is in the file of clients' authorities decides about roles: that is admin's alone. */
static void test_security_does_not_change_the_authority_of_clients(void)
{
    static const char as[] = "setpriv --reuid 47002 --regid 65534 --clear-groups ";
    char more[256], plain[256];
    if (geteuid() != 0) {
        puts("# needs root: skipped");
        return;
    }
    snprintf(more, sizeof more,
             "management-role security user 47002\nmanagement-socket-group nogroup\n"
             "management-ca-cert-file %s/state/certificates/clients.pem\n",
             folder);
    write_conf(more);
    chmod(folder, 0711);
    start_control();
    make_files("a", 0);
    make_files("b", 0);
    chmod(folder, 0711);
    sh("chmod 644 %s/?.crt %s/?.key", folder, folder);
    does(0, "install clients @/a.crt @/a.key", "stored"); /* as admin */
    CU_ASSERT_FATAL(snprintf(plain, sizeof plain, "%s", cli) < (int)sizeof plain);
    snprintf(cli, sizeof cli, "%s%s", as, plain);
    does(1, "install clients @/b.crt @/b.key", "management-ca-cert-file: role security may not");
    does(1, "rotate clients @/b.crt @/b.key", "management-ca-cert-file: role security may not");
    does(1, "delete clients", "management-ca-cert-file: role security may not");
    does(0, "install other @/b.crt @/b.key", "stored");
    snprintf(cli, sizeof cli, "%s", plain);
    does(0, "install clients @/b.crt @/b.key", "stored");
    stop_box();
}

/* A session over HTTPS whose request comes in the very moment in which control is told to end: what is still to be
 * written goes out under TLS, not in clear. */
static void test_the_last_reply_is_encrypted(void)
{
    static const char ask[] = "\0\0\0\036{\"op\":\"show\",\"what\":\"version\"}";
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof there;
    struct timeval wait = {.tv_sec = 10};
    char more[64], head[512], reply[4096];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT(bind(fd, (struct sockaddr *)&there, len) == 0 && getsockname(fd, (struct sockaddr *)&there, &len) == 0);
    close(fd);
    snprintf(more, sizeof more, "management-port %u\n", ntohs(there.sin_port));
    write_conf(more);
    start_control();
    CU_ASSERT_EQUAL(sh("%s token create t --role admin --expires 1d 2>&1 >%s/token; tr -d '\\n' <%s/token", cli, folder, folder), 0);
    snprintf(head, sizeof head,
             "GET /v1/session HTTP/1.1\r\nHost: box\r\nConnection: Upgrade\r\nUpgrade: sluice\r\nAuthorization: Bearer %s\r\n\r\n",
             strstr(output, "slt_") ? strstr(output, "slt_") : "");
    SSL_CTX *x = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(x);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    CU_ASSERT(connect(fd, (struct sockaddr *)&there, len) == 0 && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1);
    CU_ASSERT(SSL_write(ssl, head, (int)strlen(head)) > 0);
    int n = SSL_read(ssl, reply, sizeof reply - 1);
    CU_ASSERT(n > 0 && strncmp(reply, "HTTP/1.1 101", 12) == 0);
    kill(control, SIGSTOP);
    CU_ASSERT(SSL_write(ssl, ask, sizeof ask - 1) > 0);
    kill(control, SIGTERM);
    kill(control, SIGCONT);
    n = SSL_read(ssl, reply, sizeof reply - 1);
    CU_ASSERT_FATAL(n > 4);
    reply[n] = 0;
    CU_ASSERT_PTR_NOT_NULL(strstr(reply + 4, "\"ok\":true"));
    SSL_free(ssl);
    SSL_CTX_free(x);
    close(fd);
    waitpid(control, &n, 0);
    start_control();
    stop_box();
}

static void test_a_request_is_signed_elsewhere_and_its_key_never_leaves(void)
{
    begin();
    make_files("ca", 0);
    CU_ASSERT_EQUAL(
        sh("%s certificate csr web --san web.example.net --key-type rsa2048 >%s/web.csr && ! grep PRIVATE "
           "%s/web.csr && openssl req -in %s/web.csr -noout -verify 2>&1",
           cli, folder, folder, folder),
        0);
    does(1, "csr web", "a request of web waits");
    does(0, "list", "a request waits for its certificate");
    CU_ASSERT_EQUAL(
        sh("cd %s && openssl x509 -req -in web.csr -CA ca.crt -CAkey ca.key -copy_extensions copy -days 40 "
           "-out web.crt 2>&1",
           folder),
        0);
    does(0, "rotate web @/web.crt", "DNS:web.example.net");
    CU_ASSERT_EQUAL(sh("ls %s/state/certificates", folder), 0);
    CU_ASSERT_STRING_EQUAL(output, "web.pem\n");                           /* the request has been answered */
    does(0, "csr web --san web.example.net", "BEGIN CERTIFICATE REQUEST"); /* for its renewal */
    does(0, "delete web", "the request is deleted");
    does(1, "delete web", "is in use");
    stop_box();
}

static void test_a_rotation_that_the_dataplane_refuses_changes_nothing(void)
{
    begin();
    make_files("a", 0);
    make_files("b", 0);
    does(0, "rotate server @/a.crt @/a.key", "serves server");
    CU_ASSERT_EQUAL(sh("cp %s/state/certificates/server.pem %s/before", folder, folder), 0);
    CU_ASSERT(order("refuse"));
    does(1, "rotate server @/b.crt @/b.key", "told to refuse");
    does(1, "rotate other @/b.crt @/b.key", "told to refuse");
    CU_ASSERT(order("accept"));
    CU_ASSERT_EQUAL(sh("cmp %s/state/certificates/server.pem %s/before && ls %s/state/certificates", folder,
                       folder, folder),
                    0);
    CU_ASSERT_STRING_EQUAL(output, "server.pem\n");
    does(0, "rotate server @/b.crt @/b.key", "serves server");
    CU_ASSERT_FALSE(strstr(output, "config rewrite") != NULL); /* the configuration names this file already */
    CU_ASSERT_EQUAL(sh("cmp -s %s/state/certificates/server.pem %s/before", folder, folder), 1);
    stop_box();
}

static void test_what_ends_soon_is_an_alarm(void)
{
    begin();
    make_files("month", 35);
    make_files("week", 55);
    does(0, "rotate server @/month.crt @/month.key", "expires within 30 days");
    CU_ASSERT(until("show status",
                    "alarm                    certificate server, which is in use, expires in 24 days"));
    CU_ASSERT(until("show log", "Alarm: certificate server, which is in use, expires in 24 days"));
    does(0, "install spare @/week.crt @/week.key", "stored");
    CU_ASSERT(http("/metrics"));
    CU_ASSERT(says("sluice_certificate_days_left{certificate=\"server\",used=\"yes\"} 24.9"));
    CU_ASSERT(says("sluice_certificate_not_after_seconds{certificate=\"spare\",used=\"no\"}"));
    does(0, "rotate server @/week.crt @/week.key", "serves server");
    CU_ASSERT(until("show log", "Alarm: certificate server, which is in use, expires in 4 days"));
    CU_ASSERT_EQUAL(sh("rm %s/state/certificates/server.pem", folder), 0);
    CU_ASSERT_EQUAL(sh("%s config set timeout 0", cli), 0); /* a look at it */
    CU_ASSERT(until("show status", "cannot be read"));
    stop_box();
}

/* Whenever control ends, the file holds the old pair or the new one. */
static void test_killed_at_any_time_a_rotation_leaves_one_pair(void)
{
    begin();
    make_files("a", 0);
    make_files("b", 0);
    does(0, "rotate server @/a.crt @/a.key", "serves server");
    CU_ASSERT_EQUAL(sh("%s config rewrite", cli), 0);
    double began = now();
    does(0, "rotate server @/b.crt @/b.key", "serves server");
    does(0, "rotate server @/a.crt @/a.key", "serves server");
    double takes = (now() - began) / 2;
    unsigned seen[2] = {0};
    for (unsigned i = 0; i < 24; i++) {
        const char *next = i % 2 ? "a" : "b";
        char command[1024];
        snprintf(command, sizeof command, "%s certificate rotate server %s/%s.crt %s/%s.key >/dev/null 2>&1", cli,
                 folder, next, folder, next);
        FILE *rotation = popen(command, "r");
        poll(NULL, 0, (int)(takes * 1000 * i / 8)); /* not a wait for something: the kill moves through the rotation, and behind it */
        end_control(SIGKILL);
        pclose(rotation); /* before the next control could be asked */
        int is_a = sh("cd %s && test \"$(openssl x509 -in state/certificates/server.pem)\" = \"$(openssl "
                      "x509 -in a.crt)\"",
                      folder) == 0;
        seen[is_a]++;
        CU_ASSERT_EQUAL(
            sh("cd %s && test \"$(openssl x509 -in state/certificates/server.pem -noout -pubkey)\" = "
               "\"$(openssl pkey -in state/certificates/server.pem -pubout)\" && test "
               "\"$(openssl x509 -in %s.crt -noout -pubkey)\" = \"$(openssl pkey -in "
               "state/certificates/server.pem -pubout)\"",
               folder, is_a ? "a" : "b"),
            0);
        start_control();
        does(0, "check server", "it can be served");
        CU_ASSERT_EQUAL(sh("ls %s/state/certificates", folder), 0);
        CU_ASSERT_STRING_EQUAL(output, "server.pem\n");
    }
    printf("# after a kill: %u times one pair, %u times the other\n", seen[0], seen[1]);
    CU_ASSERT(seen[0] && seen[1]);
    stop_box();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_self_signed_one_is_made_checked_used_and_exported),
        UNIT(test_names_of_clients_certificates_that_count),
        UNIT(test_files_are_installed_and_bad_ones_are_not),
        UNIT(test_security_does_not_change_the_authority_of_clients),
        UNIT(test_the_last_reply_is_encrypted),
        UNIT(test_a_request_is_signed_elsewhere_and_its_key_never_leaves),
        UNIT(test_a_rotation_that_the_dataplane_refuses_changes_nothing),
        UNIT(test_what_ends_soon_is_an_alarm),
        UNIT(test_killed_at_any_time_a_rotation_leaves_one_pair),
        {NULL, NULL}};
    return box_main(argc, argv, "control/certificates", tests);
}
