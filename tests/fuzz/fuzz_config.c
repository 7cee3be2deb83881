/* fuzz_config.c: a configuration file of any bytes. What is refused has a line that says why; what is taken,
 * reads back from what CONFIG REWRITE would write. */
#include "control/conffile.h"
#include "control/rewrite.h"
#include "fuzz.h"

/* CONFIG REWRITE depends on it. */
static void reads_back(const struct settings *s)
{
    struct text t = {0};
    struct report r = {0};
    for (unsigned i = 0; i < directive_count(); i++)
        if (s->set[i])
            rewrite_directive(&t, s, (int)i);
    struct settings *again = settings_defaults();
    const char *text = text_str(&t);
    bool ok = conf_parse("again.conf", text, strlen(text), again, NULL, &r);
    if (!ok)
        fprintf(stderr, "%s\n%s\n", text, text_str(&r.lines));
    MUST(ok, "what was written is refused");
    for (unsigned i = 0; i < directive_count(); i++) {
        if (!settings_same(s, again, (int)i))
            fprintf(stderr, "%s\n%s\n", directives[i].name, text);
        MUST(settings_same(s, again, (int)i), "what was written reads back as something else");
    }
    settings_free(again);
    report_free(&r);
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    if (strcasestr(text, "include")) { /* would open files of this machine */
        free(text);
        return 0;
    }
    struct settings *s = settings_defaults();
    struct conf_lines lines = {0};
    struct report r = {0};
    bool ok = conf_parse("fuzz.conf", text, size, s, &lines, &r);
    MUST(ok == (r.errors == 0), "an error without a line, or a line without an error");
    MUST(ok || strlen(text_str(&r.lines)), "refused without a word");
    if (ok)
        reads_back(s);
    conf_lines_free(&lines);
    report_free(&r);
    settings_free(s);
    free(text);
    return 0;
}
