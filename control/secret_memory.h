/* secret_memory.h: private keys pass through control as texts: what held one is wiped before it is given
 * back. */
#pragma once
#include <stddef.h>

/* Wipes and frees; NULL is allowed. */
void secret_free(char *text);
/* From here on jansson and libevent wipe all that they give back: requests of the management API carry keys.
 * Before either is used. */
void secret_memory_start(void);
