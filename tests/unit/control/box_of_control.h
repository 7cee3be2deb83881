/* box_of_control.h: the real sluice-control and the real CLI around a fake dataplane, in a folder of their
 * own. The programs' paths come in SLUICE_CONTROL, SLUICE_CLI and SLUICE_FAKE. */
#pragma once
#include "unit.h"

#include <stdbool.h>
#include <sys/types.h>

extern char folder[], conf[96], cli[512]; /* cli: program and --socket */
extern unsigned port;                     /* of the statistics */
extern pid_t control;
extern char output[1 << 20]; /* of the last command, HTTP request or API request */

double now(void);
/* Runs a shell command; its stdout and stderr to output. The exit code. */
int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Is it in output? */
bool says(const char *what);
/* Until the CLI command's output holds `what`; at most 10 s. */
bool until(const char *command, const char *what);
/* An order for the fake dataplane and its answer. */
bool order(const char *text);
/* One that it does not live to answer. */
bool last_order(const char *text);
bool http(const char *path);

void write_conf(const char *more);
void start_control(void);
long dataplane_pid(void);
int end_control(int number);
void start_box(void);
void stop_box(void);
int box_main(int argc, char **argv, const char *suite, const struct unit_test *tests);
