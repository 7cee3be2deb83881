/* lolwut.c: LOLWUT, the piece of computer art that names the version. Ours: water behind a sluice gate, drawn
 * anew every time. https://redis.io/docs/latest/commands/lolwut/ */
#include "command/server.h"
#include "command/text.h"
#include "command/version.h"

enum { COLUMNS = 60, ROWS = 12, GATE = 38 };

/* Height of the water in rows at a column: full before the gate, what the gate lets through after it. */
static int water_level(int column, int opening, int phase)
{
    static const int8_t ripple[8] = {0, 0, 1, 1, 1, 0, 0, -1};
    int level = column < GATE ? ROWS - 3 : opening;
    return level + ripple[(column + phase) & 7] * (column < GATE ? 1 : opening > 2);
}

static char cell(int row, int column, int opening, int phase)
{
    int height = ROWS - row; /* of this row above the ground, from 1 */
    if (column == GATE || column == GATE + 1)
        return height > opening ? '#' : '~';
    int level = water_level(column, opening, phase);
    return height > level ? ' ' : height == level ? '~' : (row * 7 + column * 3 + phase) % 11 ? ' ' : '-';
}

enum command_result lolwut_run(struct request *rq)
{
    int64_t version;
    if (rq->argc >= 3 && slice_is(rq->argv[1], "version") && !request_int(rq, 2, &version, NULL))
        return CMD_DONE;
    uint64_t random = env_random(rq->env);
    int opening = 2 + (int)(random % 4), phase = (int)(random >> 8 & 7);
    struct text art = {0};
    for (int row = 0; row < ROWS; row++) {
        char line[COLUMNS + 1];
        for (int column = 0; column < COLUMNS; column++)
            line[column] = cell(row, column, opening, phase);
        line[COLUMNS] = '\n';
        text_add(&art, (struct slice){(const uint8_t *)line, sizeof line});
    }
    text_addf(&art, "\nSluice %s, the gate is open by %d. Redis ver. " REDIS_VERSION "\n", SLUICE_VERSION,
              opening);
    text_reply(&art, rq->out);
    return CMD_DONE;
}
