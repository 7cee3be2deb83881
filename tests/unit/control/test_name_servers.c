/* test_name_servers.c: `system-name-server`: what is taken for an address, and the file that resolv.conf is made of. */
#include "control/name_servers.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], file[96];

static struct settings *begin(void)
{
    struct settings *s = settings_defaults();
    char socket[96], error[256];
    struct words w = {0};
    strcpy(folder, "/tmp/names-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/name-servers", folder);
    snprintf(socket, sizeof socket, "%s/management.sock", folder);
    words_add(&w, must_copy(socket));
    CU_ASSERT_FATAL(settings_add(s, directive_find("management-socket"), &w, error, sizeof error));
    words_free(&w);
    return s;
}

static void end(struct settings *s)
{
    unlink(file);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
    settings_free(s);
}

static bool add(struct settings *s, const char *address, char *error, size_t size)
{
    struct words w = {0};
    words_add(&w, must_copy(address));
    bool good = settings_add(s, directive_find("system-name-server"), &w, error, size);
    words_free(&w);
    return good;
}

static bool file_is(const char *text)
{
    char there[256] = "";
    FILE *f = fopen(file, "r");
    size_t n = f ? fread(there, 1, sizeof there - 1, f) : 0;
    if (f)
        fclose(f);
    there[n] = 0;
    return f && strcmp(there, text) == 0;
}

static void test_addresses_go_to_the_file_in_their_order(void)
{
    struct settings *s = begin();
    char error[256];
    CU_ASSERT(add(s, "192.0.2.7", error, sizeof error));
    CU_ASSERT(add(s, "2001:DB8::0:53", error, sizeof error));
    name_servers_settings(s);
    CU_ASSERT(file_is("192.0.2.7\n2001:db8::53\n"));
    end(s);
}

static void test_the_same_again_is_not_written(void)
{
    struct settings *s = begin();
    struct stat first, second;
    char error[256];
    CU_ASSERT(add(s, "192.0.2.7", error, sizeof error));
    name_servers_settings(s);
    CU_ASSERT_EQUAL_FATAL(stat(file, &first), 0);
    name_servers_settings(s);
    CU_ASSERT_EQUAL_FATAL(stat(file, &second), 0);
    CU_ASSERT(first.st_ino == second.st_ino && first.st_mtim.tv_nsec == second.st_mtim.tv_nsec);
    end(s);
}

static void test_without_any_there_is_no_file(void)
{
    struct settings *s = begin();
    FILE *f = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("192.0.2.7\n", f);
    fclose(f);
    name_servers_settings(s);
    CU_ASSERT(access(file, F_OK) < 0);
    end(s);
}

static void test_what_is_no_address_is_refused(void)
{
    static const char *const wrong[] = {"", "dns.example", "192.0.2", "192.0.2.7:53", "192.0.2.7\nnameserver 192.0.2.8", "fe80::1%eth0"};
    struct settings *s = begin();
    char error[256];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        *error = 0;
        CU_ASSERT(!add(s, wrong[i], error, sizeof error) && strstr(error, "address of a name server"));
    }
    end(s);
}

static void test_a_fourth_is_refused(void)
{
    static const char *const four[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};
    struct settings *s = begin();
    char error[256];
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(add(s, four[i], error, sizeof error), i < 3);
    end(s);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_addresses_go_to_the_file_in_their_order),
                                             UNIT(test_the_same_again_is_not_written),
                                             UNIT(test_without_any_there_is_no_file),
                                             UNIT(test_what_is_no_address_is_refused),
                                             UNIT(test_a_fourth_is_refused),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/name_servers", tests);
}
