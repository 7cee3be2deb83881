/* facts_test.c: facts are whole while they change. */
#include "facts.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static atomic_bool over;

static void *change(void *arg)
{
    char text[256];
    for (int i = 0; i < 20000; i++) {
        memset(text, 'a' + i % 26, 200);
        text[200 - i % 100] = 0;
        fact_set("changing", text);
    }
    atomic_store(&over, true);
    return arg;
}

static bool whole(const char *text)
{
    size_t len = strlen(text);
    return len > 100 && len <= 200 && strspn(text, (char[]){text[0], 0}) == len;
}

static void test_a_fact_is_whole_while_it_changes(void)
{
    pthread_t writer;
    unsigned torn = 0;
    char first[200];
    memset(first, 'a', 150);
    first[150] = 0;
    fact_set("changing", first);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, change, NULL), 0);
    while (!atomic_load(&over))
        torn += !whole(fact_get("changing"));
    pthread_join(writer, NULL);
    CU_ASSERT_EQUAL(torn, 0);
}

static void test_the_table_is_bounded(void)
{
    char name[80], text[300];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    CU_ASSERT_PTR_NULL(fact_get("none"));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "fact%d", i);
        fact_set(name, text);
    }
    CU_ASSERT_EQUAL(strlen(fact_get("fact0")), 255);
    CU_ASSERT_PTR_NULL(fact_get("fact99"));
    fact_set("fact0", "new");
    CU_ASSERT_STRING_EQUAL(fact_get("fact0"), "new");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_a_fact_is_whole_while_it_changes), UNIT(test_the_table_is_bounded), {NULL, NULL}};
    return unit_main(argc, argv, "worker/facts", tests);
}
