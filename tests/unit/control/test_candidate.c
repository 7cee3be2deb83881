/* test_candidate.c: a commit that confirms and the deadline of the one before: whichever is first, what is answered holds.
 * Commits go to this file instead of a dataplane. */
#include "control/api.h"
#include "control/candidate_parts.h"
#include "unit.h"

#include <event2/event.h>
#include <string.h>

static struct settings *running;
static struct {
    commit_done *done;
    void *ctx;
    const char *way;
    unsigned n;
} sent;
static char failure[32];
static struct control control;

const struct settings *__wrap_commit_running(const struct commit *c);
void __wrap_commit_set_as(struct commit *c, const struct change *change, unsigned n, const char *way, const char *who,
                          commit_done *done, void *ctx);
void __wrap_commit_hold_file(struct commit *c, bool hold);
bool __wrap_commit_waits(const struct commit *c, int directive);
uint64_t __wrap_commit_generation(const struct commit *c);
struct control *__wrap_call_control(const struct call *call);
const char *__wrap_call_who(const struct call *call);
uint64_t __wrap_call_session(const struct call *call);
enum role __wrap_call_role(const struct call *call);
void __wrap_call_reply(struct call *call, json_t *data);
void __wrap_call_fail(struct call *call, const char *code, const char *format, ...);

const struct settings *__wrap_commit_running(const struct commit *c)
{
    (void)c;
    return running;
}
void __wrap_commit_set_as(struct commit *c, const struct change *change, unsigned n, const char *way, const char *who,
                          commit_done *done, void *ctx)
{
    (void)c, (void)change, (void)n, (void)who;
    sent.done = done;
    sent.ctx = ctx;
    sent.way = way;
    sent.n++;
}
void __wrap_commit_hold_file(struct commit *c, bool hold)
{
    (void)c, (void)hold;
}
bool __wrap_commit_waits(const struct commit *c, int directive)
{
    (void)c, (void)directive;
    return false;
}
uint64_t __wrap_commit_generation(const struct commit *c)
{
    (void)c;
    return 1;
}
struct control *__wrap_call_control(const struct call *call)
{
    (void)call;
    return &control;
}
const char *__wrap_call_who(const struct call *call)
{
    (void)call;
    return "somebody";
}
uint64_t __wrap_call_session(const struct call *call)
{
    (void)call;
    return 1;
}
enum role __wrap_call_role(const struct call *call)
{
    (void)call;
    return ROLE_ADMIN;
}
void __wrap_call_reply(struct call *call, json_t *data)
{
    (void)call;
    snprintf(failure, sizeof failure, "none");
    json_decref(data);
}
void __wrap_call_fail(struct call *call, const char *code, const char *format, ...)
{
    (void)call, (void)format;
    snprintf(failure, sizeof failure, "%s", code);
}

/* The dataplane has taken what was sent last. */
static void taken(const char *name, const char *value)
{
    struct settings *before = running;
    char error[128];
    running = settings_copy(before);
    CU_ASSERT(settings_replace(running, directive_find(name), value, error, sizeof error));
    candidate_changed(control.candidate, sent.way, "somebody", before, running);
    settings_free(before);
    sent.done(sent.ctx, NULL);
}

static void edit_and_commit(const char *value, unsigned minutes)
{
    json_t *set = json_pack("{s:s,s:[s]}", "name", "timeout", "words", value), *commit = json_pack("{s:i}", "confirmed", (int)minutes);
    configure_set(NULL, set);
    configure_commit((struct call *)&control, commit); /* whichever: none is looked into here */
    json_decref(set);
    json_decref(commit);
}

static void deadline(void)
{
    event_active(control.candidate->timer, EV_TIMEOUT, 0);
    event_base_loop(control.base, EVLOOP_NONBLOCK);
}

static void begin(void)
{
    control = (struct control){.base = event_base_new(), .config_path = "", .inventory = ""};
    running = settings_defaults();
    memset(&sent, 0, sizeof sent);
    control.candidate = candidate_new(&control, "");
    json_t *none = json_object();
    configure_enter(NULL, none);
    json_decref(none);
    edit_and_commit("5", 1);
    taken("timeout", "5");
    CU_ASSERT_PTR_NOT_NULL(control.candidate->fallback);
}

static void end(void)
{
    candidate_free(control.candidate);
    event_base_free(control.base);
    settings_free(running);
}

static void test_a_deadline_waits_for_the_commit_that_confirms(void)
{
    begin();
    edit_and_commit("6", 0);
    CU_ASSERT_EQUAL(sent.n, 2);
    deadline();
    CU_ASSERT_EQUAL(sent.n, 2); /* not behind it */
    CU_ASSERT(evtimer_pending(control.candidate->timer, NULL));
    taken("timeout", "6");
    CU_ASSERT_STRING_EQUAL(failure, "none");
    CU_ASSERT_PTR_NULL(control.candidate->fallback);
    CU_ASSERT_FALSE(evtimer_pending(control.candidate->timer, NULL));
    CU_ASSERT_STRING_EQUAL(settings_get(running, "timeout"), "6");
    end();
}

static void test_what_goes_back_can_no_longer_be_confirmed(void)
{
    begin();
    deadline();
    CU_ASSERT_EQUAL(sent.n, 2);
    CU_ASSERT_STRING_EQUAL(sent.way, "not confirmed");
    edit_and_commit("6", 0);
    CU_ASSERT_STRING_EQUAL(failure, "busy");
    CU_ASSERT_EQUAL(sent.n, 2);
    taken("timeout", "0");
    CU_ASSERT_PTR_NULL(control.candidate->fallback);
    edit_and_commit("6", 0);
    CU_ASSERT_EQUAL(sent.n, 3);
    taken("timeout", "6");
    end();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_deadline_waits_for_the_commit_that_confirms),
                                             UNIT(test_what_goes_back_can_no_longer_be_confirmed),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/candidate", tests);
}
