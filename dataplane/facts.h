/* facts.h: what control has told about itself and the box (config_file, rdb_last_save_time ...), for INFO.
 * Written by the main thread, read by workers at any time. */
#pragma once

/* Bounded: at most 64 facts of 255 bytes; what does not fit is dropped. */
void fact_set(const char *name, const char *value);
/* NULL if unknown. The text is the calling thread's copy: whole, and valid until the thread asks for
 * the same fact again. */
const char *fact_get(const char *name);
