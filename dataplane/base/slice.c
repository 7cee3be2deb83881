/* slice.c: comparisons of borrowed bytes. */
#include "base/slice.h"

#include <strings.h>

bool slice_is(struct slice a, const char *word)
{
    return strlen(word) == a.len && strncasecmp((const char *)a.p, word, a.len) == 0;
}
