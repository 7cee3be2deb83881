/* progress.c: see progress.h. */
#include "mgmt/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 40, LINE = 256, COLUMNS_DEFAULT = 80 };

static int shown; /* columns of the bar that stands there */

static int columns_of_terminal(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : COLUMNS_DEFAULT;
}

/* Never up to the last column: the line would wrap, and the next one could not take its place. */
void progress_show(long long part, long long all, const char *said)
{
    char line[LINE], bar[BAR + 1];
    if (!isatty(STDERR_FILENO) || all <= 0)
        return;
    part = part < 0 ? 0 : part > all ? all : part;
    int columns = columns_of_terminal(), percent = (int)(part * 100 / all), room = columns - (int)strlen(said) - 10;
    int width = room > BAR ? BAR : room < 0 ? 0 : room, filled = (int)((double)part / (double)all * width);
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, ' ', (size_t)(width - filled));
    bar[width] = 0;
    snprintf(line, sizeof line, width < 5 ? "%.0s%3d %% %s" : "[%s] %3d %% %s", bar, percent, said);
    line[columns - 1 < LINE - 1 ? columns - 1 : LINE - 1] = 0;
    int len = (int)strlen(line);
    fprintf(stderr, "\r%s%*s", line, shown > len ? shown - len : 0, "");
    fflush(stderr);
    shown = len;
}

void progress_end(void)
{
    if (shown)
        fprintf(stderr, "\r%*s\r", shown, "");
    fflush(stderr);
    shown = 0;
}
