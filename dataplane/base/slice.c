/* slice.c: comparisons of borrowed bytes. */
#include "base/slice.h"

#include <strings.h>

bool slice_is_caseless(struct slice a, const char *word)
{
    return strncasecmp((const char *)a.p, word, a.len) == 0;
}
