/* unit.c: CUnit's runner with TAP output. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const char *skipped;
static unsigned number;

void unit_skip(const char *why)
{
    skipped = why;
}

static void before(const CU_pTest test, const CU_pSuite suite)
{
    (void)test;
    (void)suite;
    skipped = NULL;
}

static void after(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
    (void)suite;
    for (CU_pFailureRecord f = failure; f; f = f->pNext)
        printf("# %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    printf("%sok %u - %s%s%s\n", failure ? "not " : "", ++number, test->pName, skipped ? " # SKIP " : "",
           skipped ? skipped : "");
    fflush(stdout);
}

int unit_main(int argc, char **argv, const char *suite_name, const struct unit_test *tests)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    unsigned n = 0;
    for (const struct unit_test *t = tests; suite && t->name; t++) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        CU_add_test(suite, t->name, t->run);
        n++;
    }
    printf("TAP version 13\n1..%u\n", n);
    CU_set_test_start_handler(before);
    CU_set_test_complete_handler(after);
    CU_run_all_tests();
    unsigned failed = CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
