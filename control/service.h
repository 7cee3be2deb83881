/* service.h: control as a service of systemd: sd_notify(3). Without one all of this does nothing. */
#pragma once

/* Control answers. Once, at start. */
void service_ready(void);
/* The loop goes round; to be said more often than WatchdogSec. */
void service_alive(void);
/* The loop has ended, and something long follows: no more signs of life are expected. */
void service_stopping(void);
/* It goes on: the manager waits this long for it, at least. Also before service_ready(). */
void service_goes_on(unsigned seconds);
