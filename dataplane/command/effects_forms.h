/* effects_forms.h: what effects_rules.c and effects_fields.c share: commands in the forms in which they are logged. */
#pragma once
#include "command/effects.h"

enum time_word { TIME_NONE, TIME_EX, TIME_PX, TIME_EXAT, TIME_PXAT };
enum time_word effects_time_word(struct slice word);
/* Milliseconds since 1970: what such a word with this number means now. */
int64_t effects_point_in_time(const struct request *rq, enum time_word word, struct slice number);
/* The command with PXAT instead of what stands from `from` on, before `end`; a word that asks for a reply alone is left out. */
void effects_with_points(struct request *rq, struct effects *e, int from, int end, const char *reply_word);

void effects_of_hexpire(struct request *rq, struct effects *e);
void effects_of_hpexpire(struct request *rq, struct effects *e);
void effects_of_hexpireat(struct request *rq, struct effects *e);
void effects_of_hpexpireat(struct request *rq, struct effects *e);
void effects_of_hgetex(struct request *rq, struct effects *e);
void effects_of_hsetex(struct request *rq, struct effects *e);
