/* exec_rig.c: see exec_rig.h. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "exec_rig.h"

#include <stdio.h>

struct box_rig rig;
const char *here, *there;
struct rig_client *a, *b, *d;

bool says(struct rig_client *c, const char *format, const char *expected)
{
    char request[REQUEST], reply[2 * REQUEST];
    snprintf(request, sizeof request, format, here, there);
    snprintf(reply, sizeof reply, expected, here, there);
    return rig_says(&rig, c, request, reply);
}

void sends(struct rig_client *c, const char *format)
{
    static char request[3][REQUEST];
    char *text = request[c == a ? 0 : c == b ? 1 : 2];
    snprintf(text, sizeof request[0], format, here, there);
    c->got_len = 0;
    rig_exchange(&rig, c, text, strlen(text), 0);
    rig_run(&rig, 2000);
}

bool hears(struct rig_client *c, const char *format)
{
    char reply[2 * REQUEST];
    snprintf(reply, sizeof reply, format, here, there);
    for (unsigned i = 0; i < WAITS && c->got_len < strlen(reply); i++)
        rig_run(&rig, 1000);
    return rig_heard(&rig, c, reply);
}

const uint8_t *shown(const struct rig_client *c, const char *text)
{
    return memmem(c->got, c->got_len, text, strlen(text));
}

const uint8_t *comes(const struct rig_client *c, const char *text)
{
    for (unsigned i = 0; i < WAITS && !shown(c, text); i++)
        rig_run(&rig, 1000);
    return shown(c, text);
}

void start_with(unsigned several, const char *const *pairs)
{
    enum { PAIRS = 12 };
    const char *all[PAIRS] = {"workers", several ? "2" : "1", "busy-reply-threshold", "50"};
    for (unsigned i = 0; pairs && pairs[i] && i + 5 < PAIRS; i++)
        all[4 + i] = pairs[i];
    rig_start(&rig, all, NULL);
    here = rig_key(&rig, 0, 0);
    there = rig_key(&rig, 1, 1);
    a = rig_connect(&rig, 0);
    b = rig_connect(&rig, 2);
    d = rig_connect(&rig, several ? 1 : 4);
}

void start(unsigned several)
{
    start_with(several, NULL);
}

void start_without_threshold(unsigned several)
{
    static const char *const never[] = {"busy-reply-threshold", "0", NULL};
    start_with(several, never);
}

void stop(void)
{
    for (unsigned i = 0; i < rig.box.workers; i++)
        CU_ASSERT_EQUAL(shard_pins(rig.box.ks->shard[i])->pins, 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

void is_in_the_middle_of(struct rig_client *other)
{
    CU_ASSERT(says(other, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_EQUAL(a->got_len, 0);
    CU_ASSERT(shard_pins(rig.box.ks->shard[0])->alone && shard_pins(rig.box.ks->shard[rig.box.workers - 1])->alone);
}

void is_in_the_middle(void)
{
    is_in_the_middle_of(b);
}
