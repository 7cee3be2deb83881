/* generation.c: see generation.h. */
#include "generation.h"

#include "net/filter.h"
#include "tls/tls.h"

#include <time.h>

/* The keys themselves are needed no longer when the contexts have them. */
static bool make_tls(struct config *conf, const struct config *before, char *error, size_t size)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!config_has_tls(conf))
        conf->tls = NULL;
    else if (before && before->tls && tls_set_same(before->tls, conf))
        conf->tls = tls_set_ref(before->tls);
    else
        conf->tls = tls_set_new(conf, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, error, size);
    config_forget_secrets(conf);
    return !config_has_tls(conf) || conf->tls;
}

bool generation_compile(struct config *conf, const struct config *before, char *error, size_t size)
{
    if (before && before->compiled &&
        filter_same(before->compiled, conf->filter, conf->filters, conf->filter_default))
        conf->compiled = filter_ref(before->compiled);
    else
        conf->compiled =
            filter_new(conf->filter, conf->filters, conf->filter_default, conf->workers, error, size);
    if (conf->compiled && make_tls(conf, before, error, size))
        return true;
    filter_unref(conf->compiled);
    conf->compiled = NULL;
    return false;
}

void generation_free(struct config *conf)
{
    if (!conf)
        return;
    filter_unref(conf->compiled);
    tls_set_unref(conf->tls);
    config_free(conf);
}
