/* generation.c: see generation.h. */
#include "generation.h"

#include "net/filter.h"

bool generation_compile(struct config *conf, const struct config *before, char *error, size_t size)
{
    if (before && before->compiled &&
        filter_same(before->compiled, conf->filter, conf->filters, conf->filter_default))
        conf->compiled = filter_ref(before->compiled);
    else
        conf->compiled =
            filter_new(conf->filter, conf->filters, conf->filter_default, conf->workers, error, size);
    return conf->compiled != NULL;
}

void generation_free(struct config *conf)
{
    if (!conf)
        return;
    filter_unref(conf->compiled);
    config_free(conf);
}
