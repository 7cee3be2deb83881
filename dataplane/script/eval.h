/* eval.h: handlers of the scripting commands. */
#pragma once
#include "command/command.h"

command_handler eval_command, evalsha_command, eval_ro_command, evalsha_ro_command, script_load,
    script_exists, script_flush, script_kill, script_debug, script_help;

/* A text or a known script whose first line says no-writes. */
bool eval_reads(const struct request *rq);
bool evalsha_reads(const struct request *rq);
