/* progress.h: how far something is: a bar on a terminal (stderr), nothing elsewhere. */
#pragma once

/* `part` of `all` is done; said: what else there is to say, or "". As wide as the window lets it be. */
void progress_show(long long part, long long all, const char *said);
/* Takes the bar away. */
void progress_end(void);
