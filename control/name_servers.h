/* name_servers.h: `system-name-server`: the name servers that an operator wants the machine to ask, told to who keeps its
 * resolv.conf (on an image sluice-names, images/README.md). */
#pragma once
#include "control/settings.h"

/* Writes the addresses, one a line in their order, to the file `name-servers` beside management-socket, and takes it away
 * when there are none: then those of DHCP count. Nothing is written when it is so already. A failure is a line in the log. */
void name_servers_settings(const struct settings *s);
